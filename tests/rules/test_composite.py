"""Which rule stands where: kinds of layers, places, and the user's choices."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod, RuleDidNothing, UnknownName
from smoothgrad.models.layer import at
from smoothgrad.recipe import from_data, from_recipe, to_data, to_recipe
from smoothgrad.rules.composite import ByName, ByPosition, ByType, Composite, layers_of
from smoothgrad.rules.linear import folded
from smoothgrad.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, RelevanceRule, WSquare, ZBox, ZPlus
from smoothgrad.rules.trace import trace

X = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two branches that read the rows, a module used twice, a functional layer, a norm to fold, and a branch that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
            self.features = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
            self.twice = nn.Conv2d(4, 4, 1)
            self.unused = nn.Linear(4, 4)
            self.head = nn.Linear(4, 5)
            self.weight = nn.Parameter(torch.randn(4, 4))
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(F.relu(self.left(x)) + F.relu(self.right(x)))
        h = F.relu(self.twice(F.relu(self.twice(h)))).mean((2, 3))
        self.unused(h)
        return self.head(F.relu(F.linear(h, self.weight)))


NET = Net()
NAMES = ["left", "right", "features.0", "twice", "twice", "", "head"]


def plan(composite: Composite, net: nn.Module = NET, x: Tensor = X) -> list[RelevanceRule]:
    return list(composite.plan(folded(trace(net, Query.of(x, 0)))).values())


def test_layers_are_the_linear_ones_on_the_way_to_the_output() -> None:
    layers = layers_of(folded(trace(NET, Query.of(X, 0))))
    assert [layer.step.layer for layer in layers] == NAMES
    assert [layer.number for layer in layers] == list(range(7))
    assert {layer.total for layer in layers} == {7}
    assert [layer.convolves for layer in layers] == [True] * 5 + [False] * 2
    assert [layer.first for layer in layers] == [True, True, False, False, False, False, False]


def test_rules_go_by_the_kind_of_layer() -> None:
    e, p = Epsilon(), ZPlus()
    assert plan(Composite()) == [p, p, p, p, p, e, e]
    assert plan(Composite(first=Flat())) == [Flat(), Flat(), p, p, p, e, e]
    assert plan(Composite.everywhere(Gamma(0.1))) == [Gamma(0.1)] * 7


def test_choices_go_before_the_rest_and_the_first_that_fits_decides() -> None:
    e, p, w, g = Epsilon(), ZPlus(), WSquare(), Gamma(0.1)
    assert plan(Composite(choices=(ByName("twice", w),))) == [p, p, p, w, w, e, e]
    assert plan(Composite(choices=(ByName("*t*", w),))) == [w, w, w, w, w, e, e]
    assert plan(Composite(choices=(ByName("features.*", w),))) == [p, p, w, p, p, e, e]
    assert plan(Composite(choices=(ByType("Linear", w),))) == [p, p, p, p, p, e, w]
    assert plan(Composite(choices=(ByType("Net", w),))) == [p, p, p, p, p, w, e]
    assert plan(Composite(choices=(ByPosition(0, w), ByPosition(-1, g), ByPosition(2, g)))) == [w, p, g, p, p, e, g]
    assert plan(Composite(first=Flat(), choices=(ByName("left", w), ByType("Conv2d", g)))) == [w, g, g, g, g, e, e]


@pytest.mark.parametrize(
    ("choice", "error", "said"),
    [
        (ByName("haed", Flat()), UnknownName, "did you mean 'head'"),
        (ByName("features.1", Flat()), UnknownName, "did you mean 'features.0'"),  # the norm, which is no layer
        (ByName("unused", Flat()), UnknownName, "fits no linear layer"),
        (ByName("stage*", Flat()), UnknownName, "fits no linear layer"),
        (ByType("Conv1d", Flat()), UnknownName, "did you mean 'Conv2d'"),
        (ByPosition(7, Flat()), BadMethod, "7 linear layers; give -7 to 6"),
        (ByPosition(-8, Flat()), BadMethod, "7 linear layers; give -7 to 6"),
    ],
)
def test_a_choice_that_fits_nothing_is_an_error(choice: ByName, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plan(Composite(choices=(choice,)))


def test_a_choice_that_others_leave_nothing_is_an_error() -> None:
    with pytest.raises(BadMethod, match=r"ByName\(name='left'.*decides nothing: choices before it"):
        plan(Composite(choices=(ByType("Conv2d", Flat()), ByName("left", WSquare()))))


def test_a_network_without_linear_layers_is_an_error() -> None:
    with pytest.raises(RuleDidNothing, match="no linear layer"):
        plan(Composite(), nn.Sequential(nn.AvgPool2d(2), nn.Flatten()))


def test_layers_before_a_view_do_not_count() -> None:
    view = at(NET, "features")
    h = view.capture(X)
    layers = layers_of(folded(trace(view, Query.of(h, 0, context=(X,)))))
    assert [(layer.step.layer, layer.first) for layer in layers][:2] == [("twice", True), ("twice", False)]


def test_a_sum_of_products_with_a_vector_is_a_layer() -> None:
    class Vector(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.flatten(1) @ torch.ones(108, dtype=x.dtype))[:, None]

    assert plan(Composite(), Vector()) == [Epsilon()]


def test_composites_are_values() -> None:
    composite = Composite(
        AlphaBeta(),
        Gamma(),
        ZBox((0.0, -1.0, 0.5), 2.0),
        Epsilon(0.1),
        (ByName("a.*", Flat()), ByType("Linear", WSquare())),
    )
    from smoothgrad.explainers.relevance import Relevance

    method = Relevance(composite, otherwise="gradient")
    assert from_recipe(to_recipe(method)) == method
    assert from_data(to_data(method)) == method
    assert pickle.loads(pickle.dumps(method)) == method
    assert hash(method) == hash(Relevance(composite, "gradient"))
    assert len({Composite(), Composite(first=Flat()), Composite(choices=(ByPosition(0, Flat()),))}) == 3


def test_what_is_no_rule_is_refused() -> None:
    for make in (
        lambda: Composite(dense="epsilon"),  # type: ignore[arg-type]
        lambda: Composite(sums=ZPlus()),  # type: ignore[arg-type]
        lambda: Composite(choices=(Flat(),)),  # type: ignore[arg-type]
        lambda: ByName("head", Flat),  # type: ignore[arg-type]
        lambda: ByPosition("first", Flat()),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadMethod):
            make()
