"""Guided IG."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadBaseline, BadMethod
from smoothgrad.explainers.guided_ig import GuidedPath
from smoothgrad.methods.paths import guided_integrated_gradients
from tests.nets import small_net
from tests.truth import TRUTHS, Linear, X, symmetric

ROWS = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
NET = small_net().double()
B = torch.tensor([0.1, 0.5, -0.4, 0.9], dtype=torch.float64)


def maps(method: sg.Explainer, net: nn.Module = NET, x: Tensor = ROWS, **given: object) -> Tensor:
    return sg.explain(net, x, method=method, target=0, **given).maps  # type: ignore[arg-type]


def left(steps: int, baseline: sg.Baseline = sg.Zero()) -> sg.Explainer:
    return sg.integrated_gradients(steps, baseline=baseline, quadrature="left")


# --- the paper, slowly ------------------------------------------------------------------------------------------------


def slow_guided(
    net: nn.Module, row: Tensor, b: Tensor, steps: int, fraction: float, distance: float, anchors: int = 0
) -> Tensor:
    """Kapishnikov et al. 2021, one value at a time. All numbers are Python's."""
    x, start = row.flatten().tolist(), b.flatten().tolist()
    n = len(x)
    whole = sum(abs(x[i] - start[i]) for i in range(n))
    at, total = list(start), [0.0] * n
    for step in range(steps):
        point = torch.tensor(at, dtype=torch.float64).view(row.shape)[None].requires_grad_()
        gradient = torch.autograd.grad(net(point)[0, 0], point)[0].flatten().tolist()
        a, part = (step + 1) / steps, step * (anchors + 1) // steps
        low = max(a - distance, part / (anchors + 1))
        high = min(a + distance, (part + 1) / (anchors + 1))
        furthest = [start[i] + high * (x[i] - start[i]) for i in range(n)]
        new = list(at)
        for i in range(n):  # what has fallen behind
            if x[i] != start[i] and (at[i] - start[i]) / (x[i] - start[i]) < low:
                new[i] = start[i] + low * (x[i] - start[i])
        while True:
            too_much = sum(abs(x[i] - new[i]) for i in range(n)) - whole * (1 - a)
            if too_much <= 1e-13 * whole:
                break
            movable = [i for i in range(n) if abs(new[i] - furthest[i]) > 1e-15]
            size = [abs(gradient[i]) if i in movable else math.inf for i in range(n)]
            threshold = sorted(size)[math.floor(fraction * (n - 1))]
            chosen = [i for i in movable if size[i] <= threshold]
            room = sum(abs(furthest[i] - new[i]) for i in chosen)
            if not room:
                break
            share = min(1.0, too_much / room)
            for i in chosen:
                new[i] = furthest[i] if share == 1 else new[i] + share * (furthest[i] - new[i])
        for i in range(n):
            total[i] += (new[i] - at[i]) * gradient[i]
        at = new
    return torch.tensor(total, dtype=torch.float64).view(row.shape)


@pytest.mark.parametrize(
    ("steps", "fraction", "distance", "anchors"),
    [
        (10, 0.25, 0.02, 0),
        (10, 0.25, 0.3, 0),
        (12, 0.1, 1.0, 0),
        (7, 0.6, 0.1, 0),
        (12, 0.25, 1.0, 2),
        (12, 0.001, 0.2, 3),
    ],
)
def test_it_is_the_papers_algorithm(steps: int, fraction: float, distance: float, anchors: int) -> None:
    b = torch.full_like(ROWS[0], 0.05)
    fast = maps(GuidedPath(sg.Constant(0.05), steps, fraction, distance, anchors))
    for row in range(2):
        expected = slow_guided(NET, ROWS[row], b, steps, fraction, distance, anchors)
        torch.testing.assert_close(fast[row], expected, rtol=1e-7, atol=1e-9)


# --- what is known in closed form -------------------------------------------------------------------------------------


def test_a_linear_score_has_the_same_map_on_any_path() -> None:
    truth = TRUTHS["linear"]
    assert isinstance(truth, Linear)
    for method in (
        GuidedPath(sg.Given(B), 3),
        GuidedPath(sg.Given(B), 20, 0.5, 1.0),
        GuidedPath(sg.Given(B), 20, anchors=3),
    ):
        torch.testing.assert_close(maps(method, truth, X[None]), truth.path(X[None], B[None]))


@pytest.mark.parametrize("name", ["sine", "cubic"])
def test_a_sum_over_values_has_the_same_map_on_any_path(name: str) -> None:
    truth = TRUTHS[name]
    expected = truth.path(X[None], B[None])
    off = [
        float((maps(GuidedPath(sg.Given(B), steps, 0.25, 1.0), truth, X[None]) - expected).abs().max())
        for steps in (200, 1600)
    ]
    assert off[0] < 0.05
    assert off[1] < off[0] / 5


class Valley(nn.Module):
    """f = x0 x1 + 5 x1: from 0, the first value costs nothing until the second has moved."""

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, 0] * x[:, 1] + 5 * x[:, 1])[:, None]


def test_the_flat_way_is_gone_first() -> None:
    x = torch.ones(1, 2, dtype=torch.float64)
    guided = maps(GuidedPath(steps=10, distance=1.0), Valley().eval(), x)
    torch.testing.assert_close(guided, torch.tensor([[0.0, 6.0]], dtype=torch.float64))
    straight = maps(sg.integrated_gradients(10), Valley().eval(), x)
    torch.testing.assert_close(straight, torch.tensor([[0.5, 5.5]], dtype=torch.float64))


@pytest.mark.parametrize("steps", [1, 9, 30])
def test_all_values_at_once_or_no_distance_is_integrated_gradients(steps: int) -> None:
    baseline = sg.Constant(0.2)
    expected = maps(left(steps, baseline))
    torch.testing.assert_close(maps(GuidedPath(baseline, steps, fraction=1.0)), expected)
    torch.testing.assert_close(maps(GuidedPath(baseline, steps, fraction=1.0, distance=1.0)), expected)
    torch.testing.assert_close(maps(GuidedPath(baseline, steps, distance=0.0)), expected)
    torch.testing.assert_close(maps(GuidedPath(baseline, steps, anchors=steps - 1)), expected)


def test_equal_gradients_move_together() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1, keepdim=True).exp()

    x = torch.tensor([[0.1, 0.9, -0.4, 0.3, 0.7]], dtype=torch.float64)
    torch.testing.assert_close(
        maps(GuidedPath(steps=8, distance=1.0), Mean().eval(), x), maps(left(8), Mean().eval(), x)
    )


def test_it_is_complete_when_steps_are_many() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    x = torch.linspace(-1, 2, 12, dtype=torch.float64).view(2, 6)
    errors = []
    for steps in (50, 400):
        result = sg.explain(net, x, method=guided_integrated_gradients(steps), target=0)
        assert result.completeness is not None
        torch.testing.assert_close(result.completeness.change, (net(x) - net(0 * x))[:, 0].detach())
        errors.append(float((result.completeness.total - result.completeness.change).abs().max()))
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.02


# --- the path ---------------------------------------------------------------------------------------------------------


class Recording(nn.Module):
    """Keeps where it was asked for gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = NET, []  # type: ignore[var-annotated]
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.append(x.detach())
        scores: Tensor = self.net(x)
        return scores


def walked(method: GuidedPath) -> Tensor:
    """How far along its way each value of each row is before each step: (T, N, D)."""
    net = Recording()
    method.estimate(net, Query.of(ROWS, 0), Schedule(64))
    return torch.stack([x / ROWS for x in net.seen]).flatten(2)  # the baseline is 0


@pytest.mark.parametrize("distance", [0.05, 0.3])
def test_the_path_keeps_its_promises(distance: float) -> None:
    places = walked(GuidedPath(steps=20, distance=distance))
    assert len(places) == 20
    share = ROWS.flatten(1).abs() / ROWS.flatten(1).abs().sum(1, keepdim=True)
    for step, place in enumerate(places):
        goal = step / 20
        torch.testing.assert_close((share * place).sum(1), torch.full((3,), goal, dtype=torch.float64))
        assert float((place - goal).abs().max()) <= distance + 1e-9
        assert bool((place >= 0).all())
        assert bool((place <= 1).all())
    assert bool((places[1:] >= places[:-1] - 1e-12).all()), "no value ever goes back"
    assert float((places[10] - 0.5).abs().max()) > distance / 2, "it does leave the straight line"


def test_anchors_are_on_the_straight_line() -> None:
    places = walked(GuidedPath(steps=20, distance=1.0, anchors=3))
    for step in (5, 10, 15):
        torch.testing.assert_close(places[step], torch.full_like(places[step], step / 20))
    assert float((places[7] - 7 / 20).abs().max()) > 0.05


# --- how it composes --------------------------------------------------------------------------------------------------


def test_rows_do_not_see_each_other() -> None:
    method = GuidedPath(sg.Several(sg.Black(), sg.White()), 9, distance=0.2)
    whole = maps(method)
    for row in range(3):
        torch.testing.assert_close(maps(method, x=ROWS[[row]]), whole[[row]])
    for chunk in (1, 2, 64):
        torch.testing.assert_close(maps(method, chunk=chunk), whole)


def test_several_baselines_are_averaged() -> None:
    one, other = sg.Constant(0.3), sg.Given(ROWS.flip(0))
    both = maps(GuidedPath(sg.Several(one, other), 9, distance=0.2))
    each = [maps(GuidedPath(baseline, 9, distance=0.2)) for baseline in (one, other)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_under_a_cloud_each_copy_has_a_path_of_its_own() -> None:
    inner, cloud = GuidedPath(sg.Black(), 6, distance=0.2), sg.Gaussian(0.2, 3)
    smooth = sg.explain(NET, ROWS, method=inner.over(cloud), target=0, seed=5)
    asked = Query.of(ROWS, 0, seed=5)
    points = cloud.draw(asked, range(3)).points
    each = inner.estimate(NET, asked.at(points, range(3)), Schedule(64)).value.unflatten(0, (3, -1))
    torch.testing.assert_close(smooth.maps, each.mean(0))
    assert smooth.stderr is not None
    assert int(smooth.passes[0]) == 18


def test_several_targets_have_paths_of_their_own() -> None:
    method = GuidedPath(steps=9, distance=0.3)
    each = [sg.explain(NET, ROWS, method=method, target=target).maps for target in (0, 3)]
    query = Query.of(ROWS, 0)
    both = method.estimate(NET, query.for_each(torch.tensor([[0, 3]] * 3)), Schedule(64)).value
    torch.testing.assert_close(both.unflatten(0, (3, 2)), torch.stack(each, 1))


def test_a_row_that_is_its_baseline_has_a_map_of_zeros() -> None:
    x = torch.cat([ROWS[:1], torch.zeros_like(ROWS[:1])])
    found = maps(GuidedPath(steps=5), x=x)
    assert bool((found[0] != 0).any())
    assert not found[1].any()


def test_passes_are_counted() -> None:
    method = GuidedPath(sg.Several(sg.Black(), sg.Adversarial(0.1, 3)), 10)
    assert method.passes == 4 + 20
    result = sg.explain(NET, ROWS, method=method)
    assert result.passes.tolist() == [24] * 3
    assert result.draws.tolist() == [20] * 3
    done = [partial.done for partial in method.partials(NET, Query.of(ROWS, 0), Schedule(64))]
    assert done == [4 + 2 * (step + 1) for step in range(10)]
    assert method.unit == result.unit == "score"
    assert result.stderr is None


def test_float32_goes_nearly_the_same_way() -> None:
    x = symmetric(4)[None].float()
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)).eval()
    narrow = maps(GuidedPath(steps=20), net, x)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(
        narrow.double(), maps(GuidedPath(steps=20), net.double(), x.double()), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "steps >= 1, got 0"),
        ({"fraction": 0.0}, "a share of the values, above 0 and at most 1, got 0"),
        ({"fraction": 1.5}, "a share of the values, above 0 and at most 1, got 1.5"),
        ({"distance": -0.1}, "a finite distance >= 0, got -0.1"),
        ({"distance": math.nan}, "a finite distance >= 0, got nan"),
        ({"steps": 10, "anchors": 2}, "anchors=2 has 3 parts .* 10 steps are no multiple; take 12 steps"),
        ({"anchors": -1}, "anchors >= 0, got -1"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(BadMethod, match=message):
        GuidedPath(**given)  # type: ignore[arg-type]


def test_a_baseline_of_another_shape_is_refused() -> None:
    with pytest.raises(BadBaseline, match="pass one row, or one per input"):
        maps(guided_integrated_gradients(3, baseline=sg.Given(torch.zeros(2, 2))))
