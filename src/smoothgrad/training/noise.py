"""Noise on the inputs of a network in training: its maps become calmer, beside what SmoothGrad does (Smilkov et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.errors import BadNoise


@final
@dataclass(frozen=True, repr=False)
class AddNoise(Value):
    """x + e,  e ~ N(0, noise^2), in the units of x: a transform for training, of one picture or of a batch.

    Draws from the global generator, anew at each call, so it may stand in `torchvision.transforms.Compose` after `ToTensor`: there
    values go from 0 to 1 and `noise` is a share of the range, as in `smoothgrad(noise=...)`; Smilkov et al. 2017 train with noise
    beside noise at inference. Raises `BadNoise` for a negative or infinite number.

    >>> AddNoise(0.0)(torch.ones(2))
    tensor([1., 1.])
    """

    noise: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise < float("inf"):
            raise BadNoise(f"AddNoise takes a standard deviation of zero or more, got {self.noise}")

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.noise * torch.randn_like(x) if self.noise else x
