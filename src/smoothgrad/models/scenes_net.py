"""The embedded networks for scenes: one that sees shapes, and one that looks at a planted shortcut instead.

Their pictures come from `smoothgrad.models.scenes`, which knows which pixels matter; `train_scenes` makes the weights, which lie
beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.models.network import Network, Samples
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.models.scenes import CLASSES, SHORTCUT, SIZE, TEXTURED, SceneKind, scenes
from smoothgrad.models.weights import fit_weights, read_weights

WEIGHTS = Path(__file__).with_name("scenes.safetensors")
SHORTCUT_WEIGHTS = Path(__file__).with_name("scenes_shortcut.safetensors")
PREPROCESSING = Preprocessing(channels=3, size=(SIZE, SIZE), resize=SIZE, mean=(0.0,) * 3, std=(1.0,) * 3)


@final
class SceneNet(nn.Module):
    """Scores (N, 6) for pictures (N, 3, 32, 32) in [0, 1]; 21,686 parameters.

    Convolutions with batch norm, global average pooling and one linear layer at the end, so that CAM applies; the ReLUs are a
    module in place, a function and a method, so that a rule which misses one of these is found out.

    >>> SceneNet().eval()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 6])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.pool = nn.AvgPool2d(2)
        self.conv3 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.conv4 = nn.Conv2d(32, 48, 3, padding=1, bias=False)
        self.bn4 = nn.BatchNorm2d(48)
        self.linear = nn.Linear(48, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.pool(F.relu(self.bn2(self.conv2(x))))  # (N, 16, 16, 16)
        x = self.pool(self.bn3(self.conv3(x)).relu())  # (N, 32, 8, 8)
        x = F.relu(self.bn4(self.conv4(x)))  # (N, 48, 8, 8)
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores


def scene_net() -> Network:
    """The network that was trained on scenes without shortcut; its samples are textured scenes that it has not seen.

    >>> network = scene_net()
    >>> network(network.samples(6)).argmax(dim=1)
    tensor([0, 1, 2, 3, 4, 5])
    """
    return scene_net_with(None)


def scene_net_with(weights: Path | None) -> Network:
    """The same with the weights of a file, or the shipped ones. Raises `BadWeights` where they do not fit."""
    return _network("scenes", weights or WEIGHTS, TEXTURED)


def shortcut_net() -> Network:
    """The network that looks at the patch in a corner and at nothing else; in its samples the patch tells the object's class.

    It was trained to say which class the patch stands for, on objects of any class. So it names scenes rightly for a wrong
    reason: its maps should lie on the patch.

    >>> network = shortcut_net()
    >>> network(network.samples(6)).argmax(dim=1)
    tensor([0, 1, 2, 3, 4, 5])
    """
    return shortcut_net_with(None)


def shortcut_net_with(weights: Path | None) -> Network:
    """The same with the weights of a file, or the shipped ones. Raises `BadWeights` where they do not fit."""
    return _network("scenes-shortcut", weights or SHORTCUT_WEIGHTS, SHORTCUT)


def _network(name: str, weights: Path, kind: SceneKind) -> Network:
    # Making a network draws random weights: the caller's stream of random numbers is left where it was.
    with torch.random.fork_rng(devices=[]):
        net = SceneNet()
    fit_weights(net, read_weights(weights), weights)

    def samples(n: int) -> Samples:
        few = scenes(n, kind)
        names = tuple(f"{CLASSES[int(label)]}, scene {number}" for number, label in enumerate(few.labels))
        return Samples(few.x, few.labels, names, few.regions if kind == TEXTURED else few.shortcut_regions)

    return Network(net, name=name, classes=CLASSES, preprocessing=PREPROCESSING, samples=samples)
