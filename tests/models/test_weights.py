"""Files of weights: good ones, damaged ones, ones for other networks, and one that would run code."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothgrad.errors import BadWeights
from smoothgrad.models.weights import fit_weights, read_weights
from tests.nets import small_net

State = dict[str, Tensor]

WRAPPED: dict[str, Callable[[State], object]] = {
    "as they are": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model": lambda state: {"model": state},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "nested": lambda state: {"model": {"state_dict": state}},
    "module.": lambda state: {"module." + name: tensor for name, tensor in state.items()},
    "module. in state_dict": lambda state: {"state_dict": {"module." + name: t for name, t in state.items()}},
    "_orig_mod.module.": lambda state: {"_orig_mod.module." + name: tensor for name, tensor in state.items()},
    "without batch counters": lambda state: {n: t for n, t in state.items() if "num_batches" not in n},
    "half": lambda state: {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()
    },
}


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def fitted(path: Path) -> nn.Module:
    net = small_net(seed=1)
    fit_weights(net, read_weights(path), path)
    return net


def same(net: nn.Module, other: nn.Module, tolerance: float = 0.0) -> bool:
    pairs = zip(net.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(one, two, atol=tolerance, rtol=0) for one, two in pairs)


@pytest.mark.parametrize("form", WRAPPED)
def test_checkpoints_of_the_usual_forms_fit(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path / "net.pt", WRAPPED[form](small_net().state_dict()))
    assert same(fitted(path), small_net(), tolerance=1e-3 if form == "half" else 0)


@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "bin"])
def test_a_checkpoint_may_have_any_ending(tmp_path: Path, suffix: str) -> None:
    assert same(fitted(saved(tmp_path / f"net.{suffix}", small_net().state_dict())), small_net())


def test_an_old_checkpoint_fits(tmp_path: Path) -> None:
    torch.save(small_net().state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(fitted(tmp_path / "old.pth"), small_net())


def test_safetensors_fit_with_and_without_a_prefix(tmp_path: Path) -> None:
    for prefix in ("", "module."):
        path = tmp_path / f"net{prefix}safetensors"
        save_file(
            {prefix + name: tensor for name, tensor in small_net().state_dict().items()}, tmp_path / "n.safetensors"
        )
        path = tmp_path / "n.safetensors"
        assert same(fitted(path), small_net())


def test_a_prefix_that_the_network_has_itself_stays() -> None:
    net, other = nn.ModuleDict({"module": nn.Linear(2, 2)}), nn.ModuleDict({"module": nn.Linear(2, 2)})
    fit_weights(net, other.state_dict(), "n.pt")
    assert same(net, other)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": RunsCode()}, "bad.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadWeights, match=r"bad\.pt holds more than tensors and would run code .* convert it once"):
        read_weights("bad.pt")
    assert not Path("ran").exists()


def test_a_plain_pickle_that_would_run_code_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(BadWeights, match=r"bad\.pkl"):
        read_weights("bad.pkl")
    assert not Path("ran").exists()


def test_a_whole_network_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match="would run code"):
        read_weights(saved(tmp_path / "whole.pt", small_net()))


@pytest.mark.parametrize("content", [b"", b"hello, world", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadWeights, match=r"bad\.\w+ is no .*damaged"):
        read_weights(path)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_half_a_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    (torch.save if suffix == "pt" else save_file)(small_net().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadWeights, match="damaged"):
        read_weights(path)


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_damaged_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("net.safetensors" if form == "safetensors" else "net.pt")
    if form == "safetensors":
        save_file(small_net().state_dict(), path)
    else:
        torch.save(small_net().state_dict(), path, _use_new_zipfile_serialization=form == "zip")
    whole, dice, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[dice.randrange(min(1000, len(damaged)))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except BadWeights:
            refused += 1
    assert refused


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pt", tmp_path):
        with pytest.raises(BadWeights, match="there is no file of weights"):
            read_weights(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "holds a dict, not weights"),
        ([torch.zeros(1)], "holds a list, not weights"),
        (torch.zeros(1), "holds a Tensor, not weights"),
        ({"epoch": 3, "w": torch.zeros(1)}, "holds epoch, which is no tensor"),
    ],
)
def test_checkpoints_without_weights_by_name_are_refused(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(BadWeights, match=reason):
        read_weights(saved(tmp_path / "other.pt", content))


def test_the_first_weights_that_are_missing_or_too_many_are_named() -> None:
    state = small_net().state_dict()
    for name in [name for name in state if name.startswith(("0.", "1.", "3."))]:
        del state[name]
    state["head.bias"] = torch.zeros(1)
    with pytest.raises(BadWeights, match=r"without 0\.weight, 0\.bias, 1\.weight and \d more, and with head\.bias"):
        fit_weights(small_net(), state, "other.pt")


def test_weights_of_another_shape_are_named_with_both_shapes() -> None:
    with pytest.raises(BadWeights, match=r"7\.weight \(9, 128\) where the network has \(5, 128\).*give their names"):
        fit_weights(small_net(), small_net(classes=9).state_dict(), "tuned.pt")


def test_weights_that_do_not_fit_leave_the_network_as_it_was() -> None:
    net = small_net()
    with pytest.raises(BadWeights):
        fit_weights(net, small_net(classes=9, seed=3).state_dict(), "tuned.pt")
    assert same(net, small_net())
