"""Maps of many cells as one figure: rows and columns of maps, with one scale where that makes them comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smoothgrad.errors import BadInput
from smoothgrad.result import Attribution
from smoothgrad.view.figure import figure
from smoothgrad.view.look import Look
from smoothgrad.view.panels import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Maps = Sequence[Attribution | None]
MOST = 12  # pictures, or rows, in one figure: more cannot be looked at


def map_figure(
    rows: Sequence[Maps],
    *,
    columns: Sequence[str],
    labels: Sequence[str] | None = None,
    look: Look | None = None,
    title: str = "",
    errors: bool = False,
) -> Figure:
    """A row of maps for each picture, the picture itself to the left; None leaves a cell empty.

    A row without any map is left out, with its label. `labels` None: each row's picture and class. `look` None: what suits the
    rows. `errors`: the standard errors too. Raises `BadInput` where there is no map, and where labels and rows differ in number.
    """
    if labels is not None and len(labels) != len(rows):
        raise BadInput(f"{len(labels)} labels for {len(rows)} rows of maps; pass one each")
    kept = [place for place, maps in enumerate(rows) if any(one is not None for one in maps)][:MOST]
    if not kept:
        raise BadInput("there is nothing to draw: no map was made")
    drawn = [rows[place] for place in kept]
    firsts = [next(one for one in maps if one is not None) for maps in drawn]
    pictures = [one.picture_panel(0) for one in firsts]
    panels: list[list[Panel | None]] = [
        [picture, *(None if one is None else one.map_panel(0) for one in maps)]
        for picture, maps in zip(pictures, drawn, strict=True)
    ]
    pictured = any(picture is not None for picture in pictures)
    named = (
        [f"{one.names[0]}\n{one.label(0)}" for one in firsts] if labels is None else [labels[place] for place in kept]
    )
    return figure(
        panels if pictured else [row[1:] for row in panels],
        look or firsts[0].look,
        columns=[*(["input"] if pictured else []), *columns],
        labels=named,
        title=title,
        errors=errors,
    )
