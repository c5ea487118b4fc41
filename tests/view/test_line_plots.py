"""Lines: what is drawn where, gaps, logarithmic axes, marks, the legend, and that no words overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from smoothgrad.errors import BadInput
from smoothgrad.view.line_plots import NOT_ABOVE_ZERO, Line, LinePanel, Mark, line_figure
from smoothgrad.view.line_styles import COLOURS
from smoothgrad.view.log_axis import log_reach, log_text, shown_numbers
from smoothgrad.view.score_plots import CONTROL
from tests.view.test_figure import words
from tests.view.test_score_plots import LONG, assert_tidy

N = np.array([3.0, 10.0, 30.0, 100.0])
NAN = math.nan


def line(label: str = "plain", factor: float = 1.0, *, grey: bool = False) -> Line:
    y = factor / np.sqrt(N)
    return Line(label, N, y, 0.9 * y, 1.1 * y, grey)


def panel(*lines: Line, **changed: object) -> LinePanel:
    return LinePanel("error", "samples", "share of the norm", lines or (line(),))._replace(**changed)  # type: ignore[arg-type]


def _look(drawn: Line2D) -> tuple[object, ...]:
    return drawn.get_color(), drawn.get_linestyle(), repr(vars(drawn)["_dash_pattern"]), drawn.get_marker()


def numbers(page: Figure, which: str = "x") -> list[str]:
    """The numbers along an axis of the first panel that can be seen."""
    axis = page.axes[0].xaxis if which == "x" else page.axes[0].yaxis
    low, high = axis.get_view_interval()
    places = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [label.get_text() for place, label in places if low <= place <= high]


def test_lines_and_bands_are_where_the_numbers_are() -> None:
    page = line_figure([panel()], "what it is")
    axes = page.axes[0]
    (drawn,) = axes.lines
    assert np.asarray(drawn.get_xdata()).tolist() == N.tolist()
    assert np.asarray(drawn.get_ydata()) == pytest.approx(1 / np.sqrt(N))
    (band,) = axes.collections
    points = np.asarray(band.get_paths()[0].vertices)
    assert [points[:, 1].min(), points[:, 1].max()] == pytest.approx([0.09, 1.1 / math.sqrt(3)])
    assert {"error", "samples", "share of the norm", "what it is"} <= set(words(page))


def test_a_single_label_needs_no_legend() -> None:
    assert "plain" not in words(line_figure([panel(), panel()]))
    assert {"plain", "sobol"} <= set(words(line_figure([panel(), panel(line("sobol"))])))


def test_a_label_looks_the_same_in_all_panels_and_has_a_look_of_its_own_without_colour() -> None:
    names = [f"method {number}" for number in range(11)]
    grey = line("1 / sqrt(n)", grey=True)
    page = line_figure([panel(*map(line, names), grey), panel(grey, *map(line, reversed(names)))])
    first, second = ([_look(one) for one in axes.lines] for axes in page.axes[:2])
    assert len(set(first)) == 12
    assert first == [*second[:0:-1], second[0]]
    assert {colour for colour, *_ in first} == {*COLOURS, CONTROL}
    assert len({look[1:] for look in first}) == 12
    assert [one.get_markerfacecolor() for one in page.axes[0].lines if one.get_color() == CONTROL] == ["white"]


@pytest.mark.parametrize("dots", [True, False])
def test_an_unknown_value_is_a_gap_and_what_stands_alone_has_a_mark(dots: bool) -> None:
    y = np.array([0.5, NAN, 0.2, 0.1])
    (drawn,) = line_figure([panel(Line("a", N, y), dots=dots)]).axes[0].lines
    assert np.isnan(np.asarray(drawn.get_ydata(), dtype=float)).tolist() == [False, True, False, False]
    marked = drawn.get_markevery()
    assert isinstance(marked, list)
    assert marked == (list(range(4)) if dots else [0])


def test_a_path_of_many_points_has_few_marks() -> None:
    t = np.linspace(0, 1, 300)
    page = line_figure([panel(Line("a", t, t), Line("b", t, 1 - t), dots=False)])
    for drawn in page.axes[0].lines:
        marked = drawn.get_markevery()
        assert isinstance(marked, list)
        assert 2 <= len(marked) <= 8


def test_a_logarithmic_axis_has_round_numbers_and_small_ticks_between() -> None:
    page = line_figure([panel(log_x=True, log_y=True)] * 3)
    axes = page.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert numbers(page) == ["3", "10", "30", "100"]
    assert numbers(page, "y") == ["0.1", "0.2", "0.3", "0.5", "0.7"]
    assert {4.0, 20.0, 90.0} <= set(axes.get_xticks(minor=True).tolist())
    plain = line_figure([panel()]).axes[0]
    assert (plain.get_xscale(), plain.get_yscale()) == ("linear", "linear")


@pytest.mark.parametrize("ends", [(1, 1e3), (2.7, 220), (1e-12, 1e12), (0.2, 0.6), (0.99, 1.03), (5e4, 2e6), (1, 10)])
def test_some_numbers_stand_along_every_logarithmic_axis(ends: tuple[float, float]) -> None:
    for across in (True, False):
        found = shown_numbers(ends, 1.8, across=across)
        assert 2 <= len(found) <= 8
        assert all(ends[0] <= number <= ends[1] for number in found)
        assert len({log_text(number) for number in found}) == len(found)


def test_what_is_not_above_zero_is_left_out_of_a_logarithmic_axis_and_it_is_said() -> None:
    y = np.array([0.5, 0.0, -0.1, 0.1])
    shown = panel(Line("a", N, y, y - 0.5, y + 0.1), log_y=True)
    page = line_figure([shown], "A note.")
    drawn = page.axes[0].lines[0]
    assert np.isnan(np.asarray(drawn.get_ydata(), dtype=float)).tolist() == [False, True, True, False]
    low, high = page.axes[0].get_ylim()
    assert 0.007 < low < 0.1 < 0.6 < high  # an interval down to zero does not fill the axis
    assert f"A note. {NOT_ABOVE_ZERO}" in " ".join(words(page))
    assert NOT_ABOVE_ZERO not in " ".join(words(line_figure([shown._replace(log_y=False)])))
    assert log_reach([0.0, NAN, math.inf]) == (1.0, 10.0)


def test_marks_are_hairlines_with_labels_above_the_drawn_area() -> None:
    marks = (
        Mark(10.0, "the eye sees no change"),
        Mark(12.0, "another thing at twelve"),
        Mark(95.0, "it has converged"),
    )
    for log in (True, False):
        page = line_figure([panel(log_x=log, marks=marks)])
        axes = page.axes[0]
        assert_tidy(page)
        assert {text.get_text() for text in axes.texts} == {mark.label for mark in marks}
        assert all(text.get_position()[1] > 1 for text in axes.texts)  # clear of the lines
        hairs = [one for one in axes.lines if one.get_transform() == axes.transAxes]
        to_data = axes.transAxes + axes.transData.inverted()
        places = sorted(float(to_data.transform((float(np.asarray(one.get_xdata())[0]), 0.0))[0]) for one in hairs)
        assert places == pytest.approx([10, 12, 95], rel=1e-6)
        low, high = axes.get_xlim()
        assert low < 3
        assert high > 100


def test_a_mark_beyond_the_lines_is_on_the_axis() -> None:
    low, high = line_figure([panel(marks=(Mark(500.0, "converged"),))]).axes[0].get_xlim()
    assert low < 3
    assert high > 500


def test_a_panel_without_values_says_so() -> None:
    page = line_figure([panel(), panel(Line("a", N, N * NAN), log_y=True)])
    assert [text.get_text() for text in page.axes[1].texts] == ["no values"]
    assert page.axes[1].get_yticks().tolist() == []


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("log", [False, True])
def test_no_words_overlap(count: int, log: bool) -> None:
    crowd = panel(*(line(f"{LONG} {i}", 10.0**i, grey=i > 2) for i in range(4)), log_x=log, log_y=log)
    marks = tuple(Mark(place, f"{LONG[:30]} {place:g}") for place in (3.0, 5.0, 60.0, 99.0, 100.0))
    crowd = crowd._replace(title=f"{LONG} {LONG}", x_label=LONG, y_label=LONG, marks=marks)
    small = panel(Line("a", N, np.array([1e-9, 1e-5, 0.1, 1e4])), log_x=log, log_y=log)
    assert_tidy(line_figure([crowd, *[small for _ in range(count - 1)]], LONG * 2))


def test_a_single_point_is_drawn() -> None:
    for log in (False, True):
        page = line_figure([panel(Line("a", N[:1], np.array([0.2])), log_x=log, log_y=log)])
        low, high = page.axes[0].get_xlim()
        assert low < 3 < high
        assert_tidy(page)


def test_nothing_is_refused() -> None:
    for panels in ([], [LinePanel("a", "", "", ())]):
        with pytest.raises(BadInput, match="nothing to draw"):
            line_figure(panels)
