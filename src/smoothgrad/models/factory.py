"""Networks of the user's own: `path/to/net.py:make`, a function without arguments that returns one."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from smoothgrad.errors import BadModel, UnknownName, nearest
from smoothgrad.models.classes import read_classes
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.models.weights import fit_weights, read_weights


def names_factory(name: str) -> bool:
    """Whether the name is that of a function in a file.

    >>> names_factory("nets/mine.py:make"), names_factory("timm:resnet50")
    (True, False)
    """
    return name.rpartition(":")[0].endswith(".py")


def without_function(name: str) -> UnknownName:
    """What to say of a file alone, such as "nets.py": the functions in it, found without running it."""
    path = Path(name.rstrip(":"))
    if not path.is_file():
        return UnknownName(f"there is no file {path}, and no function is named; write path/to/net.py:FUNCTION")
    functions = _functions_in(path)
    known = ", ".join(f"{path}:{function}" for function in functions)
    hint = f"name a function: {known}" if known else "no function in it can be called without arguments; write one"
    return UnknownName(f"the model {name!r} is a file; {hint}")


def _functions_in(path: Path) -> list[str]:
    """The names of the functions of a file that can be called without arguments. The file is not run."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise BadModel(f"{path} cannot be read as Python: {error}; repair it first") from error
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _needs_nothing(node.args)
    ]


def _needs_nothing(takes: ast.arguments) -> bool:
    positional = len(takes.posonlyargs) + len(takes.args)
    return positional <= len(takes.defaults) and None not in takes.kw_defaults


def from_factory(name: str, weights: Path | None) -> Network:
    """What the function returns, as a `Network`, with the file's own `PREPROCESSING` and `CLASSES`.

    The file is run: only name one that you would run yourself. Modules beside it can be imported from it.
    """
    file, _, function = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UnknownName(f"there is no file {file} for {name!r}; check the path")
    with _beside(path):
        module = _run(path)
        made = _make(module, function, path)
    network = made if isinstance(made, Network) else _with_file_settings(made, module, name)
    if weights is not None:
        fit_weights(network.net, read_weights(weights), weights)
    return network


def _run(path: Path) -> ModuleType:
    # A name of its own, so that neither the library's modules nor another net.py are replaced.
    name = f"_smoothgrad_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        del sys.modules[name]
        raise BadModel(f"{path} failed when it was run: {type(error).__name__}: {error}") from error
    return module


def _make(module: ModuleType, function: str, path: Path) -> nn.Module:
    known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    make = getattr(module, function, None)
    if make is None:
        raise UnknownName(f"{path} has no function {function!r}; {nearest(function, known)}")
    if isinstance(make, nn.Module) or not callable(make):
        raise BadModel(f"{function} in {path} is a {type(make).__name__}; name a function that returns the network")
    try:
        made = make()
    except Exception as error:  # the user's code may raise anything
        raise BadModel(
            f"{function}() in {path} failed: {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    if not isinstance(made, nn.Module):
        raise BadModel(f"{function}() in {path} returned a {type(made).__name__}; it must return a torch.nn.Module")
    return made


def _with_file_settings(net: nn.Module, module: ModuleType, name: str) -> Network:
    preprocessing = getattr(module, "PREPROCESSING", Preprocessing())
    if not isinstance(preprocessing, Preprocessing):
        kind = type(preprocessing).__name__
        raise BadModel(f"PREPROCESSING for {name} is a {kind}; make it a smoothgrad.models.preprocessing.Preprocessing")
    classes = getattr(module, "CLASSES", None)
    names = () if classes is None else read_classes(classes)
    return Network(net, name=name, classes=names, preprocessing=preprocessing)


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Lets the file import what lies beside it, as it could when run by itself."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
