"""A method as one line of text, as plain data, and back.

The text is Python's own notation for the pieces, read as data: only the names of pieces, `.over(...)`, `.then(...)`, numbers,
strings, tuples, None, True and False have a meaning, and nothing is evaluated.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

from torch import Tensor

from smoothgrad import explainers, rules, samplers, targets
from smoothgrad.core import reduce
from smoothgrad.core.explainer import Explainer, Over, Then
from smoothgrad.core.sampler import Sampler, Until
from smoothgrad.core.value import Data, Value, fields_of
from smoothgrad.errors import BadRecipe, nearest
from smoothgrad.methods import METHODS

T = TypeVar("T")
Read = Callable[[str], Tensor]  # what a text in place of a tensor stands for, such as the path of a picture


def modules_in(*packages: Any) -> Iterator[Any]:
    """Every module of the packages."""
    for package in packages:
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def pieces_in(*modules: Any) -> Iterator[type[Value]]:
    """Every piece that is written in one of the modules."""
    for module in modules:
        for piece in vars(module).values():
            here = isinstance(piece, type) and issubclass(piece, Value) and piece.__module__ == module.__name__
            if here and not inspect.isabstract(piece):
                yield piece


PIECES: dict[str, type[Value]] = {
    piece.__name__: piece
    for piece in (
        *(Over, Then, Until),
        *pieces_in(*modules_in(rules, samplers, explainers), reduce, targets),
    )
}
MAKERS: dict[str, Callable[..., Any]] = {**PIECES, **{name: method.make for name, method in METHODS.items()}}
TARGETS: dict[str, Callable[..., Any]] = {
    name: piece for name, piece in PIECES.items() if issubclass(piece, targets.Target)
}
TENSORS = {"rows", "data"}  # the parameters that hold a tensor


def to_recipe(method: Explainer) -> str:
    """The method as one line of text, defaults left out. Tensors in it are named by their digest.

    >>> from smoothgrad import vargrad
    >>> to_recipe(vargrad(noise=0.2))
    'Gradient().over(Gaussian(noise=0.2, samples=50), Variance())'
    """
    return repr(method)


def from_recipe(text: str, *, data: Sequence[Tensor] = (), read: Read | None = None) -> Explainer:
    """The method that a line of text describes: names of methods or of pieces. The inverse of `to_recipe`.

    `data`: the tensors that the recipe names by digest. `read`: what to do with other texts in place of a tensor, such as the path
    in `Given('beach.jpg')`. Raises `BadRecipe` that says what was not understood, with the nearest name.

    >>> from_recipe("smoothgrad(noise=0.1, samples=20)")
    Gradient().over(Gaussian(noise=0.1, samples=20))
    """
    return expect(Builder(data, read).text(text), Explainer, text)


def target_from_recipe(text: str) -> targets.Target:
    """The target that a line of text describes, such as "Contrast(Class(3), Top())".

    >>> target_from_recipe("Contrast(Class(3), Class(5))")
    Contrast(this=Class(index=3), that=Class(index=5))
    """
    return expect(Builder((), None, TARGETS, "Contrast(Class(3), Top())").text(text), targets.Target, text)


def to_data(piece: Any) -> Any:
    """The same as dicts, lists, strings and numbers, every field written out: for JSON and tables.

    >>> from smoothgrad import Gradient
    >>> to_data(Gradient())
    {'piece': 'Gradient', 'rule': {'piece': 'Plain'}}
    """
    if isinstance(piece, Data):
        return f"data:{piece.digest}"
    if isinstance(piece, Value):
        return {"piece": type(piece).__name__, **{field.name: to_data(held) for field, held in fields_of(piece)}}
    return [to_data(part) for part in piece] if isinstance(piece, tuple) else piece


def from_data(plain: Any, *, data: Sequence[Tensor] = ()) -> Explainer:
    """The method that `to_data` wrote out.

    >>> from_data({"piece": "Gradient", "rule": {"piece": "Guided"}})
    Gradient(rule=Guided())
    """
    return expect(Builder(data, None).plain(plain), Explainer, str(plain))


def data_in(piece: Any) -> list[Data]:
    """The tensors that a method holds."""
    if isinstance(piece, Data):
        return [piece]
    if isinstance(piece, tuple):
        return [found for part in piece for found in data_in(part)]
    if isinstance(piece, Value):
        return [found for _, held in fields_of(piece) for found in data_in(held)]
    return []


def expect(piece: Any, kind: type[T], text: str) -> T:
    """The piece, where it is of this kind; else `BadRecipe`."""
    if not isinstance(piece, kind):
        words = f"{text!r} is no {kind.__name__.lower()}, but {type(piece).__name__}"
        inside = isinstance(piece, Sampler) and kind is Explainer
        raise BadRecipe(f"{words}; write gradient().over({text.strip()})" if inside else words)
    return piece


class Builder:
    """Builds pieces from text or plain data, given the tensors that they may name."""

    def __init__(
        self,
        data: Sequence[Tensor],
        read: Read | None,
        makers: dict[str, Callable[..., Any]] | None = None,
        example: str = "smoothgrad(noise=0.1)",
        noun: str = "method or piece",
    ) -> None:
        self.noun = noun  # what a name that is not known should have been
        self.makers = MAKERS if makers is None else makers
        self.example = example
        self.data = {f"data:{Data(tensor).digest}": tensor for tensor in data}
        self.read = read

    def text(self, text: str) -> Any:
        """What the text describes. Raises `BadRecipe`."""
        if not isinstance(text, str):
            raise BadRecipe(f"a recipe is text such as {self.example!r}, got {text!r}")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError) as error:
            why = "it is empty" if not text.strip() else error.msg if isinstance(error, SyntaxError) else str(error)
            raise BadRecipe(f"cannot read the recipe {text!r}: {why}; write it as {self.example}") from error
        return self._node(tree.body, text)

    def _node(self, node: ast.expr, text: str) -> Any:
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, self.makers.get(name), node, text)
            case ast.Call(func=ast.Attribute(value=inner, attr="over" | "then" as verb)):
                explainer = expect(self._node(inner, text), Explainer, text)
                return self._call(verb, explainer.over if verb == "over" else explainer.then, node, text)
            case ast.Call(func=ast.Attribute(attr=verb)):
                raise BadRecipe(f"no verb .{verb}() in {text!r}; an explainer has .over(sampler) and .then(finish)")
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self._node(part, text) for part in parts)
            case ast.Name(id=name) if name in self.makers:
                raise BadRecipe(f"{name} in {text!r} must be called: write {name}()")
            case ast.Name(id=name):
                raise BadRecipe(f"no {self.noun} {name!r}; {nearest(name, self.makers)}")
            case _:
                raise BadRecipe(f"cannot read {ast.unparse(node)!r} in the recipe {text!r}")

    def _call(self, name: str, make: Callable[..., Any] | None, node: ast.Call, text: str) -> Any:
        if make is None:
            raise BadRecipe(f"no {self.noun} {name!r}; {nearest(name, self.makers)}")
        if any(keyword.arg is None for keyword in node.keywords):
            raise BadRecipe(f"cannot read ** in the recipe {text!r}")
        args = [self._node(arg, text) for arg in node.args]
        named = {str(keyword.arg): self._node(keyword.value, text) for keyword in node.keywords}
        if len(named) < len(node.keywords):
            raise BadRecipe(f"{name} in {text!r} is given a parameter twice; give each once")
        return self._make(name, make, args, named)

    def _make(self, name: str, make: Callable[..., Any], args: list[Any], named: dict[str, Any]) -> Any:
        signature = inspect.signature(make)
        for given in named:
            if given not in signature.parameters:
                raise BadRecipe(f"{name} has no parameter {given!r}; {nearest(given, signature.parameters)}")
        try:
            bound = signature.bind(*args, **named)
        except TypeError as error:
            takes = ", ".join(signature.parameters) or "nothing"
            rows = (
                '; data is rows of background, on the command line a folder of pictures: data="FOLDER"'
                if "'data'" in str(error)
                else ""
            )
            raise BadRecipe(f"cannot make {name}, which takes {takes}: {error}{rows}") from error
        for parameter in TENSORS & bound.arguments.keys():
            bound.arguments[parameter] = self._tensor(name, bound.arguments[parameter])
        return make(*bound.args, **bound.kwargs)

    def _tensor(self, name: str, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given in self.data:
            return self.data[given]
        if given.startswith("data:") or self.read is None:
            raise BadRecipe(f"{name}({given!r}) names a tensor that is not at hand; pass it: data=[tensor]")
        return self.read(given)

    def plain(self, plain: Any) -> Any:
        """What `to_data` wrote out. Raises `BadRecipe`."""
        if isinstance(plain, dict):
            name = plain.get("piece")
            if not isinstance(name, str) or name not in PIECES:
                raise BadRecipe(f"no piece {name!r}; {nearest(str(name), PIECES)}")
            fields = {field: self.plain(value) for field, value in plain.items() if field != "piece"}
            # Together, Several and Each take what they hold one after the other
            several = {"reductions", "baselines", "targets"} & fields.keys()
            args = list(fields.pop(several.pop())) if several else []
            return self._make(name, PIECES[name], args, fields)
        return tuple(self.plain(part) for part in plain) if isinstance(plain, list) else plain
