"""LRP through whole networks: what it equals, what it keeps, what it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, NotDifferentiable, UnsupportedModel
from smoothgrad.explainers.relevance import Relevance
from smoothgrad.methods import relevance as named
from smoothgrad.models.prepare import prepare
from smoothgrad.rules.composite import ByName, Composite
from smoothgrad.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus
from tests.operators import declare_missing
from tests.rules import slow_lrp as slow

X = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
TARGET = torch.tensor([0, 2, 1])
LRP0 = named.lrp_0()


def maps(method: sg.Explainer, net: nn.Module, x: Tensor = X, target: object = TARGET, chunk: int = 8) -> Tensor:
    if callable(target):
        query = Query.of(x, 0, scorer=lambda output, _: target(output))
    else:
        assert isinstance(target, int | Tensor)
        query = Query.of(x, target)
    return method.estimate(net, query, Schedule(chunk)).value


def seeded(net: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network in float64 and eval mode, its batch norms with statistics of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = net().double().eval()
        for part in made.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.uniform_(-0.3, 0.3)
                part.running_var.uniform_(0.5, 2)
    return made


class Residual(nn.Module):
    """Norms to fold and one that cannot be, a residual, a branch, both poolings, a module used twice, functions in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.pre = nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.twice = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        h = self.conv(F.relu(self.pre(h))) + h
        h = torch.relu_(self.twice(self.twice(h).relu()))
        h = torch.cat([F.max_pool2d(h, 2), F.avg_pool2d(h, 2)], 1)
        return self.head(F.leaky_relu(h, 0.0).mean((2, 3)))


RESIDUAL = seeded(Residual)


# --- what it equals ---------------------------------------------------------------------------------------------------


def test_lrp_0_of_relu_networks_is_input_times_gradient() -> None:
    torch.testing.assert_close(maps(LRP0, RESIDUAL), maps(sg.input_x_gradient(), RESIDUAL), rtol=1e-8, atol=1e-10)


def test_a_tiny_epsilon_changes_next_to_nothing() -> None:
    torch.testing.assert_close(maps(named.lrp_epsilon(1e-12), RESIDUAL), maps(LRP0, RESIDUAL), rtol=1e-5, atol=1e-8)


def plain_net() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(4, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3)),
    )


PLAIN = seeded(plain_net)
assert isinstance(PLAIN, nn.Sequential)
E, POOL = slow.epsilon(1e-6), slow.epsilon(1e-6)
LOW = [float(X[0, channel].min()) for channel in (0, 1)]


@pytest.mark.parametrize(
    ("method", "first", "convolution", "dense"),
    [
        (named.lrp_epsilon(), E, E, E),
        (named.lrp_gamma(0.3), *[slow.gamma(0.3)] * 3),
        (named.lrp_epsilon_plus(), slow.alpha_beta(1, 0), slow.alpha_beta(1, 0), E),
        (named.lrp_epsilon_plus_flat(), slow.flat, slow.alpha_beta(1, 0), E),
        (named.lrp_epsilon_alpha2_beta1(), slow.alpha_beta(2, 1), slow.alpha_beta(2, 1), E),
        (named.lrp_epsilon_alpha2_beta1_flat(), slow.flat, slow.alpha_beta(2, 1), E),
        (named.deep_taylor(WSquare()), slow.w_square, *[slow.alpha_beta(1, 0)] * 2),
        (named.attn_lrp(), *[slow.gamma(0.25)] * 2, E),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, sg.Explainer) else "",
)
def test_composites_are_the_papers_sums(
    method: sg.Explainer, first: slow.Rule, convolution: slow.Rule, dense: slow.Rule
) -> None:
    rules = {0: first, 2: POOL, 3: convolution, 6: dense, 8: dense}
    assert isinstance(PLAIN, nn.Sequential)
    fast = maps(method, PLAIN)
    for row in range(3):
        by_hand = slow.relevance(PLAIN, X[row], int(TARGET[row]), rules)
        torch.testing.assert_close(fast[row], by_hand, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("low", "high"), [(-0.4, 0.9), ((-0.4, -0.5), (0.8, 1.0)), (None, None), (-0.4, None)])
def test_boxes_are_the_paper_s_sum(
    low: float | tuple[float, ...] | None, high: float | tuple[float, ...] | None
) -> None:
    fast = maps(named.lrp_epsilon_gamma_box(gamma=0.4, low=low, high=high), PLAIN)

    def side(bound: object, own: Tensor) -> Tensor:
        value = own if bound is None else torch.tensor(bound, dtype=torch.float64).view(-1, 1, 1)
        return value.expand(2, 6, 6).reshape(-1)

    for row in range(3):
        lows, highs = side(low, X[row].amin((1, 2), True)), side(high, X[row].amax((1, 2), True))
        rules = {0: slow.z_box(lows.numpy(), highs.numpy()), 2: POOL, 3: slow.gamma(0.4), 6: E, 8: E}
        assert isinstance(PLAIN, nn.Sequential)
        by_hand = slow.relevance(PLAIN, X[row], int(TARGET[row]), rules)
        torch.testing.assert_close(fast[row], by_hand, rtol=1e-8, atol=1e-10)


def test_rows_in_other_units_inside_the_network_are_the_same_rows() -> None:
    class Normalising(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pixels = x.flip(1).permute(0, 2, 3, 1)  # BGR, channels last
            return PLAIN(((pixels * 2 - 0.2) / -4).permute(0, 3, 1, 2).flip(1) * -4 / 2 + 0.1)

    for method in (
        named.lrp_epsilon_plus_flat(),
        named.lrp_epsilon_gamma_box(),
        named.lrp_epsilon_gamma_box(low=-1, high=(1, 2)),
        LRP0,
    ):
        torch.testing.assert_close(maps(method, Normalising()), maps(method, PLAIN), rtol=1e-8, atol=1e-10)


def test_batch_norm_is_made_part_of_the_layer_before() -> None:
    for method in (named.lrp_epsilon_plus(), named.lrp_gamma(), named.lrp_epsilon_alpha2_beta1()):
        copy = prepare(RESIDUAL, X)
        assert copy.preparation.folded == 1
        torch.testing.assert_close(maps(method, copy), maps(method, RESIDUAL), rtol=1e-8, atol=1e-10)


def test_one_function_spelled_in_other_ways_has_one_map() -> None:
    class Spelled(Residual):
        def forward(self, x: Tensor) -> Tensor:
            h = F.conv2d(x, self.stem[0].weight, padding=1)
            h = self.stem[1](h).clamp(min=0)
            pre = torch.maximum(self.pre(h), torch.zeros(1))
            h = torch.add(self.conv(pre), h)
            h = nn.Threshold(0, 0)(self.twice(nn.ReLU(inplace=True)(self.twice(h))))
            h = torch.hstack([nn.MaxPool2d(2)(h), nn.AvgPool2d(2)(h)])
            return F.linear(nn.AdaptiveAvgPool2d(1)(h.relu()).flatten(1), self.head.weight, self.head.bias)

    other = seeded(Spelled)
    other.load_state_dict(RESIDUAL.state_dict())
    for method in (LRP0, named.lrp_epsilon_plus_flat(), named.lrp_epsilon_alpha2_beta1_flat()):
        torch.testing.assert_close(maps(method, other), maps(method, RESIDUAL), rtol=1e-8, atol=1e-10)


# --- what it keeps ----------------------------------------------------------------------------------------------------


class Random(nn.Module):
    """A random network without biases: what `kinds` names, one after the other."""

    def __init__(self, kinds: list[str], width: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.stem = nn.Conv2d(2, width, 3, padding=1, bias=False)
        makers: dict[str, Callable[[], nn.Module]] = {
            "conv": lambda: nn.Conv2d(width, width, 3, padding=1, bias=False),
            "residual": lambda: nn.Conv2d(width, width, 3, padding=1, bias=False),
            "grouped": lambda: nn.Conv2d(width, width, 3, padding=1, groups=2, bias=False),
            "dilated": lambda: nn.Conv2d(width, width, 3, padding=2, dilation=2, bias=False),
            "strided": lambda: nn.Conv2d(width, width, 2, stride=2, bias=False),
            "reused": lambda: nn.Conv2d(width, width, 1, bias=False),
            "branches": lambda: nn.Conv2d(width, width // 2, 1, bias=False),
        }
        self.parts = nn.ModuleList(makers[kind]() if kind in makers else nn.Identity() for kind in kinds)
        self.head = nn.Linear(width, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x), inplace=True)
        for kind, part in zip(self.kinds, self.parts, strict=True):
            if kind == "residual":
                h = (h + part(h)).relu_()
            elif kind == "reused":
                h = F.relu(part(F.relu(part(h))))
            elif kind == "branches":
                h = torch.cat([F.relu(part(h)), h[:, : h.shape[1] // 2]], 1)
            elif kind == "average":
                h = F.avg_pool2d(h, 3, stride=1, padding=1)
            elif kind == "maximum":
                h = F.max_pool2d(h, 2, stride=1, padding=1)
            elif kind == "upsampled":
                h = F.interpolate(h, scale_factor=2, mode="bilinear")
            else:
                h = torch.relu(part(h))
        return self.head(h.mean((2, 3)))


KINDS = ["conv", "residual", "grouped", "dilated", "strided", "reused", "branches", "average", "maximum", "upsampled"]


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    assume(kinds.count("strided") <= 1)
    width, seed = draw(st.sampled_from([4, 6])), draw(st.integers(0, 2**16))
    x = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.4
    return seeded(lambda: Random(kinds, width), seed), x


@given(networks())
@settings(max_examples=40)
def test_random_networks_keep_the_score(made: tuple[nn.Module, Tensor]) -> None:
    net, x = made
    scores = net(x)[:, 1].detach()
    assume(bool((scores.abs() > 1e-3).all()))
    torch.testing.assert_close(maps(LRP0, net, x, 1), maps(sg.input_x_gradient(), net, x, 1), rtol=1e-6, atol=1e-9)
    gamma = Relevance(Composite(Gamma(0.2), Gamma(0.2), sums=Epsilon(0.0)))
    for method in (LRP0, named.lrp_epsilon(1e-12), gamma):
        torch.testing.assert_close(maps(method, net, x, 1).flatten(1).sum(1), scores, rtol=1e-4, atol=1e-7)


CHAIN = st.lists(
    st.sampled_from(["conv", "grouped", "dilated", "reused", "average", "maximum", "upsampled"]), min_size=1, max_size=3
)


@given(CHAIN, st.integers(0, 2**16), st.sampled_from([WSquare(), Flat(), ZBox(), ZPlus()]))
@settings(max_examples=30)
def test_z_plus_keeps_the_score_where_something_speaks_for_every_value(
    kinds: list[str], seed: int, first: ZBox
) -> None:
    net = seeded(lambda: Random(kinds, 6), seed)
    x = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # The class whose score is positive: every value that has relevance is then positive, and so has positive contributions.
    scores, best = net(x).max(1)
    assume(bool((scores > 1e-3).all()))
    method = Relevance(Composite(ZPlus(), ZPlus(), first, sums=Epsilon(0.0)))
    found = maps(method, net, x, best)
    torch.testing.assert_close(found.flatten(1).sum(1), scores.detach(), rtol=1e-5, atol=1e-7)
    assert float(found.min()) >= -1e-12, "deep Taylor: nowhere negative"


def test_completeness_is_in_the_result() -> None:
    net = seeded(lambda: Random(["conv", "residual"], 4))
    result = sg.explain(net, X, method=LRP0, target=TARGET)
    assert result.completeness is not None
    torch.testing.assert_close(result.completeness.change, result.score)
    torch.testing.assert_close(result.completeness.total, result.score, rtol=1e-6, atol=1e-9)
    assert result.unit == "score"
    lossy = sg.explain(RESIDUAL, X, method=named.lrp_epsilon(0.5), target=TARGET)
    assert lossy.completeness is not None
    assert float(lossy.completeness.error.min()) > 0.01  # biases and epsilon absorb, and it says so


# --- what it starts with ----------------------------------------------------------------------------------------------


def test_a_contrast_is_the_difference_of_two_maps_of_lrp_0() -> None:
    contrast = sg.explain(RESIDUAL, X, method=LRP0, target=sg.Contrast(sg.Class(1), sg.Class(3)))
    torch.testing.assert_close(contrast.maps, maps(LRP0, RESIDUAL, target=1) - maps(LRP0, RESIDUAL, target=3))
    assert contrast.completeness is not None
    torch.testing.assert_close(contrast.completeness.change, contrast.score)


def test_other_targets_start_with_their_linear_part() -> None:
    result = sg.explain(RESIDUAL, X, method=LRP0, target=sg.Probability(sg.Class(2)))
    output = RESIDUAL(X).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(output.softmax(1)[:, 2].sum(), output)
    assert result.completeness is not None
    torch.testing.assert_close(result.completeness.change, (output * gradient).sum(1).detach())
    torch.testing.assert_close(
        result.maps, sg.explain(RESIDUAL, X, method=sg.input_x_gradient(), target=sg.Probability(sg.Class(2))).maps
    )


def test_several_targets_are_explained_each_for_itself() -> None:
    several = sg.explain(RESIDUAL, X, method=named.lrp_epsilon_plus(), target=sg.Each(0, 2))
    for number, target in enumerate((0, 2)):
        torch.testing.assert_close(several.maps[number::2], maps(named.lrp_epsilon_plus(), RESIDUAL, target=target))


def test_a_target_without_a_derivative_is_refused() -> None:
    with pytest.raises(NotDifferentiable, match="target's score"):
        maps(LRP0, RESIDUAL, target=lambda output: output.argmax(1).double())
    with pytest.raises(NotDifferentiable, match="without a derivative"):
        maps(LRP0, nn.Sequential(Detached(), RESIDUAL), target=1)


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach() * 1


# --- what does not matter ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_rows_do_not_see_each_other(chunk: int) -> None:
    mixed = torch.cat([X, X.relu() + 0.1, 40 * X])  # with and without negative values
    target = TARGET.repeat(3)
    for method in (named.lrp_epsilon_gamma_box(), named.lrp_epsilon_alpha2_beta1(), named.deep_taylor()):
        torch.testing.assert_close(maps(method, RESIDUAL, mixed, target, chunk), maps(method, RESIDUAL, mixed, target))


def test_noise_around_the_input_keeps_the_box_of_the_input() -> None:
    cloud = sg.Gaussian(0.3, 4)
    x = X[:1]
    method = named.lrp_epsilon_gamma_box()
    smooth = sg.explain(RESIDUAL, x, method=method.over(cloud), target=0)
    low, high = x.amin((2, 3)), x.amax((2, 3))
    fixed = named.lrp_epsilon_gamma_box(low=tuple(low[0].tolist()), high=tuple(high[0].tolist()))
    torch.testing.assert_close(smooth.maps, sg.explain(RESIDUAL, x, method=fixed.over(cloud), target=0).maps)
    assert smooth.stderr is not None


# --- where ------------------------------------------------------------------------------------------------------------


def test_relevance_stops_at_a_layer() -> None:
    result = sg.explain(RESIDUAL, X, method=named.lrp_epsilon_plus(), target=TARGET, at="conv")
    assert result.maps.shape == (3, 6, 6, 6)
    exact = sg.explain(RESIDUAL, X, method=LRP0, target=TARGET, at="conv")
    torch.testing.assert_close(
        exact.maps, sg.explain(RESIDUAL, X, method=sg.input_x_gradient(), target=TARGET, at="conv").maps
    )


def test_words_are_explained_at_their_embedding() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(11, 8)
            self.encode = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
            self.head = nn.Linear(8, 3)

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.encode(self.embed(words.long())).mean(1))

    words = torch.tensor([[1.0, 5, 3, 2], [7, 7, 0, 10]], dtype=torch.float64)
    result = sg.explain(seeded(Text), words, method=named.attn_lrp(convolution=Epsilon()), target=0, at="embed")
    assert result.maps.shape == (2, 4, 8)
    assert result.maps.isfinite().all()
    assert bool((result.maps != 0).any())


def test_rules_are_chosen_by_name() -> None:
    chosen = named.lrp(Composite(choices=(ByName("conv", AlphaBeta(2, 1)), ByName("twice", Gamma()))))
    assert not torch.allclose(maps(chosen, RESIDUAL), maps(named.lrp(), RESIDUAL))


# --- transformers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "depth": 2}),
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 32, "window_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)},
        ),
    ],
)
def test_transformers_have_finite_maps_and_say_what_was_kept(name: str, given: dict[str, object]) -> None:
    declare_missing()
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = timm.create_model(name, num_classes=3, **given).eval()
    x = torch.rand(2, 3, 32, 32)
    for method in (named.attn_lrp(), named.lrp_epsilon(), named.lrp_epsilon_gamma_box(low=0.0, high=1.0)):
        result = sg.explain(net, x, method=method, target=1)
        assert result.maps.isfinite().all()
        assert bool((result.maps != 0).flatten(1).any(1).all())
        assert result.completeness is not None
        assert result.completeness.total.isfinite().all()


def test_attention_without_biases_or_softmax_keeps_the_score() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(6, 6, bias=False) for _ in range(3))
            self.head = nn.Linear(6, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            t = x.flatten(2).transpose(1, 2).reshape(len(x), 12, 6)
            weights = self.q(t) @ self.k(t).mT
            return self.head((weights @ self.v(t)).mean(1))

    net = seeded(Attends)
    torch.testing.assert_close(
        maps(LRP0, net).flatten(1).sum(1), net(X).detach()[range(3), TARGET], rtol=1e-6, atol=1e-9
    )


# --- what it refuses --------------------------------------------------------------------------------------------------


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.multiply = Prod()

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(self.first(x).flatten(2)[:, :, :3])


class Prod(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.prod(2)


def test_a_function_without_a_rule_is_named_with_its_layer() -> None:
    net = seeded(Product)
    with pytest.raises(UnsupportedModel, match=r"no rule for aten\.prod in layer 'multiply' \(Prod\)"):
        maps(LRP0, net)
    with pytest.raises(UnsupportedModel, match=r"aten\.prod"):
        sg.explain(net, X, method=named.lrp(), target=0)


def test_or_goes_on_there() -> None:
    net = seeded(Product)
    found = maps(named.lrp(Epsilon(0.0), otherwise="gradient"), net)
    torch.testing.assert_close(found, maps(sg.input_x_gradient(), net))


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadMethod, match="did you mean 'gradient'"):
        Relevance(otherwise="gradients")  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="composite"):
        Relevance(ZPlus())  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match=r"row 0 goes from -0\.\d+ to 0\.\d+, outside of ZBox\(low=0\.0, high=1\.0\)"):
        sg.explain(RESIDUAL, X, method=named.lrp_epsilon_gamma_box(low=0.0, high=1.0))
    with pytest.raises(BadMethod, match="3 bounds, rows have 2 channels"):
        sg.explain(RESIDUAL, X, method=named.lrp_epsilon_gamma_box(low=(-1, -1, -1), high=2))
    with pytest.raises(BadMethod, match="does not read the rows themselves"):
        maps(named.lrp(ZBox()), RESIDUAL)


def test_a_rule_is_a_composite_of_itself() -> None:
    assert named.lrp(Gamma(0.1)) == Relevance(Composite(Gamma(0.1), Gamma(0.1)))
    assert named.lrp_epsilon(0.2) == Relevance(Composite(Epsilon(0.2), Epsilon(0.2), sums=Epsilon(0.2)))


# --- other inputs -----------------------------------------------------------------------------------------------------


class Standardised(nn.Module):
    """Brings rows to other units, and has another input, which may count for nothing."""

    def __init__(self, other: float) -> None:
        super().__init__()
        self.other = other
        self.net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        h = (x - 0.4) / 0.2
        return self.net(h if other is None else h + self.other * other)


@pytest.mark.parametrize("method", [named.lrp_0(), named.lrp_epsilon_plus()], ids=["lrp_0", "epsilon plus"])
def test_another_input_that_counts_for_nothing_changes_nothing(method: sg.Explainer) -> None:
    net = seeded(lambda: Standardised(0.0))
    alone = method.estimate(net, Query.of(X, TARGET), Schedule(8)).value
    beside = method.estimate(net, Query.of(X, TARGET, context=(X.flip(0),)), Schedule(8)).value
    torch.testing.assert_close(beside, alone)


def test_another_input_that_is_added_takes_its_share() -> None:
    net, other = seeded(lambda: Standardised(1.0)), X.flip(0) * 3
    query = Query.of(X, TARGET, context=(other,))
    h = (X - 0.4) / 0.2
    behind = maps(LRP0, net.net, h + other)  # type: ignore[arg-type]
    torch.testing.assert_close(LRP0.estimate(net, query, Schedule(8)).value, behind * h / (h + other))
