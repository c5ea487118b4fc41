"""Other noise: of equal variance by closed forms, and without any effect on a linear score."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadMethod, BadNoise, UnknownName
from smoothgrad.experiments.limits import converged, squared_error
from smoothgrad.experiments.noise_kinds import SOURCES, level, movement
from smoothgrad.experiments.noise_source import (
    BEYOND,
    DISTANCE,
    ERROR,
    LIMIT,
    PARAMETER,
    SHIFT,
    SPREAD,
    NoiseSource,
)
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from tests.truth import Linear, Quadratic

SIDE = 4
NAMES = tuple(SOURCES)


def random_picture(seed: int, low: float = 0.0, side: int = SIDE) -> Tensor:
    return low + torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed))


def setup(truth: nn.Module, *pictures: Tensor) -> Setup:
    preprocessing = Preprocessing(channels=1, size=(SIDE, SIDE), resize=SIDE, mean=(0.0,), std=(1.0,))
    net = Network(nn.Sequential(nn.Flatten(), truth), name="truth", preprocessing=preprocessing)
    return Setup(net, tuple(Picture(f"picture {i}", x) for i, x in enumerate(pictures)), target=0)


def values(result: Result, quantity: str) -> dict[str, float]:
    frame = result.measured[result.measured["quantity"] == quantity]
    return dict(zip(frame["source"], frame["value"], strict=True))


# --- truths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize(
    "x", [random_picture(0, side=32), 4 * random_picture(1, low=-0.7, side=32)], ids=["positive", "signed"]
)
def test_the_variance_is_the_same_for_every_source(source: str, x: Tensor) -> None:
    noise = 0.12
    scale = float(x.amax() - x.amin())
    cloud = NoiseSource(noise=noise, samples=300, reference=302).cloud(source, x)
    found = movement(cloud, x, seed=3)
    assert found.spread == pytest.approx(noise * scale, rel=0.01)  # 4 standard errors of Laplace noise are 0.8 %
    parameter = level(source, noise, x)
    middle = (x.amax() + x.amin()) / 2
    pulled = {"salt-and-pepper": middle - x, "dropout": x}.get(source)
    truth = 0.0 if pulled is None else parameter * float(pulled.square().mean().sqrt())
    assert found.shift / scale == pytest.approx(truth / scale, abs=0.004)


def test_dropout_has_half_the_root_mean_square_at_most() -> None:
    x = random_picture(0)
    most = float(x.double().square().mean().sqrt()) / 2 / float(x.amax() - x.amin())
    assert level("dropout", most - 1e-9, x) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(
        BadNoise, match=f"the most it can have is {most:.3g} of the picture's range, at probability 0.5"
    ):
        level("dropout", most + 1e-4, x)


def test_salt_and_pepper_has_half_the_range_at_most() -> None:
    x = random_picture(0)
    assert level("salt-and-pepper", 0.5, x) == pytest.approx(1)
    with pytest.raises(BadNoise, match=r"the most it can have is 0\.5 of"):
        level("salt-and-pepper", 0.51, x)
    half = torch.tensor([[0.0, 0.0, 1.0, 1.0]])  # every value is at an end: half of what is drawn moves it by the range
    p = level("salt-and-pepper", 0.3, half)
    assert p * 0.5 - p**2 * 0.25 == pytest.approx(0.09)


def test_on_a_linear_score_every_source_gives_the_weights() -> None:
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    result = run(NoiseSource(samples=4, reference=10, measures=()), setup(Linear(w), random_picture(0)))
    assert not result.failures
    for source in NAMES:
        found = result.finding("picture 0", source=source)
        assert found is not None
        torch.testing.assert_close(found.maps["map"].maps.flatten(), w, rtol=1e-6, atol=1e-7)
    for quantity, truth in ((LIMIT, 1), (DISTANCE, 0), (BEYOND, 0), (ERROR, 0)):
        assert list(values(result, quantity).values()) == [pytest.approx(truth, abs=1e-6)] * len(NAMES)


@pytest.mark.parametrize("source", NAMES)
def test_what_is_measured_are_the_draws_of_the_map(source: str) -> None:
    # The gradient of |x|^2 / 2 is x: the map is the mean of the points at which it was asked.
    x = random_picture(2)
    result = run(
        NoiseSource(source=source, samples=6, reference=10, measures=()), setup(Quadratic(torch.eye(SIDE * SIDE)), x)
    )
    found = result.finding("picture 0")
    assert found is not None
    scale = float(x.amax() - x.amin())
    moved = float((found.maps["map"].maps - x).double().square().mean())
    spread, shift = values(result, SPREAD)[source] * scale, values(result, SHIFT)[source] * scale
    assert shift**2 == pytest.approx(max(moved - spread**2 / 6, 0.0), abs=1e-6)


def test_the_squared_distance_beyond_chance_is_zero_on_average_for_gaussian_noise() -> None:
    # A score of third order, so that its gradient's limit has an error: x^3 in each value.
    class Cubes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            f = x.pow(3).sum(1)
            return torch.stack([f, -f], 1)

    pictures = [random_picture(seed) for seed in range(12)]
    result = run(
        NoiseSource(source="gaussian", noise=0.5, samples=8, reference=10, measures=()),
        setup(Cubes().eval(), *pictures),
    )
    frame = result.measured
    beyond = frame[frame["quantity"] == BEYOND]["value"]
    assert abs(beyond.mean()) < 4 * beyond.std() / math.sqrt(len(beyond))
    assert (frame[frame["quantity"] == DISTANCE]["value"] ** 2).mean() > 0.05, "there is chance to be taken off"


# --- refusals -------------------------------------------------------------------------------------------------------------


def test_a_dark_picture_cannot_be_dropped_out_so_much() -> None:
    dark = torch.zeros(1, 1, SIDE, SIDE)
    dark[..., 1, 2] = 1.0  # mean x^2 = 1/16: at most 1/8
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    result = run(NoiseSource(samples=4, reference=10, measures=()), setup(Linear(w), dark, random_picture(0)))
    (failed,) = result.failures
    assert failed["picture"] == "picture 0"
    assert failed["source"] == "dropout"
    assert "BadNoise" in str(failed["reason"])
    assert "0.125 of the picture's range, at probability 0.5" in str(failed["reason"])
    assert any("could not be had on 1 of 2 pictures;" in lesson for lesson in result.lessons)
    assert [plate.name for plate in result.plates] == ["noise", "maps", "quantities"]


def test_a_source_that_no_picture_allows_is_refused_before_any_work() -> None:
    dark = torch.zeros(1, 1, SIDE, SIDE)
    dark[..., 1, 2] = 1.0
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    with pytest.raises(BadNoise, match=r"no picture allows dropout noise; of the first, picture 0: .* is 0\.125 of"):
        NoiseSource().check(setup(Linear(w), dark, dark.flip(-1)))


def test_sources_are_named_on_the_command_line() -> None:
    assert with_grid(NoiseSource(), ("source=salt-and-pepper,dropout",)).source == ("salt-and-pepper", "dropout")  # type: ignore[attr-defined]
    with pytest.raises(UnknownName, match="did you mean 'salt-and-pepper'"):
        with_grid(NoiseSource(), ("source=salt-pepper",))


@pytest.mark.parametrize("source", NAMES)
def test_a_constant_picture_is_refused(source: str) -> None:
    with pytest.raises(BadNoise, match="constant"):
        level(source, 0.1, torch.full((1, 4), 0.5))


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ({"source": "gausian"}, UnknownName, "did you mean 'gaussian'"),
        ({"noise": 0.0}, BadNoise, "above 0"),
        ({"noise": math.inf}, BadNoise, "above 0"),
        ({"samples": 1}, BadMethod, "samples >= 2"),
        ({"reference": 50}, BadMethod, "an even number"),
        ({"reference": 101}, BadMethod, "an even number"),
    ],
)
def test_what_cannot_be_asked(fields: dict[str, object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        NoiseSource(**fields)  # type: ignore[arg-type]


# --- what is said ---------------------------------------------------------------------------------------------------------


def test_every_source_is_compared_with_gaussian_noise_on_the_pictures_that_have_both() -> None:
    """Beyond chance: Gaussian 0, uniform 0.5, dropout 0, on six pictures; dropout could not be had on four of them."""
    rows = [
        {"picture": f"p{place}", "source": source, "quantity": quantity, "value": value, "unit": "", "reason": ""}
        for source, far, places in (("gaussian", 0.0, 6), ("uniform", 0.5, 6), ("dropout", 0.0, 2))
        for place in range(places)
        for quantity, value in (
            (SPREAD, 0.15),
            (SHIFT, 0.0),
            (PARAMETER, 0.15),
            (LIMIT, 0.9),
            (BEYOND, far + (-1) ** place * 0.01 * place),
        )
    ]
    for one in rows:  # the pair of a picture shares its chance, but for a little
        if one["source"] == "uniform" and one["quantity"] == BEYOND:
            one["value"] = float(str(one["value"])) + 0.001 * int(str(one["picture"])[1])
    pictures = setup(Linear(torch.ones(SIDE * SIDE)), *(random_picture(seed) for seed in range(6)))
    said = NoiseSource(source=("gaussian", "uniform", "dropout")).lessons(_of(rows, pictures))
    by_source = {lesson.split(" ")[0]: lesson for lesson in said}
    assert "on 6 pictures" in by_source["Gaussian"]
    assert "with more pictures" not in by_source["Gaussian"]
    assert "(paired, 6 pictures): clearly farther" in by_source["Uniform"]
    assert "on 2 pictures" in by_source["Dropout"]
    assert "(paired, 2 pictures): not clearly another distance" in by_source["Dropout"]


def _of(rows: list[dict[str, object]], setup: Setup) -> Result:
    return Result(NoiseSource(), setup, (), (), tuple(rows))  # type: ignore[arg-type]


def test_a_source_without_gaussian_noise_beside_it_is_not_compared() -> None:
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    result = run(
        NoiseSource(source="laplace", samples=4, reference=10, measures=()), setup(Linear(w), random_picture(0))
    )
    assert any(
        "on 1 picture:" in lesson and "no picture has it beside Gaussian noise" in lesson for lesson in result.lessons
    )


# --- the table and its cells ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Result:
    net = sg.load("digits")
    return run(NoiseSource(samples=4, reference=20), Setup(net, samples_of(net, 2), model="digits"))


def test_the_table_is_tidy(digits: Result) -> None:
    frame = digits.frame
    assert list(frame.columns) == ["picture", "group", "source", "quantity", "value", "unit", *PROVENANCE]
    assert not frame.duplicated(["picture", "source", "quantity"]).any()
    assert set(frame["quantity"]) == {
        PARAMETER,
        SPREAD,
        SHIFT,
        LIMIT,
        DISTANCE,
        BEYOND,
        ERROR,
        "deletion",
        "insertion",
        "total_variation",
    }
    assert {PARAMETER, SPREAD, SHIFT, LIMIT, DISTANCE, BEYOND, ERROR} == set(NoiseSource.quantities)
    assert not digits.failures
    assert set(frame["source"]) == set(NAMES)


def test_every_cell_repeats_its_rows_alone(digits: Result) -> None:
    name = digits.setup.pictures[1].name
    for source in ("laplace", "salt-and-pepper", "dropout"):
        rows = digits.frame[(digits.frame["picture"] == name) & (digits.frame["source"] == source)]
        alone = run(experiment_from_recipe(rows["recipe"].iloc[0]), digits.setup.only(digits.setup.named(name)))
        assert alone.frame["value"].to_numpy() == pytest.approx(rows["value"].to_numpy(), rel=1e-12, nan_ok=True)


def test_figures_and_lessons_of_two_pictures_and_of_one(digits: Result) -> None:
    assert [plate.name for plate in digits.plates] == ["noise", "maps", "quantities"]
    assert any(lesson.startswith("Gaussian noise with 4 samples, on 2 pictures") for lesson in digits.lessons)
    alone = run(
        NoiseSource(source="dropout", samples=4, reference=10, measures=(TotalVariation(),)),
        digits.setup.only(digits.setup.pictures[0]),
    )
    assert len(alone.plates) == 3
    assert alone.lessons


def test_the_distance_is_that_without_the_error_of_the_limit(digits: Result) -> None:
    asked, one = NoiseSource(samples=4, reference=20), digits.setup.only(digits.setup.pictures[0])
    found = digits.finding(one.picture.name, source="uniform")
    assert found is not None
    limit = one.explain(converged(asked.noise, asked.reference), seed=1)
    frame = digits.frame[(digits.frame["picture"] == one.picture.name) & (digits.frame["source"] == "uniform")]
    assert frame[frame["quantity"] == DISTANCE]["value"].item() ** 2 == pytest.approx(
        squared_error(found.maps["map"], limit), rel=1e-9
    )


def test_the_wanted_noise_stands_beside_the_measured(digits: Result) -> None:
    page = next(plate.figure for plate in digits.plates if plate.name == "quantities")
    said = " ".join(text.get_text() for text in (*page.texts, *(one for axes in page.axes for one in axes.texts)))
    assert "(0.15 is wanted)" in said


def test_rows_without_a_picture_have_no_pictures_of_noise() -> None:
    w = torch.randn(5, generator=torch.Generator().manual_seed(1))
    row = Picture("features", torch.rand(1, 5, generator=torch.Generator().manual_seed(2)))
    result = run(
        NoiseSource(samples=4, reference=10, measures=()), Setup(Network(Linear(w), name="row"), (row,), target=0)
    )
    assert [plate.name for plate in result.plates] == ["maps", "quantities"]
