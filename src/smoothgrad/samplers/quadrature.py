"""Nodes and weights on [0, 1] for the integral of a gradient along a path. Weights sum to one, always."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothgrad.errors import BadMethod, nearest

Quadrature: TypeAlias = Literal["gauss-legendre", "midpoint", "trapezoid", "left", "right", "simpson"]
Rule = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]


@cache
def nodes_and_weights(quadrature: Quadrature, steps: int) -> tuple[Tensor, Tensor]:
    """(steps,) positions a_k in [0, 1], ascending, and (steps,) weights; float64.

    Gauss-Legendre with m steps is exact for polynomials up to degree 2 m - 1, Simpson (an odd number of steps) up to 3,
    trapezoid and midpoint up to 1, left and right up to 0. One step is one evaluation of the gradient.

    >>> nodes_and_weights("trapezoid", 3)[1]
    tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """
    nodes, weights = _RULES[quadrature](steps)
    assert abs(weights.sum() - 1) < 1e-9, "quadrature weights must sum to one"
    return torch.from_numpy(nodes), torch.from_numpy(weights)


def check(quadrature: str, steps: int) -> None:
    """Raises `BadMethod` for an unknown rule, or a number of steps it cannot have."""
    if quadrature not in get_args(Quadrature):
        raise BadMethod(f"no quadrature {quadrature!r}; {nearest(quadrature, get_args(Quadrature))}")
    least = {"trapezoid": 2, "simpson": 3}.get(quadrature, 1)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < least:
        raise BadMethod(f"{quadrature} needs steps >= {least}, got {steps!r}")
    if quadrature == "simpson" and steps % 2 == 0:
        raise BadMethod(f"simpson needs an odd number of steps, got {steps}; take {steps - 1 or 3} or {steps + 1}")


# Rules that nest, each with the rule whose sum is kept from one number of steps to the next. With intervals of half the length
# the new nodes are the midpoints of the current intervals, so that only those are evaluated:
#     Q(h / 2) = (Q(h) + M(h)) / 2,    M the midpoint rule;    Simpson(h / 2) = (4 T(h / 2) - T(h)) / 3,    T the trapezoid rule.
NESTING: dict[Quadrature, Quadrature] = {
    "trapezoid": "trapezoid",
    "left": "left",
    "right": "right",
    "simpson": "trapezoid",
}


def intervals(quadrature: Quadrature, steps: int) -> int:
    """How many equal parts of [0, 1] a rule of so many steps is made of."""
    return steps - 1 if quadrature in {"trapezoid", "simpson"} else steps


def steps_for(quadrature: Quadrature, parts: int) -> int:
    """The number of steps of a rule made of so many intervals."""
    return parts + 1 if quadrature in {"trapezoid", "simpson"} else parts


def doubled(quadrature: Quadrature, steps: int) -> int:
    """The number of steps with twice as many intervals.

    >>> doubled("midpoint", 16), doubled("trapezoid", 17)
    (32, 33)
    """
    return steps_for(quadrature, 2 * intervals(quadrature, steps))


def _gauss_legendre(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(m)  # on [-1, 1], where the weights sum to 2
    return (nodes + 1) / 2, weights / 2


def _midpoint(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (np.arange(m) + 0.5) / m, np.full(m, 1 / m)


def _left(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.arange(m) / m, np.full(m, 1 / m)


def _right(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (np.arange(m) + 1) / m, np.full(m, 1 / m)


def _trapezoid(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = np.full(m, 1 / (m - 1))  # m nodes bound m - 1 intervals
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, m), weights


def _simpson(m: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = np.where(np.arange(m) % 2 == 1, 4.0, 2.0)  # 1 4 2 4 ... 2 4 1
    weights[[0, -1]] = 1
    return np.linspace(0, 1, m), weights / (3 * (m - 1))


_RULES: dict[str, Rule] = {
    "gauss-legendre": _gauss_legendre,
    "midpoint": _midpoint,
    "trapezoid": _trapezoid,
    "left": _left,
    "right": _right,
    "simpson": _simpson,
}
