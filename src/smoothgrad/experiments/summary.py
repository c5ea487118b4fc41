"""From a tidy table to means over pictures with their intervals: what figures draw and lessons say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smoothgrad.errors import BadInput
from smoothgrad.experiments.experiment import Row, Scalar
from smoothgrad.measure.scores import Scores
from smoothgrad.measure.statistics import Floats, intervals
from smoothgrad.view.line_plots import Line
from smoothgrad.view.score_plots import Dot

if TYPE_CHECKING:
    from pandas import DataFrame, Series

INTERVALS = "Lines are means over pictures, bands their 95 % bootstrap intervals."
FEWEST_CLEAR = 6  # pictures, from which on all can agree and a sign test of them has p < 0.05: 2 / 2^6 = 0.03
ONE_EACH = "One network each: another training seed is not in these intervals."


class Average(NamedTuple):
    """A mean over pictures; low and high are NaN where there are too few, or all are equal."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "not known"
        sure = f" ({self.low:.3g} to {self.high:.3g})" if np.isfinite(self.low) else ""
        return f"{self.mean:.3g}{sure}"

    @property
    def sign(self) -> int:
        """Of a difference: 1 or -1 where it is clearly above or below zero, else 0."""
        return self.side(0)

    def side(self, level: float) -> int:
        """1 or -1 where the interval lies above or below a level, else 0, as where there is none, or fewer than `FEWEST_CLEAR`
        pictures: an interval of three is no more than the least and the greatest of them."""
        return 0 if self.n < FEWEST_CLEAR else int(self.low > level) - int(self.high < level)

    @staticmethod
    def of(values: Floats) -> Average:
        """The mean of values of pictures (n,), those that are NaN left out."""
        if not np.isfinite(values).any():
            return Average(np.nan, np.nan, np.nan, 0)
        found = intervals(values[:, None])
        return Average(float(found.mean[0]), float(found.low[0]), float(found.high[0]), int(found.n[0]))


def row(quantity: str, value: float, unit: str = "", keys: Mapping[str, Scalar] | None = None) -> Row:
    """A row of the table: what was measured, how much, in which unit; `keys` are columns of the experiment's own."""
    return {**(keys or {}), "quantity": quantity, "value": float(value), "unit": unit}


def scored(scores: Scores, keys: Mapping[str, Scalar] | None = None) -> tuple[Row, ...]:
    """A row for each score of measures; NaN where there is none."""
    return tuple(row(one.measure, one.value, one.unit, keys) for one in scores.records)


def average(frame: DataFrame, quantity: str, where: Mapping[str, Scalar] | None = None) -> Average:
    """The mean of a quantity over pictures, where columns have these values. Raises `BadInput` where the table has no such row."""
    some = chosen(frame, {"quantity": quantity, **(where or {})})
    if not len(some):
        raise BadInput(f"the table has no {quantity} where {dict(where or {})}")
    return Average.of(_by_picture(some).to_numpy(np.float64))


def difference(frame: DataFrame, quantity: str, this: Mapping[str, Scalar], that: Mapping[str, Scalar]) -> Average:
    """The mean over pictures of a quantity at one point less that at another, on the pictures that have both: paired.

    Nothing is known (n = 0) where no picture has both.
    """
    here, there = (_by_picture(chosen(frame, {"quantity": quantity, **point})) for point in (this, that))
    return Average.of((here - there).dropna().to_numpy(np.float64))


def dot(
    frame: DataFrame, label: str, quantity: str, where: Mapping[str, Scalar], pictures: int, *, control: bool = False
) -> Dot:
    """The mean of a quantity over pictures for a figure of dots; pictures without a value count as failed."""
    found = Average.of(_by_picture(chosen(frame, {"quantity": quantity, **where})).to_numpy(np.float64))
    return Dot(label, found.mean, found.low, found.high, control, found.n, pictures - found.n)


def _by_picture(frame: DataFrame) -> Series[float]:
    """The mean of each picture's values."""
    return frame.groupby("picture", sort=False, dropna=False)["value"].mean()


def chosen(frame: DataFrame, where: Mapping[str, Scalar]) -> DataFrame:
    """The rows whose columns have these values."""
    for column, value in where.items():
        frame = frame[frame[column].isna() if value is None else frame[column] == value]
    return frame


def holds(frame: DataFrame, *points: Mapping[str, Scalar]) -> bool:
    """Has the table rows at each of these points? Where a cell failed it has none."""
    return all(len(chosen(frame, point)) for point in points)


def line(
    frame: DataFrame,
    label: str,
    x: str,
    quantity: str,
    where: Mapping[str, Scalar] | None = None,
    *,
    grey: bool = False,
) -> Line:
    """The mean of a quantity over pictures against a column, with its interval."""
    places = sorted(chosen(frame, {"quantity": quantity, **(where or {})})[x].unique())
    found = [average(frame, quantity, {**(where or {}), x: place}) for place in places]
    mean, low, high = (_array([getattr(one, part) for one in found]) for part in ("mean", "low", "high"))
    return Line(label, _array(places), mean, low, high, grey)


def unit_of(frame: DataFrame, quantity: str) -> str:
    """The unit of a quantity, for the label of an axis."""
    return str(chosen(frame, {"quantity": quantity})["unit"].iloc[0])


def _array(numbers: list[float]) -> Floats:
    return np.array(numbers, dtype=np.float64)
