"""NoiseGrad: explanations averaged over networks whose weights are disturbed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core import noise as numbers
from smoothgrad.core.ask import network_in
from smoothgrad.core.copies import frozen_copy
from smoothgrad.core.explainer import Around, Explainer, Partial
from smoothgrad.core.halving import Halving, gather, known
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.reduce import Mean
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, BadNoise
from smoothgrad.explainers.combine import both
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.single import check_single


@final
@dataclass(frozen=True, repr=False)
class NoisyWeights(Around):
    """The mean of `inner` over networks with disturbed weights (Bykov et al. 2021):  E_n[ inner of f(x; w n) ],  n ~ N(1, noise^2).

    Each parameter of the network, biases and batch norms' scales included, is multiplied by a number of its own; buffers stay. Map
    and unit are those of `inner`, with their Monte-Carlo standard error over the `samples` networks. Around a cloud,
    `NoisyWeights(smoothgrad(...))`, every network is asked at points of its own: FusionGrad.

    One private copy of the network is disturbed again and again; the model itself is left as found. The numbers depend on the seed
    of the run, on the draw and on where in the network they go: all rows see the same networks, whatever the batch. Under a cloud,
    `NoisyWeights(...).over(...)`, all of its draws share them too, and its standard error is that of the cloud alone.

    Weights are disturbed as they stand in the network that is given: one prepared by `prepare`, with its batch norms folded, has
    others and so another map. Raises `UnsupportedModel` for a network that cannot be copied.
    """

    inner: Explainer = Gradient()  # noqa: RUF009
    noise: float = 0.2  # of a weight of 1; both numbers are those of the authors' code
    samples: int = 10

    random = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_single(self.inner, "NoisyWeights")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise BadNoise(f"NoisyWeights needs noise >= 0, got {self.noise}")
        if self.samples < 1:
            raise BadMethod(f"NoisyWeights needs samples >= 1, got {self.samples}")

    @property
    def needs_itself(self) -> bool:
        return True

    @property
    def passes(self) -> int:
        return self.samples * self.inner.passes

    def cost(self, draws: Tensor) -> Tensor:
        return draws * self.inner.passes

    def freedom(self, draws: Tensor) -> Tensor | None:
        return draws - 1

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        twin = frozen_copy(model)
        one = torch.ones(1, dtype=torch.float64, device="cpu")
        state: Halving | None = None
        reached = _known(None)
        for draw in range(self.samples):
            disturb(network_in(twin), network_in(model), self.noise, query.seed, draw)
            # Keys of its own for each network: what is random inside is drawn afresh.
            asked = query.at(query.x[None], range(draw, draw + 1))
            *_, last = self.inner.partials(twin, asked, schedule)
            reached = both(reached, _known(last.converged()))
            state = gather(Mean(), state, last.estimate().value[None], one, 1, draw)
            yield Partial((draw + 1) * self.inner.passes, self.passes, _reader(state), reached)


@torch.no_grad()
def disturb(twin: nn.Module, network: nn.Module, noise: float, seed: int, draw: int) -> None:
    """Every parameter of the twin becomes the network's times N(1, noise^2), by the seed, the draw, and its number there."""
    key = numbers.salted(torch.tensor([seed], device="cpu"), "weights")
    pairs = zip(twin.parameters(), network.parameters(), strict=True)
    for number, (disturbed, weight) in enumerate(pairs):
        if weight.is_floating_point():
            own = numbers.mix(key, torch.full_like(key, number))
            e = numbers.normal(own, range(draw, draw + 1), weight.shape, weight.device)[0, 0]
            disturbed.copy_(weight * (1 + noise * e.to(weight.dtype)))


def _known(converged: Tensor | None) -> Callable[[], Tensor | None]:
    return lambda: converged


def _reader(state: Halving) -> Callable[[], Estimate]:
    return lambda: known(Mean(), state)
