"""A private copy of a network, for whoever changes its weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from smoothgrad.core.ask import called
from smoothgrad.errors import UnsupportedModel


def frozen_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a model, or of a view and the network in it, whose parameters need no gradient. Raises `UnsupportedModel`."""
    try:
        with torch.no_grad():
            twin = copy.deepcopy(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a network's code may raise anything
        why = str(error).partition("\n")[0]
        raise UnsupportedModel(
            f"{called(model)} cannot be copied ({type(error).__name__}: {why}), and its own weights are not to be touched; "
            "make its tensors parameters or buffers, or leave out what changes weights"
        ) from error
    return twin.requires_grad_(False)
