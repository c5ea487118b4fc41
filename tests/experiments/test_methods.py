"""Methods plain and smoothed: what is known of them, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadNoise, SmoothGradError, UnknownName
from smoothgrad.experiments.methods import LIKE, MethodGrid
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import Average, chosen
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion
from smoothgrad.measure.localisation import EnergyInside
from smoothgrad.measure.measure import Measure
from smoothgrad.models.network import Network

MEASURES = (Deletion(steps=8), TotalVariation())


def digits(count: int) -> Setup:
    net = sg.load("digits")
    groups = ("uniform", "textured")
    return Setup(
        net,
        tuple(one._replace(group=groups[place % 2]) for place, one in enumerate(samples_of(net, count))),
        model="digits",
    )


def linear(pictures: int = 1) -> Setup:
    """A network of pictures whose scores are linear."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    x = torch.rand(pictures, 1, 1, 4, 4)
    return Setup(Network(net, name="linear"), tuple(Picture(f"p{place}", row) for place, row in enumerate(x)))


@pytest.fixture(scope="module")
def found() -> Result:
    """Tiny, with controls, on two groups of pictures."""
    return run(MethodGrid(("gradient", "lrp", "random_map"), samples=3, measures=MEASURES), digits(6))


# --- truths -----------------------------------------------------------------------------------------------------------


def test_without_noise_the_smoothed_map_is_the_plain_one() -> None:
    result = run(MethodGrid(("gradient", "lrp", "grad_cam"), noise=0.0, samples=3, measures=MEASURES), digits(1))
    (picture,) = result.setup.pictures
    for text in ("gradient", "lrp", "grad_cam"):
        plain, smooth = (result.finding(picture.name, method=text, smoothed=one) for one in (False, True))
        assert plain is not None
        assert smooth is not None
        torch.testing.assert_close(smooth.maps["map"].maps, plain.maps["map"].maps, rtol=1e-5, atol=1e-6)


def test_on_a_linear_network_smoothing_leaves_the_gradient_alone() -> None:
    result = run(MethodGrid(("gradient",), noise=0.5, samples=4, measures=MEASURES), linear())
    plain, smooth = (result.finding("p0", smoothed=one) for one in (False, True))
    assert plain is not None
    assert smooth is not None
    torch.testing.assert_close(smooth.maps["map"].maps, plain.maps["map"].maps)
    assert float(chosen(result.frame, {"quantity": LIKE})["value"].iloc[0]) == pytest.approx(1.0, abs=1e-6)


def test_chance_averaged_is_still_chance(found: Result) -> None:
    like = chosen(found.frame, {"quantity": LIKE, "method": "random_map"})["value"]
    assert like.abs().max() < 0.6


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_row_for_each_picture_method_and_quantity(found: Result) -> None:
    frame = found.frame
    assert not found.failures
    assert set(frame["method"]) == {"gradient", "lrp", "random_map"}
    plain, smooth = chosen(frame, {"smoothed": False}), chosen(frame, {"smoothed": True})
    assert len(plain) == 6 * 3 * len(MEASURES)
    assert len(smooth) == 6 * 3 * (len(MEASURES) + 2)
    assert set(frame["group"]) == {"uniform", "textured"}


def test_every_cell_repeats_its_rows_alone(found: Result) -> None:
    for cell in found.cells[::5]:
        assert cell.picture is not None
        alone = run(experiment_from_recipe(repr(cell.experiment)), replace(found.setup, pictures=(cell.picture,)))
        rows = [one for one in found.records if one["cell"] == alone.records[0]["cell"]]
        assert [(one["quantity"], one["value"]) for one in rows] == [
            (one["quantity"], one["value"]) for one in alone.records
        ]


def test_regions_are_asked_only_where_they_are_known() -> None:
    setup = digits(2)
    first, second = setup.pictures
    region = torch.zeros(1, 8, 8, dtype=torch.bool)
    region[:, 2:6, 2:6] = True
    known = replace(setup, pictures=(first._replace(region=region), second))
    result = run(MethodGrid(("gradient",), smoothed=(False,), measures=(EnergyInside(), TotalVariation())), known)
    assert not result.failures
    inside = chosen(result.frame, {"quantity": "energy_inside"})
    assert list(inside["picture"]) == [first.name]
    with pytest.raises(BadInput, match="no picture says it"):
        run(MethodGrid(("gradient",), measures=(EnergyInside(),)), setup)


# --- figures and sentences --------------------------------------------------------------------------------------------


def test_figures_and_sentences_for_each_group(found: Result) -> None:
    assert [plate.name for plate in found.plates] == [
        f"{what}-{group}" for group in ("uniform", "textured") for what in ("maps", "scores", "gains")
    ]
    said = " ".join(found.lessons)
    assert "(uniform)" in said
    assert "(textured)" in said
    assert "random map (control)" in said


def test_one_picture_is_enough() -> None:
    result = run(MethodGrid(("gradient",), samples=2, measures=(Deletion(steps=4),)), digits(1))
    assert "too few for intervals" in " ".join(result.lessons)
    assert result.plates


def test_what_smoothing_changes_is_taken_picture_by_picture(found: Result) -> None:
    grid = found.experiment
    assert isinstance(grid, MethodGrid)
    change = grid._changes(found.measured, "total_variation", "uniform")["gradient"]
    some = chosen(found.frame, {"quantity": "total_variation", "method": "gradient", "group": "uniform"})
    plain, smooth = (chosen(some, {"smoothed": one}).set_index("picture")["value"] for one in (False, True))
    assert change.mean == pytest.approx(float((smooth - plain).mean()))
    assert change.n == 3


def test_what_has_no_score_is_counted() -> None:
    """A map of zeros has no total variation, a constant map no deletion: the figure says so."""
    setup = digits(3)
    flat = setup.pictures[0]._replace(name="flat", x=torch.zeros(1, 1, 8, 8))  # noise as a share of no range is refused
    grid = MethodGrid(("gradient", "sobel"), samples=2, measures=MEASURES)
    result = run(
        grid, replace(setup, pictures=(*(one._replace(group="") for one in setup.pictures), flat._replace(group="")))
    )
    assert len(result.failures) == 2  # both smoothed maps
    panel = grid._panel(result.measured, "total_variation", MEASURES[1], "", result.setup.pictures)
    failed = {one.label: (one.n, one.failed) for one in panel.dots}
    assert failed["gradient"] == (4, 0)
    assert failed["gradient, smoothed"] == (3, 1)
    assert failed["sobel"] == (3, 1)  # there are no edges in it
    assert "could not be had" in " ".join(text.get_text() for text in result.plates[1].figure.texts)


def test_the_direction_of_a_measure_decides_what_is_better() -> None:
    grid = MethodGrid(("gradient",), samples=2)

    def sentence(measure: Measure, low: float, high: float) -> str:
        (said,) = grid._said("m", measure, {"gradient": Average((low + high) / 2, low, high, 9)}, "")
        return said

    assert "score worse for gradient" in sentence(Deletion(), 0.1, 0.2)  # deletion: lower is better
    assert "score better for gradient" in sentence(Deletion(), -0.2, -0.1)
    assert "score better for gradient" in sentence(EnergyInside(), 0.1, 0.2)
    assert "not clearly different for gradient" in sentence(EnergyInside(), -0.1, 0.2)


# --- the door ---------------------------------------------------------------------------------------------------------


def test_unknown_methods_are_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'gradient'"):
        MethodGrid(("gradent",))
    with pytest.raises(UnknownName, match="did you mean 'gradient'"):
        with_grid(MethodGrid(), ("method=gradent,lrp",))


def test_values_of_the_grid_as_they_are_typed() -> None:
    typed = with_grid(MethodGrid(), ("method=lrp,smoothgrad(noise=0.1, samples=3)", "smoothed=False"))
    assert isinstance(typed, MethodGrid)
    assert typed.method == ("lrp", "smoothgrad(noise=0.1, samples=3)")
    assert typed.smoothed == (False,)


@pytest.mark.parametrize("method", ["grad_cam", "guided_backprop"])
def test_a_network_without_the_needed_parts_is_refused_at_the_door(method: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 3)).eval()
    setup = Setup(Network(net, name="plain"), (Picture("p", torch.rand(1, 1, 8, 8)),))
    with pytest.raises(SmoothGradError) as refused:
        MethodGrid(("gradient", method)).check(setup)
    assert "ReLU" in str(refused.value) or "positions" in str(refused.value) or "layer" in str(refused.value)


def test_numbers_and_measures_that_mean_nothing() -> None:
    with pytest.raises(BadNoise):
        MethodGrid(noise=-1.0)
    with pytest.raises(BadMethod):
        MethodGrid(measures=())
    with pytest.raises(BadMethod):
        MethodGrid(measures=(Deletion(), Deletion()))
    with pytest.raises(BadMethod):
        MethodGrid(("gradient", "gradient()"))
    with pytest.raises(BadMethod, match="several maps"):
        MethodGrid((sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Max())),))  # type: ignore[arg-type]


def test_quick_is_quick() -> None:
    result = run(MethodGrid().quick(), digits(1))
    assert not result.failures
