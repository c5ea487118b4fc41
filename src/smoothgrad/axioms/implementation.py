"""Implementation invariance: networks that compute the same have the same maps (Sundararajan et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from smoothgrad.axioms.compared import Finding, Pair, chance, largest, number, spot_in_words, verdict, worst
from smoothgrad.axioms.networks import OtherReLU, Respelled, Scaled, SplitInput, SplitOutput, answer
from smoothgrad.axioms.question import FAULTS, NotAsked, Question, spread
from smoothgrad.axioms.verdict import Verdict
from smoothgrad.checks import refusals
from smoothgrad.core.ask import outputs, views
from smoothgrad.errors import SmoothGradError
from smoothgrad.models.prepare import Prepared, prepare

NAME = "implementation invariance"
TOLERANCE = 1e-2  # of the map's largest value: rounding may push a value over a ReLU's kink
SAME = 1e-3  # of the largest output: the networks must compute the same


class Twin(NamedTuple):
    """A network that computes what f does, in another way."""

    formula: str
    net: nn.Module


def implementation(ask: Question, tolerance: float) -> Verdict:
    """map of g = map of f,  for networks g that compute what f does.

    They are: the input or the output written as a difference of ReLUs; the input multiplied and divided by the same number; every
    ReLU written as z [z > 0]; and a copy with batch norms folded. Random numbers are the same. What is inside f stays as it is in
    most of them: a method that reads a layer there may depend on the implementation all the same.
    """
    findings: list[Finding] = []
    asked: list[str] = []
    left: list[str] = []
    for twin in _twins(ask):
        try:
            findings.append(_compared(ask, twin, tolerance))
            asked.append(twin.formula)
        except FAULTS as error:
            left.append(f"{twin.formula} ({str(error).splitlines()[0]})")
    if not findings:
        raise NotAsked(f"the method can be asked of none of the equal networks: {'; '.join(left)}")
    said = f"asked of {'; '.join(asked)}" + (f"; not of {'; '.join(left)}" if left else "")
    return verdict(NAME, worst(findings), said)


def _compared(ask: Question, twin: Twin, tolerance: float) -> Finding:
    query = ask.query(ask.x, ask.all)
    with refusals(twin.net, (query.x,)):
        after = outputs(twin.net, query, ask.schedule).cpu()
    before = ask.output
    finite = before.isfinite()
    if bool(((before - after).abs() > SAME * before[finite].abs().max().clamp_min(1e-30))[finite].any()):
        raise NotAsked("it does not compute the same to rounding")
    first, second = ask.own, ask.maps(twin.net)
    one, other = first.maps.double(), second.maps.double()
    pair = Pair(one, other, tolerance * largest(one, other) + chance(first, second))

    def say(row: int, place: tuple[int, ...]) -> str:
        values = (number(float(part[(row, *place)])) for part in (one, other))
        return (
            f"row {row}, {spot_in_words(place)}: {next(values)} in the map of f, {next(values)} in that of g = {twin.formula}, "
            "which computes the same"
        )

    return pair.finding(("f(x)", twin.formula), (ask.x, ask.x), say)


def _twins(ask: Question) -> Iterator[Twin]:
    low, high = float(ask.x.min()), float(ask.x.max())
    yield Twin(SplitInput.formula, SplitInput(ask.model, -spread(low, high, 0.382)))
    finite = ask.output[ask.output.isfinite()]
    # All outputs come out of the second ReLU: a rule for ReLUs that sees signs meets a minus there.
    top = float(finite.max()) + 0.3 * max(1.0, float(finite.max() - finite.min()))
    yield Twin(SplitOutput.formula, SplitOutput(ask.model, -top))
    yield Twin(Scaled.formula, Scaled(ask.model, float(ask.x.double().square().mean()) or 1.0, int(ask.ranked[0])))
    if _has_relu(ask):
        yield Twin(Respelled.formula, Respelled(ask.model))
    folded = _folded(ask)
    if folded is not None:
        yield folded


def _has_relu(ask: Question) -> bool:
    query = ask.query(ask.x[:1], ask.all[:1])
    with torch.no_grad(), OtherReLU() as mode:
        answer(ask.model(query.x.clone(), *query.context))
    return bool(mode.replaced)


def _folded(ask: Question) -> Twin | None:
    """The network with its batch norms folded, or without, whichever the maps were not made of; None where there are none."""
    if _folds(ask.model):
        return Twin("f with its batch norms as they were, before they were folded", ask.given)
    try:
        query = ask.query(ask.x[:1], ask.all[:1])
        copy = prepare(ask.given, query.x, context=query.context, at=ask.method.layers or None)
    except SmoothGradError:
        return None
    return Twin("f with its batch norms folded", copy) if _folds(copy) else None


def _folds(net: nn.Module) -> bool:
    copy = next((view for view in views(net) if isinstance(view, Prepared)), None)
    return copy is not None and copy.preparation.folded > 0
