from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, expected
from tests.truth import Linear, W, X

ONLY = ["linearity"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "method", [sg.gradient(), sg.integrated_gradients(4), sg.smoothgrad(samples=4), sg.deep_lift()], ids=repr
)
def test_what_is_linear_in_the_score_is_found_so(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.word == expected(net, x, method)


@pytest.mark.parametrize(
    "method", [sg.gradient().then(sg.Absolute()), sg.vargrad(samples=8), sg.guided_backprop()], ids=repr
)
def test_what_is_not_is_caught(method: sg.Explainer) -> None:
    net, x = NETS["mlp"]
    assert [one.word for one in check_axioms(net, x, method=method, axioms=ONLY)] == ["fails"]


def test_the_numbers_of_the_closed_form() -> None:
    # Classes f and -f: 0.7 f - 1.3 (-f) = 2 f, whose absolute gradient is 2 |w|; put together it is 0.7 |w| - 1.3 |w|.
    method = sg.gradient().then(sg.Absolute())
    [found] = check_axioms(Linear(W), X[None], method=method, target=0, axioms=ONLY)
    assert found.counterexample is not None
    assert found.counterexample.values == pytest.approx((2 * 1.2, -0.6 * 1.2))  # at the largest weight


def test_scores_that_are_no_classes_are_taken_with_their_square() -> None:
    net, x = NETS["mlp"]

    def score(output: torch.Tensor) -> torch.Tensor:
        return output.sum(1)

    for method, holds in {sg.integrated_gradients(4): True, sg.gradient().then(sg.Absolute()): False}.items():
        [found] = check_axioms(net, x, method=method, target=score, axioms=ONLY)
        assert (found.holds, "square" in found.why) == (holds, True)


def test_other_draws_are_allowed_their_standard_errors() -> None:
    # Each score stops at a number of draws of its own.
    net, x = NETS["mlp"]
    method = sg.smoothgrad(noise=1.0, samples=sg.Until(0.2, least=4, most=64))
    assert check_axioms(net, x, method=method, axioms=ONLY).holds
