"""Several methods on several pictures: a grid whose every cell is an Attribution, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.checks import Keys, Precision, check_method, check_rows
from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput, BadMethod, NonFinite, NotDifferentiable, OutOfMemory, UnsupportedModel, need
from smoothgrad.explain import Progress, explain
from smoothgrad.methods import named
from smoothgrad.recipe import to_recipe
from smoothgrad.result import Attribution
from smoothgrad.targets import Each, TargetLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from smoothgrad.view.look import Look
    from smoothgrad.view.panels import Panel


class Failure(NamedTuple):
    """Why a cell of a comparison is empty."""

    kind: str  # the name of the error
    reason: str


class Row(NamedTuple):
    """One picture: its name, and for each method an Attribution of that one row, or a Failure."""

    name: str
    cells: tuple[Attribution | Failure, ...]


@final
@dataclass(frozen=True, repr=False)
class Comparison:
    """Pictures x methods. `labels` name the methods, in the order of each row's cells."""

    labels: tuple[str, ...]
    recipes: tuple[str, ...]
    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return (
            f"<Comparison of {len(self.rows)} pictures x {len(self.labels)} methods{failed}: {', '.join(self.labels)}>"
        )

    @property
    def frame(self) -> DataFrame:
        """One row per picture x method (pandas): what was asked, how sure the map is, how to repeat it, why it failed."""
        pandas = need("pandas", extra="table")
        records = [
            _record(row.name, label, recipe, cell)
            for row in self.rows
            for label, recipe, cell in zip(self.labels, self.recipes, row.cells, strict=True)
        ]
        frame: DataFrame = pandas.DataFrame.from_records(records, columns=COLUMNS)
        return frame

    @property
    def failures(self) -> list[tuple[str, str, Failure]]:
        """(picture, method, failure) of each empty cell."""
        return [
            (row.name, label, cell)
            for row in self.rows
            for label, cell in zip(self.labels, row.cells, strict=True)
            if isinstance(cell, Failure)
        ]

    def figure(self, look: Look | None = None, *, errors: bool = False) -> Figure:
        """The grid: a row for each picture, a column for each method. Raises `BadInput` where every cell is a failure."""
        from smoothgrad.view.figure import figure

        made = [cell for row in self.rows for cell in row.cells if isinstance(cell, Attribution)]
        if not made:
            raise BadInput(f"there is nothing to draw: all {len(self.failures)} cells failed; see .failures")
        drawn = [row for row in self.rows if any(isinstance(cell, Attribution) for cell in row.cells)]
        panels = [_panels(row) for row in drawn]
        pictured = any(row[0] is not None for row in panels)
        return figure(
            panels if pictured else [row[1:] for row in panels],
            look or made[0].look,
            columns=[*(["input"] if pictured else []), *self.labels],
            labels=[_caption(row) for row in drawn],
            errors=errors,
        )

    def report(self, path: str | Path, *, look: Look | None = None, title: str = "smoothgrad") -> Path:
        """One self-contained HTML file: pictures, maps, standard errors, classes with scores, recipes, seeds, versions."""
        from smoothgrad.report.page import write_report

        return write_report(self, path, look=look, title=title)

    @staticmethod
    def joined(parts: Sequence[Comparison]) -> Comparison:
        """Comparisons of the same methods, one below the other."""
        if not parts or any(part.recipes != parts[0].recipes for part in parts):
            raise BadInput("joined() takes one or more comparisons of the same methods")
        return Comparison(parts[0].labels, parts[0].recipes, tuple(row for part in parts for row in part.rows))


def compare(
    model: nn.Module,
    x: Tensor,
    *,
    methods: Sequence[Explainer] | Mapping[str, Explainer],
    target: TargetLike = None,
    at: str | nn.Module | None = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    names: Sequence[str] = (),
    chunk: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
    progress: Callable[[str, Progress], object] | None = None,
) -> Comparison:
    """Every method on every row, from the same seed: methods with the same noise see the same noisy copies.

    `methods`: a sequence, labelled by their names, or a mapping from labels of your own. `names`: of the rows. `progress`
    is called with the label of the method at work and its `Progress`. The rest is as in `explain`. A method that fails on these
    rows leaves a `Failure` with the reason in its cells; the others go on. A fault of the question itself, such as NaN in x, a
    class that does not exist or a model in training mode, is raised as `explain` raises it.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> table = compare(net, net.samples(2), methods={"plain": sg.gradient(), "smooth": sg.smoothgrad(samples=4)})
    >>> [row.name for row in table.rows], table.labels
    (['row 0', 'row 1'], ('plain', 'smooth'))
    """
    labelled = _with_labels(methods)
    given: object = x
    if isinstance(given, tuple | list):
        raise BadInput(
            f"x is a {type(given).__name__}, and compare takes one input, a tensor of rows (N, *S); "
            "explain(model, (a, b), method=...) explains several together, or pass others as context=(b,), which is not explained"
        )
    check_rows(x, layer=at is not None)
    if names and len(names) != len(x):
        raise BadInput(f"{len(names)} names for {len(x)} rows; give one each, or none")
    times = len(target.targets) if isinstance(target, Each) else 1  # rows of the result for each of x
    named = [name for name in names or [f"row {number}" for number in range(len(x))] for _ in range(times)]
    columns: list[Sequence[Attribution | Failure]] = []
    for label, method in labelled.items():
        report = _labelled(progress, label)
        try:
            result = explain(
                model,
                x,
                method=method,
                target=target,
                at=at,
                context=context,
                seed=seed,
                keys=keys,
                chunk=chunk,
                precision=precision,
                device=device,
                progress=report,
            )
            columns.append([replace(one, names=(name,)) for one, name in zip(result, named, strict=True)])
        except FAULTS_OF_A_METHOD as error:
            columns.append([Failure(type(error).__name__, str(error))] * len(x) * times)
    rows = tuple(Row(name, tuple(cells)) for name, cells in zip(named, zip(*columns, strict=True), strict=True))
    return Comparison(tuple(labelled), tuple(to_recipe(method) for method in labelled.values()), rows)


FAULTS_OF_A_METHOD = (BadMethod, NonFinite, NotDifferentiable, OutOfMemory, UnsupportedModel)

COLUMNS = [
    *("picture", "method", "recipe", "seed", "key", "class", "target", "score", "relative_error", "reproducibility"),
    *("completeness_error", "draws", "passes", "seconds", "model", "fingerprint", "failure"),
]


def _with_labels(methods: Sequence[Explainer] | Mapping[str, Explainer]) -> dict[str, Explainer]:
    if not isinstance(methods, Mapping | list | tuple):
        raise BadMethod(f"methods is {methods!r}; give a list of methods, or a dict from labels: methods=[gradient()]")
    for method in methods.values() if isinstance(methods, Mapping) else methods:
        check_method(method)
    if not methods:
        raise BadMethod("compare needs at least one method, such as methods=[gradient(), smoothgrad()]")
    return dict(methods) if isinstance(methods, Mapping) else {named(method): method for method in methods}


def _record(name: str, label: str, recipe: str, cell: Attribution | Failure) -> dict[str, object]:
    said: dict[str, object] = {"picture": name, "method": label, "recipe": recipe}
    if isinstance(cell, Failure):
        return said | {"failure": f"{cell.kind}: {cell.reason}"}
    target = cell.target[0]
    error, complete = cell.relative_error, cell.completeness
    return said | {
        "seed": cell.seed,
        "key": int(cell.keys[0]),
        "class": cell.target_name(),
        "target": int(target) if target.ndim == 0 else None,
        "score": float(cell.score[0]),
        "relative_error": None if error is None else float(error[0]),
        "reproducibility": None if cell.reproducibility is None else float(cell.reproducibility[0]),
        "completeness_error": None if complete is None else float(complete.error[0]),
        "draws": int(cell.draws[0]),
        "passes": int(cell.passes[0]),
        "seconds": cell.provenance["seconds"],
        "model": cell.provenance["model"],
        "fingerprint": cell.provenance["fingerprint"],
    }


def _panels(row: Row) -> list[Panel | None]:
    made = [cell for cell in row.cells if isinstance(cell, Attribution)]
    maps = [cell.map_panel(0) if isinstance(cell, Attribution) else None for cell in row.cells]
    return [made[0].picture_panel(0), *maps]


def _caption(row: Row) -> str:
    made = next(cell for cell in row.cells if isinstance(cell, Attribution))
    return f"{row.name}\n{made.label(0)}"


def _labelled(progress: Callable[[str, Progress], object] | None, label: str) -> Callable[[Progress], object] | None:
    return None if progress is None else lambda at: progress(label, at)
