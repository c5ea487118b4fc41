"""Mean curves in bands: what is drawn where, and that no words overlap."""

from __future__ import annotations

import numpy as np
import pytest

from smoothgrad.errors import BadInput
from smoothgrad.view.curve_plots import COLOURS, MOST_TICKS, CurvePanel, MeanLine, curve_figure
from smoothgrad.view.score_plots import CONTROL
from tests.view.test_figure import words
from tests.view.test_score_plots import LONG, assert_tidy

X = np.linspace(0, 1, 11)


def line(label: str, height: float = 1.0, *, control: bool = False) -> MeanLine:
    y = height * (1 - X)
    return MeanLine(label, X, y, y - 0.1, y + 0.1, control)


def panel(*lines: MeanLine, ticks: tuple[str, ...] = ()) -> CurvePanel:
    return CurvePanel("deletion", "share of pixels gone", "probability", ticks, lines or (line("a"), line("b", 0.5)))


def test_lines_and_bands_are_where_the_numbers_are() -> None:
    page = curve_figure([panel(line("a"))])
    axes = page.axes[0]
    assert np.asarray(axes.lines[0].get_ydata()) == pytest.approx(1 - X)
    (band,) = axes.collections
    points = band.get_paths()[0].vertices
    assert [points[:, 1].min(), points[:, 1].max()] == pytest.approx([-0.1, 1.1])
    assert {"a", "deletion", "share of pixels gone", "probability"} <= set(words(page))


def test_methods_look_the_same_in_all_panels_and_differ_without_colour() -> None:
    names = [f"method {number}" for number in range(12)]
    chance = line("chance", control=True)
    page = curve_figure([panel(*map(line, names), chance), panel(chance, *map(line, reversed(names)))])
    first, second = ({one.get_color(): one for one in axes.lines} for axes in page.axes[:2])
    assert set(first) == set(second) == {*COLOURS, CONTROL}
    looks = {(str(one.get_linestyle()), str(one._dash_pattern), one.get_marker()) for one in page.axes[0].lines}
    assert len(looks) == 13


def test_points_without_a_value_are_left_out() -> None:
    one = line("a")
    one.y[3:5] = one.low[3:5] = one.high[3:5] = np.nan
    few = MeanLine("few", X, 0.4 * X, X * np.nan, X * np.nan, False)
    page = curve_figure([panel(one, few)])
    low, high = page.axes[0].get_ylim()
    assert low < high
    assert np.isfinite([low, high]).all()


def test_named_places_are_thinned_out_evenly() -> None:
    x = np.arange(40.0)
    deep = MeanLine("a", x, x, x, x, False)
    page = curve_figure([panel(deep, ticks=tuple(f"layer{number}.conv" for number in range(40)))])
    shown = [label.get_text() for label in page.axes[0].get_xticklabels()]
    assert len(shown) == MOST_TICKS
    assert (shown[0], shown[-1]) == ("layer0.conv", "layer39.conv")
    assert page.axes[0].get_xticks().tolist()[-1] == 39
    assert_tidy(page)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_no_words_overlap(count: int) -> None:
    crowd = panel(*(line(f"{LONG} {i}", 1000.0 * i, control=i > 6) for i in range(9)))
    crowd = crowd._replace(title=LONG, x_label=LONG, y_label=LONG)
    assert_tidy(curve_figure([crowd, *[panel() for _ in range(count - 1)]]))


def test_nothing_is_refused() -> None:
    for panels in ([], [CurvePanel("a", "", "", (), ())]):
        with pytest.raises(BadInput, match="no measure in this table has curves"):
            curve_figure(panels)


def test_a_share_has_a_tick_at_one() -> None:
    axes = curve_figure([panel(MeanLine("a", *[np.linspace(0, 1, 9)] * 4, control=False))]).axes[0]
    assert axes.get_xticks()[1:-1].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert 1.0 in axes.get_yticks()
