"""What a picture costs: subtracted from the objective, so that the picture stays small, smooth or likely."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.value import Data, Value
from smoothgrad.errors import BadInput, BadMethod, need
from smoothgrad.features.space import check_weight


class Penalty(Value, ABC):
    """One number for each picture."""

    @abstractmethod
    def cost(self, x: Tensor) -> Tensor:
        """Pictures (N, *S) in the network's units, to their costs (N,)."""


@final
@dataclass(frozen=True, repr=False)
class L2(Penalty):
    """weight / 2 * |x|^2 (Simonyan et al. 2013). Under it a linear score w.x is largest at w / weight."""

    weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self, self.weight)

    def cost(self, x: Tensor) -> Tensor:
        return self.weight / 2 * x.square().flatten(1).sum(1)


@final
@dataclass(frozen=True, repr=False)
class TotalVariation(Penalty):
    """How much a picture changes from each pixel to those below and right of it (Mahendran and Vedaldi 2015):

        weight * sum_cij [ (x_c,i+1,j - x_cij)^2 + (x_c,i,j+1 - x_cij)^2 ]^(power / 2)

    A difference that would leave the picture counts as zero. `power` 1 allows edges, 2 blurs them.
    """

    weight: float
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self, self.weight)
        if not (math.isfinite(self.power) and self.power > 0):
            raise BadMethod(f"TotalVariation needs a finite power > 0, got {self.power}")

    def cost(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise BadMethod(
                f"TotalVariation needs pictures (N, ..., height, width), got rows of shape {tuple(x.shape[1:])}"
            )
        square = torch.zeros_like(x)
        square[..., :-1, :] += (x[..., 1:, :] - x[..., :-1, :]).square()
        square[..., :, :-1] += (x[..., :, 1:] - x[..., :, :-1]).square()
        # Where nothing changes, the root has no slope: it is kept away from there.
        changes = square > 0
        powers = torch.where(changes, square, torch.ones_like(square)) ** (self.power / 2)
        return self.weight * torch.where(changes, powers, torch.zeros_like(powers)).flatten(1).sum(1)


@final
@dataclass(frozen=True, repr=False)
class RBMPrior(Penalty):
    """How unlikely a restricted Boltzmann machine finds a picture v in [0, 1]: weight * F(v), F its free energy,

        F(v) = -b.v - sum_h log(1 + exp(c_h + W_h.v)),   log p(v) = -F(v) - log Z

    so that log p(class | v) under this penalty with weight 1 is largest where p(class | v) p(v) is (Montavon, Samek, Müller 2018:
    activation maximization with an expert). W (H, V), b (V,) of the visible and c (H,) of the hidden units; V is the number of
    values of a picture.
    """

    connections: Tensor | Data
    visible: Tensor | Data
    hidden: Tensor | Data
    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("connections", "visible", "hidden"):
            given = getattr(self, name)
            object.__setattr__(self, name, given if isinstance(given, Data) else Data(given))
        check_weight(self, self.weight)
        w, b, c = (_tensor(part) for part in (self.connections, self.visible, self.hidden))
        if w.ndim != 2 or w.shape != (*c.shape, *b.shape):
            raise BadMethod(
                f"RBMPrior needs connections (H, V), visible (V,) and hidden (H,), got {tuple(w.shape)}, {tuple(b.shape)} and "
                f"{tuple(c.shape)}"
            )

    @staticmethod
    def fit(
        x: Tensor, *, hidden: int = 64, steps: int = 20, learning_rate: float = 0.05, weight: float = 1.0, seed: int = 0
    ) -> RBMPrior:
        """A machine with `hidden` units that has learned the pictures x (N, *S) in [0, 1], by scikit-learn's `BernoulliRBM`.

        `steps` are passes over the data. Raises `BadInput` for values outside [0, 1], `MissingPackage` without scikit-learn.
        """
        if x.ndim < 2 or not x.numel() or not bool(((x >= 0) & (x <= 1)).all()):
            raise BadInput(
                f"a restricted Boltzmann machine learns rows (N, *S) with values in [0, 1], got shape {tuple(x.shape)}"
                + (f" and values from {float(x.min()):.3g} to {float(x.max()):.3g}" if x.numel() else "")
            )
        make = need("sklearn.neural_network", extra="digits").BernoulliRBM
        machine = make(n_components=hidden, learning_rate=learning_rate, n_iter=steps, random_state=seed)
        machine.fit(x.detach().flatten(1).double().cpu().numpy())
        parts = (machine.components_, machine.intercept_visible_, machine.intercept_hidden_)
        w, b, c = (torch.tensor(part, dtype=torch.float64) for part in parts)
        return RBMPrior(w, b, c, weight)

    def free_energy(self, x: Tensor) -> Tensor:
        """F of pictures (N, *S): (N,). Raises `BadInput` for pictures of another size."""
        w, b, c = (_tensor(part).to(x) for part in (self.connections, self.visible, self.hidden))
        v = x.flatten(1)
        if v.shape[1] != len(b):
            raise BadInput(
                f"the machine has learned pictures of {len(b)} values, and these have {v.shape[1]}; fit it to them"
            )
        return -(v @ b) - torch.nn.functional.softplus(v @ w.T + c).sum(1)

    def cost(self, x: Tensor) -> Tensor:
        return self.weight * self.free_energy(x)


def _tensor(part: Tensor | Data) -> Tensor:
    return part.tensor if isinstance(part, Data) else part
