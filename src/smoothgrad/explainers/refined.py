"""Integrated Gradients with as many steps as completeness takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar, final

import torch
from torch import Tensor, nn

from smoothgrad.core.explainer import Explainer, Over, Partial, place
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.samplers.path import StraightPath
from smoothgrad.samplers.quadrature import NESTING, Quadrature, doubled, intervals

T = TypeVar("T")
Ask: TypeAlias = Callable[[Quadrature, int], Tensor]  # a rule and its steps -> maps of the rows at work


@final
@dataclass(frozen=True, repr=False)
class Refined(Explainer):
    """The path integral with ever more steps, up to `most`, per row, until it is complete to within `tolerance`:

        | sum(map) - (score(x) - score(b)) |  <=  tolerance * | score(x) - score(b) |

    Sundararajan et al. 2017 aim at 5 %. The number of intervals doubles from look to look; trapezoid, left, right and Simpson keep
    what they have and ask only between, the other rules begin anew. Rows that are complete leave the batch. One that is not when
    `most` is reached keeps its last map, and the result's completeness says so.
    """

    path: StraightPath = StraightPath(steps=17, quadrature="trapezoid")  # noqa: RUF009
    tolerance: float = 0.05
    most: int = 513  # steps: 512 intervals

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tolerance < math.inf:
            raise BadMethod(f"integrated gradients need a finite tolerance > 0, got {self.tolerance}")
        if self.most < self.path.steps:
            raise BadMethod(f"most={self.most} is fewer than the first {self.path.steps} steps")

    @property
    def looks(self) -> list[int]:
        """The numbers of steps at which completeness is looked at."""
        steps, looks = self.path.steps, []
        while steps <= self.most:
            looks.append(steps)
            steps = doubled(self.path.quadrature, steps)
        return looks

    @property
    def unit(self) -> str:
        return Over(Gradient(), self.path).unit

    @property
    def passes(self) -> int:
        return int(self.cost(torch.tensor([self.looks[-1] * self.path.baseline.each], device="cpu")))

    def cost(self, draws: Tensor) -> Tensor:
        """Of a map of so many draws: those draws where the rule nests, else those of all coarser looks too."""
        if self.path.quadrature in NESTING:
            return self.path.passes + draws
        counts = [look * self.path.baseline.each for look in self.looks]
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
        sums: list[Tensor] = []
        for look in self.looks:
            sums = self._sums(look, sums, self._asker(model, query.rows(rows), schedule))
            draws = count(sums[0], look * self.path.baseline.each)
            settled = place(Estimate(self._integral(sums), None, draws), settled, rows)
            gap = (settled.value.flatten(1).sum(1) - change).abs()
            converged = gap <= self.tolerance * change.abs()
            yield Partial(int(self.cost(draws)[0]), self.passes, _reader(settled), _reader(converged))
            going = ~converged[rows]
            rows, sums = rows[going], [part[going] for part in sums]
            if not len(rows):
                return

    def _asker(self, model: nn.Module, query: Query, schedule: Schedule) -> Ask:
        def ask(quadrature: Quadrature, steps: int) -> Tensor:
            path = replace(self.path, quadrature=quadrature, steps=steps)
            return Over(Gradient(), path).estimate(model, query, schedule).value

        return ask

    def _sums(self, steps: int, before: list[Tensor], ask: Ask) -> list[Tensor]:
        """The kept rule's sum at so many steps, and where it was refined the one before it."""
        quadrature = self.path.quadrature
        if quadrature not in NESTING:
            return [ask(quadrature, steps)]
        kept, half = NESTING[quadrature], intervals(quadrature, steps) // 2
        if not before and quadrature != "simpson":
            return [ask(kept, steps)]
        coarse = before[0] if before else ask(kept, half + 1)  # Simpson's first look refines once by itself
        return [(coarse + ask("midpoint", half)) / 2, coarse]

    def _integral(self, sums: list[Tensor]) -> Tensor:
        return (4 * sums[0] - sums[1]) / 3 if self.path.quadrature == "simpson" else sums[0]

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return self.path.change(model, query, schedule)


def _reader(known: T) -> Callable[[], T]:
    return lambda: known
