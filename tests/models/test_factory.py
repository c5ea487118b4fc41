"""Networks of the user's own, made by a function in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from smoothgrad.errors import BadModel, BadOption, BadWeights, UnknownName
from smoothgrad.models.load import load
from smoothgrad.models.preprocessing import Preprocessing
from tests.nets import small_net

FILE = """
from torch import nn
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from parts_beside import OUTPUTS

def make():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, OUTPUTS))

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 3)

def make_network():
    return Network(make(), name="inner", classes=("a", "b"), preprocessing=Preprocessing(size=(9, 9), resize=9))

def needs(something): ...
def returns_text(): return "net"
def fails(): raise KeyError("weights")
NUMBER = 3
MADE = make()
"""
SETTINGS = """
PREPROCESSING = Preprocessing(channels=1, size=(5, 5), resize=5, mean=(0.0,), std=(1.0,))
CLASSES = ["cat", "dog"]
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "parts_beside.py").write_text("OUTPUTS = 2\n")
    path = tmp_path / "net.py"
    path.write_text(FILE)
    return path


@pytest.fixture(autouse=True)
def _forgets_the_modules_beside() -> object:
    yield
    sys.modules.pop("parts_beside", None)


def test_a_function_makes_a_network_with_the_usual_preprocessing(net: Path) -> None:
    network = load(f"{net}:make")
    assert network.name == f"{net}:make"
    assert (network.classes, network.preprocessing) == ((), Preprocessing())
    assert not any(module.training for module in network.modules())
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 2)


def test_a_class_makes_one_too(net: Path) -> None:
    assert load(f"{net}:Net")(torch.zeros(1, 2)).shape == (1, 3)


def test_the_file_may_say_the_preprocessing_and_the_classes(net: Path) -> None:
    net.write_text(FILE + SETTINGS)
    network = load(f"{net}:make")
    assert network.classes == ("cat", "dog")
    assert network.preprocessing.size == (5, 5)


def test_a_function_may_return_a_network(net: Path) -> None:
    network = load(f"{net}:make_network")
    assert (network.name, network.classes, network.preprocessing.size) == (f"{net}:make_network", ("a", "b"), (9, 9))


def test_what_is_given_wins_over_what_the_file_says(net: Path) -> None:
    net.write_text(FILE + SETTINGS)
    network = load(f"{net}:make", classes=["x", "y"], size=(6, 7), mean=0.5, std=[0.25])
    assert network.classes == ("x", "y")
    assert network.preprocessing == Preprocessing(channels=1, size=(6, 7), resize=6, mean=(0.5,), std=(0.25,))


@pytest.mark.parametrize("function", ["make", "make_network"])
def test_weights_are_fitted(net: Path, tmp_path: Path, function: str) -> None:
    state = load(f"{net}:make").net.state_dict()
    zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    save_file(zeros, tmp_path / "zeros.safetensors")
    network = load(f"{net}:{function}", weights=tmp_path / "zeros.safetensors")
    assert not any(parameter.any() for parameter in network.parameters())


def test_weights_of_another_network_are_refused(net: Path, tmp_path: Path) -> None:
    save_file(small_net().state_dict(), tmp_path / "small.safetensors")
    with pytest.raises(BadWeights, match=r"small\.safetensors is for another network"):
        load(f"{net}:make", weights=tmp_path / "small.safetensors")


def test_the_path_of_imports_is_left_as_it_was(net: Path) -> None:
    before = list(sys.path)
    load(f"{net}:make")
    with pytest.raises(BadModel):
        load(f"{net}:fails")
    assert sys.path == before


def test_two_files_of_one_name_are_two(net: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "net.py").write_text("from torch import nn\n\ndef make(): return nn.ReLU()\n")
    assert type(load(f"{tmp_path / 'other' / 'net.py'}:make").net) is torch.nn.ReLU
    assert type(load(f"{net}:make").net) is torch.nn.Sequential


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"there is no file .*gone\.py"):
        load(f"{tmp_path}/gone.py:make")


def test_a_missing_function_is_answered_with_the_nearest(net: Path) -> None:
    with pytest.raises(UnknownName, match="has no function 'make_netwrk'; did you mean 'make_network'"):
        load(f"{net}:make_netwrk")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("needs", r"needs\(\) in .* failed: TypeError: .* called without arguments"),
        ("returns_text", r"returned a str; it must return a torch\.nn\.Module"),
        ("fails", r"failed: KeyError: 'weights'"),
        ("NUMBER", "NUMBER in .* is a int; name a function"),
        ("MADE", "MADE in .* is a Sequential; name a function"),
    ],
)
def test_functions_that_make_no_network_are_refused(net: Path, function: str, reason: str) -> None:
    with pytest.raises(BadModel, match=reason):
        load(f"{net}:{function}")


@pytest.mark.parametrize("text", ["def make(:", "import not_a_package_at_all", "1 / 0"])
def test_a_file_that_does_not_run_is_refused(net: Path, text: str) -> None:
    net.write_text(text)
    before = set(sys.modules)
    with pytest.raises(BadModel, match=r"net\.py failed when it was run: \w+Error"):
        load(f"{net}:make")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("line", "error", "reason"),
    [
        ("PREPROCESSING = 224", BadModel, "PREPROCESSING for .* is a int"),
        ("CLASSES = [1, 2]", BadOption, "give their names"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(net: Path, line: str, error: type[Exception], reason: str) -> None:
    net.write_text(f"{FILE}\n{line}\n")
    with pytest.raises(error, match=reason):
        load(f"{net}:make")


@pytest.mark.parametrize("end", ["", ":"])
def test_a_file_without_a_function_is_told_with_its_functions_and_not_run(tmp_path: Path, end: str) -> None:
    path = tmp_path / "nets.py"
    path.write_text(
        "raise SystemExit\ndef resnet20(): ...\ndef deep(layers=3, *, wide=False): ...\n"
        "def _inner(): ...\ndef block(width): ...\ndef named(*, width): ...\n"
    )
    with pytest.raises(UnknownName) as error:
        load(f"{path}{end}")
    assert str(error.value).endswith(f"name a function: {path}:resnet20, {path}:deep")


def test_a_file_alone_that_is_missing_damaged_or_without_functions_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="there is no file"):
        load(str(tmp_path / "nets.py"))
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UnknownName, match="no function in it"):
        load(str(tmp_path / "empty.py"))
    (tmp_path / "damaged.py").write_text("def (\n")
    with pytest.raises(BadModel, match="cannot be read as Python"):
        load(str(tmp_path / "damaged.py"))
