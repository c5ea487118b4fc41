"""Where the climb begins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Tensor

from smoothgrad.core import noise as numbers
from smoothgrad.core.value import Data, Value
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.features.space import Space


class Start(Value, ABC):
    """The first parameters."""

    @abstractmethod
    def parameters(self, space: Space, x: Tensor, keys: Tensor) -> Tensor:
        """Parameters (N, ...) of the space, for pictures of the shape, type and device of x (N, *S), by the rows' keys (N,)."""


@final
@dataclass(frozen=True, repr=False)
class FromZero(Start):
    """All parameters zero: the picture is zero, or the middle between its bounds, or that of the code zero."""

    def parameters(self, space: Space, x: Tensor, keys: Tensor) -> Tensor:
        return x.new_zeros(len(x), *space.size(x.shape[1:]))


@final
@dataclass(frozen=True, repr=False)
class FromNoise(Start):
    """Normal parameters of standard deviation `noise`: another picture for each row and seed."""

    noise: float = 0.01  # Olah et al. 2017

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise BadMethod(f"FromNoise needs a finite noise >= 0, got {self.noise}")

    def parameters(self, space: Space, x: Tensor, keys: Tensor) -> Tensor:
        e = numbers.normal(numbers.salted(keys, "start"), range(1), space.size(x.shape[1:]))
        return self.noise * e[0].to(x)


@final
@dataclass(frozen=True, repr=False)
class FromPicture(Start):
    """A picture of yours: rows of shape S (for every row), (1, *S), or (N, *S), in the units of the network.

    >>> import torch
    >>> FromPicture.mean(torch.tensor([[1.0], [2.0], [9.0]]), torch.tensor([3, 3, 5]), 3).rows.tensor
    tensor([[1.5000]])
    """

    rows: Tensor | Data

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.rows.tensor if isinstance(self.rows, Data) else self.rows
        if not rows.is_floating_point() or not bool(rows.isfinite().all()):
            raise BadInput(f"FromPicture needs finite floating-point values, got {rows.dtype}")
        object.__setattr__(self, "rows", Data(rows))

    @staticmethod
    def mean(x: Tensor, labels: Tensor | None = None, label: int | None = None) -> FromPicture:
        """The mean of pictures x (N, *S); with `labels` (N,), of those of class `label`. Raises `BadInput` where there are none."""
        if (labels is None) != (label is None):
            raise BadInput(
                "the mean of a class needs both labels (N,) and the label that is meant; give both, or neither"
            )
        chosen = x if labels is None else x[labels == label]
        if not len(chosen):
            raise BadInput(f"none of the {len(x)} pictures is of class {label}; give some that are")
        return FromPicture(chosen.mean(0, keepdim=True))

    def parameters(self, space: Space, x: Tensor, keys: Tensor) -> Tensor:
        assert isinstance(self.rows, Data), "__post_init__ has made it so"
        rows = self.rows.tensor.to(x)
        rows = rows[None] if rows.shape == x.shape[1:] else rows
        if rows.shape[1:] != x.shape[1:] or len(rows) not in (1, len(x)):
            raise BadInput(
                f"the picture to start from has shape {tuple(self.rows.tensor.shape)}, {len(x)} of shape {tuple(x.shape[1:])} are "
                "asked for; give one row, or one for each"
            )
        return space.parameters(rows.expand(x.shape))
