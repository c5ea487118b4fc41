"""training-noise: without noise the map is the gradient, and each way of training does what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, SmoothGradError, UnknownName
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Setup, pictures_of
from smoothgrad.experiments.summary import average, chosen
from smoothgrad.experiments.training_noise import ACCURACY, CALMNESS, ERROR, NORM, SQUARED, TrainingNoise, planned
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.training.data import data_set
from smoothgrad.training.plan import Plan, Residual, Small
from smoothgrad.training.train import accuracy, train

PLAN = Plan(network=Small(widths=(4, 8), halvings=1), epochs=4, batch=32)
TINY = TrainingNoise(
    training=("plain", "noise 0.2", "penalty 1"),
    noise=(0.0, 0.2),
    samples=4,
    reference=16,
    measures=(TotalVariation(),),
    plan=PLAN,
)
ALL = data_set("digits")
DATA = ALL._replace(train=ALL.train.first(384))


def setup(count: int = 2) -> Setup:
    return Setup(pictures=pictures_of(DATA.held_out, DATA, count), data=DATA, dataset="digits")


@cache
def made() -> Result:
    return run(TINY, setup())


def test_without_noise_the_map_is_the_gradient_of_that_network() -> None:
    net = setup().trained(planned(PLAN, "noise 0.2"))
    found = made().finding(training="noise 0.2")
    assert found is not None
    x = setup().pictures[0].x
    assert torch.equal(found.maps["map-0"].maps, sg.explain(net, x, method=sg.gradient()).maps)
    assert found.maps["map-0.2"].recipe == repr(sg.smoothgrad(0.2, 4))
    exact = chosen(made().measured, {"quantity": SQUARED, "noise": 0.0})
    assert exact["value"].tolist() == [0.0] * 6
    assert set(chosen(made().measured, {"quantity": ERROR})["noise"]) == {0.2}


def test_plain_training_and_noise_of_zero_are_the_plan_bit_for_bit() -> None:
    assert planned(PLAN, "plain") is PLAN
    one = train(planned(replace(PLAN, epochs=1), "noise 0"), DATA)
    other = train(replace(PLAN, epochs=1), DATA)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_penalty_makes_the_gradient_smaller() -> None:
    frame = made().measured
    plain, penalised = (average(frame, NORM, {"training": one, "noise": 0.0}).mean for one in ("plain", "penalty 1"))
    assert penalised < 0.8 * plain


def test_accuracy_is_that_of_all_held_out_pictures() -> None:
    net = train(planned(PLAN, "noise 0.2"), DATA)
    told = chosen(made().measured, {"quantity": ACCURACY, "training": "noise 0.2"})
    assert told["value"].tolist() == [accuracy(net, DATA, DATA.held_out)]
    assert told["picture"].isna().all()


@pytest.mark.parametrize(
    ("training", "plan"),
    [
        ("noise 0.3", replace(PLAN, noise=0.3)),
        ("penalty 2", replace(PLAN, penalty=2.0)),
        ("label smoothing 0.1", replace(PLAN, smoothing=0.1)),
        ("softplus", replace(PLAN, network=Small(widths=(4, 8), halvings=1, activation="softplus"))),
    ],
)
def test_each_way_of_training_changes_one_thing(training: str, plan: Plan) -> None:
    assert planned(PLAN, training) == plan


@pytest.mark.parametrize(
    ("training", "error", "said"),
    [
        ("plane", UnknownName, "plain"),
        ("nois 0.1", UnknownName, "noise"),
        ("label smothing 0.1", UnknownName, "label smoothing"),
        ("softplu", UnknownName, "softplus"),
        ("noise", BadMethod, "how much noise"),
        ("noise -1", BadMethod, "noise of zero or more"),
        ("label smoothing 1.5", BadMethod, "smoothing from 0"),
    ],
)
def test_what_is_no_way_of_training(training: str, error: type[SmoothGradError], said: str) -> None:
    with pytest.raises(error, match=said):
        replace(TINY, training=(training,))


def test_other_values_that_mean_nothing() -> None:
    for given in ({"reference": 4}, {"noise": (-0.1,)}, {"noise": ()}, {"noise": (0, 0.0)}, {"samples": 0}):
        with pytest.raises(BadMethod):
            replace(TINY, **given)
    assert replace(TINY, noise=(0, 1)) == replace(TINY, noise=(0.0, 1.0))
    assert repr(replace(TINY, noise=(0,))) == repr(replace(TINY, noise=(0.0,)))


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        *(("noise", replace(PLAN, noise=0.1)), ("penalty", replace(PLAN, penalty=1.0))),
        ("smoothing", replace(PLAN, smoothing=0.1)),
    ],
)
def test_a_plan_that_is_not_plain_is_refused(name: str, plan: Plan) -> None:
    with pytest.raises(BadMethod, match=f"the plan has {name} .* of its own"):
        replace(TINY, plan=plan)


def test_plain_is_a_network_with_relus() -> None:
    for network in (Small(widths=(4, 8), halvings=1, activation="gelu"), Residual(8, "softplus")):
        with pytest.raises(BadMethod, match="plain is a network with ReLUs"):
            replace(TINY, plan=replace(PLAN, network=network))
        assert replace(TINY, training=("noise 0.1",), plan=replace(PLAN, network=network))


def test_plan_and_data_that_do_not_go_together_are_refused_before_training() -> None:
    for plan in (replace(PLAN, batch=2000), replace(PLAN, network=Small(widths=(4,) * 6, halvings=5))):
        with pytest.raises(BadInput):
            run(replace(TINY, plan=plan), setup())
    with pytest.raises(BadInput, match="no data is given"):
        run(TINY, Setup(pictures=setup().pictures))


def test_the_grid_is_typed_as_words() -> None:
    typed = with_grid(TINY, ("training=plain,noise 0.1,label smoothing 0.2,softplus", "noise=0,0.5"))
    assert isinstance(typed, TrainingNoise)
    assert typed.training == ("plain", "noise 0.1", "label smoothing 0.2", "softplus")
    assert typed.noise == (0.0, 0.5)
    with pytest.raises(UnknownName, match="noise"):
        with_grid(TINY, ("training=nose 0.1",))


def test_the_table_and_each_cell_alone(tmp_path: Path) -> None:
    frame = made().frame
    assert list(frame.columns[:6]) == ["picture", "group", "training", "noise", "quantity", "value"]
    assert set(PROVENANCE) <= set(frame.columns)
    # Three networks, each with its accuracy and for each of two pictures 3 + 4 rows.
    assert len(frame) == 3 * (1 + 2 * (3 + 4))
    known = {one.name: one.digest for one in setup().pictures}
    assert frame["digest"].tolist() == [known.get(name, "") for name in frame["picture"]]
    assert not made().failures
    for training in TINY.training:
        whole = chosen(frame, {"training": training})
        alone = run(experiment_from_recipe(whole["recipe"].iloc[0]), setup(), folder=tmp_path).frame
        assert alone["value"].tolist() == whole["value"].tolist()
        assert alone["cell"].tolist() == whole["cell"].tolist()


def test_the_quick_one_is_an_experiment_of_its_own_plan() -> None:
    quick = TrainingNoise().quick()
    assert quick.training == TrainingNoise().training
    assert experiment_from_recipe(repr(quick)) == quick
    quick.check(setup(1))
    mine = TrainingNoise(noise=(0.0, 0.4), samples=600, plan=PLAN).quick()
    assert (mine.noise, mine.samples, mine.reference, mine.plan) == ((0.0, 0.4), 600, 1000, PLAN)
    assert mine.measures == quick.measures


@pytest.mark.parametrize("training", ["softplus", "gelu"])
def test_a_residual_network_can_have_another_activation(training: str) -> None:
    assert planned(Plan(network=Residual(8)), training).network == Residual(8, training)


def seen(pictures: int, both: Sequence[float]) -> str:
    """What is said of pictures of total variation 4 by neither noise, 3 and 2 by one, and these by both; the first ones."""
    noisy = "noise 0.2"
    variation = {("plain", 0.0): [4.0], ("plain", 0.2): [3.0], (noisy, 0.0): [2.0], (noisy, 0.2): both}
    rows = tuple(
        {**record, "picture": f"picture {place}", "value": values[place % len(values)]}
        for (training, noise), values in variation.items()
        for place in range(pictures)
        for record in made().records
        if (record["training"], record.get("noise"), record["quantity"]) == (training, noise, CALMNESS)
        and record["picture"] == setup().pictures[0].name
    )
    accurate = tuple(
        record for record in made().records if record["quantity"] == ACCURACY and record["training"] != "penalty 1"
    )
    return list(made().experiment.lessons(replace(made(), records=accurate + rows)))[-1]


@pytest.mark.parametrize(
    ("pictures", "both", "said"),
    [
        (6, [1.0, 1.1, 1.2, 0.9, 1.0, 1.3], "together are calmer than either alone, as Smilkov"),
        (6, [3.0, 3.1, 3.2, 2.9, 3.0, 3.3], "together are rougher than the better one alone, unlike"),
        (6, [1.0, 3.1, 1.2, 2.9, 1.0, 3.3], "together are not clearly calmer or rougher"),
        (2, [1.0, 1.1], "together are not clearly calmer or rougher"),  # too few for an interval
        (6, [1.0, 1.1, 1.2, 0.9, 1.0, np.nan], "calmer than either on 5 of 5 pictures (1 more lack one of the four)"),
        (4, [1.0, 1.1, 1.2, np.nan], "together are not clearly calmer or rougher"),
        (1, [1.0], "on 1 of 1 picture."),
        (3, [np.nan], "not known: 0 of 3 pictures"),
    ],
)
def test_the_verdict_is_that_of_the_interval_over_pictures_that_have_all(
    pictures: int, both: list[float], said: str
) -> None:
    lesson = seen(pictures, both)
    assert said in lesson
    assert "nan" not in lesson


def test_a_level_at_which_nothing_is_measured_stands_on_the_axis() -> None:
    curves = next(plate for plate in made().plates if plate.name == "curves")
    panels = [axes for axes in curves.figure.axes if len(axes.lines) == len(TINY.training)]
    assert len(panels) == 4  # squared error, relative error, norm, total variation
    assert len({axes.get_xlim() for axes in panels}) == 1


def test_figures_and_lessons() -> None:
    assert [plate.name for plate in made().plates] == ["maps", "grid", "measures", "curves"]
    accurate, steep, both, _ = made().lessons
    assert "noise 0.2 " in accurate
    assert "Total variation of the plain gradient" in steep
    assert " of 2 pictures." in both
    assert "another training seed is not in these intervals" in both
    assert all("One network each" in plate.caption or "of one network" in plate.caption for plate in made().plates[1:])
    one = run(replace(TINY, training=("plain",), noise=(0.2,)), setup(1))
    assert len(one.lessons) == 2  # the last of few pictures
    assert one.plates
