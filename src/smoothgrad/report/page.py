"""The page: a comparison, through a template, to one HTML file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from smoothgrad.errors import need
from smoothgrad.files import write_aside
from smoothgrad.report.content import Content, content_of

if TYPE_CHECKING:
    from smoothgrad.compare import Comparison
    from smoothgrad.view.look import Look

TEMPLATE = "page.html.jinja"


def write_report(
    comparison: Comparison,
    path: str | Path,
    *,
    look: Look | None = None,
    title: str = "smoothgrad",
    confidence: float = 0.95,
) -> Path:
    """Write a comparison as one HTML file that opens offline: nothing in it is fetched, and it needs no script.

    For each picture it shows the input, the network's top classes, and for each method the map with its scale, its standard
    error, how sure it is in words, and the code that gives the same map again. Failures stand where their maps would. `look`
    None: what suits the rows. `confidence` is that of the intervals of scores, where maps were judged.

    Raises `BadInput` for a comparison without cells, `CannotWrite`, and `MissingPackage` without jinja2.

    >>> import tempfile, smoothgrad as sg
    >>> net = sg.load("digits")
    >>> table = sg.compare(net, net.samples(1), methods=[sg.gradient(), sg.smoothgrad(samples=4)])
    >>> write_report(table, tempfile.mkdtemp() + "/report.html").name
    'report.html'
    """
    page = rendered(content_of(comparison, look, title, confidence), datetime.now(UTC))
    # A name of a file that is no text in this system's encoding comes with lone surrogates, which UTF-8 cannot write.
    return write_aside(path, lambda aside: aside.write_text(page, encoding="utf-8", errors="replace"))


def rendered(content: Content, written: datetime) -> str:
    """The page as text."""
    return filled(TEMPLATE, content, written)


def filled(template: str, content: NamedTuple, written: datetime) -> str:
    """A template of this folder with what the page says, as text that is escaped wherever it stands."""
    jinja2 = need("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_packaged),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pieces"] = _pieces
    page: str = environment.get_template(template).render(page=content, written=written).lstrip()
    return page


def _pieces(label: str) -> list[str]:
    """A recipe in pieces between which a line may break.

    >>> _pieces("Gradient().over(Gaussian(noise=0.15, samples=50))")
    ['Gradient()', '.over(', 'Gaussian(', 'noise=0.15, samples=50))']
    """
    return re.split(r"(?<=[(/_])(?!\))|(?=\.[a-z])", label)


def _packaged(name: str) -> str:
    return resources.files("smoothgrad.report").joinpath(name).read_text(encoding="utf-8")
