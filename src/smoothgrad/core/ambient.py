"""Arithmetic of our own, whatever the caller has set around us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch

T = TypeVar("T")


@contextmanager
def own_arithmetic(device: torch.device) -> Iterator[None]:
    """Gradients can be taken, and in the type of the tensors: no inference mode, no no_grad, no autocast from outside."""
    kind = device.type
    narrow = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
    with torch.inference_mode(False), torch.enable_grad(), narrow:
        yield


def stepwise(items: Iterator[T], device: torch.device) -> Iterator[T]:
    """Each step of a generator under our own arithmetic; between the steps the caller is under its own."""
    while True:
        with own_arithmetic(device):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
