"""The kind of each picture: a column of a table, or the folder that it lies in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from smoothgrad.errors import BadInput, BadOption, nearest


def groups_of(files: Sequence[Path], given: str | None) -> list[str]:
    """The group of each picture. `given`: FILE:COLUMN; without it the name of its folder, where they lie in more than one.

    Folders of one name are told apart by as much of their paths as it takes.

    Raises `BadOption` for what names no file or column, `BadInput` for a table that cannot be read, or without one of the pictures.
    """
    if given is None:
        folders = [file.resolve().parent for file in files]
        named = _told_apart(set(folders))
        return [named[folder] if len(named) > 1 else "" for folder in folders]
    if not files:
        raise BadOption("--groups names kinds of picture files, and none are given; name pictures")
    table, kinds = _read(given)
    return [_kind(file, kinds, table) for file in files]


def _told_apart(folders: set[Path]) -> dict[Path, str]:
    """A name for each folder: the shortest ends of their paths that all differ.

    >>> sorted(_told_apart({Path("/a/plain"), Path("/b/plain")}).values())
    ['a/plain', 'b/plain']
    """
    for length in range(1, max((len(folder.parts) for folder in folders), default=0) + 1):
        ends = {folder: "/".join(folder.parts[-length:]) for folder in folders}
        if len(set(ends.values())) == len(folders):
            return ends
    return {folder: str(folder) for folder in folders}


def _read(given: str) -> tuple[str, dict[str, str]]:
    """The table's name, and the kind of each file in it."""
    table, colon, column = given.rpartition(":")
    if not colon or not table or not column:
        raise BadOption(f"--groups is {given!r}; give FILE:COLUMN, such as kinds.csv:background")
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            names = list(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise BadOption(f"the table {table} of --groups cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table} is no CSV in UTF-8 ({error}); give one with the columns file,{column}") from error
    for name in ("file", column):
        if name not in names:
            raise BadOption(f"{table} has no column {name!r}; {nearest(name, names)}")
    kinds: dict[str, str] = {}
    for row in rows:
        file, kind = (row["file"] or "").strip(), (row[column] or "").strip()
        if kinds.setdefault(file, kind) != kind:
            raise BadInput(f"{table} gives {file!r} twice, as {kinds[file]!r} and as {kind!r}; give each file once")
    return table, kinds


def _kind(file: Path, kinds: dict[str, str], table: str) -> str:
    """What the table says of a picture: by its name, by the end of its path such as two/dog.jpg, or by its path."""
    for end in (str(file), f"{file.resolve().parent.name}/{file.name}", file.name):
        if end in kinds:
            return kinds[end]
    raise BadInput(f"{table} has no row for {file.name}; {nearest(file.name, kinds)}")
