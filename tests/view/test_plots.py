"""Features as bars, signals over a strip of colour."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.significance import ZeroTest
from smoothgrad.view.colour import colour
from smoothgrad.view.figure import figure
from smoothgrad.view.look import Look
from smoothgrad.view.panels import UNIT, MapPanel, Sureness
from smoothgrad.view.plots import PALE, FeaturesPanel, SignalErrorPanel, SignalPanel, panel

SIGNED = Look(sign="signed")
FEATURES = torch.tensor([0.5, -3.0, 1.0, 0.0])
NAMES = ("age", "height", "weight", "shoe size")


def test_the_longest_bar_comes_first_with_its_name() -> None:
    page = figure([[FeaturesPanel(FEATURES, names=NAMES)]], SIGNED)
    axes = page.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [-3.0, 1.0, 0.5, 0.0]
    assert [text.get_text() for text in page.texts][:4] == ["height", "weight", "age", "shoe size"]


def test_bars_start_at_zero_in_the_middle_of_a_signed_axis() -> None:
    axes = figure([[FeaturesPanel(FEATURES)]], SIGNED).axes[0]
    low, high = axes.get_xlim()
    assert low == -high
    assert high > 3.0
    low, high = figure([[FeaturesPanel(FEATURES)]], Look()).axes[0].get_xlim()
    assert low == 0


def test_whiskers_reach_two_standard_errors() -> None:
    axes = figure([[FeaturesPanel(FEATURES, torch.full((4,), 0.25))]], SIGNED).axes[0]
    ends = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    assert len(ends) == 8
    (segments,) = ([path.vertices[:, 0] for path in bars.get_paths()] for bars in axes.collections[:1])
    assert segments[0].tolist() == [-3.5, -2.5]
    assert axes.get_xlim()[1] > 3.5


def test_smaller_features_are_left_out_and_counted() -> None:
    shown = FeaturesPanel(torch.arange(30.0), most=28)
    assert shown.remarks(SIGNED) == ("2 smaller features not shown",)
    assert len(figure([[shown]], SIGNED).axes[0].patches) == 28
    assert FeaturesPanel(torch.arange(29.0), most=28).remarks(SIGNED) == ("1 smaller feature not shown",)


def test_a_feature_that_is_not_finite_is_named_first() -> None:
    page = figure([[FeaturesPanel(torch.tensor([1.0, math.nan]), names=("a", "b"))]], SIGNED)
    assert [text.get_text() for text in page.texts][:3] == ["1 value is not finite (magenta)", "b", "a"]
    assert [text.get_text() for text in page.axes[0].texts] == [" not finite"]


def test_features_that_are_all_zero_are_drawn() -> None:
    page = figure([[FeaturesPanel(torch.zeros(3), torch.zeros(3))]], SIGNED)
    assert page.texts[0].get_text() == "all zero"


def test_a_shared_scale_gives_bars_one_length() -> None:
    row = [FeaturesPanel(FEATURES), FeaturesPanel(FEATURES / 10)]
    one, other = figure([row], Look(sign="signed", shared=True)).axes
    assert one.get_xlim() == other.get_xlim()
    one, other = figure([row], SIGNED).axes
    assert one.get_xlim() != other.get_xlim()


def test_a_signal_is_drawn_above_its_strip() -> None:
    map = torch.tensor([[1.0, -2.0, 0.0], [1.0, 0.0, 0.0]])
    x = torch.tensor([[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    lines, strip, bar = figure([[SignalPanel(map, x)]], Look(sign="signed", cap=100)).axes
    assert len(lines.lines) == 2
    assert np.argmax(lines.lines[0].get_ydata()) == 1
    pixels = np.asarray(strip.images[0].get_array())
    assert (pixels == colour(map.sum(0)[None], 2.0, SIGNED)).all()
    assert len(bar.images) == 1
    # moments stand above their colours
    assert lines.get_xlim() == (-0.5, 2.5) == strip.get_xlim()
    assert lines.get_position().x0 == strip.get_position().x0


@pytest.mark.parametrize("shape", [(1,), (5,), (1, 1), (20, 50)])
def test_signals_of_any_length_and_number_are_drawn(shape: tuple[int, ...]) -> None:
    shown = SignalPanel(torch.ones(shape), torch.zeros(shape), torch.ones(shape))
    page = figure([[shown]], SIGNED)
    assert len(page.axes[0].lines) == min(12, shape[0] if len(shape) == 2 else 1)
    if shape == (20, 50):
        assert "first 12 of 20 channels drawn" in shown.remarks(SIGNED)


def test_the_error_of_a_signal_is_a_band_around_the_map() -> None:
    map, stderr = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.5, 0.25, 0.0])
    shown = SignalPanel(map, map, stderr).error("")
    assert isinstance(shown, SignalErrorPanel)
    axes = figure([[shown]], SIGNED).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [1.0, -2.0, 0.0]
    corners = axes.collections[0].get_paths()[0].vertices
    assert {(0.0, 0.0), (0.0, 2.0), (1.0, -2.5), (1.0, -1.5)} <= {(a, b) for a, b in corners.tolist()}
    low, high = axes.get_ylim()
    assert low == -high
    assert high > 2.5


@pytest.mark.parametrize(
    ("shape", "kind", "made"),
    [
        ((3, 8, 8), None, MapPanel),
        ((8, 8), "picture", MapPanel),
        ((2, 50), None, SignalPanel),
        ((50,), "signal", SignalPanel),
        ((50,), None, FeaturesPanel),
    ],
)
def test_the_shape_chooses_the_panel(shape: tuple[int, ...], kind: str | None, made: type) -> None:
    assert type(panel(torch.zeros(shape), kind=kind, x=torch.zeros(shape))) is made


def test_a_row_that_cannot_be_shown_is_refused() -> None:
    with pytest.raises(BadInput, match=r"\(C, H, W\) of a picture, .* got \(2, 3, 4, 5\)"):
        panel(torch.zeros(2, 3, 4, 5))
    with pytest.raises(BadInput, match="got shape"):
        panel(torch.zeros(3, 4), kind="features")
    with pytest.raises(BadInput, match="no x was given"):
        panel(torch.zeros(2, 50))
    with pytest.raises(BadMethod, match="picture, signal or features; got 'text'"):
        panel(torch.zeros(3), kind="text")
    with pytest.raises(BadInput, match="2 names for 4 features"):
        FeaturesPanel(FEATURES, names=("a", "b"))
    with pytest.raises(BadMethod, match="at least 1; got 0"):
        FeaturesPanel(FEATURES, most=0)
    with pytest.raises(BadInput, match="input has shape"):
        SignalPanel(torch.zeros(2, 50), torch.zeros(50))
    with pytest.raises(BadInput, match=r"\(C, T\) or \(T,\)"):
        SignalPanel(torch.zeros(2, 5, 5), torch.zeros(2, 5, 5))


def test_squares_of_features_start_at_the_left() -> None:
    shown = FeaturesPanel(FEATURES.square(), FEATURES.abs(), unsigned=True)
    axes = figure([[shown]], SIGNED).axes[0]
    assert axes.get_xlim()[0] == 0
    assert shown.scale(Look()).label == UNIT
    assert shown.remarks(Look(sign="negative")) == ("all zero: this map is never negative",)


def test_squares_of_a_signal_have_one_side() -> None:
    x = torch.randn(2, 9)
    shown = SignalPanel(x.square(), x, x.abs(), unsigned=True)
    assert shown.scale(SIGNED).palette == "absolute"
    band = shown.error("")
    assert band is not None
    assert figure([[band]], SIGNED).axes[0].get_ylim()[0] == 0


def test_the_ticks_of_a_signal_stand_under_their_moments() -> None:
    page = figure([[SignalPanel(torch.randn(1, 200), torch.randn(1, 200))]], SIGNED)
    strip = page.axes[1]
    assert strip.get_xticks().tolist() == [0, 50, 100, 150]
    hundred = next(text for text in page.texts if text.get_text() == "100")
    area = strip.get_position()
    assert hundred.get_position()[0] == pytest.approx(area.x0 + 100.5 / 200 * area.width)


# --- what differs from zero -------------------------------------------------------------------------------------------

FDR = Look(sign="signed", fdr=0.05)


def zero_test(map: torch.Tensor, differs: torch.Tensor) -> Sureness:
    stderr = torch.where(differs, map.abs() / 1000, torch.full_like(map, 1e9))
    return Sureness(test=ZeroTest(map, stderr, 20))


def test_bars_that_do_not_differ_from_zero_are_pale() -> None:
    differs = torch.tensor([True, False, True, False])
    shown = FeaturesPanel(FEATURES, FEATURES.abs() / 9, names=NAMES, sure=zero_test(FEATURES, differs))
    page = figure([[shown]], FDR)
    strengths = [bar.get_facecolor()[3] for bar in page.axes[0].patches]  # height, weight, age, shoe size
    assert strengths == [PALE, 1.0, 1.0, PALE]
    assert [bar.get_width() for bar in page.axes[0].patches] == [-3.0, 1.0, 0.5, 0.0]
    assert page.texts[0].get_text() == "FDR 5 %: 2 of 4 features"
    said = " ".join(text.get_text() for text in page.texts)
    assert "Pale: does not differ from zero at a false-discovery rate of 5 % (Benjamini-Hochberg)." in said
    page = figure([[shown]], SIGNED)
    assert {bar.get_facecolor()[3] for bar in page.axes[0].patches} == {1.0}


def test_a_bar_that_adds_up_values_differs_from_zero_if_one_of_them_does() -> None:
    differs = torch.tensor([[False, True], [False, False], [True, True]])
    sure = zero_test(torch.ones(3, 2), differs)
    page = figure([[FeaturesPanel(torch.tensor([3.0, 2.0, 1.0]), torch.ones(3), sure=sure)]], FDR)
    assert [bar.get_facecolor()[3] for bar in page.axes[0].patches] == [1.0, PALE, 1.0]


def test_moments_that_do_not_differ_from_zero_are_hatched_and_pale() -> None:
    map = torch.tensor([[1.0, -2.0, 3.0], [1.0, 5.0, 1.0]])
    differs = torch.tensor([[True, False, False], [False, False, True]])
    shown = SignalPanel(map, torch.zeros(2, 3), map.abs(), sure=zero_test(map, differs))
    assert "FDR 5 %: 2 of 3 moments" in shown.remarks(FDR)
    assert shown.scale(FDR).values.tolist() == [1.0, 0.0, 1.0]
    page = figure([[shown]], FDR, errors=False)
    strip = page.axes[1]
    pixels = np.asarray(strip.images[0].get_array())
    third = pixels.shape[1] // 3
    flat = [len(np.unique(pixels[:, part * third : (part + 1) * third].reshape(-1, 3), axis=0)) for part in range(3)]
    assert flat == [1, 2, 1]
    assert strip.get_xlim() == (-0.5, 2.5)
    assert strip.get_xticks().tolist() == [0, 1, 2]
    band = shown.error("")
    assert band is not None
    line, strong = figure([[band]], FDR).axes[0].lines[:2]
    assert line.get_alpha() == PALE
    assert np.isnan(strong.get_ydata()).tolist() == [False, True, False]
    assert figure([[band]], SIGNED).axes[0].lines[0].get_alpha() == 1.0


@pytest.mark.parametrize("shape", [(1,), (1, 700), (12, 30)])
def test_signals_of_any_length_are_tested(shape: tuple[int, ...]) -> None:
    map = torch.ones(shape)
    shown = SignalPanel(map, map, map, sure=zero_test(map, torch.zeros(shape, dtype=torch.bool)))
    assert "no moment differs from zero at FDR 5 %" in shown.remarks(FDR)
    strip = figure([[shown]], FDR, errors=False).axes[1]
    assert strip.get_xlim() == (-0.5, shape[-1] - 0.5)


def test_plots_without_an_error_are_shown_whole() -> None:
    assert FeaturesPanel(FEATURES).remarks(FDR) == ("no standard error: all shown",)
    page = figure([[FeaturesPanel(FEATURES)]], FDR)
    assert {bar.get_facecolor()[3] for bar in page.axes[0].patches} == {1.0}
    assert not any("Pale" in text.get_text() for text in page.texts)
