"""What a figure can show: pictures, and maps of pictures. Features and signals: plots.py."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.significance import ZeroTest
from smoothgrad.view.colour import Pixels, colour, overlay, palette, rgb
from smoothgrad.view.hatch import hatched
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


class Sureness(NamedTuple):
    """How sure a map is; None for what is not known.

    relative_error: ||stderr|| / ||map||, said above the map.
    reproducibility: the expected correlation with the map of a fresh seed, said beside it.
    test: of its values against zero, for a look with fdr.
    """

    relative_error: float | None = None
    reproducibility: float | None = None
    test: ZeroTest | None = None


UNKNOWN = Sureness()


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
    sure: its relative error and reproducibility, said above it, and its test against zero, needed by a look with fdr.
    unit: what one unit of the map is; for the colour bar.
    unsigned: the map can never be negative, as squares and variances: see `Look.of`.
    """

    map: Tensor
    stderr: Tensor | None = None
    x: Tensor | None = None
    beneath: Tensor | None = None
    title: str = ""
    note: str = ""
    sure: Sureness = UNKNOWN
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
        return Scale(plane(left(self.map, look, self.sure), shown, self.x), shown.sign, label, True, look.cap)

    def remarks(self, look: Look) -> tuple[str, ...]:
        values = self.scale(look).values
        return said_above(self.sure, self.note, values, look, self.tested(look), unsigned=self.unsigned)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        if not look.overlay:
            pixels = colour(self.scale(look).values, limit, look.of(unsigned=self.unsigned))
        elif self.beneath is None:
            raise BadInput(
                "this look lays the map over its picture, but the panel has none; pass beneath, or overlay=0"
            )
        else:
            pixels = overlay(self.beneath, self.scale(look).values, limit, look.of(unsigned=self.unsigned))
        _framed(sheet, box, self.hatched(pixels, look))

    def tested(self, look: Look) -> str:
        """What a look with fdr leaves of it, in words, such as "FDR 5 %: 12 % of pixels"; "" for other looks."""
        return shown_at(look, "pixel", self._places(look), self.stderr, unsigned=self.unsigned)

    def hatched(self, pixels: Pixels, look: Look) -> Pixels:
        """Its colours (H, W, 3) with the pixels hatched that do not differ from zero, where the look asks for that."""
        places = self._places(look)
        if places is None:
            return pixels
        unreal = ~self.map.isfinite().reshape(-1, *self.map.shape[-2:]).all(0)  # not hidden: its magenta must be seen
        hidden: npt.NDArray[np.bool_] = ~(places | unreal).cpu().numpy()
        return hatched(pixels, hidden, over_picture=look.overlay > 0)

    def _places(self, look: Look) -> Tensor | None:
        """The pixels (H, W) any of whose channels differs from zero; None where that is not asked or not known."""
        differs = differing(look, self.sure)
        return differs if differs is None or differs.ndim == 2 else differs.any(0)

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
        return said_above(UNKNOWN, self.note, self.scale(look).values, look)

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
    sure: Sureness, note: str, values: Tensor, look: Look, tested: str = "", *, unsigned: bool = False
) -> tuple[str, ...]:
    """The small lines above a map: how sure it is, the note, what differs from zero, and what is odd about its values."""
    odd = remark(values)
    if odd == "all zero" and unsigned and look.sign == "negative" and not look.times_input:
        odd = "all zero: this map is never negative"
    if odd == "all zero" and tested.startswith("no "):
        odd = ""  # said already, with the reason
    return tuple(line for line in (how_sure(sure), note, tested, odd) if line)


def how_sure(sure: Sureness) -> str:
    """Relative error and reproducibility in words, as far as they are known.

    >>> how_sure(Sureness(0.314, 0.831)), how_sure(Sureness())
    ('relative error 0.31, a fresh seed would correlate 0.83', '')
    """
    said = []
    if sure.relative_error is not None:
        known = math.isfinite(sure.relative_error)
        said.append(f"relative error {number(sure.relative_error) if known else 'undefined'}")
    if sure.reproducibility is not None and math.isfinite(sure.reproducibility):
        said.append(f"a fresh seed would correlate {sure.reproducibility:.2f}")
    return ", ".join(said)


def differing(look: Look, sure: Sureness) -> Tensor | None:
    """Which values of the map (*S) differ from zero, for a look with fdr; None where it has none, or they are not tested."""
    return None if look.fdr is None or sure.test is None else sure.test.differs(look.fdr)


def left(map: Tensor, look: Look, sure: Sureness) -> Tensor:
    """The map with all values set to zero that do not differ from it, where the look asks for that. NaN and infinity stay."""
    differs = differing(look, sure)
    return map if differs is None else map.where(differs | ~map.isfinite(), 0.0)


def shown_at(look: Look, place: str, places: Tensor | None, stderr: Tensor | None, *, unsigned: bool = False) -> str:
    """What a look with fdr leaves of a map, in words; `places`, bool, says of each pixel (feature, moment) whether it is left.

    >>> import torch
    >>> shown_at(Look(fdr=0.05), "pixel", torch.arange(200) < 24, torch.ones(200))
    'FDR 5 %: 12 % of pixels'
    >>> shown_at(Look(fdr=0.05), "pixel", None, None)
    'no standard error: all shown'
    """
    if look.fdr is None:
        return ""
    if places is None:
        reason = "never negative" if unsigned else "no standard error" if stderr is None else "cannot be tested"
        return f"{reason}: all shown"
    rate, count, many = f"FDR {100 * look.fdr:.3g} %", int(places.sum()), places.numel()
    if not count:
        return f"no {place} differs from zero at {rate}"
    if many <= 100:
        return f"{rate}: {count} of {many} {place}{'s' * (many > 1)}"
    share = 100 * count / many
    said = "> 99" if 99 < share < 100 else number(share)
    return f"{rate}: {said} % of {place}s"


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
