"""Integrated Gradients with as many steps as completeness takes."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.quadrature import Quadrature, steps_for
from tests.truth import TRUTHS, X


class Steep(nn.Module):
    """tanh of each row's own steepness: easy for the first row, hard for the last."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        f = (x[:, 0] * (x[:, 1] - x[:, 0] / 2)).tanh() + x[:, 1]
        return torch.stack([f, -f], 1)


ROWS = torch.tensor([[0.3, 0.4], [20.0, 13.0], [90.0, 60.0]], dtype=torch.float64)


ALL: tuple[Quadrature, ...] = get_args(Quadrature)
NESTED: tuple[Quadrature, ...] = ("trapezoid", "left", "right", "simpson")
RULE = pytest.mark.parametrize("quadrature", ALL)


class Counting(Steep):
    """Counts the rows that it is asked for gradients: those that pass with gradients on."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x) * torch.is_grad_enabled()
        return super().forward(x)


def test_rows_take_the_steps_they_need() -> None:
    method = sg.integrated_gradients(tolerance=0.01)
    result = sg.explain(Steep(), ROWS, method=method, target=0)
    assert result.completeness is not None
    assert float(result.completeness.error.max()) <= 0.01
    assert result.passes[0] == 17
    assert result.passes.tolist() == sorted(result.passes.tolist())
    assert result.passes[2] > 17
    assert torch.equal(result.passes, result.draws), "every evaluation counts towards the map"


def test_what_does_not_nest_begins_anew() -> None:
    method = sg.integrated_gradients(tolerance=0.001, quadrature="gauss-legendre")
    result = sg.explain(Steep(), ROWS, method=method, target=0)
    # 16 + 32 + ... + steps = 2 steps - 16
    assert torch.equal(result.passes, 2 * result.draws - 16)
    assert result.draws[2] > 16


@RULE
@pytest.mark.parametrize("first", [4, 6])
def test_every_look_is_the_plain_rule_of_so_many_steps(quadrature: Quadrature, first: int) -> None:
    """Also when rows have left the batch, and the baselines are several."""
    baseline = sg.Several(sg.Zero(), sg.Constant(0.2))
    path = sg.StraightPath(baseline, steps_for(quadrature, first), quadrature)
    for tolerance in (1e-9, 0.02, 0.1):
        method = sg.Refined(path, tolerance, most=140)
        result = sg.explain(Steep(), ROWS, method=method, target=0)
        for row, draws in enumerate(result.draws.tolist()):
            plain = sg.integrated_gradients(draws // 2, baseline=baseline, quadrature=quadrature)
            alone = sg.explain(Steep(), ROWS[[row]], method=plain, target=0)
            assert int(alone.draws) == draws
            torch.testing.assert_close(result.maps[[row]], alone.maps)


@RULE
@given(steep=st.lists(st.floats(0.1, 200), min_size=1, max_size=5), tolerance=st.sampled_from([0.1, 0.01, 1e-3, 1e-9]))
@settings(max_examples=15)
def test_passes_are_counted_as_they_are_made(quadrature: Quadrature, steep: list[float], tolerance: float) -> None:
    rows = torch.tensor(steep, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.7], dtype=torch.float64)
    method = sg.Refined(sg.StraightPath(sg.Zero(), steps_for(quadrature, 4), quadrature), tolerance, most=70)
    net, query = Counting(), Query.of(rows, 0)
    before = 0
    for partial in method.partials(net, query, Schedule(7)):
        # Rows that left have taken fewer passes than those at work: what is new since the last report is their price.
        at_work = int((method.cost(partial.estimate().draws) == partial.done).sum())
        assert (net.rows - before) % at_work == 0
        before = net.rows
        assert partial.done <= partial.total == method.passes
    assert net.rows == int(method.cost(partial.estimate().draws).sum())
    if quadrature in NESTED:
        assert torch.equal(method.cost(partial.estimate().draws), partial.estimate().draws)


@pytest.mark.parametrize(
    ("quadrature", "passes"),
    [
        ("left", 8),
        ("right", 8),
        ("midpoint", 2 + 4 + 8),
        ("trapezoid", 5),
        ("simpson", 5),
    ],
)
def test_what_does_not_converge_says_so(quadrature: Quadrature, passes: int) -> None:
    method = sg.Refined(sg.StraightPath(steps=steps_for(quadrature, 2), quadrature=quadrature), tolerance=1e-19, most=8)
    result = sg.explain(TRUTHS["sine"], X[None], method=method, target=0)
    assert result.completeness is not None
    assert float(result.completeness.error) > 1e-19
    assert result.converged is not None
    assert not result.converged.any()
    assert result.passes.tolist() == [passes]
    assert method.passes == passes


@pytest.mark.parametrize(
    ("quadrature", "steps", "passes"),
    [
        (None, [17, 33, 65, 129, 257, 513], 513),
        ("trapezoid", [17, 33, 65, 129, 257, 513], 513),
        ("simpson", [17, 33, 65, 129, 257, 513], 513),
        ("left", [16, 32, 64, 128, 256, 512], 512),
        ("midpoint", [16, 32, 64, 128, 256, 512], 1008),
        ("gauss-legendre", [16, 32, 64, 128, 256, 512], 1008),
    ],
)
def test_intervals_double_up_to_the_most(quadrature: Quadrature | None, steps: list[int], passes: int) -> None:
    method = sg.integrated_gradients(tolerance=0.1, quadrature=quadrature)
    assert isinstance(method, sg.Refined)
    assert method.looks == steps
    with torch.device("meta"):  # whatever torch's defaults are
        assert method.passes == passes


def test_it_is_judged_by_the_mean_over_its_baselines() -> None:
    baseline = sg.Several(sg.Black(), sg.White())
    method = sg.integrated_gradients(tolerance=0.01, baseline=baseline)
    change = method.change(TRUTHS["sine"], Query.of(X[None], 0), Schedule(9))
    assert change is not None
    ends = (X.min().sin() + X.max().sin()) / 2 * 4
    torch.testing.assert_close(change, (X.sin().sum() - ends)[None])


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(BadMethod, match="tolerance > 0, got 0"):
        sg.integrated_gradients(tolerance=0)
    with pytest.raises(BadMethod, match="most=8 is fewer than the first 17 steps"):
        sg.Refined(most=8)
