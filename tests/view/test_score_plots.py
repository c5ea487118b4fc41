"""Dots with intervals: what is drawn where, and that no words overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from smoothgrad.errors import BadInput
from smoothgrad.view.score_plots import BAND, CONTROL, DOT, Dot, DotPanel, direction, dot_figure, told_apart
from tests.view.test_figure import apart, boxes, words

NAN = math.nan
LONG = "smooth_integrated_gradients(baseline=Blurred(sigma=10.0), noise=0.15, samples=200)"


def dots(count: int = 3, n: int = 20) -> tuple[Dot, ...]:
    made = [Dot(f"method {i}", 0.1 * i, 0.1 * i - 0.04, 0.1 * i + 0.05, False, n, 0) for i in range(count)]
    return (*made, Dot("chance", 0.5, 0.4, 0.6, True, n, 0))


def panel(better: str = "lower", **changed: object) -> DotPanel:
    return DotPanel("deletion", "probability", better, dots())._replace(**changed)  # type: ignore[arg-type]


def note(page: Figure) -> str:
    """What is said beneath the panels."""
    said = words(page)
    return " ".join(said[next(place for place, line in enumerate(said) if line.startswith("Dots are means")) :])


def everything(page: Figure) -> list[tuple[str, object]]:
    """Every text of a page, numbers along axes among them, with its place."""
    texts, _ = boxes(page)
    renderer = FigureCanvasAgg(page).get_renderer()
    for axes in page.axes:
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                (label.get_text(), label.get_window_extent(renderer))
                for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
                if label.get_text() and low <= place <= high
            ]
        texts += [(text.get_text(), text.get_window_extent(renderer)) for text in axes.texts]
    return texts


def assert_tidy(page: Figure) -> None:
    """No words on other words, none off the page."""
    texts = everything(page)
    crossing = [(a, b) for i, (a, one) in enumerate(texts) for b, other in texts[:i] if not apart(one, other)]
    assert not crossing
    width, height = page.get_size_inches() * page.dpi
    assert not [said for said, box in texts if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]


@pytest.mark.parametrize(
    ("better", "order"),
    [("lower", [0, 1, 2]), ("higher", [2, 1, 0]), ("neither", [2, 1, 0])],
)
def test_the_best_stands_on_top(better: str, order: list[int]) -> None:
    said = words(dot_figure([panel(better)]))
    assert [name for name in said if name.startswith("method")] == [f"method {number}" for number in order]


def test_dots_and_whiskers_are_where_the_numbers_are() -> None:
    page = dot_figure([panel(dots=(Dot("a", 0.3, 0.2, 0.45, False, 9, 0),))])
    whisker, ends, dot = page.axes[0].lines[-3:]
    assert np.asarray(whisker.get_xdata()).tolist() == np.asarray(ends.get_xdata()).tolist() == [0.2, 0.45]
    assert np.asarray(dot.get_xdata()).tolist() == [0.3]
    low, high = page.axes[0].get_xlim()
    assert low < 0.2
    assert high > 0.45


def test_controls_are_hollow_and_grey_and_the_best_of_them_has_a_band() -> None:
    page = dot_figure([panel(dots=(*dots(), Dot("worse", 0.9, 0.8, 1.0, True, 20, 0)))])
    axes = page.axes[0]
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_color(), line.get_markerfacecolor()) for line in marks] == [(DOT, DOT)] * 3 + [
        (CONTROL, "white")
    ] * 2
    (band,) = axes.patches
    assert band.get_extents().get_points()[:, 0] == pytest.approx(axes.transData.transform([(0.4, 0), (0.6, 0)])[:, 0])
    assert "The band is the interval of the best control." in note(page)
    alone = dot_figure([panel(dots=dots()[:3])])
    assert not alone.axes[0].patches
    assert "control" not in note(alone)


def test_where_neither_is_better_no_control_is_to_beat() -> None:
    page = dot_figure([panel("neither")])
    assert not page.axes[0].patches
    assert "Grey, hollow" in note(page)
    assert "band" not in note(page)


def test_a_best_control_without_an_interval_is_a_line() -> None:
    (band,) = dot_figure([panel(dots=(*dots(2)[:2], Dot("flat", 0.5, NAN, NAN, True, 20, 0)))]).axes[0].patches
    assert band.get_linewidth() > 1


def test_labels_that_are_cut_differ_still() -> None:
    labels = [f"{LONG}.then({end}())" for end in ("Absolute", "Square", "Absolute")]
    ends = told_apart(labels[:2], 1.9, 6.8)
    assert all(len(lines) == 2 for lines in ends)
    assert ends[0][-1].endswith("Absolute())")
    middles = [f"{LONG[:-1]}, {middle}, {'x' * 60})" for middle in ("steps=8", "steps=9")]
    assert len(set(told_apart(middles, 1.9, 6.8))) == 2
    assert told_apart(["short", "short"], 1.9, 6.8) == [("short",)] * 2


def test_large_round_numbers_along_an_axis_stand_in_full() -> None:
    for scale in (1.0, 2.0, 4.5):
        page = dot_figure([panel(dots=(Dot("a", 1e5 * scale, 5e3, 2e5 * scale, False, 9, 0),))] * 2)
        assert_tidy(page)
        assert not [said for said, _ in everything(page) if "e+" in said]
        assert "100\u2009000" in [said for said, _ in everything(page)] or scale > 1


def test_they_differ_in_grey() -> None:
    def light(colour: str) -> float:
        return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))

    assert light(DOT) + 0.25 < light(CONTROL) < light(BAND) - 0.25


def test_a_method_without_a_score_says_so_at_the_end() -> None:
    page = dot_figure([panel(dots=(Dot("none", NAN, NAN, NAN, False, 0, 20), *dots()))])
    said = words(page)
    assert [name for name in said if name in ("none", "chance", "method 0")] == ["method 0", "chance", "none"]
    assert [text.get_text() for text in page.axes[0].texts] == ["no score"]
    assert "20 scores could not be had." in note(page)
    nothing = dot_figure([panel(dots=(Dot("none", NAN, NAN, NAN, False, 0, 1),))])
    assert "1 score could not be had." in note(nothing)


def test_the_note_says_how_many_pictures() -> None:
    assert "over n = 20 pictures" in note(dot_figure([panel()]))
    page = dot_figure([panel(dots=(*dots(1), Dot("few", 0.2, NAN, NAN, False, 2, 18)))], 0.9)
    assert "few (n = 2)" in words(page)
    assert "over n = 2 to 20 pictures. Whiskers are 90 % bootstrap intervals" in note(page)
    assert "Without whiskers: too few pictures" in note(page)


def test_the_direction_in_words() -> None:
    assert direction(panel("higher")) == "higher is better →; probability"
    assert direction(panel("lower", unit="")) == "← lower is better"
    assert direction(panel("neither", unit="bits")) == "neither end is better; bits"


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 123456.0])
def test_no_words_overlap(count: int, scale: float) -> None:
    crowd = tuple(
        Dot(f"{LONG} {i}" if i % 2 else "gradient()", scale * i, scale * (i - 1), scale * (i + 1), i > 9, 20 - i, i)
        for i in range(13)
    )
    crowd = (*crowd, Dot("none", NAN, NAN, NAN, False, 0, 3))
    panels = [DotPanel(f"deletion {LONG}", LONG, "lower", crowd), *[panel() for _ in range(count - 1)]]
    page = dot_figure(panels)
    assert_tidy(page)
    assert len(page.axes) == count


def test_numbers_that_are_all_the_same_are_drawn() -> None:
    for value in (0.0, 3.0, -1e-9):
        page = dot_figure([panel(dots=(Dot("a", value, value, value, False, 5, 0),))])
        low, high = page.axes[0].get_xlim()
        assert low < value < high


def test_nothing_is_refused() -> None:
    for panels in ([], [panel(dots=())]):
        with pytest.raises(BadInput, match="nothing to draw"):
            dot_figure(panels)
