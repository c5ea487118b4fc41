"""Jacobian-vector products against forward differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.rules.push import push
from smoothgrad.rules.trace import Trace, trace

X = torch.linspace(-3, 3, 2 * 4 * 5, dtype=torch.float64).mul(7).sin().view(2, 4, 5)


class Net(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def traced(function: Callable[[Tensor], Tensor]) -> Trace:
    return trace(Net(function), Query.of(X, 0))


@pytest.mark.parametrize(
    "function",
    [
        torch.tanh,
        F.gelu,
        lambda x: x * x.sum(1, keepdim=True),
        lambda x: x.softmax(1),
        lambda x: F.layer_norm(x, (5,)),
        lambda x: torch.cat(x.split(2, 1)[::-1], 1),
        lambda x: x @ x.mT,
        lambda x: x.transpose(0, 1).reshape(4, -1).view(4, 2, 5).transpose(0, 1),
    ],
)
def test_every_step_is_pushed_through(function: Callable[[Tensor], Tensor]) -> None:
    steps = traced(function)
    for step in steps.steps:
        values = steps.inputs(step)
        tangents = {place: value.cos() for place, value in values.items()}
        h = 1e-6
        moved = step.run({place: value + h * tangents[place] for place, value in values.items()})
        pushed = push(step, values, tangents)
        assert len(pushed) == len(step.outputs)
        for number, (here, there) in enumerate(zip(step.outputs, moved, strict=True)):
            if here is not None and there is not None and (number == 0 or step.name == "split"):
                torch.testing.assert_close(pushed[number], (there - here) / h, rtol=1e-4, atol=1e-4)


def test_what_has_no_tangent_stands_still() -> None:
    steps = traced(lambda x: x.sin() * x.cos())
    product = steps.steps[-1]
    values = steps.inputs(product)
    first, second = values
    (pushed,) = push(product, values, {first: torch.ones_like(X)})
    assert pushed is not None
    assert torch.equal(pushed, values[second])


def test_steps_and_whole_numbers_do_not_move() -> None:
    steps = traced(lambda x: x.floor() + x.argmax(1, keepdim=True))
    floor = next(step for step in steps.steps if step.name == "floor")
    argmax = next(step for step in steps.steps if step.name == "argmax")
    (still,) = push(floor, steps.inputs(floor), steps.inputs(floor))
    assert still is not None
    assert not still.any()
    assert push(argmax, steps.inputs(argmax), steps.inputs(argmax)) == (None,)
