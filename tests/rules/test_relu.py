"""Rules find every rectifier, whatever it is called, and nothing else; and leave nothing behind."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, RuleDidNothing, UnsupportedModel
from smoothgrad.rules.relu import ReLURule, percentile
from tests import slow

Spelling = Callable[[Tensor], Tensor]
X = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
RULES: dict[ReLURule, slow.Rule] = {
    sg.Guided(): slow.guided,
    sg.Deconv(): slow.deconv,
    sg.Rectified(10.0): slow.rectified(10),
}
RULE = pytest.mark.parametrize("rule", RULES, ids=repr)


def statement(x: Tensor) -> Tensor:
    x.relu_()
    return x


def torch_statement(x: Tensor) -> Tensor:
    torch.relu_(x)
    return x


def module_statement(x: Tensor) -> Tensor:
    nn.ReLU(inplace=True)(x)
    return x


def view_statement(x: Tensor) -> Tensor:
    x.view(-1).relu_()
    return x


SPELLINGS: dict[str, Spelling] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU(inplace=True)": nn.ReLU(inplace=True),
    "nn.ReLU(inplace=True), as a statement": module_statement,
    "F.relu": F.relu,
    "F.relu(inplace=True)": lambda x: F.relu(x, inplace=True),
    "F.relu(input=x)": lambda x: F.relu(input=x),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "torch.relu_, as a statement": torch_statement,
    "x.relu()": lambda x: x.relu(),
    "x.relu_()": lambda x: x.relu_(),
    "x.relu_(), as a statement": statement,
    "x.clamp(min=0)": lambda x: x.clamp(min=0),
    "x.clamp(0)": lambda x: x.clamp(0),
    "x.clamp(0.0, None)": lambda x: x.clamp(0.0, None),
    "x.clamp_(min=0)": lambda x: x.clamp_(min=0),
    "torch.clamp(min=0)": lambda x: torch.clamp(x, min=0.0),
    "x.clamp_min(0)": lambda x: x.clamp_min(0),
    "x.clamp_min_(0)": lambda x: x.clamp_min_(0),
    "torch.clamp_min": lambda x: torch.clamp_min(x, 0),
    "x.clip(min=0)": lambda x: x.clip(min=0),
    "x.clip_(0)": lambda x: x.clip_(0),
    "torch.clip": lambda x: torch.clip(x, 0),
    "nn.Threshold(0, 0)": nn.Threshold(0, 0),
    "F.threshold(inplace=True)": lambda x: F.threshold(x, 0, 0, inplace=True),
    "torch.threshold_": lambda x: torch.threshold_(x, 0, 0),
    "x.clamp(min=tensor)": lambda x: x.clamp(min=torch.tensor(0.0)),
    "x.clamp_(min=tensor)": lambda x: x.clamp_(min=torch.tensor(0.0)),
    "x.clamp_min(tensor)": lambda x: x.clamp_min(torch.zeros(1)),
    "torch.maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "torch.maximum, zero first": lambda x: torch.maximum(torch.tensor(0.0), x),
    "x.maximum()": lambda x: x.maximum(torch.tensor(0)),
    "torch.max of two": lambda x: torch.max(x, torch.zeros(1)),
    "torch.fmax": lambda x: torch.fmax(x, torch.tensor(0.0)),
    "F.leaky_relu that does not leak": lambda x: F.leaky_relu(x, 0.0),
    "F.leaky_relu_ that does not leak": lambda x: F.leaky_relu_(x, 0.0),
    "torch.ops.aten.relu": torch.ops.aten.relu,
    "torch.ops.aten.relu_.default": torch.ops.aten.relu_.default,
    "torch.func.vmap": lambda x: torch.func.vmap(F.relu)(x),
    "a checkpoint": lambda x: checkpoint(F.relu, x, use_reentrant=False),
    "a checkpoint, in place": lambda x: checkpoint(lambda h: F.relu_(h * 1), x, use_reentrant=False),
    # In place to a view, which autograd hides.
    "a view: x.relu_()": lambda x: x.flatten(1).relu_().view_as(x),
    "a view: torch.relu_": lambda x: torch.relu_(x.flatten(1)).view_as(x),
    "a view: nn.ReLU(inplace=True)": lambda x: nn.ReLU(inplace=True)(x.flatten(1)).view_as(x),
    "a view: F.relu(input=x, inplace=True)": lambda x: F.relu(input=x.flatten(1), inplace=True).view_as(x),
    "a view: x.clamp_(min=0)": lambda x: x.flatten(1).clamp_(min=0).view_as(x),
    "a view: x.clip_(0)": lambda x: x.flatten(1).clip_(0).view_as(x),
    "a view: x.clamp_min_(0)": lambda x: x.flatten(1).clamp_min_(0).view_as(x),
    "a view: torch.threshold_": lambda x: torch.threshold_(x.flatten(1), 0, 0).view_as(x),
    "a view: F.threshold(x, 0, 0, True)": lambda x: F.threshold(x.flatten(1), 0, 0, True).view_as(x),
    "a view: torch.ops.aten.relu_": lambda x: torch.ops.aten.relu_(x.flatten(1)).view_as(x),
    "a view: torch.ops.aten.relu_.default": lambda x: torch.ops.aten.relu_.default(x.flatten(1)).view_as(x),
    "a view: F.leaky_relu_": lambda x: F.leaky_relu_(x.flatten(1), 0.0).view_as(x),
    "a view, as a statement": view_statement,
}
# The same with a ceiling at 6.
CEILINGS: dict[str, Spelling] = {
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6(inplace=True)": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "F.relu6(inplace=True)": lambda x: F.relu6(x, inplace=True),
    "nn.Hardtanh(0, 6)": nn.Hardtanh(0.0, 6.0),
    "F.hardtanh": lambda x: F.hardtanh(x, 0, 6),
    "F.hardtanh_": lambda x: F.hardtanh_(x, 0.0, 6.0),
    "F.hardtanh(inplace=True)": lambda x: F.hardtanh(x, 0, 6, inplace=True),
    "x.clamp(0, 6)": lambda x: x.clamp(0, 6),
    "torch.clamp(max=6, min=0)": lambda x: torch.clamp(x, max=6, min=0),
    "x.clamp_(0, 6)": lambda x: x.clamp_(0, 6),
    "x.clamp(tensor, tensor)": lambda x: x.clamp(torch.tensor(0.0), torch.tensor(6.0)),
    "a view: nn.ReLU6(inplace=True)": lambda x: nn.ReLU6(inplace=True)(x.flatten(1)).view_as(x),
    "a view: F.hardtanh_": lambda x: F.hardtanh_(x.flatten(1), 0.0, 6.0).view_as(x),
    "a view: F.hardtanh(x, 0, 6, True)": lambda x: F.hardtanh(x.flatten(1), 0, 6, True).view_as(x),
}


def rectify_twice(x: Tensor) -> Tensor:
    return torch.relu(torch.relu(x) * 2 - 1)


class Net(nn.Module):
    """Convolutions with a rectifier of any spelling between them."""

    def __init__(self, rectify: Spelling, scale: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first = nn.Conv2d(2, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 3, 3, stride=2)
            self.last = nn.Linear(12, 4)
        self.rectify, self.scale = rectify, scale
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectify(self.scale * self.first(x))
        x = self.rectify(self.second(x))
        scores: Tensor = self.last(x.flatten(1))
        return scores


class Around(nn.Module):
    """One function, then a sum."""

    def __init__(self, function: Spelling) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x).flatten(1).sum(1, keepdim=True)


def maps(net: nn.Module, rule: sg.Rule, x: Tensor = X) -> Tensor:
    return sg.explain(net, x, method=sg.gradient(rule=rule), target=1).maps


# --- found ------------------------------------------------------------------------------------------------------------


@RULE
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_map(spelling: str, rule: ReLURule) -> None:
    net = Net(nn.ReLU())
    twin = nn.Sequential(net.first, nn.ReLU(), net.second, nn.ReLU(), nn.Flatten(), net.last)
    expected = torch.stack([slow.relevance(twin, row, 1, RULES[rule]) for row in X])
    assert not torch.allclose(expected, maps(net, sg.Plain())), "the rule makes a difference"
    assert bool(expected.flatten(1).any(1).all()), "and leaves something"
    torch.testing.assert_close(maps(Net(SPELLINGS[spelling]), rule), expected)


@RULE
@pytest.mark.parametrize("spelling", CEILINGS)
def test_every_spelling_with_a_ceiling_gives_the_same_map(spelling: str, rule: ReLURule) -> None:
    net = Net(CEILINGS[spelling], scale=9.0)
    found = maps(net, rule)
    assert found.any()
    torch.testing.assert_close(found, maps(Net(lambda x: F.relu6(x), scale=9.0), rule))
    torch.testing.assert_close(net(X), Net(F.relu6, scale=9.0)(X))


@pytest.mark.parametrize("spelling", [*SPELLINGS, *CEILINGS])
def test_scores_are_those_of_the_network(spelling: str) -> None:
    net = Net({**SPELLINGS, **CEILINGS}[spelling], scale=9.0)
    with sg.Guided().active(net) as watch:
        x = X.clone().requires_grad_()
        under = net(x)
        watch(under.sum())
        torch.autograd.grad(under.sum(), x)
    assert torch.equal(under, net(X))


@pytest.mark.parametrize("rule", [sg.Guided(), sg.Deconv()], ids=repr)
def test_rectifying_part_by_part_in_place_is_rectifying(rule: ReLURule) -> None:
    def parts(x: Tensor) -> Tensor:
        x[:, :2].relu_()
        F.relu(x[:, 2:], inplace=True)
        return x

    torch.testing.assert_close(maps(Net(parts), rule), maps(Net(F.relu), rule))


def test_a_linear_layer_over_tokens_followed_by_a_relu_in_place_is_found() -> None:
    # Its output (N, T, E) is a view.
    linear = nn.Linear(5, 5).double()
    in_place = Net(lambda x: nn.ReLU(inplace=True)(linear(x)) if x.shape[-1] == 5 else x)
    out_of_place = Net(lambda x: nn.ReLU()(linear(x)) if x.shape[-1] == 5 else x)
    torch.testing.assert_close(maps(in_place, sg.Guided()), maps(out_of_place, sg.Guided()))


@pytest.mark.parametrize("rule", [sg.Plain(), sg.Guided(), sg.Deconv()], ids=repr)
def test_a_checkpoint_is_computed_again_once_with_a_rule_or_without(rule: sg.Rule) -> None:
    calls = 0

    def twice(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return F.relu(F.relu(x) * 2 - 1)

    net = Around(lambda x: checkpoint(twice, x, use_reentrant=False))
    sg.Gradient(rule).estimate(net, Query.of(X, 0), Schedule(9))
    assert calls == 2


def test_guided_passes_nothing_above_a_ceiling() -> None:
    x = torch.tensor([[-1.0, 3.0, 7.0]])
    net = nn.Sequential(nn.ReLU6(), nn.Linear(3, 2, bias=False)).eval()
    with torch.no_grad():
        net[1].weight.fill_(1.0)
    assert maps(net.eval(), sg.Guided(), x).tolist() == [[0.0, 1.0, 0.0]]
    assert maps(net.eval(), sg.Deconv(), x).tolist() == [[1.0, 1.0, 1.0]]


def test_rectgrad_multiplies_by_the_activation_below_the_ceiling() -> None:
    x = torch.tensor([[1.0, 3.0, 7.0, 8.0]])  # a = 1, 3, 6, 6
    net = nn.Sequential(nn.ReLU6(), nn.Linear(4, 2, bias=False)).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([13.0, 2.0, 2.0, 2.0]).expand(2, 4))
    # a R = 13, 6, 12, 12, and its 75th percentile is 12.25
    assert maps(net, sg.Rectified(75), x).tolist() == [[13.0, 0.0, 0.0, 0.0]]


class Residual(nn.Module):
    """A residual net that adds and rectifies in place, with one ReLU module used three times."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second, self.third = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
            self.last = nn.Linear(50, 3)
        self.relu, self.inplace = nn.ReLU(inplace=inplace), inplace
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.first(x))
        y = self.third(self.relu(self.second(y)))
        if self.inplace:
            y += x
        else:
            y = y + x
        scores: Tensor = self.last(self.relu(y).flatten(1))
        return scores


@RULE
def test_residual_nets_in_place_are_those_out_of_place(rule: ReLURule) -> None:
    found = maps(Residual(inplace=True), rule)
    assert found.any()
    torch.testing.assert_close(found, maps(Residual(inplace=False), rule))


def test_a_rectifier_on_the_input_itself_is_found_and_leaves_the_rows_alone() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(50, 2)).double().eval()
    x = X.clone()
    twin = nn.Sequential(nn.ReLU(), nn.Flatten(), net[2]).eval()
    torch.testing.assert_close(maps(net, sg.Guided(), x), maps(twin, sg.Guided()))
    assert torch.equal(x, X)


def test_a_recurrent_use_of_one_rectifier_counts_each_time() -> None:
    class Loop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = F.relu(x - 0.1)
            return torch.cat([x, -x], 1)

    x = torch.tensor([[0.25, 0.5]])
    assert sg.explain(Loop().eval(), x, method=sg.guided_backprop(), target=1).maps.tolist() == [[0.0, 1.0]]
    assert sg.explain(Loop().eval(), x, method=sg.guided_backprop(), target=3).maps.tolist() == [[0.0, 0.0]]


def test_rectgrad_takes_its_percentile_row_by_row() -> None:
    # Rows of very different size, in one batch and alone.
    net, x = Net(F.relu), X * torch.tensor([1.0, 10.0, 100.0], dtype=X.dtype).view(3, 1, 1, 1)
    for q in (20.0, 60.0):
        whole = maps(net, sg.Rectified(q), x)
        for row in range(3):
            torch.testing.assert_close(whole[[row]], maps(net, sg.Rectified(q), x[[row]]))


class Tokens(nn.Module):
    """A transformer that keeps its rows in the second dimension, (T, N, E)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.last = nn.Linear(8, 3)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.last(self.encoder(x.transpose(0, 1)).mean(0))
        return scores


@pytest.mark.parametrize("tokens", [4, 5], ids=["as many as rows", "more than rows"])
def test_rectgrad_does_not_mix_rows_that_are_not_in_the_first_dimension(tokens: int) -> None:
    x = torch.randn(4, tokens, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    method = sg.rectgrad(80)
    whole = sg.explain(Tokens(), x, method=method, target=1, chunk=4).maps
    assert whole.flatten(1).any(1).all()
    for row in range(4):
        torch.testing.assert_close(whole[[row]], sg.explain(Tokens(), x[[row]], method=method, target=1).maps)


@pytest.mark.parametrize("q", [0, 12.5, 50, 98, 100])
def test_the_percentile_is_that_of_numpy(q: float) -> None:
    for values in (X, X[0, 0, 0, :1], X.float()):
        assert float(percentile(values, q)) == pytest.approx(float(np.percentile(values.numpy(), q)))


def test_rectgrad_passes_less_with_a_higher_percentile() -> None:
    passed = [int((maps(Net(F.relu), sg.Rectified(q)) != 0).sum()) for q in (0.0, 20.0, 90.0)]
    assert passed[0] > passed[1] > passed[2]
    assert not maps(Net(F.relu), sg.Rectified(100.0)).any()


# --- not found --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        F.gelu,
        F.silu,
        torch.tanh,
        F.softplus,
        lambda x: F.leaky_relu(x, 0.1),
        lambda x: x.clamp(min=1e-6),
        lambda x: x.clamp(max=0),
        lambda x: x.clamp(-1, 1),
        lambda x: F.hardtanh(x),
        lambda x: F.threshold(x, 0.1, 0),
        lambda x: x.clamp_min(torch.full((1,), 1e-6, dtype=x.dtype)),
        lambda x: x + torch.arange(-1, 2).clamp(min=0).sum(),
        lambda x: x + torch.relu(torch.ones(1, dtype=x.dtype)),
        lambda x: F.gelu(x) * torch.relu(torch.ones(1, dtype=x.dtype, requires_grad=True)),
        lambda x: torch.maximum(x, torch.zeros(1, dtype=x.dtype, requires_grad=True)),
        lambda x: x.clamp(min=torch.zeros(1, dtype=x.dtype, requires_grad=True)),
        lambda x: torch.maximum(x, x * 0),
        lambda x: torch.maximum(x, torch.tensor(0.1)),
        lambda x: x + F.relu(x).detach(),
        lambda x: x * 2,
    ],
    ids=[
        *(
            "gelu",
            "silu",
            "tanh",
            "softplus",
            "leaky",
            "clamp 1e-6",
            "clamp max",
            "clamp both",
            "hardtanh",
            "threshold",
        ),
        *("clamp tensor", "an index", "a constant", "a parameter", "maximum with a parameter", "clamp at a parameter"),
        *("maxout", "maximum with 0.1", "detached", "nothing"),
    ],
)
def test_a_network_without_rectifiers_is_refused(function: Spelling) -> None:
    for rule in RULES:
        with pytest.raises(
            RuleDidNothing, match=r"found no ReLU in Net: the map would be the plain gradient; use gradient\(\)"
        ):
            maps(Net(function), rule)


def test_a_guard_against_division_by_zero_keeps_its_gradient() -> None:
    net = Net(lambda x: F.relu(x) / x.square().sum().clamp(min=1e-6).sqrt())
    other = Net(lambda x: F.relu(x) / x.square().sum().sqrt())
    torch.testing.assert_close(maps(net, sg.Guided(), X[:1]), maps(other, sg.Guided(), X[:1]))


# --- refused ----------------------------------------------------------------------------------------------------------


def hidden() -> dict[str, nn.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        plain = Residual(inplace=False)
        in_place = copy.deepcopy(plain)
        in_place.compile(backend="eager")
        return {
            "scripted": torch.jit.script(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(50, 2)).double().eval()),
            "traced": torch.jit.trace(plain, X),
            "traced inside": nn.Sequential(torch.jit.trace(plain, X), nn.Identity()).eval(),
            "compiled": torch.compile(plain, backend="eager"),
            "compiled inside": nn.Sequential(torch.compile(plain, backend="eager")).eval(),
            "compiled in place": in_place,
        }


@pytest.mark.parametrize(
    "kind", ["scripted", "traced", "traced inside", "compiled", "compiled inside", "compiled in place"]
)
def test_networks_whose_functions_cannot_be_seen_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"is (compiled|scripted or traced): Guided\(\) cannot see its ReLUs"):
        sg.Guided().active(hidden()[kind]).__enter__()
    assert not _get_current_function_mode_stack()


def test_a_scripted_function_is_refused_once_the_graph_no_longer_shows_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(rectify_twice)
    asked, schedule, guided = Query.of(X, 0), Schedule(9), sg.Gradient(sg.Guided())
    expected = guided.estimate(Around(rectify_twice), asked, schedule).value
    torch.testing.assert_close(guided.estimate(Around(scripted), asked, schedule).value, expected)
    for _ in range(3):
        scripted(X.clone().requires_grad_())
    with pytest.raises(UnsupportedModel, match=r"scripted or compiled function: Guided\(\) cannot see the ReLUs in it"):
        guided.estimate(Around(scripted), asked, schedule)


@pytest.mark.filterwarnings("ignore::UserWarning")  # the compiler's own
def test_a_compiled_function_is_refused() -> None:
    compiled = torch.compile(rectify_twice, backend="aot_eager")
    with pytest.raises(UnsupportedModel, match=r"scripted or compiled function: Guided\(\) cannot see"):
        sg.Gradient(sg.Guided()).estimate(Around(compiled), Query.of(X, 0), Schedule(9))


def test_a_scripted_function_beside_the_way_to_the_input_is_no_matter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(rectify_twice)
    weight = torch.ones(1, dtype=X.dtype, requires_grad=True)
    for _ in range(4):
        found = maps(Net(lambda x: F.relu(x) * scripted(weight)), sg.Guided())
        torch.testing.assert_close(found, maps(Net(lambda x: F.relu(x) * rectify_twice(weight)), sg.Guided()))


def test_a_rectifier_that_spreads_its_input_is_refused() -> None:
    net = Net(lambda x: torch.maximum(x.mean(1, keepdim=True), torch.zeros_like(x)))
    with pytest.raises(
        UnsupportedModel, match=r"spreads its input \(3, 1, 2, 2\) over a larger constant \(3, 3, 2, 2\)"
    ):
        maps(net, sg.Guided())


def test_a_percentile_out_of_range_is_refused() -> None:
    for q in (-1.0, 101.0, float("nan")):
        with pytest.raises(BadMethod, match="0 <= q <= 100, got"):
            sg.Rectified(q)


# --- left as found ----------------------------------------------------------------------------------------------------


@RULE
def test_no_mode_is_left_when_the_network_raises(rule: ReLURule) -> None:
    def fail(x: Tensor) -> Tensor:
        F.relu(x)
        raise KeyError("from the network")

    with pytest.raises(KeyError, match="from the network"), rule.active(Net(fail)):
        Net(fail)(X)
    assert not _get_current_function_mode_stack()


@RULE
def test_the_graph_is_freed_with_its_hooks(rule: ReLURule) -> None:
    graphs = []

    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
            graphs.append(weakref.ref(ctx))
            return x.clone()

        @staticmethod
        def backward(_ctx: FunctionCtx, above: Tensor) -> Tensor:
            return above

    def rectify(x: Tensor) -> Tensor:
        return F.relu(Same.apply(x))  # type: ignore[no-untyped-call]

    maps(Net(rectify), rule)
    assert graphs
    assert not any(graph() for graph in graphs)


def test_the_networks_own_gradient_is_plain_again_afterwards() -> None:
    net = Net(nn.ReLU(inplace=True))
    before = maps(net, sg.Plain())
    maps(net, sg.Guided())
    assert torch.equal(maps(net, sg.Plain()), before)


def test_a_mode_of_the_user_goes_on_working() -> None:
    class Counting(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.calls += 1
            return func(*args, **(kwargs or {}))

    expected = maps(Net(F.relu), sg.Guided())
    with Counting() as counting:
        assert torch.equal(maps(Net(F.relu), sg.Guided()), expected)
        assert _get_current_function_mode_stack() == [counting]
    assert counting.calls


def test_the_plain_rule_does_nothing_to_anything() -> None:
    with sg.Plain().active(Net(F.gelu)):
        assert not _get_current_function_mode_stack()
