"""Scenes with two objects of known places, the network that was trained on such, and how well a difference of maps fits them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from torch import Tensor

from smoothgrad.experiments.setup import Picture
from smoothgrad.models.network import Network
from smoothgrad.models.scenes import CLASSES, TWO_OBJECTS, scenes
from smoothgrad.models.scenes_net import scene_net

GROUP = "made/two objects"  # of these scenes; no folder can have this name


class Scene(NamedTuple):
    """A picture with two objects, and what is known of it."""

    picture: Picture
    labels: tuple[int, int]
    regions: tuple[Tensor, Tensor]  # (1, H, W) bool each


@cache
def made(count: int) -> tuple[Scene, ...]:
    """The first scenes with two objects."""
    if not count:
        return ()
    some = scenes(count, TWO_OBJECTS)
    found = []
    for place in range(count):
        first, second = int(some.labels[place]), int(some.second_labels[place])
        here, there = some.regions[place, None], some.second_regions[place, None]
        name = f"scene {place}: {CLASSES[first]} and {CLASSES[second]}"
        picture = Picture(name, some.x[place, None], group=GROUP, label=first, region=here)
        found.append(Scene(picture, (first, second), (here, there)))
    return tuple(found)


@cache
def embedded() -> Network:
    """The network that was trained on scenes."""
    return scene_net()


def separation(difference: Tensor, first: Tensor, second: Tensor) -> float:
    """(sum_A d - sum_B d) / sum_{A and B} |d|, A and B bool like d, apart from each other; 0 where d is zero on both. -1 to 1.

    >>> import torch
    >>> separation(torch.tensor([0.5, -1.0, 9.0]), torch.tensor([True, False, False]), torch.tensor([False, True, False]))
    1.0
    """
    here, there = difference[first], difference[second]
    total = here.abs().sum() + there.abs().sum()
    return float((here.sum() - there.sum()) / total) if total > 0 else 0.0


def share_inside(difference: Tensor, first: Tensor, second: Tensor) -> float:
    """sum_{A and B} |d| / sum |d|, from 0 to 1; NaN where d is zero everywhere.

    >>> import torch
    >>> share_inside(torch.tensor([1.0, -1.0, 2.0]), torch.tensor([True, False, False]), torch.tensor([False, True, False]))
    0.5
    """
    return float(difference[first | second].abs().sum() / difference.abs().sum())
