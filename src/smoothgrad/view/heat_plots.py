"""Tables of two settings as coloured cells with their numbers. What is drawn comes ready; nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smoothgrad.errors import BadInput, need
from smoothgrad.view.colour import Pixels, palette, scale_bar
from smoothgrad.view.scales import BAR, GAP, number
from smoothgrad.view.score_plots import ACROSS, GUTTER, LABEL, MARGIN, SPACE, in_rows, told_apart
from smoothgrad.view.sheet import FONT, INK, QUIET, SMALL, TEXT, Box, Sheet, breadth, fitted, leading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats: TypeAlias = npt.NDArray[np.float64]

WIDE, TALL = 0.46, 0.29  # inches: the least of a cell
PAGE = 11.0  # inches: panels stand beside each other up to here
UPRIGHT = 1.5  # inches: the longest name that stands on end under a column
BLUE = palette("negative").table  # one hue, and lightness falls evenly: larger is darker in grey, too
MISSING = "Hatched: no value."


class HeatPanel(NamedTuple):
    """A table (R, C): rows downwards, columns across. NaN is hatched."""

    title: str
    x_label: str  # what the columns are
    y_label: str  # what the rows are
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: Floats
    unit: str  # of the values


def heat_figure(panels: Sequence[HeatPanel], note: str = "", *, shared: bool = False) -> Figure:
    """Panels beside each other, each cell with its number, darker for larger, with a bar that says the scale; `shared`: one scale
    for all panels of a unit.

    Raises `BadInput` for nothing to draw or shapes that do not fit, and `MissingPackage` without matplotlib.

    >>> panel = HeatPanel("accuracy", "noise", "penalty", ("0", "0.1"), ("none",), np.array([[0.98, 0.91]]), "share")
    >>> [text.get_text() for text in heat_figure([panel]).axes[0].texts]
    ['0.980', '0.910']
    """
    if not panels:
        raise BadInput("there is nothing to draw: no panel is given")
    for panel in panels:
        _check(panel)
    ready = [
        _Heat.of(panel, _ends([one for one in panels if one.unit == panel.unit] if shared else [panel]))
        for panel in panels
    ]
    width = max(one.width for one in ready)
    grid = in_rows(ready, max(1, min(len(ready), ACROSS, int((PAGE + GUTTER) / (width + GUTTER)))))
    heads = [max(one.head for one in row) for row in grid]
    heights = [head + max(one.height - one.head for one in row) for head, row in zip(heads, grid, strict=True)]
    page = 2 * MARGIN + len(grid[0]) * (width + GUTTER) - GUTTER
    missing = MISSING if any(not np.isfinite(panel.values).all() for panel in panels) else ""
    below = fitted(" ".join(filter(None, (note, missing))), page - 2 * MARGIN, SMALL, 8)
    between = SPACE * (len(heights) - (not below))
    sheet = Sheet.of(page, 2 * MARGIN + sum(heights) + between + len(below) * leading(SMALL))
    top = MARGIN
    for row, head, height in zip(grid, heads, heights, strict=True):
        for place, one in enumerate(row):
            one.paint(sheet, MARGIN + place * (width + GUTTER), top + head - one.head)
        top += height + SPACE
    sheet.lines(MARGIN, top, below, SMALL, QUIET)
    return sheet.figure


def _check(panel: HeatPanel) -> None:
    wanted = (len(panel.rows), len(panel.columns))
    if panel.values.shape != wanted:
        raise BadInput(
            f"the table {panel.title!r} has {wanted[0]} rows and {wanted[1]} columns by its names, "
            f"and values of shape {panel.values.shape}"
        )
    if 0 in wanted:
        raise BadInput(f"there is nothing to draw: the table {panel.title!r} has no cells")


def _ends(panels: Sequence[HeatPanel]) -> tuple[float, float]:
    """The least and the largest value; NaN where there is none."""
    finite = np.concatenate([panel.values[np.isfinite(panel.values)] for panel in panels])
    return (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)


class _Heat(NamedTuple):
    """A panel with its scale, and its text cut to fit."""

    panel: HeatPanel
    ends: tuple[float, float]
    numbers: list[list[str]]
    names: Sequence[tuple[str, ...]]  # of rows, the lines of each
    columns: Sequence[tuple[str, ...]]
    upright: bool  # names of columns that have no room beside each other stand on end
    cell: tuple[float, float]
    width: float

    @staticmethod
    def of(panel: HeatPanel, ends: tuple[float, float]) -> _Heat:
        numbers = number_texts(panel.values)
        names = told_apart(panel.rows, LABEL, SMALL)
        wide = max([WIDE, *(breadth(text, SMALL) + 0.14 for row in numbers for text in row)])
        flat = [fitted(name, 2 * WIDE, SMALL, 2) for name in panel.columns]
        upright = any(
            "".join(lines).replace(" ", "") != name.replace(" ", "")
            for lines, name in zip(flat, panel.columns, strict=True)
        )
        columns = told_apart(panel.columns, UPRIGHT, SMALL) if upright else flat
        if upright:
            wide = max([wide, *(len(lines) * leading(SMALL) + 0.1 for lines in columns)])
        else:
            wide = max([wide, *(breadth(line, SMALL) + 0.12 for lines in columns for line in lines)])
        tall = max([TALL, *(len(lines) * leading(SMALL) + 0.06 for lines in names)])
        labels = max(breadth(line, SMALL) for lines in names for line in lines) + 0.08
        least = breadth("−0.0000", SMALL) * 2 + 0.3  # the numbers of the bar
        return _Heat(
            panel, ends, numbers, names, columns, upright, (wide, tall), labels + max(wide * len(columns), least)
        )

    @property
    def area(self) -> tuple[float, float]:
        """Inches of the coloured cells."""
        return self.cell[0] * len(self.panel.columns), self.cell[1] * len(self.panel.rows)

    @property
    def labels(self) -> float:
        """Inches of the names of the rows."""
        return max(breadth(line, SMALL) for lines in self.names for line in lines) + 0.08

    @property
    def title(self) -> tuple[str, ...]:
        return fitted(self.panel.title, self.width, TEXT, 3)

    @property
    def y_label(self) -> tuple[str, ...]:
        return fitted(self.panel.y_label, self.width, SMALL, 2)

    @property
    def x_label(self) -> tuple[str, ...]:
        return fitted(self.panel.x_label, self.width - self.labels, SMALL, 2)

    @property
    def unit(self) -> tuple[str, ...]:
        return fitted(self.panel.unit, self.width - self.labels, SMALL, 2)

    @property
    def head(self) -> float:
        return len(self.title) * leading(TEXT) + len(self.y_label) * leading(SMALL) + 0.06

    @property
    def foot(self) -> float:
        """Inches of the names of the columns."""
        if self.upright:
            return max(breadth(line, SMALL) for lines in self.columns for line in lines) + 0.1
        return max(len(lines) for lines in self.columns) * leading(SMALL) + 0.05

    @property
    def height(self) -> float:
        words = len(self.x_label) + 1 + len(self.unit)
        return self.head + self.area[1] + self.foot + GAP + BAR + words * leading(SMALL) + 0.06

    def paint(self, sheet: Sheet, left: float, top: float) -> None:
        under = sheet.lines(left, top, self.title, TEXT)
        sheet.lines(left, under, self.y_label, SMALL, QUIET)
        area = Box(left + self.labels, top + self.head, *self.area)
        self._cells(sheet.axes(area))
        for place, lines in enumerate(self.names):
            first = area.top + (place + 0.5) * self.cell[1] - len(lines) * leading(SMALL) / 2
            for number_of_line, line in enumerate(lines):
                sheet.text(area.left - 0.08, first + number_of_line * leading(SMALL), line, SMALL, INK, "right")
        for place, lines in enumerate(self.columns):
            self._column(sheet, lines, area.left + (place + 0.5) * self.cell[0], area.top + area.height + 0.05)
        under = area.top + area.height + self.foot
        under = sheet.lines(area.left, under, self.x_label, SMALL, QUIET) + GAP
        self._bar(sheet, Box(area.left, under, self.width - self.labels, BAR))

    def _column(self, sheet: Sheet, lines: tuple[str, ...], middle: float, top: float) -> None:
        if not self.upright:
            for place, line in enumerate(lines):
                sheet.text(middle, top + place * leading(SMALL), line, SMALL, INK, "center")
            return
        style = {"family": FONT, "size": SMALL, "color": INK, "ha": "center", "va": "top", "rotation": 90}
        first = middle - (len(lines) - 1) * leading(SMALL) / 2
        for place, line in enumerate(lines):
            where = (first + place * leading(SMALL)) / sheet.width, 1 - top / sheet.height
            sheet.figure.text(*where, line, parse_math=False, usetex=False, fontdict=style)

    def _cells(self, axes: Axes) -> None:
        values = self.panel.values
        colours = shades(values, self.ends)
        axes.imshow(colours, aspect="auto", interpolation="nearest", origin="upper")
        axes.set(xticks=[], yticks=[])
        rectangle = need("matplotlib.patches", extra="view").Rectangle
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                axes.text(
                    column, row, self.numbers[row][column], size=SMALL, color=ink(colours[row, column]), ha="center", va="center",
                    family=FONT,
                )  # fmt: skip
            else:
                axes.add_patch(
                    rectangle(
                        (column - 0.5, row - 0.5),
                        1,
                        1,
                        hatch="//////",
                        facecolor="#f4f4f4",
                        edgecolor="#8e8e93",
                        linewidth=0,
                    )
                )
        for place in range(1, values.shape[0]):
            axes.axhline(place - 0.5, color="white", linewidth=0.8)
        for place in range(1, values.shape[1]):
            axes.axvline(place - 0.5, color="white", linewidth=0.8)

    def _bar(self, sheet: Sheet, bar: Box) -> None:
        low, high = self.ends
        (first, last) = number_texts(np.array([[low, high]]))[0]
        under = bar.top + BAR + 0.02
        if low < high:
            sheet.picture(bar, scale_bar(palette("negative"), 512, 1))
            sheet.text(bar.left, under, first, SMALL, QUIET)
            sheet.text(bar.left + bar.width, under, last, SMALL, QUIET, "right")
        elif math.isfinite(low):
            sheet.picture(bar, shades(np.array([[low]]), self.ends))
            sheet.text(bar.left, under, f"all {first}", SMALL, QUIET)
        sheet.lines(bar.left, under + leading(SMALL), self.unit, SMALL, QUIET)


def shades(values: Floats, ends: tuple[float, float]) -> Pixels:
    """Colours (R, C, 3): from the lightest at the lower end to the darkest at the upper one, white without a value.

    >>> shades(np.array([[0.0, 1.0, np.nan]]), (0.0, 1.0))[0].tolist()
    [[246, 246, 246], [36, 86, 174], [255, 255, 255]]
    """
    low, high = ends
    known = np.isfinite(values)
    share = (np.where(known, values, low) - low) / (high - low) if low < high else np.full(values.shape, 0.25)
    index = np.rint(share * (len(BLUE) - 1)).astype(int)
    return np.where(known[..., None], BLUE[index], 255).astype(np.uint8)


def ink(colour: Pixels) -> str:
    """What is read best on a colour: white or dark, whichever has more contrast (WCAG 2's ratio of luminances).

    >>> ink(np.array([246, 246, 246], np.uint8)), ink(np.array([36, 86, 174], np.uint8))
    ('#1c1c1e', 'white')
    """
    parts = colour / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    light = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    dark = 0.0116  # the luminance of INK
    return INK if (light + 0.05) / (dark + 0.05) > 1.05 / (light + 0.05) else "white"


def number_texts(values: Floats) -> list[list[str]]:
    """Numbers of a table with the same decimals: three digits of the largest, and 0.996 beside 1.

    What these would round to zero has digits of its own.

    >>> number_texts(np.array([[0.98, 0.5, 1e-5], [-0.25, 0.0, np.nan]]))
    [['0.980', '0.500', '1e−5'], ['−0.250', '0.000', '']]
    >>> number_texts(np.array([[1234.0, 20.0]]))
    [['1234', '20']]
    """
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if len(finite) else 0.0
    if largest and not 1e-3 <= largest < 1e5:
        return [[number(float(value)) if np.isfinite(value) else "" for value in row] for row in values]
    decimals = max(0, 3 - math.ceil(math.log10(float(f"{largest:.6g}")))) if largest else 0
    return [[_text(float(value), decimals) for value in row] for row in values]


def _text(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return ""
    rounded = round(value, decimals) + 0.0
    return number(value) if value and not rounded else f"{rounded:.{decimals}f}".replace("-", "−")
