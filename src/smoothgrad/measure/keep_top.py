"""Faithfulness by removal: whether the class is still right when little is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from smoothgrad.measure.asking import is_predicted
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.curves import check_removal, check_shares, count, unpredicted, without
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, ranks, unranked
from smoothgrad.measure.removal import Removal, Replaced


@final
@dataclass(frozen=True, repr=False)
class KeepTop(Measure):
    """Keep-top-fraction accuracy: how often the class is still right when all but the most relevant places are hidden.

        mean over `shares` of [argmax f(x with only its top share) = the class]

    Of each row the share of `shares` at which the class that is explained has the highest score; over many rows the mean is the
    accuracy. From 0 to 1; higher is better: what the map points at suffices. NaN for a constant map, and where the class is not
    predicted for the whole row, so that it cannot be right still. The curve is 0 or 1 over the share that is kept, to the nearest
    place and at least one; NaN, too, where the output holds NaN. It is "keep" of keep-and-retrain (Hooker et al. 2019), without
    training again.

    Raises `BadMethod` for shares that do not lie between 0 and 1, `BadInput` where no class is explained.

    >>> KeepTop(shares=(0.1,))
    KeepTop(shares=(0.1,))
    """

    shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5)  # our choice: few places, where maps differ most
    removal: Removal = Replaced()  # noqa: RUF009

    unit = "accuracy"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, self.shares)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        kept = [max(1, count(total, share)) for share in sorted(self.shares)]
        windows = [(0, 0), *((number, total) for number in kept)]  # the whole row first
        right = without(case, self.removal, ranks(values, case.query), windows, is_predicted)
        reasons = first_reason(unranked(values), unpredicted(right))
        x = torch.tensor(sorted(self.shares), dtype=torch.float64, device="cpu")
        curve = Curve(x, right[:, 1:], "share of places kept", "accuracy")
        return judged(right[:, 1:].mean(1), reasons, curve=curve)


ROWS: tuple[Entry, ...] = (
    Entry(KeepTop, "mean over shares s of [argmax f(x with only its top share s) = class]", ("hooker2019",)),
)
