"""What is asked of the network: which number of its output the map explains.

Scores are pre-softmax, unless `Probability` is asked for. A target is resolved once, on the clean input: noise must not
change the question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from smoothgrad.core.query import pick
from smoothgrad.core.value import Value
from smoothgrad.errors import BadTarget


class Target(Value, ABC):
    """Which score: `resolve` finds the class on the clean output, `score` reads it from any output."""

    _fault = BadTarget

    @property
    def kind(self) -> str:
        """What the number is: "score", "probability", "log probability", "contrast" or "function"."""
        return "score"

    @abstractmethod
    def resolve(self, output: Tensor) -> Tensor:
        """The output (N, ...) on the clean input to what identifies the target of each row: (N,), or (N, 2) for pairs.

        Of `Each`: (N, T), for T targets of each row.
        """

    @abstractmethod
    def score(self, output: Tensor, index: Tensor) -> Tensor:
        """Output (N, ...) and what `resolve` gave for these rows, to one score per row (N,)."""


@final
@dataclass(frozen=True, repr=False)
class Top(Target):
    """The class with the highest score on the clean input; `rank=1` the second highest, and so on."""

    rank: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 0:
            raise BadTarget(f"Top needs rank >= 0, got {self.rank}")

    def resolve(self, output: Tensor) -> Tensor:
        classes = _classes(output)
        if self.rank >= classes:
            raise BadTarget(f"Top(rank={self.rank}) of {classes} classes; ranks go from 0 to {classes - 1}")
        return output.topk(self.rank + 1, dim=1).indices[:, -1]

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return pick(output, index)


@final
@dataclass(frozen=True, repr=False)
class Class(Target):
    """The same class for every row."""

    index: int

    def resolve(self, output: Tensor) -> Tensor:
        return _checked(torch.full((len(output),), self.index, device=output.device), output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return pick(output, index)


@final
@dataclass(frozen=True, repr=False)
class Classes(Target):
    """A class for each row, in the order of the rows."""

    indices: tuple[int, ...]

    def resolve(self, output: Tensor) -> Tensor:
        if len(self.indices) != len(output):
            raise BadTarget(f"{len(self.indices)} targets for {len(output)} rows; give one target, or one per row")
        return _checked(torch.tensor(self.indices, device=output.device), output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return pick(output, index)


@final
@dataclass(frozen=True, repr=False)
class Contrast(Target):
    """Why this class rather than that one: the difference of two scores. Ranks or classes, as targets.

    >>> Contrast(Top(), Top(rank=1)).score(torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[1, 2]]))
    tensor([3.])
    """

    this: Target = Top()
    that: Target = Top(rank=1)
    kind = "contrast"

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in (self.this, self.that):
            if not isinstance(part, Top | Class | Classes):
                raise BadTarget(f"Contrast takes Top, Class or Classes on both sides, got {part!r}")

    def resolve(self, output: Tensor) -> Tensor:
        pair = torch.stack([self.this.resolve(output), self.that.resolve(output)], dim=1)
        same = (pair[:, 0] == pair[:, 1]).nonzero().flatten().tolist()
        if same:
            raise BadTarget(
                f"{self!r} compares class {int(pair[same[0], 0])} with itself in row {same[0]}: the difference is zero "
                "everywhere; give two classes"
            )
        return pair

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return pick(output, index[:, 0]) - pick(output, index[:, 1])


@final
@dataclass(frozen=True, init=False)
class Each(Target):
    """Several targets, each explained for itself: a map per row and target, from the same points and one forward pass for all.

    The result has N * T rows: those of the first input for each of the T targets, then those of the second, ...

    >>> Each(Top(), Top(rank=1), 3).resolve(torch.tensor([[1.0, 5.0, 2.0, 0.0]]))
    tensor([[1, 2, 3]])
    """

    targets: tuple[Target, ...]

    def __init__(self, *targets: Target | int) -> None:
        object.__setattr__(self, "targets", tuple(as_target(part) for part in targets))
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [part for part in self.targets if not isinstance(part, Top | Class | Classes | Contrast)]
        if wrong or not self.targets:
            got = repr(wrong[0]) if wrong else "nothing"
            raise BadTarget(f"Each takes one or more of Top, Class, Classes or Contrast, or class numbers; got {got}")

    def __repr__(self) -> str:
        return f"Each({', '.join(map(repr, self.targets))})"

    def resolve(self, output: Tensor) -> Tensor:
        parts = [part.resolve(output) for part in self.targets]
        if all(part.ndim == 1 for part in parts):
            return torch.stack(parts, dim=1)
        # Beside contrasts, a class is a pair without a second.
        alone = torch.full((len(output),), -1, device=output.device)
        return torch.stack([torch.stack([part, alone], 1) if part.ndim == 1 else part for part in parts], dim=1)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        if index.ndim == 1:
            return pick(output, index)
        this, that = index.unbind(1)
        return pick(output, this) - pick(output, that.clamp_min(0)) * (that >= 0)


@final
@dataclass(frozen=True, repr=False)
class Probability(Target):
    """The softmax probability of a target, in [0, 1]; `log=True` its logarithm. Its gradient vanishes as it nears 1."""

    of: Target = Top()
    log: bool = False

    @property
    def kind(self) -> str:
        return "log probability" if self.log else "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.of, Top | Class | Classes):
            raise BadTarget(f"Probability takes Top, Class or Classes, got {self.of!r}")

    def resolve(self, output: Tensor) -> Tensor:
        if _classes(output) == 1:
            raise BadTarget(
                "the softmax of a single output is always 1; explain the output itself, or its sigmoid: "
                "target=lambda output: output[:, 0].sigmoid()"
            )
        return self.of.resolve(output)

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        log = pick(output.log_softmax(1), index)
        return log if self.log else log.exp()


@final
@dataclass(frozen=True, repr=False)
class Score(Target):
    """Any differentiable function of the output, (N, ...) to one score per row (N,)."""

    function: Callable[[Tensor], Tensor]
    kind = "function"

    def resolve(self, output: Tensor) -> Tensor:
        return torch.full((len(output),), -1, device=output.device)  # no class

    def score(self, output: Tensor, index: Tensor) -> Tensor:
        return self.function(output)

    def __repr__(self) -> str:
        return f"Score({getattr(self.function, '__qualname__', repr(self.function))})"


TargetLike: TypeAlias = "Target | int | Tensor | Callable[[Tensor], Tensor] | None"


def as_target(target: TargetLike) -> Target:
    """None (the top class), a class, a tensor of N classes, a Target, or a callable of the output.

    >>> as_target(3)
    Class(index=3)
    """
    if target is None:
        return Top()
    if isinstance(target, Target):
        return target
    if isinstance(target, bool):
        raise BadTarget(f"the target is {target}; give a class index, a tensor of them, a Target, or a callable")
    if isinstance(target, int | np.integer):
        return Class(int(target))
    if isinstance(target, Tensor):
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool or target.ndim > 1:
            raise BadTarget(
                f"a tensor of targets must be integers of shape (N,), got {target.dtype} of shape {tuple(target.shape)}"
            )
        return Class(int(target)) if target.ndim == 0 else Classes(tuple(target.tolist()))
    if callable(target):
        return Score(target)
    raise BadTarget(
        f"the target is a {type(target).__name__}; give None, a class index, a tensor of them, a Target, or a callable"
    )


def _classes(output: Tensor) -> int:
    if output.ndim != 2:
        example = "output" if output.ndim == 1 else f"output.mean({tuple(range(1, output.ndim))})"
        raise BadTarget(
            f"the output has shape {tuple(output.shape)}, not (rows, classes); give a callable that makes one score "
            f"per row of it, such as target=lambda output: {example}"
        )
    return output.shape[1]


def _checked(index: Tensor, output: Tensor) -> Tensor:
    classes = _classes(output)
    wrong = index[(index < 0) | (index >= classes)]
    if len(wrong):
        raise BadTarget(f"class {int(wrong[0])} of a network with {classes} classes; give 0 to {classes - 1}")
    return index
