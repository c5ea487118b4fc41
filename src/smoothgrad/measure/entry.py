"""A row of the table of measures."""

from __future__ import annotations

import re
from dataclasses import dataclass

from smoothgrad.measure.measure import Measure
from smoothgrad.methods.method import Listed


@dataclass(frozen=True)
class Entry(Listed):
    """A row of the table of measures."""

    make: type[Measure]
    formula: str
    papers: tuple[str, ...]

    @property
    def name(self) -> str:
        """As one writes it on the command line: `MaxSensitivity` is max_sensitivity, `Road` is road."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.make.__name__).lower()

    @property
    def needs(self) -> tuple[str, ...]:
        """What it must be given beside finished maps, in a word each."""
        asked = {
            "method": self.make.needs_method,
            "regions": self.make.needs_regions,
            "classes": self.make.needs_classes,
        }
        return tuple(word for word, needed in asked.items() if needed)
