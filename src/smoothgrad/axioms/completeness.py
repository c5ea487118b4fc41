"""Completeness: the map sums to the change of the score from the baseline to the input (Sundararajan et al. 2017)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothgrad.axioms.compared import Finding, number, verdict, worst
from smoothgrad.axioms.question import FAULTS, REPEATS, STDERRS, NotAsked, Question
from smoothgrad.axioms.verdict import Counterexample, Verdict
from smoothgrad.core.value import Value, fields_of
from smoothgrad.explainers.guided_ig import GuidedPath
from smoothgrad.explainers.refined import Refined
from smoothgrad.result import Attribution
from smoothgrad.samplers.blur import BlurPath
from smoothgrad.samplers.path import StraightPath

NAME = "completeness"
TOLERANCE = 0.05  # of the change of score: what Sundararajan et al. 2017 ask of the sum over steps
FINER = 4  # times the steps, to see whether the fault is that of too few
NEARER = 0.5  # of the error: where so much or less is left with more steps, it is
ROUNDING = 1e-3  # of the sum of absolute values: sums of values of both signs that cancel


class Sums(NamedTuple):
    """Of each row (N,): what the map sums to, and what it should."""

    total: Tensor
    change: Tensor


def completeness(ask: Question, tolerance: float) -> Verdict:
    """|sum of the map - change| <= tolerance |change|.

    The change is the one that the method promises: score(x) - score(baseline) for paths, the score for relevance. Where it promises
    none, it is that from its own baseline, or from zeros. Where chance plays a part, sums are the mean of 8 maps with random
    numbers of their own, and 4 standard errors of it are allowed besides. A path that fails is asked once more with 4 times the
    steps: where these bring it nearer, the sentence says so, and the method as it was given fails all the same.
    """
    runs = [ask.own, *(ask.maps(keys=ask.afresh(number)) for number in range(1, REPEATS) if ask.random)]
    sums = [_sums(ask, run, ask.all) for run in runs]
    gaps = torch.stack([one.total - one.change for one in sums])
    change = torch.stack([one.change for one in sums]).mean(0)
    total = torch.stack([one.total for one in sums]).mean(0)
    size = ask.own.maps.double().abs().flatten(1).sum(1)
    allowed = tolerance * torch.maximum(change.abs(), ROUNDING * size)
    if len(runs) > 1:
        allowed = allowed + STDERRS * gaps.std(0) / len(runs) ** 0.5
    if not bool(gaps.isfinite().all()):
        raise NotAsked("a map or a score holds NaN or infinity")
    promised = _promised(ask)
    start = _start(ask)
    found = []
    for row in range(len(ask)):
        error = float(gaps.mean(0)[row].abs())
        said = (
            f"the map of row {row} sums to {number(float(total[row]))}, {promised} is {number(float(change[row]))}: "
            f"they differ by {number(error)}, {number(float(allowed[row]))} is allowed"
        )
        example = Counterexample(
            row,
            None,
            ("f(x)",) if start is None else ("f(x)", "f(baseline)"),
            (ask.x[row],) if start is None else (ask.x[row], start[row]),
            (ask.own.maps[row], ask.own.maps[row]),
            (float(total[row]), float(change[row])),
            said,
        )
        found.append(Finding(error, float(allowed[row]), example))
    asked = f"the sum against {promised}" + (f", the mean of {len(runs)} maps" if len(runs) > 1 else "")
    finding = worst(found)
    if not finding.holds and len(runs) == 1:
        example = finding.example
        more = replace(example, sentence=example.sentence + _with_more_steps(ask, example.row, finding.error))
        finding = finding._replace(example=more)
    return verdict(NAME, finding, asked)


def _with_more_steps(ask: Question, row: int, error: float) -> str:
    """What is to be said of a row's error where the steps of a path are to blame for it, else ""."""
    finer = _finer(ask.method)
    if finer is ask.method:
        return ""
    rows = torch.tensor([row])
    try:
        again = replace(ask, method=finer)
        found = _sums(again, again.maps(rows=rows), rows)
    except FAULTS:
        return ""
    left = float((found.total - found.change).abs())
    if not left <= NEARER * error:
        return ""
    return f"; with {FINER} times the steps they differ by {number(left)}: more steps bring it nearer"


def _finer(piece: Any) -> Any:
    """The same with 4 times the steps on each path; itself where there is none, or one that takes as many as it needs."""
    if isinstance(piece, Refined):
        return piece
    if isinstance(piece, StraightPath | BlurPath | GuidedPath):
        odd = int(isinstance(piece, StraightPath) and piece.quadrature == "simpson")
        return replace(piece, steps=FINER * piece.steps + odd)
    held = {field.name: value for field, value in fields_of(piece) if isinstance(value, Value)}
    changed = {name: _finer(value) for name, value in held.items()}
    return replace(piece, **changed) if any(changed[name] is not held[name] for name in held) else piece


def _sums(ask: Question, run: Attribution, rows: Tensor) -> Sums:
    """Of maps of `rows` of the question."""
    total = run.maps.double().flatten(1).sum(1)
    if run.completeness is not None:
        return Sums(total, run.completeness.change.double())
    x = ask.x[rows]
    there = ask.scores(ask.starts(x, rows), rows)
    return Sums(total, ask.scores(x, rows) - there)


def _start(ask: Question) -> Tensor | None:
    """The baselines (N, *S) that the change is one from; None where relevance is held against the score alone, and where a path
    starts from no single baseline."""
    if ask.method.absorbs and ask.own.completeness is not None:
        return None
    try:
        return ask.starts(ask.x, ask.all)
    except NotAsked:
        if ask.own.completeness is None:
            raise
        return None


def _promised(ask: Question) -> str:
    if ask.own.completeness is not None:
        return "the score that relevance starts from" if ask.method.absorbs else "the change of score that it promises"
    return f"the change of score from {ask.start} to the input"
