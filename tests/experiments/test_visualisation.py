"""What a look shows of a map, against what is known; and as an experiment: its table, its cells alone, its figures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.displayed import Dressed, displayed, lowest
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.visualisation import CUT, DARK, FULL, GINI, NEGATIVE, NEUTRAL, STRENGTH, Visualisation
from smoothgrad.methods.gradients import gradient, smoothgrad, vargrad
from smoothgrad.models.network import Network
from smoothgrad.result import Attribution
from smoothgrad.view.look import Look
from smoothgrad.view.panels import MapPanel

SMALL = Visualisation(cap=(95.0, 100.0), method=smoothgrad(samples=4))


def weighing(w: Tensor) -> Network:
    """A network whose gradient for class 0 is w (C, H, W), everywhere."""
    linear = nn.Linear(w.numel(), 2)
    with torch.no_grad():
        linear.weight.copy_(torch.stack([w.flatten(), -w.flatten()]))
    return Network(nn.Sequential(nn.Flatten(), linear), name="weights")


def held(w: Tensor, x: Tensor | None = None) -> Attribution:
    x = torch.rand(1, *w.shape) if x is None else x
    found = sg.explain(weighing(w), x, target=0, method=gradient())
    assert isinstance(found, Attribution)
    return replace(found, picture=None)


def digits(count: int, groups: tuple[str, ...] = ("",)) -> Setup:
    net = sg.load("digits")
    some = samples_of(net, count)
    return Setup(net, tuple(one._replace(group=groups[i % len(groups)]) for i, one in enumerate(some)), model="digits")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(SMALL, digits(3, ("thin", "thin", "bold")), folder=tmp_path_factory.mktemp("kept"))


# --- what is known -------------------------------------------------------------------------------------------------------


def test_without_a_cap_only_the_largest_pixel_has_full_colour() -> None:
    shown = displayed(held(torch.randn(1, 12, 12)), Look(sign="signed", cap=100))
    assert shown.full == 1 / 144
    assert shown.cut == 0.0
    assert float(shown.strength.max()) == 1.0


@pytest.mark.parametrize("cap", [50.0, 90.0, 95.0, 97.0, 99.0, 99.5])
@pytest.mark.parametrize("side", [8, 20])
def test_the_cap_says_how_many_pixels_have_full_colour(cap: float, side: int) -> None:
    shown = displayed(held(torch.randn(1, side, side)), Look(cap=cap))
    assert abs(shown.full - (1 - cap / 100)) <= 1 / side**2
    sizes = shown.values.abs()
    past = sizes[sizes > shown.limit] - shown.limit
    assert shown.cut == pytest.approx(float(past.sum() / sizes.sum()))


def test_strength_and_inequality_by_hand() -> None:
    shown = displayed(held(torch.tensor([[[0.0, -1.0], [1.0, 2.0]]])), Look(sign="signed", cap=100))
    assert shown.mean == pytest.approx(0.5)
    assert shown.negative == pytest.approx(0.25)
    assert shown.gini == pytest.approx(1 - 2 * (0.25 * 2.5 + 0.25 * 1.5 + 0.5 * 0.5) / 4)
    assert displayed(held(torch.tensor([[[0.0, -1.0], [1.0, 2.0]]])), Look(cap=100)).negative == 0.0


def test_black_pixels_vanish_times_the_input_and_only_then() -> None:
    x = torch.rand(1, 3, 10, 10) * 0.8 + 0.2
    x[..., :2, :] = 0.0
    one = held(torch.randn(3, 10, 10), x)
    plain, times = (displayed(one, Look(cap=100, times_input=times)) for times in (False, True))
    assert plain.dark.sum() == times.dark.sum() == 20
    assert times.over(times.dark) == times.share(times.dark) == times.over(times.neutral) == 0.0
    assert plain.over(plain.dark) > 0.5
    assert plain.share(plain.dark) == pytest.approx(plain.over(plain.dark) * 0.2)


def test_where_black_is_not_zero_it_is_the_input_near_zero_that_vanishes() -> None:
    x = torch.rand(1, 1, 10, 10) + 1.0
    x[..., 0, :] = -2.0  # black
    x[..., 1, :] = 0.0  # the grey that preprocessing puts at zero
    times = displayed(held(torch.ones(1, 10, 10), x), Look(cap=100, times_input=True))
    assert times.over(times.neutral) == 0.0
    assert times.over(times.dark) > 1.0


def test_channels_that_cancel_are_not_to_be_seen_in_a_signed_picture() -> None:
    w = torch.stack([torch.full((4, 4), 3.0), torch.full((4, 4), -1.0), torch.zeros(4, 4)])
    signed, absolute = (displayed(held(w), Look(sign=sign)) for sign in ("signed", "absolute"))
    assert signed.cancelled == pytest.approx(0.5)
    assert absolute.cancelled == 0.0
    x = torch.stack([torch.full((4, 4), 1.0), torch.full((4, 4), 2.0), torch.zeros(4, 4)])[None]
    times = displayed(held(w, x), Look(sign="signed", times_input=True))
    assert times.cancelled == pytest.approx(0.8)  # 3 - 2 of 3 + 2
    assert displayed(held(torch.randn(1, 4, 4)), Look(sign="signed")).cancelled == 0.0  # one channel has none to cancel


def test_constant_maps_and_maps_of_zeros_divide_by_nothing() -> None:
    flat = displayed(held(torch.full((1, 6, 6), -2.0)), Look(sign="signed"))
    assert (flat.full, flat.cut, flat.mean, flat.gini, flat.negative) == (1.0, 0.0, 1.0, 0.0, 1.0)
    assert flat.over(flat.dark) == 1.0
    none = displayed(held(torch.zeros(1, 6, 6)), Look())
    assert (none.full, none.mean, none.limit) == (0.0, 0.0, 0.0)
    assert all(math.isnan(one) for one in (none.cut, none.gini, none.negative, none.cancelled, none.over(none.dark)))


def test_ties_are_all_dark() -> None:
    assert lowest(torch.tensor([0.0] * 7 + [1.0] * 3)).tolist() == [True] * 7 + [False] * 3
    assert int(lowest(torch.arange(64.0)).sum()) == 7


# --- as an experiment ----------------------------------------------------------------------------------------------------


def test_a_gradient_of_known_weights_through_the_table() -> None:
    w = torch.arange(1.0, 101.0).view(1, 10, 10)
    setup = Setup(weighing(w), (Picture("a", torch.rand(1, 1, 10, 10)),), target=0)
    frame = run(Visualisation(sign=("signed",), times_input=(False,), method=gradient()), setup).measured
    full = frame[frame["quantity"] == FULL].set_index("cap")["value"]
    assert full.to_dict() == pytest.approx({95.0: 0.05, 97.0: 0.03, 99.0: 0.01, 99.5: 0.01, 100.0: 0.01})
    by_cap = frame.pivot_table(index="cap", columns="quantity", values="value")
    assert by_cap[STRENGTH].is_monotonic_decreasing
    assert by_cap[CUT].is_monotonic_decreasing
    assert by_cap[GINI].is_monotonic_increasing
    assert (by_cap[NEGATIVE] == 0).all()


def test_the_table(result: Result) -> None:
    frame = result.measured
    assert list(frame.columns[:5]) == ["picture", "group", "sign", "cap", "times_input"]
    assert set(frame["quantity"]) == set(Visualisation.quantities)
    assert len(frame) == 3 * 2 * 2 * 2 * len(Visualisation.quantities)
    assert frame[frame["quantity"] != CUT]["value"].ge(0).all()
    vanished = frame[(frame["quantity"] == DARK) & frame["times_input"]]["value"]
    assert (vanished == 0).all()  # the paper of a digit is black, and zero
    near = frame[(frame["quantity"] == NEUTRAL) & frame["times_input"]]["value"]
    assert (near == 0).all()


def test_a_cell_alone_gives_its_rows_again(result: Result) -> None:
    last = result.records[-1]
    again = experiment_from_recipe(str(last["recipe"]))
    assert isinstance(again, Visualisation)
    setup = replace(result.setup, folder=None).only(result.setup.named(str(last["picture"])))
    mine = [one for one in result.records if one["cell"] == last["cell"]]
    rows = again.found(setup).rows
    assert len(rows) == len(mine)
    assert all(row.items() <= one.items() for row, one in zip(rows, mine, strict=True))


def test_the_map_is_made_once(result: Result) -> None:
    folder = result.setup.folder
    assert isinstance(folder, Path)
    assert len(list((folder / "maps").iterdir())) == 3


def test_figures_and_lessons_of_groups_and_of_one_picture(result: Result) -> None:
    assert [plate.name for plate in result.plates] == ["maps-1", "maps-2", "maps-3", "curves", "kinds"]
    assert len(result.lessons) == 7  # the last of few pictures
    assert sum("thin pictures" in lesson for lesson in result.lessons) == 3
    drawn = [plate.caption.removesuffix(", shown in 8 ways.") for plate in result.plates[:3]]
    names = [one.name for one in result.setup.pictures]
    assert drawn == [f"One map of {names[place]}" for place in (0, 2, 1)]  # the first of each group comes first
    said = [text.get_text() for text in result.plates[0].figure.texts]
    assert {"|score|", "|score per unit of input|", "score", "score per unit of input"} <= set(
        said
    )  # a look for each row
    one = run(Visualisation(sign=("absolute",), cap=(99.0,), times_input=(True,)), digits(1))
    assert [plate.name for plate in one.plates] == ["maps-1", "curves", "kinds"]
    assert one.lessons == ()
    assert len(run(SMALL, digits(1)).lessons) == 4


def test_maps_that_are_never_negative_are_shown_from_zero() -> None:
    found = run(Visualisation(sign=("signed",), method=vargrad(samples=4)), digits(1)).measured
    plain = found[(found["quantity"] == NEGATIVE) & ~found["times_input"].astype(bool)]["value"]
    assert (plain == 0).all()


def test_a_dressed_panel_keeps_its_look() -> None:
    panel = Dressed(MapPanel(torch.randn(3, 5, 5)), Look(sign="signed", cap=90))
    scale = panel.scale(Look(cap=100))
    assert scale is not None
    assert (scale.palette, scale.cap) == ("signed", 90)
    assert Dressed(MapPanel(torch.zeros(3, 5, 5)), Look()).remarks(Look()) == ("all zero",)


def test_what_is_wrong_is_said_first() -> None:
    with pytest.raises(BadMethod, match="signed"):
        Visualisation(sign=("sined",))  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="percentile"):
        Visualisation(cap=(0.0,))
    together = sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Max()))
    with pytest.raises(BadMethod, match="several maps"):
        Visualisation(method=together)
    features = Setup(Network(nn.Linear(3, 2), name="features"), (Picture("row", torch.rand(1, 3)),))
    with pytest.raises(BadInput, match="give pictures"):
        run(Visualisation(), features)


def test_values_as_they_are_typed() -> None:
    typed = with_grid(Visualisation(), ("sign=signed", "cap=97,100", "times_input=False"))
    assert typed == Visualisation(sign=("signed",), cap=(97.0, 100.0), times_input=(False,))
    assert experiment_from_recipe(repr(typed)) == typed
    assert len(typed.quick().cap) < 5
