"""Asking the model: the one place where it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.shapes import Rows, Scores
from smoothgrad.errors import BadModel, NonFinite, NotDifferentiable, UnsupportedModel


def output_of(model: nn.Module, query: Query) -> Tensor:
    """The model's output for the rows, (N, ...); an output object with `.logits` is unwrapped. One call, all rows."""
    # Copies: a network that normalises its input in place must not write into the caller's rows, nor into the next draw's.
    inputs = (part.clone() for part in (query.x, *query.context))
    output = model(*inputs)
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise BadModel(
            f"{called(model)} returned {type(output).__name__}; it must return a tensor or an object with "
            ".logits: wrap it in a module whose forward picks the output to explain"
        )
    if output.ndim == 0 or len(output) != len(query):
        raise BadModel(
            f"{called(model)} returned shape {tuple(output.shape)} for {len(query)} rows; the first dimension "
            "of its output must be the rows"
        )
    return output


def called(model: nn.Module) -> str:
    """What its owner calls a model: the name of its class, or of that of the network which it stands for."""
    name = getattr(model, "asked_as", None)
    return name if isinstance(name, str) else type(model).__name__


def views(model: nn.Module) -> Iterator[nn.Module]:
    """The model, and what each view in it stands for (`stands_for`), down to the user's own network."""
    seen: object = model
    while isinstance(seen, nn.Module):
        yield seen
        seen = getattr(seen, "stands_for", None)


def network_in(model: nn.Module) -> nn.Module:
    """The user's own network in the views around it."""
    *_, network = views(model)
    return network


def outputs(model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
    """The model's output for the rows, (N, ...), without gradients, chunk by chunk."""
    with torch.no_grad():
        return in_chunks(query, schedule, lambda part: output_of(model, part))


def scores(model: nn.Module, query: Query, schedule: Schedule) -> Scores:
    """The score of each row (N,), without gradients, chunk by chunk."""
    with torch.no_grad():
        return in_chunks(query, schedule, lambda part: part.scores(output_of(model, part)))


def gradients(
    model: nn.Module, query: Query, schedule: Schedule, watch: Callable[[Tensor], None] = lambda _score: None
) -> Rows:
    """d score_i / d x_i, (N, *S), chunk by chunk. Rows must not influence each other, as in eval mode.

    `watch` is shown the score of each chunk before its gradient is taken. The parameters' own gradients are neither computed
    nor touched. Rows that ask about the same point for several targets share the forward pass. Raises `NotDifferentiable`.
    """
    return in_chunks(query, schedule, lambda part: _gradient(model, part, watch), timed=True)


def at_output(model: nn.Module, query: Query, output: Tensor) -> Tensor:
    """d score_i / d output_i, (N, ...), at outputs (N, ...) that the model answered. Raises `NotDifferentiable`."""
    with torch.enable_grad():
        leaf = output.detach().clone().requires_grad_()
        score = query.scores(leaf).sum()
    found = torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None
    if found is None:
        raise NotDifferentiable(
            f"the target's score does not depend on the output of {called(model)} in a way that can be differentiated; look for "
            "argmax, comparisons, .detach() or torch.no_grad() in the target"
        )
    return found


def in_chunks(query: Query, schedule: Schedule, ask: Callable[[Query], Tensor], *, timed: bool = False) -> Tensor:
    """The answers for all rows, as many points at a time as the schedule says; fewer, and again, when memory runs out."""
    # Where each point begins: rows that share one also share its forward pass, but only where a gradient is asked for.
    starts = points_in(query) if timed else list(range(len(query)))
    bounds, start = [*starts, len(query)], 0
    answers: list[Tensor] = []
    while start < len(starts):
        stop = min(start + schedule.chunk, len(starts))
        part = query.rows(slice(bounds[start], bounds[stop]))
        begun = schedule.begin() if timed else None
        fitted = True
        try:
            answers.append(ask(part))
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            schedule.halve(error)
            fitted = False
        if fitted:
            schedule.end(begun, stop - start)
            start = stop
        elif query.x.is_cuda:
            torch.cuda.empty_cache()  # not before the error has been let go, and what it held
    return answers[0] if len(answers) == 1 else torch.cat(answers)


def _is_out_of_memory(error: Exception) -> bool:
    """A GPU's allocator has an error of its own; those of a CPU and of MPS have only their words."""
    words = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        said in words for said in ("can't allocate memory", "out of memory")
    )


class _Turn(NamedTuple):
    """Rows that each ask about another point, and where their points are."""

    rows: Tensor | slice
    places: Tensor | slice


def _gradient(model: nn.Module, query: Query, watch: Callable[[Tensor], None]) -> Rows:
    """One forward pass at the points, and a backward pass for each turn of the rows that share them."""
    points, turns = _points_and_turns(query)
    x = points.x.detach().requires_grad_()
    with torch.enable_grad():
        output = output_of(model, points.with_x(x))
    gradient = torch.empty_like(query.x) if len(turns) > 1 else query.x
    for number, (rows, places) in enumerate(turns, start=1):
        asked = query.rows(rows)
        with torch.enable_grad():
            score = asked.scores(output[places]).sum()
        if not score.requires_grad:
            raise NotDifferentiable(_independent(model))
        watch(score)
        answer = _backward(model, score, x, again=number < len(turns))[places]
        _check_finite(answer, asked)
        if len(turns) == 1:
            return answer
        gradient[rows] = answer
    return gradient


def points_in(query: Query) -> list[int]:
    """The first of the rows that ask about each point."""
    if query.twins == 1:
        return list(range(len(query)))
    same = (query.row[1:] == query.row[:-1]).to(query.x.device) & (query.x[1:] == query.x[:-1]).flatten(1).all(1)
    return [0, *(1 + (~same).nonzero().flatten()).tolist()]


def _points_and_turns(query: Query) -> tuple[Query, list[_Turn]]:
    """The points that rows ask about, each once, and the rows in turns of one question for each point."""
    if query.twins == 1:
        return query, [_Turn(slice(None), slice(None))]
    first = torch.tensor(points_in(query), device=query.x.device)
    place = torch.bucketize(torch.arange(len(query), device=first.device), first, right=True) - 1
    number = torch.arange(len(query), device=place.device) - first[place]  # of the question about its point: 0, 1, ...
    turns = [(number == turn).nonzero().flatten() for turn in range(int(number.max()) + 1)]
    return query.rows(first), [_Turn(rows, place[rows]) for rows in turns]


def _backward(model: nn.Module, score: Tensor, x: Tensor, *, again: bool) -> Rows:
    try:
        (gradient,) = torch.autograd.grad(score, x, allow_unused=True, retain_graph=again)
    except RuntimeError as error:
        if "checkpoint" not in str(error).lower():
            raise
        raise UnsupportedModel(
            f"{called(model)} has checkpoints of the reentrant kind, which give no gradient of the input "
            "alone; make them with torch.utils.checkpoint.checkpoint(..., use_reentrant=False)"
        ) from error
    if gradient is None:
        raise NotDifferentiable(_independent(model))
    return gradient.detach().contiguous()  # a network laid out channels-last answers in that layout


def _check_finite(gradient: Rows, query: Query) -> None:
    broken = ~gradient.flatten(1).isfinite().all(1)
    if broken.any():
        row = int(query.row[broken.nonzero()[0, 0].cpu()])
        raise NonFinite(
            f"the gradient of row {row} holds NaN or infinity; look for sqrt(0), log(0), "
            "division by zero or a norm of zeros in the network, or use float32 in place of a narrower type"
        )


def _independent(model: nn.Module) -> str:
    return (
        f"the score of {called(model)} does not depend on the input in a way that can be differentiated; look for "
        "argmax, comparisons, .detach(), torch.no_grad() or NumPy in its forward pass or in the target"
    )
