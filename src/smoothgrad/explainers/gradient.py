"""The gradient, plain or under a backward rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from smoothgrad.core.ask import gradients
from smoothgrad.core.explainer import PER_INPUT, Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.rules.rule import Plain, Rule


@final
@dataclass(frozen=True, repr=False)
class Gradient(Explainer):
    """d score / d x (Simonyan et al. 2013), under a backward rule: `Plain()`, `Guided()`, `Deconv()`, `Rectified()`.

    Map (N, *S), signed, in units of score per unit of input.
    """

    rule: Rule = Plain()  # noqa: RUF009

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return PER_INPUT

    @property
    def is_gradient(self) -> bool:
        return self.rule == Plain()

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        if self.rule.row_by_row:
            schedule = schedule.one_by_one()
        with self.rule.active(model) as watch:
            maps = gradients(model, query, schedule, watch)
        draws = torch.ones(len(query), dtype=torch.int64, device=maps.device)
        yield Partial(1, 1, lambda: Estimate(maps, None, draws))
