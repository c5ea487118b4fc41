"""Reductions against numpy on the same draws, whatever the pieces they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from smoothgrad.core.moments import Estimate
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
from smoothgrad.errors import BadMethod

Array = NDArray[np.float64]


def geometric(v: Array) -> Array:
    size = np.exp(np.log(np.abs(v)).mean(0))
    return size * np.sign(np.sign(v).sum(0))


def of_groups(groups: int) -> Callable[[Array], Array]:
    return lambda v: np.median([v[g::groups].mean(0) for g in range(min(groups, len(v)))], axis=0)


# Each reduction as numpy and scipy have it.
KNOWN: dict[Reduction[Any], Callable[[Array], Array]] = {
    Mean(): lambda v: v.mean(0),
    SquareMean(): lambda v: (v**2).mean(0),
    Variance(): lambda v: v.var(0, ddof=1) if len(v) > 1 else np.zeros(v.shape[1:]),
    SignAgreement(): lambda v: np.sign(v).mean(0),
    GeometricMean(): geometric,
    Max(): lambda v: np.abs(v).max(0),
    Median(): lambda v: np.median(v, axis=0),
    MedianOfMeans(groups=3): of_groups(3),
    MedianOfMeans(groups=4): of_groups(4),
    TrimmedMean(0.1): lambda v: stats.trim_mean(v, 0.1, axis=0),
    TrimmedMean(0.3): lambda v: stats.trim_mean(v, 0.3, axis=0),
}
REDUCTION = pytest.mark.parametrize("reduction", KNOWN, ids=repr)


def stream(
    reduction: Reduction[Any], values: Tensor, pieces: list[int], weight: Tensor | None = None, block: int = 1
) -> Estimate:
    """The reduction of draws (n, N, *S) that arrive in pieces of these sizes, again and again."""
    weight = torch.ones(len(values), dtype=torch.float64) if weight is None else weight
    state: Any = None
    start, turn = 0, 0
    while start < len(values):
        stop = start + pieces[turn % len(pieces)]
        state = reduction.update(state, values[start:stop], weight[start:stop], block)
        start, turn = stop, turn + 1
    estimate: Estimate = reduction.final(state)
    return estimate


def draws(n: int, seed: int = 0, rows: int = 3) -> Tensor:
    return torch.randn(n, rows, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PIECES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@REDUCTION
@given(n=st.integers(1, 25), pieces=PIECES, seed=st.integers(0, 10**6))
def test_it_is_what_numpy_has_in_any_pieces(reduction: Reduction[Any], n: int, pieces: list[int], seed: int) -> None:
    values = draws(n, seed)
    estimate = stream(reduction, values, pieces)
    np.testing.assert_allclose(estimate.value, KNOWN[reduction](values.numpy()), rtol=1e-9, atol=1e-12)
    assert estimate.draws.tolist() == [n] * 3


@REDUCTION
def test_rows_can_leave(reduction: Reduction[Any]) -> None:
    values, weight = draws(12), torch.ones(6, dtype=torch.float64)
    state = reduction.update(None, values[:6], weight, 1)
    state = reduction.update(state.rows(torch.tensor([True, False, True])), values[6:, [0, 2]], weight, 1)
    left = reduction.final(state)
    whole = stream(reduction, values, [12])
    torch.testing.assert_close(left.value, whole.value[[0, 2]])
    assert (left.stderr is None) == (whole.stderr is None)
    if left.stderr is not None and whole.stderr is not None:
        torch.testing.assert_close(left.stderr, whole.stderr[[0, 2]])


@given(n=st.integers(2, 25), pieces=PIECES)
def test_the_standard_error_of_means_is_that_of_numpy(n: int, pieces: list[int]) -> None:
    values = draws(n)
    for reduction, seen in ((Mean(), values), (SquareMean(), values**2), (SignAgreement(), values.sign())):
        stderr = stream(reduction, values, pieces).stderr
        assert stderr is not None
        np.testing.assert_allclose(stderr, stats.sem(seen.numpy(), axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", [Mean(), SquareMean(), SignAgreement(), Variance()], ids=repr)
def test_one_draw_has_no_error(reduction: Reduction[Any]) -> None:
    assert stream(reduction, draws(1), [1]).stderr is None


@given(n=st.integers(4, 25), pieces=PIECES)
def test_the_standard_error_of_a_variance_is_the_formula(n: int, pieces: list[int]) -> None:
    v = draws(n).numpy()
    m4, s2 = ((v - v.mean(0)) ** 4).mean(0), v.var(0, ddof=1)
    expected = np.sqrt(np.maximum(m4 - s2**2 * (n - 3) / (n - 1), 0) / n)
    stderr = stream(Variance(), torch.from_numpy(v), pieces).stderr
    assert stderr is not None
    np.testing.assert_allclose(stderr, expected, rtol=1e-9, atol=1e-12)


# --- floating point ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[1], [3], [64]])
def test_the_variance_survives_a_large_mean(pieces: list[int]) -> None:
    values = (1000 + 0.01 * draws(4000)).float()
    result = stream(Variance(), values, pieces)
    assert result.stderr is not None
    np.testing.assert_allclose(result.value, values.double().var(0), rtol=0.02)
    assert bool((result.value >= 0).all())
    mean = stream(Mean(), values, pieces)
    assert mean.stderr is not None
    np.testing.assert_allclose(mean.stderr, stats.sem(values.double(), axis=0), rtol=0.02)


@pytest.mark.parametrize("pieces", [[1], [2], [7]])
def test_the_variance_of_a_constant_is_never_negative(pieces: list[int]) -> None:
    values = torch.full((50, 2, 3), 0.1)
    result = stream(Variance(), values, pieces)
    assert result.stderr is not None
    assert bool((result.value >= 0).all())
    assert float(result.value.max()) < 1e-12
    assert bool(result.stderr.isfinite().all())


@REDUCTION
def test_the_type_of_the_draws_is_kept(reduction: Reduction[Any]) -> None:
    for dtype in (torch.float32, torch.float64):
        estimate = stream(reduction, draws(6).to(dtype), [4])
        assert estimate.value.dtype == dtype
        assert estimate.stderr is None or estimate.stderr.dtype == dtype


# --- weights and blocks -----------------------------------------------------------------------------------------------


@given(n=st.integers(2, 20), pieces=PIECES)
def test_weights_count(n: int, pieces: list[int]) -> None:
    values = draws(n)
    weight = torch.linspace(0.2, 3, n, dtype=torch.float64)
    for reduction, seen in ((Mean(), values), (SquareMean(), values**2), (SignAgreement(), values.sign())):
        assert reduction.weighted
        value = stream(reduction, values, pieces, weight).value
        np.testing.assert_allclose(value, np.average(seen.numpy(), axis=0, weights=weight.numpy()), atol=1e-12)


@given(blocks=st.integers(2, 12), pieces=st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3))
def test_errors_are_those_of_the_means_of_blocks(blocks: int, pieces: list[int]) -> None:
    values = draws(2 * blocks)
    pairs = values.unflatten(0, (blocks, 2)).mean(1)
    mean = stream(Mean(), values, pieces, block=2)
    assert mean.stderr is not None
    np.testing.assert_allclose(mean.value, values.mean(0), atol=1e-12)
    np.testing.assert_allclose(mean.stderr, stats.sem(pairs.numpy(), axis=0), rtol=1e-9)
    # Unbiased also where the two of a pair depend on each other: M2 / n + Var(mean).
    variance = stream(Variance(), values, pieces, block=2).value
    expected = values.numpy().var(0) + stats.sem(pairs.numpy(), axis=0) ** 2
    np.testing.assert_allclose(variance, expected, rtol=1e-9)
    middle = stream(MedianOfMeans(groups=3), values, pieces, block=2).value
    np.testing.assert_allclose(middle, of_groups(3)(pairs.numpy()), rtol=1e-9, atol=1e-12)


def test_one_block_has_no_error() -> None:
    assert stream(Mean(), draws(2), [2], block=2).stderr is None


# --- each for itself --------------------------------------------------------------------------------------------------


def test_the_geometric_mean_is_zero_where_a_draw_is_zero_or_signs_are_tied() -> None:
    values = torch.tensor([[[2.0, 0.0, 2.0]], [[8.0, 5.0, -8.0]]])
    assert stream(GeometricMean(), values, [1]).value.tolist() == [[4.0, 0.0, 0.0]]


def test_the_geometric_mean_does_not_overflow() -> None:
    values = torch.full((100, 1, 1), 1e30)
    torch.testing.assert_close(stream(GeometricMean(), values, [100]).value, torch.tensor([[1e30]]), rtol=1e-4, atol=0)


def test_the_geometric_mean_takes_the_sign_of_the_majority() -> None:
    values = torch.tensor([[[-1.0]], [[-4.0]], [[2.0]]])
    torch.testing.assert_close(stream(GeometricMean(), values, [2]).value, torch.tensor([[-2.0]]))


def test_one_far_draw_does_not_move_the_robust_ones() -> None:
    values = draws(40)
    spoilt = values.clone()
    spoilt[7] = 1e9
    for reduction in (Median(), TrimmedMean(0.1), MedianOfMeans(8)):
        moved = stream(reduction, spoilt, [5]).value - stream(reduction, values, [5]).value
        assert float(moved.abs().max()) < 1
    assert float(stream(Mean(), spoilt, [5]).value.max()) > 1e6


def test_streaming_reductions_do_not_grow() -> None:
    def size(reduction: Reduction[Any], n: int) -> int:
        state: Any = None
        for value in draws(n):
            state = reduction.update(state, value[None], torch.ones(1), 1)
        held = [part for part in vars(state).values() if isinstance(part, Tensor)]
        return sum(part.numel() for part in held)

    for reduction in (Mean(), SquareMean(), Variance(), SignAgreement(), GeometricMean(), Max(), MedianOfMeans(4)):
        assert size(reduction, 10) == size(reduction, 40)


def test_together_is_each_by_itself() -> None:
    values = draws(10)
    parts: list[Reduction[Any]] = [Mean(), Variance(), Median(), Max()]
    whole = stream(Together(*parts), values, [3])
    assert whole.stderr is not None
    for place, part in enumerate(parts):
        alone = stream(part, values, [3])
        assert torch.equal(whole.value[:, place], alone.value)
        if alone.stderr is None:
            assert bool(whole.stderr[:, place].isnan().all())
        else:
            assert torch.equal(whole.stderr[:, place], alone.stderr)


def test_together_is_weighted_where_all_of_it_is() -> None:
    assert Together(Mean(), SquareMean()).weighted
    assert not Together(Mean(), Median()).weighted


@pytest.mark.parametrize("parts", [(), (Mean(), Together(Max()))])
def test_together_takes_plain_reductions(parts: tuple[Reduction[Any], ...]) -> None:
    with pytest.raises(BadMethod, match="one or more reductions, none of them a Together"):
        Together(*parts)


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(BadMethod, match="groups >= 1, got 0"):
        MedianOfMeans(0)
    with pytest.raises(BadMethod, match=r"0 <= fraction < 0\.5, got 0\.5"):
        TrimmedMean(0.5)
    with pytest.raises(BadMethod, match=r"got -0\.1"):
        TrimmedMean(-0.1)


def test_units_follow_the_reduction() -> None:
    assert Mean().unit("score") == "score"
    assert Variance().unit("score") == "(score)²"
    assert SquareMean().unit("score") == "(score)²"
    assert SignAgreement().unit("score") == "mean sign"
