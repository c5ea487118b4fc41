"""How work is cut up."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.core.schedule import Schedule


@given(chunk=st.integers(1, 500), rows=st.integers(1, 100), block=st.sampled_from([1, 2]))
def test_draws_come_in_whole_blocks_and_fit_the_chunk_where_they_can(chunk: int, rows: int, block: int) -> None:
    draws = Schedule(chunk).draws_at_once(rows, block)
    assert draws >= block
    assert draws % block == 0
    assert draws * rows <= chunk or draws == block
    assert (draws + block) * rows > chunk, "no smaller than need be"


def test_small_rows_come_in_large_chunks_and_large_rows_one_by_one() -> None:
    assert Schedule.for_rows(torch.Size([3, 224, 224])).chunk == 4
    assert Schedule.for_rows(torch.Size([1, 8, 8])).chunk == 256
    assert Schedule.for_rows(torch.Size([3, 2000, 2000])).chunk == 1
