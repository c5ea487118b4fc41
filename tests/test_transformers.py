"""Every method on a vision transformer and on one with windows: it runs, or says in a sentence why it does not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.methods.method import Method
from tests.operators import declare_missing

declare_missing()
timm = pytest.importorskip("timm")

X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
FEW: dict[str, Any] = {"samples": 4, "steps": 8, "channels": 8}
RECTIFIERS = "found no ReLU"
REFUSED = {
    "vit": {
        "guided_backprop": RECTIFIERS,
        "deconvnet": RECTIFIERS,
        "rectgrad": RECTIFIERS,
        "guided_grad_cam": RECTIFIERS,
        "cam": "the form that CAM needs",
    },
    "swin": {
        "guided_backprop": RECTIFIERS,
        "deconvnet": RECTIFIERS,
        "rectgrad": RECTIFIERS,
        "guided_grad_cam": RECTIFIERS,
        "raw_attention": "window",
        "attention_rollout": "window",
        "gradient_rollout": "window",
    },
}


@pytest.fixture(scope="module")
def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {
        "vit": timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=48, num_heads=3, num_classes=4
        ),
        "swin": timm.create_model(
            "swin_tiny_patch4_window7_224",
            img_size=32,
            patch_size=4,
            window_size=4,
            depths=(1, 1),
            num_heads=(2, 2),
            embed_dim=24,
            num_classes=4,
        ),
    }
    for net in made.values():
        for weight in net.parameters():  # as they come they are nearly zero, and every map with them
            nn.init.normal_(weight, std=0.1)
        net.eval()
    return made


def small(method: Method) -> sg.Explainer:
    """The method with few draws."""
    taken = {name: value for name, value in FEW.items() if name in inspect.signature(method.make).parameters}
    return method.make(*[torch.zeros(2, 3, 32, 32) for _ in method.needs], **taken)


@pytest.mark.parametrize("name", sg.METHODS)
@pytest.mark.parametrize("kind", REFUSED)
def test_it_runs_or_says_why_not(name: str, kind: str, nets: dict[str, nn.Module]) -> None:
    method = small(sg.METHODS[name])
    if name in REFUSED[kind]:
        with pytest.raises(sg.errors.SmoothGradError, match=REFUSED[kind][name]):
            sg.explain(nets[kind], X, method=method, target=1)
        return
    result = sg.explain(nets[kind], X, method=method, target=1)
    assert result.maps.shape == X.shape
    assert result.maps.isfinite().all()
    assert bool((result.maps != 0).any()) or name == "ablation_cam"  # no channel of those few speaks for the class
