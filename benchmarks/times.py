"""Times and peak memory of every contender: interleaved rounds, each with a process of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.networks import NETWORKS
from benchmarks.records import Records
from benchmarks.session import Session, Steps
from benchmarks.tasks import Method, Task
from benchmarks.worker import Asked, Outcome, Place, Worker

STAGE = "times"
WARM = 8  # draws before the clock counts: what a library does once is not what it costs


@dataclass(frozen=True)
class Entry:
    """A contender at a task of its own, at the batch it was given."""

    contender: Contender
    task: Task
    batch: int | None = None
    label: str = ""  # where one contender takes part twice

    @property
    def name(self) -> str:
        return self.label or self.contender.name


@dataclass(frozen=True)
class Workload:
    """Contenders at one place, measured in the same rounds."""

    name: str
    place: Place
    entries: tuple[Entry, ...]
    rounds: int
    scaled: int = 0  # see networks.Network

    def record(self, entry: Entry, round_: int) -> str:
        return f"{self.name}/{entry.name}/{round_}"

    def still(self, entry: Entry) -> str:
        """The name of the map without noise."""
        return f"{self.name}/{entry.name}/still"


def run(session: Session) -> None:
    """The stage: all methods on all networks."""
    records = session.records(STAGE)
    for method in session.scale.methods:
        for network in session.scale.networks:
            wanted = [c for c in CONTENDERS.values() if session.wanted(f"{STAGE}/{method}/{network}/{c.name}")]
            timed = [contender for contender in wanted if not contender.left_out(network, method)]
            if timed:
                measure(session, records, _workload(session, records, method, network, timed))


def measure(session: Session, records: Records, workload: Workload) -> None:
    """What is not yet in the records: each round once through the contenders, in random order."""
    missing = [(entry, r) for r, entry in _order(workload) if workload.record(entry, r) not in records]
    if not missing:
        return
    entries = list(dict.fromkeys(entry for entry, _ in missing))
    with ExitStack() as stack, session.steps(workload.name, len(entries) + len(missing)) as steps:
        workers = {entry: stack.enter_context(Worker(entry.contender.name, workload.place)) for entry in entries}
        for entry, worker in workers.items():
            steps.now(f"{entry.name}, warming up")
            outcome = worker.run(Asked(_warming(entry), entry.batch))
            if outcome.maps is not None:
                records.add_maps(workload.still(entry), outcome.maps)
            steps.done()
        for entry, round_ in missing:
            steps.now(f"{entry.name}, round {round_ + 1} of {workload.rounds}")
            _keep(session, records, workload, entry, round_, workers[entry])
            steps.done()


def _keep(session: Session, records: Records, workload: Workload, entry: Entry, round_: int, worker: Worker) -> None:
    name = workload.record(entry, round_)
    few = entry.contender.single or (entry.contender.tuned and NETWORKS[workload.place.network].slow)
    part = workload.scaled if few else 0
    task = entry.task.few(part) if part else entry.task
    outcome = worker.run(Asked(task, entry.batch, seed=round_))
    if outcome.error:
        records.add(name, error=outcome.error)
        session.say(f"[red]{name}: {outcome.error}[/]")
        return
    seconds = outcome.seconds * entry.task.samples / task.samples
    records.add(name, seconds=seconds, bytes=outcome.bytes, batch=entry.batch, scaled=task != entry.task)
    session.say(f"{name}: {seconds:.3f} s, {outcome.bytes / 1e6:.0f} MB")
    assert outcome.maps is not None, "an outcome has maps or an error"
    if round_ == 0 or (round_ == 1 and entry.contender.name == "ours"):
        records.add_maps(name, outcome.maps)


def _warming(entry: Entry) -> Task:
    """Few draws, without noise: their map must be that of any other library, whatever chance does to the rounds."""
    # Ours warms up whole: with few draws it would choose not to prepare the network.
    task = entry.task if entry.contender.library == "ours" else entry.task.few(WARM)
    return replace(task, noise=0.0)


def _order(workload: Workload) -> Iterator[tuple[int, Entry]]:
    for round_ in range(workload.rounds):
        entries = list(workload.entries)
        random.Random(f"{workload.name} {round_}").shuffle(entries)
        yield from ((round_, entry) for entry in entries)


def _workload(
    session: Session, records: Records, method: Method, network: str, contenders: Iterable[Contender]
) -> Workload:
    task = Task(method, session.scale.samples)
    place = Place(network, device=session.device)
    entries = [Entry(c, task, best_batch(session, records, c, place) if c.tuned else None) for c in contenders]
    return Workload(f"{method}/{network}", place, tuple(entries), session.scale.rounds, NETWORKS[network].scaled)


def best_batch(session: Session, records: Records, contender: Contender, place: Place) -> int:
    """Perturbations in one model call that take the least time per draw. Looked for once per network and library."""
    task = Task(contender.methods[0], session.scale.samples)
    name = f"batch/{place.network}/{contender.name}"
    if name not in records:
        with session.steps(
            f"best batch of {contender.library} on {place.network}", len(session.scale.batches)
        ) as steps:
            records.add(name, **search(contender.name, place, task, session.scale.batches, steps))
    best: int = records[name]["best"]
    return best


def search(contender: str, place: Place, task: Task, batches: Iterable[int], steps: Steps) -> dict[str, object]:
    """Seconds per draw at growing batches, until two in a row are slower than the best so far."""
    with Worker(contender, place) as worker:

        def probe(batch: int) -> float:
            steps.now(f"{contender} at {batch}")
            task_at = task.few(max(8, batch))
            worker.run(Asked(task_at.few(batch), batch))
            outcome = worker.run(Asked(task_at, batch))
            steps.done()
            return _per_draw(outcome, task_at)

        return climb(probe, batches)


def _per_draw(outcome: Outcome, task: Task) -> float:
    """Infinite for a run that failed: that batch is not the best."""
    return float("inf") if outcome.error else outcome.seconds / task.samples


def climb(probe: Callable[[int], float], batches: Iterable[int]) -> dict[str, object]:
    """The batch of the least time, trying them in order and giving up after two that are worse than the best.

    >>> climb({1: 3.0, 2: 1.0, 4: 2.0, 8: 2.0, 16: 0.1}.__getitem__, (1, 2, 4, 8, 16))
    {'best': 2, 'seconds': {1: 3.0, 2: 1.0, 4: 2.0, 8: 2.0}}
    """
    seconds: dict[int, float] = {}
    best = None
    for batch in batches:
        seconds[batch] = probe(batch)
        best = batch if best is None or seconds[batch] < seconds[best] else best
        if sum(tried > best for tried in seconds) == 2:
            break
    return {"best": best, "seconds": seconds}
