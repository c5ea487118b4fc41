"""Random numbers that are a pure function of (row key, draw number, place in the row), the same on every device.

A number is a hash of where it stands, so that what a row gets does not depend on its place in the batch, the size of a chunk, or
what was drawn before: a counter-based generator (Salmon et al. 2011) with SplitMix64 as its hash (Steele, Lea, Flood 2014). The
hash is whole-number arithmetic, made on the device where the numbers are wanted; the logarithm and the cosine after it differ
between devices by rounding. The global generators are neither read nor moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from smoothgrad.core.shapes import Keys, Points

Fill: TypeAlias = Callable[..., Tensor]  # keys (N,), k draws, shape S, device= -> (k, N, *S)
Spread: TypeAlias = Callable[
    [Tensor, Tensor, Tensor], None
]  # 64 random bits, and the two float32 numbers to make of each

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_UNIT = 2.0**-24  # float32 holds 24 bits
# Numbers made in one go on a CPU: they stay in its cache. Measured: 150,528 numbers take 1 ms so, and 10 ms all at once.
TILE = 1 << 17


def mix(a: Int64[Tensor, "*n"], b: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """A hash of two int64 tensors, elementwise: int64. SplitMix64's finaliser (Steele, Lea, Flood 2014), twice over.

    Near keys give unrelated hashes, and mix(a, b) differs from mix(b, a).

    >>> mix(torch.tensor([1]), torch.tensor([2])) == mix(torch.tensor([2]), torch.tensor([1]))
    tensor([False])
    """
    return _scramble(_scramble(a + _signed(_GAMMA)) ^ b)


def salted(keys: Keys, salt: str) -> Keys:
    """Keys for another purpose: a sampler's directions and its path positions must not share numbers."""
    number = int.from_bytes(salt.encode()[:8].ljust(8, b"\0"), "little", signed=True)
    return mix(keys, torch.full_like(keys, number))


def normal(keys: Keys, draws: range, shape: torch.Size, device: torch.device | None = None) -> Points:
    """Standard normal numbers (k, N, *shape), float32, for keys (N,) and k draw numbers; on the CPU where no device is named.

    From two uniform numbers each, u in (0, 1) and v:  sqrt(-2 log u) cos 2 pi v  and  sqrt(-2 log u) sin 2 pi v
    (Box and Muller 1958). None is larger than 5.9.

    >>> a = normal(torch.tensor([3, 4]), range(10, 12), torch.Size([5]))
    >>> b = normal(torch.tensor([4]), range(11, 12), torch.Size([5]))
    >>> bool((a[1, 1] == b[0, 0]).all())
    True
    """
    return _fill(keys, draws, shape, device, _normal)


def uniform(keys: Keys, draws: range, shape: torch.Size, device: torch.device | None = None) -> Points:
    """Numbers uniform in [0, 1), (k, N, *shape), float32, for keys (N,) and k draw numbers; multiples of 2^-24."""
    return _fill(keys, draws, shape, device, _uniform)


def _normal(bits: Tensor, first: Tensor, second: Tensor) -> None:
    low, high = _halves(bits)
    radius = high.add_(0.5).mul_(_UNIT).log_().mul_(-2).sqrt_()
    angle = low.mul_(_UNIT * 2 * math.pi)
    first.copy_(angle.cos().mul_(radius))
    second.copy_(angle.sin_().mul_(radius))


def _uniform(bits: Tensor, first: Tensor, second: Tensor) -> None:
    low, high = _halves(bits)
    first.copy_(high.mul_(_UNIT))
    second.copy_(low.mul_(_UNIT))


def _halves(bits: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest 24 bits as whole float32 numbers."""
    return (bits & 0xFFFFFF).float(), _shift(bits, 40).float()


def _fill(keys: Tensor, draws: range, shape: torch.Size, device: torch.device | None, spread: Spread) -> Tensor:
    # Said, not left to torch's global defaults, which the caller may have set.
    place = torch.device("cpu") if device is None else device
    seeds = torch.stack([mix(keys, torch.full_like(keys, -1 - draw)) for draw in draws]).flatten().to(place)  # (k*N,)
    pairs = -(-shape.numel() // 2)
    numbers = torch.empty(len(seeds), 2, pairs, dtype=torch.float32, device=place)
    for rows, columns in _tiles(len(seeds), pairs, place):
        count = torch.arange(columns.start + 1, columns.stop + 1, dtype=torch.int64, device=place)
        bits = _scramble(seeds[rows, None] + count * _signed(_GAMMA))
        spread(bits, numbers[rows, 0, columns], numbers[rows, 1, columns])
    return numbers.flatten(1)[:, : shape.numel()].reshape(len(draws), len(keys), *shape)


def _tiles(rows: int, pairs: int, place: torch.device) -> Iterator[tuple[slice, slice]]:
    """The rows of pairs of numbers, in pieces that stay in a CPU's cache; elsewhere all at once."""
    tile = TILE // 2 if place.type == "cpu" else max(1, rows * pairs)
    high, wide = max(1, tile // max(1, pairs)), max(1, min(pairs, tile))
    for top in range(0, rows, high):
        for left in range(0, pairs, wide):
            yield slice(top, min(rows, top + high)), slice(left, min(pairs, left + wide))


def _scramble(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    z.bitwise_xor_(_shift(z, 27)).mul_(_signed(0x94D049BB133111EB))
    return z.bitwise_xor_(_shift(z, 31))


def _shift(z: Tensor, bits: int) -> Tensor:
    """The logical shift right: int64 has only the arithmetic one."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    number &= _MASK
    return number - (1 << 64) if number >> 63 else number
