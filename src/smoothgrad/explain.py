"""The one door: check, resolve the target, run, wrap."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypedDict, Unpack, overload

import torch
from torch import Tensor, nn

from smoothgrad.checks import Keys, Precision, check_apart, check_method, check_precision
from smoothgrad.core.ambient import own_arithmetic, stepwise
from smoothgrad.core.coarse import fitted
from smoothgrad.core.explainer import Explainer, Partial, relative_error
from smoothgrad.core.halving import reproducibility
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.engine import Asked, Engine
from smoothgrad.models.network import Network
from smoothgrad.question import At, Inputs, Question
from smoothgrad.recipe import data_in, to_recipe
from smoothgrad.result import Attribution, Completeness, unit_of
from smoothgrad.several import Attributions
from smoothgrad.targets import TargetLike


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
    check_method(method)
    check_precision(precision)
    question = Question.checked(
        model, x, target=target, at=at, context=context, seed=seed, keys=keys, chunk=chunk, device=device
    )
    return Run.of(question, method, precision, chunk).whole(progress)


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
    check_method(method)
    check_precision(precision)
    question = Question.checked(
        model, x, target=target, at=at, context=context, seed=seed, keys=keys, chunk=chunk, device=device
    )
    run = Run.of(question, method, precision, chunk)
    return stepwise(run.live(), run.query.x.device)


@dataclass(frozen=True)
class Run:
    """A method on a question, and how the work is done."""

    question: Question
    method: Explainer
    precision: Precision = "float32"
    chunk: int | None = None
    begun: float = field(default_factory=time.perf_counter)

    @staticmethod
    def of(question: Question, method: Explainer, precision: Precision = "float32", chunk: int | None = None) -> Run:
        """The run, once the method has said that it can explain such rows."""
        with own_arithmetic(question.query.x.device):
            method.check(question.query)
        return Run(question, method, precision, chunk)

    def whole(self, progress: Callable[[Progress], object] | None = None) -> Attribution | Attributions:
        """All rows, batch by batch, as one result."""
        parts = list(stepwise(self.batches(progress), self.query.x.device))
        with own_arithmetic(self.query.x.device):
            return self.result(Batch.joined(parts))

    @property
    def query(self) -> Query:
        """The rows, with what is asked of them."""
        return self.question.query

    @cached_property
    def asked(self) -> Asked:
        """How the network is asked by this method."""
        return self.question.asked_by([self.method])

    @cached_property
    def engine(self) -> Engine:
        """What is asked: made when the work begins, since a copy takes a while."""
        points = len(self.query) // self.query.twins
        return Engine.of(self.asked, self.precision, points * self.method.passes, self.chunk)

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
            if self.question.packing is not None:
                check_apart(self.method, found.estimate.value, self.question.packing)
            yield found
            before += len(batch)

    def live(self) -> Iterator[Attribution | Attributions]:
        """All rows at once, as they get better."""
        query = self.method.prepare(self.engine.exact, self.query, self.engine.schedule)
        change = self.method.change(self.engine.exact, query, self.engine.schedule)
        for partial in self.engine.partials(self.method, query):
            yield self.result(Batch.of(partial, change))

    def result(self, known: Batch) -> Attribution | Attributions:
        """What the caller gets."""
        packing = self.question.packing
        if packing is None:
            return self.attribution(known)
        check_apart(self.method, known.estimate.value, packing)
        return Attributions(self.attribution(known), packing)

    def attribution(self, known: Batch) -> Attribution:
        """The maps, as those of one input."""
        (value, stderr, draws, _), agreement, change, converged = known
        question, shape = self.question, self.query.shape
        maps = _at_size(value, shape)
        freedom = None if stderr is None else self.method.freedom(draws)
        completeness = None if change is None else Completeness(maps.flatten(1).sum(1).cpu(), change.cpu())
        return Attribution(
            maps=maps.cpu(),
            stderr=None if stderr is None else _at_size(stderr, shape).cpu(),
            x=self.query.x.cpu(),
            target=self.query.target.cpu(),
            score=question.score.cpu(),
            draws=draws.cpu(),
            freedom=None if freedom is None else freedom.cpu(),
            reproducibility=None if agreement is None else agreement.cpu(),
            passes=self.method.cost(draws).cpu(),
            completeness=completeness,
            recipe=to_recipe(self.method),
            unit=unit_of(self.method, question.kind, question.layer),
            unsigned=self.method.unsigned,
            converged=None if converged is None else converged.cpu(),
            kind=question.kind,
            seed=question.seed,
            provenance=self.provenance(),
            keys=question.keys,
            output=question.output.cpu() if question.output.ndim == 2 else None,
            picture=question.picture,
            classes=question.network.classes if isinstance(question.network, Network) else (),
            data=tuple(part.tensor for part in data_in(self.method)),
            coarse=None if maps.shape == value.shape else value.cpu(),
        )

    def provenance(self) -> dict[str, Any]:
        """What it was made with."""
        from smoothgrad import __version__

        question, packing = self.question, self.question.packing
        return {
            "smoothgrad": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": str(self.query.x.device),
            "model": question.name,
            "fingerprint": self.asked.fingerprint,
            "layer": question.layer,
            "input": list(question.input.shape[1:]),
            **({} if packing is None else {"inputs": [list(shape) for shape in packing.shapes]}),
            **self.engine.described(self.query.x.dtype),
            "seconds": round(question.seconds + time.perf_counter() - self.begun, 3),
        }


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
