"""The one door to networks, and what is given at it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from smoothgrad.errors import BadModel, BadOption, BadWeights, SmoothGradError, UnknownName
from smoothgrad.models.digits import Digits
from smoothgrad.models.load import load
from smoothgrad.models.preprocessing import Preprocessing
from tests.nets import HALF, mobilenet, photograph_files, photographs, squeezenet


def top(network: object, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(x).argmax(dim=1)


def test_digits_come_with_everything() -> None:
    network = load("digits")
    assert (network.name, network.classes) == ("digits", tuple("0123456789"))
    assert network(network.samples(3)).shape == (3, 10)


def test_a_photograph_of_a_digit_is_read_in_its_size(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (255, 255, 255)).save(tmp_path / "digit.jpg")
    assert torch.equal(load("digits").read(tmp_path / "digit.jpg"), torch.ones(1, 1, 8, 8))


def test_digits_take_other_weights(tmp_path: Path) -> None:
    save_file({name: torch.zeros_like(t) for name, t in Digits().state_dict().items()}, tmp_path / "zeros.safetensors")
    network = load("digits", weights=tmp_path / "zeros.safetensors")
    assert not network(network.samples(2)).any()


def test_what_is_given_wins(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(["zero", *"123456789"]))
    network = load("digits", classes=tmp_path / "names.txt", size=(16, 12), mean=0.5, std=(0.25,))
    assert network.label(0) == "zero"
    assert network.preprocessing == Preprocessing(channels=1, size=(16, 12), resize=12, mean=(0.5,), std=(0.25,))


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"classes": ["one"]}, BadModel, "has 10 classes and 1 are named; name them all"),
        ({"mean": (0.5, 0.5)}, BadOption, "one per channel"),
        ({"std": 0}, BadOption, "give positive numbers"),
        ({"size": 0}, BadOption, "at least one pixel"),
        ({"size": 1}, BadModel, "refuses a picture of 1 x 1 x 1"),
        ({"weights": "gone.pt"}, BadWeights, r"no file of weights gone\.pt"),
        ({"classes": "gone.txt"}, BadOption, r"no file of classes gone\.txt"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, object], error: type[SmoothGradError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        load("digits", **options)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digit", "did you mean 'digits'"),
        ("resnet50", "did you mean 'timm:resnet50'"),
        ("tim:resnet50", "the forms are digits, timm:NAME"),
        ("timm:", "the forms are digits, timm:NAME"),
        ("", "the forms are digits, timm:NAME"),
    ],
)
def test_names_of_no_known_form_are_answered_with_the_forms(name: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=hint):
        load(name)


@pytest.mark.real
def test_mobilenet_names_most_real_photographs() -> None:
    network = mobilenet()
    files = photograph_files(20)
    named = top(network, torch.cat([network.read(file) for file, _ in files]))
    assert network.label(files[0][1]) == network.classes[files[0][1]]
    assert int((named == torch.tensor([label for _, label in files])).sum()) >= 17


@pytest.mark.real
@pytest.mark.parametrize("training", ["torchvision", "caffe"])
def test_squeezenet_names_most_real_photographs(training: str) -> None:
    network, files = squeezenet(training), photograph_files(20)
    named = top(network, torch.cat([network.read(file) for file, _ in files]))
    assert int((named == torch.tensor([label for _, label in files])).sum()) >= 15


@pytest.mark.real
def test_pictures_are_read_as_the_data_describes_them() -> None:
    network = squeezenet()
    expected, _ = photographs(3)
    torch.testing.assert_close(torch.cat([network.read(file) for file, _ in photograph_files(3)]), expected)


@pytest.mark.real
def test_mobilenet_sees_what_scikit_images_photographs_show() -> None:
    data = pytest.importorskip("skimage.data")
    network = mobilenet()
    pictures = [data.cat(), data.coffee(), data.rocket(), data.camera()]
    seen = [network.label(int(index)) for index in top(network, torch.cat([network.read(p) for p in pictures]))]
    assert seen[0] in ("tabby", "tiger cat", "Egyptian cat")
    assert seen[1:] == ["espresso", "missile", "tripod"]


@pytest.mark.real
def test_showing_a_photograph_gives_it_back() -> None:
    network = mobilenet()
    file, _ = photograph_files(1)[0]
    plain = Preprocessing(size=(225, 225), resize=network.preprocessing.resize, mean=(0.0,) * 3, std=(1.0,) * 3)
    torch.testing.assert_close(network.show(network.read(file)), plain.row(file), atol=1e-6, rtol=0)
    assert network.preprocessing.mean == HALF
