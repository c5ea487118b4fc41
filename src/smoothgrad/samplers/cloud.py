"""Noisy copies of the input: x + scale * e, and other ways to disturb it.

`noise` is the standard deviation of what is added, so that Gaussian, Uniform and Laplace of equal noise have equal variance.
In unit "range" it is a fraction of max - min over each row of the input being explained (Smilkov et al. 2017), in unit
"channel" of max - min over each channel of each row, and in unit "absolute" it is in the units of the input itself.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

import torch
from torch import Tensor

from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.errors import BadMethod, BadNoise, nearest

Unit: TypeAlias = Literal["range", "channel", "absolute"]


class Additive(Sampler):
    """x + s e, with e of mean 0 and variance 1: what Gaussian, Uniform and Laplace share."""

    noise: float
    samples: int | Until
    unit: Unit
    antithetic: bool

    @staticmethod
    @abstractmethod
    def standard(keys: Tensor, draws: range, shape: torch.Size) -> Tensor:
        """e of mean 0 and variance 1, symmetric: (k, N, *shape) for keys (N,)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_level(self, self.noise, self.samples, self.antithetic)
        _check_unit(self, self.unit)

    @property
    def count(self) -> int | Until:
        return self.samples

    @property
    def block(self) -> int:
        return 2 if self.antithetic else 1

    def check(self, query: Query) -> None:
        check_range(query, self.noise, self.unit)

    def draw(self, query: Query, draws: range) -> Draw:
        e = _mirrored(self.standard, query, draws, self.antithetic)
        return _equal(query.x + scale(query, self.noise, self.unit) * e)


@final
@dataclass(frozen=True, repr=False)
class Gaussian(Additive):
    """x + s e, e ~ N(0, I): SmoothGrad's cloud (Smilkov et al. 2017).

    `antithetic=True` draws pairs x + s e, x - s e: what is linear in e cancels exactly.
    """

    noise: float = 0.15  # fraction of max - min; Smilkov et al. 2017 recommend 0.10-0.20
    samples: int | Until = 50  # past which pictures change little (Smilkov et al. 2017)
    unit: Unit = "range"
    antithetic: bool = False

    @staticmethod
    def standard(keys: Tensor, draws: range, shape: torch.Size) -> Tensor:
        return numbers.normal(keys, draws, shape)


@final
@dataclass(frozen=True, repr=False)
class Uniform(Additive):
    """x + s e, e uniform in [-sqrt 3, sqrt 3], whose variance is 1."""

    noise: float = 0.15
    samples: int | Until = 50
    unit: Unit = "range"
    antithetic: bool = False

    @staticmethod
    def standard(keys: Tensor, draws: range, shape: torch.Size) -> Tensor:
        return (2 * numbers.uniform(keys, draws, shape) - 1) * math.sqrt(3)


@final
@dataclass(frozen=True, repr=False)
class Laplace(Additive):
    """x + s e, e of density exp(-sqrt 2 |e|) / sqrt 2, whose variance is 1: heavier tails than the Gaussian's."""

    noise: float = 0.15
    samples: int | Until = 50
    unit: Unit = "range"
    antithetic: bool = False

    @staticmethod
    def standard(keys: Tensor, draws: range, shape: torch.Size) -> Tensor:
        # The inverse of the distribution function; 1 - 2|u| is kept off 0, whose logarithm is infinite.
        u = numbers.uniform(keys, draws, shape) - 0.5
        return -u.sign() * (1 - 2 * u.abs()).clamp_min(2**-25).log() / math.sqrt(2)


@final
@dataclass(frozen=True, repr=False)
class Multiplicative(Sampler):
    """x * (1 + noise * e), e ~ N(0, I): noise in proportion to each value; zeros stay zero."""

    noise: float = 0.15
    samples: int | Until = 50
    antithetic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_level(self, self.noise, self.samples, self.antithetic)

    @property
    def count(self) -> int | Until:
        return self.samples

    @property
    def block(self) -> int:
        return 2 if self.antithetic else 1

    def draw(self, query: Query, draws: range) -> Draw:
        e = _mirrored(numbers.normal, query, draws, self.antithetic)
        return _equal(query.x * (1 + self.noise * e))


@final
@dataclass(frozen=True, repr=False)
class SaltAndPepper(Sampler):
    """Each value becomes the row's largest or smallest one with probability `noise`, half of each."""

    noise: float = 0.05  # a probability
    samples: int | Until = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_probability(self, self.noise, self.samples)

    @property
    def count(self) -> int | Until:
        return self.samples

    def check(self, query: Query) -> None:
        check_range(query, self.noise, "range")

    def draw(self, query: Query, draws: range) -> Draw:
        u = numbers.uniform(query.key, draws, query.shape).to(query.x.device)
        low, high = extremes(query.origin, "range")
        points = query.x.expand(u.shape)
        points = torch.where(u < self.noise, high, points)
        return _equal(torch.where(u < self.noise / 2, low, points))


@final
@dataclass(frozen=True, repr=False)
class Dropout(Sampler):
    """x * m, each m = 0 with probability `noise` and else 1: a Bernoulli mask. What is left is not scaled up."""

    noise: float = 0.15  # a probability
    samples: int | Until = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_probability(self, self.noise, self.samples)

    @property
    def count(self) -> int | Until:
        return self.samples

    def draw(self, query: Query, draws: range) -> Draw:
        u = numbers.uniform(query.key, draws, query.shape).to(query.x.device)
        return _equal(query.x * (u >= self.noise))


@final
@dataclass(frozen=True, repr=False)
class Roots(Sampler):
    """The points z of a cloud around x, with direction x - z: SmoothTaylor's roots (Goh et al. 2021)."""

    cloud: Sampler

    directed = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cloud.directed or self.cloud.weighted or not self.cloud.random:
            raise BadMethod(f"Roots takes a cloud such as Gaussian(...), got {self.cloud!r}")

    @property
    def count(self) -> int | Until:
        return self.cloud.count

    @property
    def block(self) -> int:
        return self.cloud.block

    def check(self, query: Query) -> None:
        self.cloud.check(query)

    def draw(self, query: Query, draws: range) -> Draw:
        points, weight, _ = self.cloud.draw(query, draws)
        return Draw(points, weight, query.x - points)


# --- scales -------------------------------------------------------------------------------------------------------------


def extremes(rows: Tensor, unit: Unit) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each row, or of each channel of each row, shaped to broadcast against the rows."""
    start = 2 if unit == "channel" and rows.ndim > 2 else 1  # (N, C, ...): over what follows the channel
    flat = rows.flatten(start)
    shape = (*flat.shape[:-1], *([1] * (rows.ndim - start)))
    return flat.amin(-1).view(shape), flat.amax(-1).view(shape)


def scale(query: Query, noise: float, unit: Unit) -> Tensor | float:
    """The standard deviation of the noise, in units of the input: a number, or one per row or channel."""
    if unit == "absolute":
        return noise
    low, high = extremes(query.origin, unit)
    return noise * (high - low)


def check_range(query: Query, noise: float, unit: Unit) -> None:
    """Noise relative to the range of a constant row would be no noise at all: raises `BadNoise`."""
    if unit == "absolute" or noise == 0:
        return
    low, high = extremes(query.origin, "range")
    constant = (low == high).flatten().nonzero().flatten().tolist()
    if constant:
        row, value = int(query.row[constant[0]]), float(query.origin[constant[0]].flatten()[0])
        raise BadNoise(
            f"row {row} of {query.inputs} is constant (every value is {value:g}), so that noise={noise:g} of its range is "
            'no noise; give noise in the units of the input: unit="absolute"'
        )


# --- shared by the clouds --------------------------------------------------------------------------------------------------


def _equal(points: Tensor) -> Draw:
    return Draw(points, torch.ones(len(points), dtype=torch.float64, device="cpu"))


def _mirrored(fill: numbers.Fill, query: Query, draws: range, antithetic: bool) -> Tensor:
    """Noise e_k (k, N, *S) for each draw number; in antithetic pairs e_0, -e_0, e_1, -e_1, ..."""
    if not antithetic:
        return fill(query.key, draws, query.shape).to(query.x)
    pairs = range(draws.start // 2, (draws.stop + 1) // 2)
    e = fill(query.key, pairs, query.shape).to(query.x)
    both = torch.stack([e, -e], dim=1).flatten(0, 1)
    offset = draws.start - 2 * pairs.start
    return both[offset : offset + len(draws)]


# --- checks ----------------------------------------------------------------------------------------------------------------


def _check_level(sampler: Sampler, noise: float, samples: int | Until, antithetic: bool) -> None:
    if not (math.isfinite(noise) and noise >= 0):
        raise BadNoise(f"{type(sampler).__name__} needs noise >= 0, got {noise}")
    check_samples(sampler, samples)
    most = samples.most if isinstance(samples, Until) else samples
    if antithetic and most % 2:
        raise BadMethod(f"antithetic pairs need an even number of samples, got {most}")


def _check_probability(sampler: Sampler, noise: float, samples: int | Until) -> None:
    if not 0 <= noise <= 1:
        raise BadNoise(f"{type(sampler).__name__}'s noise is a probability from 0 to 1, got {noise}")
    check_samples(sampler, samples)


def check_samples(sampler: Sampler, samples: int | Until) -> None:
    """At least one sample."""
    if isinstance(samples, Until):
        return
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise BadMethod(f"{type(sampler).__name__} needs samples >= 1 or Until(...), got {samples!r}")


def _check_unit(sampler: Sampler, unit: str) -> None:
    if unit not in get_args(Unit):
        raise BadMethod(f"{type(sampler).__name__} has no unit {unit!r}; {nearest(unit, get_args(Unit))}")
