"""Maps of rows that are no pictures: features as bars, signals as a line over a strip of colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import mul
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.view.colour import STEPS, Pixels, palette
from smoothgrad.view.hatch import hatched
from smoothgrad.view.look import Look
from smoothgrad.view.panels import (
    UNIT,
    UNKNOWN,
    MapPanel,
    Panel,
    Scale,
    Sureness,
    differing,
    left,
    meaning,
    said_above,
    same_shape,
    shown_at,
)
from smoothgrad.view.planes import asked, folded, folded_stderr
from smoothgrad.view.scales import AXIS, number, number_line
from smoothgrad.view.sheet import INK, QUIET, SMALL, Box, Sheet, breadth, fitted, leading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["picture", "signal", "features"]

BAR = 0.165  # inches from one feature to the next
STRIP = 0.17  # inches: the strip of colour under a signal
STRIP_WIDTH, LEAST_STRIP = 3.2, 240  # inches, about; pixels, where lines must fit in it
TIMES = leading(SMALL) + 0.05  # inches: the numbers of the moments under a signal
BAND = "map ± 2 standard errors"
PALE = 0.3  # opacity of a bar or a line that does not differ from zero
MOST_LINES = 12  # channels of a signal drawn: the leads of an electrocardiogram


@final
@dataclass(frozen=True, eq=False)
class FeaturesPanel(Panel):
    """The map (F,) of a row of features: one bar each, the largest first, whiskers of 2 standard errors.

    names: of the features; their numbers where none are given.
    most: how many bars to draw; the panel says how many smaller ones are left out.
    With a look that has fdr, bars that do not differ from zero are pale. Its test may have a further dimension, (F, D), where a
    bar adds up D values: it differs from zero if one of them does.
    The rest is as in `MapPanel`.
    """

    map: Tensor
    stderr: Tensor | None = None
    x: Tensor | None = None
    names: Sequence[str] = ()
    most: int = 20
    title: str = ""
    note: str = ""
    sure: Sureness = UNKNOWN
    unit: str = UNIT
    unsigned: bool = False

    def __post_init__(self) -> None:
        if self.map.ndim != 1:
            raise BadInput(f"a map of features is (F,); got shape {tuple(self.map.shape)}")
        if self.names and len(self.names) != len(self.map):
            raise BadInput(f"{len(self.names)} names for {len(self.map)} features; pass one each, or none")
        if self.most < 1:
            raise BadMethod(f"most, the number of bars, is at least 1; got {self.most}")
        same_shape(self.map, self.stderr, self.x)

    def height(self, width: float) -> float:
        return BAR * min(self.most, len(self.map)) + AXIS

    def scale(self, look: Look) -> Scale:
        # Long enough for every bar and whisker: nothing is cut off here, so the cap has nothing to do.
        reach = self._values(look).abs() + 2 * self._errors(look)
        label = meaning(look, self.unit, 1, unsigned=self.unsigned)
        return Scale(reach, look.of(unsigned=self.unsigned).sign, label, False, 100.0)

    def remarks(self, look: Look) -> tuple[str, ...]:
        places = self._places(look)
        fdr = shown_at(look, "feature", places, self.stderr, unsigned=self.unsigned)
        said = said_above(self.sure, self.note, self._values(look), look, fdr, unsigned=self.unsigned)
        left_out = len(self.map) - self.most
        return (*said, f"{left_out} smaller feature{'s' * (left_out > 1)} not shown") if left_out > 0 else said

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        values, errors, scale = self._values(look), self._errors(look), self.scale(look)
        places = self._places(look)
        order = values.abs().nan_to_num(math.inf).argsort(descending=True, stable=True)[: self.most].tolist()
        names = [self.names[i] if self.names else f"feature {i}" for i in order]
        indent = min(0.42 * box.width, max(breadth(name[:99], SMALL) for name in names) + 0.12)
        area = Box(box.left + indent, box.top, box.width - indent, box.height - AXIS)
        axes = sheet.axes(area)
        reach = 1.04 * limit or 1.0
        axes.set(xlim=(-reach if scale.palette == "signed" else 0, reach), ylim=(len(order) - 0.5, -0.5))
        axes.axvline(0, color=QUIET, linewidth=0.6)
        for place, i in enumerate(order):
            top = area.top + (place + 0.5) * BAR - leading(SMALL) / 2
            for name in fitted(names[place], indent - 0.1, SMALL, 1):
                sheet.text(area.left - 0.06, top, name, SMALL, INK, "right")
            value = float(values[i])
            if not math.isfinite(value):
                axes.text(0, place, " not finite", size=SMALL, color="magenta", va="center")
                continue
            whisker = 2 * float(errors[i]) if self.stderr is not None else None
            style = {"elinewidth": 0.7, "capsize": 1.6, "ecolor": INK}
            ink = (*_solid(scale.palette, value), 1.0 if places is None or bool(places[i]) else PALE)
            axes.barh(place, value, height=0.7, xerr=whisker, color=ink, error_kw=style)
        number_line(sheet, area, scale.palette, reach, fitted(scale.label, area.width, SMALL, 1))

    def _values(self, look: Look) -> Tensor:
        return folded(asked(self.map, look, self.x)[None], look.of(unsigned=self.unsigned))

    def _errors(self, look: Look) -> Tensor:
        if self.stderr is None:
            return self._values(look) * 0
        return asked(self.stderr, look, self.x).abs()

    def _places(self, look: Look) -> Tensor | None:
        """The features (F,) that differ from zero; None where that is not asked or not known."""
        differs = differing(look, self.sure)
        return None if differs is None else differs.flatten(1).any(1) if differs.ndim > 1 else differs


@final
@dataclass(frozen=True, eq=False)
class SignalPanel(Panel):
    """The map (C, T) or (T,) of a signal x of the same shape: its channels as lines, the map as a strip beneath.

    The strip holds one value per moment: the channels are folded as the look says. With `stderr`, the
    strip's values are drawn a second time as a line with a band of 2 standard errors. With a look that has fdr,
    moments that do not differ from zero are hatched, and pale in that line. The rest is as in `MapPanel`.
    """

    map: Tensor
    x: Tensor
    stderr: Tensor | None = None
    title: str = ""
    note: str = ""
    sure: Sureness = UNKNOWN
    unit: str = UNIT
    unsigned: bool = False

    def __post_init__(self) -> None:
        if self.map.ndim not in (1, 2):
            raise BadInput(f"a map of a signal is (C, T) or (T,); got shape {tuple(self.map.shape)}")
        same_shape(self.map, self.stderr, self.x)

    def height(self, width: float) -> float:
        return 0.9 + 0.14 * (min(len(_channels(self.map)), MOST_LINES) - 1) + STRIP + TIMES

    def scale(self, look: Look) -> Scale:
        label = meaning(look, self.unit, len(_channels(self.map)), unsigned=self.unsigned)
        shown = look.of(unsigned=self.unsigned)
        return Scale(_strip(left(self.map, look, self.sure), shown, self.x), shown.sign, label, True, look.cap)

    def remarks(self, look: Look) -> tuple[str, ...]:
        places = _moments(look, self.sure)
        fdr = shown_at(look, "moment", places, self.stderr, unsigned=self.unsigned)
        said = said_above(self.sure, self.note, self.scale(look).values, look, fdr, unsigned=self.unsigned)
        finite = self.x[self.x.isfinite()]
        if finite.numel():
            said = (*said, f"input from {number(float(finite.min()))} to {number(float(finite.max()))}")
        channels = len(_channels(self.map))
        return (*said, f"first {MOST_LINES} of {channels} channels drawn") if channels > MOST_LINES else said

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        strip = Box(box.left, box.top + box.height - TIMES - STRIP, box.width, STRIP)
        axes = sheet.axes(Box(box.left, box.top, box.width, box.height - TIMES - STRIP))
        lines = _channels(self.x).detach().cpu().double().numpy()[:MOST_LINES]
        finite = lines[np.isfinite(lines)]
        # One height for all channels, so that their sizes compare; each is moved down by its number.
        step = float(np.ptp(finite)) if finite.size and np.ptp(finite) else 1.0
        for channel, line in enumerate(lines):
            middle = float(finite.max() + finite.min()) / 2 if finite.size else 0.0
            shifted = (np.where(np.isfinite(line), line, np.nan) - middle) / step - 0.6 * channel
            marker = "." if len(line) == 1 else ""
            axes.plot(np.arange(len(line)), shifted, color=INK, linewidth=0.8, marker=marker)
        axes.set(xlim=(-0.5, lines.shape[1] - 0.5), ylim=(-0.6 * (len(lines) - 1) - 0.6, 0.6))
        scale = self.scale(look)
        colours = _hatched_strip(palette(scale.palette)(scale.values, limit)[None], self.map, _moments(look, self.sure))
        beneath = sheet.picture(strip, colours)
        beneath.images[0].set_extent(
            (-0.5, lines.shape[1] - 0.5, 0.5, -0.5)
        )  # in moments, however many pixels there are
        _times(sheet, beneath, strip, lines.shape[1])

    def error(self, title: str) -> Panel | None:
        """The map as a line with a band, which its note names: it is no picture of the standard error alone."""
        if self.stderr is None:
            return None
        return SignalErrorPanel(self.map, self.stderr, self.x, self.unit, unsigned=self.unsigned, sure=self.sure)


@final
@dataclass(frozen=True, eq=False)
class SignalErrorPanel(Panel):
    """The map of a signal as a line over time, with a band of 2 standard errors."""

    map: Tensor
    stderr: Tensor
    x: Tensor
    unit: str = UNIT
    title: str = ""
    note: str = BAND
    unsigned: bool = False
    sure: Sureness = UNKNOWN  # for its test against zero

    def height(self, width: float) -> float:
        return 0.9 + STRIP + TIMES

    def scale(self, look: Look) -> Scale:
        label = meaning(look, self.unit, len(_channels(self.map)), unsigned=self.unsigned)
        shown = look.of(unsigned=self.unsigned)
        return Scale(_strip(self.map, shown, self.x).abs() + 2 * self._errors(look), shown.sign, label, False, 100.0)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        look = look.of(unsigned=self.unsigned)
        box = Box(box.left, box.top, box.width, box.height - TIMES)
        axes = sheet.axes(box)
        values = _strip(self.map, look, self.x).double().numpy()
        errors = 2 * self._errors(look).double().numpy()
        time = np.arange(len(values))
        axes.fill_between(time, values - errors, values + errors, color=_solid(look.sign, 1.0), alpha=0.3, linewidth=0)
        ink, places = _solid(look.sign, 1.0), _moments(look, self.sure)
        axes.plot(time, values, color=ink, linewidth=0.8, alpha=1.0 if places is None else PALE)
        if places is not None:  # over it, what differs from zero; a moment alone is a dot
            axes.plot(time, np.where(places, values, np.nan), color=ink, linewidth=0.8, marker=".", markersize=2)
        reach = 1.04 * limit or 1.0
        low = -reach if look.sign == "signed" else 0.0
        axes.set(xlim=(-0.5, len(values) - 0.5), ylim=(low, reach))
        axes.axhline(0, color=QUIET, linewidth=0.5)
        sign = -1 if look.sign == "negative" else 1
        sheet.text(box.left + 0.04, box.top + 0.02, number(sign * reach), SMALL, QUIET)
        sheet.text(box.left + 0.04, box.top + box.height - leading(SMALL) - 0.02, number(low), SMALL, QUIET)
        _times(sheet, axes, box, len(values))

    def _errors(self, look: Look) -> Tensor:
        values, errors = asked(self.map, look, self.x), asked(self.stderr, look, self.x).abs()
        return folded_stderr(_channels(values), _channels(errors), look)


def _moments(look: Look, sure: Sureness) -> Tensor | None:
    """The moments (T,) any of whose channels differs from zero; None where that is not asked or not known."""
    differs = differing(look, sure)
    return differs if differs is None or differs.ndim == 1 else differs.any(0)


def _hatched_strip(colours: Pixels, map: Tensor, places: Tensor | None) -> Pixels:
    """The strip (1, T, 3), or with hatched moments a taller one of the same proportions as on the page."""
    if places is None:
        return colours
    hidden: npt.NDArray[np.bool_] = ~(places | ~_channels(map).isfinite().all(0)).cpu().numpy()[None]
    wide = -(-LEAST_STRIP // hidden.shape[1])
    tall = max(1, round(wide * hidden.shape[1] * STRIP / STRIP_WIDTH))
    return hatched(colours.repeat(tall, axis=0).repeat(wide, axis=1), hidden.repeat(tall, axis=0).repeat(wide, axis=1))


def _channels(signal: Tensor) -> Tensor:
    return signal if signal.ndim == 2 else signal[None]


def _strip(map: Tensor, look: Look, x: Tensor) -> Tensor:
    return folded(_channels(asked(map, look, x)), look)


def _times(sheet: Sheet, axes: Axes, box: Box, moments: int) -> None:
    """A few ticks with their numbers under the axes of a signal, which fill the box."""
    every = _every(moments)
    ticks = range(0, moments, every)
    axes.set_xticks(list(ticks), labels=[])
    axes.tick_params(axis="x", direction="out", length=2, width=0.5, color=QUIET)
    for tick in ticks:
        place = (tick + 0.5) / moments
        text = str(tick)
        half = breadth(text, SMALL) / 2
        left = min(max(box.left + place * box.width, box.left + half), box.left + box.width - half)
        sheet.text(left, box.top + box.height + 0.03, text, SMALL, QUIET, "center")


def _every(moments: int) -> int:
    """How far apart the ticks of a signal stand: a round number, at most six of them.

    >>> _every(5), _every(20), _every(187), _every(5000)
    (1, 5, 50, 1000)
    """
    round_ = (step * factor for factor in accumulate(repeat(10), mul, initial=1) for step in (1, 2, 5))
    return next(every for every in round_ if moments <= 5 * every)


def _solid(sign: str, value: float) -> tuple[float, ...]:
    """The colour of a bar or a line: two thirds of the way to the end of the palette on the value's side."""
    colours = palette(sign)
    index = colours.zero + (-1 if value < 0 else 1) * (2 * STEPS // 3)
    return tuple(float(part) for part in colours.table[index] / 255)


def panel(
    map: Tensor,
    *,
    kind: Kind | None = None,
    x: Tensor | None = None,
    stderr: Tensor | None = None,
    beneath: Tensor | None = None,
    names: Sequence[str] = (),
    title: str = "",
    sure: Sureness = UNKNOWN,
    unit: str = UNIT,
    unsigned: bool = False,
) -> Panel:
    """The panel that suits a map: of a picture (C, H, W), of a signal (C, T), or of features (F,).

    `kind` says otherwise: "picture" for (H, W), "signal" for (T,). The other parameters are those of `MapPanel`,
    `SignalPanel` (which needs x) and `FeaturesPanel`; each takes what it can show. Raises `BadInput` for any other
    shape, and `BadMethod` for any other kind.

    >>> import torch
    >>> type(panel(torch.zeros(3, 8, 8))).__name__, type(panel(torch.zeros(5))).__name__
    ('MapPanel', 'FeaturesPanel')
    """
    kinds: dict[int, Kind] = {1: "features", 2: "signal", 3: "picture"}
    if kind is None and map.ndim not in kinds:
        raise BadInput(
            f"a map to show is (C, H, W) of a picture, (C, T) of a signal or (F,) of features; got {tuple(map.shape)}"
        )
    match kind or kinds[map.ndim]:
        case "picture":
            return MapPanel(map, stderr, x, beneath, title, "", sure, unit, unsigned)
        case "features":
            return FeaturesPanel(
                map,
                stderr,
                x,
                names,
                title=title,
                sure=sure,
                unit=unit,
                unsigned=unsigned,
            )
        case "signal":
            if x is None:
                raise BadInput("a signal is drawn above its map, but no x was given; pass the row that was explained")
            return SignalPanel(map, x, stderr, title, "", sure, unit, unsigned)
        case other:
            raise BadMethod(f"a panel's kind is picture, signal or features; got {other!r}")
