"""What a figure can show: pictures, and maps of pictures. Features and signals: plots.py."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, final

from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.view.colour import Pixels, colour, overlay, palette, rgb
from smoothgrad.view.look import Look
from smoothgrad.view.planes import plane, plane_stderr, remark
from smoothgrad.view.scales import number
from smoothgrad.view.sheet import Box, Sheet

PER_INPUT = " per unit of input"
UNIT = "score" + PER_INPUT  # of a gradient; path methods and map * input are in units of the score


class Scale(NamedTuple):
    """What the colours or lengths of a panel mean."""

    values: Tensor  # that the limit is taken of
    palette: str  # a look's sign, or "error"
    label: str
    bar: bool  # a colour bar is needed: no axis of the panel says it
    cap: float

    @property
    def group(self) -> tuple[str, str]:
        """Scales may be shared by panels that mean the same: a gradient and a variance have no scale in common."""
        return self.palette, self.label


class Panel(ABC):
    """One cell of a figure. Below it, every class is final."""

    title: str
    note: str

    @abstractmethod
    def height(self, width: float) -> float:
        """The height in inches that it wants at this width."""

    @abstractmethod
    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        """Put it on the sheet; `limit` is where its scale ends."""

    def scale(self, look: Look) -> Scale | None:
        """What its colours mean, or None for a picture."""
        return None

    def remarks(self, look: Look) -> tuple[str, ...]:
        """What is said above it in small letters."""
        return (self.note,) if self.note else ()

    def error(self, title: str) -> Panel | None:
        """The panel of its standard error, under this title, if it has one of its own."""
        return None


@final
@dataclass(frozen=True, eq=False)
class PicturePanel(Panel):
    """A picture (3, H, W) or (1, H, W): floats in [0, 1], or uint8."""

    picture: Tensor
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        rgb(self.picture)

    def height(self, width: float) -> float:
        return width * _ratio(self.picture)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        _framed(sheet, box, rgb(self.picture))


@final
@dataclass(frozen=True, eq=False)
class MapPanel(Panel):
    """The map (C, H, W) or (H, W) of a picture, raw and signed.

    stderr: its standard error, of the same shape; shown as a picture of its own.
    x: the input, of the same shape; needed by a look with times_input.
    beneath: the picture (3, H, W); needed by a look with overlay.
    relative_error: ||stderr|| / ||map||, said above the map.
    unit: what one unit of the map is; for the colour bar.
    unsigned: the map can never be negative, as squares and variances: see `Look.of`.
    """

    map: Tensor
    stderr: Tensor | None = None
    x: Tensor | None = None
    beneath: Tensor | None = None
    title: str = ""
    note: str = ""
    relative_error: float | None = None
    unit: str = UNIT
    unsigned: bool = False

    def __post_init__(self) -> None:
        if self.map.ndim not in (2, 3):
            raise BadInput(f"a map of a picture is (C, H, W) or (H, W); got shape {tuple(self.map.shape)}")
        same_shape(self.map, self.stderr, self.x)

    def height(self, width: float) -> float:
        return width * _ratio(self.map)

    def scale(self, look: Look) -> Scale:
        shown = look.of(unsigned=self.unsigned)
        label = meaning(look, self.unit, _channels(self.map), unsigned=self.unsigned)
        return Scale(plane(self.map, shown, self.x), shown.sign, label, True, look.cap)

    def remarks(self, look: Look) -> tuple[str, ...]:
        return said_above(self.relative_error, self.note, self.scale(look).values, look, unsigned=self.unsigned)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        look = look.of(unsigned=self.unsigned)
        values = plane(self.map, look, self.x)
        if not look.overlay:
            _framed(sheet, box, colour(values, limit, look))
        elif self.beneath is None:
            raise BadInput(
                "this look lays the map over its picture, but the panel has none; pass beneath, or overlay=0"
            )
        else:
            _framed(sheet, box, overlay(self.beneath, values, limit, look))

    def error(self, title: str) -> Panel | None:
        return None if self.stderr is None else ErrorPanel(self.map, self.stderr, self.x, self.unit, title)


@final
@dataclass(frozen=True, eq=False)
class ErrorPanel(Panel):
    """The standard error of the map of a picture, in greys and with its own scale."""

    map: Tensor
    stderr: Tensor
    x: Tensor | None = None
    unit: str = UNIT
    title: str = ""
    note: str = ""

    def height(self, width: float) -> float:
        return width * _ratio(self.map)

    def scale(self, look: Look) -> Scale:
        values = plane_stderr(self.map, self.stderr, look, self.x)
        return Scale(values, "error", meaning_of_error(look, self.unit, _channels(self.map)), True, look.cap)

    def remarks(self, look: Look) -> tuple[str, ...]:
        return said_above(None, self.note, self.scale(look).values, look)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        _framed(sheet, box, palette("error")(self.scale(look).values, limit))


def meaning(look: Look, unit: str, channels: int, *, unsigned: bool = False) -> str:
    """What the values shown mean, in words for the label of a scale.

    >>> meaning(Look(sign="signed"), "score per unit of input", channels=1)
    'score per unit of input'
    >>> meaning(Look(), "score", channels=3), meaning(Look(channels="max"), "score", channels=3)
    ('sum of |score| over 3 channels', 'largest |score| of 3 channels')
    >>> meaning(Look(), "(score)²", channels=1, unsigned=True)
    '(score)²'
    """
    shown = unit_shown(look, unit)
    if look.sign == "absolute" and not (unsigned and not look.times_input):
        if channels == 1:
            return f"|{shown}|"
        summed = look.channels == "sum"
        return f"sum of |{shown}| over {channels} channels" if summed else f"largest |{shown}| of {channels} channels"
    joined = "" if channels == 1 else _joined(look, channels)
    if look.sign in ("positive", "negative"):
        joined = f"{look.sign} part{joined and f' of the {joined}'}"
    return ", ".join(part for part in (shown, joined) if part)


def meaning_of_error(look: Look, unit: str, channels: int) -> str:
    """The same of standard errors: they are those of what is shown, after the channels are joined.

    >>> meaning_of_error(Look(), "score", channels=3)
    'standard error of the sum over 3 channels, score'
    """
    joined = "" if channels == 1 else f" of the {_joined(look, channels)}"
    return f"standard error{joined}, {unit_shown(look, unit)}"


def _joined(look: Look, channels: int) -> str:
    return f"sum over {channels} channels" if look.channels == "sum" else f"largest of {channels} channels"


def unit_shown(look: Look, unit: str) -> str:
    """The unit of the values shown: map * input turns a gradient's into the score's.

    >>> unit_shown(Look(times_input=True), "probability per unit of input")
    'probability'
    """
    if not look.times_input:
        return unit
    return unit.removesuffix(PER_INPUT) if unit.endswith(PER_INPUT) else f"{unit} × input"


def said_above(
    relative_error: float | None, note: str, values: Tensor, look: Look, *, unsigned: bool = False
) -> tuple[str, ...]:
    """The small lines above a map: how sure it is, the note, and what is odd about its values."""
    sure = ""
    if relative_error is not None:
        sure = f"relative error {number(relative_error) if math.isfinite(relative_error) else 'undefined'}"
    odd = remark(values)
    if odd == "all zero" and unsigned and look.sign == "negative" and not look.times_input:
        odd = "all zero: this map is never negative"
    return tuple(line for line in (sure, note, odd) if line)


def same_shape(map: Tensor, stderr: Tensor | None, x: Tensor | None) -> None:
    """Raise `BadInput` unless the standard error and the input, where given, have the map's shape."""
    for name, other in (("standard error", stderr), ("input", x)):
        if other is not None and other.shape != map.shape:
            raise BadInput(
                f"the {name} has shape {tuple(other.shape)}, its map {tuple(map.shape)}; pass both of one row"
            )


def _channels(map: Tensor) -> int:
    return map.shape[0] if map.ndim == 3 else 1


def _ratio(picture: Tensor) -> float:
    """Height / width, kept between a fifth and two: a long strip is still seen, a tall one leaves room for others."""
    return min(max(picture.shape[-2] / picture.shape[-1], 0.2), 2.0)


def _framed(sheet: Sheet, box: Box, pixels: Pixels) -> None:
    ratio = pixels.shape[0] / pixels.shape[1]
    sheet.picture(box.middle(min(max(ratio, 0.05), 20.0)), pixels)
