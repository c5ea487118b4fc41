"""Text that fits its room, and boxes on a page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from smoothgrad.view.sheet import SMALL, TEXT, TITLE, Box, Sheet, breadth, fitted, leading

words = st.text(alphabet=st.sampled_from("abc WMil_-/,(.=0$\\{}^é"), max_size=120)


@settings(deadline=None)
@given(words, st.floats(0.3, 4.0), st.sampled_from([SMALL, TEXT, TITLE]), st.integers(1, 4))
def test_no_line_is_wider_than_its_room(text: str, width: float, size: float, lines: int) -> None:
    out = fitted(text, width, size, lines)
    assert len(out) <= lines
    assert all(breadth(line, size) <= width for line in out)


@settings(deadline=None)
@given(words, st.floats(0.5, 4.0))
def test_text_with_enough_lines_loses_no_letter(text: str, width: float) -> None:
    out = fitted(text, width, TEXT, 200)
    assert "".join("".join(out).split()) == "".join(text.split())


def test_long_names_break_where_they_are_joined() -> None:
    assert fitted("smooth_integrated_gradients", 1.1, TEXT, 2) == ("smooth_", "integrated_gradi…")[:1] + fitted(
        "integrated_gradients", 1.1, TEXT, 1
    )


def test_lists_break_between_their_parts() -> None:
    assert fitted("score per unit of input, sum of 3 channels", 1.8, SMALL, 2) == (
        "score per unit of input,",
        "sum of 3 channels",
    )


def test_nothing_takes_no_line() -> None:
    assert fitted("", 1.0, TEXT, 3) == fitted(" \n\t", 1.0, TEXT, 3) == ()


def test_an_endless_text_is_cut_quickly() -> None:
    (line,) = fitted("i" * 1_000_000, 1.0, TEXT, 1)
    assert line.endswith("…")


@pytest.mark.parametrize(
    "text", ["relative error 0.31", "smooth_integrated_gradients(", "WWWWWWWWWWWW", "≥ −0.031 ± |x|"]
)
@pytest.mark.parametrize("size", [SMALL, TEXT, TITLE])
def test_a_text_on_the_page_is_no_larger_than_measured(text: str, size: float) -> None:
    sheet = Sheet.of(6.0, 2.0)
    sheet.text(1.0, 0.5, text, size)
    renderer = FigureCanvasAgg(sheet.figure).get_renderer()
    drawn = sheet.figure.texts[0].get_window_extent(renderer)
    assert drawn.width / sheet.figure.dpi <= breadth(text, size)
    assert drawn.x0 / sheet.figure.dpi == pytest.approx(1.0, abs=0.01)
    top = sheet.height - drawn.y1 / sheet.figure.dpi
    assert top >= 0.5
    assert top + drawn.height / sheet.figure.dpi <= 0.5 + leading(size) + 0.02


def test_a_box_keeps_the_shape_of_its_picture() -> None:
    tall = Box(1.0, 1.0, 2.0, 2.0).middle(4.0)
    assert (tall.left, tall.top, tall.width, tall.height) == (1.75, 1.0, 0.5, 2.0)
    assert Box(0, 0, 2.0, 1.0).middle(0.5) == Box(0, 0, 2.0, 1.0)


def test_axes_lie_where_the_box_is() -> None:
    axes = Sheet.of(4.0, 2.0).axes(Box(1.0, 0.5, 2.0, 1.0))
    assert axes.get_position().bounds == pytest.approx((0.25, 0.25, 0.5, 0.5))
