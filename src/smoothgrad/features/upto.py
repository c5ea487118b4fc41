"""The network up to a layer: what it answers is that layer's output, so that any method can ask about a feature."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from smoothgrad.core.ask import network_in
from smoothgrad.models.layer import AtLayer, at


def up_to(model: nn.Module, layer: str) -> UpTo:
    """The network as a function whose answer is the output of `layer`, a dotted name as in `at(model, layer)`.

    `at` begins at a layer, `up_to` ends there. Raises `UnknownName` where the network has no such layer, with the nearest name.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    >>> up_to(net, "1")(torch.ones(4, 2)).shape
    torch.Size([4, 3])
    """
    name = at(model, layer).name
    return UpTo(model, network_in(model).get_submodule(name), name)


@final
class UpTo(AtLayer):
    """A network that answers what one of its layers does, differentiably. Nothing is left in it, also when it raises.

    The layer must answer one tensor, once per call of the network; else `BadModel` says so. The network runs to its end, so that
    inputs must be of a size that all of it takes.
    """

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """The layer's output for x: (N, ...). Raises `BadModel` where that is not one tensor, once."""
        seen: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            seen.append(output.clone())  # a copy: an in-place ReLU right behind the layer would overwrite it
            return output

        with self._hooked(keep):
            self.model(x, *context)
        return seen[0]

    def __repr__(self) -> str:
        return f"up_to({type(self.model).__name__}, {self.name!r})"
