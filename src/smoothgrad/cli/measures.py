"""`smoothgrad measures`: what maps can be judged by, with formula, direction and source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import failing, out, write_json
from smoothgrad.cli.methods import WIDE, bibtex_of
from smoothgrad.errors import BadOption, UnknownName, nearest

if TYPE_CHECKING:
    from smoothgrad.measure.entry import Entry

ARROWS = {"higher": "↑", "lower": "↓", "neither": "–"}
# What the families are told by, in the order in which they are listed; others come after them.
FAMILIES = (
    *("Faithfulness by removal", "Faithfulness by correlation", "Faithfulness by order", "Faithfulness"),
    *("Robustness", "Localisation", "Complexity", "Sanity"),
)


def measures(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One measure, in full.")] = None,
    json: options.Json = False,
    bibtex: Annotated[
        bool,
        typer.Option(
            "--bibtex", metavar=options.FLAG, help="Print the citations only.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """List the measures of maps, with formula, direction and source; or tell all about one."""
    with failing(debug=debug, json=json):
        from smoothgrad.measure import MEASURES

        if json and bibtex:
            raise BadOption("--json and --bibtex print different things; give one of them")
        by_class = {entry.make.__name__: called for called, entry in MEASURES.items()}
        name = by_class.get(name or "", name)
        if name is not None and name not in MEASURES:
            raise UnknownName(f"no measure is called {name!r}; {nearest(name, MEASURES)}")
        chosen = by_family(list(MEASURES.values())) if name is None else [MEASURES[name]]
        if json:
            write_json({"measures": [_plainly(entry) for entry in chosen]})
        elif bibtex:
            typer.echo(bibtex_of(chosen))
        elif name is None:
            _list(out(), chosen)
        else:
            _tell(out(), chosen[0])


def by_family(entries: Sequence[Entry]) -> list[Entry]:
    """Those of a family beside each other; within a family as they come."""
    families = list(dict.fromkeys(entry.family for entry in entries))

    def place(entry: Entry) -> tuple[int, int]:
        known = (number for number, name in enumerate(FAMILIES) if entry.family.startswith(name))
        return next(known, len(FAMILIES)), families.index(entry.family)

    return sorted(entries, key=place)


def _list(console: Console, chosen: Sequence[Entry]) -> None:
    (_wide if console.width >= WIDE else _narrow)(console, chosen)
    console.print("\n↑ higher speaks for the map, ↓ lower does, – describes it and does not judge", style="dim")
    hints = [("smoothgrad measures NAME", "all about one"), ("smoothgrad measures --bibtex", "citations")]
    for command, what in hints:
        console.print(Text.assemble(f"{command:<30}", (what, "dim")))


def _wide(console: Console, chosen: Sequence[Entry]) -> None:
    """A line for each measure."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("measure", no_wrap=True)
    table.add_column("formula", overflow="fold")
    table.add_column("better")
    table.add_column("needs")
    table.add_column("source", style="dim")
    family = ""
    for entry in chosen:
        if entry.family != family:
            family = entry.family
            table.add_row(Text(family, "dim italic"))
        table.add_row(Text(entry.name, "bold cyan"), Text(entry.formula), *_facts(entry))
    console.print(table)


def _narrow(console: Console, chosen: Sequence[Entry]) -> None:
    """Each measure with what there is to know of it, and its formula on lines of its own beneath."""
    names = max(len(entry.name) for entry in chosen)
    needs = max(len(", ".join(entry.needs)) for entry in chosen)
    family = ""
    for entry in chosen:
        if entry.family != family:
            console.print(Text(("\n" if family else "") + entry.family, "dim italic"))
            family = entry.family
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=names)
        line.add_column(width=1)
        line.add_column(width=needs)
        line.add_column(style="dim", overflow="fold")
        line.add_row(Text(entry.name, "bold cyan"), *_facts(entry))
        console.print(line)
        console.print(Padding(Text(entry.formula, overflow="fold"), (0, 0, 0, 2)))


def _facts(entry: Entry) -> tuple[Text, Text, Text]:
    return Text(ARROWS[entry.make.better]), Text(", ".join(entry.needs)), Text(_sources(entry))


def _tell(console: Console, entry: Entry) -> None:
    console.print(Text(entry.name, "bold cyan"))
    console.print(Padding(Text(entry.formula), (1, 0, 1, 2)))
    console.print(Text(flowed((inspect.getdoc(entry.make) or "").partition("\n>>>")[0].strip())))
    console.print(Text("\nParameters", "bold"))
    for parameter in inspect.signature(entry.make).parameters.values():
        console.print(Text.assemble("  ", (parameter.name, "cyan"), f" = {parameter.default!r}"))
    if not inspect.signature(entry.make).parameters:
        console.print("  none")
    console.print(Text("\nOn the command line", "bold"))
    regions = " --regions boxes.csv" if entry.make.needs_regions else ""
    console.print(
        Text(f"  smoothgrad measure photos/ --model timm:resnet50 --measure {_written(entry)}{regions}"), soft_wrap=True
    )
    console.print(Text("\nCite", "bold"))
    console.print(Text(bibtex_of([entry])), soft_wrap=True)


def flowed(text: str) -> str:
    """Paragraphs as one line each, for the terminal to break; lines that are set in, such as formulas, stay as they are.

    >>> flowed("One\\nsentence.\\n\\n    s = a +\\n    b\\n\\nEnd.")
    'One sentence.\\n\\n    s = a +\\n    b\\n\\nEnd.'
    """
    return re.sub(r"(?<=[^\n])\n(?=[^\s])", " ", text)


def _written(entry: Entry) -> str:
    """As one would write it in a shell, with the numbers that it can be given."""
    shown = [
        f"{parameter.name}={parameter.default!r}"
        for parameter in inspect.signature(entry.make).parameters.values()
        if isinstance(parameter.default, int | float)
    ]
    return f"'{entry.make.__name__}({', '.join(shown)})'" if shown else entry.name


def _sources(entry: Entry) -> str:
    return "\n".join(paper.short for paper in entry.citations)


def _plainly(entry: Entry) -> dict[str, Any]:
    parameters = inspect.signature(entry.make).parameters.values()
    return {
        "name": entry.name,
        "family": entry.family,
        "summary": entry.summary,
        "formula": entry.formula,
        "better": entry.make.better,
        "unit": entry.make.unit,
        "needs": list(entry.needs),
        "parameters": {parameter.name: repr(parameter.default) for parameter in parameters},
        "papers": {key: paper.short for key, paper in zip(entry.papers, entry.citations, strict=True)},
    }
