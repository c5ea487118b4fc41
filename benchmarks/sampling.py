"""How many samples each way of spreading draws saves: the variance of SmoothGrad over seeds, beside that of independent draws."""

from __future__ import annotations

from torch import Tensor

from benchmarks import ours
from benchmarks.networks import Case, case
from benchmarks.session import Session
from benchmarks.tasks import Task

STAGE = "sampling"
SAMPLINGS = ("independent", "antithetic", "sobol", "stratified")


def run(session: Session) -> None:
    """The stage: a variance for each sampling, noise level and picture."""
    if not session.wanted(STAGE):
        return
    records, scale = session.records(STAGE), session.scale
    here = case(scale.small, rows=scale.pictures, device=session.device)
    names = [name(level, sampling) for level in scale.levels for sampling in SAMPLINGS]
    missing = [n for n in names if n not in records]
    with session.steps("variance of SmoothGrad", len(missing)) as steps:
        for entry in missing:
            steps.now(entry)
            level, sampling = entry.split("/")
            task = Task("smoothgrad", scale.sampled, noise=float(level), sampling=sampling)
            records.add(entry, variances=variances(here, task, scale.sampling_seeds))
            steps.done()


def name(level: float, sampling: str) -> str:
    """The record of a noise level and a sampling."""
    return f"{level}/{sampling}"


def variances(here: Case, task: Task, seeds: int) -> list[float]:
    """By picture: the variance over seeds, summed over the map's values. Each picture is explained once per seed, in one call."""
    return total_variance(ours.maps_over_seeds(here, task, seeds))


def total_variance(maps: Tensor) -> list[float]:
    """Of maps (seeds, P, *S): by picture, the sum over values of the unbiased variance over seeds."""
    return maps.double().var(0).flatten(1).sum(1).tolist()


def ratios(found: list[float], independent: list[float]) -> list[float]:
    """By picture: variance / variance of independent draws. At equal n, 1 - ratio of the samples are saved."""
    return [one / other for one, other in zip(found, independent, strict=True)]
