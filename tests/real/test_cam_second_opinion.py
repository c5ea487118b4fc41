"""Agreement with pytorch-grad-cam on a trained network and real pictures, before it scales and enlarges its maps.

Agreement is the largest difference over the largest value of its map. Where the two differ by definition, the test says how, and
shows that nothing else does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.explainers.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam, first_component
from smoothgrad.explainers.cam_scores import AblationCam, ScoreCam
from smoothgrad.explainers.layers import Layer
from tests.nets import cifar_pictures, cifar_resnet

pytestmark = pytest.mark.real
other = pytest.importorskip(
    "pytorch_grad_cam", reason="the second opinion needs pytorch-grad-cam: pip install grad-cam", exc_type=ImportError
)

AGREE = 1e-4
EPS = 1e-6  # what the other library adds to Grad-CAM++'s denominator


@pytest.fixture(autouse=True)
def its_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def asked() -> tuple[nn.Module, Query]:
    x, y = cifar_pictures(4)
    return cifar_resnet(20), Query.of(x, y)


def ours(method: Explainer, net: nn.Module, query: Query) -> Tensor:
    return method.estimate(net, query, Schedule(4)).value[:, 0]


def theirs(kind: str, net: nn.Module, query: Query, layer: str = "layer3") -> Tensor:
    """Its map at the layer, negative values cut off as it does, neither scaled nor enlarged."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(int(target)) for target in query.target]
    module = net.get_submodule(layer)
    with getattr(other, kind)(model=net, target_layers=[module]) as cam:
        cam(input_tensor=query.x, targets=targets)
        read: Any = cam.activations_and_grads
        activation = read.activations[0].numpy()
        gradient = read.gradients[0].numpy() if read.gradients else None
        found = cam.get_cam_image(query.x, module, targets, activation, gradient, False)
    return torch.from_numpy(np.maximum(found, 0))


def gap(one: Tensor, expected: Tensor) -> float:
    return float((one - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("layer", ["layer3", "layer2"])
@pytest.mark.parametrize(
    ("kind", "method"), [("GradCAM", GradCam), ("LayerCAM", LayerCam), ("XGradCAM", XGradCam), ("HiResCAM", HiResCam)]
)
def test_maps_agree(kind: str, method: type[Explainer], layer: str, asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    found = ours(method(layer), net, query)  # type: ignore[call-arg]
    assert gap(found.relu(), theirs(kind, net, query, layer)) < AGREE


def test_the_layer_that_is_found_is_the_one_people_name(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    assert gap(ours(GradCam(), net, query), theirs("GradCAM", net, query)) < AGREE


def test_grad_cam_plus_plus_differs_by_what_is_added_to_its_denominator(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    found, expected = ours(GradCamPlusPlus(), net, query), theirs("GradCAMPlusPlus", net, query)
    # alpha = g^2 / (2 g^2 + g^3 sum A): theirs adds 1e-6 below, which counts where g^2 is no larger than that.
    reading = Layer(net, "layer3", "a test").read(query)
    a, g = reading.activation, reading.gradient
    alpha = g**2 / (2 * g**2 + g**3 * a.sum((2, 3), keepdim=True) + EPS)
    with_eps = ((alpha * g.relu()).sum((2, 3), keepdim=True) * a).sum(1).relu()
    assert gap(with_eps, expected) < AGREE
    assert gap(found, expected) < 0.02


def test_eigen_cam_differs_by_the_mean(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    # Theirs takes the mean over the positions off each channel, as principal components do; the paper decomposes the activation
    # itself. The sign of theirs is left to chance, and half of the map is cut off with it.
    a = Layer(net, "layer3", "a test").look(query)[0]
    centred = first_component(a - a.mean((2, 3), keepdim=True))[:, 0]
    expected = theirs("EigenCAM", net, query)
    for row in range(len(query)):
        signs = [gap((sign * centred[row]).relu(), expected[row]) for sign in (1, -1)]
        assert min(signs) < AGREE
    found = ours(EigenCam(), net, query)
    assert (found >= -1e-5 * found.max()).all()


def test_ablation_cam_agrees(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    assert bool(
        (Layer(net, "layer3", "a test").look(query)[1] > 0).all()
    )  # theirs divides by the score, ours by its size
    assert gap(ours(AblationCam(), net, query), theirs("AblationCAM", net, query)) < AGREE


def test_through_the_front_door_the_coarse_map_is_the_same(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    result = sg.explain(net, query.x, method=GradCam(), target=query.target)
    assert result.coarse is not None
    assert gap(result.coarse[:, 0], theirs("GradCAM", net, query)) < AGREE
    assert result.maps.shape == query.x.shape


def test_score_cam_differs_by_how_maps_are_enlarged(asked: tuple[nn.Module, Query]) -> None:
    net, query = asked
    found, expected = ours(ScoreCam(), net, query), theirs("ScoreCAM", net, query)
    # Theirs puts the corners of a map on the corners of the picture; ours, as everywhere, its outer places inside the border.
    a = Layer(net, "layer3", "a test").look(query)[0]
    masks = F.interpolate(a, size=(32, 32), mode="bilinear", align_corners=True)
    low, high = (edge(masks, dim=(2, 3), keepdim=True) for edge in (torch.amin, torch.amax))
    masks = ((masks - low) / (high - low + 1e-8))[:, :, None]
    with torch.no_grad():
        scores = [net(mask * x)[:, y] for mask, x, y in zip(masks, query.x, query.target.tolist(), strict=True)]
    weights = torch.stack(scores).softmax(1)
    by_corners = (weights[..., None, None] * a).sum(1).relu()
    assert gap(by_corners, expected) < AGREE
    assert gap(found, expected) < 0.3
