"""What a measure is: maps in, one score per row out.

Normalising, absolute values, averaging and progress are the caller's: a measure judges the maps that it is given. To judge
absolute values, judge the method `smoothgrad().then(Absolute())`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_model
from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Value
from smoothgrad.errors import BadInput
from smoothgrad.measure.case import Case, Judged, answered
from smoothgrad.measure.places import places_of

Better = Literal["higher", "lower", "neither"]
BETTER: tuple[str, ...] = get_args(Better)


class Measure(Value, ABC):
    """Gives one score per row. A frozen value like every piece: its repr is the recipe that repeats it."""

    better: ClassVar[Better] = "higher"  # which scores speak for a map; "neither" where it describes and does not judge
    unit: ClassVar[str] = ""  # what one unit of the score is, in words, for the label of an axis
    needs_method: ClassVar[bool] = False  # does it make maps anew?
    needs_regions: ClassVar[bool] = False  # must it be known where the thing is?
    needs_classes: ClassVar[bool] = False  # does it read the classes of an output (N, K), whatever the target?

    @abstractmethod
    def judge(self, case: Case) -> Judged:
        """The scores of a case that has been checked."""

    def check(self, case: Case) -> None:
        """Raise where such rows cannot be judged at all, such as superpixels of rows that are no pictures."""

    def __call__(
        self,
        model: nn.Module,
        query: Query,
        maps: Tensor,
        *,
        method: Explainer | None = None,
        regions: Tensor | None = None,
        schedule: Schedule | None = None,
    ) -> Tensor:
        """One score per row (N,), float64, of maps (N, *S) that explain the query's rows. NaN where a row has none.

        `method`: that made the maps, for measures that make maps anew; `regions` (N, *places), bool: where the thing is, for
        measures of localisation. `judge` and `compare` are the convenient ways: they keep the reasons, too. Maps on another device
        go to that of the rows. Raises `BadInput`, `BadMethod`, `BadModel`, and `ModelInTraining` for a network not in eval mode.
        """
        check_model(model)
        schedule = schedule or Schedule.for_rows(query.shape)
        maps = maps.to(query.x.device) if isinstance(maps, Tensor) else maps
        case = Case(model, query, maps, schedule, method, None, regions)
        self.admit(case)
        with own_arithmetic(query.x.device):
            return answered(repr(self), self.judge(case), len(case)).value

    def admit(self, case: Case) -> None:
        """The checks that all measures share. Raises `BadInput` and `BadMethod`: before any work."""
        check_maps(case.maps, case.query)
        if self.needs_method and case.method is None:
            raise BadInput(f"{self!r} makes maps anew, and only finished ones were given; say which method made them")
        if self.needs_regions and case.regions is None:
            raise BadInput(
                f"{self!r} needs to know where the thing is; give regions=, a bool tensor (N, {_shape(case.query)}), True inside"
            )
        if case.regions is not None:
            check_regions(case.regions, case.query)
        if self.needs_classes:
            check_classes(case.query)
        self.check(case)


def check_maps(maps: object, query: Query) -> None:
    """Raises `BadInput` for maps of another shape than the rows, for what is no real floating point, and for NaN and infinity."""
    if not isinstance(maps, Tensor):
        how = ", as from torch.from_numpy(maps)" if type(maps).__name__ == "ndarray" else ""
        raise BadInput(f"the maps are of type {type(maps).__name__}; give a tensor{how}: a map for each row")
    if maps.shape != query.x.shape:
        raise BadInput(
            f"the maps have shape {tuple(maps.shape)}, the rows {tuple(query.x.shape)}; give a map of its shape for each row"
        )
    if not maps.is_floating_point():
        raise BadInput(
            f"the maps hold {str(maps.dtype).removeprefix('torch.')}; give real floating point: .float(), of complex ones .abs()"
        )
    broken = ~maps.flatten(1).isfinite().all(1)
    if broken.any():
        raise BadInput(
            f"the map of row {int(broken.nonzero()[0])} holds NaN or infinity, which cannot be ranked or summed; "
            "find out where it comes from, and judge the other rows"
        )


def check_regions(regions: object, query: Query) -> None:
    """Raises `BadInput` for regions that are not bool, one value for each place of each row."""
    want = (len(query), *places_of(query).shape)
    if not isinstance(regions, Tensor) or regions.dtype != torch.bool or tuple(regions.shape) != want:
        got = f"{regions.dtype} {tuple(regions.shape)}" if isinstance(regions, Tensor) else type(regions).__name__
        raise BadInput(f"regions is {got}; give a bool tensor of shape {want}, True where the thing is")


def check_classes(query: Query) -> None:
    """Raises `BadInput` where what is explained is no class, so that nothing can be said about probability or accuracy."""
    if query.target.ndim != 1 or bool((query.target < 0).any()):
        raise BadInput(
            "this measure reads the probability or the rank of a class, and what was explained is no class: explain a class, or "
            "take a measure of scores, such as PixelFlipping()"
        )


def _shape(query: Query) -> str:
    return ", ".join(map(str, places_of(query).shape))
