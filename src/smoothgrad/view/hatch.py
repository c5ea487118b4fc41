"""How a picture of a map says "nothing is shown here": hatched grey, which no palette has and no printer loses.

The colours of a map say how large its values are, down to zero. A value that is left out because it does not differ from zero is
something else: its pixel is grey with diagonal lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smoothgrad.view.colour import Pixels

GROUND = 222  # the grey, 0 to 255, of what is left out, between its lines
DEPTH = 56  # how much darker the lines are
VEIL = 0.45  # how much of the grey lies over a picture that is seen beneath
LEAST = 120  # pixels: a smaller picture is enlarged, so that there is room for lines in each of its pixels
LINES = 50  # along the longer side


def hatched(pixels: Pixels, hidden: npt.NDArray[np.bool_], *, over_picture: bool = False) -> Pixels:
    """Pixels (H, W, 3) with those that are `hidden` (H, W) hatched, all of them enlarged by a whole number where they are few.

    `over_picture`: what is hidden is seen faintly beneath the lines, as a look with overlay wants it.

    >>> page = hatched(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool))
    >>> page.shape, sorted(set(page.ravel().tolist()))
    ((120, 120, 3), [166, 222])
    """
    scale = -(-LEAST // max(hidden.shape))
    big = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    where = hidden.repeat(scale, axis=0).repeat(scale, axis=1)
    veil = VEIL if over_picture else 1.0
    ground = (1 - veil) * big + veil * GROUND
    shown = np.where(where[..., None], ground - DEPTH * _lines(where.shape)[..., None], big)
    return np.rint(shown).astype(np.uint8)


def _lines(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where the lines are, from bottom left to top right, a quarter of the ground."""
    period = max(4, round(max(shape) / LINES))
    along = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    lines: npt.NDArray[np.bool_] = along % period < period // 4
    return lines
