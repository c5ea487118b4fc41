"""The script that trains the embedded network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from smoothgrad.models import train_digits
from smoothgrad.models.digits import digits, scans


def test_the_global_random_numbers_are_left_where_they_were() -> None:
    before = torch.get_rng_state()
    digits()
    train_digits.train(scans(), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_again_gives_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        train_digits.main(tmp_path / f"{name}.safetensors", epochs=1)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.safetensors", "two.safetensors"]
    assert "of the 355 held-out scans are named rightly" in capsys.readouterr().out


def test_training_learns() -> None:
    assert train_digits.accuracy(train_digits.train(scans(), epochs=12), scans()) > 0.7
