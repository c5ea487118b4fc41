"""What an experiment gives: a tidy table, figures, and what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from smoothgrad.errors import BadInput, need
from smoothgrad.experiments.experiment import Cell, Experiment, Finding, Plate, Row, Scalar
from smoothgrad.experiments.setup import Setup
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

# What each row says beside what was measured: enough to make its cell again, and to know that it is the same.
PROVENANCE = (
    "reason",
    "recipe",
    "model",
    "data",
    "file",
    "digest",
    "region",
    "target",
    "seed",
    "fingerprint",
    "cell",
    "version",
)
DPI = 150
FEW = 10  # pictures, below which bootstrap intervals are too narrow, and means over them say little


@final
@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The cells of an experiment with what each found. Made by `run`."""

    experiment: Experiment
    setup: Setup
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    records: tuple[Row, ...]  # the rows of the table: picture, settings, what was measured, provenance

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} of them failed" if self.failures else ""
        return f"<Result of {self.experiment.name}: {len(self.cells)} cells{failed}, {len(self.records)} rows>"

    @cached_property
    def frame(self) -> DataFrame:
        """The tidy table (pandas), one value a row: `picture`, `group`, a column for each field of the grid, those of
        `experiment.keys`, `quantity`, `value`, `unit`, and PROVENANCE. A cell that failed has one row, NaN with the `reason`."""
        pandas = need("pandas", extra="table")
        about = self.experiment
        names = ["picture", "group", *about.grid, *about.keys, "quantity", "value", "unit", *PROVENANCE]
        frame: DataFrame = pandas.DataFrame.from_records([dict(record) for record in self.records], columns=names)
        return frame

    @property
    def measured(self) -> DataFrame:
        """The table without the cells that failed."""
        frame = self.frame
        return frame[frame["reason"] == ""]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows of the cells that failed."""
        return tuple(record for record in self.records if record["reason"])

    def finding(self, picture: str | None = None, **settings: Scalar) -> Finding | None:
        """What the cell of this picture (None: the cell of all) at these settings found; None where it failed, or is not there."""
        for cell, finding, record in self._cells():
            here = None if cell.picture is None else cell.picture.name
            if here == picture and settings.items() <= cell.experiment.settings.items():
                return None if record["reason"] else finding
        return None

    def _cells(self) -> Iterator[tuple[Cell, Finding, Row]]:
        firsts: dict[tuple[Scalar, Scalar], Row] = {}  # the same picture under two names has the same cells
        for record in self.records:
            firsts.setdefault((record.get("picture") if self.experiment.per_picture else "", record["cell"]), record)
        by_cell = list(firsts.values())
        return zip(self.cells, self.findings, by_cell, strict=True)

    @cached_property
    def plates(self) -> tuple[Plate, ...]:
        """The figures. Raises `BadInput` where every cell failed."""
        if len(self.failures) == len(self.cells):
            raise BadInput(
                f"there is nothing to draw: all {len(self.cells)} cells failed, first: {self.failures[0]['reason']}"
            )
        return tuple(self.experiment.plates(self))

    @cached_property
    def lessons(self) -> tuple[str, ...]:
        """What was seen, in sentences with numbers; the last says so where there are few pictures."""
        if len(self.failures) == len(self.cells):
            return ()
        seen = tuple(self.experiment.lessons(self))
        few = _said_of_few(self.measured.dropna(subset="value")["picture"].nunique())
        return (*seen, *few) if seen else ()

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write table.parquet, table.csv, and each figure as PNG and SVG; the paths by their names."""
        folder = Path(folder)
        frame = self.frame
        files = {
            "table.parquet": write_aside(folder / "table.parquet", lambda aside: frame.to_parquet(aside, index=False)),
            "table.csv": write_aside(folder / "table.csv", lambda aside: frame.to_csv(aside, index=False)),
        }
        if len(self.failures) < len(self.cells):
            for plate in self.plates:
                for ending in ("png", "svg"):
                    name = f"{plate.name}.{ending}"
                    files[name] = _write(plate.figure, folder / name, ending)
        return files

    def report(self, path: str | Path) -> Path:
        """One HTML file that opens offline: the question, the figures, what was seen, the table, and how to repeat each row."""
        from smoothgrad.report.experiment import write_experiment

        return write_experiment(self, path)


def _said_of_few(pictures: int) -> Iterator[str]:
    """What to think of means over so many pictures; nothing where there are enough, or where the table is not by pictures."""
    if pictures == 1:
        yield "This is 1 picture: there are no intervals, and what is seen of it may be chance."
    elif 1 < pictures < FEW:
        yield (
            f"These are {pictures} pictures: intervals from fewer than {FEW} are too narrow, and what differs among them may be "
            "chance."
        )


def _write(figure: Figure, path: Path, ending: str) -> Path:
    """The same figure gives the same bytes: no date, and names inside an SVG that do not change."""
    matplotlib = need("matplotlib", extra="view")
    undated: Mapping[str, None] = {"Date": None} if ending == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        return write_aside(path, lambda aside: figure.savefig(aside, dpi=DPI, format=ending, metadata=dict(undated)))
