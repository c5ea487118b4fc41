"""Colour bars and number lines: what colours and lengths are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from smoothgrad.view.colour import STEPS, palette, scale_bar
from smoothgrad.view.sheet import QUIET, SMALL, Align, Box, Sheet, leading

if TYPE_CHECKING:
    from smoothgrad.view.panels import Scale

BAR = 0.075  # inches: the height of a colour bar
GAP = 0.06  # inches between a panel and its bar
AXIS = 2 * leading(SMALL) + 0.1  # inches: a number line and one line of label


def number(value: float) -> str:
    """Two significant digits, with a real minus sign.

    >>> number(-0.0312), number(1234.0), number(1.24e-7), number(0.0)
    ('−0.031', '1200', '1.2e−7', '0')
    """
    if 1e-4 <= abs(value) < 1e5:
        digits = f"{value:.1e}"
        text = f"{float(digits):.10f}".rstrip("0").rstrip(".")
    else:
        mantissa, _, power = f"{value:.2g}".partition("e")
        text = f"{mantissa}e{int(power)}" if power else mantissa
    return text.replace("-", "−")


def ends(sign: str, limit: float, values: Tensor | None = None) -> tuple[tuple[float, str], ...]:
    """Where along a scale (0 to 1) a number stands, and the number.

    `sign` is a look's, or "error". An end that stands for more than its own value, because some of `values`
    lie past it, says so.

    >>> ends("signed", 0.5)
    ((0.0, '−0.5'), (0.5, '0'), (1.0, '0.5'))
    >>> ends("absolute", 0.5, torch.tensor([0.1, 7.0])), ends("negative", 0.5), ends("absolute", 0.0)
    (((0.0, '0'), (1.0, '≥ 0.5')), ((0.0, '0'), (1.0, '−0.5')), ((0.0, '0'),))
    """
    middle = 0.5 if sign == "signed" else 0.0
    if not limit:
        return ((middle, "0"),)
    finite = values[values.isfinite()].double() if values is not None else torch.zeros(0)
    above = "≥ " if bool((finite > limit).any()) else ""
    below = "≤ " if bool((finite < -limit).any()) else ""
    if sign == "signed":
        return ((0.0, below + number(-limit)), (0.5, "0"), (1.0, above + number(limit)))
    if sign == "negative":
        return ((0.0, "0"), (1.0, ("≤ " if above else "") + number(-limit)))
    return ((0.0, "0"), (1.0, above + number(limit)))


def colour_bar(sheet: Sheet, box: Box, scale: Scale, limit: float, label: tuple[str, ...]) -> None:
    """A horizontal bar along the top of the box, its numbers and its label beneath."""
    bar = Box(box.left, box.top + GAP, box.width, BAR)
    colours = palette(scale.palette)
    whole = scale_bar(colours, 2 * STEPS + 1, 1)
    sheet.picture(bar, whole if limit else colours.table[None, colours.zero : colours.zero + 1])
    _numbers(sheet, Box(box.left, bar.top + BAR, box.width, 0.0), ends(scale.palette, limit, scale.values), label)


def number_line(sheet: Sheet, area: Box, sign: str, limit: float, label: tuple[str, ...]) -> None:
    """The numbers and the label under an area whose left and right ends are those of the scale."""
    _numbers(sheet, Box(area.left, area.top + area.height, area.width, 0.0), ends(sign, limit), label)


def _numbers(sheet: Sheet, line: Box, marks: tuple[tuple[float, str], ...], label: tuple[str, ...]) -> None:
    for place, text in marks:
        align: Align = "left" if place == 0 else "right" if place == 1 else "center"
        sheet.text(line.left + place * line.width, line.top + 0.02, text, SMALL, QUIET, align)
    sheet.lines(line.left, line.top + 0.02 + leading(SMALL), label, SMALL, QUIET)
