"""How draws are spread over their distribution."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.quasirandom import SobolEngine

import smoothgrad as sg
from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.samplers import spread as spreading
from smoothgrad.samplers.spread import BLOCK, GAUSSIAN, LAPLACE, UNIFORM, Law, Sampling, spread

ALL: tuple[Sampling, ...] = get_args(Sampling)
EIGHTS: tuple[Sampling, ...] = ("sobol", "stratified")
SAMPLING = pytest.mark.parametrize("sampling", ALL)
LAWS: dict[str, tuple[Law, Any]] = {
    "gaussian": (GAUSSIAN, stats.norm()),
    "uniform": (UNIFORM, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
    "laplace": (LAPLACE, stats.laplace(scale=1 / math.sqrt(2))),
}
KEYS = torch.arange(1000, 1600)
SHAPE = torch.Size([2, 3])


# --- a pure function of key and draw number ---------------------------------------------------------------------------


@cache
def whole(sampling: Sampling) -> Tensor:
    return spread(GAUSSIAN, sampling, KEYS[:5], range(121), SHAPE)


@SAMPLING
@given(start=st.integers(0, 100), size=st.integers(1, 20), row=st.integers(0, 4))
def test_any_range_of_draws_of_any_rows_is_the_same(sampling: Sampling, start: int, size: int, row: int) -> None:
    part = spread(GAUSSIAN, sampling, KEYS[[row]], range(start, start + size), SHAPE)
    assert part.dtype == torch.float32
    assert torch.equal(part, whole(sampling)[start : start + size, [row]])


@SAMPLING
def test_rows_and_blocks_differ(sampling: Sampling) -> None:
    draws = spread(GAUSSIAN, sampling, KEYS[:5], range(16), SHAPE).flatten(0, 1).flatten(1)
    assert len(draws.unique(dim=0)) == 80


@pytest.mark.parametrize("sampling", EIGHTS)
def test_torchs_global_state_is_neither_read_nor_moved(sampling: Sampling) -> None:
    shape = torch.Size([17])
    before = torch.get_rng_state()
    plain = spread(UNIFORM, sampling, KEYS[:2], range(8), shape)
    spreading._points.cache_clear()
    torch.manual_seed(5)
    with torch.device("meta"):
        assert torch.equal(spread(UNIFORM, sampling, KEYS[:2], range(8), shape), plain)
    torch.set_default_dtype(torch.float64)
    try:
        spreading._points.cache_clear()
        assert torch.equal(spread(UNIFORM, sampling, KEYS[:2], range(8), shape), plain)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.set_rng_state(before)
    spreading._points.cache_clear()
    spread(UNIFORM, sampling, KEYS[:2], range(8), shape)
    assert torch.equal(torch.get_rng_state(), before)


# --- each draw has the distribution -----------------------------------------------------------------------------------


@SAMPLING
@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("draw", [0, 5])
def test_every_value_of_every_draw_has_the_law_over_the_seeds(sampling: Sampling, name: str, draw: int) -> None:
    law, truth = LAWS[name]
    e = spread(law, sampling, KEYS, range(draw, draw + 1), SHAPE)[0].flatten(1)
    for values in e.T.double().numpy():
        assert stats.kstest(values, truth.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", LAWS)
def test_quantiles_are_those_of_the_distribution(name: str) -> None:
    law, truth = LAWS[name]
    cell = torch.tensor([0, 1, 2, 1 << 10, 1 << 20, (1 << 22) - 1, 1 << 22, (1 << 23) - 1000, (1 << 23) - 1])
    u = (cell.int() + 0.5) * 2.0**-23
    expected = torch.from_numpy(truth.ppf(u.double().numpy()))
    torch.testing.assert_close(law.quantile(u).double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(law.quantile(1 - u), -law.quantile(u))


@pytest.mark.parametrize("sampling", EIGHTS)
def test_no_number_is_nought_or_one(sampling: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    """At either end of what the generator gives, the Gaussian's numbers are finite and in their stratum."""
    for extreme in (0.0, 1 - 2.0**-24):

        def fixed(keys: Tensor, draws: range, shape: torch.Size, _device: object, at: float = extreme) -> Tensor:
            return torch.full((len(draws), len(keys), *shape), at)

        monkeypatch.setattr(numbers, "uniform", fixed)
        e = spread(GAUSSIAN, sampling, KEYS[:3], range(16), SHAPE)
        assert e.isfinite().all()
        assert float(e.abs().max()) < 5.5
        check_strata(e)


# --- blocks of eight --------------------------------------------------------------------------------------------------


def strata(e: Tensor) -> Tensor:
    """Which eighth of a standard normal distribution each number is in, exactly: the bounds lie between cells."""
    return torch.bucketize(e.double(), torch.special.ndtri(torch.arange(1, 8, dtype=torch.float64) / 8))


def check_strata(e: Tensor) -> None:
    ranked = strata(e).unflatten(0, (-1, 8)).sort(dim=1).values  # (b, 8, N, *S)
    assert torch.equal(ranked, torch.arange(8).view(1, 8, *[1] * (ranked.ndim - 2)).expand_as(ranked))


@pytest.mark.parametrize("sampling", EIGHTS)
def test_each_block_meets_each_stratum_once(sampling: Sampling) -> None:
    check_strata(spread(GAUSSIAN, sampling, KEYS[:100], range(8, 40), SHAPE))


def test_orders_of_strata_are_permutations_that_treat_all_pairs_alike() -> None:
    orders = spreading._ORDERS
    assert orders.shape == (56, 8)
    assert bool((orders.sort(1).values == torch.arange(8)).all())
    assert len(orders.unique(dim=0)) == 56
    for one, other in itertools.permutations(range(8), 2):
        assert len({(int(row[one]), int(row[other])) for row in orders}) == 56, "each pair of strata, once"


def test_every_pair_of_strata_is_met_equally_often() -> None:
    first, second = strata(spread(GAUSSIAN, "stratified", KEYS, range(8), SHAPE))[[0, 1]].flatten(1)
    counts = torch.bincount(8 * first + second, minlength=64).view(8, 8)
    assert not counts.diagonal().any()
    assert stats.chisquare(counts[~torch.eye(8, dtype=torch.bool)]).pvalue > 1e-4


def test_orders_of_strata_are_independent_between_dimensions_rows_and_blocks() -> None:
    e = spread(GAUSSIAN, "stratified", KEYS, range(16), torch.Size([2]))
    first = strata(e)[[0, 8]].movedim(1, 0).flatten(1).T  # (block x dimension, N)
    for one, other in itertools.combinations(first.numpy(), 2):
        table = stats.contingency.crosstab(one, other).count
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_sobol_blocks_are_the_scrambled_sequence_under_a_shift() -> None:
    """The exclusive or of two draws of a block has no chance in it: it is that of two points of torch's sequence."""
    e = spread(UNIFORM, "sobol", KEYS[:50], range(24), SHAPE).double()
    cells = ((e / math.sqrt(3) + 1) / 2 * (1 << 23)).long().unflatten(0, (3, 8)).flatten(3)  # (b, 8, N, D)
    points = (SobolEngine(6, scramble=True, seed=0).draw(16, dtype=torch.float64)[8:] * (1 << 23)).long()
    between = cells ^ cells[:, :1]
    # Cells come back from float32 to within one of 2^23: the highest 16 bits are compared.
    assert torch.equal(between >> 7, ((points ^ points[0]) >> 7).view(1, 8, 1, 6).expand_as(between))


# --- what it is for: means are unbiased, and some of them surer -------------------------------------------------------

S = 0.8


def block_means(function: Any, sampling: Sampling, dimensions: int = 4, draws: int = 8) -> Tensor:
    """The mean of a function of the noise over the first draws, under 600 keys: (600,)."""
    e = S * spread(GAUSSIAN, sampling, KEYS, range(draws), torch.Size([dimensions])).double()
    values: Tensor = function(e)
    return values.mean(0)


# Additive, not additive, odd, and with a kink; with their exact means.
FUNCTIONS = {
    "additive": (lambda e: (e + 0.4).sin().sum(-1), 4 * math.sin(0.4) * math.exp(-(S**2) / 2)),
    "squares": (lambda e: e.square().sum(-1), 4 * S**2),
    "cubes": (lambda e: (e + 0.5).pow(3).sum(-1), 4 * (0.125 + 1.5 * S**2)),
    "product": (lambda e: (1 + e).prod(-1), 1.0),
    "kink": (lambda e: e.sum(-1).relu(), 2 * S / math.sqrt(2 * math.pi)),
}


@SAMPLING
@pytest.mark.parametrize("name", FUNCTIONS)
def test_means_are_unbiased(sampling: Sampling, name: str) -> None:
    function, exact = FUNCTIONS[name]
    means = block_means(function, sampling)
    assert abs(float(means.mean()) - exact) < 4 * float(means.std()) / math.sqrt(len(means)) + 1e-9


def within(function: Any) -> float:
    """The variance of the mean over a Latin hypercube of 8 of a sum of the same function of 4 values: what is left is the scatter
    inside each stratum, Var = 4 / 64 sum_j Var( f | stratum j )  (McKay et al. 1979, Stein 1987)."""
    u = (torch.arange(8 * 20_000, dtype=torch.float64) + 0.5) / (8 * 20_000)
    return float(4 / 64 * function(S * torch.special.ndtri(u)[:, None]).view(8, -1).var(1).sum())


@pytest.mark.parametrize("name", ["additive", "squares", "cubes"])
def test_sums_of_functions_of_one_value_are_as_sure_as_theory_says(name: str) -> None:
    function, _ = FUNCTIONS[name]
    plain, even = block_means(function, "independent"), block_means(function, "stratified")
    assert float(even.var()) == pytest.approx(within(function), rel=0.3)
    assert float(even.var()) < 0.5 * float(plain.var())
    # Inside the strata of one value, the 8 of a Sobol block depend on each other: more in some, less in others.
    sobol = block_means(function, "sobol", dimensions=64)
    assert float(sobol.var()) == pytest.approx(within(function) * 64 / 4, rel=0.3)


@pytest.mark.parametrize("sampling", EIGHTS)
def test_what_is_not_additive_is_little_worse(sampling: Sampling) -> None:
    """n / (n - 1) of the plain variance at most for a Latin hypercube (Owen 1997)."""
    pair = lambda e: e[..., 0] * e[..., 1]  # noqa: E731
    plain, even = block_means(pair, "independent"), block_means(pair, sampling)
    assert float(even.var()) < 1.4 * float(plain.var())


def test_antithetic_pairs_cancel_what_is_odd() -> None:
    assert float(block_means(lambda e: e.pow(3).sum(-1), "antithetic").abs().max()) < 1e-12


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", [sg.Gaussian, sg.Uniform, sg.Laplace, sg.Multiplicative])
@pytest.mark.parametrize(
    ("sampling", "samples", "reason"),
    [
        ("antithetic", 7, "draws 2 at a time, and 7 samples are no multiple; take 6 or 8"),
        ("sobol", 50, "draws 8 at a time, and 50 samples are no multiple; take 48 or 56"),
        ("stratified", 5, "draws 8 at a time, and 5 samples are no multiple; take 8"),
        ("stratified", sg.Until(most=1001), "and 1001 samples are no multiple; take 1000 or 1008"),
        ("sobl", 8, "has no sampling 'sobl'; did you mean 'sobol'"),
    ],
)
def test_samples_are_whole_blocks(cloud: Any, sampling: str, samples: int | sg.Until, reason: str) -> None:
    with pytest.raises(BadMethod, match=f"{cloud.__name__}.*{reason}"):
        cloud(0.1, samples, sampling=sampling)


@pytest.mark.parametrize("cloud", [sg.Gaussian, sg.Multiplicative])
def test_rows_with_more_values_than_sobol_has_dimensions_are_refused_before_any_work(cloud: Any) -> None:
    x = torch.rand(1, SobolEngine.MAXDIM + 1)
    method = sg.Gradient().over(cloud(0.1, 8, sampling="sobol"))
    with pytest.raises(BadMethod, match=r'at most 21201 values, got 21202 \(rows of shape \(21202,\)\).*"stratified"'):
        method.check(Query.of(x, 0))
    method.check(Query.of(x[:, 1:], 0))
    sg.Gradient().over(cloud(0.1, 8, sampling="stratified")).check(Query.of(x, 0))


def test_blocks_are_what_samplers_say() -> None:
    assert set(BLOCK) == set(ALL)
    for sampling in ALL:
        cloud = sg.Gaussian(0.1, 16, sampling=sampling)
        assert cloud.block == sg.Roots(cloud).block == BLOCK[sampling]
        assert cloud.mirrored == sg.Roots(cloud).mirrored == (2 if sampling == "antithetic" else 1)
