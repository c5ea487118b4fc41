"""Filling in what is taken away from what stands around it: noisy linear imputation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.noise import normal, salted
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.places import over_channels
from smoothgrad.measure.removal import Removal, Remove
from smoothgrad.samplers.cloud import scale

TOLERANCE = 1e-6  # of the residual, relative to that of filling in the mean of what was kept
# Values solved for at once: eight tensors of so many are held. On a CPU they stay in its cache (measured: 1.5 to 2 times as fast as
# eight times as many); elsewhere memory is bounded.
PIECE, WIDE_PIECE = 1 << 17, 1 << 24


@final
@dataclass(frozen=True, repr=False)
class Imputed(Removal):
    """By the weighted mean of the places around it, all that is gone solved for together (Rong et al. 2022, ROAD).

        x'_i = sum_j w_ij x'_j / sum_j w_ij + e_i  where gone,   x'_i = x_i  where kept

    j are the 8 neighbours of a pixel: w = 1/6 for those beside, above and below it, 1/12 for those across a corner; at the border
    the mean is over the neighbours that exist. In a signal (C, T) they are the moments before and after: a straight line between
    what was kept. e is Gaussian noise with a standard deviation of `noise` times the row's range (max - min; a constant row gets
    none), drawn by the row's key and the step's number after solving; the paper's code adds 0.01 to normalised pictures, in their
    units. Nothing of a row kept: each channel's mean. Rows (C, H, W) and (C, T); `BadInput` for others.

    The equations are solved by conjugate gradients until the residual is 1e-6 of what it was with the mean of the kept places.

    >>> x, gone = torch.tensor([[[0.0, 7.0, 7.0, 3.0]]]), torch.tensor([[[False, True, True, False]]])
    >>> Imputed().of(nn.Identity(), Query.of(x, 0), Schedule(1))(gone, range(1))
    tensor([[[[0., 1., 2., 3.]]]])
    """

    noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise BadMethod(f"Imputed needs a finite noise >= 0, a fraction of the row's range, got {self.noise}")

    def check(self, query: Query) -> None:
        if len(query.shape) not in (2, 3):
            rows = (
                f"{len(query.parts)} inputs packed into rows" if query.parts else f"rows of shape {tuple(query.shape)}"
            )
            raise BadInput(
                f"{self!r} fills in pixels from those around them, in rows (C, H, W) or (C, T), got {rows}; take "
                "Replaced(ChannelMean()) or another Replaced(...)"
            )

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Remove:
        self.check(query)
        amount, keys = scale(query, self.noise, "range"), salted(query.key, "imputed")

        def remove(gone: Tensor, steps: range) -> Tensor:
            here = over_channels(gone, query)  # (k, N, 1, *places)
            filled = _filled(query.x, here)
            if self.noise:
                filled += amount * normal(keys, steps, query.shape, query.x.device).to(filled)
            return filled.where(here, query.x)

        return remove


def _filled(x: Tensor, gone: Tensor) -> Tensor:
    """Rows x (N, C, *places) with all that is gone (k, N, 1, *places) filled in: (k, N, C, *places)."""
    shape = (len(gone), *x.shape)
    fine = x.double() if x.dtype == torch.float64 else x.float()  # half precision would never get there
    one_row = fine if x.ndim == 4 else fine.unsqueeze(-2)  # a signal is a picture one pixel high
    known = one_row.expand(len(gone), *one_row.shape).flatten(0, 2)  # (k*N*C, H, W): a system of equations each
    holes = (gone if x.ndim == 4 else gone.unsqueeze(-2)).expand(-1, -1, x.shape[1], *one_row.shape[2:]).flatten(0, 2)
    most = max(1, (PIECE if x.device.type == "cpu" else WIDE_PIECE) // known[0].numel())
    parts = zip(known.split(most), holes.split(most), strict=True)
    return torch.cat([_solved(*part) for part in parts]).view(shape).to(x.dtype)


def _solved(known: Tensor, holes: Tensor) -> Tensor:
    """Each picture (M, H, W) with its holes (M, H, W) filled in."""
    mean = known.masked_fill(holes, 0).sum((1, 2)) / (~holes).sum((1, 2)).clamp_min(1)
    mean = mean.where(~holes.all(2).all(1), known.mean((1, 2)))[:, None, None]
    # What is looked for are deviations from the mean of the kept: the warm start is zero, and rounding is small.
    outside = (known - mean).masked_fill(holes, 0)
    return mean + outside + _conjugate_gradients(_around(outside) * holes, holes.to(known))


def _conjugate_gradients(right: Tensor, holes: Tensor) -> Tensor:
    """v that is zero where kept, with  sum_j w_ij (v_i - v_j) = right_i  where gone: (M, H, W).

    The matrix is symmetric and, as soon as one pixel is kept, positive definite. Each picture goes its own steps and stops when it
    is done, so that its answer does not depend on the others.
    """
    weight = _around(torch.ones_like(right[:1]))  # sum_j w_ij over the neighbours that exist
    found = torch.zeros_like(right)
    left = torch.arange(len(right), device=right.device)
    v, residual, direction = found.clone(), right.clone(), right.clone()
    size = _dot(residual, residual)
    enough = size * TOLERANCE**2
    for _ in range(right[0].numel()):  # without rounding, it would end by then at the latest
        going = size > enough
        if not going.all():
            found[left[~going]] = v[~going]
            left, v, residual, direction = left[going], v[going], residual[going], direction[going]
            size, enough, holes = size[going], enough[going], holes[going]
        if not len(left):
            break
        applied = (weight * direction).sub_(_around(direction)).mul_(holes)
        step = (size / _dot(direction, applied))[:, None, None]
        v.addcmul_(step, direction)
        residual.addcmul_(step, applied, value=-1)
        before, size = size, _dot(residual, residual)
        direction.mul_((size / before)[:, None, None]).add_(residual)
    found[left] = v
    return found


def _around(v: Tensor) -> Tensor:
    """sum_j w_ij v_j over the 8 neighbours of each pixel, zero beyond the border: (M, H, W).

    The weights are (1, 2, 1) down times (1, 2, 1) across, over 12, without their middle.
    """
    down = 2 * v
    down[:, 1:] += v[:, :-1]
    down[:, :-1] += v[:, 1:]
    both = 2 * down
    both[:, :, 1:] += down[:, :, :-1]
    both[:, :, :-1] += down[:, :, 1:]
    return both.sub_(v, alpha=4).div_(12)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(a.flatten(1), b.flatten(1))
    return product
