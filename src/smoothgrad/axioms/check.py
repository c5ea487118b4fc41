"""The door: ask a method for each axiom on a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smoothgrad.axioms.completeness import TOLERANCE as COMPLETENESS
from smoothgrad.axioms.completeness import completeness
from smoothgrad.axioms.dummy import TOLERANCE as DUMMY
from smoothgrad.axioms.dummy import dummy
from smoothgrad.axioms.implementation import TOLERANCE as IMPLEMENTATION
from smoothgrad.axioms.implementation import implementation
from smoothgrad.axioms.linearity import TOLERANCE as LINEARITY
from smoothgrad.axioms.linearity import linearity
from smoothgrad.axioms.question import FAULTS, NotAsked, Question
from smoothgrad.axioms.sensitivity import TOLERANCE as SENSITIVITY
from smoothgrad.axioms.sensitivity import sensitivity
from smoothgrad.axioms.shift import TOLERANCE as SHIFT
from smoothgrad.axioms.shift import shift
from smoothgrad.axioms.symmetry import TOLERANCE as SYMMETRY
from smoothgrad.axioms.symmetry import symmetry
from smoothgrad.axioms.verdict import AxiomReport, Verdict
from smoothgrad.checks import Keys, check_context, check_inputs, check_method, check_model, device_of
from smoothgrad.citations import PAPERS, Paper
from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.core.ask import outputs
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import (
    BadInput,
    BadMethod,
    BadTarget,
    NonFinite,
    NotDifferentiable,
    SmoothGradError,
    UnsupportedModel,
    nearest,
)
from smoothgrad.explain import explain
from smoothgrad.methods import named
from smoothgrad.models.network import Network
from smoothgrad.models.prepare import prepare
from smoothgrad.result import Attribution
from smoothgrad.targets import Each, Target, TargetLike, as_target


class Axiom(NamedTuple):
    """An axiom: what it says, and how it is asked."""

    name: str
    says: str
    check: Callable[[Question, float], Verdict]
    tolerance: float
    papers: tuple[str, ...] = ("sundararajan2017",)

    @property
    def citations(self) -> tuple[Paper, ...]:
        return tuple(PAPERS[key] for key in self.papers)


AXIOMS: dict[str, Axiom] = {
    axiom.name: axiom
    for axiom in (
        Axiom("completeness", "the map sums to the change of score from the baseline", completeness, COMPLETENESS),
        Axiom("sensitivity", "what alone changes the score has a part in the map", sensitivity, SENSITIVITY),
        Axiom("implementation invariance", "equal functions, equal maps", implementation, IMPLEMENTATION),
        Axiom("linearity", "the map of a sum of scores is the sum of their maps", linearity, LINEARITY),
        Axiom("dummy", "what the network ignores gets zero", dummy, DUMMY, ("friedman2004", "sundararajan2017")),
        Axiom("symmetry", "places that play the same part get the same", symmetry, SYMMETRY),
        Axiom(
            "input-shift invariance",
            "a constant that is added and taken off changes nothing",
            shift,
            SHIFT,
            ("kindermans2017",),
        ),
    )
}
ALL: tuple[str, ...] = tuple(AXIOMS)


def check_axioms(
    model: nn.Module,
    x: Tensor,
    *,
    method: Explainer,
    target: TargetLike = None,
    axioms: Sequence[str] = ALL,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
    keys: Keys = None,
    chunk: int | None = None,
    tolerance: float | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> AxiomReport:
    """Ask for each axiom whether a method keeps it on a model, and find a counter-example where it does not.

    Args:
        model, x, method, target, context, seed, keys, chunk: as in `explain`; of one input, and one score for each row.
        axioms: names from `ALL`.
        tolerance: how large a violation may be put down to rounding or quadrature: a fraction of the map's largest value, for
            completeness of the change of score. None takes each axiom's own, which its file explains. Chance is allowed for
            besides, by 4 standard errors.
        progress: called with the name of the axiom at work, how many are done, and how many there are.

    Returns:
        An `AxiomReport` with a `Verdict` for each axiom. One that cannot be asked, or that the method cannot be run for, has
        `holds=None` and the reason; so has one of which all maps are zero, and each in types narrower than float32.

    Raises:
        SmoothGradError: what `explain` raises for the question itself; a fault of the method leaves verdicts with that reason.
        BadInput: for an axiom that is not known, and for several inputs; `BadTarget` for several targets.

    Takes 10 to 20 times as long as one map of each row; for methods with chance about 25 times.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> report = check_axioms(net, net.samples(2), method=sg.guided_backprop(), axioms=["implementation invariance", "dummy"])
    >>> [(verdict.axiom, verdict.word) for verdict in report]
    [('implementation invariance', 'fails'), ('dummy', 'holds')]
    """
    chosen = _chosen(axioms)
    goal = _checked(model, x, method, target, tolerance)
    try:
        ask = _question(model, x, method, goal, context, seed, keys, chunk)
    except (BadMethod, NonFinite, NotDifferentiable, UnsupportedModel) as error:
        verdicts = tuple(_unasked(axiom.name, f"the method has no map of this model: {error}") for axiom in chosen)
        return AxiomReport(named(method), _name(model), len(x), seed, verdicts)
    narrow = _narrow(ask)
    if narrow:
        return AxiomReport(
            named(method), _name(model), len(x), seed, tuple(_unasked(axiom.name, narrow) for axiom in chosen)
        )
    found = []
    for number, axiom in enumerate(chosen):
        if progress is not None:
            progress(axiom.name, number, len(chosen))
        with own_arithmetic(ask.device):
            found.append(_verdict(axiom, ask, axiom.tolerance if tolerance is None else tolerance))
    return AxiomReport(named(method), _name(model), len(x), seed, tuple(found))


def _verdict(axiom: Axiom, ask: Question, tolerance: float) -> Verdict:
    try:
        found = axiom.check(ask, tolerance)
    except NotAsked as reason:
        return _unasked(axiom.name, str(reason))
    except FAULTS as error:
        return _unasked(axiom.name, f"the method fails there with {type(error).__name__}: {error}")
    # A tolerance of 0 allows nothing of any map: then the method's own maps say whether there was anything to compare.
    empty = tolerance > 0 or not bool(ask.own.maps.any())
    if found.holds and found.error == 0 and found.allowed == 0 and empty:
        return _unasked(
            axiom.name, "all that is compared is zero: every map of these rows, so that nothing could differ"
        )
    return found


def _narrow(ask: Question) -> str:
    """Why a verdict would be one on rounding, else ""."""
    for part in (ask.x, ask.output, ask.own.maps):
        if part.is_floating_point() and torch.finfo(part.dtype).eps > torch.finfo(torch.float32).eps:
            name = str(part.dtype).removeprefix("torch.")
            return f"{name} rounds by more than the axioms tell apart; ask in float32: model.float(), x.float()"
    return ""


def _unasked(axiom: str, reason: str) -> Verdict:
    return Verdict(axiom, None, math.nan, math.nan, None, reason)


def _chosen(axioms: Sequence[str]) -> list[Axiom]:
    names = [axioms] if isinstance(axioms, str) else list(axioms)
    for name in names:
        if name not in AXIOMS:
            raise BadInput(f"no axiom is called {name!r}; {nearest(str(name), AXIOMS)}")
    if not names:
        raise BadInput(f"axioms names none; give some of {', '.join(ALL)}")
    return [AXIOMS[name] for name in dict.fromkeys(names)]


def _checked(model: object, x: object, method: Explainer, target: TargetLike, tolerance: float | None) -> Target:
    check_method(method)
    check_model(model)
    if isinstance(x, tuple | list):
        raise BadInput("check_axioms takes one input, a tensor of rows (N, *S); pass the others as context=(...)")
    check_inputs(x, layer=False)
    goal = as_target(target)
    if isinstance(goal, Each):
        raise BadTarget("check_axioms asks about one score of each row; give one target, and ask again for the others")
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise BadInput(f"tolerance is {tolerance}; give a fraction of at least 0, such as 0.01, or None")
    return goal


def _question(
    model: nn.Module,
    x: Tensor,
    method: Explainer,
    goal: Target,
    context: tuple[Tensor, ...],
    seed: int,
    keys: Keys,
    chunk: int | None,
) -> Question:
    """The method's own maps, and the network that is put into others: prepared once, for all of them."""
    context = check_context(context, len(x))
    place = device_of(model, x)
    rows = x.detach().to(place)
    others = tuple(part.detach().cpu() for part in context)
    inner = _prepared(model, rows, context, method)
    own: Attribution = explain(
        inner, rows, method=method, target=goal, context=context, seed=seed, keys=keys, chunk=chunk
    )
    if own.maps.shape != x.shape:
        raise BadMethod(f"{method!r} gives several maps for each row; the axioms are asked of one: take one reduction")
    output = own.output
    if output is None:  # of networks without classes
        query = Query.of(rows, own.target.to(place), context=tuple(part.to(place) for part in others))
        output = outputs(model, query, Schedule(chunk) if chunk else Schedule.for_rows(x.shape[1:])).cpu()
    return Question(
        model, inner, rows.cpu(), place, method, goal, own.target, output, others, seed, own.keys, chunk, own
    )


def _prepared(model: nn.Module, x: Tensor, context: tuple[Tensor, ...], method: Explainer) -> nn.Module:
    """A copy of the network for all that is asked; itself where the method or the network will have none."""
    if method.needs_itself:
        return model
    try:
        return prepare(model, x, at=method.layers or None, context=tuple(part.to(x.device) for part in context))
    except (SmoothGradError, RuntimeError, TypeError):
        return model  # what is wrong with it is for `explain` to say


def _name(model: nn.Module) -> str:
    return model.name if isinstance(model, Network) else type(model).__name__
