"""Smooth Integrated Gradients at equal error: what nesting paths in noise draws costs, beside one noise draw per path point.

The limit is known from a long joint run with a seed of its own. The error of a map is its relative L2 distance from there, the root
of the mean square over seeds. Nested 50 x 50 has some error; the joint runs are measured at growing numbers of draws, and where
their line on two logarithmic axes crosses that error, they are as good: that many draws are then timed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import geometric_mean

import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.contenders import CONTENDERS
from benchmarks.networks import Case, case
from benchmarks.records import Records
from benchmarks.session import Session
from benchmarks.tasks import Task
from benchmarks.times import Entry, Workload, climb, measure
from benchmarks.worker import Asked, Place, Worker

STAGE = "smooth_ig"
SAMPLINGS = ("independent", "antithetic")
LONG_SEED = 1_000_003  # of the reference: no other run has it
BATCHES = (16, 32, 64, 128, 256)  # rows in one model call that are tried for captum's nested run


@dataclass(frozen=True)
class Errors:
    """Relative L2 errors by picture, at a noise level."""

    nested: list[float]
    joint: dict[str, dict[int, list[float]]]  # sampling -> draws -> by picture

    def equal(self, sampling: str) -> list[float]:
        """For each picture the joint draws at which the error is that of the nested run."""
        joint = self.joint[sampling]
        return [crossing({n: errors[i] for n, errors in joint.items()}, target) for i, target in enumerate(self.nested)]

    def typical(self, sampling: str) -> float:
        """The geometric mean of these over pictures."""
        return geometric_mean(self.equal(sampling))


def run(session: Session) -> None:
    """The stage: errors at each noise level, then the wall times of runs that are equally good."""
    if not session.wanted(STAGE):
        return
    records = session.records(STAGE)
    for level in session.scale.levels:
        _measure_errors(session, records, level)
    measure(session, records, _timed(session, records))


def errors(session: Session, records: Records, level: float) -> Errors:
    """What was measured at a noise level."""
    joint = {
        sampling: {n: records[f"{level}/{sampling}/{n}"]["errors"] for n in session.scale.grid}
        for sampling in SAMPLINGS
    }
    return Errors(records[f"{level}/nested"]["errors"], joint)


def crossing(errors: dict[int, float], target: float) -> float:
    """Draws n at which the error is `target`: the least-squares line of log error over log n, solved for n.

    A line, since the error of n draws falls as n^-1/2, and a single point of it is as noisy as the seeds are few.

    >>> round(crossing({100: 0.2, 400: 0.1}, target=0.05))
    1600
    """
    n = torch.tensor([math.log(draws) for draws in errors], dtype=torch.float64)
    e = torch.tensor([math.log(error) for error in errors.values()], dtype=torch.float64)
    slope = float(((n - n.mean()) * (e - e.mean())).sum() / (n - n.mean()).square().sum())
    return math.exp(float(n.mean()) + (math.log(target) - float(e.mean())) / slope)


def distances(maps: Tensor, reference: Tensor) -> list[float]:
    """Of maps (seeds, P, *S) from a reference (P, *S): by picture, the root of the mean square over seeds, relative."""
    gaps = (maps - reference).flatten(2).norm(dim=2)  # (seeds, P)
    return (gaps.square().mean(0).sqrt() / reference.flatten(1).norm(dim=1)).tolist()


def _measure_errors(session: Session, records: Records, level: float) -> None:
    scale = session.scale
    here = case(scale.small, rows=scale.pictures, device=session.device)
    names = [f"{level}/nested", *(f"{level}/{s}/{n}" for s in SAMPLINGS for n in scale.grid)]
    missing = [name for name in names if name not in records]
    if not missing:
        return
    with session.steps(f"error of Smooth IG at noise {level:.0%}", 1 + len(missing)) as steps:
        steps.now(f"reference of {scale.reference} draws")
        reference = _reference(session, records, here, level)
        steps.done()
        for name in missing:
            steps.now(name)
            maps = ours.maps_over_seeds(here, _task(session, name, level), scale.seeds)
            records.add(name, errors=distances(maps, reference))
            steps.done()


def _task(session: Session, name: str, level: float) -> Task:
    nested = session.scale.nested
    if name.endswith("nested"):
        return Task("nested_ig", nested, steps=nested, noise=level)
    _, sampling, draws = name.split("/")
    return Task("smooth_ig", int(draws), noise=level, sampling=sampling)


def _reference(session: Session, records: Records, here: Case, level: float) -> Tensor:
    name = f"reference/{level}/{session.scale.reference}"
    kept = records.maps(name)
    if kept is not None:
        return kept
    maps = ours.maps_over_seeds(here, Task("smooth_ig", session.scale.reference, noise=level), seeds=1, seed=LONG_SEED)[
        0
    ]
    records.add_maps(name, maps)
    return maps


def _timed(session: Session, records: Records) -> Workload:
    """One picture: captum nested, ours nested, and ours joint with as many draws as are equally good."""
    scale = session.scale
    place = Place(scale.small, rows=1, device=session.device)
    nested = Task("nested_ig", scale.nested, steps=scale.nested)
    captum = CONTENDERS["captum, best batch"]
    entries = [
        Entry(CONTENDERS["captum, default"], nested),
        Entry(captum, nested, _captum_batch(session, records, place, nested)),
        Entry(CONTENDERS["ours"], nested, label="ours, nested"),
    ]
    for level in scale.levels:
        for sampling in SAMPLINGS:
            task = Task("smooth_ig", equal_draws(session, records, level, sampling), noise=level, sampling=sampling)
            entries.append(Entry(CONTENDERS["ours"], task, label=joint_label(level, sampling)))
    return Workload("time", place, tuple(entries), scale.rounds)


def equal_draws(session: Session, records: Records, level: float, sampling: str) -> int:
    """The joint draws that are as good as nesting, rounded up to a pair."""
    return 2 * math.ceil(errors(session, records, level).typical(sampling) / 2)


def joint_label(level: float, sampling: str) -> str:
    """How the joint run at a noise level is called in the records."""
    return f"ours, joint, {level:.0%}, {sampling}"


def _captum_batch(session: Session, records: Records, place: Place, nested: Task) -> int:
    name = "batch/captum nested"
    if name not in records:
        task = replace(nested, samples=min(8, nested.samples))

        def probe(batch: int) -> float:
            steps.now(f"captum at {batch}")
            worker.run(Asked(task.few(2), batch))
            outcome = worker.run(Asked(task, batch))
            steps.done()
            return float("inf") if outcome.error else outcome.seconds

        title = f"best batch of captum's nested run on {place.network}"
        with session.steps(title, len(BATCHES)) as steps, Worker("captum, best batch", place) as worker:
            records.add(name, **climb(probe, BATCHES))
    best: int = records[name]["best"]
    return best
