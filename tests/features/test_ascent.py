"""Steps, against torch's own optimisers and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from smoothgrad.errors import BadMethod
from smoothgrad.features import Adam, Ascent, Normalised, Steepest

START = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def height(p: Tensor) -> Tensor:
    return -(p**4).sum() + p.sin().sum()


def climbed(ascent: Ascent, steps: int) -> Tensor:
    p, state = START, ascent.begin(START)
    for number in range(steps):
        leaf = p.clone().requires_grad_()
        p, state = ascent.step(p, torch.autograd.grad(height(leaf), leaf)[0], state, number)
    return p


@pytest.mark.parametrize(
    ("ascent", "optimizer"),
    [
        (Adam(0.03), lambda p: torch.optim.Adam([p], lr=0.03, maximize=True)),
        (Steepest(0.02), lambda p: torch.optim.SGD([p], lr=0.02, maximize=True)),
    ],
    ids=["adam", "steepest"],
)
def test_torch_takes_the_same_steps(ascent: Ascent, optimizer: object) -> None:
    p = START.clone().requires_grad_()
    theirs = optimizer(p)  # type: ignore[operator]
    for _ in range(20):
        theirs.zero_grad()
        torch.autograd.backward(height(p))
        theirs.step()
    torch.testing.assert_close(climbed(ascent, 20), p.detach())


def test_normalised_steps_have_one_mean_size_in_each_row() -> None:
    slope = torch.tensor([[1.0, -3.0], [0.001, 0.0], [0.0, 0.0]])
    moved, _ = Normalised(0.5).step(torch.zeros(3, 2), slope, (), 0)
    torch.testing.assert_close(moved, torch.tensor([[0.25, -0.75], [1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("kind", [Adam, Steepest, Normalised])
@pytest.mark.parametrize("rate", [0.0, -0.1, math.inf, math.nan])
def test_a_learning_rate_goes_up(kind: type[Adam], rate: float) -> None:
    with pytest.raises(BadMethod, match="learning_rate > 0"):
        kind(rate)
