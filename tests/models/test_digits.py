"""The embedded network: its weights, its scans and their split."""

from __future__ import annotations

import importlib

import pytest
import torch
from safetensors.torch import load_file

from smoothgrad.errors import BadInput, MissingPackage
from smoothgrad.models import train_digits
from smoothgrad.models.digits import WEIGHTS, digits, held_out_samples, scans

FIRST_HELD_OUT = [458, 303, 1081, 347, 1567, 1266, 713, 182, 1707, 895, 276, 1168]
CHECKSUM = 52439821


def test_the_shipped_weights_name_at_least_97_percent_of_the_held_out_scans() -> None:
    assert train_digits.accuracy(digits(), scans()) >= 0.97


def test_the_shipped_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 100_000
    assert all(tensor.dtype == torch.float32 for tensor in load_file(WEIGHTS).values())


def test_the_parts_of_the_split_are_everything_and_apart() -> None:
    data = scans()
    assert sorted([*data.train.tolist(), *data.held_out.tolist()]) == list(range(len(data.x)))


def test_the_split_is_the_one_that_the_weights_were_trained_with() -> None:
    data = scans()
    assert data.held_out[:12].tolist() == FIRST_HELD_OUT
    assert int((data.held_out * torch.arange(len(data.held_out))).sum()) == CHECKSUM


def test_a_fifth_of_each_digit_is_held_out() -> None:
    data = scans()
    share = data.labels[data.held_out].bincount() / data.labels.bincount()
    torch.testing.assert_close(share, torch.full((10,), 0.2), atol=0.006, rtol=0)


def test_scans_lie_between_black_and_white() -> None:
    x = scans().x
    assert (x.shape, x.dtype) == ((1797, 1, 8, 8), torch.float32)
    assert (float(x.min()), float(x.max())) == (0, 1)


def test_samples_are_each_digit_in_turn_with_names() -> None:
    network = digits()
    assert network.samples(20).shape == (20, 1, 8, 8)
    assert network.sample_labels(20).tolist() == [*range(10)] * 2
    assert network.sample_names(2) == tuple(f"digit {i}, scan {FIRST_HELD_OUT[i]}" for i in range(2))


def test_fewer_samples_are_the_first_of_more() -> None:
    assert torch.equal(held_out_samples(3).x, held_out_samples(30).x[:3])


def test_more_samples_than_there_are_cannot_be_had() -> None:
    with pytest.raises(BadInput, match="355 are held out; ask for fewer"):
        held_out_samples(356)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingPackage, match=r"smoothgrad\[digits\]"):
        scans()
