"""What comes back of a search: the pictures, and how they came to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from smoothgrad.errors import BadInput, need
from smoothgrad.files import write_aside
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.view.colour import Pixels, rgb
from smoothgrad.view.pixels import enlarged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 5  # pictures in a line
ROOM, GIF_ROOM = 640, 320  # pixels: a line of small pictures is enlarged to about this
GAP = 2  # white pixels between pictures, at least


@final
@dataclass(frozen=True, eq=False, repr=False)
class Dream:
    """N pictures that a search has found. Everything is on the CPU."""

    pictures: Tensor  # (N, *S) in the network's units
    values: Tensor  # (steps + 1, N) the objective at the start and after each step, penalties left out
    frames: Tensor  # (F, N, *S) pictures on the way, the last the one above
    steps: tuple[int, ...]  # (F) after how many steps each of them was there
    recipe: str  # one line that says how they were looked for
    seed: int
    provenance: Mapping[str, Any]  # the model, and the digest of its weights
    preprocessing: Preprocessing | None = None  # of the network, where it is known: how to show a picture

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.pictures.shape[1:]))
        count = "1 picture" if len(self) == 1 else f"{len(self)} pictures"
        first, last = (float(self.values[place].mean()) for place in (0, -1))
        return f"<Dream of {count} of {shape} by {self.recipe}, seed {self.seed}, objective {first:.3g} to {last:.3g}>"

    @property
    def shown(self) -> Tensor:
        """The pictures for the eye: (N, 3, H, W) in [0, 1]. See `for_the_eye`. Raises `BadInput` where the rows are no pictures."""
        return for_the_eye(self.pictures, self.preprocessing)

    def save(self, path: str | Path) -> Path:
        """Write the pictures as one PNG, side by side, small ones enlarged; recipe and seed stand in the file.

        Raises `CannotWrite`, and `BadInput` where the rows are no pictures.
        """
        notes = {"recipe": self.recipe, "seed": str(self.seed), "model": str(self.provenance["model"])}
        return save_picture(self.pictures, self.preprocessing, path, notes)

    def save_gif(self, path: str | Path, seconds: float = 4.0) -> Path:
        """Write the frames as a GIF that runs for so many seconds, and again and again; the last frame stays for one more.

        Frames that look the same to 256 colours are shown as one, for longer. Raises `BadInput` for a time that is none,
        and `CannotWrite`.
        """
        from PIL import Image

        if not (math.isfinite(seconds) and seconds > 0):
            raise BadInput(f"a GIF takes a time above 0, got {seconds} seconds")
        # Each through `for_the_eye` alone would change its scale; all rows of all frames have one.
        seen = for_the_eye(self.frames.flatten(0, 1), self.preprocessing).unflatten(0, self.frames.shape[:2])
        pages = [side_by_side(pictures, GIF_ROOM) for pictures in seen]
        # Greys are a GIF's own 256; of colours it chooses 256 for each frame.
        grey = all(bool((page == page[..., :1]).all()) for page in pages)
        first, *others = [Image.fromarray(page[..., 0] if grey else page) for page in pages]
        each = max(20, round(1000 * seconds / len(pages)))  # viewers show nothing for less than 20 ms
        times = [each] * len(others) + [each + 1000]
        return write_aside(
            path,
            lambda aside: first.save(
                aside, format="GIF", save_all=True, append_images=others, duration=times, loop=0, optimize=False
            ),
        )

    def figure(self) -> Figure:
        """The pictures, and the objective over the steps, as a matplotlib Figure. Raises `MissingPackage`, `BadInput`."""
        from smoothgrad.view.sheet import INK, QUIET, SMALL, Box, Sheet, fitted, leading

        pixels = side_by_side(self.shown)
        width, margin, curve = 5.0, 0.25, 1.5  # inches
        across = width if len(self) > 1 else 2.5
        height = across * pixels.shape[0] / pixels.shape[1]
        said = fitted(f"{self.recipe}, seed {self.seed}", width, SMALL, 6)
        top = margin + height + 0.3
        sheet = Sheet.of(width + 2 * margin, top + curve + 0.55 + len(said) * leading(SMALL) + margin)
        sheet.picture(Box(margin, margin, across, height), pixels)
        axes = sheet.axes(Box(margin + 0.45, top, width - 0.45, curve))
        axes.plot(self.values.double().numpy(), linewidth=1)
        axes.set_xlim(0, len(self.values) - 1)
        axes.xaxis.set_major_locator(_ticks())
        axes.yaxis.set_major_locator(_ticks())
        axes.tick_params(labelsize=SMALL, length=2, width=0.5, colors=INK)
        axes.set_xlabel("steps", fontsize=SMALL, color=INK)
        axes.set_title("objective", fontsize=SMALL, color=INK, loc="left", pad=3)
        sheet.lines(margin, top + curve + 0.5, said, SMALL, QUIET)
        return sheet.figure


def for_the_eye(x: Tensor, preprocessing: Preprocessing | None) -> Tensor:
    """Rows (N, C, H, W) of 1 or 3 channels as pictures (N, 3, H, W) in [0, 1].

    With the network's preprocessing, that is undone, and the rest clipped. Without, nobody knows what black and white are: the
    smallest of all values is shown as black, the largest as white.

    >>> for_the_eye(torch.tensor([-1.0, 3.0]).view(1, 1, 1, 2), None)[0, 0]
    tensor([[0., 1.]])
    """
    if preprocessing is not None:
        return preprocessing.show(x)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise BadInput(f"rows of shape {tuple(x.shape[1:])} are no pictures; the numbers are in .pictures and .frames")
    values = x.detach().double().cpu()
    low, high = values.aminmax()
    return ((values - low) / (high - low if high > low else torch.ones_like(high))).float().expand(-1, 3, -1, -1)


def save_picture(
    x: Tensor, preprocessing: Preprocessing | None, path: str | Path, notes: Mapping[str, str] | None = None
) -> Path:
    """Write rows (N, C, H, W) as one PNG, side by side, with notes in the file. Raises `BadInput`, `CannotWrite`."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in (notes or {}).items():
        info.add_itxt(name, text)
    image = Image.fromarray(side_by_side(for_the_eye(x, preprocessing)))
    return write_aside(path, lambda aside: image.save(aside, format="PNG", optimize=True, pnginfo=info))


def side_by_side(pictures: Tensor, room: int = ROOM) -> Pixels:
    """Pictures (N, 3, H, W) in [0, 1] as one, uint8 (H', W', 3): lines of a few, white between them, small ones enlarged to fill
    about `room` pixels, one alone 256."""
    height, width = (int(length) for length in pictures.shape[-2:])
    across = min(ACROSS, len(pictures))
    scale = max(1, (room if across > 1 else min(room, 256)) // (across * max(height, width)))
    gap = max(GAP, scale)
    lines = -(-len(pictures) // across)
    cell_high, cell_wide = height * scale + gap, width * scale + gap
    page = np.full((lines * cell_high - gap, across * cell_wide - gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // across * cell_high, number % across * cell_wide
        page[top : top + height * scale, left : left + width * scale] = enlarged(rgb(picture), scale)
    return page


def _ticks() -> Any:
    return need("matplotlib.ticker", extra="view").MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
