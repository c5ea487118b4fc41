"""What a network expects of a picture, as a value: from a picture to a row, and back for the eye."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from smoothgrad.errors import BadInput, BadOption, UnknownName, nearest

if TYPE_CHECKING:
    import PIL.Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Pillow's names, in small letters.
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


@final
@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a row:  x = (v - mean) / std,  v the scaled and cropped values in [0, 1].

    The picture is scaled by `resize`: the new length of the shorter side, or (height, width) to stretch to,
    or None to leave the scale. Then the middle `size` (height, width) is cut out; None keeps everything. A
    picture too small for the cut is scaled up to cover it. `channels` is 1 (grey) or 3 (RGB); `mean` and
    `std` have one number per channel. The defaults are those of most ImageNet networks. Raises `BadOption`
    for values that mean nothing, such as a `mean` in units of 0 to 255.

    >>> Preprocessing().row(np.zeros((300, 400, 3), np.uint8)).shape
    torch.Size([1, 3, 224, 224])
    """

    channels: int = 3
    size: tuple[int, int] | None = (224, 224)
    resize: int | tuple[int, int] | None = 256
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise BadOption(f"pictures have 1 or 3 channels, not {self.channels}")
        if self.interpolation not in INTERPOLATIONS:
            hint = nearest(self.interpolation, INTERPOLATIONS)
            raise UnknownName(f"no interpolation is called {self.interpolation!r}; {hint}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != self.channels or not all(map(math.isfinite, numbers)):
                raise BadOption(f"{name} is {numbers}; give {self.channels} finite numbers, one per channel")
            if max(numbers) > 1:
                raise BadOption(f"{name}: pixels go from 0 to 1; got {max(numbers)}; divide by 255")
        if min(self.std) <= 0:
            raise BadOption(f"std is {self.std}; the values are divided by it, so give positive numbers")
        for name, lengths in (("size", self.size), ("resize", self.resize)):
            if lengths is not None and min(lengths if isinstance(lengths, tuple) else (lengths,)) < 1:
                raise BadOption(f"{name} is {lengths}; give lengths of at least one pixel")

    def row(self, source: str | Path | PIL.Image.Image | np.ndarray) -> Tensor:
        """A picture as one row, (1, channels, H, W) float32. Raises `BadPicture` where it cannot be read."""
        # Pillow takes its time to import, and most uses of the library read no picture.
        from smoothgrad.models.pictures import fit, opaque_picture, values

        picture = fit(opaque_picture(source), self.resize, self.size, self.interpolation)
        return (values(picture, self.channels) - self._column(self.mean)) / self._column(self.std)

    def show(self, x: Tensor) -> Tensor:
        """Rows (N, channels, H, W) as RGB pictures (N, 3, H, W) in [0, 1]: `row` undone, then clipped."""
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise BadInput(f"rows have shape {tuple(x.shape)}; pictures here are (N, {self.channels}, H, W)")
        shown = x.detach().float().cpu() * self._column(self.std) + self._column(self.mean)
        return shown.clamp(0, 1).expand(-1, 3, -1, -1)

    def changed(
        self,
        *,
        size: int | tuple[int, int] | None = None,
        mean: float | tuple[float, ...] | None = None,
        std: float | tuple[float, ...] | None = None,
    ) -> Preprocessing:
        """The same with another size, mean or std; one number stands for all. The cut keeps its share.

        >>> Preprocessing().changed(size=225, mean=0.5, std=0.5).resize
        257
        """
        new = self
        if size is not None:
            size = (size, size) if isinstance(size, int) else size
            if min(size) < 1:
                raise BadOption(f"size is {size}; give lengths of at least one pixel")
            new = dataclasses.replace(new, size=size, resize=self._scaled(size))
        if mean is not None:
            new = dataclasses.replace(new, mean=self._per_channel(mean))
        if std is not None:
            new = dataclasses.replace(new, std=self._per_channel(std))
        return new

    def _scaled(self, size: tuple[int, int]) -> int | tuple[int, int] | None:
        """`resize` for another size: 224 out of 256 becomes 225 out of 257."""
        if self.size is None:
            return min(size)
        down, across = size[0] / self.size[0], size[1] / self.size[1]
        if isinstance(self.resize, tuple):
            return max(1, round(self.resize[0] * down)), max(1, round(self.resize[1] * across))
        return None if self.resize is None else max(1, round(self.resize * min(down, across)))

    def _per_channel(self, number: float | tuple[float, ...]) -> tuple[float, ...]:
        return (float(number),) * self.channels if isinstance(number, (int, float)) else number

    def _column(self, numbers: tuple[float, ...]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float32, device="cpu").view(-1, 1, 1)
