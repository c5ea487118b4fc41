"""Asking the model: the one place where it is called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.shapes import Rows, Scores
from smoothgrad.errors import BadModel, NonFinite, NotDifferentiable, UnsupportedModel


def output_of(model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
    """The model's output for the rows, (N, ...); an output object with `.logits` is unwrapped. One call, all rows."""
    # Copies: a network that normalises its input in place must not write into the caller's rows, nor into the next draw's.
    inputs = (part.clone() for part in (query.x, *query.context))
    with _autocast(query, schedule):
        output = model(*inputs)
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise BadModel(
            f"{type(model).__name__} returned {type(output).__name__}; it must return a tensor or an object with "
            ".logits: wrap it in a module whose forward picks the output to explain"
        )
    if output.ndim == 0 or len(output) != len(query):
        raise BadModel(
            f"{type(model).__name__} returned shape {tuple(output.shape)} for {len(query)} rows; the first dimension "
            "of its output must be the rows"
        )
    return output.to(query.x.dtype) if schedule.autocast else output


def scores(model: nn.Module, query: Query, schedule: Schedule) -> Scores:
    """The score of each row (N,), without gradients, chunk by chunk."""
    with torch.no_grad():
        parts = [part.scores(output_of(model, part, schedule)) for part in query.split(schedule.chunk)]
    return torch.cat(parts)


def gradients(
    model: nn.Module, query: Query, schedule: Schedule, watch: Callable[[Tensor], None] = lambda _score: None
) -> Rows:
    """d score_i / d x_i, (N, *S), chunk by chunk. Rows must not influence each other, as in eval mode.

    `watch` is shown the score of each chunk before its gradient is taken. The parameters' own gradients are neither computed
    nor touched. Raises `NotDifferentiable`.
    """
    return torch.cat([_gradient(model, part, schedule, watch) for part in query.split(schedule.chunk)])


def _gradient(model: nn.Module, query: Query, schedule: Schedule, watch: Callable[[Tensor], None]) -> Rows:
    x = query.x.detach().requires_grad_()
    with torch.enable_grad():
        score = query.with_x(x).scores(output_of(model, query.with_x(x), schedule)).sum()
    if not score.requires_grad:
        raise NotDifferentiable(_independent(model))
    watch(score)
    try:
        (gradient,) = torch.autograd.grad(score, x, allow_unused=True)
    except RuntimeError as error:
        if "checkpoint" not in str(error).lower():
            raise
        raise UnsupportedModel(
            f"{type(model).__name__} has checkpoints of the reentrant kind, which give no gradient of the input "
            "alone; make them with torch.utils.checkpoint.checkpoint(..., use_reentrant=False)"
        ) from error
    if gradient is None:
        raise NotDifferentiable(_independent(model))
    broken = ~gradient.flatten(1).isfinite().all(1)
    if broken.any():
        row = int(query.row[broken.nonzero()[0, 0].cpu()])
        raise NonFinite(
            f"the gradient of row {row} holds NaN or infinity; look for sqrt(0), log(0), "
            "division by zero or a norm of zeros in the network, or use float32 in place of a narrower type"
        )
    return gradient.detach()


def _independent(model: nn.Module) -> str:
    return (
        f"the score of {type(model).__name__} does not depend on the input in a way that can be differentiated; look for "
        "argmax, comparisons, .detach(), torch.no_grad() or NumPy in its forward pass or in the target"
    )


def _autocast(query: Query, schedule: Schedule) -> AbstractContextManager[object]:
    if schedule.autocast is None:
        return nullcontext()
    return torch.autocast(query.x.device.type, dtype=schedule.autocast)
