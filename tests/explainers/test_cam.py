"""The CAM family against the papers' sums, written slowly, and closed forms on networks that pool and are linear from there."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.citations import PAPERS
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod, NotDifferentiable, UnknownName, UnsupportedModel
from smoothgrad.explainers.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam, first_component
from smoothgrad.explainers.cam_pooled import Cam
from smoothgrad.explainers.cam_scores import AblationCam, ScoreCam, masks_of
from smoothgrad.explainers.combine import Product
from smoothgrad.methods import cams
from smoothgrad.models.layer import at
from smoothgrad.models.prepare import prepare

TARGETS = torch.tensor([2, 0, 1])


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().double().eval()


def curved() -> nn.Sequential:
    """Four maps of 3 x 4 positions behind layer 3, read by a head that is not linear: gradients differ from place to place."""
    net = seeded(
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(48, 6), nn.Tanh(), nn.Linear(6, 3)),
        )
    )
    assert isinstance(net, nn.Sequential)
    return net


def piecewise() -> nn.Sequential:
    """The same with a head of ReLUs, near every point linear."""
    net = curved()
    net[6] = nn.ReLU()
    return net


def pooled() -> nn.Sequential:
    """Maps, averaged, and a linear layer: CAM's form."""
    net = seeded(
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        ),
        seed=3,
    )
    assert isinstance(net, nn.Sequential)
    return net


X = randn(3, 2, 9, 11)
ASKED = Query.of(X, TARGETS)


def maps(method: Explainer, net: nn.Module, query: Query = ASKED, chunk: int = 2) -> Tensor:
    return method.estimate(net, query, Schedule(chunk)).value


def activation(net: nn.Sequential, row: int, layer: int = 3) -> Tensor:
    """A (C, h, w) of one row."""
    return net[: layer + 1](X[row : row + 1])[0].detach()


def score(net: nn.Sequential, a: Tensor, row: int, layer: int = 3) -> Tensor:
    """s as a function of A."""
    return net[layer + 1 :](a[None])[0, TARGETS[row]]


def slope(net: nn.Sequential, a: Tensor, row: int) -> Tensor:
    a = a.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(net, a, row), a)
    return gradient


# --- slow twins: one row, one channel, one position at a time ---------------------------------------------------------


def slow_grad_cam(a: Tensor, g: Tensor) -> Tensor:
    channels, height, width = a.shape
    total = torch.zeros(height, width, dtype=a.dtype)
    for k in range(channels):
        weight = sum(g[k, i, j] for i in range(height) for j in range(width)) / (height * width)
        total += weight * a[k]
    return total.clamp_min(0)


def slow_layer_cam(a: Tensor, g: Tensor) -> Tensor:
    total = torch.zeros_like(a[0])
    for k in range(len(a)):
        for i in range(a.shape[1]):
            for j in range(a.shape[2]):
                total[i, j] += max(float(g[k, i, j]), 0.0) * a[k, i, j]
    return total.clamp_min(0)


def slow_x_grad_cam(a: Tensor, g: Tensor) -> Tensor:
    total = torch.zeros_like(a[0])
    for k in range(len(a)):
        whole = float(a[k].sum())
        if whole:
            weight = sum(float(a[k].flatten()[p]) / whole * float(g[k].flatten()[p]) for p in range(a[k].numel()))
            total += weight * a[k]
    return total.clamp_min(0)


def slow_hires_cam(a: Tensor, g: Tensor) -> Tensor:
    total = torch.zeros_like(a[0])
    for k in range(len(a)):
        total += a[k] * g[k]
    return total


SLOW: list[tuple[type[Explainer], Callable[[Tensor, Tensor], Tensor]]] = [
    (GradCam, slow_grad_cam),
    (LayerCam, slow_layer_cam),
    (XGradCam, slow_x_grad_cam),
    (HiResCam, slow_hires_cam),
]


@pytest.mark.parametrize(("kind", "slow"), SLOW, ids=lambda part: getattr(part, "__name__", ""))
@pytest.mark.parametrize("make", [curved, piecewise, pooled])
def test_maps_are_the_papers_sums(
    kind: type[Explainer], slow: Callable[[Tensor, Tensor], Tensor], make: Callable[[], nn.Sequential]
) -> None:
    net = make()
    found = maps(kind(), net)
    assert found.shape == (3, 1, 3, 4)
    for row in range(3):
        a = activation(net, row)
        torch.testing.assert_close(found[row, 0], slow(a, slope(net, a, row)))
    assert found.any()


def test_grad_cam_plus_plus_is_that_of_the_exponential_of_the_score() -> None:
    net = piecewise()
    found = maps(GradCamPlusPlus(), net)
    assert found.any()
    for row in range(3):
        a = activation(net, row)
        one, two, three = higher_derivatives(net, a, row)
        total = torch.zeros_like(a[0])
        for k in range(len(a)):
            weight = 0.0
            for i in range(a.shape[1]):
                for j in range(a.shape[2]):
                    below = 2 * two[k, i, j] + a[k].sum() * three[k, i, j]
                    alpha = float(two[k, i, j] / below) if below else 0.0
                    weight += alpha * max(float(one[k, i, j]), 0.0)
            total += weight * a[k]
        # The paper's map is that of Y = exp(s), which is a factor of all of it.
        expected = total.clamp_min(0) / score(net, a, row).exp()
        torch.testing.assert_close(found[row, 0], expected.detach())


def higher_derivatives(net: nn.Sequential, a: Tensor, row: int) -> list[Tensor]:
    """The first three derivatives of exp(s) by each value of A, all others held."""
    found = [torch.zeros_like(a) for _ in range(3)]
    for place in range(a.numel()):
        step = torch.zeros((), dtype=a.dtype, requires_grad=True)
        unit = F.one_hot(torch.tensor(place), a.numel()).to(a).view(a.shape)
        derivative = score(net, a + step * unit, row).exp()
        for order in range(3):
            (derivative,) = torch.autograd.grad(derivative, step, create_graph=True)
            found[order].view(-1)[place] = derivative.detach()
    return found


def test_higher_derivatives_vanish_where_the_gradient_does() -> None:
    a, g = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    assert not GradCamPlusPlus.of(a, g).any()
    a[0, 0] = 1.0
    g[0, 0, 0, 0] = 0.5
    expected = 0.5 / (2 + 0.5 * 4)  # alpha relu(g), the only place that has any
    torch.testing.assert_close(GradCamPlusPlus.of(a, g), torch.full((1, 1, 2, 2), expected))


def test_small_gradients_do_not_vanish_by_their_squares() -> None:
    a, g = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 1e-30)  # g^2 is zero in float32
    torch.testing.assert_close(GradCamPlusPlus.of(a, g) * 1e30, torch.full((1, 1, 2, 2), 2.0))


def test_a_channel_that_sums_to_nothing_has_no_weight_in_x_grad_cam() -> None:
    a = torch.tensor([[[[1.0, -1.0]], [[2.0, 1.0]]]])
    g = torch.tensor([[[[5.0, 3.0]], [[1.0, 4.0]]]])
    torch.testing.assert_close(XGradCam.of(a, g), torch.tensor([[[[4.0, 2.0]]]]))  # weight (2 + 4) / 3


# --- CAM --------------------------------------------------------------------------------------------------------------


def class_map(net: nn.Sequential, row: int) -> Tensor:
    """Zhou et al. 2016, by hand: the maps weighed by the class's row of the linear layer."""
    a, total = activation(net, row), torch.zeros(3, 4, dtype=torch.float64)
    head = net[-1]
    assert isinstance(head, nn.Linear)
    for k in range(len(a)):
        total += head.weight.detach()[TARGETS[row], k] * a[k]
    return total


def test_cam_is_the_classes_row_times_the_maps() -> None:
    net = pooled()
    found = maps(Cam(), net)
    head = net[-1]
    assert isinstance(head, nn.Linear)
    for row in range(3):
        torch.testing.assert_close(found[row, 0], class_map(net, row))
    scores = net(X)[range(3), TARGETS]
    torch.testing.assert_close(found.mean((1, 2, 3)) + head.bias[TARGETS], scores)


def test_of_such_networks_all_are_one() -> None:
    net = pooled()
    cam, positions = maps(Cam(), net), 12
    for method in (GradCam(), XGradCam()):
        torch.testing.assert_close(maps(method, net), cam.relu() / positions)
    torch.testing.assert_close(maps(HiResCam(), net), cam / positions)


class Form(nn.Module):
    """A convolution, a head that is given, and a linear layer."""

    def __init__(self, head: Callable[[Tensor, nn.Module], Tensor], inputs: int = 4) -> None:
        super().__init__()
        self.conv, self.linear, self.given = nn.Conv2d(2, 4, 3), nn.Linear(inputs, 3), head
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_mean = torch.linspace(-1, 1, 4)
        self.norm.running_var = torch.linspace(0.5, 2, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.given(self.conv(x), self)


POOLS: dict[str, Callable[[Tensor, Form], Tensor]] = {
    "mean": lambda a, net: net.linear(a.mean((2, 3))),
    "mean, dimensions from the end": lambda a, net: net.linear(a.mean([-1, -2])),
    "kept dimensions": lambda a, net: net.linear(a.mean((2, 3), keepdim=True).flatten(1)),
    "squeezed": lambda a, net: net.linear(F.adaptive_avg_pool2d(a, 1).squeeze(-1).squeeze(-1)),
    "average pooling": lambda a, net: net.linear(F.avg_pool2d(a, (7, 9)).flatten(1)),
    "flattened positions": lambda a, net: net.linear(a.flatten(2).mean(2)),
    "channels last": lambda a, net: net.linear(a.permute(0, 2, 3, 1).mean((1, 2))),
    "tokens": lambda a, net: net.linear(a.flatten(2).transpose(1, 2).mean(1)),
    "a convolution of one position": lambda a, net: F.conv2d(
        a.mean((2, 3), keepdim=True), net.linear.weight[..., None, None], net.linear.bias
    ).flatten(1),
    "dropout": lambda a, net: net.linear(F.dropout(a.mean((2, 3)), training=False)),
    "scaled": lambda a, net: 0.5 + net.linear(a.mean((2, 3)) * 2.0 - 1.0) / 2.0,
    "a batch norm": lambda a, net: net.linear(net.norm(a.mean((2, 3)))),
    "two linear layers": lambda a, net: net.linear(net.linear(a.mean((2, 3))) @ torch.ones(3, 4, dtype=a.dtype)),
}


@pytest.mark.parametrize("name", POOLS)
def test_cam_knows_its_form_however_it_is_written(name: str) -> None:
    net = seeded(lambda: Form(POOLS[name]), seed=5)
    found = maps(Cam(), net)
    torch.testing.assert_close(found, maps(HiResCam("conv"), net) * 63)
    base = net.given(torch.zeros(3, 4, 7, 9, dtype=torch.float64), net)[range(3), TARGETS]
    torch.testing.assert_close(found.mean((1, 2, 3)), net(X)[range(3), TARGETS] - base)


def test_cam_of_class_maps_that_are_averaged_is_the_class_map() -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    found = maps(Cam(), net)
    torch.testing.assert_close(found[:, 0], net[:2](X)[range(3), TARGETS].detach())


def test_cam_of_series() -> None:
    net = seeded(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))
    )
    query = Query.of(randn(2, 2, 11), 1)
    expected = torch.einsum("c,ncl->nl", net[4].weight[1], net[:2](query.x))
    torch.testing.assert_close(maps(Cam(), net, query)[:, 0], expected.detach())


NOT_POOLED: dict[str, tuple[Callable[[Tensor, Form], Tensor], str]] = {
    "relu": (lambda a, net: net.linear(a.mean((2, 3)).relu()), "aten.relu in the network itself"),
    "flattened": (lambda a, net: net.linear(a.flatten(1)), "aten.convolution in layer 'conv'|nothing is averaged"),
    "largest": (lambda a, net: net.linear(a.amax((2, 3))), "aten.amax"),
    "one direction": (lambda a, net: net.linear(a.mean(2).flatten(1)), "aten.mean"),
    "softmax": (lambda a, net: net.linear(a.mean((2, 3))).softmax(1), "aten._softmax"),
    "square": (lambda a, net: net.linear((lambda m: m * m)(a.mean((2, 3)))), "aten.mul"),
    "reciprocal": (lambda a, net: net.linear(1.0 / (a.mean((2, 3)) + 9.0)), "aten.reciprocal|aten.div"),
    "sum of two": (lambda a, net: net.linear(a.mean((2, 3)) + a.amax((2, 3))), "aten.add"),
    "parts of the positions": (lambda a, net: net.linear(F.avg_pool2d(a, (7, 4)).flatten(1)), "aten.avg_pool2d"),
}


@pytest.mark.parametrize("name", NOT_POOLED)
def test_cam_refuses_other_forms_and_says_what_does_not_fit(name: str) -> None:
    head, reason = NOT_POOLED[name]
    inputs = {"flattened": 252, "one direction": 36, "parts of the positions": 8}.get(name, 4)
    net = seeded(lambda: Form(head, inputs))
    with pytest.raises(UnsupportedModel, match=f"Form does not have the form that CAM needs.*({reason}).*use grad_cam"):
        maps(Cam(), net)


def test_cam_of_any_target_that_is_linear_in_the_output() -> None:
    net = pooled()
    query = Query.of(X, TARGETS, scorer=lambda output, target: 2 * output[:, 0] - output[range(3), target])
    whole = [maps(Cam(), net, Query.of(X, target)) for target in (torch.zeros_like(TARGETS), TARGETS)]
    torch.testing.assert_close(maps(Cam(), net, query, chunk=3), 2 * whole[0] - whole[1])


def test_cam_of_a_target_without_gradient_is_refused() -> None:
    query = Query.of(X, TARGETS, scorer=lambda output, _target: output.argmax(1).double())
    with pytest.raises(NotDifferentiable, match="does not depend on the output"):
        maps(Cam(), pooled(), query)


# --- Eigen-CAM --------------------------------------------------------------------------------------------------------


def test_eigen_cam_of_one_pattern_is_the_pattern() -> None:
    # Channels w_c times the picture: O = x w', whose only singular direction is w / |w|, and O v = |w| x.
    net = seeded(lambda: nn.Sequential(nn.Conv2d(1, 5, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    x = randn(2, 1, 4, 5)
    w = net[0].weight.detach().flatten()
    expected = w.norm() * x
    sign = (x.flatten(1).square().sum(1) * w.sum()).sign().view(-1, 1, 1, 1)
    torch.testing.assert_close(maps(EigenCam("0"), net, Query.of(x, 0)), expected * sign)


def test_eigen_cam_is_the_best_map_of_rank_one() -> None:
    a = randn(4, 6, 3, 4).relu()
    found = first_component(a)
    assert (found >= -1e-12).all()  # of what is nowhere negative
    flat = a.flatten(2).transpose(1, 2)
    for row in range(4):
        values, vectors = torch.linalg.eigh(flat[row].T @ flat[row])
        expected = flat[row] @ vectors[:, -1]
        torch.testing.assert_close(found[row].flatten().abs(), expected.abs())
        torch.testing.assert_close(found[row].norm().square(), values[-1])


def test_eigen_cam_is_positive_where_the_activation_is_large() -> None:
    a = randn(20, 6, 3, 4, seed=2)
    found = first_component(a)
    assert ((found * a.sum(1, keepdim=True)).sum((1, 2, 3)) >= 0).all()
    torch.testing.assert_close(first_component(-a), -found)


def test_eigen_cam_does_not_depend_on_the_class() -> None:
    net = curved()
    torch.testing.assert_close(maps(EigenCam(), net), maps(EigenCam(), net, Query.of(X, 1)))
    assert not first_component(torch.zeros(2, 3, 2, 2)).any()


# --- Score-CAM and Ablation-CAM ---------------------------------------------------------------------------------------


def slow_score_cam(net: nn.Sequential, row: int, baseline: Tensor) -> Tensor:
    a, x = activation(net, row), X[row]
    rises = []
    for k in range(len(a)):
        mask = F.interpolate(a[k][None, None], size=x.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        spread = float(mask.max() - mask.min())
        mask = (mask - mask.min()) / spread if spread else torch.zeros_like(mask)
        shown = mask * x + (1 - mask) * baseline
        rises.append(net(shown[None])[0, TARGETS[row]] - net(baseline[None])[0, TARGETS[row]])
    weights = torch.stack(rises).softmax(0)
    return sum(weights[k] * a[k] for k in range(len(a))).clamp_min(0).detach()


@pytest.mark.parametrize("baseline", [sg.Zero(), sg.Constant(0.7)])
@pytest.mark.parametrize("chunk", [1, 2, 5, 64])
def test_score_cam_is_the_papers_sum(baseline: sg.Baseline, chunk: int) -> None:
    net = curved()
    found = maps(ScoreCam("3", baseline), net, chunk=chunk)
    for row in range(3):
        start = torch.full_like(X[row], 0.7 if isinstance(baseline, sg.Constant) else 0.0)
        torch.testing.assert_close(found[row, 0], slow_score_cam(net, row, start))


def test_of_several_baselines_score_cam_takes_the_mean_score() -> None:
    net, both = curved(), sg.Several(sg.Zero(), sg.Constant(0.7))
    method = ScoreCam("3", both)
    assert method.passes == 1 + 2 * 2048
    estimate = method.estimate(net, ASKED, Schedule(3))
    assert estimate.draws.tolist() == [8, 8, 8]
    a = net[:4](X).detach()
    masks = masks_of(a, X.shape[1:])
    answers = torch.stack(
        [
            torch.stack([net(b + mask * (X - b))[range(3), TARGETS] for mask in masks.unbind(1)], 1)
            for b in (torch.zeros_like(X), torch.full_like(X, 0.7))
        ]
    )
    expected = (answers.mean(0).softmax(1)[..., None, None] * a).sum(1, keepdim=True).relu()
    torch.testing.assert_close(estimate.value, expected.detach())


def test_masks_go_from_zero_to_one_and_hide_all_where_a_map_is_constant() -> None:
    a = randn(2, 3, 3, 4)
    a[0, 1] = 5.0
    masks = masks_of(a, torch.Size((2, 9, 11)))
    assert masks.shape == (2, 3, 1, 9, 11)
    assert not masks[0, 1].any()
    others = torch.cat([masks[0, [0, 2]], masks[1]])
    torch.testing.assert_close(others.amin((1, 2, 3)), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(others.amax((1, 2, 3)), torch.ones(5, dtype=torch.float64))


def slow_ablation_cam(net: nn.Sequential, row: int) -> Tensor:
    a = activation(net, row)
    whole, total = score(net, a, row), torch.zeros_like(a[0])
    for k in range(len(a)):
        without = a.clone()
        without[k] = 0
        total += ((whole - score(net, without, row)) / whole.abs()).detach() * a[k]
    return total.clamp_min(0)


@pytest.mark.parametrize("chunk", [1, 2, 5, 64])
def test_ablation_cam_is_the_papers_sum(chunk: int) -> None:
    net = curved()
    found = maps(AblationCam("3"), net, chunk=chunk)
    assert found.any()
    for row in range(3):
        torch.testing.assert_close(found[row, 0], slow_ablation_cam(net, row))


def test_ablation_of_a_linear_head_is_each_channels_contribution() -> None:
    net = pooled()
    head = net[-1]
    assert isinstance(head, nn.Linear)
    a = net[:4](X).detach()
    scores = net(X)[range(3), TARGETS].detach()
    falls = head.weight.detach()[TARGETS] * a.mean((2, 3)) / scores.abs()[:, None]
    expected = (falls[..., None, None] * a).sum(1, keepdim=True).relu()
    torch.testing.assert_close(maps(AblationCam(), net), expected)


def test_a_score_of_zero_divides_nothing() -> None:
    net = pooled()
    query = Query.of(X, TARGETS, scorer=lambda output, target: output.gather(1, target[:, None])[:, 0] * 0)
    assert not maps(AblationCam("3"), net, query).any()


@pytest.mark.parametrize("kind", [ScoreCam, AblationCam])
def test_every_channel_is_asked_once(kind: type[ScoreCam] | type[AblationCam]) -> None:
    net, asked = curved(), []
    net.register_forward_pre_hook(lambda _module, inputs: asked.append(len(inputs[0])))
    method = kind("3", channels=10)
    assert method.passes == 11
    partials = list(method.partials(net, ASKED, Schedule(6)))
    assert [partial.done for partial in partials] == [3, 5]  # two draws of three rows at a time
    assert all(partial.total == 11 for partial in partials)
    estimate = partials[-1].estimate()
    assert estimate.draws.tolist() == [4, 4, 4]
    assert method.cost(estimate.draws).tolist() == [5, 5, 5]
    assert sum(asked) == 3 * 5
    first = partials[0].estimate()
    torch.testing.assert_close(first.value, partials[0].estimate().value)
    assert first.draws.tolist() == [2, 2, 2]


def test_of_too_many_channels_score_cam_weighs_those_that_vary_most() -> None:
    net = curved()
    a = net[:4](X).detach()
    order = a.flatten(2).std(2).topk(2, dim=1).indices
    masks = masks_of(a, X.shape[1:])
    total = torch.zeros(3, 1, 3, 4, dtype=torch.float64)
    for row in range(3):
        kept = order[row].tolist()
        weights = net(masks[row, kept] * X[row])[:, TARGETS[row]].softmax(0).detach()
        total[row, 0] = (weights[:, None, None] * a[row, kept]).sum(0).relu()
    torch.testing.assert_close(maps(ScoreCam("3", channels=2), net), total)


def test_of_too_many_channels_ablation_cam_weighs_the_largest() -> None:
    net = curved()
    a = net[:4](X).detach()
    found = maps(AblationCam("3", channels=2), net)
    for row in range(3):
        whole, total = score(net, a[row], row), torch.zeros(3, 4, dtype=torch.float64)
        for k in a[row].sum((1, 2)).topk(2).indices.tolist():
            without = a[row].clone()
            without[k] = 0
            total += ((whole - score(net, without, row)) / whole.abs()).detach() * a[row, k]
        torch.testing.assert_close(found[row, 0], total.clamp_min(0))


def test_channels_that_are_zero_everywhere_may_be_left_out_of_ablation() -> None:
    net = curved()
    with torch.no_grad():
        net[2].bias[1] = -100.0  # type: ignore[union-attr]
    torch.testing.assert_close(maps(AblationCam("3", channels=3), net), maps(AblationCam("3"), net))


# --- what holds for all -----------------------------------------------------------------------------------------------

ALL: dict[str, Explainer] = {
    "cam": Cam(),
    "grad": GradCam(),
    "grad++": GradCamPlusPlus(),
    "layer": LayerCam(),
    "xgrad": XGradCam(),
    "hires": HiResCam(),
    "eigen": EigenCam(),
    "score": ScoreCam(),
    "ablation": AblationCam(),
}
ANY = pytest.mark.parametrize("method", ALL.values(), ids=ALL)


@ANY
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_rows_do_not_mix(method: Explainer, chunk: int) -> None:
    net = pooled()
    whole = maps(method, net, chunk=64)
    torch.testing.assert_close(maps(method, net, chunk=chunk), whole)
    for row in range(3):
        torch.testing.assert_close(maps(method, net, ASKED.rows(slice(row, row + 1))), whole[row : row + 1])


@ANY
def test_maps_are_one_channel_without_history_and_never_negative_where_they_say_so(method: Explainer) -> None:
    net = pooled()
    estimate = method.estimate(net, ASKED, Schedule(2))
    assert estimate.value.shape == (3, 1, 3, 4)
    assert estimate.value.dtype == torch.float64
    assert not estimate.value.requires_grad
    assert estimate.stderr is None
    assert estimate.value.any()
    if method.unsigned:
        assert (estimate.value >= 0).all()
    assert int(method.cost(estimate.draws).max()) <= method.passes


@ANY
def test_the_found_layer_is_the_named_one(method: Explainer) -> None:
    if isinstance(method, Cam):
        assert method.layers == ()
        return
    named = type(method)("3")  # type: ignore[call-arg]
    assert (method.layers, named.layers) == ((), ("3",))
    torch.testing.assert_close(maps(method, pooled()), maps(named, pooled()))


@ANY
def test_a_prepared_copy_has_the_same_map(method: Explainer) -> None:
    net = seeded(
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, stride=2)),
            *(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        )
    )
    with torch.no_grad():
        net[1].running_mean.copy_(torch.linspace(-0.5, 0.5, 3))
        net[4].running_mean.copy_(torch.linspace(-0.5, 0.2, 4))
    copy = prepare(net, X)
    assert "2 of 2 batch norms folded" in copy.preparation.said
    torch.testing.assert_close(maps(method, copy), maps(method, net))


@ANY
def test_several_targets_of_a_row_have_a_map_each(method: Explainer) -> None:
    net = pooled()
    both = torch.stack([TARGETS, (TARGETS + 1) % 3], 1)
    found = maps(method, net, ASKED.for_each(both))
    for turn in range(2):
        torch.testing.assert_close(found[turn::2], maps(method, net, Query.of(X, both[:, turn])))


@ANY
def test_other_inputs_travel_with_their_rows(method: Explainer) -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = pooled()

        def forward(self, x: Tensor, shift: Tensor) -> Tensor:
            return self.net(x + shift)

    shift = torch.tensor([0.0, 0.5, -0.3], dtype=torch.float64).view(3, 1, 1, 1)
    query = Query.of(X, TARGETS, context=(shift,))
    found = maps(method, Shifted().eval(), query)
    if not isinstance(method, ScoreCam):  # whose masks are laid over x, before the shift
        torch.testing.assert_close(found, maps(method, pooled(), Query.of(X + shift, TARGETS)))
    for row in range(3):
        part = slice(row, row + 1)
        torch.testing.assert_close(maps(method, Shifted().eval(), query.rows(part)), found[part])


@ANY
def test_of_series_the_map_is_a_series(method: Explainer) -> None:
    net = seeded(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))
    )
    assert maps(method, net, Query.of(randn(2, 2, 20), 1)).shape == (2, 1, 16)


@ANY
def test_rows_without_positions_are_refused(method: Explainer) -> None:
    with pytest.raises(BadInput, match="take pictures"):
        method.check(Query.of(torch.zeros(2, 5), 0))
    with pytest.raises(BadInput, match="take pictures"):
        maps(method, nn.Linear(5, 2).eval(), Query.of(torch.zeros(2, 5), 0))


@ANY
def test_at_a_layer_the_map_is_of_what_lies_behind_it(method: Explainer) -> None:
    net = pooled()
    view = at(net, "1")
    query = Query.of(view.capture(X), TARGETS, context=(X,))
    found = maps(method, view, query)
    assert found.shape == (3, 1, 3, 4)
    if not isinstance(method, ScoreCam):  # its masks are laid over the layer's output, not over the input
        torch.testing.assert_close(found, maps(method, net))


@ANY
def test_at_a_layer_of_tokens_no_map_can_be_laid_over_them(method: Explainer) -> None:
    timm = pytest.importorskip("timm")
    vit = seeded(lambda: timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=3, depth=2))
    swin = seeded(
        lambda: timm.models.swin_transformer.SwinTransformer(
            img_size=32, patch_size=2, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(2, 2), num_classes=3
        )
    )
    x = randn(2, 3, 32, 32)
    for net, layer in ((vit, "blocks.0"), (vit, "patch_embed"), (swin, "layers.0")):
        view = at(net, layer)
        query = Query.of(view.capture(x), 1, context=(x,))
        with pytest.raises(BadInput, match=f"layer '{layer}' answers rows of shape .* no maps of channels"):
            maps(method, view, query)


@pytest.mark.parametrize("method", [method for method in ALL.values() if not isinstance(method, Cam)], ids=repr)
def test_an_unknown_layer_is_answered_with_the_nearest(method: Explainer) -> None:
    net = nn.ModuleDict({"stem": pooled()})
    net.forward = lambda x: net["stem"](x)  # type: ignore[method-assign]
    with pytest.raises(UnknownName, match=r"no layer 'stem\.33'; did you mean 'stem\.3'"):
        maps(type(method)("stem.33"), net.eval())  # type: ignore[call-arg]


def test_channels_are_counted_from_one() -> None:
    for kind in (ScoreCam, AblationCam):
        with pytest.raises(BadMethod, match="needs channels >= 1, got 0"):
            kind(channels=0)


# --- compositions -----------------------------------------------------------------------------------------------------


def test_smooth_grad_cam_is_the_mean_over_noisy_copies() -> None:
    net = curved()
    for method, one in (
        (cams.smooth_grad_cam(0.3, 5, unit="absolute"), GradCam()),
        (cams.smooth_grad_cam_plus_plus(0.3, 5, unit="absolute"), GradCamPlusPlus()),
    ):
        estimate = method.estimate(net, ASKED, Schedule(4))
        points, _, _ = sg.Gaussian(0.3, 5, "absolute").draw(ASKED, range(5))
        draws = torch.stack([maps(one, net, Query.of(part, TARGETS)) for part in points])
        torch.testing.assert_close(estimate.value, draws.mean(0))
        assert estimate.stderr is not None
        torch.testing.assert_close(estimate.stderr, draws.std(0) / math.sqrt(5))


def test_guided_grad_cam_is_the_product_at_full_size() -> None:
    net = curved()
    method = cams.guided_grad_cam()
    assert method == Product(sg.Gradient(sg.Guided()), GradCam())
    found = maps(method, net)
    assert found.shape == X.shape
    fine = F.interpolate(maps(GradCam(), net), size=(9, 11), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, maps(sg.Gradient(sg.Guided()), net) * fine)


def test_named_methods_are_their_pieces() -> None:
    assert cams.cam() == Cam()
    for name, kind in (
        ("grad_cam", GradCam),
        ("grad_cam_plus_plus", GradCamPlusPlus),
        ("layer_cam", LayerCam),
        ("x_grad_cam", XGradCam),
        ("hires_cam", HiResCam),
        ("eigen_cam", EigenCam),
        ("score_cam", ScoreCam),
        ("ablation_cam", AblationCam),
    ):
        make = getattr(cams, name)
        assert make() == kind()
        assert make("layer4").layers == ("layer4",)
    assert cams.guided_grad_cam("layer4").layers == ("layer4",)
    assert cams.smooth_grad_cam(layer="layer4").layers == ("layer4",)
    assert {row.name for row in cams.ROWS} >= {"cam", "grad_cam", "smooth_grad_cam_plus_plus"}


def test_every_paper_is_known() -> None:
    keys = {key for row in cams.ROWS for key in row.papers} | {key for keys in cams.PIECES.values() for key in keys}
    assert keys <= set(PAPERS)
    assert all(row.summary for row in cams.ROWS)


@pytest.mark.parametrize("method", [m for name, m in ALL.items() if name not in ("cam", "score")], ids=repr)
def test_transformers_have_maps_of_their_patches(method: Explainer) -> None:
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=5, depth=2)
        swin = timm.models.swin_transformer.SwinTransformer(
            img_size=32, patch_size=2, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(2, 2), num_classes=5
        )
        for net in (vit, swin):
            for part in net.parameters():
                nn.init.normal_(part, std=0.1)
    x = torch.randn(2, 3, 32, 32)
    rising, falling = (
        Query.of(x, 1, scorer=lambda output, _target, sign=sign: sign * output[:, 1]) for sign in (1, -1)
    )
    for net, grid in ((vit, (4, 4)), (swin, (8, 8))):
        found, against = (maps(method, net.eval(), query) for query in (rising, falling))
        assert found.shape == (2, 1, *grid)
        assert (found != against).flatten(1).any(1).all() or isinstance(method, EigenCam)
        assert found.any() or against.any()
        assert found.isfinite().all()


def test_cam_is_of_the_type_of_the_rows() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    x = randn(2, 2, 8, 8).float()
    wide = sg.explain(net, x, method=Cam(), target=1)
    narrow = sg.explain(net, x, method=Cam(), target=1, precision="bfloat16")
    assert narrow.maps.dtype == torch.float32
    assert (narrow.maps - wide.maps).norm() < 0.03 * wide.maps.norm()
