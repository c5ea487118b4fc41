"""DeepLIFT on networks as people write them: what it sums to, what it sees that a slope does not, and its mean over data."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.errors import BadBaseline, NonFinite
from smoothgrad.explainers.deeplift import DeepLift
from smoothgrad.methods.deeplift import deep_lift, deep_shap
from smoothgrad.rules.deeplift import DenseRevealCancel, MultiplierRule, Rescale, RevealCancel
from smoothgrad.samplers.data import DataPoints
from tests.nets import small_net

RULE = pytest.mark.parametrize("rule", [Rescale(), RevealCancel(), DenseRevealCancel()], ids=repr)
ROWS = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
DATA = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5
NET = small_net().double()


class Residual(nn.Module):
    """A ReLU module and a convolution that are used again and again, functions, in-place functions, two ways that meet."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first, self.again = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.norm, self.last = nn.BatchNorm2d(6), nn.Linear(6 * 16, 4)
        self.relu = nn.ReLU(inplace=True)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.first(x))
        for _ in range(2):
            h = self.relu(h + self.norm(self.again(F.relu(self.again(h)))))
        gate = h.mean((2, 3), keepdim=True).sigmoid()
        h = F.max_pool2d(torch.cat([h * gate, h], 1)[:, 3:9], 2)
        return self.last(h.flatten(1))


def attending() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = VisionTransformer(img_size=8, patch_size=2, embed_dim=12, depth=2, num_heads=2, num_classes=4)
        nn.init.normal_(net.head.weight)
    return net.double().eval()


def shifted() -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = SwinTransformer(
            img_size=8, patch_size=1, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), num_classes=4
        )
        nn.init.normal_(net.head.fc.weight)
    return net.double().eval()


NETS = {"small": lambda: NET, "residual": Residual, "ViT": attending, "Swin": shifted}


def error(result: sg.Attribution) -> float:
    """Of completeness, of all that the map holds."""
    assert result.completeness is not None
    total, change = result.completeness
    return float(((total - change).abs() / result.maps.flatten(1).abs().sum(1).clamp_min(1e-6)).max())


@RULE
@pytest.mark.parametrize("name", NETS)
def test_the_map_sums_to_the_change_of_score(name: str, rule: MultiplierRule) -> None:
    net = NETS[name]()
    for target in (
        1,
        sg.Contrast(),
        sg.Probability(),
        sg.Probability(log=True),
        lambda output: output.square().sum(1).tanh(),
    ):
        result = sg.explain(net, ROWS, method=DeepLift(rule, sg.Blurred(2)), target=target)
        assert error(result) < 1e-9
        assert bool((result.maps != 0).any())


@pytest.mark.parametrize("name", NETS)
def test_in_float32_it_is_complete_to_a_ten_thousandth(name: str) -> None:
    net = NETS[name]().float()
    for rule in (Rescale(), RevealCancel()):
        result = sg.explain(net, ROWS.float(), method=DeepLift(rule), target=1)
        assert result.completeness is not None
        assert error(result) < 1e-5
        assert float(result.completeness.error.max()) < 1e-4
    net.double()


class Whatever(nn.Module):
    """A network at random: grouped, dilated, reused, in place, residual, pooled."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.plan = [self.random.choice(["new", "again", "residual", "pool", "norm"]) for _ in range(5)]
        self.first = nn.Conv2d(3, 4, 3, padding=1, groups=1)
        self.new = nn.Conv2d(
            4, 4, 3, padding="same", groups=self.random.choice([1, 2]), dilation=self.random.choice([1, 2])
        )
        self.norm = self.random.choice([nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)])
        self.act = self.random.choice([nn.ReLU(inplace=True), nn.SiLU(), nn.Tanh(), nn.LeakyReLU(), nn.Hardswish()])
        self.pool = self.random.choice([nn.MaxPool2d(3, 1, padding=1), nn.AvgPool2d(3, 1), nn.MaxPool2d(2)])
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        for part in self.plan:
            if part == "pool" and h.shape[-1] > 3:
                h = self.pool(h)
            elif part == "norm":
                h = F.relu(self.norm(h))
            elif part == "residual":
                h = F.gelu(h + self.new(h))
            else:
                h = self.act(self.new(h)).relu_()
        return h.amax((2, 3))


@RULE
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_networks_at_random_are_complete(rule: MultiplierRule, seed: int) -> None:
    torch.manual_seed(seed)
    assert error(sg.explain(Whatever(seed), ROWS, method=DeepLift(rule, sg.Given(DATA[:3])), target=seed % 4)) < 1e-8


def test_at_a_layer_and_for_several_targets() -> None:
    net = Residual()
    result = sg.explain(net, ROWS, method=DeepLift(), target=sg.Each(0, 1, sg.Top()), at="first")
    assert error(result) < 1e-10
    alone = sg.explain(net, ROWS[[1]], method=DeepLift(), target=1, at="first")
    torch.testing.assert_close(result.maps[4], alone.maps[0])


def test_a_prepared_copy_has_the_same_map() -> None:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).double()
    net[1].running_mean.normal_()  # type: ignore[union-attr, operator]
    nn.init.uniform_(net[1].weight, -1, 1)  # type: ignore[arg-type]
    net.eval()
    copy = sg.prepare(net, ROWS)
    assert copy.preparation.folded == 1
    for rule in (Rescale(), RevealCancel()):
        ours, theirs = (sg.explain(model, ROWS, method=DeepLift(rule), target=1).maps for model in (net, copy))
        torch.testing.assert_close(ours, theirs)


# --- what the rules see -------------------------------------------------------------------------------------------------


class Least(nn.Module):
    """min(i, j) = i - relu(i - j)."""

    def forward(self, x: Tensor) -> Tensor:
        i, j = x.unbind(1)
        return (i - (i - j).relu())[:, None]


class Saturated(nn.Module):
    """1 - relu(1 - i - j): an OR. Once i is 1, the gradient by j is 0."""

    def forward(self, x: Tensor) -> Tensor:
        return (1 - (1 - x.sum(1)).relu())[:, None]


def lifted(net: nn.Module, x: list[float], rule: MultiplierRule) -> list[float]:
    maps: list[float] = sg.explain(net.eval(), torch.tensor([x]), method=DeepLift(rule), target=0).maps[0].tolist()
    return maps


def test_rescale_gives_a_minimum_to_one_input_and_reveal_cancel_to_both() -> None:
    # Shrikumar et al. 2017, 3.5.3: gradients, and slopes, give everything to one of the two.
    assert lifted(Least(), [10.0, 6.0], Rescale()) == pytest.approx([0.0, 6.0])
    assert lifted(Least(), [10.0, 6.0], RevealCancel()) == pytest.approx([3.0, 3.0])
    assert lifted(Least(), [6.0, 10.0], Rescale()) == pytest.approx([6.0, 0.0])
    assert lifted(Least(), [6.0, 10.0], RevealCancel()) == pytest.approx([3.0, 3.0])


@RULE
def test_both_inputs_of_an_or_have_their_share(rule: MultiplierRule) -> None:
    assert lifted(Saturated(), [1.0, 1.0], rule) == pytest.approx([0.5, 0.5])
    assert lifted(Saturated(), [1.0, 0.0], rule) == pytest.approx([1.0, 0.0])


def test_a_jump_of_the_gradient_makes_no_jump_of_the_map() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())  # relu(x - 10): figure 2 of the paper
    nn.init.constant_(net[0].weight, 1.0)  # type: ignore[arg-type]
    nn.init.constant_(net[0].bias, -10.0)  # type: ignore[arg-type]
    assert lifted(net, [10.0 + 1e-3], Rescale()) == pytest.approx([1e-3], rel=1e-3)


# --- baselines ----------------------------------------------------------------------------------------------------------


def test_several_baselines_are_averaged() -> None:
    both = sg.explain(NET, ROWS, method=DeepLift(baseline=sg.Several(sg.Black(), sg.Blurred(2))), target=1)
    one, other = (sg.explain(NET, ROWS, method=DeepLift(baseline=b), target=1) for b in (sg.Black(), sg.Blurred(2)))
    torch.testing.assert_close(both.maps, (one.maps + other.maps) / 2)
    assert error(both) < 1e-10
    assert int(both.passes[0]) == 3  # once at the input, once at each baseline


def test_from_itself_there_is_no_difference() -> None:
    assert not sg.explain(NET, ROWS, method=DeepLift(baseline=sg.Given(ROWS)), target=1).maps.any()


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_deep_shap_is_the_mean_over_the_rows_it_draws(chunk: int) -> None:
    samples = 6
    method = deep_shap(DATA, samples)
    result = sg.explain(NET, ROWS, method=method, target=1, seed=3, chunk=chunk)
    drawn, _, _ = DataPoints(DATA, samples).draw(Query.of(ROWS, 1, seed=3), range(samples))
    maps = torch.stack([sg.explain(NET, ROWS, method=deep_lift(baseline=sg.Given(b)), target=1).maps for b in drawn])
    torch.testing.assert_close(result.maps, maps.mean(0))
    assert result.stderr is not None
    torch.testing.assert_close(result.stderr, maps.std(0) / samples**0.5)
    scores = torch.stack([NET(b)[:, 1] for b in drawn]).mean(0)
    torch.testing.assert_close(result.maps.flatten(1).sum(1), (NET(ROWS)[:, 1] - scores).detach())
    assert result.passes.tolist() == [2 * samples] * 3


def test_deep_shap_stops_when_it_is_sure_enough() -> None:
    result = sg.explain(NET, ROWS, method=deep_shap(DATA, sg.Until(0.2, least=8, most=256)), target=1)
    assert result.relative_error is not None
    assert bool((result.relative_error <= 0.2).all())
    assert int(result.draws.max()) < 256


def test_deep_shap_of_a_linear_function_is_its_shapley_values() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).double().eval()
    rows = ROWS[:1].repeat(60, 1, 1, 1)  # each draws for itself
    result = sg.explain(net, rows, method=deep_shap(DATA, 100), target=0)
    weight = net[1].weight[0].detach().view(3, 8, 8)  # type: ignore[index, operator, union-attr]
    exact = weight * (rows - DATA.mean(0))
    assert result.stderr is not None
    z = (result.maps - exact) / result.stderr
    assert 0.8 < float(z.square().mean().sqrt()) < 1.2


def test_inside_a_cloud_it_explains_the_noisy_rows() -> None:
    cloud = sg.Gaussian(0.3, 4)
    one = sg.explain(NET, ROWS, method=deep_shap(DATA[:1], 3).over(cloud), target=1)
    other = sg.explain(NET, ROWS, method=deep_lift(baseline=sg.Given(DATA[0])).over(cloud), target=1)
    torch.testing.assert_close(one.maps, other.maps)


def test_other_inputs_of_the_network_stay_with_their_rows() -> None:
    class Shifted(nn.Module):
        def forward(self, x: Tensor, shift: Tensor) -> Tensor:
            return NET(x + shift)

    shift = torch.linspace(-1, 1, 3, dtype=torch.float64).view(3, 1, 1, 1)
    for method in (deep_lift(), deep_shap(DATA, 4)):
        result = sg.explain(Shifted().eval(), ROWS, method=method, target=1, context=(shift,))
        alone = sg.explain(Shifted().eval(), ROWS[[2]], method=method, target=1, context=(shift[[2]],), keys=[2])
        torch.testing.assert_close(alone.maps[0], result.maps[2])


# --- refusals -----------------------------------------------------------------------------------------------------------


def test_data_of_another_shape_is_refused() -> None:
    with pytest.raises(BadBaseline, match="input rows have shape"):
        sg.explain(NET, ROWS, method=deep_shap(DATA[:, :2], 4), target=1)


def test_infinite_slopes_are_an_error() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sqrt().sum(1, keepdim=True)

    x = ROWS.abs()
    x[1, 0, 0, 0] = 0
    with pytest.raises(NonFinite, match="row 1"):
        sg.explain(Root().eval(), x, method=DeepLift(), target=0)
