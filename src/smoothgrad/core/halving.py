"""Two halves of the draws, kept apart: how they agree tells how two seeds would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from smoothgrad.core.moments import Estimate, Halves, State
from smoothgrad.core.reduce import Reduction
from smoothgrad.core.shapes import Points, Weights


@final
@dataclass(frozen=True)
class Halving(State):
    """What a reduction remembers of the blocks of even number, and of those of odd number once there is one."""

    draws: tuple[int, int]
    even: Any
    odd: Any | None

    def rows(self, index: Tensor) -> Halving:
        return Halving(self.draws, self.even.rows(index), None if self.odd is None else self.odd.rows(index))


def gather(
    reduction: Reduction[Any], state: Halving | None, values: Points, weight: Weights, block: int, number: int
) -> Halving:
    """Take in more draws, of which the first belongs to block `number`."""
    draws, even, odd = (state.draws, state.even, state.odd) if state is not None else ((0, 0), None, None)
    # (k, N, *S) -> (k/b, b, N, *S)
    blocks, weights = values.unflatten(0, (-1, block)), weight.unflatten(0, (-1, block))
    counts = []
    after = []
    for half, before in enumerate((even, odd)):
        mine = slice((number + half) % 2, None, 2)
        some, theirs = blocks[mine].flatten(0, 1), weights[mine].flatten()
        after.append(reduction.update(before, some, theirs, block) if len(some) else before)
        counts.append(draws[half] + len(some))
    return Halving((counts[0], counts[1]), *after)


def known(reduction: Reduction[Any], state: Halving) -> Estimate:
    """The map of all draws so far, with the maps of the halves where they tell how two seeds would agree."""
    if state.odd is None:
        return reduction.final(state.even)
    estimate = reduction.final(reduction.merge(state.even, state.odd))
    if not reduction.averages:
        return estimate
    first, second = reduction.final(state.even).value, reduction.final(state.odd).value
    share = torch.full_like(estimate.draws, state.draws[0] / sum(state.draws), dtype=torch.float32)
    return estimate._replace(halves=Halves(first, second, share))


def reproducibility(halves: Halves) -> Tensor:
    """The Pearson correlation that the map is expected to have with that of a fresh seed, per row (N,), in [0, 1].

    From the correlation r of the maps of two halves of the draws, by the formula of Spearman and Brown (1910):

        2 r / (1 + r)        halves of equal size
        1 / (1 + m),  m = (sqrt(1 + 4 p q (1 / r^2 - 1)) - 1) / 2        of sizes p n and q n (Horst 1951)

    0 where the halves do not agree at all; NaN where a map is constant and has no correlation with anything.
    """
    first, second, p = (part.cpu().double() for part in halves)  # some devices have no float64
    first, second = first.flatten(1), second.flatten(1)
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    r = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    # With one draw's noise over signal l, halves correlate as r = 1 / sqrt((1 + l / pn) (1 + l / qn)), and m = l / n.
    m = ((1 + 4 * p * (1 - p) * (1 / r.square() - 1).clamp_min(0)).sqrt() - 1) / 2
    return torch.where(r > 0, 1 / (1 + m), torch.where(r.isnan(), r, torch.zeros_like(r)))
