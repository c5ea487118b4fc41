"""Logarithmic axes: where they end, and which numbers stand along them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from smoothgrad.errors import need
from smoothgrad.view.score_plots import TICK, tick_text
from smoothgrad.view.sheet import FONT, HAIR, SMALL, breadth, leading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 8  # numbers along an axis
# Figures in each decade, or in one of so many; from many numbers to few.
FINE: tuple[tuple[tuple[int, ...], int], ...] = (((1, 2, 3, 5, 7), 1), ((1, 2, 5), 1))  # within a decade or so
COARSE: tuple[tuple[tuple[int, ...], int], ...] = (((1, 3), 1), *(((1,), step) for step in (1, 2, 3, 5, 10, 20, 50)))
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_reach(values: Sequence[float], room: float = 0.06) -> tuple[float, float]:
    """The ends of an axis that shows those of these numbers that are above zero.

    >>> [round(end, 3) for end in log_reach([1.0, 100.0, 0.0], room=0.5)], log_reach([])
    ([0.1, 1000.0], (1.0, 10.0))
    """
    powers = [math.log10(value) for value in values if 0 < value < math.inf]
    if not powers:
        return 1.0, 10.0
    low, high = min(powers), max(powers)
    around = room * (high - low) or 0.3
    return float(10 ** (low - around)), float(10 ** (high + around))


def log_ticks(axes: Axes, which: Literal["x", "y"], length: float) -> None:
    """Make an axis with its ends set logarithmic: numbers along it, as many as have room on so many inches, small ticks between."""
    ends = axes.get_xlim() if which == "x" else axes.get_ylim()
    ticker = need("matplotlib.ticker", extra="view")
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(ends)
    axis = axes.xaxis if which == "x" else axes.yaxis
    numbers = shown_numbers(ends, length, across=which == "x")
    axis.set_major_locator(ticker.FixedLocator(numbers))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _place: log_text(value)))
    decades = math.log10(ends[1] / ends[0])
    between = _within(ends, range(1, 10), 1) if decades <= MOST else _within(ends, (1,), 1)
    axis.set_minor_locator(ticker.FixedLocator([place for place in between if place not in numbers]))
    axis.set_minor_formatter(ticker.NullFormatter())
    axes.tick_params(axis=which, **TICK)
    axes.tick_params(axis=which, which="minor", color=HAIR, width=0.4, length=1.5)
    for label in axis.get_ticklabels():
        label.set_fontfamily(FONT)
    if which == "x":
        axes.grid(visible=True, axis="x", which="major", color=HAIR, linewidth=0.3)
        axes.set_axisbelow(True)


def shown_numbers(ends: tuple[float, float], length: float, *, across: bool) -> list[float]:
    """Round numbers between the ends, as many as have room on so many inches.

    >>> shown_numbers((2.9, 210.0), 2.6, across=True), shown_numbers((1e-9, 1.1), 1.8, across=False)
    ([3.0, 10.0, 30.0, 100.0], [1e-08, 1e-06, 0.0001, 0.01, 1.0])
    """
    decades = math.log10(ends[1] / ends[0])
    if decades < 0.4:  # within a decade there may be no such number: those of a plain axis
        locator = need("matplotlib.ticker", extra="view").MaxNLocator(4, steps=(1, 2, 2.5, 5, 10))
        return [float(place) for place in locator.tick_values(*ends) if ends[0] <= place <= ends[1]]
    for figures, step in (*(FINE if decades < 1.5 else ()), *COARSE):
        numbers = _within(ends, figures, step)
        if len(numbers) <= MOST and _has_room(numbers, length / decades, across=across):
            break
    return numbers


def log_text(value: float) -> str:
    """A number along a logarithmic axis.

    >>> log_text(0.003), log_text(30_000.0).replace("\\u2009", " "), log_text(1e-5), log_text(3e7)
    ('0.003', '30 000', '10⁻⁵', '3·10⁷')
    """
    power = math.floor(math.log10(value) + 1e-9)
    if -4 < power < 5:
        return tick_text(value)
    figure = value / 10.0**power
    return ("" if f"{figure:.3g}" == "1" else f"{figure:.3g}·") + f"10{str(power).translate(RAISED)}"


def _within(ends: tuple[float, float], figures: Sequence[int], step: int) -> list[float]:
    low, high = math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1]))
    places = [float(f"{figure}e{power}") for power in range(low, high + 1) if power % step == 0 for figure in figures]
    return [place for place in places if ends[0] <= place <= ends[1]]


def _has_room(numbers: Sequence[float], decade: float, *, across: bool) -> bool:
    """Whether neighbours along an axis of so many inches a decade stay apart."""
    for one, other in pairwise(numbers):
        half = (breadth(log_text(one), SMALL) + breadth(log_text(other), SMALL)) / 2 if across else leading(SMALL)
        if decade * math.log10(other / one) < half + 0.08:
            return False
    return True
