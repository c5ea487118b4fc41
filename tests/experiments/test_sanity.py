"""Maps of networks with random layers: what stays, and what changes by how much, where that is known."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from scipy.stats import spearmanr
from torch import nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadModel, BadRecipe, BadTarget, UnknownName, UnsupportedModel
from smoothgrad.experiments.every_method import EVERY
from smoothgrad.experiments.methods_as_text import in_full, is_control, labels, method_of
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import PROVENANCE
from smoothgrad.experiments.run import run
from smoothgrad.experiments.sanity import CHANCE, MEAN, STAGE, Sanity, _counted
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import Average, chosen
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.randomise import randomise
from smoothgrad.measure.sanity import CascadingRandomisation, IndependentRandomisation
from smoothgrad.measure.similarity import Similarity, Spearman, Ssim
from smoothgrad.models.network import Network
from tests.truth import TRUTHS, X

NET = sg.load("digits")


def digits(count: int) -> Setup:
    return Setup(NET, samples_of(NET, count), model="digits")


def one_layer() -> Setup:
    """A linear network on rows of 4 x 4: without feature maps, so that Grad-CAM has nothing to look at."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    return Setup(Network(net, name="linear"), (Picture("row", torch.randn(1, 1, 4, 4)),), model="linear")


# --- what is known ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_controls_stay_exactly_as_they_are(order: str) -> None:
    frame = run(Sanity(method=("sobel", "random_map"), order=(order,), stages=9), digits(2)).measured
    stages = chosen(frame, {"quantity": STAGE})
    assert (stages["value"] == 1).all()
    assert (chosen(frame, {"quantity": MEAN})["value"] == 1).all()
    assert len(stages) == 2 * 2 * 4 * 2 * 2  # pictures, methods, layers, similarities, signs


def test_the_gradient_of_a_linear_network_is_as_alike_as_its_weights() -> None:
    setup = one_layer()
    frame = run(Sanity(method=("gradient",)), setup).measured
    target = int(setup.net(setup.picture.x).argmax())
    twin = copy.deepcopy(setup.net)
    randomise(twin, "1", setup.seed)
    weights = (one.get_parameter("net.1.weight") for one in (setup.net, twin))
    before, after = (one[target].detach().numpy() for one in weights)
    assert not np.allclose(before, after)
    for sign, change in (("signed", np.asarray), ("absolute", np.abs)):
        by_hand = spearmanr(change(before), change(after)).statistic
        found = chosen(frame, {"quantity": STAGE, "similarity": "Spearman()", "sign": sign})
        assert set(found["layer"]) == {"1"}
        assert list(found["order"]) == ["cascading", "independent"]  # of one layer, the same
        np.testing.assert_allclose(found["value"], by_hand, atol=1e-12)


@pytest.mark.parametrize("similarity", [Spearman(), Ssim(window=5)])
@pytest.mark.parametrize(
    ("order", "kind"), [("cascading", CascadingRandomisation), ("independent", IndependentRandomisation)]
)
def test_it_finds_what_the_measures_say(similarity: Similarity, order: str, kind: type[Measure]) -> None:
    method = "smoothgrad(noise=0.2, samples=4)"
    setup = digits(1)
    frame = run(Sanity(method=(method,), order=(order,), stages=3, similarities=(similarity,)), setup).measured
    for sign, finish in (("signed", None), ("absolute", sg.Absolute())):
        asked = method_of(method) if finish is None else method_of(method).then(finish)
        measure = kind(similarity=similarity, stages=3)  # type: ignore[call-arg]
        scores = setup.judge({"it": setup.explain(asked)}, [measure])
        (record,), (curve,) = scores.records, scores.curves
        assert curve is not None
        found = chosen(frame, {"quantity": STAGE, "sign": sign})
        assert tuple(found["layer"]) == curve.ticks
        assert list(found["place"]) == list(curve.x)
        np.testing.assert_allclose(found["value"], curve.y, atol=2e-3)  # ranks of nearly equal values may swap
        (mean,) = chosen(frame, {"quantity": MEAN, "sign": sign})["value"]
        assert mean == pytest.approx(record.value, abs=2e-3)


def test_maps_of_one_sign_are_the_same_without_it() -> None:
    frame = run(Sanity(method=("grad_cam", "vargrad(noise=0.1, samples=4)"), stages=2), digits(1)).measured
    frame = frame[frame["quantity"] != CHANCE]  # chance has signs
    signed, absolute = (chosen(frame, {"sign": sign})["value"].to_numpy() for sign in ("signed", "absolute"))
    np.testing.assert_array_equal(signed, absolute)


def test_similarity_with_chance_is_small() -> None:
    frame = run(
        Sanity(method=("gradient", "random_map"), order=("cascading",), stages=1, similarities=(Spearman(),)),
        digits(10),
    )
    chance = chosen(frame.measured, {"quantity": CHANCE, "sign": "signed"})
    values = chance.groupby("method")["value"].mean()
    assert abs(values["gradient"]) < 0.2  # 6 pictures of 64 places: a standard error of 0.05
    assert abs(values["random_map"]) < 0.2  # another draw than its own
    assert values["random_map"] != 0


# --- the table ----------------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    result = run(Sanity(method=("gradient", "guided_backprop"), stages=2), digits(2))
    frame = result.frame
    assert list(frame.columns) == [
        *("picture", "group", "method", "order", "similarity", "sign", "layer", "place", "quantity", "value", "unit"),
        *PROVENANCE,
    ]
    counts = frame.groupby(["cell", "quantity"]).size().unstack()
    assert (counts[STAGE] == 8).all()
    assert (counts[MEAN] == 4).all()
    assert (counts[CHANCE] == 4).all()
    assert frame["value"].between(-1, 1).all()
    stages = chosen(frame, {"quantity": STAGE})
    assert set(zip(stages["place"], stages["layer"], strict=True)) == {(1, "linear"), (4, "conv1")}


def test_a_row_repeats_its_cell() -> None:
    setup = digits(2)
    frame = run(Sanity(method=("gradient", "smoothgrad(noise=0.1, samples=3)"), stages=2), setup).frame
    for _, rows in frame.groupby("cell"):
        first = rows.iloc[0]
        again = run(experiment_from_recipe(first["recipe"]), setup.only(setup.named(first["picture"]))).frame
        np.testing.assert_array_equal(rows["value"], again["value"])


def test_the_network_is_left_as_it_was() -> None:
    setup = one_layer()
    before = copy.deepcopy(setup.net.state_dict())
    run(Sanity(method=("gradient",)), setup)
    for name, held in setup.net.state_dict().items():
        torch.testing.assert_close(held, before[name], rtol=0, atol=0)


def test_quick_has_figures_and_lessons() -> None:
    result = run(replace(Sanity().quick(), order=("cascading",)), digits(1))
    assert not result.failures
    assert [plate.name for plate in result.plates] == ["maps-cascading", "curves-cascading", "table-cascading"]
    said = "\n".join(result.lessons)
    assert "Cascading, signed maps, rank correlation" in said
    assert "controls, which do not look at the network: sobel 1" in said
    assert "nan" not in said
    assert "All pictures share one draw of random weights" in said
    assert "of 4 methods" in said
    assert "(too few pictures for intervals)" in said
    curves = next(plate for plate in result.plates if plate.name.startswith("curves"))
    assert "too few for bands" in curves.caption
    assert "one draw" in curves.caption
    assert all(not panel.collections for panel in curves.figure.axes)  # no bands
    assert "chance" in {text.get_text() for text in curves.figure.findobj(Text)}


def test_what_the_network_refuses_is_a_failed_cell_where_it_was_not_asked_for() -> None:
    result = run(replace(Sanity().quick(), order=("independent",), stages=1), one_layer())
    assert [one["method"] for one in result.failures] == ["guided_backprop", "grad_cam"]
    assert "BadModel" in str(result.failures[1]["reason"])
    assert [plate.name for plate in result.plates] == ["maps-independent", "curves-independent", "table-independent"]
    assert any(
        "2 methods could not be asked: guided backprop, grad cam; guided backprop for one: " in one
        for one in result.lessons
    )


def test_what_was_asked_for_by_name_is_refused_before_the_work() -> None:
    with pytest.raises(BadModel, match="no layer of"):
        Sanity(method=("gradient", "grad_cam")).check(one_layer())
    Sanity().check(one_layer())


def test_a_network_that_no_method_can_ask_is_refused() -> None:
    setup = digits(1)
    bad = replace(setup, pictures=(setup.pictures[0]._replace(x=torch.full((1, 1, 8, 8), 0.5)),), target=99)
    with pytest.raises(BadTarget):
        Sanity(similarities=(Spearman(),)).quick().check(bad)


def test_a_method_that_fails_on_some_pictures_is_told_so() -> None:
    setup = digits(2)
    flat = setup.pictures[0]._replace(name="flat", x=torch.full((1, 1, 8, 8), 0.5))
    asked = Sanity(method=("gradient", "smoothgrad(noise=0.1, samples=3)"), order=("cascading",), stages=1)
    result = run(asked, replace(setup, pictures=(*setup.pictures, flat)))
    assert {one["picture"] for one in result.failures} == {"flat"}
    said = "\n".join(result.lessons)
    assert "smoothgrad failed on 1 of 3 pictures" in said
    assert "could not be asked" not in said


def test_means_are_told_from_the_half_by_their_intervals() -> None:
    sure, unsure, low = Average(0.7, 0.6, 0.8, 12), Average(0.6, 0.4, 0.8, 12), Average(0.1, 0.0, 0.2, 12)
    assert _counted([sure, unsure, low, low]) == (
        "of 4 methods 1 clearly above 0.5, 2 clearly below it, 1 not clearly either"
    )
    assert _counted([Average(0.7, math.nan, math.nan, 1)]).startswith("of 1 method 1 above 0.5 (too few")


def test_a_constant_map_has_no_similarity_and_is_told_all_the_same() -> None:
    result = run(Sanity(method=("uniform_map", "gradient"), order=("cascading",), stages=1), digits(1))
    some = chosen(result.measured, {"method": "uniform_map"})
    assert some["value"].isna().all()
    assert any("constant at some stage: uniform map" in one for one in result.lessons)


# --- names --------------------------------------------------------------------------------------------------------------


def test_every_method_is_there_once_and_can_be_made() -> None:
    made = [method_of(text) for text in EVERY]
    assert len(set(made)) == len(made)
    left_out = {name for name in sg.METHODS if name not in {text.partition("(")[0] for text in EVERY}}
    assert left_out == {"uniform_map", "expected_gradients", "deep_shap", "lrp_epsilon_plus"}


def test_methods_have_labels_in_words_where_these_tell_them_apart() -> None:
    texts = (
        "grad_cam",
        "smoothgrad(noise=0.1, samples=5)",
        "smoothgrad(noise=0.2, samples=5)",
        "Gradient().then(Absolute())",
    )
    assert list(labels(texts).values()) == ["grad cam", *texts[1:]]
    assert [text for text in EVERY if is_control(text)] == ["random_map", "sobel"]
    assert [in_full(text) for text in EVERY] == list(EVERY)


def test_names_are_written_in_full() -> None:
    assert in_full("gradient(rule=Guided())") == "guided_backprop"
    assert in_full("fusiongrad(samples=5)") == "fusiongrad(samples=5)"  # made of two, of which neither is it
    assert in_full("smoothgrad()") == "smoothgrad(noise=0.15, samples=50)"
    assert in_full(sg.rise(samples=10)).startswith("rise(samples=10")
    asked = with_grid(Sanity(), ("method=gradient,smoothgrad(noise=0.2)", "order=cascading"))
    assert isinstance(asked, Sanity)
    assert asked.method == ("gradient", "smoothgrad(noise=0.2, samples=50)")
    assert experiment_from_recipe(repr(asked)) == asked


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"method": ("gradeint",)}, UnknownName, "did you mean 'gradient'"),
        ({"method": ("smoothgrad(nose=0.1)",)}, BadRecipe, "did you mean 'noise'"),
        ({"method": ("expected_gradients",)}, BadMethod, "needs data"),
        ({"method": (3,)}, BadMethod, "its name or its recipe"),
        ({"method": ("gradient", "gradient()")}, BadMethod, "each value of method once"),
        ({"order": ("cascade",)}, UnknownName, "did you mean 'cascading'"),
        ({"method": ("Gradient().over(Gaussian(), Together(Mean(), Variance()))",)}, BadMethod, "several maps"),
        ({"stages": 0}, BadMethod, "stages >= 1"),
        ({"similarities": ()}, BadMethod, "one or more similarities"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Sanity(**fields)  # type: ignore[arg-type]


def test_what_the_network_cannot_have_is_said_before_the_work() -> None:
    rows = (Picture("row", X[None]),)
    with pytest.raises(BadInput, match="compares maps of pictures"):
        Sanity(method=("gradient",)).check(Setup(Network(TRUTHS["linear"], name="linear"), rows))
    with pytest.raises(UnsupportedModel, match="nothing in it can be randomised"):
        Sanity(method=("gradient",), similarities=(Spearman(),)).check(
            Setup(Network(TRUTHS["linear"], name="linear"), rows)
        )
