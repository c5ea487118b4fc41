"""Two explainers in one map: their product, sum or difference.

Both answer the same query under the same seed: two that average over noise see the same noise. Noise around the two together,
`Product(a, b).over(Gaussian(...))`, is another thing, whose standard error is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.coarse import fitted, sized
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, Halves
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.explainers.single import check_single


class Combination(Explainer):
    """Two maps of the same rows, value by value. `draws` are those of the one whose map scatters; of the first, if both do."""

    first: Explainer
    second: Explainer

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.children:
            check_single(part, type(self).__name__)

    @abstractmethod
    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Two maps in one."""

    @abstractmethod
    def error(self, first: Estimate, second: Estimate) -> Tensor:
        """An upper bound of the standard error, of the first order: at worst the two err in line."""

    @property
    def brings(self) -> Callable[[Tensor, torch.Size], Tensor]:
        """How a coarse map meets one of full size."""
        return fitted

    @property
    def children(self) -> tuple[Explainer, ...]:
        return (self.first, self.second)

    @property
    def unit(self) -> str:
        one, other = self.first.unit, self.second.unit
        return one if one == other else f"{one} and {other}"

    @property
    def passes(self) -> int:
        return self.first.passes + self.second.passes

    def cost(self, draws: Tensor) -> Tensor:
        """With a tolerance in both, at most."""
        leading, other = self._ordered()
        return leading.cost(draws) + other.passes

    def freedom(self, draws: Tensor) -> Tensor | None:
        return self._ordered()[0].freedom(draws)

    def _ordered(self) -> tuple[Explainer, Explainer]:
        """The one whose draws are counted, and the other."""
        if _scatters(self.second) and not _scatters(self.first):
            return self.second, self.first
        return self.first, self.second

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        partial: Partial | None = None
        for partial in self.first.partials(model, query, schedule):
            if partial.done < partial.total:
                yield Partial(partial.done, self.passes, partial.estimate, partial.converged)
        assert partial is not None, "every explainer reports at least once"
        first, reached = partial.estimate(), partial.converged
        for partial in self.second.partials(model, query, schedule):
            judge = both(reached, partial.converged)
            yield Partial(self.first.passes + partial.done, self.passes, self._reader(first, partial, query), judge)

    def _reader(self, first: Estimate, partial: Partial, query: Query) -> Callable[[], Estimate]:
        return lambda: self._joined(first, partial.estimate(), query)

    def _joined(self, first: Estimate, second: Estimate, query: Query) -> Estimate:
        first, second = self._alike(first, second, query)
        stderr = None
        if first.stderr is not None or second.stderr is not None:
            stderr = self.error(_with_error(first), _with_error(second))
        leading = second if self._ordered()[0] is self.second else first
        value = self.join(first.value, second.value)
        return Estimate(value, stderr, leading.draws, self._halves(first, second))

    def _alike(self, first: Estimate, second: Estimate, query: Query) -> tuple[Estimate, Estimate]:
        """Both at the size of the rows, unless both are coarse alike."""
        if first.value.shape == second.value.shape:
            return first, second

        def bring(maps: Tensor) -> Tensor:
            return self.brings(maps, query.shape)

        return _changed(first, bring), _changed(second, bring)

    def _halves(self, first: Estimate, second: Estimate) -> Halves | None:
        """Of two maps with halves, only where the halves have seen the same draws."""
        shares = [estimate.halves.share for estimate in (first, second) if estimate.halves is not None]
        if not shares or not torch.equal(shares[0], shares[-1]):
            return None
        (one, two), (other, another) = _two(first), _two(second)
        return Halves(self.join(one, other), self.join(two, another), shares[0])


@final
@dataclass(frozen=True, repr=False)
class Product(Combination):
    """first * second, such as guided backprop times Grad-CAM (Selvaraju et al. 2017). The map (N, *S)."""

    first: Explainer
    second: Explainer

    @property
    def brings(self) -> Callable[[Tensor, torch.Size], Tensor]:
        return sized  # a factor for each pixel, whatever its channel

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return first * second

    def error(self, first: Estimate, second: Estimate) -> Tensor:
        assert first.stderr is not None
        assert second.stderr is not None
        return first.value.abs() * second.stderr + second.value.abs() * first.stderr

    @property
    def unit(self) -> str:
        return f"{self.first.unit} × {self.second.unit}"

    @property
    def unsigned(self) -> bool:
        return self.first.unsigned and self.second.unsigned


@final
@dataclass(frozen=True, repr=False)
class Sum(Combination):
    """first + second."""

    first: Explainer
    second: Explainer

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second

    def error(self, first: Estimate, second: Estimate) -> Tensor:
        return _added(first, second)

    @property
    def unsigned(self) -> bool:
        return self.first.unsigned and self.second.unsigned

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        return _both(self, torch.add, model, query, schedule)


@final
@dataclass(frozen=True, repr=False)
class Difference(Combination):
    """first - second: what one method shows and the other does not."""

    first: Explainer
    second: Explainer

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return first - second

    def error(self, first: Estimate, second: Estimate) -> Tensor:
        return _added(first, second)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        return _both(self, torch.sub, model, query, schedule)


def _both(
    pair: Combination, join: Callable[[Tensor, Tensor], Tensor], model: nn.Module, query: Query, schedule: Schedule
) -> Tensor | None:
    """What the maps promise to sum to, where both promise it."""
    one, other = (part.change(model, query, schedule) for part in pair.children)
    return None if one is None or other is None else join(one, other)


def both(one: Callable[[], Tensor | None], other: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
    """Have both reached the tolerance that was asked of them? None where none was asked of either."""

    def judge() -> Tensor | None:
        first, second = one(), other()
        return second if first is None else first if second is None else first & second

    return judge


def _scatters(method: Explainer) -> bool:
    return method.freedom(torch.tensor([64], device="cpu")) is not None


def _with_error(estimate: Estimate) -> Estimate:
    return estimate if estimate.stderr is not None else estimate._replace(stderr=torch.zeros_like(estimate.value))


def _added(first: Estimate, second: Estimate) -> Tensor:
    assert first.stderr is not None
    assert second.stderr is not None
    return first.stderr + second.stderr


def _two(estimate: Estimate) -> tuple[Tensor, Tensor]:
    """The map of each half of the draws; of one that does not scatter, the map twice."""
    halves = estimate.halves
    return (estimate.value, estimate.value) if halves is None else (halves.first, halves.second)


def _changed(estimate: Estimate, change: Callable[[Tensor], Tensor]) -> Estimate:
    value, stderr, draws, halves = estimate
    changed = None if halves is None else Halves(change(halves.first), change(halves.second), halves.share)
    return Estimate(change(value), None if stderr is None else change(stderr), draws, changed)
