"""DeepLIFT: differences from a baseline, function by function; and DeepSHAP, its mean over baselines from the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import in_chunks
from smoothgrad.core.explainer import PER_INPUT, Explainer, Over, Partial, times_input
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import NonFinite
from smoothgrad.rules.deeplift import MultiplierRule, Rescale, multipliers
from smoothgrad.rules.scored import Scored
from smoothgrad.rules.trace import Trace, trace
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.data import DataPoints
from smoothgrad.samplers.path import StraightPath


@final
@dataclass(frozen=True, repr=False)
class DeepLift(Explainer):
    """m * (x - b), m the multiplier that a `rule` sends back from the score through every function (Shrikumar et al. 2017).

    The rule is `Rescale()`, `RevealCancel()` or `DenseRevealCancel()`. Map (N, *S), signed, in units of the score; sums to
    score(x) - score(b) to rounding, whatever the network. With several baselines, the mean over them. One forward and one backward
    pass at the input, and a forward pass at each baseline.
    """

    rule: MultiplierRule = Rescale()  # noqa: RUF009
    baseline: Baseline = Zero()  # noqa: RUF009

    @property
    def unit(self) -> str:
        return times_input(PER_INPUT)

    @property
    def passes(self) -> int:
        return self.baseline.passes + 1 + self.baseline.each

    def check(self, query: Query) -> None:
        self.baseline.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return StraightPath(self.baseline).prepare(model, query, schedule)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return StraightPath(self.baseline).change(model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        query = self.prepare(model, query, schedule)

        def ask(part: Query) -> Tensor:
            assert part.baseline is not None, "prepare has just set it"
            here, total = _traced(model, part), torch.zeros_like(part.x)
            for start in part.baseline.unbind(1):
                total += (part.x - start) * multipliers(here, _traced(model, part.with_x(start)), self.rule)
            return _finite(total / self.baseline.each, part)

        maps = in_chunks(query, schedule, ask)
        yield Partial(self.passes, self.passes, lambda: Estimate(maps, None, count(maps, 1)))


@final
@dataclass(frozen=True, repr=False)
class DeepShap(Explainer):
    """DeepLIFT averaged over baselines from the data:  E_b[ m(x, b) * (x - b) ]  (Lundberg and Lee 2017), with its standard error.

    Map (N, *S), signed, in units of the score; sums to score(x) minus the mean score of the baselines that were drawn, with
    replacement.
    """

    points: DataPoints
    rule: MultiplierRule = Rescale()  # noqa: RUF009

    @property
    def _mean(self) -> Over:
        return _Multipliers(self.rule).over(self.points)

    @property
    def unit(self) -> str:
        return self._mean.unit

    @property
    def passes(self) -> int:
        return self._mean.passes

    def cost(self, draws: Tensor) -> Tensor:
        return self._mean.cost(draws)

    def freedom(self, draws: Tensor) -> Tensor | None:
        return self._mean.freedom(draws)

    def check(self, query: Query) -> None:
        self.points.check(query)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        # The sampler's points are baselines: the rows themselves travel beside them.
        return self._mean.partials(model, replace(query, context=(*query.context, query.x)), schedule)


@final
@dataclass(frozen=True, repr=False)
class _Multipliers(Explainer):
    """m(x, b) for points b, with x as the last of the context."""

    rule: MultiplierRule

    @property
    def unit(self) -> str:
        return PER_INPUT

    @property
    def passes(self) -> int:
        return 2

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        def ask(part: Query) -> Tensor:
            *context, x = part.context
            there = replace(part, context=tuple(context))
            return _finite(multipliers(_traced(model, there.with_x(x)), _traced(model, there), self.rule), part)

        maps = in_chunks(query, schedule, ask)
        yield Partial(self.passes, self.passes, lambda: Estimate(maps, None, count(maps, 1)))


def _traced(model: nn.Module, query: Query) -> Trace:
    """Up to the score: a softmax or a function in the target has differences, too."""
    return trace(Scored(model, query), query)


def _finite(maps: Tensor, query: Query) -> Tensor:
    broken = ~maps.flatten(1).isfinite().all(1)
    if broken.any():
        row = int(query.row[broken.nonzero()[0, 0].cpu()])
        raise NonFinite(
            f"the multipliers of row {row} hold NaN or infinity; look for sqrt(0), log(0), division by zero or a norm of zeros in "
            "the network, at the input or at the baseline"
        )
    return maps.detach().contiguous()
