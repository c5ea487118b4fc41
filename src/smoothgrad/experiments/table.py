"""The table of experiments: every class below `Experiment` in a file of this package, by its name on the command line."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

from smoothgrad import experiments as package
from smoothgrad.experiments.experiment import Experiment

# In the order in which the papers ask.
ORDER = (
    *(
        "noise-level",
        "samples",
        "noise-source",
        "aggregators",
        "methods",
        "discriminativity",
        "fluctuation",
        "baselines",
    ),
    *("training-noise", "occlusion-training", "cam-resolution", "visualisation", "sanity"),
)


def _found() -> Iterator[type[Experiment]]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name in (__name__, f"{package.__name__}.recipe"):  # which reads this table
            continue
        module = import_module(found.name)
        for kind in vars(module).values():
            here = inspect.isclass(kind) and issubclass(kind, Experiment) and kind.__module__ == module.__name__
            if here and not inspect.isabstract(kind):
                yield kind


EXPERIMENTS: dict[str, type[Experiment]] = dict(
    sorted(((kind.name, kind) for kind in _found()), key=lambda named: ORDER.index(named[0]))
)
