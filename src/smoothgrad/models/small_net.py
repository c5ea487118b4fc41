"""A small convolutional network whose last map is as large as one wants it."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.errors import BadOption
from smoothgrad.models.activation import activation_named


@final
class SmallNet(nn.Module):
    """Scores (N, classes) for rows (N, channels, H, W): 3 x 3 convolutions, batch norm, pooling by 2 after the first `halvings`.

    With `halvings` = h the last map has H / 2^h places each way. Global average pooling and one linear layer at the end, so that
    CAM applies. Raises `BadOption` where there are not more convolutions than halvings.

    >>> import torch
    >>> SmallNet(channels=1, halvings=2)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        classes: int = 10,
        widths: tuple[int, ...] = (16, 32, 48, 64),
        halvings: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if not 0 <= halvings < len(widths):
            raise BadOption(
                f"{len(widths)} convolutions allow for 0 to {len(widths) - 1} halvings of the map, not {halvings}; "
                "give more widths or fewer halvings"
            )
        self.activation = activation_named(activation)
        self.halvings = halvings
        before = (channels, *widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(b, w, 3, padding=1, bias=False) for b, w in zip(before, widths, strict=False)
        )
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, widths))
        self.last_map = nn.Identity()  # after the activation: a layer that CAMs can read, and one that has a name
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = self.activation(norm(conv(x)))
            if place < self.halvings:
                x = F.avg_pool2d(x, 2)
        scores: Tensor = self.linear(self.last_map(x).mean(dim=(2, 3)))
        return scores
