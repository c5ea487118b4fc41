"""A network with softplus in place of its ReLUs: the same weights, and a gradient without jumps (Dombrowski et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from smoothgrad.models.network import Network


def rounded(network: Network, beta: float) -> Network:
    """The same network with  log(1 + e^(beta z)) / beta  in place of its ReLUs, at every call; the network itself is left as it is.

    With larger beta the corners are sharper, and its scores nearer to those of the network.

    >>> import torch
    >>> rounded(Network(nn.ReLU(), name="relu"), 1.0)(torch.zeros(1, 1))
    tensor([[0.6931]])
    """
    return Network(
        _RoundedNet(network.net, beta),
        name=f"{network.name} with softplus",
        classes=network.classes,
        preprocessing=network.preprocessing,
    )


@final
class _RoundedNet(nn.Module):
    def __init__(self, net: nn.Module, beta: float) -> None:
        super().__init__()
        self.net = net
        self.beta = beta

    def forward(self, x: Tensor, *context: object) -> object:
        with Rounded(self.beta):
            return self.net(x, *context)


@final
class Rounded(TorchFunctionMode):
    """Where it is active, ReLUs are softplus:  log(1 + e^(beta z)) / beta,  modules, functions and methods, in place or not.

    `found` counts them. ReLU6, leaky ReLUs and others are left alone.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.found = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if not _rectifies(name, args, kwargs):
            return func(*args, **kwargs)
        self.found += 1
        z = args[0] if args else kwargs["input"]
        if name.endswith("_") or kwargs.get("inplace") or (name == "relu" and len(args) > 1 and args[1]):
            return z.copy_(F.softplus(z.clone(), beta=self.beta))
        return F.softplus(z, beta=self.beta)


def _rectifies(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    plain = name.rstrip("_")
    if plain == "relu":
        return True
    if plain not in ("clamp", "clamp_min", "clip"):
        return False
    floor, ceiling = (
        kwargs.get(key, args[place] if len(args) > place else None) for place, key in ((1, "min"), (2, "max"))
    )
    return isinstance(floor, int | float) and floor == 0 and ceiling is None
