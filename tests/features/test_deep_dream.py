"""DeepDream against a slow twin, and what its octaves promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadTarget, UnknownName
from smoothgrad.features import Channel, DeepDream, Layer, dream, live
from smoothgrad.features.search import shift_of
from smoothgrad.models.network import Network


def network() -> nn.Sequential:
    """Takes pictures of any size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU())
        return nn.Sequential(*net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()


X = torch.rand(2, 3, 14, 17, generator=torch.Generator().manual_seed(0))


def slow_dream(net: nn.Sequential, x: Tensor, search: DeepDream, seed: int) -> Tensor:
    """One picture (1, C, H, W): octaves, steps and jitter as loops, the objective layer "2"."""
    span = float(x.max() - x.min())
    number, detail = 0, None
    for octave in reversed(range(search.octaves)):
        size = [round(length / search.scale**octave) for length in x.shape[-2:]]
        base = x if octave == 0 else F.interpolate(x, size=size, mode="bilinear", antialias=True)
        before = (
            torch.zeros_like(base)
            if detail is None
            else F.interpolate(detail, size=size, mode="bilinear", antialias=True)
        )
        picture = base + before
        for _ in range(search.steps):
            down, across = shift_of(search.jitter, seed, number, picture.shape)
            seen = torch.roll(picture, (down, across), (2, 3)).requires_grad_()
            g = torch.roll(torch.autograd.grad(net[:3](seen).square().mean(), seen)[0], (-down, -across), (2, 3))
            picture = picture + search.learning_rate * span * g / g.abs().mean()
            number += 1
        detail = picture - base
    return picture


@pytest.mark.parametrize("jitter", [0, 3])
@pytest.mark.parametrize("octaves", [1, 3])
def test_it_is_the_written_out_dream(octaves: int, jitter: int) -> None:
    net = network()
    search = DeepDream(Layer("2"), octaves, scale=1.4, steps=3, learning_rate=0.02, jitter=jitter)
    found = dream(net, search, X, seed=7).pictures
    by_hand = torch.cat([slow_dream(net, row[None], search, 7) for row in X])
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


def test_octaves_grow_by_the_scale_to_the_whole_picture() -> None:
    frames = list(live(network(), DeepDream(Layer("2"), octaves=3, scale=1.5, steps=2), X))
    assert [tuple(frame.picture.shape[-2:]) for frame in frames] == [(6, 8)] * 2 + [(9, 11)] * 2 + [(14, 17)] * 3
    assert [frame.step for frame in frames] == list(range(7))
    assert {frame.total for frame in frames} == {6}


def test_a_dream_that_hardly_moves_is_the_picture() -> None:
    found = dream(network(), DeepDream(Layer("2"), steps=1, learning_rate=1e-7), X)
    torch.testing.assert_close(found.pictures, X, atol=1e-5, rtol=0)
    assert found.frames.shape == (5, *X.shape)  # small octaves are kept in the size of the whole


@pytest.mark.parametrize("objective", [Layer("2"), Channel("3", 2)], ids=repr)
def test_what_the_layer_sees_becomes_more(objective: Layer | Channel) -> None:
    found = dream(network(), DeepDream(objective, octaves=2, steps=8, jitter=4), X)
    assert bool((found.values[-1] > 1.2 * found.values[0]).all())


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 1, 12, 19)])
def test_digits_dream_at_any_size_between_black_and_white(shape: tuple[int, ...]) -> None:
    net = sg.load("digits")
    assert isinstance(net, Network)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    found = dream(net, DeepDream(Layer("conv3"), octaves=2, steps=5, learning_rate=0.2), x).pictures
    assert found.shape == shape
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    assert bool((found == 1).any())


def test_pictures_do_not_dream_of_each_other() -> None:
    search = DeepDream(Layer("2"), octaves=2, steps=2)
    together = dream(network(), search, torch.cat([X, 10 * X[:1]])).pictures
    torch.testing.assert_close(together[:1], dream(network(), search, X[:1]).pictures)


def test_the_same_seed_gives_the_same_dream() -> None:
    search = DeepDream(Layer("2"), octaves=2, steps=2)
    one, two, other = (dream(network(), search, X, seed=seed).pictures for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_callers_picture_is_left_alone() -> None:
    x = X.clone()
    dream(network(), DeepDream(Layer("2"), octaves=1, steps=1), x)
    assert torch.equal(x, X)


@pytest.mark.parametrize(
    ("change", "x", "error", "reason"),
    [
        ({"octaves": 0}, X, BadMethod, "octaves >= 1"),
        ({"scale": 1.0}, X, BadMethod, "scale > 1"),
        ({"steps": 0}, X, BadMethod, "steps >= 1"),
        ({"jitter": -1}, X, BadMethod, "jitter >= 0"),
        ({"learning_rate": 0.0}, X, BadMethod, "learning_rate > 0"),
        ({"octaves": 12}, X, BadInput, "14 x 17 is too small for 12 octaves"),
        ({}, torch.ones(1, 3, 8, 8), BadInput, "picture 0 is the same everywhere"),
        ({}, torch.rand(3, 8), BadInput, r"needs pictures \(N, C, H, W\)"),
        ({}, None, BadInput, "begins with pictures"),
        ({}, X.double(), BadInput, "float64"),
        ({"objective": Layer("22")}, X, UnknownName, "no layer '22'"),
        ({"objective": Channel("2", 6)}, X, BadTarget, "6 channels"),
    ],
)
def test_what_means_nothing_is_refused(
    change: dict[str, object], x: Tensor | None, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        dream(network(), replace(DeepDream(Layer("2")), **change), x)  # type: ignore[arg-type]


def test_octaves_too_small_for_the_network_are_found_at_once() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(
        BadInput, match=r"smallest of 4 octaves is 3 x 3, which the network does not take; give fewer octaves"
    ):
        dream(net, DeepDream(Layer("0")), torch.rand(1, 3, 8, 8))
