"""The embedded generator, and the script that trains it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import smoothgrad as sg
from smoothgrad.errors import UnknownName
from smoothgrad.features import load_generator, train_generator
from smoothgrad.features.generator import WEIGHTS, Generator
from smoothgrad.models.digits import scans


def pictures(count: int) -> torch.Tensor:
    with torch.no_grad():
        made: torch.Tensor = load_generator()(torch.randn(count, 16, generator=torch.Generator().manual_seed(0)))
    return made


def test_the_weights_are_small_and_made_by_this_script() -> None:
    assert WEIGHTS.stat().st_size < 400_000
    with safe_open(WEIGHTS, framework="pt") as file:
        metadata = file.metadata()
    assert metadata == {"script": train_generator.digest()}, (
        "train again: python -m smoothgrad.features.train_generator"
    )


def test_it_makes_pictures_that_are_taken_for_digits_of_all_kinds() -> None:
    net = sg.load("digits")
    with torch.no_grad():
        sure, digit = net(pictures(400)).softmax(1).max(1)
    assert float(sure.median()) > 0.9
    assert set(digit.tolist()) == set(range(10))


def test_its_pictures_are_as_bright_as_the_scans_and_no_two_alike() -> None:
    made, x = pictures(400), scans().x
    assert float(made.mean()) == pytest.approx(float(x.mean()), abs=0.05)
    torch.testing.assert_close(made.std(0).mean(), x.std(0).mean(), rtol=0.25, atol=0)


def test_loading_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    assert not load_generator("digits").training
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(UnknownName, match="did you mean 'digits'"):
        load_generator("digit")


def test_training_again_gives_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        train_generator.main(tmp_path / f"{name}.safetensors", epochs=1)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert set(one) == set(Generator().state_dict())
    assert "wrote" in capsys.readouterr().out


def test_training_moves_the_weights_and_not_the_global_random_numbers() -> None:
    x, before = scans().x[:128], torch.get_rng_state()
    one, two = (train_generator.train(x, epochs=epochs, seed=0) for epochs in (1, 2))
    assert not torch.equal(one.layers[0].weight, two.layers[0].weight)
    assert torch.equal(torch.get_rng_state(), before)
