"""Agreement with captum on trained networks and real pictures. captum sees ReLU modules only: it gets a twin that has them.

Agreement is the largest difference over the largest absolute value of captum's map.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from tests.nets import cifar_pictures, cifar_resnet, mobilenet
from tests.real.twins import twins

pytestmark = pytest.mark.real

AGREE = 1e-4
STEPS = 50


@pytest.fixture(autouse=True)
def captums_warnings() -> Iterator[None]:
    """captum warns that it sets hooks and requires_grad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def rows(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


THEIRS: dict[str, tuple[sg.Explainer, Callable[[nn.Module, Tensor, Tensor], Tensor]]] = {
    "gradient": (sg.gradient(), lambda net, x, y: Saliency(net).attribute(rows(x), y, abs=False)),
    "input x gradient": (sg.input_x_gradient(), lambda net, x, y: InputXGradient(net).attribute(rows(x), y)),
    "integrated gradients": (
        sg.integrated_gradients(steps=STEPS),
        lambda net, x, y: IntegratedGradients(net).attribute(
            x, target=y, n_steps=STEPS, method="gausslegendre", internal_batch_size=32
        ),
    ),
    "integrated gradients from a picture": (
        sg.integrated_gradients(steps=STEPS, baseline=sg.Blurred(3)),
        lambda net, x, y: IntegratedGradients(net).attribute(
            x, blurred(x), target=y, n_steps=STEPS, method="gausslegendre", internal_batch_size=32
        ),
    ),
    "guided backprop": (sg.guided_backprop(), lambda net, x, y: GuidedBackprop(net).attribute(rows(x), y)),
    "deconvnet": (sg.deconvnet(), lambda net, x, y: Deconvolution(net).attribute(rows(x), y)),
}


def blurred(x: Tensor) -> Tensor:
    query = Query.of(x, 0)
    return sg.Blurred(3).of(nn.Identity(), query, sg.Schedule(1))[:, 0]


@pytest.mark.parametrize("depth", [20, 32, 56])
@pytest.mark.parametrize("name", THEIRS)
def test_maps_agree_with_captum(name: str, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    functional, modules = twins(depth)
    x, y = cifar_pictures(3)
    method, theirs = THEIRS[name]
    monkeypatch.setattr("smoothgrad.engine.PAYS", 10**9)  # the model itself
    ours = sg.explain(functional, x, method=method, target=y)
    assert gap(ours.maps, theirs(modules, x, y)) < AGREE
    assert ours.output is not None
    assert (ours.output.argmax(1) == y).all()  # the pictures mean something to the network


def test_on_a_prepared_copy_they_agree_but_for_relus_on_the_brink() -> None:
    functional, modules = twins(20)
    x, y = cifar_pictures(3)
    method, theirs = THEIRS["integrated gradients"]
    ours = sg.explain(functional, x, method=method, target=y)
    assert ours.provenance["prepared"] is not None
    expected = theirs(modules, x, y)
    assert float((ours.maps - expected).norm() / expected.norm()) < 1e-3


@pytest.mark.parametrize("name", ["guided backprop", "deconvnet"])
def test_captum_leaves_functional_relus_plain_and_we_do_not(name: str) -> None:
    functional, modules = twins(20)
    x, y = cifar_pictures(2)
    method, theirs = THEIRS[name]
    plain = sg.explain(functional, x, method=sg.gradient(), target=y).maps
    assert gap(plain, theirs(functional, x, y)) < AGREE  # without a word, the plain gradient
    ours = sg.explain(functional, x, method=method, target=y).maps
    assert gap(ours, plain) > 0.1
    torch.testing.assert_close(ours, sg.explain(modules, x, method=method, target=y).maps)


def test_captum_leaves_relu6_plain_and_we_do_not() -> None:
    net = mobilenet()
    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = sg.explain(net, x, method=sg.gradient(), target=0).maps
    assert gap(plain, GuidedBackprop(net.net).attribute(rows(x), 0)) < AGREE
    assert gap(sg.explain(net, x, method=sg.guided_backprop(), target=0).maps, plain) > 0.1


# --- NoiseTunnel ------------------------------------------------------------------------------------------------------------------

NOISE, SAMPLES = 0.5, 12  # absolute: in the units of the rows
TUNNELS: dict[str, tuple[sg.Explainer, float]] = {
    "smoothgrad": (sg.smoothgrad(NOISE, SAMPLES, unit="absolute"), 1.0),
    "smoothgrad_sq": (sg.smoothgrad_squared(NOISE, SAMPLES, unit="absolute"), 1.0),
    # captum's variance is E[g^2] - E[g]^2, which divides by n; ours is unbiased, by n - 1
    "vargrad": (sg.vargrad(NOISE, SAMPLES, unit="absolute"), (SAMPLES - 1) / SAMPLES),
}


@pytest.mark.parametrize("kind", TUNNELS)
def test_noise_tunnel_agrees_on_the_same_noise(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, y) = cifar_resnet(20), cifar_pictures(2)
    points, _, _ = sg.Gaussian(NOISE, SAMPLES, "absolute").draw(Query.of(x, 0), range(SAMPLES))
    ours_as_theirs = (points - x).movedim(0, 1).flatten(0, 1)  # (k, N, *S) -> (N * k, *S), captum's order

    def drawn(_mean: int, stdev: Tensor) -> Tensor:
        assert stdev.shape == ours_as_theirs.shape
        assert (stdev == NOISE).all()
        return ours_as_theirs

    method, factor = TUNNELS[kind]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "normal", drawn)
        tunnel: Any = NoiseTunnel(Saliency(net))
        theirs = tunnel.attribute(rows(x), nt_type=kind, nt_samples=SAMPLES, stdevs=NOISE, target=y, abs=False)
    assert gap(sg.explain(net, x, method=method, target=y).maps * factor, theirs) < AGREE


def test_noise_tunnel_has_the_same_limit() -> None:
    net, (x, y) = cifar_resnet(20), cifar_pictures(1)
    samples = 400
    spread = float(x.max() - x.min())
    ours = sg.explain(net, x, method=sg.smoothgrad(0.15, samples), target=y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = NoiseTunnel(Saliency(net)).attribute(
            rows(x), nt_samples=samples, nt_samples_batch_size=40, stdevs=0.15 * spread, target=y, abs=False
        )
    assert ours.stderr is not None
    # Two independent estimates of one limit, with the same variance: their difference has twice that.
    z = (ours.maps - theirs) / (2**0.5 * ours.stderr)
    assert 0.9 < float(z.square().mean().sqrt()) < 1.1
    assert abs(float(z.mean())) < 0.15


def test_noise_tunnel_at_its_defaults_averages_absolute_values() -> None:
    net, (x, y) = cifar_resnet(20), cifar_pictures(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = NoiseTunnel(Saliency(net)).attribute(rows(x), target=y)
    assert (theirs >= 0).all()
