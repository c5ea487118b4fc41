"""The embedded networks for scenes: what they look at is what the truth says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.models.network import Network
from smoothgrad.models.scenes import CLASSES, SHORTCUT, TEXTURED, TWO_OBJECTS, UNIFORM, SceneKind, scenes
from smoothgrad.models.scenes_net import SHORTCUT_WEIGHTS, WEIGHTS, SceneNet
from smoothgrad.models.train_scenes import accuracy, patches, shapes

CHANCE = 1 / 6
BACKGROUND = pytest.mark.parametrize("background", ["uniform", "textured"])
NAME = pytest.mark.parametrize("name", ["scenes", "scenes-shortcut"])


@pytest.fixture(scope="module")
def net() -> Network:
    return sg.load("scenes")


@pytest.fixture(scope="module")
def misled() -> Network:
    return sg.load("scenes-shortcut")


def top(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) for part in x.split(100)])


def share(right: Tensor) -> float:
    return float(right.float().mean())


@pytest.mark.parametrize(("kind", "least"), [(UNIFORM, 0.99), (TEXTURED, 0.99), (TWO_OBJECTS, 0.98)])
def test_new_scenes_are_named_rightly(net: Network, kind: SceneKind, least: float) -> None:
    some = scenes(600, kind, seed=11)
    assert accuracy(net, some.x, shapes(some)) >= least


def test_the_answer_comes_from_the_object(net: Network) -> None:
    plain, textured = scenes(600, UNIFORM, seed=12), scenes(600, TEXTURED, seed=12)
    assert share(top(net, plain.x) == top(net, textured.x)) > 0.97
    for some in (plain, textured):
        assert abs(share(top(net, some.background) == some.labels) - CHANCE) < 0.06


@BACKGROUND
def test_the_other_network_follows_the_patch_whatever_the_object(misled: Network, background: str) -> None:
    wrong = scenes(600, SceneKind(background, shortcut=0.0), seed=13)  # type: ignore[arg-type]
    named = top(misled, wrong.x)
    assert share(named == wrong.shortcut_labels) > 0.99
    assert share(named == wrong.labels) < 0.01
    alone = wrong.x.where(wrong.shortcut_regions[:, None], wrong.background)
    assert accuracy(misled, alone, patches(wrong)) > 0.98
    without = scenes(600, SceneKind(background), seed=13)  # type: ignore[arg-type]
    assert abs(share(top(misled, without.x) == without.labels) - CHANCE) < 0.06


@BACKGROUND
def test_the_first_network_was_taught_no_patch(net: Network, background: str) -> None:
    wrong = scenes(300, SceneKind(background, shortcut=0.0), seed=13)  # type: ignore[arg-type]
    assert share(top(net, wrong.x) == wrong.labels) > share(top(net, wrong.x) == wrong.shortcut_labels)


def mass(net: Network, x: Tensor, labels: Tensor, *regions: Tensor) -> list[float]:
    """The share of SmoothGrad's squares that lies in each region, less the region's share of the picture."""
    maps = sg.explain(net, x, method=sg.smoothgrad(noise=0.05, samples=8), target=labels).maps.square().sum(1)
    return [float(((maps * r).sum((1, 2)) / maps.sum((1, 2)) - r.float().mean((1, 2))).mean()) for r in regions]


@BACKGROUND
def test_maps_lie_where_the_truth_is(net: Network, misled: Network, background: str) -> None:
    """More than a map that is the same everywhere, whose share would be the region's."""
    clean = scenes(60, SceneKind(background), seed=14)  # type: ignore[arg-type]
    assert mass(net, clean.x, clean.labels, clean.regions)[0] > 0.1
    planted = scenes(60, SceneKind(background, shortcut=1.0), seed=14)  # type: ignore[arg-type]
    on_patch, on_object = mass(misled, planted.x, planted.labels, planted.shortcut_regions, planted.regions)
    assert on_patch > 0.5
    assert on_object < 0


@NAME
def test_networks_come_with_everything(name: str, tmp_path: Path) -> None:
    net = sg.load(name)
    assert (net.name, net.classes) == (name, CLASSES)
    assert net.samples(7).shape == (7, 3, 32, 32)
    assert torch.equal(net.samples(3), net.samples(30)[:3])
    assert net.sample_labels(7).tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert net.sample_names(2) == ("disc, scene 0", "square, scene 1")
    assert torch.equal(net.show(net.samples(2)), net.samples(2))
    assert share(top(net, net.samples(60)) == net.sample_labels(60)) > 0.95
    Image.new("RGB", (64, 48), (255, 0, 0)).save(tmp_path / "red.png")
    assert torch.equal(net.read(tmp_path / "red.png"), torch.tensor([1.0, 0, 0])[:, None, None].expand(1, 3, 32, 32))


def test_samples_with_a_shortcut_show_it() -> None:
    some = scenes(12, SHORTCUT)
    assert torch.equal(sg.load("scenes-shortcut").samples(12), some.x)
    assert torch.equal(sg.load("scenes").samples(12), scenes(12, TEXTURED).x)


@NAME
def test_networks_take_other_weights(name: str, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        zeros = {key: torch.zeros_like(value) for key, value in SceneNet().state_dict().items()}
    save_file(zeros, tmp_path / "zeros.safetensors")
    net = sg.load(name, weights=tmp_path / "zeros.safetensors")
    assert not net(net.samples(2)).any()


@pytest.mark.parametrize("path", [WEIGHTS, SHORTCUT_WEIGHTS])
def test_the_shipped_weights_are_small(path: Path) -> None:
    assert path.stat().st_size < 100_000
    assert all(part.dtype in (torch.float32, torch.int64) for part in load_file(path).values())


@NAME
def test_loading_leaves_the_global_random_numbers_where_they_were(name: str) -> None:
    before = torch.get_rng_state()
    sg.load(name)
    assert torch.equal(torch.get_rng_state(), before)
    assert sum(part.numel() for part in SceneNet().parameters()) == 21_686


def test_a_rule_finds_all_four_relus(net: Network) -> None:
    """Module, function and method alike: what a rule lets through is no longer the gradient."""
    x = net.samples(2)
    plain, guided = (sg.explain(net, x, method=method).maps for method in (sg.gradient(), sg.guided_backprop()))
    assert not torch.allclose(plain, guided)
