"""Objective measures of maps: one score per row, and the table of them. One file for each family.

To add one: a class in its family's file, a row in `ROWS` there, a truth test; see docs/add-a-measure.md.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure


def _entries() -> Iterator[Entry]:
    for found in pkgutil.iter_modules(__path__, f"{__name__}."):
        yield from getattr(import_module(found.name), "ROWS", ())


MEASURES: dict[str, Entry] = {entry.name: entry for entry in _entries()}


def label_of(measure: Measure) -> str:
    """A measure by its name, where all that it is made of has its default; else its recipe.

    >>> from smoothgrad.measure.deletion import Deletion
    >>> label_of(Deletion())
    'deletion'
    """
    for name, entry in MEASURES.items():
        if type(measure) is entry.make:
            return name if measure == entry.make() else repr(measure)
    return repr(measure)
