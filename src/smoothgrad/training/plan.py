"""How a network is trained, as a value: what it is built of, what is done to its inputs, what its loss holds, for how long."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import nn

from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod, UnknownName, nearest
from smoothgrad.models.activation import activation_named
from smoothgrad.models.resnet import ResNet
from smoothgrad.models.small_net import SmallNet
from smoothgrad.training.patch import Patch

Arithmetic = Literal["float32", "bfloat16"]


class Architecture(Value, ABC):
    """What a network is built of."""

    @abstractmethod
    def built(self, channels: int, classes: int) -> nn.Module:
        """A new network with random weights, from the global generator, in training mode."""


@final
@dataclass(frozen=True, repr=False)
class Small(Architecture):
    """A `SmallNet`."""

    widths: tuple[int, ...] = (16, 32, 48, 64)
    halvings: int = 2
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        activation_named(self.activation)
        if not self.widths or min(self.widths) < 1:
            raise BadMethod(f"Small takes one or more widths of at least one channel, got {self.widths}")
        if not 0 <= self.halvings < len(self.widths):
            raise BadMethod(
                f"Small with {len(self.widths)} convolutions takes 0 to {len(self.widths) - 1} halvings, got {self.halvings}; "
                "give more widths or fewer halvings"
            )

    def built(self, channels: int, classes: int) -> nn.Module:
        return SmallNet(
            channels=channels, classes=classes, widths=self.widths, halvings=self.halvings, activation=self.activation
        )


@final
@dataclass(frozen=True, repr=False)
class Residual(Architecture):
    """A `ResNet` of this depth."""

    depth: int = 20
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        activation_named(self.activation)
        if self.depth < 8 or self.depth % 6 != 2:
            raise BadMethod(f"Residual takes a depth of 8, 14, 20, 26, 32 ... (6n + 2), got {self.depth}")

    def built(self, channels: int, classes: int) -> nn.Module:
        return ResNet(self.depth, channels=channels, classes=classes, activation=self.activation)


@final
@dataclass(frozen=True, repr=False)
class Plan(Value):
    """How a network is trained; the same plan on the same data, machine and number of threads gives the same weights.

    Stochastic gradient descent with Nesterov's momentum, its rate on one cycle up to `rate` and down to zero while the momentum
    goes from 0.95 to 0.85 and back (Smith 2018), and weight decay. Each batch is moved by up to `shift` pixels each way and, where
    `mirror` is True, mirrored half of the time.

    Loss:  cross entropy with label smoothing (Szegedy 2016)  +  penalty * `gradient_penalty`, on inputs
    x + N(0, (noise * range)^2), where the range of a picture's values is that of the data: 1 before they are scaled
    by mean and std.

    Raises `BadMethod` for numbers that mean nothing.

    >>> Plan(epochs=2, noise=0.2)
    Plan(network=Small(widths=(16, 32, 48, 64), halvings=2), epochs=2, batch=128, rate=0.1, decay=0.0005, noise=0.2, ...)
    """

    network: Architecture = Small()
    epochs: int = 5
    batch: int = 128
    rate: float = 0.1
    decay: float = 5e-4
    noise: float = 0.0
    penalty: float = 0.0
    smoothing: float = 0.0
    shift: int = 0
    mirror: bool = False
    patch: Patch | None = None
    arithmetic: Arithmetic = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, number, least in (("epochs", self.epochs, 1), ("batch", self.batch, 2), ("shift", self.shift, 0)):
            if number < least:
                raise BadMethod(f"Plan takes {name} of at least {least}, got {number}")
        for name, share in (("noise", self.noise), ("penalty", self.penalty), ("decay", self.decay)):
            if not 0 <= share < float("inf"):
                raise BadMethod(f"Plan takes a {name} of zero or more, got {share}")
        if not 0 < self.rate < float("inf"):
            raise BadMethod(f"Plan takes a positive rate, got {self.rate}")
        if not 0 <= self.smoothing < 1:
            raise BadMethod(f"Plan takes a smoothing from 0 to less than 1, got {self.smoothing}")
        if self.arithmetic not in get_args(Arithmetic):
            raise UnknownName(
                f"no arithmetic is called {self.arithmetic!r}; {nearest(self.arithmetic, get_args(Arithmetic))}"
            )

    def start(self, channels: int, classes: int) -> nn.Module:
        """The network before its training. The global generator is left where it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.network.built(channels, classes)
