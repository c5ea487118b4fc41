"""Every error that smoothgrad raises on purpose.

SmoothGradError
├── BadInput (ValueError)            the rows: wrong shape, dtype, NaN, empty, constant where a range is needed
├── BadModel (ValueError)            the network cannot be asked as it is
│   ├── ModelInTraining              batch norm and dropout would mix or change the rows
│   ├── UnsupportedModel             scripted, traced or compiled, where a rule must see the functions
│   └── NotDifferentiable            the score does not depend on the input
├── NonFinite (ValueError)           NaN or infinity in an output or a gradient
├── BadTarget (ValueError)           no such class, or scores of the wrong shape
├── BadMethod (ValueError)           pieces that do not go together, or a parameter out of its range
│   ├── BadNoise                     a noise level that means nothing for these rows
│   ├── BadBaseline                  a baseline of the wrong shape
│   └── RuleDidNothing               a backward rule found nothing to replace
├── BadRecipe (ValueError)           text that names no method, or a parameter that it does not have
├── BadPicture (ValueError)          a file that is no picture, or not one this network can take
├── BadWeights (ValueError)          a file of weights that is damaged, does not fit, or would run code
├── BadOption (ValueError)           an option that means nothing here: two means for three channels
├── UnknownName (ValueError)         no such model, layer or option; the nearest name is given
├── OutOfMemory (MemoryError)        one row alone is more than memory holds
├── CannotWrite (OSError)            the place to write to is missing, full or forbidden
└── MissingPackage (ImportError)     an extra that is not installed; says what to install
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class SmoothGradError(Exception):
    """The root of the tree: catch this one to catch everything that the library raises on purpose."""


class BadInput(SmoothGradError, ValueError):
    """The rows to explain are empty, of the wrong shape or type, or hold NaN or infinity."""


class BadModel(SmoothGradError, ValueError):
    """The network cannot be asked as it is."""


class ModelInTraining(BadModel):
    """The network, or a part of it whose behaviour depends on it, is in training mode."""


class UnsupportedModel(BadModel):
    """A network with scripted, traced or compiled parts, whose functions a backward rule cannot see."""


class NotDifferentiable(BadModel):
    """The score does not depend on the input in a way that can be differentiated."""


class NonFinite(SmoothGradError, ValueError):
    """NaN or infinity came out of the network or of its gradient."""


class BadTarget(SmoothGradError, ValueError):
    """No such class, or a score that is not one number per row."""


class BadMethod(SmoothGradError, ValueError):
    """Pieces of a method that do not go together, or a parameter out of its range."""


class BadNoise(BadMethod):
    """A noise level that means nothing for these rows, such as a fraction of the range of a constant picture."""


class BadBaseline(BadMethod):
    """A baseline whose shape is not that of the rows, or that cannot be made for them."""


class RuleDidNothing(BadMethod):
    """A backward rule found no function to replace: the map would silently be the plain gradient."""


class BadRecipe(SmoothGradError, ValueError):
    """A recipe that names no known piece, or a parameter that the piece does not have."""


class BadPicture(SmoothGradError, ValueError):
    """A file that is no picture, is damaged, is too large, or that the network cannot take."""


class BadWeights(SmoothGradError, ValueError):
    """A file of weights that is damaged, does not fit the network, or would run code when read."""


class BadOption(SmoothGradError, ValueError):
    """An option that means nothing here, such as a size of zero, or two means for three channels."""


class UnknownName(SmoothGradError, ValueError):
    """No such name among those known; the message gives the nearest one."""


class OutOfMemory(SmoothGradError, MemoryError):
    """One row alone is more than memory holds: there is nothing left to halve."""


class CannotWrite(SmoothGradError, OSError):
    """The place to write to is missing, full, or not ours to write."""


class MissingPackage(SmoothGradError, ImportError):
    """An optional package is not installed; the message says how to install it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that helps with a wrong name: the nearest known one, or those there are.

    >>> nearest("smothgrad", ["gradient", "smoothgrad"])
    "did you mean 'smoothgrad'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    few = known if len(known) <= 20 else sorted(difflib.get_close_matches(name, known, n=5, cutoff=0.0))
    more = f" and {len(known) - len(few)} more" if len(few) < len(known) else ""
    return f"known: {', '.join(few)}{more}"


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or raise `MissingPackage` that says what to install.

    >>> need("json", extra="view").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingPackage(
            f"{package} is not installed and is needed here; install it with: pip install 'smoothgrad[{extra}]'"
        ) from error
