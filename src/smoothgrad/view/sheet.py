"""A page measured in inches from its top left corner, and text that fits the room it has.

matplotlib's figures are measured in fractions and its texts overlap freely; here every text is measured,
wrapped and cut before the page gets its size. Only Figure objects are used, never pyplot: no window, no
global state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, final

from smoothgrad.errors import need
from smoothgrad.view.colour import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, HAIR = "#1c1c1e", "#6e6e73", "#c7c7cc"
TITLE, TEXT, SMALL = 10.0, 8.0, 6.8  # points
HINTING = 1.045  # letters moved onto whole pixels take up to this much more room than their outlines
FONT = "DejaVu Sans"  # comes with matplotlib: the same page on every machine
Align = Literal["left", "center", "right"]


def leading(size: float) -> float:
    """The height of a line of text in inches."""
    return 1.32 * size / 72


@lru_cache(maxsize=4096)
def breadth(text: str, size: float) -> float:
    """The width of a line of text in inches.

    >>> breadth("mm", 8.0) > breadth("ii", 8.0)
    True
    """
    properties = need("matplotlib.font_manager", extra="view").FontProperties(family=FONT, size=size)
    measure = need("matplotlib.textpath", extra="view").text_to_path.get_text_width_height_descent
    return HINTING * float(measure(text, properties, ismath=False)[0]) / 72


def fitted(text: str, width: float, size: float, lines: int) -> tuple[str, ...]:
    """The text in at most `lines` lines no wider than `width` inches; what does not fit ends in an ellipsis.

    >>> fitted("smooth integrated gradients", width=1.1, size=8.0, lines=2)
    ('smooth integrated', 'gradients')
    >>> fitted("smooth integrated gradients", width=1.1, size=8.0, lines=1)
    ('smooth integrat…',)
    """
    most = lines * (2 + int(720 * width / size))  # a tenth of the size is narrower than any letter
    rest = " ".join(text[: 2 * most].split())
    out: list[str] = []
    while rest and len(out) < lines - 1:
        taken = _head(rest, width, size)
        out.append(rest[:taken].rstrip())
        rest = rest[taken:].lstrip()
    if rest and breadth(rest, size) > width:
        while rest and breadth(rest + "…", size) > width:
            rest = rest[:-1].rstrip()
        rest += "…"
    return (*out, rest) if rest else tuple(out)


def _head(text: str, width: float, size: float) -> int:
    """How many characters fit in a line: whole words where one fits, at least one character."""
    end = len(text)
    while end > 1 and breadth(text[:end], size) > width:
        end -= 1
    if end == len(text):
        return end
    comma = text.rfind(", ", 0, end)
    if comma > end // 3:  # between the parts of a list rather than inside one
        return comma + 1
    # names break after the marks they are written with, as well as at spaces
    breaks = [i + 1 for i, letter in enumerate(text[:end]) if letter in " _-/,("]
    if text[end] == " ":
        breaks.append(end)
    return breaks[-1] if breaks and breaks[-1] > end // 3 else end


@final
@dataclass(frozen=True)
class Box:
    """A rectangle in inches, from the top left corner of the page."""

    left: float
    top: float
    width: float
    height: float

    def middle(self, ratio: float) -> Box:
        """The largest box of this height / width in the middle of this one.

        >>> Box(0, 0, 4, 2).middle(1.0)
        Box(left=1.0, top=0.0, width=2.0, height=2.0)
        """
        width = min(self.width, self.height / ratio)
        height = width * ratio
        return Box(self.left + (self.width - width) / 2, self.top + (self.height - height) / 2, width, height)


@final
@dataclass(frozen=True, eq=False)
class Sheet:
    """A white page of a given size in inches."""

    figure: Figure
    width: float
    height: float

    @staticmethod
    def of(width: float, height: float) -> Sheet:
        """An empty page. Raises `MissingPackage` without matplotlib."""
        make = need("matplotlib.figure", extra="view").Figure
        return Sheet(make(figsize=(width, height), dpi=144, facecolor="white", layout="none"), width, height)

    def axes(self, box: Box) -> Axes:
        """Bare axes that fill the box: hairlines around, no ticks, white whatever the user's style is."""
        bottom = self.height - box.top - box.height
        place = (
            box.left / self.width,
            bottom / self.height,
            box.width / self.width,
            box.height / self.height,
        )
        axes = self.figure.add_axes(place, facecolor="white", xticks=[], yticks=[])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.5, edgecolor=HAIR)
        return axes

    def picture(self, box: Box, pixels: Pixels) -> Axes:
        """Pixels (H, W, 3) stretched over the box. Large pixels stay sharp squares."""
        axes = self.axes(box)
        axes.imshow(pixels, aspect="auto", interpolation="auto", origin="upper")
        axes.set(xticks=[], yticks=[])
        return axes

    def text(
        self, left: float, top: float, line: str, size: float = TEXT, ink: str = INK, align: Align = "left"
    ) -> None:
        """One line of text, its top at `top`; no letter in it is markup."""
        place = left / self.width, 1 - (top + 0.16 * leading(size)) / self.height
        style = {"family": FONT, "size": size, "color": ink, "ha": align, "va": "top"}
        self.figure.text(*place, line, parse_math=False, usetex=False, fontdict=style)

    def lines(self, left: float, top: float, lines: tuple[str, ...], size: float = TEXT, ink: str = INK) -> float:
        """Lines of text one under the other; returns where the next one would start."""
        for number, line in enumerate(lines):
            self.text(left, top + number * leading(size), line, size, ink)
        return top + len(lines) * leading(size)
