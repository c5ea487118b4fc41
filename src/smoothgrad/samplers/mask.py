"""Random masks that keep some of the input and put a baseline in place of the rest: those of RISE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core import noise as numbers
from smoothgrad.core.channels import layer_without_maps
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.baseline import Baseline, Zero, based, starts
from smoothgrad.samplers.cloud import check_samples


@final
@dataclass(frozen=True, repr=False)
class Masks(Sampler):
    """b + m_k (x - b) with direction m_k / p: what a random mask keeps of the picture, on a baseline b (Petsiuk et al. 2018).

    A mask is made of `cells` x `cells` numbers, each 1 with probability p and else 0. They are drawn out to (cells + 1) x C pixels
    a side, C = ceil(side / cells), linearly between their centres, and the picture is cut out of them at a random place, up to
    C - 1 pixels from their corner. So E[m] = p at every pixel. All channels of a pixel share its mask.

    Rows (C, T), (C, H, W) or (C, D, H, W); not words or tokens of a layer, of which `BadMethod` is raised. Several baselines take
    turns.
    """

    cells: int = 7  # along each side, 4000 and 1/2: Petsiuk et al. 2018
    probability: float = 0.5
    samples: int | Until = 4000
    baseline: Baseline = Zero()  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        check_samples(self, self.samples)
        if self.cells < 1:
            raise BadMethod(f"Masks needs cells >= 1 along each side, got {self.cells}")
        if not 0 < self.probability <= 1:
            raise BadMethod(
                f"Masks needs a probability above 0 and up to 1 that a cell is kept, got {self.probability}"
            )

    @property
    def count(self) -> int | Until:
        return self.samples

    @property
    def afresh(self) -> bool:  # type: ignore[override]
        return not self.baseline.random

    @property
    def passes(self) -> int:
        return self.baseline.passes

    def check(self, query: Query) -> None:
        if len(query.shape) not in (2, 3, 4):
            raise BadMethod(
                f"Masks takes rows (C, T), (C, H, W) or (C, D, H, W), got rows of shape {tuple(query.shape)}; for features that "
                "are no neighbours use Ablation(Labelled(labels))"
            )
        if self.cells > min(query.shape[1:]):
            raise BadMethod(
                f"Masks has {self.cells} cells along each side, rows have shape {tuple(query.shape)}; give cells <= "
                f"{min(query.shape[1:])}"
            )
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        check_maps(self, model, query)
        return based(self.baseline, model, query, schedule)

    def draw(self, query: Query, draws: range) -> Draw:
        mask = self.masks(query, draws)
        start = starts(query, [draw % self.baseline.each for draw in draws])
        weight = torch.ones(len(draws), dtype=torch.float64, device="cpu")
        return Draw(start + mask * (query.x - start), weight, mask / self.probability)

    def masks(self, query: Query, draws: range) -> Tensor:
        """m (k, N, 1, *pixels) in [0, 1], for each draw number."""
        x, pixels = query.x, query.shape[1:]
        # Where in its cell each mask begins: (k, N, sides).
        place = numbers.uniform(numbers.salted(query.key, "shift"), draws, torch.Size([len(pixels)])).double()
        kept = numbers.uniform(
            numbers.salted(query.key, "cells"), draws, torch.Size([self.cells] * len(pixels)), x.device
        )
        mask = (kept < self.probability).to(x).flatten(0, 1)  # (k*N, cells, cells)
        for side, length in enumerate(pixels):
            cell = -(-length // self.cells)
            begin = (place[..., side].flatten() * cell).long().to(x.device)  # (k*N,)
            pixel = begin[:, None] + torch.arange(length, device=x.device)  # (k*N, length)
            mask = _drawn_out(mask, _interpolation(self.cells, cell, x)[pixel], side + 1)
        return mask.view(len(draws), len(query), 1, *pixels)


def _interpolation(cells: int, cell: int, like: Tensor) -> Tensor:
    """What each of (cells + 1) * cell pixels takes of each cell: ((cells + 1) * cell, cells). Rows sum to one."""
    eye = torch.eye(cells, dtype=like.dtype, device=like.device)[:, None]
    return F.interpolate(eye, size=(cells + 1) * cell, mode="linear")[:, 0].T


def _drawn_out(mask: Tensor, share: Tensor, side: int) -> Tensor:
    """One side of masks (M, ..., cells, ...) at its full length, by shares (M, length, cells)."""
    moved = mask.movedim(side, -1)  # (M, ..., cells)
    flat = torch.bmm(moved.flatten(1, -2) if moved.ndim > 2 else moved[:, None], share.mT)
    return flat.view(*moved.shape[:-1], -1).movedim(-1, side)


def check_maps(sampler: Sampler, model: nn.Module, query: Query) -> None:
    """Raises `BadMethod` where the model is explained at a layer whose rows are no maps: (words, dimensions)."""
    name = layer_without_maps(model, query)
    if name is not None:
        raise BadMethod(
            f"{type(sampler).__name__} takes maps of channels, in which neighbours belong together; layer {name!r} answers rows of "
            f"shape {tuple(query.shape)} that are none, such as words: take Ablation(Labelled(torch.arange(words)[:, None])), "
            "or a gradient method"
        )
