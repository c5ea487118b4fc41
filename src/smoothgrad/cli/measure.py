"""`smoothgrad measure`: which method's maps to trust, by numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.compare import METHODS
from smoothgrad.cli.console import FAILED, complain, counted, error_plainly, failing, out, remark, write_json
from smoothgrad.cli.judging import Judged, Judging, Order
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output, write_figure
from smoothgrad.cli.standings import print_standings
from smoothgrad.cli.work import EMBEDDED, Work
from smoothgrad.errors import BadInput, CannotWrite
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from smoothgrad.measure.scores import Scores

FORMATS = ("png", "csv", "parquet", "html")
# Faithful where what it marks goes, and where it comes; faithful to small changes; and how little it marks.
MEASURES = ("deletion", "insertion", "infidelity", "gini")
WITH_REGIONS = ("pointing_game", "energy_inside", "localisation_auc")
WITH_TRUTH = ("scenes", "scenes-shortcut")  # the networks of whose own pictures it is known where the thing is
OWN = 30  # of them, when no picture is named: fewer would say little
# What is written, by what it holds: the format that it belongs to, and its name.
FILES = {
    "parquet": ("parquet", "scores.parquet"),
    "csv": ("csv", "scores.csv"),
    "summary": ("csv", "summary.csv"),
    "differences": ("csv", "differences.csv"),
    "png": ("png", "scores.png"),
    "curves": ("png", "curves.png"),
    "html": ("html", "index.html"),
}


def measure(
    model: options.Model,
    pictures: options.Pictures = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    precision: options.PrecisionName = "float32",
    chunk: options.Chunk = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPE",
            help=f"A method, by name or recipe; again for each. [dim]Default: {', '.join(METHODS)}.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            metavar="RECIPE",
            help="A measure, by name or recipe; again for each. See: smoothgrad measures. "
            f"[dim]Default: {', '.join(MEASURES)}; with --regions {', '.join(WITH_REGIONS)} too.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    sign: Annotated[
        str,
        typer.Option(
            "--sign",
            metavar="WORD",
            help="Judge maps as they are (signed), or their absolute values (absolute), by which gradients are usually judged "
            "where it is asked how well they find a region.",
            rich_help_panel=options.QUESTION,
        ),
    ] = "signed",
    regions: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            metavar="FILE|FOLDER",
            help="Where the thing is: a CSV of boxes (file,xmin,ymin,xmax,ymax), of which all of a file are taken together, or a "
            "folder of masks named as the pictures.",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    no_controls: Annotated[
        bool,
        typer.Option(
            "--no-controls",
            metavar=options.FLAG,
            help="Leave out the maps that know nothing of the network: random, edges, uniform.",
            rich_help_panel=options.QUESTION,
        ),
    ] = False,
    target: options.Target = None,
    at: options.At = None,
    seed: options.Seed = "0",
    samples: options.Samples = None,
    confidence: Annotated[
        str,
        typer.Option(metavar="SHARE", help="Of the intervals, such as 0.95.", rich_help_panel=options.OUTPUT),
    ] = "0.95",
    folder: options.Out = Path("out"),
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help="Some of png,csv,parquet,html. [dim]Default: all.[/dim]",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Judge methods by objective measures, on many pictures, with intervals.

    Writes every score (scores.parquet, .csv), each method's mean with its interval (summary.csv), all paired differences with
    corrected p-values (differences.csv), pictures of both (scores.png, curves.png), and a report (index.html).

    Beside the methods stand three maps that know nothing of the network: what does not beat them shows nothing of it.

    A score that cannot be had is a row with the reason. Pictures, methods and seed give the same scores in any order.

    [bold cyan]smoothgrad measure --model scenes[/bold cyan]  (it comes with pictures of which the truth is known)

    [bold cyan]smoothgrad measure photos/ --model timm:resnet50[/bold cyan]

    [bold cyan]smoothgrad measure photos/ -m timm:resnet50 --measure 'Deletion(removal=Replaced(Blurred(10)))'[/bold cyan]

    [bold cyan]smoothgrad measure photos/ -m timm:resnet50 --regions boxes.csv --measure pointing_game[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        count = None if samples is None else options.read_count("--samples", samples)
        share = options.read_share("--confidence", confidence)
        output = Output.checked(folder, formats, FORMATS, quiet=quiet)
        network = NetworkOptions(model, weights, classes, size, mean, std)
        question = QuestionOptions.read(target, at, seed, chunk, precision, device)
        own = not pictures and model in EMBEDDED
        known = regions is not None or (own and model in WITH_TRUTH)
        asked = by or [*MEASURES, *(WITH_REGIONS if known else ())]
        order = Order.checked(asked, sign, regions, controls=not no_controls)
        work = Work.checked(network, pictures, OWN if own and count is None else count, method or METHODS, question)
        output.spare(work.files, (name for _, name in FILES.values()))
        judging = Judging.of(work, order)
        try:
            ran = judging.run(shown=not quiet)
        except Exception:
            _write(judging.so_far(), output, share, work.net.name)
            raise
        files = _write(ran, output, share, work.net.name)
        _clear(files, output, quiet=quiet)
        if json:
            write_json(_document(judging, ran, share, files) | _stop_plainly(ran.stopped))
        elif not quiet:
            _summary(ran.scores, share, files)
        _finish(ran, len(work.sources))


def _write(ran: Judged, output: Output, confidence: float, name: str) -> dict[str, Path]:
    """All files, by what they hold. The scores come first: what cannot be drawn does not cost them."""
    from smoothgrad.report.judged import has_curves

    scores = ran.scores
    files: dict[str, Path] = {}
    if not len(scores):
        return files

    def path(held: str) -> Path:
        return output.folder / FILES[held][1]

    for format in ("parquet", "csv"):
        if output.has(format):
            files[format] = scores.save(path(format))
    if output.has("csv"):
        files["summary"] = _table(scores.summary(confidence), path("summary"))
        files["differences"] = _table(scores.differences(confidence), path("differences"))
    if output.has("png"):
        files["png"] = write_figure(scores.figure(confidence=confidence), path("png"))
        if has_curves(scores):
            try:
                files["curves"] = write_figure(scores.curve_figure(confidence=confidence), path("curves"))
            except BadInput as error:  # the curves of some rows have places of their own
                remark(str(error), head="no curves: ")
    if output.has("html") and ran.table is not None:
        pictures = len({(one.picture, one.key) for one in scores.records})
        title = f"{name}, {counted(pictures, 'picture')}"
        files["html"] = ran.table.report(path("html"), title=title, confidence=confidence)
    return files


def _clear(files: Mapping[str, Path], output: Output, *, quiet: bool) -> None:
    """Remove what an earlier run left that this one would have replaced, had it had any, and name what it was not to replace.

    Where nothing was written, all stays.
    """
    if not files:
        return
    stale = [
        (format, output.folder / name)
        for held, (format, name) in FILES.items()
        if held not in files and (output.folder / name).is_file()
    ]
    gone = [path for format, path in stale if output.has(format)]
    for path in gone:
        try:
            path.unlink()
        except OSError as error:
            raise CannotWrite(
                f"{path} is of an earlier run and cannot be removed: {error.strerror or error}"
            ) from error
    left = [path for format, path in stale if not output.has(format)]
    if gone and not quiet:
        remark(f"removed, since of an earlier run: {', '.join(map(str, gone))}")
    if left and not quiet:
        remark(f"left as it is, but of an earlier run: {', '.join(map(str, left))}")


def _table(frame: Any, path: Path) -> Path:
    return write_aside(path, lambda aside: frame.to_csv(aside, index=False))


def _document(judging: Judging, ran: Judged, confidence: float, files: dict[str, Path]) -> dict[str, Any]:
    from smoothgrad.recipe import to_recipe

    scores, work, order = ran.scores, judging.work, judging.order
    return {
        "command": "measure",
        **work.described(),
        "target": next(iter(work.question.targets), None),
        "at": work.question.at,
        "precision": work.question.precision,
        "sign": "absolute" if order.absolute else "signed",
        "regions": _regions_plainly(judging),
        "confidence": confidence,
        "measures": {label: repr(one) for label, one in order.measures.items()},
        "methods": {label: to_recipe(one) for label, one in judging.columns.items()},
        "summary": _plain(scores.summary(confidence)) if len(scores) else [],
        "differences": _plain(scores.differences(confidence)) if len(scores) else [],
        "failures": [
            {"picture": one.picture, "method": one.method, "measure": one.measure, "reason": one.reason}
            for one in scores.failures
        ],
        "files": {name: str(path) for name, path in files.items()},
    }


def _regions_plainly(judging: Judging) -> str | None:
    """Where it is known from where the thing is."""
    if judging.order.regions is not None:
        return str(judging.order.regions)
    return None if judging.regions is None else judging.work.net.name


def _plain(frame: Any) -> list[dict[str, Any]]:
    """The rows of a table, for JSON."""
    empty = frame.astype(object).where(frame.notna().to_numpy(), None)
    rows: list[dict[str, Any]] = empty.to_dict("records")
    return rows


def _stop_plainly(stopped: str | None) -> dict[str, Any]:
    """That the work was stopped, for JSON; nothing where it was not."""
    return {} if stopped is None else {"error": error_plainly("Stopped", stopped)}


def _summary(scores: Scores, confidence: float, files: dict[str, Path]) -> None:
    console = out()
    if len(scores):
        print_standings(console, scores, confidence)
    if files:
        console.print(Text.assemble(("written: ", "bold"), (", ".join(map(str, files.values())), "cyan")))


def _missing(ran: Judged, asked: Collection[str]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Where there is no score, on which pictures, and why; what is the same for all methods comes once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in ran.scores.failures:
        if not one.control and one.picture not in ran.failed:
            found.setdefault((one.reason, one.measure, one.method), []).append(one.picture)
    alike: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for (reason, measure, method), names in found.items():
        alike.setdefault((reason, tuple(names), measure), []).append(method)
    every: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, pictures, measure), methods in alike.items():
        if len(methods) == len(asked) > 1:
            every.setdefault((reason, pictures), []).append(measure)
        else:
            yield from ((f"{method}, {measure}", pictures, reason) for method in methods)
    for (reason, pictures), measures in every.items():
        yield f"all methods, {', '.join(measures)}", pictures, reason


def _finish(ran: Judged, pictures: int) -> None:
    """Say what has no score, and exit with 1 where the work was stopped or a method or a picture failed as a whole.

    Of controls nothing is said here: that a uniform map ranks nothing is as it should be, and stands in the tables.
    """
    scores = ran.scores
    asked = {one.method for one in scores.records if not one.control}
    for where, names, reason in _missing(ran, asked):
        which = names[0] if len(names) == 1 else counted(len(names), "picture")
        remark(f"{where}, {which}: {reason}", head="no score: ")
    if ran.cut:
        reach = "box reaches beyond its picture and is" if ran.cut == 1 else "boxes reach beyond their pictures and are"
        remark(f"{ran.cut} {reach} cut off at the border; boxes are in pixels of the file")
    without = asked - {one.method for one in scores.records if not one.reason}
    if without:
        complain(f"no score at all for {', '.join(sorted(without))}")
    if ran.failed:
        complain(f"{len(ran.failed)} of {counted(pictures, 'picture')} failed")
    for name, reason in ran.failed.items():
        complain(reason, head=f"{name}: ")
    if ran.stopped is not None or without or ran.failed:
        raise typer.Exit(FAILED)
