"""Where the thing is in a picture, from boxes and masks: what measures of localisation are given.

A region is bool, (H, W), True inside; of N rows (N, H, W). Boxes are (xmin, ymin, xmax, ymax) in pixels, counted from 0 at the left
and at the top, both ends inside: (0, 0, 0, 0) is the first pixel, as in the files of PASCAL VOC less 1, and of Tiny ImageNet.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from smoothgrad.errors import BadInput, BadPicture
from smoothgrad.models.preprocessing import Preprocessing

Box: TypeAlias = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax
Boxes: TypeAlias = (
    Tensor | Sequence[Tensor | Sequence[float] | Sequence[Sequence[float]]]
)  # for each row one, or several

COLUMNS = ("file", "xmin", "ymin", "xmax", "ymax")
_BRIGHT = 0.5  # half of white: the edges of masks are grey in JPEGs, and where they were scaled


def regions_from_boxes(boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """What lies in the boxes of each row: (N, H, W), bool, for rows of `size` (H, W).

    `boxes`: (N, 4), one for each row, or a list with one box or a list of boxes for each row; the region is all that lies in any of
    them. A pixel is inside where xmin <= its column <= xmax and ymin <= its row <= ymax. What reaches over the border is cut off. A
    row without boxes has an empty region, and so no score. Raises `BadInput` for a box that ends before it begins, that holds NaN
    or infinity, or that lies outside the picture as a whole.

    >>> regions_from_boxes([(1, 0, 2, 1)], (2, 4)).int()
    tensor([[[0, 1, 1, 0],
             [0, 1, 1, 0]]], dtype=torch.int32)
    """
    height, width = _size(size)
    regions = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    across, down = torch.arange(width), torch.arange(height)[:, None]
    for row, given in enumerate(boxes):
        for xmin, ymin, xmax, ymax in _boxes_of(given, row):
            inside = (xmin <= across) & (across <= xmax) & (ymin <= down) & (down <= ymax)
            if not inside.any():
                raise BadInput(
                    f"the box {_shown((xmin, ymin, xmax, ymax))} of row {row} holds no pixel of rows of {height} x {width}; "
                    "boxes in pixels of the file are to be moved as the network's preprocessing moves the picture: "
                    "follow(region, preprocessing)"
                )
            regions[row] |= inside
    return regions


def regions_from_masks(masks: Tensor) -> Tensor:
    """What the masks mark: (N, H, W), bool, of masks (N, H, W) or (N, 1, H, W), or of one, (H, W).

    Bool as it is; whole numbers, such as labels or 0 and 255, wherever they are not 0; others, in [0, 1], where they are above 1/2.
    Raises `BadInput` for masks of another shape, and for numbers outside [0, 1].

    >>> regions_from_masks(torch.tensor([[0.2, 0.9]]))
    tensor([[[False,  True]]])
    """
    if not isinstance(masks, Tensor) or not (masks.ndim in (2, 3) or (masks.ndim == 4 and masks.shape[1] == 1)):
        got = f"shape {tuple(masks.shape)}" if isinstance(masks, Tensor) else type(masks).__name__
        raise BadInput(f"masks are (N, H, W), or (H, W) for one row, got {got}; give one number for each pixel")
    masks = masks.reshape(-1, *masks.shape[-2:])
    if masks.is_complex():
        raise BadInput(f"masks are bool, whole numbers or numbers in [0, 1], got {masks.dtype}")
    if not masks.is_floating_point():
        return masks != 0
    if not bool(((masks >= 0) & (masks <= 1)).all()):
        raise BadInput(
            f"masks of {masks.dtype} lie in [0, 1], got {float(masks.min()):g} to {float(masks.max()):g}; make them bool, as by "
            "masks > 0"
        )
    return masks > _BRIGHT


def follow(region: Tensor, preprocessing: Preprocessing) -> Tensor:
    """A region (H, W) of a picture file, as the network's preprocessing moves the picture: (h, w), bool.

    The same scaling, without values between inside and outside, and the same cut: a pixel of the row is inside where the nearest
    pixel of the file is. The file's pixels are those of the picture as one sees it, turned as the camera was held.
    Raises `BadInput` where the region is not (H, W), bool.

    >>> follow(torch.ones(40, 20, dtype=torch.bool), Preprocessing(size=(8, 8), resize=10)).shape
    torch.Size([8, 8])
    """
    if not isinstance(region, Tensor) or region.ndim != 2 or region.dtype != torch.bool or not region.numel():
        got = f"{region.dtype} {tuple(region.shape)}" if isinstance(region, Tensor) else type(region).__name__
        raise BadInput(
            f"a region of a picture is bool (H, W), got {got}; follow regions one by one: each file has its size"
        )
    from PIL import Image

    from smoothgrad.models.pictures import fit

    picture = Image.fromarray(region.cpu().numpy().astype(np.uint8))
    moved = fit(picture, preprocessing.resize, preprocessing.size, "nearest")
    return torch.from_numpy(np.array(moved)) != 0


# --- files -----------------------------------------------------------------------------------------------------------------


def read_boxes(path: str | Path) -> dict[str, list[Box]]:
    """The boxes of each picture in a table, by the picture's name as it stands there.

    The table is text, with commas or tabs between its columns; its first line names them, file, xmin, ymin, xmax and ymax among
    them, in any order. A picture may have several lines, each a box. Raises `BadInput`, with the number of the line at fault.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise BadInput(
            f"{path} cannot be read as a table of boxes ({why}); give a CSV file with columns {_LISTED}"
        ) from error
    head = text.partition("\n")[0]
    lines = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in head else ",", skipinitialspace=True)
    found: dict[str, list[Box]] = {}
    try:
        missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
        if missing:
            raise BadInput(f"{path} has no column {', '.join(missing)}; its first line must name {_LISTED}")
        for line in lines:
            where = f"{path}, line {lines.line_num}"
            if not (line["file"] or "").strip():
                raise BadInput(f"{where}: there is no name of a file; give one")
            found.setdefault(line["file"].strip(), []).append(_box([line[name] for name in COLUMNS[1:]], where))
    except csv.Error as error:
        raise BadInput(f"{path}, line {lines.line_num}: {error}; save the table as plain CSV") from error
    if not found:
        raise BadInput(f"{path} names no boxes; give a line for each box below the names of the columns")
    return found


def read_masks(folder: str | Path) -> dict[str, Path]:
    """The mask files in a folder, by the name of their picture without its ending: dog.png is the mask of dog.jpg.

    Files whose ending is not that of a picture are passed over, and so are hidden ones. Raises `BadInput` for no folder, for one
    without pictures, and for two masks of one name; `read_mask` reads a mask.
    """
    from PIL import Image

    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give the folder of the masks, named as their pictures are")
    endings = Image.registered_extensions()
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in endings or not path.is_file():
            continue
        if path.stem in found:
            raise BadInput(f"{found[path.stem]} and {path} are both masks of {path.stem}; keep one")
        found[path.stem] = path
    if not found:
        raise BadInput(f"there is no mask in {folder}; give a folder of pictures, white where the thing is")
    return found


def read_mask(path: str | Path) -> Tensor:
    """The region that a mask picture marks, (H, W), bool: where it is brighter than half of white.

    Raises `BadPicture` for a file that is no picture, and for one that is nowhere so bright without being black: a mask of 0 and 1
    in place of 0 and 255, or a picture of labels.
    """
    from smoothgrad.models.pictures import opaque_picture, values

    grey = values(opaque_picture(path), 1)[0, 0]
    region = grey > _BRIGHT
    if not region.any() and grey.any():
        raise BadPicture(
            f"{path} is no mask that can be read: its brightest value is {float(grey.max()) * 255:.3g} of 255; make it white where "
            "the thing is, and black elsewhere"
        )
    return region


# --- shared ----------------------------------------------------------------------------------------------------------------

_LISTED = ", ".join(COLUMNS)


def _boxes_of(given: Tensor | Sequence[float] | Sequence[Sequence[float]], row: int) -> list[Box]:
    """One box, or several, or none."""
    if not isinstance(given, Tensor | list | tuple):
        raise BadInput(f"row {row} has {given!r} in place of boxes; give (xmin, ymin, xmax, ymax), or a list of such")
    parts: list[object] = given.tolist() if isinstance(given, Tensor) else list(given)
    several = [list(part) for part in parts if isinstance(part, Tensor | list | tuple)]
    boxes = several if len(several) == len(parts) else [parts]  # numbers: one box
    return [_box(box, f"row {row}") for box in boxes]


def _box(given: Sequence[object], where: str) -> Box:
    """Four numbers that are a box. Raises `BadInput`."""
    try:
        xmin, ymin, xmax, ymax = (float(number) for number in given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadInput(f"{where}: {_shown(given)} is no box; give four numbers, xmin, ymin, xmax, ymax") from None
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise BadInput(f"{where}: the box {_shown(given)} holds NaN or infinity; give four numbers")
    if xmin > xmax or ymin > ymax:
        raise BadInput(
            f"{where}: the box {_shown(given)} ends before it begins; give xmin, ymin, xmax, ymax, not width and height"
        )
    return xmin, ymin, xmax, ymax


def _shown(box: Sequence[object]) -> str:
    return f"({', '.join(f'{number:g}' if isinstance(number, float) else str(number) for number in box)})"


def _size(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise BadInput(f"size is {tuple(size)}; give the height and the width of the rows in pixels")
    return int(size[0]), int(size[1])
