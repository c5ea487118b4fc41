"""What stands between the layers of the networks that are trained here: by name, so that a plan of training can say it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from smoothgrad.errors import UnknownName, nearest

Activation = Callable[[Tensor], Tensor]


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^(5 x)) / 5: a ReLU with a round corner, whose gradient has no jumps."""
    return F.softplus(x, beta=5.0)  # Dombrowski et al. 2019 take 10 or less


ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "softplus": softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": F.tanh,
}


def activation_named(name: str) -> Activation:
    """The function of this name. Raises `UnknownName` with the nearest one.

    >>> activation_named("relu").__name__
    'relu'
    """
    if name not in ACTIVATIONS:
        raise UnknownName(f"no activation is called {name!r}; {nearest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]
