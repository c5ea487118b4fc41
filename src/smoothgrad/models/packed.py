"""Several inputs as one row, and a network of several inputs as a function of such rows.

What is asked about is one tensor of rows everywhere else: samplers, reductions and explainers never see a tuple.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import called
from smoothgrad.errors import BadInput


@final
@dataclass(frozen=True)
class Packing:
    """How several inputs lie in one packed row: flattened, one after the other.

    >>> packing = Packing.of((torch.zeros(4, 2, 3), torch.ones(4, 5)))
    >>> packing.sizes, packing.packed((torch.zeros(4, 2, 3), torch.ones(4, 5))).shape
    ((6, 5), torch.Size([4, 11]))
    """

    shapes: tuple[torch.Size, ...]  # of a row of each input, without the batch
    dtypes: tuple[torch.dtype, ...]

    @staticmethod
    def of(inputs: Sequence[Tensor]) -> Packing:
        """The packing of inputs (N, *S_i)."""
        return Packing(tuple(part.shape[1:] for part in inputs), tuple(part.dtype for part in inputs))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values of a packed row are each input's."""
        return tuple(shape.numel() for shape in self.shapes)

    def packed(self, inputs: Sequence[Tensor]) -> Tensor:
        """Inputs (N, *S_i) as packed rows (N, D), in a type that holds all of theirs."""
        dtype = reduce(torch.promote_types, self.dtypes)
        return torch.cat([part.flatten(1).to(dtype) for part in inputs], 1)

    def apart(self, packed: Tensor) -> tuple[Tensor, ...]:
        """Packed rows or their maps (..., D) as those of each input, (..., *S_i), in its own type."""
        # One view after the other: autograd lets nobody write into one of many views that were made at once.
        return tuple(
            packed.narrow(-1, start, math.prod(shape)).unflatten(-1, shape).to(dtype)
            for start, shape, dtype in zip(accumulate(self.sizes, initial=0), self.shapes, self.dtypes, strict=False)
        )


@final
class Packed(nn.Module):
    """A network of several inputs as a function of packed rows:  view(pack((a, b)), *context) = the network on a, b, *context.

    >>> net = nn.Bilinear(3, 2, 4).eval()
    >>> a, b = torch.rand(5, 3), torch.rand(5, 2)
    >>> torch.equal(Packed(net, Packing.of((a, b)))(pack((a, b))), net(a, b))
    True
    """

    def __init__(self, model: nn.Module, packing: Packing) -> None:
        super().__init__()
        self.model = model
        self.packing = packing
        # The view is in the mode that the network is in; `train` would change the network's own parts.
        self.training = model.training

    @property
    def stands_for(self) -> nn.Module:
        return self.model

    @property
    def asked_as(self) -> str:
        """What errors call it: the network."""
        return called(self.model)

    def forward(self, rows: Tensor, *context: object) -> object:
        """What the network answers for packed rows (N, D)."""
        # Laid out as the inputs were: a network may call .view(-1) on what it takes.
        return self.model(*(part.contiguous() for part in self.packing.apart(rows)), *context)

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(shape)) for shape in self.packing.shapes)
        return f"Packed({type(self.model).__name__}: {shapes})"


def pack(inputs: Sequence[Tensor]) -> Tensor:
    """Several inputs (N, *S_i) as packed rows (N, D), in the order in which `explain` is given them.

    For what holds rows where several inputs are explained together: `Given(pack((a, b)))` is a baseline, `FromData(pack((a, b)))`
    and `expected_gradients(pack((a, b)))` take such data. Raises `BadInput` for anything but floating-point tensors with as
    many rows each.

    >>> pack((torch.zeros(2, 3), torch.ones(2, 2, 2))).shape
    torch.Size([2, 7])
    """
    check_together(inputs)
    for place, part in enumerate(inputs):
        if not part.is_floating_point():
            raise BadInput(
                f"input {place} holds {str(part.dtype).removeprefix('torch.')}; only floating point is packed"
            )
    return Packing.of(inputs).packed(inputs)


def check_together(inputs: object) -> None:
    """Raises `BadInput` for anything but one or more tensors with as many rows each."""
    if not isinstance(inputs, tuple | list) or not inputs:
        got = "no inputs" if isinstance(inputs, tuple | list) else f"a {type(inputs).__name__}"
        raise BadInput(f"several inputs are a tuple of tensors with N rows each, such as (a, b); got {got}")
    for place, part in enumerate(inputs):
        if not isinstance(part, Tensor):
            raise BadInput(
                f"x[{place}] is a {type(part).__name__}; several inputs are a tuple of tensors with N rows each, such as (a, b)"
            )
    counts = [len(part) if part.ndim else 0 for part in inputs]
    if len(set(counts)) > 1:
        raise BadInput(f"the inputs have {' and '.join(map(str, counts))} rows; give as many rows of each")
