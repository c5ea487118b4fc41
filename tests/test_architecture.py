"""What holds the library together: data flows one way, names are those promised, pieces are values."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import smoothgrad as sg
from smoothgrad.core.moments import State
from smoothgrad.core.value import Value

SOURCE = Path(sg.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# A module imports only from its own entry and from those above it.
ORDER = [
    *("errors", "files", "core", "targets", "rules", "samplers", "explainers", "citations", "methods", "recipe"),
    *(
        "models",
        "significance",
        "view",
        "result",
        "checks",
        "engine",
        "several",
        "question",
        "explain",
        "measure",
        "axioms",
        "compare",
        "features",
        "training",
        "experiments",
        "report",
        "cli",
        "__main__",
    ),
]
HEAVY = [
    "matplotlib",
    "PIL",
    "sklearn",
    "scipy",
    "jinja2",
    "pandas",
    "timm",
    "torchvision",
    "transformers",
    "rich",
    "typer",
]


def entry(module: str) -> str:
    """The entry of the list that a module belongs to: smoothgrad.core.noise to core."""
    return module.removeprefix("smoothgrad").lstrip(".").partition(".")[0]


def name_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every import anywhere in a file: the module, and the names taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", tuple(alias.name for alias in node.names)


def typing_only(tree: ast.AST) -> Iterator[ast.AST]:
    """What stands under `if TYPE_CHECKING:`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


# The result shows itself: these are imported when they are asked for, and not before.
SHORTCUTS = {("result", "view"), ("compare", "report"), ("experiments", "report")}


def test_every_module_has_its_place() -> None:
    assert {entry(name_of(file)) for file in FILES} - {""} == set(ORDER)


def test_imports_only_point_up_the_list() -> None:
    wrong = []
    for file in FILES:
        here = entry(name_of(file))
        if not here:
            continue  # the public door imports everything
        tree = ast.parse(file.read_text())
        ignored = {id(node) for part in typing_only(tree) for node in ast.walk(part)}
        for node in ast.walk(tree):
            if id(node) in ignored or not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for module, names in imports(node):
                if module.partition(".")[0] != "smoothgrad":
                    continue
                there = [entry(module)] if module != "smoothgrad" else [n for n in names if n in ORDER]
                wrong += [
                    f"{name_of(file)} imports {place}"
                    for place in there
                    if ORDER.index(place) > ORDER.index(here) and (here, place) not in SHORTCUTS
                ]
    assert not wrong


@pytest.mark.parametrize("file", FILES, ids=lambda file: name_of(file))
def test_randomness_and_clocks_stay_at_the_rim(file: Path) -> None:
    """No global generator anywhere; no clock, file or progress bar below `explain`."""
    text = file.read_text()
    tree = ast.parse(text)
    modules = {module.partition(".")[0] for module, _ in imports(tree)}
    assert "random" not in modules
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    free = {"torch.manual_seed", "torch.seed", "np.random.seed", "numpy.random.seed", "torch.set_rng_state"}
    training = entry(name_of(file)) in ("models", "features") and file.stem.startswith(
        "train_"
    )  # trains by itself, in its own process
    training = training or entry(name_of(file)) == "training"  # and leaves the global generator as it found it
    assert training or not calls & free
    rim = {
        "",
        "files",
        "models",
        "view",
        "result",
        "checks",
        "engine",
        "several",
        "question",
        "explain",
        "measure",
        "axioms",
        "compare",
        "features",
        "training",
        "experiments",
        "report",
        "cli",
        "__main__",
    }
    if entry(name_of(file)) not in rim:
        assert not modules & {"time", "os", "pathlib", "tempfile", "logging", "sys"}
        assert not calls & {
            "print",
            "open",
            "torch.rand",
            "torch.randn",
            "torch.randint",
            "torch.rand_like",
            "torch.randn_like",
        }


@pytest.mark.parametrize("file", FILES, ids=lambda file: name_of(file))
def test_no_exception_is_swallowed(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except"
            # Somebody else's code may raise anything: it is said again as an error of ours.
            broad = ast.unparse(node.type) in {"Exception", "BaseException"}
            assert not broad or isinstance(node.body[-1], ast.Raise)


def test_importing_the_library_loads_nothing_heavy() -> None:
    code = f"import sys, smoothgrad; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- names ------------------------------------------------------------------------------------------------------------


def test_public_names_are_exactly_the_sorted_list() -> None:
    # constants, then classes, then functions, as ruff sorts them
    assert sg.__all__ == sorted(sg.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    public = {n for n, v in vars(sg).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)}
    assert public == set(sg.__all__) - {"errors"}


@pytest.mark.parametrize("name", sg.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    thing = getattr(sg, name)
    if name == "METHODS":
        return
    assert thing.__doc__, f"{name} has no docstring"
    written = inspect.getdoc(thing) or ""
    assert not written.startswith(f"{name}("), f"{name} has only the docstring that dataclass makes"
    if inspect.isclass(thing) and thing.__module__.startswith("smoothgrad"):
        for member, value in vars(thing).items():
            documented = isinstance(value, property) or inspect.isfunction(value)
            inherited = any(member in vars(base) for base in thing.__mro__[1:])
            if documented and not member.startswith("_") and not inherited:
                assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def modules() -> Iterator[types.ModuleType]:
    for found in pkgutil.walk_packages([str(SOURCE)], "smoothgrad."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def test_every_module_and_public_function_says_what_it_is() -> None:
    silent = []
    for module in modules():
        if not module.__doc__:
            silent.append(module.__name__)
        for name, thing in vars(module).items():
            mine = getattr(thing, "__module__", None) == module.__name__
            if mine and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)):
                private = inspect.isclass(thing) and issubclass(thing, State)
                # the commands' own help is their docstring too
                if not thing.__doc__ and not private:
                    silent.append(f"{module.__name__}.{name}")
    assert not silent


# --- values -----------------------------------------------------------------------------------------------------------


def subclasses(of: type) -> Iterator[type]:
    for sub in of.__subclasses__():
        if sub.__module__.startswith("smoothgrad."):
            yield sub
            yield from subclasses(sub)


VALUES = sorted({*subclasses(Value)}, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_piece_is_abstract_or_final_and_frozen(kind: type[Value]) -> None:
    if inspect.isabstract(kind):
        assert not getattr(kind, "__final__", False)
        assert not dataclasses.is_dataclass(kind), "fields live where __init__ does: in the final class"
        return
    assert kind.__dict__.get("__final__"), "neither abstract nor final"
    assert dataclasses.is_dataclass(kind)
    assert vars(kind)["__dataclass_params__"].frozen
    assert "__hash__" in kind.__dict__
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")


def test_the_table_of_pieces_is_complete() -> None:
    from smoothgrad.recipe import PIECES

    # what the network wants to see is searched for, not explained: it has no recipe; measures and experiments have their own
    apart = (".features.", ".measure.", ".axioms.", ".training.", ".experiments.")
    found = {
        kind for kind in VALUES if not any(part in kind.__module__ for part in apart) and not inspect.isabstract(kind)
    }
    named = found - {sg.Data}
    assert set(PIECES.values()) == named
