"""A network that knows its pictures and its classes."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from smoothgrad.errors import BadInput, BadOption, BadPicture
from smoothgrad.models.digits import digits
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from tests.nets import small_net

PREPROCESSING = Preprocessing(size=(8, 8), resize=8)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return x + other


@pytest.fixture
def network() -> Network:
    return Network(small_net(), name="small", classes=tuple("abcde"), preprocessing=PREPROCESSING)


def test_a_network_answers_what_the_module_inside_answers(network: Network) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(x), network.net(x))


def test_further_inputs_are_passed_on() -> None:
    assert Network(TwoInputs(), name="sum")(torch.ones(1), torch.ones(1)).item() == 2


def test_the_module_is_put_in_eval_mode_and_its_parameters_stay_as_they_are() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).train()
    net[0].weight.requires_grad_(False)
    network = Network(net, name="drops")
    assert not any(module.training for module in network.modules())
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, True]


@pytest.mark.parametrize("kind", [str, Path, Image.open, lambda path: np.asarray(Image.open(path))])
def test_files_pictures_and_arrays_are_read_alike(network: Network, tmp_path: Path, kind: object) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (16, 8), (255, 0, 0)).save(path)
    x = network.read(kind(path))
    assert x.shape == (1, 3, 8, 8)
    torch.testing.assert_close(network.show(x)[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_a_bad_picture_is_named(network: Network, tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match=r"gone\.png"):
        network.read(tmp_path / "gone.png")


def test_classes_have_labels_known_or_not(network: Network) -> None:
    assert [network.label(index) for index in (1, 5, -1)] == ["b", "class 5", "class -1"]


def test_a_network_without_inputs_says_so(network: Network) -> None:
    with pytest.raises(BadInput, match="small comes without inputs"):
        network.samples(1)


def test_no_inputs_cannot_be_asked_for() -> None:
    with pytest.raises(BadOption, match="ask for at least one"):
        digits().samples(0)


def test_a_changed_network_keeps_what_is_not_changed() -> None:
    network = digits()
    other = network.changed(name="other")
    assert (other.name, other.classes, other.preprocessing) == ("other", network.classes, network.preprocessing)
    assert other.net is network.net
    assert torch.equal(other.samples(2), network.samples(2))


def test_the_repr_is_one_line(network: Network) -> None:
    assert repr(network) == f"Network('small', 5 classes, {PREPROCESSING})"


def test_a_network_can_be_copied() -> None:
    network = digits()
    twin = copy.deepcopy(network)
    assert twin.net is not network.net
    assert torch.equal(twin(twin.samples(2)), network(network.samples(2)))


def test_importing_does_not_import_what_takes_long() -> None:
    heavy = "PIL sklearn timm torchvision transformers rich matplotlib pandas"
    code = f"import sys, smoothgrad.models.load; print([name for name in '{heavy}'.split() if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
