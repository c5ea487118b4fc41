"""How large the tensors are that a network makes on its way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Sizes(TorchDispatchMode):
    """While active, notes the bytes of the largest tensor that any function gives, but for views of the network's own weights.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(256, 2))
    >>> with Sizes(net) as sizes:
    ...     answer = net(torch.rand(1, 1, 8, 8))
    >>> sizes.largest == 4 * 8 * 8 * 4
    True
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        self._own = {
            part.untyped_storage().data_ptr() for part in (*net.parameters(), *net.buffers()) if _has_storage(part)
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for part in tree_leaves(made):
            if isinstance(part, Tensor) and _has_storage(part) and part.untyped_storage().data_ptr() not in self._own:
                self.largest = max(self.largest, part.numel() * part.element_size())
        return made


def _has_storage(part: Tensor) -> bool:
    return part.layout == torch.strided
