"""From the texts of a command line to pictures, methods and a target. All is checked before anything is computed."""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from smoothgrad.errors import BadOption, BadPicture, BadRecipe, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.core.explainer import Explainer
    from smoothgrad.models.network import Network
    from smoothgrad.targets import Target

# What a folder's pictures are told by. A file that is named itself may have any ending.
SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".tga"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
}


class Source(NamedTuple):
    """One input: its name for people, its name for the files made of it, and how to get it.

    Where several targets are explained of each input, there is a Source for each of them.
    """

    name: str
    stem: str
    read: Callable[[], Tensor]  # (1, *S)
    path: Path | None = None
    target: str = ""  # one of several, in a word

    @property
    def title(self) -> str:
        """The name, with the target where it is one of several."""
        return f"{self.name}, {self.target}" if self.target else self.name


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """The files that are meant: folders stand for the pictures in them, by name. Each file once.

    Raises `BadOption` for a path that does not exist, and for a folder without pictures.
    """
    missing = [path for path in given if not path.exists()]
    if missing:
        more = f" (and {len(missing) - 1} more of those given)" if len(missing) > 1 else ""
        raise BadOption(f"there is no picture {missing[0]}{more}; {_near_file(missing[0])}")
    found = [file for path in given for file in (_pictures_in(path) if path.is_dir() else [path])]
    once: dict[Path, Path] = {}
    for file in found:
        once.setdefault(file.resolve(), file)
    return list(once.values())


def from_files(net: Network, files: Sequence[Path]) -> list[Source]:
    """The pictures as the network takes them, each read when its turn comes."""
    twins = Counter(file.name for file in files)
    names = [file.name if twins[file.name] == 1 else str(file) for file in files]
    stems = _file_stems(files)
    return [
        Source(name, stem, partial(net.read, file), file) for name, stem, file in zip(names, stems, files, strict=True)
    ]


def from_samples(net: Network, count: int) -> list[Source]:
    """The first inputs that come with the network."""
    rows, names = net.samples(count), net.sample_names(count)
    stems = distinct([slug(name) for name in names])
    return [Source(name, stem, row[None].clone) for name, stem, row in zip(names, stems, rows, strict=True)]


def read_method(text: str, net: Network) -> Explainer:
    """The method that a text means: a recipe, or the bare name of a method. Texts in it may name pictures and folders."""
    from smoothgrad.methods import METHODS
    from smoothgrad.recipe import from_recipe

    text = text.strip()
    if text.isidentifier() and not text[0].isupper():
        if text not in METHODS:
            raise BadOption(f"no method {text!r}; {nearest(text, METHODS)}")
        named = METHODS[text]
        if named.needs:
            raise BadOption(f"{text} needs {', '.join(named.needs)}: write '{text}({named.needs[0]}=\"FOLDER\")'")
        return named.make()
    try:
        method = from_recipe(text, read=lambda path: _rows(net, Path(path)))
    except BadPicture as error:
        raise BadOption(f"in the method {text!r}: {error}") from error
    if _given_several(method):
        raise BadOption(
            f"Given in {text!r} names a folder; give one picture, or FromData(...) to take from all of them"
        )
    return method


def read_targets(texts: Sequence[str], classes: Sequence[str]) -> Target | None:
    """What is asked of each picture: nothing, one target, or several. Raises as `read_target`.

    >>> read_targets(["top", "1"], ["espresso", "tiger cat"])
    Each(Top(rank=0), Class(index=1))
    """
    from smoothgrad.targets import Class, Classes, Contrast, Each, Top

    found = [read_target(text, classes) for text in texts]
    if len(found) < 2:
        return found[0] if found else None
    for text, target in zip(texts, found, strict=True):
        if not isinstance(target, Top | Class | Classes | Contrast):
            raise BadOption(
                f"--target {text} cannot stand beside others: several targets are classes, top, top2, contrasts; ask it alone"
            )
        if found.count(target) > 1:
            raise BadOption(f"--target {text} is given twice; give each once")
    return Each(*found)


def target_words(target: Target | None, classes: Sequence[str]) -> tuple[str, ...]:
    """Each of several targets in a word; nothing where there is one.

    >>> from smoothgrad.targets import Class, Each, Top
    >>> target_words(Each(Top(), Top(rank=1), Class(1)), ["espresso", "tiger cat"])
    ('top', 'top2', 'tiger cat')
    """
    from smoothgrad.targets import Each

    return tuple(_target_word(part, classes) for part in target.targets) if isinstance(target, Each) else ()


def _target_word(target: Target, classes: Sequence[str]) -> str:
    from smoothgrad.targets import Class, Contrast, Top

    match target:
        case Contrast(this=this, that=that):
            return f"{_target_word(this, classes)} rather than {_target_word(that, classes)}"
        case Top(rank=rank):
            return f"top{rank + 1}" if rank else "top"
        case Class(index=index):
            return classes[index] if index < len(classes) else f"class {index}"
    return repr(target)


def read_target(text: str, classes: Sequence[str]) -> Target:
    """A class by number or name, top or top2, or a recipe in which classes may be named.

    Raises `BadOption`, `BadRecipe` or `BadTarget`.

    >>> read_target("top2", ["espresso", "tiger cat"])
    Top(rank=1)
    >>> read_target("Contrast(Class('tiger_cat'), Class(espresso))", ["espresso", "tiger cat"])
    Contrast(this=Class(index=1), that=Class(index=0))
    """
    from smoothgrad.recipe import target_from_recipe
    from smoothgrad.targets import Class, Top

    text = text.strip()
    if not text:
        raise BadOption(
            "--target is empty; give a class by number or name, or leave it out for each picture's top class"
        )
    if not _called(text, classes):
        if "(" in text:
            return target_from_recipe(_with_numbers(text, classes))
        ranked = re.fullmatch(r"top([1-9]\d*)?", text.casefold())
        if ranked:
            return Top(rank=int(ranked[1] or 1) - 1)
        for word, written in _WRITTEN.items():
            if text.casefold() == word.casefold():
                raise BadOption(f"--target {text} is no class; write {written}")
    return Class(_class_index(text, classes))


# How the words of a target are written, for those who leave the brackets out.
_WRITTEN = {
    "Top": "Top()",
    "Class": "Class(3)",
    "Contrast": "Contrast(Class(3), Top())",
    "Probability": "Probability(Top())",
}


def _with_numbers(text: str, classes: Sequence[str]) -> str:
    """A target's recipe with the names of classes in it replaced by their numbers: in quotes, or bare where that is one word."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadRecipe(
            f"cannot read the target {text!r}: {error}; write it as Contrast(Class('tiger cat'), Top())"
        ) from error
    return ast.unparse(_Numbered(classes).visit(tree))


@final
class _Numbered(ast.NodeTransformer):
    """Puts numbers for the names of classes. In Contrast, Probability and Each a name or a number stands for its Class."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        match node.func:
            case ast.Name(id="Class"):
                self._replace(node, self._number)
            case ast.Name(id="Contrast" | "Probability" | "Each"):
                self._replace(node, self._class)
        return node

    def _replace(self, node: ast.Call, new: Callable[[ast.expr], ast.expr]) -> None:
        node.args = [new(part) for part in node.args]
        for keyword in node.keywords:
            keyword.value = new(keyword.value)

    def _number(self, node: ast.expr) -> ast.expr:
        name = _name_in(node)
        return node if name is None else ast.Constant(_class_index(name, self._classes))

    def _class(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Name(id=word) if word in _WRITTEN:
                raise BadOption(f"{word} in a target must be called: write {_WRITTEN[word]}")
            case ast.Constant(value=bool()):  # Probability(log=True)
                return node
            case ast.Constant(value=int() | str()) | ast.Name():
                return ast.Call(ast.Name("Class"), [self._number(node)], [])
        return node


def _name_in(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str() as name) | ast.Name(id=name):
            return name
    return None


def _class_index(text: str, classes: Sequence[str]) -> int:
    """The class that a text names, or its number. Raises `BadOption` with the nearest name."""
    named = _called(text, classes)
    if re.fullmatch(r"[+-]?\d+", text):
        number = int(text)
        if named and named != [number]:
            raise BadOption(
                f"--target {text} is the name of class {named[0]} and a number too; "
                f"write 'Class({number})' or 'Class({named[0]})'"
            )
        if number < 0 or (classes and number >= len(classes)):
            known = f"give 0 to {len(classes) - 1}, or a name" if classes else "classes are counted from 0"
            raise BadOption(f"there is no class {number}; {known}")
        return number
    if len(named) > 1:
        raise BadOption(f"{len(named)} classes are called {text!r}; give a number: {', '.join(map(str, named))}")
    if not named:
        raise BadOption(f"there is no class {text!r}; {_near_class(text, classes)}")
    return named[0]


def _called(text: str, classes: Sequence[str]) -> list[int]:
    """The classes of this name: as it is written, or else where spaces, underscores and case do not matter."""
    exact = [index for index, name in enumerate(classes) if name == text]
    return exact or [index for index, name in enumerate(classes) if _folded(name) == _folded(text)]


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def slug(text: str) -> str:
    """A text as part of a file's name.

    >>> slug("digit 3, scan 17"), slug("smoothgrad(noise=0.1)")
    ('digit-3-scan-17', 'smoothgrad-noise-0.1')
    """
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:80] or "method"


def distinct(names: Sequence[str]) -> list[str]:
    """The names with a number behind each that was there before, also where a file system ignores case.

    >>> distinct(["cat", "Cat", "dog"])
    ['cat', 'Cat-2', 'dog']
    """
    taken: set[str] = set()
    found = []
    for name in names:
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        found.append(free)
    return found


def _pictures_in(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise BadOption(f"the folder {folder} cannot be read ({error.strerror}); make it readable first") from error
    found = [file for file in files if file.suffix.lower() in SUFFIXES and file.name[0] != "." and file.is_file()]
    if not found:
        raise BadOption(f"there are no pictures in the folder {folder}; give files, or a folder with some right in it")
    return found


def _file_stems(files: Sequence[Path]) -> list[str]:
    """Equal names from different folders get their folder's name in front."""
    twins = Counter(file.stem.casefold() for file in files)
    stems = [
        file.stem if twins[file.stem.casefold()] == 1 else f"{file.resolve().parent.name}-{file.stem}" for file in files
    ]
    return distinct(stems)


def _rows(net: Network, path: Path) -> Tensor:
    """The tensor that a path in a recipe stands for: a picture, or all pictures of a folder, (M, *S)."""
    import torch

    rows = [net.read(file) for file in (_pictures_in(path) if path.is_dir() else [path])]
    shapes = {tuple(row.shape[1:]) for row in rows}
    if len(shapes) > 1:
        raise BadOption(f"the pictures in {path} differ in size: {', '.join(map(str, sorted(shapes)))}; give --size")
    return torch.cat(rows)


def _given_several(piece: object) -> bool:
    """Is there a `Given` with several rows in it? Pictures are asked about one by one, and all would get the first."""
    from smoothgrad.core.value import Value, fields_of
    from smoothgrad.recipe import data_in
    from smoothgrad.samplers.baseline import Given

    if isinstance(piece, Given):
        return any(len(rows.tensor) > 1 for rows in data_in(piece))
    parts = (
        piece
        if isinstance(piece, tuple)
        else [held for _, held in fields_of(piece)]
        if isinstance(piece, Value)
        else ()
    )
    return any(_given_several(part) for part in parts)


def _near_file(path: Path) -> str:
    names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {str(path.parent / close[0])!r}?" if close else "check the path"


def _near_class(text: str, classes: Sequence[str]) -> str:
    if not classes:
        return "this network's classes have no names: give a number, or a file of names with --classes"
    close = difflib.get_close_matches(_folded(text), map(_folded, classes), n=1, cutoff=0.6)
    if close:
        return f"did you mean {next(name for name in classes if _folded(name) == close[0])!r}?"
    holding = [name for name in classes if _folded(text) in _folded(name)][:5]
    if holding:
        return f"did you mean one of {', '.join(map(repr, holding))}?"
    some = ", ".join(classes[:10]) + (f", ... ({len(classes)} in all)" if len(classes) > 10 else "")
    return f"known: {some}"
