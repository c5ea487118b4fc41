"""captum's DeepLIFT on networks that it takes: ReLUs and pools as modules, each used once.

Agreement is the largest difference over the largest absolute value of captum's map. captum replaces the gradient of the modules it
knows (ReLU, ELU, LeakyReLU, Sigmoid, Tanh, Softplus, pooling, Softmax); what is no module keeps its plain gradient there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

captum = pytest.importorskip("captum.attr")

import smoothgrad as sg  # noqa: E402
from smoothgrad.methods.deeplift import deep_lift  # noqa: E402
from tests.nets import cifar_pictures  # noqa: E402
from tests.real.twins import twins  # noqa: E402

AGREE = 1e-4


@pytest.fixture(autouse=True)
def captums_warnings() -> Iterator[None]:
    """captum warns that it sets hooks and requires_grad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def small(act: type[nn.Module]) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), act(), nn.Conv2d(6, 6, 3, padding=1), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 8, 3, padding=1), act(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(32, 10), act(), nn.Linear(10, 4)),
        )
    return net.double().eval()


X, DATA = torch.rand(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.4


@pytest.mark.parametrize("act", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus])
def test_small_networks_agree(act: type[nn.Module]) -> None:
    net = small(act)
    ours = sg.explain(net, X, method=deep_lift(baseline=sg.Given(DATA)), target=1).maps
    theirs = captum.DeepLift(net).attribute(X, DATA, target=1)
    assert gap(ours, theirs) < AGREE


def test_the_mean_over_a_background_agrees() -> None:
    net = small(nn.ReLU)
    baselines = sg.Several(*(sg.Given(row) for row in DATA))
    ours = sg.explain(net, X, method=deep_lift(baseline=baselines), target=1).maps
    theirs = captum.DeepLiftShap(net).attribute(X, DATA, target=1)
    assert gap(ours, theirs) < AGREE


@pytest.mark.parametrize(
    "pool", [[nn.ReLU(), nn.MaxPool2d(2)], [nn.MaxPool2d(3, 2, padding=1)]], ids=["behind a ReLU", "overlapping"]
)
def test_some_pools_are_not_complete_there_and_are_here(pool: list[nn.Module]) -> None:
    """A pool right behind an activation has its rule lost: both hook one tensor, and what the pool sends is not what arrives. Where
    windows overlap, a place that is the largest of several keeps what one of them sends."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *pool, nn.Flatten(), nn.Linear(96, 4)).double().eval()
    ours = sg.explain(net, X, method=deep_lift(baseline=sg.Given(DATA)), target=1)
    assert ours.completeness is not None
    assert float(ours.completeness.error.max()) < 1e-10
    theirs = captum.DeepLift(net).attribute(X, DATA, target=1)
    missing = (theirs.flatten(1).sum(1) - ours.completeness.change).abs() / ours.completeness.change.abs()
    assert float(missing.max()) > 0.01


@pytest.mark.real
def test_a_residual_network_agrees_where_its_relus_are_modules() -> None:
    functional, modules = (net.double() for net in twins(20))
    x, y = cifar_pictures(2)
    x = x.double()
    ours = sg.explain(functional, x, method=deep_lift(), target=y)
    theirs = captum.DeepLift(modules).attribute(x, torch.zeros_like(x), target=y)
    assert gap(ours.maps, theirs) < AGREE
    assert ours.completeness is not None
    assert float(ours.completeness.error.max()) < 1e-8


@pytest.mark.real
def test_of_functions_captum_takes_the_gradient_and_is_not_complete() -> None:
    functional, _ = twins(20)
    x, y = cifar_pictures(2)
    theirs = captum.DeepLift(functional).attribute(x, torch.zeros_like(x), target=y)
    plain = sg.explain(functional, x, method=sg.input_x_gradient(), target=y).maps
    assert gap(plain, theirs) < AGREE
    ours = sg.explain(functional, x, method=deep_lift(), target=y)
    assert ours.completeness is not None
    assert float(ours.completeness.error.max()) < 1e-4
    missing = (theirs.flatten(1).sum(1) - ours.completeness.change).abs() / ours.completeness.change.abs()
    assert float(missing.min()) > 0.05
