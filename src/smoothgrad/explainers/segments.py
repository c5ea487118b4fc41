"""Over-segmentation: a picture cut into small regions of like colour, finely and coarsely."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.core.value import Data
from smoothgrad.errors import BadInput, BadMethod, need

SCALES = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0)  # as XRAI has them (Kapishnikov et al. 2019)
MIN_SIZE = 150
SIDE = 224  # of the pictures for which such numbers are meant


def felzenszwalb_segments(
    picture: Tensor, scales: Sequence[float] = SCALES, min_size: int = MIN_SIZE, *, sigma: float = 0.8
) -> list[Tensor]:
    """A picture (C, H, W) or (H, W) cut into regions of like colour (Felzenszwalb and Huttenlocher 2004), once for each scale.

    Args:
        picture: finite values in any unit; the range of the whole picture is brought to [0, 1]. Any number of channels.
        scales: a larger one gives fewer and larger segments.
        min_size: segments of fewer pixels are joined to a neighbour.
        sigma: pixels of the Gaussian blur that comes first.

    These numbers mean what they mean for a picture of 224 x 224 pixels, whatever the size of this one: see `_cut`.

    Returns:
        For each scale, labels (H, W), int64, on the CPU: 0, 1, 2, ... in the order in which one meets them, reading. What is in
        a picture decides them and nothing else: the same picture has the same segments, always.

    Raises:
        MissingPackage: scikit-image is not installed: pip install 'smoothgrad[segments]'.
        BadMethod, BadInput: for numbers that are not positive, and for what is no picture.

    >>> half = torch.cat([torch.zeros(8, 4), torch.ones(8, 4)], 1)
    >>> [int(labels.max()) + 1 for labels in felzenszwalb_segments(half, scales=(100.0, 500.0))]
    [2, 2]
    """
    check_segments(scales, min_size, sigma)
    if picture.ndim not in (2, 3) or not picture.numel():
        raise BadInput(f"segments are made of a picture (C, H, W) or (H, W), got shape {tuple(picture.shape)}")
    planes = picture.detach().cpu().double()
    planes = planes if picture.ndim == 3 else planes[None]
    labels = _segments(Data(planes), tuple(float(scale) for scale in scales), min_size, sigma)
    return [part.clone() for part in labels]  # the caller may write into them


def check_segments(scales: Sequence[float], min_size: int, sigma: float = 0.8) -> None:
    """Raises `BadMethod` for numbers that mean nothing."""
    if not len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise BadMethod(f"segments need one scale or more, each finite and > 0, got {tuple(scales)}")
    if min_size < 1:
        raise BadMethod(f"segments need min_size >= 1, got {min_size}")
    if not 0 <= sigma < math.inf:
        raise BadMethod(f"segments need a finite sigma >= 0, got {sigma}")


def masks(labels: Tensor, radius: int = 0) -> Tensor:
    """Labels (H, W) as masks (n, H, W), one for each segment, grown by a disc of `radius` pixels.

    >>> masks(torch.tensor([[0, 0, 1, 1]]), radius=1).int().tolist()
    [[[1, 1, 1, 0]], [[0, 1, 1, 1]]]
    """
    height, width = labels.shape
    grown = torch.zeros(int(labels.max()) + 1, height, width, dtype=torch.bool, device="cpu")
    rows, columns = torch.arange(height, device="cpu")[:, None], torch.arange(width, device="cpu")
    for down in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        for right in range(-min(radius, width - 1), min(radius, width - 1) + 1):
            if down**2 + right**2 <= radius**2:
                # Each pixel's segment also takes the pixel so far down and to the right of it.
                here = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
                there = rows[max(0, down) : height + min(0, down)], columns[max(0, right) : width + min(0, right)]
                grown[(labels[here], *there)] = True
    return grown


@lru_cache(maxsize=16)  # around noise, the same picture is asked for again and again
def _segments(picture: Data, scales: tuple[float, ...], min_size: int, sigma: float) -> tuple[Tensor, ...]:
    planes = picture.tensor
    low, high = planes.min(), planes.max()
    planes = (planes - low) / (high - low) if high > low else torch.zeros_like(planes)
    return tuple(_cut(planes, scale, min_size, sigma) for scale in scales)


def _cut(planes: Tensor, scale: float, min_size: int, sigma: float) -> Tensor:
    """Labels (H, W) of planes (C, H, W) in [0, 1], by numbers that are meant for 224 x 224 pixels.

    A larger picture is made smaller for it, and its labels larger again. For a smaller one the numbers are made smaller, since to
    enlarge it would take a hundred times as long: were it enlarged f times, its areas |C| would be f^2 as large, and the steps from
    pixel to pixel an f-th. Then "step <= scale / |C|" reads, for the picture as it is, step <= (scale / f) / |C|.
    """
    height, width = planes.shape[1:]
    f = SIDE / math.sqrt(height * width)
    if f >= 1:
        return _numbered(_felzenszwalb(planes, scale / f, max(1, round(min_size / f**2)), sigma / f))
    size = max(1, round(f * height)), max(1, round(f * width))
    small = F.interpolate(planes[None], size=size, mode="bilinear", antialias=True)[0]
    labels = _felzenszwalb(small, scale, min_size, sigma)
    return _numbered(
        F.interpolate(labels[None, None].double(), size=(height, width), mode="nearest-exact")[0, 0].long()
    )


def _felzenszwalb(planes: Tensor, scale: float, min_size: int, sigma: float) -> Tensor:
    segmentation = need("skimage.segmentation", extra="segments")
    picture = np.ascontiguousarray(planes.movedim(0, -1).numpy())
    with warnings.catch_warnings():
        # More than three channels: it warns that these may be something else. They are channels.
        warnings.simplefilter("ignore", RuntimeWarning)
        labels = segmentation.felzenszwalb(picture, scale=scale, sigma=sigma, min_size=min_size, channel_axis=-1)
    return torch.from_numpy(np.asarray(labels, dtype=np.int64))


def _numbered(labels: Tensor) -> Tensor:
    """The same segments, numbered in the order in which one meets them, reading."""
    _, first, inverse = np.unique(labels.numpy(), return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[first.argsort()] = np.arange(len(first))
    return torch.from_numpy(rank[inverse.reshape(labels.shape)]).long()
