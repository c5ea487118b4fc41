"""`smoothgrad experiment`: a question of the papers, asked of a network and pictures, as a table, figures and a page."""

from __future__ import annotations

import json as plain
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import FAILED, complain, counted, error_plainly, failing, out, remark, write_json
from smoothgrad.cli.found import End, ends_of, failed_cells, print_found
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output
from smoothgrad.cli.progress import CellBars
from smoothgrad.cli.setting import Setting, chosen
from smoothgrad.errors import BadOption, CannotWrite
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from smoothgrad.experiments.experiment import Experiment
    from smoothgrad.experiments.result import Result
    from smoothgrad.experiments.setup import Setup

FORMATS = ("png", "csv", "parquet", "html")  # all are written; what they need must be installed
WRITTEN = Path("cells", "files.json")  # in the folder: the names of what a run wrote there


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Which experiment; see: smoothgrad experiments. Or a recipe as a row of its table holds it, such as "
            "'noise-level(noise=0.1)'.",
        ),
    ],
    pictures: options.Pictures = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="digits, scenes, mnist, cifar10, timm:NAME, torchvision:NAME, hf:ORG/NAME or hf:FOLDER, path/to/net.py:FUNCTION.",
            rich_help_panel=options.NETWORK,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For experiments that train networks of their own, in place of --model: what on. digits, mnist:FOLDER or "
            "cifar10:FOLDER.",
            rich_help_panel=options.NETWORK,
        ),
    ] = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    chunk: options.Chunk = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Other values of a field, such as noise=0,0.1,0.3 or samples=20; again for each field.",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            metavar=options.FLAG,
            help="Few values and few draws, under a minute; without --model and --data on the embedded digits.",
            rich_help_panel=options.QUESTION,
        ),
    ] = False,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:COLUMN",
            help="The kind of each picture: a column of a CSV beside its column file. [dim]Default: the folder's name, where "
            "there are several.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            metavar="FILE|FOLDER",
            help="Where the thing is, for measures of localisation: a CSV of boxes (file,xmin,ymin,xmax,ymax), or a folder of "
            "masks named as the pictures.",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    target: options.Target = None,
    seed: options.Seed = "0",
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Take so many pictures that come with the network or the data. [dim]Default: 10, with --quick 3.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of these pictures take the one of this name, as the table has it.",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Where to write, and to go on from. [dim]Default: out/NAME.[/dim]",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Ask a question of the papers of your own network and pictures.

    Writes a tidy table (table.csv, .parquet), its figures (PNG, SVG), and a page with both and what was seen (index.html).

    Each cell of the grid, on each picture, is kept as soon as it is done: after Ctrl-C the same command goes on where it was.

    A cell that fails is a row with the reason. Each row holds the recipe that makes its cell again, alone.

    [bold cyan]smoothgrad experiment noise-level --quick[/bold cyan]

    [bold cyan]smoothgrad experiment noise-level photos/ -m timm:resnet50 --grid noise=0,0.1,0.3[/bold cyan]

    [bold cyan]smoothgrad experiment training-noise --data cifar10:FOLDER[/bold cyan]
    """
    with failing(debug=debug, json=json):
        count = None if samples is None else options.read_count("--samples", samples)
        question = QuestionOptions.read(target, None, seed, chunk, "float32", device)
        network = NetworkOptions(model or "", weights, classes, size, mean, std)
        network.check()
        about = chosen(name, grid or (), quick=quick)
        place = folder or Path("out") / about.name
        _is_folder(place)
        Output.checked(place, ",".join(FORMATS), FORMATS)
        setting = Setting(network, data, tuple(pictures or ()), count, only, groups, regions, question, quick)
        setup = setting.checked(about)
        _spare(setup, place)
        result = _made(about, setup, place, shown=not quiet, json=json)
    with failing(debug=debug, json=json, folder=place):
        files = _written(result, place, quiet=quiet, json=json)
        if json:
            write_json(_document(result, files))
        elif not quiet:
            _summary(result, files)
        _finish(result)


def _is_folder(place: Path) -> None:
    """Raises `BadOption` where what is to be the folder is a file, or lies below one."""
    file = next((part for part in (place, *place.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        raise BadOption(f"--out is the folder to write into, and {file} is a file; choose a folder")


def _spare(setup: Setup, place: Path) -> None:
    """Raises `BadOption` where pictures lie in the folder that figures are written to: one could replace another."""
    inside = [one.file for one in setup.pictures if one.file and Path(one.file).resolve().parent == place.resolve()]
    if inside:
        raise BadOption(f"{inside[0]} could be replaced by a figure of its name; choose another folder with --out")


def _made(about: Experiment, setup: Setup, place: Path, *, shown: bool, json: bool) -> Result:
    """All cells. After Ctrl-C it is said how many are kept."""
    from smoothgrad.experiments.run import kept_cells, run

    bars = CellBars(shown=shown)
    try:
        with bars:
            return run(about, replace(setup, watch=bars), folder=place)
    except KeyboardInterrupt:
        done, of = kept_cells(about, setup, folder=place)
        _stopped(about, setup, f"{_kept(done, of)} in {place}; the same command goes on from there", json=json)
        raise typer.Exit(FAILED) from None


def _written(result: Result, place: Path, *, quiet: bool, json: bool) -> dict[str, Path]:
    """All files, and none of an earlier run. After Ctrl-C it is said that no cell is lost."""
    from smoothgrad.experiments.run import kept_cells

    about, setup = result.experiment, result.setup
    try:
        files = _write(result, place)
        _clear(files, place, quiet=quiet)
    except KeyboardInterrupt:
        done, of = kept_cells(about, setup, folder=place)
        _stopped(about, setup, f"{_kept(done, of)} in {place}; the same command writes the rest", json=json)
        raise typer.Exit(FAILED) from None
    return files


def _kept(done: int, of: int) -> str:
    return f"{done} of {counted(of, 'cell')} {'is' if done == 1 else 'are'} done and kept"


def _stopped(about: Experiment, setup: Setup, said: str, *, json: bool) -> None:
    message = f"stopped; {said}"
    complain(message, head="")
    if json:
        write_json({**_described(about, setup), "error": error_plainly("Stopped", message)})


def _write(result: Result, place: Path) -> dict[str, Path]:
    """The table first: what cannot be drawn does not cost it. A page in any case: that of an earlier run would be wrong."""
    files = result.save(place)
    files["index.html"] = result.report(place / "index.html")
    return files


def _clear(files: Mapping[str, Path], place: Path, *, quiet: bool) -> None:
    """Remove what an earlier run wrote into the folder and this one did not, such as figures of pictures that are no longer asked.

    What is not among what a run wrote is left.
    """
    known = place / WRITTEN
    gone = []
    for name in sorted(_earlier(known) - set(files)):
        try:
            (place / name).unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CannotWrite(
                f"{place / name} is of an earlier run and cannot be removed: {error.strerror or error}"
            ) from error
        gone.append(str(place / name))
    write_aside(known, lambda aside: aside.write_text(plain.dumps(sorted(files)), encoding="utf-8"))
    if gone and not quiet:
        remark(f"removed, since of an earlier run: {', '.join(gone)}")


def _earlier(known: Path) -> set[str]:
    """The names of what the run before wrote: plain ones only, whatever the file says."""
    try:
        names = plain.loads(known.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there was none, or nothing is known of it, and then nothing of it is removed
        return set()
    return {name for name in names if isinstance(name, str) and Path(name).name == name}


def _described(about: Experiment, setup: Setup) -> dict[str, Any]:
    """What was asked, for JSON."""
    from smoothgrad import __version__

    return {
        "command": "experiment",
        "smoothgrad": __version__,
        "experiment": about.name,
        "recipe": repr(about),
        "model": setup.model or None,
        "data": setup.dataset or None,
        "target": None if setup.target is None else repr(setup.target),
        "seed": setup.seed,
        "pictures": [one.name for one in setup.pictures],
    }


def _document(result: Result, files: Mapping[str, Path]) -> dict[str, Any]:
    return {
        **_described(result.experiment, result.setup),
        "cells": len(result.cells),
        "rows": len(result.records),
        "lessons": list(result.lessons),
        "summary": [
            {"quantity": one.quantity, "unit": one.unit, "least": _plainly(one.least), "most": _plainly(one.most)}
            for one in ends_of(result)
        ],
        "failures": [dict(row) for row in result.failures],
        "files": {name: str(path) for name, path in files.items()},
    }


def _plainly(end: End) -> dict[str, Any]:
    return {"mean": end.value, "at": dict(end.settings)}


def _summary(result: Result, files: Mapping[str, Path]) -> None:
    console = out()
    print_found(console, result)
    first, *others = sorted(files.values(), key=lambda path: path.name != "index.html")
    console.print(Text.assemble(("\nwritten: ", "bold"), (str(first), "cyan")), soft_wrap=True)
    console.print(Text(f"beside it: {', '.join(path.name for path in others)}", "dim"))


def _finish(result: Result) -> None:
    """Say which cells failed, and exit with 1 where some did."""
    if not result.failures:
        return
    complain(f"{len(result.failures)} of {counted(len(result.cells), 'cell')} failed; they are tried again next time")
    for cell, reason in failed_cells(result):
        complain(reason, head=f"{cell}: ")
    raise typer.Exit(FAILED)
