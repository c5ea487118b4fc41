"""A number along a line, as rows of the table: its values, how far it goes up and down, and its largest jump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from smoothgrad.experiments.experiment import Row
from smoothgrad.experiments.summary import row


def along(t: Tensor, path: Tensor, quantity: str, unit: str, keys: Mapping[str, int]) -> Iterator[Row]:
    """The values of a path (steps,) at t (steps,), a row each."""
    for time, value in zip(t.tolist(), path.tolist(), strict=True):
        yield row(quantity, value, unit, {"t": time, **keys})


def travel(path: Tensor, names: tuple[str, str, str], unit: str, keys: Mapping[str, int]) -> tuple[Row, Row, Row]:
    """How far a path (steps,) goes, in its unit; the same as a share of its range; and its largest jump between two steps.

    >>> there_and_back = torch.tensor([0.0, 0.5, 2.0, 1.0])
    >>> [one["value"] for one in travel(there_and_back, ("far", "detour", "jump"), "", {})]
    [3.0, 1.5, 1.5]
    """
    steps = path.diff().abs()
    total, reach = steps.sum(), path.max() - path.min()
    far, detour, jump = names
    return (
        row(far, float(total), unit, keys),
        row(detour, float(total / reach) if total else 0.0, "share of the range", keys),
        row(jump, float(steps.max()), unit, keys),
    )


def share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, whole >= 0; 0 for no part at all, NaN for a part of nothing.

    >>> share(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([4.0, 0.0, 0.0]))
    tensor([0.2500, 0.0000,    nan])
    """
    return torch.where(part == 0, part, part / whole.where(whole > 0, torch.nan))
