"""The one door: check, resolve the target, run, wrap."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack, overload

import torch
from torch import Tensor, nn

from smoothgrad.checks import (
    Keys,
    Precision,
    check_apart,
    check_chunk,
    check_classes,
    check_context,
    check_dtype,
    check_finite,
    check_inputs,
    check_keys,
    check_method,
    check_model,
    check_precision,
    check_seed,
    check_smooth,
    device_of,
    first_look,
    on_device,
    refusals,
    same_layer,
    without_history,
)
from smoothgrad.core.ambient import own_arithmetic, stepwise
from smoothgrad.core.coarse import fitted
from smoothgrad.core.explainer import Explainer, Partial, relative_error
from smoothgrad.core.halving import reproducibility
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.engine import Asked, Engine
from smoothgrad.models.layer import at as seen_from
from smoothgrad.models.network import Network
from smoothgrad.models.packed import Packed, Packing
from smoothgrad.recipe import data_in, to_recipe
from smoothgrad.result import Attribution, Completeness, unit_of
from smoothgrad.several import Attributions
from smoothgrad.targets import Each, TargetLike, as_target

Inputs: TypeAlias = tuple[Tensor, ...] | list[Tensor]  # several, explained together
At: TypeAlias = str | nn.Module  # a layer


class Batch(NamedTuple):
    """What is known of some rows, or of all."""

    estimate: Estimate
    agreement: Tensor | None  # (N,) with a fresh seed
    change: Tensor | None  # (N,) of the score, which the map should sum to
    converged: Tensor | None  # (N,) was the tolerance reached?

    @staticmethod
    def of(partial: Partial, change: Tensor | None) -> Batch:
        estimate = partial.estimate()
        agreement = None if estimate.halves is None else reproducibility(estimate.halves)
        # The maps of the halves have served: they would be held for all rows.
        return Batch(estimate._replace(halves=None), agreement, change, partial.converged())

    @staticmethod
    def joined(parts: Sequence[Batch]) -> Batch:
        """Batches as one, on the CPU."""
        estimates = [part.estimate for part in parts]
        value, draws = (
            torch.cat([one.value.cpu() for one in estimates]),
            torch.cat([one.draws.cpu() for one in estimates]),
        )
        return Batch(
            Estimate(value, _cat([one.stderr for one in estimates]), draws),
            _cat([part.agreement for part in parts]),
            _cat([part.change for part in parts]),
            _cat([part.converged for part in parts]),
        )


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


class Options(TypedDict, total=False):
    """What `explain` and `explain_live` take beside the question itself."""

    target: TargetLike
    context: tuple[Tensor, ...]
    seed: int
    keys: Keys
    chunk: int | None
    precision: Precision
    device: str | torch.device | None


class Watched(Options, total=False):
    """What `explain` takes."""

    progress: Callable[[Progress], object] | None


@overload
def explain(
    model: nn.Module, x: Tensor, *, method: Explainer, at: At | None = None, **options: Unpack[Watched]
) -> Attribution: ...


@overload
def explain(
    model: nn.Module, x: Inputs, *, method: Explainer, at: None = None, **options: Unpack[Watched]
) -> Attributions: ...


@overload
def explain(model: nn.Module, x: Inputs, *, method: Explainer, at: At, **options: Unpack[Watched]) -> Attribution: ...


def explain(
    model: nn.Module,
    x: Tensor | Inputs,
    *,
    method: Explainer,
    target: TargetLike = None,
    at: At | None = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    chunk: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Attribution | Attributions:
    """Which values of the rows x a model's score depends on: a map per row, by a method.

    Args:
        model: a `torch.nn.Module` in eval mode, or a `Network` from `load`; it is left as found.
        x: the rows (N, *S), floating point, finite, in the units the model takes. Of a model of several inputs a tuple (a, b) of
            rows explains them together: noise is relative to each one's own range, paths move them all, and what comes back
            is an `Attributions`, whose maps are a tuple too.
        method: an Explainer, such as `smoothgrad(noise=0.15, samples=50)`.
        target: the score to explain: None (each row's top class), a class, a tensor of N classes, a `Target`, or a
            callable of the output that gives one score per row. Scores are pre-softmax. `Each(...)` explains several classes
            from the same passes: a map per row and class.
        at: the name of a layer, or the layer: explain its output instead of the input, or the inputs. Noise, baselines and maps
            are then in its units and of its shape.
        context: other inputs of the model, each with N rows; they are neither disturbed nor explained.
        seed: of all randomness. The same seed gives the same maps, whatever the chunk, batch or machine (to rounding).
        keys: N integers that name the rows for randomness; default 0..N-1. A row keeps its noise wherever it stands.
        chunk: the largest number of rows in one model call; None chooses, by timing the first calls where there are many. It is
            halved when memory runs out.
        precision: "float32" computes in the type of the model; "bfloat16" in a copy of it in bfloat16; "auto" takes bfloat16 where
            it is faster on this machine and moves the map by less than a tenth of its standard error.
        device: where to compute; default where the model is. A model elsewhere is copied, not moved.
        progress: called after each chunk with a `Progress`.

    Returns:
        An `Attribution`: maps (N, *S), raw and signed, with their Monte-Carlo standard error, and all it takes to repeat them; for
        several inputs an `Attributions`.

    Raises:
        SmoothGradError: `ModelInTraining`, `BadInput`, `BadTarget`, `BadMethod`, `BadNoise`, `BadBaseline`, `NonFinite`,
            `NotDifferentiable`, `RuleDidNothing`, `UnsupportedModel`: before any long work wherever possible. `OutOfMemory`
            where memory does not suffice for one row.

    >>> import torch, smoothgrad as sg
    >>> net = torch.nn.Linear(3, 2).eval()
    >>> result = sg.explain(net, torch.rand(1, 3), method=sg.gradient(), target=1)
    >>> bool((result.maps[0] == net.weight[1]).all())
    True
    """
    run = _Run.checked(model, x, method, target, at, context, seed, keys, chunk, precision, device)
    parts = list(stepwise(run.batches(progress), run.query.x.device))
    with own_arithmetic(run.query.x.device):
        return run.result(Batch.joined(parts))


@overload
def explain_live(
    model: nn.Module, x: Tensor, *, method: Explainer, at: At | None = None, **options: Unpack[Options]
) -> Iterator[Attribution]: ...


@overload
def explain_live(
    model: nn.Module, x: Inputs, *, method: Explainer, at: None = None, **options: Unpack[Options]
) -> Iterator[Attributions]: ...


@overload
def explain_live(
    model: nn.Module, x: Inputs, *, method: Explainer, at: At, **options: Unpack[Options]
) -> Iterator[Attribution]: ...


def explain_live(
    model: nn.Module,
    x: Tensor | Inputs,
    *,
    method: Explainer,
    target: TargetLike = None,
    at: At | None = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    chunk: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
) -> Iterator[Attribution | Attributions]:
    """The same as `explain`, as a generator of Attributions that get better; the last is what `explain` returns.

    All rows get better together, so that all of them are held at once. A smaller `chunk` gives more partial results. Arguments are
    checked at once, before the first is asked for.

    >>> import torch, smoothgrad as sg
    >>> net = torch.nn.Linear(3, 2).eval()
    >>> [int(part.draws) for part in sg.explain_live(net, torch.rand(1, 3), method=sg.smoothgrad(samples=6), chunk=2)]
    [2, 4, 6]
    """
    run = _Run.checked(model, x, method, target, at, context, seed, keys, chunk, precision, device)
    return stepwise(run.live(), run.query.x.device)


@dataclass(frozen=True)
class _Run:
    """A question that has passed all checks."""

    method: Explainer
    kind: str  # of the target
    question: Asked
    precision: str
    chunk: int | None
    query: Query
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
        x: Tensor | Inputs,
        method: Explainer,
        target: TargetLike,
        at: At | None,
        context: tuple[Tensor, ...],
        seed: int,
        keys: Keys,
        chunk: int | None,
        precision: str,
        device: str | torch.device | None,
    ) -> _Run:
        started = time.perf_counter()
        check_method(method)
        check_model(model)
        explained = check_inputs(x, layer=at is not None)
        packing = Packing.of(explained) if isinstance(x, tuple | list) and at is None else None
        check_seed(seed)
        check_chunk(chunk)
        check_precision(precision)
        goal = as_target(target)
        named = check_keys(keys, len(explained[0]))
        others = check_context(context, len(explained[0]))
        asked = model
        model = on_device(model, device)
        place = device_of(model, explained[0])
        check_dtype(model, explained)
        inputs = tuple(without_history(part).to(place) for part in (*explained, *others))
        with own_arithmetic(place):
            with refusals(asked, explained):
                seen = _seen(model, inputs, None if at is None else same_layer(asked, model, at), packing)
            x = seen.x
            schedule = Schedule(chunk) if chunk else Schedule.for_rows(x.shape[1:])
            nothing = torch.zeros(len(x), dtype=torch.int64, device=place)
            query = Query.of(x, nothing, seed=seed, keys=named, context=seen.context)
            with refusals(asked, explained):
                output = first_look(seen.view, query, schedule)
            check_classes(asked, output)
            check_smooth(output, f"the output of {type(asked).__name__}")
            index = goal.resolve(output)
            query = replace(query, target=index, scorer=goal.score, parts=() if packing is None else packing.sizes)
            if isinstance(goal, Each):
                query = query.for_each(index)
                output, named = (rows.repeat_interleave(query.twins, 0) for rows in (output, named))
            check_smooth(goal.score(output, query.target), "the score that the target gives")
            method.check(query)
            score = query.scores(output)
            check_finite(score, "the score")
            reads, as_it_is = method.layers, method.needs_itself
            question = Asked(model, inputs, output[:1], x.shape[1:], seen.layer, reads, as_it_is, packing)
        label = None if at is None else at if isinstance(at, str) else type(at).__name__
        return _Run(
            method, goal.kind, question, precision, chunk, query, output, score, named, seed, asked, label, started
        )

    @cached_property
    def engine(self) -> Engine:
        """What is asked: made when the work begins, since a copy takes a while."""
        points = len(self.query) // self.query.twins
        return Engine.of(self.question, self.precision, points * self.method.passes, self.chunk)

    def batches(self, progress: Callable[[Progress], object] | None) -> Iterator[Batch]:
        """The rows in batches of one chunk, each to its end: what is held beside the result does not grow with N."""
        passes, before, engine = self.method.passes, 0, self.engine
        for rows in self.query.split(engine.schedule.chunk * self.query.twins):
            batch = self.method.prepare(engine.exact, rows, engine.schedule)
            partial: Partial | None = None
            for partial in engine.partials(self.method, batch):
                if progress is not None:
                    done = passes * before + partial.done * len(batch)
                    progress(Progress(done, passes * len(self.query), partial))
            assert partial is not None, "every explainer reports at least once"
            found = Batch.of(partial, self.method.change(engine.exact, batch, engine.schedule))
            if self.packing is not None:
                check_apart(self.method, found.estimate.value, self.packing)
            yield found
            before += len(batch)

    def live(self) -> Iterator[Attribution | Attributions]:
        """All rows at once, as they get better."""
        query = self.method.prepare(self.engine.exact, self.query, self.engine.schedule)
        change = self.method.change(self.engine.exact, query, self.engine.schedule)
        for partial in self.engine.partials(self.method, query):
            yield self.result(Batch.of(partial, change))

    @property
    def packing(self) -> Packing | None:
        """How several inputs are packed into the rows; None for one."""
        return self.question.packing

    def result(self, known: Batch) -> Attribution | Attributions:
        """What the caller gets."""
        if self.packing is None:
            return self.attribution(known)
        check_apart(self.method, known.estimate.value, self.packing)
        return Attributions(self.attribution(known), self.packing)

    def attribution(self, known: Batch) -> Attribution:
        (value, stderr, draws, _), agreement, change, converged = known
        maps = _at_size(value, self.query.shape)
        freedom = None if stderr is None else self.method.freedom(draws)
        completeness = None if change is None else Completeness(maps.flatten(1).sum(1).cpu(), change.cpu())
        network = self.asked if isinstance(self.asked, Network) else None
        return Attribution(
            maps=maps.cpu(),
            stderr=None if stderr is None else _at_size(stderr, self.query.shape).cpu(),
            x=self.query.x.cpu(),
            target=self.query.target.cpu(),
            score=self.score.cpu(),
            draws=draws.cpu(),
            freedom=None if freedom is None else freedom.cpu(),
            reproducibility=None if agreement is None else agreement.cpu(),
            passes=self.method.cost(draws).cpu(),
            completeness=completeness,
            recipe=to_recipe(self.method),
            unit=unit_of(self.method, self.kind, self.layer),
            unsigned=self.method.unsigned,
            converged=None if converged is None else converged.cpu(),
            kind=self.kind,
            seed=self.seed,
            provenance=self.provenance(),
            keys=self.keys,
            output=self.output.cpu() if self.output.ndim == 2 else None,
            picture=self.picture(network),
            classes=() if network is None else network.classes,
            data=tuple(part.tensor for part in data_in(self.method)),
            coarse=None if maps.shape == value.shape else value.cpu(),
        )

    def picture(self, network: Network | None) -> Tensor | None:
        """The network's inputs as a person would see them, where it says how and they are pictures."""
        x = self.input
        if network is None or x.ndim != 4 or x.shape[1] != network.preprocessing.channels:
            return None
        return network.show(x.cpu())

    @property
    def input(self) -> Tensor:
        """What the network takes first. Where a layer's output is explained, the view of the layer has it first in its context."""
        if self.packing is not None:
            return self.packing.apart(self.query.x)[0]
        return self.query.x if self.layer is None else self.query.context[0]

    def provenance(self) -> dict[str, Any]:
        from smoothgrad import __version__

        name = self.asked.name if isinstance(self.asked, Network) else type(self.asked).__name__
        return {
            "smoothgrad": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": str(self.query.x.device),
            "model": name,
            "fingerprint": self.question.fingerprint,
            "layer": self.layer,
            "input": list(self.input.shape[1:]),
            **({} if self.packing is None else {"inputs": [list(shape) for shape in self.packing.shapes]}),
            **self.engine.described(self.query.x.dtype),
            "seconds": round(time.perf_counter() - self.started, 3),
        }


class _Seen(NamedTuple):
    """What is explained of a model: rows, and the view that takes them."""

    view: nn.Module
    x: Tensor  # (N, *S)
    context: tuple[Tensor, ...]
    layer: str | None = None  # whose output the rows are


def _seen(model: nn.Module, inputs: tuple[Tensor, ...], at: At | None, packing: Packing | None) -> _Seen:
    """The model as a function of what is explained: its first input, a layer's output, or several inputs in one row."""
    if at is not None:
        view = seen_from(model, at)
        return _Seen(view, view.capture(*inputs), inputs, view.name)
    if packing is not None:
        count = len(packing.shapes)
        return _Seen(Packed(model, packing), packing.packed(inputs[:count]), inputs[count:])
    return _Seen(model, inputs[0], inputs[1:])


def _at_size(maps: Tensor, shape: torch.Size) -> Tensor:
    """Coarse maps at the size of rows of this shape; those of Together each for itself. Others as they are."""
    if maps.ndim == len(shape) + 2:  # (N, R, ...)
        each: Tensor = fitted(maps.flatten(0, 1), shape).unflatten(0, maps.shape[:2])
        return each
    return fitted(maps, shape)


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Batches as one, on the CPU; None where a batch has none."""
    known = [part.cpu() for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
