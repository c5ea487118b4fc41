"""What judging gives: a tidy table of scores, and what can be said of methods by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np

from smoothgrad.errors import BadInput, BadOption, nearest, need
from smoothgrad.files import write_aside
from smoothgrad.measure.measure import Better
from smoothgrad.measure.score import COLUMNS, Line, Score, check_same, numbered, picture_of, row_of
from smoothgrad.measure.statistics import Floats, check_options, differences, intervals, mean_of_each

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


__all__ = ["COLUMNS", "CURVE_COLUMNS", "DIFFERENCE_COLUMNS", "FORMATS", "SUMMARY_COLUMNS", "Line", "Score", "Scores"]

CURVE_COLUMNS = ["picture", "key", "method", "measure", "x", "tick", "y"]
SUMMARY_COLUMNS = [
    *("measure", "method", "control", "n", "failed", "mean", "low", "high", "note", "rank", "better", "unit"),
]
DIFFERENCE_COLUMNS = [
    *("measure", "method", "other", "n", "difference", "low", "high", "p", "p_adjusted", "better"),
]
FORMATS = (".parquet", ".csv")


@final
@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """A table of scores, one record for each picture x method x measure; those that could not be had stand in it too, as NaN
    with the reason. `curves` are those of the records, None where a measure has none.

    Every statement about a method is one about pictures like these: intervals are bootstrapped over pictures, and of two methods
    only pictures that both have scores for are compared. A picture, known by its name, key and digest, counts once: of several
    scores, of several classes or seeds, by their mean.

    >>> Scores((), ())
    <Scores of 0 pictures x 0 methods x 0 measures>
    """

    records: tuple[Score, ...]
    curves: tuple[Line | None, ...]

    def __post_init__(self) -> None:
        if len(self.records) != len(self.curves):
            raise BadInput(f"{len(self.curves)} curves for {len(self.records)} scores; give one each, or None")

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} without a score" if self.failures else ""
        pictures = len(dict.fromkeys(map(picture_of, self.records)))
        many = f"{pictures} pictures x {len(self.methods)} methods x {len(self.measures)} measures"
        return f"<Scores of {many}{failed}{': ' if self.records else ''}{', '.join(self.measures)}>"

    @staticmethod
    def joined(parts: Sequence[Scores]) -> Scores:
        """Tables as one, such as those of the batches of a data set.

        Raises `BadInput` where records of two tables cannot be told apart, having the same picture (name, key and digest), target,
        seed, method and measure: give rows names and keys of their own, names=... and keys=... And where tables do not go together:
        a label stands for two methods, layers or measures, or its maps were made by two networks, or two networks were asked.
        """
        if not parts:
            raise BadInput("joined() takes one or more tables of scores")
        if len(parts) == 1:
            return parts[0]
        whole = Scores(
            tuple(record for part in parts for record in part.records),
            tuple(curve for part in parts for curve in part.curves),
        )
        check_same(whole.records)
        seen: set[tuple[object, ...]] = set()
        for part in parts:
            here: set[tuple[object, ...]] = set()  # within a table they are told apart by their places
            for one in part.records:
                named = (*row_of(one), one.method, one.measure)
                if named in seen:
                    raise BadInput(
                        f"{one.picture!r} (key {one.key}, {one.class_name}, seed {one.seed}) has two scores of {one.measure} for "
                        f"{one.method}; rows of different batches need names and keys of their own: names=..., keys=..."
                    )
                here.add(named)
            seen |= here
        return whole

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def methods(self) -> tuple[str, ...]:
        """The labels of the methods, controls among them, in the order of the records."""
        return tuple(dict.fromkeys(one.method for one in self.records))

    @property
    def controls(self) -> tuple[str, ...]:
        """The labels of those methods that know nothing of the network."""
        return tuple(dict.fromkeys(one.method for one in self.records if one.control))

    @property
    def measures(self) -> tuple[str, ...]:
        """The labels of the measures, in the order of the records."""
        return tuple(dict.fromkeys(one.measure for one in self.records))

    @property
    def failures(self) -> tuple[Score, ...]:
        """The records without a score; `reason` says why."""
        return tuple(one for one in self.records if one.reason)

    @property
    def frame(self) -> DataFrame:
        """The table (pandas): one row for each picture x method x measure, with `COLUMNS`."""
        pandas = need("pandas", extra="table")
        frame: DataFrame = pandas.DataFrame.from_records(list(self.records), columns=COLUMNS)
        return frame.astype({"target": "Int64", "value": "float64", "stderr": "float64"})

    @property
    def curve_frame(self) -> DataFrame:
        """The curves (pandas): one row for each picture x method x measure x place, with `CURVE_COLUMNS`."""
        pandas = need("pandas", extra="table")
        records = [
            (one.picture, one.key, one.method, one.measure, x, curve.ticks[place] if curve.ticks else "", y)
            for one, curve in zip(self.records, self.curves, strict=True)
            if curve is not None
            for place, (x, y) in enumerate(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
        ]
        frame: DataFrame = pandas.DataFrame.from_records(records, columns=CURVE_COLUMNS)
        return frame

    def of(self, *measures: str) -> Scores:
        """The scores of some measures only, by their labels. Raises `BadOption` for one that is not here."""
        for label in measures:
            if label not in self.measures:
                raise BadOption(f"there is no measure {label!r} in this table; {nearest(label, self.measures)}")
        kept = [place for place, one in enumerate(self.records) if one.measure in measures]
        return Scores(tuple(self.records[place] for place in kept), tuple(self.curves[place] for place in kept))

    def in_order(self, methods: Sequence[str], measures: Sequence[str]) -> Scores:
        """The same, method by method and measure by measure in these orders; the rows of each stay in theirs."""
        order = sorted(
            range(len(self)),
            key=lambda place: (
                methods.index(self.records[place].method),
                measures.index(self.records[place].measure),
            ),
        )
        return Scores(tuple(self.records[place] for place in order), tuple(self.curves[place] for place in order))

    # --- what can be said ---------------------------------------------------------------------------------------------

    def summary(self, confidence: float = 0.95, *, resamples: int = 9999, seed: int = 0) -> DataFrame:
        """What each method scores on average (pandas): a row for each measure x method, with `SUMMARY_COLUMNS`.

        mean: over the `n` pictures that have a score; `failed` counts the records that have none.
        low, high: an interval that holds the mean over all such pictures with this confidence, bootstrapped over pictures (BCa,
            Efron 1987; percentiles below 8 pictures). NaN below 3 pictures, and where all scores are equal, as `note` says.
        note: why there is no score at all, by the commonest reason of the records; why there is no interval; and that the mean is
            over other pictures than those of other methods, as where a map failed, so that ranks compare unlike things:
            `differences` takes the pictures that both have.
        rank: 1 for the best mean of a measure, controls included; equal means share the better rank. None where neither high nor
            low is better.

        Raises `BadOption` for a confidence outside (0, 1) and for fewer than 100 resamples.
        """
        return self._once("summary", self._summary, confidence, resamples, seed)

    def _summary(self, confidence: float, resamples: int, seed: int) -> DataFrame:
        pandas = need("pandas", extra="table")
        rows = []
        for measure in self.measures:
            table = self._table(measure)
            values = table.by_picture()
            found = intervals(values, confidence, resamples, seed)
            ranks = _ranks(found.mean, table.better)
            notes = [
                "; ".join(filter(None, some)) if n or not why else f"no score: {Counter(why).most_common(1)[0][0]}"
                for n, why, *some in zip(found.n.tolist(), table.reasons, found.notes, _unlike(values), strict=True)
            ]
            for place, method in enumerate(table.methods):
                rows.append(
                    (
                        *(measure, method, method in self.controls, int(found.n[place]), len(table.reasons[place])),
                        *(float(part[place]) for part in (found.mean, found.low, found.high)),
                        *(notes[place], ranks[place], table.better, table.unit),
                    )
                )
        frame: DataFrame = pandas.DataFrame.from_records(rows, columns=SUMMARY_COLUMNS)
        return frame.astype({"rank": "Int64"})

    def differences(self, confidence: float = 0.95, *, resamples: int = 9999, seed: int = 0) -> DataFrame:
        """How any two methods differ on the pictures that both have (pandas): a row for each measure x pair, with
        `DIFFERENCE_COLUMNS`. Pairs of two controls are left out: nobody asks about them, and each pair makes the others harder to
        tell apart.

        difference: mean of method - other over `n` pictures; low, high: its interval, as in `summary`: NaN where all are equal.
        p: of the paired permutation test that swaps the two in each picture by chance, two-sided; exact up to 13 pictures.
        p_adjusted: for all pairs of a measure together (Holm 1979): the chance of even one false difference among them is at most
            1 - confidence where those with p_adjusted <= 1 - confidence are called different.
        better: the label of the method that is so found to be better, else "".
        """
        return self._once("differences", self._differences, confidence, resamples, seed)

    def _differences(self, confidence: float, resamples: int, seed: int) -> DataFrame:
        pandas = need("pandas", extra="table")
        rows = []
        controls = set(self.controls)
        for measure in self.measures:
            table = self._table(measure)
            pairs = [
                (first, second)
                for first in range(len(table.methods))
                for second in range(first + 1, len(table.methods))
                if not controls >= {table.methods[first], table.methods[second]}
            ]
            if not pairs:
                continue
            first, second = (list(part) for part in zip(*pairs, strict=True))
            apart = mean_of_each(table.values[:, first] - table.values[:, second], table.picture)
            found = differences(apart, confidence, resamples, seed)
            for place, (one, other) in enumerate(pairs):
                names = table.methods[one], table.methods[other]
                mean, adjusted = float(found.mean[place]), float(found.p_adjusted[place])
                sure = table.better != "neither" and adjusted <= 1 - confidence
                wins = names[0] if (mean > 0) == (table.better == "higher") else names[1]
                rows.append(
                    (
                        *(
                            measure,
                            *names,
                            int(found.n[place]),
                            mean,
                            float(found.low[place]),
                            float(found.high[place]),
                        ),
                        *(float(found.p[place]), adjusted, wins if sure else ""),
                    )
                )
        frame: DataFrame = pandas.DataFrame.from_records(rows, columns=DIFFERENCE_COLUMNS)
        return frame

    @cached_property
    def _found(self) -> dict[tuple[object, ...], DataFrame]:
        """What was worked out already: figures, pages and files ask for the same again."""
        return {}

    def _once(
        self, what: str, work: Callable[[float, int, int], DataFrame], confidence: float, resamples: int, seed: int
    ) -> DataFrame:
        check_options(confidence, resamples)
        asked = (what, confidence, resamples, seed)
        if asked not in self._found:
            self._found[asked] = work(confidence, resamples, seed)
        return self._found[asked].copy()  # the caller's own, to write into

    @cached_property
    def _by_measure(self) -> dict[str, list[Score]]:
        found: dict[str, list[Score]] = {measure: [] for measure in self.measures}
        for one in self.records:
            found[one.measure].append(one)
        return found

    def _table(self, measure: str) -> _Table:
        """Rows x methods of a measure."""
        records = self._by_measure[measure]
        methods = list(dict.fromkeys(one.method for one in records))
        # Where no map was made it is not known what it would have explained: such a record is a failure and no row.
        about = numbered(records)
        rows = {row: place for place, row in enumerate(dict.fromkeys(about))}
        pictures: dict[object, int] = {}
        picture = np.array([pictures.setdefault(row[:3], len(pictures)) for row in rows], dtype=np.int64)
        values = np.full((len(rows), len(methods)), np.nan)
        reasons: list[list[str]] = [[] for _ in methods]
        for one, row in zip(records, about, strict=True):
            column = methods.index(one.method)
            values[rows[row], column] = one.value
            if one.reason:
                reasons[column].append(one.reason)
        return _Table(methods, values, picture, reasons, records[0].better, records[0].unit)

    # --- keeping and looking ------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write `frame` as .parquet or .csv, by the name of the file; aside, then renamed.

        Raises `BadOption` for another suffix, `CannotWrite`, and `MissingPackage` without pandas, or pyarrow for Parquet.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in FORMATS:
            raise BadOption(
                f"cannot write scores as {Path(path).name!r}; give a name that ends in {' or '.join(FORMATS)}"
            )
        frame = self.frame
        if suffix == ".csv":
            return write_aside(path, lambda aside: frame.to_csv(aside, index=False))
        need("pyarrow", extra="table")
        return write_aside(path, lambda aside: frame.to_parquet(aside, engine="pyarrow", index=False))

    def figure(self, measures: Sequence[str] | None = None, *, confidence: float = 0.95, seed: int = 0) -> Figure:
        """A panel for each measure, or for some: the methods from the best to the worst, a dot for the mean and a whisker for
        the interval of `summary`; controls are grey, and a band shows the interval of the best of them.

        Raises `BadInput` for a table without scores, `BadOption` for a measure that is not here.
        """
        from smoothgrad.view.score_plots import Dot, DotPanel, dot_figure

        chosen = self if measures is None else self.of(*measures)
        panels = []
        for label, rows in chosen.summary(confidence, seed=seed).groupby("measure", sort=False):
            dots = tuple(
                Dot(row.method, row.mean, row.low, row.high, bool(row.control), int(row.n), int(row.failed))
                for row in rows.itertuples()
            )
            panels.append(DotPanel(str(label), rows.unit.iloc[0], rows.better.iloc[0], dots))
        return dot_figure(panels, confidence)

    def curve_figure(self, measures: Sequence[str] | None = None, *, confidence: float = 0.95, seed: int = 0) -> Figure:
        """A panel for each measure that has curves, or for some: the mean curve of each method, in a band of the interval of the
        mean, bootstrapped over pictures; those of controls are grey.

        Raises `BadInput` where no measure has a curve and where the curves of a method have not the same places in all rows,
        `BadOption` for a measure that is not here.
        """
        from smoothgrad.view.curve_plots import CurvePanel, MeanLine, curve_figure

        chosen = self if measures is None else self.of(*measures)
        panels = []
        for measure in chosen.measures:
            grouped: dict[str, list[tuple[Score, Line]]] = {}
            for one, curve in zip(chosen.records, chosen.curves, strict=True):
                if one.measure == measure and curve is not None and not one.reason:
                    grouped.setdefault(one.method, []).append((one, curve))
            if not grouped:
                continue
            lines = []
            for method, found in grouped.items():
                _check_places(measure, method, found)
                pictures: dict[object, int] = {}
                picture = np.array([pictures.setdefault(picture_of(one), len(pictures)) for one, _ in found])
                values = mean_of_each(np.stack([curve.y.numpy() for _, curve in found]), picture)
                band = intervals(values, confidence, 999, seed)
                lines.append(
                    MeanLine(method, found[0][1].x.numpy(), band.mean, band.low, band.high, method in self.controls)
                )
            shown = next(iter(grouped.values()))[0][1]
            panels.append(CurvePanel(measure, shown.x_label, shown.y_label, shown.ticks, tuple(lines)))
        return curve_figure(panels, confidence)

    def _repr_html_(self) -> str:
        """For notebooks: the summary."""
        html: str = self.summary()._repr_html_()
        return html


class _Table(NamedTuple):
    """The scores of one measure."""

    methods: list[str]
    values: Floats  # (rows, methods); NaN where there is no score
    picture: np.ndarray[tuple[int, ...], np.dtype[np.int64]]  # (rows,) which picture a row belongs to
    reasons: list[list[str]]  # of each method: of the records without a score
    better: Better
    unit: str

    def by_picture(self) -> Floats:
        """(pictures, methods): a picture counts once."""
        return mean_of_each(self.values, self.picture)


def _unlike(values: Floats) -> list[str]:
    """Of each method (pictures, methods) whether its mean is over other pictures than those of others."""
    known = ~np.isnan(values)
    n = known.sum(0)
    fewer = "n differs from other methods: means are over other pictures"
    other = "means are over other pictures than those of other methods"
    lacking = (~known[known.any(1)]).sum(0)  # of the pictures that any method has a score for
    return [
        "" if not many or not lacks else fewer if many < n.max() else other
        for many, lacks in zip(n.tolist(), lacking.tolist(), strict=True)
    ]


def _check_places(measure: str, method: str, found: Sequence[tuple[Score, Line]]) -> None:
    """Raises `BadInput` where curves cannot be averaged, such as over layers of which rows have different ones."""
    (first, line), *others = found
    for one, other in others:
        if not line.x.equal(other.x) or line.ticks != other.ticks:
            raise BadInput(
                f"the curves of {measure} for {method} have places of their own in {first.picture!r} and {one.picture!r}, so that "
                "they have no mean; look at them row by row: curve_frame"
            )


def _ranks(means: Floats, better: Better) -> list[int | None]:
    """1 for the best; None for those without a mean, and where neither is better."""
    if better == "neither":
        return [None] * len(means)
    signed = -means if better == "higher" else means
    return [None if np.isnan(one) else 1 + int((signed < one).sum()) for one in signed]
