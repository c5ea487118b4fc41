from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, Stretched
from tests.truth import Linear, Quadratic, W, X, symmetric

ONLY = ["completeness"]


@pytest.mark.parametrize("name", NETS)
def test_integrated_gradients_are_complete(name: str) -> None:
    net, x = NETS[name]
    assert check_axioms(net, x, method=sg.integrated_gradients(200), axioms=ONLY).holds


def test_the_gap_is_that_of_the_closed_form() -> None:
    [found] = check_axioms(Linear(W), X[None], method=sg.gradient(), target=0, axioms=ONLY)
    assert found.holds is False
    assert found.counterexample is not None
    assert found.counterexample.values == pytest.approx((float(W.sum()), float(W @ X)))
    assert found.error == pytest.approx(abs(float(W.sum() - W @ X)))
    assert found.allowed == pytest.approx(0.05 * abs(float(W @ X)))
    assert "the change of score from zeros" in found.why


def test_a_map_that_is_a_fifth_too_large_is_caught_and_a_larger_tolerance_lets_it_pass() -> None:
    net, x = NETS["mlp"]
    method = sg.integrated_gradients(200).then(Stretched())
    assert [one.word for one in check_axioms(net, x, method=method, axioms=ONLY)] == ["fails"]
    assert check_axioms(net, x, method=method, axioms=ONLY, tolerance=0.3).holds


def test_the_change_is_that_from_the_methods_own_baseline() -> None:
    b = torch.tensor([0.1, 0.4, -0.2, 0.9], dtype=torch.float64)
    method = sg.integrated_gradients(8, baseline=sg.Given(b)).then(Stretched())
    [found] = check_axioms(Linear(W), X[None], method=method, target=0, axioms=ONLY)
    assert found.counterexample is not None
    assert found.counterexample.values == pytest.approx((1.2 * float(W @ (X - b)), float(W @ (X - b))))
    assert torch.equal(found.counterexample.inputs[1], b)


def test_chance_is_allowed_for_and_what_it_does_not_explain_is_found() -> None:
    # Of a quadratic function the mean over noise sums to more than the change of score: by s^2 tr(A) / 2.
    net = Quadratic(symmetric(4))
    x = X[None] * 0.1
    excess = 0.25 * float(net.a.diagonal().sum()) / 2
    assert abs(excess) > 0.02
    cloud = sg.Gaussian(0.5, 400, unit="absolute")
    method = sg.Gradient().over(sg.NoisyPath(cloud))
    [found] = check_axioms(net, x, method=method, target=0, axioms=ONLY)
    assert found.counterexample is None or found.counterexample.values[0] - found.counterexample.values[
        1
    ] == pytest.approx(excess, abs=found.allowed)
    [linear] = check_axioms(Linear(W), X[None], method=method, target=0, axioms=ONLY)
    assert linear.holds
    assert "mean of 8 maps" in linear.reason


def test_relevance_is_held_against_the_score() -> None:
    net = Linear(W, c=0.0)
    [found] = check_axioms(net, X[None], method=sg.lrp_0(), target=0, axioms=ONLY)
    assert (found.word, "the score that relevance starts from" in found.reason) == ("holds", True)
    with_bias = Linear(W, c=5.0)
    assert [one.word for one in check_axioms(with_bias, X[None], method=sg.lrp_0(), target=0, axioms=ONLY)] == ["fails"]


def test_many_rows_of_data_are_no_single_baseline() -> None:
    method = sg.expected_gradients(torch.rand(5, 4, dtype=torch.float64), 8)
    [found] = check_axioms(Linear(W), X[None], method=method, target=0, axioms=ONLY)
    assert (found.holds, "its own data" in found.reason) == (None, True)


def test_the_start_that_is_shown_is_the_one_that_was_asked() -> None:
    net, x = NETS["mlp"]
    [found] = check_axioms(
        net, x, method=sg.integrated_gradients(steps=1, baseline=sg.Constant(0.5)).then(Stretched()), axioms=ONLY
    )
    assert found.counterexample is not None
    assert bool((found.counterexample.inputs[1] == 0.5).all())
    [own] = check_axioms(
        net, 3 * x, method=sg.integrated_gradients(steps=1, baseline=sg.Constant(0.5)), axioms=ONLY, tolerance=0.0
    )
    assert own.counterexample is not None
    assert "the change of score that it promises" in own.why
    assert bool((own.counterexample.inputs[1] == 0.5).all())


def test_relevance_has_no_second_input() -> None:
    [found] = check_axioms(Linear(W, c=5.0), X[None], method=sg.lrp_0(), target=0, axioms=ONLY)
    assert found.counterexample is not None
    assert (len(found.counterexample.inputs), found.counterexample.networks) == (1, ("f(x)",))
    assert len(found.counterexample.near) == 3


SHORT = {
    "left": lambda steps: sg.integrated_gradients(steps, quadrature="left"),
    "simpson": lambda steps: sg.integrated_gradients(2 * steps + 1, quadrature="simpson"),
    "finished": lambda steps: sg.integrated_gradients(steps, quadrature="left").then(sg.Smoothed(0.1)),
    "blurred": lambda steps: sg.blur_integrated_gradients(steps=steps),
}


@pytest.mark.parametrize("name", SHORT)
def test_a_path_of_too_few_steps_fails_and_says_that_more_would_help(name: str) -> None:
    net, x = NETS["conv"]
    [found] = check_axioms(net, x, method=SHORT[name](2), axioms=ONLY, tolerance=1e-3)
    assert found.holds is False
    assert "with 4 times the steps they differ by" in found.why
    assert found.why.endswith("more steps bring it nearer")


def test_what_steps_are_not_to_blame_for_is_not_put_down_to_them() -> None:
    net, x = NETS["mlp"]
    for method in (sg.gradient(), sg.integrated_gradients(200).then(Stretched())):
        [found] = check_axioms(net, x, method=method, axioms=ONLY)
        assert found.holds is False
        assert "steps" not in found.why
