"""What a path starts from: an input in which the thing to explain is absent.

A baseline is found once per run, for all rows: (N, B, *S), B baselines for each row. A path with several goes through each.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core import noise as numbers
from smoothgrad.core.ask import gradients, outputs
from smoothgrad.core.query import Query, pick
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Data, Value
from smoothgrad.errors import BadBaseline, BadMethod
from smoothgrad.samplers.cloud import Unit, check_range, extremes, scale
from smoothgrad.samplers.scale_space import blur


class Baseline(Value, ABC):
    """Finds what the path of each row starts from."""

    _fault = BadBaseline
    random: bool = False  # would another seed give another baseline?

    @property
    def each(self) -> int:
        """B, the number of baselines per row."""
        return 1

    @property
    def passes(self) -> int:
        """Model passes per row that finding it takes."""
        return 0

    def check(self, query: Query) -> None:
        """Raise where there is none for such rows, as far as that is known without the model."""

    @abstractmethod
    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        """(N, B, *S) for the query's rows. Raises `BadBaseline` where there is none for such rows."""


@final
@dataclass(frozen=True, repr=False)
class Constant(Baseline):
    """The same value everywhere, in the units of the input; or one value per channel, or for each of several inputs."""

    value: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        values = tuple(self.value) if isinstance(self.value, Sequence) else (self.value,)
        if not all(math.isfinite(value) for value in values):
            raise BadBaseline(f"Constant needs finite values, got {self.value}")
        if isinstance(self.value, Sequence):
            # A list could be neither hashed nor compared with the tuple that a recipe gives.
            object.__setattr__(self, "value", values)

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        value = torch.as_tensor(self.value, dtype=query.x.dtype, device=query.x.device)
        if value.ndim and query.parts:
            if len(value) != len(query.parts):
                raise BadBaseline(
                    f"{self!r} has {len(value)} values for {len(query.parts)} inputs; give one value, or one for each input"
                )
            value = torch.cat([one.expand(size) for one, size in zip(value, query.parts, strict=True)])
        elif value.ndim:
            channels = query.shape[0] if query.shape else 0
            if len(value) != channels:
                raise BadBaseline(
                    f"{self!r} has {len(value)} values, the input rows have shape {tuple(query.shape)}; give one value, or "
                    "one per channel"
                )
            value = value.view(-1, *([1] * (len(query.shape) - 1)))
        return _one(value.expand(query.x.shape))


@final
@dataclass(frozen=True, repr=False)
class Zero(Baseline):
    """All zeros: in a normalised picture the mean colour, in a plain one black (Sundararajan et al. 2017)."""

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return _one(torch.zeros_like(query.x))


@final
@dataclass(frozen=True, repr=False)
class White(Baseline):
    """The largest value of each channel of each row: the nearest to white that the row shows, whatever its units.

    Of several inputs, the largest value of each.
    """

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return _one(extremes(query.origin, "channel", query.parts)[1].expand(query.x.shape))


@final
@dataclass(frozen=True, repr=False)
class Black(Baseline):
    """The smallest value of each channel of each row: the nearest to black that the row shows, whatever its units.

    Of several inputs, the smallest value of each.
    """

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return _one(extremes(query.origin, "channel", query.parts)[0].expand(query.x.shape))


@final
@dataclass(frozen=True, repr=False)
class ChannelMean(Baseline):
    """The mean of each channel of each row: of a picture its mean colour.

    Of rows without channels (D,) the mean of all values; of several inputs, the mean of each.
    """

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        return _one(_means(query).expand(query.x.shape))


@final
@dataclass(frozen=True, repr=False)
class Noise(Baseline):
    """Gaussian noise around the row's mid-range, of standard deviation `noise` in the given unit; `samples` of them per row.

    Drawn by the row's key: the same row has the same baseline in any batch.
    """

    noise: float = 0.25
    samples: int = 1
    unit: Unit = "range"

    random = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise BadMethod(f"Noise needs noise >= 0, got {self.noise}")
        _check_count(self, self.samples)

    @property
    def each(self) -> int:
        return self.samples

    def check(self, query: Query) -> None:
        check_range(query, self.noise, self.unit)

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        e = numbers.normal(numbers.salted(query.key, "baseline"), range(self.samples), query.shape).to(query.x)
        low, high = extremes(query.origin, self.unit, query.parts)
        middle = (low + high) / 2
        return (middle + scale(query, self.noise, self.unit) * e).movedim(0, 1)  # (B, N, *S) -> (N, B, *S)


@final
@dataclass(frozen=True, repr=False)
class Blurred(Baseline):
    """The picture itself under a Gaussian blur of standard deviation `sigma` pixels, edges reflected. Rows (C, H, W) or (C, T)."""

    sigma: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise BadMethod(f"Blurred needs sigma > 0, got {self.sigma}")

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        if len(query.shape) not in (2, 3):
            raise BadBaseline(
                f"Blurred needs rows (C, H, W) or (C, T), got {_rows_in(query)}; use Zero(), Constant(...) or FromData(...)"
            )
        return _one(blur(query.x, self.sigma).rows)


@final
@dataclass(frozen=True, repr=False)
class Given(Baseline):
    """Your own: rows of shape S (for every input), (1, *S), or (N, *S) (one for each input).

    Of several inputs that are explained together, packed into rows: `Given(pack((a, b)))`.
    """

    rows: Tensor | Data

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rows", _as_data(self.rows, self))

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        rows = _tensor(self.rows).to(query.x)
        if rows.shape == query.shape:
            rows = rows[None]
        if rows.shape[1:] != query.shape or len(rows) not in (1, query.inputs):
            raise BadBaseline(
                f"baseline has shape {tuple(_tensor(self.rows).shape)}, the {query.inputs} input rows have shape "
                f"{tuple(query.shape)} each; pass one row, or one per input{_packed_first(query)}"
            )
        # By the input's number, not its place: samplers around the path repeat rows, and finished ones leave.
        return _one(rows.expand(query.x.shape) if len(rows) == 1 else rows[query.row.to(rows.device)])


@final
@dataclass(frozen=True, repr=False)
class FromData(Baseline):
    """`samples` rows of your data (M, *S) for each input, chosen at random by the input's key, with replacement."""

    data: Tensor | Data
    samples: int = 10

    random = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "data", _as_data(self.data, self))
        _check_count(self, self.samples)

    @property
    def each(self) -> int:
        return self.samples

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        data = check_data(_tensor(self.data), query)
        chosen = choose(data, numbers.salted(query.key, "baseline"), range(self.samples))
        return chosen.to(query.x).movedim(0, 1)


@final
@dataclass(frozen=True, repr=False)
class Adversarial(Baseline):
    """What the network takes for another class, near the input: PGD (Madry et al. 2018) from the input towards `target`.

    x_{t+1} = clip(x_t + step * sign(d/dx [s_target - s_now])), within `radius` of x in each value; radius and step are
    fractions of the row's range, and step = 2.5 radius / steps. `target=None`: the runner-up class of each row. It goes as far as
    that goes: with a small radius the network may still see what it saw. Raises `BadBaseline` for a row that already is `target`.
    """

    radius: float = 0.1
    steps: int = 20
    target: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.radius < math.inf or self.steps < 1:
            raise BadMethod(
                f"Adversarial needs a finite radius > 0 and steps >= 1, got radius={self.radius}, steps={self.steps}"
            )

    @property
    def passes(self) -> int:
        return self.steps + 1

    def check(self, query: Query) -> None:
        check_range(query, self.radius, "range")

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        now, other = self._classes(model, query, schedule)
        asked = replace(query, target=torch.stack([now, other], 1), scorer=_rise)
        low, high = extremes(query.origin, "range", query.parts)
        radius = self.radius * (high - low)
        x = query.x
        for _ in range(self.steps):
            step = (2.5 / self.steps) * radius * gradients(model, asked.with_x(x), schedule).sign()
            x = (x + step).clamp(query.x - radius, query.x + radius).clamp(low, high)
        return _one(x)

    def _classes(self, model: nn.Module, query: Query, schedule: Schedule) -> tuple[Tensor, Tensor]:
        output = outputs(model, query, schedule)
        if output.ndim != 2 or output.shape[1] < 2:
            raise BadBaseline(
                f"Adversarial needs an output of shape (rows, classes) with 2 classes or more, got {tuple(output.shape)}"
            )
        if self.target is not None and not 0 <= self.target < output.shape[1]:
            raise BadBaseline(
                f"Adversarial(target={self.target}) of a network with {output.shape[1]} classes; give 0 to {output.shape[1] - 1}"
            )
        best = output.topk(2, dim=1).indices
        other = best[:, 1] if self.target is None else torch.full_like(best[:, 1], self.target)
        already = (best[:, 0] == other).nonzero().flatten().tolist()
        if already:
            raise BadBaseline(
                f"Adversarial(target={self.target}): the network already takes row {int(query.row[already[0]])} for that class; "
                "give another, or None for each row's runner-up"
            )
        return best[:, 0], other


@final
@dataclass(frozen=True, init=False)
class Several(Baseline):
    """Several baselines, whose paths are averaged: the map sums to score(x) minus the mean score of the baselines.

    >>> Several(Black(), White()).each
    2
    """

    baselines: tuple[Baseline, ...]

    def __init__(self, *baselines: Baseline) -> None:
        if not baselines:
            raise BadMethod("Several needs at least one baseline, such as Several(Black(), White())")
        object.__setattr__(self, "baselines", baselines)
        self.__post_init__()

    def __repr__(self) -> str:
        return f"Several({', '.join(map(repr, self.baselines))})"

    @property
    def random(self) -> bool:  # type: ignore[override]
        return any(part.random for part in self.baselines)

    @property
    def each(self) -> int:
        return sum(part.each for part in self.baselines)

    @property
    def passes(self) -> int:
        return sum(part.passes for part in self.baselines)

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        # Keys of their own: two random baselines are two, also when they are equal.
        asked = [replace(query, key=numbers.salted(query.key, f"part {i}")) for i in range(len(self.baselines))]
        found = [part.of(model, own, schedule) for part, own in zip(self.baselines, asked, strict=True)]
        return torch.cat(found, dim=1)

    def check(self, query: Query) -> None:
        for part in self.baselines:
            part.check(query)


# --- shared ----------------------------------------------------------------------------------------------------------------


def based(baseline: Baseline, model: nn.Module, query: Query, schedule: Schedule) -> Query:
    """The query with its baselines, found if they are not yet."""
    if query.baseline is not None:
        return query
    return query.with_baseline(baseline.of(model, query, schedule))


def starts(query: Query, which: list[int]) -> Tensor:
    """The baseline of each draw: (N, B, *S) to (k, N, *S)."""
    if query.baseline is None:
        raise BadMethod("points are drawn only from a query that its prepare() has given a baseline")
    return query.baseline[:, which].movedim(1, 0)


def check_data(data: Tensor, query: Query) -> Tensor:
    """Background data must hold rows of the inputs' shape: raises `BadBaseline`."""
    if data.shape[1:] != query.shape or not len(data):
        raise BadBaseline(
            f"the data has shape {tuple(data.shape)}, input rows have shape {tuple(query.shape)}; pass data of shape "
            f"(M, {', '.join(map(str, query.shape))}){_packed_first(query)}"
        )
    return data


def _packed_first(query: Query) -> str:
    return ", packed from the inputs by pack((a, b))" if query.parts else ""


def _rows_in(query: Query) -> str:
    return f"{len(query.parts)} inputs packed into rows" if query.parts else f"rows of shape {tuple(query.shape)}"


def choose(data: Tensor, keys: Tensor, draws: range) -> Tensor:
    """One random row of the data for each draw and key: (k, N, *S)."""
    u = numbers.uniform(keys, draws, torch.Size([1])).squeeze(-1).double()
    return data[(u * len(data)).long().clamp_max(len(data) - 1)]


def _rise(output: Tensor, classes: Tensor) -> Tensor:
    """s_other - s_now, for classes (N, 2) = (now, other)."""
    return pick(output, classes[:, 1]) - pick(output, classes[:, 0])


def _means(query: Query) -> Tensor:
    """The mean of each channel of each row, or of each of the inputs packed into it, shaped to broadcast against the rows."""
    rows = query.origin
    if query.parts:
        return torch.cat([part.mean(1, keepdim=True).expand_as(part) for part in rows.split(list(query.parts), 1)], 1)
    start = 2 if rows.ndim > 2 else 1  # (N, C, ...): over what follows the channel
    return rows.mean(tuple(range(start, rows.ndim)), keepdim=True)


def _one(rows: Tensor) -> Tensor:
    return rows[:, None]  # (N, *S) -> (N, 1, *S)


def _as_data(rows: object, baseline: Baseline) -> Data:
    if isinstance(rows, Data):
        return rows
    if not isinstance(rows, Tensor):
        raise BadBaseline(f"{type(baseline).__name__} takes a tensor, got {type(rows).__name__}")
    if not rows.is_floating_point() or not rows.isfinite().all():
        raise BadBaseline(
            f"{type(baseline).__name__} takes finite floating-point rows, got {rows.dtype}"
            + ("" if not rows.is_floating_point() else " with NaN or infinity")
        )
    return Data(rows)


def _tensor(rows: Tensor | Data) -> Tensor:
    return rows.tensor if isinstance(rows, Data) else rows


def _check_count(baseline: Baseline, samples: int) -> None:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise BadMethod(f"{type(baseline).__name__} needs samples >= 1, got {samples!r}")
