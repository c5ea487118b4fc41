"""Functions whose maps are known in closed form, as networks with outputs (N, 2) = (f, -f).

Each knows, for target 0 and noise e ~ N(0, s^2 I), the exact answer that a method estimates. The derivations are one line each:
Stein's lemma E[e_i g(x + e)] = s^2 E[d g / d x_i] for SmoothTaylor, and the fundamental theorem for paths.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from torch import Tensor, nn


class Known(NamedTuple):
    """Mean, mean square and variance of the gradient over the noise, (N, D) each."""

    mean: Tensor
    square: Tensor
    variance: Tensor


class Truth(nn.Module, ABC):
    """A function of rows (N, D) whose maps are known."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        f = self.f(x)
        return torch.stack([f, -f], dim=1)

    @abstractmethod
    def f(self, x: Tensor) -> Tensor:
        """(N, D) -> (N,)."""

    @abstractmethod
    def gradient(self, x: Tensor) -> Tensor:
        """d f / d x, (N, D)."""

    @abstractmethod
    def noisy(self, x: Tensor, s: float) -> Known:
        """SmoothGrad, SmoothGrad squared and VarGrad."""

    @abstractmethod
    def taylor(self, x: Tensor, s: float) -> Tensor:
        """SmoothTaylor, -E[e g(x + e)] = -s^2 E[d g_i / d x_i]."""

    @abstractmethod
    def path(self, x: Tensor, b: Tensor) -> Tensor:
        """Integrated Gradients from b to x."""

    @abstractmethod
    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        """E_e of Integrated Gradients from b to x + e."""


@final
class Linear(Truth):
    """f = w.x + c."""

    def __init__(self, w: Tensor, c: float = 0.3) -> None:
        super().__init__()
        self.w, self.c = w, c

    def f(self, x: Tensor) -> Tensor:
        return x @ self.w + self.c

    def gradient(self, x: Tensor) -> Tensor:
        return self.w.expand_as(x)

    def noisy(self, x: Tensor, s: float) -> Known:
        w = self.w.expand_as(x)
        return Known(w, w.square(), torch.zeros_like(x))

    def taylor(self, x: Tensor, s: float) -> Tensor:
        return torch.zeros_like(x)

    def path(self, x: Tensor, b: Tensor) -> Tensor:
        return (x - b) * self.w

    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        return (x - b) * self.w


@final
class Ramp(Truth):
    """f = relu(w.x + c); z = (w.x + c) / (s ||w||)."""

    def __init__(self, w: Tensor, c: float = 0.3) -> None:
        super().__init__()
        self.w, self.c = w, c

    def f(self, x: Tensor) -> Tensor:
        return (x @ self.w + self.c).relu()

    def gradient(self, x: Tensor) -> Tensor:
        return self.w * (x @ self.w + self.c > 0)[:, None]

    def _z(self, x: Tensor, s: float) -> Tensor:
        return ((x @ self.w + self.c) / (s * self.w.norm()))[:, None]

    def noisy(self, x: Tensor, s: float) -> Known:
        phi = torch.special.ndtr(self._z(x, s))
        return Known(self.w * phi, self.w.square() * phi, self.w.square() * phi * (1 - phi))

    def taylor(self, x: Tensor, s: float) -> Tensor:
        density = (-self._z(x, s).square() / 2).exp() / math.sqrt(2 * math.pi)
        return -s * self.w.square() / self.w.norm() * density

    def path(self, x: Tensor, b: Tensor) -> Tensor:
        # The part of the path on which the ramp rises times w (x - b).
        start, end = b @ self.w + self.c, x @ self.w + self.c
        rising = (end.relu() - start.relu()) / (end - start)
        return (x - b) * self.w * rising[:, None]

    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        raise NotImplementedError("not known in closed form")


@final
class Quadratic(Truth):
    """f = x'Ax / 2, A symmetric."""

    def __init__(self, a: Tensor) -> None:
        super().__init__()
        self.a = a

    def f(self, x: Tensor) -> Tensor:
        return (x * (x @ self.a)).sum(1) / 2

    def gradient(self, x: Tensor) -> Tensor:
        return x @ self.a

    def noisy(self, x: Tensor, s: float) -> Known:
        mean = x @ self.a
        variance = (s**2 * self.a.square().sum(1)).expand_as(x)  # s^2 diag(A A')
        return Known(mean, mean.square() + variance, variance)

    def stderr(self, x: Tensor, s: float, n: int) -> Tensor:
        """SmoothGrad's true standard error, s sqrt(diag(A A') / n)."""
        return (s * (self.a.square().sum(1) / n).sqrt()).expand_as(x)

    def taylor(self, x: Tensor, s: float) -> Tensor:
        return (-(s**2) * self.a.diagonal()).expand_as(x)

    def path(self, x: Tensor, b: Tensor) -> Tensor:
        return (x - b) * ((x + b) @ self.a) / 2

    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        return self.path(x, b) + s**2 * self.a.diagonal() / 2


@final
class Sine(Truth):
    """f = sum sin x."""

    def f(self, x: Tensor) -> Tensor:
        return x.sin().sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        return x.cos()

    def noisy(self, x: Tensor, s: float) -> Known:
        mean = x.cos() * math.exp(-(s**2) / 2)
        square = (1 + (2 * x).cos() * math.exp(-2 * s**2)) / 2  # cos^2 = (1 + cos 2x) / 2
        return Known(mean, square, square - mean.square())

    def taylor(self, x: Tensor, s: float) -> Tensor:
        return s**2 * x.sin() * math.exp(-(s**2) / 2)

    def path(self, x: Tensor, b: Tensor) -> Tensor:
        return x.sin() - b.sin()

    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        return x.sin() * math.exp(-(s**2) / 2) - b.sin()


@final
class Cubic(Truth):
    """f = sum x^3."""

    def f(self, x: Tensor) -> Tensor:
        return (x**3).sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        return 3 * x**2

    def noisy(self, x: Tensor, s: float) -> Known:
        # E (x+e)^2 = x^2 + s^2,   E (x+e)^4 = x^4 + 6 x^2 s^2 + 3 s^4
        mean = 3 * (x**2 + s**2)
        square = 9 * (x**4 + 6 * x**2 * s**2 + 3 * s**4)
        return Known(mean, square, square - mean.square())

    def taylor(self, x: Tensor, s: float) -> Tensor:
        return -6 * s**2 * x

    def path(self, x: Tensor, b: Tensor) -> Tensor:
        return x**3 - b**3

    def noisy_path(self, x: Tensor, b: Tensor, s: float) -> Tensor:
        return x**3 + 3 * x * s**2 - b**3


def symmetric(size: int, seed: int = 0) -> Tensor:
    """A symmetric matrix, float64."""
    a = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (a + a.T) / 2


W = torch.tensor([0.8, -1.2, 0.5, 0.3], dtype=torch.float64)
X = torch.tensor([0.4, -0.7, 1.1, 0.2], dtype=torch.float64)  # one row
TRUTHS: dict[str, Truth] = {
    "linear": Linear(W),
    "ramp": Ramp(W, c=-0.9),
    "quadratic": Quadratic(symmetric(4)),
    "sine": Sine(),
    "cubic": Cubic(),
}
