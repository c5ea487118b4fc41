"""Networks around the user's own, f, in which what an axiom supposes is so by construction.

Each is a view of f: its layers keep their names, and methods that read them find them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from smoothgrad.checks import refusals
from smoothgrad.core.ask import called
from smoothgrad.core.copies import frozen_copy
from smoothgrad.errors import BadInput, UnsupportedModel

Layer: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d  # that can have a bias, and so can take a constant off


class Around(nn.Module, ABC):
    """A network made of f, in eval mode as f is."""

    formula: str  # of f, as a person would write it

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.training = False  # `eval()` would reach into the user's network

    @property
    def stands_for(self) -> nn.Module:
        """The user's network, in which layers are looked for."""
        return self.net

    @property
    def asked_as(self) -> str:
        """What errors call it."""
        return called(self.net)

    @abstractmethod
    def forward(self, x: Tensor, *context: Tensor) -> Any:
        """What f answers, or what is made of it."""


@final
class SplitInput(Around):
    """f of the input, written as a sum of three ReLUs: their signs differ, so that a rule for what arrives from above is met."""

    formula = "f(2 relu(z) - relu(z) - relu(-z) - k), z = x + k"

    def __init__(self, net: nn.Module, k: float) -> None:
        super().__init__(net)
        self.k = k

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        z = x + self.k
        return self.net(2 * z.relu() - z.relu() - (-z).relu() - self.k, *context)


@final
class SplitOutput(Around):
    """The output of f, written as a difference of two ReLUs."""

    formula = "relu(f(x) + k) - relu(-f(x) - k) - k"

    def __init__(self, net: nn.Module, k: float) -> None:
        super().__init__(net)
        self.k = k

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        moved = answer(self.net(x, *context)) + self.k
        return moved.relu() - (-moved).relu() - self.k


@final
class Scaled(Around):
    """f of the input times a number that it is divided by again: the number depends on all of it, and on one value most."""

    formula = "f(x m / m), m = 1 + (x_i^2 + mean(x^2)) / s"

    def __init__(self, net: nn.Module, s: float, value: int) -> None:
        """`value`: the number of x_i in a flattened row."""
        super().__init__(net)
        self.s, self.value = s, value

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        one = x.flatten(1)[:, self.value].view(-1, *([1] * (x.ndim - 1)))
        mean = (x * x).mean(dim=tuple(range(1, x.ndim)), keepdim=True)
        m = 1 + (one * one + mean) / self.s
        return self.net(x * m / m, *context)


@final
class Respelled(Around):
    """f with every ReLU written as z [z > 0]."""

    formula = "f with relu(z) written as z [z > 0]"

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        with OtherReLU():
            return self.net(x, *context)


@final
class OtherReLU(TorchFunctionMode):
    """Replaces each ReLU, however it is called, by z [z > 0], whose derivative is the same everywhere; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced = 0

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _PURE and func not in _IN_PLACE:
            return func(*args, **kwargs)
        self.replaced += 1
        z, *more = (*args, *kwargs.values())
        written = z * (z > 0)
        return z.copy_(written) if func in _IN_PLACE or any(flag is True for flag in more) else written


_PURE = (F.relu, torch.relu, torch.Tensor.relu)
_IN_PLACE = (torch.relu_, torch.Tensor.relu_)


@final
class Ignoring(Around):
    """f of the input with some places replaced by constants: what the input holds there has no part in the answer."""

    formula = "f(x with the places replaced by constants)"
    gone: Tensor
    instead: Tensor

    def __init__(self, net: nn.Module, gone: Tensor, instead: Tensor) -> None:
        """`gone`: bool, broadcastable to a row; `instead` (*S)."""
        super().__init__(net)
        self.register_buffer("gone", gone)
        self.register_buffer("instead", instead)

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        return self.net(torch.where(self.gone, self.instead, x), *context)


@final
class Swapping(Around):
    """The sum of what f answers for the input and for the input with two places swapped."""

    formula = "f(x) + f(x with the two places swapped)"
    order: Tensor

    def __init__(
        self, net: nn.Module, places: int, first: int, second: int, *, channels: bool, device: torch.device
    ) -> None:
        super().__init__(net)
        order = torch.arange(places, device=device)
        order[first], order[second] = second, first
        self.register_buffer("order", order)
        self.channels = channels

    def swapped(self, x: Tensor) -> Tensor:
        """The rows with the two places swapped, all channels together."""
        flat = x.flatten(2) if self.channels else x.flatten(1)
        return flat[..., self.order].view(x.shape)

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        return answer(self.net(x, *context)) + answer(self.net(self.swapped(x), *context))


@final
class Shifted(Around):
    """f of the input less a constant."""

    formula = "f(x - c)"

    def __init__(self, net: nn.Module, c: float) -> None:
        super().__init__(net)
        self.c = c

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        return self.net(x - self.c, *context)


class Biased(Around):
    """f of the input less a constant, which is the bias of a layer of weight 1, as in Kindermans et al. 2017."""

    weight: Tensor
    bias: Tensor

    def __init__(self, net: nn.Module, c: float, like: Tensor) -> None:
        super().__init__(net)
        self.register_buffer("weight", torch.ones(self.kernel, dtype=like.dtype, device=like.device))
        self.register_buffer("bias", torch.full((1,), -c, dtype=like.dtype, device=like.device))

    @property
    @abstractmethod
    def kernel(self) -> tuple[int, ...]:
        """The shape of the weight, which is a single number."""


@final
class BiasedConv(Biased):
    """The layer is a convolution."""

    formula = "f(1 x - c), 1 x - c a convolution with weight 1 and bias -c"
    kernel = (1, 1, 1)

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        moved = F.conv1d(x.reshape(len(x), 1, -1), self.weight, self.bias)
        return self.net(moved.reshape(x.shape), *context)


@final
class BiasedDense(Biased):
    """The layer is a dense one: methods with rules of their own for each may keep the axiom in one and break it in the other."""

    formula = "f(1 x - c), 1 x - c a dense layer with weight 1 and bias -c"
    kernel = (1, 1)

    def forward(self, x: Tensor, *context: Tensor) -> Any:
        moved = F.linear(x.reshape(len(x), -1, 1), self.weight, self.bias)
        return self.net(moved.reshape(x.shape), *context)


class Rebiased(NamedTuple):
    """A copy of f of which a layer takes the constant off, and that layer's name in f."""

    net: nn.Module
    layer: str


def rebiased(net: nn.Module, c: float, x: Tensor, context: tuple[Tensor, ...] = ()) -> Rebiased | None:
    """g(x) = f(x - c), a copy of f whose own first layer has the constant in its bias: b - c sum of its weights.

    None where there is no such network: f cannot be copied; its first layer is neither dense nor a convolution, or does not take
    the input itself; or pads it with zeros, from which nothing is taken off.
    """
    try:
        own = frozen_copy(net)
    except UnsupportedModel:
        return None
    try:
        with refusals(own, (x, *context)), torch.no_grad():
            first, before = _first_layer(own, x, context)
            if first is None or not isinstance(first.weight, Tensor):
                return None
            taken = c * first.weight.flatten(1).sum(1)
            bias = -taken if first.bias is None else first.bias - taken
            first.bias = nn.Parameter(bias, requires_grad=False)
            after = answer(own(x + c, *context))
    except BadInput:  # it takes no such rows
        return None
    same = (after - before).norm() <= SAME * before.norm()
    name = next(name for name, part in own.named_modules() if part is first)
    return Rebiased(own, name) if bool(same) else None


def _first_layer(net: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> tuple[Layer | None, Tensor]:
    """The layer that is called first, and what the network answers."""
    order: list[Layer] = []
    hooks = [
        part.register_forward_pre_hook(lambda layer, _args: order.append(layer))
        for part in net.modules()
        if isinstance(part, Layer)
    ]
    try:
        found = answer(net(x, *context))
    finally:
        for hook in hooks:
            hook.remove()
    return (order[0] if order else None), found


SAME = 1e-4  # of the norm of the output: what rounding may explain of a network that is said to compute the same


def answer(output: Any) -> Tensor:
    """The tensor in what a network answers."""
    found: Tensor = getattr(output, "logits", output)
    return found
