"""A measure as one line of text, read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from torch import Tensor

from smoothgrad import measure as package
from smoothgrad.core.value import Value
from smoothgrad.errors import BadRecipe, nearest
from smoothgrad.measure.measure import Measure
from smoothgrad.recipe import MAKERS, Builder, Read, modules_in, pieces_in

EXAMPLE = "deletion(steps=64)"


def measure_from_recipe(text: str, *, data: Sequence[Tensor] = (), read: Read | None = None) -> Measure:
    """The measure that a line of text describes, as its repr writes it, or by its name in the table; the name alone will do.

    What it is made of is written the same way: removals, similarities, baselines, parts, methods. `data` and `read` are as in
    `from_recipe`. Only the package's own measures are read back: of one of yours, keep the code that makes it. Raises `BadRecipe`
    that says what was not understood, with the nearest name.

    >>> measure_from_recipe("deletion") == measure_from_recipe("Deletion()")
    True
    """
    if isinstance(text, str):
        name = text.partition("(")[0].strip()
        if name.isidentifier() and name not in {**MAKERS, **makers()}:
            hint = nearest(name.lower(), table())
            # As a repr writes it: it may well be that of a class of the user's own.
            own = "; only the package's own measures can be read back from text" if name[0].isupper() else ""
            end = " " if hint.endswith("?") else "; "
            raise BadRecipe(f"no measure {name!r}; {hint}{end}see: smoothgrad measures{own}")
        if name.isidentifier() and text.strip() == name:
            text = f"{name}()"
    built = Builder(data, read, {**MAKERS, **makers()}, EXAMPLE, "measure or piece").text(text)
    if isinstance(built, Measure):
        return built
    names = ", ".join(sorted(table()))
    raise BadRecipe(f"{text!r} is no measure, but {type(built).__name__}; the measures are {names}")


@cache
def pieces() -> dict[str, type[Value]]:
    """Every measure, and every piece of measures, by the name of its class."""
    return {piece.__name__: piece for piece in pieces_in(*modules_in(package))}


@cache
def table() -> dict[str, Callable[..., Any]]:
    """Every measure by its name in the table."""
    # The table is made of the families' files, this package's own: it is complete only once they are read.
    return {name: entry.make for name, entry in package.MEASURES.items()}


def makers() -> dict[str, Callable[..., Any]]:
    """Every name that a measure's recipe may hold beside those of methods."""
    return {**pieces(), **table()}
