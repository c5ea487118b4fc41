"""Infidelity against its closed forms, e ~ N(0, s^2 I):  0 for the gradient of w.x, s^2 |w|^2 for a map of zeros there, and
E (I'AI / 2)^2 = s^4 (2 tr A^2 + (tr A)^2) / 4 for the gradient of x'Ax / 2."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smoothgrad.core.noise import normal, salted
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.measure.infidelity import Infidelity, ScaledInfidelity
from smoothgrad.measure.measure import Measure
from tests.measure.test_correlation import MAPS, PICTURES, net, run, same_for_every_batch
from tests.truth import Linear, Quadratic, W, symmetric

ROWS = torch.randn(300, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
RANGE = (ROWS.amax(1) - ROWS.amin(1)).double()
ALL = [Infidelity(samples=9), ScaledInfidelity(samples=9)]


def check_z(found: Tensor, stderr: Tensor | None, truth: Tensor | float) -> None:
    """Is the error, in units of the standard error, what chance gives over many rows?"""
    assert stderr is not None
    z = (found - truth) / stderr
    assert abs(z.mean()) < 0.25, z.mean()  # squares are skewed: their mean and its error go together
    assert 0.85 < z.std() < 1.3, z.std()
    error = ((found - truth) / stderr.square().mean().sqrt()).mean() * len(found) ** 0.5
    assert abs(error) < 3.5, error


def test_the_gradient_of_a_linear_score_has_none() -> None:
    found = run(Infidelity(), Linear(W), ROWS, W.expand_as(ROWS), target=0)
    assert found.value.max() < 1e-24
    assert found.stderr is not None
    assert found.stderr.max() < 1e-24


@pytest.mark.parametrize("unit", ["absolute", "range"])
def test_a_map_of_zeros_has_the_variance_of_the_score_and_its_standard_error_is_right(unit: str) -> None:
    s = 0.3 if unit == "absolute" else 0.3 * RANGE
    for measure in (Infidelity, ScaledInfidelity):
        found = run(measure(0.3, 500, unit), Linear(W), ROWS, torch.zeros_like(ROWS), target=0, chunk=30000)  # type: ignore[arg-type]
        check_z(found.value, found.stderr, s**2 * W.square().sum())


def test_half_the_gradient_has_a_quarter_of_it_and_times_input_is_no_gradient() -> None:
    def infidelity(maps: Tensor) -> Tensor:
        return run(Infidelity(0.3, 20, "absolute"), Linear(W), ROWS, maps.contiguous(), target=0).value

    torch.testing.assert_close(infidelity(W.expand_as(ROWS) / 2), infidelity(torch.zeros_like(ROWS)) / 4)
    assert infidelity(W * ROWS).mean() > 0.1


def test_the_gradient_of_a_quadratic_score_misses_the_curvature() -> None:
    a, s = symmetric(4), 0.7
    truth = s**4 * (2 * (a @ a).trace() + a.trace() ** 2) / 4
    found = run(Infidelity(s, 800, "absolute"), Quadratic(a), ROWS, ROWS @ a, target=0, chunk=30000)
    check_z(found.value, found.stderr, truth)
    random = torch.randn(300, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    worse = run(Infidelity(s, 800, "absolute"), Quadratic(a), ROWS, random, target=0, chunk=30000).value
    assert (worse > found.value).double().mean() > 0.9


def test_the_best_factor_is_found() -> None:
    for factor in (-3.0, 0.01, 40.0):
        found = run(ScaledInfidelity(), Linear(W), ROWS, factor * W.expand_as(ROWS), target=0).value
        assert found.max() < 1e-20
    plain = run(Infidelity(samples=20), net(), PICTURES, MAPS).value
    scaled = run(ScaledInfidelity(samples=20), net(), PICTURES, MAPS).value
    assert (scaled <= plain).all()
    tried = [
        run(Infidelity(samples=20), net(), PICTURES, a * MAPS).value for a in torch.linspace(-0.3, 0.3, 61).tolist()
    ]
    torch.testing.assert_close(scaled, torch.stack(tried).amin(0), rtol=1e-2, atol=0)
    assert (scaled <= torch.stack(tried).amin(0) + 1e-12).all()


@pytest.mark.parametrize("unit", ["absolute", "range", "channel"])
def test_both_are_their_slow_twin(unit: str) -> None:
    model, samples = net(), 6
    plain = run(Infidelity(0.2, samples, unit), model, PICTURES, MAPS, chunk=7)  # type: ignore[arg-type]
    scaled = run(ScaledInfidelity(0.2, samples, unit), model, PICTURES, MAPS, chunk=7).value  # type: ignore[arg-type]
    keys = Query.of(PICTURES, 1).key
    for row in range(5):
        x, one = PICTURES[row], MAPS[row]
        told, change = [], []
        for draw in range(samples):
            e = normal(salted(keys[[row]], "infidel"), range(draw, draw + 1), x.shape)[0, 0].double()
            moved = torch.empty_like(x)
            for channel in range(2):
                of = x[channel] if unit == "channel" else x
                moved[channel] = 0.2 * (1 if unit == "absolute" else of.max() - of.min()) * e[channel]
            told.append(float((moved * one).sum()))
            change.append(float(model(x[None])[0, 1] - model((x - moved)[None])[0, 1]))
        wrong = [(a - b) ** 2 for a, b in zip(told, change, strict=True)]
        mean = sum(wrong) / samples
        assert plain.value[row].item() == pytest.approx(mean)
        error = (sum((one - mean) ** 2 for one in wrong) / (samples - 1) / samples) ** 0.5
        assert plain.stderr is not None
        assert plain.stderr[row].item() == pytest.approx(error)
        a = sum(p * q for p, q in zip(told, change, strict=True)) / sum(p * p for p in told)
        best = sum((a * p - q) ** 2 for p, q in zip(told, change, strict=True)) / samples
        assert scaled[row].item() == pytest.approx(best)


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_scores_the_same_in_every_batch(measure: Measure) -> None:
    same_for_every_batch(measure, net(), PICTURES, MAPS)


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 7), (2, 3, 4, 2)])
@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_all_shapes_are_judged(measure: Measure, shape: tuple[int, ...]) -> None:
    x, maps = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    absolute = type(measure)(samples=9, noise_unit="absolute")  # type: ignore[call-arg]
    assert run(absolute, net(shape), x, maps).value.isfinite().all()


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_constant_row_has_no_range_to_take_a_fraction_of(measure: Measure) -> None:
    x = PICTURES.clone()
    x[1] = 0.5
    found = run(measure, net(), x, MAPS)
    assert found.value.isnan().tolist() == [False, True, False, False, False]
    assert "constant" in found.reasons[1]
    assert found.stderr is not None
    assert found.stderr[1].isnan()
    absolute = type(measure)(samples=9, noise_unit="absolute")  # type: ignore[call-arg]
    assert run(absolute, net(), x, MAPS).value.isfinite().all()


@pytest.mark.parametrize("make", [Infidelity, ScaledInfidelity])
def test_channels_that_are_all_constant_have_no_range_and_one_of_several_may_be(make: type[Infidelity]) -> None:
    x = PICTURES.clone()
    x[1, 0], x[1, 1], x[3, 0] = 0.3, 0.8, 0.3
    found = run(make(samples=9, noise_unit="channel"), net(), x, MAPS)
    assert found.value.isnan().tolist() == [False, True, False, False, False]
    assert found.reasons[1].startswith("every channel of the row is constant, and a fraction of its range is 0")
    assert (found.value[[0, 2, 3, 4]] > 0).all()
    assert run(make(samples=9), net(), x, MAPS).value.isfinite().all()


def test_a_factor_is_not_fitted_to_two_draws() -> None:
    with pytest.raises(BadMethod, match="needs samples >= 3, got 2"):
        ScaledInfidelity(samples=2)


def test_the_fitted_factor_costs_one_draw_in_samples() -> None:
    # Of a map that has nothing to do with the score, the factor explains 1 / samples of the squares by chance.
    x = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w, other = (torch.tensor(one, dtype=torch.float64) for one in ([1.0, 1, 1, 1], [1.0, -1, 1, -1]))
    found = run(ScaledInfidelity(0.5, 5, "absolute"), Linear(w), x, other.expand_as(x), target=0).value
    assert float(found.mean()) == pytest.approx(0.25 * 4 * (1 - 1 / 5), rel=0.03)


@pytest.mark.parametrize("make", [Infidelity, ScaledInfidelity])
@pytest.mark.parametrize("wrong", [{"noise": 0.0}, {"noise": float("inf")}, {"samples": 1}, {"noise_unit": "rnge"}])
def test_what_makes_no_sense_is_refused(make: type[Infidelity], wrong: dict[str, object]) -> None:
    with pytest.raises(BadMethod):
        make(**wrong)  # type: ignore[arg-type]
