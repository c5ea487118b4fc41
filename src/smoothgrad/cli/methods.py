"""`smoothgrad methods`: what there is, with formula, price and source."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import failing, out, write_json
from smoothgrad.errors import BadOption, UnknownName, nearest

if TYPE_CHECKING:
    from smoothgrad.methods.method import Listed, Method

WIDE = 112  # columns from which the formula stands beside the name


def methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One method, in full.")] = None,
    json: options.Json = False,
    bibtex: Annotated[
        bool,
        typer.Option(
            "--bibtex", metavar=options.FLAG, help="Print the citations only.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """List the methods, with formula, price and source; or tell all about one."""
    with failing(debug=debug, json=json):
        from smoothgrad.methods import METHODS

        if json and bibtex:
            raise BadOption("--json and --bibtex print different things; give one of them")
        if name is not None and name not in METHODS:
            raise UnknownName(f"no method is called {name!r}; {nearest(name, METHODS)}")
        chosen = list(METHODS.values()) if name is None else [METHODS[name]]
        if json:
            write_json({"methods": [_plainly(method) for method in chosen]})
        elif bibtex:
            typer.echo(bibtex_of(chosen))
        elif name is None:
            _list(out(), chosen)
        else:
            _tell(out(), chosen[0])


def _list(console: Console, chosen: Sequence[Method]) -> None:
    wide = console.width >= WIDE
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0 if wide else 1, 0))
    table.add_column("method", no_wrap=True)
    if wide:
        table.add_column("formula", no_wrap=True)
    table.add_column("passes", justify="right")
    table.add_column("source", style="dim")
    family = ""
    for method in chosen:
        if method.family != family:
            family = method.family
            table.add_row(Text(family, "dim italic"))
        name = Text(method.name, "bold cyan")
        passes = Text("" if (number := _passes(method)) is None else str(number))
        source = Text("\n".join(paper.short for paper in method.citations))
        if wide:
            table.add_row(name, Text(method.formula), passes, source)
        else:
            table.add_row(Text.assemble(name, "\n  ", method.formula), passes, source)
    console.print(table)
    console.print("\npasses: through the network for each picture, with the defaults", style="dim")
    hints = [("smoothgrad methods NAME", "all about one"), ("smoothgrad methods --bibtex", "citations")]
    for command, what in hints:
        console.print(Text.assemble(f"{command:<29}", (what, "dim")))


def _tell(console: Console, method: Method) -> None:
    console.print(Text(method.name, "bold cyan"))
    console.print(Padding(Text(method.formula), (1, 0, 1, 2)))
    console.print(Text(_explained(method)))
    console.print(Text("\nParameters", "bold"))
    parameters = inspect.signature(method.make).parameters.values()
    for parameter in parameters:
        console.print(Text.assemble("  ", (parameter.name, "cyan"), _default(parameter)))
    if not parameters:
        console.print("  none")
    console.print(Text("\nOn the command line", "bold"))
    console.print(
        Text(f"  smoothgrad explain cat.jpg --model timm:resnet50 --method {_written(method)}"), soft_wrap=True
    )
    console.print(Text("\nCite", "bold"))
    console.print(Text(bibtex_of([method])), soft_wrap=True)


def _explained(method: Method) -> str:
    """Its docstring without the example, which is for Python."""
    return (inspect.getdoc(method.make) or "").partition("\n>>>")[0].strip()


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"


def _written(method: Method) -> str:
    """As one would write it in a shell, with the two parameters that matter most."""
    parameters = list(inspect.signature(method.make).parameters.values())
    shown = [
        f"{parameter.name}={parameter.default!r}"
        for parameter in parameters
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and isinstance(parameter.default, int | float)
    ]
    shown = [f'{needed}="FOLDER"' for needed in method.needs] + shown
    return f"'{method.name}({', '.join(shown)})'" if shown else method.name


def _passes(method: Method) -> int | None:
    """Per picture, with the defaults; None where there is an argument without one."""
    return None if method.needs else method.make().passes


def bibtex_of(chosen: Sequence[Listed]) -> str:
    """The citations of methods or of measures, each once."""
    return "\n\n".join({key: text for row in chosen for key, text in row.bibtex.items()}.values())


def _plainly(method: Method) -> dict[str, Any]:
    parameters = inspect.signature(method.make).parameters.values()
    return {
        "name": method.name,
        "family": method.family,
        "summary": method.summary,
        "formula": method.formula,
        "passes": _passes(method),
        "needs": list(method.needs),
        "parameters": {
            parameter.name: None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
            for parameter in parameters
        },
        "papers": {key: paper.short for key, paper in zip(method.papers, method.citations, strict=True)},
    }
