"""The one noun and its combinator. Read this first.

    map(x) = finish( R_k [ direction_k * inner(x_k) ], x )          x_k, weight_k, direction_k = sampler(x, k)

An `Explainer` turns rows into maps. `explainer.over(sampler, reduction)` asks it at many points and gathers the answers;
`explainer.then(finish)` changes its maps. Both are Explainers again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import points_in
from smoothgrad.core.coarse import fitted
from smoothgrad.core.halving import Halving, gather, known
from smoothgrad.core.moments import Estimate, Halves
from smoothgrad.core.query import Query
from smoothgrad.core.reduce import Mean, Reduction, Together
from smoothgrad.core.sampler import Sampler, Until
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod

PER_INPUT = "score per unit of input"  # the unit of a gradient


@final
@dataclass(frozen=True)
class Partial:
    """A moment in a run: how far it is, and the estimate so far, computed when it is asked for."""

    done: int  # model passes per row so far, of those rows that are still at work
    total: int  # model passes per row, at most
    estimate: Callable[[], Estimate]
    converged: Callable[[], Tensor | None] = lambda: None  # (N,) is the tolerance reached that was asked for?


class Explainer(Value, ABC):
    """Turns rows (N, *S) into maps of the same shape, raw and signed; or into coarse ones, see `smoothgrad.core.coarse`."""

    random: bool = False  # does it draw by chance itself, beside the samplers and baselines in it?

    @property
    @abstractmethod
    def passes(self) -> int:
        """Model passes per row: known before running; with a tolerance, the most it may take."""

    @abstractmethod
    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        """Run, and report after each chunk. The last report is the answer."""

    def estimate(self, model: nn.Module, query: Query, schedule: Schedule) -> Estimate:
        """Run to the end."""
        last = deque(self.partials(model, query, schedule), maxlen=1)  # the others would hold on to their states
        return last.pop().estimate()

    def check(self, query: Query) -> None:
        """Raise where these rows cannot be explained, such as constant ones under noise relative to their range."""
        for part in self.children:
            part.check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        """The query with what a run needs to know first, such as baselines. `partials` and `change` do it where it is not done."""
        return query

    def cost(self, draws: Tensor) -> Tensor:
        """Model passes per row (N,) that went into an estimate of so many draws."""
        return draws * self.passes

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        """What a map of each row should sum to (N,), where the method promises it: score(x) - score(baseline)."""
        return None

    @property
    def absorbs(self) -> bool:
        """May the map sum to less than it promises, because constants of the network keep a part, as the biases do in LRP?"""
        return any(part.absorbs for part in self.children)

    def freedom(self, draws: Tensor) -> Tensor | None:
        """The degrees of freedom of the standard error of so many draws (N,): independent blocks of draws, less one; None where
        there is no standard error."""
        return None

    @property
    def children(self) -> tuple[Explainer, ...]:
        """The explainers that this one is made of."""
        return ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers, by name, whose outputs are read: a prepared copy of the network leaves them what they are."""
        return tuple(dict.fromkeys(layer for part in self.children for layer in part.layers))

    @property
    def needs_itself(self) -> bool:
        """Does it look at the network's weights, so that a copy with others, which answers the same, would not do?"""
        return any(part.needs_itself for part in self.children)

    @property
    @abstractmethod
    def unit(self) -> str:
        """What one unit of the map is, in words, for the label of a scale."""

    @property
    def unsigned(self) -> bool:
        """Can its maps never be negative?"""
        return False

    @property
    def is_gradient(self) -> bool:
        """Is the map the gradient of the score itself? Only then does a path integral of it sum to the change of score."""
        return False

    def over(self, sampler: Sampler, reduction: Reduction[Any] = Mean()) -> Over:
        """Ask at the sampler's points and gather the answers.

        >>> from smoothgrad import Gaussian, Gradient
        >>> Gradient().over(Gaussian(noise=0.15, samples=50))
        Gradient().over(Gaussian(noise=0.15, samples=50))
        """
        return Over(self, sampler, reduction)

    def then(self, finish: Finish) -> Then:
        """Change the maps by a function of map and input."""
        return Then(self, finish)


class Around(Explainer):
    """An explainer around another, in whose unit it answers and whose passes it takes, unless it says otherwise."""

    inner: Explainer

    @property
    def children(self) -> tuple[Explainer, ...]:
        return (self.inner,)

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def unsigned(self) -> bool:
        return self.inner.unsigned

    @property
    def passes(self) -> int:
        return self.inner.passes

    def cost(self, draws: Tensor) -> Tensor:
        return self.inner.cost(draws)


class Finish(Value, ABC):
    """The last step on a map: times input, absolute value, ..."""

    unsigned: bool = False  # can what comes out never be negative?
    reads_input: bool = (
        False  # does it read the rows, or count their pixels, so that coarse maps must be brought to their size?
    )
    keeps_sign: bool = False  # does it leave a map that is never negative so?

    @abstractmethod
    def __call__(self, maps: Tensor, query: Query) -> Tensor:
        """Maps (N, *S) to maps (N, *S)."""

    def unit(self, unit: str) -> str:
        """The unit of what comes out, given that of what goes in."""
        return unit

    def error(self, stderr: Tensor, query: Query) -> Tensor | None:
        """The standard error after this step, where it follows from the one before; None where it does not."""
        return None


@final
@dataclass(frozen=True, repr=False)
class Over(Around):
    """R_k [ direction_k * inner(x_k) ]: the inner explainer asked at many points."""

    inner: Explainer
    sampler: Sampler
    reduction: Reduction[Any] = Mean()  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        if _gives_several(self.inner):
            raise BadMethod(
                "Together gives several maps per row: it can only be the last reduction, "
                f"not inside {self.sampler!r}; take one reduction inside"
            )
        if self.sampler.weighted and not self.reduction.weighted:
            raise BadMethod(
                f"{self.reduction!r} has no meaning for the unequal weights of {self.sampler!r}; use Mean()"
            )
        fewest = self.reduction.least * self.sampler.block
        if self.sampler.most() < fewest:
            raise BadMethod(
                f"{self.reduction!r} needs {fewest} draws or more, {self.sampler!r} gives {self.sampler.most()}"
            )
        if isinstance(self.sampler.count, Until) and self.sampler.most() < 2 * self.sampler.block:
            raise BadMethod(
                f"Until needs most >= {2 * self.sampler.block} here: {self.sampler!r} draws {self.sampler.block} at a time, "
                "and one has no error"
            )
        if isinstance(self.sampler.count, Until) and not self.reduction.has_stderr:
            raise BadMethod(
                f"{self.reduction!r} does not know its error, so that Until(...) could never stop; "
                "give samples as a number, or use Mean(), SquareMean() or Variance()"
            )

    def __repr__(self) -> str:
        reduction = "" if self.reduction == Mean() else f", {self.reduction!r}"
        return f"{self.inner!r}.over({self.sampler!r}{reduction})"

    @property
    def unsigned(self) -> bool:
        return self.reduction.unsigned or (self.inner.unsigned and not self.sampler.directed)

    @property
    def unit(self) -> str:
        inner = self.inner.unit
        return self.reduction.unit(times_input(inner) if self.sampler.directed else inner)

    @property
    def passes(self) -> int:
        return self.sampler.passes + self.sampler.most() * self.inner.passes

    def cost(self, draws: Tensor) -> Tensor:
        return self.sampler.passes + draws * self.inner.passes

    def freedom(self, draws: Tensor) -> Tensor | None:
        known = self.reduction.has_stderr or isinstance(self.reduction, Together)  # some of its parts have one
        return draws // self.sampler.block - 1 if self.sampler.random and known else None

    def check(self, query: Query) -> None:
        self.sampler.check(query)
        super().check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return self.sampler.prepare(model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.sampler.check(query)
        query = self.prepare(model, query, schedule)
        rows = torch.arange(len(query), device=query.x.device)  # those still at work
        settled: Estimate | None = None  # of all rows, once some have left
        state: Halving | None = None
        start = 0
        for look in self.sampler.looks():
            while start < look:
                block = self.sampler.block
                points = len(points_in(query))  # several targets of a row ask about the same
                draws = range(start, start + schedule.draws_at_once(points, block, look - start))
                state = self._step(state, model, query, draws, schedule)
                start = draws.stop
                done = self.sampler.passes + start * self.inner.passes
                read = self._reader(state, settled, rows)
                yield Partial(done, self.passes, read, self._judge(read))
            if start == self.sampler.most():
                return
            assert state is not None, "a look has draws before it"
            now = self._final(state)
            assert isinstance(self.sampler.count, Until), "only Until looks before the end"
            going = relative_error(now) > self.sampler.count.tolerance
            settled = place(now, settled, rows)
            if not going.any():
                return
            rows, query, state = rows[going], query.rows(going), state.rows(going)

    def _step(self, state: Halving | None, model: nn.Module, query: Query, draws: range, schedule: Schedule) -> Halving:
        points, weight, direction = self.sampler.draw(query, draws)
        answers = self.inner.estimate(model, query.at(points, draws), schedule).value
        values = answers.view(len(draws), len(query), *answers.shape[1:])  # (k*N, *S) -> (k, N, *S)
        if direction is not None:
            values = _directed(values, direction, query.shape)
        number = draws.start // self.sampler.block
        return gather(self.reduction, state, values, weight, self.sampler.block, number)

    def _final(self, state: Halving) -> Estimate:
        estimate = known(self.reduction, state)
        if not self.sampler.random:
            return estimate._replace(stderr=None, halves=None)
        return estimate if self.sampler.afresh else estimate._replace(halves=None)

    def _reader(self, state: Halving, settled: Estimate | None, rows: Tensor) -> Callable[[], Estimate]:
        return lambda: place(self._final(state), settled, rows)

    def _judge(self, read: Callable[[], Estimate]) -> Callable[[], Tensor | None]:
        tolerance = self.sampler.count.tolerance if isinstance(self.sampler.count, Until) else None
        return lambda: None if tolerance is None else relative_error(read()) <= tolerance

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        if self.reduction != Mean() or not self.inner.is_gradient:
            return None
        return self.sampler.change(model, query, schedule)


@final
@dataclass(frozen=True, repr=False)
class Then(Around):
    """finish(inner(x), x)."""

    inner: Explainer
    finish: Finish

    def __repr__(self) -> str:
        return f"{self.inner!r}.then({self.finish!r})"

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return self.inner.prepare(model, query, schedule)

    @property
    def unsigned(self) -> bool:
        return self.finish.unsigned or (self.finish.keeps_sign and self.inner.unsigned)

    @property
    def unit(self) -> str:
        return self.finish.unit(self.inner.unit)

    def freedom(self, draws: Tensor) -> Tensor | None:
        return self.inner.freedom(draws)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        for partial in self.inner.partials(model, query, schedule):
            yield Partial(partial.done, partial.total, self._reader(partial, query), partial.converged)

    def _reader(self, partial: Partial, query: Query) -> Callable[[], Estimate]:
        def read() -> Estimate:
            value, stderr, draws, halves = (
                at_size(partial.estimate(), query) if self.finish.reads_input else partial.estimate()
            )
            if value.ndim > query.x.ndim:  # (N, R, *S) from Together: each map for itself
                value = torch.stack([self.finish(part, query) for part in value.unbind(1)], dim=1)
                return Estimate(value, None, draws)
            error = None if stderr is None else self.finish.error(stderr, query)
            if halves is not None:
                first, second = (self.finish(half, query) for half in halves[:2])
                halves = Halves(first, second, halves.share)
            return Estimate(self.finish(value, query), error, draws, halves)

        return read


def _directed(values: Tensor, direction: Tensor, shape: torch.Size) -> Tensor:
    """Answers (k, N, ...) times directions, broadcastable to (k, N, *S). An answer of one number for each row is a factor."""
    if math.prod(values.shape[2:]) == 1:
        return values * direction
    maps: Tensor = fitted(values.flatten(0, 1), shape).unflatten(0, values.shape[:2])
    return maps * direction


def at_size(estimate: Estimate, query: Query) -> Estimate:
    """Coarse maps at the size of the rows. Their errors too: an upper bound, the errors of neighbours being in line at worst."""
    value, stderr, draws, halves = estimate
    error = None if stderr is None else fitted(stderr, query.shape)
    if halves is not None:
        halves = Halves(fitted(halves.first, query.shape), fitted(halves.second, query.shape), halves.share)
    return Estimate(fitted(value, query.shape), error, draws, halves)


def _gives_several(method: Explainer) -> bool:
    """Does it end in Together, whatever is done to the maps afterwards?"""
    if isinstance(method, Then):
        return _gives_several(method.inner)
    return isinstance(method, Over) and isinstance(method.reduction, Together)


def times_input(unit: str) -> str:
    """The unit of a map times a difference of inputs.

    >>> times_input("score per unit of input")
    'score'
    """
    return "score" if unit == PER_INPUT else f"{unit} × input"


def relative_error(estimate: Estimate) -> Tensor:
    """||stderr|| / ||value|| per row (N,): 0 for a map without error; infinite where the error is unknown, and for a map of zeros,
    which may only mean that no draw has met anything yet."""
    value, stderr = estimate.value, estimate.stderr
    if stderr is None:
        return torch.full((len(value),), torch.inf, device=value.device)
    error, size = stderr.flatten(1).norm(dim=1), value.flatten(1).norm(dim=1)
    return torch.where(size == 0, torch.full_like(error, torch.inf), error / size)


def place(now: Estimate, settled: Estimate | None, rows: Tensor) -> Estimate:
    """The estimate of all rows: those at work (`rows`) as they stand now, the others as they were left."""
    if settled is None:
        return now

    def put(before: Tensor, after: Tensor) -> Tensor:
        return before.index_copy(0, rows, after)

    stderr = halves = None
    if settled.stderr is not None and now.stderr is not None:
        stderr = put(settled.stderr, now.stderr)
    if settled.halves is not None and now.halves is not None:
        halves = Halves(*map(put, settled.halves, now.halves))
    return Estimate(put(settled.value, now.value), stderr, put(settled.draws, now.draws), halves)
