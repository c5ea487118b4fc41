"""Pictures and maps of pictures as cells of a figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from smoothgrad.errors import BadInput
from smoothgrad.significance import ZeroTest
from smoothgrad.view.look import Look, Sign
from smoothgrad.view.panels import ErrorPanel, MapPanel, PicturePanel, Sureness, meaning, meaning_of_error

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
    assert MapPanel(map, sure=Sureness(0.314), note="50 samples").remarks(Look()) == (
        "relative error 0.31",
        "50 samples",
        "all zero",
    )
    assert MapPanel(map + 1, sure=Sureness(math.inf)).remarks(Look())[0] == "relative error undefined"
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
    assert MapPanel(torch.rand(1, 2, 2), sure=Sureness(2e-7)).remarks(Look()) == ("relative error 2e−7",)


# --- what differs from zero -------------------------------------------------------------------------------------------

FDR = Look(sign="signed", fdr=0.05)


def differing_map(map: torch.Tensor, differs: torch.Tensor) -> MapPanel:
    """A map whose values differ from zero where `differs` says it."""
    stderr = torch.where(differs, map.abs() / 1000, torch.full_like(map, 1e9))
    return MapPanel(map, stderr, sure=Sureness(test=ZeroTest(map, stderr, 20)))


def test_a_pixel_is_shown_if_one_of_its_channels_differs_from_zero() -> None:
    map = torch.tensor([[[5.0, 5.0, 5.0]], [[7.0, 7.0, 7.0]]])  # 2 channels, 3 pixels
    differs = torch.tensor([[[True, True, False]], [[True, False, False]]])
    panel = differing_map(map, differs)
    assert panel.scale(FDR).values.tolist() == [[12.0, 5.0, 0.0]]
    assert panel.scale(SIGNED).values.tolist() == [[12.0, 12.0, 12.0]]
    assert panel.remarks(FDR) == ("FDR 5 %: 2 of 3 pixels",)
    assert panel.remarks(SIGNED) == ("the same everywhere",)
    page = panel.hatched(np.zeros((1, 3, 3), np.uint8), FDR)
    assert (page[:, : page.shape[1] * 2 // 3] == 0).all()
    assert (page[:, page.shape[1] * 2 // 3 :] > 100).all()
    assert panel.hatched(np.zeros((1, 3, 3), np.uint8), SIGNED).shape == (1, 3, 3)


def test_the_map_itself_is_not_changed_by_a_look() -> None:
    map = torch.rand(3, 4, 4)
    before = map.clone()
    differing_map(map, map > 0.5).scale(FDR)
    assert torch.equal(map, before)


@pytest.mark.parametrize("look", [FDR, Look(fdr=0.05), Look(fdr=0.05, overlay=0.5)])
def test_where_nothing_differs_from_zero_there_is_an_empty_ground_and_words(look: Look) -> None:
    map = torch.rand(3, 20, 20) + 1
    panel = differing_map(map, torch.zeros(3, 20, 20, dtype=torch.bool))
    assert panel.remarks(look) == ("no pixel differs from zero at FDR 5 %",)
    assert not panel.scale(look).values.any()
    page = panel.hatched(np.full((20, 20, 3), 246, np.uint8), look)
    assert (page < 246).all()


def test_large_maps_say_their_share() -> None:
    map = torch.ones(1, 50, 50)
    differs = torch.zeros(1, 50, 50, dtype=torch.bool)
    differs[0, :6] = True
    assert differing_map(map, differs).remarks(FDR) == ("FDR 5 %: 12 % of pixels",)
    differs[0] = True
    assert differing_map(map, differs).remarks(Look(sign="signed", fdr=0.001))[0] == "FDR 0.1 %: 100 % of pixels"
    differs[0, 0, 0] = False
    assert differing_map(map, differs).remarks(FDR)[0] == "FDR 5 %: > 99 % of pixels"


def test_a_map_of_the_other_sign_is_all_zero_and_says_so() -> None:
    panel = differing_map(torch.ones(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
    assert panel.remarks(Look(sign="negative", fdr=0.05)) == ("FDR 5 %: 4 of 4 pixels", "all zero")


def test_maps_that_cannot_be_tested_are_shown_whole_with_the_reason() -> None:
    map = torch.rand(3, 4, 4)
    for panel, said in (
        (MapPanel(map), "no standard error: all shown"),
        (MapPanel(map, map, unsigned=True), "never negative: all shown"),
        (MapPanel(map, map), "cannot be tested: all shown"),
    ):
        assert panel.remarks(FDR) == (said,)
        torch.testing.assert_close(panel.scale(FDR).values, map.sum(0))
        assert panel.hatched(np.zeros((4, 4, 3), np.uint8), FDR).shape == (4, 4, 3)


def test_what_is_not_finite_stays_loud() -> None:
    map = torch.ones(1, 2, 2)
    map[0, 0, 0] = math.nan
    panel = differing_map(map, torch.zeros(1, 2, 2, dtype=torch.bool))
    assert panel.remarks(FDR)[-1] == "1 value is not finite (magenta)"
    page = panel.hatched(np.full((2, 2, 3), 7, np.uint8), FDR)
    assert (page[:60, :60] == 7).all()
    assert (page[60:] != 7).all()


def test_how_a_fresh_seed_would_do_stands_beside_the_error() -> None:
    map = torch.rand(1, 2, 2)
    assert MapPanel(map, sure=Sureness(0.7, 0.494)).remarks(SIGNED) == (
        "relative error 0.7, a fresh seed would correlate 0.49",
    )
    assert MapPanel(map, sure=Sureness(None, math.nan)).remarks(SIGNED) == ()
