"""`smoothgrad axioms`: which axioms methods keep on a network, with a counter-example for each that fails."""

from __future__ import annotations

import json as text_of
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import FAILED, complain, counted, err, failing, out, write_json
from smoothgrad.cli.inputs import Source
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output
from smoothgrad.cli.work import Work
from smoothgrad.errors import BadOption, BadPicture
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.axioms import AxiomReport, Counterexample, Verdict

FORMATS = ("csv",)
# The plain gradient, the two remedies for its noise, and the one that looks best and proves least.
METHODS = ("gradient", "smoothgrad", "integrated_gradients", "guided_backprop")
# What stands above a column: eight of them go beside a method on 80 columns.
HEADS = {
    "completeness": "complete",
    "sensitivity": "sensitive",
    "implementation invariance": "implem.",
    "linearity": "linear",
    "dummy": "dummy",
    "symmetry": "symmetric",
    "input-shift invariance": "shift",
}
STYLES = {"holds": "green", "fails": "red", "not asked": "dim"}


def axioms(
    model: options.Model,
    pictures: options.Pictures = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    chunk: options.Chunk = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPE",
            help=f"A method, by name or recipe; again for each. [dim]Default: {', '.join(METHODS)}.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    axiom: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"One of {', '.join(HEADS)}; again for each. [dim]Default: all.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="How much of the map's largest value may be put down to rounding. [dim]Default: each axiom's own.[/dim]",
            rich_help_panel=options.QUESTION,
        ),
    ] = None,
    target: options.Target = None,
    seed: options.Seed = "0",
    samples: options.Samples = None,
    folder: options.Out = Path("out"),
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check methods against the axioms: each on a network, with a counter-example where it fails.

    The network is put into others for which what an axiom supposes is so: one that ignores some pixels, one that computes the same
    in another way. A failure is certain; that an axiom holds means that no counter-example was found. One that cannot be asked of a
    method is said with the reason.

    Writes axioms.csv, and axioms.json with the counter-examples.

    [bold cyan]smoothgrad axioms --model digits --method guided_backprop[/bold cyan]

    [bold cyan]smoothgrad axioms cat.jpg -m timm:resnet18 --method gradient --axiom dummy[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        count = None if samples is None else options.read_count("--samples", samples)
        allowed = None if tolerance is None else _share(tolerance)
        chosen = _axioms(axiom)
        output = Output.checked(folder, None, FORMATS, quiet=quiet)
        network = NetworkOptions(model, weights, classes, size, mean, std)
        question = QuestionOptions.read(target, None, seed, chunk, "float32", device)
        work = Work.checked(network, pictures, count, method or METHODS, question)
        sources, rows, failed = _rows(work)
        reports = _checked(work, rows, chosen, allowed, shown=not quiet) if rows else {}
        files = _write(reports, output, document := _document(work, sources, reports, failed))
        if json:
            write_json({**document, "files": {name: str(file) for name, file in files.items()}})
        elif not quiet and reports:
            _summary(reports, sources, files)
        if failed:
            complain(f"{len(failed)} of {counted(len(work.sources), 'picture')} failed")
            for name, reason in failed.items():
                complain(reason, head=f"{name}: ")
            raise typer.Exit(FAILED)


def _share(text: str) -> float:
    share = options.read_number("--tolerance", text, "a share of at least 0, such as 0.01")
    if not 0 <= share < float("inf"):
        raise BadOption(f"--tolerance is {text!r}; give a share of at least 0, such as 0.01")
    return share


def _axioms(asked: list[str] | None) -> list[str]:
    known = {name: name for name in HEADS}
    return [options.choice("--axiom", name.strip(), known) for name in asked or HEADS]


def _rows(work: Work) -> tuple[list[Source], list[Tensor], dict[str, str]]:
    """The pictures that can be read, and why the others cannot."""
    sources, rows, failed = [], [], {}
    for source in work.sources:
        try:
            rows.append(source.read())
            sources.append(source)
        except BadPicture as error:
            failed[source.name] = str(error)
    return sources, rows, failed


def _checked(
    work: Work, rows: Sequence[Tensor], chosen: Sequence[str], tolerance: float | None, *, shown: bool
) -> dict[str, AxiomReport]:
    """A report for each method, on all pictures together."""
    import torch

    from smoothgrad.axioms import check_axioms
    from smoothgrad.checks import on_device
    from smoothgrad.core.value import content_key

    net, ask = on_device(work.net, work.question.device), work.question
    console = err()
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="cyan"),
        MofNCompleteColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
        expand=True,
    )
    reports = {}
    with bars:
        bar = bars.add_task("", total=len(work.methods) * len(chosen))
        for number, (label, method) in enumerate(work.methods.items()):

            def step(axiom: str, done: int, total: int, label: str = label, before: int = number) -> None:
                bars.update(bar, description=f"{label} · {axiom}", completed=before * total + done)

            reports[label] = check_axioms(
                net,
                torch.cat(list(rows)),
                method=method,
                target=work.target,
                axioms=chosen,
                seed=ask.seed,
                keys=[content_key(row) for row in rows],
                chunk=ask.chunk,
                tolerance=tolerance,
                progress=step,
            )
    return reports


def _write(reports: Mapping[str, AxiomReport], output: Output, document: dict[str, Any]) -> dict[str, Path]:
    files = {}
    if output.has("csv") and reports:
        import pandas

        frame = pandas.concat([report.frame for report in reports.values()], ignore_index=True)
        files["csv"] = write_aside(output.folder / "axioms.csv", lambda aside: frame.to_csv(aside, index=False))
    written = text_of.dumps(document, indent=2, ensure_ascii=False) + "\n"
    files["json"] = write_aside(output.folder / "axioms.json", lambda aside: aside.write_text(written, "utf-8"))
    return files


def _document(
    work: Work, sources: Sequence[Source], reports: Mapping[str, AxiomReport], failed: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "command": "axioms",
        **{name: held for name, held in work.described().items() if name != "layer"},
        "pictures": [source.name for source in sources],
        "methods": {label: report.method for label, report in reports.items()},
        "verdicts": [
            {"method": label, **_plainly(verdict, sources)} for label, report in reports.items() for verdict in report
        ],
        "failures": [{"picture": name, "kind": "BadPicture", "reason": reason} for name, reason in failed.items()],
    }


def _plainly(verdict: Verdict, sources: Sequence[Source]) -> dict[str, Any]:
    """A verdict for JSON, with the counter-example's surroundings."""
    asked = verdict.holds is not None
    said: dict[str, Any] = {
        "axiom": verdict.axiom,
        "outcome": verdict.word,
        "error": verdict.error if asked else None,
        "allowed": verdict.allowed if asked else None,
        "reason": verdict.reason,
        "counterexample": None,
    }
    found = verdict.counterexample
    if found is not None:
        near = [part.tolist() for part in found.near]  # the inputs, then the maps
        inputs = len(found.inputs)
        said["counterexample"] = {
            "picture": sources[found.row].name,
            "sentence": _named(found, sources),
            "place": None if found.place is None else list(found.place),
            "networks": list(found.networks),
            "values": list(found.values),
            "near": {"inputs": near[:inputs], "maps": near[inputs:]},
        }
    return said


def _summary(reports: Mapping[str, AxiomReport], sources: Sequence[Source], files: Mapping[str, Path]) -> None:
    """Methods x axioms, then what failed and why the rest was not asked."""
    console = out()
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("method", overflow="fold")
    for verdict in next(iter(reports.values())):
        table.add_column(HEADS[verdict.axiom], no_wrap=True)
    for label, report in reports.items():
        words = (Text("–" if one.holds is None else one.word, STYLES[one.word]) for one in report)
        table.add_row(Text(label), *words)
    console.print(table)
    console.print("\nholds: no counter-example was found; –: it cannot be asked", style="dim")
    for label, report in reports.items():
        for one in report:
            if one.holds is not True:
                console.print()
                console.print(Text.assemble((f"{label}, {one.axiom}", "bold"), (f" {one.word}", STYLES[one.word])))
                console.print(Text(_said(one, sources)))
    console.print(Text.assemble(("\nwritten: ", "bold"), (", ".join(map(str, files.values())), "cyan")))


def _said(verdict: Verdict, sources: Sequence[Source]) -> str:
    """The counter-example or the reason, in a sentence."""
    return verdict.why if verdict.counterexample is None else _named(verdict.counterexample, sources)


def _named(found: Counterexample, sources: Sequence[Source]) -> str:
    """Its sentence, with the picture's name in place of the number of its row."""
    name = sources[found.row].name
    return re.sub(rf"\brow {found.row}\b", lambda _: name, found.sentence, count=1)
