"""The command `smoothgrad`: one file per command, and what they share in `options`, `inputs` and `work`.

Nothing here imports torch before a command starts to work, so that --help and usage errors do not wait for it.
"""

from __future__ import annotations

from typing import Annotated, Any, final

import typer
from typer.core import TyperGroup

from smoothgrad.cli.axioms import axioms
from smoothgrad.cli.compare import compare
from smoothgrad.cli.console import error_plainly, write_json
from smoothgrad.cli.demo import demo
from smoothgrad.cli.doctor import doctor
from smoothgrad.cli.experiment import experiment
from smoothgrad.cli.experiments import experiments
from smoothgrad.cli.explain import explain
from smoothgrad.cli.features import features
from smoothgrad.cli.measure import measure
from smoothgrad.cli.measures import measures
from smoothgrad.cli.methods import methods
from smoothgrad.cli.options import FLAG

# Newer versions of typer carry the library click in them, older ones stand on it: the class has no one place to come from.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


@final
class Commands(TyperGroup):
    """The commands. What typer refuses is one JSON document too, where --json asks for it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["smoothgrad.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            if ctx.meta["smoothgrad.json"]:
                message = getattr(
                    error, "format_message", error.__str__
                )()  # with the option's name and the nearest one
                write_json({"error": error_plainly("BadUsage", message)})
            raise


app = typer.Typer(
    name="smoothgrad",
    cls=Commands,
    rich_markup_mode="rich",
    add_completion=False,  # each press of Tab would wait for torch
    pretty_exceptions_enable=False,  # what is not expected keeps Python's own traceback
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Start with [bold]smoothgrad demo[/bold]; it needs no picture and no download. "
    "Exit codes: 0 done, 1 the work or a part of it failed, 2 the command was not understood.",
)
for command in (explain, compare, measure, axioms, experiment, demo, methods, measures, experiments, doctor):
    app.command()(command)
app.add_typer(features)


def show_version(asked: bool) -> None:
    """Print the version and stop, when it was asked for."""
    if asked:
        from smoothgrad import __version__

        typer.echo(f"smoothgrad {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar=FLAG, help="Show the version and exit.", callback=show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Which pixels does a network's prediction depend on, and how sure is that picture?"""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """The entry point: runs the command line and exits with 0, 1 (the work failed) or 2 (bad usage)."""
    app(prog_name="smoothgrad")
