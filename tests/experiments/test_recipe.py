"""Experiments as text, and values of a grid as they are typed."""

from __future__ import annotations

import pytest

import smoothgrad as sg
from smoothgrad.experiments.noise_level import NoiseLevel
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.training_noise import TrainingNoise
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.training.plan import Plan, Small


@pytest.mark.parametrize("name", ["noise-level", "noise_level", "NoiseLevel", " noise-level "])
def test_an_experiment_is_known_by_its_names(name: str) -> None:
    assert experiment_from_recipe(name) == NoiseLevel()


@pytest.mark.parametrize(
    "text",
    [
        "NoiseLevel(noise=(0.1,), samples=20, reference=30)",
        "noise-level(noise=0.1, samples=20, reference=30)",
        "noise_level(noise=[0.1], samples=20, reference=30)",
    ],
)
def test_a_recipe_is_read_as_a_row_holds_it_and_as_it_is_typed(text: str) -> None:
    read = experiment_from_recipe(text)
    assert read == NoiseLevel(noise=(0.1,), samples=20, reference=30)
    assert experiment_from_recipe(repr(read)) == read


def test_pieces_of_training_and_measures_are_read_back() -> None:
    one = TrainingNoise(plan=Plan(network=Small(widths=(4, 8), halvings=1), epochs=1), measures=(Deletion(steps=4),))
    assert experiment_from_recipe(repr(one)) == one


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("noise-levl", sg.errors.UnknownName, "no experiment is called 'noise-levl'; did you mean 'noise-level'?"),
        ("Noise_Levl(noise=0.1)", sg.errors.UnknownName, "did you mean 'noise-level'?"),
        ("", sg.errors.UnknownName, "known: "),
        ("noise-level(noize=0.1)", sg.errors.BadRecipe, "no parameter 'noize'; did you mean 'noise'?"),
        ("noise-level(noise=0.1", sg.errors.BadRecipe, "cannot read the recipe"),
        ("noise-level(noise=0.1).over()", sg.errors.BadRecipe, ""),
        ("noise-level(measures=(Deltion(),))", sg.errors.BadRecipe, "did you mean 'Deletion'?"),
        ("noise-level(noise=0.1, samples='many')", sg.errors.BadMethod, "takes as samples a whole number"),
        ("noise-level(noise=-0.1)", sg.errors.BadMethod, ""),
        ("noise-level(noise=())", sg.errors.BadMethod, "one or more values of noise"),
        ("noise-level(noise=(0.1, 0.1))", sg.errors.BadMethod, "each value of noise once"),
    ],
)
def test_what_is_no_recipe_is_said_with_the_nearest_name(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        experiment_from_recipe(text)
    assert said in str(raised.value)


def test_whole_numbers_and_fractions_are_one_point() -> None:
    assert repr(NoiseLevel(noise=(0, 1))) == repr(NoiseLevel(noise=(0.0, 1.0)))
    assert NoiseLevel(noise=0.2) == NoiseLevel(noise=[0.2])  # type: ignore[arg-type]


# --- values of a grid -------------------------------------------------------------------------------------------------


def test_values_are_read_as_they_are_typed() -> None:
    changed = with_grid(
        NoiseLevel(), ("noise=0, 0.1,3e-1", "samples=20", "reference=40", "measures=deletion,Insertion(steps=8)")
    )
    assert changed == NoiseLevel(
        noise=(0.0, 0.1, 0.3), samples=20, reference=40, measures=(Deletion(), Insertion(steps=8))
    )
    assert with_grid(NoiseLevel(), ()) == NoiseLevel()


def test_fields_that_go_together_are_changed_together() -> None:
    assert with_grid(NoiseLevel(), ("samples=2000", "reference=4000")).reference == 4000
    with pytest.raises(sg.errors.BadMethod, match="take more for the limit"):
        with_grid(NoiseLevel(), ("samples=2000",))


def test_words_are_taken_as_they_are() -> None:
    changed = with_grid(TrainingNoise(), ("training=plain,noise 0.1,softplus", "noise=0"))
    assert changed == TrainingNoise(training=("plain", "noise 0.1", "softplus"), noise=(0.0,))
    planned = with_grid(TrainingNoise(), ("plan=Plan(network=Small(widths=(4, 8), halvings=1), epochs=1)",))
    assert planned == TrainingNoise(plan=Plan(network=Small(widths=(4, 8), halvings=1), epochs=1))


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("noise", sg.errors.BadOption, "--grid takes NAME=VALUES, such as noise=..., got 'noise'"),
        ("noise=", sg.errors.BadOption, "--grid takes NAME=VALUES"),
        ("noize=0.1", sg.errors.UnknownName, "noise-level has no 'noize'; did you mean 'noise'?"),
        ("name=x", sg.errors.UnknownName, "noise-level has no 'name'"),
        ("samples=1,2", sg.errors.BadOption, "--grid samples=1,2: samples takes one value"),
        ("samples=many", sg.errors.BadOption, "--grid samples=many: 'many' is no number"),
        ("samples=1.5", sg.errors.BadMethod, "takes as samples a whole number, got 1.5"),
        ("noise=high", sg.errors.BadOption, "--grid noise=high: 'high' is no number"),
        ("noise=0.1,,0.2", sg.errors.BadOption, "a value is empty; write noise=A,B"),
        ("noise=0.1,0.1", sg.errors.BadMethod, "each value of noise once"),
        ("measures=delition()", sg.errors.BadOption, "did you mean 'deletion'?"),
    ],
)
def test_values_that_mean_nothing_are_refused(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        with_grid(NoiseLevel(), (text,))
    assert said in str(raised.value)


def test_values_may_stand_in_brackets_as_in_a_recipe() -> None:
    assert with_grid(NoiseLevel(), ("noise=(0.1, 0.2)",)) == with_grid(NoiseLevel(), ("noise=0.1,0.2",))
    assert with_grid(NoiseLevel(), ("noise=(0.1,)",)).noise == (0.1,)


def test_a_name_that_is_given_twice_is_refused() -> None:
    with pytest.raises(sg.errors.BadOption, match="gives noise twice"):
        with_grid(NoiseLevel(), ("noise=0.1", "noise=0.2"))
