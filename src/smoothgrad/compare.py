"""Several methods on several pictures: a grid whose every cell is an Attribution, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.checks import Keys, Precision, check_method, check_precision, check_rows
from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import (
    BadInput,
    BadMethod,
    NonFinite,
    NotDifferentiable,
    OutOfMemory,
    RuleDidNothing,
    SmoothGradError,
    UnsupportedModel,
    need,
)
from smoothgrad.explain import Progress, Run
from smoothgrad.measure.judging import Measures, labelled
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.scores import Scores
from smoothgrad.measure.scoring import (
    About,
    Subject,
    Told,
    check_all_regions,
    is_control,
    missing,
    of_one_row,
    scores_of,
    several_maps,
)
from smoothgrad.methods import named
from smoothgrad.question import Question
from smoothgrad.recipe import to_recipe
from smoothgrad.result import Attribution
from smoothgrad.targets import TargetLike

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
    scores: Scores | None = None  # of the measures, where there are some: of the controls too, which have no cells

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return (
            f"<Comparison of {len(self.rows)} pictures x {len(self.labels)} methods{failed}: {', '.join(self.labels)}>"
        )

    @property
    def frame(self) -> DataFrame:
        """The scores, where there are measures: one row per picture x method x measure, see `Scores.frame` (pandas). Else one row
        per picture x method: what was asked, how sure the map is, how to repeat it, why it failed."""
        if self.scores is not None:
            return self.scores.frame
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

    def report(
        self, path: str | Path, *, look: Look | None = None, title: str = "smoothgrad", confidence: float = 0.95
    ) -> Path:
        """One self-contained HTML file: pictures, maps, standard errors, classes with scores, recipes, seeds, versions."""
        from smoothgrad.report.page import write_report

        return write_report(self, path, look=look, title=title, confidence=confidence)

    @staticmethod
    def joined(parts: Sequence[Comparison]) -> Comparison:
        """Comparisons of the same methods, one below the other, with their scores."""
        if not parts or any(part.recipes != parts[0].recipes for part in parts):
            raise BadInput("joined() takes one or more comparisons of the same methods")
        scores = [part.scores for part in parts if part.scores is not None]
        if scores and len(scores) < len(parts):
            raise BadInput("joined() takes comparisons that all have scores, or that all have none")
        rows = tuple(row for part in parts for row in part.rows)
        return Comparison(parts[0].labels, parts[0].recipes, rows, Scores.joined(scores) if scores else None)


def compare(
    model: nn.Module,
    x: Tensor,
    *,
    methods: Sequence[Explainer] | Mapping[str, Explainer],
    measures: Measures = (),
    regions: Tensor | None = None,
    controls: bool = True,
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
    judging: Told | None = None,
) -> Comparison:
    """Every method on every row, from the same seed: methods with the same noise see the same noisy copies.

    Args:
        methods: a sequence, labelled by their names, or a mapping from labels of your own.
        measures: by which to judge the maps: a sequence or a mapping, as for `judge`. The result's `scores` hold a score per row,
            method and measure.
        regions: for measures of localisation: where the thing is, bool (N, *places).
        controls: where there are measures: judge maps that know nothing of the network, too (random, edges, uniform). They are in
            the scores, not among the rows, and one whose label you took for a method is called "... (control)". A method that is
            no better has shown nothing.
        names: of the rows.
        progress: called with the label of the method at work and its `Progress`.
        judging: called as the `progress` of `judge` is, when the maps are made.

    The rest is as in `explain`. A method that fails leaves a `Failure` with the reason in its cells, of those rows that are to
    blame, and a score that is NaN with the same reason; the others go on. A fault of the question itself, such as NaN in x, a
    class that does not exist or a model in training mode, is raised as `explain` raises it.

    All maps are held. A data set that is too large for that goes through batch by batch, each with names and keys of its own, and
    of each batch only the scores are kept: they are joined by `Scores.joined`.

        parts = []
        for start in range(0, len(data), 64):
            rows = slice(start, start + 64)
            table = compare(model, data[rows], methods=methods, measures=measures, names=names[rows], keys=range(len(data))[rows])
            parts.append(table.scores)
        scores = Scores.joined(parts)

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> table = compare(net, net.samples(2), methods={"plain": sg.gradient(), "smooth": sg.smoothgrad(samples=4)})
    >>> [row.name for row in table.rows], table.labels
    (['row 0', 'row 1'], ('plain', 'smooth'))
    """
    asked = _with_labels(methods)
    given: object = x
    if isinstance(given, tuple | list):
        raise BadInput(
            f"x is a {type(given).__name__}, and compare takes one input, a tensor of rows (N, *S); "
            "explain(model, (a, b), method=...) explains several together, or pass others as context=(b,), which is not explained"
        )
    check_rows(x, layer=at is not None)
    if names and len(names) != len(x):
        raise BadInput(f"{len(names)} names for {len(x)} rows; give one each, or none")
    judged_by = labelled(measures) if measures or not isinstance(measures, Sequence) else {}
    check_precision(precision)
    question = Question.checked(
        model, x, target=target, at=at, context=context, seed=seed, keys=keys, chunk=chunk, device=device
    )
    twins = question.query.twins  # rows of the result for each of x
    if judged_by or regions is not None:
        check_all_regions(regions, question.query.rows(slice(None, None, twins)), judged_by)
    rows = [name for name in names or [f"row {number}" for number in range(len(x))] for _ in range(twins)]
    columns = {
        label: _column(question, method, rows, precision, chunk, _labelled(progress, label))
        for label, method in asked.items()
    }
    cells = zip(*(column.cells for column in columns.values()), strict=True)
    table = tuple(Row(name, row) for name, row in zip(rows, cells, strict=True))
    scores = None
    if judged_by:
        if regions is not None and twins > 1:
            regions = regions.repeat_interleave(twins, 0)
        for label, method in (controls_for(asked) if controls else {}).items():
            columns[label] = _column(question, method, rows, precision, chunk, None)
        scores = _scores(question, columns, judged_by, regions, rows, chunk, judging)
    return Comparison(tuple(asked), tuple(to_recipe(method) for method in asked.values()), table, scores)


FAULTS_OF_A_METHOD = (BadMethod, NonFinite, NotDifferentiable, OutOfMemory, UnsupportedModel)
# Those that any other row would raise as well.
FAULTS_OF_EVERY_ROW = (RuleDidNothing, NotDifferentiable, OutOfMemory, UnsupportedModel)


class _Column(NamedTuple):
    """What a method gave."""

    method: Explainer
    cells: tuple[Attribution | Failure, ...]
    made: tuple[tuple[slice, Attribution], ...]  # the maps as they were made: all rows at once, or row by row


def _column(
    question: Question,
    method: Explainer,
    names: Sequence[str],
    precision: Precision,
    chunk: int | None,
    progress: Callable[[Progress], object] | None,
) -> _Column:
    """All rows at once; where the method fails, row by row, so that only those that are to blame are left without a map."""
    parts = list(_parts(question, method, precision, chunk, progress))
    cells: list[Attribution | Failure] = []
    made: list[tuple[slice, Attribution]] = []
    for rows, result in parts:
        some = tuple(names[rows])
        if isinstance(result, Failure):
            cells += [result] * len(some)
        else:
            named_ones = replace(result, names=some)
            cells += list(named_ones)
            made.append((rows, named_ones))
    return _Column(method, tuple(cells), tuple(made))


def _parts(
    question: Question,
    method: Explainer,
    precision: Precision,
    chunk: int | None,
    progress: Callable[[Progress], object] | None,
) -> Iterator[tuple[slice, Attribution | Failure]]:
    whole, twins = slice(0, len(question)), question.query.twins
    result = _explained(question, method, precision, chunk, progress)
    if not isinstance(result, SmoothGradError):
        yield whole, result
    elif isinstance(result, FAULTS_OF_EVERY_ROW):
        yield whole, _failure(result)
    elif len(question) == twins:
        yield whole, _failure_of_one(result)
    else:
        for start in range(0, len(question), twins):
            rows = slice(start, start + twins)
            alone = _explained(question.rows(rows), method, precision, chunk, None)
            yield rows, _failure_of_one(alone) if isinstance(alone, SmoothGradError) else alone


def _explained(
    question: Question,
    method: Explainer,
    precision: Precision,
    chunk: int | None,
    progress: Callable[[Progress], object] | None,
) -> Attribution | SmoothGradError:
    try:
        result = Run.of(question, method, precision, chunk).whole(progress)
    except (*FAULTS_OF_A_METHOD, BadInput) as error:  # the question has been checked: it is the method that refuses
        return error
    assert isinstance(result, Attribution), "compare takes one input"
    return result


def _failure(error: SmoothGradError) -> Failure:
    return Failure(type(error).__name__, str(error))


def _failure_of_one(error: SmoothGradError) -> Failure:
    return Failure(type(error).__name__, of_one_row(str(error)))


def controls_for(methods: Mapping[str, Explainer]) -> dict[str, Explainer]:
    """The controls that are not among the methods, by labels that no method has."""
    from smoothgrad.methods.controls import random_map, sobel, uniform_map

    known = list(methods.values())
    return {_free(named(one), methods): one for one in (random_map(), sobel(), uniform_map()) if one not in known}


def _free(label: str, taken: Mapping[str, Explainer]) -> str:
    while label in taken:
        label = f"{label} (control)"
    return label


def _scores(
    question: Question,
    columns: Mapping[str, _Column],
    measures: Mapping[str, Measure],
    regions: Tensor | None,
    names: Sequence[str],
    chunk: int | None,
    told: Told | None,
) -> Scores:
    """The scores of all maps, and a row with the reason for each that is missing."""
    subjects = [
        Subject(question.rows(rows), result, label, column.method, is_control(column.method), _rows_of(regions, rows))
        for label, column in columns.items()
        for rows, result in column.made
        if result.maps.ndim == result.x.ndim
    ]
    known = [_class_of(cells) for cells in zip(*(column.cells for column in columns.values()), strict=True)]
    gone = [
        missing(About(question, row, names[row], known[row]), label, column.method, measure_label, measure, why)
        for label, column in columns.items()
        for row, cell in enumerate(column.cells)
        if (why := _unjudged(cell))
        for measure_label, measure in measures.items()
    ]
    made = scores_of(subjects, measures, chunk=chunk, progress=told)
    whole = Scores((*made.records, *gone), (*made.curves, *[None] * len(gone)))
    return whole.in_order(list(columns), list(measures))


def _unjudged(cell: Attribution | Failure) -> str:
    """Why there is nothing to judge, else ""."""
    if isinstance(cell, Failure):
        return _why(cell)
    return _why(Failure("BadInput", several_maps(cell))) if cell.maps.ndim > cell.x.ndim else ""


def _why(failure: Failure) -> str:
    return f"{failure.kind}: {failure.reason}"


def _class_of(cells: Sequence[Attribution | Failure]) -> str:
    """What the maps of a row explain, in words, as those say that could be made."""
    return next((cell.target_name() for cell in cells if isinstance(cell, Attribution)), "")


def _rows_of(regions: Tensor | None, rows: slice) -> Tensor | None:
    return None if regions is None else regions[rows]


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
        return said | {"failure": _why(cell)}
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
