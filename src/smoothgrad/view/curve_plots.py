"""Mean curves of methods in bands, a panel for each measure. What is drawn comes ready; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smoothgrad.errors import BadInput
from smoothgrad.view.score_plots import (
    ACROSS,
    CONTROL,
    GUTTER,
    MARGIN,
    SPACE,
    TICK,
    TICKS,
    in_rows,
    number_ticks,
    reach,
    told_apart,
)
from smoothgrad.view.sheet import FONT, QUIET, SMALL, TEXT, Box, Sheet, breadth, fitted, leading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats: TypeAlias = npt.NDArray[np.float64]

CURVES, TALL = 2.6, 1.8  # inches: the drawn area of a panel
LEFT = 0.5  # inches: the numbers beside an axis
MOST_TICKS = 8  # names under an axis
# Okabe and Ito (2008); told apart in grey by their strokes and marks.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1c1c1e")
STROKES = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1.2, 1.2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


class MeanLine(NamedTuple):
    """The mean curve of a method, with the bounds of its mean; (P,) each."""

    label: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats
    control: bool


class CurvePanel(NamedTuple):
    """The curves of a measure."""

    title: str
    x_label: str
    y_label: str
    ticks: tuple[str, ...]  # names of the places x, where they have some
    lines: tuple[MeanLine, ...]


class Style(NamedTuple):
    """How the line of a method looks in all panels."""

    colour: str
    stroke: str | tuple[int, tuple[float, ...]]
    mark: str


def curve_figure(panels: Sequence[CurvePanel], confidence: float = 0.95) -> Figure:
    """A panel for each measure that has curves: the mean of each method in a band of its interval, controls in grey.

    Raises `BadInput` for nothing to draw, and `MissingPackage` without matplotlib.
    """
    if not any(panel.lines for panel in panels):
        raise BadInput("there is nothing to draw: no measure in this table has curves; deletion is one that has")
    styles = _styles(panels)
    grid = in_rows(list(panels), min(ACROSS, len(panels)))
    width = LEFT + CURVES
    heights = [max(_curve_height(panel) for panel in row) for row in grid]
    page = 2 * MARGIN + len(grid[0]) * (width + GUTTER) - GUTTER
    key = _Key.of(styles, page - 2 * MARGIN)
    note = f"Lines are means over pictures, bands their {100 * confidence:.3g} % bootstrap intervals."
    grey = " Grey: controls, which know nothing of the network."
    below = fitted(note + grey * any(style.colour == CONTROL for style in styles.values()), page - 2 * MARGIN, SMALL, 4)
    body = sum(height + SPACE for height in heights)
    sheet = Sheet.of(page, MARGIN + body + key.height + 0.08 + len(below) * leading(SMALL) + MARGIN)
    top = MARGIN
    for row, height in zip(grid, heights, strict=True):
        for place, panel in enumerate(row):
            _paint_curves(sheet, panel, styles, Box(MARGIN + place * (width + GUTTER), top, width, height))
        top += height + SPACE
    key.paint(sheet, MARGIN, top)
    sheet.lines(MARGIN, top + key.height + 0.08, below, SMALL, QUIET)
    return sheet.figure


def _styles(panels: Sequence[CurvePanel]) -> dict[str, Style]:
    """A look for each method, of its own in grey too; that of controls is grey in colour as well."""
    controls = {line.label: line.control for panel in panels for line in panel.lines}
    styles, counts = {}, [0, 0]
    for label, control in controls.items():
        number = counts[control]
        counts[control] += 1
        marks = MARKS[::-1] if control else MARKS
        colour = CONTROL if control else COLOURS[number % len(COLOURS)]
        styles[label] = Style(colour, STROKES[(number + control) % len(STROKES)], marks[number % len(marks)])
    return styles


def _shown_ticks(panel: CurvePanel) -> list[int]:
    """Which of the names under an axis are shown: evenly, the first and the last among them."""
    many = len(panel.ticks)
    few = min(many, MOST_TICKS)
    return sorted({round(place * (many - 1) / max(1, few - 1)) for place in range(few)}) if many else []


def _tick_name(name: str) -> str:
    return fitted(name, 0.9, SMALL, 1)[0] if name else ""


def _curve_foot(panel: CurvePanel) -> float:
    """Inches under a panel of curves, without the label."""
    names = [breadth(_tick_name(panel.ticks[place]), SMALL) for place in _shown_ticks(panel)]
    return max(names) + 0.1 if names else TICKS


def _curve_height(panel: CurvePanel) -> float:
    head = len(fitted(panel.title, LEFT + CURVES, TEXT, 2)) * leading(TEXT) + leading(SMALL) + 0.06
    return head + TALL + _curve_foot(panel) + leading(SMALL)


def _paint_curves(sheet: Sheet, panel: CurvePanel, styles: dict[str, Style], box: Box) -> None:
    top = sheet.lines(box.left, box.top, fitted(panel.title, box.width, TEXT, 2), TEXT)
    top = sheet.lines(box.left, top, fitted(panel.y_label, box.width, SMALL, 1) or ("",), SMALL, QUIET) + 0.06
    area = Box(box.left + LEFT, top, box.width - LEFT, TALL)
    axes = sheet.axes(area)
    for line in panel.lines:
        style = styles[line.label]
        known = np.isfinite(line.y)
        every = max(1, int(known.sum()) // 6)
        sure = np.isfinite(line.low) & np.isfinite(line.high)
        axes.fill_between(line.x, line.low, line.high, where=sure, color=style.colour, alpha=0.13, linewidth=0)
        axes.plot(
            line.x, line.y, color=style.colour, linestyle=style.stroke, linewidth=1.2, marker=style.mark, markersize=3.2,
            markevery=every, markerfacecolor="white" if line.control else style.colour, zorder=2 if line.control else 3,
        )  # fmt: skip
    low, high = reach([float(v) for line in panel.lines for part in (line.y, line.low, line.high) for v in part])
    ends = reach([float(v) for line in panel.lines for v in line.x], room=0.02)
    axes.set(ylim=(low, high), xlim=ends)
    number_ticks(axes, "y", 5)
    shown = _shown_ticks(panel)
    if shown:
        axes.set_xticks([float(panel.lines[0].x[place]) for place in shown])
        axes.set_xticklabels([_tick_name(panel.ticks[place]) for place in shown], rotation=90, family=FONT)
        axes.tick_params(axis="x", **TICK)
    else:
        number_ticks(axes, "x", 5)
    foot = area.top + area.height + _curve_foot(panel)
    for line_of_label in fitted(panel.x_label, area.width, SMALL, 1):
        sheet.text(area.left + area.width / 2, foot, line_of_label, SMALL, QUIET, "center")


class _Key(NamedTuple):
    """The names of the lines, in columns beneath the panels."""

    entries: list[tuple[Style, tuple[str, ...]]]
    columns: int
    wide: float  # of a column, in inches

    @staticmethod
    def of(styles: dict[str, Style], width: float) -> _Key:
        longest = max(breadth(label, SMALL) for label in styles) + 0.65
        columns = max(1, min(len(styles), int(width / min(longest, width))))
        wide = width / columns
        names = told_apart(list(styles), wide - 0.6, SMALL)
        return _Key(list(zip(styles.values(), names, strict=True)), columns, wide)

    @property
    def rows(self) -> int:
        return -(-len(self.entries) // self.columns)

    @property
    def row(self) -> float:
        return max(len(lines) for _, lines in self.entries) * leading(SMALL) + 0.05

    @property
    def height(self) -> float:
        return self.rows * self.row

    def paint(self, sheet: Sheet, left: float, top: float) -> None:
        for number, (style, lines) in enumerate(self.entries):
            column, row = divmod(number, self.rows)
            start, above = left + column * self.wide, top + row * self.row
            axes = sheet.axes(Box(start, above, 0.42, leading(SMALL)))
            axes.set_axis_off()
            face = "white" if style.colour == CONTROL else style.colour
            axes.plot([0, 1], [0, 0], color=style.colour, linestyle=style.stroke, linewidth=1.2)
            axes.plot([0.5], [0], style.mark, color=style.colour, markerfacecolor=face, markersize=3.2)
            axes.set(xlim=(-0.02, 1.02), ylim=(-1, 1))
            sheet.lines(start + 0.5, above, lines, SMALL)
