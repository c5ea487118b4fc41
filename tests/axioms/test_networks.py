"""The networks are what they are said to be."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.axioms.networks import (
    Around,
    BiasedConv,
    BiasedDense,
    Ignoring,
    OtherReLU,
    Respelled,
    Scaled,
    Shifted,
    SplitInput,
    SplitOutput,
    Swapping,
    rebiased,
)
from smoothgrad.core.ask import network_in
from tests.axioms.made import NETS


@pytest.mark.parametrize("name", NETS)
def test_twins_compute_the_same(name: str) -> None:
    net, x = NETS[name]
    for twin in (SplitInput(net, -0.123), SplitOutput(net, -0.4), Scaled(net, 0.3, 1), Respelled(net)):
        torch.testing.assert_close(twin(x), net(x))
    for moved in (Shifted(net, 0.5), BiasedConv(net, 0.5, x), BiasedDense(net, 0.5, x)):
        torch.testing.assert_close(moved(x + 0.5), net(x))


@pytest.mark.parametrize(("name", "layer"), [("mlp", "one"), ("series", "conv"), ("conv", None), ("saturated", None)])
def test_the_first_layer_takes_the_constant_off_itself(name: str, layer: str | None) -> None:
    net, x = NETS[name]
    before = {name: part.clone() for name, part in net.state_dict().items()}
    found = rebiased(net, 0.5, x)
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert (found and found.layer) == layer  # a convolution that pads with zeros, and no layer at all, cannot
    if found:
        torch.testing.assert_close(found.net(x + 0.5), net(x))


def test_a_first_layer_without_a_bias_is_given_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).eval()
    found = rebiased(net, 2.0, torch.rand(2, 4))
    assert found is not None
    assert found.layer == "1"
    assert net[1].bias is None


def test_a_layer_that_is_not_given_the_input_itself_is_none() -> None:
    net = nn.Sequential(nn.Tanh(), nn.Linear(4, 3)).eval()
    assert rebiased(net, 2.0, torch.rand(2, 4)) is None


def test_what_is_ignored_has_no_part() -> None:
    net, x = NETS["conv"]
    gone = torch.zeros(1, 5, 5, dtype=torch.bool)
    gone[0, 2, 3] = True
    around = Ignoring(net, gone, x.mean(0))
    other = x.clone()
    other[:, :, 2, 3] = 7.0
    assert torch.equal(around(x), around(other))
    assert not torch.equal(net(x), net(other))


def test_two_places_may_be_swapped_and_others_may_not() -> None:
    net, x = NETS["conv"]
    around = Swapping(net, 25, 3, 17, channels=True, device=x.device)
    torch.testing.assert_close(around(x), around(around.swapped(x)))
    assert torch.equal(around.swapped(x)[:, :, 0, 3], x[:, :, 3, 2])
    assert not torch.allclose(around(x), around(x.flip(3)))


@pytest.mark.parametrize("around", [SplitInput(NETS["mlp"][0], 0.1), Respelled(NETS["mlp"][0])])
def test_the_network_inside_is_found(around: Around) -> None:
    assert network_in(around) is NETS["mlp"][0]
    assert not any(module.training for module in around.modules())
    assert around.asked_as == "Mlp"


class EveryReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x + 1) + torch.relu(x) + x.relu() + nn.ReLU()(x - 1)
        x = nn.ReLU(inplace=True)(x - 0.5)
        y = x - 1
        y.relu_()
        F.relu(y, inplace=True)
        return y.sum(1, keepdim=True)


def test_every_relu_is_written_otherwise() -> None:
    x = torch.linspace(-2, 2, 12, dtype=torch.float64).view(2, 6)
    with OtherReLU() as mode:
        found = EveryReLU()(x)
    assert mode.replaced == 7
    assert torch.equal(found, EveryReLU()(x))
