"""Pieces are values: frozen dataclasses whose repr is the text that builds them again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from torch import Tensor


class Value:
    """Base of every piece of a method. Below it stand frozen dataclasses: compared by content, printed as a recipe.

    The repr leaves out what has its default, so that it reads as a person would write it; but numbers are always written
    out: the recipe of a map must say how much noise and how many samples, whatever the defaults are one day.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(arguments(self))})"


def fields_of(value: Value) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Each field of a piece with what it holds."""
    declared: dict[str, dataclasses.Field[Any]] = getattr(type(value), "__dataclass_fields__", {})
    for field in declared.values():
        yield field, getattr(value, field.name)


def arguments(value: Value) -> Iterator[str]:
    """`name=value` for each field of a piece that is a number, or differs from its default."""
    for field, given in fields_of(value):
        if not _is_default(field, given):
            yield f"{field.name}={_plain(given)!r}"


def _is_default(field: dataclasses.Field[Any], given: object) -> bool:
    return not _has_number(given) and bool(given == field.default)


def _has_number(given: object) -> bool:
    if isinstance(given, Value):
        return any(_has_number(held) for _, held in fields_of(given))
    return isinstance(given, int | float | np.number) and not isinstance(given, bool)


def _plain(given: object) -> object:
    """A NumPy number as Python's own: its repr, np.float64(0.1), is no recipe."""
    return given.item() if isinstance(given, np.generic) else given


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Data(Value):
    """A tensor as a value: compared and hashed by content, named by the digest of its content.

    >>> Data(torch.zeros(2)) == Data(torch.zeros(2))
    True
    """

    tensor: Tensor

    def __post_init__(self) -> None:
        # A private copy: the caller may go on to write into the tensor, which would change the method.
        object.__setattr__(self, "tensor", self.tensor.detach().to("cpu", copy=True))

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of shape, type and content."""
        content = self.tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        head = f"{tuple(self.tensor.shape)} {self.tensor.dtype}".encode()
        return hashlib.sha256(head + content).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"'data:{self.digest}'"
