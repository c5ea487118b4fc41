"""What a step adds of its own: the part of its output that is not linear in what it read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from smoothgrad.rules.linear import Linear, affine
from smoothgrad.rules.push import push
from smoothgrad.rules.trace import Place, Step, Trace

NOISE = 16  # in units of rounding: less is nothing


def names_in(text: str) -> frozenset[str]:
    """The names of functions, written one after the other."""
    return frozenset(text.split())


# Functions of degree one: y = J x, and there is no bias.
_WITHOUT = names_in(
    "relu leaky_relu max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d mean sum cat view _unsafe_view permute transpose t "
    "expand clone slice select split split_with_sizes unsafe_split unsafe_split_with_sizes unsafe_chunk unbind squeeze unsqueeze "
    "alias gather _to_copy"
)


def biases(trace: Trace, step: Step) -> tuple[Tensor | None, ...]:
    """b = y - J x for each output y of a step, like it, or None where that is nothing.

    The bias of a linear layer, the shift of a batch norm, an added constant; of a smooth activation and of a product what Srinivas
    and Fleuret 2019 call an implicit bias. The score is grad s(x) . x and the sum over all steps of b times the gradient at y.
    """
    layer, norm = Linear.of(step), affine(step)
    if layer is not None and not step.kwargs:
        bias = layer.bias
        if bias is None:
            return (None,)
        return ((_by_channel(bias, step.output) if layer.convolves else bias).expand_as(step.output),)
    if norm is not None:
        return (_by_channel(norm[1], step.output).expand_as(step.output), *([None] * (len(step.outputs) - 1)))
    if step.name in _WITHOUT:
        return (None,) * len(step.outputs)
    values, outputs = trace.inputs(step), step.outputs
    if _narrow(step, values):  # what is left of a difference of two narrow numbers is mostly rounding
        values = {place: value.float() if value.is_floating_point() else value for place, value in values.items()}
        outputs = step.run(values)
    # What is masked by -inf gets no gradient: it stands still.
    moving = {
        place: torch.where(value.isinf(), 0, value) for place, value in values.items() if value.is_floating_point()
    }
    moved = push(step, values, moving)
    return tuple(None if y is None or jx is None else _rest(y, jx) for y, jx in zip(outputs, moved, strict=True))


def _narrow(step: Step, values: dict[Place, Tensor]) -> bool:
    """Does it read numbers narrower than float32, and no constant tensors, which would have to be as wide as these?"""
    constants = any(
        isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in tree_leaves((step.args, step.kwargs))
    )
    return not constants and any(value.dtype in (torch.bfloat16, torch.float16) for value in values.values())


def weighed(message: Tensor, bias: Tensor) -> Tensor:
    """The bias times the gradient at its place; nothing where that is 0, were the bias infinite."""
    return torch.where(message == 0, torch.zeros_like(message), message * bias)


def _rest(y: Tensor, jx: Tensor) -> Tensor | None:
    rest = y - jx
    noise = NOISE * torch.finfo(y.dtype).eps * (y.abs() + jx.abs())
    rest = torch.where((rest.abs() <= noise) & noise.isfinite(), torch.zeros_like(rest), rest)
    return rest if bool(rest.any()) else None


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *([1] * (like.ndim - 2)))
