"""Rows under a Gaussian blur of any width, and how they change as the width does."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Blur(NamedTuple):
    """A blurred row L(s), and its derivative d L / d s with respect to the blur's standard deviation."""

    rows: Tensor
    slope: Tensor


def blur(rows: Tensor, sigma: float, widest: float | None = None) -> Blur:
    """Rows (N, C, *pixels) under a Gaussian blur of standard deviation `sigma` pixels, edges reflected, and the slope.

    The kernel k(u) = exp(-u^2 / 2 s^2) / Z is sampled at whole pixels and cut at 4 `widest` (default: 4 sigma). Blurs of several
    widths with one `widest` have kernels of one reach, so that the rows are a smooth function of sigma: the slope is exact,

        d k / d s = k (u^2 - E_k[u^2]) / s^3 ,

    by the product rule over the dimensions. At sigma = 0 the rows are as they were, and the slope is 0.

    >>> blur(torch.tensor([[[0.0, 4.0]]]), 0.0).rows
    tensor([[[0., 4.]]])
    """
    reach = math.ceil(4 * (sigma if widest is None else widest))
    value, slope = rows, torch.zeros_like(rows)
    for dim in range(2, rows.ndim):
        kernel, change = (part.to(rows) for part in _matrices(rows.shape[dim], sigma, reach))
        slope = _along(slope, kernel, dim) + _along(value, change, dim)
        value = _along(value, kernel, dim)
    return Blur(value, slope)


def _along(rows: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """The matrix (out, in) applied along one dimension."""
    return (rows.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


def _matrices(size: int, sigma: float, reach: int) -> tuple[Tensor, Tensor]:
    """The blur of a line of so many pixels as a matrix (size, size), and the matrix of its slope; float64."""
    if sigma == 0:
        return torch.eye(size, dtype=torch.float64, device="cpu"), torch.zeros(
            size, size, dtype=torch.float64, device="cpu"
        )
    u = torch.arange(-reach, reach + 1, device="cpu")
    square = u.double().square()
    kernel = (-square / (2 * sigma**2)).exp()
    kernel = kernel / kernel.sum()
    change = kernel * (square - (kernel * square).sum()) / sigma**3
    # Where each pixel of the kernel falls, reflected as often as need be: ... 1 0 | 0 1 2 | 2 1 ...
    place = (torch.arange(size, device="cpu")[:, None] + u) % (2 * size)
    place = torch.minimum(place, 2 * size - 1 - place)
    return _folded(kernel, place), _folded(change, place)


def _folded(kernel: Tensor, place: Tensor) -> Tensor:
    size = len(place)
    matrix = torch.zeros(size, size, dtype=kernel.dtype, device="cpu")
    return matrix.scatter_add_(1, place, kernel.expand(size, -1))
