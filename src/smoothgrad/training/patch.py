"""A patch that is drawn over part of every picture: what falls on it in a map of a network trained so is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.errors import BadInput, BadMethod


@final
@dataclass(frozen=True, repr=False)
class Patch(Value):
    """x with the square of side `size` at (top, left) set to `value`, which is in the units of x (Kim, Seo et al. 2019).

    Takes rows (N, C, H, W). Raises `BadMethod` for a patch without pixels, `BadInput` where it reaches beyond the picture.

    >>> Patch(size=2)(torch.ones(1, 1, 3, 3))[0, 0]
    tensor([[0., 0., 1.],
            [0., 0., 1.],
            [1., 1., 1.]])
    """

    size: int = 8
    top: int = 0
    left: int = 0
    value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1 or min(self.top, self.left) < 0:
            raise BadMethod(f"a patch has at least one pixel and lies inside the picture, got {self!r}")

    def __call__(self, x: Tensor) -> Tensor:
        return x.masked_fill(self.region(x.shape), self.value)

    def region(self, shape: torch.Size) -> Tensor:
        """Where the patch is, in rows of this shape (..., H, W): (H, W) bool. Raises `BadInput`."""
        height, width = shape[-2:]
        bottom, right = self.top + self.size, self.left + self.size
        if bottom > height or right > width:
            raise BadInput(
                f"the patch reaches to row {bottom}, column {right}, and the picture has {height} x {width} pixels; "
                "make it smaller, or move it"
            )
        region = torch.zeros(height, width, dtype=torch.bool)
        region[self.top : bottom, self.left : right] = True
        return region
