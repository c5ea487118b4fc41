"""An experiment's table in short: means over pictures, a row for each point of the grid, a column for each quantity there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smoothgrad.experiments.experiment import Row, Scalar
from smoothgrad.experiments.result import Result
from smoothgrad.measure.statistics import intervals
from smoothgrad.report.rounding import told_alike

MOST = 200  # rows on the page
RESAMPLES = 1999  # of bootstrap intervals: hundreds of them, told in two digits


class Mean(NamedTuple):
    """A mean over pictures, rounded; "–" where there is none, "" where the quantity is not measured at this point."""

    value: str
    interval: str  # "" where there is none
    n: int  # pictures
    of: int  # pictures of which it was asked; what has no value on one counts there only


class Quantity(NamedTuple):
    """A column."""

    name: str
    unit: str


class Point(NamedTuple):
    """A row: where it stands in the grid, and its means."""

    settings: tuple[str, ...]
    means: tuple[Mean, ...]


class Means(NamedTuple):
    """A table of the quantities that are measured at the same settings."""

    settings: tuple[str, ...]  # the names of the columns before the means
    quantities: tuple[Quantity, ...]
    points: tuple[Point, ...]
    left_out: int  # points beyond MOST in all tables together

    @property
    def intervals(self) -> bool:
        """Whether any mean has one."""
        return any(mean.interval for point in self.points for mean in point.means)


def means_of(result: Result) -> tuple[Means, ...]:
    """Means over pictures with 95 % bootstrap intervals, at each point of the grid and for each key, of cells that did not fail.

    A table for each set of columns that quantities are told apart by; the one with the fewest columns comes first.
    """
    about = result.experiment
    rows = [row for row in result.records if not row["reason"]]
    kinds = ["group"] * (
        len({row.get("group") for row in rows}) > 1
    )  # over pictures of a kind, where there are several
    columns: dict[str, list[str]] = {}  # of each quantity
    for quantity in dict.fromkeys(str(row["quantity"]) for row in rows):
        some = [row for row in rows if row["quantity"] == quantity]
        named = [*kinds, *about.grid, *about.keys]
        columns[quantity] = [name for name in named if any(row.get(name) is not None for row in some)]
    tables, room = [], MOST
    for settings in sorted({tuple(names) for names in columns.values()}, key=len):
        together = [row for row in rows if tuple(columns[str(row["quantity"])]) == settings]
        tables.append(_table(settings, together, room))
        room -= len(tables[-1].points)
    return tuple(tables)


def _table(settings: tuple[str, ...], rows: Sequence[Row], most: int) -> Means:
    """The means of these rows, of the first so many points."""
    units = {str(row["quantity"]): str(row["unit"]) for row in rows}
    held: dict[tuple[Scalar, ...], dict[str, list[Row]]] = {}
    for row in rows:
        point = held.setdefault(tuple(row.get(name) for name in settings), {})
        point.setdefault(str(row["quantity"]), []).append(row)
    shown = list(held.items())[:most]
    by_quantity = [_column([point.get(quantity, []) for _, point in shown]) for quantity in units]
    points = [
        Point(tuple(_said(value) for value in place), tuple(column[number] for column in by_quantity))
        for number, (place, _) in enumerate(shown)
    ]
    return Means(settings, tuple(Quantity(*one) for one in units.items()), tuple(points), len(held) - len(shown))


def _column(cells: Sequence[Sequence[Row]]) -> list[Mean]:
    """The means of a quantity, all with as many decimals as they need."""
    found = [_numbers(rows) for rows in cells]
    told = told_alike([one[:3] for one in found])
    return [
        Mean(
            said.mean if rows else "",
            f"{said.low} to {said.high}" if math.isfinite(low) else "",
            n,
            len({row.get("picture") for row in rows}),
        )
        for rows, said, (_, low, _, n) in zip(cells, told, found, strict=True)
    ]


def _numbers(rows: Sequence[Row]) -> tuple[float, float, float, int]:
    """The mean, the ends of its interval, and of how many pictures; what is measured twice on a picture counts as its mean."""
    pictures: dict[Scalar, list[float]] = {}
    for row in rows:
        pictures.setdefault(row.get("picture"), []).append(float(row["value"] or 0.0))
    if not pictures:
        return np.nan, np.nan, np.nan, 0
    found = intervals(np.array([np.mean(values) for values in pictures.values()])[:, None], resamples=RESAMPLES)
    return float(found.mean[0]), float(found.low[0]), float(found.high[0]), int(found.n[0])


def _said(value: Scalar) -> str:
    """A setting in the table."""
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)
