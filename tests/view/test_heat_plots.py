"""Tables as coloured cells: the numbers, what is darker, hatching, the scale, and that no words overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from smoothgrad.errors import BadInput
from smoothgrad.view.colour import Pixels
from smoothgrad.view.heat_plots import BLUE, MISSING, HeatPanel, heat_figure, ink, number_texts
from tests.view.test_figure import words
from tests.view.test_score_plots import LONG, assert_tidy

NAN = math.nan
VALUES = np.array([[0.98, 0.91, 0.3], [0.975, NAN, 0.7]])


def panel(values: np.ndarray = VALUES, **changed: object) -> HeatPanel:
    columns = tuple(f"{0.1 * place:g}" for place in range(values.shape[1]))
    rows = tuple(f"training {place}" for place in range(values.shape[0]))
    return HeatPanel("accuracy", "noise at inference", "training", columns, rows, values, "share")._replace(**changed)  # type: ignore[arg-type]


def tables(page: Figure) -> list[Axes]:
    """The axes that are tables rather than bars."""
    return [axes for axes in page.axes if axes.texts or axes.patches]


def pixels(axes: Axes) -> Pixels:
    return np.asarray(axes.images[0].get_array())


def luma(colours: Pixels) -> np.ndarray:
    return np.asarray(colours @ np.array([0.299, 0.587, 0.114]))


def test_each_cell_has_its_number_where_it_stands() -> None:
    page = heat_figure([panel()], "Means over pictures.")
    texts = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in tables(page)[0].texts}
    assert texts == {(0, 0): "0.980", (0, 1): "0.910", (0, 2): "0.300", (1, 0): "0.975", (1, 2): "0.700"}
    said = words(page)
    assert {"accuracy", "noise at inference", "training", "training 0", "training 1", "0.2", "share"} <= set(said)
    assert " ".join(said).endswith(f"Means over pictures. {MISSING}")
    assert MISSING not in " ".join(words(heat_figure([panel(VALUES[:1])])))


def test_larger_is_darker_in_grey_too() -> None:
    steps = luma(BLUE)
    assert (np.diff(steps) < 0.5).all()  # each is rounded to whole numbers
    assert steps[0] - steps[-1] > 120
    colours = pixels(tables(heat_figure([panel()]))[0])
    known = np.isfinite(VALUES)
    order = np.argsort(VALUES[known])
    assert (np.diff(luma(colours)[known][order]) < 0).all()


def test_numbers_can_be_read_on_every_colour() -> None:
    def light(colour: object) -> float:
        parts = np.asarray(colour) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ np.array([0.2126, 0.7152, 0.0722]))

    written = {"white": 1.0, "#1c1c1e": light([0x1C, 0x1C, 0x1E])}
    for colour in BLUE:
        brighter, darker = sorted((light(colour), written[ink(colour)]), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) > 4


def test_a_missing_value_is_hatched_and_has_no_number() -> None:
    (hatched,) = tables(heat_figure([panel()]))[0].patches
    assert isinstance(hatched, Rectangle)
    assert hatched.get_hatch()
    assert (hatched.get_x(), hatched.get_y()) == (0.5, 0.5)
    nothing = heat_figure([panel(np.full((1, 2), NAN))])
    assert len(tables(nothing)[0].patches) == 2
    assert not tables(nothing)[0].texts
    assert_tidy(nothing)


def test_a_scale_is_shared_by_panels_of_a_unit_only_where_it_is_asked_for() -> None:
    both = [panel(np.array([[0.0, 1.0]])), panel(np.array([[0.5, 1.0]])), panel(np.array([[0.5, 9.0]]), unit="bits")]
    own = [pixels(axes)[0, 0].tolist() for axes in tables(heat_figure(both))]
    assert own == [BLUE[0].tolist()] * 3
    page = heat_figure(both, shared=True)
    shared = [pixels(axes)[0, 0].tolist() for axes in tables(page)]
    assert shared == [BLUE[0].tolist(), BLUE[(len(BLUE) - 1) // 2].tolist(), BLUE[0].tolist()]
    assert words(page).count("0.000") + words(page).count("0.00") == 2  # at the start of two bars


def test_the_bar_says_the_ends_of_the_scale() -> None:
    said = words(heat_figure([panel(np.array([[-2.0, 31.0]]))]))
    assert {"−2.0", "31.0"} <= set(said)
    assert {"0.905", "0.997"} <= set(words(heat_figure([panel(np.array([[0.905, 0.997]]))])))  # 0.997 is not 1
    assert "all 3.00" in words(heat_figure([panel(np.array([[3.0, 3.0]]))]))


def test_numbers_of_a_table_have_the_same_decimals_and_none_becomes_zero() -> None:
    assert number_texts(np.array([[0.5, 0.25], [1e-7, 0.0]])) == [["0.500", "0.250"], ["1e−7", "0.000"]]
    assert number_texts(np.array([[1.0 + 1e-12, 0.996]])) == [["1.000", "0.996"]]
    assert number_texts(np.array([[98.31, 7.0, -0.04]])) == [["98.3", "7.0", "−0.04"]]
    assert number_texts(np.array([[3e-8, 1e-8, 0.0]])) == [["3e−8", "1e−8", "0"]]
    assert number_texts(np.array([[NAN, math.inf]])) == [["", ""]]


@pytest.mark.parametrize(("count", "scale"), [(1, 1.0), (2, 1e-7), (4, 123456.0)])
def test_no_words_overlap(count: int, scale: float) -> None:
    values = np.array([[0.1, -0.2, 0.3, NAN], [4.0, 0.0, 1e-4, 7.0]]) * scale
    columns = tuple(f"{LONG} {place}" for place in range(4))
    crowd = panel(
        values, columns=columns, rows=(LONG, f"{LONG} too"), title=LONG * 2, x_label=LONG, y_label=LONG, unit=LONG
    )
    short = panel(values[:1, :1], columns=("a",), rows=("b",))
    page = heat_figure([crowd, *[short for _ in range(count - 1)]], LONG)
    assert_tidy(page)
    assert len(tables(page)) == count


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to draw"):
        heat_figure([])
    with pytest.raises(BadInput, match="nothing to draw"):
        heat_figure([panel(np.zeros((0, 2)))])
    with pytest.raises(BadInput, match=r"has 2 rows and 1 columns by its names, and values of shape \(2, 3\)"):
        heat_figure([panel(columns=("a",))])
