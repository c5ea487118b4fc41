"""How a picture is looked for, as a value; what a search shows of itself on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smoothgrad.core import noise as numbers
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod


class Frame(NamedTuple):
    """A moment of a search: the pictures after so many steps."""

    step: int  # from 0, the start, to total
    total: int
    picture: Tensor  # (N, *S) in the network's units; in a DeepDream's octaves smaller
    value: Tensor  # (N,) the objective there, penalties left out; under jitter, at the shifted picture


class Search(Value, ABC):
    """Looks for pictures (N, *S) that make an objective large."""

    from_picture: bool  # does it begin with a picture that is given, rather than with one of its own?

    @property
    @abstractmethod
    def total(self) -> int:
        """How many steps it takes."""

    @abstractmethod
    def frames(self, model: nn.Module, x: Tensor, seed: int) -> Iterator[Frame]:
        """The pictures after 0, 1, ..., `total` steps. x (N, *S) is what it begins with, or else zeros of that shape.

        What does not go together is found before the first step.
        """


def shift_of(jitter: int, seed: int, step: int, shape: torch.Size) -> tuple[int, int]:
    """How far the picture is moved at a step, down and across: whole numbers from -jitter to jitter, the same for all rows."""
    key = numbers.salted(torch.tensor([seed], device="cpu"), "jitter")
    u = numbers.uniform(key, range(step, step + 1), torch.Size([2])).flatten().double()  # exact: u < 1 stays under 1
    down, across = ((u * (2 * jitter + 1)).floor().long() - jitter).tolist()
    return down % shape[-2], across % shape[-1]


def moved(x: Tensor, shift: tuple[int, int]) -> Tensor:
    """The pictures moved; what leaves at one edge comes in at the other."""
    return x if shift == (0, 0) else x.roll(shift, dims=(-2, -1))


def moved_back(x: Tensor, shift: tuple[int, int]) -> Tensor:
    """The inverse of `moved`."""
    return moved(x, (-shift[0], -shift[1]))


def check_counts(piece: Value, steps: int, jitter: int) -> None:
    """Raises `BadMethod` for a number of steps or a jitter that means nothing."""
    if steps < 1:
        raise BadMethod(f"{type(piece).__name__} needs steps >= 1, got {steps}")
    if jitter < 0:
        raise BadMethod(f"{type(piece).__name__} needs jitter >= 0 pixels, got {jitter}")


def check_slope(slope: Tensor) -> None:
    """Raises `BadMethod` where a row has no way up from the start: it would stay what it is for all steps."""
    flat = (slope == 0).flatten(1).all(1).nonzero().flatten().tolist()
    if flat:
        raise BadMethod(
            f"the gradient at the start is zero everywhere in row {flat[0]}, so that there is no way up: the network sees "
            "nothing of this objective there; start elsewhere, such as FromNoise(0.1), or from a picture that shows some of it"
        )


def check_planes(piece: Value, shape: torch.Size) -> None:
    """Raises `BadMethod` where rows have no height and width to move them along."""
    if len(shape) < 2:
        raise BadMethod(
            f"{type(piece).__name__} moves pictures (..., height, width), got rows of shape {tuple(shape)}; jitter=0"
        )
