"""Mean curves of methods in bands, a panel for each measure. What is drawn comes ready; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smoothgrad.errors import BadInput
from smoothgrad.view.line_plots import MANY, MOST_TICKS, Line, LinePanel, drawn
from smoothgrad.view.line_styles import COLOURS, styles_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "MOST_TICKS", "CurvePanel", "MeanLine", "curve_figure"]

Floats: TypeAlias = npt.NDArray[np.float64]


class MeanLine(NamedTuple):
    """The mean curve of a method, with the bounds of its mean; (P,) each."""

    label: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats
    control: bool


class CurvePanel(NamedTuple):
    """The curves of a measure."""

    title: str
    x_label: str
    y_label: str
    ticks: tuple[str, ...]  # names of the places x, where they have some
    lines: tuple[MeanLine, ...]


def curve_figure(panels: Sequence[CurvePanel], confidence: float = 0.95) -> Figure:
    """A panel for each measure that has curves: the mean of each method in a band of its interval, controls in grey.

    Raises `BadInput` for nothing to draw, and `MissingPackage` without matplotlib.
    """
    if not any(panel.lines for panel in panels):
        raise BadInput("there is nothing to draw: no measure in this table has curves; deletion is one that has")
    controls = {line.label: line.control for panel in panels for line in panel.lines}
    note = f"Lines are means over pictures, bands their {100 * confidence:.3g} % bootstrap intervals."
    grey = " Grey: controls, which know nothing of the network."
    styles = styles_of(controls)
    # Who is drawn is said of a single method, too.
    return drawn([_lines(panel) for panel in panels], styles, styles, note + grey * any(controls.values()), MANY)


def _lines(panel: CurvePanel) -> LinePanel:
    lines = tuple(Line(*one) for one in panel.lines)
    return LinePanel(panel.title, panel.x_label, panel.y_label, lines, dots=False, ticks=panel.ticks)
