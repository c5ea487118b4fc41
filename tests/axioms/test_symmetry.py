from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, Sloped, expected

ONLY = ["symmetry"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "method", [sg.gradient(), sg.integrated_gradients(4), sg.smoothgrad(samples=30), sg.vargrad(samples=30)], ids=repr
)
def test_straight_paths_and_clouds_are_symmetric(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.word == expected(net, x, method)


@pytest.mark.parametrize("name", ["mlp", "conv", "series"])
@pytest.mark.parametrize("method", [sg.gradient(), sg.smoothgrad(noise=0.02, samples=30)], ids=repr)
def test_a_map_that_is_brighter_on_one_side_is_caught(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method.then(Sloped()), axioms=ONLY)
    assert found.holds is False
    example = found.counterexample
    assert example is not None
    assert example.values[0] != example.values[1]
    assert "may swap the two" in found.why


def test_a_baseline_that_tells_the_places_apart_cannot_be_asked() -> None:
    net, x = NETS["mlp"]
    method = sg.integrated_gradients(4, baseline=sg.Given(torch.arange(6.0, dtype=torch.float64)))
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert (found.holds, "differs at the two places" in found.reason) == (None, True)


def test_chance_without_a_standard_error_cannot_be_asked() -> None:
    net, x = NETS["mlp"]
    method = sg.Gradient().over(sg.Gaussian(0.3, 9), sg.Median())
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert (found.holds, "standard error" in found.reason) == (None, True)


def test_a_layer_that_runs_twice_cannot_be_read() -> None:
    net = sg.load("digits")
    [found] = check_axioms(net, net.samples(1), method=sg.grad_cam(layer="conv2"), axioms=ONLY)
    assert (found.holds, "more than once" in found.reason) == (None, True)
