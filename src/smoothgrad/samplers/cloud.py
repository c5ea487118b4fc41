"""Noisy copies of the input: x + scale * e, and other ways to disturb it.

`noise` is the standard deviation of what is added, so that Gaussian, Uniform and Laplace of equal noise have equal variance.
In unit "range" it is a fraction of max - min over each row of the input being explained (Smilkov et al. 2017), in unit
"channel" of max - min over each channel of each row, and in unit "absolute" it is in the units of the input itself. Of several
inputs that are explained together, "range" and "channel" both mean max - min over each input of each row.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias, final, get_args

import torch
from torch import Tensor

from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.errors import BadMethod, BadNoise, nearest
from smoothgrad.samplers.spread import (
    BLOCK,
    GAUSSIAN,
    LAPLACE,
    UNIFORM,
    Law,
    Sampling,
    check_sampling,
    check_size,
    spread,
)

Unit: TypeAlias = Literal["range", "channel", "absolute"]


class Cloud(Sampler):
    """Noise of a law around the input, its draws spread in one of several ways: what Additive and Multiplicative share."""

    noise: float
    samples: int | Until
    sampling: Sampling

    @property
    @abstractmethod
    def law(self) -> Law:
        """Of e."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_level(self, self.noise, self.samples)
        check_sampling(self, self.sampling, self.samples)

    @property
    def count(self) -> int | Until:
        return self.samples

    @property
    def block(self) -> int:
        return BLOCK[self.sampling]

    @property
    def mirrored(self) -> int:
        return 2 if self.sampling == "antithetic" else 1

    def check(self, query: Query) -> None:
        check_size(self, self.sampling, query.shape)

    def standard(self, query: Query, draws: range) -> Tensor:
        """e (k, N, *S) of mean 0 and variance 1, for each draw number, in the type of the rows and where they are."""
        return spread(self.law, self.sampling, query.key, draws, query.shape, query.x.device).to(query.x)


class Additive(Cloud):
    """x + s e, with e of mean 0 and variance 1: what Gaussian, Uniform and Laplace share."""

    unit: Unit

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_unit(self, self.unit)

    def check(self, query: Query) -> None:
        super().check(query)
        check_range(query, self.noise, self.unit)

    def draw(self, query: Query, draws: range) -> Draw:
        return _equal(query.x + scale(query, self.noise, self.unit) * self.standard(query, draws))


@final
@dataclass(frozen=True, repr=False)
class Gaussian(Additive):
    """x + s e, e ~ N(0, I): SmoothGrad's cloud (Smilkov et al. 2017).

    `sampling` says how draws are spread: "independent", "antithetic" (pairs x + s e, x - s e: what is linear in e cancels
    exactly), "stratified" or "sobol" (blocks of 8 that cover the distribution evenly); see docs/decisions/0013.
    """

    noise: float = 0.15  # fraction of max - min; Smilkov et al. 2017 recommend 0.10-0.20
    samples: int | Until = 50  # past which pictures change little (Smilkov et al. 2017)
    unit: Unit = "range"
    sampling: Sampling = "independent"

    law = GAUSSIAN


@final
@dataclass(frozen=True, repr=False)
class Uniform(Additive):
    """x + s e, e uniform in [-sqrt 3, sqrt 3], whose variance is 1."""

    noise: float = 0.15
    samples: int | Until = 50
    unit: Unit = "range"
    sampling: Sampling = "independent"

    law = UNIFORM


@final
@dataclass(frozen=True, repr=False)
class Laplace(Additive):
    """x + s e, e of density exp(-sqrt 2 |e|) / sqrt 2, whose variance is 1: heavier tails than the Gaussian's."""

    noise: float = 0.15
    samples: int | Until = 50
    unit: Unit = "range"
    sampling: Sampling = "independent"

    law = LAPLACE


@final
@dataclass(frozen=True, repr=False)
class Multiplicative(Cloud):
    """x * (1 + noise * e), e ~ N(0, I): noise in proportion to each value; zeros stay zero."""

    noise: float = 0.15
    samples: int | Until = 50
    sampling: Sampling = "independent"

    law = GAUSSIAN

    def draw(self, query: Query, draws: range) -> Draw:
        return _equal(query.x * (1 + self.noise * self.standard(query, draws)))


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
        u = numbers.uniform(query.key, draws, query.shape, query.x.device)
        low, high = extremes(query.origin, "range", query.parts)
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
        u = numbers.uniform(query.key, draws, query.shape, query.x.device)
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

    @property
    def mirrored(self) -> int:
        return self.cloud.mirrored

    def check(self, query: Query) -> None:
        self.cloud.check(query)

    def draw(self, query: Query, draws: range) -> Draw:
        points, weight, _ = self.cloud.draw(query, draws)
        return Draw(points, weight, query.x - points)


# --- scales -------------------------------------------------------------------------------------------------------------


def extremes(rows: Tensor, unit: Unit, parts: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each row, or of each channel of each row, shaped to broadcast against the rows.

    Of packed rows (N, D) with `parts`: of each part of each row, at each of its values (N, D).
    """
    if parts:
        split = rows.split(list(parts), 1)
        low = torch.cat([part.amin(1, keepdim=True).expand_as(part) for part in split], 1)
        high = torch.cat([part.amax(1, keepdim=True).expand_as(part) for part in split], 1)
        return low, high
    start = 2 if unit == "channel" and rows.ndim > 2 else 1  # (N, C, ...): over what follows the channel
    flat = rows.flatten(start)
    shape = (*flat.shape[:-1], *([1] * (rows.ndim - start)))
    return flat.amin(-1).view(shape), flat.amax(-1).view(shape)


def scale(query: Query, noise: float, unit: Unit) -> Tensor | float:
    """The standard deviation of the noise, in units of the input: a number, or one per row or channel."""
    if unit == "absolute":
        return noise
    low, high = extremes(query.origin, unit, query.parts)
    return noise * (high - low)


def check_range(query: Query, noise: float, unit: Unit) -> None:
    """Noise relative to the range of a constant row would be no noise at all: raises `BadNoise`."""
    if unit == "absolute" or noise == 0:
        return
    low, high = extremes(query.origin, "range", query.parts)
    constant = (low == high).flatten(1).nonzero().tolist()
    if constant:
        place, first = constant[0]
        row, value = int(query.row[place]), float(query.origin[place].flatten()[first])
        where, instead = "", 'give noise in the units of the input: unit="absolute"'
        if query.parts:
            part = bisect(list(accumulate(query.parts)), first)
            where, instead = f" in x[{part}]", f"{instead}, or pass x[{part}] as context, which is not disturbed"
        raise BadNoise(
            f"row {row} of {query.inputs} is constant{where} (every value is {value:g}), so that noise={noise:g} of its range is "
            f"no noise; {instead}"
        )


def _equal(points: Tensor) -> Draw:
    return Draw(points, torch.ones(len(points), dtype=torch.float64, device="cpu"))


# --- checks ----------------------------------------------------------------------------------------------------------------


def _check_level(sampler: Sampler, noise: float, samples: int | Until) -> None:
    if not (math.isfinite(noise) and noise >= 0):
        raise BadNoise(f"{type(sampler).__name__} needs noise >= 0, got {noise}")
    check_samples(sampler, samples)


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
