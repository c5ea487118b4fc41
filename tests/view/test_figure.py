"""Panels in a grid: layout, scales, words."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from smoothgrad.errors import BadInput, MissingPackage
from smoothgrad.significance import ZeroTest
from smoothgrad.view.colour import STEPS, colour, overlay, palette, rgb
from smoothgrad.view.figure import alone, figure, ordinal
from smoothgrad.view.hatch import DEPTH
from smoothgrad.view.look import Look
from smoothgrad.view.panels import MapPanel, Panel, PicturePanel, Sureness
from smoothgrad.view.planes import plane
from smoothgrad.view.plots import BAND, FeaturesPanel, SignalPanel

SIGNED = Look(sign="signed")
LONG = "smooth_integrated_gradients(baseline=Blurred(10), noise=0.15, samples=200, unit='range')"


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def picture(seed: int = 0) -> PicturePanel:
    return PicturePanel(torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)))


def drawn(page: Figure, number: int) -> np.ndarray:
    return np.asarray(page.axes[number].images[0].get_array())


def words(page: Figure) -> list[str]:
    return [text.get_text() for text in page.texts]


def pixels(page: Figure) -> np.ndarray:
    memory = io.BytesIO()
    page.savefig(memory, format="png")
    return np.array(Image.open(memory))


def boxes(page: Figure) -> tuple[list[tuple[str, mpl.transforms.Bbox]], list[mpl.transforms.Bbox]]:
    renderer = FigureCanvasAgg(page).get_renderer()
    texts = [(text.get_text(), text.get_window_extent(renderer)) for text in page.texts if text.get_text()]
    return texts, [axes.get_window_extent(renderer) for axes in page.axes]


def apart(one: mpl.transforms.Bbox, other: mpl.transforms.Bbox) -> bool:
    room = 0.5  # pixels: neighbours may touch
    return bool(
        one.x1 <= other.x0 + room or other.x1 <= one.x0 + room or one.y1 <= other.y0 + room or other.y1 <= one.y0 + room
    )


def crowded(rows: int, columns: int, *, errors: bool) -> Figure:
    """Long words wherever words can stand."""
    stderr = noise(3, 8, 8).abs() if errors else None
    map = noise(3, 8, 8)
    map[0, 0, 0] = torch.nan
    cells: list[list[Panel | None]] = [
        [
            MapPanel(map, stderr, title=LONG, note=LONG, sure=Sureness(0.31), unit="score² per unit of input²")
            for _ in range(columns)
        ]
        for _ in range(rows)
    ]
    labels = ["a_picture_with_a_long_name_0001.png\nEquus ferus caballus, the horse\nscore 28.1"] * rows
    return figure(cells, SIGNED, columns=[LONG] * columns, labels=labels, title=LONG * 3, errors=errors)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 8), (8, 1), (3, 4), (8, 8)])
@pytest.mark.parametrize("errors", [False, True])
def test_nothing_overlaps_and_nothing_leaves_the_page(rows: int, columns: int, errors: bool) -> None:
    page = crowded(rows, columns, errors=errors)
    texts, axes = boxes(page)
    width, height = page.get_size_inches() * page.dpi
    for said, box in texts:
        assert 0 <= box.x0 < box.x1 <= width, said
        assert 0 <= box.y0 < box.y1 <= height, said
    for (said, box), (other, more) in itertools.combinations(texts, 2):
        assert apart(box, more), (said, other)
    for (said, box), area in itertools.product(texts, axes):
        assert apart(box, area), said
    for one, other_area in itertools.combinations(axes, 2):
        assert apart(one, other_area)


def test_rows_of_different_shapes_do_not_overlap() -> None:
    row: list[Panel | None] = [
        picture(),
        None,
        MapPanel(noise(3, 30, 5), noise(3, 30, 5)),
        FeaturesPanel(noise(30), noise(30), names=[LONG] * 30),
        SignalPanel(noise(3, 40), noise(3, 40), title="signal"),
        MapPanel(noise(1, 90), title="flat"),
    ]
    texts, axes = boxes(figure([row, row[:3]], SIGNED))
    for (said, box), (other, more) in itertools.combinations(texts, 2):
        assert apart(box, more), (said, other)
    for one, other_area in itertools.combinations(axes, 2):
        assert apart(one, other_area) or one.x0 == other_area.x0  # a strip touches its signal
    for (said, box), area in itertools.product(texts, axes):
        assert apart(box, area), said


def test_a_cell_shows_the_colours_of_its_map() -> None:
    map, below = noise(3, 8, 8), picture()
    page = figure([[below, MapPanel(map)]], Look(sign="signed", cap=100))
    assert (drawn(page, 0) == rgb(below.picture)).all()
    values = plane(map, SIGNED)
    assert (drawn(page, 1) == colour(values, float(values.abs().max()), SIGNED)).all()


def test_zero_is_the_middle_of_the_colour_bar_whatever_the_range() -> None:
    page = figure([[MapPanel(noise(1, 8, 8) + 30)]], SIGNED)
    bar = drawn(page, 1)[0]
    assert (bar[len(bar) // 2] == palette("signed").table[STEPS]).all()
    zero = next(text for text in page.texts if text.get_text() == "0")
    area = page.axes[1].get_position()
    assert zero.get_position()[0] == pytest.approx((area.x0 + area.x1) / 2)
    assert zero.get_ha() == "center"


def test_one_map_has_its_standard_error_beside_it() -> None:
    page = figure([[picture(), MapPanel(noise(3, 8, 8), noise(3, 8, 8).abs(), sure=Sureness(0.31))]])
    shown, map, error = (page.axes[number].get_position() for number in (0, 1, 2))
    assert shown.y0 == pytest.approx(map.y0) == pytest.approx(error.y0)
    assert shown.x1 < map.x0 < map.x1 < error.x0
    assert {"standard error", "relative error 0.31"} <= set(words(page))
    assert {"standard error of the sum over 3 channels,", "score per unit of input"} <= set(words(page))


def test_the_standard_error_is_drawn_in_greys_on_its_own_scale() -> None:
    stderr = noise(1, 8, 8).abs()
    page = figure([[MapPanel(100 * noise(1, 8, 8), stderr)]], Look(cap=100))
    assert (drawn(page, 1) == palette("error")(stderr[0], float(stderr.max()))).all()
    assert (drawn(page, 1)[..., 0] == drawn(page, 1)[..., 2]).all()


def test_several_maps_have_their_standard_errors_beneath() -> None:
    row = [MapPanel(noise(3, 8, 8), noise(3, 8, 8).abs()) for _ in range(2)]
    page = figure([row], columns=["a", "b"])
    pictures = [axes.get_position() for axes in page.axes if axes.images and drawn_shape(axes) == (8, 8, 3)]
    assert [round(box.x0, 6) for box in pictures[:2]] == [round(box.x0, 6) for box in pictures[2:]]
    assert pictures[2].y1 < pictures[0].y0
    assert words(page).count("standard error") == 1


def drawn_shape(axes: mpl.axes.Axes) -> tuple[int, ...]:
    return np.asarray(axes.images[0].get_array()).shape


def test_standard_errors_can_be_left_out() -> None:
    page = figure([[MapPanel(noise(3, 8, 8), noise(3, 8, 8).abs())]], errors=False)
    assert len(page.axes) == 2
    assert not any("standard error" in said for said in words(page))


def test_a_shared_scale_shows_equal_values_alike() -> None:
    small, large = torch.full((1, 4, 4), 0.5), torch.full((1, 4, 4), 2.0)
    look = Look(sign="signed", shared=True)
    page = figure([[MapPanel(small), MapPanel(large)]], look)
    assert (drawn(page, 0) == colour(small[0], 2.0, look)).all()
    assert (drawn(page, 1) == colour(large[0], 2.0, look)).all()
    assert len(page.axes) == 3  # one bar for both
    bar, first, last = (page.axes[number].get_position() for number in (2, 0, 1))
    assert (bar.x0, bar.x1) == (pytest.approx(first.x0), pytest.approx(last.x1))
    alone = figure([[MapPanel(small), MapPanel(large)]], SIGNED)
    assert (drawn(alone, 0) == drawn(alone, 1)).all()
    assert len(alone.axes) == 4


def test_rows_do_not_share_a_scale_with_each_other() -> None:
    look = Look(sign="signed", shared=True)
    page = figure([[MapPanel(torch.ones(1, 4, 4))], [MapPanel(torch.full((1, 4, 4), 9.0))]], look)
    assert (drawn(page, 0) == drawn(page, 2)).all()


def test_different_units_do_not_share_a_scale() -> None:
    one, other = MapPanel(torch.ones(1, 4, 4)), MapPanel(torch.full((1, 4, 4), 9.0), unit="score²")
    page = figure([[one, other]], Look(sign="signed", shared=True))
    assert (drawn(page, 0) == palette("signed").table[-1]).all()
    assert (drawn(page, 1) == palette("signed").table[-1]).all()
    assert len(page.axes) == 4


def test_the_meaning_is_said_once_per_column() -> None:
    rows = [[MapPanel(noise(1, 8, 8, seed=seed)), MapPanel(noise(1, 8, 8), unit="score")] for seed in range(3)]
    said = words(figure(rows, SIGNED))
    assert said.count("score per unit of input") == said.count("score") == 1


def test_the_cap_and_the_colours_are_put_into_words() -> None:
    map = MapPanel(noise(3, 8, 8))
    assert "capped at the 99th percentile" in " ".join(words(figure([[map]])))
    assert "percentile" not in " ".join(words(figure([[map]], Look(cap=100))))
    assert "Orange is positive, blue is negative." in " ".join(words(figure([[map]], SIGNED)))
    assert "Orange" not in " ".join(words(figure([[map]])))
    assert words(figure([[picture()]])) == []


def test_an_end_of_the_bar_says_when_values_lie_past_it() -> None:
    map = torch.ones(1, 10, 10)
    map[0, 0, 0] = 50.0
    assert {"0", "≥ 1"} <= set(words(figure([[MapPanel(map)]], Look(cap=95))))
    assert {"0", "50"} <= set(words(figure([[MapPanel(map)]], Look(cap=100))))


def test_an_overlay_is_drawn_over_its_picture() -> None:
    map, below = noise(3, 8, 8), picture().picture
    look = Look(overlay=0.7, cap=100)
    page = figure([[MapPanel(map, beneath=below)]], look)
    values = plane(map, look)
    assert (drawn(page, 0) == overlay(below, values, float(values.max()), look)).all()
    assert "covers the grey picture" in " ".join(words(page))
    with pytest.raises(BadInput, match="pass beneath"):
        figure([[MapPanel(map)]], look)


def test_map_times_input_is_shown_and_said() -> None:
    map, x = noise(1, 8, 8), noise(1, 8, 8, seed=1)
    look = Look(sign="signed", times_input=True, cap=100)
    page = figure([[MapPanel(map, x=x)]], look)
    assert (drawn(page, 0) == colour((map * x)[0], float((map * x).abs().max()), look)).all()
    assert {"score", "Shown is map × input."} <= {part for said in words(page) for part in (said, said[-21:])}


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_single_pixels_and_single_rows_are_shown(size: tuple[int, int]) -> None:
    page = figure([[PicturePanel(torch.zeros(3, *size)), MapPanel(noise(3, *size), noise(3, *size).abs())]])
    assert drawn(page, 1).shape == (*size, 3)
    assert pixels(page).std() > 0


def test_words_are_taken_literally() -> None:
    said = r"$\frac$ {}.png"
    page = figure([[MapPanel(noise(1, 8, 8), title=said)]], labels=[said], columns=[said], title=said)
    assert pixels(page).shape[2] == 4
    assert said in words(page)


def test_the_users_style_does_not_reach_the_page() -> None:
    rows = [[picture(), MapPanel(noise(3, 8, 8), sure=Sureness(0.2)), FeaturesPanel(noise(4), noise(4).abs())]]
    plain = pixels(figure(rows, SIGNED, labels=["cat"]))
    style = {
        "image.origin": "lower",
        "image.interpolation": "bilinear",
        "text.color": "red",
        "axes.facecolor": "black",
        "figure.facecolor": "black",
        "axes.grid": True,
        "axes.spines.top": False,
        "font.size": 30,
        "figure.constrained_layout.use": True,
        "text.usetex": True,
        "figure.dpi": 30,
    }
    with mpl.rc_context(style):
        assert (pixels(figure(rows, SIGNED, labels=["cat"])) == plain).all()


def test_pyplot_is_neither_used_nor_moved() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figure([[picture()]])
    assert plt.get_fignums() == before


def test_a_figure_can_be_saved(tmp_path: Path) -> None:
    page = figure([[picture(), MapPanel(noise(3, 8, 8), noise(3, 8, 8).abs())]], title="cat")
    for suffix in ("png", "pdf", "svg"):
        page.savefig(tmp_path / f"cat.{suffix}")
        assert (tmp_path / f"cat.{suffix}").stat().st_size > 1000


def test_a_figure_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r"pip install 'smoothgrad\[view\]'"):
        figure([[picture()]])


@pytest.mark.parametrize(
    ("rows", "words_", "said"),
    [
        ([], {}, "at least one panel"),
        ([[]], {}, "at least one panel"),
        ([[None, None]], {}, "at least one panel"),
        ([[picture()]], {"columns": ["a", "b"]}, "2 column titles for 1 columns"),
        ([[picture()]], {"labels": ["a", "b"]}, "2 labels for 1 rows"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(
    rows: list[list[Panel | None]], words_: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        figure(rows, **words_)


@pytest.mark.parametrize(("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (99.9, "99.9th")])
def test_percentiles_have_their_endings(number: float, text: str) -> None:
    assert ordinal(number) == text


@pytest.mark.parametrize("overlay", [0.0, 0.7])
def test_squares_are_painted_on_one_side_beside_signed_maps(overlay: float) -> None:
    look = Look(sign="signed", cap=100, overlay=overlay)
    below = picture().picture
    map, squares = noise(3, 8, 8), noise(3, 8, 8).square()
    row = [MapPanel(map, beneath=below), MapPanel(squares, beneath=below, unit="(score)²", unsigned=True)]
    page = figure([row], look)
    assert (drawn(page, 3)[0] == palette("absolute").table[np.rint(np.linspace(0, STEPS, 513)).astype(int)]).all()
    alone_ = figure([[row[1]]], Look(cap=100, overlay=overlay))
    assert (drawn(page, 1) == drawn(alone_, 0)).all()
    said = " ".join(words(page))
    assert "Orange is positive, blue is negative. Maps that are never negative run" in said
    assert "Orange" not in " ".join(words(figure([[row[1]]], look)))


def test_the_band_of_a_signal_is_not_called_its_standard_error() -> None:
    page = figure([[SignalPanel(noise(2, 30), noise(2, 30), noise(2, 30).abs())]], SIGNED)
    assert words(page).count(BAND) == 1
    assert not any(said == "standard error" for said in words(page))
    assert {"0", "10", "20"} <= set(words(page))


@pytest.mark.parametrize(
    "panel",
    [
        SignalPanel(noise(2, 187), noise(2, 187)),
        SignalPanel(noise(3), noise(3), noise(3).abs()).error(""),
        FeaturesPanel(noise(30), noise(30).abs(), names=[LONG] * 30),
        MapPanel(noise(3, 8, 8)),
    ],
)
def test_a_panel_alone_fits_its_page(panel: Panel) -> None:
    page = alone(panel, SIGNED, width=3.4)
    texts, axes = boxes(page)
    width, height = page.get_size_inches() * page.dpi
    assert width == pytest.approx(3.4 * page.dpi)
    for said, box in texts:
        assert 0 <= box.x0 < box.x1 <= width, said
        assert 0 <= box.y0 < box.y1 <= height, said
    for (said, box), (other, more) in itertools.combinations(texts, 2):
        assert apart(box, more), (said, other)
    assert not any("scale" in said for said, _ in texts)
    if panel.scale(SIGNED).bar:
        for (said, box), area in itertools.product(texts, axes):
            assert apart(box, area), said


@pytest.mark.parametrize("look", [Look(fdr=0.05), Look(sign="signed", fdr=0.05), Look(fdr=0.05, overlay=0.6)], ids=str)
def test_what_does_not_differ_from_zero_is_hatched_on_the_page(look: Look) -> None:
    map, below = noise(1, 20, 20), picture()
    stderr = torch.where(map > 0, map / 1000, torch.full_like(map, 1e9))
    beneath = torch.full((3, 20, 20), 0.5)
    panel = MapPanel(map, stderr, beneath=beneath, sure=Sureness(test=ZeroTest(map, stderr, 9)))
    page = figure([[below, panel]], look, errors=False)
    shown = drawn(page, 1)
    scale = len(shown) // 20
    spread = np.ptp(shown.reshape(20, scale, 20, scale, 3).astype(int), axis=(1, 3)).max(-1)
    assert ((spread > 0) == (map[0] <= 0).numpy()).all()
    assert set(spread[spread > 0].tolist()) == {DEPTH}
    assert any(line.startswith("Each map") for line in words(page))
    said = " ".join(words(page))
    assert "Hatched: does not differ from zero at a false-discovery rate of 5 %" in said
    assert "FDR 5 %: " in said
    assert "Hatched" not in " ".join(words(figure([[MapPanel(map)]], look if not look.overlay else Look(fdr=0.05))))
