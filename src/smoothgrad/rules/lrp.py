"""Rules of layer-wise relevance propagation: how a linear layer shares out the relevance of its outputs among its inputs.

A layer z_j = sum_i z_ij + b_j, with contributions z_ij = x_i w_ij, sends relevance R_j at its outputs back as R_i to its inputs
(Bach et al. 2015; the table of Montavon et al. 2019):

    Epsilon      R_i = sum_j z_ij / (z_j + epsilon sign(z_j)) R_j                  sign(0) = 1; LRP-0 is Epsilon(0)
    Gamma        R_i = sum_j (z_ij + gamma z_ij^+) / (z_j + gamma z_j^+) R_j       where z_j < 0: the negative parts
    AlphaBeta    R_i = sum_j (alpha z_ij^+ / z_j^+  -  beta z_ij^- / z_j^-) R_j    alpha - beta = 1
    ZPlus        R_i = sum_j z_ij^+ / z_j^+ R_j                                    AlphaBeta(1, 0)
    WSquare      R_i = sum_j w_ij^2 / sum_i w_ij^2 R_j
    Flat         R_i = sum_j 1 / (inputs of j) R_j
    ZBox         R_i = sum_j (x_i w_ij - l_i w_ij^+ - h_i w_ij^-) / sum_i (the same) R_j     l <= x <= h

z_ij^+ is the positive part of a contribution, whatever the sign of its input: x^+ w^+ + x^- w^-. z_j^+ = sum_i z_ij^+ + b_j^+: a
bias takes its share in the rules that look at contributions, as an input of value 1, and this share goes to nobody; the last three
have no bias. Where the sum in a denominator is nothing at all, nothing is sent.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod
from smoothgrad.rules.linear import Linear

EPSILON = 1e-6  # small beside activations of order 1; makes a zero denominator safe
Bound: TypeAlias = float | tuple[float, ...] | None  # everywhere, per channel, or the row's own


@final
@dataclass(frozen=True, eq=False)
class Call:
    """One call of a linear layer, with relevance at its outputs."""

    layer: Linear
    x: Tensor  # what it read
    z: Tensor  # what it answered, bias included
    message: Tensor  # R at its outputs, like z
    box: Callable[
        [Bound, Bound], tuple[Tensor, Tensor]
    ]  # bounds of the rows -> the least and the largest that x can be, like x


class RelevanceRule(Value, ABC):
    """How a linear layer shares out the relevance of its outputs among its inputs."""

    @abstractmethod
    def send(self, call: Call) -> Tensor:
        """Relevance at the layer's inputs, like x."""


@final
@dataclass(frozen=True, repr=False)
class Epsilon(RelevanceRule):
    """In proportion to the contributions:  R_i = sum_j z_ij / (z_j + epsilon sign(z_j)) R_j  (Bach et al. 2015).

    epsilon, in units of the layer's outputs, absorbs relevance where contributions cancel. `Epsilon(0)` is LRP-0.
    """

    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon < math.inf:
            raise BadMethod(f"Epsilon needs a finite epsilon >= 0, got {self.epsilon}")

    def send(self, call: Call) -> Tensor:
        shares = share(call.message, call.z, self.epsilon)
        return call.x * call.layer.back(call.x, call.layer.weight, shares)


@final
@dataclass(frozen=True, repr=False)
class Gamma(RelevanceRule):
    """Positive contributions count 1 + gamma times:  R_i = sum_j (z_ij + gamma z_ij^+) / (z_j + gamma z_j^+) R_j.

    Montavon et al. 2019. Where z_j < 0 it is the negative ones, so that no denominator is near zero unless all is (Andéol et al.
    2021): the two agree where a ReLU follows. gamma = 0 is LRP-0, a large gamma `ZPlus`.
    """

    gamma: float = 0.25  # of Montavon et al. 2019 for the middle layers of a VGG-16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.gamma < math.inf:
            raise BadMethod(f"Gamma needs a finite gamma >= 0, got {self.gamma}")

    def send(self, call: Call) -> Tensor:
        up, below = positive(call.layer, call.x), call.z < 0
        # The negative parts sum to z - z^+.
        shares = share(call.message, call.z + self.gamma * torch.where(below, call.z - up.z, up.z))
        sent = call.x * call.layer.back(call.x, call.layer.weight, shares) + self.gamma * up.back(shares * ~below)
        against = shares * below
        if not against.any():  # as where a ReLU follows
            return sent
        return sent + self.gamma * negative(call.layer, call.x).back(against)


@final
@dataclass(frozen=True, repr=False)
class AlphaBeta(RelevanceRule):
    """What speaks for and what speaks against, apart:  R_i = sum_j (alpha z_ij^+ / z_j^+ - beta z_ij^- / z_j^-) R_j.

    alpha - beta = 1 (Bach et al. 2015). Relevance is kept where an output has contributions of both signs (alpha = 1: positive
    ones) and no bias of that sign.
    """

    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.alpha) and self.beta >= 0 and math.isclose(self.alpha - self.beta, 1, abs_tol=1e-9)):
            raise BadMethod(
                f"AlphaBeta needs alpha - beta = 1 and beta >= 0, or relevance would grow or shrink with each layer; got "
                f"alpha={self.alpha}, beta={self.beta}; take (1, 0) or (2, 1)"
            )

    def send(self, call: Call) -> Tensor:
        up = positive(call.layer, call.x)
        sent = self.alpha * up.back(share(call.message, up.z))
        if self.beta == 0:
            return sent
        down = negative(call.layer, call.x)
        return sent - self.beta * down.back(share(call.message, down.z))


@final
@dataclass(frozen=True, repr=False)
class ZPlus(RelevanceRule):
    """In proportion to the positive contributions:  R_i = sum_j z_ij^+ / z_j^+ R_j  (Montavon et al. 2017): `AlphaBeta(1, 0)`.

    Made for outputs that a ReLU follows. Where relevance comes to a negative output, as in a branch of a residual sum, for which
    next to nothing speaks, little decides where much goes, and maps are less stable; the same holds for `AlphaBeta`.
    """

    def send(self, call: Call) -> Tensor:
        up = positive(call.layer, call.x)
        return up.back(share(call.message, up.z))


@final
@dataclass(frozen=True, repr=False)
class WSquare(RelevanceRule):
    """In proportion to the squared weights, whatever the input:  R_i = sum_j w_ij^2 / sum_i w_ij^2 R_j  (Montavon et al. 2017).

    For first layers whose input can be any real number.
    """

    def send(self, call: Call) -> Tensor:
        flow = Flow(call.layer, [(torch.ones_like(call.x), call.layer.weight.square())])
        return flow.back(share(call.message, flow.z))


@final
@dataclass(frozen=True, repr=False)
class Flat(RelevanceRule):
    """In equal shares to all inputs that an output is connected to, for first layers (Lapuschkin et al. 2019)."""

    def send(self, call: Call) -> Tensor:
        flow = Flow(call.layer, [(torch.ones_like(call.x), torch.ones_like(call.layer.weight))])
        return flow.back(share(call.message, flow.z))


@final
@dataclass(frozen=True, repr=False)
class ZBox(RelevanceRule):
    """For inputs between l and h, such as pixels:  R_i = sum_j (x_i w_ij - l_i w_ij^+ - h_i w_ij^-) / sum_i (...) R_j.

    Montavon et al. 2017. `low`, `high`: l and h of the rows, a number or one per channel, in the units of the model's input: of
    normalised pictures those of black and white. None: the smallest and the largest value of each channel of the row being
    explained (of a row without channels, of the whole row). Noise around the row may leave the box, which is then widened there.

    For layers that read the rows themselves, rearranged, scaled or shifted at most; elsewhere raises `BadMethod` when explaining.
    """

    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        lows, highs = _numbers(self.low), _numbers(self.high)
        if not all(map(math.isfinite, (*lows, *highs))) or () in (self.low, self.high):
            raise BadMethod(f"ZBox needs finite bounds, got low={self.low}, high={self.high}")
        if len(lows) > 1 and len(highs) > 1 and len(lows) != len(highs):
            raise BadMethod(f"ZBox has {len(lows)} low and {len(highs)} high bounds; give one, or one per channel")
        if lows and highs:
            width = max(len(lows), len(highs))
            pairs = zip(lows * (width // len(lows)), highs * (width // len(highs)), strict=True)
            if not all(low < high for low, high in pairs):
                raise BadMethod(f"ZBox needs low < high, got low={self.low}, high={self.high}")

    def send(self, call: Call) -> Tensor:
        low, high = call.box(self.low, self.high)
        low, high = torch.minimum(low, call.x), torch.maximum(high, call.x)
        # x w - l w^+ - h w^- = (x - l) w^+ + (x - h) w^-: both parts are never negative, so that nothing cancels.
        up, down = call.layer.weight.clamp_min(0), call.layer.weight.clamp_max(0)
        flow = Flow(call.layer, [(call.x - low, up), (call.x - high, down)])
        return flow.back(share(call.message, flow.z))


def _numbers(bound: Bound) -> tuple[float, ...]:
    return () if bound is None else bound if isinstance(bound, tuple) else (bound,)


# --- sums and shares --------------------------------------------------------------------------------------------------


def share(message: Tensor, z: Tensor, epsilon: float = 0.0) -> Tensor:
    """R / (z + epsilon sign(z)) with sign(0) = 1; zero where that would divide by nothing.

    >>> share(torch.ones(3), torch.tensor([2.0, -2.0, 0.0]))
    tensor([ 0.5000, -0.5000,  0.0000])
    """
    below = torch.where(z < 0, z - epsilon, z + epsilon)
    kind = torch.finfo(z.dtype)
    nothing = below.abs() <= kind.tiny / kind.eps  # smaller, and the quotient would overflow
    return torch.where(nothing, 0.0, message / below)


@final
class Flow:
    """Contributions x_i w_ij of one or more pairs of inputs and weights, summed over the pairs: their sums z_j over i, and back."""

    def __init__(self, layer: Linear, pairs: Sequence[tuple[Tensor, Tensor]], bias: Tensor | None = None) -> None:
        with torch.enable_grad():
            self._inputs = [x.detach().requires_grad_() for x, _ in pairs]
            total = layer(self._inputs[0], pairs[0][1].detach(), bias)
            for x, (_, weight) in zip(self._inputs[1:], pairs[1:], strict=True):
                total = total + layer(x, weight.detach(), None)
        self._total = total
        self.z = total.detach()

    def back(self, shares: Tensor) -> Tensor:
        """sum_j (contribution of i to j) * share_j, like x. Once."""
        found = torch.autograd.grad(self._total, self._inputs, shares)
        parts = [x.detach() * sent for x, sent in zip(self._inputs, found, strict=True)]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def positive(layer: Linear, x: Tensor) -> Flow:
    """The positive parts of all contributions, and of the bias."""
    bias = None if layer.bias is None else layer.bias.detach().clamp_min(0)
    return Flow(layer, _by_sign(x, layer.weight.clamp_min(0), layer.weight.clamp_max(0)), bias)


def negative(layer: Linear, x: Tensor) -> Flow:
    """The negative parts of all contributions, and of the bias."""
    bias = None if layer.bias is None else layer.bias.detach().clamp_max(0)
    return Flow(layer, _by_sign(x, layer.weight.clamp_max(0), layer.weight.clamp_min(0)), bias)


def _by_sign(x: Tensor, above: Tensor, below: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Positive inputs with one weight, negative ones with the other. Behind a ReLU there are no negative ones to compute with."""
    if not bool((x < 0).any()):
        return [(x, above)]
    return [(x.clamp_min(0), above), (x.clamp_max(0), below)]
