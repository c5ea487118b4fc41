"""A root of the score: where it is zero on the straight way from the input to another baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import scores
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.baseline import Baseline, Zero


@final
@dataclass(frozen=True, repr=False)
class Crossing(Baseline):
    """Where the score crosses zero on the straight way from the input to another baseline: a root near the input, for Taylor terms.

    The way is halved `halvings` times around a crossing, and the end that is on the input's side is taken, where the score still
    has the sign that it has at the input. Where the score never changes its sign, this is next to the baseline itself: of a network
    without biases, whose score is zero at zero and nowhere before, it is a small multiple of the input.
    """

    baseline: Baseline = Zero()  # noqa: RUF009
    halvings: int = 16  # to within 1 / 65536 of the way

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.halvings <= 50:
            raise BadMethod(f"Crossing needs halvings from 1 to 50, got {self.halvings}")

    @property
    def random(self) -> bool:  # type: ignore[override]
        return self.baseline.random

    @property
    def each(self) -> int:
        return self.baseline.each

    @property
    def passes(self) -> int:
        return self.baseline.passes + 1 + self.halvings * self.each

    def check(self, query: Query) -> None:
        self.baseline.check(query)

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        ends = self.baseline.of(model, query, schedule)
        sign = scores(model, query, schedule).sign()
        found = [self._between(model, query, schedule, end, sign) for end in ends.unbind(1)]
        return torch.stack(found, 1)

    def _between(self, model: nn.Module, query: Query, schedule: Schedule, end: Tensor, sign: Tensor) -> Tensor:
        """The crossing on the way to one end (N, *S), for scores of this sign at the input."""

        def point(
            left: Tensor,
        ) -> Tensor:  # so much of the way from the end to the input, (N,); exact near an end at zero
            return end + left.view(-1, *[1] * len(query.shape)) * (query.x - end)

        near, far = query.x.new_ones(len(query)), query.x.new_zeros(len(query))
        for _ in range(self.halvings):
            middle = (near + far) / 2
            same = scores(model, query.with_x(point(middle)), schedule).sign() == sign
            near, far = torch.where(same, middle, near), torch.where(same, far, middle)
        return point(near)
