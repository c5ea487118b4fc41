"""Judging: every measure on the maps of every method, row by row, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_chunk, check_model, on_device
from smoothgrad.errors import BadInput, BadMethod, BadTarget, nearest
from smoothgrad.measure.measure import BETTER, Measure
from smoothgrad.measure.scores import Scores
from smoothgrad.measure.scoring import Subject, Told, said, scores_of, several_maps
from smoothgrad.question import Question
from smoothgrad.result import Attribution
from smoothgrad.targets import Classes, Contrast, Each, Probability, Target, TargetLike, Top

__all__ = ["Measures", "judge", "labelled", "said", "target_of"]

Measures: TypeAlias = Sequence[Measure] | Mapping[str, Measure]

SAME = 1e-3  # of the norm: how far what a layer answers may be from what was explained


def judge(
    model: nn.Module,
    result: Attribution | Mapping[str, Attribution],
    measures: Measures,
    *,
    regions: Tensor | None = None,
    target: TargetLike = None,
    context: tuple[Tensor, ...] = (),
    chunk: int | None = None,
    device: str | torch.device | None = None,
    progress: Told | None = None,
) -> Scores:
    """How good maps are, by measures: a score for each row, method and measure.

    Args:
        model: the network whose predictions the maps explain, in eval mode; it is left as found. Another one than made the maps
            is asked all the same, as where weights were randomised: `fingerprint` in the table is that of the one given here, and
            `made_by` that of the one that made the map.
        result: what `explain` gave; or several of them by labels, such as {"plain": ..., "smooth": ...}.
        measures: such as [Deletion(), Gini()], labelled by their names, or a mapping from labels of your own.
        regions: for measures of localisation: where the thing is, bool (N, *places), True inside.
        target: only for maps that explain a function of yours: that function. All others say what they explain.
        context: other inputs of the model, as for `explain`. Of maps at a layer, the network's input comes first: (x, *context).
        chunk: the largest number of rows in one model call; None chooses.
        device: where to compute; default where the model is.
        progress: called after each batch of rows with the label of the measure, and how many rows x measures are done, of how many.

    Returns:
        `Scores`. A row that has no score stands in it as NaN with the reason, as do the rows for which a measure raises: in a batch
        of which only some rows are to blame, the others are judged.

    Raises:
        SmoothGradError: before any work: `BadMethod` for what is no measure, `BadInput` for maps or regions of the wrong shape,
            and all that `explain` raises for model, context and target.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> maps = sg.explain(net, net.samples(2), method=sg.gradient())
    >>> judge(net, maps, {})
    Traceback (most recent call last):
    smoothgrad.errors.BadMethod: judging needs at least one measure, such as measures=[Deletion()]
    """
    named = labelled(measures)
    check_chunk(chunk)
    check_model(model)
    results = _results(result)
    _check_target(target, results.values())
    with torch.inference_mode(False):
        there = on_device(model, device)
    subjects = [
        Subject.of(_question(there, label, one, target, context, chunk), one, label, regions)
        for label, one in results.items()
    ]
    return scores_of(subjects, named, chunk=chunk, progress=progress)


def labelled(measures: Measures) -> dict[str, Measure]:
    """The measures by their labels. Raises `BadMethod` for what is no measure, and says how to get one."""
    from smoothgrad.measure import label_of

    given: object = measures
    if isinstance(given, Measure):
        raise BadMethod(f"measures is one measure, {given!r}; give a list: measures=[{given!r}]")
    if isinstance(given, str) or not isinstance(given, Mapping | list | tuple):
        raise BadMethod(f"measures is {given!r}; give a list of measures, or a dict from labels: measures=[Deletion()]")
    for one in given.values() if isinstance(given, Mapping) else given:
        _check_measure(one)
    if not given:
        raise BadMethod("judging needs at least one measure, such as measures=[Deletion()]")
    if isinstance(measures, Mapping):
        return dict(measures)
    named: dict[str, Measure] = {}
    for one in measures:
        label = label_of(one)
        if label in named:
            raise BadMethod(
                f"two measures have the label {label!r}; give each once, or labels of your own: measures={{'a': ..., 'b': ...}}"
            )
        named[label] = one
    return named


def _check_measure(one: object) -> None:
    if isinstance(one, Measure):
        _check_class(type(one))
        return
    if isinstance(one, str):
        raise BadMethod(f"the measure is text; {_how_to_build(one)}")
    if isinstance(one, type) and issubclass(one, Measure):
        raise BadMethod(f"the measure is {one.__name__} itself; call it: {one.__name__}()")
    raise BadMethod(f"the measure is {one!r}; give a Measure, such as Deletion()")


def _check_class(kind: type[Measure]) -> None:
    """Raises `BadMethod` for a class of the user's own that cannot be named in a table, or ranked by it."""
    params = vars(kind).get("__dataclass_params__")  # its own: those of a base know nothing of its fields
    if params is None or not params.frozen:
        raise BadMethod(
            f"{kind.__name__} is no frozen dataclass, so that two with other parameters would be taken for the same; make it a "
            f"frozen dataclass: @dataclass(frozen=True, repr=False) above class {kind.__name__}, its parameters as fields"
        )
    if kind.better not in BETTER:
        raise BadMethod(f"{kind.__name__} has better = {kind.better!r}; give one of {', '.join(map(repr, BETTER))}")


def _how_to_build(text: str) -> str:
    from smoothgrad.measure import MEASURES

    name = text.partition("(")[0].strip()
    if name in {*MEASURES, *(entry.make.__name__ for entry in MEASURES.values())}:
        return f"build it first: sg.measure_from_recipe({text!r})"
    return f"no measure is named {name!r}; {nearest(name.lower(), MEASURES)}"


# --- the question, asked again -------------------------------------------------------------------------------------


def _results(result: Attribution | Mapping[str, Attribution]) -> dict[str, Attribution]:
    """The maps by the labels of their methods. Raises `BadInput`."""
    found = dict(result) if isinstance(result, Mapping) else {getattr(result, "title", ""): result}
    if not found:
        raise BadInput("there is nothing to judge: the dict of results is empty")
    for one in found.values():
        _check_result(one)
    return found


def _check_result(result: object) -> None:
    if not isinstance(result, Attribution):
        raise BadInput(f"judge takes what explain gives for one input, an Attribution; got {type(result).__name__}")
    if "inputs" in result.provenance:
        raise BadInput("these maps are of several inputs explained together, which judge does not take")
    if result.maps.ndim > result.x.ndim:
        raise BadInput(several_maps(result))
    if result.maps.shape != result.x.shape:
        raise BadInput(
            f"the maps have shape {tuple(result.maps.shape)}, the rows {tuple(result.x.shape)}; give a map of its shape for "
            "each row"
        )


def _check_target(target: TargetLike, results: Iterable[Attribution]) -> None:
    kinds = {one.kind for one in results}
    if "function" in kinds and target is None:
        raise BadTarget("the maps explain a function of yours, which they do not hold; give it: target=")
    if "function" not in kinds and target is not None:
        raise BadTarget("the maps say themselves what they explain; leave target out")


def _question(
    model: nn.Module,
    label: str,
    result: Attribution,
    target: TargetLike,
    context: tuple[Tensor, ...],
    chunk: int | None,
) -> Question:
    """The question that the maps answer, asked again."""
    layer, keys = result.provenance.get("layer"), result.keys
    goal = target if result.kind == "function" else target_of(result)
    if layer is None:
        question = Question.checked(
            model, result.x, target=goal, context=context, seed=result.seed, keys=keys, chunk=chunk
        )
    else:
        if not context:
            raise BadInput(
                f"the maps of {label} are at layer {layer!r}; judging them needs the network's own input, too, first in context: "
                "context=(x,)"
            )
        x, *others = _for_each(context, len(result))
        question = Question.checked(
            model, x, target=goal, at=layer, context=tuple(others), seed=result.seed, keys=keys, chunk=chunk
        )
        seen, was = question.query.x.cpu(), result.x
        if seen.shape != was.shape or (seen - was).norm() > SAME * was.norm():
            raise BadInput(
                f"layer {layer!r} does not answer what the maps of {label} explain; context[0] must be the input that was "
                "explained, and the network the same"
            )
    if result.target.ndim == 2:  # contrasts, and among them classes that are compared with none
        pairs = result.target.to(question.query.target.device)
        return replace(question, query=replace(question.query, target=pairs, scorer=Each(Top()).score))
    return question


def _for_each(context: tuple[Tensor, ...], maps: int) -> tuple[Tensor, ...]:
    """Inputs (N, ...) as often as there are maps (N * T): several targets of a row have a map each. Others as they are."""
    return tuple(
        part.repeat_interleave(maps // len(part), 0)
        if isinstance(part, Tensor) and part.ndim and len(part) and maps % len(part) == 0
        else part
        for part in context
    )


def target_of(result: Attribution) -> Target:
    """What the maps explain, row by row."""
    if result.target.ndim == 2:
        this, that = (Classes(tuple(part.tolist())) for part in result.target.unbind(1))
        return Contrast(this, that) if bool((result.target[:, 1] >= 0).all()) else this
    classes = Classes(tuple(result.target.tolist()))
    return Probability(classes, log=result.kind == "log probability") if "probability" in result.kind else classes
