"""How the draws of a cloud are spread over its distribution: each by itself, in mirrored pairs, or in blocks of eight.

"independent"   each draw by itself.
"antithetic"    pairs e, -e: what is odd in e cancels exactly (Hammersley and Morton 1956).
"stratified"    blocks of 8, a Latin hypercube: in each dimension the 8 draws fall into the 8 strata of equal probability, in an
                order of its own: the additive part of a function is nearly exact (McKay, Beckman, Conover 1979).
"sobol"         blocks of 8, the same 8 points of a scrambled Sobol sequence (Sobol 1967, Owen 1997) under a digital shift of its
                own: strata too, and some evenness between dimensions; for rows of up to 21,201 values.

Every draw has the distribution itself, so that means stay unbiased; blocks are independent of each other, so that the standard
error over the means of blocks is honest. All of it is a pure function of the row's key and the draw number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from smoothgrad.core import noise as numbers
from smoothgrad.core.sampler import Sampler, Until
from smoothgrad.errors import BadMethod, nearest

Sampling: TypeAlias = Literal["independent", "antithetic", "sobol", "stratified"]

BLOCK: dict[str, int] = {"independent": 1, "antithetic": 2, "sobol": 8, "stratified": 8}  # draws that belong together
# A number in (0, 1) is the middle of one of 2^23 equal cells: exact in float32, symmetric about 1/2, and neither 0 nor 1.
_BITS = 23
_STRATUM = _BITS - 3  # 8 strata are the highest 3 bits of a cell's number


class Law(NamedTuple):
    """A distribution of mean 0 and variance 1, symmetric about 0."""

    fill: numbers.Fill  # independent numbers of it
    quantile: Callable[[Tensor], Tensor]  # u in (0, 1), float32 -> e; monotone


def spread(
    law: Law, sampling: Sampling, keys: Tensor, draws: range, shape: torch.Size, device: torch.device | None = None
) -> Tensor:
    """e (k, N, *shape), float32, of the law, for keys (N,) and k draw numbers."""
    if sampling == "independent":
        return law.fill(keys, draws, shape, device)
    size = BLOCK[sampling]
    blocks = range(draws.start // size, -(-draws.stop // size))
    if sampling == "antithetic":
        e = law.fill(keys, blocks, shape, device)
        whole = torch.stack([e, -e], dim=1).flatten(0, 1)  # e_0, -e_0, e_1, -e_1, ...
    else:
        cells = (_sobol if sampling == "sobol" else _stratified)(keys, blocks, shape, device)
        whole = law.quantile(cells.float().add_(0.5).mul_(2.0**-_BITS))
    offset = draws.start - size * blocks.start
    return whole[offset : offset + len(draws)]


# --- blocks of eight: the number of a cell for each draw, (8 b, N, *shape) -----------------------------------------------


def _sobol(keys: Tensor, blocks: range, shape: torch.Size, device: torch.device | None) -> Tensor:
    """The same 8 points, each block's under a shift of its own: exclusive or with random bits."""
    shift = _whole(numbers.uniform(keys, blocks, shape, device), 1 << _BITS)  # (b, N, *S)
    points = _points(shape.numel()).to(shift.device).view(8, 1, *shape)
    return (points ^ shift[:, None]).flatten(0, 1)


def _stratified(keys: Tensor, blocks: range, shape: torch.Size, device: torch.device | None) -> Tensor:
    """Each draw's stratum, and a place inside it."""
    inside = numbers.uniform(keys, range(8 * blocks.start, 8 * blocks.stop), shape, device)
    order = _whole(numbers.uniform(numbers.salted(keys, "order"), blocks, shape, device), len(_ORDERS))
    strata = _ORDERS.to(order.device)[order].movedim(-1, 1).flatten(0, 1)  # (b, N, *S, 8) -> (8 b, N, *S)
    return _whole(inside, 1 << _STRATUM).add_(strata, alpha=1 << _STRATUM)


@lru_cache(maxsize=8)  # as many shapes of rows as a session sees
def _points(dimensions: int) -> Tensor:
    """Cells (8, dimensions) of points 8 to 15 of one fixed scrambled Sobol sequence, int32."""
    with torch.device("cpu"):  # whatever the caller's default is
        engine = SobolEngine(dimensions, scramble=True, seed=0)
        points = engine.draw(16, dtype=torch.float64)[8:]  # torch rounds the very first point to its default type
        return _whole(points, 1 << _BITS)


def _whole(u: Tensor, most: int) -> Tensor:
    """Whole numbers 0 ... most - 1 from uniform ones in [0, 1), int32."""
    return (u * most).int()


def _orders() -> Tensor:
    """56 of the 40,320 orders of 8 strata: j -> a j + b in the field of 8 elements, a != 0.  (56, 8), int32.

    Among them every two draws see every two strata equally often, and the variance of a mean depends on no more than pairs.
    Measured: looking one up takes a fifth of the time that sorting random numbers does.
    """
    rows = [[_times(a, j) ^ b for j in range(8)] for a in range(1, 8) for b in range(8)]
    return torch.tensor(rows, dtype=torch.int32, device="cpu")


def _times(a: int, b: int) -> int:
    """The product in the field of 8 elements: of polynomials over {0, 1}, modulo x^3 + x + 1."""
    product = 0
    for bit in range(3):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in (4, 3):
        product ^= (0b1011 << (bit - 3)) * (product >> bit & 1)
    return product


_ORDERS = _orders()


# --- distributions ----------------------------------------------------------------------------------------------------------


def _gaussian(u: Tensor) -> Tensor:
    return (2 * u).sub_(1).erfinv_().mul_(math.sqrt(2))


def _flat(u: Tensor) -> Tensor:
    return (2 * u - 1) * math.sqrt(3)


def _laplace(u: Tensor) -> Tensor:
    # The inverse of the distribution function; 1 - 2|u - 1/2| is kept off 0, whose logarithm is infinite.
    u = u - 0.5
    return -u.sign() * (1 - 2 * u.abs()).clamp_min(2**-25).log() / math.sqrt(2)


def _by_quantile(quantile: Callable[[Tensor], Tensor]) -> Law:
    def fill(keys: Tensor, draws: range, shape: torch.Size, device: torch.device | None = None) -> Tensor:
        return quantile(numbers.uniform(keys, draws, shape, device))

    return Law(fill, quantile)


GAUSSIAN = Law(numbers.normal, _gaussian)
UNIFORM = _by_quantile(_flat)
LAPLACE = _by_quantile(_laplace)


# --- checks -----------------------------------------------------------------------------------------------------------------


def check_sampling(sampler: Sampler, sampling: str, samples: int | Until) -> None:
    """Raises `BadMethod` for an unknown way, or a number of samples that is not of whole blocks."""
    name = type(sampler).__name__
    if sampling not in get_args(Sampling):
        raise BadMethod(f"{name} has no sampling {sampling!r}; {nearest(sampling, get_args(Sampling))}")
    most = samples.most if isinstance(samples, Until) else samples
    block = BLOCK[sampling]
    if most % block:
        near = [count for count in (most // block * block, -(-most // block) * block) if count]
        raise BadMethod(
            f"{name} with sampling={sampling!r} draws {block} at a time, and {most} samples are no multiple; take "
            f"{' or '.join(map(str, near))}"
        )


def check_size(sampler: Sampler, sampling: str, shape: torch.Size) -> None:
    """Raises `BadMethod` for rows with more values than Sobol's sequence has dimensions."""
    if sampling == "sobol" and shape.numel() > SobolEngine.MAXDIM:
        raise BadMethod(
            f'{type(sampler).__name__} with sampling="sobol" takes rows of at most {SobolEngine.MAXDIM} values, got '
            f'{shape.numel()} (rows of shape {tuple(shape)}); use sampling="stratified"'
        )
