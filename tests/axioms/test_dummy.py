from __future__ import annotations

import pytest

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, WithInput, expected

ONLY = ["dummy"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [sg.gradient(), sg.integrated_gradients(4), sg.smoothgrad(samples=4)], ids=repr)
def test_what_is_ignored_gets_zero(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.word == expected(net, x, method)
    assert not found.holds or found.error == 0


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [sg.gradient(), sg.smoothgrad(samples=4)], ids=repr)
def test_a_little_of_the_picture_is_caught(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method.then(WithInput()), axioms=ONLY)
    assert found.holds is False
    example = found.counterexample
    assert example is not None
    assert example.place is not None
    assert example.values == pytest.approx((0.01 * float(x[example.row][example.place]), 0.0))


def test_a_map_of_coarse_cells_leaks() -> None:
    net = sg.load("digits")
    assert [one.word for one in check_axioms(net, net.samples(1), method=sg.grad_cam(), axioms=ONLY)] == ["fails"]


def test_a_single_place_cannot_be_ignored() -> None:
    net, x = NETS["saturated"]
    [found] = check_axioms(net, x[:, :1], method=sg.gradient(), target=0, axioms=ONLY)
    assert (found.holds, "a single place" in found.reason) == (None, True)
