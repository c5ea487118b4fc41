"""What a measure is given, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.core.coarse import fitted
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod

BROKEN = "the measure gives NaN or infinity here"  # where it does not know better why


class Curve(NamedTuple):
    """What a score is the summary of: a line for each row, over places that all rows share."""

    x: Tensor  # (P,) float64, such as the share of pixels that are gone
    y: Tensor  # (N, P) float64; NaN where a row has no score
    x_label: str
    y_label: str
    ticks: tuple[str, ...] = ()  # names of the places, where they have some, such as layers


class Judged(NamedTuple):
    """One score per row; NaN with the reason where a row has none."""

    value: Tensor  # (N,) float64, on the CPU
    reasons: tuple[str, ...]  # of each row: why its value is NaN, else ""
    stderr: Tensor | None = None  # (N,) the Monte-Carlo standard error of each value, where the measure draws by chance
    curve: Curve | None = None


@final
@dataclass(frozen=True)
class Case:
    """Maps of rows, and all that a measure may ask about them. N rows throughout."""

    model: nn.Module  # to be asked: the network, or a prepared copy that answers the same
    query: Query
    maps: Tensor  # (N, *S) as they are to be judged; finite
    schedule: Schedule
    method: Explainer | None = None  # that made the maps; None where they come from elsewhere
    itself: nn.Module | None = None  # the user's own network, in the view that is asked; None where `model` is it
    regions: Tensor | None = None  # (N, *places) bool: where the thing is that the score speaks of

    def __len__(self) -> int:
        return len(self.query)

    @property
    def network(self) -> nn.Module:
        """The user's own network, in the view that is asked."""
        return self.model if self.itself is None else self.itself

    def explained(self, query: Query, model: nn.Module | None = None) -> Tensor:
        """The maps (M, *S) that the same method makes of another query, or of another model with the same layers.

        Rows of the query may be those of this case in any number and order. Raises `BadMethod` where the method is not known.
        """
        if self.method is None:
            raise BadMethod(
                "this measure makes maps anew, and only finished ones were given; say which method made them: method=..."
            )
        own = self.network if self.method.needs_itself else self.model
        asked = own if model is None else model
        ready = self.method.prepare(self.network if model is None else model, query, self.schedule)
        return fitted(self.method.estimate(asked, ready, self.schedule).value, query.shape)

    def rows(self, index: Tensor | slice) -> Case:
        """Some of the rows."""
        regions = None if self.regions is None else self.regions[index]
        return replace(self, query=self.query.rows(index), maps=self.maps[index], regions=regions)


def judged(
    value: Tensor, reasons: Sequence[str] = (), *, stderr: Tensor | None = None, curve: Curve | None = None
) -> Judged:
    """Scores as a measure answers them: float64 on the CPU, NaN wherever a reason stands, and a reason for whatever is not finite.

    >>> judged(torch.tensor([1.0, 2.0]), ["", "the map is constant"]).value
    tensor([1., nan], dtype=torch.float64)
    """
    said = tuple(reasons) or ("",) * len(value)
    value = value.detach().to("cpu", torch.float64).clone()
    finite = value.isfinite().tolist()
    said = tuple(reason or ("" if one else BROKEN) for reason, one in zip(said, finite, strict=True))
    gone = torch.tensor([bool(reason) for reason in said])
    value[gone] = torch.nan
    if stderr is not None:
        stderr = stderr.detach().to("cpu", torch.float64).masked_fill(gone, torch.nan)
    if curve is not None:
        curve = curve._replace(
            x=curve.x.detach().to("cpu", torch.float64),
            y=curve.y.detach().to("cpu", torch.float64).masked_fill(gone[:, None], torch.nan),
        )
    return Judged(value, said, stderr, curve)


def answered(name: str, answer: object, rows: int) -> Judged:
    """What a measure of this name answered for so many rows, as `judged` makes it: a row without a finite value has a reason.

    Raises `BadMethod` for anything but a `Judged` with one value and one reason for each row.
    """
    if not isinstance(answer, Judged):
        raise BadMethod(
            f"judge() of {name} answers {type(answer).__name__}; end it with: return judged(value, reasons), value (N,) with a "
            "score for each row"
        )
    value, reasons, stderr, curve = answer
    for what, given in (("value", value), ("stderr", value if stderr is None else stderr)):
        if not isinstance(given, Tensor) or tuple(given.shape) != (rows,) or given.is_complex():
            raise BadMethod(
                f"judge() of {name} answers as {what} {_shown(given)}; a Judged needs a real tensor of shape (N,), a score for "
                f"each row, here ({rows},)"
            )
    if (
        not isinstance(reasons, tuple | list)
        or len(reasons) not in (0, rows)
        or not all(isinstance(one, str) for one in reasons)
    ):
        raise BadMethod(
            f"judge() of {name} answers as reasons {reasons!r}; a Judged needs a text for each row, here {rows}: why it has no "
            "score, else ''"
        )
    if curve is not None and not (
        isinstance(curve, Curve) and curve.x.ndim == 1 and curve.y.shape == (rows, len(curve.x))
    ):
        raise BadMethod(
            f"judge() of {name} answers a curve that does not fit; a Judged needs a Curve with x (P,) and y (N, P), here N = {rows}"
        )
    return judged(value, reasons, stderr=stderr, curve=curve)


def _shown(given: object) -> str:
    if isinstance(given, Tensor):
        return f"{str(given.dtype).removeprefix('torch.')} of shape {tuple(given.shape)}"
    return type(given).__name__


def first_reason(*reasons: Sequence[str]) -> tuple[str, ...]:
    """Of each row the first reason there is, else "".

    >>> first_reason(("", "constant"), ("empty", "empty"))
    ('empty', 'constant')
    """
    return tuple(next(filter(None, said), "") for said in zip(*reasons, strict=True))
