"""Random numbers that are a pure function of (row key, draw number).

One generator per row and draw, seeded by a hash of both: so what a row gets does not depend on its place in the
batch, the size of a chunk, or what was drawn before. The global generators are neither read nor moved. Numbers are
drawn on the CPU in float32, so that the same key gives the same noise on every device and in every precision.

torch's CPU generator takes the lower 32 bits of the hash: two draws coincide with a chance of 2^-32, which makes a map of
n draws one of n - 1 (docs/decisions/0001).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from smoothgrad.core.shapes import Keys, Points

Fill: TypeAlias = Callable[[Tensor, range, torch.Size], Tensor]  # keys (N,), k draws, shape S -> (k, N, *S)

_MASK = (1 << 64) - 1


def mix(a: Int64[Tensor, "*n"], b: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """A hash of two int64 tensors, elementwise: int64. SplitMix64's finaliser (Steele, Lea, Flood 2014), twice over.

    Near keys give unrelated hashes, and mix(a, b) differs from mix(b, a).

    >>> mix(torch.tensor([1]), torch.tensor([2])) == mix(torch.tensor([2]), torch.tensor([1]))
    tensor([False])
    """
    return _scramble(_scramble(a + _signed(0x9E3779B97F4A7C15)) ^ b)


def salted(keys: Keys, salt: str) -> Keys:
    """Keys for another purpose: a sampler's directions and its path positions must not share numbers."""
    number = int.from_bytes(salt.encode()[:8].ljust(8, b"\0"), "little", signed=True)
    return mix(keys, torch.full_like(keys, number))


def normal(keys: Keys, draws: range, shape: torch.Size) -> Points:
    """Standard normal numbers (k, N, *shape) for keys (N,) and k draw numbers.

    >>> a = normal(torch.tensor([3, 4]), range(10, 12), torch.Size([5]))
    >>> b = normal(torch.tensor([4]), range(11, 12), torch.Size([5]))
    >>> bool((a[1, 1] == b[0, 0]).all())
    True
    """
    return _fill(keys, draws, shape, lambda row, generator: row.normal_(generator=generator))


def uniform(keys: Keys, draws: range, shape: torch.Size) -> Points:
    """Numbers uniform in [0, 1), (k, N, *shape), for keys (N,) and k draw numbers."""
    return _fill(keys, draws, shape, lambda row, generator: row.uniform_(generator=generator))


def _fill(keys: Tensor, draws: range, shape: torch.Size, fill: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
    # Said, not left to torch's global defaults, which the caller may have set.
    numbers = torch.empty(len(draws), len(keys), *shape, dtype=torch.float32, device="cpu")
    generator = torch.Generator("cpu")
    for j, draw in enumerate(draws):
        seeds = mix(keys, torch.full_like(keys, -1 - draw)).tolist()
        for i, seed in enumerate(seeds):
            fill(numbers[j, i], generator.manual_seed(seed))
    return numbers


def _scramble(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """The logical shift right: int64 has only the arithmetic one."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    number &= _MASK
    return number - (1 << 64) if number >> 63 else number
