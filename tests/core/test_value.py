"""Pieces as values, and tensors among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.value import Data, arguments


def test_numbers_are_always_written_and_other_defaults_are_not() -> None:
    assert repr(sg.Gaussian()) == "Gaussian(noise=0.15, samples=50)"
    assert repr(sg.Gaussian(unit="absolute")) == "Gaussian(noise=0.15, samples=50, unit='absolute')"
    assert repr(sg.Gradient()) == "Gradient()"
    assert list(arguments(sg.Probability())) == ["of=Top(rank=0)"]
    assert list(arguments(sg.StraightPath(sg.Zero(), 50))) == ["steps=50"]
    assert list(arguments(sg.Adversarial(target=3))) == ["radius=0.1", "steps=20", "target=3"]


def test_tuples_of_numbers_are_written_at_their_default_and_empty_ones_and_names_are_not() -> None:
    assert repr(sg.KeepTop()) == "KeepTop(shares=(0.05, 0.1, 0.2, 0.3, 0.5))"
    assert repr(sg.KeepTop(shares=(0.1,))) == "KeepTop(shares=(0.1,))"
    assert sg.measure_from_recipe(repr(sg.SensitivityN())) == sg.SensitivityN()
    assert repr(sg.Replaced()) == "Replaced()"


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.1), np.float16(0.5), np.int64(1)])
def test_numbers_of_numpy_are_written_as_pythons(number: np.generic) -> None:
    method = sg.smoothgrad(noise=number, samples=4)  # type: ignore[arg-type]
    assert "np." not in repr(method)
    assert sg.from_recipe(repr(method)) == method


def test_data_is_compared_by_content() -> None:
    rows = torch.arange(6.0).view(2, 3)
    assert Data(rows) == Data(rows.clone())
    assert hash(Data(rows)) == hash(Data(rows.clone()))
    assert Data(rows) == Data(rows.t().contiguous().t()), "how it lies in memory is not its content"
    for other in (rows + 1e-6, rows.view(3, 2), rows.double(), rows[:1]):
        assert Data(rows) != Data(other)
    assert Data(rows) != rows


def test_data_is_a_copy() -> None:
    rows = torch.zeros(2, 2, requires_grad=True)
    data = Data(rows)
    before = data.digest
    with torch.no_grad():
        rows += 1
    assert data.digest == before
    assert not data.tensor.requires_grad


def test_the_digest_is_short_and_stays_the_same() -> None:
    assert Data(torch.zeros(2)).digest == "9fa67922fc7a1419"
    assert repr(Data(torch.zeros(2))) == "'data:9fa67922fc7a1419'"


def test_any_type_has_a_digest() -> None:
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    assert len({Data(torch.ones(3, dtype=kind)).digest for kind in kinds}) == 4
