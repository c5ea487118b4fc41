"""Complexity: how much of a map there is to look at.

All describe a map and do not judge it: one bright pixel anywhere is as simple as a map can be, and true only by luck. They read
what the map says of each place: v_i, the sum over channels. A map that is zero everywhere has no score: NaN, with the reason.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.measure.case import Case, Judged, judged
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, places_of

ZERO = "the map is zero everywhere"


class Complexity(Measure):
    """A number of the map's shape, whatever its scale."""

    better = "neither"

    @abstractmethod
    def shape_of(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        """Scores (N,) of values (N, P) whose absolute values sum to 1, at places of that shape."""

    @final
    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        largest = values.abs().amax(1, keepdim=True)
        values = values / largest.where(largest > 0, 1.0)  # first, so that sums and squares neither vanish nor overflow
        total = values.abs().sum(1, keepdim=True)
        score = self.shape_of(values / total.where(total > 0, 1.0), places_of(case.query).shape)
        return judged(score, [ZERO if zero else "" for zero in (largest[:, 0] == 0).tolist()])


@final
@dataclass(frozen=True, repr=False)
class Entropy(Complexity):
    """How evenly the map is spread over the places:  - sum p_i log p_i,  p_i = |v_i| / sum |v|.

    From 0 (one place has all) to log P (all alike), in nats; lower is simpler. Bhatt et al. 2020 ("complexity").
    """

    unit = "nats"

    def shape_of(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        entropy: Tensor = torch.special.entr(values.abs()).sum(1)
        return entropy


@final
@dataclass(frozen=True, repr=False)
class Gini(Complexity):
    """How unequal the places are:  1 - 2 sum_k p_(k) (P - k + 1/2) / P,  p_(1) <= ... <= p_(P),  p_i = |v_i| / sum |v|.

    From 0 (all alike) to 1 - 1/P (one place has all); higher is simpler. Chalasani et al. 2020 ("sparseness"), after Hurley and
    Rickard 2009.
    """

    unit = "Gini index"

    def shape_of(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        total = values.shape[1]
        k = torch.arange(1, total + 1, device=values.device, dtype=values.dtype)
        gini = 1 - 2 * (values.abs().sort(1).values * (total - k + 0.5) / total).sum(1)
        return gini.clamp(min=0.0)  # of equal values the sum is 1/2 but for rounding


@final
@dataclass(frozen=True, repr=False)
class EffectiveSize(Complexity):
    """How many places share the map:  (sum |v_i|)^2 / sum v_i^2.

    From 1 (one place has all) to P (all alike), in places; lower is simpler. A map that is the same at m places and zero elsewhere
    has m. Unlike a count of the places above a threshold it has no threshold to choose, and unlike exp(`Entropy`), which has the
    same ends, it hardly sees the many faint places of noise. Hill 1973 (the number of order 2; physics calls it the
    participation ratio).
    """

    unit = "places"

    def shape_of(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        return 1 / values.square().sum(1)


@final
@dataclass(frozen=True, repr=False)
class TotalVariation(Complexity):
    """How rough the map is:  sum of |v_i - v_j| over neighbours i, j along each axis, / sum |v|.

    From 0 (all alike) to 2 for each axis; a single place away from the border has 2 for each axis, 4 in a picture, and so has a
    chessboard of both signs, but for its border. Lower is smoother. Signed: a change of sign counts with its whole height. Rows
    that have neighbours: `BadInput` for features (D,). Rudin et al. 1992 (the anisotropic form).
    """

    unit = "share of the map's size"

    def check(self, case: Case) -> None:
        if not places_of(case.query).channels:
            raise BadInput(
                f"{self!r} compares neighbours, and rows of features {tuple(case.query.shape)} have none; take Gini() or Entropy()"
            )

    def shape_of(self, values: Tensor, places: tuple[int, ...]) -> Tensor:
        grid = values.unflatten(1, places)
        return torch.stack([grid.diff(dim=axis).abs().flatten(1).sum(1) for axis in range(1, grid.ndim)]).sum(0)


ROWS: tuple[Entry, ...] = (
    Entry(Entropy, "−Σ pᵢ log pᵢ,  p = |v| / Σ|v|", ("bhatt2020",)),
    Entry(Gini, "1 − 2 Σ p₍ₖ₎ (P − k + ½) / P", ("chalasani2020", "hurley2009")),
    Entry(EffectiveSize, "(Σ|v|)² / Σ v²", ("hill1973",)),
    Entry(TotalVariation, "Σ |vᵢ − vⱼ| / Σ|v|,  i, j neighbours", ("rudin1992",)),
)
