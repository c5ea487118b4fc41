"""Faithfulness by removal: how the probability of the class changes as places go or come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.measure.asking import probability
from smoothgrad.measure.case import Case, Curve, Judged, judged
from smoothgrad.measure.curves import GONE, Window, check_removal, check_steps, counts, least_first, most_first, without
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, ranks, unranked
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.samplers.baseline import Blurred

# 33 points; Petsiuk et al. 2018 take one for each line of pixels of a picture, 224.
STEPS = 32


@final
@dataclass(frozen=True, repr=False)
class Deletion(Measure):
    """The area under the probability of the class while places go, the most relevant first.

        ∫₀¹ p(x without its top share s) ds

    p is the softmax probability of the class that is explained. By the trapezoid rule, over `steps` equal shares from 0 to 1, of
    whole places. From 0 to 1; lower is better: what the map points at was needed. NaN for a constant map. The curve is p over s.
    Petsiuk et al. 2018.

    Raises `BadMethod` for steps < 1, `BadInput` where no class is explained.

    >>> Deletion().better
    'lower'
    """

    steps: int = STEPS
    removal: Removal = Replaced()  # noqa: RUF009

    better = "lower"
    unit = "probability"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        gone = counts(total, self.steps)
        y = _probabilities(case, values, self.removal, most_first(gone))
        x = _shares(gone, total)
        return judged(torch.trapezoid(y.cpu(), x), unranked(values), curve=Curve(x, y, GONE, "probability"))


@final
@dataclass(frozen=True, repr=False)
class Insertion(Measure):
    """The area under the probability of the class while places come, the most relevant first.

        ∫₀¹ p(x with only its top share s) ds

    p is the softmax probability of the class that is explained; what has not come yet is blurred. By the trapezoid rule, over
    `steps` equal shares from 0 to 1, of whole places. From 0 to 1; higher is better: what the map points at suffices. NaN for a
    constant map. The curve is p over s. Petsiuk et al. 2018, who blur less: by 11 x 11 pixels with sigma 5. With sigma 10 little is
    left of what is to come, on pictures of 224 pixels too, so that less of p is there from the start; of an object that fills the
    picture some may still be seen. `Replaced(Blurred(5))` is nearer to theirs, and scores under the two do not compare.

    Raises `BadMethod` for steps < 1 and for rows that cannot be blurred: give them removal=Replaced(Zero()). Raises `BadInput`
    where no class is explained.

    >>> Insertion(steps=4)
    Insertion(steps=4, removal=Replaced(baseline=Blurred(sigma=10.0)))
    """

    steps: int = STEPS
    # Wide enough that what has not come yet is hidden at 224 pixels too; sigma 5, that of the paper, leaves more to be seen.
    removal: Removal = Replaced(Blurred(10.0))  # noqa: RUF009

    unit = "probability"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        come = counts(total, self.steps)
        # What has come are the most relevant: what is still gone are the least relevant, fewer and fewer.
        y = _probabilities(case, values, self.removal, least_first([total - number for number in come], total))
        x = _shares(come, total)
        curve = Curve(x, y, "share of places that came", "probability")
        return judged(torch.trapezoid(y.cpu(), x), unranked(values), curve=curve)


@final
@dataclass(frozen=True, repr=False)
class Srg(Measure):
    """The area between two curves of the probability: with the least relevant places gone first, and with the most relevant.

        ∫₀¹ [p(x without its bottom share s) - p(x without its top share s)] ds

    Symmetric relevance gain. p is the softmax probability of the class that is explained; as in `Deletion`. What all removals do to
    the network, whatever goes, cancels: a random map has 0 in expectation. From -1 to 1; higher is better. NaN for a constant map.
    The curve is the difference over s. Blücher et al. 2024.

    Raises `BadMethod` for steps < 2, `BadInput` where no class is explained.

    >>> Srg().better
    'higher'
    """

    steps: int = STEPS
    removal: Removal = Replaced()  # noqa: RUF009

    unit = "probability"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps, least=2)  # at the two ends, both curves are the same

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        gone = counts(total, self.steps)
        both = _probabilities(case, values, self.removal, [*least_first(gone, total), *most_first(gone)])
        y = both[:, : len(gone)] - both[:, len(gone) :]
        x = _shares(gone, total)
        curve = Curve(x, y, GONE, "probability, least relevant first - most relevant first")
        return judged(torch.trapezoid(y.cpu(), x), unranked(values), curve=curve)


def _probabilities(case: Case, values: Tensor, removal: Removal, windows: Sequence[Window]) -> Tensor:
    """The probability of the class with the places gone whose rank by values (N, P) is in each window: (N, len(windows))."""
    return without(case, removal, ranks(values, case.query), windows, probability)


def _shares(numbers: Sequence[int], total: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device="cpu") / total


ROWS: tuple[Entry, ...] = (
    Entry(Deletion, "∫₀¹ p(x without its top share s) ds", ("petsiuk2018",)),
    Entry(Insertion, "∫₀¹ p(x with only its top share s) ds", ("petsiuk2018",)),
    Entry(Srg, "∫₀¹ [p(x without its bottom share s) - p(x without its top share s)] ds", ("bluecher2024",)),
)
