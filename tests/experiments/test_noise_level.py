"""How strong the noise: nothing changes at level 0, nor on a linear score at any; what is said follows from the table."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadMethod, BadNoise
from smoothgrad.experiments.limits import DISTANCE, OF_LIMIT, converged, squared_error
from smoothgrad.experiments.noise_level import ERROR, LIMIT, NoiseLevel
from smoothgrad.experiments.recipe import experiment_from_recipe
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from tests.truth import Linear

SIDE = 4


def picture(seed: int) -> Picture:
    x = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Picture(f"picture {seed}", x)


def setup(truth: nn.Module, *pictures: Picture) -> Setup:
    preprocessing = Preprocessing(channels=1, size=(SIDE, SIDE), resize=SIDE, mean=(0.0,), std=(1.0,))
    net = Network(nn.Sequential(nn.Flatten(), truth), name="truth", preprocessing=preprocessing)
    return Setup(net, pictures or (picture(0),), model="truth", target=0)


def values(result: Result, quantity: str) -> dict[float, float]:
    frame = result.measured[result.measured["quantity"] == quantity]
    return dict(zip(frame["noise"], frame["value"], strict=True))


class Cubes(nn.Module):
    """The sum of x^3: its gradient under noise of standard deviation s is 3 (x^2 + s^2) on average."""

    def forward(self, x: Tensor) -> Tensor:
        f = x.pow(3).sum(1)
        return torch.stack([f, -f], 1)


# --- truths -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Result:
    net = sg.load("digits")
    asked = NoiseLevel(noise=(0.0, 0.1, 0.5), samples=4, reference=20, measures=(TotalVariation(),))
    return run(asked, Setup(net, samples_of(net, 2), model="digits"))


def test_level_0_is_the_gradient_bit_for_bit(digits: Result) -> None:
    for one in digits.setup.pictures:
        found = digits.finding(one.name, noise=0.0)
        assert found is not None
        assert torch.equal(found.maps["map"].maps, digits.setup.only(one).explain(sg.gradient()).maps)
    some = digits.measured[digits.measured["noise"] == 0]
    for quantity in (DISTANCE, ERROR, OF_LIMIT):
        assert list(some[some["quantity"] == quantity]["value"]) == [0, 0]
    assert list(some[some["quantity"] == LIMIT]["value"]) == pytest.approx([1, 1])


def test_level_0_is_no_distance_from_its_limit_where_the_gradient_is_zero() -> None:
    result = run(
        NoiseLevel(noise=0.0, samples=2, reference=4, measures=()), setup(Linear(torch.zeros(SIDE * SIDE).double()))
    )  # type: ignore[arg-type]
    assert values(result, DISTANCE) == {0: 0}


def test_a_linear_score_makes_all_levels_alike() -> None:
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = run(NoiseLevel(samples=3, reference=10, measures=(TotalVariation(),)), setup(Linear(w)))
    for noise in result.experiment.noise:  # type: ignore[attr-defined]
        found = result.finding("picture 0", noise=noise)
        assert found is not None
        torch.testing.assert_close(found.maps["map"].maps.flatten(), w)
    for quantity, truth in ((DISTANCE, 0), (ERROR, 0), (OF_LIMIT, 0), (LIMIT, 1)):
        assert list(values(result, quantity).values()) == [pytest.approx(truth, abs=1e-12)] * 6
    assert len({round(one, 9) for one in values(result, "total_variation").values()}) == 1


def test_the_distance_is_that_from_infinitely_many_samples() -> None:
    noise, n, many = 0.4, 8, 60
    result = run(
        NoiseLevel(noise=noise, samples=n, reference=10, measures=()),  # type: ignore[arg-type]
        setup(Cubes().eval(), *(picture(seed) for seed in range(many))),
    )
    ratios = []
    for one in result.setup.pictures:
        x = one.x.flatten()
        s = noise * float(x.max() - x.min())
        # Var 3 (x + s e)^2 = 9 (4 x^2 s^2 + 2 s^4)
        true = float((9 * (4 * x**2 * s**2 + 2 * s**4)).sum() / n / (3 * (x**2 + s**2)).square().sum())
        found = result.finding(one.name)
        assert found is not None
        limit = result.setup.only(one).explain(converged(noise, 10), seed=1)
        ratios.append(squared_error(found.maps["map"], limit) / true)
        row = result.frame[(result.frame["picture"] == one.name) & (result.frame["quantity"] == DISTANCE)]
        assert row["value"].item() == pytest.approx(math.sqrt(max(ratios[-1] * true, 0)))
    mean = sum(ratios) / many
    spread = math.sqrt(sum((one - mean) ** 2 for one in ratios) / many)
    assert mean == pytest.approx(1, abs=4 * spread / math.sqrt(many))
    assert 4 * spread / math.sqrt(many) < 0.5, "with the limit's error in it, it would be 1.8"


# --- the table and its cells ----------------------------------------------------------------------------------------------


def test_the_table_is_tidy(digits: Result) -> None:
    frame = digits.frame
    assert list(frame.columns) == ["picture", "group", "noise", "quantity", "value", "unit", *PROVENANCE]
    assert not frame.duplicated(["picture", "noise", "quantity"]).any()
    assert set(frame["quantity"]) == {*NoiseLevel.quantities, "total_variation"}
    assert not frame["value"].isna().any()


def test_every_cell_repeats_its_rows_alone(digits: Result) -> None:
    name = digits.setup.pictures[1].name
    rows = digits.frame[(digits.frame["picture"] == name) & (digits.frame["noise"] == 0.5)]
    alone = run(experiment_from_recipe(rows["recipe"].iloc[0]), digits.setup.only(digits.setup.named(name)))
    assert list(alone.frame["value"]) == pytest.approx(list(rows["value"]), rel=1e-12)


def test_maps_and_their_standard_errors_are_shown(digits: Result) -> None:
    plates = {plate.name: plate for plate in digits.plates}
    assert list(plates) == ["maps", "errors", "curves"]
    said = [text.get_text() for text in plates["errors"].figure.texts]
    assert said.count("standard error") == 2  # beneath the maps of each picture
    assert "standard error" not in [text.get_text() for text in plates["maps"].figure.texts]


def test_a_single_sample_has_no_standard_error_to_show(digits: Result) -> None:
    result = run(NoiseLevel(noise=(0.0, 0.2), samples=1, reference=4, measures=()), digits.setup)
    assert [plate.name for plate in result.plates] == ["maps", "curves"]
    assert any("With 1 sample the map" in lesson for lesson in result.lessons)


# --- what is said ---------------------------------------------------------------------------------------------------------


def said(*distances: tuple[str, float, float]) -> list[str]:
    """The lessons of a table of pictures, noise levels and distances."""
    rows = tuple(
        {"picture": one, "noise": noise, "quantity": DISTANCE, "value": value, "unit": "", "reason": ""}
        for one, noise, value in distances
    )
    return list(NoiseLevel().lessons(Result(NoiseLevel(), setup(Cubes()), (), (), rows)))


def test_that_strong_noise_needs_more_samples_is_said_where_it_was_seen() -> None:
    names = [f"p{place}" for place in range(8)]
    rows = [
        (one, noise, 0.1 * place + noise * (1 + 0.1 * place)) for place, one in enumerate(names) for noise in (0.1, 0.5)
    ]
    assert any(lesson.endswith("(paired, 8 pictures): stronger noise needs more samples.") for lesson in said(*rows))
    back = [(one, 0.6 - noise, value) for one, noise, value in rows]
    assert any(lesson.endswith("stronger noise needs fewer samples here.") for lesson in said(*back))
    mixed = [(one, noise, 0.3 + (-1) ** place * noise) for place, one in enumerate(names) for noise in (0.1, 0.5)]
    assert any("not clearly different from zero" in lesson for lesson in said(*mixed))


@pytest.mark.parametrize(
    "rows",
    [
        [("a", 0.1, 0.2), ("a", 0.5, 0.9)],
        [("a", 0.0, 0.0), ("a", 0.1, 0.2)],
        [("a", 0.0, 0.0)],
        [("a", 0.1, 0.2)],
        [("a", 0.1, math.nan), ("a", 0.5, math.nan)],
        [("a", 0.0, 0.0), ("a", 0.1, math.nan), ("a", 0.5, 0.3)],
        [("a", 0.1, 0.2), ("b", 0.5, 0.9)],
    ],
    ids=["one picture", "one level", "level 0 alone", "one level alone", "no limit", "one limit", "no pair"],
)
def test_of_too_little_no_verdict_is_drawn(rows: list[tuple[str, float, float]]) -> None:
    lessons = said(*rows)
    assert lessons
    assert not [
        lesson for lesson in lessons if lesson.endswith("stronger noise needs more samples.") or "nan" in lesson
    ]


def test_what_is_not_known_is_said() -> None:
    assert any(
        "At noise 0.1 the limit of 1000 samples cannot be told from zero" in lesson
        for lesson in said(("a", 0.1, math.nan))
    )
    assert any(
        "No picture has a distance at noise 0.1 and at 0.5" in one for one in said(("a", 0.1, 0.2), ("b", 0.5, 0.9))
    )


def test_level_0_is_no_level_of_noise() -> None:
    names = [f"p{place}" for place in range(8)]
    lessons = said(*((one, noise, noise * (1 + place)) for place, one in enumerate(names) for noise in (0.0, 0.3)))
    assert not any("stronger noise" in lesson for lesson in lessons), "that 0.3 is farther than 0 is no news"


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [50, 49, 101, 0])
def test_a_reference_no_better_than_the_map_is_refused(reference: int) -> None:
    with pytest.raises(BadMethod, match="an even number above 50"):
        NoiseLevel(samples=50, reference=reference)


def test_a_limit_of_one_pair_is_refused() -> None:
    with pytest.raises(BadMethod, match="an even number above 3"):
        NoiseLevel(samples=1, reference=2)


def test_what_is_no_noise_level_is_refused() -> None:
    with pytest.raises(BadNoise):
        NoiseLevel(noise=(0.1, -0.1))


def test_the_quick_one_is_smaller() -> None:
    assert NoiseLevel().quick().noise == NoiseLevel().noise
    assert NoiseLevel().quick().reference < 500


def test_a_limit_that_is_itself_not_well_known_is_told() -> None:
    rows = tuple(
        {"picture": "a", "noise": noise, "quantity": quantity, "value": value, "unit": "", "reason": ""}
        for noise, own in ((0.1, 0.05), (0.5, 0.45))
        for quantity, value in ((DISTANCE, 0.3), (OF_LIMIT, own))
    )
    lessons = NoiseLevel().lessons(Result(NoiseLevel(), setup(Cubes()), (), (), rows))
    (rough,) = (one for one in lessons if "error of its own" in one)
    assert "0.45 at noise 0.5;" in rough
    assert "at noise 0.1" not in rough
    assert rough.endswith("take a larger reference.")


def test_few_pictures_are_told_once_and_last(digits: Result) -> None:
    assert [one.startswith("These are 2 pictures: ") for one in digits.lessons].index(True) == len(digits.lessons) - 1
