"""What an image on the page needs: a PNG inside the page, its colour bar, and words for those who do not see it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from smoothgrad.errors import need
from smoothgrad.result import Attribution
from smoothgrad.view.colour import Palette, Pixels, overlay, palette, rgb, scale_bar
from smoothgrad.view.figure import alone
from smoothgrad.view.look import Look
from smoothgrad.view.panels import ErrorPanel, MapPanel, Panel, PicturePanel, Scale, how_sure
from smoothgrad.view.planes import limit as limit_of
from smoothgrad.view.planes import remark
from smoothgrad.view.plots import BAND, FeaturesPanel, SignalPanel
from smoothgrad.view.scales import ends, number

MAP_STEP, ERROR_STEP = 4, 8  # every how many of a palette's colours is used: noise in fine steps makes large files
SMALL = 128  # pixels: below, a picture is enlarged with sharp edges
PALE = 120  # the grey, 0 to 255, that black becomes beneath a map
DOTS, PLOT = 240, 3.4  # of plots: dots per inch, and a width in inches whose letters can be read on a telephone


class Picture(NamedTuple):
    """An <img>."""

    uri: str
    width: int
    height: int
    alt: str

    @property
    def sharp(self) -> bool:
        """Too small to be smoothed: each value shall be seen as a square."""
        return max(self.width, self.height) < SMALL


class Mark(NamedTuple):
    """A number along a colour bar."""

    place: float  # 0 to 100
    text: str


class Drawn(NamedTuple):
    """A map or its standard error, with all that its colours mean."""

    picture: Picture
    bar: str  # the colour bar as a PNG; "" where the picture is a plot with axes of its own
    marks: tuple[Mark, ...]
    label: str
    remark: str


class Cell(NamedTuple):
    """The map of a cell, and its standard error where there is one and the map's own plot does not show it."""

    map: Drawn
    error: Drawn | None  # of a signal: the map as a line within its errors


def png_uri(pixels: Pixels) -> str:
    """Pixels (H, W, 3) as the text of a PNG; with at most 256 colours as one byte each, a third of the size.

    >>> png_uri(np.zeros((8, 8, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(packed, return_inverse=True)
    if len(colours) <= 256:
        image = Image.fromarray(index.reshape(packed.shape).astype(np.uint8)).convert("P")
        image.putpalette(np.stack([colours >> 16, colours >> 8, colours], axis=-1).astype(np.uint8).tobytes())
    else:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    memory = io.BytesIO()
    image.save(memory, format="PNG", optimize=True)
    return png_of(memory.getvalue())


def png_of(png: bytes) -> str:
    """The bytes of a PNG as the text of an image."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def picture(pixels: Pixels, alt: str) -> Picture:
    """Pixels as a picture of the page, with its size and the words for those who do not see it."""
    return Picture(png_uri(pixels), pixels.shape[1], pixels.shape[0], alt)


def thumbnail(pixels: Pixels, alt: str, most: int = 96) -> Picture:
    """The same, made smaller where it is large."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((most, most))
    return picture(np.asarray(image, np.uint8), alt)


def beneath(pixels: Pixels) -> str:
    """A picture in pale greys, as a PNG, to be seen through a map."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
    pale = np.rint(PALE + (255 - PALE) * grey / 255).astype(np.uint8)
    return png_uri(np.repeat(pale[..., None], 3, axis=2))


def input_pixels(result: Attribution) -> tuple[Pixels | None, str]:
    """The input of a result of one row as a person sees it, with a note; None where it is no picture."""
    panel = result.picture_panel(0)
    return (rgb(panel.picture), panel.note) if isinstance(panel, PicturePanel) else (None, "")


def drawn_row(results: Sequence[Attribution], look: Look, alts: Sequence[str]) -> list[Cell | None]:
    """The maps of one picture by several methods, each a result of one row; None for a map that has no picture.

    With `look.shared`, maps of the same unit share their scale, and so do standard errors. `alts` says what each map is.
    """
    panels = [panel_of(result) for result in results]
    shared = _shared_limits([panel for panel in panels if panel], look)
    cells: list[Cell | None] = []
    for panel, alt in zip(panels, alts, strict=True):
        if panel is None:
            cells.append(None)
        elif isinstance(panel, MapPanel):
            error = panel.error("")
            around = (
                _coloured(error, look, shared, f"Standard error of the {alt[0].lower()}{alt[1:]}") if error else None
            )
            cells.append(Cell(_coloured(panel, look, shared, alt), around))
        else:
            band = panel.error("")
            drawn = None if band is None else _plotted(band, look, f"{alt}, as a line, within 2 standard errors", BAND)
            cells.append(Cell(_plotted(panel, look, f"{alt}: {_strongest(panel)}", _said(panel, look)), drawn))
    return cells


def panel_of(result: Attribution) -> MapPanel | FeaturesPanel | SignalPanel | None:
    """The map of a result of one row as a panel; None where it has no picture."""
    panel = result.map_panel(0) if result.maps[0].ndim <= 3 else None
    return panel if isinstance(panel, MapPanel | FeaturesPanel | SignalPanel) else None


def _said(panel: Panel, look: Look) -> str:
    """What is said beneath a plot: what is left out of it, and whiskers. How sure it is, the page says already."""
    whiskers = isinstance(panel, FeaturesPanel) and panel.stderr is not None
    sure = how_sure(panel.sure) if isinstance(panel, FeaturesPanel | SignalPanel) else ""
    said = [line for line in panel.remarks(look) if line not in (sure, panel.note)]
    return ", ".join([*said, *(["whiskers are 2 standard errors"] if whiskers else [])])


def _shared_limits(panels: Sequence[Panel], look: Look) -> dict[tuple[str, str], float]:
    if not look.shared:
        return {}
    both = [part for panel in panels for part in (panel, panel.error("")) if isinstance(part, MapPanel | ErrorPanel)]
    groups: dict[tuple[str, str], list[Scale]] = {}
    for part in both:
        scale = part.scale(look)
        groups.setdefault(scale.group, []).append(scale)
    return {group: limit_of([scale.values for scale in scales], look.cap) for group, scales in groups.items()}


def _coloured(panel: Panel, look: Look, shared: dict[tuple[str, str], float], alt: str) -> Drawn:
    scale = panel.scale(look)
    assert scale is not None, "maps and standard errors have a scale"
    limit = shared.get(scale.group, limit_of(scale.values, scale.cap))
    step = ERROR_STEP if scale.palette == "error" else MAP_STEP if scale.palette == "signed" else MAP_STEP // 2
    whole = palette(scale.palette)
    colours = Palette(whole.table[::step], whole.zero // step)
    pixels = colours(scale.values, limit)
    if look.overlay and isinstance(panel, MapPanel) and panel.beneath is not None:
        pixels = overlay(panel.beneath, scale.values, limit, look.of(unsigned=panel.unsigned))
    tested = ""
    if isinstance(panel, MapPanel):
        pixels, tested = panel.hatched(pixels, look), panel.tested(look)
    marks = tuple(Mark(100 * place, text) for place, text in ends(scale.palette, limit, scale.values))
    described = f"{alt}, {tested}" if tested else alt
    said = (
        f"{described}; {scale.label}, colours from {' to '.join((marks[0].text, marks[-1].text)) if limit else 'zero'}"
    )
    bar = scale_bar(colours, len(colours.table), 1) if limit else colours.table[None, colours.zero : colours.zero + 1]
    return Drawn(picture(pixels, said), png_uri(bar), marks, scale.label, tested or remark(scale.values))


def _plotted(panel: Panel, look: Look, alt: str, said: str) -> Drawn:
    """A plot with axes, whiskers and scale of its own."""
    need("matplotlib", extra="report")
    page = alone(panel, look, PLOT)
    memory = io.BytesIO()
    page.savefig(memory, format="png", dpi=DOTS)
    width, height = (round(DOTS * inches) for inches in page.get_size_inches())
    return Drawn(Picture(png_of(memory.getvalue()), width, height, alt), "", (), said, "")


def _strongest(panel: FeaturesPanel | SignalPanel) -> str:
    """The strongest features, or moments of a signal.

    >>> _strongest(FeaturesPanel(torch.tensor([0.0, -2.0, 1.0])))
    'strongest are feature 1 (−2), feature 2 (1), feature 0 (0)'
    """
    names = panel.names if isinstance(panel, FeaturesPanel) else ()
    what, values = ("feature", panel.map) if isinstance(panel, FeaturesPanel) else ("moment", panel.map.sum(0))
    order = torch.argsort(values.abs(), descending=True, stable=True)[:3].tolist()
    return "strongest are " + ", ".join(
        f"{names[i] if names else f'{what} {i}'} ({number(float(values[i]))})" for i in order
    )
