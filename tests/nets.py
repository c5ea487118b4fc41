"""Networks and pictures for tests: the CIFAR-10 ResNets, the ImageNet networks, and small seeded ones.

What reads `DATA` belongs in tests marked `real`; the small networks need nothing.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from smoothgrad.models.network import Network

DATA = Path(os.environ.get("SMOOTHGRAD_DATA") or Path(__file__).parents[2] / "shared" / "data")
WEIGHTS = DATA / "weights"
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (option A of He et al. 2015)."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.widens = stride != 1 or before != planes

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.widens:
            extra = y.shape[1] // 4
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """ResNet of depth 6n + 2 for (N, 3, 32, 32) rows, with functional ReLUs throughout."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, depth)
        self.layer2 = self._stage(16, 32, depth)
        self.layer3 = self._stage(32, 64, depth)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _stage(before: int, planes: int, depth: int) -> nn.Sequential:
        first = Block(before, planes, stride=1 if before == planes else 2)
        return nn.Sequential(first, *(Block(planes, planes, 1) for _ in range((depth - 2) // 6 - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores


def cifar_resnet(depth: int = 20, weights: Path | None = None) -> CifarResNet:
    """The trained CIFAR-10 ResNet of depth 20, 32 or 56, in eval mode. Reads `DATA`."""
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]):
        net = CifarResNet(depth)
    net.load_state_dict(load_file(weights or WEIGHTS / f"cifar10_resnet{depth}.safetensors"))
    return net.eval()


def cifar_pictures(count: int = 8) -> tuple[Tensor, Tensor]:
    """The first CIFAR-10 test pictures: rows (count, 3, 32, 32) for the ResNets, classes (count,)."""
    files = sorted((DATA / "cifar10-test").glob("*/*.png"), key=lambda file: file.stem)[:count]
    rows = torch.cat([_row(file, None, None, IMAGENET_MEAN, IMAGENET_STD) for file in files])
    return rows, torch.tensor([CIFAR_CLASSES.index(file.parent.name) for file in files])


def photograph_files(count: int | None = None) -> list[tuple[Path, int]]:
    """ImageNet photographs and the class of each (0-999), spread evenly over those at hand."""
    with (DATA / "imagenet-samples" / "labels.csv").open(newline="") as table:
        rows = [(DATA / "imagenet-samples" / row["file"], int(row["class_index"])) for row in csv.DictReader(table)]
    count = count or len(rows)
    return [rows[i * len(rows) // count] for i in range(count)]


def photographs(
    count: int = 4,
    *,
    size: int = 224,
    resize: int = 256,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> tuple[Tensor, Tensor]:
    """ImageNet photographs: rows (count, 3, size, size), classes (count,); the defaults are SqueezeNet's."""
    files = photograph_files(count)
    rows = torch.cat([_row(file, resize, size, mean, std) for file, _ in files])
    return rows, torch.tensor([label for _, label in files])


def _row(file: Path, resize: int | None, size: int | None, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """One picture, preprocessed once more from the data's README: it judges the product's own reading."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    if resize and size:
        width, height = picture.size
        short = min(width, height)
        width, height = int(width * resize / short), int(height * resize / short)
        left, top = round((width - size) / 2), round((height - size) / 2)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        picture = picture.crop((left, top, left + size, top + size))
    values = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).permute(2, 0, 1)[None]
    return (values - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def mobilenet() -> Network:
    """MobileNetV2 with the weights and the preprocessing that its README asks for. Reads `DATA`."""
    from smoothgrad.models.load import load

    weights = WEIGHTS / "imagenet_mobilenet_v2.safetensors"
    return load("torchvision:mobilenet_v2", weights=weights, size=225, mean=HALF, std=HALF)


def squeezenet(training: str = "torchvision") -> Network:
    """SqueezeNet 1.1, trained by "torchvision" or by "caffe". Reads `DATA`."""
    from smoothgrad.models.load import load

    return load("torchvision:squeezenet1_1", weights=WEIGHTS / f"imagenet_squeezenet1_1_{training}.safetensors")


def small_net(classes: int = 5, channels: int = 3, seed: int = 0) -> nn.Sequential:
    """A seeded convolutional network for (N, channels, 8, 8) rows, with an in-place ReLU among the others."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 16, classes),
        )
    return net.eval()
