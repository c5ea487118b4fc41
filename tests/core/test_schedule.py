"""How work is cut up."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import OutOfMemory


@given(
    chunk=st.integers(1, 500), rows=st.integers(1, 100), block=st.sampled_from([1, 2, 8]), blocks=st.integers(1, 200)
)
def test_draws_come_in_whole_blocks_that_fit_the_chunk_and_are_nearly_equal(
    chunk: int, rows: int, block: int, blocks: int
) -> None:
    left, taken = blocks * block, []
    while left:
        draws = Schedule(chunk).draws_at_once(rows, block, left)
        assert draws % block == 0
        assert draws * rows <= chunk or draws == block
        taken.append(draws)
        left -= draws
    assert sum(taken) == blocks * block
    assert max(taken) - min(taken) <= block, "no small remainder"
    assert len(taken) == -(-blocks // max(1, chunk // (rows * block))), "no more calls than need be"


def test_small_rows_come_in_large_chunks_and_large_rows_one_by_one() -> None:
    assert Schedule.for_rows(torch.Size([3, 224, 224])).chunk == 4
    assert Schedule.for_rows(torch.Size([1, 8, 8])).chunk == 128
    assert Schedule.for_rows(torch.Size([3, 2000, 2000])).chunk == 1


class Machine:
    """A clock for a machine on which a call of so many rows takes `seconds(rows)`; the first of each size takes longer."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.seen: set[int] = set()

    def clock(self) -> float:
        return self.now

    def call(self, schedule: Schedule, rows: int) -> None:
        begun = schedule.begin()
        self.now += self.seconds(rows) + (0 if rows in self.seen else 5)
        self.seen.add(rows)
        schedule.end(begun, rows)


def run(schedule: Schedule, machine: Machine, calls: int) -> list[int]:
    sizes = []
    for _ in range(calls):
        sizes.append(schedule.chunk)
        machine.call(schedule, schedule.chunk)
    return sizes


@pytest.mark.parametrize(("best", "start"), [(1, 8), (2, 8), (4, 8), (8, 8), (16, 8), (32, 8), (1, 1), (4, 1)])
def test_the_size_that_takes_least_time_per_row_is_found(best: int, start: int) -> None:
    machine = Machine(lambda rows: rows * (1 + 0.3 * abs(math.log2(rows / best))))
    schedule = Schedule(start, machine.clock)
    run(schedule, machine, 20)
    assert schedule.chunk == best
    assert schedule.begin() is None, "nothing is timed any more"


def test_each_size_is_tried_twice_and_the_first_time_does_not_count() -> None:
    machine = Machine(lambda rows: rows * (1 + 0.3 * abs(math.log2(rows / 8))))
    assert run(Schedule(8, machine.clock), machine, 8) == [8, 8, 4, 4, 16, 16, 8, 8]


def test_a_gain_of_less_than_a_twentieth_moves_nothing() -> None:
    machine = Machine(lambda rows: rows * (0.97 if rows == 4 else 1.0))
    schedule = Schedule(8, machine.clock)
    run(schedule, machine, 20)
    assert schedule.chunk == 8


def test_more_rows_than_four_times_the_first_size_are_not_tried() -> None:
    machine = Machine(lambda _rows: 1.0)
    schedule = Schedule(8, machine.clock)
    assert max(run(schedule, machine, 30)) == 32


def test_remainders_are_not_timed() -> None:
    machine = Machine(lambda rows: 100.0 * rows)
    schedule = Schedule(8, machine.clock)
    for _ in range(10):
        machine.call(schedule, 4)
    assert schedule.chunk == 8
    assert schedule.begin() is not None


def test_without_a_clock_nothing_changes() -> None:
    schedule = Schedule(8)
    assert schedule.begin() is None
    schedule.end(None, 8)
    assert schedule.chunk == 8


def test_halving_ends_the_search_and_stops_at_one() -> None:
    machine = Machine(lambda _rows: 1.0)
    schedule = Schedule(4, machine.clock)
    machine.call(schedule, 4)
    schedule.halve(MemoryError("no"))
    assert run(schedule, machine, 10) == [2] * 10
    schedule.halve(MemoryError("no"))
    with pytest.raises(OutOfMemory, match=r"one row \(no\)"):
        schedule.halve(MemoryError("no"))


def test_one_by_one_is_a_schedule_of_its_own() -> None:
    schedule = Schedule(8, lambda: 0.0)
    alone = schedule.one_by_one()
    assert (alone.chunk, alone.begin(), schedule.chunk) == (1, None, 8)


def test_the_largest_size_to_try_can_be_named() -> None:
    machine = Machine(lambda _rows: 1.0)
    assert max(run(Schedule(8, machine.clock, most=64), machine, 30)) == 64
