"""Faithfulness by removal: how far the score falls as pixels, regions or segments go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.parts import Found, Grid, Parts, Superpixels
from smoothgrad.measure.asking import Read, probability
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.curves import (
    GONE,
    check_removal,
    check_steps,
    counts,
    most_first,
    read_off,
    unfinite,
    without,
)
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, places_of, ranks, unranked
from smoothgrad.measure.removal import Removal, Replaced

# Bits of masks of parts that are held at once.
MASKS = 1 << 22
# Rows that lose their parts together.
TOGETHER = 8
# How many shares of its segments a row's curve is read off at: rows have different numbers of segments.
GRID = 50


@final
@dataclass(frozen=True, repr=False)
class PixelFlipping(Measure):
    """How far the score lies below that of the whole row on average, while places go, the most relevant first.

        AOPC = 1 / (L + 1) sum_{k = 0 ... L} [s(x) - s(x without its top k / L)],  L = steps

    s is the score that is explained, of any target. In units of the score, without bounds; higher is better: the score falls
    early. In L equal shares of whole places; where a row has fewer than `steps`, one place at a time. NaN for a constant map, and
    where a score is not finite. The curve is the score over the share that is gone. Bach et al. 2015; the average is that of Samek
    et al. 2017.

    Raises `BadMethod` for steps < 1.

    >>> PixelFlipping(steps=10).unit
    'score'
    """

    steps: int = 32
    removal: Removal = Replaced()  # noqa: RUF009

    unit = "score"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        gone = counts(total, self.steps)
        y = without(case, self.removal, ranks(values, case.query), most_first(gone), Query.scores)
        x = torch.tensor(gone, dtype=torch.float64, device="cpu") / total
        reasons = first_reason(unranked(values), unfinite(y))
        return judged((y[:, :1] - y).mean(1), reasons, curve=Curve(x, y, GONE, "score"))


@final
@dataclass(frozen=True, repr=False)
class RegionPerturbation(Measure):
    """How far the score lies below that of the whole row on average, while regions go one by one, the most relevant first.

        AOPC = 1 / (L + 1) sum_{k = 0 ... L} [s(x) - s(x without its top k regions)]

    A region's relevance is the sum of the map over it. L is `steps`, or the number of regions where a row has fewer. s is the
    score that is explained, of any target. In units of the score, without bounds; higher is better. NaN for a constant map,
    where all regions have the same relevance, and where a score is not finite. The curve is the score over the number of regions
    gone. Samek et al. 2017, who take 100 regions of 9 x 9 pixels of a picture, and put noise in their places:
    removal=Replaced(Noise()).

    `parts`: Grid(8) cuts pictures; for other rows give one number for each side, such as Grid((20,)) for rows (C, T) and (D,).
    Where parts overlap, a place goes with the first of its parts. Raises `BadMethod` for steps < 1, for rows that cannot be cut
    so, and for parts that divide the channels of a place.

    >>> RegionPerturbation(Grid(4)).parts.most
    16
    """

    parts: Parts = Grid(8)  # noqa: RUF009
    steps: int = 100
    removal: Removal = Replaced()  # noqa: RUF009

    unit = "score"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps)

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)
        self.parts.check(case.query)

    def judge(self, case: Case) -> Judged:
        sums = _Sums.of(case, self.parts)
        order = sums.order(sums.total, case.query)
        most = min(self.steps, self.parts.most)
        y = _as_parts_go(case, self.removal, order, sums.counts, most, Query.scores)
        k = torch.arange(most + 1, device=y.device)
        asked = k <= sums.counts[:, None]  # beyond, a row has no more regions
        value = ((y[:, :1] - y) * asked).sum(1) / asked.sum(1)
        reasons = first_reason(sums.reasons(sums.total), unfinite(y))
        return judged(value, reasons, curve=Curve(k, y, "regions gone", "score"))


@final
@dataclass(frozen=True, repr=False)
class Irof(Measure):
    """The area over the probability of the class, as a share of what it was, while segments go, the most relevant first.

        1 - ∫₀¹ p(x without its top share u of segments) / p(x) du

    Iterative removal of features. A segment's relevance is the mean of the map over it; they go one by one, to the last. p is the
    softmax probability of the class that is explained. By the trapezoid rule. At most 1; below 0 where removal raises the
    probability; higher is better. NaN for a constant map, where all segments have the same relevance (a single one, too), and where
    p(x) is 0. The curve is p / p(x) over u. Rieger and Hansen 2020.

    `segments`: None takes `Superpixels()` of a picture, which needs scikit-image, and a grid of about 32 equal cells of other rows.
    Where segments overlap, a place goes with the first of them. What goes is blackened; the paper puts the mean colour of the row
    in its place: removal=Replaced(ChannelMean()). Raises `BadMethod` for rows that cannot be cut so, and for segments that divide
    the channels of a place; `BadInput` where no class is explained.

    >>> Irof().better
    'higher'
    """

    segments: Parts | None = None
    removal: Removal = Replaced()  # noqa: RUF009

    unit = "share of the probability"
    needs_classes = True

    def check(self, case: Case) -> None:
        check_removal(self, self.removal, case.query)
        self._parts(case.query).check(case.query)

    def _parts(self, query: Query) -> Parts:
        sides = places_of(query).shape
        if self.segments is not None:
            return self.segments
        if len(query.shape) == 3:
            return Superpixels()
        return Grid((round(32 ** (1 / len(sides))),) * len(sides))

    def judge(self, case: Case) -> Judged:
        sums = _Sums.of(case, self._parts(case.query))
        means = sums.total / sums.size.clamp_min(1)
        order = sums.order(means, case.query)
        y = _as_parts_go(case, self.removal, order, sums.counts, int(sums.counts.max()), probability)
        ratio = y / y[:, :1]
        u = (torch.arange(y.shape[1], device=y.device) / sums.counts[:, None].double()).clamp_max(1)
        lost = ["the probability of the class is 0 for the whole row" if float(p) == 0 else "" for p in y[:, 0]]
        grid = torch.linspace(0, 1, GRID + 1, dtype=torch.float64, device=y.device)
        curve = Curve(grid, read_off(u, ratio, grid), "share of segments gone", "p / p(x)")
        reasons = first_reason(sums.reasons(means), lost)
        return judged(1 - torch.trapezoid(ratio, u), reasons, curve=curve)


# --- parts -----------------------------------------------------------------------------------------------------------------


class _Sums(NamedTuple):
    """What a map says of each part of each row. K is the largest number of parts that a row may have, whatever the company."""

    found: Found
    values: Tensor  # (N, P) the map at each place
    total: Tensor  # (N, K) float64: the sum of the map over each part
    size: Tensor  # (N, K) int64: the places of each part

    @staticmethod
    def of(case: Case, parts: Parts) -> _Sums:
        values, found = at_places(case.maps, case.query), parts.find(case.query)
        total = torch.zeros(len(values), parts.most, dtype=torch.float64, device=values.device)
        size = torch.zeros_like(total, dtype=torch.int64)
        for numbers in _pieces(found, values):
            masks = _masks(found, numbers, case.query)
            total[:, numbers] = torch.where(masks, values, 0.0).sum(-1).T
            size[:, numbers] = masks.sum(-1).T.expand(len(values), -1)
        return _Sums(found, values, total, size)

    @property
    def counts(self) -> Tensor:
        """How many parts each row has (N,)."""
        return self.found.counts

    def order(self, relevance: Tensor, query: Query) -> Tensor:
        """The number at which each place goes (N, P), as parts go by their relevance (N, K): 0 with the first."""
        there = torch.arange(relevance.shape[1], device=relevance.device) < self.counts[:, None]
        turns = ranks(relevance.masked_fill(~there, -torch.inf), query)
        first = torch.full(self.values.shape, relevance.shape[1], device=relevance.device)
        for numbers in _pieces(self.found, self.values):
            masks = _masks(self.found, numbers, query)
            when = torch.where(masks, turns[:, numbers].T[:, :, None], relevance.shape[1]).amin(0)
            first = torch.minimum(first, when)
        return first

    def reasons(self, relevance: Tensor) -> tuple[str, ...]:
        """Of each row: why its parts cannot be ranked by their relevance (N, K), else ""."""
        flat = [
            "its parts all have the same relevance: nothing is ranked" if bool((row[:parts] == row[0]).all()) else ""
            for row, parts in zip(relevance, self.counts.tolist(), strict=True)
        ]
        return first_reason(unranked(self.values), flat)


def _pieces(found: Found, values: Tensor) -> list[list[int]]:
    """The numbers of the parts, so many at a time that their masks stay small."""
    parts = int(found.counts.max())
    at_once = max(1, MASKS // values.numel())
    return [list(range(start, min(parts, start + at_once))) for start in range(0, parts, at_once)]


def _masks(found: Found, numbers: list[int], query: Query) -> Tensor:
    """Where parts are: (k, N or 1, P). Raises `BadMethod` where they divide the channels of a place."""
    masks, places = found.masks(numbers), places_of(query)
    if places.channels:
        if bool((masks != masks[:, :, :1]).any()):
            raise BadMethod(
                f"these parts divide the channels of rows of shape {tuple(query.shape)}, and all channels of a place go "
                "together; give parts that differ between places only"
            )
        masks = masks[:, :, 0]
    return masks.expand(*masks.shape[:2], *places.shape).flatten(2)


def _as_parts_go(case: Case, removal: Removal, order: Tensor, parts: Tensor, most: int, read: Read) -> Tensor:
    """What is read with 0 ... `most` parts gone (N, most + 1); beyond a row's last part, what is read without any."""
    y = torch.empty(len(case), most + 1, dtype=torch.float64, device=order.device)
    # Few rows with about as many parts go together, many steps at a time: others would be asked again and again about nothing.
    for rows in parts.argsort(stable=True).split(TOGETHER):
        gone = list(range(min(most, int(parts[rows].max())) + 1))
        y[rows, : len(gone)] = without(case.rows(rows), removal, order[rows], most_first(gone), read)
        y[rows, len(gone) :] = y[rows, len(gone) - 1][:, None]
    return y


ROWS: tuple[Entry, ...] = (
    Entry(PixelFlipping, "1 / (L + 1) Σ_k [s(x) - s(x without its top k / L)]", ("bach2015", "samek2017")),
    Entry(RegionPerturbation, "1 / (L + 1) Σ_k [s(x) - s(x without its top k regions)]", ("samek2017",)),
    Entry(Irof, "1 - ∫₀¹ p(x without its top share u of segments) / p(x) du", ("rieger2020",)),
)
