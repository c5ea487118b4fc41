"""Pictures and maps of pictures as cells of a figure."""

from __future__ import annotations

import math

import pytest
import torch

from smoothgrad.errors import BadInput
from smoothgrad.view.look import Look, Sign
from smoothgrad.view.panels import ErrorPanel, MapPanel, PicturePanel, meaning, meaning_of_error

SIGNED = Look(sign="signed")


def test_a_panel_keeps_the_shape_of_its_picture() -> None:
    assert PicturePanel(torch.zeros(3, 10, 20)).height(2.0) == 1.0
    assert MapPanel(torch.zeros(3, 20, 10)).height(2.0) == 4.0
    assert MapPanel(torch.zeros(1000, 10)).height(2.0) == 4.0
    assert MapPanel(torch.zeros(1, 1000)).height(2.0) == pytest.approx(0.4)


def test_a_picture_has_no_scale() -> None:
    assert PicturePanel(torch.zeros(3, 4, 4), note="cat.png").scale(Look()) is None
    assert PicturePanel(torch.zeros(3, 4, 4), note="cat.png").remarks(Look()) == ("cat.png",)


def test_a_map_says_how_sure_it_is_and_what_is_odd() -> None:
    map = torch.zeros(3, 4, 4)
    assert MapPanel(map, relative_error=0.314, note="50 samples").remarks(Look()) == (
        "relative error 0.31",
        "50 samples",
        "all zero",
    )
    assert MapPanel(map + 1, relative_error=math.inf).remarks(Look())[0] == "relative error undefined"
    map[0, 0, 0] = math.nan
    assert MapPanel(map).remarks(Look()) == ("1 value is not finite (magenta)",)


def test_the_standard_error_is_a_panel_of_its_own() -> None:
    map, stderr = torch.full((3, 4, 4), -1.0), torch.full((3, 4, 4), 2.0)
    panel = MapPanel(map, stderr, unit="score").error("standard error")
    assert isinstance(panel, ErrorPanel)
    assert panel.title == "standard error"
    scale = panel.scale(SIGNED)
    assert (scale.palette, scale.label) == ("error", "standard error of the sum over 3 channels, score")
    torch.testing.assert_close(scale.values, torch.full((4, 4), math.sqrt(12)))
    assert MapPanel(map).error("standard error") is None
    assert panel.error("standard error") is None


@pytest.mark.parametrize(
    ("look", "channels", "said"),
    [
        (SIGNED, 1, "score per unit of input"),
        (SIGNED, 3, "score per unit of input, sum over 3 channels"),
        (Look(), 1, "|score per unit of input|"),
        (Look(), 3, "sum of |score per unit of input| over 3 channels"),
        (Look(channels="max"), 3, "largest |score per unit of input| of 3 channels"),
        (Look(sign="signed", channels="max"), 3, "score per unit of input, largest of 3 channels"),
        (Look(sign="positive"), 3, "score per unit of input, positive part of the sum over 3 channels"),
        (Look(sign="negative"), 1, "score per unit of input, negative part"),
        (Look(sign="signed", times_input=True), 1, "score"),
    ],
)
def test_a_scale_says_what_its_numbers_mean(look: Look, channels: int, said: str) -> None:
    assert meaning(look, "score per unit of input", channels) == said


def test_other_units_are_multiplied_by_the_input_in_words() -> None:
    assert meaning(Look(sign="signed", times_input=True), "score²", 1) == "score² × input"


def test_scales_of_different_units_are_not_shared() -> None:
    map = torch.ones(3, 4, 4)
    one, same, other = MapPanel(map), MapPanel(2 * map), MapPanel(map, unit="score² per unit of input²")
    assert one.scale(Look()).group == same.scale(Look()).group != other.scale(Look()).group


@pytest.mark.parametrize("shape", [(4,), (1, 3, 4, 4), ()])
def test_what_is_no_map_of_a_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="a map of a picture is"):
        MapPanel(torch.zeros(shape))


def test_companions_of_another_shape_are_refused() -> None:
    map = torch.zeros(3, 4, 4)
    with pytest.raises(BadInput, match="standard error has shape"):
        MapPanel(map, torch.zeros(4, 4))
    with pytest.raises(BadInput, match="input has shape"):
        MapPanel(map, x=torch.zeros(1, 4, 4))
    with pytest.raises(BadInput, match="undo the network's preprocessing"):
        PicturePanel(map - 2)


@pytest.mark.parametrize(
    ("look", "channels", "said"),
    [
        (Look(), 1, "standard error, score"),
        (Look(), 3, "standard error of the sum over 3 channels, score"),
        (Look(channels="max"), 3, "standard error of the largest of 3 channels, score"),
    ],
)
def test_a_standard_error_says_how_the_channels_were_joined(look: Look, channels: int, said: str) -> None:
    assert meaning_of_error(look, "score", channels) == said


@pytest.mark.parametrize("sign", ["absolute", "signed", "positive"])
def test_a_map_that_is_never_negative_has_one_side(sign: Sign) -> None:
    map = torch.rand(3, 4, 4)
    scale = MapPanel(map, unit="(score)²", unsigned=True).scale(Look(sign=sign))
    assert scale.palette == "absolute"
    assert "|" not in scale.label
    torch.testing.assert_close(scale.values, map.sum(0))
    assert MapPanel(map, unit="(score)²").scale(Look(sign=sign)).palette == sign


def test_a_map_that_is_never_negative_has_no_negative_part() -> None:
    panel = MapPanel(torch.rand(3, 4, 4), unsigned=True)
    assert not panel.scale(Look(sign="negative")).values.any()
    assert panel.remarks(Look(sign="negative")) == ("all zero: this map is never negative",)


def test_times_the_input_a_square_has_a_sign_again() -> None:
    panel = MapPanel(torch.ones(1, 2, 2), x=-torch.ones(1, 2, 2), unsigned=True)
    scale = panel.scale(Look(sign="signed", times_input=True))
    assert scale.palette == "signed"
    assert (scale.values == -1).all()
    assert panel.scale(Look(times_input=True)).label == "|score|"


def test_minus_signs_are_minus_signs_above_a_map() -> None:
    assert MapPanel(torch.rand(1, 2, 2), relative_error=2e-7).remarks(Look()) == ("relative error 2e−7",)
