"""Faithfulness by order: does what counts little in the map count little in the score?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.ask import scores
from smoothgrad.core.noise import salted, uniform
from smoothgrad.errors import BadMethod
from smoothgrad.measure.asking import asked_at
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.correlation import check_places, groups, rounding, sums_over, unmoved
from smoothgrad.measure.curves import check_removal, check_steps
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, over_channels, unranked
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.measure.similarity import correlation, mean_ranks
from smoothgrad.samplers.cloud import extremes


@final
@dataclass(frozen=True, repr=False)
class Monotonicity(Measure):
    """Share of the steps at which the score does not fall, while places come in from the smallest to the largest value.

        #{ j : s(x_{j+1}) >= s(x_j) } / steps

    x_0 has all places removed and x_steps is the row itself; with each step comes a group of places, from the smallest R_p, sign
    and all, to the largest, groups of equal size (to one place); where there are no more places than steps, each is a group. A
    fall within rounding is none. From 0 to 1, higher is better. The curve is the score over the share of places that are in. Costs
    steps + 1 passes. NaN: a constant map, a score that does not change. Raises `BadMethod` and `BadInput`.

    After Arya et al. 2019, whose test asks whether there is any fall at all. Theirs reads the probability of the class that is
    predicted, this the score that is explained; and theirs begins after the first place, not before it. It is a blunt tool: on a
    linear score, places that come in one by one raise or lower it in any order, so that all maps score the same.

    >>> from smoothgrad.core.query import Query
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> Monotonicity()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 2.0, 0.0]]))
    tensor([1.], dtype=torch.float64)
    """

    removal: Removal = Replaced()  # noqa: RUF009
    steps: int = 100

    unit = "share of steps"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps, least=2)

    def check(self, case: Case) -> None:
        check_places(case.query)
        check_removal(self, self.removal, case.query)

    def judge(self, case: Case) -> Judged:
        values = at_places(case.maps, case.query)
        total = values.shape[1]
        steps = min(self.steps, total)
        group = groups(-values, case.query, steps)  # the smallest first
        remove = self.removal.of(case.model, case.query, case.schedule)

        def before(numbers: range) -> Tensor:
            return remove(torch.stack([group >= number for number in numbers]), numbers)

        found = asked_at(case.model, case.query, case.schedule, steps + 1, before)  # (N, steps + 1)
        holds = found.diff(dim=1) >= -rounding(found, case.query)
        # Group j holds the ranks r with r * steps // P == j, so that ceil(j * P / steps) places come before it.
        inside = [-(-number * total // steps) / total for number in range(steps + 1)]
        share = torch.tensor(inside, dtype=torch.float64, device="cpu")
        line = Curve(share, found, "share of the places that is in", "score")
        return judged(holds.double().mean(1), first_reason(unranked(values), unmoved(found, case.query)), curve=line)


@final
@dataclass(frozen=True, repr=False)
class MonotonicityCorrelation(Measure):
    """Rank correlation of how much places count in the map with how much the score changes when they become random.

        Spearman_g[ sum_{p in g} |R_p|, E (s(x) - s(x with g random))^2 ]

    The places, from the largest |R_p| to the smallest, fall into `steps` groups of equal size (to one place); where there are no
    more places than steps, each is a group. The values of a group are replaced `samples` times by values uniform between the
    smallest and the largest of their channel in the row (rows of features: in the row). From -1 to 1, higher is better. Costs
    steps x samples + 1 passes. NaN: a map whose |R_p| are all the same, a score that does not change, such as that of a
    constant row. Raises `BadMethod` and `BadInput` (one place only). Nguyen and Martinez 2020.

    >>> from smoothgrad.core.query import Query
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> MonotonicityCorrelation()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 2.0, 0.0]]))
    tensor([1.], dtype=torch.float64)
    """

    steps: int = 50
    samples: int = 10

    unit = "rank correlation"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, self.steps, least=2)
        if self.samples < 1:
            raise BadMethod(f"MonotonicityCorrelation needs samples >= 1, got {self.samples}")

    def check(self, case: Case) -> None:
        check_places(case.query)

    def judge(self, case: Case) -> Judged:
        query = case.query
        size = at_places(case.maps, query).abs()
        steps = min(self.steps, size.shape[1])
        group = groups(size, query, steps)
        keys = salted(query.key, "replaced")
        low, high = extremes(query.origin, "channel", query.parts)

        def disturbed(numbers: range) -> Tensor:
            # Step number j is group j % steps, with the random values of draw j // steps.
            draws = range(numbers.start // steps, (numbers.stop - 1) // steps + 1)
            u = uniform(keys, draws, query.shape, query.x.device).to(query.x)
            fresh = (low + u * (high - low))[[number // steps - draws.start for number in numbers]]
            gone = torch.stack([group == number % steps for number in numbers])
            return fresh.where(over_channels(gone, query), query.x)

        here = scores(case.model, query, case.schedule).double()[:, None]
        found = asked_at(case.model, query, case.schedule, steps * self.samples, disturbed)
        change = (found - here).square().unflatten(1, (self.samples, steps)).mean(1)  # (N, steps)
        told = correlation(mean_ranks(sums_over(group, size, steps)), mean_ranks(change))
        reasons = first_reason(unranked(size), unmoved(torch.cat([here, found], 1), query))
        return judged(told, reasons)


ROWS: tuple[Entry, ...] = (
    Entry(Monotonicity, "#{j : s(x_{j+1}) ≥ s(x_j)} / J, R_p rising", ("arya2019",)),
    Entry(MonotonicityCorrelation, "Spearman_g[Σ_{p∈g} |R_p|, E (s(x) − s(x_g random))²]", ("nguyen2020",)),
)
