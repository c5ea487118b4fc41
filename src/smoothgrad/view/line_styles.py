"""How lines look: colours, strokes and marks that are told apart in grey, too; and the legend that says whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from smoothgrad.view.score_plots import CONTROL, told_apart
from smoothgrad.view.sheet import SMALL, Box, Sheet, breadth, leading

# Okabe and Ito (2008); told apart in grey by their strokes and marks.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1c1c1e")
STROKES = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1.2, 1.2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


class Style(NamedTuple):
    """How the lines of a label look in all panels."""

    colour: str
    stroke: str | tuple[int, tuple[float, ...]]
    mark: str


def styles_of(greys: Mapping[str, bool]) -> dict[str, Style]:
    """A look for each label, of its own in grey too; where it is to be grey, that is its colour as well."""
    styles, counts = {}, [0, 0]
    for label, grey in greys.items():
        number = counts[grey]
        counts[grey] += 1
        marks = MARKS[::-1] if grey else MARKS
        colour = CONTROL if grey else COLOURS[number % len(COLOURS)]
        styles[label] = Style(colour, STROKES[(number + grey) % len(STROKES)], marks[number % len(marks)])
    return styles


class Key(NamedTuple):
    """The names of the lines, in columns beneath the panels."""

    entries: list[tuple[Style, tuple[str, ...]]]
    columns: int
    wide: float  # of a column, in inches

    @staticmethod
    def of(styles: Mapping[str, Style], width: float) -> Key:
        if not styles:
            return Key([], 1, width)
        longest = max(breadth(label, SMALL) for label in styles) + 0.65
        columns = max(1, min(len(styles), int(width / min(longest, width))))
        wide = width / columns
        names = told_apart(list(styles), wide - 0.6, SMALL)
        return Key(list(zip(styles.values(), names, strict=True)), columns, wide)

    @property
    def rows(self) -> int:
        return -(-len(self.entries) // self.columns)

    @property
    def row(self) -> float:
        return max((len(lines) for _, lines in self.entries), default=0) * leading(SMALL) + 0.05

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
