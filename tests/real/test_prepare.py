"""Prepared copies of the architectures of torchvision and timm, and of trained networks.

With random weights, since folding does not care; and with batch norms that have seen something, since folding one that has not is
multiplying by one. In float64 gradients must be equal. In float32 they are, but for rows where a ReLU or a maximum is so near its
kink that rounding decides which side it is on: there float32 differs from float64 as much, with and without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.models.digits import digits
from smoothgrad.models.network import Network
from smoothgrad.models.prepare import prepare
from tests.models.test_folding import settled
from tests.nets import cifar_pictures, cifar_resnet, mobilenet, photographs, squeezenet


class Case(NamedTuple):
    folded: int
    left: int
    size: int = 32


# How many batch norms are folded, and how many left: those before a convolution or behind a sum, or not called in eval mode.
TORCHVISION = {
    "densenet121": Case(59, 62),
    "efficientnet_b0": Case(49, 0),
    "googlenet": Case(57, 2),
    "inception_v3": Case(94, 2, 75),
    "mnasnet0_5": Case(52, 0),
    "mobilenet_v2": Case(52, 0),
    "mobilenet_v3_large": Case(46, 0),
    "mobilenet_v3_small": Case(34, 0),
    "regnet_y_400mf": Case(53, 0),
    "resnet18": Case(20, 0),
    "resnet50": Case(53, 0),
    "shufflenet_v2_x0_5": Case(56, 0),
    "squeezenet1_1": Case(0, 0),
}
TIMM = {
    "convnext_atto": Case(0, 0),
    "efficientvit_b0": Case(22, 4),
    "ghostnet_050": Case(80, 0),
    "mobilenetv3_small_050": Case(34, 0),
    "mobilevit_xxs": Case(23, 9),
    "nf_resnet26": Case(0, 0),
    "regnety_002": Case(44, 0),
    "repvgg_a0": Case(44, 17),
    "resnet18": Case(20, 0),
    "resnetv2_50": Case(32, 17),
    "seresnet18": Case(20, 0),
    "tf_mobilenetv3_small_minimal_100": Case(34, 0),
}


def from_torchvision(name: str) -> nn.Module:
    import torchvision

    unset = {"init_weights": False} if name in {"inception_v3", "googlenet"} else {}
    return torchvision.models.get_model(name, weights=None, num_classes=10, **unset)


def from_timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=10)


def vgg(batch_norm: bool) -> nn.Module:
    """VGG 11 without its 120 million weights at the end."""
    from torchvision.models.vgg import cfgs, make_layers

    return nn.Sequential(make_layers(cfgs["A"], batch_norm), nn.Flatten(), nn.Linear(512, 10))


def convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(24, 48, 1), CNBlockConfig(48, None, 2)], num_classes=10)


def swin() -> nn.Module:
    from torchvision.models import SwinTransformer

    return SwinTransformer([4, 4], 24, [2, 1], [2, 2], [4, 4], num_classes=10)


def vit() -> nn.Module:
    import timm

    return timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, depth=3, num_classes=10
    )


TABLE: dict[str, tuple[Callable[[], nn.Module], Case]] = {
    **{f"torchvision {name}": (lambda name=name: from_torchvision(name), case) for name, case in TORCHVISION.items()},
    **{f"timm {name}": (lambda name=name: from_timm(name), case) for name, case in TIMM.items()},
    "torchvision convnext": (convnext, Case(0, 0)),
    "torchvision swin": (swin, Case(0, 0)),
    "torchvision vgg11": (lambda: vgg(False), Case(0, 0)),
    "torchvision vgg11_bn": (lambda: vgg(True), Case(8, 0)),
    "timm vit": (vit, Case(0, 0)),
}


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """In float64, in eval mode, with a head that is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = settled(make())
        for module in net.modules():
            if isinstance(module, nn.Linear) and not module.weight.any():
                nn.init.normal_(module.weight, std=0.1)
    return net


def answers(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of a sum of it in which no two classes weigh the same."""
    x = x.clone().requires_grad_()
    output = net(x)
    (gradient,) = torch.autograd.grad((output * torch.linspace(-1, 2, output.shape[1]).to(x)).sum(), x)
    return output.detach(), gradient


def relative(one: Tensor, other: Tensor) -> Tensor:
    """||one - other|| / ||other|| of each row."""
    return (one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)


@pytest.mark.parametrize(("make", "case"), TABLE.values(), ids=TABLE)
def test_every_family_answers_the_same(make: Callable[[], nn.Module], case: Case) -> None:
    net = made(make)
    x = torch.randn(2, 3, case.size, case.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fast = prepare(net, x)
    assert (fast.preparation.folded, fast.preparation.left, fast.preparation.layout) == (
        case.folded,
        case.left,
        "channels_last",
    )
    output, gradient = answers(fast, x)
    expected, expected_gradient = answers(net, x)
    assert relative(output, expected).max() < 1e-12
    assert relative(gradient, expected_gradient).max() < 1e-10
    # In float32 at a smaller price: against the truth just found.
    narrow = net.float()
    output, gradient = answers(prepare(narrow, x.float()), x.float())
    assert relative(output.double(), expected).max() < 1e-5
    assert relative(gradient.double(), expected_gradient).min() < 1e-5


@pytest.mark.real
@pytest.mark.parametrize("load", [lambda: Network(cifar_resnet(20), name="cifar"), mobilenet, squeezenet, digits])
def test_trained_networks_answer_the_same(load: Callable[[], Network]) -> None:
    network = load()
    x = {
        "cifar": lambda: cifar_pictures(8)[0],
        "digits": lambda: network.samples(8),
    }.get(network.name, lambda: photographs(2, size=network.preprocessing.size[0])[0])()
    fast = prepare(network, x)
    assert not fast.net.preparation.left
    (output, gradient), (expected, expected_gradient) = answers(fast, x), answers(network, x)
    assert relative(output, expected).max() < 1e-5
    assert relative(gradient, expected_gradient).median() < 1e-5
