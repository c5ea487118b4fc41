"""Localisation: does a map point at the thing?

A region says which places belong to the thing (`regions.py` makes them from boxes and masks), the map what it says of each place:
v_i, signed, the sum over channels. A network may rightly look elsewhere, at the water around a boat; these measures take it that
what matters is the thing. A row whose region is empty, or is the whole row, has no score: NaN, with the reason.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.case import Case, Judged, judged
from smoothgrad.measure.curves import count
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, places_of, ranks, unranked

EMPTY = "the region is empty: nowhere is inside"
FULL = "the region is the whole row: everywhere is inside"


class Localisation(Measure):
    """Compares where the map is large with where the thing is."""

    needs_regions = True
    unit = "share"

    @abstractmethod
    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        """Scores (N,) of a case for places that are inside (N, P), bool; and why a map has none, else ""."""

    @final
    def judge(self, case: Case) -> Judged:
        if case.regions is None:
            raise BadInput(f"{self!r} needs to know where the thing is; give regions=")
        inside = case.regions.to(case.maps.device).flatten(1)  # (N, *places) -> (N, P)
        value, of_maps = self.compared(case, inside)
        regions = (EMPTY if empty else FULL if full else "" for empty, full in zip(*_extent(inside), strict=True))
        return judged(value, [region or own for region, own in zip(regions, of_maps, strict=True)])


@final
@dataclass(frozen=True, repr=False)
class PointingGame(Localisation):
    """Does the largest place of the map lie in the region:  1 if |argmax v - nearest place inside| <= tolerance, else 0.

    1 (a hit) or 0, higher is better; the mean over rows is the accuracy of the paper. `tolerance` is how far outside the region a
    hit may lie, a straight-line distance in pixels (moments of a signal); 0 here, the paper grants 15 in photographs. Of several
    places that are the largest one is chosen by chance, by the row's key. NaN where the map is constant. Features (D,) have no
    distances: `BadInput` for a tolerance. Zhang et al. 2018.
    """

    tolerance: float = 0.0

    unit = "hit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise BadMethod(f"PointingGame needs a finite tolerance >= 0, in pixels, got {self.tolerance}")

    def check(self, case: Case) -> None:
        if self.tolerance and not places_of(case.query).channels:
            raise BadInput(
                f"{self!r} allows for a distance, and rows of features {tuple(case.query.shape)} have none; take PointingGame()"
            )

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        values = at_places(case.maps, case.query)
        peak = ranks(values, case.query).argmin(1)  # rank 0 is the largest
        where = torch.unravel_index(torch.arange(inside.shape[1], device=inside.device), places_of(case.query).shape)
        # Whole numbers: the squares of distances (N, P) are exact.
        away = torch.stack([(axis - axis[peak][:, None]).square() for axis in where]).sum(0)
        hit = inside & (away <= self.tolerance**2)
        return hit.any(1), unranked(values)


@final
@dataclass(frozen=True, repr=False)
class EnergyInside(Localisation):
    """The share of the map's positive part that lies in the region:  sum_inside max(v_i, 0) / sum max(v_i, 0).

    From 0 to 1, higher is better; a uniform map has the region's share of the row. What speaks against the score, v_i < 0, is not
    counted, wherever it lies. NaN where the map is nowhere positive. Wang et al. 2020 (Score-CAM's "energy-based pointing game").
    """

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        return _share_inside(at_places(case.maps, case.query).clamp_min(0), inside, "the map is nowhere positive")


@final
@dataclass(frozen=True, repr=False)
class RelevanceMass(Localisation):
    """The share of the map's squares that lies in the region:  sum_inside |m_i|^2 / sum |m_i|^2,  m_i the channels of place i.

    From 0 to 1, higher is better; a uniform map has the region's share of the row. The paper pools a place's channels into one
    number that is not negative, in several ways. This is their squared norm: unlike in `EnergyInside`, whose pooling is
    max(sum of channels, 0), both signs count, channels do not cancel, and large values count for more. NaN where the map is
    zero everywhere. Arras et al. 2022 ("relevance mass accuracy").
    """

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        maps = case.maps.double()
        # By the largest value, so that squares neither vanish nor overflow.
        maps = maps / maps.flatten(1).abs().amax(1).clamp_min(_TINY).view(-1, *([1] * (maps.ndim - 1)))
        return _share_inside(at_places(maps.square(), case.query), inside, "the map is zero everywhere")


@final
@dataclass(frozen=True, repr=False)
class RelevanceRank(Localisation):
    """The share of the K largest places that lie in the region, K the size of the region:  |top K and inside| / K.

    From 0 to 1, higher is better; chance gives the region's share of the row. By the signed v_i, what speaks for the score first;
    equal places come in an order of chance, by the row's key. NaN where the map is constant. Arras et al. 2022 ("relevance rank
    accuracy").
    """

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        values = at_places(case.maps, case.query)
        size = inside.sum(1)
        top = ranks(values, case.query) < size[:, None]
        return (top & inside).sum(1) / size, unranked(values)


@final
@dataclass(frozen=True, repr=False)
class TopK(Localisation):
    """The share of the k largest places that lie in the region:  |top k and inside| / k,  k = share * P places.

    From 0 to 1, higher is better; chance gives the region's share of the row. k is rounded, and at least 1. A region of fewer than
    k places cannot reach 1; for K as large as the region see `RelevanceRank`. By the signed v_i; equal places come in an order of
    chance, by the row's key. NaN where the map is constant. Theiner et al. 2022 ("top-k intersection").
    """

    share: float = 0.02  # as 1000 pixels of 224 x 224

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise BadMethod(f"TopK needs a share of the places, above 0 and at most 1, got {self.share}")

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        values = at_places(case.maps, case.query)
        k = max(1, count(inside.shape[1], self.share))
        top = ranks(values, case.query) < k
        return (top & inside).sum(1) / k, unranked(values)


@final
@dataclass(frozen=True, repr=False)
class LocalisationAuc(Localisation):
    """How likely a place inside has a larger value than one outside:  P(v_in > v_out) + P(v_in = v_out) / 2.

    From 0 to 1, higher is better, 0.5 is chance: the area under the ROC curve of the map as a detector of the region, whatever the
    size of either. By the signed v_i. NaN where the map is constant. Mann and Whitney 1947; Fawcett 2006.
    """

    unit = "area under the ROC curve"

    def compared(self, case: Case, inside: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        values = at_places(case.maps, case.query)
        ordered = values.sort(1).values
        below = torch.searchsorted(ordered, values, right=False)
        up_to = torch.searchsorted(ordered, values, right=True)
        rank = (below + up_to + 1).double() / 2  # from 1; equal values share the mean of theirs
        size = inside.sum(1).double()
        pairs = size * (inside.shape[1] - size)
        return ((rank * inside).sum(1) - size * (size + 1) / 2) / pairs, unranked(values)


_TINY = torch.finfo(torch.float64).tiny


def _share_inside(mass: Tensor, inside: Tensor, nothing: str) -> tuple[Tensor, tuple[str, ...]]:
    """The share of the mass (N, P) that lies inside; `nothing` is the reason where there is none."""
    mass = mass / mass.amax(1, keepdim=True).clamp_min(_TINY)  # sums of large numbers stay finite
    total = mass.sum(1)
    reasons = tuple("" if some else nothing for some in (total > 0).tolist())
    return (mass * inside).sum(1) / total, reasons


def _extent(inside: Tensor) -> tuple[list[bool], list[bool]]:
    """Of each row: is the region empty, is it everything?"""
    return (~inside.any(1)).tolist(), inside.all(1).tolist()


ROWS: tuple[Entry, ...] = (
    Entry(PointingGame, "1 if argmax v ∈ R, else 0", ("zhang2018",)),
    Entry(EnergyInside, "Σ_R max(v, 0) / Σ max(v, 0)", ("wang2020",)),
    Entry(RelevanceMass, "Σ_R ‖m‖² / Σ ‖m‖²", ("arras2022",)),
    Entry(RelevanceRank, "|top |R| of v ∩ R| / |R|", ("arras2022",)),
    Entry(TopK, "|top k of v ∩ R| / k", ("theiner2022",)),
    Entry(LocalisationAuc, "P(v_in > v_out) + ½ P(v_in = v_out)", ("mann1947", "fawcett2006")),
)
