"""The embedded networks of MNIST and CIFAR-10, against the pictures they were held out from."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadOption, BadWeights
from smoothgrad.models.resnet import ResNet
from smoothgrad.models.small_net import SmallNet
from smoothgrad.models.trained import CIFAR10, CIFAR_CLASSES, MNIST
from tests.nets import DATA, WEIGHTS, cifar_pictures, cifar_resnet


@pytest.mark.parametrize(("name", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_it_is_loaded_in_eval_mode_with_its_classes(name: str, shape: tuple[int, ...]) -> None:
    network = sg.load(name)
    assert not network.training
    assert len(network.classes) == 10
    assert network(torch.zeros(2, *shape)).shape == (2, 10)


def test_loading_leaves_the_stream_of_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    sg.load("mnist")
    sg.load("cifar10")
    assert torch.equal(before, torch.random.get_rng_state())


def test_all_embedded_weights_together_are_small() -> None:
    """1.5 MB at most: the package is downloaded by everybody."""
    files = [*CIFAR10.parent.glob("*.safetensors"), *(CIFAR10.parents[1] / "features").glob("*.safetensors")]
    assert {CIFAR10, MNIST} <= set(files)
    assert sum(file.stat().st_size for file in files) < 1.5e6


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(BadWeights):
        sg.load("cifar10", weights=MNIST)


def test_it_has_no_pictures_of_its_own() -> None:
    with pytest.raises(BadInput, match="read your own"):
        sg.load("mnist").samples(1)


@pytest.mark.parametrize("depth", [2, 9, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth: int) -> None:
    with pytest.raises(BadOption, match="6n \\+ 2"):
        ResNet(depth)


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_the_last_map_is_as_large_as_one_wants_it(halvings: int) -> None:
    net = SmallNet(halvings=halvings).eval()
    seen = []
    net.norms[-1].register_forward_hook(lambda _module, _args, out: seen.append(out.shape[-1]))
    net(torch.zeros(1, 1, 28, 28))
    assert seen == [28 // 2**halvings]


def test_more_halvings_than_convolutions_allow_are_refused() -> None:
    with pytest.raises(BadOption, match="0 to 1 halvings"):
        SmallNet(widths=(4, 8), halvings=2)


def test_widened_shortcuts_are_thinned_out_and_padded_on_both_sides() -> None:
    """Option A of He et al. 2015, written once more: the residual branch set to zero leaves the shortcut."""
    net = ResNet(8).eval()
    block = net.layer2[0]
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 16, 6, 6)
    truth = torch.zeros(2, 32, 3, 3)
    truth[:, 8:24] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), truth)


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not at hand")
def test_it_is_the_same_network_as_the_published_one_with_the_published_weights() -> None:
    x, _ = cifar_pictures(4)
    for depth in (20, 32):
        published = sg.load("cifar10", weights=WEIGHTS / f"cifar10_resnet{depth}.safetensors")
        assert torch.allclose(published(x), cifar_resnet(depth)(x), atol=1e-5)


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not at hand")
def test_it_names_pictures_that_it_was_not_trained_on() -> None:
    """88 % of CIFAR-10 and 99 % of MNIST on all held-out pictures is what training says; here on some of them."""
    from smoothgrad.training.data import data_set

    x, labels = cifar_pictures(1000)
    with torch.no_grad():
        right = sg.load("cifar10")(x).argmax(1) == labels
    assert right.float().mean() >= 0.88
    held = data_set(f"mnist:{DATA / 'mnist'}").held_out.first(2000)
    with torch.no_grad():
        right = sg.load("mnist")(held.x.float() / 255).argmax(1) == held.labels
    assert right.float().mean() >= 0.98


def test_the_files_hold_half_precision() -> None:
    for file in (MNIST, CIFAR10):
        kinds = {held.dtype for held in load_file(file).values() if held.is_floating_point()}
        assert kinds == {torch.float16}


def test_classes_are_in_the_order_of_the_data_set() -> None:
    assert sg.load("cifar10").classes == CIFAR_CLASSES
