"""The names of a network's classes, as a user gives them: a sequence, or a file in one of the usual forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from smoothgrad.errors import BadOption

_FORMS = 'one name per line, or JSON: a list, {"0": "cat", ...}, {"cat": 0, ...}, or ImageNet\'s {"0": ["n02123045", "tabby"], ...}'


def read_classes(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    """The names in the order of the network's outputs. Raises `BadOption`.

    A file has one name per line, or is JSON: a list, a mapping between indices and names (either way round),
    or ImageNet's from indices to lists whose second entry is the name.

    >>> read_classes(["cat", "dog"])
    ('cat', 'dog')
    """
    if isinstance(classes, (str, Path)):
        return _from_file(Path(classes))
    if not classes or not all(isinstance(name, str) for name in classes):
        raise BadOption(f"classes are {classes!r}; give their names, in the order of the network's outputs")
    return tuple(classes)


def _from_file(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadOption(f"there is no file of classes {path}; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"the file of classes {path} cannot be read ({error}); it must be text, {_FORMS}") from error
    names = _from_json(text, path) if path.suffix.lower() == ".json" else _from_lines(text, path)
    if not names:
        raise BadOption(f"the file of classes {path} names none; write {_FORMS}")
    return names


def _from_lines(text: str, path: Path) -> tuple[str, ...]:
    names = tuple(line.strip() for line in text.rstrip().splitlines())
    if "" in names:
        # Dropping it would move every later name to the class before.
        raise BadOption(f"line {names.index('') + 1} of {path} is empty; write one name per line, for every class")
    return names


def _from_json(text: str, path: Path) -> tuple[str, ...]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadOption(f"{path} is no JSON ({error}); write {_FORMS}") from error
    entries = _in_order(data) if isinstance(data, Mapping) else data
    if not isinstance(entries, list):
        raise BadOption(f"{path} is not a list of classes; write {_FORMS}")
    entries = [entry[1] if isinstance(entry, list) and len(entry) > 1 else entry for entry in entries]
    names = tuple(entry for entry in entries if isinstance(entry, str))
    if len(names) < len(entries):
        raise BadOption(f"{path} holds entries that are no names; write {_FORMS}")
    return names


def _in_order(data: Mapping[str, object]) -> list[object] | None:
    """The entries of a mapping by index, whichever way round it is; None where the indices are not 0, 1, 2, ..."""
    pairs: list[tuple[str, object]] = list(data.items())
    if all(isinstance(index, int) for index in data.values()):
        pairs = [(str(index), name) for name, index in data.items()]
    entries = dict(pairs)
    order = [str(index) for index in range(len(pairs))]
    return [entries[index] for index in order] if set(order) == set(entries) else None
