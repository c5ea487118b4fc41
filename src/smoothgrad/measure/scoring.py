"""The work of judging: every measure on every subject, batch by batch, each row with its score or the reason why it has none."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

from torch import Tensor, nn

from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.engine import PAYS
from smoothgrad.errors import BadInput, BadRecipe, MissingPackage, SmoothGradError
from smoothgrad.measure.case import Case, answered
from smoothgrad.measure.measure import Measure, check_regions
from smoothgrad.measure.scores import Line, Score, Scores
from smoothgrad.question import Question
from smoothgrad.recipe import to_recipe
from smoothgrad.result import Attribution

Told: TypeAlias = Callable[[str, int, int], object]  # the measure at work, rows x measures done, and in all

ASKS = 16  # about how often a measure asks the network about a row: what a prepared copy must pay for
BROKEN = "the map holds NaN or infinity, which cannot be ranked or summed"


@final
@dataclass(frozen=True)
class Subject:
    """The maps of a method for the rows of a question."""

    question: Question
    result: Attribution
    label: str
    method: Explainer | None  # None where the recipe cannot be read
    control: bool
    regions: Tensor | None

    @staticmethod
    def of(question: Question, result: Attribution, label: str, regions: Tensor | None = None) -> Subject:
        """Maps with the method that made them, rebuilt from their recipe."""
        try:
            method = result.method()
        except BadRecipe:  # pieces of your own, which a recipe cannot name
            method = None
        return Subject(question, result, label, method, method is not None and is_control(method), regions)

    def __len__(self) -> int:
        return len(self.result)


def is_control(method: Explainer) -> bool:
    """Does it know nothing of the network, whatever is done to its maps?"""
    from smoothgrad.explainers.controls import RandomMap, Sobel, UniformMap

    if method.children:
        return all(is_control(part) for part in method.children)
    return isinstance(method, RandomMap | Sobel | UniformMap)


class Outcome(NamedTuple):
    """What a measure says of one row."""

    value: float
    stderr: float | None
    reason: str
    line: Line | None
    seconds: float


def scores_of(
    subjects: Sequence[Subject],
    measures: Mapping[str, Measure],
    *,
    chunk: int | None = None,
    progress: Told | None = None,
) -> Scores:
    """The table of scores: subject by subject, measure by measure, row by row.

    Raises `BadInput` for regions that are missing or do not fit, before any work.
    """
    for subject in subjects:
        check_all_regions(subject.regions, subject.question.query, measures)
    total, done = sum(map(len, subjects)) * len(measures), 0
    records: list[Score] = []
    curves: list[Line | None] = []
    ready: dict[str | None, _Ready] = {}
    for subject in subjects:
        question = subject.question
        with own_arithmetic(question.query.x.device):
            if question.layer not in ready:
                methods = [one.method for one in subjects if one.method is not None]
                ready[question.layer] = _Ready.of(question, methods, total * ASKS, chunk)
            case = ready[question.layer].case(subject)
            pictures = _pictures(subject)
            for label, measure in measures.items():
                outcomes: list[Outcome] = []
                for part in _batches(case):
                    outcomes += _outcomes(measure, part)
                    done += len(part)
                    if progress is not None:
                        progress(label, done, total)
                records += [
                    _record(subject, row, pictures[row], label, measure, one) for row, one in enumerate(outcomes)
                ]
                curves += [one.line for one in outcomes]
    return Scores(tuple(records), tuple(curves))


class _Ready(NamedTuple):
    """What is asked, and how many rows at a time."""

    model: nn.Module
    itself: nn.Module
    schedule: Schedule

    @staticmethod
    def of(question: Question, methods: Sequence[Explainer], passes: int, chunk: int | None) -> _Ready:
        """The network, or a prepared copy where so many passes pay for one."""
        asked = question.asked_by(methods)
        itself = asked.itself()
        model = asked.copy_or_itself()[0] if passes >= PAYS else itself
        return _Ready(model, itself, asked.schedule(model, passes, chunk))

    def case(self, subject: Subject) -> Case:
        query = subject.question.query
        maps = subject.result.maps.to(query.x.device)
        regions = None if subject.regions is None else subject.regions.to(query.x.device)
        return Case(self.model, query, maps, self.schedule, subject.method, self.itself, regions)


def check_all_regions(regions: object, query: Query, measures: Mapping[str, Measure]) -> None:
    """Raises `BadInput` for regions that do not fit the rows, and where a measure needs them and there are none."""
    if regions is not None:
        check_regions(regions, query)
        return
    for measure in measures.values():
        if measure.needs_regions:
            raise BadInput(
                f"{measure!r} needs to know where the thing is; give regions=, a bool tensor (N, *places), True inside"
            )


def _batches(case: Case) -> Iterator[Case]:
    start = 0
    while start < len(case):
        # The size is asked for anew: it is halved where memory runs out.
        stop = min(len(case), start + case.schedule.chunk)
        yield case.rows(slice(start, stop))
        start = stop


def _outcomes(measure: Measure, case: Case) -> list[Outcome]:
    """What a measure says of each row; a row whose map is broken is not shown to it."""
    whole = case.maps.flatten(1).isfinite().all(1).cpu()
    if whole.all():
        return _attempt(measure, case)
    rest = iter(_attempt(measure, case.rows(whole.nonzero().flatten().to(case.maps.device))) if whole.any() else [])
    return [next(rest) if good else Outcome(math.nan, None, BROKEN, None, 0.0) for good in whole.tolist()]


def _attempt(measure: Measure, case: Case) -> list[Outcome]:
    """All rows at once; where the measure raises, row by row, so that only those that are to blame have no score."""
    begun = time.perf_counter()
    try:
        measure.admit(case)
        answer: object = measure.judge(case)
    except MissingPackage:
        raise
    except SmoothGradError as error:
        if len(case) == 1:
            return [Outcome(math.nan, None, of_one_row(said(error)), None, time.perf_counter() - begun)]
        return [one for row in range(len(case)) for one in _attempt(measure, case.rows(slice(row, row + 1)))]
    except (
        Exception
    ) as error:  # a bug, of a measure of the user's own as likely as not: it is said where, and not hidden in a table
        error.add_note(f"in the measure {measure!r}, on rows {', '.join(map(str, case.query.row.tolist()))}")
        raise
    value, reasons, stderr, curve = answered(repr(measure), answer, len(case))
    share = (time.perf_counter() - begun) / len(case)
    return [
        Outcome(
            float(value[row]),
            None if stderr is None else float(stderr[row]),
            reasons[row],
            None if curve is None else Line(curve.x, curve.y[row], curve.x_label, curve.y_label, curve.ticks),
            share,
        )
        for row in range(len(case))
    ]


def said(error: SmoothGradError) -> str:
    """An error as a table says it."""
    return f"{type(error).__name__}: {error}"


def of_one_row(text: str) -> str:
    """What is said of a row that was asked alone, without its number in the batch: the same fault has the same text everywhere.

    >>> of_one_row("the gradient of row 5 holds NaN"), of_one_row("row 2 of 8 is constant")
    ('the gradient of the row holds NaN', 'the row is constant')
    """
    return re.sub(r"\brow \d+( of \d+)?\b", "the row", text)


def several_maps(result: Attribution) -> str:
    """Why maps of a method that ends in Together are not judged."""
    return f"{result.recipe} gives several maps per row; judge its parts: judge(model, result.parts(), ...)"


class About(NamedTuple):
    """A row of a question, in words."""

    question: Question
    row: int
    picture: str
    class_name: str
    precision: str = ""
    made_by: str = ""

    @property
    def asked(self) -> str:
        """What is explained, as the text of a target; "function" for one that has no text."""
        kind, target = self.question.kind, self.question.query.target[self.row]
        if kind == "function":
            return kind
        if target.ndim:
            this, that = map(int, target)
            return f"Contrast(Class({this}), Class({that}))" if that >= 0 else f"Class({this})"
        one = f"Class({int(target)})"
        return {"probability": f"Probability({one})", "log probability": f"Probability({one}, log=True)"}.get(kind, one)


def missing(about: About, label: str, method: Explainer, name: str, measure: Measure, reason: str) -> Score:
    """The row of the table for a map that could not be made."""
    none = Outcome(math.nan, None, reason, None, 0.0)
    return _score(about, label, to_recipe(method), is_control(method), name, measure, none)


def _pictures(subject: Subject) -> list[str]:
    """The names of the rows' pictures; several targets of one are one picture."""
    if subject.result.names:
        return list(subject.result.names)
    known: dict[tuple[int, str], int] = {}
    same = zip(subject.question.keys.tolist(), subject.question.digests, strict=True)
    return [f"row {known.setdefault(one, len(known))}" for one in same]


def _record(subject: Subject, row: int, picture: str, name: str, measure: Measure, outcome: Outcome) -> Score:
    """The row of the table for a map."""
    result = subject.result
    made = [str(result.provenance.get(what) or "") for what in ("dtype", "fingerprint")]
    about = About(subject.question, row, picture, result.target_name(row), *made)
    return _score(about, subject.label, result.recipe, subject.control, name, measure, outcome)


def _score(
    about: About, label: str, recipe: str, control: bool, name: str, measure: Measure, outcome: Outcome
) -> Score:
    question, row = about.question, about.row
    target = question.query.target[row]
    return Score(
        picture=about.picture,
        key=int(question.keys[row]),
        class_name=about.class_name,
        target=int(target) if target.ndim == 0 and int(target) >= 0 else None,
        method=label,
        recipe=recipe,
        control=control,
        measure=name,
        measure_recipe=repr(measure),
        better=measure.better,
        unit=measure.unit,
        value=outcome.value,
        stderr=outcome.stderr,
        reason=outcome.reason,
        seed=question.seed,
        model=question.name,
        fingerprint=question.asked.fingerprint,
        seconds=outcome.seconds,
        layer=question.layer or "",
        precision=about.precision,
        asked=about.asked,
        digest=question.digests[row],
        made_by=about.made_by,
    )
