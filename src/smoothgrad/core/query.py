"""What is asked: rows that travel together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from smoothgrad.core.noise import mix
from smoothgrad.core.shapes import Baselines, Keys, Points, Rows, Scores, Targets
from smoothgrad.errors import BadTarget

Scorer: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (output (N, ...), target (N, ...)) -> scores (N,)


def pick(output: Float[Tensor, "n classes"], target: Int[Tensor, n]) -> Scores:
    """The score of one class per row, s_i = output[i, target[i]]:  (N, K), (N,) -> (N,).

    >>> pick(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return output.gather(1, target[:, None])[:, 0]


@dataclass(frozen=True)
class Query:
    """The rows being asked about. Every tensor has N rows, and all are repeated and selected together."""

    x: Rows  # (N, *S) where the model is asked
    origin: Rows  # (N, *S) the input being explained: sets the noise scale, also along a path
    target: Targets  # (N, ...) resolved once on the clean input: noise must not change the question
    key: Keys  # (N,) int64 identity of the row for randomness, the seed mixed in; on the CPU
    row: Keys  # (N,) which of the inputs of the call this is, for what the user gives row by row
    inputs: int  # how many inputs the call has, of which these rows may be a part
    context: tuple[Tensor, ...] = ()  # other inputs of the model
    baseline: Baselines | None = None  # (N, B, *S) what a path starts from, set by the path's `prepare`
    scorer: Scorer = pick  # output, target -> one score per row
    twins: int = 1  # how many rows next to each other may ask about the same point, for several targets
    parts: tuple[int, ...] = ()  # of a row that several inputs are packed into: how many of its values are each one's
    seed: int = 0  # of the run, mixed into `key` already: for what all rows share, such as disturbed weights

    @staticmethod
    def of(
        x: Rows,
        target: int | Targets,
        *,
        seed: int = 0,
        keys: Keys | None = None,
        context: tuple[Tensor, ...] = (),
        scorer: Scorer = pick,
    ) -> Query:
        """Rows x (N, *S) with a target each, under a seed. `keys` names the rows; default 0..N-1.

        >>> Query.of(torch.zeros(2, 3), target=1).target
        tensor([1, 1])
        """
        if isinstance(target, int):
            target = torch.full((len(x),), target, device=x.device)
        row = torch.arange(len(x), device="cpu")
        keys = row if keys is None else keys
        return Query(
            x, x, target, mix(torch.full_like(keys, seed), keys), row, len(x), context, None, scorer, seed=seed
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> torch.Size:
        """S, the shape of one row."""
        return self.x.shape[1:]

    def at(self, points: Points, draws: range) -> Query:
        """The same questions asked at points (k, N, *S), one for each draw: k * N rows.

        The ONLY place where rows are repeated for draws. Each repeated row gets a key of its own, so that a sampler inside a
        sampler draws afresh for each.
        """
        k = len(draws)
        keys = torch.stack([mix(self.key, torch.full_like(self.key, draw + 1)) for draw in draws])
        return Query(
            x=points.flatten(0, 1),  # (k, N, *S) -> (k*N, *S)
            origin=_repeat(self.origin, k),
            target=_repeat(self.target, k),
            key=keys.flatten(),
            row=_repeat(self.row, k),
            inputs=self.inputs,
            context=tuple(_repeat(part, k) for part in self.context),
            scorer=self.scorer,
            twins=self.twins,
            parts=self.parts,
            seed=self.seed,
        )

    def for_each(self, targets: Targets) -> Query:
        """Every row asked for each of T targets (N, T, ...), next to each other: N * T rows, at the same points."""
        times = targets.shape[1]

        def copies(rows: Tensor) -> Tensor:
            return rows.repeat_interleave(times, 0)

        return replace(
            self,
            x=copies(self.x),
            origin=copies(self.origin),
            target=targets.flatten(0, 1),  # (N, T, ...) -> (N*T, ...)
            key=copies(self.key),
            row=copies(self.row),
            context=tuple(map(copies, self.context)),
            twins=times,
        )

    def rows(self, index: Tensor | slice) -> Query:
        """Some of the rows, by index (M,) or slice."""
        here = index.to(self.key.device) if isinstance(index, Tensor) else index
        return Query(
            x=self.x[index],
            origin=self.origin[index],
            target=self.target[index],
            key=self.key[here],
            row=self.row[here],
            inputs=self.inputs,
            context=tuple(part[index] for part in self.context),
            baseline=None if self.baseline is None else self.baseline[index],
            scorer=self.scorer,
            twins=self.twins,
            parts=self.parts,
            seed=self.seed,
        )

    def split(self, size: int) -> Iterator[Query]:
        """The rows in pieces of at most `size`."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            yield self.rows(slice(start, start + size))

    def with_x(self, x: Rows) -> Query:
        """The same questions asked at x (N, *S), one for each row."""
        return replace(self, x=x)

    def with_baseline(self, baseline: Baselines) -> Query:
        """The same rows with what a path starts from, (N, B, *S)."""
        return replace(self, baseline=baseline)

    def scores(self, output: Tensor) -> Scores:
        """One score per row from the model's output: (N, ...) -> (N,). Raises `BadTarget` for any other shape."""
        score = self.scorer(output, self.target)
        if not isinstance(score, Tensor) or score.shape != (len(self),):
            got = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
            raise BadTarget(
                f"the target must give one score per row, shape ({len(self)},); it gave {got} from an output of "
                f"shape {tuple(output.shape)}"
            )
        return score


def _repeat(rows: Tensor, k: int) -> Tensor:
    """(N, ...) -> (k*N, ...): the whole block of rows, k times over."""
    return rows if k == 1 else rows.repeat(k, *([1] * (rows.ndim - 1)))
