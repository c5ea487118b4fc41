"""How the answers of many draws become one map. Every reduction streams, but those that say they keep all draws."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, final

import torch
from torch import Tensor

from smoothgrad.core.moments import Estimate, Moments, Powers, State, count
from smoothgrad.core.shapes import Points, Weights
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod

S = TypeVar("S", bound=State)


class Reduction(Value, ABC, Generic[S]):
    """R in  map = R_k [ direction_k * inner(x_k) ]."""

    has_stderr: bool = False  # is the standard error of the result known?
    unsigned: bool = False  # can the result never be negative?
    averages: bool = True  # does its error fall with the number of draws as that of a mean does?

    @property
    def weighted(self) -> bool:
        """Does it make sense for draws of unequal weight, such as quadrature nodes?"""
        return False

    @property
    def least(self) -> int:
        """The fewest blocks of draws that it has a meaning for."""
        return 1

    def unit(self, unit: str) -> str:
        """The unit of the result, given that of the draws."""
        return unit

    @abstractmethod
    def update(self, state: S | None, values: Points, weight: Weights, block: int) -> S:
        """Take in k more draws: values (k, N, *S), weight (k,). k is a multiple of `block`."""

    @abstractmethod
    def merge(self, state: S, other: S) -> S:
        """What would be remembered of both sets of draws."""

    @abstractmethod
    def final(self, state: S) -> Estimate:
        """The map of the draws so far."""


# --- means ------------------------------------------------------------------------------------------------------------


class Averaged(Reduction[Moments]):
    """The mean over draws of a function of each: what Mean, SquareMean and SignAgreement share."""

    has_stderr = True
    weighted = True

    @staticmethod
    @abstractmethod
    def of(values: Points) -> Points:
        """The function."""

    def update(self, state: Moments | None, values: Points, weight: Weights, block: int) -> Moments:
        chunk = Moments.of(self.of(values), weight, block)
        return chunk if state is None else state.merge(chunk)

    def merge(self, state: Moments, other: Moments) -> Moments:
        return state.merge(other)

    def final(self, state: Moments) -> Estimate:
        return state.estimate()


@final
@dataclass(frozen=True, repr=False)
class Mean(Averaged):
    """The mean over draws, with its standard error s / sqrt(n). SmoothGrad's reduction (Smilkov et al. 2017).

    Also the weighted mean of a quadrature rule, whose weights sum to one.
    """

    @staticmethod
    def of(values: Points) -> Points:
        return values


@final
@dataclass(frozen=True, repr=False)
class SquareMean(Averaged):
    """The mean of squares over draws, E[v^2], never negative; with its standard error. SmoothGrad squared (Hooker 2019)."""

    unsigned = True

    def unit(self, unit: str) -> str:
        return f"({unit})²"

    @staticmethod
    def of(values: Points) -> Points:
        return values.square()


@final
@dataclass(frozen=True, repr=False)
class SignAgreement(Averaged):
    """The mean sign over draws, in [-1, 1]: +1 where every draw is positive, 0 where they are split evenly."""

    def unit(self, unit: str) -> str:
        return "mean sign"

    @staticmethod
    def of(values: Points) -> Points:
        return values.sign()


# --- variance ---------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, repr=False)
class Variance(Reduction[Powers]):
    """The unbiased variance over draws, never negative; VarGrad's reduction (Adebayo et al. 2018, Seo et al. 2018).

    s^2 = M2 / n + stderr(mean)^2, which is M2 / (n - 1) for independent draws and stays unbiased for antithetic pairs.
    Its standard error is sqrt((m4 - s^4 (n - 3) / (n - 1)) / n), m4 the fourth central moment; n counts blocks, which is
    cautious for pairs. After one draw of more to come, the map is zero and its error unknown; a method of one draw is refused.
    """

    unsigned = True
    has_stderr = True
    least = 2

    def unit(self, unit: str) -> str:
        return f"({unit})²"

    def update(self, state: Powers | None, values: Points, weight: Weights, block: int) -> Powers:
        chunk = Powers.of(values, weight, block)
        return chunk if state is None else state.merge(chunk)

    def merge(self, state: Powers, other: Powers) -> Powers:
        return state.merge(other)

    def final(self, state: Powers) -> Estimate:
        n, mean_error = state.draws, state.blocks.stderr()
        if mean_error is None:
            return Estimate(torch.zeros_like(state.mean), None, count(state.mean, n))
        variance = state.m2 / n + mean_error.square()
        spread = state.m4 / n - variance.square() * ((n - 3) / (n - 1))
        stderr = (spread.clamp_min(0) / (n / state.block)).sqrt()
        return Estimate(variance, stderr, count(state.mean, n))


# --- others that stream -------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Logs(State):
    draws: int
    log: Tensor  # sum of log |v| over the draws that are not zero
    sign: Tensor  # sum of signs
    zero: Tensor  # was any draw zero?

    def rows(self, index: Tensor) -> Logs:
        return replace(self, log=self.log[index], sign=self.sign[index], zero=self.zero[index])


@final
@dataclass(frozen=True, repr=False)
class GeometricMean(Reduction[Logs]):
    """exp(mean log |v|) with the sign of the majority of draws; zero where any draw is zero or the signs are tied.

    The geometric mean has no meaning for mixed signs: this is that of the absolute values, with a sign put to it.
    """

    def update(self, state: Logs | None, values: Points, weight: Weights, block: int) -> Logs:
        zero = values == 0
        log = values.abs().where(~zero, 1.0).log().sum(0)
        chunk = Logs(len(values), log, values.sign().sum(0), zero.any(0))
        return chunk if state is None else self.merge(state, chunk)

    def merge(self, state: Logs, other: Logs) -> Logs:
        return Logs(state.draws + other.draws, state.log + other.log, state.sign + other.sign, state.zero | other.zero)

    def final(self, state: Logs) -> Estimate:
        size = (state.log / state.draws).exp() * state.sign.sign()
        return Estimate(size.masked_fill(state.zero, 0.0), None, count(size, state.draws))


@final
@dataclass(frozen=True)
class Largest(State):
    draws: int
    size: Tensor

    def rows(self, index: Tensor) -> Largest:
        return replace(self, size=self.size[index])


@final
@dataclass(frozen=True, repr=False)
class Max(Reduction[Largest]):
    """The largest absolute value over draws, never negative. Grows with the number of draws: an extreme, no average."""

    unsigned = True
    averages = False

    def update(self, state: Largest | None, values: Points, weight: Weights, block: int) -> Largest:
        chunk = Largest(len(values), values.abs().amax(0))
        return chunk if state is None else self.merge(state, chunk)

    def merge(self, state: Largest, other: Largest) -> Largest:
        return Largest(state.draws + other.draws, torch.maximum(state.size, other.size))

    def final(self, state: Largest) -> Estimate:
        return Estimate(state.size, None, count(state.size, state.draws))


@final
@dataclass(frozen=True)
class Groups(State):
    draws: int
    counts: tuple[int, ...]  # how many blocks each of the G groups has
    sums: Tensor  # (N, G, *S) sums of block means

    def rows(self, index: Tensor) -> Groups:
        return replace(self, sums=self.sums[index])


@final
@dataclass(frozen=True, repr=False)
class MedianOfMeans(Reduction[Groups]):
    """The median of the means of `groups` equal groups of draws: robust to rare large draws, and it streams.

    Blocks of draws go to the groups in turn. With an even number of groups, the mean of the two middle ones.
    """

    groups: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1:
            raise BadMethod(f"MedianOfMeans needs groups >= 1, got {self.groups}")

    def update(self, state: Groups | None, values: Points, weight: Weights, block: int) -> Groups:
        means = values.unflatten(0, (-1, block)).mean(1)  # (k/b, N, *S)
        if state is None:
            rows, *shape = means.shape[1:]
            state = Groups(0, (0,) * self.groups, means.new_zeros(rows, self.groups, *shape))
        turn = [(sum(state.counts) + place) % self.groups for place in range(len(means))]
        sums = state.sums.index_add(1, torch.tensor(turn, device=means.device), means.movedim(0, 1))
        counts = tuple(before + turn.count(group) for group, before in enumerate(state.counts))
        return Groups(state.draws + len(values), counts, sums)

    def merge(self, state: Groups, other: Groups) -> Groups:
        # The other's groups from the middle on: so that two sets of few draws fill all groups between them.
        half = -(-self.groups // 2)
        counts = tuple(count + other.counts[group - half] for group, count in enumerate(state.counts))
        return Groups(state.draws + other.draws, counts, state.sums + other.sums.roll(half, 1))

    def final(self, state: Groups) -> Estimate:
        used = [group for group, count in enumerate(state.counts) if count]
        counts = torch.tensor([state.counts[group] for group in used])
        shape = (1, len(used), *([1] * (state.sums.ndim - 2)))
        means = state.sums[:, used] / counts.to(state.sums).view(shape)
        return Estimate(_middle(means), None, count(means, state.draws))


# --- those that keep all draws ------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Kept(State):
    """All draws so far, in pieces (k_i, N, *S)."""

    pieces: tuple[Tensor, ...]

    def rows(self, index: Tensor) -> Kept:
        return Kept(tuple(piece[:, index] for piece in self.pieces))

    def sorted(self) -> Tensor:
        """(N, n, *S), ascending along the draws."""
        return torch.cat(self.pieces).movedim(0, 1).sort(dim=1).values


class Sorted(Reduction[Kept]):
    """Order statistics, exactly: what Median and TrimmedMean share."""

    def update(self, state: Kept | None, values: Points, weight: Weights, block: int) -> Kept:
        chunk = Kept((values,))
        return chunk if state is None else self.merge(state, chunk)

    def merge(self, state: Kept, other: Kept) -> Kept:
        return Kept((*state.pieces, *other.pieces))


@final
@dataclass(frozen=True, repr=False)
class Median(Sorted):
    """The median over draws; of an even number, the mean of the two middle ones. Keeps all draws: memory grows with n."""

    def final(self, state: Kept) -> Estimate:
        ranked = state.sorted()
        return Estimate(_middle_of_sorted(ranked), None, count(ranked, ranked.shape[1]))


@final
@dataclass(frozen=True, repr=False)
class TrimmedMean(Sorted):
    """The mean without the lowest and the highest `fraction` of draws each. Keeps all draws: memory grows with n."""

    fraction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.fraction < 0.5:
            raise BadMethod(f"TrimmedMean needs 0 <= fraction < 0.5, got {self.fraction}")

    def final(self, state: Kept) -> Estimate:
        ranked = state.sorted()
        n = ranked.shape[1]
        cut = math.floor(n * self.fraction + 1e-9)  # 0.29 * 100 is 28.999... in binary
        return Estimate(ranked[:, cut : n - cut].mean(1), None, count(ranked, n))


# --- several at once ------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class States(State):
    parts: tuple[Any, ...]  # one state per reduction, each of its own type

    def rows(self, index: Tensor) -> States:
        return States(tuple(part.rows(index) for part in self.parts))


@final
@dataclass(frozen=True, init=False)
class Together(Reduction[States]):
    """Several reductions of one set of draws: a map each, (N, R, *S), at the price of one in model passes.

    >>> Together(Mean(), Variance())
    Together(Mean(), Variance())
    """

    reductions: tuple[Reduction[Any], ...]

    averages = False  # several maps: each would have an agreement of its own

    def __init__(self, *reductions: Reduction[Any]) -> None:
        if not reductions or any(isinstance(part, Together) for part in reductions):
            raise BadMethod("Together takes one or more reductions, none of them a Together itself")
        object.__setattr__(self, "reductions", reductions)
        self.__post_init__()

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self.reductions))})"

    @property
    def weighted(self) -> bool:
        return all(part.weighted for part in self.reductions)

    @property
    def least(self) -> int:
        return max(part.least for part in self.reductions)

    def update(self, state: States | None, values: Points, weight: Weights, block: int) -> States:
        before = [None] * len(self.reductions) if state is None else state.parts
        return States(
            tuple(part.update(was, values, weight, block) for part, was in zip(self.reductions, before, strict=True))
        )

    def merge(self, state: States, other: States) -> States:
        both = zip(self.reductions, state.parts, other.parts, strict=True)
        return States(tuple(part.merge(one, two) for part, one, two in both))

    def final(self, state: States) -> Estimate:
        parts = [part.final(was) for part, was in zip(self.reductions, state.parts, strict=True)]
        value = torch.stack([part.value for part in parts], dim=1)
        # NaN where a reduction does not know its error; Attribution.parts() gives None there
        unknown = torch.full_like(parts[0].value, torch.nan)
        stderr = torch.stack([unknown if part.stderr is None else part.stderr for part in parts], dim=1)
        return Estimate(value, stderr, parts[0].draws)


def _middle(values: Tensor) -> Tensor:
    """The median along dimension 1."""
    return _middle_of_sorted(values.sort(dim=1).values)


def _middle_of_sorted(ranked: Tensor) -> Tensor:
    n = ranked.shape[1]
    return (ranked[:, (n - 1) // 2] + ranked[:, n // 2]) / 2
