"""Architectures of today with random weights: what must work on them, and what must refuse. Needs no data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import RuleDidNothing
from tests.nets import CifarResNet
from tests.real.twins import ModuleResNet

X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: nn.Module = timm.create_model(
            "vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, num_classes=10, depth=3
        )
        for part in net.parameters():  # timm starts the head at zero, which explains nothing
            nn.init.normal_(part, std=0.1)
    return net.eval()


def by_hand(net: nn.Module, x: Tensor, target: int) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(x)[:, target].sum(), x)
    return gradient


def test_a_vision_transformer_is_explained(transformer: nn.Module) -> None:
    plain = sg.explain(transformer, X, method=sg.gradient(), target=3)
    torch.testing.assert_close(plain.maps, by_hand(transformer, X, 3))
    smooth = sg.explain(transformer, X, method=sg.smoothgrad(noise=1e-4, samples=4), target=3)
    assert float((smooth.maps - plain.maps).norm() / plain.maps.norm()) < 0.05
    path = sg.explain(transformer, X, method=sg.integrated_gradients(tolerance=0.05), target=3)
    assert path.completeness is not None
    assert (path.completeness.error <= 0.05).all()


def test_a_transformer_has_no_relus_to_guide(transformer: nn.Module) -> None:
    for method in (sg.guided_backprop(), sg.deconvnet(), sg.rectgrad(), sg.smoothgrad(samples=2, rule=sg.Guided())):
        with pytest.raises(RuleDidNothing, match="found no ReLU in VisionTransformer"):
            sg.explain(transformer, X, method=method)


def test_a_transformer_is_explained_at_a_block(transformer: nn.Module) -> None:
    result = sg.explain(transformer, X, method=sg.smoothgrad(samples=2), at="blocks.1", target=0)
    assert result.maps.shape == (2, 17, 192)


@pytest.mark.parametrize(
    "method",
    [sg.gradient(), sg.guided_backprop(), sg.deconvnet(), sg.rectgrad(), sg.smoothgrad(samples=4, rule=sg.Guided())],
    ids=repr,
)
def test_functions_and_modules_give_the_same_map(method: sg.Explainer) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        functional, modules = CifarResNet(20).eval(), ModuleResNet(20).eval()
    modules.load_state_dict(functional.state_dict())
    one = sg.explain(functional, X, method=method, target=1)
    other = sg.explain(modules, X, method=method, target=1)
    assert torch.equal(one.maps, other.maps)
