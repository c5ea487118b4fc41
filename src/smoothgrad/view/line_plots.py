"""Lines over numbers, on plain or logarithmic axes, a panel for each. What is drawn comes ready; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smoothgrad.errors import BadInput
from smoothgrad.view.line_styles import Key, Style, styles_of
from smoothgrad.view.log_axis import log_reach, log_ticks
from smoothgrad.view.score_plots import (
    ACROSS,
    GUTTER,
    MARGIN,
    SPACE,
    TICK,
    TICKS,
    in_rows,
    number_ticks,
    reach,
)
from smoothgrad.view.sheet import FONT, QUIET, SMALL, TEXT, Box, Sheet, breadth, fitted, leading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats: TypeAlias = npt.NDArray[np.float64]

# The drawn area of a panel, in inches, and how many stand beside each other: where there are 1, 2 or 4 of them, and else.
LAYOUTS = {1: ((4.4, 2.7), 1), 2: ((3.3, 2.1), 2), 4: ((3.3, 2.1), 2)}
MANY = ((2.6, 1.8), ACROSS)
LEFT = 0.5  # inches: the numbers beside an axis
FEW_MARKS = 6  # along a path of many points: enough to tell it apart in grey
MOST_TICKS = 8  # names under an axis
NOT_ABOVE_ZERO = "What is not above zero has no place on a logarithmic axis, and is left out."


class Line(NamedTuple):
    """Points (P,) joined by a line, with the bounds of an interval where it is known; NaN leaves a gap."""

    label: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    grey: bool = False  # a control, or what is there to compare with, such as 1 / sqrt(n)


class Mark(NamedTuple):
    """A place on the x axis that something is said about: a vertical hairline with a label."""

    x: float
    label: str


class LinePanel(NamedTuple):
    """Lines that share two axes."""

    title: str
    x_label: str  # with its unit
    y_label: str
    lines: tuple[Line, ...]
    log_x: bool = False
    log_y: bool = False
    marks: tuple[Mark, ...] = ()
    dots: bool = True  # a mark at each point; False for paths of many points
    ticks: tuple[str, ...] = ()  # names of the places x of the first line, where they have some


def line_figure(panels: Sequence[LinePanel], note: str = "") -> Figure:
    """Panels beside and below each other, with one legend: the same label has the same colour, stroke and mark in all of them, told
    apart in grey, too. `note` stands beneath.

    Raises `BadInput` for nothing to draw, and `MissingPackage` without matplotlib.

    >>> line = Line("a", np.array([3.0, 9.0]), np.array([0.5, 0.3]))
    >>> panel = LinePanel("error", "samples", "share of the norm", (line,), log_x=True)
    >>> [label.get_text() for label in line_figure([panel]).axes[0].get_xticklabels()]
    ['3', '5', '7']
    """
    if not any(panel.lines for panel in panels):
        raise BadInput("there is nothing to draw: no panel has a line")
    styles = styles_of({line.label: line.grey for panel in panels for line in panel.lines})
    left_out = NOT_ABOVE_ZERO if any(_leaves_out(panel) for panel in panels) else ""
    said = " ".join(filter(None, (note, left_out)))
    return drawn(panels, styles, styles if len(styles) > 1 else {}, said, LAYOUTS.get(len(panels), MANY))


def drawn(
    panels: Sequence[LinePanel],
    styles: Mapping[str, Style],
    legend: Mapping[str, Style],
    note: str,
    layout: tuple[tuple[float, float], int],
) -> Figure:
    """The page: panels in a layout, what of the styles is told in a legend, and a note."""
    plot, across = layout
    grid = in_rows([_Lines.of(panel, plot) for panel in panels], min(across, len(panels)))
    width = LEFT + plot[0]
    heads = [max(one.head for one in row) for row in grid]
    heights = [head + plot[1] + max(one.foot for one in row) for head, row in zip(heads, grid, strict=True)]
    page = 2 * MARGIN + len(grid[0]) * (width + GUTTER) - GUTTER
    key = Key.of(legend, page - 2 * MARGIN)
    below = fitted(note, page - 2 * MARGIN, SMALL, 8)
    tail = SPACE + key.height + 0.08 + len(below) * leading(SMALL) if key.entries or below else 0.0
    sheet = Sheet.of(page, 2 * MARGIN + sum(heights) + SPACE * (len(heights) - 1) + tail)
    top = MARGIN
    for row, head, height in zip(grid, heads, heights, strict=True):
        for place, one in enumerate(row):
            one.paint(sheet, MARGIN + place * (width + GUTTER), top, head, styles, several=bool(legend))
        top += height + SPACE
    key.paint(sheet, MARGIN, top)
    sheet.lines(MARGIN, top + key.height + 0.08, below, SMALL, QUIET)
    return sheet.figure


# --- a panel ------------------------------------------------------------------------------------------------------------


class _Lines(NamedTuple):
    """A panel with its ends and its text cut to fit."""

    panel: LinePanel
    plot: tuple[float, float]
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    title: tuple[str, ...]
    y_label: tuple[str, ...]
    x_label: tuple[str, ...]
    flags: tuple[_Flag, ...]

    @staticmethod
    def of(panel: LinePanel, plot: tuple[float, float]) -> _Lines:
        wide = LEFT + plot[0]
        x_ends = _x_ends(panel)
        title, y_label = fitted(panel.title, wide, TEXT, 3), fitted(panel.y_label, wide, SMALL, 2) or ("",)
        x_label, flags = fitted(panel.x_label, plot[0], SMALL, 2), _flags(panel.marks, x_ends, plot[0], log=panel.log_x)
        return _Lines(panel, plot, x_ends, _y_ends(panel), title, y_label, x_label, flags)

    @property
    def head(self) -> float:
        """Inches above the drawn area."""
        lanes = max((flag.lane + 1 for flag in self.flags), default=0)
        words = len(self.title) * leading(TEXT) + len(self.y_label) * leading(SMALL) + 0.06
        return words + lanes * leading(SMALL) + 0.04 * bool(lanes)

    @property
    def numbers(self) -> float:
        """Inches of the numbers, or names, under the axis."""
        names = [breadth(_tick_name(self.panel.ticks[place]), SMALL) for place in _shown_ticks(self.panel)]
        return max(names) + 0.1 if names else TICKS

    @property
    def foot(self) -> float:
        """Inches beneath the drawn area."""
        return self.numbers + max(1, len(self.x_label)) * leading(SMALL)

    def paint(
        self, sheet: Sheet, left: float, top: float, head: float, styles: Mapping[str, Style], *, several: bool
    ) -> None:
        under = sheet.lines(
            left, top + head - self.head, self.title, TEXT
        )  # the words stand just above what they are about
        sheet.lines(left, under, self.y_label, SMALL, QUIET)
        area = Box(left + LEFT, top + head, *self.plot)
        axes = sheet.axes(area)
        for flag in self.flags:
            flag.paint(axes, self.plot)
        for line in self.panel.lines:
            self._line(axes, line, styles[line.label], several=several)
        axes.set(xlim=self.x_ends, ylim=self.y_ends)
        if any(np.isfinite(line.y).any() for line in self.panel.lines):
            self._ticks(axes)
        else:
            axes.text(
                0.5, 0.5, "no values", size=SMALL, color=QUIET, ha="center", family=FONT, transform=axes.transAxes
            )
        foot = area.top + area.height + self.numbers
        for number, text in enumerate(self.x_label):
            sheet.text(area.left + area.width / 2, foot + number * leading(SMALL), text, SMALL, QUIET, "center")

    def _line(self, axes: Axes, line: Line, style: Style, *, several: bool) -> None:
        y = np.where(line.y > 0, line.y, np.nan) if self.panel.log_y else line.y
        x = np.where(line.x > 0, line.x, np.nan) if self.panel.log_x else line.x
        if line.low is not None and line.high is not None:
            low = np.maximum(line.low, self.y_ends[0]) if self.panel.log_y else line.low  # a band may reach below zero
            sure = np.isfinite(line.low) & np.isfinite(line.high) & np.isfinite(y)
            axes.fill_between(x, low, line.high, where=list(sure), color=style.colour, alpha=0.13, linewidth=0)
        axes.plot(
            x, y, color=style.colour, linestyle=style.stroke, linewidth=1.2, marker=style.mark, markersize=3.2,
            markevery=_marked(y, dots=self.panel.dots, several=several),
            markerfacecolor="white" if line.grey else style.colour, zorder=2 if line.grey else 3,
        )  # fmt: skip

    def _ticks(self, axes: Axes) -> None:
        panel = self.panel
        shown = _shown_ticks(panel)
        if panel.log_x:
            log_ticks(axes, "x", self.plot[0])
        elif shown:
            axes.set_xticks([float(panel.lines[0].x[place]) for place in shown])
            axes.set_xticklabels([_tick_name(panel.ticks[place]) for place in shown], rotation=90, family=FONT)
            axes.tick_params(axis="x", **TICK)
        else:
            number_ticks(axes, "x", 5)
        if panel.log_y:
            log_ticks(axes, "y", self.plot[1])
        else:
            number_ticks(axes, "y", 5)


def _x_ends(panel: LinePanel) -> tuple[float, float]:
    places = [float(v) for line in panel.lines for v in line.x] + [mark.x for mark in panel.marks]
    return log_reach(places, room=0.03) if panel.log_x else reach(places, room=0.02)


def _y_ends(panel: LinePanel) -> tuple[float, float]:
    means = [float(v) for line in panel.lines for v in line.y]
    bounds = [float(v) for line in panel.lines for part in (line.low, line.high) if part is not None for v in part]
    if not panel.log_y:
        return reach(means + bounds)
    least = min((mean for mean in means if mean > 0), default=0.0)
    return log_reach(means + [max(bound, least / 10) for bound in bounds])  # a bound near zero would fill the axis


def _leaves_out(panel: LinePanel) -> bool:
    below = [
        line for line in panel.lines if (panel.log_x and (line.x <= 0).any()) or (panel.log_y and (line.y <= 0).any())
    ]
    return bool(below)


def _marked(y: Floats, *, dots: bool, several: bool) -> list[int]:
    """At which points marks stand; always at those that no line reaches."""
    if dots:
        return list(range(len(y)))
    known = np.isfinite(y)
    before, after = np.append(False, known[:-1]), np.append(known[1:], False)
    alone = set(np.flatnonzero(known & ~before & ~after).tolist())
    every = max(1, int(known.sum()) // FEW_MARKS)
    return sorted(alone | set(range(0, len(y), every) if several else ()))


def _shown_ticks(panel: LinePanel) -> list[int]:
    """Which of the names under an axis are shown: evenly, the first and the last among them."""
    many = len(panel.ticks)
    few = min(many, MOST_TICKS)
    return sorted({round(place * (many - 1) / max(1, few - 1)) for place in range(few)}) if many else []


def _tick_name(name: str) -> str:
    return fitted(name, 0.9, SMALL, 1)[0] if name else ""


# --- marks --------------------------------------------------------------------------------------------------------------


class _Flag(NamedTuple):
    """The label of a mark above the drawn area, in a lane of its own where others stand in the way; inches from the left of it."""

    place: float
    start: float  # of the text
    label: str
    lane: int

    def paint(self, axes: Axes, plot: tuple[float, float]) -> None:
        top = 0.04 + self.lane * leading(SMALL)
        share, line = self.place / plot[0], leading(SMALL)
        axes.plot(
            [share, share], [0, 1 + (top + line - 0.02) / plot[1]], color=QUIET, linewidth=0.5, clip_on=False, zorder=1,
            transform=axes.transAxes, scalex=False, scaley=False,
        )  # fmt: skip
        axes.text(
            self.start / plot[0], 1 + (top + 0.25 * line) / plot[1], self.label, size=SMALL, color=QUIET, family=FONT,
            va="baseline", transform=axes.transAxes, parse_math=False, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2},
        )  # fmt: skip


def _flags(marks: Sequence[Mark], ends: tuple[float, float], wide: float, *, log: bool) -> tuple[_Flag, ...]:
    """Flags to the right of their hairlines, to the left where there is no room; from the right on, each above those in its way."""
    scale = np.log10 if log else np.asarray
    low, high = (float(scale(end)) for end in ends)
    flags: list[_Flag] = []
    for mark in sorted((one for one in marks if not log or one.x > 0), key=lambda one: -one.x):
        place = wide * (float(scale(mark.x)) - low) / (high - low)
        label = " ".join(fitted(mark.label, wide, SMALL, 1))
        long = breadth(label, SMALL)
        start = place + 0.04 if place + 0.04 + long <= wide + GUTTER - 0.1 else max(place - 0.04 - long, -LEFT)
        before = [
            flag.lane for flag in flags if start < max(flag.start + breadth(flag.label, SMALL), flag.place) + 0.06
            and min(flag.start, flag.place) < start + long + 0.06
        ]  # fmt: skip
        flags.append(_Flag(place, start, label, 1 + max(before, default=-1)))
    return tuple(flags)
