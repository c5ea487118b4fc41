"""Maps of a network next to those of its twin, such as one that was trained on labels drawn by lot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from smoothgrad.checks import check_method
from smoothgrad.core.ask import called
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadMethod, BadModel, BadTarget, NonFinite
from smoothgrad.explain import explain
from smoothgrad.measure.judging import target_of
from smoothgrad.measure.places import at_places, unranked
from smoothgrad.measure.similarity import Similarity, Spearman
from smoothgrad.methods import named
from smoothgrad.result import Attribution
from smoothgrad.targets import Class, Classes, Contrast, Each, Probability, TargetLike, Top, as_target


class TwinRow(NamedTuple):
    """How alike the maps of one input are."""

    row: int  # of x
    method: str  # its label
    similarity: str
    value: float  # 1 for equal maps; NaN with a reason
    reason: str = ""


def against_twin(
    model: nn.Module,
    twin: nn.Module,
    x: Tensor,
    methods: Sequence[Explainer] | Mapping[str, Explainer],
    *,
    similarities: Sequence[Similarity] = (Spearman(),),
    target: TargetLike = None,
    context: tuple[Tensor, ...] = (),
    seed: int = 0,
) -> list[TwinRow]:
    """For every row of x, method and similarity: how alike the maps are that a network and its twin get for the same target.

    With a twin that was trained on shuffled labels, such as `load("digits-random-labels")` for `load("digits")`, this is the data
    randomisation test of Adebayo et al. 2018: a method whose maps are as alike as ever does not show what the network learned.
    Both are asked with the same noise.

    `methods`: a sequence, labelled by their names, or a mapping from labels of your own. `target`: as in `explain`, one for each
    row; None is the class that `model` finds. The twin is asked about the classes that `model` was explained for, whichever it
    finds itself. `pandas.DataFrame(rows)` makes a table of the answer.

    Raises what `explain` raises, said of the twin where it is the one that refuses; `BadInput` for several inputs and where maps
    cannot be compared so, `BadTarget` for `Each`.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> against_twin(net, net, net.samples(1), [sg.gradient()])
    [TwinRow(row=0, method='gradient()', similarity='Spearman()', value=1.0, reason='')]
    """
    labelled = _labelled(methods)
    given: object = x
    if isinstance(given, tuple | list):
        raise BadInput("against_twin takes one input, a tensor of rows (N, *S); pass the others as context=(...)")
    if isinstance(as_target(target), Each):
        raise BadTarget("against_twin compares one map of each row; give one target, and ask again for the others")
    if not labelled or not similarities:
        raise BadMethod("against_twin needs a method and a similarity at least, such as [gradient()] and [Spearman()]")
    place = Query.of(x, 0)
    for similarity in similarities:
        similarity.check(place)
    rows = []
    for label, method in labelled.items():
        first = explain(model, x, method=method, target=target, context=context, seed=seed)
        with _said_of_the_twin(twin):
            second = explain(twin, x, method=method, target=_same(target, first), context=context, seed=seed)
        one, other = (unranked(at_places(found.maps, place)) for found in (first, second))
        reasons = [_why("the network", a) or _why("its twin", b) for a, b in zip(one, other, strict=True)]
        for similarity in similarities:
            values = similarity.of(first.maps, second.maps, place).tolist()
            for row, (value, reason) in enumerate(zip(values, reasons, strict=True)):
                none = "" if value == value else reason or "the maps have no such similarity"
                rows.append(TwinRow(row, label, repr(similarity), value, none))
    return rows


@contextmanager
def _said_of_the_twin(twin: nn.Module) -> Iterator[None]:
    """What the twin cannot do is said of it: the network has done the same just before."""
    try:
        yield
    except (BadInput, BadModel, BadTarget, BadMethod, NonFinite) as error:
        raise type(error)(f"the twin, {called(twin)}: {error}") from error


def _labelled(methods: object) -> dict[str, Explainer]:
    """The methods by their labels. Raises `BadMethod` for what is none, and says how to get one."""
    if isinstance(methods, Explainer):
        raise BadMethod(f"methods is one method, {named(methods)}; give a list: [{named(methods)}]")
    if not isinstance(methods, Mapping | list | tuple):
        raise BadMethod(f"methods is {methods!r}; give a list of methods, or a dict from labels, such as [gradient()]")
    for method in methods.values() if isinstance(methods, Mapping) else methods:
        check_method(method)
    return dict(methods) if isinstance(methods, Mapping) else {named(method): method for method in methods}


def _same(target: TargetLike, first: Attribution) -> TargetLike:
    """What was explained, row by row: the twin may find other classes. Targets of your own say themselves what they read."""
    known = isinstance(as_target(target), Top | Class | Classes | Contrast | Probability)
    return target_of(first) if known else target


def _why(whose: str, reason: str) -> str:
    return f"of {whose}, {reason}" if reason else ""
