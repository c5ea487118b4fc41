"""The same network seen from a layer's output, so that every method works at any layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import called, network_in, views
from smoothgrad.core.hooks import hooked
from smoothgrad.errors import BadInput, BadModel, UnknownName, UnsupportedModel, nearest
from smoothgrad.models.prepare import Prepared


def at(model: nn.Module, layer: str | nn.Module) -> LayerView:
    """The network seen from the output of `layer`, which is a dotted name or the module itself.

    Raises `UnknownName` where the network has no such layer. The names are those of
    `model.named_modules()`; for a `Network` they are those of the network inside it.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    >>> view = at(net, "0")
    >>> x = torch.ones(4, 2)
    >>> h = view.capture(x)
    >>> h.shape, torch.equal(view(h, x), net(x))
    (torch.Size([4, 3]), True)
    """
    inner = network_in(model)
    pairs = [pair for view in views(model) if isinstance(view, Prepared) for pair in view.preparation.pairs]
    if isinstance(inner, torch.jit.ScriptModule):
        raise UnsupportedModel(
            f"{type(inner).__name__} is scripted or traced: its layers cannot be seen from; pass the plain module"
        )
    layers = {name: module for name, module in inner.named_modules() if name}
    if isinstance(layer, str):
        if layer not in layers:
            raise UnknownName(f"the network has no layer {layer!r}; {nearest(layer, layers)}")
        _check_whole(layer, pairs)
        return LayerView(model, layers[layer], layer)
    names = [name for name, module in layers.items() if module is layer]
    if not names:
        kind = type(layer).__name__
        raise UnknownName(f"the {kind} given as the layer is not part of the network; give its name, or a part of it")
    _check_whole(names[0], pairs)
    return LayerView(model, layer, names[0])


def _check_whole(layer: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Raises `UnsupportedModel` for a layer of a prepared copy whose output is not that of the model's layer."""

    def inside(name: str) -> bool:
        return name == layer or name.startswith(f"{layer}.")

    if any(inside(folded) and not inside(norm) for folded, norm in pairs):
        raise UnsupportedModel(
            f"in this prepared copy a batch norm is folded into layer {layer!r}, whose output is another than the model's; "
            f"pass the model itself, or prepare(model, x, at={layer!r})"
        )


class AtLayer(nn.Module):
    """A network with one of its layers, to be asked together: what views from a layer, and up to one, have in common."""

    def __init__(self, model: nn.Module, layer: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name
        # In a tuple, so that the layer is not registered a second time beside the network that holds it.
        self._layer = (layer,)
        # In the mode that the network is in; `train` would change the network's own parts.
        self.training = model.training

    @property
    def stands_for(self) -> nn.Module:
        """The model that is seen."""
        return self.model

    @property
    def asked_as(self) -> str:
        """What errors call it: the network."""
        return called(self.model)

    def _hooked(self, change: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
        return hooked(self._layer[0], self.name, change)


@final
class LayerView(AtLayer):
    """A network as a function of one layer's output h:  view(h, x) = the network on x, the layer giving h
    instead.

    Gradients with respect to h are therefore those at the layer. The layer must answer one tensor, once per
    call of the network; else `BadModel` says so. Hooks are removed again, also when the network raises.
    """

    @torch.no_grad()
    def capture(self, x: Tensor, *context: object) -> Tensor:
        """The layer's output h for x: (N, ...), detached. Raises `BadModel` where that is not one tensor, once."""
        seen: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            # A copy: an in-place ReLU right behind the layer would overwrite the original.
            seen.append(output.clone())
            return output

        # Copies here too: the network may write into its inputs.
        copies = [part.clone() if isinstance(part, Tensor) else part for part in (x, *context)]
        with self._hooked(keep):
            self.model(*copies)
        if seen[0].shape[:1] != x.shape[:1]:
            raise BadModel(
                f"layer {self.name!r} answers {tuple(seen[0].shape)} for {len(x)} inputs; choose one that keeps the rows apart"
            )
        return seen[0]

    def forward(self, h: Tensor, x: Tensor, *context: object) -> object:
        """What the network answers for x when the layer answers h. Raises `BadInput` where h has another shape."""

        def replace(output: Tensor) -> Tensor:
            if output.shape != h.shape:
                raise BadInput(
                    f"layer {self.name!r} answers {tuple(output.shape)} for these inputs, and h is {tuple(h.shape)}; "
                    "give h the shape that capture(x) has"
                )
            # A copy: an in-place ReLU right behind the layer would overwrite the caller's h.
            return h.clone()

        with self._hooked(replace):
            return self.model(x, *context)

    def __repr__(self) -> str:
        return f"at({type(self.model).__name__}, {self.name!r})"
