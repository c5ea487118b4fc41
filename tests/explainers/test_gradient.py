"""The gradient, plain or under a rule."""

from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import RuleDidNothing
from tests import slow
from tests.nets import small_net

NET = small_net().double()
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ASKED = Query.of(X, torch.tensor([4, 0, 2]))


def test_each_row_is_asked_for_its_own_target() -> None:
    maps = sg.Gradient().estimate(NET, ASKED, Schedule(2)).value
    for row, target in enumerate([4, 0, 2]):
        torch.testing.assert_close(maps[row], slow.gradient(NET, X[row], target))


def test_one_pass_one_draw_no_error() -> None:
    (partial,) = sg.Gradient().partials(NET, ASKED, Schedule(1))
    assert (partial.done, partial.total) == (1, 1)
    _, stderr, draws, _ = partial.estimate()
    assert stderr is None
    assert draws.tolist() == [1, 1, 1]


@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_a_rule_is_active_in_every_chunk(chunk: int) -> None:
    guided = sg.Gradient(sg.Guided())
    torch.testing.assert_close(
        guided.estimate(NET, ASKED, Schedule(chunk)).value, guided.estimate(NET, ASKED, Schedule(100)).value
    )


def test_a_rule_that_looks_at_a_whole_activation_asks_row_by_row() -> None:
    asked: list[int] = []
    net = small_net().double()
    net.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    for rule, chunks in ((sg.Plain(), [2, 1]), (sg.Guided(), [2, 1]), (sg.Rectified(50), [1, 1, 1])):
        asked.clear()
        sg.Gradient(rule).estimate(net, ASKED, Schedule(2))
        assert asked == chunks


def test_only_the_plain_gradient_is_the_gradient_of_the_score() -> None:
    assert sg.Gradient().is_gradient
    assert not sg.Gradient(sg.Guided()).is_gradient
    assert not sg.smoothgrad().is_gradient


def test_a_rule_without_rectifiers_says_so() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.GELU()).double().eval()
    with pytest.raises(RuleDidNothing, match=r"Rectified\(q=98\.0\) found no ReLU in Sequential"):
        sg.Gradient(sg.Rectified()).estimate(net, ASKED, Schedule(9))
