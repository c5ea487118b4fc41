"""How many samples: against functions whose error is known for every number of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.law import first_alike, fitted_slope, saving, seen
from smoothgrad.experiments.limits import (
    DISTANCE,
    LOOK,
    OF_LIMIT,
    converged,
    error,
    said_error,
    seen_alike,
    shown,
    squared_chance,
    squared_error,
)
from smoothgrad.experiments.recipe import experiment_from_recipe
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.samples import (
    COSINE,
    ERROR,
    EYE,
    LAST,
    SampleCount,
)
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from tests.truth import Linear, Quadratic, symmetric

SIDE = 4  # pixels


def picture(seed: int = 0) -> Picture:
    x = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Picture(f"picture {seed}", x)


def setup(truth: nn.Module, *pictures: Picture) -> Setup:
    preprocessing = Preprocessing(channels=1, size=(SIDE, SIDE), resize=SIDE, mean=(0.0,), std=(1.0,))
    net = Network(nn.Sequential(nn.Flatten(), truth), name="truth", preprocessing=preprocessing)
    return Setup(net, pictures or (picture(),), model="truth", target=0)


def linear() -> Linear:
    return Linear(torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def true_square(truth: Quadratic, x: Tensor, noise: float) -> float:
    """s^2 sum diag(AA') / ||Ax||^2: the squared relative error of one sample."""
    s = noise * float(x.amax() - x.amin())
    return s**2 * float(truth.a.square().sum()) / float((x.flatten() @ truth.a).square().sum())


def values(result: Result, quantity: str, **where: object) -> dict[int, float]:
    frame = result.measured[result.measured["quantity"] == quantity]
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return dict(zip(frame["n"].astype(int), frame["value"], strict=True))


# --- truths -------------------------------------------------------------------------------------------------------------


def test_on_a_quadratic_score_the_error_is_that_of_its_closed_form() -> None:
    truth, one = Quadratic(symmetric(SIDE * SIDE)), picture()
    asked = SampleCount(sampling="independent", samples=(4, 16), reference=18, repeats=12)
    result = run(asked, setup(truth, one))
    found = values(result, DISTANCE)
    for n in (4, 16):
        # ||A e||^2 has a relative variance of 2 tr (AA')^2 / (tr AA')^2, and 12 seeds are averaged.
        gram = truth.a @ truth.a.T
        spread = math.sqrt(2 * float((gram @ gram).trace()) / float(gram.trace()) ** 2 / asked.repeats)
        assert n * found[n] ** 2 / true_square(truth, one.x, asked.noise) == pytest.approx(1, abs=4 * spread)
    assert fitted_slope(result.measured, "independent") == pytest.approx(-0.5, abs=0.25)
    assert values(result, OF_LIMIT) == {18: pytest.approx(0, abs=1e-6)}, "antithetic pairs are exact here"


def test_on_a_quadratic_score_antithetic_pairs_are_exact() -> None:
    result = run(
        SampleCount(sampling=("independent", "antithetic"), samples=(2, 4), reference=10),
        setup(Quadratic(symmetric(SIDE * SIDE))),
    )
    assert max(values(result, DISTANCE, sampling="antithetic").values()) < 1e-6
    assert min(values(result, DISTANCE, sampling="independent").values()) > 0.01
    assert math.isnan(saving(result.measured, "antithetic").mean), "infinitely many: no number"
    assert any("antithetic" in lesson.lower() and "exact" in lesson for lesson in result.lessons)
    assert "saving" not in {plate.name for plate in result.plates}


def test_a_linear_score_needs_one_sample() -> None:
    result = run(SampleCount(samples=(1, 5), reference=20, repeats=2), setup(linear()))
    for quantity, truth in ((DISTANCE, 0), (COSINE, 1), (EYE, 1), (LAST, 1)):
        found = [
            one
            for sampling in result.experiment.sampling
            for one in values(result, quantity, sampling=sampling).values()
        ]  # type: ignore[attr-defined]
        assert found == [pytest.approx(truth, abs=1e-6)] * len(found)
    assert any("next to nothing" in lesson for lesson in result.lessons)


def test_the_squared_error_is_freed_of_that_of_the_limit() -> None:
    truth, x, n = Quadratic(symmetric(SIDE * SIDE)), picture().x, 10
    net = setup(truth).net

    def maps(seed: int) -> sg.Attribution:
        found = sg.explain(net, x.expand(50, -1, -1, -1), method=sg.smoothgrad(0.15, n), target=0, seed=seed)
        assert isinstance(found, sg.Attribution)
        return found

    pairs = list(zip(maps(0), maps(1), strict=True))  # each row has draws of its own, and a limit as poor as the map
    found = torch.tensor([squared_error(a, b) for a, b in pairs], dtype=torch.float64)
    true = true_square(truth, x, 0.15) / n
    sure = float(found.std()) / math.sqrt(len(found))
    assert float(found.mean()) == pytest.approx(true, abs=4 * sure)
    raw = torch.tensor([float((a.maps - b.maps).norm() / b.maps.norm()) ** 2 for a, b in pairs])
    assert float(raw.mean()) > true + 4 * sure, "what is not freed of it is larger"
    chance = torch.tensor([squared_chance(a, b) for a, b in pairs])
    assert float(chance.mean()) == pytest.approx(true, rel=0.1)


def test_the_squared_error_by_hand() -> None:
    net = setup(linear()).net
    found = sg.explain(net, picture().x, method=sg.smoothgrad(samples=2), target=0)
    assert isinstance(found, sg.Attribution)

    def made(value: float, stderr: float) -> sg.Attribution:
        return replace(found, maps=torch.full_like(found.maps, value), stderr=torch.full_like(found.maps, stderr))

    limit = made(1.0, 0.5)
    assert squared_error(made(3.0, 0.2), limit) == pytest.approx((4 - 0.25) / (1 - 0.25))
    assert squared_chance(made(3.0, 0.2), limit) == pytest.approx(0.04 / 0.75)
    assert math.isnan(squared_error(limit, made(1.0, 1.0))), "a limit that cannot be told from zero"
    assert error([made(3.0, 0.2), made(1.5, 0.2)], limit) == pytest.approx(math.sqrt((3.75 + 0) / 0.75 / 2))
    assert error([made(1.1, 0.2)], limit) == 0, "below zero by chance"
    assert math.isnan(error([limit, made(3.0, 0.2)], made(1.0, 1.0)))


def test_maps_that_are_equal_and_exact_are_not_apart_even_where_they_are_zero() -> None:
    result = sg.explain(setup(linear()).net, picture().x, method=sg.smoothgrad(samples=2), target=0)
    assert isinstance(result, sg.Attribution)
    zero = replace(result, maps=torch.zeros_like(result.maps), stderr=torch.zeros_like(result.maps))
    assert error([zero], zero) == 0
    assert math.isnan(error([result], zero))
    assert math.isnan(said_error(zero)), "of a map of zeros nothing is known"


class Waves(nn.Module):
    """sin(k x) in each value, so fast that the mean gradient over noise is zero to any number of samples."""

    def forward(self, x: Tensor) -> Tensor:
        f = (300 * x.flatten(1)).sin().sum(1)
        return torch.stack([f, -f], 1)


def test_a_limit_that_cannot_be_told_from_zero_is_said_to_be_so() -> None:
    asked = SampleCount(sampling=("independent", "antithetic"), samples=(2, 4), reference=8, repeats=1)
    pictures = [picture(seed) for seed in range(12)]
    waves = setup(Waves().eval(), *pictures)
    dark = [
        one
        for one in pictures
        if math.isnan(squared_error(*([waves.only(one).explain(converged(asked.noise, asked.reference), seed=1)] * 2)))
    ]
    assert 0 < len(dark) < len(pictures), "by chance some limits seem to be larger than their error"
    result = run(asked, replace(waves, pictures=tuple(dark[:2])))
    assert all(math.isnan(one) for one in values(result, DISTANCE, sampling="antithetic").values())
    (said,) = [lesson for lesson in result.lessons if lesson.startswith("The estimate")]
    assert "on 2 of 2 pictures the limit of 8 samples cannot be told from zero" in said
    assert "take a larger reference" in said
    assert "next to nothing" not in said
    assert any("cannot be compared with plain sampling" in lesson for lesson in result.lessons)
    assert not [lesson for lesson in result.lessons for word in ("nan", "inf ", "inf)", "inf,") if word in lesson]
    assert [plate.name for plate in result.plates] == ["maps", "error", "likeness"]
    bright = next(one for one in pictures if one.name not in {some.name for some in dark})
    mixed = run(replace(asked, samples=(4,)), replace(waves, pictures=(dark[0], bright)))
    assert any("on 1 of 2 pictures the limit of 8" in lesson and "at n = 4" in lesson for lesson in mixed.lessons)


# --- what the eye sees --------------------------------------------------------------------------------------------------


def test_what_is_shown_is_absolute_and_capped() -> None:
    net = setup(linear()).net
    result = sg.explain(net, picture().x, method=sg.gradient(), target=0)
    assert isinstance(result, sg.Attribution)
    sizes = result.maps[0, 0].abs()
    cap = torch.quantile(sizes.flatten(), LOOK.cap / 100)
    torch.testing.assert_close(shown(result)[0, 0], (sizes / cap).clamp(max=1))
    assert seen_alike(result, result) == pytest.approx(1)


def test_the_eye_is_satisfied_from_where_it_stays_so() -> None:
    import pandas as pd

    said = {3: 0.95, 5: 0.8, 10: 0.91, 20: 0.93}
    frame = pd.DataFrame(
        {"picture": "a", "sampling": "independent", "n": list(said), "quantity": EYE, "value": list(said.values())}
    )
    assert first_alike(frame, EYE, "independent") == 10
    assert "like it from n = 10 on (SSIM" in seen(frame, EYE, "independent", "it")
    few = seen(frame[frame["n"] >= 10], EYE, "independent", "it")
    assert "like it already at n = 10, the fewest tried (SSIM" in few
    assert first_alike(frame[frame["n"] <= 5], EYE, "independent") is None


# --- the table and its cells ----------------------------------------------------------------------------------------------


def test_samplings_take_whole_blocks() -> None:
    asked = SampleCount()
    assert asked.counts("independent") == (3, 5, 10, 20, 50, 100, 200)
    assert asked.counts("antithetic") == (4, 6, 10, 20, 50, 100, 200)
    assert asked.counts("sobol") == asked.counts("stratified") == (8, 16, 24, 56, 104, 200)


@pytest.fixture(scope="module")
def digits() -> Result:
    net = sg.load("digits")
    return run(SampleCount(samples=(3, 10), reference=40, repeats=1), Setup(net, samples_of(net, 2), model="digits"))


def test_the_table_is_tidy(digits: Result) -> None:
    frame = digits.frame
    assert list(frame.columns) == ["picture", "group", "sampling", "n", "quantity", "value", "unit", *PROVENANCE]
    assert not frame.duplicated(["picture", "sampling", "n", "quantity"]).any()
    assert set(frame["quantity"]) == set(SampleCount.quantities) == {DISTANCE, COSINE, EYE, LAST, ERROR, OF_LIMIT}
    assert not digits.failures
    single = (frame["n"] == 8) & (frame["quantity"] == ERROR) & frame["sampling"].isin(["sobol", "stratified"])
    assert set(frame.index[frame["value"].isna()]) == set(frame.index[single]), "a single block knows no error"


def test_every_cell_repeats_its_rows_alone(digits: Result) -> None:
    for sampling in ("antithetic", "stratified"):
        name = digits.setup.pictures[1].name
        rows = digits.frame[(digits.frame["picture"] == name) & (digits.frame["sampling"] == sampling)]
        alone = run(experiment_from_recipe(rows["recipe"].iloc[0]), digits.setup.only(digits.setup.named(name)))
        assert alone.frame["value"].to_numpy() == pytest.approx(rows["value"].to_numpy(), rel=1e-12, nan_ok=True)


def test_figures_and_lessons_of_two_pictures_and_of_one(digits: Result) -> None:
    assert [plate.name for plate in digits.plates] == ["maps", "error", "likeness", "saving"]
    assert any("1/√n law" in lesson for lesson in digits.lessons)
    alone = run(
        SampleCount(sampling="sobol", samples=(8, 16), reference=40, repeats=1),
        digits.setup.only(digits.setup.pictures[0]),
    )
    assert [plate.name for plate in alone.plates] == ["maps", "error", "likeness"]
    assert not any("worth" in lesson for lesson in alone.lessons)
    assert run(SampleCount(sampling="independent", samples=(8,), reference=20, repeats=1), alone.setup).lessons


def test_the_quick_one_is_smaller() -> None:
    quick, whole = SampleCount().quick(), SampleCount()
    assert quick.sampling == whole.sampling
    assert quick.repeats * sum(quick.samples) + quick.reference < 500


def test_a_picture_too_large_for_sobol_fails_alone() -> None:
    x = torch.linspace(0, 1, 150 * 150).view(1, 1, 150, 150)
    net = Network(
        nn.Sequential(nn.Flatten(), nn.Linear(150 * 150, 2)),
        name="large",
        preprocessing=Preprocessing(channels=1, mean=(0.0,), std=(1.0,)),
    )
    result = run(
        SampleCount(sampling=("independent", "sobol"), samples=(2, 4), reference=10, repeats=1),
        Setup(net, (Picture("large", x),), target=0),
    )
    (failed,) = result.failures
    assert failed["sampling"] == "sobol"
    assert "21201" in str(failed["reason"])
    assert result.lessons
    assert result.plates


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sampling": "antitetic"}, "did you mean 'antithetic'"),
        ({"samples": (10, 5)}, "in order"),
        ({"samples": (5, 5)}, "in order"),
        ({"samples": (0, 5)}, "from 1 upwards"),
        ({"samples": ()}, "from 1 upwards"),
        ({"reference": 201}, "an even number above 200"),
        ({"samples": (1,), "sampling": "independent", "reference": 2}, "an even number above 3"),
        ({"reference": 200}, "an even number above 200"),
        ({"samples": (3,), "sampling": "sobol", "reference": 8}, "an even number above 8"),
        ({"repeats": 0}, "1 or more"),
        ({"noise": -0.1}, "noise >= 0"),
    ],
)
def test_what_cannot_be_asked(fields: dict[str, object], says: str) -> None:
    with pytest.raises(BadMethod, match=says):
        SampleCount(**fields)  # type: ignore[arg-type]


def test_rows_that_are_no_pictures_are_refused() -> None:
    net = Network(linear(), name="row")
    with pytest.raises(BadInput, match="features is a row of shape"):
        run(SampleCount().quick(), Setup(net, (Picture("features", torch.rand(1, SIDE * SIDE).double()),), target=0))


def test_the_limit_is_antithetic() -> None:
    assert repr(converged(0.1, 20)) == repr(sg.smoothgrad(0.1, 20, sampling="antithetic"))


def test_the_limit_and_the_maps_have_no_draws_in_common(digits: Result) -> None:
    found = digits.finding(digits.setup.pictures[0].name, sampling="independent")
    assert found is not None
    seeds = {name: one.seed for name, one in found.maps.items()}
    assert seeds == {"n3": 0, "n10": 0, "limit": 1}  # further repeats have seeds 2, 4, ...
