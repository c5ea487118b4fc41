"""From one value per pixel to colours, through palettes made of three promises:

zero is exactly neutral      and, signed, exactly the middle: no map looks positive because of its range
lightness says size          CIE L* falls in a straight line from zero to the limit, alike for both signs
hue says sign                orange and blue stay apart for red-blind, green-blind and blue-blind readers
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.view.look import Look
from smoothgrad.view.planes import limit as limit_of
from smoothgrad.view.planes import plane as plane_of
from smoothgrad.view.planes import remark as remark_on

Pixels = npt.NDArray[np.uint8]  # (..., 3), sRGB

STEPS = 256  # from zero to the limit: as many as a screen can tell apart
SHADE = 60  # the grey, 0 to 255, that black becomes beneath an overlay, so that the palettes' dark ends show on it
UNREAL = np.array([255, 0, 255], np.uint8)  # NaN and infinity: in no palette, overlooked by no one
ZERO = 97.0  # L* of zero: nearly white, so that a map's extent shows on a white page

# Each arm: L* at the limit, and the points (chroma, hue in degrees) that pull its curve through CIE LCh from
# zero on.
_ORANGE = (38.0, ((32.0, 75.0), (98.0, 62.0), (58.0, 48.0)))
_BLUE = (38.0, ((30.0, 245.0), (56.0, 264.0), (54.0, 287.0)))
_TEAL = (16.0, ((44.0, 140.0), (44.0, 185.0), (34.0, 235.0), (30.0, 285.0)))
_GREY = (20.0, ((0.0, 0.0),))


@final
@dataclass(frozen=True, eq=False)
class Palette:
    """A table of colours (n, 3) and the index of zero: the middle of a diverging palette, the start of the others."""

    table: Pixels
    zero: int

    def __call__(self, values: Tensor, limit: float) -> Pixels:
        """Colours (*S, 3) of values (*S), clipped to the limit; NaN and infinity in magenta."""
        real = values.detach().cpu().double().numpy()
        finite = np.isfinite(real)
        last = len(self.table) - 1
        # limit 0: nothing but zeros (or nothing finite) was found; never divide by it
        share = np.clip(np.where(finite, real, 0.0), -limit, limit) / (limit or 1.0)
        index = np.rint(self.zero + share * (last - self.zero)).astype(int).clip(0, last)
        return np.where(finite[..., None], self.table[index], UNREAL).astype(np.uint8)


@cache
def palette(sign: str) -> Palette:
    """The palette of a look's sign ("absolute", "signed", "positive", "negative"), or of standard errors ("error").

    >>> palette("signed").table[palette("signed").zero]
    array([246, 246, 246], dtype=uint8)
    """
    if sign == "signed":
        return Palette(np.concatenate([_arm(_BLUE)[:0:-1], _arm(_ORANGE)]), zero=STEPS)
    arms = {"absolute": _TEAL, "positive": _ORANGE, "negative": _BLUE, "error": _GREY}
    return Palette(_arm(arms[sign]), zero=0)


def _arm(arm: tuple[float, tuple[tuple[float, float], ...]]) -> Pixels:
    """Colours (STEPS + 1, 3) from zero to the limit: L* falls evenly, hue and chroma follow a Bézier curve."""
    light, pulls = arm
    chroma, hue = np.array([(0.0, 0.0), *pulls]).T
    share = np.linspace(0, 1, STEPS + 1)
    curve = (chroma * np.exp(1j * np.radians(hue)))[:, None]  # a + ib
    while len(curve) > 1:  # de Casteljau
        curve = (1 - share) * curve[:-1] + share * curve[1:]
    return _srgb(ZERO + share * (light - ZERO), curve[0].real, curve[0].imag)


# Linear sRGB to CIE XYZ (IEC 61966-2-1). White is the sum of its columns, so that equal r, g, b are exactly
# neutral.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _srgb(light: npt.NDArray[np.float64], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> Pixels:
    """CIE L*a*b* (n,) each to sRGB (n, 3)."""
    y = (light + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _TO_XYZ.sum(1)
    linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    pixels: Pixels = np.rint(255 * curved).astype(np.uint8)
    return pixels


def colour(plane: Tensor, limit: float, look: Look) -> Pixels:
    """Colours (H, W, 3) of a plane (H, W): the neutral zero at 0, the ends of the palette at -limit and limit.

    Values past the limit take its colour; a limit of 0 gives zero's colour everywhere; NaN and infinity are
    magenta (`planes.remark` puts that into words).

    >>> colour(torch.tensor([[-9.0, 0.0, 1.0]]), limit=1.0, look=Look(sign="signed")).tolist()
    [[[36, 86, 174], [246, 246, 246], [155, 58, 18]]]
    """
    return palette(look.sign)(plane, limit)


def overlay(picture: Tensor, plane: Tensor, limit: float, look: Look) -> Pixels:
    """Colours (H, W, 3) of a plane laid over a picture (3, H, W) or (1, H, W) of the same height and width.

    The picture is drawn in light greys, with opacity `look.overlay` over the colour of zero. A pixel of
    strength s = |value| / limit is  (1 - s^2) * picture + s^2 * the map's colour:  at zero the picture alone, at
    the limit the map alone, so that a strong value shows on black as on white. The square keeps the many weak
    values of a noisy map from hiding the picture behind a veil. Raises `BadInput` for a picture of another size.

    >>> overlay(torch.zeros(1, 1, 2), torch.tensor([[0.0, 1.0]]), 1.0, Look(sign="signed", overlay=1.0)).tolist()
    [[[60, 60, 60], [155, 58, 18]]]
    """
    below = rgb(picture)
    if below.shape[:2] != plane.shape:
        raise BadInput(
            f"the picture is {below.shape[0]} x {below.shape[1]} pixels, its map {plane.shape[0]} x {plane.shape[1]}; "
            "enlarge the map first, or show it without overlay"
        )
    colours = palette(look.sign)
    grey = (below @ np.array([0.299, 0.587, 0.114]))[..., None]  # luma, ITU-R BT.601
    grey = SHADE + (255 - SHADE) * grey / 255
    ground = look.overlay * grey + (1 - look.overlay) * colours.table[colours.zero]
    size = plane.detach().cpu().double().abs().numpy()[..., None]
    cover = (np.clip(size, 0, limit) / (limit or 1.0)) ** 2
    cover[~np.isfinite(size)] = 1.0  # the loud colour is never thin
    mixed: Pixels = np.rint((1 - cover) * ground + cover * colours(plane, limit)).astype(np.uint8)
    return mixed


def rgb(picture: Tensor) -> Pixels:
    """Colours (H, W, 3) of a picture (3, H, W) or (1, H, W): floats in [0, 1], or uint8. NaN and infinity in magenta.

    Raises `BadInput` for other shapes and for floats outside [0, 1], as a network's preprocessing leaves
    them.

    >>> rgb(torch.ones(1, 1, 2)).tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    """
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or picture.numel() == 0:
        raise BadInput(f"a picture is (3, H, W) or (1, H, W); got shape {tuple(picture.shape)}")
    values = picture.detach().cpu()
    values = values.double() / 255 if values.dtype == torch.uint8 else values.double()
    finite = values.isfinite()
    low, high = (float(end) for end in values.where(finite, torch.tensor(0.0).double()).aminmax())
    if low < -0.01 or high > 1.01:  # a hundredth of room: undoing a preprocessing rounds
        raise BadInput(
            f"a picture's values are in [0, 1]; got {low:.3g} to {high:.3g}; undo the network's preprocessing first"
        )
    shown = np.rint(255 * values.nan_to_num(0, 0, 0).clamp(0, 1).numpy()).astype(np.uint8).transpose(1, 2, 0)
    real = finite.all(0).numpy()[..., None]
    return np.where(real, np.broadcast_to(shown, (*shown.shape[:2], 3)), UNREAL).astype(np.uint8)


class Coloured(NamedTuple):
    """A map's picture: colours (H, W, 3), the limit of its scale, and what a reader must know ("" if nothing)."""

    pixels: Pixels
    limit: float
    remark: str


def coloured(
    map: Tensor, look: Look, *, x: Tensor | None = None, beneath: Tensor | None = None, unsigned: bool = False
) -> Coloured:
    """A raw map (C, H, W) or (H, W) to its picture in one step: plane, limit, colours, overlay.

    `x` is the input, needed with `look.times_input`; `beneath` the picture (3, H, W), needed with
    `look.overlay`; `unsigned` says that the map can never be negative (`Look.of`).

    >>> coloured(torch.zeros(3, 8, 8), Look()).remark
    'all zero'
    """
    look = look.of(unsigned=unsigned)
    values = plane_of(map, look, x)
    end = limit_of(values, look.cap)
    if not look.overlay:
        return Coloured(colour(values, end, look), end, remark_on(values))
    if beneath is None:
        raise BadInput("this look lays the map over its picture, but no picture was given; pass beneath, or overlay=0")
    return Coloured(overlay(beneath, values, end, look), end, remark_on(values))


def bar(look: Look, width: int = 2 * STEPS + 1, height: int = 1) -> Pixels:
    """Colours (height, width, 3) of the look's scale, from its low end to its high one, for a legend.

    Signed: zero is the middle. "negative" runs from zero, like the others, to the strongest negative value.

    >>> bar(Look(sign="signed"), width=3).tolist()
    [[[36, 86, 174], [246, 246, 246], [155, 58, 18]]]
    """
    return scale_bar(palette(look.sign), width, height)


def scale_bar(colours: Palette, width: int, height: int) -> Pixels:
    """Colours (height, width, 3) of a whole palette."""
    index = np.rint(np.linspace(0, len(colours.table) - 1, width)).astype(int)
    return np.broadcast_to(colours.table[index], (height, width, 3)).copy()
