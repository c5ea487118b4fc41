"""Looking at, and changing, what one layer of a network answers while the network is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from smoothgrad.errors import BadModel


@contextmanager
def hooked(layer: nn.Module, name: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Lets `change` see and replace the layer's output, and makes sure that there was exactly one. `name` is for errors.

    The hook is removed again, also when the network raises. Raises `BadModel` where the layer answers no tensor, runs more than
    once, or not at all.

    >>> net = nn.Sequential(nn.Identity(), nn.ReLU())
    >>> with hooked(net[0], "0", lambda h: -h):
    ...     net(Tensor([-2.0]))
    tensor([2.])
    """
    calls = 0

    def hook(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise BadModel(
                f"layer {name!r} runs more than once in one call of the network, so that it has no single output; choose a "
                "layer that runs once"
            )
        if not isinstance(output, Tensor):
            raise BadModel(
                f"layer {name!r} answers a {type(output).__name__}, not one tensor; choose a layer inside or behind it"
            )
        return change(output)

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not calls:
        raise BadModel(f"layer {name!r} did not run when the network did; choose a layer that it uses")
