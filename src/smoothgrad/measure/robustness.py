"""Robustness: how little does a map change where the input, or the seed, hardly does?

x' is uniform in the ball of all rows that differ from x by at most r in each value. The same method explains x' as it explained
x: for the same target, and with the same noise in the same draws (the row keeps its key), so that only the input has moved. What
depends on the input moves with it: the scale of noise relative to its range, and the baselines. The maps that are judged must be
those that the method makes of the very query, with its keys: what else they differ by would count as a lack of robustness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, final

import torch
from torch import Tensor

from smoothgrad.core.ask import outputs
from smoothgrad.core.noise import mix, salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.measure.case import Case, Judged, first_reason, judged
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.infidelity import check_unit, unspread
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, unranked
from smoothgrad.measure.similarity import Spearman
from smoothgrad.samplers.cloud import Unit, scale

EPS = 1e-6  # what is smaller is taken for so much where it divides
EMPTY = "the map is zero everywhere: a change has nothing to be compared with"


class Nearby(Measure):
    """What the measures share that look at maps of rows nearby: the ball they come from, and how many."""

    radius: float
    samples: int
    radius_unit: Unit

    better = "lower"
    needs_method = True

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise BadMethod(f"{name} needs a finite radius > 0, got {self.radius}")
        if self.samples < 1:
            raise BadMethod(f"{name} needs samples >= 1, got {self.samples}")
        check_unit(name, "radius_unit", self.radius_unit)

    def near(self, case: Case) -> Iterator[Near]:
        """Rows nearby with their maps, as many draws at a time as the schedule has room for."""
        query = case.query
        keys, radius = salted(query.key, "nearby"), scale(query, self.radius, self.radius_unit)
        start = 0
        while start < self.samples:
            numbers = range(start, start + case.schedule.draws_at_once(len(query), 1, self.samples - start))
            e = 2 * uniform(keys, numbers, query.shape, query.x.device).to(query.x) - 1
            points = query.x + radius * e
            asked = moved_to(query, points, numbers)
            yield Near(asked, points, case.explained(asked).view(points.shape))
            start = numbers.stop

    def reasons(self, case: Case) -> tuple[str, ...]:
        """Of each row: why there is nothing nearby, else ""."""
        return unspread(case.query, self.radius_unit)


class Near(NamedTuple):
    """Some of the rows nearby."""

    query: Query  # k * N rows
    points: Tensor  # (k, N, *S)
    maps: Tensor  # (k, N, *S)


# Rows nearby, the output (N, ...) at x and (k, N, ...) at them -> how far they are, (k, N).
Moved: TypeAlias = Callable[[Near, Tensor, Tensor], Tensor]


@final
@dataclass(frozen=True, repr=False)
class MaxSensitivity(Nearby):
    """Largest change of the map within a small ball, relative to the map:  max_{x'} |map(x') - map(x)| / |map(x)|

    Over `samples` points x' of the ball of `radius` in `radius_unit` ("range": a fraction of max - min over each row, "channel",
    or "absolute"); norms are Euclidean over the whole map. 0 or more, lower is better; 0 for the gradient of a linear score. It is
    found by chance, so that more samples can only raise it. Costs `samples` runs of the method. NaN: a map of zeros, a constant row
    under a radius relative to its range. Raises `BadMethod`, and `BadInput` without `method=`. Yeh et al. 2019.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> MaxSensitivity()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([0.], dtype=torch.float64)
    """

    radius: float = 0.02  # with 10 samples as in captum's sensitivity_max, there in units of the input
    samples: int = 10
    radius_unit: Unit = "range"

    unit = "relative change of the map"

    def judge(self, case: Case) -> Judged:
        change, reasons = _relative_changes(self, case)
        return judged(change.amax(1), reasons)


@final
@dataclass(frozen=True, repr=False)
class AverageSensitivity(Nearby):
    """Mean change of the map within a small ball, relative to the map:  E_{x'} |map(x') - map(x)| / |map(x)|

    As `MaxSensitivity`, with the mean in place of the largest; with its standard error. Costs `samples` runs of the method. NaN: a
    map of zeros, a constant row under a radius relative to its range. Raises `BadMethod`, and `BadInput` without `method=`.
    Yeh et al. 2019.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> AverageSensitivity()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([0.], dtype=torch.float64)
    """

    radius: float = 0.02
    samples: int = 10
    radius_unit: Unit = "range"

    unit = "relative change of the map"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2:
            raise BadMethod(f"AverageSensitivity needs samples >= 2, got {self.samples}; one has no standard error")

    def judge(self, case: Case) -> Judged:
        change, reasons = _relative_changes(self, case)
        return judged(change.mean(1), reasons, stderr=change.std(1) / math.sqrt(self.samples))


@final
@dataclass(frozen=True, repr=False)
class LocalLipschitz(Nearby):
    """Largest change of the map per change of the input:  max_{x'} |map(x) - map(x')| / |x - x'|

    Over `samples` points x' of the ball of `radius`, norms Euclidean. 0 or more, lower is better; at most the norm of A for the
    gradient of x'Ax / 2. In units of the map per unit of input: a map that is ten times as large scores ten times as much, so that
    only maps of the same scale can be compared; a map that is zero all around scores 0. It is found by chance, so that more
    samples can only raise it. Costs `samples` runs of the method. NaN: a constant row under a radius relative to its range. Raises
    `BadMethod`, and `BadInput` without `method=`. Alvarez-Melis and Jaakkola 2018.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> LocalLipschitz()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([0.], dtype=torch.float64)
    """

    radius: float = 0.02
    samples: int = 10
    radius_unit: Unit = "range"

    unit = "map per unit of input"

    def judge(self, case: Case) -> Judged:
        ratios = [_norm(near.maps - case.maps, 2) / _norm(near.points - case.query.x, 2) for near in self.near(case)]
        return judged(torch.cat(ratios).amax(0), self.reasons(case))


@final
@dataclass(frozen=True, repr=False)
class RelativeInputStability(Nearby):
    """Largest relative change of the map per relative change of the input.

        max_{x'} |(map(x) - map(x')) / map(x)| / max(|(x - x') / x|, eps)

    Divided value by value, norms Euclidean, over those of `samples` points x' of the ball for which the network predicts the same
    class as for x (all, where its output is not (rows, classes)). What is smaller than eps = 1e-6 in x or in the map divides as
    eps, so that values near zero weigh most: that is the definition's. 0 or more, lower is better. Costs `samples` runs of the
    method and samples + 1 passes. NaN: a map of zeros, no point with the same class, a constant row under a radius relative to
    its range. Raises `BadMethod`, and `BadInput` without `method=`. Agarwal et al. 2022.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> RelativeInputStability()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([0.], dtype=torch.float64)
    """

    radius: float = 0.02
    samples: int = 10
    radius_unit: Unit = "range"

    unit = "relative change of the map per relative change of the input"

    def judge(self, case: Case) -> Judged:
        x = case.query.x

        def moved(near: Near, _before: Tensor, _after: Tensor) -> Tensor:
            return _norm((near.points - x) / x.abs().clamp(min=EPS), 2)

        return _stability(self, case, moved)


@final
@dataclass(frozen=True, repr=False)
class RelativeOutputStability(Nearby):
    """Largest relative change of the map per change of the network's output.

        max_{x'} |(map(x) - map(x')) / map(x)| / max(|h(x) - h(x')|, eps)

    h is the whole output, for a classifier its scores of all classes before the softmax. Else as `RelativeInputStability`: maps
    are divided value by value, and only points of the same predicted class count. eps = 1e-6, so that where the output hardly
    changes, as far out on a plateau, the score is that of eps: the change of the map times a million, large whatever the map does,
    which says little of it. Agarwal et al. 2022.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> RelativeOutputStability()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([0.], dtype=torch.float64)
    """

    radius: float = 0.02
    samples: int = 10
    radius_unit: Unit = "range"

    unit = "relative change of the map per unit of output"

    def judge(self, case: Case) -> Judged:
        return _stability(self, case, lambda _near, before, after: _norm(after - before, 2))


@final
@dataclass(frozen=True, repr=False)
class SeedAgreement(Measure):
    """Mean rank correlation of the map with those of other seeds:  mean over seeds of Spearman[ map, map of that seed ]

    Of what maps say of places, the sum over channels. From -1 to 1, higher is better; 1 for a method that draws nothing by chance.
    Comes with its standard error over the `seeds`. Costs `seeds` runs of the method. NaN: a constant map, of this seed or of
    another. Raises `BadMethod`, and `BadInput` without `method=`.

    >>> from smoothgrad import Gradient
    >>> query = Query.of(torch.tensor([[1.0, 2.0, 3.0]]), target=1)
    >>> SeedAgreement()(torch.nn.Identity().eval(), query, torch.tensor([[0.0, 1.0, 0.0]]), method=Gradient())
    tensor([1.], dtype=torch.float64)
    """

    seeds: int = 5  # our choice: for a mean with a rough standard error; each costs a run of the method

    unit = "rank correlation"
    needs_method = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 2:
            raise BadMethod(f"SeedAgreement needs seeds >= 2, got {self.seeds}; one has no standard error")

    def judge(self, case: Case) -> Judged:
        found = []
        reasons = [unranked(at_places(case.maps, case.query))]
        for number in range(self.seeds):
            maps = case.explained(of_another_seed(case.query, number))
            flat = unranked(at_places(maps, case.query))
            reasons.append(
                tuple("the map of another seed is constant: it ranks nothing" if one else "" for one in flat)
            )
            found.append(Spearman().of(case.maps, maps, case.query))
        alike = torch.stack(found, 1)  # (N, seeds)
        error = alike.std(1) / math.sqrt(self.seeds)
        return judged(alike.mean(1), first_reason(*reasons), stderr=error)


def moved_to(query: Query, points: Tensor, numbers: range) -> Query:
    """The same questions about other inputs, points (k, N, *S), with the noise of the rows they stand for: k * N rows.

    `Query.at` asks elsewhere about the same input, with fresh noise; here the input itself is another, and its key stays.
    """
    asked = query.at(points, numbers)
    return replace(asked, origin=asked.x, key=query.key.repeat(len(numbers)))


def of_another_seed(query: Query, number: int) -> Query:
    """The same rows with other randomness: the keys, and the seed for what all rows share."""
    key = mix(salted(query.key, "reseeded"), torch.full_like(query.key, number))
    return replace(query, key=key, seed=query.seed + 1 + number)


def _relative_changes(measure: Nearby, case: Case) -> tuple[Tensor, tuple[str, ...]]:
    """|map(x') - map(x)| / |map(x)| (N, samples), and why a row has none."""
    size = _norm(case.maps, 1)
    change = torch.cat([_norm(near.maps - case.maps, 2) for near in measure.near(case)]) / size
    return change.T, first_reason(measure.reasons(case), _empty(case))


def _stability(measure: Nearby, case: Case, moved: Moved) -> Judged:
    """The largest relative change of the map per `moved`, over the points of the same predicted class."""
    before = outputs(case.model, case.query, case.schedule)
    ratios, stays = [], []
    for near in measure.near(case):
        after = outputs(case.model, near.query, case.schedule).unflatten(0, near.maps.shape[:2])  # (k, N, ...)
        change = _norm((near.maps - case.maps) / case.maps.abs().clamp(min=EPS), 2)
        ratios.append(change / moved(near, before, after).clamp(min=EPS))
        stays.append(_same_class(before, after))
    same = torch.cat(stays)  # (samples, N)
    value = torch.cat(ratios).masked_fill(~same, -torch.inf).amax(0)
    lost = tuple("" if one else "no point nearby has the same predicted class" for one in same.any(0).tolist())
    return judged(value, first_reason(measure.reasons(case), _empty(case), lost))


def _same_class(before: Tensor, after: Tensor) -> Tensor:
    """Which of the outputs (k, N, ...) have their largest score where (N, ...) has it: (k, N). None that holds NaN."""
    if before.ndim != 2 or before.shape[1] < 2:
        return torch.ones(after.shape[:2], dtype=torch.bool, device=after.device)
    same = after.argmax(2) == before.argmax(1)
    return same & ~after.isnan().any(2) & ~before.isnan().any(1)  # to argmax, NaN is the largest of all


def _empty(case: Case) -> tuple[str, ...]:
    none = (case.maps == 0).flatten(1).all(1).tolist()
    return tuple(EMPTY if one else "" for one in none)


def _norm(values: Tensor, rows: int) -> Tensor:
    """The Euclidean norm over all that comes after the first `rows` dimensions, float64."""
    flat = values.reshape(*values.shape[:rows], -1)  # of an output (N,), too
    size: Tensor = torch.linalg.vector_norm(flat, dim=rows, dtype=torch.float64)
    return size


ROWS: tuple[Entry, ...] = (
    Entry(MaxSensitivity, "max_x′ ‖map(x′) − map(x)‖ / ‖map(x)‖", ("yeh2019",)),
    Entry(AverageSensitivity, "E_x′ ‖map(x′) − map(x)‖ / ‖map(x)‖", ("yeh2019",)),
    Entry(LocalLipschitz, "max_x′ ‖map(x) − map(x′)‖ / ‖x − x′‖", ("alvarezmelis2018b",)),
    Entry(
        RelativeInputStability,
        "max_x′ ‖(map(x) − map(x′)) / map(x)‖ / max(‖(x − x′) / x‖, ε)",
        ("agarwal2022",),
    ),
    Entry(
        RelativeOutputStability,
        "max_x′ ‖(map(x) − map(x′)) / map(x)‖ / max(‖h(x) − h(x′)‖, ε)",
        ("agarwal2022",),
    ),
    Entry(SeedAgreement, "mean_seeds Spearman[map, map of that seed]", ()),
)
