"""Measures as text, and back."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod, BadRecipe
from smoothgrad.measure import MEASURES
from smoothgrad.measure.deletion import Deletion
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.recipe import measure_from_recipe, pieces
from smoothgrad.measure.removal import Removal, Replaced


@pytest.mark.parametrize("entry", MEASURES.values(), ids=MEASURES)
def test_every_measure_is_what_its_text_says(entry) -> None:
    measure = entry.make()
    assert measure_from_recipe(repr(measure)) == measure
    for text in (entry.name, f" {entry.name} ", f"{entry.name}()", entry.make.__name__, f"{entry.make.__name__}()"):
        assert measure_from_recipe(text) == measure


def test_what_measures_are_made_of_is_written_alike() -> None:
    measure = measure_from_recipe("Deletion(steps=64, removal=Replaced(Blurred(10)))")
    assert measure == Deletion(steps=64, removal=Replaced(sg.Blurred(10.0)))
    assert measure_from_recipe(repr(measure)) == measure
    assert measure_from_recipe("deletion(removal=Replaced(Noise(0.2, 1)))") == Deletion(
        removal=Replaced(sg.Noise(0.2, 1))
    )


def test_tensors_are_named_or_read() -> None:
    rows = torch.rand(1, 3, 4, 4)
    measure = Deletion(removal=Replaced(sg.Given(rows)))
    assert measure_from_recipe(repr(measure), data=[rows]) == measure
    assert measure_from_recipe("deletion(removal=Replaced(Given('a.png')))", read=lambda _path: rows) == measure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("delection", r"no measure 'delection'; did you mean 'deletion'\? see: smoothgrad measures"),
        ("Delection(steps=3)", r"no measure 'Delection'; did you mean 'deletion'\? see: smoothgrad measures"),
        ("nope", r"no measure 'nope'; known: [a-z_, ]+ and \d+ more; see: smoothgrad measures"),
        ("Mine(power=2.0)", r"no measure 'Mine'; .*; only the package's own measures can be read back from text"),
        ("Deletion(step=3)", "Deletion has no parameter 'step'; did you mean 'steps'"),
        ("Deletion(removal=Replacd())", "no measure or piece 'Replacd'; did you mean 'Replaced'"),
        ("Deletion(removal=Replaced)", r"must be called: write Replaced\(\)"),
        ("gradient()", r"'gradient\(\)' is no measure, but Gradient; the measures are .*deletion.*"),
        ("Replaced()", "is no measure, but Replaced"),
        ("3", "is no measure, but int"),
        ("", r"it is empty; write it as deletion\(steps=64\)"),
        ("Deletion(", "cannot read the recipe"),
        ("__import__('os')", "no measure '__import__'"),
    ],
)
def test_what_is_not_understood(text: str, said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        measure_from_recipe(text)


def test_what_is_no_text() -> None:
    with pytest.raises(BadRecipe, match="a recipe is text"):
        measure_from_recipe(Deletion())  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="steps"):
        measure_from_recipe("Deletion(steps=0)")


def subclasses(of: type) -> Iterator[type]:
    for sub in of.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_every_piece_is_known() -> None:
    here = {kind for kind in subclasses(Value) if kind.__module__.startswith("smoothgrad.measure.")}
    assert set(pieces().values()) == {kind for kind in here if not inspect.isabstract(kind)}
    assert {entry.make for entry in MEASURES.values()} == {
        kind for kind in pieces().values() if issubclass(kind, Measure)
    }
    assert any(issubclass(kind, Removal) for kind in pieces().values())
