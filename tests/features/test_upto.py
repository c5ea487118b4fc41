"""The network up to a layer, against the part of it run by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadModel, UnknownName
from smoothgrad.features import up_to
from tests.nets import small_net

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Odd(nn.Module):
    """Layers that cannot be read: used twice, not used, answering two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)
        self.pair = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.pair(self.twice(self.twice(x))[:, None])[0][:, 0]
        return answer


@pytest.mark.parametrize("index", range(8))
def test_it_answers_what_the_part_answers_and_so_does_its_gradient(index: int) -> None:
    net = small_net()
    x, by_hand = X.clone().requires_grad_(), X.clone().requires_grad_()
    # The in-place ReLU behind layer 1 overwrites its output, of which there must be a copy.
    got, expected = up_to(net, str(index))(x), net[: index + 1](by_hand)
    torch.testing.assert_close(got, expected)
    weights = torch.randn_like(expected)
    ((one,), (other,)) = (
        torch.autograd.grad((out * weights).sum(), point) for out, point in ((got, x), (expected, by_hand))
    )
    torch.testing.assert_close(one, other)


def test_any_method_asks_about_a_feature_through_it() -> None:
    net = sg.load("digits")
    x = net.samples(2)
    result = sg.explain(up_to(net, "conv2"), x, method=sg.guided_backprop(), target=lambda h: h[:, 3, 4, 4])
    torch.testing.assert_close(result.score, up_to(net, "conv2")(x).detach()[:, 3, 4, 4])


def test_nothing_is_left_in_the_network() -> None:
    net = small_net()
    up_to(net, "3")(X)
    with pytest.raises(RuntimeError):
        up_to(net, "3")(X[:, :2])
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [("twice", "runs more than once"), ("never", "did not run"), ("pair", "answers a tuple, not one tensor")],
)
def test_a_layer_without_a_single_output_is_refused(layer: str, reason: str) -> None:
    with pytest.raises(BadModel, match=reason):
        up_to(Odd().eval(), layer)(torch.zeros(1, 4))


def test_an_unknown_layer_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'conv3'"):
        up_to(sg.load("digits"), "conv33")
