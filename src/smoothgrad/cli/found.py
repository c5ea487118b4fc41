"""What an experiment found, in short: of each quantity where it is least and where it is most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoothgrad.cli.console import counted

if TYPE_CHECKING:
    from pandas import DataFrame

    from smoothgrad.experiments.result import Result

CELLS = 12  # that failed, which are named


class End(NamedTuple):
    """The least or the largest mean of a quantity, and the settings that it is found at."""

    value: float
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.value:.3g}"

    @property
    def place(self) -> str:
        """The settings in words, such as "noise 0.1"."""
        return ", ".join(f"{name} {_short(held)}" for name, held in self.settings.items())


class Ends(NamedTuple):
    """Where the means of a quantity over pictures go from, and to; the same end twice where the experiment is one point."""

    quantity: str
    unit: str
    least: End
    most: End


def ends_of(result: Result) -> Iterator[Ends]:
    """The ends of each quantity that has a value."""
    frame = result.measured
    about = result.experiment
    for quantity, some in frame.groupby("quantity", sort=False):
        keys = [key for key in about.keys if not (about.per_picture and _is_of_the_picture(some, key))]
        columns = [*about.grid, *keys]
        varied = [column for column in columns if some[column].nunique(dropna=False) > 1]
        means = some.groupby(varied, sort=False, dropna=False, as_index=False)["value"].mean() if varied else some
        known = means.dropna(subset=["value"])
        if not varied and len(known):
            end = End(float(known["value"].mean()), {})
            yield Ends(str(quantity), str(some["unit"].iloc[0]), end, end)
        elif len(known):
            least, most = (_end(known.loc[place], varied) for place in (known.value.idxmin(), known.value.idxmax()))
            yield Ends(str(quantity), str(some["unit"].iloc[0]), least, most)


def _is_of_the_picture(frame: DataFrame, key: str) -> bool:
    """Whether a key holds other values on each picture, so that a mean over pictures at one of its values is none.

    Most of the pictures having each of its values speaks against it: chance may repeat a value, and a failed cell may lack one.
    """
    pictures = frame["picture"].nunique()
    shared = frame.groupby(key)["picture"].nunique()
    return bool(pictures > 1 and len(shared) and shared.mean() < 0.75 * pictures)


def print_found(console: Console, result: Result) -> None:
    """The question, what was seen, and the ends of each quantity."""
    about = result.experiment
    console.print(Text(about.title, "bold cyan"))
    console.print(Text(about.question, "dim"))
    console.print()
    for lesson in result.lessons:
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row("•", Text(lesson))
        console.print(line)
    found = list(ends_of(result))
    if found:
        console.print()
        console.print(_table(found))
        whose = f" over {counted(len(result.setup.pictures), 'picture')}" if about.per_picture else ""
        console.print(f"\nmeans{whose} at each point; all values: table.csv", style="dim")


def failed_cells(result: Result) -> Iterator[tuple[str, str]]:
    """The cells that failed, and why: the first of them, then how many more there are."""
    columns = ["picture", *result.experiment.grid]
    for row in result.failures[:CELLS]:
        settings = [f"{name} {_short(row[name])}" for name in columns[1:]]
        yield ", ".join([*([str(row["picture"])] if "picture" in row else []), *settings]), str(row["reason"])
    more = len(result.failures) - CELLS
    if more > 0:
        yield f"{more} more", "see the column reason of table.csv"


def _table(found: list[Ends]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("quantity", overflow="fold")
    for head in ("least", "most"):
        table.add_column(head, no_wrap=True)
        table.add_column("at", style="dim", overflow="fold")
    for one in found:
        named = Text.assemble(one.quantity, (f"  {one.unit}" if one.unit and one.unit != one.quantity else "", "dim"))
        table.add_row(named, str(one.least), Text(one.least.place), str(one.most), Text(one.most.place))
    return table


def _end(row: Any, columns: list[str]) -> End:
    settings = {column: _plain(row[column]) for column in columns}
    return End(float(row["value"]), {name: held for name, held in settings.items() if held is not None})


def _plain(held: Any) -> Any:
    """As Python has it: None for what is missing."""
    held = held.item() if hasattr(held, "item") else held
    return None if isinstance(held, float) and held != held else held


def _short(held: object) -> str:
    return f"{held:g}" if isinstance(held, float) else str(held)
