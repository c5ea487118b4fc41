"""Maps that know nothing of the network: what a method must beat before its maps are believed.

They ask the network nothing (no passes), and give the same map for every class and every network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.noise import normal, salted
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput


@final
@dataclass(frozen=True, repr=False)
class RandomMap(Explainer):
    """Standard normal numbers, by the row's key: what chance looks like. The same row has the same map in any batch."""

    random = True

    @property
    def passes(self) -> int:
        return 0

    @property
    def unit(self) -> str:
        return "numbers of chance"

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        numbers = normal(salted(query.key, "control"), range(1), query.shape, query.x.device)[0]
        yield _finished(numbers.to(query.x))


@final
@dataclass(frozen=True, repr=False)
class Sobel(Explainer):
    """Where each channel of the input has edges:  sqrt(sum over axes (d x / d axis)^2),  d by the kernel of Sobel.

    The difference of the two neighbours along an axis, halved, weighted 1/4, 1/2, 1/4 across each other axis; at the border the
    last values go on. In the units of the input per pixel. Rows (C, H, W); of signals (C, T) the halved difference of the two
    neighbours alone, as an absolute value; volumes likewise. Features (D,) have no neighbours: `BadInput`.
    """

    @property
    def passes(self) -> int:
        return 0

    @property
    def unit(self) -> str:
        return "input per pixel"

    @property
    def unsigned(self) -> bool:
        return True

    def check(self, query: Query) -> None:
        if len(query.shape) < 2:
            rows = (
                f"{len(query.parts)} inputs packed into rows" if query.parts else f"rows of shape {tuple(query.shape)}"
            )
            raise BadInput(
                f"Sobel() looks for edges in rows (C, H, W) or (C, T), got {rows}; take RandomMap() or UniformMap()"
            )

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        yield _finished(edges(query.x))


@final
@dataclass(frozen=True, repr=False)
class UniformMap(Explainer):
    """1 everywhere: every value matters as much as any other."""

    @property
    def passes(self) -> int:
        return 0

    @property
    def unit(self) -> str:
        return "the same everywhere"

    @property
    def unsigned(self) -> bool:
        return True

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        yield _finished(torch.ones_like(query.x))


def edges(x: Tensor) -> Tensor:
    """The magnitude of the Sobel gradient of rows (N, C, *places), for each channel: of the same shape.

    >>> edges(torch.tensor([[[0.0, 0.0, 2.0, 2.0]]]))
    tensor([[[0., 1., 1., 0.]]])
    """
    axes = range(2, x.ndim)
    squares = torch.zeros_like(x)
    for axis in axes:
        slope = _weighted(x, axis, (-0.5, 0.0, 0.5))
        for other in axes:
            if other != axis:
                slope = _weighted(slope, other, (0.25, 0.5, 0.25))
        squares += slope.square()
    return squares.sqrt()


def _weighted(x: Tensor, axis: int, weights: tuple[float, float, float]) -> Tensor:
    """Of each value and its two neighbours along an axis the weighted sum; beyond the border the last value goes on."""
    lines = x.movedim(axis, -1)
    wide = F.pad(lines.flatten(0, -2)[None], (1, 1), mode="replicate")[0].view(*lines.shape[:-1], -1)
    size = lines.shape[-1]
    summed = sum(weight * wide[..., start : start + size] for start, weight in enumerate(weights))
    return torch.as_tensor(summed).movedim(-1, axis)


def _finished(maps: Tensor) -> Partial:
    maps = maps.detach()
    return Partial(0, 0, lambda: Estimate(maps, None, count(maps, 1)))
