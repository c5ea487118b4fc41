"""How far the score falls when a part of the input is taken away: occlusion, and ablation of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.core.coarse import is_coarse
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.explainers.parts import Found, Grid, Parts
from smoothgrad.explainers.score import finite_scores
from smoothgrad.samplers.baseline import Baseline, Zero, based, starts


@final
@dataclass(frozen=True, repr=False)
class Ablation(Explainer):
    """s(x) - s(x with part k replaced by the baseline), the mean over the parts that hold a pixel.

    Map, signed, in units of the score. Whatever is taken away has the fall of the score that this causes, not a share of it: a
    part's size does not change its colour. So each value of the map (N, *S) has the whole fall of its part, also under labels that
    span places: of words (T, 1) each of a word's numbers has the fall of the word, of channels (C, 1, 1) each pixel that of its
    channel. The one exception are parts that hold a pixel with all its channels, as `Grid`, `Windows`, `Superpixels` and labels
    (H, W) do: there the map is (N, 1, *pixels), one fall for each pixel. Such coarse maps `explain` brings to (N, *S) so that the
    sum over channels, which is shown, is the fall; each of C channels then has 1/C of it. With several baselines, the mean.

    With `Windows` this is occlusion (Zeiler and Fergus 2013). Where no parts overlap, their falls are those of Robnik-Sikonja and
    Kononenko 2008, and for a linear score they sum to s(x) - s(b).
    """

    parts: Parts = Grid()  # noqa: RUF009
    baseline: Baseline = Zero()  # noqa: RUF009

    @property
    def passes(self) -> int:
        """One for x itself, and one for each part and baseline; at most, where a row may have fewer parts than another."""
        return self.baseline.passes + 1 + self.parts.most * self.baseline.each

    def cost(self, draws: Tensor) -> Tensor:
        return self.baseline.passes + 1 + draws

    @property
    def unit(self) -> str:
        return "score"

    def check(self, query: Query) -> None:
        self.parts.check(query)
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return based(self.baseline, model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        query = self.prepare(model, query, schedule)
        found = self.parts.find(query)
        whole = finite_scores(model, query, schedule)
        draws = self.baseline.each * found.counts
        so_far = _Falls(torch.zeros((), device=query.x.device), torch.zeros((), device=query.x.device))
        start, end = 0, int(draws.max())
        while start < end:
            numbers = range(start, start + schedule.draws_at_once(len(query), 1, end - start))
            so_far = so_far.plus(self._falls(model, query, numbers, found, whole, schedule))
            start = numbers.stop
            done = self.baseline.passes + 1 + start
            yield Partial(done, self.passes, _reader(so_far, query, draws.clamp_max(start)))

    def _falls(
        self, model: nn.Module, query: Query, draws: range, found: Found, whole: Tensor, schedule: Schedule
    ) -> _Falls:
        """Of these draws: part after part, each with every baseline."""
        each = self.baseline.each
        mask = found.masks([draw // each for draw in draws])  # (k, N or 1, *P)
        points = torch.where(mask, starts(query, [draw % each for draw in draws]), query.x)
        number = torch.tensor(draws, device=found.counts.device)
        # A row that has fewer parts than others is not asked any more.
        here = (number[:, None] < each * found.counts).flatten().nonzero().flatten()
        left = finite_scores(model, query.at(points, draws).rows(here), schedule)
        fall = whole - whole.repeat(len(draws)).index_copy(0, here, left).view(len(draws), -1)  # (k, N)
        fall = fall.view(*fall.shape, *([1] * len(query.shape)))
        return _Falls((fall * mask).sum(0), mask.sum(0))


class _Falls(NamedTuple):
    """What has been seen of each place: the sum of falls, and how many."""

    total: Tensor  # (N, *P)
    times: Tensor  # (N or 1, *P)

    def plus(self, other: _Falls) -> _Falls:
        return _Falls(self.total + other.total, self.times + other.times)

    def mean(self) -> Tensor:
        """0 where no part has been yet."""
        return self.total / self.times.clamp_min(1).to(self.total)


def _reader(falls: _Falls, query: Query, draws: Tensor) -> Callable[[], Estimate]:
    return lambda: Estimate(_spread(falls.mean(), query.shape), None, draws)


def _spread(maps: Tensor, shape: torch.Size) -> Tensor:
    """Maps (N, *P) for every value, (N, *S): all that a value spans has the whole of it. Those of whole pixels stay coarse,
    (N, 1, *pixels)."""
    pixels = torch.Size([1, *shape[1:]])
    whole = maps.shape[1] == 1 and is_coarse(maps.new_empty(()).expand(1, *pixels), shape)
    return maps.expand(-1, *(pixels if whole else shape)).contiguous()
