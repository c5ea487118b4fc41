"""How far two maps are from each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import smoothgrad as sg
from smoothgrad.experiments.compared import alike, cosine, distance
from smoothgrad.measure.similarity import Spearman
from smoothgrad.result import Attribution
from tests.truth import Linear

X = torch.tensor([[1.0, 2.0, -3.0]])


def of(*weights: float) -> Attribution:
    """The gradient of a linear function: its weights."""
    result = sg.explain(Linear(torch.tensor(weights, dtype=torch.float32)), X, method=sg.gradient(), target=0)
    assert isinstance(result, Attribution)
    return result


def test_the_cosine_is_that_of_the_weights() -> None:
    assert cosine(of(1, 2, 3), of(2, 4, 6)) == pytest.approx(1, abs=1e-6)
    assert cosine(of(1, 2, 3), of(-1, -2, -3)) == pytest.approx(-1, abs=1e-6)
    assert cosine(of(1, 0, 0), of(0, 1, 0)) == pytest.approx(0, abs=1e-6)
    assert cosine(of(1, 1, 0), of(1, 0, 0)) == pytest.approx(math.sqrt(0.5), abs=1e-6)


def test_the_distance_is_a_share_of_the_second_norm() -> None:
    assert distance(of(1, 2, 3), of(1, 2, 3)) == 0
    assert distance(of(3, 0, 0), of(1, 0, 0)) == pytest.approx(2, abs=1e-6)
    assert distance(of(1, 0, 0), of(3, 0, 0)) == pytest.approx(2 / 3, abs=1e-6)


def test_a_map_of_zeros_has_no_direction() -> None:
    zero, some = of(0, 0, 0), of(1, 2, 3)
    assert math.isnan(cosine(zero, some))
    assert distance(zero, zero) == 0
    assert distance(zero, some) == pytest.approx(1, abs=1e-6)
    assert math.isinf(distance(some, zero))


@pytest.mark.parametrize(("weights", "truth"), [((1.0, 2.0, 3.0), 1.0), ((3.0, 2.0, 1.0), -1.0)])
def test_a_similarity_says_of_two_maps_what_it_says_in_measures(weights: tuple[float, ...], truth: float) -> None:
    assert alike(Spearman(), of(10, 20, 40), of(*weights)) == pytest.approx(truth, abs=1e-6)


def test_a_constant_map_is_like_none() -> None:
    assert math.isnan(alike(Spearman(), of(1, 1, 1), of(1, 2, 3)))


def test_all_are_symmetric_but_the_distance() -> None:
    a, b = of(1, -2, 0.5), of(0.3, 1, 4)
    values: list[Tensor] = [torch.tensor([cosine(a, b), alike(Spearman(), a, b)])]
    assert torch.allclose(values[0], torch.tensor([cosine(b, a), alike(Spearman(), b, a)]))
    assert distance(a, b) != pytest.approx(distance(b, a))
