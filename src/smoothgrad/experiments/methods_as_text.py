"""Methods as texts: how an experiment holds them in its grid, its table and its figures."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadMethod, UnknownName, nearest
from smoothgrad.explainers.single import check_single
from smoothgrad.methods import METHODS, controls, named
from smoothgrad.recipe import MAKERS, from_recipe


def in_full(given: object) -> str:
    """A method as a table holds it: its name with its numbers, whatever the defaults are one day; a recipe where it has no name.

    `given` is a name, a recipe, or the method itself. One method has one text, but for methods that have two names.

    Raises `UnknownName` for a name that no method has, `BadRecipe` for what is no recipe, and `BadMethod` for a method that needs
    more than a name, and for what is no method.

    >>> in_full("smoothgrad"), in_full("gradient()"), in_full("smoothgrad(noise=0.1)")
    ('smoothgrad(noise=0.15, samples=50)', 'gradient', 'smoothgrad(noise=0.1, samples=50)')
    >>> in_full("gradient().over(Gaussian(noise=0.1, samples=5))")
    'smoothgrad(noise=0.1, samples=5)'
    """
    if isinstance(given, Explainer):
        return _called(given)
    if not isinstance(given, str):
        raise BadMethod(f"a method is given by its name or its recipe, such as 'smoothgrad(noise=0.1)'; got {given!r}")
    return _read(given.strip())


def each_in_full(given: object) -> tuple[str, ...]:
    """One or several methods, each as `in_full`.

    >>> each_in_full("lrp"), each_in_full(["lrp()", "sobel"])
    (('lrp',), ('lrp', 'sobel'))
    """
    return tuple(map(in_full, given if isinstance(given, tuple | list) else (given,)))


@cache
def method_of(text: str) -> Explainer:
    """The method of such a text. Raises `BadRecipe`.

    >>> method_of("smoothgrad(noise=0.1, samples=5)"), method_of("gradient")
    (Gradient().over(Gaussian(noise=0.1, samples=5)), Gradient())
    """
    return from_recipe(f"{text}()" if text.isidentifier() else text)


def check(texts: Sequence[str], experiment: str) -> None:
    """Raises `BadRecipe` for what is no method, and `BadMethod` for one that gives several maps for a picture."""
    for text in texts:
        check_single(method_of(text), experiment)


def is_control(text: str) -> bool:
    """Does this method know nothing of the network?

    >>> is_control("sobel"), is_control("gradient")
    (True, False)
    """
    return method_of(text) in [entry.make() for entry in controls.ROWS]


def name_of(text: str) -> str:
    """A method's name without its numbers; a recipe of pieces as it stands.

    >>> name_of("smoothgrad(noise=0.1, samples=5)"), name_of("Gradient().then(Absolute())")
    ('smoothgrad', 'Gradient().then(Absolute())')
    """
    name, _, rest = text.partition("(")
    return name if name in METHODS and ")." not in rest else text


def label_of(text: str) -> str:
    """A method's name in words, for a figure or a sentence that has no other of that name; a recipe of pieces as it stands.

    >>> label_of("grad_cam"), label_of("smoothgrad(noise=0.1, samples=5)")
    ('grad cam', 'smoothgrad')
    """
    name = name_of(text)
    return name.replace("_", " ") if name in METHODS else text


def labels(texts: Sequence[str]) -> dict[str, str]:
    """A label for each method by its text: its name in words, where that is enough to tell it from the others.

    >>> labels(("grad_cam", "smoothgrad(noise=0.1)", "smoothgrad(noise=0.2)"))["grad_cam"]
    'grad cam'
    """
    names = [label_of(text) for text in texts]
    return {text: name if names.count(name) == 1 else text for text, name in zip(texts, names, strict=True)}


@cache
def _read(text: str) -> str:
    bare = text.removesuffix("()")
    if bare.isidentifier() and bare not in MAKERS:
        raise UnknownName(f"no method is called {bare!r}; {nearest(bare, METHODS)}")
    if bare in METHODS:
        return _by_name(bare)
    said = _called(from_recipe(text))
    # A name that leads to none, as that of a method which is made of two others, is kept.
    return text if name_of(text) in METHODS and name_of(said) not in METHODS else said


def _by_name(name: str) -> str:
    if METHODS[name].needs:
        raise BadMethod(f"{name} needs {', '.join(METHODS[name].needs)}, which no name can give; leave it out here")
    parameters = inspect.signature(METHODS[name].make).parameters.values()
    numbers = [f"{one.name}={one.default!r}" for one in parameters if type(one.default) in (int, float)]
    return f"{name}({', '.join(numbers)})" if numbers else name


def _called(method: Explainer) -> str:
    return named(method).removesuffix("()")
