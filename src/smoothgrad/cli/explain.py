"""`smoothgrad explain`: a map for each picture, by one method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import counted, failing, out, write_json
from smoothgrad.cli.inputs import Source
from smoothgrad.cli.options import LookOptions, NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output, write_figure
from smoothgrad.cli.progress import Bars
from smoothgrad.cli.results import (
    FRESH,
    check_tested,
    failures_plainly,
    map_plainly,
    maps_in,
    mark,
    shown_error,
    shown_reproducibility,
    source_plainly,
    write_report,
)
from smoothgrad.cli.work import Ran, Work, finish, stop_plainly

if TYPE_CHECKING:
    from smoothgrad.compare import Comparison, Row

FORMATS = ("png", "safetensors", "html")
METHOD = "smoothgrad(noise=0.15, samples=50)"  # Smilkov et al. 2017: 10-20 % noise, little change past 50


def explain(
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
        str,
        typer.Option(
            metavar="RECIPE",
            help="The method: its name, or a recipe with its parameters. See: smoothgrad methods.",
            rich_help_panel=options.QUESTION,
        ),
    ] = METHOD,
    target: options.Target = None,
    at: options.At = None,
    seed: options.Seed = "0",
    samples: options.Samples = None,
    sign: options.SignName = None,
    channels: options.ChannelsName = None,
    cap: options.Cap = None,
    times_input: options.TimesInput = False,
    overlay: options.Overlay = None,
    shared: options.Shared = False,
    fdr: options.Fdr = None,
    folder: options.Out = Path("out"),
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help="Some of png,safetensors,html. [dim]Default: all.[/dim]",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Explain what a network sees in pictures: a map for each, and how sure it is.

    Each picture becomes a figure (PNG) and a raw map that can be repeated (safetensors); index.html shows them all.

    A picture's noise comes from --seed and from the picture itself: other pictures, their order and folder change nothing.

    A picture that fails is named at the end, and the others are done.

    [bold cyan]smoothgrad explain cat.jpg --model timm:resnet50[/bold cyan]

    [bold cyan]smoothgrad explain photos/ -m timm:resnet50 --method 'vargrad(noise=0.1)'[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        looks = LookOptions.read(sign, channels, cap, times_input, overlay, shared, fdr)
        count = None if samples is None else options.read_count("--samples", samples)
        output = Output.checked(folder, formats, FORMATS, quiet=quiet)
        network = NetworkOptions(model, weights, classes, size, mean, std)
        question = QuestionOptions.read(target, at, seed, chunk, precision, device)
        work = Work.checked(network, pictures, count, [method], question)
        if looks.fdr is not None:
            check_tested(work.methods[method.strip()])
        output.spare(
            work.files, (name for asked in work.asked for source in asked for name in _files(source, output).values())
        )
        bars = Bars(len(work.sources), shown=not quiet)
        ran = work.run(bars, output.folder, lambda source, row: _keep(source, row, output, looks))
        table = work.table(ran.rows)
        report = write_report(table, output, looks, f"{work.net.name}, {counted(ran.pictures, 'picture')}")
        if json:
            write_json(_document(work, ran, table, output, report))
        elif not quiet:
            _summary(ran, output, report)
        finish(ran, table)


def _keep(source: Source, row: Row, output: Output, looks: LookOptions) -> None:
    files = _files(source, output)
    for result in maps_in(row):
        if "safetensors" in files:
            result.save(output.folder / files["safetensors"])
        if "png" in files:
            write_figure(result.figure(looks.over(result.look)), output.folder / files["png"])


def _files(source: Source, output: Output) -> dict[str, str]:
    return {format: f"{source.stem}.{format}" for format in ("png", "safetensors") if output.has(format)}


def _in_short(files: dict[str, str]) -> str:
    """
    >>> _in_short({"png": "cat.png", "safetensors": "cat.safetensors"})
    'cat.png, .safetensors'
    """
    first, *others = files.values() or [""]
    return ", ".join([first, *(f".{other.rpartition('.')[2]}" for other in others)])


def _document(work: Work, ran: Ran, table: Comparison, output: Output, report: Path | None) -> dict[str, Any]:
    done = [
        {**source_plainly(source), **map_plainly(result), "files": _paths(source, output)}
        for source, row in zip(ran.sources, table.rows, strict=True)
        for result in maps_in(row)
    ]
    return {
        "command": "explain",
        **work.described(),
        "method": table.recipes[0],
        "report": None if report is None else str(report),
        "pictures": done,
        "failures": failures_plainly(table),
        **stop_plainly(ran),
    }


def _paths(source: Source, output: Output) -> dict[str, str]:
    return {format: str(output.folder / name) for format, name in _files(source, output).items()}


def _summary(ran: Ran, output: Output, report: Path | None) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("picture", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("relative\nerror", justify="right")
    table.add_column("fresh\nseed", justify="right", no_wrap=True)
    table.add_column("files", style="cyan", overflow="fold")
    for source, row in zip(ran.sources, ran.rows, strict=True):
        for result in maps_in(row):
            cells = [
                row.name,
                result.target_name(),
                f"{float(result.score[0]):.2f}",
                shown_error(result) + mark(result),
                shown_reproducibility(result),
            ]
            table.add_row(*map(Text, cells), Text(_in_short(_files(source, output))))
    console = out()
    if table.row_count:
        console.print(table)
        if any(result.reproducibility is not None for row in ran.rows for result in maps_in(row)):
            console.print(f"fresh seed: {FRESH}", style="dim")
        chosen = dict.fromkeys(result.provenance.get("precision") for row in ran.rows for result in maps_in(row))
        for said in [said for said in chosen if said][:3]:
            console.print(Text(f"precision: {said}", "dim"))
        where = f"{output.folder}/" if report is None else str(report)
        console.print(Text.assemble(("written to " if report is None else "report: ", "bold"), (where, "cyan")))
