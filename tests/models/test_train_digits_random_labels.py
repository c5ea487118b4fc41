"""The twin of the embedded network, which learned shuffled labels by heart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from smoothgrad.models import train_digits_random_labels as script
from smoothgrad.models.digits import scans
from smoothgrad.models.load import load


def test_labels_are_shuffled_and_no_others() -> None:
    labels = scans().labels
    shuffled = script.shuffled(labels)
    assert torch.equal(shuffled.bincount(), labels.bincount())
    assert (shuffled == labels).float().mean() < 0.15
    assert torch.equal(shuffled, script.shuffled(labels))


def test_the_shipped_twin_knows_its_labels_by_heart_and_nothing_else() -> None:
    data, net = scans(), load("digits-random-labels")
    drawn = data._replace(labels=script.shuffled(data.labels))
    assert script.accuracy(net, drawn, data.train) > 0.99
    assert script.accuracy(net, drawn, data.held_out) < 0.2
    assert script.accuracy(net, data, data.held_out) < 0.2
    assert script.accuracy(load("digits"), data, data.held_out) > 0.95


def test_training_again_gives_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()
    for name in ("one", "two"):
        script.main(tmp_path / f"{name}.safetensors", epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert "of the 1442 scans are named as they were shuffled" in capsys.readouterr().out
