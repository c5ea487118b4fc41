"""Where the model is asked: samplers are pure functions of the query and the draw number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.shapes import Points, Weights
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod


class Draw(NamedTuple):
    """k points for each of N rows, what each counts, and the factor its answer is multiplied by."""

    points: Points  # (k, N, *S)
    weight: Weights  # (k,)
    direction: Tensor | None = None  # broadcastable to (k, N, *S); None: 1


@final
@dataclass(frozen=True, repr=False)
class Until(Value):
    """As many samples as it takes: stop a row when ||stderr|| / ||map|| <= `tolerance`.

    Looked at only at `least`, 2 `least`, 4 `least`, ... and `most` draws, so that the answer does not depend on the chunk size;
    where draws come in blocks of eight, at 8 blocks first.
    """

    tolerance: float = 0.1
    least: int = 16
    most: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tolerance < math.inf:
            raise BadMethod(f"Until needs a finite tolerance > 0, got {self.tolerance}")
        if not 2 <= self.least <= self.most:
            raise BadMethod(f"Until needs 2 <= least <= most, got least={self.least}, most={self.most}")


class Sampler(Value, ABC):
    """Points x_k, weights and directions for draw numbers k = 0, 1, 2, ..."""

    random: bool = True  # do answers scatter, so that a standard error has a meaning? (not on a quadrature)
    afresh: bool = True  # is all that another seed would change drawn anew for each draw? (not a random baseline)
    directed: bool = False  # are answers multiplied by a direction, a difference of inputs?
    weighted: bool = False  # may weights differ from draw to draw?

    @property
    @abstractmethod
    def count(self) -> int | Until:
        """How many draws."""

    @property
    def block(self) -> int:
        """How many consecutive draws depend on each other: 2 for antithetic pairs, 8 for a Latin hypercube."""
        return 1

    @property
    def mirrored(self) -> int:
        """How many consecutive draws mirror each other, so that all else must be the same for them: 2 for antithetic pairs."""
        return 1

    @property
    def passes(self) -> int:
        """Model passes per row that `prepare` takes."""
        return 0

    def check(self, query: Query) -> None:
        """Raise where these rows cannot be drawn from. Asked of all rows, before any work."""

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        """Once per run, before any draw: note what depends on the model. Asked twice, it keeps the first answer."""
        return query

    @abstractmethod
    def draw(self, query: Query, draws: range) -> Draw:
        """Draws of the given numbers, the same whenever they are asked for."""

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        """score(x) - score(baseline) per row (N,), for paths; None elsewhere."""
        return None

    def most(self) -> int:
        """The largest number of draws."""
        return self.count.most if isinstance(self.count, Until) else self.count

    def looks(self) -> Iterator[int]:
        """The draw numbers at which a row may stop; the last is the end. Whole blocks, and at least two: one has no error.

        Blocks larger than a pair are few where draws are many, and an error from two or three of them means little: at least 8.
        """
        if isinstance(self.count, Until):
            look = max(self.count.least, (2 if self.block <= 2 else 8) * self.block)
            while look < self.count.most:
                yield -(-look // self.block) * self.block
                look *= 2
        yield self.most()
