"""Progress on a terminal: a bar over all the work, and one for what is being made, with its falling relative error."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, final

from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from smoothgrad.cli.console import err

if TYPE_CHECKING:
    from smoothgrad.explain import Progress

PAUSE = 0.1  # seconds: the error is a sum over the whole map, and nobody reads faster


@final
class Bars:
    """Two bars on stderr; nothing where that is no terminal, or `shown` is False."""

    def __init__(self, maps: int, *, shown: bool) -> None:
        console = err()
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=2, no_wrap=True)),
            BarColumn(bar_width=None, complete_style="cyan", table_column=Column(ratio=2, min_width=8)),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[error]}", style="bold", table_column=Column(no_wrap=True, min_width=19)),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
            expand=True,
        )
        self._all = self._add("all", maps, "maps")
        self._one = self._add("", 1, "passes")
        self._looked = 0.0

    def _add(self, name: str, total: int, unit: str) -> TaskID:
        return self._bars.add_task(name, total=total, unit=unit, error="")

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, name: str, passes: int) -> None:
        """A map is started, which takes so many passes at most."""
        self._bars.reset(self._one, description=name, total=passes, unit="passes", error="")
        self._looked = 0.0

    def step(self, progress: Progress) -> None:
        """Called after each chunk."""
        now = time.monotonic()
        if self._bars.disable or (now - self._looked < PAUSE and progress.done < progress.total):
            return
        self._looked = now
        self._bars.update(
            self._one, completed=progress.done, total=progress.total, error=in_words(progress.relative_error())
        )

    def judged(self, name: str, done: int, total: int) -> None:
        """Called after each batch of rows that a measure has judged: so many rows x measures of all."""
        self._bars.update(self._one, description=name, completed=done, total=total, unit="scores", error="")

    def refresh(self) -> None:
        """Draw now, rather than when it is time again."""
        self._bars.refresh()

    def reach(self, maps: float) -> None:
        """So many of all maps are made and judged; a part of one counts as such."""
        self._bars.update(self._all, completed=maps)

    def end(self) -> None:
        """A map is done, or has failed."""
        self._bars.advance(self._all)


@final
class CellBars:
    """The two bars of an experiment, on stderr: over its cells, and of what the cell at work makes. It is its `Watch`."""

    def __init__(self, *, shown: bool) -> None:
        console = err()
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=2, no_wrap=True)),
            BarColumn(bar_width=None, complete_style="cyan", table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
            expand=True,
        )
        self._all = self._bars.add_task("checking", total=1, unit="cells")
        self._one = self._bars.add_task("", total=1, unit="", visible=False)
        self._looked, self._done, self._of = 0.0, 0.0, 0.0

    def __enter__(self) -> CellBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def cell(self, name: str, done: int, of: int) -> None:
        """A cell is begun, so many being done."""
        self._bars.update(self._all, description=name, completed=done, total=of)
        self._bars.update(self._one, visible=False)
        self._of = 0.0

    def step(self, name: str, done: float, of: float) -> None:
        """The cell makes something by this name, and is so far with it."""
        now = time.monotonic()
        fresh = of != self._of or done < self._done
        if self._bars.disable or (not fresh and now - self._looked < PAUSE and done < of):
            return
        self._looked, self._done, self._of = now, done, of
        if fresh:  # what came before says nothing of how long this one takes
            self._bars.reset(self._one, total=of, completed=0, visible=True)
        self._bars.update(self._one, description=name, completed=done, total=of)

    def refresh(self) -> None:
        """Draw now, rather than when it is time again."""
        self._bars.refresh()


def in_words(error: float | None) -> str:
    """
    >>> in_words(0.314), in_words(float("inf")), in_words(None)
    ('relative error 0.31', '', '')
    """
    return "" if error is None or not math.isfinite(error) else f"relative error {error:.2f}"
