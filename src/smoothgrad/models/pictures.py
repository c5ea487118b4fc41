"""Pictures of any kind: a file, a Pillow picture or an array becomes values in [0, 1].

    file -> upright, first frame, opaque ("L", "RGB" or "F") -> scaled and cropped -> (1, C, H, W)

Transparent parts lie over white. Grey pictures of 16 or 32 bits keep their depth, as mode "F" in [0, 1].
Colour profiles are ignored, as is usual where networks are trained.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from smoothgrad.errors import BadPicture

# Pillow's decoders raise whatever the damaged bytes lead them to.
_DAMAGE = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
_DEEP_GREYS = ("I;16", "I;16L", "I;16B", "I;16N")


def opaque_picture(source: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """A picture upright and without transparency, in mode "L" (grey), "RGB", or "F" (deep grey in [0, 1]).

    `source` is a file, a Pillow picture, or an array: (H, W) or (H, W, 1 | 3 | 4), of uint8, or of floats in
    [0, 1], or (H, W) of uint16. Of an animation, the first frame. Raises `BadPicture`.

    >>> opaque_picture(Image.new("RGBA", (2, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(source, np.ndarray):
        return _opaque(_from_array(source), "the array")
    if isinstance(source, Image.Image):
        return _opaque(_upright(source, "the picture"), "the picture")
    return _opaque(_open(Path(source)), str(source))


def fit(
    picture: Image.Image,
    resize: int | tuple[int, int] | None,
    size: tuple[int, int] | None,
    interpolation: str,
) -> Image.Image:
    """Scale, then cut `size` (height, width) out of the middle.

    `resize` is the new length of the shorter side, or (height, width) to stretch to, or None to leave the
    scale. A picture that would then be too small for the cut is scaled up to cover it. `size` None: nothing
    is cut.

    >>> fit(Image.new("L", (40, 20)), 10, (10, 10), "bilinear").size
    (10, 10)
    """
    width, height = picture.size
    if isinstance(resize, tuple):
        height, width = resize
    elif resize is not None:
        # Rounded down, as torchvision does, so that a network sees the very pixels it was measured on.
        short = min(width, height)
        width, height = int(width * resize / short), int(height * resize / short)
    if size is not None:
        cover = max(size[0] / height, size[1] / width)
        if cover > 1:
            width, height = max(round(width * cover), size[1]), max(round(height * cover), size[0])
    if width * height > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise BadPicture(
            f"a picture of {picture.size[0]} x {picture.size[1]} pixels would be scaled to {width} x {height}, which is "
            "more than is safe; cut a part out of it first"
        )
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling[interpolation.upper()])
    if size is None:
        return picture
    left, top = round((width - size[1]) / 2), round((height - size[0]) / 2)
    return picture.crop((left, top, left + size[1], top + size[0]))


def values(picture: Image.Image, channels: int) -> Tensor:
    """The values of an opaque picture: (1, channels, H, W), float32 in [0, 1]; grey and colour are converted.

    >>> values(Image.new("L", (3, 2), 255), channels=3).shape
    torch.Size([1, 3, 2, 3])
    """
    if picture.mode == "RGB" and channels == 1:
        picture = picture.convert("L")
    numbers = np.array(picture, dtype=np.float32)
    if picture.mode != "F":
        numbers /= 255
    # Interpolation may overshoot in mode "F"; the 8-bit modes are clipped by Pillow.
    grid = torch.from_numpy(numbers).clamp_(0, 1)
    grid = grid.expand(channels, -1, -1) if grid.dim() == 2 else grid.permute(2, 0, 1)
    return grid[None].contiguous()


def _open(path: Path) -> Image.Image:
    """The first frame of a file, decoded."""
    if path.is_dir():
        raise BadPicture(f"{path} is a folder, not a picture; give the pictures in it one by one")
    if not path.exists():
        raise BadPicture(f"there is no picture {path}; check the path")
    if not path.is_file():
        raise BadPicture(f"{path} is not a regular file; give the path of a picture")
    with _damage_named(str(path)), Image.open(path) as picture:
        return _upright(picture, str(path))


def _upright(picture: Image.Image, name: str) -> Image.Image:
    """The picture decoded, and turned as the camera was held."""
    with _damage_named(name):
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    upright.format = picture.format  # which Pillow drops, and 16-bit greys need
    return upright


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turns what Pillow raises on a bad file into an error that names it."""
    try:
        with warnings.catch_warnings():
            # Complaints about metadata do not touch the pixels; damaged pixels raise.
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture(
            f"{name} unpacks to more pixels than is safe ({error}); make it smaller first, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        ) from error
    except UnidentifiedImageError as error:
        raise BadPicture(
            f"{name} is no picture that Pillow can read; give a PNG, JPEG, WebP, GIF, BMP or TIFF"
        ) from error
    except PermissionError as error:
        raise BadPicture(f"{name} cannot be opened ({error.strerror}); make it readable first") from error
    except _DAMAGE as error:
        raise BadPicture(f"{name} is damaged or incomplete ({error}); get the picture again") from error


def _opaque(picture: Image.Image, name: str) -> Image.Image:
    if 0 in picture.size:
        width, height = picture.size
        raise BadPicture(f"{name} has no pixels ({width} x {height}); give one that has")
    if picture.mode in (*_DEEP_GREYS, "I", "F"):
        return _deep_grey(picture, name)
    if picture.mode in ("1", "L", "RGB") and not picture.has_transparency_data:
        return picture.convert("L") if picture.mode == "1" else picture
    try:
        if picture.has_transparency_data:
            over = picture.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
        return picture.convert("RGB")
    except ValueError as error:
        raise BadPicture(f"{name} has colours that cannot be read ({error}); save it as RGB first") from error


def _deep_grey(picture: Image.Image, name: str) -> Image.Image:
    """A grey picture of 16 or 32 bits as mode "F" in [0, 1].

    16-bit values are divided by 65,535. Modes "I" and "F" do not say where white is: it is taken to be the
    first of 1 (in mode "F"), 255 and 65,535 that no value passes. Older versions of Pillow open 16-bit PNGs
    as "I".
    """
    numbers = np.asarray(picture).astype(np.float64)
    sixteen = picture.mode in _DEEP_GREYS or (picture.mode == "I" and picture.format == "PNG")
    whites = [65535] if sixteen else [1, 255, 65535] if picture.mode == "F" else [255, 65535]
    low, high = float(numbers.min()), float(numbers.max())
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if white is None:
        raise BadPicture(f"{name} holds grey values from {low:g} to {high:g}; scale them to 0 to 255, or to 0 to 65535")
    return Image.fromarray((numbers / white).astype(np.float32))


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] in (3, 4)
    depths = {"bool", "uint8", "uint16"} if grey else {"uint8"}
    floats = np.issubdtype(array.dtype, np.floating)
    if not (grey or colour) or not (floats or array.dtype.name in depths):
        raise BadPicture(
            f"an array of shape {array.shape} and type {array.dtype} is no picture; "
            "give (H, W) or (H, W, 3), of uint8 or of floats in [0, 1]"
        )
    if not array.size:
        raise BadPicture(f"an array of shape {array.shape} has no pixels; give one that has")
    if floats:
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise BadPicture(
                f"an array of floats must lie in [0, 1], not go from {array.min():g} to {array.max():g}; "
                "divide by its white, or make it uint8"
            )
        array = array.astype(np.float32) if grey else np.rint(array * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))
