"""What `smoothgrad features` shows and writes: a bar, the picture as it stands, and in the end picture, GIF and figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from smoothgrad.cli.console import err, out
from smoothgrad.cli.options import read_count, read_whole
from smoothgrad.cli.output import Output, write_figure

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.features import Dream, Frame, Search
    from smoothgrad.models.network import Network


@final
class Climbing:
    """A bar over the steps of a search, with the objective as it stands, on stderr; nothing where that is no terminal."""

    def __init__(self, name: str, total: int, *, shown: bool) -> None:
        console = err()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(complete_style="cyan"),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("objective {task.fields[value]:.3g}", style="bold"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
        )
        self._task = self._bar.add_task(name, total=total, value=float("nan"))

    def __enter__(self) -> Climbing:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, done: int, value: float) -> None:
        """Called with each frame."""
        self._bar.update(self._task, completed=done, value=value)


@final
@dataclass(frozen=True)
class Showing:
    """Where pictures go, and what is shown on the way."""

    output: Output
    every: int | None
    frames: int
    seed: int
    quiet: bool
    json: bool

    @staticmethod
    def read(folder: Path, every: str | None, frames: str, seed: str, *, quiet: bool, json: bool) -> Showing:
        """From the texts of a command line. Raises `BadOption`, `CannotWrite`."""
        step = None if every is None else read_count("--every", every)
        count, number = read_count("--frames", frames), read_whole("--seed", seed)
        # A figure is drawn where matplotlib is at hand; the pictures need no more than Pillow.
        return Showing(Output.checked(folder, None, ("png",), quiet=quiet), step, count, number, quiet, json)

    def run(
        self, net: Network, stem: str, search: Search, read: Callable[[], Tensor] | None = None, rows: int = 1
    ) -> dict[str, Any]:
        """Search, show how it goes, write what was found, and say where; what there is to say, for JSON."""
        from smoothgrad.features import dream
        from smoothgrad.features.result import save_picture

        path = self.output.folder / f"{stem}.png"
        with Climbing(stem, search.total, shown=not self.quiet) as bar:

            def watch(frame: Frame) -> None:
                bar.step(frame.step, float(frame.value.mean()))
                if self.every and frame.step % self.every == 0:
                    save_picture(frame.picture, net.preprocessing, path)

            x = None if read is None else read()
            found = dream(net, search, x, rows=rows, seed=self.seed, frames=self.frames, progress=watch)
        return self._kept(found, stem)

    def _kept(self, found: Dream, stem: str) -> dict[str, Any]:
        folder = self.output.folder
        files = {"png": found.save(folder / f"{stem}.png"), "gif": found.save_gif(folder / f"{stem}.gif")}
        if self.output.has("png"):
            files["figure"] = write_figure(found.figure(), folder / f"{stem}-figure.png")
        if not (self.json or self.quiet):
            first, last = (float(found.values[place].mean()) for place in (0, -1))
            console = out()
            console.print(Text(f"{stem}: objective {first:.3g} at the start, {last:.3g} at the end"))
            console.print(Text.assemble(("written: ", "bold"), (", ".join(map(str, files.values())), "cyan")))
        return {
            "name": stem,
            "recipe": found.recipe,
            "seed": found.seed,
            "start": found.values[0].tolist(),
            "end": found.values[-1].tolist(),
            "files": {kind: str(file) for kind, file in files.items()},
        }
