"""How the first row of an experiment's table is made again: on the command line, and in Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from smoothgrad.experiments.experiment import Cell
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.models.load import EMBEDDED

UNKNOWN = "PICTURE"  # in place of a picture that came from nowhere the command line knows of


def command(result: Result) -> str:
    """The command that makes the first row again; words in capitals stand for what it does not know."""
    cell, setup = result.cells[0], result.setup
    words = ["smoothgrad experiment", shlex.quote(repr(cell.experiment))]
    own = ["--samples", str(_count(cell, setup)), *_alone(cell, setup)]
    if cell.experiment.trains:
        words += ["--data", shlex.quote(setup.dataset or "DATA"), *own]
    else:
        words += ["--model", setup.model or "MODEL"]  # with its options, as they were typed
        given = [shlex.quote(one.file) if one.file else UNKNOWN for one in _seen(cell, setup)]
        words += own if _are_samples(cell, setup) else list(dict.fromkeys(given))
        words += ["--regions", shlex.quote(setup.regions)] if setup.regions else []
    if setup.target is not None:
        words += ["--target", _target_typed(setup)]
    return " ".join([*words, "--seed", str(setup.seed)])


def python(result: Result) -> str:
    """The lines of Python that make the first row again; `...` stands for what they do not know."""
    cell, setup = result.cells[0], result.setup
    names = ["Picture"] * (not cell.experiment.trains and not _are_samples(cell, setup)) + ["Setup"]
    names += ["pictures_of"] * cell.experiment.trains + ["samples_of"] * _are_samples(cell, setup)
    data = ["from smoothgrad.training.data import data_set"] * cell.experiment.trains
    mark = result.records[0]["fingerprint"]
    return "\n".join(
        [
            "import smoothgrad as sg",
            "from smoothgrad.experiments.recipe import experiment_from_recipe",
            "from smoothgrad.experiments.run import run",
            f"from smoothgrad.experiments.setup import {', '.join(names)}",
            *data,
            "",
            *_setup_lines(cell, setup),
            f"experiment = experiment_from_recipe({repr(cell.experiment)!r})",
            "result = run(experiment, setup)",
            *([f"assert result.frame['fingerprint'][0] == {mark!r}  # the same network"] if mark else []),
            "print(result.frame)",
        ]
    )


def _setup_lines(cell: Cell, setup: Setup) -> Iterator[str]:
    more = f", target={_target_code(setup)}" * (setup.target is not None) + f", seed={setup.seed}"
    count, place = _count(cell, setup), f"[{_last(cell, setup)}:]" if cell.experiment.per_picture else ""
    if setup.among and cell.picture is not None:
        place = f"\npictures = tuple(one for one in pictures if one.name == {cell.picture.name!r})"
    if cell.experiment.trains:
        yield f"data = data_set({setup.dataset!r})" if setup.dataset else "data = ...  # your data set"
        yield f"pictures = pictures_of(data.held_out, data, {count}){place}"
        yield f"setup = Setup(pictures=pictures, data=data, dataset={setup.dataset!r}{more})"
        return
    name, _, options = setup.model.partition(" ")
    said = f"  # and what {options} says" if options else ""
    yield f"net = sg.load({name!r}){said}" if name else "net = ...  # your network, as a Network"
    if _are_samples(cell, setup):
        yield f"pictures = samples_of(net, {count}){place}"
    else:
        yield "pictures = ("
        yield from (f"    {_picture_code(one)}," for one in _seen(cell, setup))
        yield ")"
    yield f"setup = Setup(net, pictures, model={setup.model!r}{more})"


def _picture_code(one: Picture) -> str:
    x = f"net.read({one.file!r})" if one.file else "..."
    more = "".join(f", {name}={held!r}" for name, held in (("file", one.file), ("group", one.group)) if held)
    label = "" if one.label is None else f", label={one.label}"
    region = "" if one.region is None else ", region=..."
    return f"Picture({one.name!r}, {x}{more}{label}{region})"


def _seen(cell: Cell, setup: Setup) -> tuple[Picture, ...]:
    return cell.setup(setup).pictures


def _last(cell: Cell, setup: Setup) -> int:
    """At which place the last picture of the cell stands among all."""
    names = [one.name for one in setup.pictures]
    return max((names.index(one.name) for one in _seen(cell, setup)), default=0)


def _count(cell: Cell, setup: Setup) -> int:
    """How many of the pictures that come with the network or the data it takes to have those of the cell."""
    return setup.among or _last(cell, setup) + 1


def _are_samples(cell: Cell, setup: Setup) -> bool:
    """Whether the pictures are the first of those that come with the network, or one of them."""
    count = _last(cell, setup) + 1
    if setup.network is None or setup.model not in EMBEDDED or not setup.network.has_samples:
        return False
    return bool(setup.among) or tuple(one.name for one in setup.pictures[:count]) == tuple(
        setup.network.sample_names(count)
    )


def _alone(cell: Cell, setup: Setup) -> list[str]:
    """What takes the cell's picture out of those before it; nothing where there are none."""
    return ["--only", shlex.quote(cell.picture.name)] if cell.picture is not None and _count(cell, setup) > 1 else []


def _target_typed(setup: Setup) -> str:
    """A target as it is typed; TARGET for a function of the user's."""
    text = repr(setup.target)
    return "TARGET" if "<" in text or "lambda" in text else shlex.quote(text)


def _target_code(setup: Setup) -> str:
    """A target in Python; `...` for a function of the user's."""
    text = repr(setup.target)
    return "..." if "<" in text or "lambda" in text else re.sub(r"\b([A-Z]\w*)\(", r"sg.\1(", text)
