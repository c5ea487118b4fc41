"""Two maps that should be equal: where they differ most, against what may explain it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from smoothgrad.axioms.question import STDERRS, NotAsked
from smoothgrad.axioms.verdict import Counterexample, Verdict
from smoothgrad.result import Attribution


class Finding(NamedTuple):
    """The worst of one comparison."""

    error: float
    allowed: float
    example: Counterexample

    @property
    def holds(self) -> bool:
        return self.error <= self.allowed

    @property
    def excess(self) -> float:
        """The error in units of what is allowed."""
        return self.error / self.allowed if self.allowed > 0 else (0.0 if self.error == 0 else math.inf)


def worst(findings: Iterable[Finding]) -> Finding:
    """The one that exceeds what is allowed most; of those without any error the one that could have had the largest."""
    return max(findings, key=lambda one: (one.excess, one.allowed))


def verdict(axiom: str, finding: Finding, asked: str) -> Verdict:
    """Of the worst finding: its example is shown only where it is one against the axiom."""
    example = None if finding.holds else finding.example
    return Verdict(axiom, finding.holds, finding.error, finding.allowed, example, asked)


class Pair(NamedTuple):
    """Two maps of each row (N, *S) that should be equal, and how far apart they may be."""

    first: Tensor
    second: Tensor
    allowed: Tensor  # broadcastable to (N, *S)

    def finding(
        self, networks: tuple[str, str], inputs: tuple[Tensor, Tensor], say: Callable[[int, tuple[int, ...]], str]
    ) -> Finding:
        """Where they are furthest apart. Raises `NotAsked` for maps with NaN."""
        gap = (self.first - self.second).abs()
        if not bool(gap.isfinite().all()):
            raise NotAsked("a map holds NaN or infinity")
        allowed = self.allowed.expand_as(gap)
        beyond = torch.where(gap > 0, gap / allowed, torch.zeros_like(gap))
        # Where nothing differs, the value that could have differed most: not that of a row of zeros.
        most = beyond if bool(beyond.any()) else allowed
        row, *place = (int(part) for part in torch.unravel_index(most.argmax(), gap.shape))
        at = (row, *place)
        example = Counterexample(
            row,
            tuple(place),
            networks,
            (inputs[0][row], inputs[1][row]),
            (self.first[row], self.second[row]),
            (float(self.first[at]), float(self.second[at])),
            say(row, tuple(place)),
        )
        return Finding(float(gap[at]), float(allowed[at]), example)


def largest(*maps: Tensor) -> Tensor:
    """The largest absolute value in any map of each row, (N, 1, ...)."""
    sizes = [part.abs().flatten(1).amax(1) for part in maps]
    return torch.stack(sizes).amax(0).view(-1, *([1] * (maps[0].ndim - 1)))


def chance(first: Attribution, *others: Attribution) -> Tensor:
    """What chance may explain between maps of the same numbers: nothing; of other numbers of draws, 4 standard errors of each."""
    nothing = torch.zeros_like(first.maps, dtype=torch.float64)
    if all(torch.equal(first.draws, other.draws) for other in others):
        return nothing
    errors = [one.stderr.double() for one in (first, *others) if one.stderr is not None]
    return STDERRS * torch.stack(errors).sum(0) if errors else nothing


def number(value: float) -> str:
    """
    >>> number(0.123456), number(0.0)
    ('0.1235', '0')
    """
    return f"{value:.4g}"


def spot_in_words(place: tuple[int, ...]) -> str:
    """
    >>> spot_in_words((0, 3, 4)), spot_in_words((2,))
    ('value (0, 3, 4)', 'value 2')
    """
    return f"value {place[0]}" if len(place) == 1 else f"value {place}"
