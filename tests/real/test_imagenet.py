"""ImageNet networks on photographs, through the public functions.

Two objects in one photograph: the map of each class should lie on its own object rather than on the other. What was seen over 7
such photographs, 18 boxes, two networks: |map| is 1.26 to 1.60 times as dense in the boxes as elsewhere on average, though not in
each of them (17 to 22 % of boxes are below 1, for smoothing and paths); and in every photograph, for every method, asking for the
other class moves the map towards the other object.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import smoothgrad as sg
from tests.nets import DATA, mobilenet, photograph_files, squeezenet

pytestmark = pytest.mark.real

TWO = DATA / "imagenet-samples" / "two"


class Thing(NamedTuple):
    """An object in a photograph: its class, and where it is as the network sees it."""

    label: int
    where: Tensor  # (H, W), bool


def photographs_of_two(net: sg.Network, count: int) -> list[tuple[Tensor, list[Thing]]]:
    from PIL import Image, ImageDraw

    found = defaultdict(list)
    with (TWO / "boxes.csv").open(newline="") as table:
        for line in csv.DictReader(table):
            found[line["file"]].append(line)
    things: list[tuple[Tensor, list[Thing]]] = []
    for file, lines in found.items():
        if len(lines) != 2 or len(things) == count:
            continue
        seen = []
        for line in lines:
            with Image.open(TWO / file) as opened:
                box = Image.new("RGB", opened.size)
            corners = [int(line[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            ImageDraw.Draw(box).rectangle(corners, fill="white")
            seen.append(
                Thing(int(line["class_index"]), net.show(net.read(box))[0, 0] > 0.5)
            )  # cropped as the picture is
        things.append((net.read(TWO / file), seen))
    return things


def on_things(net: sg.Network, method: sg.Explainer, count: int) -> tuple[Tensor, Tensor]:
    """How dense |map| is in each box over its mean, and per photograph how much the class moves it (log ratio of densities)."""
    density, moved = [], []
    for x, things in photographs_of_two(net, count):
        one, other = things
        effect = torch.tensor(0.0)
        for thing, rest in ((one, other), (other, one)):
            map_ = sg.explain(net, x, method=method, target=thing.label).maps[0].abs().sum(0)
            density.append(map_[thing.where].mean() / map_.mean())
            own, others = map_[thing.where & ~rest.where].mean(), map_[rest.where & ~thing.where].mean()
            effect = effect + (own / others).log()
        moved.append(effect)
    return torch.stack(density), torch.stack(moved)


@pytest.mark.parametrize("method", [sg.gradient(), sg.guided_backprop()], ids=repr)
def test_maps_of_mobilenet_lie_on_the_object_asked_for(method: sg.Explainer) -> None:
    density, moved = on_things(mobilenet(), method, 7)
    assert float(density.mean()) > 1.1
    assert int((moved > 0).sum()) == 7


@pytest.mark.parametrize(
    "method",
    [sg.gradient(), sg.smoothgrad(samples=12), sg.integrated_gradients(steps=12), sg.smoothgrad_squared(samples=12)],
    ids=repr,
)
def test_maps_of_squeezenet_lie_on_the_object_asked_for(method: sg.Explainer) -> None:
    density, moved = on_things(squeezenet(), method, 5)
    assert float(density.mean()) > 1.05
    assert float(moved.mean()) > 0.2
    assert int((moved > 0).sum()) >= 4


@pytest.mark.parametrize("name", ["mobilenet", "squeezenet"])
def test_integrated_gradients_are_complete_to_the_tolerance(name: str) -> None:
    net = mobilenet() if name == "mobilenet" else squeezenet()
    x = torch.cat([net.read(file) for file, _ in photograph_files(3)])
    result = sg.explain(net, x, method=sg.integrated_gradients(tolerance=0.05))
    assert result.completeness is not None
    assert (result.completeness.error <= 0.05).all()
    assert result.output is not None
    with torch.no_grad():
        start = torch.as_tensor(net(torch.zeros_like(x[:1])))[0]
    expected = result.score - start[result.target]
    torch.testing.assert_close(result.maps.sum((1, 2, 3)), expected, rtol=0.05, atol=1e-3)
    assert [int(count) in (17, 33, 65, 129, 257, 513) for count in result.passes] == [True] * 3


def test_photographs_are_named_as_a_person_would() -> None:
    net = mobilenet()
    files = photograph_files(6)
    result = sg.explain(net, torch.cat([net.read(file) for file, _ in files]), method=sg.gradient())
    assert int((result.target == torch.tensor([label for _, label in files])).sum()) >= 5
    assert result.classes[int(result.target[0])] == result.target_name(0)
    assert result.picture is not None
    assert result.picture.shape == (6, 3, 225, 225)
    assert 0 <= float(result.picture.min()) <= float(result.picture.max()) <= 1


def test_guided_backprop_finds_relu6() -> None:
    net = mobilenet()
    x = net.read(photograph_files(1)[0][0])
    guided = sg.explain(net, x, method=sg.guided_backprop())
    plain = sg.explain(net, x, method=sg.gradient())
    cosine = torch.nn.functional.cosine_similarity(guided.maps.flatten(), plain.maps.flatten(), dim=0)
    assert abs(float(cosine)) < 0.9
    assert torch.equal(guided.score, plain.score)  # the forward pass is the network's own


def test_layers_of_a_real_network_can_be_explained() -> None:
    net = squeezenet()
    x = net.read(photograph_files(1)[0][0])
    result = sg.explain(net, x, method=sg.integrated_gradients(steps=16), at="features.5")
    assert result.x.shape[1:] == result.maps.shape[1:]
    assert result.completeness is not None
    assert float(result.completeness.error) < 0.1
