"""How time and memory grow with draws, pictures and pixels: ours beside captum at its defaults."""

from __future__ import annotations

import random
from contextlib import ExitStack

from benchmarks.records import Records
from benchmarks.session import Session
from benchmarks.tasks import Task
from benchmarks.worker import Asked, Place, Worker

STAGE = "growth"
PAIR = ("ours", "captum, default")
FIXED = {"draws": 50, "pictures": 10, "pixels": 20}  # draws, where something else grows


def run(session: Session) -> None:
    """The stage: every size of every axis, in rounds."""
    if not session.wanted(STAGE):
        return
    records = session.records(STAGE)
    for axis, sizes in session.scale.growth.items():
        for size in sizes:
            _measure(session, records, axis, size)


def name(axis: str, size: int, contender: str, round_: int) -> str:
    """The record of a run."""
    return f"{axis}/{size}/{contender}/{round_}"


def place_and_task(session: Session, axis: str, size: int) -> tuple[Place, Task]:
    """What is run where, when an axis has grown to this size."""
    draws = size if axis == "draws" else FIXED[axis]
    rows = size if axis == "pictures" else 1
    pixels = size if axis == "pixels" else None
    return Place(session.scale.grows, rows, pixels, session.device), Task("smoothgrad", draws)


def _measure(session: Session, records: Records, axis: str, size: int) -> None:
    """Both libraries at one size, in fresh processes: what a larger run has left behind would count as memory."""
    rounds = range(session.scale.growth_rounds)
    missing = [(c, r) for r in rounds for c in PAIR if name(axis, size, c, r) not in records]
    if not missing:
        return
    place, task = place_and_task(session, axis, size)
    with ExitStack() as stack, session.steps(f"growth, {size} {axis}", len(missing)) as steps:
        workers = {contender: stack.enter_context(Worker(contender, place)) for contender in PAIR}
        for contender, worker in workers.items():
            steps.now(f"{contender}, warming up")
            worker.run(Asked(task.few(4)))
        order = random.Random(f"{axis} {size}").sample(missing, len(missing))
        for contender, round_ in order:
            steps.now(contender)
            outcome = workers[contender].run(Asked(task, seed=round_))
            found = {"error": outcome.error} if outcome.error else {"seconds": outcome.seconds, "bytes": outcome.bytes}
            records.add(name(axis, size, contender, round_), **found)
            steps.done()
