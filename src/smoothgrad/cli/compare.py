"""`smoothgrad compare`: several methods on each picture, as a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import counted, failing, out, remark, write_json
from smoothgrad.cli.inputs import Source, distinct, slug
from smoothgrad.cli.options import LookOptions, NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output, write_figure
from smoothgrad.cli.progress import Bars
from smoothgrad.cli.results import (
    FRESH,
    failures_plainly,
    map_plainly,
    maps_in,
    shown_error,
    shown_reproducibility,
    source_plainly,
    unsettled,
    write_report,
)
from smoothgrad.cli.work import Ran, Work, finish, stop_plainly
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from smoothgrad.compare import Comparison, Failure, Row
    from smoothgrad.result import Attribution

FORMATS = ("png", "csv", "safetensors", "html")
# The plain gradient, the two remedies for its noise, and the one that looks best and proves least.
METHODS = ("gradient", "smoothgrad", "integrated_gradients", "guided_backprop")
REST = 40  # columns for picture, class and score
GRID = 40  # pictures in one PNG; more could not be looked at, nor drawn


def compare(
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
            help="Some of png,csv,safetensors,html. [dim]Default: all.[/dim]",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare methods: each on every picture, from the same seed, side by side.

    Writes grid.png, the numbers as table.csv, a report as index.html, and the raw maps into maps/.

    A picture's noise comes from --seed and from the picture itself: other pictures, their order and folder change nothing.

    A method that fails on a picture is named at the end, and the others are done.

    [bold cyan]smoothgrad compare photos/ --model timm:resnet50[/bold cyan]

    [bold cyan]smoothgrad compare cat.jpg -m timm:resnet50 --method gradient --method vargrad[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        looks = LookOptions.read(sign, channels, cap, times_input, overlay, shared, fdr)
        count = None if samples is None else options.read_count("--samples", samples)
        output = Output.checked(folder, formats, FORMATS, quiet=quiet)
        network = NetworkOptions(model, weights, classes, size, mean, std)
        question = QuestionOptions.read(target, at, seed, chunk, precision, device)
        work = Work.checked(network, pictures, count, method or METHODS, question)
        output.spare(work.files, ["grid.png"])
        names = distinct([slug(label) for label in work.methods])

        def keep(source: Source, row: Row) -> None:
            _keep_maps(row, _files(source, names, output))

        ran = work.run(Bars(len(work.sources) * len(work.methods), shown=not quiet), output.folder, keep)
        table = work.table(ran.rows)
        files = _write(table, output, looks)
        title = f"{work.net.name}, {counted(len(work.methods), 'method')} on {counted(ran.pictures, 'picture')}"
        report = write_report(table, output, looks, title)
        files |= {} if report is None else {"html": report}
        if json:
            write_json(_document(work, ran, table, names, output, files))
        elif not quiet:
            _summary(table, files)
        finish(ran, table)


def _files(source: Source, names: Sequence[str], output: Output) -> list[Path | None]:
    """Where the map of each method goes."""
    kept = output.has("safetensors")
    return [output.folder / "maps" / f"{source.stem}-{name}.safetensors" if kept else None for name in names]


def _keep_maps(row: Row, files: Sequence[Path | None]) -> None:
    from smoothgrad.result import Attribution

    for cell, file in zip(row.cells, files, strict=True):
        if file is not None and isinstance(cell, Attribution):
            cell.save(file)


def _write(table: Comparison, output: Output, looks: LookOptions) -> dict[str, Path]:
    """The grid and the table."""
    from smoothgrad.compare import Comparison

    files = {}
    shown = [row for row in table.rows if maps_in(row)]
    if output.has("png") and shown:
        if len(shown) > GRID:
            remark(f"grid.png shows the first {GRID} of {len(shown)} pictures; index.html shows all")
        grid = Comparison(table.labels, table.recipes, tuple(shown[:GRID]))
        look = looks.over(maps_in(shown[0])[0].look)
        files["png"] = write_figure(grid.figure(look), output.folder / "grid.png")
    if output.has("csv") and shown:
        frame = table.frame
        files["csv"] = write_aside(output.folder / "table.csv", lambda aside: frame.to_csv(aside, index=False))
    return files


def _document(
    work: Work, ran: Ran, table: Comparison, names: Sequence[str], output: Output, files: dict[str, Path]
) -> dict[str, Any]:
    from smoothgrad.result import Attribution

    done = [
        {
            **source_plainly(source),
            "method": label,
            **map_plainly(cell),
            "file": None if file is None else str(file),
        }
        for source, row in zip(ran.sources, table.rows, strict=True)
        for label, cell, file in zip(table.labels, row.cells, _files(source, names, output), strict=True)
        if isinstance(cell, Attribution)
    ]
    return {
        "command": "compare",
        **work.described(),
        "methods": dict(zip(table.labels, table.recipes, strict=True)),
        "files": {format: str(file) for format, file in files.items()},
        "maps": done,
        "failures": failures_plainly(table),
        **stop_plainly(ran),
    }


def _summary(table: Comparison, files: dict[str, Path]) -> None:
    """A line for each picture, with the relative error of each method; methods get numbers where their names are too long."""
    console = out()
    named = sum(len(label) + 2 for label in table.labels) + REST <= console.width
    heads = table.labels if named else [f"({number})" for number, _ in enumerate(table.labels, 1)]
    lines = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column("picture", overflow="fold")
    lines.add_column("class", overflow="fold")
    lines.add_column("score", justify="right", no_wrap=True)
    for head in heads:
        lines.add_column(Text(head), justify="right", no_wrap=True)
    for row in table.rows:
        made = maps_in(row)
        if made:
            asked = (row.name, made[0].target_name(), f"{float(made[0].score[0]):.2f}")
            lines.add_row(*map(Text, asked), *map(_shown, row.cells))
    if lines.row_count:
        console.print(lines)
        console.print("\nbelow the methods: the relative error; – where chance plays no part", style="dim")
        if any(result.reproducibility is not None for row in table.rows for result in maps_in(row)):
            console.print(f"in brackets: a fresh seed, {FRESH}", style="dim")
        if any(unsettled(cell) for row in table.rows for cell in row.cells):
            console.print("! stopped before its tolerance was reached", style="dim")
        for head, label in zip(heads, table.labels, strict=True):
            if not named:
                console.print(Text.assemble((f"{head} ", "bold"), label))
    if files:
        console.print(Text.assemble(("written: ", "bold"), (", ".join(map(str, files.values())), "cyan")))


def _shown(cell: Attribution | Failure) -> Text:
    from smoothgrad.result import Attribution

    if not isinstance(cell, Attribution):
        return Text("failed", "red")
    again = "" if cell.reproducibility is None else f" ({shown_reproducibility(cell)})"
    return Text(shown_error(cell) + ("!" if unsettled(cell) else "") + again)
