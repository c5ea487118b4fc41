"""Colours to PNG: files, and data URIs that a page carries inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smoothgrad.errors import BadInput
from smoothgrad.files import write_aside
from smoothgrad.view.colour import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST = 256  # pixels: a map of 8 x 8 is enlarged to this, not shown as a speck


def enlarged(pixels: Pixels, scale: int | None = None) -> Pixels:
    """Pixels (H, W, 3) as (scale H, scale W, 3), each pixel a square: nothing is smoothed into a map.

    `scale` None takes the largest that keeps the longer side within 256, at least 1. Raises `BadInput` for
    arrays that are not (H, W, 3) uint8 and for a scale under 1.

    >>> enlarged(np.zeros((8, 8, 3), np.uint8)).shape, enlarged(np.zeros((224, 224, 3), np.uint8)).shape
    ((256, 256, 3), (224, 224, 3))
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadInput(f"pixels are (H, W, 3) uint8; got {pixels.shape} {pixels.dtype}; see colour() and rgb()")
    if scale is None:
        scale = max(1, LEAST // max(pixels.shape[:2]))
    if scale < 1:
        raise BadInput(f"scale is a whole number of at least 1, or None to choose it; got {scale}")
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def png(pixels: Pixels, path: str | Path, scale: int | None = None) -> Path:
    """Write pixels (H, W, 3) as a PNG file, enlarged as in `enlarged`. Raises `CannotWrite` where it cannot.

    >>> import tempfile
    >>> png(np.zeros((8, 8, 3), np.uint8), tempfile.mkdtemp() + "/map.png").name
    'map.png'
    """
    image = _image(enlarged(pixels, scale))
    return write_aside(path, lambda aside: image.save(aside, format="PNG", optimize=True))


def data_uri(pixels: Pixels, scale: int | None = 1) -> str:
    """Pixels (H, W, 3) as the text of a PNG for `<img src="...">`, enlarged as in `enlarged`.

    The default leaves enlarging to the page: style the image with a width and `image-rendering: pixelated`.

    >>> data_uri(np.zeros((8, 8, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    memory = io.BytesIO()
    _image(enlarged(pixels, scale)).save(memory, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(memory.getvalue()).decode("ascii")


def _image(pixels: Pixels) -> Image:
    from PIL import Image  # here, so that importing smoothgrad stays light

    return Image.fromarray(np.ascontiguousarray(pixels))
