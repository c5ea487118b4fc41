"""What all stages share: how much is measured, where it is kept, and the progress that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.records import Records
from benchmarks.tasks import Method


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    networks: tuple[str, ...]
    methods: tuple[Method, ...] = ("smoothgrad", "integrated_gradients", "guided")
    samples: int = 50
    rounds: int = 5
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    # Smooth IG and sampling: a network of 32 x 32 pictures
    small: str = "cifar_resnet20"
    levels: tuple[float, ...] = (0.05, 0.15)
    pictures: int = 4
    reference: int = 30_000
    nested: int = 50  # draws, and steps in each
    grid: tuple[int, ...] = (24, 50, 100, 200, 400)
    seeds: int = 8
    sampled: int = 48  # draws: a whole number of every sampling's blocks
    sampling_seeds: int = 24
    # growth
    grows: str = "resnet18"
    growth_rounds: int = 3
    growth: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "draws": (10, 25, 50, 100, 200),
            "pictures": (1, 2, 4, 8, 16),
            "pixels": (64, 128, 192, 256, 320),
        }
    )


FULL = Scale(("resnet50", "mobilenet_v2", "cifar_resnet20", "inception_v3", "vgg16"))
QUICK = Scale(
    ("digits",),
    samples=8,
    rounds=2,
    batches=(1, 4),
    small="digits",
    pictures=2,
    reference=400,
    nested=6,
    grid=(4, 8, 16, 32),
    seeds=2,
    sampled=16,
    sampling_seeds=4,
    grows="digits",
    growth_rounds=2,
    growth={"draws": (4, 8), "pictures": (1, 2), "pixels": (8,)},
)


@dataclass(frozen=True)
class Session:
    """One run of the benchmarks."""

    scale: Scale
    device: str
    folder: Path
    only: tuple[str, ...] = ()
    made_with: str = ""  # the machine, versions and code: once, so that a stage finds what the one before it measured
    console: Console = field(default_factory=Console)

    def records(self, stage: str) -> Records:
        """What this stage has measured so far."""
        return Records(self.folder, stage, self.made_with)

    def wanted(self, name: str) -> bool:
        """Is it among those asked for? A pattern matches anywhere in the name.

        >>> Session(QUICK, "cpu", Path("out"), only=("resnet*ours",)).wanted("smoothgrad/resnet50/ours")
        True
        """
        return not self.only or any(fnmatch(name, f"*{pattern}*") for pattern in self.only)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def steps(self, title: str, total: int) -> Iterator[Steps]:
        """A progress bar over so many measurements."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            yield Steps(bar, title, total)


class Steps:
    """A bar that says what is being measured."""

    def __init__(self, bar: Progress, title: str, total: int) -> None:
        self._bar, self._title = bar, title
        self._task = bar.add_task(title, total=total)

    def now(self, what: str) -> None:
        """Say what is at work."""
        self._bar.update(self._task, description=f"{self._title}: {what}")

    def done(self) -> None:
        """One measurement more."""
        self._bar.advance(self._task)
