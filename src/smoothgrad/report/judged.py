"""What the page says of scores: how each method does by each measure, how sure that is, and whether it beats a blind map."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from smoothgrad.errors import BadInput, BadRecipe, need
from smoothgrad.measure import MEASURES
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.score import picture_of
from smoothgrad.measure.scores import Scores
from smoothgrad.recipe import from_recipe
from smoothgrad.report.pictures import Picture, png_of
from smoothgrad.report.rounding import Told, told_alike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI, SCREEN = 144, 96  # dots per inch of the charts, and of a page
FEW = 5  # pictures of which not even all together can show a difference: 2 / 2^5 is above 0.05
SIGNS = (
    "Maps with signs were asked how well they find a region: channels and signs cancel there. Absolute values are judged by "
    "method.then(Absolute()), on the command line by --sign absolute."
)
DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "neither": "it describes a map, and does not judge it",
}


class Standing(NamedTuple):
    """How one method does by one measure."""

    method: str
    control: bool
    rank: str
    mean: str
    interval: str
    n: int
    failed: int
    note: str
    blind: str  # the controls that it is not clearly better than, in words; "" for controls and where it beats them all


class Table(NamedTuple):
    """One measure: what it is, and how the methods do."""

    anchor: str
    label: str
    recipe: str
    summary: str
    formula: str
    direction: str
    unit: str
    beaten: bool  # can it be told which controls a method beats: does the measure judge, and are there controls?
    standings: tuple[Standing, ...]
    apart: str  # which methods are clearly better than which others, in a sentence; "" where there is nothing to tell


class Reason(NamedTuple):
    """Why scores are missing."""

    where: str
    reason: str
    times: int


class JudgedPart(NamedTuple):
    """The section of the page."""

    lead: str
    interval: str  # what the intervals are called, such as "95 % interval"
    chart: Picture
    curves: Picture | None
    tables: tuple[Table, ...]
    reasons: tuple[Reason, ...]

    @staticmethod
    def natural(chart: Picture) -> int:
        """How wide it is on a screen where its letters have the size that they were drawn in."""
        return round(chart.width * SCREEN / DPI)


def judged_part(scores: Scores, confidence: float = 0.95) -> JudgedPart:
    """What the page says of a table of scores, with intervals of this confidence."""
    summary = scores.summary(confidence)
    differences = scores.differences(confidence)
    tables = tuple(
        _table(number, label, scores, summary[summary.measure == label], differences[differences.measure == label])
        for number, label in enumerate(scores.measures, start=1)
    )
    return JudgedPart(
        lead=_lead(scores, confidence),
        interval=f"{share_of(confidence)} interval",
        chart=_picture(
            scores.figure(confidence=confidence), "Mean score of each method by each measure, with its interval"
        ),
        curves=_curves(scores, confidence),
        tables=tables,
        reasons=_reasons(scores),
    )


def pictures_in(scores: Scores) -> set[tuple[object, ...]]:
    """The pictures that a table speaks of, those without any score among them."""
    return {picture_of(one) for one in scores.records}


def signs_localised(scores: Scores) -> bool:
    """Did a measure of how well maps find a region meet a method whose maps have signs? Controls do not count.

    Gradients point both ways within a thing, and over channels these cancel: signed, they are often no better than chance.
    """
    asked = {entry.make.__name__ for entry in MEASURES.values() if entry.make.needs_regions}
    met = {one.recipe for one in scores.records if not one.control and _name(one.measure_recipe) in asked}
    return any(_signed(recipe) for recipe in met)


def _signed(recipe: str) -> bool:
    try:
        return not from_recipe(recipe).unsigned
    except BadRecipe:  # of a table that was read, or of a method that is no longer here
        return False


def _name(recipe: str) -> str:
    return recipe.partition("(")[0]


def _entry(recipe: str) -> Entry | None:
    return next((entry for entry in MEASURES.values() if entry.make.__name__ == _name(recipe)), None)


def share_of(confidence: float) -> str:
    """
    >>> share_of(0.95), share_of(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * confidence:.4g} %"


def has_curves(scores: Scores) -> bool:
    """Is there a curve to draw, of a row that has a score?"""
    return any(curve is not None and not one.reason for one, curve in zip(scores.records, scores.curves, strict=True))


def _curves(scores: Scores, confidence: float) -> Picture | None:
    """None where no measure has a curve, or none that has a mean."""
    if not has_curves(scores):
        return None
    try:
        figure = scores.curve_figure(confidence=confidence)
    except BadInput:  # the curves of some rows have places of their own
        return None
    return _picture(figure, "Mean curve of each method, with its band")


def _lead(scores: Scores, confidence: float) -> str:
    known = {picture_of(one) for one in scores.records if not one.reason}
    pictures = len(pictures_in(scores))
    of = f"{len(known)} of " if len(known) < pictures else ""
    controls = ", ".join(scores.controls)
    beside = (
        f" Beside them stand maps that know nothing of the network ({controls}): what does not beat them shows nothing of it."
        if controls
        else ""
    )
    return (
        f"Scores on {of}{pictures} {'picture' if pictures == 1 else 'pictures'}, as mean and {share_of(confidence)} interval over "
        "pictures (bootstrap). Differences are tested in pairs on the same pictures, and corrected for their number (Holm)."
        f"{beside}{f' {SIGNS}' if signs_localised(scores) else ''}"
    )


def _table(number: int, label: str, scores: Scores, summary: Any, differences: Any) -> Table:
    first = next(one for one in scores.records if one.measure == label)
    entry = _entry(first.measure_recipe)
    judges = first.better != "neither"
    rows = sorted(summary.itertuples(), key=lambda row: (_order(row.rank), str(row.method)))
    told = told_alike([(float(row.mean) if row.n else math.nan, float(row.low), float(row.high)) for row in rows])
    return Table(
        anchor=f"measure-{number}",
        label=label,
        recipe=first.measure_recipe,
        summary="" if entry is None else entry.summary,
        formula="" if entry is None else entry.formula,
        direction=DIRECTIONS[first.better],
        unit=first.unit,
        beaten=judges and bool(scores.controls),
        standings=tuple(
            _standing(row, numbers, scores, differences, judges=judges) for row, numbers in zip(rows, told, strict=True)
        ),
        apart=_apart(differences, set(scores.controls)) if judges else "",
    )


def _order(rank: Any) -> float:
    """For sorting; what is not ranked comes last."""
    return math.inf if need("pandas", extra="table").isna(rank) else float(rank)


def _standing(row: Any, told: Told, scores: Scores, differences: Any, *, judges: bool) -> Standing:
    known = math.isfinite(row.low) and math.isfinite(row.high)
    ranked = math.isfinite(_order(row.rank))
    blind = "" if row.control or not judges or not row.n else _not_beaten(row.method, scores.controls, differences)
    return Standing(
        method=str(row.method),
        control=bool(row.control),
        rank=str(int(row.rank)) if ranked else "–",
        mean=told.mean,
        interval=f"{told.low} to {told.high}" if known else "–",
        n=int(row.n),
        failed=int(row.failed),
        note=str(row.note or ""),
        blind=blind,
    )


def _not_beaten(method: str, controls: tuple[str, ...], differences: Any) -> str:
    """The controls that the method is not clearly better than, of those that have scores."""
    met = differences[((differences.method == method) | (differences.other == method)) & (differences.n > 0)]
    there = [one for one in controls if ((met.method == one) | (met.other == one)).any()]
    won = set(
        met[met.better == method].apply(lambda row: row.other if row.method == method else row.method, axis=1)
        if len(met[met.better == method])
        else ()
    )
    return ", ".join(one for one in there if one not in won)


def _apart(differences: Any, controls: set[str]) -> str:
    """Which methods are clearly better than which others, controls left out; "" for a single one."""
    beats: dict[str, list[str]] = {}
    pairs = [row for row in differences.itertuples() if not controls & {row.method, row.other}]
    for row in pairs:
        if row.better:
            beats.setdefault(row.better, []).append(row.other if row.better == row.method else row.method)
    if not pairs:
        return ""
    if not beats and max(row.n for row in pairs) <= FEW:
        return "Too few pictures to tell methods apart."
    if not beats:
        return "No method is clearly better than another."
    parts = [f"{one} than {', '.join(others)}" for one, others in beats.items()]
    return f"Clearly better: {'; '.join(parts)}."


def _reasons(scores: Scores) -> tuple[Reason, ...]:
    """Why scores are missing, the same reason once for each method and measure."""
    counted = Counter((f"{one.method}, {one.measure}", one.reason) for one in scores.failures)
    return tuple(Reason(where, reason, times) for (where, reason), times in counted.items())


def _picture(figure: Figure, alt: str) -> Picture:
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=DPI)
    width, height = (int(side * DPI) for side in figure.get_size_inches())
    return Picture(png_of(memory.getvalue()), width, height, alt)
