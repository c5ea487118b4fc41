"""Moments that merge: the arithmetic beneath means and variances, chunk by chunk.

Never E[g^2] - E[g]^2, which goes negative in float32 (Chan, Golub, LeVeque 1983; higher orders: Pébay 2008). Draws that belong
together (an antithetic pair) form a *block*: standard errors are taken over the means of blocks, which are independent of each
other where the draws inside one are not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.core.shapes import Points, Weights


class Estimate(NamedTuple):
    """A map per row, with its Monte-Carlo standard error where it is known."""

    value: Tensor  # (N, *S), or (N, R, *S) from Together
    stderr: Tensor | None  # like value
    draws: Tensor  # (N,) how many draws each row's map is made of
    halves: Halves | None = None  # the same of two halves of the draws, where that tells how two seeds would agree


class Halves(NamedTuple):
    """The maps of two halves of the draws, every other block: two independent answers to the same question."""

    first: Tensor  # (N, *S)
    second: Tensor  # (N, *S)
    share: Tensor  # (N,) of the draws that went into the first


class State(ABC):
    """What a reduction remembers between chunks: tensors with the rows first."""

    @abstractmethod
    def rows(self, index: Tensor) -> State:
        """The same for some of the rows, when the others have left the batch."""


@final
@dataclass(frozen=True)
class Moments(State):
    """Weighted mean over blocks, and the sum of squared deviations from it."""

    draws: int
    blocks: int
    weight: float
    mean: Tensor  # (N, *S)
    m2: Tensor  # (N, *S)  sum of w (v - mean)^2

    def rows(self, index: Tensor) -> Moments:
        return replace(self, mean=self.mean[index], m2=self.m2[index])

    @staticmethod
    def of(values: Points, weight: Weights, block: int) -> Moments:
        draws = len(values)
        if block > 1:
            values = values.unflatten(0, (-1, block)).mean(1)  # (k, N, *S) -> (k/b, N, *S)
            weight = weight.unflatten(0, (-1, block)).sum(1)
        total = weight.sum()
        share = weight.to(values) / total.to(values)
        if len(values) == 1:
            return Moments(draws, 1, float(total), values[0], torch.zeros_like(values[0]))
        mean = torch.tensordot(share, values, dims=1)
        m2 = float(total) * torch.tensordot(share, (values - mean).square(), dims=1)
        return Moments(draws, len(values), float(total), mean, m2)

    def merge(self, other: Moments) -> Moments:
        # mean = mean_a + d w_b / w,   m2 = m2_a + m2_b + d^2 w_a w_b / w,   d = mean_b - mean_a
        weight = self.weight + other.weight
        d = other.mean - self.mean
        return Moments(
            self.draws + other.draws,
            self.blocks + other.blocks,
            weight,
            self.mean + d * (other.weight / weight),
            self.m2 + other.m2 + d.square() * (self.weight * other.weight / weight),
        )

    def stderr(self) -> Tensor | None:
        """sqrt(s^2 / n) over n blocks, s^2 with n - 1; unknown from one block."""
        if self.blocks < 2:
            return None
        return (self.m2 / (self.weight * (self.blocks - 1))).sqrt()

    def estimate(self) -> Estimate:
        return Estimate(self.mean, self.stderr(), count(self.mean, self.draws))


@final
@dataclass(frozen=True)
class Powers(State):
    """Mean and the sums of second, third and fourth powers of deviations from it, draw by draw."""

    draws: int
    block: int
    mean: Tensor
    m2: Tensor
    m3: Tensor
    m4: Tensor
    blocks: Moments  # of the means of blocks: how sure the mean is when draws inside a block depend on each other

    def rows(self, index: Tensor) -> Powers:
        m2, m3, m4 = self.m2[index], self.m3[index], self.m4[index]
        return replace(self, mean=self.mean[index], m2=m2, m3=m3, m4=m4, blocks=self.blocks.rows(index))

    @staticmethod
    def of(values: Points, weight: Weights, block: int) -> Powers:
        mean = values.mean(0)
        deviation = values - mean
        square = deviation.square()
        m2, m3, m4 = square.sum(0), (square * deviation).sum(0), square.square().sum(0)
        return Powers(len(values), block, mean, m2, m3, m4, Moments.of(values, weight, block))

    def merge(self, other: Powers) -> Powers:
        a, b = self.draws, other.draws
        n = a + b
        d = other.mean - self.mean
        m3 = self.m3 + other.m3 + d**3 * (a * b * (a - b) / n**2) + d * (3 / n) * (a * other.m2 - b * self.m2)
        m4 = (
            self.m4
            + other.m4
            + d**4 * (a * b * (a * a - a * b + b * b) / n**3)
            + d.square() * (6 / n**2) * (a * a * other.m2 + b * b * self.m2)
            + d * (4 / n) * (a * other.m3 - b * self.m3)
        )
        m2 = self.m2 + other.m2 + d.square() * (a * b / n)
        return Powers(n, self.block, self.mean + d * (b / n), m2, m3, m4, self.blocks.merge(other.blocks))


def count(rows: Tensor, draws: int) -> Tensor:
    """As many draws for each row: (N,)."""
    return torch.full((len(rows),), draws, device=rows.device)
