"""The numbers that are changed, and the picture that they make: pixels, frequencies, either within bounds, or a code."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_model
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.network import Network


class Space(Value, ABC):
    """Parameters (N, ...) to pictures (N, *S), differentiably; the rows never influence each other."""

    @abstractmethod
    def size(self, shape: torch.Size) -> torch.Size:
        """The shape of the parameters of one picture of shape S. Raises `BadMethod` where there are none for such pictures."""

    @abstractmethod
    def picture(self, parameters: Tensor, shape: torch.Size) -> Tensor:
        """The pictures (N, *S) that the parameters make."""

    @abstractmethod
    def parameters(self, picture: Tensor) -> Tensor:
        """The parameters that make these pictures (N, *S), or the nearest ones. Raises `BadMethod` where they cannot be found."""

    def cost(self, parameters: Tensor) -> Tensor:
        """What the parameters themselves cost, (N,): subtracted from the objective."""
        return parameters.new_zeros(len(parameters))


@final
@dataclass(frozen=True, repr=False)
class Pixels(Space):
    """The picture itself (Erhan et al. 2009, Simonyan et al. 2013). High frequencies are as cheap as low ones."""

    def size(self, shape: torch.Size) -> torch.Size:
        return shape

    def picture(self, parameters: Tensor, shape: torch.Size) -> Tensor:
        return parameters

    def parameters(self, picture: Tensor) -> Tensor:
        return picture


@final
@dataclass(frozen=True, repr=False)
class Fourier(Space):
    """The picture's spectrum, each frequency weighted by how much of it natural pictures have (Olah et al. 2017):

        x = F^-1[ w z ],   w proportional to max(f, 1 / longest side)^-decay,   mean of w^2 = 1

    F^-1 is the orthonormal inverse of the real Fourier transform over the last two dimensions, f the frequency in cycles per pixel.
    Every picture can be made; what changes is which ones are near: steps of the same size move low frequencies further. `decay`
    0 weighs all alike.

    >>> x = torch.rand(1, 3, 5, 6)
    >>> space = Fourier(decay=1.0)
    >>> torch.allclose(space.picture(space.parameters(x), x.shape[1:]), x, atol=1e-5)
    True
    """

    decay: float = 1.0  # photographs: amplitude falls with 1 / f (Field 1987)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.decay) and self.decay >= 0):
            raise BadMethod(f"Fourier needs a finite decay >= 0, got {self.decay}")

    def size(self, shape: torch.Size) -> torch.Size:
        if len(shape) < 2:
            raise BadMethod(
                f"Fourier needs pictures (..., height, width), got rows of shape {tuple(shape)}; use Pixels()"
            )
        return torch.Size([*shape[:-1], shape[-1] // 2 + 1, 2])

    def picture(self, parameters: Tensor, shape: torch.Size) -> Tensor:
        spectrum = torch.view_as_complex(parameters.contiguous()) * self._weight(shape, parameters)
        picture: Tensor = torch.fft.irfft2(spectrum, s=shape[-2:], norm="ortho")
        return picture

    def parameters(self, picture: Tensor) -> Tensor:
        self.size(picture.shape[1:])
        spectrum = torch.fft.rfft2(picture, norm="ortho") / self._weight(picture.shape, picture)
        return torch.view_as_real(spectrum).contiguous()

    def _weight(self, shape: torch.Size, like: Tensor) -> Tensor:
        """w, (H, W // 2 + 1)."""
        down, across = (int(length) for length in shape[-2:])
        f = torch.hypot(
            torch.fft.fftfreq(down, dtype=torch.float64, device="cpu")[:, None],
            torch.fft.rfftfreq(across, dtype=torch.float64, device="cpu"),
        )
        w = f.clamp_min(1 / max(down, across)) ** -self.decay
        return (w / w.square().mean().sqrt()).to(like)


@final
@dataclass(frozen=True, repr=False)
class Bounded(Space):
    """Pictures between two bounds:  x = low + (high - low) / (1 + exp(-u)),  u made by another space.

    `low` and `high` are one number for all channels, or one for each, in the units of the network; `Bounded.to(network)` takes
    those between which its pictures can be seen.
    """

    space: Space = Pixels()
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = len(self.low) == len(self.high) > 0 and all(map(math.isfinite, (*self.low, *self.high)))
        if not fits or not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise BadMethod(
                f"Bounded needs low < high, as many of the one as of the other, got {self.low} and {self.high}"
            )
        if isinstance(self.space, Bounded | CodeSpace):
            raise BadMethod(f"Bounded stands around Pixels() or Fourier(), not around {self.space!r}")

    def __repr__(self) -> str:
        # Numbers are always written out, those of tuples too.
        space = "" if self.space == Pixels() else f"space={self.space!r}, "
        return f"Bounded({space}low={self.low!r}, high={self.high!r})"

    @staticmethod
    def to(network: Network, space: Space = Pixels()) -> Bounded:
        """Between what the network's preprocessing makes of black and of white.

        >>> import smoothgrad as sg
        >>> Bounded.to(sg.load("digits"))
        Bounded(low=(0.0,), high=(1.0,))
        """
        low, high = visible(network)
        return Bounded(space, tuple(low.flatten().tolist()), tuple(high.flatten().tolist()))

    def size(self, shape: torch.Size) -> torch.Size:
        if len(self.low) > 1 and (not shape or shape[0] != len(self.low)):
            raise BadMethod(f"Bounded has bounds for {len(self.low)} channels, rows have shape {tuple(shape)}")
        return self.space.size(shape)

    def picture(self, parameters: Tensor, shape: torch.Size) -> Tensor:
        low, high = self._bounds(parameters, len(shape))
        return low + (high - low) * self.space.picture(parameters, shape).sigmoid()

    def parameters(self, picture: Tensor) -> Tensor:
        self.size(picture.shape[1:])
        low, high = self._bounds(picture, picture.ndim - 1)
        # A bound itself is only reached at infinity: a hundredth of the range away from it.
        return self.space.parameters(((picture - low) / (high - low)).clamp(0.01, 0.99).logit())

    def cost(self, parameters: Tensor) -> Tensor:
        return self.space.cost(parameters)

    def _bounds(self, like: Tensor, dims: int) -> tuple[Tensor, Tensor]:
        low, high = (torch.tensor(ends, dtype=like.dtype, device=like.device) for ends in (self.low, self.high))
        column = (-1, *(1,) * (dims - 1))
        return low.view(column), high.view(column)


@final
@dataclass(frozen=True, repr=False)
class CodeSpace(Space):
    """Pictures that a generator makes of codes z, so that they look like what it was trained on (Nguyen et al. 2016):

        x = generator(z),   at the cost of  weight / 2 * |z|^2

    `generator` is any `nn.Module` in eval mode that makes pictures (N, *S) of codes (N, *code_shape), in the units of the network.
    Its cost keeps z where the generator has been trained: with weight 1 and a log probability as the objective, the sum is the
    logarithm of p(class | x) p(z) for codes that are standard normal.
    """

    generator: nn.Module
    code_shape: tuple[int, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model(self.generator)
        if not self.code_shape or min(self.code_shape) < 1:
            raise BadMethod(f"CodeSpace needs the shape of a code, such as (16,), got {self.code_shape}")
        check_weight(self, self.weight)

    def __repr__(self) -> str:
        named = f"{type(self.generator).__name__}:{fingerprint(self.generator)}"
        return f"CodeSpace(generator={named!r}, code_shape={self.code_shape!r}, weight={self.weight!r})"

    def made(self, like: Tensor) -> torch.Size:
        """The shape S of the pictures that the generator makes, on the device and in the type of `like`. Raises `BadMethod`."""
        with torch.no_grad():
            return self._pictures(torch.zeros(1, *self.code_shape, dtype=like.dtype, device=like.device)).shape[1:]

    def size(self, shape: torch.Size) -> torch.Size:
        return torch.Size(self.code_shape)

    def picture(self, parameters: Tensor, shape: torch.Size) -> Tensor:
        picture = self._pictures(parameters)
        if picture.shape[1:] != shape:
            raise BadMethod(
                f"the generator {type(self.generator).__name__} makes pictures of shape {tuple(picture.shape[1:])}, and the "
                f"network is to see {tuple(shape)}; give a generator of its pictures"
            )
        return picture

    def parameters(self, picture: Tensor) -> Tensor:
        raise BadMethod("a generator does not tell which code makes a picture; start from FromZero() or FromNoise()")

    def cost(self, parameters: Tensor) -> Tensor:
        return self.weight / 2 * parameters.square().flatten(1).sum(1)

    def _pictures(self, codes: Tensor) -> Tensor:
        name = type(self.generator).__name__
        try:
            picture = self.generator(codes)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise BadMethod(f"the generator {name} refuses codes of shape {self.code_shape}: {error}") from error
        if not isinstance(picture, Tensor) or picture.ndim < 2 or len(picture) != len(codes):
            got = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
            raise BadMethod(f"the generator {name} made {got} of {len(codes)} codes; it must make one picture of each")
        return picture


def visible(network: Network) -> tuple[Tensor, Tensor]:
    """What black and white are in the network's units: (C, 1, 1) each.

    >>> import smoothgrad as sg
    >>> [end.tolist() for end in visible(sg.load("digits"))]
    [[[[0.0]]], [[[1.0]]]]
    """
    mean, std = (
        torch.tensor(numbers, device="cpu")[:, None, None]
        for numbers in (network.preprocessing.mean, network.preprocessing.std)
    )
    return (0 - mean) / std, (1 - mean) / std


def check_weight(piece: Value, weight: float) -> None:
    """Raises `BadMethod` for a weight that is negative or not finite."""
    if not (math.isfinite(weight) and weight >= 0):
        raise BadMethod(f"{type(piece).__name__} needs a finite weight >= 0, got {weight}")
