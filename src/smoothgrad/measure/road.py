"""Faithfulness by removal: whether the class survives when what goes is filled in from around it (ROAD).

A place that is simply blackened shows where it was: a network may read the class off the shape of the hole, and the measure would
judge that shape. Filled in from its neighbours, with a little noise, a hole says next to nothing (Rong et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.measure.asking import is_predicted
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.curves import (
    GONE,
    Window,
    check_removal,
    check_steps,
    counts,
    least_first,
    most_first,
    unpredicted,
    without,
)
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.imputed import Imputed
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, ranks, unranked
from smoothgrad.measure.removal import Removal

STEPS = 10  # at 10 % ... 90 % gone
FILLED = Imputed(noise=0.01)  # the noise of Rong et al. 2022


class Filled(Measure):
    """What the orders of ROAD share: how many steps, and what fills the holes."""

    steps: int
    removal: Removal

    unit = "accuracy"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps, least=2)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)


@final
@dataclass(frozen=True, repr=False)
class Road(Filled):
    """ROAD, both orders: how much more often the class survives the loss of the least relevant places than of the most relevant.

        mean_s [right(x without its bottom share s) - right(x without its top share s)]

    right is 1 where the class that is explained has the highest score, else 0; s goes over k / steps, k = 1 ... steps - 1, to the
    nearest place; what is gone is filled in from its neighbours with noise. From -1 to 1; higher is better; a random map has 0 in
    expectation. NaN for a constant map, where the class is not predicted for the whole row or the output holds NaN, and for rows of
    a single place. The curve is the difference over s. Rong et al. 2022; their two curves are `RoadMostFirst` and `RoadLeastFirst`.

    Raises `BadMethod` for steps < 2, `BadInput` where no class is explained.

    >>> Road(steps=5).better
    'higher'
    """

    steps: int = STEPS
    removal: Removal = FILLED

    def judge(self, case: Case) -> Judged:
        total, gone = _gone(case, self.steps)
        said = _asked(case, self.removal, [*least_first(gone, total), *most_first(gone)])
        y = said.right[:, : len(gone)] - said.right[:, len(gone) :]
        return _mean(gone, total, y, said, "accuracy, least relevant first - most relevant first")


@final
@dataclass(frozen=True, repr=False)
class RoadMostFirst(Filled):
    """ROAD, most relevant first: how often the class survives the loss of the most relevant places.

        mean_s right(x without its top share s)

    As in `Road`; of many rows the mean is the accuracy. From 0 to 1; lower is better. The curve is 0 or 1 over s. Rong et al. 2022.

    >>> RoadMostFirst().better
    'lower'
    """

    steps: int = STEPS
    removal: Removal = FILLED

    better = "lower"

    def judge(self, case: Case) -> Judged:
        total, gone = _gone(case, self.steps)
        said = _asked(case, self.removal, most_first(gone))
        return _mean(gone, total, said.right, said, "accuracy")


@final
@dataclass(frozen=True, repr=False)
class RoadLeastFirst(Filled):
    """ROAD, least relevant first: how often the class survives the loss of the least relevant places.

        mean_s right(x without its bottom share s)

    As in `Road`; of many rows the mean is the accuracy. From 0 to 1; higher is better. The curve is 0 or 1 over s. Rong et al.
    2022.

    >>> RoadLeastFirst().better
    'higher'
    """

    steps: int = STEPS
    removal: Removal = FILLED

    def judge(self, case: Case) -> Judged:
        total, gone = _gone(case, self.steps)
        said = _asked(case, self.removal, least_first(gone, total))
        return _mean(gone, total, said.right, said, "accuracy")


class _Said(NamedTuple):
    right: Tensor  # (N, windows) 1 where the class is predicted, else 0
    reasons: tuple[str, ...]


def _gone(case: Case, steps: int) -> tuple[int, list[int]]:
    """How many places rows have, and how many of them are gone at each step: never none, never all."""
    total = at_places(case.maps[:1], case.query).shape[1]
    return total, [number for number in counts(total, steps) if 0 < number < total]


def _asked(case: Case, removal: Removal, windows: Sequence[Window]) -> _Said:
    values = at_places(case.maps, case.query)
    right = without(case, removal, ranks(values, case.query), [(0, 0), *windows], is_predicted)  # the whole row first
    return _Said(right[:, 1:], first_reason(unranked(values), unpredicted(right)))


def _mean(gone: Sequence[int], total: int, y: Tensor, said: _Said, label: str) -> Judged:
    x = torch.tensor(gone, dtype=torch.float64, device="cpu") / total
    return judged(y.mean(1), said.reasons, curve=Curve(x, y, GONE, label))


ROWS: tuple[Entry, ...] = (
    Entry(Road, "mean_s [right(x without its bottom share s) - right(x without its top share s)]", ("rong2022",)),
    Entry(RoadMostFirst, "mean_s right(x without its top share s)", ("rong2022",)),
    Entry(RoadLeastFirst, "mean_s right(x without its bottom share s)", ("rong2022",)),
)
