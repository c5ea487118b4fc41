"""Layer-wise relevance propagation: the score, sent back and shared out, layer by layer, until it is on the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import at_output, called, in_chunks, output_of
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, NonFinite, NotDifferentiable, UnsupportedModel, nearest
from smoothgrad.rules.composite import Composite
from smoothgrad.rules.linear import Linear, folded
from smoothgrad.rules.lrp import Bound, Call, RelevanceRule, ZBox
from smoothgrad.rules.lrp_reach import Reach, bounds, box_at
from smoothgrad.rules.lrp_steps import TABLE, Arrival, approximated
from smoothgrad.rules.trace import Messages, Step, Trace, pull, trace

Otherwise = Literal["error", "gradient"]


@final
@dataclass(frozen=True, repr=False)
class Relevance(Explainer):
    """LRP (Bach et al. 2015): relevance starts as the score and each layer shares out that of its outputs among its inputs.

    `composite` says by which rule; what other functions do is said in `smoothgrad.rules.lrp_steps`. A function without a rule
    raises `UnsupportedModel`, which names it and its layer; with `otherwise="gradient"` relevance goes on there as input times
    gradient, in proportion to the output: sensible, but conservation is lost where the function is not linear.

    Relevance starts as output * d score / d output at every output: for a class it is its score, at its place; for a contrast
    s_a - s_b it is s_a and -s_b at theirs; for a probability or a function of your own it is the linear part of what makes the
    score of the output, and its sum is another number than the score unless that is linear without a constant. Batch norm is made
    part of the layer before it.

    Map (N, *S), signed, in units of the score. It sums to what relevance started with, but for what biases, other constants and
    epsilon absorb: the result's completeness has the two sums side by side. One pass; it takes as long as 1.6 gradients
    for `Epsilon`, 2.5 for `ZPlus`, 3 for `Gamma` and 4 for `AlphaBeta` (measured: ResNet-18 on a CPU).
    """

    composite: Composite = Composite()  # noqa: RUF009
    otherwise: Otherwise = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.otherwise not in get_args(Otherwise):
            raise BadMethod(f"no otherwise={self.otherwise!r}; {nearest(self.otherwise, get_args(Otherwise))}")

    @property
    def passes(self) -> int:
        return 1

    @property
    def absorbs(self) -> bool:
        return True

    @property
    def unit(self) -> str:
        return "score"

    def check(self, query: Query) -> None:
        self.composite.check(query)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        # Rows that ask about one point for several targets are traced one by one: chunks are of rows, not of points.
        maps = in_chunks(query, schedule, partial(self._maps, model), timed=query.twins == 1)
        draws = torch.ones(len(query), dtype=torch.int64, device=maps.device)
        yield Partial(1, 1, lambda: Estimate(maps, None, draws))

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        """What relevance starts with in each row (N,): for a class its score."""

        def begun(part: Query) -> Tensor:
            with torch.no_grad():
                output = output_of(model, part)
            return start(model, part, output).flatten(1).sum(1)

        return in_chunks(query, schedule, begun)

    @torch.no_grad()
    def _maps(self, model: nn.Module, query: Query) -> Tensor:
        seen = folded(trace(model, query))
        reach = Reach.of(seen)
        if seen.end not in reach.alive:
            raise NotDifferentiable(
                f"the output of {called(model)} depends on the input only through functions without a derivative, such as "
                "comparisons or .detach(): no relevance can be sent back through them"
            )
        send = Propagation(self.composite.plan(seen), self.composite.sums.epsilon, reach, query, self.otherwise)
        maps = pull(seen, start(model, query, seen.result), send).contiguous()
        broken = ~maps.flatten(1).isfinite().all(1)
        if broken.any():
            row = int(query.row[broken.nonzero()[0, 0].cpu()])
            raise NonFinite(
                f"the relevance of row {row} holds NaN or infinity: contributions cancel in some layer; use a larger epsilon, or "
                "rules that do not divide by sums of both signs, such as ZPlus()"
            )
        return maps


def start(model: nn.Module, query: Query, output: Tensor) -> Tensor:
    """The relevance that the outputs (N, ...) begin with: output * d score / d output. Raises `NotDifferentiable`."""
    return output.detach() * at_output(model, query, output)


@final
@dataclass(frozen=True, eq=False)
class Propagation:
    """What each step of one traced call does to relevance: the backward rule of `pull`."""

    plan: dict[Step, RelevanceRule]  # of the linear layers
    epsilon: float  # for sums
    reach: Reach
    query: Query
    otherwise: Otherwise

    def __call__(self, seen: Trace, step: Step, arriving: Sequence[Tensor | None]) -> Messages:
        rule, layer = self.plan.get(step), Linear.of(step)
        if rule is None or layer is None:
            sent = self._by_table(Arrival(seen, step, arriving, self.reach, self.epsilon))
        else:
            message = arriving[0]
            assert message is not None, "a linear layer has one output"
            box = partial(self._box, seen, step, layer)
            sent = {layer.place: rule.send(Call(layer, seen.value(layer.place), step.output, message, box))}
        return {place: part for place, part in sent.items() if place in self.reach.alive}

    def _by_table(self, arrival: Arrival) -> Messages:
        """By the table of functions; where it has none, as the user asked."""
        send = TABLE.get(arrival.step.name)
        sent = None if send is None else send(arrival)
        if sent is not None:
            return sent
        complex_ones = [value for value in (*arrival.values.values(), *arrival.step.outputs) if _is_complex(value)]
        if self.otherwise == "error" or complex_ones:
            way_out = "" if complex_ones else 'go on there as input times gradient with otherwise="gradient", '
            raise UnsupportedModel(
                f"relevance has no rule for {arrival.step.where}; {way_out}explain a layer behind it with "
                "at=..., or use a method of gradients"
            )
        return approximated(arrival)

    def _box(self, seen: Trace, step: Step, layer: Linear, low: Bound, high: Bound) -> tuple[Tensor, Tensor]:
        """The least and the largest that the layer's input can be, given bounds of the rows."""
        return box_at(seen, self.reach, step, layer.place, *bounds(ZBox(low, high), self.query))


def _is_complex(value: Tensor | None) -> bool:
    return value is not None and value.is_complex()
