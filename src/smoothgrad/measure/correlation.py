"""Faithfulness by correlation: does what a map says of some places go with what the score loses without them?

With R_p what the map says of place p (its sum over channels), s the score and x without S the row from which the places S have
been removed, all three correlate  sum_{p in S} R_p  with  s(x) - s(x without S)  over many sets S. They differ in the sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.asking import asked_at
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.curves import check_removal, check_shares, check_steps, count, unfinite
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, places_of, ranks, unranked
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.measure.similarity import correlation

ROUNDING = 8  # scores that differ by so many units in the last place are taken to be equal
NARROW = 2  # as many of a narrow type: 8 units of bfloat16 are 6 % of a score, which is no rounding


@final
@dataclass(frozen=True, repr=False)
class SensitivityN(Measure):
    """Correlation of what random places count in the map with what the score loses without them, for sets of several sizes.

        mean over n of  Pearson_S[ sum_{p in S} R_p, s(x) - s(x without S) ],  |S| = n

    For each of `shares`, `samples` random sets S of n = share * P of the P places, at least 1 and at most P - 1. From -1 to 1,
    higher is better; exactly 1 for w * (x - b) on a linear score and removal by b. The curve holds the correlation at each share.
    Costs shares x samples passes. At a share where all sets count the same in the map (many zeros and small sets), or the score
    does not change, there is no correlation: the curve has NaN there, and the mean is over the other shares. NaN: a constant map,
    no correlation at any share, and a score that is not finite. Raises `BadMethod` and `BadInput` (one place only). Ancona et al.
    2018, who draw 100 sets for each of some sizes between 1 place and 80 % of them.

    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> SensitivityN(samples=20)(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 2.0, 0.0]]))
    tensor([1.], dtype=torch.float64)
    """

    removal: Removal = Replaced()  # noqa: RUF009
    shares: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 0.8)  # steps of about 3, up to the 80 % of the paper
    samples: int = 100  # Ancona et al. 2018

    unit = "correlation"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, self.shares)
        _check_samples("SensitivityN", self.samples)

    def check(self, case: Case) -> None:
        check_places(case.query)
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        found, errors, whole, each = [], [], [], []
        for place, share in enumerate(self.shares):
            numbers = range(place * self.samples, (place + 1) * self.samples)
            told = _random_sets(case, self.removal, values, share, numbers)
            said = told.undefined(case.query)
            there = torch.tensor([not one for one in said], device=values.device)
            whole.append(unfinite(told.scores))
            each.append(said)
            found.append(told.correlation().where(there, torch.nan))
            errors.append(told.error().where(there, torch.nan))
        curve = torch.stack(found, 1)  # (N, shares)
        error = torch.stack(errors, 1).square().nansum(1).sqrt() / (~curve.isnan()).sum(1)
        nowhere = tuple("; ".join(dict.fromkeys(one)) if all(one) else "" for one in zip(*each, strict=True))
        shares = torch.tensor(self.shares, dtype=torch.float64, device="cpu")
        line = Curve(shares, curve, "share of the places that is gone", "correlation")
        return judged(curve.nanmean(1), first_reason(unranked(values), *whole, nowhere), stderr=error, curve=line)


@final
@dataclass(frozen=True, repr=False)
class FaithfulnessCorrelation(Measure):
    """Correlation of what random places count in the map with what the score loses without them, for sets of one size.

        Pearson_S[ sum_{p in S} R_p, s(x) - s(x without S) ]

    `samples` random sets S of `share` of the P places, at least 1 and at most P - 1. From -1 to 1, higher is better; exactly 1
    for w * (x - b) on a linear score and removal by b. Costs `samples` passes. NaN: a constant map, a score that does not
    change, and where all sets count the same in the map. Raises `BadMethod` and `BadInput` (one place only). Bhatt et al. 2020.

    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> FaithfulnessCorrelation()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, -2.0, 0.0]]))
    tensor([-1.], dtype=torch.float64)
    """

    removal: Removal = Replaced()  # noqa: RUF009
    share: float = 0.1  # our choice: enough places for the score to move, few enough for the row to stay what it is
    samples: int = 100  # as in SensitivityN

    unit = "correlation"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, (self.share,))
        _check_samples("FaithfulnessCorrelation", self.samples)

    def check(self, case: Case) -> None:
        check_places(case.query)
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        told = _random_sets(case, self.removal, values, self.share, range(self.samples))
        reasons = first_reason(unranked(values), told.undefined(case.query))
        return judged(told.correlation(), reasons, stderr=told.error())


@final
@dataclass(frozen=True, repr=False)
class FaithfulnessEstimate(Measure):
    """Correlation of what each group of places counts in the map with what the score loses without that group alone.

        Pearson_g[ sum_{p in g} R_p, s(x) - s(x without g) ]

    The places, from the largest R_p to the smallest, fall into `steps` groups of equal size (to one place); where there are no
    more places than steps, each is a group. From -1 to 1, higher is better; exactly 1 for w * (x - b) on a linear score and
    removal by b. Costs `steps` passes. NaN: a constant map, a score that does not change. Raises `BadMethod` and `BadInput` (one
    place only). Alvarez-Melis and Jaakkola 2018, who remove each feature by itself: `steps` bounds the cost.

    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> FaithfulnessEstimate()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 2.0, 0.0]]))
    tensor([1.], dtype=torch.float64)
    """

    removal: Removal = Replaced()  # noqa: RUF009
    steps: int = 100  # our choice: as many passes as the other correlations draw sets

    unit = "correlation"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps, least=2)

    def check(self, case: Case) -> None:
        check_places(case.query)
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        steps = min(self.steps, values.shape[1])
        group = groups(values, case.query, steps)
        remove = self.removal.of(case.model, case.query, case.schedule)

        def without(numbers: range) -> Tensor:
            return remove(torch.stack([group == number for number in numbers]), numbers)

        scores = asked_at(case.model, case.query, case.schedule, steps, without)
        told = Told(sums_over(group, values, steps), scores)
        return judged(told.correlation(), first_reason(unranked(values), told.undefined(case.query)))


class Told(NamedTuple):
    """What the map says of each of some sets of places, and the score without them."""

    sums: Tensor  # (N, sets) float64
    scores: Tensor  # (N, sets) float64

    def correlation(self) -> Tensor:
        """Of the sums with what the score loses (N,): s(x) is the same for all sets, and counts for nothing."""
        return correlation(self.sums, -self.scores)

    def error(self) -> Tensor:
        """The standard error (N,) of the correlation r over independent sets, from its influence function:

        z_a z_b - r (z_a^2 + z_b^2) / 2,  with z_a and z_b the standardised values; no law of the values is assumed.
        """
        a, b = (part - part.mean(1, keepdim=True) for part in (self.sums, -self.scores))
        a, b = (part / part.square().mean(1, keepdim=True).sqrt() for part in (a, b))
        r = (a * b).mean(1, keepdim=True)
        influence = a * b - r * (a.square() + b.square()) / 2
        return (influence.square().mean(1) / self.sums.shape[1]).sqrt()

    def undefined(self, query: Query) -> tuple[str, ...]:
        """Of each row: why there is no correlation, else ""."""
        low, high = self.sums.aminmax(dim=1)
        even = high - low <= 1e-13 * torch.maximum(low.abs(), high.abs())  # of float64 sums: rounding alone
        same = tuple("all sets count the same in the map" if one else "" for one in even.tolist())
        return first_reason(same, unmoved(self.scores, query))


def _random_sets(case: Case, removal: Removal, values: Tensor, share: float, numbers: range) -> Told:
    """The scores of a case (N, sets) without random sets of a share of the places, one for each number; and their sums."""
    query, total = case.query, values.shape[1]
    size = min(max(1, count(total, share)), total - 1)
    keys = salted(query.key, "sets")
    remove = removal.of(case.model, query, case.schedule)
    sums = values.new_empty(len(values), len(numbers))

    def without(steps: range) -> Tensor:
        asked = numbers[steps.start : steps.stop]
        chance = uniform(keys, asked, torch.Size([total]), values.device)  # (k, N, P)
        chosen = chance.topk(size, dim=-1, sorted=False).indices
        sums[:, steps.start : steps.stop] = values.expand_as(chance).gather(-1, chosen).sum(-1).T
        gone = torch.zeros_like(chance, dtype=torch.bool).scatter_(-1, chosen, True)
        return remove(gone, asked)

    scores = asked_at(case.model, query, case.schedule, len(numbers), without)
    return Told(sums, scores)


# --- what the measures of correlation and of order share --------------------------------------------------------------------


def groups(values: Tensor, query: Query, steps: int) -> Tensor:
    """The group of each place (N, P), 0 to steps - 1: those of the largest values first, of equal size to one place."""
    return ranks(values, query) * steps // values.shape[1]


def sums_over(group: Tensor, values: Tensor, steps: int) -> Tensor:
    """The sum of values (N, P) over each group: (N, steps)."""
    return values.new_zeros(len(values), steps).scatter_add_(1, group, values)


def rounding(scores: Tensor, query: Query) -> Tensor:
    """What may be rounding in scores (N, steps) of such rows: (N, 1)."""
    eps = torch.finfo(query.x.dtype).eps
    return (NARROW if eps > 1e-4 else ROUNDING) * eps * scores.abs().amax(1, keepdim=True)


def unmoved(scores: Tensor, query: Query) -> tuple[str, ...]:
    """Of each row of scores (N, steps): why they say nothing, else ""."""
    still = (scores.amax(1) - scores.amin(1) <= rounding(scores, query)[:, 0]).tolist()
    return first_reason(
        unfinite(scores), tuple("the score does not change, whatever is removed" if one else "" for one in still)
    )


def check_places(query: Query) -> None:
    """Raises `BadInput` for rows of a single place: there is nothing to compare it with."""
    if places_of(query).total < 2:
        raise BadInput(
            f"rows of shape {tuple(query.shape)} have a single place, and this measure compares places; give rows with 2 or more"
        )


def _check_samples(name: str, samples: int) -> None:
    if samples < 3:
        raise BadMethod(f"{name} needs samples >= 3, got {samples}; two sets always correlate")


ROWS: tuple[Entry, ...] = (
    Entry(SensitivityN, "mean_n Pearson_S[Σ_{p∈S} R_p, s(x) − s(x∖S)], |S| = n", ("ancona2018",)),
    Entry(FaithfulnessCorrelation, "Pearson_S[Σ_{p∈S} R_p, s(x) − s(x∖S)]", ("bhatt2020",)),
    Entry(FaithfulnessEstimate, "Pearson_g[Σ_{p∈g} R_p, s(x) − s(x∖g)]", ("alvarezmelis2018",)),
)
