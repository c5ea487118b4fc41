"""How far to go along the gradient."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod

State: TypeAlias = tuple[Tensor, ...]


class Ascent(Value, ABC):
    """One step up at a time. Nothing but the parameters of the picture is changed, and never in place."""

    def begin(self, parameters: Tensor) -> State:
        """What is remembered before the first step."""
        return ()

    @abstractmethod
    def step(self, parameters: Tensor, slope: Tensor, state: State, number: int) -> tuple[Tensor, State]:
        """Parameters (N, ...) and their slope to the next parameters; `number` counts the steps from 0."""


@final
@dataclass(frozen=True, repr=False)
class Steepest(Ascent):
    """p + learning_rate * g.

    >>> Steepest(0.5).step(torch.tensor([1.0]), torch.tensor([4.0]), (), 0)[0]
    tensor([3.])
    """

    learning_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, self.learning_rate)

    def step(self, parameters: Tensor, slope: Tensor, state: State, number: int) -> tuple[Tensor, State]:
        return parameters + self.learning_rate * slope, state


@final
@dataclass(frozen=True, repr=False)
class Normalised(Ascent):
    """p + learning_rate * g / mean |g|, the mean over each row: all steps are of one size (Mordvintsev et al. 2015)."""

    learning_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, self.learning_rate)

    def step(self, parameters: Tensor, slope: Tensor, state: State, number: int) -> tuple[Tensor, State]:
        mean = slope.abs().flatten(1).mean(1).clamp_min(torch.finfo(slope.dtype).tiny)
        return parameters + self.learning_rate * slope / mean.view(-1, *(1,) * (slope.ndim - 1)), state


@final
@dataclass(frozen=True, repr=False)
class Adam(Ascent):
    """Steps scaled by the recent size of each value's own slope (Kingma and Ba 2015), with the paper's constants:

    m = 0.9 m + 0.1 g,   v = 0.999 v + 0.001 g^2,   p + learning_rate * m' / (sqrt(v') + 1e-8),

    m' = m / (1 - 0.9^t) and v' = v / (1 - 0.999^t) at the t-th step.
    """

    learning_rate: float = 0.05  # Olah et al. 2017

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, self.learning_rate)

    def begin(self, parameters: Tensor) -> State:
        return torch.zeros_like(parameters), torch.zeros_like(parameters)

    def step(self, parameters: Tensor, slope: Tensor, state: State, number: int) -> tuple[Tensor, State]:
        m, v = state
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope.square()
        steadied = m / (1 - 0.9 ** (number + 1))
        size = (v / (1 - 0.999 ** (number + 1))).sqrt()
        return parameters + self.learning_rate * steadied / (size + 1e-8), (m, v)


def check_rate(piece: Value, rate: float) -> None:
    """Raises `BadMethod` for a learning rate that goes nowhere, or down."""
    if not (math.isfinite(rate) and rate > 0):
        raise BadMethod(f"{type(piece).__name__} needs a finite learning_rate > 0, got {rate}")
