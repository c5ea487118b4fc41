"""Numbers on scales, colour bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothgrad.view.colour import STEPS, palette
from smoothgrad.view.panels import Scale
from smoothgrad.view.scales import colour_bar, ends, number
from smoothgrad.view.sheet import Box, Sheet


@settings(deadline=None)
@given(st.floats(1e-30, 1e30))
def test_a_number_keeps_two_digits(value: float) -> None:
    for signed in (value, -value):
        read = float(number(signed).replace("−", "-"))
        assert read == pytest.approx(signed, rel=0.051)
        assert len(number(signed)) <= 10


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (100.0, "100"),
        (12345.0, "12000"),
        (9.99, "10"),
        (0.00031, "0.00031"),
        (-2e-5, "−2e−5"),
        (3e7, "3e7"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_zero_stands_in_the_middle_of_a_signed_scale_only() -> None:
    assert {text: place for place, text in ends("signed", 2.0)}["0"] == 0.5
    for sign in ("absolute", "positive", "negative", "error"):
        assert {text: place for place, text in ends(sign, 2.0)}["0"] == 0.0


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, -1.0], ("−1", "0", "1")),
        ([1.5, -1.0], ("−1", "0", "≥ 1")),
        ([1.0, -1.5, math.nan], ("≤ −1", "0", "1")),
        ([2.0, -2.0, math.inf], ("≤ −1", "0", "≥ 1")),
    ],
)
def test_an_end_says_whether_values_lie_past_it(values: list[float], texts: tuple[str, ...]) -> None:
    assert tuple(text for _, text in ends("signed", 1.0, torch.tensor(values))) == texts


def test_the_negative_scale_says_negative_numbers() -> None:
    assert ends("negative", 1.0, torch.tensor([3.0])) == ((0.0, "0"), (1.0, "≤ −1"))


@pytest.mark.parametrize("sign", ["signed", "absolute", "error"])
def test_the_bar_shows_the_whole_palette_with_zero_where_it_says(sign: str) -> None:
    sheet = Sheet.of(3.0, 1.0)
    colour_bar(sheet, Box(0.5, 0.1, 2.0, 0.5), Scale(torch.ones(1), sign, "score", True, 99.0), 1.0, ("score",))
    pixels = np.asarray(sheet.figure.axes[0].images[0].get_array())
    assert pixels.shape == (1, 2 * STEPS + 1, 3)
    assert (pixels[0, STEPS if sign == "signed" else 0] == palette(sign).table[palette(sign).zero]).all()
    assert (pixels[0, -1] == palette(sign).table[-1]).all()
    assert [text.get_text() for text in sheet.figure.texts][-1] == "score"


def test_the_bar_of_nothing_is_zero_and_says_so() -> None:
    sheet = Sheet.of(3.0, 1.0)
    colour_bar(sheet, Box(0.5, 0.1, 2.0, 0.5), Scale(torch.zeros(1), "signed", "score", True, 99.0), 0.0, ())
    pixels = np.asarray(sheet.figure.axes[0].images[0].get_array())
    assert (pixels == palette("signed").table[STEPS]).all()
    assert [text.get_text() for text in sheet.figure.texts] == ["0"]
