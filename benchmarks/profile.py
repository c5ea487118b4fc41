"""Where the time of `explain` goes: torch.profiler's own time of each operator, put into a few drawers.

Noise and reduction are made of the same small operators as the rest, so that they are marked first, by wrapping their functions for
as long as the profile runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile, record_function

import smoothgrad.engine
from benchmarks import ours
from benchmarks.networks import case
from benchmarks.session import Session
from benchmarks.tasks import Task
from smoothgrad.core.reduce import Mean
from smoothgrad.samplers.cloud import Gaussian

STAGE = "profile"
PARTS = ("convolution, forward", "convolution, backward", "noise", "reduction", "preparing the network", "the rest")


def run(session: Session) -> None:
    """The stage: ours on each network, once warm."""
    records = session.records(STAGE)
    names = [network for network in session.scale.networks if session.wanted(f"{STAGE}/{network}")]
    missing = [network for network in names if network not in records]
    with session.steps("profile of ours", len(missing)) as steps:
        for network in missing:
            steps.now(network)
            records.add(network, shares=shares(network, session.scale.samples, session.device))
            steps.done()


def shares(network: str, samples: int, device: str = "cpu") -> dict[str, float]:
    """The share of each part of SmoothGrad's time, in [0, 1]; they sum to 1."""
    work = ours.make(case(network, device=device), Task("smoothgrad", samples), None)
    work(0)
    activities = [ProfilerActivity.CPU] + ([] if device == "cpu" else [ProfilerActivity.CUDA])
    with _marks(), profile(activities=activities) as profiled:
        work(1)
    spent: Counter[str] = Counter(dict.fromkeys(PARTS, 0.0))
    for event in profiled.events():
        own = event.self_cpu_time_total if device == "cpu" else event.self_device_time_total
        spent[_part(event)] += own
    whole = sum(spent.values())
    return {part: spent[part] / whole for part in PARTS}


def _part(event: Any) -> str:
    """The drawer of an event: the mark that it stands under, else what it is."""
    above = event
    while above is not None:
        if above.name in PARTS:
            return str(above.name)
        above = above.cpu_parent
    if "conv" not in event.name:
        return "the rest"
    backward = "backward" in event.name.lower()
    return "convolution, backward" if backward else "convolution, forward"


MARKED = (
    (Gaussian, "draw", "noise"),
    (Mean, "update", "reduction"),
    (smoothgrad.engine, "borrow", "preparing the network"),
)


@contextmanager
def _marks() -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, mark in MARKED:
            stack.enter_context(patch.object(owner, name, _marked(getattr(owner, name), mark)))
        yield


def _marked(function: Callable[..., Any], mark: str) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with record_function(mark):
            return function(*args, **kwargs)

    return run
