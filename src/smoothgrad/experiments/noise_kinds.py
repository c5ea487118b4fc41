"""Kinds of noise that can be made equally strong on a picture: what gives each that variance, and what it does to the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Sampler
from smoothgrad.core.value import content_key
from smoothgrad.errors import BadNoise
from smoothgrad.samplers.cloud import Dropout, Gaussian, Laplace, Multiplicative, SaltAndPepper, Uniform


class Kind(NamedTuple):
    """A kind of noise."""

    make: Callable[[float, int], Sampler]  # parameter, samples
    unit: str  # of the parameter
    fitted: bool  # does the parameter depend on the picture?


SOURCES: dict[str, Kind] = {
    "gaussian": Kind(Gaussian, "share of the picture's range", False),
    "uniform": Kind(Uniform, "share of the picture's range", False),
    "laplace": Kind(Laplace, "share of the picture's range", False),
    "salt-and-pepper": Kind(SaltAndPepper, "probability", True),
    "dropout": Kind(Dropout, "probability", True),
    "multiplicative": Kind(Multiplicative, "share of each value", True),
}


def level(source: str, noise: float, x: Tensor) -> float:
    """The parameter that gives a source a variance of (noise r)^2 on a picture x (1, *S), r its range: see `NoiseSource`.

    Raises `BadNoise` where there is none, and for a constant picture.

    >>> x = torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    >>> round(level("dropout", 0.3, x), 3), round(level("multiplicative", 0.3, x), 3)
    (0.139, 0.346)
    """
    values = x.double().flatten()
    low, high = values.aminmax()
    scale = float(high - low)
    if scale == 0:
        raise BadNoise(
            f"the picture is constant (every value is {float(low):g}): there is no range to take noise={noise:g} of"
        )
    size = float(values.square().mean())
    match source:
        case "salt-and-pepper":
            away = float(((low + high) / 2 - values).square().mean())
            return _probability(source, noise, scale, away + (scale / 2) ** 2, away)
        case "dropout":
            return _probability(source, noise, scale, size, size)
        case "multiplicative":
            return noise * scale / math.sqrt(size)
        case _:
            return noise


def _probability(source: str, noise: float, scale: float, rise: float, fall: float) -> float:
    """The smallest p in [0, 1] with  rise p - fall p^2 = (noise scale)^2, where 0 <= fall <= rise. Raises `BadNoise`."""
    square = (noise * scale) ** 2
    best = min(1.0, rise / (2 * fall)) if fall else 1.0
    most = rise * best - fall * best**2
    if square > most * (1 + 1e-9):  # rounding
        reach = math.sqrt(most) / scale
        raise BadNoise(
            f"{source} cannot be as strong as noise={noise:g} on this picture: the most it can have is {reach:.3g} of the "
            f"picture's range, at probability {best:.3g}; take less noise, or leave {source} out"
        )
    # The smaller root, written so that nothing is lost where fall is small.
    return min(best, 2 * square / (rise + math.sqrt(max(rise**2 - 4 * fall * square, 0.0))))


class Movement(NamedTuple):
    """What a cloud does to a picture, in the units of the picture."""

    spread: float  # standard deviation, root mean square over the values
    shift: float  # the mean of what is added, root mean square over the values, less what is chance
    first: Tensor  # (1, *S) its first draw


def movement(cloud: Sampler, x: Tensor, seed: int) -> Movement:
    """Measured on the very draws that the map of the picture x (1, *S) is made of."""
    query = Query.of(x, 0, seed=seed, keys=torch.tensor([content_key(x)]))
    points = cloud.draw(query, range(cloud.most())).points
    added = points.double() - x.double()  # (k, 1, *S)
    variance = float(added.var(dim=0).mean())
    shift = float(added.mean(dim=0).square().mean()) - variance / len(added)
    return Movement(math.sqrt(variance), math.sqrt(max(shift, 0.0)), points[0])
