"""Asking the model at many versions of the same rows, as many at a time as the schedule has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import in_chunks, output_of
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput

Read: TypeAlias = Callable[[Query, Tensor], Tensor]  # rows and the output for them -> a number each (M,)


def asked_at(
    model: nn.Module,
    query: Query,
    schedule: Schedule,
    steps: int,
    points: Callable[[range], Tensor],
    read: Read = Query.scores,
) -> Tensor:
    """What `read` makes of the output at points(numbers) (k, N, *S) of each step: (N, steps), float64, on the rows' device.

    No gradients are taken. Only as many steps are held at once as fill a chunk; at least one.
    """
    found = []
    start = 0
    with torch.no_grad():
        while start < steps:
            numbers = range(start, start + schedule.draws_at_once(len(query), 1, steps - start))
            asked = query.at(points(numbers), numbers)
            answers = in_chunks(asked, schedule, lambda part: read(part, output_of(model, part)))
            found.append(answers.double().view(len(numbers), len(query)))  # (k*N,) -> (k, N)
            start = numbers.stop
    return torch.cat(found).T


def probability(query: Query, output: Tensor) -> Tensor:
    """The softmax probability of the class that is explained (M,). Raises `BadInput` for an output without classes."""
    check_output(output)
    return output.softmax(1).gather(1, query.target[:, None])[:, 0]


def is_predicted(query: Query, output: Tensor) -> Tensor:
    """1 where the class that is explained has the highest score, else 0 (M,); NaN where the row's output holds NaN.

    Raises `BadInput` for an output without classes.
    """
    check_output(output)
    right = (output.argmax(1) == query.target).to(output.dtype)
    return right.masked_fill(output.isnan().any(1), torch.nan)  # to argmax, NaN is the largest of all


def check_output(output: Tensor) -> None:
    """Raises `BadInput` for an output that is not (M, K) with two classes or more: of one, the probability is always 1."""
    if output.ndim != 2 or output.shape[1] < 2:
        shape = ", ".join(["rows", *map(str, output.shape[1:])])
        raise BadInput(
            "this measure reads the probability or the rank of a class among others, and the network's output has shape "
            f"({shape}): no classes; take a measure of scores, such as PixelFlipping(), or a network with an output for each class"
        )
