"""Scores of methods as dots with intervals, a panel for each measure. What is drawn comes ready; nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from smoothgrad.errors import BadInput, need
from smoothgrad.view.sheet import FONT, HAIR, INK, QUIET, SMALL, TEXT, Box, Sheet, breadth, fitted, leading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_T = TypeVar("_T")

MARGIN, GUTTER, SPACE = 0.22, 0.36, 0.26  # inches: around the page, between panels across, and down
ACROSS = 3  # panels beside each other
PLOT = 2.0  # inches: the width of the drawn area
LABEL = 1.9  # inches: the longest label of a method
ROW = 0.21  # inches: a method with a label of one line
TICKS = 0.06 + leading(SMALL)  # inches: the numbers under an axis
DOT, CONTROL, BAND = "#123a63", "#8e8e93", "#ececee"


class Dot(NamedTuple):
    """What a method scores on average; NaN where it is not known."""

    label: str
    mean: float
    low: float
    high: float
    control: bool
    n: int  # pictures
    failed: int  # scores that could not be had


class DotPanel(NamedTuple):
    """A measure."""

    title: str
    unit: str
    better: str  # "higher", "lower" or "neither"
    dots: tuple[Dot, ...]


# --- dots ---------------------------------------------------------------------------------------------------------------


def dot_figure(panels: Sequence[DotPanel], confidence: float = 0.95) -> Figure:
    """A panel for each measure: methods from the best to the worst, controls in grey, with a band over the interval of the best of
    them, where one is better than another: the one to beat.

    Raises `BadInput` for nothing to draw, and `MissingPackage` without matplotlib.

    >>> dots = (Dot("smooth", 0.3, 0.2, 0.4, False, 9, 0), Dot("random", 0.6, 0.5, 0.7, True, 9, 0))
    >>> len(dot_figure([DotPanel("deletion", "share of the score", "lower", dots)]).axes)
    1
    """
    if not any(panel.dots for panel in panels):
        raise BadInput("there is nothing to draw: the table has no scores")
    ready = [_Dots.of(panel) for panel in panels]
    width = max(one.labels for one in ready) + 0.1 + PLOT
    grid = in_rows(ready, min(ACROSS, len(ready)))
    heights = [max(one.height for one in row) for row in grid]
    page = 2 * MARGIN + len(grid[0]) * (width + GUTTER) - GUTTER
    below = fitted(_dot_note(panels, confidence), page - 2 * MARGIN, SMALL, 8)
    body = sum(height + SPACE for height in heights)
    sheet = Sheet.of(page, MARGIN + body + len(below) * leading(SMALL) + MARGIN)
    top = MARGIN
    for row, height in zip(grid, heights, strict=True):
        for place, one in enumerate(row):
            one.paint(sheet, MARGIN + place * (width + GUTTER), top, width)
        top += height + SPACE
    sheet.lines(MARGIN, top, below, SMALL, QUIET)
    return sheet.figure


class _Dots(NamedTuple):
    """A panel with its text cut to fit."""

    panel: DotPanel
    dots: list[Dot]  # from the best to the worst
    names: Sequence[tuple[str, ...]]  # the lines of each label
    labels: float  # inches: the widest of them
    head: tuple[str, ...]
    said: tuple[str, ...]

    @staticmethod
    def of(panel: DotPanel) -> _Dots:
        up = panel.better == "lower"
        known = [dot for dot in panel.dots if math.isfinite(dot.mean)]
        dots = sorted(known, key=lambda dot: dot.mean if up else -dot.mean)
        dots += [dot for dot in panel.dots if not math.isfinite(dot.mean)]
        most = max(dot.n for dot in panel.dots)
        names = told_apart(
            [f"{dot.label} (n = {dot.n})" if 0 < dot.n < most else dot.label for dot in dots], LABEL, SMALL
        )
        labels = max(breadth(line, SMALL) for lines in names for line in lines)
        head = fitted(panel.title, labels + PLOT, TEXT, 2)
        return _Dots(panel, dots, names, labels, head, fitted(direction(panel), labels + PLOT, SMALL, 2))

    @property
    def rows(self) -> list[float]:
        """The height of each method's row."""
        return [ROW + (len(lines) - 1) * leading(SMALL) for lines in self.names]

    @property
    def above(self) -> float:
        return len(self.head) * leading(TEXT) + len(self.said) * leading(SMALL) + 0.06

    @property
    def height(self) -> float:
        return self.above + sum(self.rows) + TICKS

    def paint(self, sheet: Sheet, left: float, top: float, width: float) -> None:
        under = sheet.lines(left, top, self.head, TEXT)
        sheet.lines(left, under, self.said, SMALL, QUIET)
        area = Box(left + width - PLOT, top + self.above, PLOT, sum(self.rows))
        axes = sheet.axes(area)
        low, high = reach([value for dot in self.dots for value in (dot.mean, dot.low, dot.high)])
        axes.set(xlim=(low, high), ylim=(area.height, 0.0))
        number_ticks(axes, "x")
        best = next((dot for dot in self.dots if dot.control and math.isfinite(dot.mean)), None)
        if best is not None and self.panel.better != "neither":
            known = math.isfinite(best.low) and math.isfinite(best.high)
            ends = (best.low, best.high) if known else (best.mean, best.mean)
            axes.axvspan(*ends, color=BAND, linewidth=0 if ends[0] < ends[1] else 1.5, zorder=0)
        start = 0.0
        for dot, lines, height in zip(self.dots, self.names, self.rows, strict=True):
            middle = start + height / 2
            first = area.top + middle - len(lines) * leading(SMALL) / 2
            for number, line in enumerate(lines):
                ink = QUIET if dot.control else INK
                sheet.text(area.left - 0.08, first + number * leading(SMALL), line, SMALL, ink, "right")
            axes.axhline(middle, color=HAIR, linewidth=0.4, zorder=1)
            _dot(axes, dot, middle)
            start += height


def _dot(axes: Axes, dot: Dot, y: float) -> None:
    colour = CONTROL if dot.control else DOT
    if not math.isfinite(dot.mean):
        axes.text(
            0.02, y, "no score", size=SMALL, color=QUIET, va="center", family=FONT, transform=axes.get_yaxis_transform(),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
        return
    if math.isfinite(dot.low) and math.isfinite(dot.high):
        axes.plot([dot.low, dot.high], [y, y], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
        axes.plot([dot.low, dot.high], [y, y], "|", color=colour, markersize=4.5, markeredgewidth=1.0, zorder=2)
    face = "white" if dot.control else colour
    axes.plot([dot.mean], [y], "o", color=colour, markerfacecolor=face, markersize=4.6, markeredgewidth=1.1, zorder=3)


def direction(panel: DotPanel) -> str:
    """What the numbers are, and which of them are good.

    >>> direction(DotPanel("deletion", "share of the score", "lower", ()))
    '← lower is better; share of the score'
    """
    words = {"higher": "higher is better →", "lower": "← lower is better", "neither": "neither end is better"}
    return "; ".join(filter(None, (words[panel.better], panel.unit)))


def _dot_note(panels: Sequence[DotPanel], confidence: float) -> str:
    dots = [dot for panel in panels for dot in panel.dots]
    counts = sorted({dot.n for dot in dots if dot.n}) or [0]
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    said = [f"Dots are means over n = {many} picture{'s' * (counts[-1] != 1)}."]
    if any(math.isfinite(dot.low) for dot in dots):
        said.append(f"Whiskers are {100 * confidence:.3g} % bootstrap intervals over pictures.")
    if any(not math.isfinite(dot.low) and math.isfinite(dot.mean) for dot in dots):
        said.append("Without whiskers: too few pictures for an interval, or all scores are equal.")
    if any(dot.control for dot in dots):
        said.append("Grey, hollow: controls, which know nothing of the network.")
    if any(
        dot.control and math.isfinite(dot.mean) for panel in panels for dot in panel.dots if panel.better != "neither"
    ):
        said.append("The band is the interval of the best control.")
    failed = sum(dot.failed for dot in dots)
    if failed:
        said.append(f"{failed} score{'s' * (failed > 1)} could not be had.")
    return " ".join(said)


# --- both ---------------------------------------------------------------------------------------------------------------


TICK = {"labelsize": SMALL, "labelcolor": QUIET, "color": HAIR, "width": 0.5, "length": 2.5, "pad": 2.0}


def number_ticks(axes: Axes, which: Literal["x", "y"], most: int = 4) -> None:
    """A few round numbers along an axis: `most` steps of 1, 2, 2.5 or 5."""
    ticker = need("matplotlib.ticker", extra="view")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(ticker.MaxNLocator(most, steps=(1, 2, 2.5, 5, 10)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _place: tick_text(value)))
    axes.tick_params(axis=which, **TICK)
    for label in axis.get_ticklabels():
        label.set_fontfamily(FONT)
    if which == "x":
        axes.grid(visible=True, axis="x", color=HAIR, linewidth=0.3)
        axes.set_axisbelow(True)


def tick_text(value: float) -> str:
    """A number at an axis.

    >>> tick_text(-0.25), tick_text(50_000.0).replace("\\u2009", " "), tick_text(2e6)
    ('−0.25', '50 000', '2e+06')
    """
    large = 1e4 <= abs(value) < 1e6 and value == round(value)
    text = f"{value:,.0f}".replace(",", "\u2009") if large else f"{value:.4g}"
    return text.replace("-", "−")


def told_apart(labels: Sequence[str], width: float, size: float) -> list[tuple[str, ...]]:
    """Labels in two lines each; what does not fit is cut in the middle, and where two then look alike, in more lines.

    >>> told_apart(["Deletion(steps=32, removal=Replaced(Blurred(sigma=10.0)))"], 1.0, 6.8)
    [('Deletion(steps=…d(', 'sigma=10.0)))')]
    """
    for lines in (2, 3, 4, 6, 9):
        cut = [_cut_inside(label, width, size, lines) for label in labels]
        if len(set(cut)) == len(set(labels)):
            break
    return cut


def _cut_inside(label: str, width: float, size: float, lines: int) -> tuple[str, ...]:
    """In so many lines, without its middle where it is too long: labels often differ at their ends."""
    fits = fitted(label, width, size, lines)
    if _is_whole(fits, label):
        return fits
    few, many = 0, len(label)  # letters kept: these fit, these do not
    while many - few > 1:  # by halves: measuring text takes long
        kept = (few + many) // 2
        short = f"{label[: -(-kept // 2)]}…{label[len(label) - kept // 2 :]}"
        found = fitted(short, width, size, lines)
        if _is_whole(found, short):
            few, fits = kept, found
        else:
            many = kept
    return fits


def _is_whole(lines: Sequence[str], text: str) -> bool:
    return "".join(lines).replace(" ", "") == text.replace(" ", "")


def reach(values: Sequence[float], room: float = 0.06) -> tuple[float, float]:
    """The ends of an axis that shows these numbers."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    # A single number, or many that are equal to rounding, stands in the middle.
    spread = (high - low) or abs(high) or 1.0
    return low - room * spread, high + room * spread


def in_rows(cells: list[_T], across: int) -> list[list[_T]]:
    """Cells in rows of so many."""
    return [cells[start : start + across] for start in range(0, len(cells), across)]
