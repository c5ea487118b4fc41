"""The score itself, as what is asked at many points: nothing is differentiated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from smoothgrad.core.ask import scores
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import NonFinite


@final
@dataclass(frozen=True, repr=False)
class PointScore(Explainer):
    """s(x), the same for all pixels: a map (N, 1, 1, 1), or (N, D) for rows of D features.

    By itself it says nothing about where. Over masks, each of which is the direction of its answer, it is RISE (Petsiuk et al.
    2018):  E[s(m x) m] / p.
    """

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return "score"

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        found = finite_scores(model, query, schedule)
        maps = found.view(-1, *([1] * len(query.shape)))
        if len(query.shape) == 1:
            maps = maps.expand(query.x.shape)
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))


def finite_scores(model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
    """The score of each row (N,), without gradients, chunk by chunk. Raises `NonFinite`."""
    found = scores(model, query, schedule)
    broken = (~found.isfinite()).nonzero().flatten().tolist()
    if broken:
        raise NonFinite(
            f"the score of row {int(query.row[broken[0]])} is NaN or infinity where the row was disturbed; choose another "
            "baseline, or disturb it less"
        )
    return found
