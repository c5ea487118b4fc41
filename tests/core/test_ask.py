"""The one place where the model is called."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.ask import gradients, output_of, scores
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadModel, NonFinite, NotDifferentiable
from tests.truth import TRUTHS, X

ALL = Schedule(100)
ROWS = torch.stack([X, 2 * X, X - 1])


class Of(nn.Module):
    """A network made of a function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        assert callable(self.function)
        return self.function(*inputs)


def test_logits_are_unwrapped() -> None:
    net = Of(lambda x: SimpleNamespace(logits=x * 2, loss=None))
    assert torch.equal(output_of(net, Query.of(ROWS, 0), ALL), ROWS * 2)


def test_an_output_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(BadModel, match=r"Of returned tuple; it must return a tensor or an object with \.logits"):
        output_of(Of(lambda x: (x, x)), Query.of(ROWS, 0), ALL)


@pytest.mark.parametrize("function", [lambda x: x.sum(), lambda x: x[:2], lambda x: x.T])
def test_an_output_without_the_rows_first_is_refused(function: object) -> None:
    with pytest.raises(BadModel, match=r"returned shape .* for 3 rows; the first dimension"):
        output_of(Of(function), Query.of(ROWS, 0), ALL)


def test_the_model_cannot_write_into_rows_and_context() -> None:
    x, extra = ROWS.clone(), ROWS.clone()
    asked = Query.of(x, 0, context=(extra,))
    output_of(Of(lambda a, b: a.mul_(2) + b.mul_(3)), asked, ALL)
    gradients(Of(lambda a, b: a.mul_(2) + b.mul_(3)), asked, ALL)
    assert torch.equal(x, ROWS)
    assert torch.equal(extra, ROWS)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks_do_not_change_scores_and_gradients(chunk: int) -> None:
    asked = Query.of(ROWS, 0)
    torch.testing.assert_close(scores(TRUTHS["sine"], asked, Schedule(chunk)), ROWS.sin().sum(1))
    torch.testing.assert_close(gradients(TRUTHS["sine"], asked, Schedule(chunk)), ROWS.cos())


def test_gradients_are_computed_inside_no_grad() -> None:
    with torch.no_grad():
        maps = gradients(TRUTHS["sine"], Query.of(ROWS, 0), ALL)
    torch.testing.assert_close(maps, ROWS.cos())
    assert not maps.requires_grad


def test_gradients_of_parameters_are_neither_made_nor_touched() -> None:
    net = nn.Linear(4, 2).double().eval()
    net.weight.grad = torch.ones_like(net.weight)
    gradients(net, Query.of(ROWS, 1), ALL)
    assert bool((net.weight.grad == 1).all())
    assert net.bias.grad is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.detach(),
        lambda x: torch.zeros(len(x), 4, dtype=x.dtype),
        lambda x: x.argmax(1, keepdim=True).double().expand(-1, 4),
        lambda x: torch.ones(len(x), 4, dtype=x.dtype, requires_grad=True) * 2,
        torch.no_grad()(lambda x: x * 2),
        lambda x: torch.from_numpy(x.detach().numpy() * 2),
    ],
    ids=["detach", "constant", "argmax", "unrelated", "no_grad", "numpy"],
)
def test_a_score_without_a_gradient_is_refused(function: object) -> None:
    with pytest.raises(NotDifferentiable, match="the score of Of does not depend on the input"):
        gradients(Of(function), Query.of(ROWS, 0), ALL)


def test_a_gradient_that_is_not_finite_is_refused_by_row() -> None:
    x = ROWS.clone()
    x[2, 0] = 0
    asked = Query.of(x, 0)
    for chunk in (1, 2, 100):
        with pytest.raises(NonFinite, match="the gradient of row 2 holds NaN or infinity"):
            gradients(Of(lambda x: x.abs().sqrt()), asked, Schedule(chunk))
    with pytest.raises(NonFinite, match="row 2"):
        gradients(Of(lambda x: x.abs().sqrt()), asked.at(x.expand(4, 3, 4), range(4)), ALL)


def test_autocast_gives_scores_in_the_type_of_the_rows() -> None:
    net = nn.Linear(4, 2).eval()
    asked = Query.of(ROWS.float(), 1)
    narrow = Schedule(100, torch.bfloat16)
    assert output_of(net, asked, narrow).dtype == torch.float32
    maps = gradients(net, asked, narrow)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, net.weight[1].detach().expand_as(maps), rtol=0.01, atol=0.01)
