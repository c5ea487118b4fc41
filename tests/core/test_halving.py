"""How two halves of the draws agree, and what that says of another seed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.core.halving import Halving, gather, known, reproducibility
from smoothgrad.core.moments import Halves
from smoothgrad.core.reduce import (
    GeometricMean,
    Max,
    Mean,
    Median,
    MedianOfMeans,
    Reduction,
    SignAgreement,
    SquareMean,
    Together,
    TrimmedMean,
    Variance,
)

REDUCTIONS = [
    Mean(),
    SquareMean(),
    SignAgreement(),
    Variance(),
    GeometricMean(),
    Median(),
    TrimmedMean(0.2),
    MedianOfMeans(3),
]


def stream(reduction: Reduction, values: torch.Tensor, cuts: list[int], block: int) -> Halving:
    state = None
    for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True):
        if start == stop:
            continue
        weight = torch.ones(stop - start, dtype=torch.float64)
        state = gather(reduction, state, values[start:stop], weight, block, start // block)
    assert state is not None
    return state


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=repr)
@given(data=st.data(), block=st.sampled_from([1, 2, 4]), blocks=st.integers(2, 9))
def test_halves_are_every_other_block_however_the_draws_come(
    reduction: Reduction, data: st.DataObject, block: int, blocks: int
) -> None:
    values = torch.randn(blocks * block, 2, 3, dtype=torch.float64) + 1
    cuts = sorted(data.draw(st.sets(st.integers(1, blocks - 1))))
    estimate = known(reduction, stream(reduction, values, [cut * block for cut in cuts], block))
    assert estimate.halves is not None
    parity = torch.arange(len(values)) // block % 2
    for half, got in enumerate(estimate.halves[:2]):
        mine = values[parity == half]
        alone = reduction.final(reduction.update(None, mine, torch.ones(len(mine), dtype=torch.float64), block))
        torch.testing.assert_close(got, alone.value)
    assert estimate.halves.share.tolist() == pytest.approx([float((parity == 0).double().mean())] * 2)


@pytest.mark.parametrize("reduction", [r for r in REDUCTIONS if r != MedianOfMeans(3)] + [Max()], ids=repr)
def test_keeping_halves_apart_does_not_change_the_whole(reduction: Reduction) -> None:
    values = torch.randn(14, 2, 3, dtype=torch.float64)
    whole = reduction.final(reduction.update(None, values, torch.ones(14, dtype=torch.float64), 2))
    estimate = known(reduction, stream(reduction, values, [4, 6], 2))
    torch.testing.assert_close(estimate.value, whole.value)
    assert (estimate.stderr is None) == (whole.stderr is None)
    if whole.stderr is not None:
        torch.testing.assert_close(estimate.stderr, whole.stderr)
    assert estimate.draws.tolist() == [14, 14]


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("blocks", [2, 3, 5, 8, 11, 16])
def test_groups_of_both_halves_are_as_equal_as_can_be(groups: int, blocks: int) -> None:
    reduction = MedianOfMeans(groups)
    state = stream(reduction, torch.randn(blocks, 1, 2), [], 1)
    counts = reduction.merge(state.even, state.odd).counts
    assert sum(counts) == blocks
    assert max(counts) - min(counts) <= 2
    assert sum(count > 0 for count in counts) == min(groups, blocks)


@pytest.mark.parametrize("reduction", [Max(), Together(Mean(), Variance())], ids=repr)
def test_what_is_no_average_of_one_map_has_no_halves(reduction: Reduction) -> None:
    assert known(reduction, stream(reduction, torch.randn(6, 2, 3), [], 1)).halves is None


def test_one_block_has_no_halves() -> None:
    assert known(Mean(), stream(Mean(), torch.randn(2, 2, 3), [], 2)).halves is None


def test_some_of_the_rows() -> None:
    values = torch.randn(6, 3, 4)
    state = stream(Mean(), values, [], 1).rows(torch.tensor([2, 0]))
    estimate = known(Mean(), state)
    torch.testing.assert_close(estimate.value, values[:, [2, 0]].mean(0))
    assert estimate.halves is not None
    torch.testing.assert_close(estimate.halves.second, values[1::2, [2, 0]].mean(0))


# --- reproducibility --------------------------------------------------------------------------------------------------


def halves(first: torch.Tensor, second: torch.Tensor, share: float = 0.5) -> Halves:
    return Halves(first, second, torch.full((len(first),), share, dtype=torch.float64))


def test_equal_halves_are_spearmans_and_browns() -> None:
    first, second = torch.randn(5, 40, dtype=torch.float64), torch.randn(5, 40, dtype=torch.float64)
    second = second + 2 * first
    r = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(first, second, strict=True)])
    torch.testing.assert_close(reproducibility(halves(first, second)), 2 * r / (1 + r))


@pytest.mark.parametrize("draws", [4, 9, 50])
@pytest.mark.parametrize("noise", [0.5, 2.0, 8.0])
def test_it_is_what_two_fresh_maps_correlate_on_average(draws: int, noise: float) -> None:
    """Signal of variance 1, noise of variance `noise`^2 per draw: two maps of n draws correlate as 1 / (1 + noise^2 / n)."""
    signal = torch.randn(60, 4000, dtype=torch.float64)
    values = signal + noise * torch.randn(draws, *signal.shape, dtype=torch.float64)
    estimate = known(Mean(), stream(Mean(), values, [], 1))
    assert estimate.halves is not None
    expected = 1 / (1 + noise**2 / draws)
    found = reproducibility(estimate.halves)
    assert float(found.mean()) == pytest.approx(expected, abs=0.01)
    fresh = (signal + noise / math.sqrt(draws) * torch.randn_like(signal)).flatten(1)
    real = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(estimate.value, fresh, strict=True)])
    assert float((found - real).mean()) == pytest.approx(0, abs=0.01)


def test_halves_that_disagree_say_nothing_of_the_map() -> None:
    x = torch.randn(1, 50)
    assert reproducibility(halves(x, -x)).tolist() == [0.0]
    assert reproducibility(halves(x, x)).tolist() == pytest.approx([1.0])


def test_a_constant_map_correlates_with_nothing() -> None:
    assert reproducibility(halves(torch.ones(1, 9), torch.ones(1, 9))).isnan().all()
    assert reproducibility(halves(torch.ones(1, 1), 2 * torch.ones(1, 1))).isnan().all()
