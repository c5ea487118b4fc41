"""What is asked in a run: the model itself or a prepared copy of it, in float32 or in bfloat16."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import network_in, views
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import MOST, Schedule
from smoothgrad.errors import BadMethod, NonFinite, UnsupportedModel
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.layer import at as seen_from
from smoothgrad.models.packed import Packed, Packing
from smoothgrad.models.prepare import Known, Prepared, borrow

TUNES = 32  # chunks in a run from which comparing sizes of chunks pays
PAYS = 32  # passes over all rows from which the making of a prepared copy pays
FEWEST = 4  # draws before the two are compared
FASTER = 0.95  # of float32's time: what bfloat16 may take at most
FAITHFUL = 0.1  # of the map's standard error: how far bfloat16 may move it at most


@dataclass(frozen=True)
class Asked:
    """What the user asks: a model, seen from a layer or not."""

    model: nn.Module
    inputs: tuple[Tensor, ...]  # of the network
    output: Tensor  # of the network for the first row
    row: torch.Size  # the shape of what is explained
    layer: str | None
    reads: tuple[str, ...] = ()  # other layers whose outputs the method reads
    as_it_is: bool = False  # does the method need the model's own weights?
    packing: Packing | None = None  # of several inputs that are explained together

    @cached_property
    def fingerprint(self) -> str:
        """Of the network, whether it is the user's own or a prepared copy, which knows that of its model."""
        copy = _prepared(self.model)
        return copy.fingerprint if copy is not None else fingerprint(network_in(self.model))

    def itself(self) -> nn.Module:
        """The model, seen from the layer, or as a function of packed rows."""
        return self._seen(self.model)

    def copy(self, precision: Literal["float32", "bfloat16"]) -> nn.Module:
        """A prepared copy of it, seen from the layer. Raises `UnsupportedModel`."""
        x, *context = (part[:1] for part in self.inputs)
        known = Known(self.output, self.fingerprint)
        layers = self.reads if self.layer is None else (self.layer, *self.reads)
        return self._seen(borrow(self.model, x, known, context=tuple(context), precision=precision, at=layers))

    def copy_or_itself(self) -> tuple[nn.Module, str]:
        """A copy; or the model itself, which is slower and gives the same map, and why there is no copy."""
        try:
            return self.copy("float32"), ""
        except (UnsupportedModel, torch.OutOfMemoryError) as error:
            return self.itself(), str(error).splitlines()[0]

    def narrow(self) -> tuple[nn.Module | None, str]:
        """A copy in bfloat16, or why there is none."""
        try:
            return self.copy("bfloat16"), ""
        except (UnsupportedModel, BadMethod, torch.OutOfMemoryError) as error:
            return None, f"float32: {str(error).splitlines()[0]}"

    def schedule(self, model: nn.Module, passes: int, chunk: int | None) -> Schedule:
        """Chunks for so many passes: as the user says, or as suits what is known of the model, and tuned where they are many."""
        if chunk is not None:
            return Schedule(chunk)
        copy, x = _prepared(model), self.inputs[0]
        known = copy.preparation.largest if copy is not None and x.device.type == "cpu" else 0

        begun = Schedule.for_activation(known) if known else Schedule.for_rows(self.row)
        if passes < TUNES * begun.chunk:
            return begun
        # Where the largest tensor is known, a CPU gains nothing from more rows, and memory stays as it is.
        most = begun.chunk if known else min(MOST, 4 * begun.chunk) if x.device.type == "cpu" else MOST
        return Schedule(begun.chunk, clock_of(x.device), most)

    def _seen(self, model: nn.Module) -> nn.Module:
        if self.packing is not None:
            return Packed(model, self.packing)
        return model if self.layer is None else seen_from(model, self.layer)


@final
class Engine:
    """Runs methods on the model that was chosen.

    With a `narrow` twin of the model in bfloat16, the first run chooses between the two: both answer its first draws, and bfloat16
    goes on if it was faster and moves the map by less than a tenth of the standard error that the whole run will have. The draws
    of the one that goes on count.
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        *,
        exact: nn.Module | None = None,
        narrow: nn.Module | None = None,
        said: str = "",
        unprepared: str = "",
    ) -> None:
        self.model = model
        # In the user's own arithmetic: for baselines and changes of score.
        self.exact = model if exact is None else exact
        self.unprepared = unprepared  # why there is no copy, though it would pay
        self.schedule = schedule
        self.said = said  # what was found out about bfloat16, in words
        self._narrow = narrow

    @staticmethod
    def of(asked: Asked, precision: str, passes: int, chunk: int | None) -> Engine:
        """The model, or a prepared copy where so many `passes` pay for one, in chunks of at most so many rows."""
        if passes >= PAYS and asked.output.device.type == "cpu":
            keep_heap()
        if precision == "bfloat16" and asked.as_it_is:
            raise BadMethod(
                'the method needs the network\'s own weights, not a copy in bfloat16; leave precision="float32"'
            )
        if precision == "bfloat16":
            copy = asked.copy("bfloat16")
            return Engine(copy, asked.schedule(copy, passes, chunk), exact=asked.itself())
        if asked.as_it_is:
            said = "float32: the method needs the network's own weights" if precision == "auto" else ""
            return Engine(asked.itself(), asked.schedule(asked.model, passes, chunk), said=said)
        if passes < PAYS:
            said = f"float32: {passes} passes do not pay for a comparison with bfloat16" if precision == "auto" else ""
            return Engine(asked.itself(), asked.schedule(asked.model, passes, chunk), said=said)
        full, unprepared = (asked.itself(), "") if _prepared(asked.model) else asked.copy_or_itself()
        narrow, said = asked.narrow() if precision == "auto" else (None, "")
        return Engine(full, asked.schedule(full, passes, chunk), narrow=narrow, said=said, unprepared=unprepared)

    def described(self, dtype: torch.dtype) -> dict[str, Any]:
        """How it was computed, for the record; `dtype` is that of the rows."""
        copy = _prepared(self.model)
        done = None if copy is None else copy.preparation
        narrow = done is not None and done.precision == "bfloat16"
        return {
            "dtype": "bfloat16" if narrow else str(dtype).removeprefix("torch."),
            "precision": self.said or None,
            "prepared": None if done is None else "; ".join(filter(None, (done.said, done.note))),
            "unprepared": self.unprepared or None,
            "chunk": self.schedule.chunk,
        }

    def partials(self, method: Explainer, query: Query) -> Iterator[Partial]:
        """`method.partials` on the model of choice."""
        if self._narrow is None:
            return method.partials(self.model, query, self.schedule)
        narrow, self._narrow = self._narrow, None
        return self._race(narrow, method, query)

    def _race(self, narrow: nn.Module, method: Explainer, query: Query) -> Iterator[Partial]:
        # No size is looked for while they race: both must take the same draws.
        full, slim = (method.partials(model, query, Schedule(self.schedule.chunk)) for model in (self.model, narrow))
        first, _ = _timed(full, FEWEST, query.x.device)
        yield from first
        before = first[-1].estimate()
        here, twice = query.x.device, 2 * int(before.draws.max())
        second, seconds = _timed(full, twice, here) if _has_error(before) else ([], 0.0)
        try:
            slim_first, _ = _timed(slim, twice // 2, here) if second else ([], 0.0)
            slim_second, slim_seconds = _timed(slim, twice, here) if second else ([], 0.0)
        except NonFinite as error:
            self.said = f"float32: in bfloat16 {error}"
            yield from chain(second, full)
            return
        if not slim_second:
            self.said = "float32: there are no further draws, or no standard error, to judge bfloat16 by"
            yield from chain(second, full)
            return
        early, late = Pair(before, slim_first[-1].estimate()), Pair(second[-1].estimate(), slim_second[-1].estimate())
        if not (early.of_the_same_draws and late.of_the_same_draws):
            self.said = "float32: the two took other draws, since memory ran out or rows were done"
            yield from chain(second, full)
            return
        share = slim_seconds / seconds
        moved = deviation(early, late, whole=second[-1].total / second[-1].done)
        chosen = share <= FASTER and moved <= FAITHFUL
        self.said = (
            f"{'bfloat16' if chosen else 'float32'}: bfloat16 takes {share:.2f} of float32's time and moves the map by "
            f"{moved:.2g} of its standard error"
        )
        if chosen:
            self.model = narrow
        yield from slim_second if chosen else second
        yield from slim if chosen else full


def _timed(partials: Iterator[Partial], draws: int, device: torch.device) -> tuple[list[Partial], float]:
    """The reports up to so many draws, or to the end, and the seconds they took."""
    now = clock_of(device)
    begun = now()
    seen = []
    for partial in partials:
        seen.append(partial)
        if int(partial.estimate().draws.max()) >= draws:
            break
    return seen, now() - begun


def _has_error(estimate: Estimate) -> bool:
    return estimate.stderr is not None and not bool(estimate.stderr.isnan().any())


class Pair(NamedTuple):
    """Estimates from the same draws in two arithmetics."""

    full: Estimate
    narrow: Estimate

    @property
    def of_the_same_draws(self) -> bool:
        """Were both made of as many draws, in every row?"""
        return torch.equal(self.full.draws, self.narrow.draws)


def deviation(first: Pair, second: Pair, whole: float) -> float:
    """How far the narrow arithmetic moves the map, in standard errors of the map; the largest of all rows.

    For a run `whole` times as long as the second pair's. Of m draws, the difference D of the two maps has
    E||D||^2 = b^2 + v / m: a part b that all draws share, and one that averages out. Two numbers of draws tell them apart.
    """
    m1, m2 = (pair.full.draws.cpu().double() for pair in (first, second))
    d1, d2 = (_squared_norm(pair.full.value - pair.narrow.value) for pair in (first, second))
    # A row that was done after the first has no second: what it was moved by counts as shared by all draws.
    v = torch.where(m1 == m2, 0.0, (d1 - d2) / (1 / m1 - 1 / m2)).clamp_min(0)
    shared = (d2 - v / m2).clamp_min(0)
    assert second.full.stderr is not None, "asked only of methods that have one"
    noise = _squared_norm(second.full.stderr)
    ratio = ((shared + v / (m2 * whole)) / (noise / whole)).sqrt()
    return float(ratio.nan_to_num(nan=0.0, posinf=math.inf).max())  # 0 / 0: a map without noise that was not moved


def _squared_norm(maps: Tensor) -> Tensor:
    return maps.cpu().double().flatten(1).square().sum(1)  # some devices have no float64


def _prepared(model: nn.Module) -> Prepared | None:
    """The prepared copy that is asked; None where it is the user's own model."""
    return next((view for view in views(model) if isinstance(view, Prepared)), None)


def keep_heap() -> None:
    """Have C's malloc keep the memory of one call for the next, where it would hand it back to the system and fault it in again.

    glibc learns from what it sees freed, up to blocks of 32 MB: show it one. Measured: MobileNetV2 takes 1.0 s in place of 1.36,
    for some 80 MB more. Other allocators take no notice.
    """
    block = torch.empty(31 * 2**20, dtype=torch.uint8, device="cpu")
    del block


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock that waits for what the device has been told to do."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    return now
