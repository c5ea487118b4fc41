"""Pieces are values: frozen dataclasses whose repr is the text that builds them again."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from smoothgrad.core.kinds import Misfit, fitted, kinds_of, words_for
from smoothgrad.errors import BadMethod, SmoothGradError


class Value:
    """Base of every piece of a method. Below it stand frozen dataclasses: compared by content, printed as a recipe.

    The repr leaves out what has its default, so that it reads as a person would write it; but numbers, and tuples of them, are
    always written out: the recipe of a map must say how much noise and how many samples, whatever the defaults are one day.
    """

    _fault: ClassVar[type[SmoothGradError]] = BadMethod  # what a piece of the wrong kind raises

    def __post_init__(self) -> None:
        """Each field holds what it is declared to hold. A piece with checks of its own calls this one first."""
        for name, kind in kinds_of(type(self)).items():
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, fitted(kind, given))
            except Misfit:
                raise self._fault(
                    f"{type(self).__name__} takes as {name} {words_for(kind)}, got {_shown(given)}"
                ) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(arguments(self))})"


def _shown(given: object) -> str:
    """What was given, and what to do about the commonest mistakes."""
    if isinstance(given, Tensor):
        return f"a tensor of shape {tuple(given.shape)}; as a baseline, write Given(tensor)"
    if isinstance(given, nn.Module):
        return f"the module {type(given).__name__}(...) itself; to name a layer, give its name, as in model.named_modules()"
    if isinstance(given, type) or inspect.isroutine(given):
        name = getattr(given, "__name__", repr(given))
        return f"{name} itself; call it: {name}()"
    if isinstance(given, tuple | list) and any(isinstance(part, Tensor) for part in given):
        return f"{len(given)} tensors; several inputs that are explained together go into one: pack((a, b))"
    return repr(given)


def fields_of(value: Value) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Each field of a piece with what it holds."""
    # Not what the class says of itself, which dataclasses hold among their fields, too.
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    for field in fields:
        yield field, getattr(value, field.name)


def arguments(value: Value) -> Iterator[str]:
    """`name=value` for each field of a piece that is a number, or differs from its default."""
    for field, given in fields_of(value):
        if not _is_default(field, given):
            yield f"{field.name}={given!r}"


def _is_default(field: dataclasses.Field[Any], given: object) -> bool:
    return not _has_number(given) and bool(given == field.default)


def _has_number(given: object) -> bool:
    if isinstance(given, Value):
        return any(_has_number(held) for _, held in fields_of(given))
    if isinstance(given, tuple):
        return any(map(_has_number, given))
    return isinstance(given, int | float) and not isinstance(given, bool)


def content_digest(rows: Tensor) -> str:
    """What names rows by what they hold: the first 16 hexadecimal digits of the SHA-256 of their values as float32.

    >>> content_digest(torch.zeros(1, 2)) == content_digest(torch.zeros(2, dtype=torch.float64))
    True
    """
    values = rows.detach().cpu().float().contiguous().numpy().astype("<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def content_key(x: Tensor) -> int:
    """What names a picture for randomness: the first 53 bits of the SHA-256 of its row (1, *S), as float32 bytes.

    So the same picture gets the same noise in any order, folder or company. 53 bits, since more would not outlive readers of JSON
    that hold numbers as doubles.

    >>> content_key(torch.zeros(1, 2)) < 2**53
    True
    """
    return int(content_digest(x), 16) >> 11


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Data(Value):
    """A tensor as a value: compared and hashed by content, named by the digest of its content.

    >>> Data(torch.zeros(2)) == Data(torch.zeros(2))
    True
    """

    tensor: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        # A private copy: the caller may go on to write into the tensor, which would change the method.
        with torch.inference_mode(False):
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
