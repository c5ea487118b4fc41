"""Occlusion and feature ablation beside captum's, on a trained network and real pictures.

captum gives every value of a window or segment its fall; here the channels of a pixel share it, so that the sum over channels is
compared. Agreement is the largest difference over the largest absolute value of captum's map.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from torch import Tensor

import smoothgrad as sg
from smoothgrad.explainers.ablation import Ablation
from smoothgrad.explainers.parts import Grid, Labelled, Superpixels, Windows
from tests.nets import cifar_pictures, cifar_resnet

pytestmark = pytest.mark.real

AGREE = 1e-4


@pytest.fixture(autouse=True)
def captums_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def gap(ours: Tensor, theirs: Tensor) -> float:
    """captum's map is the same in every channel."""
    assert torch.equal(theirs, theirs[:, :1].expand_as(theirs))
    return float((ours.sum(1) - theirs[:, 0]).abs().max() / theirs.abs().max())


@pytest.mark.parametrize(("width", "stride"), [(8, 4), (6, 2), (16, 16)])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_occlusion_agrees(width: int, stride: int, value: float) -> None:
    net, (x, y) = cifar_resnet(20), cifar_pictures(2)
    method = Ablation(Windows(width / 32, 1 + (32 - width) // stride), sg.Constant(value))
    theirs = Occlusion(net).attribute(
        x,
        sliding_window_shapes=(3, width, width),
        strides=(3, stride, stride),
        baselines=value,
        target=y,
        perturbations_per_eval=16,
    )
    assert gap(sg.explain(net, x, method=method, target=y).maps, theirs) < AGREE


def test_feature_ablation_agrees() -> None:
    net, (x, y) = cifar_resnet(20), cifar_pictures(2)
    mask = torch.arange(32)[:, None] // 8 * 4 + torch.arange(32) // 8
    theirs = FeatureAblation(net).attribute(x, feature_mask=mask[None, None], target=y)
    assert gap(sg.explain(net, x, method=Ablation(Grid(4)), target=y).maps, theirs) < AGREE
    assert gap(sg.explain(net, x, method=Ablation(Labelled(mask)), target=y).maps, theirs) < AGREE


def test_feature_ablation_of_superpixels_agrees() -> None:
    pytest.importorskip("skimage")
    net, (x, y) = cifar_resnet(20), cifar_pictures(1)
    result = sg.explain(net, x, method=Ablation(Superpixels(most=12)), target=y)
    assert 2 < int(result.draws) <= 12
    (labels,) = result.maps[0].sum(0).unique(return_inverse=True)[1:]
    theirs = FeatureAblation(net).attribute(x, feature_mask=labels[None, None], target=y)
    assert gap(result.maps, theirs) < AGREE
