"""A row of the table of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from smoothgrad.citations import PAPERS, Paper
from smoothgrad.core.explainer import Explainer


class Listed:
    """What the rows of the tables of methods and of measures have in common."""

    make: Callable[..., object]
    formula: str
    papers: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first sentence of its docstring, before the formula."""
        return (self.make.__doc__ or "").partition(":  ")[0].partition(".\n")[0].strip()

    @property
    def family(self) -> str:
        """What the rows of its file have in common, in a few words."""
        module = inspect.getmodule(self.make)
        first = ((module and module.__doc__) or "").partition("\n")[0]
        return first.partition(":")[0].partition(",")[0].rstrip(".")

    @property
    def citations(self) -> tuple[Paper, ...]:
        return tuple(PAPERS[key] for key in self.papers)

    @property
    def bibtex(self) -> dict[str, str]:
        """The BibTeX entry of each of its papers, by key."""
        return {key: PAPERS[key].bibtex(key) for key in self.papers}


@dataclass(frozen=True)
class Method(Listed):
    """A row of the table of methods."""

    make: Callable[..., Explainer]
    formula: str
    papers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def needs(self) -> tuple[str, ...]:
        """Its arguments that have no default."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(p.name for p in parameters if p.default is inspect.Parameter.empty)
