"""Whether a field of a piece holds what it is declared to hold: asked once, when the piece is made."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_KINDS: dict[type, dict[str, Any]] = {}  # reading annotations takes longer than checking them


class Misfit(Exception):
    """The value is not of the kind."""


def kinds_of(piece: type) -> dict[str, Any]:
    """The declared kind of each field of a dataclass."""
    if piece not in _KINDS:
        try:
            hints = get_type_hints(piece)
        except (
            NameError
        ):  # a piece of a user's own, whose annotations name what is not there at run time: nothing to go by
            hints = {}
        fields = dataclasses.fields(piece) if dataclasses.is_dataclass(piece) else ()
        _KINDS[piece] = {field.name: hints[field.name] for field in fields if field.name in hints}
    return _KINDS[piece]


def fitted(kind: Any, given: Any) -> Any:
    """The value as it is kept: NumPy's numbers as Python's, lists as tuples. Raises `Misfit`.

    >>> fitted(int | None, None), fitted(tuple[float, ...], [1, 2.5])
    (None, (1, 2.5))
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), given)
    if origin in (tuple, Sequence):
        return _several(get_args(kind), _expect(isinstance(given, tuple | list), given))
    if kind is bool:
        return _expect(isinstance(given, bool), given)
    if kind is int or kind is float:
        return _number(kind, given)
    if kind is Any:
        return given
    if origin is Literal:  # which of them, the piece itself asks: it knows the nearest
        return _expect(type(given) in {type(choice) for choice in get_args(kind)}, given)
    if origin is Callable:
        return _expect(callable(given), given)
    named = origin or kind
    return _expect(not isinstance(named, type) or isinstance(given, named), given)


def kind_held(kind: Any) -> Any:
    """Of a field that holds several values, the kind of each; of any other, its own.

    >>> kind_held(tuple[float, ...]), kind_held(int)
    (<class 'float'>, <class 'int'>)
    """
    return get_args(kind)[0] if get_origin(kind) in (tuple, Sequence) else kind


def words_for(kind: Any) -> str:
    """The kind in words.

    >>> words_for(int | None)
    'a whole number or None'
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(map(words_for, get_args(kind)))
    if origin in (tuple, Sequence):
        kinds = [part for part in get_args(kind) if part is not ...]
        return f"several, each {words_for(kinds[0])}" if len(kinds) == 1 else f"({', '.join(map(words_for, kinds))})"
    named = {bool: "True or False", int: "a whole number", float: "a number", types.NoneType: "None"}
    if kind in named:
        return named[kind]
    if origin in (Literal, Callable):
        return " or ".join(map(repr, get_args(kind))) if origin is Literal else "a function"
    named_class = origin or kind
    article = "an" if named_class.__name__[0] in "AEIOU" else "a"
    some = list(_concrete(named_class))[:3] if inspect.isabstract(named_class) else []
    return f"{article} {named_class.__name__}" + (f" such as {', '.join(some)}" if some else "")


def _concrete(kind: type[Any]) -> Iterator[str]:
    """The pieces of a kind as they are written, the first defined first."""
    for below in kind.__subclasses__():
        if inspect.isabstract(below):
            yield from _concrete(below)
        else:
            yield f"{below.__name__}(...)"


def _several(kinds: tuple[Any, ...], given: Sequence[Any]) -> tuple[Any, ...]:
    if len(kinds) == 1 or kinds[1] is ...:
        return tuple(fitted(kinds[0], part) for part in given)
    _expect(len(kinds) == len(given), given)
    return tuple(fitted(kind, part) for kind, part in zip(kinds, given, strict=True))


def _one_of(kinds: tuple[Any, ...], given: Any) -> Any:
    for kind in kinds:
        try:
            return fitted(kind, given)
        except Misfit:
            continue
    raise Misfit


def _number(kind: type, given: Any) -> Any:
    _expect(isinstance(given, Integral if kind is int else Real) and not isinstance(given, bool), given)
    return int(given) if isinstance(given, Integral) else float(given)


def _expect(fits: bool, given: Any) -> Any:
    if not fits:
        raise Misfit
    return given
