"""A network of your own for the command line, with its preprocessing and its class names.

    smoothgrad explain photo.png --model examples/own_network.py:small --out out/

The function is called without arguments and returns a `torch.nn.Module`. `--weights trained.safetensors` loads a checkpoint into
it; without, as here, the weights are random, and so is what the map says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smoothgrad.models.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(size=(32, 32), resize=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES = ("left", "right")


class Small(nn.Module):
    """Two convolutions, a mean over the picture, two scores."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


def small() -> nn.Module:
    torch.manual_seed(0)
    return Small()
