"""An experiment as one HTML file: the question, what was seen, the figures, the table in short, and how a row is made again."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smoothgrad.citations import PAPERS
from smoothgrad.experiments.experiment import Cell, Plate
from smoothgrad.experiments.result import Result
from smoothgrad.files import write_aside
from smoothgrad.measure import MEASURES
from smoothgrad.report.experiment_means import Means, means_of
from smoothgrad.report.experiment_repeat import command, python
from smoothgrad.report.page import filled
from smoothgrad.report.pictures import Picture, png_uri
from smoothgrad.view.colour import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "experiment.html.jinja"
DPI, SCREEN = 192, 96  # dots per inch of the figures, for screens with fine pixels and for paper; and of a page
WIDEST = 2400  # pixels of a figure: grids of photographs would make a page of tens of megabytes
NAMED = 6  # pictures, or cells of one failure, that are named


class Shown(NamedTuple):
    """A plate."""

    anchor: str
    caption: str
    picture: Picture
    natural: int  # how wide it is on a screen where its letters have the size that they were drawn in


class Failure(NamedTuple):
    """Why cells failed."""

    reason: str
    cells: tuple[str, ...]  # some of them
    times: int


class Source(NamedTuple):
    """A paper that asked the question."""

    short: str
    title: str
    venue: str
    bibtex: str


class ExperimentContent(NamedTuple):
    """The page but for the time at which it is written."""

    name: str
    title: str
    question: str
    facts: tuple[tuple[str, str], ...]
    recipe: str
    pictures: tuple[tuple[str, str], ...]  # name and kind, of those that the cells see
    cells: int
    failed: int
    lessons: tuple[str, ...]
    plates: tuple[Shown, ...]
    meanings: tuple[tuple[str, str], ...]  # of quantities and columns
    means: tuple[Means, ...]
    failures: tuple[Failure, ...]
    command: str
    python: str
    sources: tuple[Source, ...]
    version: str


def write_experiment(result: Result, path: str | Path) -> Path:
    """Write what an experiment found as one HTML file that opens offline: nothing in it is fetched, and it needs no script.

    Where every cell failed, it says why. Raises `CannotWrite`, and `MissingPackage` without jinja2 or matplotlib.

    >>> import tempfile, smoothgrad as sg
    >>> from smoothgrad.experiments.recipe import experiment_from_recipe
    >>> from smoothgrad.experiments.run import run
    >>> from smoothgrad.experiments.setup import Setup, samples_of
    >>> net = sg.load("digits")
    >>> about = experiment_from_recipe("noise-level(noise=0.2, samples=4, reference=8, measures=(Gini(),))")
    >>> found = run(about, Setup(net, samples_of(net, 1), model="digits"))
    >>> write_experiment(found, tempfile.mkdtemp() + "/index.html").name
    'index.html'
    """
    page = filled(TEMPLATE, content_of(result), datetime.now(UTC))
    # A name of a file that is no text in this system's encoding comes with lone surrogates, which UTF-8 cannot write.
    return write_aside(path, lambda aside: aside.write_text(page, encoding="utf-8", errors="replace"))


def content_of(result: Result) -> ExperimentContent:
    """What the page of an experiment says."""
    about, setup = result.experiment, result.setup
    failed = len(result.failures)
    return ExperimentContent(
        name=about.name,
        title=about.title,
        question=about.question,
        facts=_facts(result),
        recipe=repr(about),
        pictures=tuple((one.name, one.group) for one in setup.pictures),
        cells=len(result.cells),
        failed=failed,
        lessons=result.lessons,
        plates=() if failed == len(result.cells) else tuple(map(_shown, result.plates)),
        meanings=_meanings(result),
        means=means_of(result),
        failures=_failures(result),
        command=command(result),
        python=python(result),
        sources=tuple(
            Source(paper.short, paper.title, paper.venue, paper.bibtex(key))
            for key, paper in ((key, PAPERS[key]) for key in about.papers)
        ),
        version=str(result.records[0]["version"]),
    )


def _facts(result: Result) -> tuple[tuple[str, str], ...]:
    about, setup = result.experiment, result.setup
    pictures = f"{len(setup.pictures)}, each by itself" if about.per_picture else f"{len(setup.pictures)}, all together"
    points = len(result.cells) // max(1, len(setup.pictures)) if about.per_picture else len(result.cells)
    counted = f"{points} at {'each picture' if about.per_picture else 'all pictures'}"
    facts = (
        ("Network", setup.model or (setup.network.name if setup.network else "")),
        ("Trained on", setup.dataset or (setup.data.name if setup.data else "")),
        ("Pictures", pictures),
        ("Cells", f"{len(result.cells)}: {counted}" if len(result.cells) > 1 else "1"),
        ("Explained", "the class that the network finds" if setup.target is None else str(setup.target)),
        ("Seed", str(setup.seed)),
        ("Version", f"smoothgrad {result.records[0]['version']}"),
    )
    return tuple((name, said) for name, said in facts if said)


def _shown(plate: Plate) -> Shown:
    pixels = _pixels(plate.figure)
    high, wide, _ = pixels.shape
    picture = Picture(png_uri(pixels), wide, high, f"Figure “{plate.name}”: {plate.caption}")
    return Shown(f"plate-{plate.name}", plate.caption, picture, round(wide * SCREEN / _dpi(plate.figure)))


def _pixels(figure: Figure) -> Pixels:
    """A figure as pixels (H, W, 3)."""
    from PIL import Image

    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=_dpi(figure))
    with Image.open(memory) as image:
        return np.array(image.convert("RGB"))


def _dpi(figure: Figure) -> float:
    """Dots per inch at which the figure is no wider than it may be."""
    return min(DPI, WIDEST / float(figure.get_figwidth()))


def _meanings(result: Result) -> tuple[tuple[str, str], ...]:
    """What the columns of the table hold, in words."""
    known = dict(result.experiment.quantities)
    for row in result.records:
        name = str(row.get("quantity") or "")
        entry = MEASURES.get(name.partition("(")[0])
        if entry is not None:
            known.setdefault(name, f"{entry.summary}; {entry.formula}")
    return (*known.items(), *result.experiment.keys.items())


def _failures(result: Result) -> tuple[Failure, ...]:
    """Reasons, each with the cells that failed by it."""
    cells: dict[str, list[str]] = {}
    # A cell by its picture's name, too: the same picture under two names has the same cells.
    pictured = result.experiment.per_picture
    failed = {(row.get("picture") if pictured else "", row["cell"]): str(row["reason"]) for row in result.failures}
    order = list(dict.fromkeys((row.get("picture") if pictured else "", row["cell"]) for row in result.records))
    for cell, name in zip(result.cells, order, strict=True):
        if name in failed:
            cells.setdefault(failed[name], []).append(_named(cell))
    return tuple(Failure(reason, tuple(names[:NAMED]), len(names)) for reason, names in cells.items())


def _named(cell: Cell) -> str:
    return cell.name or "the only cell"
