"""The same CIFAR-10 ResNets with a ReLU module of its own at each call, since captum's rules see modules only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.nets import Block, CifarResNet, cifar_resnet


class ModuleBlock(Block):
    """`Block` with two ReLU modules in place of two calls of a function."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__(before, planes, stride)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.widens:
            extra = y.shape[1] // 4
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))
        out: Tensor = self.relu2(y + x)
        return out


class ModuleResNet(CifarResNet):
    """`CifarResNet` of such blocks."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.relu = nn.ReLU()

    @staticmethod
    def _stage(before: int, planes: int, depth: int) -> nn.Sequential:
        first = ModuleBlock(before, planes, stride=1 if before == planes else 2)
        return nn.Sequential(first, *(ModuleBlock(planes, planes, 1) for _ in range((depth - 2) // 6 - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        out: Tensor = self.linear(x.mean(dim=(2, 3)))
        return out


def twins(depth: int) -> tuple[CifarResNet, ModuleResNet]:
    """The trained network with functional ReLUs, and the one with modules: the same weights. Reads `DATA`."""
    functional = cifar_resnet(depth)
    with torch.random.fork_rng(devices=[]):
        modules = ModuleResNet(depth)
    modules.load_state_dict(functional.state_dict())
    return functional, modules.eval()
