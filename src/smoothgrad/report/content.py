"""What the page says, as plain values: everything is decided here, so that the template only places it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from smoothgrad.citations import PAPERS
from smoothgrad.compare import Comparison, Failure, Row
from smoothgrad.errors import BadInput, BadRecipe
from smoothgrad.methods import citation
from smoothgrad.report.judged import JudgedPart, judged_part, pictures_in
from smoothgrad.report.pictures import Drawn, Picture, beneath, drawn_row, input_pixels, panel_of, picture, thumbnail
from smoothgrad.report.repeat import snippet
from smoothgrad.report.words import (
    SETTLED,
    Complete,
    Question,
    Sure,
    complete,
    decimal,
    method_of,
    percent,
    question,
    sure,
    times,
)
from smoothgrad.result import Attribution
from smoothgrad.view.figure import ordinal
from smoothgrad.view.look import Look

TOP = 5  # classes shown


class Share(NamedTuple):
    """A class, with its score and its part of the softmax."""

    name: str
    score: str
    probability: str
    width: float  # 0 to 100
    explained: bool


class Cell(NamedTuple):
    """A method on a picture."""

    anchor: str
    label: str
    failure: Failure | None
    map: Drawn | None
    error: Drawn | None
    no_picture: str  # why there is no map to see, where there is none
    sure: Sure | None
    complete: Complete | None
    asked: Question | None  # where it is not what the other cells of the picture explain
    stopped: str  # what is said where a tolerance was not reached, or ""
    draws: str
    passes: str
    seconds: str
    recipe: str
    snippet: str


class Section(NamedTuple):
    """A picture, with all its maps."""

    anchor: str
    name: str
    input: Picture | None
    thumbnail: Picture | None
    note: str
    beneath: str  # the picture in pale greys, where it can be laid beneath the maps
    shape: str
    asked: Question | None
    shares: tuple[Share, ...]
    classes: int
    cells: tuple[Cell, ...]


class Source(NamedTuple):
    """A paper that a method stands on."""

    short: str
    title: str
    venue: str
    bibtex: str
    labels: tuple[str, ...]  # of the methods


class Content(NamedTuple):
    """The page but for the time at which it is written."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    certain: tuple[str, ...]  # of the methods, those without chance on every picture
    sections: tuple[Section, ...]
    failures: int
    judged: JudgedPart | None  # where maps were judged
    reading: tuple[tuple[str, str], ...]  # heading, text
    sources: tuple[Source, ...]
    versions: tuple[tuple[str, str], ...]


def content_of(comparison: Comparison, look: Look | None, title: str, confidence: float = 0.95) -> Content:
    """What the page of a comparison says. Raises `BadInput` for a comparison without cells."""
    comparison = in_parts(comparison)
    if not comparison.rows or not comparison.labels:
        raise BadInput("there is nothing to report: the comparison has no pictures or no methods")
    made = list(_made(comparison.rows))
    look = look or (made[0].look if made else Look())
    sections = tuple(_section(number, row, comparison, look) for number, row in enumerate(comparison.rows, start=1))
    return Content(
        title=title,
        lead=_lead(look, made),
        facts=_facts(comparison, made),
        labels=comparison.labels,
        certain=_certain(comparison.labels, sections),
        sections=sections,
        failures=len(comparison.failures),
        judged=None if comparison.scores is None else judged_part(comparison.scores, confidence),
        reading=tuple(_reading(look, made, sections, judged=comparison.scores is not None)),
        sources=_sources(comparison),
        versions=_versions(made),
    )


def _certain(labels: Sequence[str], sections: Sequence[Section]) -> tuple[str, ...]:
    columns = zip(labels, *(section.cells for section in sections), strict=True)
    return tuple(
        label for label, *cells in columns if all(one.sure and one.sure.level == "deterministic" for one in cells)
    )


def in_parts(comparison: Comparison) -> Comparison:
    """The same with a column for each part of a method that ends in Together."""
    columns: list[tuple[str, str, list[Attribution | Failure]]] = []
    for place, (label, recipe) in enumerate(zip(comparison.labels, comparison.recipes, strict=True)):
        cells = [row.cells[place] for row in comparison.rows]
        several = [cell for cell in cells if isinstance(cell, Attribution) and cell.maps.ndim > cell.x.ndim]
        if not several:
            columns.append((label, recipe, cells))
            continue
        for part, one in several[0].parts().items():
            named = part if label == recipe else f"{label}: {part}"
            shown = [cell if isinstance(cell, Failure) else cell.parts()[part] for cell in cells]
            columns.append((one.recipe if label == recipe else named, one.recipe, shown))
    labels, recipes = tuple(label for label, _, _ in columns), tuple(recipe for _, recipe, _ in columns)
    rows = tuple(Row(row.name, tuple(cells[i] for *_, cells in columns)) for i, row in enumerate(comparison.rows))
    return Comparison(labels, recipes, rows, comparison.scores)


def _made(rows: Sequence[Row]) -> Iterator[Attribution]:
    return (cell for row in rows for cell in row.cells if isinstance(cell, Attribution))


# --- a picture --------------------------------------------------------------------------------------------------------


def _section(number: int, row: Row, comparison: Comparison, look: Look) -> Section:
    made = list(_made([row]))
    pixels, note = input_pixels(made[0]) if made else (None, "")
    questions = [question(result) for result in made]
    asked = questions[0] if questions and len(set(questions)) == 1 else None
    under = pixels is not None and not look.overlay and all(cell.maps.shape[-2:] == pixels.shape[:2] for cell in made)
    anchor = f"picture-{number}"
    return Section(
        anchor=anchor,
        name=row.name,
        input=None if pixels is None else picture(pixels, f"The input: {row.name}"),
        thumbnail=None if pixels is None else thumbnail(pixels, ""),
        note=note,
        beneath=beneath(pixels) if under and pixels is not None else "",
        shape=times(tuple(made[0].x.shape[1:])) if made else "",
        asked=asked,
        shares=_shares(made[0]) if made else (),
        classes=made[0].output.shape[1] if made and made[0].output is not None else 0,
        cells=tuple(_cells(anchor, row, comparison, look, one_question=asked is not None)),
    )


def _shares(result: Attribution) -> tuple[Share, ...]:
    """The top classes, and after them those that are explained and not among them."""
    if result.output is None or result.output.shape[1] < 2:
        return ()
    scores = result.output[0].float()
    parts = scores.softmax(0)
    explained = [index for index in result.target[0].reshape(-1).tolist() if index >= 0]
    top = scores.topk(min(TOP, len(scores))).indices.tolist()
    return tuple(
        Share(
            result.class_name(index),
            decimal(float(scores[index])),
            percent(float(parts[index])),
            round(100 * float(parts[index]), 2),
            index in explained,
        )
        for index in [*top, *(index for index in explained if index not in top)]
    )


def _cells(anchor: str, row: Row, comparison: Comparison, look: Look, *, one_question: bool) -> Iterator[Cell]:
    named = list(zip(comparison.labels, comparison.recipes, row.cells, strict=True))
    made = [(label, cell) for label, _, cell in named if isinstance(cell, Attribution)]
    alts = [f"Map of {question(cell).words} in {row.name} by {label}" for label, cell in made]
    drawings = iter(drawn_row([cell for _, cell in made], look, alts))
    for number, (label, recipe, cell) in enumerate(named, start=1):
        where = f"{anchor}-method-{number}"
        if isinstance(cell, Failure):
            yield Cell(where, label, cell, None, None, "", None, None, None, "", "", "", "", recipe, "")
            continue
        drawn = next(drawings)
        shape = times(tuple(cell.maps.shape[1:]))
        yield Cell(
            anchor=where,
            label=label,
            failure=None,
            map=drawn and drawn.map,
            error=drawn and drawn.error,
            no_picture="" if drawn else f"A map of {shape} values has no picture; it is in the result's maps.",
            sure=sure(cell),
            complete=None if cell.completeness is None else complete(cell.completeness, absorbs=_absorbs(cell)),
            asked=None if one_question else question(cell),
            stopped=_stopped(cell),
            draws=f"{int(cell.draws[0]):,}",
            passes=f"{int(cell.passes[0]):,}",
            seconds=decimal(float(cell.provenance["seconds"])),
            recipe=cell.recipe,
            snippet=snippet(cell, cell.names[0] if cell.names else row.name),
        )


def _stopped(result: Attribution) -> str:
    if result.converged is None or bool(result.converged[0]):
        return ""
    draws = int(result.draws[0])
    return f"Stopped at {draws:,} draw{'s' * (draws != 1)} before the tolerance was reached."


# --- around the pictures ----------------------------------------------------------------------------------------------


def _facts(comparison: Comparison, made: Sequence[Attribution]) -> tuple[tuple[str, str], ...]:
    found = [result.provenance for result in made]
    networks = dict.fromkeys(f"{one['model']}, fingerprint {one['fingerprint']}" for one in found)
    layers = dict.fromkeys(str(one["layer"]) for one in found if one["layer"] is not None)
    seeds = dict.fromkeys(str(result.seed) for result in made)
    return tuple(
        (name, value)
        for name, value in (
            ("Network", "; ".join(networks)),
            ("Seen from layer", ", ".join(layers)),
            ("Pictures" if any(result.x.ndim == 4 for result in made) else "Rows", _pictures(comparison)),
            ("Methods", str(len(comparison.labels))),
            ("Seed", ", ".join(seeds)),
        )
        if value
    )


def _pictures(comparison: Comparison) -> str:
    """Rows, but one for all those that ask different targets of the same picture, which bears the same name in each; and those
    that were judged, of which not all need be shown."""
    first = [next(_made([row]), None) for row in comparison.rows]
    shown = len({one.names if one and one.names else place for place, one in enumerate(first)})
    judged = 0 if comparison.scores is None else len(pictures_in(comparison.scores))
    return f"{judged}, of which the first {shown} are shown" if judged > shown > 0 else str(shown)


def _versions(made: Sequence[Attribution]) -> tuple[tuple[str, str], ...]:
    names = (("smoothgrad", "smoothgrad"), ("torch", "torch"), ("Python", "python"), ("machine", "machine"))
    more = (
        ("device", "device"),
        ("precision", "dtype"),
        ("private copy", "prepared"),
        ("no private copy", "unprepared"),
    )
    found = [result.provenance for result in made]
    told = {
        name: dict.fromkeys(str(one[key]) for one in found if one.get(key) is not None) for name, key in (*names, *more)
    }
    return tuple((name, "; ".join(values)) for name, values in told.items() if values)


def _sources(comparison: Comparison) -> tuple[Source, ...]:
    """The papers of all methods that gave a map, each with the methods that stand on it."""
    used: dict[str, dict[str, None]] = {}
    for place, label in enumerate(comparison.labels):
        result = next((row.cells[place] for row in comparison.rows if isinstance(row.cells[place], Attribution)), None)
        method = method_of(result) if isinstance(result, Attribution) else None
        if method is not None:
            for key in _keys(citation(method)):
                used.setdefault(key, {})[label] = None
    return tuple(
        Source(paper.short, paper.title, paper.venue, paper.bibtex(key), tuple(labels))
        for key, labels in used.items()
        for paper in [PAPERS[key]]
    )


def _keys(bibtex: str) -> list[str]:
    """
    >>> _keys("@article{one2017,\\n  year = {2017},\\n}\\n\\n@article{two2018,\\n}")
    ['one2017', 'two2018']
    """
    return [line.partition("{")[2].rstrip(",") for line in bibtex.splitlines() if line.startswith("@")]


# --- how to read it ---------------------------------------------------------------------------------------------------

_SIGNS = {
    "absolute": "The darker, the more the {score} depends on this place, in either direction.",
    "signed": "Orange speaks for the {score}, blue against it; nearly white is zero.",
    "positive": "Only what speaks for the {score} is shown; nearly white is zero or below.",
    "negative": "Only what speaks against the {score} is shown; nearly white is zero or above.",
}
_UNSIGNED = "The darker, the larger the value; it says nothing of a direction, for or against the {score}."
_AND_UNSIGNED = {
    "signed": " Squares and variances are never negative: their scale has one side, from nearly white to dark.",
    "positive": " Squares and variances are never negative: they are shown whole, the darker the larger.",
    "negative": " Squares and variances are never negative: nothing of them is left to show.",
}


def _colours(look: Look, made: Sequence[Attribution], more: str = "") -> str:
    """What the colours of the maps mean; `more` is said within the first sentence."""
    one_sided = [panel.unsigned and not look.times_input for result in made if (panel := panel_of(result))]
    whole = bool(one_sided) and all(one_sided) and look.sign in ("signed", "positive")
    first = (_UNSIGNED if whole else _SIGNS[look.sign]).format(score=explained_by(made))
    beside = _AND_UNSIGNED.get(look.sign, "") if any(one_sided) and not whole else ""
    return f"{first[:-1]}{more}.{beside}"


def _absorbs(result: Attribution) -> bool:
    """May constants of the network keep a part of what the map should sum to?"""
    try:
        return result.method().absorbs
    except BadRecipe:  # a piece from outside of the package
        return False


def explained_by(made: Sequence[Attribution]) -> str:
    """What the results explain, in a word: the score, or the probability where all of them explain one."""
    kinds = {result.kind for result in made}
    return kinds.pop() if len(kinds) == 1 and "probability" in next(iter(kinds)) else "score"


def _lead(look: Look, made: Sequence[Attribution]) -> str:
    if not made:
        return "No map could be made; the reasons stand below."
    several = (
        "colour channels are added up" if look.channels == "sum" else "of the colour channels the strongest counts"
    )
    channels = any(result.x.ndim == 4 and result.x.shape[1] > 1 for result in made)
    said = _colours(look, made, f"; {several}" if channels else "")
    return f"Which parts of an input the network's {explained_by(made)} depends on, and how sure that is. {said}"


def _reading(
    look: Look, made: Sequence[Attribution], sections: Sequence[Section], *, judged: bool
) -> Iterator[tuple[str, str]]:
    yield (
        "A map",
        "gives every value of the input a number: how strongly the score depends on it, near this input, as the method "
        "defines it. It tells about this network and this input, not about the world. A gradient says what a small "
        "change would do; a path method divides the score among the values, and is in units of the score.",
    )
    yield "The colours", f"{_colours(look, made)} {_scale_words(look)}"
    if any(result.stderr is not None for result in made):
        yield (
            "The standard error",
            "belongs to methods that average over random draws: it says how far each value would typically move with "
            "fresh draws. The relative error is its size over that of the map, r = ‖standard error‖ / ‖map‖. Two raw maps of "
            "different seeds then agree to about 1 − r² (the cosine between them: 1 is the same map, 0 none in common). "
            f"Up to {SETTLED:g} a map is called settled. Four times the draws halve the error.",
        )
        if any(result.reproducibility is not None for result in made):
            yield (
                "A fresh seed would correlate",
                "as strongly as the number says, pixel by pixel: 1 is the same picture, 0 another one. It is found without a "
                "second run: the draws are split into halves, the maps of the halves are correlated, and from that follows the "
                "correlation of two whole maps (Spearman 1910, Brown 1910).",
            )
        yield (
            "What it does not say:",
            "whether the method is right, or the network. A map may be settled and still mislead; and a map without any "
            "chance, such as a plain gradient, may still look noisy, because the network itself is rough.",
        )
    if any(result.completeness is not None for result in made):
        yield (
            "Complete",
            "is a map that sums to what its method promises: on a path the change of the score from the baseline to the input, "
            "which more steps or samples bring nearer as a rule; for relevance the score itself, of which biases keep their part. "
            "A gap under 5 % is what the authors of Integrated Gradients aim at.",
        )
    if made:
        yield (
            "Draws and passes:",
            "draws are the random or path points a map is averaged over, passes how often the network was asked for "
            "each row. The seconds are those of the whole run, which may have explained several rows at once.",
        )
    if any(section.shares for section in sections):
        yield (
            "Scores and percentages:",
            "scores are what the network's last layer says, before the softmax; maps explain these unless it is said "
            "otherwise. Percentages are their softmax over all classes. A high one is no proof that the network is right.",
        )
    if judged:
        yield (
            "Scores",
            "judge maps by what the network does, not by how they look. Each measure asks another question, and methods "
            "change places between them: a measure that removes pixels shows the network pictures "
            "that it has never seen. Where a method is not "
            "clearly better than a map that knows nothing of the network, the measure tells nothing in its favour.",
        )
    yield (
        "A picture that looks good proves nothing.",
        "Some methods draw sharp outlines that hardly depend on what the network has learned (guided backprop and "
        "deconvnet: Adebayo et al. 2018). Before trusting a map, compare methods, compare seeds, change what the map "
        "points at and see whether the score follows.",
    )


def _scale_words(look: Look) -> str:
    shared = (
        "Maps of the same unit in a row share a scale"
        if look.shared
        else "Each map has its own scale, written beneath it"
    )
    said = [f"{shared}{'' if look.shared else ': compare the patterns of two maps, not their darkness'}."]
    if look.cap < 100:
        said.append(
            f"It ends at the {ordinal(look.cap)} percentile of absolute values; what lies beyond (≥) has the last colour."
        )
    if look.times_input:
        said.append("Shown is map × input: where the input is zero, nothing shows.")
    if look.overlay:
        said.append("The stronger a value, the more its colour covers the grey picture.")
    if look.fdr is not None:
        said.append(
            f"Shown is what differs from zero at a false-discovery rate of {100 * look.fdr:.3g} %: of what is shown, about that "
            "share is chance (Benjamini and Hochberg 1995). What does not is hatched, or pale in bars and lines. Maps that "
            "cannot be tested so, for want of a standard error or because they are never negative, are shown whole."
        )
    return " ".join(said)
