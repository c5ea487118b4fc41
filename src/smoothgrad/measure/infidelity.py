"""Faithfulness under noise: does the map say by how much the score changes when the whole row is disturbed?"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final, get_args

import torch
from torch import Tensor

from smoothgrad.core.ask import scores
from smoothgrad.core.noise import normal, salted
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod, nearest
from smoothgrad.measure.asking import asked_at
from smoothgrad.measure.case import Case, Judged, first_reason, judged
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.samplers.cloud import Unit, extremes, scale

INFINITE = "the score is NaN or infinite where the row is disturbed"


class Disturbed(Measure):
    """What both infidelities share: the mean over I of the squared error of what the map says of a disturbance I."""

    noise: float
    samples: int
    noise_unit: Unit

    better = "lower"
    unit = "score²"

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not (math.isfinite(self.noise) and self.noise > 0):
            raise BadMethod(f"{name} needs noise > 0, got {self.noise}; without noise the score does not change")
        if self.samples < 2:
            raise BadMethod(f"{name} needs samples >= 2, got {self.samples}; one draw has no standard error")
        check_unit(name, "noise_unit", self.noise_unit)

    @abstractmethod
    def factor(self, told: Tensor, change: Tensor) -> Tensor | float:
        """What the map is to be multiplied by, (N, 1) or a number, given I.map and s(x) - s(x - I), (N, samples) each."""

    def judge(self, case: Case) -> Judged:
        query = case.query
        disturb = disturbances(query, self.noise, self.noise_unit)
        told = torch.empty(len(query), self.samples, dtype=torch.float64, device=query.x.device)

        def points(numbers: range) -> Tensor:
            moved = disturb(numbers)  # I (k, N, *S)
            told[:, numbers.start : numbers.stop] = (moved * case.maps).flatten(2).sum(2, dtype=torch.float64).T
            return query.x - moved

        found = asked_at(case.model, query, case.schedule, self.samples, points)
        change = scores(case.model, query, case.schedule).double()[:, None] - found
        wrong = (self.factor(told, change) * told - change).square()  # (N, samples)
        error = wrong.std(1) / math.sqrt(self.samples)
        broken = tuple("" if one else INFINITE for one in change.isfinite().all(1).tolist())
        return judged(wrong.mean(1), first_reason(unspread(query, self.noise_unit), broken), stderr=error)


@final
@dataclass(frozen=True, repr=False)
class Infidelity(Disturbed):
    """Mean squared error of the map's word on a disturbance of the row:  E_I (I.map - (s(x) - s(x - I)))^2,  I ~ N(0, sd^2)

    sd is `noise` in `noise_unit`: "range" is a fraction of max - min over each row, "channel" over each channel, "absolute" the
    units of the input. 0 or more, lower is better, in squared units of the score; comes with its standard error over the
    `samples` draws. Costs samples + 1 passes. NaN: a constant row (under "channel", one whose channels are
    all constant), where the noise is relative to its range; a score that is not finite.

    I.map is a change of the score only where the map is per unit of input, like a gradient: then the gradient scores 0 on a linear
    score, and a map of zeros sd^2 |w|^2. A map that already is in units of the score (times input, paths, occlusion) or has
    another scale (squares, CAMs, relevance) is judged all the same, and mostly worse than zeros: `ScaledInfidelity` forgives one
    factor for each row, not a factor for each value. Raises `BadMethod`. Yeh et al. 2019.

    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> Infidelity()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]])).round(decimals=10)
    tensor([0.], dtype=torch.float64)
    """

    noise: float = 0.2  # in the code of Yeh et al. 2019, of pictures in [0, 1]
    samples: int = 100
    noise_unit: Unit = "range"

    def factor(self, told: Tensor, change: Tensor) -> float:
        return 1.0


@final
@dataclass(frozen=True, repr=False)
class ScaledInfidelity(Disturbed):
    """Infidelity of the map times the factor that suits it best:  min_a E_I (a I.map - (s(x) - s(x - I)))^2,  I ~ N(0, sd^2)

    a = E[I.map (s(x) - s(x - I))] / E[(I.map)^2] over the same draws, one number for each row, of either sign; so that maps which
    differ by a factor score the same. Never above `Infidelity` of the same draws, and at most E (s(x) - s(x - I))^2, which is what
    a map of zeros scores. As the factor is fitted to the draws that are scored, the mean lies below its value for endless draws, by
    about 1 / samples of it (1 % of 100), for all maps alike but zeros. Units, standard error, cost, NaN and errors are those of
    `Infidelity`, with samples >= 3. Yeh et al. 2019.

    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> ScaledInfidelity()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 7.0, 0.0]])).round(decimals=10)
    tensor([0.], dtype=torch.float64)
    """

    noise: float = 0.2
    samples: int = 100
    noise_unit: Unit = "range"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 3:
            raise BadMethod(f"ScaledInfidelity needs samples >= 3, got {self.samples}; the factor is fitted to them")

    def factor(self, told: Tensor, change: Tensor) -> Tensor:
        size = told.square().mean(1, keepdim=True)
        best = (told * change).mean(1, keepdim=True) / size
        return best.masked_fill(size == 0, 0.0)  # a map of zeros says 0, whatever the factor


def disturbances(query: Query, noise: float, unit: Unit) -> Callable[[range], Tensor]:
    """I (k, N, *S) for each draw number."""
    keys, sd = salted(query.key, "infidel"), scale(query, noise, unit)
    return lambda numbers: normal(keys, numbers, query.shape, query.x.device).to(query.x) * sd


def unspread(query: Query, unit: Unit) -> tuple[str, ...]:
    """Of each row: why a fraction of its range is no disturbance, else "". One channel of several may be constant."""
    if unit == "absolute":
        return ("",) * len(query)
    low, high = extremes(query.origin, unit, query.parts)
    still = (low == high).flatten(1)
    constant = still.any(1) if query.parts else still.all(1)  # each part is an input of its own
    what = "the row is" if unit == "range" or len(query.shape) < 2 else "every channel of the row is"
    said = f'{what} constant, and a fraction of its range is 0: give the disturbance in the unit "absolute"'
    return tuple(said if one else "" for one in constant.tolist())


def check_unit(name: str, field: str, unit: str) -> None:
    """Raises `BadMethod` for what is no unit of a disturbance."""
    if unit not in get_args(Unit):
        raise BadMethod(f"{name} has no {field} {unit!r}; {nearest(unit, get_args(Unit))}")


ROWS: tuple[Entry, ...] = (
    Entry(Infidelity, "E_I (I·map − (s(x) − s(x − I)))²", ("yeh2019",)),
    Entry(ScaledInfidelity, "min_a E_I (a I·map − (s(x) − s(x − I)))²", ("yeh2019",)),
)
