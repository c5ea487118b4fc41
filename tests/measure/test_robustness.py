"""Robustness of maps: known answers for linear and quadratic scores, and the papers' definitions written slowly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.robustness import (
    AverageSensitivity,
    LocalLipschitz,
    MaxSensitivity,
    Nearby,
    RelativeInputStability,
    RelativeOutputStability,
    SeedAgreement,
    _same_class,
    moved_to,
    of_another_seed,
)
from tests.measure.test_correlation import PICTURES, net
from tests.truth import Linear, Quadratic, W, symmetric

ROWS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GRADIENT = sg.Gradient()
NOISY = sg.smoothgrad(noise=0.2, samples=3)
PATH = sg.integrated_gradients(steps=3, baseline=sg.Black())
NEARBY: list[type[Nearby]] = [
    MaxSensitivity,
    AverageSensitivity,
    LocalLipschitz,
    RelativeInputStability,
    RelativeOutputStability,
]
ALL: list[Measure] = [*(make(0.1, 4) for make in NEARBY), SeedAgreement(3)]  # type: ignore[call-arg]


def judge(
    measure: Measure,
    model: nn.Module,
    x: Tensor,
    method: Explainer,
    *,
    chunk: int = 64,
    target: int = 1,
    **given: object,
) -> Judged:
    """What a measure says of the maps that the method makes."""
    query = Query.of(x, target, **given)  # type: ignore[arg-type]
    maps = Case(model, query, x, Schedule(chunk), method).explained(query)
    case = Case(model, query, maps, Schedule(chunk), method)
    measure.admit(case)
    return measure.judge(case)


def slow_points(query: Query, row: int, radius: float, unit: str, samples: int) -> list[Tensor]:
    """Points near one row (C, H, W): with the same random numbers."""
    x, points = query.x[row], []
    for draw in range(samples):
        u = uniform(salted(query.key[[row]], "nearby"), range(draw, draw + 1), x.shape)[0, 0].double()
        size = radius * (1 if unit == "absolute" else x.max() - x.min())
        points.append(x - size + 2 * size * u)
    return points


def slow_map(model: nn.Module, method: Explainer, x: Tensor, key: Tensor) -> Tensor:
    """The map of one row, as if it were the only input there is, with the noise of a key."""
    there = torch.zeros(1, dtype=torch.int64)
    query = Query(x[None], x[None], torch.tensor([1]), key[None], there, 1)
    return method.estimate(model, query, Schedule(1)).value[0]


def slow(measure: Nearby, model: nn.Module, method: Explainer, query: Query, row: int) -> float:
    """Yeh et al. 2019, Alvarez-Melis and Jaakkola 2018, Agarwal et al. 2022: for one row."""
    x, key, ratios = query.x[row], query.key[row], []
    here, h = slow_map(model, method, x, key), model(x[None])[0]
    for point in slow_points(query, row, measure.radius, measure.radius_unit, measure.samples):
        there, g = slow_map(model, method, point, key), model(point[None])[0]
        relative = ((here - there) / here.abs().clamp(min=1e-6)).norm()
        if isinstance(measure, MaxSensitivity | AverageSensitivity):
            ratios.append((there - here).norm() / here.norm())
        elif isinstance(measure, LocalLipschitz):
            ratios.append((there - here).norm() / (x - point).norm())
        elif h.argmax() == g.argmax():
            inputs = isinstance(measure, RelativeInputStability)
            ratios.append(relative / (((x - point) / x).norm() if inputs else (h - g).norm()))
    found = torch.stack(ratios)
    return float(found.mean() if isinstance(measure, AverageSensitivity) else found.max())


@pytest.mark.parametrize("unit", ["absolute", "range"])
@pytest.mark.parametrize("method", [GRADIENT, NOISY, PATH], ids=["gradient", "smoothgrad", "path"])
@pytest.mark.parametrize("make", NEARBY)
def test_each_is_its_slow_twin(make: Callable[..., Nearby], method: Explainer, unit: str) -> None:
    measure, model = make(0.1, 5, unit), net()
    found = judge(measure, model, PICTURES, method, chunk=12)
    assert found.reasons == ("",) * 5
    for row in range(5):
        assert found.value[row].item() == pytest.approx(
            slow(measure, model, method, Query.of(PICTURES, 1), row), rel=1e-7
        )


@pytest.mark.parametrize("make", NEARBY)
def test_the_gradient_of_a_linear_score_does_not_change(make: Callable[..., Nearby]) -> None:
    found = judge(make(0.3, 8), Linear(W), ROWS, GRADIENT, target=0)
    kept = found.value[~found.value.isnan()]
    assert len(kept) > 30
    assert (kept == 0).all()


def test_on_a_quadratic_score_the_change_is_that_of_ax() -> None:
    a = symmetric(4)
    largest = torch.linalg.matrix_norm(a, 2)
    few = judge(LocalLipschitz(0.3, 5), Quadratic(a), ROWS, GRADIENT, target=0).value
    many = judge(LocalLipschitz(0.3, 300), Quadratic(a), ROWS, GRADIENT, target=0).value
    assert (few <= many).all()
    assert (many <= largest * (1 + 1e-9)).all()
    assert (many > 0.95 * largest).all()
    twice = 2 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(
        judge(LocalLipschitz(), Quadratic(twice), ROWS, GRADIENT, target=0).value, torch.full((40,), 2.0).double()
    )


def test_sensitivity_of_the_map_x_is_the_size_of_the_ball() -> None:
    # map(x) = x for A = I, so that |map(x') - map(x)| = |e|, e uniform in [-r, r]^D: E |e|^2 = D r^2 / 3, at most D r^2.
    size = 60
    x = torch.randn(50, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    identity = Quadratic(torch.eye(size, dtype=torch.float64))
    largest = judge(MaxSensitivity(0.1, 40, "absolute"), identity, x, GRADIENT, target=0).value * x.norm(dim=1)
    average = judge(AverageSensitivity(0.1, 40, "absolute"), identity, x, GRADIENT, target=0)
    assert (largest <= 0.1 * size**0.5).all()
    assert (largest > average.value * x.norm(dim=1)).all()
    mean = (size * 0.1**2 / 3) ** 0.5  # to a hundredth: the spread of |e| is small beside it
    assert (average.value * x.norm(dim=1)).mean().item() == pytest.approx(mean, rel=0.01)
    relative = judge(MaxSensitivity(0.1, 40), identity, x, GRADIENT, target=0).value * x.norm(dim=1)
    torch.testing.assert_close(relative, largest * (x.amax(1) - x.amin(1)))


def test_the_standard_error_of_the_average_is_its_spread_over_seeds() -> None:
    x = ROWS[:1].expand(300, 4).contiguous()
    found = judge(AverageSensitivity(0.3, 30), Quadratic(symmetric(4)), x, GRADIENT, target=0)
    assert found.stderr is not None
    assert 0.85 < (found.stderr.mean() / found.value.std()).item() < 1.15


def test_only_the_input_moves_and_not_the_noise() -> None:
    # A (x' + e) - A (x + e) = A (x' - x): with the same noise at both, SmoothGrad changes as the gradient does.
    a = symmetric(4)
    still = sg.smoothgrad(noise=2.0, samples=2, unit="absolute")
    for measure in (LocalLipschitz(0.1), LocalLipschitz(0.1, radius_unit="absolute")):
        smooth = judge(measure, Quadratic(a), ROWS, still, target=0).value
        torch.testing.assert_close(smooth, judge(measure, Quadratic(a), ROWS, GRADIENT, target=0).value)


def test_the_moved_rows_are_inputs_of_their_own_with_the_keys_of_the_old() -> None:
    query = Query.of(ROWS[:3], 0, seed=4)
    points = torch.stack([ROWS[:3] + 1, ROWS[:3] + 2])
    moved = moved_to(query, points, range(5, 7))
    assert moved.origin is moved.x
    assert torch.equal(moved.x, points.flatten(0, 1))
    assert torch.equal(moved.key, torch.cat([query.key, query.key]))
    assert moved.row.tolist() == [0, 1, 2, 0, 1, 2]


def test_baselines_that_the_user_gives_row_by_row_stay_with_their_rows() -> None:
    path = sg.integrated_gradients(steps=2, baseline=sg.Given(torch.flip(ROWS, [0])))
    query = Query.of(ROWS, 0)
    points = ROWS + torch.tensor([0.0, 0.1, 0.2]).double().view(3, 1, 1)
    case = Case(Quadratic(symmetric(4)), query, ROWS, Schedule(8), path)
    found = case.explained(moved_to(query, points, range(3))).view(points.shape)
    for point, maps in zip(points, found, strict=True):
        torch.testing.assert_close(maps, Quadratic(symmetric(4)).path(point, torch.flip(ROWS, [0])))


class Steep(nn.Module):
    """Class 1 while the first value is positive."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 0], x[:, 0]], 1) * x.square().sum(1, keepdim=True)


@pytest.mark.parametrize("make", [RelativeInputStability, RelativeOutputStability])
def test_only_points_of_the_same_class_count(make: Callable[..., Nearby]) -> None:
    x = torch.tensor([[3.0, 1.0], [0.05, 1.0], [1e-9, 1.0]], dtype=torch.float64)
    measure = make(0.2, 12, "absolute")
    found = judge(measure, Steep(), x, GRADIENT)
    query = Query.of(x, 1)
    kept = [sum(bool(point[0] > 0) for point in slow_points(query, row, 0.2, "absolute", 12)) for row in range(3)]
    assert kept[0] == 12
    assert 0 < kept[1] < 12
    for row in range(2):
        assert found.value[row].item() == pytest.approx(slow(measure, Steep(), GRADIENT, query, row))

    class Alone(nn.Module):
        """Class 1 at x and nowhere else."""

        def forward(self, rows: Tensor) -> Tensor:
            there = (rows[:, None] == x).all(2).any(1)
            return torch.stack([~there, there], 1) + 0 * rows.sum(1, keepdim=True)

    lost = judge(measure, Alone(), x, sg.smoothgrad(noise=0.1, samples=2))
    assert lost.value.isnan().all()
    found_maps = Case(Alone(), query, x, Schedule(4), GRADIENT)
    again = measure.judge(found_maps)
    assert again.value.isnan().all()
    assert "same predicted class" in again.reasons[0]


def test_an_output_of_nan_is_of_no_class() -> None:
    before = torch.tensor([[1.0, 2.0], [1.0, torch.nan]])
    after = torch.tensor([[[0.0, 3.0], [0.0, 3.0]], [[0.0, torch.nan], [0.0, torch.nan]]])
    assert _same_class(before, after).tolist() == [[True, False], [False, False]]


def test_outputs_that_are_no_classes_are_compared_as_they_are() -> None:
    class Values(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows.square().sum(1)

    def first(output: Tensor, _target: Tensor) -> Tensor:
        return output

    query = Query.of(ROWS, 0, scorer=first)
    case = Case(Values(), query, 2 * ROWS, Schedule(7), GRADIENT)
    found = RelativeOutputStability(0.1, 6, "absolute").judge(case).value
    for row in (0, 7):
        ratios = []
        for point in slow_points(query, row, 0.1, "absolute", 6):
            change = ((2 * ROWS[row] - 2 * point) / (2 * ROWS[row])).norm()
            ratios.append(float(change / (point.square().sum() - ROWS[row].square().sum()).abs()))
        assert found[row].item() == pytest.approx(max(ratios))


def test_small_values_divide_as_eps() -> None:
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    maps = torch.tensor([[0.0, 1.0]], dtype=torch.float64)  # made up: the method answers 2 x' nearby
    query = Query.of(x, 0)
    case = Case(Quadratic(2 * torch.eye(2, dtype=torch.float64)), query, maps, Schedule(8), GRADIENT)
    (point,) = slow_points(query, 0, 0.1, "absolute", 1)
    change = ((2 * point - maps[0]) / torch.tensor([1e-6, 1.0])).norm()
    moved = ((point - x[0]) / torch.tensor([1.0, 1e-6])).norm()
    found = RelativeInputStability(0.1, 1, "absolute").judge(case).value
    assert found[0].item() == pytest.approx(float(change / moved))


def test_a_method_without_chance_agrees_with_itself() -> None:
    for method in (GRADIENT, PATH):
        found = judge(SeedAgreement(), net(), PICTURES, method)
        torch.testing.assert_close(found.value, torch.ones(5).double())
        assert found.stderr is not None
        assert found.stderr.max() < 1e-9


def test_more_samples_agree_better_and_the_score_is_the_mean_over_seeds() -> None:
    few, more, model = sg.smoothgrad(noise=1.0, samples=2), sg.smoothgrad(noise=1.0, samples=200), net()
    found = judge(SeedAgreement(4), model, PICTURES, few)
    assert (found.value < judge(SeedAgreement(4), model, PICTURES, more).value).all()
    query = Query.of(PICTURES, 1)
    maps = few.estimate(model, query, Schedule(8)).value
    others = [few.estimate(model, of_another_seed(query, number), Schedule(8)).value for number in range(4)]
    for row in range(5):
        alike = [
            float(spearmanr(maps[row].sum(0).flatten(), other[row].sum(0).flatten()).statistic) for other in others
        ]
        assert found.value[row].item() == pytest.approx(sum(alike) / 4)
        assert found.stderr is not None
        assert found.stderr[row].item() == pytest.approx(float(torch.tensor(alike).double().std()) / 2)


def test_another_seed_is_another_for_what_all_rows_share_and_for_each_row() -> None:
    query = Query.of(ROWS, 0, seed=3)
    others = [query, *(of_another_seed(query, number) for number in range(3))]
    assert len({other.seed for other in others}) == 4
    assert len(torch.cat([other.key for other in others]).unique()) == 4 * 40
    found = judge(SeedAgreement(3), net(), PICTURES, sg.noisegrad(samples=2))
    assert (found.value < 0.999999).all()


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_scores_the_same_in_every_batch(measure: Measure) -> None:
    model, keys = net(), torch.arange(5)
    whole = judge(measure, model, PICTURES, NOISY).value
    assert whole.isfinite().all()
    for chunk in (1, 3, 1000):
        torch.testing.assert_close(judge(measure, model, PICTURES, NOISY, chunk=chunk).value, whole)
    turned = keys.flip(0)
    torch.testing.assert_close(judge(measure, model, PICTURES[turned], NOISY, keys=turned).value, whole[turned])
    for row in range(5):
        alone = judge(measure, model, PICTURES[[row]], NOISY, keys=keys[[row]], chunk=2).value
        torch.testing.assert_close(alone, whole[[row]])


@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 4, 2)])
@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_all_shapes_are_judged(measure: Measure, shape: tuple[int, ...]) -> None:
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert judge(measure, net(shape), x, NOISY).value.isfinite().all()


@pytest.mark.parametrize("make", NEARBY)
def test_a_constant_row_has_no_neighbours_at_a_fraction_of_its_range(make: Callable[..., Nearby]) -> None:
    x = PICTURES.clone()
    x[3] = 0.25
    found = judge(make(0.1, 3), net(), x, GRADIENT)
    assert found.value.isnan().tolist() == [False, False, False, True, False]
    assert "constant" in found.reasons[3]
    assert judge(make(0.1, 3, "absolute"), net(), x, GRADIENT).value.isfinite().all()


@pytest.mark.parametrize("make", NEARBY)
def test_a_map_of_zeros_has_no_relative_change(make: Callable[..., Nearby]) -> None:
    query = Query.of(PICTURES, 1)
    maps = GRADIENT.estimate(net(), query, Schedule(8)).value.clone()
    maps[2] = 0
    found = make(0.1, 3).judge(Case(net(), query, maps, Schedule(8), GRADIENT))
    if make is LocalLipschitz:
        assert found.value.isfinite().all()
    else:
        assert found.value.isnan().tolist() == [False, False, True, False, False]
        assert "zero" in found.reasons[2]


def test_a_constant_map_agrees_with_nothing() -> None:
    query = Query.of(PICTURES, 1)
    maps = GRADIENT.estimate(net(), query, Schedule(8)).value.clone()
    maps[1] = 0.5
    found = SeedAgreement().judge(Case(net(), query, maps, Schedule(8), GRADIENT))
    assert found.value.isnan().tolist() == [False, True, False, False, False]
    assert "constant" in found.reasons[1]


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_finished_maps_alone_cannot_be_judged(measure: Measure) -> None:
    with pytest.raises(BadInput, match="which method"):
        measure(net(), Query.of(PICTURES, 1), PICTURES)


@pytest.mark.parametrize("make", NEARBY)
@pytest.mark.parametrize(
    "wrong", [{"radius": 0.0}, {"radius": float("nan")}, {"samples": 0}, {"radius_unit": "pixels"}]
)
def test_what_makes_no_sense_is_refused(make: Callable[..., Nearby], wrong: dict[str, object]) -> None:
    with pytest.raises(BadMethod):
        make(**wrong)


def test_one_draw_has_no_error() -> None:
    with pytest.raises(BadMethod):
        SeedAgreement(1)
    with pytest.raises(BadMethod):
        AverageSensitivity(samples=1)


@pytest.mark.parametrize("make", NEARBY)
def test_channels_that_are_all_constant_have_no_neighbours(make: Callable[..., Nearby]) -> None:
    x = PICTURES.clone()
    x[1, 0], x[1, 1], x[3, 0] = 0.3, 0.8, 0.3
    found = judge(make(0.1, 4, "channel"), net(), x, GRADIENT)
    assert found.value.isnan().tolist() == [False, True, False, False, False]
    assert found.reasons[1].startswith("every channel of the row is constant")
