"""Integrated Gradients with as many steps as completeness takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar, final

import torch
from torch import Tensor, nn

from smoothgrad.core.explainer import Explainer, Over, Partial, place
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.samplers.path import StraightPath

T = TypeVar("T")


@final
@dataclass(frozen=True, repr=False)
class Refined(Explainer):
    """The path integral with steps, 2 steps, 4 steps, ... `most` per row, until it is complete to within `tolerance`:

        | sum(map) - (score(x) - score(b)) |  <=  tolerance * | score(x) - score(b) |

    Sundararajan et al. 2017 aim at 5 %. Rows that are complete leave the batch. One that is not when `most` is reached keeps its
    last map, and the result's completeness says so.
    """

    path: StraightPath = StraightPath(steps=16)  # noqa: RUF009
    tolerance: float = 0.05
    most: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tolerance < math.inf:
            raise BadMethod(f"integrated gradients need a finite tolerance > 0, got {self.tolerance}")
        if self.most < self.path.steps:
            raise BadMethod(f"most={self.most} is fewer than the first {self.path.steps} steps")

    @property
    def levels(self) -> list[Over]:
        """The same path with more and more steps."""
        steps, levels = self.path.steps, []
        while steps <= self.most:
            levels.append(Over(Gradient(), replace(self.path, steps=steps)))
            # Simpson's number of steps is odd: its intervals are doubled, 2 (steps - 1) + 1
            steps = 2 * steps - 1 if self.path.quadrature == "simpson" else 2 * steps
        return levels

    @property
    def unit(self) -> str:
        return self.levels[0].unit

    @property
    def passes(self) -> int:
        return self.path.passes + sum(level.sampler.most() for level in self.levels)

    def cost(self, draws: Tensor) -> Tensor:
        """Of a map of so many draws: those of all coarser levels too."""
        counts = [level.sampler.most() for level in self.levels]
        return self.path.passes + torch.stack([count * (draws >= count) for count in counts]).sum(0)

    def check(self, query: Query) -> None:
        self.path.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return self.path.prepare(model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        query = self.prepare(model, query, schedule)
        change = self.change(model, query, schedule)
        rows = torch.arange(len(query), device=query.x.device)
        settled: Estimate | None = None
        spent = self.path.passes
        for level in self.levels:
            now = level.estimate(model, query.rows(rows), schedule)
            spent += level.sampler.most()
            settled = place(now, settled, rows)
            gap = (settled.value.flatten(1).sum(1) - change).abs()
            converged = gap <= self.tolerance * change.abs()
            yield Partial(spent, self.passes, _reader(settled), _reader(converged))
            rows = (~converged).nonzero().flatten()
            if not len(rows):
                return

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return self.path.change(model, query, schedule)


def _reader(known: T) -> Callable[[], T]:
    return lambda: known
