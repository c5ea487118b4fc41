"""Agreement with captum's LRP on a trained ResNet and real pictures, as far as captum's reaches.

captum takes modules only, refuses one that is used twice, keeps batch norm as a layer of its own, has no alpha-beta, w^2, flat or
box, and multiplies relevance that comes through a function and not a module by the activation once more. So it gets a twin: norms
folded, a module for each ReLU, sum and shortcut. Its z+ and gamma take weights by their own sign, which is the papers' form for
inputs that are not negative, and leave biases as they are: they are compared behind ReLUs and without biases.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from captum.attr import LRP
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule, PropagationRule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.explainers.relevance import Relevance
from smoothgrad.rules.composite import ByName, ByType, Composite
from smoothgrad.rules.lrp import Epsilon, Gamma, ZPlus
from tests.nets import Block, CifarResNet, cifar_pictures, cifar_resnet

pytestmark = pytest.mark.real

AGREE = 1e-4


@pytest.fixture(autouse=True)
def captums_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class TwinBlock(nn.Module):
    """A block with its norms folded, of modules only. The shortcut that widens is a convolution with ones in it."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1 = fuse_conv_bn_eval(block.conv1, block.bn1)
        self.conv2 = fuse_conv_bn_eval(block.conv2, block.bn2)
        self.relu1, self.relu2, self.add = nn.ReLU(), nn.ReLU(), Addition_Module()
        self.shortcut: nn.Conv2d | None = None
        if block.widens:
            before, planes = block.conv1.in_channels, block.conv1.out_channels
            self.shortcut = nn.Conv2d(before, planes, 1, stride=2, bias=False).to(block.conv1.weight.dtype)
            nn.init.zeros_(self.shortcut.weight)
            for channel in range(before):
                self.shortcut.weight.data[channel + planes // 4, channel] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.relu1(self.conv1(x)))
        out: Tensor = self.relu2(self.add(y, x if self.shortcut is None else self.shortcut(x)))
        return out


class Twin(nn.Module):
    def __init__(self, net: CifarResNet) -> None:
        super().__init__()
        self.conv1, self.relu = fuse_conv_bn_eval(net.conv1, net.bn1), nn.ReLU()
        for number in (1, 2, 3):
            stage = getattr(net, f"layer{number}")
            setattr(self, f"layer{number}", nn.Sequential(*(TwinBlock(block) for block in stage)))
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10).to(net.linear.weight.dtype)
        self.linear.load_state_dict(net.linear.state_dict())
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer3(self.layer2(self.layer1(self.relu(self.conv1(x)))))
        scores: Tensor = self.linear(self.pool(h).flatten(1))
        return scores

    def without_biases(self) -> Twin:
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
                part.bias.data.zero_()
        return self


def theirs(net: Twin, x: Tensor, y: Tensor, rules: dict[str, PropagationRule]) -> Tensor:
    """captum's map with rules by the last part of a layer's name; epsilon 1e-9 elsewhere."""
    for name, part in net.named_modules():
        rule = rules.get(name.rpartition(".")[2]) or rules.get(name)
        if rule is not None:
            part.rule = type(rule)(**{key: value for key, value in vars(rule).items() if key == "gamma"})  # one each
            part.rule.STABILITY_FACTOR = rule.STABILITY_FACTOR
    maps: Tensor = LRP(net).attribute(x.clone().requires_grad_(), target=y)
    return maps.detach()


def ours(net: nn.Module, x: Tensor, y: Tensor, composite: Composite) -> Tensor:
    return Relevance(composite).estimate(net, Query.of(x, y), Schedule(4)).value


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def pictures() -> tuple[CifarResNet, Tensor, Tensor]:
    x, y = cifar_pictures(3)
    return cifar_resnet(20).double(), x.double(), y


def test_the_twin_is_the_network() -> None:
    net, x, _ = pictures()
    torch.testing.assert_close(Twin(net)(x), net(x))


@pytest.mark.parametrize("epsilon", [1e-9, 0.1])
def test_epsilon_agrees(epsilon: float) -> None:
    net, x, y = pictures()
    rule = EpsilonRule(epsilon)
    named = dict.fromkeys(("conv1", "conv2", "linear"), rule)
    composite = Composite(Epsilon(epsilon), Epsilon(epsilon), sums=Epsilon(1e-9))
    assert gap(ours(net, x, y, composite), theirs(Twin(net), x, y, named)) < AGREE


def test_epsilon_next_to_zero_is_input_times_gradient() -> None:
    net, x, y = pictures()
    exact = sg.explain(net, x, method=sg.input_x_gradient(), target=y).maps
    assert gap(ours(net, x, y, Composite.everywhere(Epsilon(0.0))), exact) < 1e-8


def test_gamma_agrees_behind_relus() -> None:
    net, x, y = pictures()
    twin = Twin(net).without_biases()
    # The first layer of a block reads what a ReLU gave and is read by one: there all forms of the rule are one.
    choices = tuple(ByName(f"layer{stage}.*.conv1", Gamma(0.25)) for stage in (1, 2, 3))
    composite = Composite(Epsilon(1e-9), Epsilon(1e-9), sums=Epsilon(1e-9), choices=choices)
    rules = {f"layer{stage}.{block}.conv1": GammaRule(0.25) for stage in (1, 2, 3) for block in range(3)}
    found = ours(twin, x, y, composite)
    assert gap(found, theirs(twin, x, y, dict(rules))) < AGREE


def test_z_plus_agrees_without_biases() -> None:
    net, x, y = pictures()
    twin = Twin(net).without_biases()
    composite = Composite(Epsilon(1e-9), ZPlus(), first=Epsilon(1e-9), sums=Epsilon(1e-9))
    rules: dict[str, PropagationRule] = {"conv2": Alpha1_Beta0_Rule(), "shortcut": Alpha1_Beta0_Rule()}
    rules |= {f"layer{stage}.{block}.conv1": Alpha1_Beta0_Rule() for stage in (1, 2, 3) for block in range(3)}
    found = ours(twin, x, y, composite)
    assert gap(found, theirs(twin, x, y, rules)) < AGREE


def test_choices_by_type_reach_the_same_layers() -> None:
    net, x, y = pictures()
    by_type = Composite(choices=(ByType("Conv2d", Gamma(0.1)),))
    torch.testing.assert_close(ours(net, x, y, by_type), ours(net, x, y, Composite(convolution=Gamma(0.1))))
