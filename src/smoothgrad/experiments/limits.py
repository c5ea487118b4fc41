"""How far a map is from its limit, where the limit itself is an estimate; in numbers, and to the eye."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.measure.similarity import Ssim
from smoothgrad.methods.gradients import smoothgrad
from smoothgrad.result import Attribution
from smoothgrad.view.look import Look
from smoothgrad.view.planes import limit as brightest
from smoothgrad.view.planes import plane

# Quantities of several experiments: under these names they mean the same in all.
DISTANCE, OF_LIMIT = "distance from the limit", "relative error of the limit"
OF_LIMIT_IS = "||standard error|| / ||map|| of the limit: what it says of its own error"
SHARE = "share of the limit's norm"  # the unit of both
LOOK = Look(sign="absolute")  # how maps are shown where it is asked what the eye sees


def converged(noise: float, reference: int) -> Explainer:
    """What stands for SmoothGrad with infinitely many samples. Antithetic pairs are unbiased, and exact for a quadratic score."""
    return smoothgrad(noise, reference, sampling="antithetic")


def check_reference(reference: int, most: int) -> None:
    """A limit of `reference` samples, for maps of at most so many: raises `BadMethod` where it is no better than they, or is not in
    two pairs or more, without which nothing is known of its error."""
    least = max(most, 3)
    if reference <= least or reference % 2:
        raise BadMethod(
            f"the limit is of {reference} samples in pairs, the largest map of {most}; take more for the limit: an even "
            f"number above {least}"
        )


def error(maps: Sequence[Attribution], limit: Attribution) -> float:
    """How far maps of several seeds are from infinitely many samples, as a share of the limit's norm: sqrt(mean `squared_error`).

    Where that mean is below zero, by chance, 0; NaN where the limit cannot be told from zero.
    """
    square = sum(squared_error(one, limit) for one in maps) / len(maps)
    return square if math.isnan(square) else math.sqrt(max(square, 0.0))


def squared_error(result: Attribution, limit: Attribution) -> float:
    """(||M - L||^2 - ||S||^2) / (||L||^2 - ||S||^2), S the limit's standard errors: how far M is from what L estimates.

    Unbiased in numerator and denominator where the draws of L are its own; below zero only by chance. NaN where L cannot be told
    from zero; but equal maps without chance are 0 apart, also where they are zero.
    """
    gap, chance, size = _square(result.maps.double() - limit.maps.double()), _chance(limit), _size(limit)
    if gap == chance == 0:
        return 0.0
    return (gap - chance) / size if size > 0 else math.nan


def squared_chance(result: Attribution, limit: Attribution) -> float:
    """What is expected of `squared_error` where M estimates the same as L:  ||standard errors of M||^2 / (||L||^2 - ||S||^2)."""
    size = _size(limit)
    return _chance(result) / size if size > 0 else math.nan


def said_error(result: Attribution) -> float:
    """The relative error that a map says of itself; NaN for a single block of draws, which knows nothing of it, and for a map of
    zeros."""
    found = math.nan if result.relative_error is None else float(result.relative_error[0])
    return found if math.isfinite(found) else math.nan


def seen_alike(a: Attribution, b: Attribution) -> float:
    """SSIM of two maps of a picture as they are shown; NaN where one of them is the same everywhere."""
    one, other = shown(a), shown(b)
    return float(Ssim().of(one, other, Query.of(one, 0)))


def shown(result: Attribution) -> Tensor:
    """What the eye gets of the map of a picture: (1, 1, H, W) in [0, 1], as strong as its colour."""
    values = plane(result.maps[0], LOOK)
    top = brightest(values, LOOK.cap)
    return (values / top if top else values).clamp(max=1)[None, None]


def _chance(result: Attribution) -> float:
    """||standard errors||^2; NaN for a single block of draws."""
    return math.nan if result.stderr is None else _square(result.stderr)


def _size(limit: Attribution) -> float:
    """||map of infinitely many samples||^2, without bias."""
    return _square(limit.maps) - _chance(limit)


def _square(values: Tensor) -> float:
    return float(values.double().square().sum())
