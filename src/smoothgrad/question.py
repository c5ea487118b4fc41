"""The question that `explain` answers and `judge` judges by: a network, rows, a score, all checked and resolved once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias, final

import torch
from torch import Tensor, nn

from smoothgrad.checks import (
    Keys,
    check_chunk,
    check_classes,
    check_context,
    check_dtype,
    check_finite,
    check_inputs,
    check_keys,
    check_model,
    check_seed,
    check_smooth,
    device_of,
    first_look,
    on_device,
    refusals,
    same_layer,
    without_history,
)
from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import content_digest
from smoothgrad.engine import Asked
from smoothgrad.models.layer import at as seen_from
from smoothgrad.models.network import Network
from smoothgrad.models.packed import Packed, Packing
from smoothgrad.targets import Each, TargetLike, as_target

Inputs: TypeAlias = tuple[Tensor, ...] | list[Tensor]  # several, explained together
At: TypeAlias = str | nn.Module  # a layer


@final
@dataclass(frozen=True)
class Question:
    """Which score of which rows of which network: what has passed all checks but those of a method."""

    network: nn.Module  # what the user gave
    asked: Asked  # how it is asked: on its device, seen from a layer or not
    kind: str  # of the target
    query: Query
    output: Tensor  # (N, ...) at the clean rows
    score: Tensor  # (N,) at the clean rows
    keys: Tensor  # (N,) as the user gave them, without the seed
    seed: int
    layer: str | None
    seconds: float  # that the checks took

    @staticmethod
    @torch.inference_mode(False)
    def checked(
        model: nn.Module,
        x: Tensor | Inputs,
        *,
        target: TargetLike = None,
        at: At | None = None,
        context: tuple[Tensor, ...] = (),
        seed: int = 0,
        keys: Keys = None,
        chunk: int | None = None,
        device: str | torch.device | None = None,
    ) -> Question:
        """The question, or the error that says what is wrong with it. The arguments are those of `explain`."""
        started = time.perf_counter()
        check_model(model)
        explained = check_inputs(x, layer=at is not None)
        packing = Packing.of(explained) if isinstance(x, tuple | list) and at is None else None
        check_seed(seed)
        check_chunk(chunk)
        goal = as_target(target)
        named = check_keys(keys, len(explained[0]))
        others = check_context(context, len(explained[0]))
        network = model
        model = on_device(model, device)
        place = device_of(model, explained[0])
        check_dtype(model, explained)
        inputs = tuple(without_history(part).to(place) for part in (*explained, *others))
        with own_arithmetic(place):
            with refusals(network, explained):
                seen = _seen(model, inputs, None if at is None else same_layer(network, model, at), packing)
            x = seen.x
            schedule = Schedule(chunk) if chunk else Schedule.for_rows(x.shape[1:])
            nothing = torch.zeros(len(x), dtype=torch.int64, device=place)
            query = Query.of(x, nothing, seed=seed, keys=named, context=seen.context)
            with refusals(network, explained):
                output = first_look(seen.view, query, schedule)
            check_classes(network, output)
            check_smooth(output, f"the output of {type(network).__name__}")
            index = goal.resolve(output)
            query = replace(query, target=index, scorer=goal.score, parts=() if packing is None else packing.sizes)
            if isinstance(goal, Each):
                query = query.for_each(index)
                output, named = (rows.repeat_interleave(query.twins, 0) for rows in (output, named))
            check_smooth(goal.score(output, query.target), "the score that the target gives")
            score = query.scores(output)
            check_finite(score, "the score")
            asked = Asked(model, inputs, output[:1], x.shape[1:], seen.layer, packing=packing)
        return Question(
            network, asked, goal.kind, query, output, score, named, seed, seen.layer, time.perf_counter() - started
        )

    def __len__(self) -> int:
        return len(self.query)

    def rows(self, part: slice) -> Question:
        """The same about some of the rows. Where several targets of a row are asked for, about all of them."""
        return replace(
            self,
            query=self.query.rows(part),
            output=self.output[part],
            score=self.score[part],
            keys=self.keys[part],
        )

    def asked_by(self, methods: Iterable[Explainer]) -> Asked:
        """How the network is asked by methods that may read its layers, or need its own weights."""
        methods = tuple(methods)
        reads = tuple(dict.fromkeys(layer for method in methods for layer in method.layers))
        return replace(self.asked, reads=reads, as_it_is=any(method.needs_itself for method in methods))

    @property
    def packing(self) -> Packing | None:
        """How several inputs are packed into the rows; None for one."""
        return self.asked.packing

    @property
    def name(self) -> str:
        """What the network is called."""
        return self.network.name if isinstance(self.network, Network) else type(self.network).__name__

    @property
    def input(self) -> Tensor:
        """What the network takes first. Where a layer's output is explained, the view of the layer has it first in its context."""
        if self.packing is not None:
            return self.packing.apart(self.query.x)[0]
        return self.query.x if self.layer is None else self.query.context[0]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """What names the input of each row by what it holds."""
        return tuple(content_digest(row) for row in self.input)

    @property
    def picture(self) -> Tensor | None:
        """The network's inputs as a person would see them, where it says how and they are pictures."""
        x, network = self.input, self.network
        if not isinstance(network, Network) or x.ndim != 4 or x.shape[1] != network.preprocessing.channels:
            return None
        return network.show(x.cpu())


class _Seen(NamedTuple):
    """What is explained of a model: rows, and the view that takes them."""

    view: nn.Module
    x: Tensor  # (N, *S)
    context: tuple[Tensor, ...]
    layer: str | None = None  # whose output the rows are


def _seen(model: nn.Module, inputs: tuple[Tensor, ...], at: At | None, packing: Packing | None) -> _Seen:
    """The model as a function of what is explained: its first input, a layer's output, or several inputs in one row."""
    if at is not None:
        view = seen_from(model, at)
        return _Seen(view, view.capture(*inputs), inputs, view.name)
    if packing is not None:
        count = len(packing.shapes)
        return _Seen(Packed(model, packing), packing.packed(inputs[:count]), inputs[count:])
    return _Seen(model, inputs[0], inputs[1:])
