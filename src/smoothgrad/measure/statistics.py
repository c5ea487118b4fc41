"""How sure a mean over pictures is: bootstrap intervals, paired permutation tests, correction for many tests.

Arrays are (pictures, columns), float64, NaN where a picture has no value; columns are methods, pairs of methods, or places of a
curve. All columns are resampled together, by matrix products, missing values or not: 253 pairs of methods on 200 pictures take two
seconds. What is held is bounded by `BLOCK`, and by the resampled means: `resamples` numbers for each column.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smoothgrad.errors import BadOption

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

FEWEST = 3  # pictures, below which no interval is given
FEWEST_BCA = 8  # pictures, below which the bootstrap's percentiles are taken as they are
EXACT = 13  # pictures up to which all 2^n ways to swap are looked at
BLOCK = 2**24  # numbers held at once while resampling, all arrays together: 128 MB
TOO_FEW = f"fewer than {FEWEST} pictures: no interval"
EQUAL = "all scores are equal: no spread to judge by"


class Intervals(NamedTuple):
    """Means of columns (M,) with what is known of them."""

    mean: Floats
    low: Floats
    high: Floats
    n: Whole  # pictures with a value
    notes: tuple[str, ...]  # why there is no interval, else ""


class Differences(NamedTuple):
    """Mean differences of pairs (M,) with what is known of them."""

    mean: Floats
    low: Floats
    high: Floats
    n: Whole
    p: Floats
    p_adjusted: Floats


def mean_of_each(values: Floats, group: Whole) -> Floats:
    """Rows (R, M) that belong to groups 0..G-1, as the mean of each group (G, M); NaN is left out, and where there is nothing else.

    >>> mean_of_each(np.array([[1.0], [3.0], [np.nan], [np.nan]]), np.array([0, 0, 0, 1])).tolist()
    [[2.0], [nan]]
    """
    groups = int(group.max(initial=-1)) + 1
    known = ~np.isnan(values)
    total, count = np.zeros((groups, values.shape[1])), np.zeros((groups, values.shape[1]))
    np.add.at(total, group, np.where(known, values, 0.0))
    np.add.at(count, group, known)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def intervals(values: Floats, confidence: float = 0.95, resamples: int = 9999, seed: int = 0) -> Intervals:
    """The mean of each column, and an interval that holds the mean of all such pictures with this confidence.

    Bias-corrected and accelerated bootstrap over the rows (BCa, Efron 1987); below `FEWEST_BCA` pictures its percentiles, and below
    `FEWEST` no interval. None either where all values are equal: resampled, they would claim a certainty that nobody has. All
    columns see the same resamples; of a column with missing values those that are there count, as many as were drawn. The same seed
    gives the same interval.

    >>> found = intervals(np.arange(20.0)[:, None])
    >>> bool(found.low[0] < 9.5 < found.high[0])
    True
    """
    check_options(confidence, resamples)
    columns = values.shape[1]
    known = ~np.isnan(values)
    n = known.sum(0)
    mean = np.divide(np.where(known, values, 0.0).sum(0), n, out=np.full(columns, np.nan), where=n > 0)
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    spread = _spread(values)
    apart = (n >= FEWEST) & spread
    # Of few values many resamples of all rows would hold none: those rows are resampled by themselves.
    for rows, some in _together(known, apart, apart & (n < FEWEST_BCA)):
        low[some], high[some] = _bootstrapped(values[np.ix_(rows, some)], confidence, resamples, seed)
    notes = (TOO_FEW if n[place] < FEWEST else "" if spread[place] else EQUAL for place in range(columns))
    return Intervals(mean, low, high, n, tuple(notes))


def differences(values: Floats, confidence: float = 0.95, resamples: int = 9999, seed: int = 0) -> Differences:
    """Of differences (pictures, pairs): mean, interval, and whether they differ from zero, all pairs taken together (Holm)."""
    found = intervals(values, confidence, resamples, seed)
    # The smallest p of chance draws is 1 / (draws + 1), and Holm multiplies it by the number of pairs.
    draws = max(resamples, int(np.ceil(10 * values.shape[1] / (1 - confidence))))
    p = np.full(values.shape[1], np.nan)
    known = ~np.isnan(values)
    n = known.sum(0)
    # With few rows in all, looking at all signs is exact for every column, whatever it lacks.
    alone = (n <= EXACT) & (len(values) > EXACT)
    for rows, some in _together(known, n > 0, alone):
        p[some] = sign_flip(values[np.ix_(rows, some)], draws, seed)
    return Differences(found.mean, found.low, found.high, found.n, p, holm(p))


def sign_flip(values: Floats, draws: int = 9999, seed: int = 0) -> Floats:
    """How often chance alone gives differences (n, M) as large on average, in either direction:  p (M,). NaN is no difference.

    If two methods are alike, a difference is as likely to have the other sign. All 2^n signs are looked at up to `EXACT` pictures;
    else `draws` at random and those that were found:  p = (1 + as large) / (1 + draws)  (Phipson and Smyth 2010).

    >>> sign_flip(np.array([[1.0], [2.0], [3.0]])).tolist()  # all three, or none: 2 of 8
    [0.25]
    """
    n = len(values)
    values = np.nan_to_num(values)  # a sum does not change by what is missing, whatever its sign
    # Sums of the same numbers in another order differ by rounding, and ties must count.
    reach = np.abs(values.sum(0)) - 1e-12 * np.abs(values).sum(0)
    exact = n <= EXACT
    larger, total = np.zeros(values.shape[1]), 0
    for signs in [_all_signs(n)] if exact else _chance_signs(n, draws, values.shape[1], seed):
        sums = signs @ values
        larger += (np.abs(sums, out=sums) >= reach).sum(0)
        total += len(signs)
    return larger / total if exact else (1 + larger) / (1 + total)


def holm(p: Floats) -> Floats:
    """p values (M,) adjusted for being M together: the smallest times M, the next times M - 1, ..., never falling (Holm 1979).

    NaN stays NaN, and does not count.

    >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def _spread(values: Floats) -> npt.NDArray[np.bool_]:
    """(M,) whether the values of a column differ, by more than rounding."""
    if not len(values):
        return np.zeros(values.shape[1], dtype=bool)
    known = ~np.isnan(values)
    high, low = np.where(known, values, -np.inf).max(0), np.where(known, values, np.inf).min(0)
    largest = np.abs(np.nan_to_num(values)).max(0)
    apart: npt.NDArray[np.bool_] = known.any(0) & (high > low + 1e-12 * largest)
    return apart


def _bootstrapped(values: Floats, confidence: float, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Bounds (M,) for the means of columns (n, M), each of which has a value somewhere, and not all the same."""
    from scipy.special import ndtr, ndtri

    known = ~np.isnan(values)
    n, many = len(values), known.sum(0)
    filled, there = np.where(known, values, 0.0), known.astype(np.float64)
    mean = filled.sum(0) / many
    whole = bool(known.all())
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    begun = 0
    # Held for each resample: drawn rows twice, counts twice; and of the columns: sums, how many, and their quotient.
    for size in _blocks(resamples, 4 * n + 3 * values.shape[1]):
        counts = _counts(generator, n, size)
        block = means[begun : begun + size]
        block[:] = mean  # of a resample without any value nothing is known but that
        held = np.full((size, values.shape[1]), float(n)) if whole else counts @ there
        np.divide(counts @ filled, held, out=block, where=held > 0)
        begun += size
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    shares = np.tile(tails[:, None], values.shape[1])  # (2, M): which quantiles of the means are the bounds
    if many.min() >= FEWEST_BCA:
        # z0: how far the resampled means' median lies from the mean;  a: a sixth of the skewness of the mean.
        tie = 1e-12 * np.abs(filled).max(0)
        below = ((means < mean - tie).sum(0) + (means <= mean + tie).sum(0)) / (2 * resamples)
        away = np.where(known, values - mean, 0.0)
        a = (away**3).sum(0) / (6 * np.square(away).sum(0) ** 1.5)
        usable = (below > 0) & (below < 1)
        z0 = ndtri(np.where(usable, below, 0.5))
        moved = z0 + ndtri(tails)[:, None]
        shares = np.where(usable, ndtr(z0 + moved / (1 - a * moved)), shares)
    bounds = np.stack([np.quantile(column, share) for column, share in zip(means.T, shares.T, strict=True)])
    return bounds[:, 0], bounds[:, 1]


def _counts(generator: np.random.Generator, n: int, size: int) -> Floats:
    """How often each of n rows is drawn in each of `size` resamples, (size, n)."""
    drawn = generator.integers(n, size=(size, n))
    drawn += n * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


@lru_cache(maxsize=EXACT)
def _all_signs(n: int) -> Floats:
    """All 2^n rows of n signs."""
    bits = np.arange(2**n)[:, None] >> np.arange(n)
    return np.where(bits & 1, -1.0, 1.0)


def _chance_signs(n: int, draws: int, columns: int, seed: int) -> Iterator[Floats]:
    """Rows of n signs: the same for all columns."""
    generator = np.random.default_rng(seed)
    # Held for each draw: bits and signs, which are as wide as the rows, and sums.
    for size in _blocks(draws, 2 * n + 2 * columns):
        yield np.where(generator.integers(2, size=(size, n), dtype=np.int8) > 0, 1.0, -1.0)


def _blocks(total: int, wide: int) -> Iterator[int]:
    """A number of rows of this width in blocks of at most `BLOCK` numbers."""
    size = max(1, BLOCK // max(1, wide))
    for start in range(0, total, size):
        yield min(size, total - start)


def _together(
    known: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_], alone: npt.NDArray[np.bool_]
) -> Iterator[tuple[Whole, Whole]]:
    """The columns that are wanted, with the rows to take: all rows for most columns, for those `alone` only rows that they have."""
    rest = np.flatnonzero(wanted & ~alone)
    if len(rest):
        yield np.arange(len(known)), rest
    patterns: dict[bytes, list[int]] = {}
    for column in np.flatnonzero(wanted & alone):
        patterns.setdefault(np.packbits(known[:, column]).tobytes(), []).append(int(column))
    for some in patterns.values():
        yield np.flatnonzero(known[:, some[0]]), np.array(some)


def check_options(confidence: float, resamples: int) -> None:
    """Raises `BadOption` for a confidence outside (0, 1) and for fewer than 100 resamples."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise BadOption(f"confidence is {confidence!r}; give a number between 0 and 1, such as 0.95")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 100:
        raise BadOption(f"resamples is {resamples!r}; give a number of 100 or more, such as 9999")
