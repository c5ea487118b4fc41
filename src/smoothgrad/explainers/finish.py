"""Last steps on a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from smoothgrad.core.explainer import Finish, times_input
from smoothgrad.core.query import Query


@final
@dataclass(frozen=True, repr=False)
class TimesInput(Finish):
    """x * map: a contribution in units of the score (Shrikumar et al. 2016). What is zero in the input vanishes from it."""

    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        return maps * query.x

    def unit(self, unit: str) -> str:
        return times_input(unit)

    def error(self, stderr: Tensor, query: Query) -> Tensor:
        return stderr * query.x.abs()


@final
@dataclass(frozen=True, repr=False)
class Absolute(Finish):
    """|map|, never negative. Of the mean: |E v|, which is not E|v|."""

    unsigned = True

    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        return maps.abs()

    def error(self, stderr: Tensor, query: Query) -> Tensor:
        return stderr


@final
@dataclass(frozen=True, repr=False)
class Positive(Finish):
    """max(map, 0): what speaks for the target."""

    unsigned = True

    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        return maps.clamp_min(0)

    def error(self, stderr: Tensor, query: Query) -> Tensor:
        return stderr
