"""Nodes and weights on [0, 1]."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.errors import BadMethod
from smoothgrad.samplers.quadrature import NESTING, Quadrature, check, doubled, intervals, nodes_and_weights, steps_for

ALL = get_args(Quadrature)


def steps_of(quadrature: str, least: int) -> int:
    return least | 1 if quadrature == "simpson" else least


def integral(quadrature: Quadrature, steps: int, degree: int) -> float:
    nodes, weights = nodes_and_weights(quadrature, steps)
    return float((weights * nodes**degree).sum())


@pytest.mark.parametrize("quadrature", ALL)
@given(steps=st.integers(3, 300))
def test_weights_are_positive_and_sum_to_one(quadrature: Quadrature, steps: int) -> None:
    steps = steps_of(quadrature, steps)
    nodes, weights = nodes_and_weights(quadrature, steps)
    assert nodes.shape == weights.shape == (steps,)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    assert float(weights.min()) > 0
    assert bool((nodes.diff() > 0).all())
    assert 0 <= float(nodes[0]) <= float(nodes[-1]) <= 1
    assert nodes.dtype == weights.dtype == torch.float64


@pytest.mark.parametrize(
    ("quadrature", "degree"), [("left", 0), ("right", 0), ("midpoint", 1), ("trapezoid", 1), ("simpson", 3)]
)
def test_each_is_exact_to_its_degree_and_no_further(quadrature: Quadrature, degree: int) -> None:
    for steps in (3, 7, 21):
        for exact in range(degree + 1):
            assert integral(quadrature, steps, exact) == pytest.approx(1 / (exact + 1), abs=1e-12)
        assert integral(quadrature, steps, degree + 1) != pytest.approx(1 / (degree + 2), abs=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 20])
def test_gauss_legendre_is_exact_to_degree_two_m_minus_one(steps: int) -> None:
    for degree in range(2 * steps):
        assert integral("gauss-legendre", steps, degree) == pytest.approx(1 / (degree + 1), abs=1e-12)
    if steps < 8:
        assert integral("gauss-legendre", steps, 2 * steps) != pytest.approx(1 / (2 * steps + 1), abs=1e-9)


@pytest.mark.parametrize(
    ("quadrature", "order"), [("left", 1), ("right", 1), ("midpoint", 2), ("trapezoid", 2), ("simpson", 4)]
)
def test_errors_fall_at_the_order_of_the_rule(quadrature: Quadrature, order: int) -> None:
    def error(intervals: int) -> float:
        nodes, weights = nodes_and_weights(quadrature, intervals + (quadrature in {"trapezoid", "simpson"}))
        return abs(float((weights * nodes.exp()).sum()) - (torch.e - 1))

    assert error(16) / error(32) == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("quadrature", sorted(NESTING))
@pytest.mark.parametrize("parts", [2, 4, 6, 16])
def test_what_nests_is_made_of_half_as_many_intervals_and_their_midpoints(quadrature: Quadrature, parts: int) -> None:
    """Nodes and weights, for themselves: Q(h / 2) = (Q(h) + M(h)) / 2, and Simpson(h / 2) = (4 T(h / 2) - T(h)) / 3."""

    def rule(name: Quadrature, parts: int) -> dict[float, float]:
        nodes, weights = nodes_and_weights(name, steps_for(name, parts))
        return dict(zip(nodes.mul(720).round(decimals=9).tolist(), weights.tolist(), strict=True))

    kept = NESTING[quadrature]
    coarse, middle = rule(kept, parts), rule("midpoint", parts)
    assert not set(coarse) & set(middle)
    fine = {node: weight / 2 for node, weight in (coarse | middle).items()}
    if quadrature == "simpson":
        fine = {node: (4 * weight - coarse.get(node, 0.0)) / 3 for node, weight in fine.items()}
    assert dict(sorted(fine.items())) == pytest.approx(rule(quadrature, 2 * parts))


@pytest.mark.parametrize("quadrature", ALL)
def test_doubling_doubles_the_intervals(quadrature: Quadrature) -> None:
    for parts in (2, 16, 30):
        steps = steps_for(quadrature, parts)
        assert intervals(quadrature, steps) == parts
        assert doubled(quadrature, steps) == steps_for(quadrature, 2 * parts)
        check(quadrature, doubled(quadrature, steps))


@pytest.mark.parametrize(
    ("quadrature", "steps", "reason"),
    [
        ("gauss-legendr", 5, "no quadrature 'gauss-legendr'; did you mean 'gauss-legendre'"),
        ("midpoint", 0, "midpoint needs steps >= 1, got 0"),
        ("trapezoid", 1, "trapezoid needs steps >= 2, got 1"),
        ("simpson", 1, "simpson needs steps >= 3, got 1"),
        ("simpson", 8, "simpson needs an odd number of steps, got 8; take 7 or 9"),
        ("midpoint", 2.0, r"got 2\.0"),
        ("midpoint", True, "got True"),
    ],
)
def test_what_a_rule_cannot_be_is_refused(quadrature: str, steps: int, reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        check(quadrature, steps)
