"""What is to become large: the score of a class, a channel, one unit of it, or a whole layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.errors import BadTarget
from smoothgrad.targets import Each, Target, as_target


class Objective(Value, ABC):
    """One number for each picture, read from the network's output or from that of a layer."""

    _fault = BadTarget

    @property
    @abstractmethod
    def reads(self) -> str | None:
        """The layer whose output it reads; None: the network's own."""

    @abstractmethod
    def resolve(self, output: Tensor) -> Tensor:
        """On the first picture: what is asked of each row, (N, ...) whole numbers. Raises `BadTarget` where that is not."""

    @abstractmethod
    def score(self, output: Tensor, index: Tensor) -> Tensor:
        """Output (N, ...) and what `resolve` gave, to one number per row (N,)."""


@final
@dataclass(frozen=True, repr=False)
class ScoreOf(Objective):
    """The score of a target, such as `Class(3)` or `Probability(Class(3), log=True)`; `Top()` is the top class of the start."""

    target: Target

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.target, Each):
            raise BadTarget(f"{self.target!r} asks several things of one picture; use Classes(...), one for each row")

    @property
    def reads(self) -> str | None:
        return None

    def resolve(self, output: Tensor) -> Tensor:
        return self.target.resolve(output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return self.target.score(output, index)


@final
@dataclass(frozen=True, repr=False)
class Channel(Objective):
    """The mean of a channel of a layer over its positions (Olah et al. 2017).

    `dim` is the dimension of the layer's output (N, ...) that holds the channels: 1 for convolutions (N, C, H, W), -1 for tokens
    (N, T, E).

    >>> Channel("conv", 1).score(torch.arange(8.0).view(1, 2, 2, 2), torch.tensor([-1]))
    tensor([5.5000])
    """

    layer: str
    index: int
    dim: int = 1

    @property
    def reads(self) -> str | None:
        return self.layer

    def resolve(self, output: Tensor) -> Tensor:
        channel_of(output, self.layer, self.index, self.dim)
        return nothing_to_resolve(output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return channel_of(output, self.layer, self.index, self.dim).reshape(len(output), -1).mean(1)


@final
@dataclass(frozen=True, repr=False)
class Unit(Objective):
    """One activation: a channel of a layer at a position, such as (row, column); None is the middle.

    >>> Unit("conv", 1, (0, 1)).score(torch.arange(8.0).view(1, 2, 2, 2), torch.tensor([-1]))
    tensor([5.])
    """

    layer: str
    index: int
    position: tuple[int, ...] | None = None
    dim: int = 1

    @property
    def reads(self) -> str | None:
        return self.layer

    def resolve(self, output: Tensor) -> Tensor:
        self._picked(output)
        return nothing_to_resolve(output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return self._picked(output)

    def _picked(self, output: Tensor) -> Tensor:
        plane = channel_of(output, self.layer, self.index, self.dim)  # (N, *P)
        middle = tuple(length // 2 for length in plane.shape[1:])
        place = middle if self.position is None else checked_position(self.position, plane.shape[1:], self.layer)
        for at in place:
            plane = plane.select(1, at)
        return plane


@final
@dataclass(frozen=True, repr=False)
class Layer(Objective):
    """The mean square of a layer's whole output: whatever it sees, more of it (DeepDream, Mordvintsev et al. 2015).

    >>> Layer("conv").score(torch.tensor([[1.0, 3.0]]), torch.tensor([-1]))
    tensor([5.])
    """

    layer: str

    @property
    def reads(self) -> str | None:
        return self.layer

    def resolve(self, output: Tensor) -> Tensor:
        return nothing_to_resolve(output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return output.square().reshape(len(output), -1).mean(1)


def as_objective(asked: Objective | Target | int) -> Objective:
    """An objective as it is; a class or a target as the score of it. Raises `BadTarget`.

    >>> as_objective(3)
    ScoreOf(target=Class(index=3))
    """
    return asked if isinstance(asked, Objective) else ScoreOf(as_target(asked))


def channel_of(output: Tensor, layer: str, index: int, dim: int) -> Tensor:
    """A channel (N, *P) of a layer's output (N, ...). Raises `BadTarget` where there is none."""
    if not (1 <= dim < output.ndim or 1 - output.ndim <= dim < 0):
        raise BadTarget(
            f"layer {layer!r} answers (rows, {', '.join(map(str, output.shape[1:]))}), which has no channels in dimension {dim}; "
            f"give dim from 1 to {output.ndim - 1}, or -1 for the last"
        )
    channels = output.shape[dim]
    if not 0 <= index < channels:
        raise BadTarget(f"layer {layer!r} has {channels} channels and no channel {index}; give 0 to {channels - 1}")
    return output.select(dim, index)


def checked_position(position: tuple[int, ...], shape: torch.Size, layer: str) -> tuple[int, ...]:
    """The position, where a channel of this shape has it. Raises `BadTarget`."""
    if len(position) != len(shape) or not all(0 <= at < length for at, length in zip(position, shape, strict=True)):
        last = tuple(length - 1 for length in shape)
        raise BadTarget(
            f"a channel of layer {layer!r} has shape {tuple(shape)} and no position {position}; give {len(shape)} numbers, "
            f"from {(0,) * len(shape)} to {last}"
        )
    return position


def nothing_to_resolve(output: Tensor) -> Tensor:
    """What stands for "no class", row by row."""
    return torch.full((len(output),), -1, device=output.device)
