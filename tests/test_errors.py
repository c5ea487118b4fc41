"""The tree of errors: one root, the built-in that each refines, and words that help."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from smoothgrad import errors
from smoothgrad.errors import MissingPackage, SmoothGradError, nearest, need

CLASSES = {
    name: piece
    for name, piece in vars(errors).items()
    if inspect.isclass(piece) and piece.__module__ == errors.__name__
}


@pytest.mark.parametrize("error", CLASSES.values(), ids=CLASSES)
def test_everything_raised_on_purpose_has_one_root(error: type[Exception]) -> None:
    assert issubclass(error, SmoothGradError)
    assert error.__doc__


@pytest.mark.parametrize("error", [piece for piece in CLASSES.values() if piece is not SmoothGradError])
def test_every_error_refines_a_built_in_one(error: type[Exception]) -> None:
    assert issubclass(error, ValueError | OSError | ImportError | MemoryError)


def test_the_tree_drawn_at_the_top_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above = ["SmoothGradError"]
    for line in (errors.__doc__ or "").splitlines():
        if "── " not in line:
            continue
        stem, _, rest = line.partition("── ")
        depth = (len(stem) + 3) // 4
        name = rest.split()[0]
        above = [*above[:depth], name]
        drawn[name] = above[depth - 1]
    assert drawn.keys() == CLASSES.keys() - {"SmoothGradError"}
    assert {name: CLASSES[name].__bases__[0].__name__ for name in drawn} == drawn


@pytest.mark.parametrize("error", CLASSES.values(), ids=CLASSES)
def test_an_error_is_what_it_says(error: type[Exception]) -> None:
    assert str(error("what, what was given, what to do")) == "what, what was given, what to do"


def test_the_nearest_name_is_offered() -> None:
    assert nearest("vargad", ["gradient", "vargrad", "smoothgrad"]) == "did you mean 'vargrad'?"


def test_without_a_near_name_all_are_listed() -> None:
    assert nearest("xyz", ["b", "a"]) == "known: a, b"


def test_what_is_installed_is_imported() -> None:
    assert need("json.decoder", extra="view") is sys.modules["json.decoder"]


def test_what_is_missing_says_how_to_get_it() -> None:
    with pytest.raises(MissingPackage, match=r"absent_package is not installed .* pip install 'smoothgrad\[view\]'"):
        need("absent_package.part", extra="view")


def test_a_package_that_is_broken_inside_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import something_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_it_needs") as caught:
        need("broken_package", extra="view")
    assert not isinstance(caught.value, SmoothGradError)
