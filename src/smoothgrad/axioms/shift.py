"""Input-shift invariance: a constant that is added to the input and taken off again changes no map (Kindermans et al. 2017)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from smoothgrad.axioms.compared import Finding, Pair, chance, largest, number, spot_in_words, verdict, worst
from smoothgrad.axioms.networks import BiasedConv, BiasedDense, Shifted, rebiased
from smoothgrad.axioms.question import FAULTS, NotAsked, Question
from smoothgrad.axioms.verdict import Verdict

NAME = "input-shift invariance"
TOLERANCE = 1e-2  # of the map's largest value: the sum may round otherwise, and push a value over a ReLU's kink


class Moved(NamedTuple):
    """Two networks, g(x) = f(x - c), and how g is written."""

    f: nn.Module
    g: nn.Module
    formula: str


def shift(ask: Question, tolerance: float) -> Verdict:
    """map of g at x + c = map of f at x,  g(x) = f(x - c), with a constant c for all values.

    It is about half the range of the rows, and taken off by itself; as the bias of a layer before f, dense or a convolution; and,
    where f begins with such a layer, by that layer's own bias. A baseline is not moved, being part of the method: zeros fail, as
    Kindermans et al. say; one that is found from the row, such as its smallest value, moves along.
    """
    c = _constant(float(ask.x.max() - ask.x.min()))
    findings: list[Finding] = []
    left: list[str] = []
    for pair in _pairs(ask, c):
        try:
            findings.append(_compared(ask, pair, c, tolerance))
        except FAULTS as error:
            left.append(f"{pair.formula} ({str(error).splitlines()[0]})")
    if not findings:
        raise NotAsked(f"the method can be asked of no network that takes a constant off: {'; '.join(left)}")
    said = f"c = {number(c)}" + (f"; not of {'; '.join(left)}" if left else "")
    return verdict(NAME, worst(findings), said)


def _pairs(ask: Question, c: float) -> list[Moved]:
    one = ask.x[:1].to(ask.device)
    around = (Shifted(ask.model, c), BiasedConv(ask.model, c, one), BiasedDense(ask.model, c, one))
    pairs = [Moved(ask.model, net, net.formula) for net in around]
    own = rebiased(ask.given, c, ask.x.to(ask.device), tuple(part.to(ask.device) for part in ask.context))
    if own is not None:
        # Both as they were given: a prepared copy may have lost its batch norms, which rules may treat otherwise.
        pairs.append(Moved(ask.given, own.net, f"f with c taken off by the bias of its own layer {own.layer!r}"))
    return pairs


def _compared(ask: Question, nets: Moved, c: float, tolerance: float) -> Finding:
    moved = ask.x + c
    seen = moved - c  # what f is asked about, which is x to rounding
    known = nets.f is ask.model and torch.equal(seen, ask.x)
    first = ask.own if known else ask.maps(nets.f, seen)
    second = ask.maps(nets.g, moved)
    one, other = first.maps.double(), second.maps.double()
    pair = Pair(one, other, tolerance * largest(one, other) + chance(first, second))

    def say(row: int, place: tuple[int, ...]) -> str:
        values = (number(float(part[(row, *place)])) for part in (one, other))
        return (
            f"row {row}, {spot_in_words(place)}: {next(values)} in the map of f at x, {next(values)} in that of {nets.formula} at "
            f"x + c, c = {number(c)}, though f sees the same"
        )

    return pair.finding(("f(x)", nets.formula), (ask.x, moved), say)


def _constant(range_: float) -> float:
    """A power of two, for the sake of rounding.

    >>> _constant(1.0), _constant(255.0)
    (0.5, 128.0)
    """
    return float(2.0 ** round(math.log2(range_ / 2))) if range_ > 0 else 1.0
