"""The residual networks of He et al. 2015 for pictures of 32 x 32 pixels: depth 6n + 2, shortcuts without parameters."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.errors import BadOption
from smoothgrad.models.activation import Activation, activation_named

WIDTHS = (16, 32, 64)


@final
class Block(nn.Module):
    """y = act(bn(conv(act(bn(conv(x))))) + x), where x is thinned out and filled up with zero channels if the block widens."""

    def __init__(self, before: int, width: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride
        self.added = width - before  # channels
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        return self.activation(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.added:  # as many zero channels before as after
            x = F.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return x


@final
class ResNet(nn.Module):
    """Scores (N, classes) for rows (N, channels, H, W); depth 20 has 270,000 parameters.

    Three stages of (depth - 2) / 6 blocks; the second and the third halve the map, so that 32 x 32 pixels end in 8 x 8 places.
    Global average pooling and one linear layer at the end, so that CAM applies. Raises `BadOption` for a depth that is not 6n + 2.

    >>> import torch
    >>> ResNet(8)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, depth: int = 20, *, channels: int = 3, classes: int = 10, activation: str = "relu") -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise BadOption(f"a residual network of this kind has 8, 14, 20, 26, 32 ... layers (6n + 2), not {depth}")
        self.activation = activation_named(activation)
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = self._stage(WIDTHS[0], WIDTHS[0], depth)
        self.layer2 = self._stage(WIDTHS[0], WIDTHS[1], depth)
        self.layer3 = self._stage(WIDTHS[1], WIDTHS[2], depth)
        self.linear = nn.Linear(WIDTHS[2], classes)

    def _stage(self, before: int, width: int, depth: int) -> nn.Sequential:
        first = Block(before, width, 1 if before == width else 2, self.activation)
        return nn.Sequential(first, *(Block(width, width, 1, self.activation) for _ in range((depth - 2) // 6 - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores
