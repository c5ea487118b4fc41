"""Class activation maps that weigh channels by what they do to the score, with no gradient: one model call for each channel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import in_chunks
from smoothgrad.core.coarse import sized
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.cam import weighed
from smoothgrad.explainers.layers import Layer, check_rows
from smoothgrad.explainers.score import finite_scores
from smoothgrad.samplers.baseline import Baseline, Zero, based, starts

MOST = 2048  # channels: as many as the last layer of the widest networks in use has


class ByChannel(Explainer):
    """Channels weighed one after the other: what Score-CAM and Ablation-CAM share.

    How many there are, only the network knows: `passes` says how many calls `channels` would take, the most; `draws` of the result
    are those that were made after the first. Of a layer with more, those that `_size` finds largest are weighed, and the others
    left out.
    """

    layer: str | None
    channels: int

    @property
    @abstractmethod
    def before(self) -> int:
        """Model passes per row before the first channel."""

    @property
    def each(self) -> int:
        """Model passes per row for each channel."""
        return 1

    @staticmethod
    @abstractmethod
    def _size(a: Tensor) -> Tensor:
        """What makes a channel worth weighing: (N, C, *grid) -> (N, C)."""

    @abstractmethod
    def _ask(self, seen: _Seen, query: Query, draws: range, schedule: Schedule) -> Tensor:
        """Scores (k, N) of these draws: channel after channel, `each` of them for one."""

    @abstractmethod
    def _weights(self, answers: Tensor, score: Tensor) -> Tensor:
        """A weight for each channel (N, K), from the scores that were answered for it and that of the row (N,)."""

    @property
    def passes(self) -> int:
        return self.before + self.channels * self.each

    def cost(self, draws: Tensor) -> Tensor:
        return self.before + draws

    @property
    def layers(self) -> tuple[str, ...]:
        return () if self.layer is None else (self.layer,)

    @property
    def unsigned(self) -> bool:
        return True

    @property
    def unit(self) -> str:
        return "activation"

    def check(self, query: Query) -> None:
        check_rows(query)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        query = self.prepare(model, query, schedule)
        seen = _Seen.of(Layer(model, self.layer, self), query, schedule).largest(self.channels, self._size)
        answers: list[Tensor] = []
        start, end = 0, seen.order.shape[1] * self.each
        while start < end:
            draws = range(start, start + schedule.draws_at_once(len(query), self.each, end - start))
            answers.append(self._ask(seen, query, draws, schedule))
            start = draws.stop
            yield Partial(self.before + start, self.passes, self._reader(seen, torch.cat(answers)))

    def _reader(self, seen: _Seen, answers: Tensor) -> Callable[[], Estimate]:
        """The map of the channels that have been asked about so far: answers (k, N)."""

        def read() -> Estimate:
            means = answers.unflatten(0, (-1, self.each)).mean(1).T  # (k, N) -> (N, channels)
            weights = self._weights(means, seen.score)
            a = seen.activation[:, : weights.shape[1]]
            maps = weighed(a, weights.view(*weights.shape, *([1] * (a.ndim - 2)))).relu()
            return Estimate(maps, None, count(maps, len(answers)))

        return read


@final
@dataclass(frozen=True, repr=False)
class ScoreCam(ByChannel):
    """Score-CAM (Wang et al. 2020):  relu( sum_c w_c A_c ),  w = softmax over channels of s(b + M_c (x - b)).

    M_c is the channel at the size of the row, scaled to [0, 1]: what is left of the row x where the channel is active, over a
    baseline b, in the paper black. The score of b alone, which the paper subtracts, cancels in the softmax. A channel that is
    the same everywhere hides the whole row. Map (N, 1, *grid), never negative, a weighted mean of activations.

    One model pass per row for the activation, and one for each channel and baseline. Of a layer with more than `channels`,
    those that vary most over the positions are weighed.
    """

    layer: str | None = None
    baseline: Baseline = Zero()  # noqa: RUF009
    channels: int = MOST

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_channels(self)

    @property
    def before(self) -> int:
        return self.baseline.passes + 1

    @property
    def each(self) -> int:
        return self.baseline.each

    def check(self, query: Query) -> None:
        super().check(query)
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return based(self.baseline, model, query, schedule)

    @staticmethod
    def _size(a: Tensor) -> Tensor:
        return a.flatten(2).std(2)

    def _ask(self, seen: _Seen, query: Query, draws: range, schedule: Schedule) -> Tensor:
        channels = [draw // self.each for draw in draws]
        masks = masks_of(seen.activation[:, channels], query.shape).transpose(0, 1)  # (k, N, 1, *pixels)
        start = starts(query, [draw % self.each for draw in draws])
        points = start + masks * (query.x - start)
        return finite_scores(seen.layer.model, query.at(points, draws), schedule).view(len(draws), -1)

    def _weights(self, answers: Tensor, score: Tensor) -> Tensor:
        return answers.softmax(1)


@final
@dataclass(frozen=True, repr=False)
class AblationCam(ByChannel):
    """Ablation-CAM (Desai and Ramaswamy 2020):  relu( sum_c w_c A_c ),  w_c = (s - s without A_c) / |s|.

    How far the score falls when a channel is set to zero at all positions (extra tokens, such as that of the class, stay), as a
    share of the score. The paper divides by s, which it takes to be positive; |s| keeps the sign of the fall for other targets.
    Where s is 0 the fall itself is the weight. Map (N, 1, *grid), never negative, in units of the activation.

    One model pass per row for the activation, and one for each channel. Of a layer with more than `channels`, those with the
    largest sum of |A_c| are weighed: those that are zero everywhere weigh nothing anyway.
    """

    layer: str | None = None
    channels: int = MOST

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_channels(self)

    @property
    def before(self) -> int:
        return 1

    @staticmethod
    def _size(a: Tensor) -> Tensor:
        return a.flatten(2).abs().sum(2)

    def _ask(self, seen: _Seen, query: Query, draws: range, schedule: Schedule) -> Tensor:
        asked = query.at(query.x.expand(len(draws), *query.x.shape), draws)
        channel = seen.order[:, draws.start : draws.stop].T.flatten()
        # The channel travels with its row, as its last context, until the row is asked.
        asked = replace(asked, context=(*asked.context, channel))

        def ask(part: Query) -> Tensor:
            *context, number = part.context
            return seen.layer.without(replace(part, context=tuple(context)), number)

        return in_chunks(asked, schedule, ask).view(len(draws), -1)

    def _weights(self, answers: Tensor, score: Tensor) -> Tensor:
        size = torch.where(score == 0, 1, score.abs())
        return (score[:, None] - answers) / size[:, None]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a layer answered for all rows."""

    layer: Layer
    activation: Tensor  # (N, K, *grid) of the channels that are weighed
    order: Tensor  # (N, K) their numbers
    score: Tensor  # (N,)

    @staticmethod
    def of(layer: Layer, query: Query, schedule: Schedule) -> _Seen:
        """All channels, in their order."""
        scores: list[Tensor] = []

        def ask(part: Query) -> Tensor:
            activation, score = layer.look(part)
            scores.append(score)
            return activation

        a = in_chunks(query, schedule, ask)
        order = torch.arange(a.shape[1], device=a.device).expand(len(a), -1)
        return _Seen(layer, a, order, torch.cat(scores))

    def largest(self, most: int, size: Callable[[Tensor], Tensor]) -> _Seen:
        """At most so many channels of each row, the largest first; all of them as they are, where there are not more."""
        if self.activation.shape[1] <= most:
            return self
        order = size(self.activation).topk(most, dim=1).indices
        rows = torch.arange(len(order), device=order.device)[:, None]
        return replace(self, activation=self.activation[rows, order], order=order)


def masks_of(a: Tensor, shape: torch.Size) -> Tensor:
    """Maps (N, k, *grid) at the size of rows of this shape, each scaled to [0, 1]: (N, k, 1, *pixels). 0 where one is constant."""
    full = sized(a.flatten(0, 1)[:, None], shape)
    low, high = (edge(full, dim=list(range(1, full.ndim)), keepdim=True) for edge in (torch.amin, torch.amax))
    # Asked of the map itself: at the size of the rows, rounding makes a constant one vary.
    varies = (a.flatten(2).amax(2) > a.flatten(2).amin(2)).view(-1, *([1] * (full.ndim - 1))) & (high > low)
    masks: Tensor = torch.where(varies, (full - low) / torch.where(varies, high - low, 1), 0).unflatten(0, a.shape[:2])
    return masks


def _check_channels(method: ScoreCam | AblationCam) -> None:
    if method.channels < 1:
        raise BadMethod(f"{type(method).__name__} needs channels >= 1, got {method.channels}")
