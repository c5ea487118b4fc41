"""Last steps on a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from smoothgrad.core.explainer import Finish, times_input
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.scale_space import blur


@final
@dataclass(frozen=True, repr=False)
class TimesInput(Finish):
    """x * map: a contribution in units of the score (Shrikumar et al. 2016). What is zero in the input vanishes from it."""

    reads_input = True

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


@final
@dataclass(frozen=True, repr=False)
class Centred(Finish):
    """The map less its mean over the row: for maps whose level means nothing, such as that of RISE.

    Its standard error is not known: what all values have in common, which is most of it there, goes with the mean.
    """

    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        return maps - maps.flatten(1).mean(1).view(-1, *[1] * (maps.ndim - 1))


@final
@dataclass(frozen=True, repr=False)
class Smoothed(Finish):
    """The map under a Gaussian blur of `width` pixels (its standard deviation), each channel for itself.

    Shows where, rather than which pixel: the gradient's pattern from pixel to pixel goes. Sums are kept but for what would leave
    at the border, which is reflected. For maps (N, C, *pixels) with one to three dimensions of pixels.
    """

    width: float = 2.0
    reads_input = True  # pixels, not the places of a coarse map
    keeps_sign = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width < math.inf:
            raise BadMethod(f"Smoothed needs a finite width > 0, got {self.width}")

    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        if not 3 <= maps.ndim <= 5:
            raise BadMethod(f"{self!r} needs maps (N, C, pixels), got shape {tuple(maps.shape)}; leave it out")
        return blur(maps, self.width).rows
