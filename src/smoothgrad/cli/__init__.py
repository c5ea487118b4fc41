"""The command `smoothgrad`: one file per command, and what they share in `options`, `setup` and `work`.

Nothing here imports torch before a command starts to work, so that --help and usage errors do not wait for it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from smoothgrad.cli.compare import compare
from smoothgrad.cli.demo import demo
from smoothgrad.cli.doctor import doctor
from smoothgrad.cli.explain import explain
from smoothgrad.cli.methods import methods
from smoothgrad.cli.options import FLAG

app = typer.Typer(
    name="smoothgrad",
    rich_markup_mode="rich",
    add_completion=False,  # each press of Tab would wait for torch
    pretty_exceptions_enable=False,  # what is not expected keeps Python's own traceback
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Start with [bold]smoothgrad demo[/bold]; it needs no picture and no download. "
    "Exit codes: 0 done, 1 the work or a part of it failed, 2 the command was not understood.",
)
for command in (explain, compare, demo, methods, doctor):
    app.command()(command)


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
