"""A row of the table of measures."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from smoothgrad.citations import PAPERS, Paper
from smoothgrad.measure.measure import Measure


@dataclass(frozen=True)
class Entry:
    """A row of the table of measures."""

    make: type[Measure]
    formula: str
    papers: tuple[str, ...]

    @property
    def name(self) -> str:
        """As one writes it on the command line: `MaxSensitivity` is max_sensitivity, `Road` is road."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.make.__name__).lower()

    @property
    def summary(self) -> str:
        """The first sentence of its docstring, before the formula."""
        return (self.make.__doc__ or "").partition(":  ")[0].partition(".\n")[0].strip()

    @property
    def family(self) -> str:
        """What the measures of its file have in common, in a few words."""
        module = inspect.getmodule(self.make)
        first = ((module and module.__doc__) or "").partition("\n")[0]
        return first.partition(":")[0].partition(",")[0].rstrip(".")

    @property
    def needs(self) -> tuple[str, ...]:
        """What it must be given beside finished maps, in a word each."""
        asked = {
            "method": self.make.needs_method,
            "regions": self.make.needs_regions,
            "classes": self.make.needs_classes,
        }
        return tuple(word for word, needed in asked.items() if needed)

    @property
    def citations(self) -> tuple[Paper, ...]:
        return tuple(PAPERS[key] for key in self.papers)
