"""The one door: check, resolve the target, run, wrap."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import output_of
from smoothgrad.core.explainer import Explainer, Partial, relative_error
from smoothgrad.core.query import Query
from smoothgrad.core.reduce import Estimate
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import (
    BadInput,
    BadMethod,
    BadModel,
    ModelInTraining,
    NonFinite,
    NotDifferentiable,
    SmoothGradError,
    nearest,
)
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.layer import at as seen_from
from smoothgrad.models.network import Network
from smoothgrad.recipe import data_in, to_recipe
from smoothgrad.result import Attribution, Completeness
from smoothgrad.targets import TargetLike, as_target

Precision: TypeAlias = Literal["float32", "bfloat16"]
Keys: TypeAlias = Tensor | Sequence[int] | None


@dataclass(frozen=True)
class Progress:
    """How far a run is, for a progress bar."""

    done: int  # model passes so far, over all rows
    total: int  # model passes over all rows, at most
    partial: Partial  # of the rows at work

    def relative_error(self) -> float | None:
        """The largest ||stderr|| / ||map|| of the rows at work; None where it is not known."""
        estimate = self.partial.estimate()
        # NaN stands for a part of Together that does not know its error.
        if estimate.stderr is None or estimate.stderr.isnan().any():
            return None
        return float(relative_error(estimate).max())


def explain(
    model: nn.Module,
    x: Tensor,
    *,
    method: Explainer,
    target: TargetLike = None,
    at: str | nn.Module | None = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    chunk: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Attribution:
    """Which values of the rows x a model's score depends on: a map per row, by a method.

    Args:
        model: a `torch.nn.Module` in eval mode, or a `Network` from `load`; it is left as found.
        x: the rows (N, *S), floating point, finite, in the units the model takes.
        method: an Explainer, such as `smoothgrad(noise=0.15, samples=50)`.
        target: the score to explain: None (each row's top class), a class, a tensor of N classes, a `Target`, or a
            callable of the output that gives one score per row. Scores are pre-softmax.
        at: the name of a layer, or the layer: explain its output instead of the input. Noise, baselines and maps are then
            in its units and of its shape.
        context: other inputs of the model, each with N rows; they are neither disturbed nor explained.
        seed: of all randomness. The same seed gives the same maps, whatever the chunk, batch or machine (to rounding).
        keys: N integers that name the rows for randomness; default 0..N-1. A row keeps its noise wherever it stands.
        chunk: the largest number of rows in one model call; None chooses.
        precision: "float32" asks the model as it is; "bfloat16" under autocast.
        device: where to compute; default where the model is. A model elsewhere is copied, not moved.
        progress: called after each chunk with a `Progress`.

    Returns:
        An `Attribution`: maps (N, *S), raw and signed, with their Monte-Carlo standard error, and all it takes to repeat them.

    Raises:
        SmoothGradError: `ModelInTraining`, `BadInput`, `BadTarget`, `BadMethod`, `BadNoise`, `BadBaseline`, `NonFinite`,
            `NotDifferentiable`, `RuleDidNothing`: before any long work wherever possible.

    >>> import torch, smoothgrad as sg
    >>> net = torch.nn.Linear(3, 2).eval()
    >>> result = sg.explain(net, torch.rand(1, 3), method=sg.gradient(), target=1)
    >>> bool((result.maps[0] == net.weight[1]).all())
    True
    """
    run = _Run.checked(model, x, method, target, at, context, seed, keys, chunk, precision, device)
    parts = list(run.batches(progress))
    return run.attribution(_joined([estimate for estimate, _ in parts]), _cat([change for _, change in parts]))


def explain_live(
    model: nn.Module,
    x: Tensor,
    *,
    method: Explainer,
    target: TargetLike = None,
    at: str | nn.Module | None = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    chunk: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
) -> Iterator[Attribution]:
    """The same as `explain`, as a generator of Attributions that get better; the last is what `explain` returns.

    All rows get better together, so that all of them are held at once. A smaller `chunk` gives more partial results. Arguments are
    checked at once, before the first is asked for.

    >>> import torch, smoothgrad as sg
    >>> net = torch.nn.Linear(3, 2).eval()
    >>> [int(part.draws) for part in sg.explain_live(net, torch.rand(1, 3), method=sg.smoothgrad(samples=6), chunk=2)]
    [2, 4, 6]
    """
    run = _Run.checked(model, x, method, target, at, context, seed, keys, chunk, precision, device)
    return run.live()


@dataclass(frozen=True)
class _Run:
    """A question that has passed all checks."""

    method: Explainer
    kind: str  # of the target
    model: nn.Module  # what is asked: seen from a layer, on the device
    query: Query
    schedule: Schedule
    output: Tensor
    score: Tensor
    keys: Tensor
    seed: int
    asked: nn.Module  # what the user gave
    layer: str | None
    started: float

    @staticmethod
    @torch.inference_mode(False)
    def checked(
        model: nn.Module,
        x: Tensor,
        method: Explainer,
        target: TargetLike,
        at: str | nn.Module | None,
        context: tuple[Tensor, ...],
        seed: int,
        keys: Keys,
        chunk: int | None,
        precision: str,
        device: str | torch.device | None,
    ) -> _Run:
        started = time.perf_counter()
        check_method(method)
        _check_model(model)
        _check_rows(x, layer=at is not None)
        _check_seed(seed)
        goal = as_target(target)
        named = _check_keys(keys, len(x))
        context = _check_context(context, len(x))
        asked = model
        model = _on_device(model, device)
        place = _device_of(model, x)
        _check_dtype(model, x)
        x, context = _plain(x).to(place), tuple(_plain(part).to(place) for part in context)
        if at is not None:
            view = seen_from(model, _same_layer(asked, model, at))
            with _refusals(asked, x):
                h = view.capture(x, *context)
            x, context, model = h, (x, *context), view
        schedule = _schedule(x, chunk, precision)
        query = Query.of(
            x, torch.zeros(len(x), dtype=torch.int64, device=place), seed=seed, keys=named, context=context
        )
        output = _first_look(model, query, schedule)
        _check_smooth(output, f"the output of {type(asked).__name__}")
        index = goal.resolve(output)
        _check_smooth(goal.score(output, index), "the score that the target gives")
        query = Query.of(x, index, seed=seed, keys=named, context=context, scorer=goal.score)
        score = query.scores(output)
        _check_finite(score, "the score")
        layer = None if at is None else at if isinstance(at, str) else type(at).__name__
        return _Run(method, goal.kind, model, query, schedule, output, score, named, seed, asked, layer, started)

    # The caller may be under no_grad or inference_mode, which would leave nothing to differentiate.
    @torch.inference_mode(False)
    @torch.enable_grad()
    def batches(self, progress: Callable[[Progress], object] | None) -> Iterator[tuple[Estimate, Tensor | None]]:
        """The rows in batches of one chunk, each to its end: what is held beside the result does not grow with N."""
        passes, before = self.method.passes, 0
        for batch in self.query.split(self.schedule.chunk):
            partial: Partial | None = None
            for partial in self.method.partials(self.model, batch, self.schedule):
                if progress is not None:
                    done = passes * before + partial.done * len(batch)
                    progress(Progress(done, passes * len(self.query), partial))
            assert partial is not None, "every explainer reports at least once"
            yield partial.estimate(), self.method.change(self.model, batch, self.schedule)
            before += len(batch)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def live(self) -> Iterator[Attribution]:
        """All rows at once, as they get better."""
        change = self.method.change(self.model, self.query, self.schedule)
        for partial in self.method.partials(self.model, self.query, self.schedule):
            yield self.attribution(partial.estimate(), change)

    def attribution(self, estimate: Estimate, change: Tensor | None) -> Attribution:
        value, stderr, draws = estimate
        network = self.asked if isinstance(self.asked, Network) else None
        return Attribution(
            maps=value.cpu(),
            stderr=None if stderr is None else stderr.cpu(),
            x=self.query.x.cpu(),
            target=self.query.target.cpu(),
            score=self.score.cpu(),
            draws=draws.cpu(),
            passes=self.method.cost(draws).cpu(),
            completeness=None if change is None else Completeness(value.flatten(1).sum(1).cpu(), change.cpu()),
            recipe=to_recipe(self.method),
            unit=self.method.unit,
            kind=self.kind,
            seed=self.seed,
            provenance=self.provenance(),
            keys=self.keys,
            output=self.output.cpu() if self.output.ndim == 2 else None,
            picture=network.show(self.query.x.cpu()) if network is not None and self.layer is None else None,
            classes=() if network is None else network.classes,
            data=tuple(part.tensor for part in data_in(self.method)),
        )

    def provenance(self) -> dict[str, Any]:
        from smoothgrad import __version__

        name = self.asked.name if isinstance(self.asked, Network) else type(self.asked).__name__
        autocast = self.schedule.autocast
        return {
            "smoothgrad": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": str(self.query.x.device),
            "model": name,
            "fingerprint": fingerprint(self.asked.net if isinstance(self.asked, Network) else self.asked),
            "layer": self.layer,
            "dtype": str(self.query.x.dtype if autocast is None else autocast).removeprefix("torch."),
            "chunk": self.schedule.chunk,
            "seconds": round(time.perf_counter() - self.started, 3),
        }


def _joined(parts: list[Estimate]) -> Estimate:
    """The estimates of batches as one, on the CPU."""
    value, draws = torch.cat([part.value.cpu() for part in parts]), torch.cat([part.draws.cpu() for part in parts])
    return Estimate(value, _cat([part.stderr for part in parts]), draws)


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Batches as one, on the CPU; None where a batch has none."""
    known = [part.cpu() for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None


# --- checks at the door ---------------------------------------------------------------------------------------------------


def check_method(method: object) -> None:
    """Raises `BadMethod` for what is no Explainer, and says how to get one."""
    if isinstance(method, Explainer):
        return
    if isinstance(method, str):
        raise BadMethod(f"the method is text; build it first: method=from_recipe({method!r})")
    if callable(method):
        name = getattr(method, "__name__", repr(method))
        raise BadMethod(f"the method is {name} itself; call it: method={name}()")
    raise BadMethod(f"the method is {method!r}; give an Explainer, such as smoothgrad(noise=0.15, samples=50)")


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise BadModel(f"the model is a {type(model).__name__}; give a torch.nn.Module, or a Network from load(...)")
    if any(part.is_inference() for part in model.parameters()):
        raise BadModel(
            f"{type(model).__name__} was made under torch.inference_mode(), so that nothing can be differentiated through its "
            "weights; make or load it outside"
        )
    for name, module in model.named_modules():
        if module.training:
            where = f"its part {name!r} is" if name else "it is"
            raise ModelInTraining(
                f"{type(model).__name__} must be in eval mode, but {where} in training mode, where dropout and batch norm "
                "would change or mix the rows; call model.eval() first"
            )


def _check_rows(x: object, *, layer: bool) -> None:
    if not isinstance(x, Tensor):
        raise BadInput(f"x is a {type(x).__name__}; give a tensor of rows (N, *S), such as torch.as_tensor(x)[None]")
    if x.layout != torch.strided:
        raise BadInput(f"x is laid out as {x.layout}; pass x.to_dense()")
    if (
        not layer and not x.is_floating_point()
    ):  # seen from a layer, x may be what the layer takes, such as numbers of words
        raise BadInput(
            f"x holds {str(x.dtype).removeprefix('torch.')}; gradients need floating point: convert it as the network was "
            "trained, such as x.float() / 255"
        )
    if x.ndim < 2 or x.numel() == 0:
        what = "an empty batch" if x.numel() == 0 else "no batch of rows"
        raise BadInput(f"x has shape {tuple(x.shape)}: {what}; give rows (N, *S) with N >= 1, for one row x[None]")
    _check_finite(x, "x", BadInput)


def _check_finite(values: Tensor, what: str, error: type[BadInput | NonFinite] = NonFinite) -> None:
    broken = ~values.reshape(len(values), -1).isfinite().all(1)
    if broken.any():
        row = int(broken.nonzero()[0])
        kind = "NaN" if values[row].isnan().any() else "infinity"
        more = f" (and {int(broken.sum()) - 1} more rows)" if int(broken.sum()) > 1 else ""
        raise error(f"{what} of row {row} holds {kind}{more}; no map can be made of it: check the data and the network")


def _check_smooth(values: object, what: str) -> None:
    if isinstance(values, Tensor) and not values.is_floating_point():
        raise NotDifferentiable(
            f"{what} holds {str(values.dtype).removeprefix('torch.')}, which cannot be differentiated; explain the scores from "
            "before argmax or rounding"
        )


def _check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63:
        raise BadInput(f"the seed is {seed!r}; give an integer that fits in 64 bits")


def _check_keys(keys: Keys, rows: int) -> Tensor:
    if keys is None:
        return torch.arange(rows)
    try:
        named = torch.as_tensor(keys, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"keys must be {rows} integers of 64 bits, one per row, got {keys!r}") from error
    if named.shape != (rows,) or named.is_floating_point() or named.dtype == torch.bool:
        raise BadInput(f"keys must be {rows} integers, one per row, got {named.dtype} of shape {tuple(named.shape)}")
    return named.to(torch.int64)


def _check_context(context: object, rows: int) -> tuple[Tensor, ...]:
    parts = context if isinstance(context, tuple | list) else (context,)
    for place, part in enumerate(parts):
        if not isinstance(part, Tensor) or part.ndim == 0 or len(part) != rows:
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise BadInput(f"context[{place}] must be a tensor with one entry for each of the {rows} rows, got {got}")
    return tuple(parts)


def _check_dtype(model: nn.Module, x: Tensor) -> None:
    if not x.is_floating_point():
        return
    dtype = next((part.dtype for part in model.parameters() if part.is_floating_point()), x.dtype)
    if dtype != x.dtype:
        want = str(dtype).removeprefix("torch.")
        raise BadInput(f"x holds {str(x.dtype).removeprefix('torch.')}, the model {want}; pass x.to(torch.{want})")


def _schedule(x: Tensor, chunk: int | None, precision: str) -> Schedule:
    if precision not in get_args(Precision):
        raise BadMethod(f"no precision {precision!r}; {nearest(str(precision), get_args(Precision))}")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise BadMethod(f"chunk is {chunk!r}; give the largest number of rows in one model call, at least 1, or None")
    own = Schedule.for_rows(x.shape[1:])
    return Schedule(own.chunk if chunk is None else chunk, torch.bfloat16 if precision == "bfloat16" else None)


def _on_device(model: nn.Module, device: str | torch.device | None) -> nn.Module:
    if device is None:
        return model
    try:
        there = torch.empty(0, device=torch.device(device)).device  # "cuda" is "cuda:0" to compare with
    except (RuntimeError, AssertionError, TypeError) as error:
        raise BadInput(f"cannot compute on device {str(device)!r}: {error}".splitlines()[0]) from error
    tensors = [*model.parameters(), *model.buffers()]
    return model if all(part.device == there for part in tensors) else copy.deepcopy(model).to(there)


def _device_of(model: nn.Module, x: Tensor) -> torch.device:
    place = next((part.device for part in model.parameters()), x.device)
    if place.type == "meta":
        raise BadModel(
            f"{type(model).__name__} is on the device 'meta', where it has no values; load its weights first"
        )
    return place


def _same_layer(asked: nn.Module, model: nn.Module, at: str | nn.Module) -> str | nn.Module:
    """The layer by name, where the model was copied: the layer that the user gave is not part of the copy."""
    return at if asked is model or isinstance(at, str) else seen_from(asked, at).name


def _plain(rows: Tensor) -> Tensor:
    """Rows without a history. Those made under inference_mode must be copied before anything can be differentiated."""
    return rows.clone() if rows.is_inference() else rows.detach()


def _first_look(model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
    """The output on the clean rows."""
    with torch.no_grad(), _refusals(model, query.x):
        output = torch.cat([output_of(model, part, schedule) for part in query.split(schedule.chunk)])
    if output.isnan().any():
        _check_finite(output, "the output")
    return output


@contextmanager
def _refusals(model: nn.Module, x: Tensor) -> Iterator[None]:
    """What the network refuses is said with the rows' shape."""
    try:
        yield
    except (torch.OutOfMemoryError, SmoothGradError):
        raise
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        shape, dtype = tuple(x.shape[1:]), str(x.dtype).removeprefix("torch.")
        raise BadInput(
            f"{type(model).__name__} cannot take {len(x)} rows of shape {shape} ({dtype}): {error}; pass rows as the "
            "network was trained on them, and its other inputs as context=(...)"
        ) from error
