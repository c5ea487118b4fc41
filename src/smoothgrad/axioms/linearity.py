"""Linearity: the map of a sum of two scores is the sum of their maps (Sundararajan et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.axioms.compared import Pair, chance, largest, number, spot_in_words, verdict
from smoothgrad.axioms.question import Fixed, Question
from smoothgrad.axioms.verdict import Verdict
from smoothgrad.core.query import pick
from smoothgrad.core.value import Data
from smoothgrad.targets import Target

NAME = "linearity"
TOLERANCE = 1e-3  # of the largest value of the two maps
A, B = 0.7, -1.3  # of both signs: a rule that clamps what arrives from above is not to go unseen


@final
@dataclass(frozen=True, repr=False)
class Mixed(Target):
    """a s1 + b s2,  the scores of two classes: index (N, 2)."""

    index: Data

    def resolve(self, output: Tensor) -> Tensor:
        return self.index.tensor.to(output.device)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return A * pick(output, index[:, 0]) + B * pick(output, index[:, 1])


@final
@dataclass(frozen=True, repr=False)
class Squared(Target):
    """s^2 or a s + b s^2,  where there is one score s and no second class."""

    inner: Target
    index: Data
    a: float = 0.0
    b: float = 1.0

    def resolve(self, output: Tensor) -> Tensor:
        return self.index.tensor.to(output.device)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        s = self.inner.score(output, index)
        return self.a * s + self.b * s * s


def linearity(ask: Question, tolerance: float) -> Verdict:
    """map of (a s1 + b s2) = a map of s1 + b map of s2,  a = 0.7, b = -1.3, from the same random numbers.

    s1 is the score that is explained, s2 that of the best other class; of a score that is no class's, its square.
    """
    if _is_class(ask):
        others = ask.output.scatter(1, ask.index[:, None], -torch.inf).argmax(1)
        second = ask.maps(target=Fixed(ask.target, Data(others)))
        both = ask.maps(target=Mixed(Data(torch.stack([ask.index, others], 1))))
        name = "the score of the best other class"
    else:
        second = ask.maps(target=Squared(ask.target, Data(ask.index)))
        both = ask.maps(target=Squared(ask.target, Data(ask.index), A, B))
        name = "the square of the score"
    one, other, found = (part.maps.double() for part in (ask.own, second, both))
    expected = A * one + B * other
    allowed = tolerance * largest(A * one, B * other, found) + chance(both, ask.own, second)

    def say(row: int, place: tuple[int, ...]) -> str:
        s1, s2, sum_, own = (number(float(part[(row, *place)])) for part in (one, other, expected, found))
        return (
            f"row {row}, {spot_in_words(place)}: the map of {A} s1 {B:+} s2 is {own} there, and {A} times {s1} {B:+} times {s2} is "
            f"{sum_}; s1 is the score that is explained, s2 {name}"
        )

    pair = Pair(found, expected, allowed)
    return verdict(NAME, pair.finding((f"{A} s1 {B:+} s2", "s1 and s2"), (ask.x, ask.x), say), f"asked with {name}")


def _is_class(ask: Question) -> bool:
    """Is the score that of a class, with others beside it?"""
    if ask.target.kind != "score" or ask.output.ndim != 2 or ask.output.shape[1] < 2:
        return False
    return ask.index.ndim == 1 and bool((ask.index >= 0).all())
