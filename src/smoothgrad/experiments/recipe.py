"""An experiment as one line of text, read back; and values of a grid as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_origin

from smoothgrad.core.kinds import kind_held
from smoothgrad.errors import BadOption, BadRecipe, UnknownName, nearest
from smoothgrad.experiments.experiment import Experiment
from smoothgrad.experiments.table import EXPERIMENTS
from smoothgrad.measure.recipe import makers
from smoothgrad.recipe import MAKERS, Builder, pieces_in
from smoothgrad.training import patch, plan

EXAMPLE = "noise-level"
TRAINING: dict[str, Callable[..., Any]] = {piece.__name__: piece for piece in pieces_in(plan, patch)}


def experiment_from_recipe(text: str) -> Experiment:
    """The experiment that a line of text describes: its name, "noise-level", or a recipe as a row of its table holds it.

    Raises `UnknownName` for another name, with the nearest one, and `BadRecipe`.

    >>> experiment_from_recipe("noise-level(noise=0.1)").noise
    (0.1,)
    """
    head, bracket, rest = text.strip().partition("(")
    name = _known(head.strip())
    if not bracket:
        return EXPERIMENTS[name]()
    kind = EXPERIMENTS[name].__name__
    known: dict[str, Callable[..., Any]] = {
        **MAKERS,
        **makers(),
        **TRAINING,
        **{one.__name__: one for one in EXPERIMENTS.values()},
    }
    built = Builder((), None, known, f"{EXAMPLE}(noise=0.1)", "method or piece").text(f"{kind}({rest}")
    if not isinstance(built, Experiment):
        raise BadRecipe(f"{text!r} is no experiment; write it as {EXAMPLE}(noise=0.1)")
    return built


def with_grid(experiment: Experiment, texts: tuple[str, ...]) -> Experiment:
    """The experiment with other values: each text is NAME=VALUES, such as noise=0,0.1,0.3 or samples=100.

    Raises `BadOption` for what is no such text, `UnknownName` for a name that is none of its fields, with the nearest one, and what
    the experiment raises for values that do not suit.

    >>> with_grid(experiment_from_recipe("noise-level"), ("noise=0,0.1",)).noise
    (0.0, 0.1)
    """
    fields = experiment.fields()
    changed: dict[str, Any] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not values.strip():
            raise BadOption(f"--grid takes NAME=VALUES, such as {next(iter(fields))}=..., got {text!r}")
        if name not in fields:
            raise UnknownName(f"{experiment.name} has no {name!r}; {nearest(name, fields)}")
        if name in changed:
            raise BadOption(f"--grid gives {name} twice; separate its values by commas: {name}=A,B")
        changed[name] = _read(name, values, fields[name])
    return experiment.changed(changed)


def _read(name: str, values: str, kind: Any) -> Any:
    """The values of a field as its kind wants them: one, or several."""
    parts = [part.strip() for part in _parts(_unbracketed(values.strip()))]
    if not all(parts):
        raise BadOption(f"--grid {name}={values}: a value is empty; write {name}=A,B")
    several = get_origin(kind) is tuple
    if len(parts) > 1 and not several:
        raise BadOption(f"--grid {name}={values}: {name} takes one value")
    try:
        read = tuple(_value(part, kind_held(kind)) for part in parts)
    except (BadRecipe, ValueError) as error:
        raise BadOption(f"--grid {name}={values}: {error}") from error
    return read if several else read[0]


def _known(name: str) -> str:
    """The name of an experiment in the table. Raises `UnknownName`."""
    for known, kind in EXPERIMENTS.items():
        if name in (known, known.replace("-", "_"), kind.__name__):
            return known
    raise UnknownName(f"no experiment is called {name!r}; {nearest(name.lower().replace('_', '-'), EXPERIMENTS)}")


def _unbracketed(values: str) -> str:
    """Values without the brackets that a recipe has around them."""
    inside = values[1:-1]
    whole = values[0] in "([" and values[-1] in ")]" and "(" not in inside and "[" not in inside
    return inside.rstrip(", ") if whole else values


def _parts(values: str) -> list[str]:
    """The text at its commas, but for those in brackets."""
    parts, depth = [""], 0
    for letter in values:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _value(text: str, kind: Any) -> Any:
    """A value as its kind wants it: a number, a word as it is typed, or a piece by its recipe or name."""
    if kind is str or get_origin(kind) is Literal:
        return text
    if kind in (int, float):
        return _number(text)
    known = {**MAKERS, **makers(), **TRAINING}
    if text.isidentifier() and text not in known:
        return _constant(text)
    return Builder((), None, known, "0.1", "value or piece").text(f"{text}()" if text in known else text)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _constant(text: str) -> Any:
    """True, False or None; any other word as it is."""
    return {"True": True, "False": False, "None": None}.get(text, text)
