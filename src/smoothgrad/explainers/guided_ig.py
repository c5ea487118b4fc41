"""Guided IG: a path that goes first where the score changes least."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.ask import gradients
from smoothgrad.core.explainer import PER_INPUT, Explainer, Partial, times_input
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.path import StraightPath


@final
@dataclass(frozen=True, repr=False)
class GuidedPath(Explainer):
    """Integrated gradients along an adaptive path (Kapishnikov et al. 2021):  sum_t (x_{t+1} - x_t) * grad s(x_t).

    Each of `steps` steps brings the row nearer to the input by the same share of the whole distance ||x - b||_1, and moves only
    the values with the smallest absolute gradients: the lowest `fraction` of them, and where these have arrived, the next lowest.
    After step t no value is further along its way from b to x than t / steps + `distance`; one that is less far than
    t / steps - `distance` is brought up first. With `anchors`, the path also goes through so many points evenly spaced on the
    straight line, each part of it a guided path of its own.

    With fraction = 1 or distance = 0 the path is straight, and the map that of Integrated Gradients by the "left" rule.
    Map (N, *S), signed, in units of the score. With several baselines, the mean over their paths. Rows do not influence each
    other, and nothing is random.

    For a smooth score the map sums to score(x) - score(b) up to an error that falls with the steps. With ReLUs it need not: the
    path runs to and fro over kinks, and each step counts the gradient before the move, which was chosen for being small. Measured
    on a CIFAR-10 ResNet-20, four pictures: 0.3 to 14 times the change of the score is missing or too much, at 50 steps as at 800.
    """

    baseline: Baseline = Zero()  # noqa: RUF009
    steps: int = 200  # these three as in the authors' code
    fraction: float = 0.25
    distance: float = 0.02
    anchors: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise BadMethod(f"GuidedPath needs steps >= 1, got {self.steps}")
        if not 0 < self.fraction <= 1:
            raise BadMethod(
                f"GuidedPath's fraction is a share of the values, above 0 and at most 1, got {self.fraction}"
            )
        if not 0 <= self.distance < math.inf:
            raise BadMethod(f"GuidedPath needs a finite distance >= 0, got {self.distance}; 1 is no bound at all")
        if self.anchors < 0:
            raise BadMethod(f"GuidedPath needs anchors >= 0, got {self.anchors}")
        parts = self.anchors + 1
        if self.steps % parts:
            raise BadMethod(
                f"GuidedPath with anchors={self.anchors} has {parts} parts of equally many steps, and {self.steps} steps are "
                f"no multiple; take {-(-self.steps // parts) * parts} steps"
            )

    @property
    def unit(self) -> str:
        return times_input(PER_INPUT)

    @property
    def passes(self) -> int:
        return self.baseline.passes + self.steps * self.baseline.each

    def cost(self, draws: Tensor) -> Tensor:
        return self.baseline.passes + draws

    def check(self, query: Query) -> None:
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return StraightPath(self.baseline).prepare(model, query, schedule)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return StraightPath(self.baseline).change(model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        query = self.prepare(model, query, schedule)
        assert query.baseline is not None, "prepare has just set it"
        each = self.baseline.each
        starts = query.baseline.movedim(1, 0)  # (N, B, *S) -> (B, N, *S)
        asked = query.at(starts, range(each))  # a path from each baseline: B*N rows
        start, way = asked.x, (query.x - starts).flatten(0, 1)
        place = torch.zeros_like(way)  # how far along its way each value is: x = b + a (x - b), an a for each
        total = torch.zeros_like(way)
        for step in range(self.steps):
            gradient = gradients(model, asked.with_x(start + place * way), schedule)
            moved = advanced(place, gradient, way, self._bounds(step), self.fraction)
            total = total + (moved - place) * way * gradient
            place, draws = moved, (step + 1) * each
            yield Partial(self.baseline.passes + draws, self.passes, _reader(total, each, draws))

    def _bounds(self, step: int) -> Bounds:
        goal = (step + 1) / self.steps
        parts = self.anchors + 1
        part = step * parts // self.steps
        low, high = max(part / parts, goal - self.distance), min((part + 1) / parts, goal + self.distance)
        return Bounds(low, goal, high)


class Bounds(NamedTuple):
    """Where values may be after a step, and where they must be on average, weighted with |x - b|."""

    low: float
    goal: float
    high: float


def advanced(place: Tensor, gradient: Tensor, way: Tensor, bounds: Bounds, fraction: float) -> Tensor:
    """Where each value is after a step: its share a of its way x - b. All (M, *S), each row for itself."""
    low, goal, high = bounds
    if goal >= high:  # the end, an anchor, or no room to choose: all values are there
        return torch.full_like(place, high)
    shape = place.shape
    place, gradient, way = (part.flatten(1) for part in (place.clamp_min(low), gradient, way))
    share = way.abs() / way.abs().sum(1, keepdim=True).clamp_min(torch.finfo(way.dtype).tiny)
    need = goal - (share * place).sum(1)  # (M,) still to be gained, of a way of length 1
    room = share * (high - place)  # what each value can add to it

    # By absolute gradient, the lowest first; values that cannot move come last.
    ranked, order = gradient.abs().masked_fill(room <= 0, math.inf).sort(1)
    gained = F.pad(room.gather(1, order).cumsum(1), (1, 0))  # by the first 0, 1, 2, ... of them
    start, stop = _last_group(ranked, gained, (room > 0).sum(1), need, fraction)

    # Those before the last group go as far as they may, those in it as far as needed.
    before, after = (gained.gather(1, at[:, None]) for at in (start, stop))
    part = ((need[:, None] - before) / (after - before).clamp_min(torch.finfo(way.dtype).tiny)).clamp(0, 1)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    moved = torch.where(rank < stop[:, None], place + part * (high - place), place)
    return torch.where(rank < start[:, None], torch.full_like(place, high), moved).view(shape)


def _last_group(
    ranked: Tensor, gained: Tensor, movable: Tensor, need: Tensor, fraction: float
) -> tuple[Tensor, Tensor]:
    """The ranks [start, stop) of the group of values, per row, with which the need is met.

    A group is the lowest `fraction` of all values (by number) among those that are left, and all that equal the largest of them.
    """
    values = ranked.shape[1]
    size = math.floor(fraction * (values - 1) + 1e-9)  # 0.29 * 100 is 28.999... in binary
    start = torch.zeros_like(movable)
    while True:
        threshold = ranked.gather(1, (start + size).clamp_max(values - 1)[:, None])
        stop = torch.minimum(torch.searchsorted(ranked, threshold, right=True)[:, 0], movable)
        met = (gained.gather(1, stop[:, None])[:, 0] >= need) | (stop >= movable)
        if bool(met.all()):
            return start, stop
        start = torch.where(met, start, stop)


def _reader(total: Tensor, each: int, draws: int) -> Callable[[], Estimate]:
    """The mean over baselines of sums (B*N, *S)."""

    def read() -> Estimate:
        value = total.unflatten(0, (each, -1)).mean(0)
        return Estimate(value, None, count(value, draws))

    return read
