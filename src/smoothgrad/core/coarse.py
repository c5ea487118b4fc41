"""Maps that are coarser than what they explain: a value for each place of a layer, or for each pixel whatever its channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def fitted(maps: Tensor, shape: torch.Size) -> Tensor:
    """Maps (M, 1, *places) at the size of rows of this shape (C, *pixels): (M, C, *pixels); others as they are.

    Between the places' centres values are linear. Each pixel's value is shared out equally among its C channels: the sum over
    channels, which is how maps are shown, is the coarse map.

    >>> fitted(torch.tensor([[[0.0, 4.0]]]), torch.Size([2, 4]))
    tensor([[[0.0000, 0.5000, 1.5000, 2.0000],
             [0.0000, 0.5000, 1.5000, 2.0000]]])
    """
    return sized(maps, shape).expand(-1, *shape) / shape[0] if is_coarse(maps, shape) else maps


def sized(maps: Tensor, shape: torch.Size) -> Tensor:
    """Coarse maps (M, 1, *places) with a value for every pixel, (M, 1, *pixels); others as they are."""
    if not is_coarse(maps, shape) or maps.shape[2:] == shape[1:]:
        return maps
    return F.interpolate(maps, size=list(shape[1:]), mode=_MODES[len(shape) - 1])


def is_coarse(maps: Tensor, shape: torch.Size) -> bool:
    """Is it a map (M, 1, *places) of rows of this shape, and not of that shape itself?

    >>> is_coarse(torch.zeros(5, 1, 7, 7), torch.Size([3, 224, 224])), is_coarse(torch.zeros(5, 3, 8, 8), torch.Size([3, 8, 8]))
    (True, False)
    """
    return maps.shape[1:] != shape and len(shape) in (2, 3, 4) and maps.ndim == len(shape) + 1 and maps.shape[1] == 1
