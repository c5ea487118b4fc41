"""Rules find every rectifier, whatever it is called, and nothing else; and leave nothing behind."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

import smoothgrad as sg
from smoothgrad.errors import BadMethod, RuleDidNothing, UnsupportedModel
from smoothgrad.rules.relu import ReLURule
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
}


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
    with sg.Guided().active(net):
        under = net(X)
    torch.testing.assert_close(under, net(X))


def test_guided_passes_nothing_above_a_ceiling() -> None:
    x = torch.tensor([[-1.0, 3.0, 7.0]])
    net = nn.Sequential(nn.ReLU6(), nn.Linear(3, 2, bias=False)).eval()
    with torch.no_grad():
        net[1].weight.fill_(1.0)
    assert maps(net.eval(), sg.Guided(), x).tolist() == [[0.0, 1.0, 0.0]]
    assert maps(net.eval(), sg.Deconv(), x).tolist() == [[1.0, 1.0, 1.0]]


class Residual(nn.Module):
    """A residual net that adds and rectifies in place, with one ReLU module used three times."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
            self.last = nn.Linear(50, 3)
        self.relu, self.inplace = nn.ReLU(inplace=inplace), inplace
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.first(x))
        y = self.second(self.relu(y))
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
    activation = torch.tensor([[1.0, 2.0, 3.0, 4.0], [40.0, 30.0, 20.0, 10.0]])
    passed = sg.Rectified(50.0).backward(torch.ones(2, 4), activation, activation > 0)
    assert passed.tolist() == [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
    # Rows of very different size, in one batch and alone.
    net, x = Net(F.relu), X * torch.tensor([1.0, 10.0, 100.0], dtype=X.dtype).view(3, 1, 1, 1)
    for q in (20.0, 60.0):
        whole = maps(net, sg.Rectified(q), x)
        for row in range(3):
            torch.testing.assert_close(whole[[row]], maps(net, sg.Rectified(q), x[[row]]))


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
        *("clamp tensor", "an index", "a constant", "nothing"),
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
