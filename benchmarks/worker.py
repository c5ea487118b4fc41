"""A contender in a process of its own: its memory is its own, and it waits, asleep, while others run."""

from __future__ import annotations

import multiprocessing
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

import torch
from torch import Tensor

from benchmarks.contenders import CONTENDERS, Run
from benchmarks.meter import Meter
from benchmarks.networks import case
from benchmarks.tasks import Task
from tests.operators import declare_missing


@dataclass(frozen=True)
class Place:
    """Which network and rows; None is the network's own number of rows or size."""

    network: str
    rows: int | None = None
    size: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Asked:
    """One run: what, in which batches, with which seed."""

    task: Task
    batch: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one run took; `error` says why there are no maps."""

    seconds: float = 0.0
    bytes: int = 0  # the peak above what the process held with the network loaded and one forward pass done
    maps: Tensor | None = None
    error: str = ""


class Worker:
    """Runs what it is asked, one run after another, until it is left.

    with Worker("ours", Place("digits")) as worker:
        outcome = worker.run(Asked(Task("smoothgrad")))
    """

    def __init__(self, contender: str, place: Place) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share its parent's memory and threads
        self._end, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, contender, place), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, asked: Asked) -> Outcome:
        """Run once and wait. A process that has ended, by itself or for want of memory, is an outcome too."""
        try:
            self._end.send(asked)
            outcome: Outcome = self._end.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return Outcome(error=f"its process ended with code {self._process.exitcode}")
        return outcome

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(end: Connection, contender: str, place: Place) -> None:
    warnings.simplefilter("ignore")  # captum and zennit warn of hooks and of gradients; results say what matters
    declare_missing()
    CONTENDERS[contender].load()
    here = case(place.network, place.rows, place.size, place.device)
    with torch.no_grad():
        here.net(here.x)
    meter = Meter.here(place.device)
    made: dict[tuple[Task, int | None], Run] = {}
    while True:
        try:
            asked: Asked = end.recv()
        except EOFError:
            return
        try:
            key = asked.task, asked.batch
            run = made.setdefault(key, CONTENDERS[contender].make(here, *key))
            maps, seconds, peak = meter.measure(lambda run=run, seed=asked.seed: run(seed))  # type: ignore[misc]
            end.send(Outcome(seconds, peak, maps.float().cpu()))
        except Exception as error:  # noqa: BLE001 (whatever a library raises is what the table will say of it)
            end.send(Outcome(error=f"{type(error).__name__}: {error}"))
