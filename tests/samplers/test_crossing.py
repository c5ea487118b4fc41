"""A root of the score on the way to a baseline, and the Taylor term there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.methods.relevance import simple_taylor
from smoothgrad.samplers.crossing import Crossing
from tests.truth import TRUTHS, Linear, W, X

ROWS = torch.stack([X, X.flip(0) * 2])


def found(net: nn.Module, crossing: Crossing, target: int = 0) -> torch.Tensor:
    return crossing.of(net, Query.of(ROWS, target), Schedule(1))


@pytest.mark.parametrize("target", [0, 1])  # f and -f
def test_it_is_where_the_score_changes_its_sign(target: int) -> None:
    net = Linear(W, c=-0.2)
    start = net(ROWS)[:, target]
    root = found(net, Crossing(sg.Constant(3.0), halvings=40), target)[:, 0]
    crosses = start * net(torch.full_like(ROWS, 3.0))[:, target] < 0
    at = net(root)[:, target]
    assert crosses.any()
    torch.testing.assert_close(at[crosses], torch.zeros_like(at[crosses]), rtol=0, atol=1e-9)
    assert (at * start >= 0).all(), "on the input's side"


def test_it_lies_on_the_way() -> None:
    root = found(TRUTHS["sine"], Crossing(sg.Constant(3.0)))[:, 0]
    along = (root - 3.0) / (ROWS - 3.0)
    torch.testing.assert_close(along, along[:, :1].expand_as(along))
    assert bool(((along > 0) & (along <= 1)).all())


def test_without_a_crossing_it_is_next_to_the_baseline() -> None:
    root = found(Linear(W, c=50.0), Crossing(sg.Zero(), halvings=10))[:, 0]
    torch.testing.assert_close(root, ROWS / 2**10)


def test_several_baselines_have_a_crossing_each() -> None:
    crossing = Crossing(sg.Several(sg.Constant(3.0), sg.Constant(-3.0)), halvings=5)
    assert found(TRUTHS["ramp"], crossing).shape == (2, 2, 4)
    assert (crossing.each, crossing.passes) == (2, 11)


def test_simple_taylor_of_a_linear_score_is_complete() -> None:
    result = sg.explain(
        Linear(W, c=-0.2), ROWS, method=simple_taylor(Crossing(sg.Constant(3.0), halvings=45)), target=0
    )
    assert result.completeness is not None
    torch.testing.assert_close(result.completeness.total, result.completeness.change)
    root = found(Linear(W, c=-0.2), Crossing(sg.Constant(3.0), halvings=45))[:, 0]
    torch.testing.assert_close(result.maps, (ROWS - root) * W)


def test_simple_taylor_of_a_network_without_biases_is_input_times_gradient() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 9, bias=False), nn.ReLU(), nn.Linear(9, 3, bias=False)).double().eval()
    taylor = sg.explain(net, ROWS, method=simple_taylor(), target=1)
    gradient = sg.explain(net, ROWS, method=sg.input_x_gradient(), target=1)
    torch.testing.assert_close(taylor.maps, gradient.maps * (1 - 2**-16))
    assert int(taylor.passes[0]) == simple_taylor().passes == 18


def test_halvings_out_of_range_are_refused() -> None:
    for halvings in (0, 51):
        with pytest.raises(BadMethod, match="halvings from 1 to 50"):
            Crossing(halvings=halvings)


def test_torchs_default_device_does_not_matter() -> None:
    net, x = Linear(W), ROWS
    query, expected = Query.of(x, 0), found(net, Crossing())
    with torch.device("meta"):
        assert torch.equal(Crossing().of(net, query, Schedule(1)), expected)
