"""What a model says of rows while their places go, most relevant first or last: shared by all measures of removal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.measure.asking import Read, asked_at
from smoothgrad.measure.case import Case
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.samplers.baseline import Blurred

# Which ranks are gone: those from the first number up to and without the second.
Window: TypeAlias = tuple[int, int]

GONE = "share of places gone"
NOT_PREDICTED = "the network does not predict this class for the whole row"
NAN = "the output holds NaN where places are removed"
INFINITE = "the score is NaN or infinite where places are removed"


def counts(total: int, steps: int) -> list[int]:
    """How many of `total` places k of `steps` equal shares are, k = 0 ... steps, to the nearest; each number once.

    >>> counts(1024, 4), counts(3, 100)
    ([0, 256, 512, 768, 1024], [0, 1, 2, 3])
    """
    return sorted({(2 * k * total + steps) // (2 * steps) for k in range(steps + 1)})


def count(total: int, share: float) -> int:
    """How many of `total` places a share is, to the nearest; halves go up, as in `counts`."""
    return math.floor(share * total + 0.5)


def most_first(gone: Sequence[int]) -> list[Window]:
    """The most relevant places are gone, so many at each step."""
    return [(0, number) for number in gone]


def least_first(gone: Sequence[int], total: int) -> list[Window]:
    """The least relevant of `total` places are gone, so many at each step."""
    return [(total - number, total) for number in gone]


def without(case: Case, removal: Removal, order: Tensor, windows: Sequence[Window], read: Read) -> Tensor:
    """What `read` makes of the output for rows whose places with a rank in the window are gone: (N, len(windows)), float64.

    `order` (N, P): the rank of each place, 0 for what goes first. Windows that are the same are asked once, and so are empty ones.
    """
    clean = [(start, stop) if start < stop else (0, 0) for start, stop in windows]
    asked = list(dict.fromkeys(clean))
    remove = removal.of(case.model, case.query, case.schedule)
    order = order.int()
    bounds = torch.tensor(asked, dtype=torch.int32, device=order.device)[:, :, None, None]  # (steps, 2, 1, 1)

    def points(numbers: range) -> Tensor:
        start, stop = bounds[numbers.start : numbers.stop].unbind(1)
        return remove((order >= start) & (order < stop), numbers)

    found = asked_at(case.model, case.query, case.schedule, len(asked), points, read)
    return found if asked == clean else found[:, [asked.index(window) for window in clean]]


def read_off(x: Tensor, y: Tensor, grid: Tensor) -> Tensor:
    """Lines through points x, y (N, M), x rising from 0 to 1 in each row, at places (G,) that all rows share: (N, G).

    >>> read_off(torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([0.0, 0.25, 1.0]))
    tensor([[0.0000, 0.5000, 1.0000]])
    """
    places = grid.to(x).expand(len(x), -1).contiguous()
    after = torch.searchsorted(x.contiguous(), places, right=True).clamp(1, x.shape[1] - 1)
    x0, x1, y0, y1 = x.gather(1, after - 1), x.gather(1, after), y.gather(1, after - 1), y.gather(1, after)
    share = torch.where(x1 > x0, (places - x0) / (x1 - x0), 1.0)
    return y0 + share * (y1 - y0)


def unpredicted(right: Tensor) -> tuple[str, ...]:
    """Of each row: why nothing can be said of its class, else ""; from whether it is predicted.

    right (N,) for the whole row, or (N, steps) for the whole row first: 1 or 0, and NaN where the output holds NaN.
    """
    steps = right.unflatten(0, (len(right), -1)) if right.ndim == 1 else right
    return tuple(
        NAN if broken else "" if predicted else NOT_PREDICTED
        for broken, predicted in zip(steps.isnan().any(1).tolist(), steps[:, 0].tolist(), strict=True)
    )


def unfinite(scores: Tensor) -> tuple[str, ...]:
    """Of each row of scores (N, steps): why nothing can be made of them, else ""."""
    return tuple("" if one else INFINITE for one in scores.isfinite().all(1).tolist())


def check_steps(measure: Measure, steps: int, least: int = 1) -> None:
    """Raises `BadMethod` for fewer steps than make a curve."""
    if steps < least:
        raise BadMethod(f"{type(measure).__name__} needs steps >= {least}, got {steps}")


def check_shares(measure: Measure, shares: Sequence[float]) -> None:
    """Raises `BadMethod` where shares are none, or no shares."""
    if not shares or not all(0 < share < 1 for share in shares):
        raise BadMethod(
            f"{type(measure).__name__} needs shares between 0 and 1, one or more, such as (0.1, 0.5); got {tuple(shares)}"
        )


def check_removal(measure: Measure, removal: Removal, query: Query) -> None:
    """Raise where nothing can be removed from such rows so; a blur that was not asked for names what to give in its place."""
    blurs = isinstance(removal, Replaced) and isinstance(removal.baseline, Blurred)
    if blurs and len(query.shape) not in (2, 3):
        raise BadMethod(
            f"{type(measure).__name__} with removal={removal!r} blurs pictures (C, H, W) or signals (C, T), and rows of shape "
            f"{tuple(query.shape)} are neither; say what stands in for what is gone: removal=Replaced(Zero())"
        )
    removal.check(query)
