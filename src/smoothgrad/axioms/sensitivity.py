"""Sensitivity (a): what alone makes the difference has a part in the map (Sundararajan et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothgrad.axioms.compared import Finding, number, spot_in_words, verdict, worst
from smoothgrad.axioms.question import NotAsked, Question
from smoothgrad.axioms.verdict import Counterexample, Verdict
from smoothgrad.core.noise import salted, uniform

NAME = "sensitivity"
TOLERANCE = 1e-4  # of the score: a smaller change is none
ZERO = 1e-6  # of the map's largest value: a smaller one is none
LOOKED_AT = 32  # places of each row whose effect on the score is looked at
EXPLAINED = 4  # of them: those with the largest effect


def sensitivity(ask: Question, tolerance: float) -> Verdict:
    """Input and baseline differ in one place only, and their scores differ: that place gets a value other than zero.

    The input is the baseline with one place of the row: of 32 places by chance the 4 whose scores differ most. The error is the
    largest change of score whose only cause got zero.
    """
    start = ask.starts(ask.x, ask.all)
    rows, places = _candidates(ask, ask.x != start)
    if not len(rows):
        raise NotAsked(f"the rows are {ask.start}: they differ from the baseline nowhere")
    points = _one_place(ask, start[rows], rows, places)
    base = ask.starts(points, rows)
    apart = ask.at_places((points != base).double()).amax(1)  # (M, P)
    alone = (apart.sum(1) == 1) & (apart.gather(1, places[:, None])[:, 0] == 1)
    if not bool(alone.any()):
        raise NotAsked(f"{ask.start} changes with the input, so that no input differs from it in one place only")
    rows, places, points, base = (part[alone] for part in (rows, places, points, base))
    here, there = ask.scores(points, rows), ask.scores(base, rows)
    change, size = here - there, torch.maximum(here.abs(), there.abs())
    chosen = _largest(change.abs(), rows)
    rows, places, points, base, change, size = (part[chosen] for part in (rows, places, points, base, change, size))
    counts = change.abs() > tolerance * size
    if not bool(counts.any()):
        raise NotAsked("no single place of these rows changes the score of the baseline")
    rows, places, points, base, change, size = (part[counts] for part in (rows, places, points, base, change, size))
    found = ask.maps(x=points, rows=rows).maps
    values = ask.at_places(found.double())  # (M, C, P)
    mine = values.gather(2, places[:, None, None].expand(-1, values.shape[1], 1))[..., 0]  # (M, C)
    missed = mine.abs().amax(1) <= ZERO * found.double().abs().flatten(1).amax(1)
    findings = []
    for k in range(len(rows)):
        channel = int(mine[k].abs().argmax())
        spot = ask.spot(channel, int(places[k]))
        value, moved = float(mine[k, channel]), float(change[k])
        said = (
            f"row {int(rows[k])} cut down to {spot_in_words(spot)} differs from {ask.start} there only, and its score by "
            f"{number(moved)}: yet the map is {number(value)} there"
        )
        example = Counterexample(
            int(rows[k]),
            spot,
            ("f(x')", "f(baseline)"),
            (points[k], base[k]),
            (found[k], torch.zeros_like(found[k])),
            (value, moved),
            said,
        )
        findings.append(Finding(abs(moved) * float(missed[k]), tolerance * float(size[k]), example))
    return verdict(NAME, worst(findings), f"{len(rows)} inputs that differ from {ask.start} in one place")


def _candidates(ask: Question, differs: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (M,) and places (M,), by chance among those where the row differs from its baseline."""
    there = ask.at_places(differs).any(1)  # (N, P)
    lots = uniform(salted(ask.keys, "lots"), range(1), torch.Size([there.shape[1]]))[0]
    order = torch.where(there, lots, -1.0).argsort(dim=1, descending=True)[:, :LOOKED_AT]
    kept = there.gather(1, order)
    return ask.all[:, None].expand_as(order)[kept], order[kept]


def _one_place(ask: Question, start: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """The baseline (M, *S) with one place of each row."""
    chosen = torch.nn.functional.one_hot(places, ask.places.total).bool()
    return torch.where(ask.at(chosen), ask.x[rows], start)


def _largest(size: Tensor, rows: Tensor) -> Tensor:
    """Which of the candidates to explain: those of each row with the largest effect."""
    taken = []
    for row in rows.unique():
        mine = (rows == row).nonzero()[:, 0]
        taken.append(mine[size[mine].argsort(descending=True)[:EXPLAINED]])
    return torch.cat(taken)
