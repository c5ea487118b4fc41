"""A hook on one layer: what it sees, what it changes, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.hooks import hooked
from smoothgrad.errors import BadModel

X = torch.tensor([[1.0, -2.0]])


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("times", "layer", "reason"),
    [(0, nn.ReLU(), "did not run"), (2, nn.ReLU(), "runs more than once"), (1, Pair(), "answers a tuple")],
)
def test_exactly_one_tensor_is_seen_and_the_hook_is_gone(times: int, layer: nn.Module, reason: str) -> None:

    def call() -> None:
        with hooked(layer, "it", lambda h: h):
            for _ in range(times):
                layer(X)

    with pytest.raises(BadModel, match=f"layer 'it' {reason}"):
        call()
    assert not layer._forward_hooks


def test_what_is_answered_can_be_changed() -> None:
    layer = nn.ReLU()
    with hooked(layer, "it", lambda h: h + 5):
        assert layer(X).tolist() == [[6.0, 5.0]]
    assert layer(X).tolist() == [[1.0, 0.0]]


def test_an_error_of_the_network_is_not_hidden() -> None:
    layer = nn.ReLU()
    with pytest.raises(ZeroDivisionError), hooked(layer, "it", lambda h: h):
        raise ZeroDivisionError
    assert not layer._forward_hooks
