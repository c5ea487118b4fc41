"""Maps of a layer, against layer conductance and against the rest of the network alone.

The conductance of a unit y of a layer, along the straight path of the input from b to x (Dhamdhere, Sundararajan, Yan 2018), is

    integral over a in [0, 1] of  dF/dy  dy/da,     y taken at b + a (x - b).

`integrated_gradients()` at a layer goes straight from a baseline of the layer instead. Where the layer's output moves straight too,
as behind the first convolution, the two are one. They are also where the score is a sum of functions of single units, such as
behind the last ReLU, whatever the path. Elsewhere they share the same total, F(x) - F(b), out among the units each in its own way.
A sampler that follows the input's path through the layer gives conductance itself, at any layer that all paths go through: beside a
shortcut the rest of the network is asked at the input, where conductance takes it along.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, final

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler
from smoothgrad.core.value import Data
from smoothgrad.methods.deeplift import deep_lift
from smoothgrad.methods.paths import guided_integrated_gradients
from smoothgrad.methods.relevance import (
    attn_lrp,
    deep_taylor,
    lrp_0,
    lrp_epsilon,
    lrp_epsilon_alpha2_beta1,
    lrp_epsilon_gamma_box,
    lrp_epsilon_plus,
    lrp_epsilon_plus_flat,
    lrp_gamma,
)
from smoothgrad.models.layer import at
from tests.nets import cifar_pictures, cifar_resnet, small_net

X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
START = 0.3 * torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
NET = small_net().double()  # conv, batch norm, ReLU in place, conv, ReLU, pooling, flatten, linear
TARGET = 2
STEPS = 24


def front(layer: int) -> nn.Module:
    return NET[: layer + 1]


def rest(layer: int) -> nn.Module:
    return NET[layer + 1 :].eval()


def path(steps: int) -> list[Tensor]:
    """steps + 1 points of the input's path."""
    return [START + step / steps * (X - START) for step in range(steps + 1)]


def gradient_at(net: nn.Module, h: Tensor) -> Tensor:
    h = h.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(h + 0)[:, TARGET].sum(), h)
    return gradient


def conductance(layer: int, steps: int = STEPS) -> Tensor:
    """The integral as a sum: at each step, the gradient at the layer times how far the layer's output moves."""
    outputs = [front(layer)(point).detach().clone() for point in path(steps)]
    total = torch.zeros_like(outputs[0])
    for before, after in pairwise(outputs):
        total += gradient_at(rest(layer), before) * (after - before)
    return total


def straight(layer: int, steps: int = STEPS, quadrature: Any = "left") -> sg.Attribution:
    """Integrated gradients at the layer, from where the input's path starts there."""
    begin = front(layer)(START).detach().clone()
    method = sg.integrated_gradients(steps, baseline=sg.Given(begin), quadrature=quadrature)
    return sg.explain(NET, X, method=method, target=TARGET, at=str(layer))


@final
@dataclass(frozen=True, repr=False)
class Followed(Sampler):
    """The points of a path (K + 1, N, *S) in turn, but for the last, with the way from each to the next as direction."""

    points: Data

    random = False
    directed = True

    @property
    def count(self) -> int:
        return len(self.points.tensor) - 1

    def draw(self, query: Query, draws: range) -> Draw:
        points = self.points.tensor[:, query.row].to(query.x)
        # Answers are averaged: K times the step is what each counts.
        way = self.count * (points[1:] - points[:-1])
        chosen = list(draws)
        return Draw(points[:-1][chosen], torch.ones(len(chosen), dtype=torch.float64), way[chosen])


def along(outputs: Sequence[Tensor]) -> sg.Explainer:
    return sg.Gradient().over(Followed(Data(torch.stack(list(outputs)).detach())))


def close(one: Tensor, other: Tensor, tolerance: float = 1e-10) -> None:
    assert one.shape == other.shape
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))


# Layers 0 and 1 are affine in the input; the score is affine in 4, 5 and 6, and a sum over units of functions of 3.
LAYERS = range(7)
EXACT, IN_THE_LIMIT, APART = (0, 1, 4, 5, 6), 3, 2


@pytest.mark.parametrize("layer", EXACT)
def test_where_the_path_is_straight_or_the_rest_is_affine_the_map_is_conductance(layer: int) -> None:
    close(straight(layer).maps, conductance(layer))


@pytest.mark.parametrize("layer", [IN_THE_LIMIT, APART])
def test_elsewhere_the_two_share_their_total(layer: int) -> None:
    ours, theirs = straight(layer, 1000, "midpoint"), conductance(layer, 1000)
    change = (NET(X) - NET(START))[:, TARGET].detach()
    assert ours.completeness is not None
    close(ours.completeness.change, change)
    close(ours.maps.flatten(1).sum(1), change, 2e-3)
    close(theirs.flatten(1).sum(1), change, 2e-3)
    apart = (ours.maps - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)
    assert ((apart < 2e-3) if layer == IN_THE_LIMIT else (apart > 0.1)).all()


@pytest.mark.parametrize("layer", LAYERS)
def test_along_the_path_of_the_input_the_map_is_conductance(layer: int) -> None:
    outputs = [front(layer)(point) for point in path(STEPS)]
    result = sg.explain(NET, X, method=along(outputs), target=TARGET, at=str(layer))
    close(result.maps, conductance(layer))
    assert result.unit == "score"


def test_what_moves_together_has_the_same_conductance() -> None:
    """A batch norm gives each unit of the convolution another scale, and its gradient the inverse."""
    close(straight(0).maps, straight(1).maps)


def test_a_layer_without_a_bias_starts_at_zero() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3)).double().eval()
    result = sg.explain(net, X, method=sg.integrated_gradients(64), target=1, at="0")
    total = torch.zeros_like(result.maps)
    h = net[0](X).detach()
    for step in range(4000):
        middle = ((step + 0.5) / 4000 * h).requires_grad_()
        (gradient,) = torch.autograd.grad(net[1:](middle)[:, 1].sum(), middle)
        total += gradient * h / 4000
    close(result.maps, total, 1e-6)


# --- a method at a layer is the method on the rest of the network -----------------------------------------------------

METHODS: dict[str, sg.Explainer] = {
    "gradient": sg.gradient(),
    "input x gradient": sg.input_x_gradient(),
    "guided": sg.guided_backprop(),
    "deconvnet": sg.deconvnet(),
    "rectgrad": sg.rectgrad(60.0),
    "smoothgrad": sg.smoothgrad(0.2, 6),
    "vargrad": sg.vargrad(0.2, 6),
    "path": sg.integrated_gradients(6, baseline=sg.Black()),
    "refined path": sg.integrated_gradients(tolerance=0.01),
    "joint path": sg.smooth_integrated_gradients(0.2, 6),
    "taylor": sg.smooth_taylor(0.2, 6),
    "until": sg.smoothgrad(0.2, sg.Until(0.4, least=4, most=64)),
    "guided path": guided_integrated_gradients(12),
    "lrp 0": lrp_0(),
    "lrp epsilon": lrp_epsilon(0.1),
    "lrp gamma": lrp_gamma(),
    "lrp epsilon plus": lrp_epsilon_plus(),
    "lrp epsilon plus flat": lrp_epsilon_plus_flat(),
    "lrp epsilon gamma box": lrp_epsilon_gamma_box(),
    "lrp alpha2 beta1": lrp_epsilon_alpha2_beta1(),
    "attention lrp": attn_lrp(),
    "deep taylor": deep_taylor(),
    "deep lift": deep_lift(baseline=sg.Black()),
    "smooth lrp": lrp_gamma().over(sg.Gaussian(0.1, 4)),
}


BOXED = ("lrp epsilon gamma box", "deep taylor")  # their first layer must read what is explained itself
CASES = [(name, layer) for name in METHODS for layer in (1, 2, 3) if layer == 2 or name not in BOXED]


@pytest.mark.parametrize(("name", "layer"), CASES)
@pytest.mark.parametrize("prepared", [False, True], ids=["itself", "prepared"])
def test_at_a_layer_a_method_is_itself_on_the_rest(
    name: str, layer: int, prepared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS[name]
    monkeypatch.setattr("smoothgrad.engine.PAYS", 1 if prepared else 10**9)
    there = sg.explain(NET, X, method=method, target=TARGET, at=str(layer), seed=3)
    h = front(layer)(X).detach().clone()
    alone = sg.explain(rest(layer), h, method=method, target=TARGET, seed=3)
    assert (there.provenance["prepared"] is not None) is prepared
    close(there.x, h)
    close(there.maps, alone.maps)
    close(there.score, alone.score)
    if there.stderr is not None:
        assert alone.stderr is not None
        close(there.stderr, alone.stderr, 1e-7)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_at_a_layer_are_autograds(layer: int) -> None:
    result = sg.explain(NET, X, method=sg.gradient(), target=TARGET, at=str(layer))
    close(result.maps, gradient_at(rest(layer), front(layer)(X)))


# --- a second opinion -------------------------------------------------------------------------------------------------


def captums(net: nn.Module, layer: str, x: Tensor, start: Tensor, labels: Tensor, steps: int) -> Tensor:
    """captum's LayerConductance: gradients at the left end of each step, from 0 to 1."""
    from captum.attr import LayerConductance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs: Tensor = LayerConductance(net, net.get_submodule(layer)).attribute(
            x, start, target=labels, n_steps=steps, method="riemann_trapezoid"
        )
    return theirs.detach()


def gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


Asked: TypeAlias = tuple[nn.Module, Tensor, Tensor]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The CIFAR-10 ResNet-20 itself with two pictures and their classes.

    In float64: in float32 a ReLU on the brink falls on its other side in some batches, which moves a map by up to 5e-4 of its
    largest value.
    """
    monkeypatch.setattr("smoothgrad.engine.PAYS", 10**9)
    x, labels = cifar_pictures(2)
    return cifar_resnet(20).double(), x.double(), labels


@pytest.mark.real
def test_the_first_convolution_has_captums_conductance(asked: Asked) -> None:
    net, x, labels = asked
    black = x.amin((2, 3), keepdim=True).expand_as(x)
    begin = sg.Given(at(net, "conv1").capture(black))
    for start, baseline in (
        (black, begin),
        (torch.zeros_like(x), sg.Zero()),
    ):  # no bias: where the input is zero, so is the layer
        method = sg.integrated_gradients(STEPS, baseline=baseline, quadrature="left")
        ours = sg.explain(net, x, method=method, target=labels, at="conv1")
        assert gap(ours.maps, captums(net, "conv1", x, start, labels, STEPS)) < 1e-4


@pytest.mark.real
@pytest.mark.parametrize("layer", ["bn1", "layer1.2", "layer2.0", "layer3", "linear"])
def test_along_the_inputs_path_every_layer_has_captums_conductance(layer: str, asked: Asked) -> None:
    net, x, labels = asked
    view = at(net, layer)
    outputs = [view.capture(step / STEPS * x) for step in range(STEPS + 1)]
    ours = sg.explain(net, x, method=along(outputs), target=labels, at=layer)
    assert gap(ours.maps, captums(net, layer, x, torch.zeros_like(x), labels, STEPS)) < 1e-4


@pytest.mark.real
def test_deep_in_the_network_a_straight_path_tells_another_story_of_the_same_total(
    asked: Asked,
) -> None:
    net, x, labels = asked
    layer, steps = "layer2.1", 60
    begin = at(net, layer).capture(torch.zeros_like(x))
    ours = sg.explain(net, x, method=sg.integrated_gradients(steps, baseline=sg.Given(begin)), target=labels, at=layer)
    theirs = captums(net, layer, x, torch.zeros_like(x), labels, steps)
    assert ours.completeness is not None
    change = ours.completeness.change
    with torch.no_grad():
        scores = net(x) - net(torch.zeros_like(x))
    torch.testing.assert_close(change, scores.gather(1, labels[:, None])[:, 0], rtol=1e-4, atol=1e-4)
    assert ((ours.maps.flatten(1).sum(1) - change).abs() < 0.05 * change.abs()).all()
    assert ((theirs.flatten(1).sum(1) - change).abs() < 0.05 * change.abs()).all()
    assert gap(ours.maps, theirs) > 0.5


@pytest.mark.real
def test_beside_a_shortcut_the_rest_is_asked_at_the_input(asked: Asked) -> None:
    net, x, labels = asked
    layer = "layer2.0.conv1"
    outputs = [at(net, layer).capture(step / STEPS * x) for step in range(STEPS + 1)]
    ours = sg.explain(net, x, method=along(outputs), target=labels, at=layer)
    assert gap(ours.maps, captums(net, layer, x, torch.zeros_like(x), labels, STEPS)) > 0.1
    total = torch.zeros_like(ours.maps)
    for before, after in pairwise(outputs):
        h = before.clone().requires_grad_()
        score = at(net, layer)(h, x).gather(1, labels[:, None]).sum()  # x, not the point on its way to x
        total += torch.autograd.grad(score, h)[0] * (after - before)
    close(ours.maps, total)
