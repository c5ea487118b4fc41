"""This library, as a user calls it: `explain` with its defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

import smoothgrad as sg
from benchmarks.networks import Case
from benchmarks.tasks import Task
from smoothgrad.core.explainer import Explainer


def make(case: Case, task: Task, batch: int | None, *, precision: Any = "float32") -> Callable[[int], Tensor]:
    """A seed to maps (N, *S)."""
    explainer = method(task, case.std(task))

    def run(seed: int) -> Tensor:
        return sg.explain(
            case.net,
            case.x,
            method=explainer,
            target=case.target,
            seed=seed,
            chunk=batch,
            precision=precision,
        ).maps

    return run


def method(task: Task, std: float) -> Explainer:
    """The task as a method; noise in the units of the input."""
    if task.method == "integrated_gradients":
        return sg.integrated_gradients(task.samples)
    cloud = sg.Gaussian(std, task.samples, unit="absolute", sampling=task.sampling)
    if task.method == "smoothgrad":
        return sg.Gradient().over(cloud)
    if task.method == "guided":
        return sg.Gradient(sg.Guided()).over(cloud)
    if task.method == "nested_ig":
        return sg.integrated_gradients(task.steps).over(cloud)
    return sg.Gradient().over(sg.NoisyPath(cloud))


def maps_over_seeds(case: Case, task: Task, seeds: int, seed: int = 0) -> Tensor:
    """Maps (seeds, N, *S): the rows once per seed, each with a key of its own, in one call."""
    rows = case.x.repeat(seeds, *([1] * (case.x.ndim - 1)))
    explainer = method(task, case.std(task))
    result = sg.explain(case.net, rows, method=explainer, target=case.target.repeat(seeds), seed=seed)
    return result.maps.unflatten(0, (seeds, len(case.x)))
