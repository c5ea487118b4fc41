"""The methods of the papers, as named compositions of a few pieces: one file for each family.

To add one: a function in its family's file, a row in `ROWS` there, a truth test; see docs/add-a-method.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from smoothgrad.citations import PAPERS
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.value import Value, fields_of
from smoothgrad.errors import BadMethod
from smoothgrad.methods import (
    attention,
    cams,
    controls,
    deeplift,
    fullgrad,
    gradients,
    paths,
    perturbation,
    relevance,
    weights,
)
from smoothgrad.methods.method import Method

FAMILIES = (gradients, paths, weights, relevance, deeplift, fullgrad, cams, perturbation, attention, controls)
METHODS: dict[str, Method] = {row.name: row for family in FAMILIES for row in family.ROWS}


def named(method: Explainer) -> str:
    """The method by the name that a person would give it, where it has one; else its recipe.

    >>> from smoothgrad import Gaussian, Gradient, Variance, gradient
    >>> named(Gradient().over(Gaussian(noise=0.15, samples=50)))
    'smoothgrad(noise=0.15, samples=50)'
    >>> named(gradient().over(Gaussian(noise=0.1, samples=8, unit="absolute"), Variance()))
    "vargrad(noise=0.1, samples=8, unit='absolute')"
    """
    # guided_backprop() rather than gradient(rule=Guided())
    return min(reversed([said for _, said in _makers(method)]), key=len, default=repr(method))


def _makers(method: Explainer) -> Iterator[tuple[Method, str]]:
    """The rows of the table that can make a method, and how one writes it with each."""
    held = _held(method)
    for entry in METHODS.values():
        parameters = inspect.signature(entry.make).parameters.values()
        given = {p.name: held[p.name] for p in parameters if p.name in held}
        if "tolerance" in given:
            given.pop("steps", None)  # one or the other
        try:
            found = entry.make(**given)
        except (BadMethod, TypeError):  # these fields do not make such a method
            continue
        if found == method:
            said = [f"{name}={value!r}" for name, value in given.items() if _needed(entry, given, name, method)]
            yield entry, f"{entry.name}({', '.join(said)})"


def _held(piece: Any) -> dict[str, Any]:
    """Every field inside a method by its name; the outermost of a name."""
    held: dict[str, Any] = {}
    for field, value in fields_of(piece) if isinstance(piece, Value) else ():
        held = {**_held(value), **held}
        held[field.name] = value
    return held


def _needed(entry: Method, given: dict[str, Any], name: str, method: Explainer) -> bool:
    """Is the argument to be written out? Numbers always are: defaults may change one day."""
    if isinstance(given[name], int | float) and not isinstance(given[name], bool):
        return True
    try:
        return entry.make(**{other: value for other, value in given.items() if other != name}) != method
    except (BadMethod, TypeError):
        return True


def citation(method: Explainer) -> str:
    """BibTeX for the pieces that a method is made of, and for the name that it has.

    >>> from smoothgrad import smoothgrad
    >>> print(citation(smoothgrad()).splitlines()[0])
    @article{simonyan2013,
    """
    called = [entry.papers for entry, said in _makers(method) if said == named(method)]
    keys = dict.fromkeys([*_papers(method), *(key for papers in called for key in papers)])
    return "\n\n".join(PAPERS[key].bibtex(key) for key in keys)


# Which papers each piece stands for, wherever it is used.
_PIECES: dict[str, tuple[str, ...]] = {name: keys for family in FAMILIES for name, keys in family.PIECES.items()}
# And each way in which a cloud's draws are spread.
_SAMPLINGS: dict[str, tuple[str, ...]] = {
    "antithetic": ("hammersley1956",),
    "sobol": ("sobol1967", "owen1997"),
    "stratified": ("mckay1979",),
}


def _papers(piece: Any) -> list[str]:
    keys = [*_PIECES.get(type(piece).__name__, ()), *_SAMPLINGS.get(getattr(piece, "sampling", ""), ())]
    for part in getattr(piece, "__dataclass_fields__", {}):
        keys = [*_papers(getattr(piece, part)), *keys] if part == "inner" else [*keys, *_papers(getattr(piece, part))]
    return keys
