"""Panels in a grid: methods across, rows down, every scale said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from smoothgrad.errors import BadInput
from smoothgrad.view.look import Look
from smoothgrad.view.panels import ErrorPanel, MapPanel, Panel, Scale
from smoothgrad.view.planes import limit as limit_of
from smoothgrad.view.plots import FeaturesPanel, SignalErrorPanel, SignalPanel
from smoothgrad.view.scales import BAR, GAP, colour_bar
from smoothgrad.view.sheet import INK, QUIET, SMALL, TEXT, TITLE, Box, Sheet, fitted, leading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN, GUTTER, LABEL = 0.22, 0.2, 1.3  # inches: around the page, between cells, for the labels of rows
SPACE = 0.16  # inches between rows
EDGE = 0.03  # inches around a panel that is alone on its page
LEAST = 3.0  # inches: no page is narrower, or its footnote would be a column of words
WIDE, NARROW, PLOT = 2.5, 1.8, 3.2  # inches: a cell among few columns, among many, and of features or signals
ERROR = "standard error"


def figure(
    rows: Sequence[Sequence[Panel | None]],
    look: Look = Look(),
    *,
    columns: Sequence[str] = (),
    labels: Sequence[str] = (),
    title: str = "",
    errors: bool = True,
) -> Figure:
    """A figure of panels: `rows[i][j]` stands in row i, column j; None leaves a cell empty.

    Every map has a colour bar beneath it, with zero in its middle where the look is signed; with
    `look.shared`, maps of the same unit in a row share one. Standard errors are panels of their own: beside
    the map where there is one map in a row, beneath the maps where there are several.

    Parameters
    ----------
    columns: what stands above the columns (methods), one each or none.
    labels: what stands left of the rows, one each or none: the first line names (the picture), the further
        lines, after a newline, tell (class, score).
    title: above everything.
    errors: False leaves the standard errors out.

    Raises `BadInput` for an empty figure and for a number of columns or labels that does not fit;
    `MissingPackage` without matplotlib.

    >>> from smoothgrad.view.panels import MapPanel, PicturePanel
    >>> row = [PicturePanel(torch.ones(3, 32, 32)), MapPanel(torch.eye(32), title="gradient")]
    >>> page = figure([row], Look(), labels=["cat.png\\ncat 9.1"])
    >>> len(page.axes)                                            # picture, map, colour bar
    3
    """
    grid = _grid(rows, columns, labels, errors)
    bands = [_measured(grid, number, look) for number in range(len(grid.rows))]
    left = MARGIN + (LABEL if any(grid.labels) else 0.0)
    page = max(left + len(grid.columns) * (grid.width + GUTTER) - GUTTER + MARGIN, LEAST)
    above = fitted(title, page - 2 * MARGIN, TITLE, 2)
    heads = [fitted(head, grid.width, TEXT, 3) for head in grid.columns]
    below = fitted(_footnote(grid, look), page - 2 * MARGIN, SMALL, 12)

    head_top = MARGIN + (len(above) * leading(TITLE) + 0.08 if above else 0.0)
    deepest = max(map(len, heads))
    body_top = head_top + (deepest * leading(TEXT) + 0.05 if deepest else 0.0)
    foot_top = body_top + sum(band.height for band in bands)
    sheet = Sheet.of(page, foot_top + len(below) * leading(SMALL) + MARGIN)

    sheet.lines(MARGIN, MARGIN, above, TITLE)
    for number, head in enumerate(heads):  # the last line of each stands right above its column
        top = head_top + (deepest - len(head)) * leading(TEXT)
        sheet.lines(left + number * (grid.width + GUTTER), top, head, TEXT)
    for number, band in enumerate(bands):
        top = body_top + sum(earlier.height for earlier in bands[:number])
        _label(sheet, grid.labels[number], top + band.head, band.body)
        _paint(sheet, band, look, left, top, grid.width)
    sheet.lines(MARGIN, foot_top, below, SMALL, QUIET)
    return sheet.figure


def alone(panel: Panel, look: Look, width: float) -> Figure:
    """A panel that fills a page of its own from edge to edge, its colour bar beneath: for a page that says the rest.

    >>> import torch
    >>> len(alone(MapPanel(torch.eye(32)), Look(), width=3.0).axes)
    2
    """
    scale, height = panel.scale(look), panel.height(width)
    limit = limit_of(scale.values, scale.cap) if scale else 0.0
    label = fitted(scale.label, width - 2 * EDGE, SMALL, 3) if scale and scale.bar else ()
    foot = GAP + BAR + 0.04 + (1 + len(label)) * leading(SMALL) if label else 0.0
    sheet = Sheet.of(width, height + foot + 2 * EDGE)
    panel.paint(sheet, Box(EDGE, EDGE, width - 2 * EDGE, height), look, limit)
    if scale and label:
        colour_bar(sheet, Box(EDGE, EDGE + height, width - 2 * EDGE, foot), scale, limit, label)
    return sheet.figure


class Grid(NamedTuple):
    """Panels with the standard errors in their places; every row as long as there are columns."""

    rows: list[list[Panel | None]]
    columns: list[str]
    labels: list[str]
    width: float  # of a cell, in inches


class Cell(NamedTuple):
    """A panel with its column, the lines above it, and its scale."""

    column: int
    panel: Panel
    title: tuple[str, ...]
    remarks: tuple[str, ...]
    scale: Scale | None
    limit: float


class Bar(NamedTuple):
    """A colour bar under the cells from `first` to `last`, for all of them."""

    first: int
    last: int
    scale: Scale  # the values are those of all the cells
    limit: float
    label: tuple[str, ...]


class Band(NamedTuple):
    """A row of the grid, measured: heights in inches of what is above, in and below its cells."""

    cells: list[Cell]
    bars: list[Bar]
    head: float
    body: float
    foot: float

    @property
    def height(self) -> float:
        return self.head + self.body + self.foot + SPACE


def _grid(rows: Sequence[Sequence[Panel | None]], columns: Sequence[str], labels: Sequence[str], errors: bool) -> Grid:
    across = max((len(row) for row in rows), default=0)
    if not any(panel is not None for row in rows for panel in row):
        raise BadInput("a figure needs at least one panel; got none")
    if columns and len(columns) != across:
        raise BadInput(f"{len(columns)} column titles for {across} columns; pass one each, or none")
    if labels and len(labels) != len(rows):
        raise BadInput(f"{len(labels)} labels for {len(rows)} rows; pass one each, or none")
    full = [[*row, *[None] * (across - len(row))] for row in rows]
    heads, names = list(columns) or [""] * across, list(labels) or [""] * len(rows)
    if errors:
        full, heads, names = _with_errors(full, heads, names)
    plots = any(isinstance(panel, (FeaturesPanel, SignalPanel)) for row in full for panel in row)
    return Grid(full, heads, names, PLOT if plots else WIDE if len(heads) <= 3 else NARROW)


def _with_errors(
    rows: list[list[Panel | None]], columns: list[str], labels: list[str]
) -> tuple[list[list[Panel | None]], list[str], list[str]]:
    """Standard errors beside the maps where one column has them, beneath the maps where several do."""
    title = "" if any(columns) else ERROR
    found = [[panel.error(title) if panel else None for panel in row] for row in rows]
    where = {column for row in found for column, panel in enumerate(row) if panel}
    if len(where) == 1 and not any(isinstance(panel, SignalErrorPanel) for row in found for panel in row):
        after = where.pop() + 1
        beside = [[*row[:after], more[after - 1], *row[after:]] for row, more in zip(rows, found, strict=True)]
        return beside, [*columns[:after], "" if title else ERROR, *columns[after:]], labels
    beneath: list[list[Panel | None]] = []
    names: list[str] = []
    for row, more, label in zip(rows, found, labels, strict=True):
        some = any(more)
        beneath += [row, [panel.error("") if panel else None for panel in row]] if some else [row]
        said = ERROR if any(isinstance(panel, ErrorPanel) for panel in more) else ""  # a band says itself what it is
        names += [label, said and "\n" + said] if some else [label]
    return beneath, columns, names


def _measured(grid: Grid, number: int, look: Look) -> Band:
    cells = _cells(grid, number, look)
    # What the same column says further down need not be said here.
    later = {
        (column, scale.label)
        for row in grid.rows[number + 1 :]
        for column, panel in enumerate(row)
        if panel and (scale := panel.scale(look)) and scale.bar
    }
    bars = []
    for group in _groups(cells, look):
        scale = group[0].scale
        if scale and scale.bar:
            first, last = group[0].column, group[-1].column
            room = (last - first + 1) * (grid.width + GUTTER) - GUTTER
            label = () if (first, scale.label) in later else fitted(scale.label, room, SMALL, 3)
            values = torch.cat([cell.scale.values.flatten() for cell in group if cell.scale])
            bars.append(Bar(first, last, scale._replace(values=values), group[0].limit, label))
    head = max(len(cell.title) * leading(TEXT) + len(cell.remarks) * leading(SMALL) for cell in cells)
    body = max(cell.panel.height(grid.width) for cell in cells)
    foot = max((GAP + BAR + 0.04 + (1 + len(bar.label)) * leading(SMALL) for bar in bars), default=0.0)
    return Band(cells, bars, head + (0.05 if head else 0.0), body, foot)


def _cells(grid: Grid, number: int, look: Look) -> list[Cell]:
    cells = []
    for column, panel in enumerate(grid.rows[number]):
        if panel:
            remarks = tuple(part for line in panel.remarks(look) for part in fitted(line, grid.width, SMALL, 2))
            title = fitted(panel.title, grid.width, TEXT, 2)
            scale = panel.scale(look)
            limit = limit_of(scale.values, scale.cap) if scale else 0.0
            cells.append(Cell(column, panel, title, remarks, scale, limit))
    if not look.shared:
        return cells
    shared = {cell.scale.group: _shared(cells, cell.scale) for cell in cells if cell.scale}
    return [cell._replace(limit=shared[cell.scale.group]) if cell.scale else cell for cell in cells]


def _shared(cells: list[Cell], scale: Scale) -> float:
    values = [cell.scale.values for cell in cells if cell.scale and cell.scale.group == scale.group]
    return limit_of(values, scale.cap)


def _groups(cells: list[Cell], look: Look) -> list[list[Cell]]:
    """Cells under which one bar goes: neighbours that share a scale."""
    groups: list[list[Cell]] = []
    for cell in cells:
        if look.shared and groups and _neighbours(groups[-1][-1], cell):
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return groups


def _neighbours(one: Cell, next: Cell) -> bool:
    same = one.scale is not None and next.scale is not None and one.scale.group == next.scale.group
    return same and one.column + 1 == next.column


def _label(sheet: Sheet, label: str, top: float, room: float) -> None:
    """The label of a row: its first line names, the others tell."""
    name, *more = label.split("\n")
    end = top + room
    for text, size, ink, most in [(name, TEXT, INK, 3), *((line, SMALL, QUIET, 2) for line in more)]:
        lines = fitted(text, LABEL - 0.15, size, most)[: max(0, int((end - top) / leading(size)))]
        top = sheet.lines(MARGIN, top, lines, size, ink)


def _paint(sheet: Sheet, band: Band, look: Look, left: float, top: float, width: float) -> None:
    for cell in band.cells:
        start = left + cell.column * (width + GUTTER)
        under = sheet.lines(start, top, cell.title, TEXT)
        sheet.lines(start, under, cell.remarks, SMALL, QUIET)
        box = Box(start, top + band.head, width, cell.panel.height(width))
        cell.panel.paint(sheet, box, look, cell.limit)
    for bar in band.bars:
        start = left + bar.first * (width + GUTTER)
        room = (bar.last - bar.first + 1) * (width + GUTTER) - GUTTER
        above = max(cell.panel.height(width) for cell in band.cells if bar.first <= cell.column <= bar.last)
        box = Box(start, top + band.head + above, room, band.foot)
        colour_bar(sheet, box, bar.scale, bar.limit, bar.label)


def _footnote(grid: Grid, look: Look) -> str:
    """What holds for all scales of the figure, said once."""
    panels = [panel for row in grid.rows for panel in row if panel]
    scales = [scale for panel in panels if (scale := panel.scale(look))]
    said = []
    if any(scale.bar for scale in scales):
        whose = "Maps of the same unit in a row share a scale" if look.shared else "Each map has its own scale"
        cap = f", capped at the {ordinal(look.cap)} percentile of absolute values" if look.cap < 100 else ""
        said.append(f"{whose}{cap}.")
    if any(scale.palette == "signed" for scale in scales):
        said.append("Orange is positive, blue is negative.")
        if any(scale.palette == "absolute" and scale.bar for scale in scales):
            said.append("Maps that are never negative run from nearly white to dark.")
    if scales and look.times_input:
        said.append("Shown is map × input.")
    if look.overlay and any(isinstance(panel, MapPanel) for panel in panels):
        said.append("The stronger a value, the more its colour covers the grey picture.")
    if any(isinstance(panel, FeaturesPanel) and panel.stderr is not None for panel in panels):
        said.append("Whiskers are 2 standard errors.")
    shown = [panel for panel in panels if isinstance(panel, (MapPanel, FeaturesPanel, SignalPanel)) and panel.sure.test]
    if look.fdr is not None and shown:
        how = "Pale" if all(isinstance(panel, FeaturesPanel) for panel in shown) else "Hatched"
        rate = f"{100 * look.fdr:.3g} %"
        said.append(f"{how}: does not differ from zero at a false-discovery rate of {rate} (Benjamini-Hochberg).")
    return " ".join(said)


def ordinal(number: float) -> str:
    """
    >>> ordinal(99), ordinal(99.5), ordinal(1), ordinal(12), ordinal(92.0)
    ('99th', '99.5th', '1st', '12th', '92nd')
    """
    text = f"{number:g}"
    if "." in text or text[-2:] in ("11", "12", "13"):
        return text + "th"
    return text + {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")
