"""The penalty on the gradient against its closed form, and its own gradient against finite differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.errors import BadInput, NotDifferentiable
from smoothgrad.training.penalty import gradient_penalty

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WEIGHT = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
LABELS = torch.tensor([0, 3, 3, 1])


def test_of_a_linear_softmax_it_is_what_one_works_out() -> None:
    # loss = -log softmax(W x)_y,  d loss / dx = W' (p - onehot(y))
    x = X.clone().requires_grad_()
    slope = ((x @ WEIGHT.T).softmax(1) - F.one_hot(LABELS, 5)) @ WEIGHT
    expected = slope.square().sum(1).mean()
    assert torch.allclose(gradient_penalty(x @ WEIGHT.T, x, LABELS), expected, rtol=1e-12)


@pytest.mark.parametrize("bend", [torch.tanh, F.softplus, torch.relu])
def test_its_gradient_in_the_weights_is_that_of_finite_differences(bend: object) -> None:
    assert callable(bend)

    def penalty(weight: Tensor) -> Tensor:
        x = X.clone().requires_grad_()
        return gradient_penalty(bend(x @ weight.T) @ WEIGHT.T, x, LABELS)

    start = torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(penalty, (start.requires_grad_(),))


def test_scores_that_do_not_change_cost_nothing() -> None:
    x = X.clone().requires_grad_()
    assert gradient_penalty((x * 0) @ WEIGHT.T, x, LABELS).item() == 0


def test_one_row_does_not_change_another() -> None:
    x = X.clone().requires_grad_()
    each = []
    for i in range(len(X)):
        one = X[i : i + 1].clone().requires_grad_()
        each.append(gradient_penalty(one @ WEIGHT.T, one, LABELS[i : i + 1]))
    assert torch.allclose(gradient_penalty(x @ WEIGHT.T, x, LABELS), torch.stack(each).mean())


def test_rows_of_pictures() -> None:
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64).requires_grad_()
    value = gradient_penalty(x.flatten(1)[:, :5], x, torch.tensor([1, 2]))
    assert value.ndim == 0
    assert value > 0


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (torch.zeros(4), LABELS),
        (torch.zeros(3, 5), LABELS),
        (torch.zeros(4, 5), LABELS[:2]),
    ],
)
def test_shapes_that_do_not_go_together(scores: Tensor, labels: Tensor) -> None:
    with pytest.raises(BadInput, match=r"takes scores \(N, K\)"):
        gradient_penalty(scores, X.clone().requires_grad_(), labels)


def test_scores_that_do_not_come_from_the_rows() -> None:
    weight = WEIGHT.clone().requires_grad_()
    with pytest.raises(NotDifferentiable, match="requires_grad_"):
        gradient_penalty(X @ weight.T, X, LABELS)
    with pytest.raises(NotDifferentiable, match="requires_grad_"):
        gradient_penalty(X @ WEIGHT.T, X.clone().requires_grad_(), LABELS)
    with pytest.raises(NotDifferentiable, match="the tensor that the network took"):
        gradient_penalty(X @ weight.T, X.clone().requires_grad_(), LABELS)
