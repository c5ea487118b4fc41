"""Where a layer's output has its channels, as far as the layer's own parts tell."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from smoothgrad.core.ask import network_in, views
from smoothgrad.core.query import Query


def layer_without_maps(model: nn.Module, query: Query) -> str | None:
    """The layer at which the model is explained, where its rows are no maps of channels (C, h, w) or (C, l): the embedding of
    words (words, dimensions), tokens, or channels that come last. None where they are maps, or the model's own inputs."""
    for view in views(model):
        name, network = getattr(view, "name", None), network_in(view)
        if not hasattr(view, "capture") or not isinstance(name, str):
            continue
        told = channels_of(network.get_submodule(name), query.x.shape)
        tokens = query.x.ndim != query.context[0].ndim  # the network's own input
        if told == "last" or (tokens and told is None):
            return name
    return None


def channels_of(module: nn.Module, answered: torch.Size) -> Literal["first", "last"] | None:
    """Where the layer's own parts say that its channels are; None where they say nothing, or both."""
    last = any(width_of(part) == answered[-1] for part in module.modules())
    first = any(isinstance(part, _ConvNd) and part.out_channels == answered[1] for part in module.modules())
    if first == last:
        return None
    return "first" if first else "last"


def width_of(module: nn.Module) -> int | None:
    """How many channels a layer norm finds in the last dimension; None for other modules."""
    shape = getattr(module, "normalized_shape", None)
    if shape is None or "2d" in type(module).__name__:  # these take (N, C, h, w)
        return None
    return int(shape) if isinstance(shape, int) else int(shape[-1])
