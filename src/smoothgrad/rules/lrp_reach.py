"""What of a trace relevance can reach, and which of its values are still the rows, in another order or in other units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.rules.linear import affine
from smoothgrad.rules.lrp import Bound, ZBox
from smoothgrad.rules.trace import ROWS, Place, Step, Trace

# Functions that put values elsewhere and leave them what they are.
_NAMES = (
    "view _unsafe_view _reshape_alias alias clone contiguous permute t transpose expand slice select split split_with_sizes "
    "unbind unsafe_split unsafe_split_with_sizes unsafe_chunk cat stack constant_pad_nd reflection_pad1d reflection_pad2d "
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d roll flip squeeze unsqueeze index index_select "
    "gather repeat unfold im2col pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle take diagonal tril triu "
    "where masked_fill _to_copy copy lift_fresh lift_fresh_copy"
)
REARRANGING = frozenset(_NAMES.split())
# Functions that put a value in other units, where the other argument does not depend on the rows.
UNITS = frozenset({"add", "sub", "rsub", "mul", "div"})
# Functions that cut off gradients, and so relevance.
CUTTING = frozenset({"detach", "sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside"})


@final
@dataclass(frozen=True, eq=False)
class Reach:
    """Which places relevance can pass on its way to the rows, and which are the rows themselves."""

    alive: frozenset[Place]  # numbers that depend on the rows by functions with a derivative; all others are constants
    rows: frozenset[Place]  # the rows, rearranged, scaled or shifted
    keeping: frozenset[Step]  # the steps that do no more than that to them, with constants that are the network's own

    @staticmethod
    def of(trace: Trace) -> Reach:
        alive, rows, keeping = {ROWS}, {ROWS}, set()
        for number, step in enumerate(trace.steps):
            reached = [place for place in step.places if place in alive]
            if not reached or step.name in CUTTING:
                continue
            made = [
                Place(number, part) for part, value in enumerate(step.outputs) if value is not None and _real(value)
            ]
            alive.update(made)
            if rows.issuperset(reached) and _keeps(step, alive):
                rows.update(made)
                # Other inputs, and what a network seen from a layer makes of its own, do not change units, but add.
                if not step.asked:
                    keeping.add(step)
        return Reach(frozenset(alive), frozenset(rows), frozenset(keeping))


def _real(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()  # complex ones have no rule, and say so


def _keeps(step: Step, alive: set[Place]) -> bool:
    """Does it leave a value what it is, but for its place and its units?"""
    if step.name in UNITS:
        changed = [number for number, arg in enumerate(step.args) if isinstance(arg, Place) and arg in alive]
        return changed == [0] or (changed == [1] and step.name != "div")
    return step.name in REARRANGING or affine(step) is not None


# --- bounds -----------------------------------------------------------------------------------------------------------


def box_at(trace: Trace, reach: Reach, step: Step, place: Place, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest that the value at `place`, which a layer reads, can be, given those of the rows (N, *S).

    Raises `BadMethod` where it is not the rows themselves.
    """
    if place not in reach.rows:
        raise BadMethod(
            f"ZBox stands at {step.where}, which does not read the rows themselves, so that their bounds mean nothing there; "
            "give it to the first layer, and another rule such as ZPlus() here"
        )
    one, other = pushed(trace, reach, place, low), pushed(trace, reach, place, high)
    return torch.minimum(one, other), torch.maximum(one, other)


def pushed(trace: Trace, reach: Reach, place: Place, rows: Tensor) -> Tensor:
    """What would stand at a place that is the rows themselves, had they been others (N, *S)."""
    if place == ROWS:
        return rows
    step = trace.steps[place.step]
    values = {
        each: pushed(trace, reach, each, rows) if each in reach.rows else trace.value(each) for each in step.places
    }
    value = step.run(values)[place.part]
    assert value is not None, "a place names a tensor"
    return value


def bounds(box: ZBox, query: Query) -> tuple[Tensor, Tensor]:
    """The box of the query's rows (N, *S). Raises `BadMethod` for another number of channels."""
    origin, parts = query.origin, query.parts
    low = _extreme(origin, parts, torch.amin) if box.low is None else _given(box, box.low, origin)
    high = _extreme(origin, parts, torch.amax) if box.high is None else _given(box, box.high, origin)
    return low.expand_as(origin), high.expand_as(origin)


def check_box(box: ZBox, query: Query) -> None:
    """Raises `BadMethod` where the rows being explained lie outside of the box, as when it is in other units than theirs."""
    low, high = bounds(box, query)
    slack = 1e-4 * (high - low).abs()
    outside = ((query.origin < low - slack) | (query.origin > high + slack)).flatten(1).any(1)
    if outside.any():
        place = int(outside.nonzero()[0, 0])
        row, values = int(query.row[place]), query.origin[place]
        raise BadMethod(
            f"row {row} goes from {float(values.min()):g} to {float(values.max()):g}, outside of {box!r}; give low and high in the "
            "units of the model's input, one for each channel where they differ, or leave them out"
        )


def _given(box: ZBox, bound: Bound, rows: Tensor) -> Tensor:
    """A bound as a tensor that broadcasts against rows (N, *S)."""
    value = torch.as_tensor(bound, dtype=rows.dtype, device=rows.device)
    if not value.ndim:
        return value
    channels = rows.shape[1] if rows.ndim > 1 else 0
    if len(value) != channels:
        raise BadMethod(f"{box!r} has {len(value)} bounds, rows have {channels} channels; give one, or one per channel")
    return value.view(-1, *[1] * (rows.ndim - 2))


def _extreme(rows: Tensor, parts: tuple[int, ...], least: Callable[..., Tensor]) -> Tensor:
    """The smallest or largest value of each channel of each row; without channels of each row, or of each input packed into it."""
    if parts:
        return torch.cat([least(part, 1, keepdim=True).expand_as(part) for part in rows.split(list(parts), 1)], 1)
    dims = tuple(range(2 if rows.ndim > 2 else 1, rows.ndim))
    return least(rows, dims, keepdim=True) if dims else rows
