"""What is asked, and the maps and scores that the axioms ask for. Everything that comes back is on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn

from smoothgrad.checks import refusals
from smoothgrad.core import ask
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.noise import mix
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Data, Value, fields_of
from smoothgrad.errors import SmoothGradError
from smoothgrad.explain import explain
from smoothgrad.measure.places import Places, over_channels, places_of
from smoothgrad.recipe import data_in
from smoothgrad.result import Attribution
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.targets import Target

REPEATS = 8  # maps with numbers of their own, where the error of a sum over places is to be known
STDERRS = 4  # what chance may explain: a false alarm in 16,000 values that are normal


class NotAsked(Exception):
    """Why an axiom cannot be asked of this method, this model or these rows."""


# What a method may raise on one network and not on another: what the library refuses, in which is what the network itself raises
# when it is first asked (`checks.refusals`), and what torch raises. A TypeError or an IndexError is a mistake, and is seen.
FAULTS = (NotAsked, SmoothGradError, RuntimeError)


@final
@dataclass(frozen=True, repr=False)
class Fixed(Target):
    """A target as it was resolved on the rows that the user gave: other networks and other inputs must not change the question."""

    inner: Target
    index: Data

    @property
    def kind(self) -> str:
        return self.inner.kind

    def resolve(self, output: Tensor) -> Tensor:
        return self.index.tensor.to(output.device)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return self.inner.score(output, index)


@final
@dataclass(frozen=True, eq=False)
class Question:
    """A method, a model and rows that have been checked."""

    given: nn.Module  # the user's network
    model: nn.Module  # a prepared copy of it, or itself: what the networks of the axioms are put around
    x: Tensor  # (N, *S), on the CPU
    device: torch.device  # where the model computes
    method: Explainer
    target: Target
    index: Tensor  # (N, ...) what the target was resolved to
    output: Tensor  # (N, ...) of the network
    context: tuple[Tensor, ...]
    seed: int
    keys: Tensor  # (N,)
    chunk: int | None
    own: Attribution  # the method's maps of the model

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def all(self) -> Tensor:
        """The numbers of the rows (N,)."""
        return torch.arange(len(self))

    @property
    def places(self) -> Places:
        return places_of(self.query(self.x, self.all))

    def maps(
        self,
        model: nn.Module | None = None,
        x: Tensor | None = None,
        rows: Tensor | None = None,
        *,
        target: Target | None = None,
        keys: Tensor | None = None,
    ) -> Attribution:
        """The method's maps of a network, at inputs (M, *S) that stand for `rows` (M,) of the question; default all."""
        rows = self.all if rows is None else rows
        return explain(
            self.model if model is None else model,
            (self.x[rows] if x is None else x).to(self.device),
            method=self.method,
            target=target or Fixed(self.target, Data(self.index[rows])),
            context=tuple(part[rows].to(self.device) for part in self.context),
            seed=self.seed,
            keys=self.keys[rows] if keys is None else keys,
            chunk=self.chunk,
        )

    def scores(self, x: Tensor, rows: Tensor) -> Tensor:
        """The model's scores (M,) at inputs (M, *S) that stand for `rows`, float64."""
        query = self.query(x, rows)
        with refusals(self.model, (query.x,)):
            return ask.scores(self.model, query, self.schedule).cpu().double()

    def query(self, x: Tensor, rows: Tensor) -> Query:
        """Inputs as `explain` would ask about them."""
        place = self.device
        return Query.of(
            x.to(place),
            self.index[rows].to(place),
            seed=self.seed,
            keys=self.keys[rows],
            context=tuple(part[rows].to(place) for part in self.context),
            scorer=self.target.score,
        )

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.chunk) if self.chunk else Schedule.for_rows(self.x.shape[1:])

    # --- baselines ----------------------------------------------------------------------------------------------------

    @property
    def start(self) -> str:
        """What the method starts from, in words."""
        found = next(_baselines(self.method), None)
        return "zeros" if found is None or found == Zero() else f"the method's own baseline {found!r}"

    def starts(self, x: Tensor, rows: Tensor) -> Tensor:
        """The method's own baseline for inputs (M, *S); zeros where it has none. Raises `NotAsked` where it has no single one."""
        found = next(_baselines(self.method), None)
        if found is None:
            if data_in(self.method):
                raise NotAsked("the method starts from many rows of its own data, not from one baseline")
            if self.own.completeness is not None and not self.method.absorbs:
                raise NotAsked("the method's path starts from what it makes of the row itself, not from a baseline")
            return torch.zeros_like(x)
        if found.each != 1:
            raise NotAsked(f"the method starts from {found.each} baselines for each row, not from one")
        with torch.enable_grad():
            return found.of(self.model, self.query(x, rows), self.schedule)[:, 0].detach().cpu()

    # --- chance -------------------------------------------------------------------------------------------------------

    @cached_property
    def random(self) -> bool:
        """Would other numbers give other maps? Where no standard error says so, it is tried."""
        return self.own.stderr is not None or not torch.equal(self.maps(keys=self.afresh(1)).maps, self.own.maps)

    def afresh(self, number: int) -> Tensor:
        """Keys (N,) that give the rows other random numbers."""
        return mix(self.keys, torch.full_like(self.keys, number)) if number else self.keys

    # --- places -------------------------------------------------------------------------------------------------------

    def at(self, places: Tensor) -> Tensor:
        """Which values of a row stand at places, from (..., P) bool to what broadcasts to rows."""
        return over_channels(places, self.query(self.x, self.all))

    def at_places(self, values: Tensor) -> Tensor:
        """Values of rows (M, *S) with the places last: (M, C, P), C = 1 for rows without channels."""
        return values.flatten(2) if self.places.channels else values.flatten(1)[:, None]

    def spot(self, channel: int, place: int) -> tuple[int, ...]:
        """Where in a row a value stands."""
        there = tuple(int(part) for part in torch.unravel_index(torch.tensor(place), self.places.shape))
        return (channel, *there) if self.places.channels else there

    @cached_property
    def ranked(self) -> Tensor:
        """The places (P,), those first that matter most in the method's maps of all rows: where a fault would be seen."""
        size = self.at_places(self.own.maps.double().abs()).sum(1)
        return (size / size.amax(1, keepdim=True).clamp_min(1e-300)).sum(0).argsort(descending=True, stable=True)


def _baselines(piece: Any) -> Iterator[Baseline]:
    """The baselines in a method, from the outside in."""
    if isinstance(piece, Baseline):
        yield piece
    elif isinstance(piece, Value):
        for _, held in fields_of(piece):
            yield from _baselines(held)


def spread(low: float, high: float, share: float) -> float:
    """A number between two that no value of the rows is likely to hit exactly."""
    return low + share * (high - low) if high > low else low - 0.3 * max(1.0, abs(low))
