"""Points along paths from a baseline to the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core import noise as numbers
from smoothgrad.core.ask import scores
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Data
from smoothgrad.errors import BadMethod, NonFinite
from smoothgrad.samplers.baseline import Baseline, Zero, based, starts
from smoothgrad.samplers.cloud import Gaussian
from smoothgrad.samplers.data import ByData
from smoothgrad.samplers.quadrature import Quadrature, check, nodes_and_weights

GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, fill [0, 1] evenly, whenever one stops


@final
@dataclass(frozen=True, repr=False)
class StraightPath(Sampler):
    """b + a_k (x - b) with direction x - b: the straight path of Integrated Gradients (Sundararajan et al. 2017).

    The a_k and their weights are a quadrature rule's. With B baselines, `steps` points on the path from each.
    """

    baseline: Baseline = Zero()  # noqa: RUF009
    steps: int = 50  # Sundararajan et al. 2017: 20 to 300
    quadrature: Quadrature = "gauss-legendre"

    random = False
    directed = True
    weighted = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.quadrature, self.steps)

    @property
    def count(self) -> int:
        return self.steps * self.baseline.each

    @property
    def passes(self) -> int:
        return self.baseline.passes

    def check(self, query: Query) -> None:
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return based(self.baseline, model, query, schedule)

    def draw(self, query: Query, draws: range) -> Draw:
        nodes, weights = nodes_and_weights(self.quadrature, self.steps)
        node = torch.tensor([draw % self.steps for draw in draws], device="cpu")
        start = starts(query, [draw // self.steps for draw in draws])
        direction = query.x - start
        return Draw(start + _column(nodes[node], query) * direction, weights[node] / self.baseline.each, direction)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        """score(x) - score(b), the mean over baselines: what the exact integral sums to."""
        query = self.prepare(model, query, schedule)
        assert query.baseline is not None, "prepare has just set it"
        there = torch.stack([scores(model, query.with_x(start), schedule) for start in query.baseline.unbind(1)])
        change = scores(model, query, schedule) - there.mean(0)
        if not change.isfinite().all():
            row = int(query.row[(~change.isfinite()).nonzero()[0, 0].cpu()])
            raise NonFinite(
                f"the score at the baseline of row {row} is NaN or infinity; choose another baseline than {self.baseline!r}"
            )
        return change


@final
@dataclass(frozen=True, repr=False)
class NoisyPath(Sampler):
    """b + a_k (x + s e_k - b) with direction x + s e_k - b: one noise draw for each point of the path, jointly.

    The positions a_k are multiples of the golden ratio, shifted at random per row: evenly spread after any number of draws.
    Nesting m steps in each of n noise draws asks the path m times for the same noise, while the error comes from the noise.
    Several baselines take turns, one draw (or antithetic pair) each; a round of all is spread evenly over the path, and a block is
    made of whole rounds.
    The standard error treats positions as random, which is cautious.
    """

    cloud: Sampler = Gaussian(noise=0.1, samples=200)  # noqa: RUF009
    baseline: Baseline = Zero()  # noqa: RUF009

    directed = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cloud.directed or self.cloud.weighted or not self.cloud.random:
            raise BadMethod(f"NoisyPath takes a cloud such as Gaussian(...), got {self.cloud!r}")
        most = self.most()
        if most % self.block:
            raise BadMethod(
                f"{self.baseline!r} takes rounds of {self.block} draws, so that each baseline has its share; "
                f"{most} is no multiple: take {-(-most // self.block) * self.block} samples"
            )

    @property
    def count(self) -> int | Until:
        return self.cloud.count

    @property
    def afresh(self) -> bool:  # type: ignore[override]
        return not self.baseline.random

    @property
    def block(self) -> int:
        return math.lcm(self.cloud.block, self.cloud.mirrored * self.baseline.each)

    @property
    def passes(self) -> int:
        return self.baseline.passes

    def check(self, query: Query) -> None:
        self.cloud.check(query)
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return based(self.baseline, model, query, schedule)

    def draw(self, query: Query, draws: range) -> Draw:
        ends, weight, _ = self.cloud.draw(query, draws)
        # The two of an antithetic pair share their place on the path, and their baseline.
        turn = [draw // self.cloud.mirrored for draw in draws]
        shift = numbers.uniform(numbers.salted(query.key, "place"), range(1), torch.Size([]))[0].double()  # (N,)
        # Rounds follow the golden ratio, and inside a round the places are spread evenly: were the sequence to run through the
        # baselines, each would be asked near the same place again for B = 5, 8, 13, ..., and rounds would resemble each other.
        each = self.baseline.each
        steps = torch.tensor(
            [GOLDEN * (t // each) + (t % each) / each for t in turn], dtype=torch.float64, device="cpu"
        )
        place = (shift + steps[:, None]) % 1.0  # (k, N)
        start = starts(query, [t % self.baseline.each for t in turn])
        direction = ends - start
        return Draw(start + _column(place, query) * direction, weight, direction)


@final
@dataclass(frozen=True, repr=False)
class DataPaths(ByData):
    """b_k + u_k (x - b_k) with direction x - b_k: b_k a random row of the data, u_k uniform (Erion et al. 2019).

    Expected Gradients' paths. Rows are drawn with replacement, and draws are independent of each other, so that the standard error
    is exact.
    """

    data: Tensor | Data
    samples: int | Until = 200

    def between(self, start: Tensor, query: Query, draws: range) -> Tensor:
        u = numbers.uniform(numbers.salted(query.key, "place"), draws, torch.Size([]))  # (k, N)
        return start + _column(u, query) * (query.x - start)


def _column(numbers: Tensor, query: Query) -> Tensor:
    """(k,) or (k, N) shaped to multiply rows (k, N, *S), in their type."""
    column = numbers if numbers.ndim == 2 else numbers[:, None]
    return column.to(query.x).view(*column.shape, *([1] * len(query.shape)))
