"""`smoothgrad experiments`: which questions of the papers there are to ask, with their grids and sources."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import failing, out, write_json
from smoothgrad.cli.measures import flowed

if TYPE_CHECKING:
    from smoothgrad.experiments.experiment import Experiment


def experiments(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One experiment, in full.")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the experiments, with their questions and sources; or tell all about one."""
    with failing(debug=debug, json=json):
        from smoothgrad.experiments import EXPERIMENTS
        from smoothgrad.experiments.recipe import experiment_from_recipe

        every = [kind() for kind in EXPERIMENTS.values()]
        chosen = every if name is None else [experiment_from_recipe(name)]
        if json:
            write_json({"experiments": [_plainly(one) for one in chosen]})
        elif name is None:
            _list(out(), chosen)
        else:
            _tell(out(), chosen[0])


def _list(console: Console, chosen: list[Experiment]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold cyan")
    table.add_column(overflow="fold")
    for one in chosen:
        table.add_row(one.name, Text.assemble(one.question, "\n", (f"{_sources(one)}\n" if one.papers else "", "dim")))
    console.print(table)
    hints = [
        ("smoothgrad experiments NAME", "all about one"),
        ("smoothgrad experiment NAME --quick", "run it on the embedded digits"),
    ]
    for command, what in hints:
        console.print(Text.assemble(f"{command:<36}", (what, "dim")))


def _tell(console: Console, one: Experiment) -> None:
    console.print(Text.assemble((one.name, "bold cyan"), f"  {one.title}"))
    console.print(Padding(Text(one.question, "italic"), (1, 0, 1, 0)))
    console.print(Text(flowed((inspect.getdoc(type(one)) or "").partition("\n>>>")[0].strip())))
    fields = one.fields()
    cell = "a cell on each picture" if one.per_picture else "a cell"
    _pairs(console, f"Grid, each value {cell}: --grid NAME=VALUES", _values(one, one.grid))
    _pairs(
        console, "Other fields: --grid NAME=VALUES", _values(one, [field for field in fields if field not in one.grid])
    )
    _pairs(console, "Columns of its own in the table", one.keys)
    _pairs(console, "Measured, beside the scores of measures" if "measures" in fields else "Measured", one.quantities)
    console.print(Text("\nOn the command line", "bold"))
    for command in _commands(one):
        console.print(Text(f"  {command}"), soft_wrap=True)
    if one.papers:
        console.print(Text("\nPapers", "bold"))
        console.print(Padding(Text("\n".join(_cited(one))), (0, 0, 0, 2)))


def _pairs(console: Console, head: str, pairs: Mapping[str, str]) -> None:
    """Names with what there is to say of each; nothing where there is none."""
    if not pairs:
        return
    console.print(Text(f"\n{head}", "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", overflow="fold", max_width=28)
    table.add_column(overflow="fold")
    for name, said in pairs.items():
        table.add_row(name, Text(said))
    console.print(Padding(table, (0, 0, 0, 2)))


def _values(one: Experiment, fields: tuple[str, ...] | list[str]) -> dict[str, str]:
    """What the fields hold, as it is written behind --grid."""
    return {field: _written(getattr(one, field)) for field in fields}


def _written(held: object) -> str:
    if isinstance(held, tuple):
        return ", ".join(map(_written, held))
    return held if isinstance(held, str) else repr(held)


def _commands(one: Experiment) -> tuple[str, str]:
    on = "--data cifar10:FOLDER" if one.trains else "photos/ --model timm:resnet50"
    return f"smoothgrad experiment {one.name} {on}", f"smoothgrad experiment {one.name} --quick"


def _sources(one: Experiment) -> str:
    from smoothgrad.citations import PAPERS

    return ", ".join(PAPERS[key].short for key in one.papers)


def _cited(one: Experiment) -> list[str]:
    from smoothgrad.citations import PAPERS

    return [f"{PAPERS[key].short}. {PAPERS[key].title}. {PAPERS[key].venue}" for key in one.papers]


def _plainly(one: Experiment) -> dict[str, Any]:
    from smoothgrad.citations import PAPERS

    return {
        "name": one.name,
        "title": one.title,
        "question": one.question,
        "recipe": repr(one),
        "quick": repr(one.quick()),
        "grid": {field: [_written(held) for held in getattr(one, field)] for field in one.grid},
        "fields": _values(one, [field for field in one.fields() if field not in one.grid]),
        "columns": dict(one.keys),
        "quantities": dict(one.quantities),
        "per_picture": one.per_picture,
        "trains": one.trains,
        "least_pictures": one.least,
        "papers": {key: PAPERS[key].short for key in one.papers},
    }
