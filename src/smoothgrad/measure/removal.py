"""What stands in for what is taken away: one field that all measures of removal have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod
from smoothgrad.measure.places import over_channels
from smoothgrad.samplers.baseline import Baseline, Zero

# What is gone (k, N, P), bool, for each of k steps with their numbers -> rows without it (k, N, *S).
Remove: TypeAlias = Callable[[Tensor, range], Tensor]


class Removal(Value, ABC):
    """A way to take places out of rows."""

    def check(self, query: Query) -> None:
        """Raise where nothing can be removed from such rows so."""

    @abstractmethod
    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Remove:
        """What removes places from the query's rows."""


@final
@dataclass(frozen=True, repr=False)
class Replaced(Removal):
    """By what a baseline shows there: a constant, the mean colour, the blurred picture, noise, your own.

        x' = x where kept, b where gone

    `Replaced(Blurred(10))` is a blurred picture, `Replaced(ChannelMean())` the mean colour, `Replaced(Noise())` noise,
    `Replaced(Black())` the darkest value of the picture. The blur of Petsiuk et al. 2018 is milder: a kernel of 11 x 11 pixels with
    sigma 5, nearest to it `Replaced(Blurred(5))`, which is not cut off at 11 pixels.
    """

    baseline: Baseline = Zero()  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline.each != 1:
            raise BadMethod(f"Replaced takes one baseline for each row, {self.baseline!r} gives {self.baseline.each}")

    def check(self, query: Query) -> None:
        self.baseline.check(query)

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Remove:
        instead = self.baseline.of(model, query, schedule)[:, 0]

        def remove(gone: Tensor, _steps: range) -> Tensor:
            return instead.where(over_channels(gone, query), query.x)

        return remove
