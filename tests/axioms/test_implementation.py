from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, Fragile, Nosy, expected

ONLY = ["implementation invariance"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [sg.gradient(), sg.integrated_gradients(16), sg.smoothgrad(samples=4)], ids=repr)
def test_gradients_do_not_care(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.word == expected(net, x, method)


@pytest.mark.parametrize("name", ["mlp", "conv"])
@pytest.mark.parametrize("method", [sg.guided_backprop(), sg.deconvnet(), sg.lrp_epsilon(), sg.deep_lift()], ids=repr)
def test_rules_for_functions_do(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.holds is False
    assert found.counterexample is not None
    assert "which computes the same" in found.why


def test_a_method_that_counts_modules_is_caught() -> None:
    net, x = NETS["mlp"]
    [found] = check_axioms(net, x, method=Nosy(), axioms=ONLY)
    assert found.holds is False
    assert found.counterexample is not None
    first, second = found.counterexample.values
    assert second / first == pytest.approx(5 / 4)  # a copy, the network, its two layers; and one more around them


def test_every_network_that_fits_is_asked() -> None:
    net, x = NETS["conv"]
    [found] = check_axioms(net, x, method=sg.gradient(), axioms=ONLY)
    asked = ("2 relu(z)", "relu(f(x) + k)", "x m / m", "z [z > 0]", "batch norms")
    assert [part in found.reason for part in asked] == [True] * 5
    net, x = NETS["series"]  # no ReLU, no batch norm
    [found] = check_axioms(net, x, method=sg.gradient(), axioms=ONLY)
    assert [part in found.reason for part in asked] == [True] * 3 + [False] * 2


def test_exact_zeros_in_the_rows_are_no_counterexample() -> None:
    # relu(z) - relu(-z) has no derivative at zero, where a black background stands.
    net, x = NETS["conv"]
    x = x.where(x > 0, torch.zeros_like(x))
    assert check_axioms(net, x, method=sg.gradient(), axioms=ONLY).holds


def test_a_method_that_runs_on_none_of_them_is_not_asked() -> None:
    net, x = NETS["mlp"]
    [found] = check_axioms(net, x, method=Fragile(), axioms=ONLY)
    assert found.holds is None
    assert "this is no Mlp" in found.reason
