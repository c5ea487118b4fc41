"""Intervals that hold the truth as often as they say, tests that equal the enumerated ones, Holm by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from smoothgrad.errors import BadOption
from smoothgrad.measure import statistics
from smoothgrad.measure.statistics import (
    EQUAL,
    EXACT,
    FEWEST,
    FEWEST_BCA,
    Floats,
    differences,
    holm,
    intervals,
    mean_of_each,
    sign_flip,
)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def slow_sign_flip(differences: Floats) -> float:
    """Every way to swap the two methods in each picture, one after the other."""
    found = abs(differences.mean())
    larger = 0
    for signs in product([1, -1], repeat=len(differences)):
        larger += abs(np.mean([s * d for s, d in zip(signs, differences, strict=True)])) >= found - 1e-12
    return larger / 2 ** len(differences)


# --- intervals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [normal, lambda n, m, seed: np.exp(normal(n, m, seed=seed))], ids=["normal", "skewed"])
def test_intervals_hold_the_truth_as_often_as_they_say(draw) -> None:
    simulations = 500
    values = draw(60, simulations, seed=1)
    truth = 0.0 if draw is normal else np.exp(0.5)
    # Each simulation by itself: columns are resampled alike, but their values are independent.
    found = intervals(values, 0.95, 999, seed=2)
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert (0.92 if draw is normal else 0.87) < covered < 0.98
    narrow = intervals(values, 0.5, 999, seed=2)
    assert 0.42 < ((narrow.low <= truth) & (truth <= narrow.high)).mean() < 0.58


@pytest.mark.parametrize("seed", range(3))
def test_bca_is_scipys(seed: int) -> None:
    values = np.exp(normal(25, 1, seed=seed))
    found = intervals(values, 0.9, 20_000)
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, confidence_level=0.9, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    wide = theirs.high - theirs.low
    assert found.low[0] == pytest.approx(theirs.low, abs=0.03 * wide)
    assert found.high[0] == pytest.approx(theirs.high, abs=0.03 * wide)
    plain = np.quantile(
        [np.mean(one) for one in np.random.default_rng(0).choice(values[:, 0], (20_000, 25))], [0.05, 0.95]
    )
    assert found.high[0] > plain[1] + 0.02 * wide  # the percentiles alone are too short to the right


def test_few_pictures_have_percentiles_and_fewer_no_interval() -> None:
    values = normal(FEWEST_BCA - 1, 1)
    found = intervals(values, 0.9, 20_000)
    drawn = np.random.default_rng(3).choice(values[:, 0], (20_000, len(values))).mean(1)
    assert [found.low[0], found.high[0]] == pytest.approx(list(np.quantile(drawn, [0.05, 0.95])), abs=0.03)
    for n in (0, 1, FEWEST - 1):
        none = intervals(normal(n, 2))
        assert np.isnan(none.low).all()
        assert np.isnan(none.high).all()
        assert none.notes == (f"fewer than {FEWEST} pictures: no interval",) * 2
        assert none.n.tolist() == [n, n]
        assert np.isnan(none.mean).all() == (n == 0)
    assert intervals(normal(FEWEST, 2)).notes == ("", "")


@pytest.mark.parametrize("n", [FEWEST, FEWEST_BCA, 30])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
def test_equal_scores_claim_no_certainty(n: int, value: float) -> None:
    values = np.full((n, 2), value)
    values[1:, 1] = np.nan if n == FEWEST else value  # one of them alone says even less
    found = intervals(values)
    assert found.mean == pytest.approx([value, value])
    assert np.isnan([found.low, found.high]).all()
    assert found.notes[0] == EQUAL == "all scores are equal: no spread to judge by"
    assert found.notes[1].startswith("fewer") == (n == FEWEST)


def test_hits_with_some_spread_keep_their_interval() -> None:
    found = intervals(np.array([[1.0]] * 19 + [[0.0]]))
    assert found.notes == ("",)
    assert 0 < found.low[0] < 0.95 < found.high[0] <= 1


def test_a_column_does_not_depend_on_the_others_nor_on_missing_rows() -> None:
    values = normal(20, 3)
    values[4:9, 1] = np.nan
    whole = intervals(values, resamples=500)
    for column in range(3):
        alone = intervals(values[:, column : column + 1], resamples=500)
        assert (alone.low[0], alone.high[0]) == pytest.approx((whole.low[column], whole.high[column]))
    assert whole.n.tolist() == [20, 15, 20]
    # Of other resamples than those of its own values: alike, but for what chance and their number add
    whole = intervals(values, resamples=20_000)
    kept = intervals(values[~np.isnan(values[:, 1]), 1:2], resamples=20_000)
    wide = kept.high[0] - kept.low[0]
    assert (whole.low[1], whole.high[1]) == pytest.approx((kept.low[0], kept.high[0]), abs=0.06 * wide)


def test_few_values_among_many_rows_are_resampled_by_themselves() -> None:
    values = normal(30, 3)
    values[FEWEST_BCA - 1 :, 1] = np.nan
    values[FEWEST - 1 :, 2] = np.nan
    found, kept = intervals(values, resamples=500), intervals(values[: FEWEST_BCA - 1, 1:2], resamples=500)
    assert (found.low[1], found.high[1]) == (kept.low[0], kept.high[0])
    assert np.isnan(found.low).tolist() == [False, False, True]


def test_intervals_with_missing_values_hold_the_truth_as_often_as_they_say() -> None:
    values = normal(80, 500, seed=5)
    values[np.random.default_rng(6).random(values.shape) < 0.3] = np.nan
    found = intervals(values, 0.95, 999, seed=2)
    assert 0.92 < ((found.low <= 0) & (found.high >= 0)).mean() < 0.98


def test_missing_values_cost_no_more_than_their_product(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    counts = statistics._counts
    monkeypatch.setattr(statistics, "_counts", lambda rng, n, size: made.append(size) or counts(rng, n, size))
    values = normal(60, 40)
    values[np.random.default_rng(0).random(values.shape) < 0.1] = np.nan
    differences(values, resamples=500)
    assert made == [500]  # one set of resamples for all, not one for each pattern of what is missing


def test_the_seed_decides_and_repeats() -> None:
    values = normal(30, 1)
    one, again, other = (intervals(values, resamples=500, seed=seed) for seed in (1, 1, 2))
    assert one.low[0] == again.low[0]
    assert one.low[0] != other.low[0]


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(12, 4)
    values[:, 1] += 3
    before = intervals(values, resamples=4000)
    monkeypatch.setattr("smoothgrad.measure.statistics.BLOCK", 100)
    after = intervals(values, resamples=4000)
    assert after.low == pytest.approx(before.low, abs=1e-9)


WRONG = [
    *({"confidence": wrong} for wrong in (0, 1.0, True, "0.9")),
    *({"resamples": wrong} for wrong in (99, 1e4)),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_options_that_mean_nothing(wrong) -> None:
    with pytest.raises(BadOption, match=f"{next(iter(wrong))} is .*; give a number"):
        intervals(normal(5, 1), **wrong)


# --- tests of differences ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_p_is_the_enumerated_one(n: int) -> None:
    values = normal(n, 6, seed=n) + 0.4
    assert sign_flip(values) == pytest.approx([slow_sign_flip(column) for column in values.T])


def test_ties_count_in_full() -> None:
    values = np.array([[0.1, 1.0], [0.1, 1.0], [0.1, 1.0], [0.1, -1.0], [-0.3, 2.0]])
    assert sign_flip(values) == pytest.approx([slow_sign_flip(column) for column in values.T])


def test_p_is_scipys_with_all_and_with_chance_permutations() -> None:
    values = normal(EXACT + 7, 1, seed=4) + 0.5
    rng = np.random.default_rng(0)
    theirs = stats.permutation_test((values[:, 0],), np.mean, permutation_type="samples", n_resamples=40_000, rng=rng)
    assert sign_flip(values, 40_000)[0] == pytest.approx(theirs.pvalue, abs=0.004)
    few = values[:EXACT]
    exact = stats.permutation_test((few[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(few)[0] == pytest.approx(exact.pvalue)


@pytest.mark.parametrize("n", [1, 5, EXACT, EXACT + 1, 40])
def test_methods_that_are_the_same_do_not_differ(n: int) -> None:
    found = differences(np.zeros((n, 2)))
    assert found.p.tolist() == found.p_adjusted.tolist() == [1.0, 1.0]
    assert found.mean.tolist() == [0.0, 0.0]
    if n >= FEWEST:
        assert np.isnan([found.low, found.high]).all()


def test_chance_alone_is_called_a_difference_as_often_as_is_said() -> None:
    for n in (8, 30):
        p = sign_flip(normal(n, 2000, seed=n), 999)
        for level in (0.05, 0.2):
            assert abs((p <= level).mean() - level) < 0.02


def test_a_large_difference_is_found_among_many_pairs() -> None:
    values = normal(40, 300)
    values[:, 7] += 3
    found = differences(values, resamples=200)
    assert found.p_adjusted[7] <= 0.05  # more draws than were asked for: 200 could not tell p from 300 * 1 / 201
    assert (found.p_adjusted <= 0.05).sum() == 1


def test_holm_by_the_textbook() -> None:
    # Four tests at 0.05: 0.005 <= 0.05/4 and 0.01 <= 0.05/3 are found, 0.03 > 0.05/2 ends it
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (holm(p) <= 0.05).tolist() == [True, False, False, True]
    assert holm(np.array([0.2, np.nan, 0.5, 0.9])) == pytest.approx([0.6, np.nan, 1.0, 1.0], nan_ok=True)
    assert holm(np.array([])).tolist() == []
    slow = []
    for one in p:  # the definition: the largest of (m - k) p_(k) up to one's own place
        ordered = sorted(p)
        slow.append(max((len(p) - k) * ordered[k] for k in range(ordered.index(one) + 1)))
    assert holm(p).tolist() == pytest.approx(slow)


def test_pictures_that_one_lacks_do_not_count() -> None:
    values = normal(6, 2) + 1
    values[2:4, 0] = np.nan
    values[:, 1] = np.nan
    found = differences(values)
    assert found.n.tolist() == [4, 0]
    assert found.p[0] == pytest.approx(slow_sign_flip(values[[0, 1, 4, 5], 0]))
    assert np.isnan(found.p[1])
    assert np.isnan(found.p_adjusted[1])
    assert found.p_adjusted[0] == found.p[0]


@pytest.mark.parametrize("rows", [6, EXACT + 9])
def test_missing_pictures_leave_p_exact_where_few_are_left(rows: int) -> None:
    values = normal(rows, 5, seed=1) + 0.5
    for column in range(4):
        values[column + 5 :, column] = np.nan
    values[2, 1] = np.nan
    found = differences(values, resamples=500)
    slow = [slow_sign_flip(column[~np.isnan(column)]) for column in values[:, :4].T]
    assert found.p[:4] == pytest.approx(slow)


def test_p_of_many_pictures_is_that_of_those_that_are_there() -> None:
    values = normal(40, 3, seed=7) + 0.3
    values[::5, 1] = np.nan
    found = differences(values, resamples=40_000)
    kept = sign_flip(values[~np.isnan(values[:, 1]), 1:2], 40_000)
    assert found.p[1] == pytest.approx(kept[0], abs=0.01)


def test_the_mean_of_each_group() -> None:
    values = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, np.nan]])
    expected = np.array([[5.0, np.nan], [2.0, 4.0]])
    assert mean_of_each(values, np.array([1, 1, 0])) == pytest.approx(expected, nan_ok=True)
