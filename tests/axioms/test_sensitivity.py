from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, Beheaded, Saturated

ONLY = ["sensitivity"]
TWO = torch.tensor([[2.0, 1.5, 1.25]], dtype=torch.float64)


def test_the_gradient_misses_the_papers_example_and_the_counterexample_says_how() -> None:
    [found] = check_axioms(Saturated().eval(), TWO, method=sg.gradient(), target=0, axioms=ONLY)
    assert found.holds is False
    example = found.counterexample
    assert example is not None
    assert example.values == (0.0, 1.0)  # f goes from 0 to 1, and the map is zero there
    assert example.place is not None
    only = torch.zeros(3, dtype=torch.float64)
    only[example.place] = TWO[0][example.place]
    assert torch.equal(example.inputs[0], only)
    assert torch.equal(example.inputs[1], torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("name", NETS)
def test_integrated_gradients_are_sensitive(name: str) -> None:
    net, x = NETS[name]
    assert check_axioms(net, x, method=sg.integrated_gradients(50), axioms=ONLY).holds


@pytest.mark.parametrize("name", ["mlp", "series"])
def test_a_map_without_its_largest_value_is_caught(name: str) -> None:
    net, x = NETS[name]
    report = check_axioms(net, x, method=sg.integrated_gradients(8).then(Beheaded()), axioms=ONLY)
    # Of a series the two channels of a moment stand for one place: the other channel is left.
    assert report.holds is (name == "series")


def test_the_methods_own_baseline_counts() -> None:
    # At the baseline 1.2 the function is flat, and so is it at 2: nothing changes the score.
    method = sg.integrated_gradients(8, baseline=sg.Constant(1.2))
    [found] = check_axioms(Saturated().eval(), TWO, method=method, target=0, axioms=ONLY)
    assert (found.holds, found.reason) == (None, "no single place of these rows changes the score of the baseline")


def test_rows_that_are_the_baseline_cannot_be_asked() -> None:
    [found] = check_axioms(Saturated().eval(), 0 * TWO, method=sg.gradient(), target=0, axioms=ONLY)
    assert (found.holds, "nowhere" in found.reason) == (None, True)


def test_a_baseline_that_changes_with_the_row_cannot_be_asked() -> None:
    net, x = NETS["conv"]
    method = sg.integrated_gradients(4, baseline=sg.Blurred(1.0))
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert (found.holds, "changes with the input" in found.reason) == (None, True)
