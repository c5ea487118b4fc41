"""Student's t and Benjamini-Hochberg: against a slow twin, scipy's own, and draws of which it is known where the mean is zero."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.significance import ZeroTest, discoveries, interval, p_values
from tests.truth import Quadratic

NAN = math.nan


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_draws(draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard error and freedom of draws (n, N, *S)."""
    n, rows = draws.shape[:2]
    return draws.mean(0), draws.std(0) / math.sqrt(n), torch.full((rows,), n - 1)


# --- p-values ---------------------------------------------------------------------------------------------------------


def test_p_values_are_those_of_a_t_test() -> None:
    draws = 0.3 + normal(7, 3, 5, 2)
    expected = scipy.stats.ttest_1samp(draws.numpy(), popmean=0).pvalue
    np.testing.assert_allclose(p_values(*of_draws(draws)).numpy(), expected, rtol=1e-10)


def test_each_row_has_its_own_freedom() -> None:
    value, freedom = torch.full((3, 2), 2.0), torch.tensor([1, 5, 1000])
    expected = [2 * scipy.stats.t.sf(2.0, df) for df in (1, 5, 1000)]
    np.testing.assert_allclose(p_values(value, torch.ones(3, 2), freedom)[:, 0].numpy(), expected, rtol=1e-12)


def test_tiny_p_values_are_not_rounded_to_zero() -> None:
    p = float(p_values(torch.tensor([[40.0]]), torch.ones(1, 1), torch.tensor([49])))
    assert p == pytest.approx(2 * scipy.stats.t.sf(40.0, 49), rel=1e-6)
    assert 0 < p < 1e-30


def test_without_an_error_only_zero_is_zero() -> None:
    value, stderr = torch.tensor([[0.0, -0.0, 1e-30, -3.0, NAN, 1.0]]), torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, NAN]])
    p = p_values(value, stderr, torch.tensor([9]))[0]
    assert p[:4].tolist() == [1, 1, 0, 0]
    assert p[4:].isnan().all()


def test_p_values_of_nulls_are_uniform() -> None:
    p = p_values(*of_draws(normal(5, 1, 4000)))
    assert scipy.stats.kstest(p.flatten().numpy(), "uniform").pvalue > 0.01


def test_parts_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"value \(2, 3\), standard error \(3, 2\) and degrees of freedom \(2,\) do not go"
    ):
        p_values(torch.ones(2, 3), torch.ones(3, 2), torch.ones(2))
    with pytest.raises(BadInput, match="one number for each of the N rows"):
        interval(torch.ones(2, 3), torch.ones(2, 3), torch.ones(3), 0.9)


# --- discoveries ------------------------------------------------------------------------------------------------------


def slow_discoveries(p: Sequence[float], fdr: float) -> list[bool]:
    """Benjamini and Hochberg 1995, (1): let k be the largest i for which P_(i) <= i q / m; then reject all H_(i), i <= k."""
    order = sorted(range(len(p)), key=lambda i: 2.0 if math.isnan(p[i]) else p[i])
    k = 0
    for i, place in enumerate(order, start=1):
        if p[place] <= fdr * i / len(p):
            k = i
    return [place in order[:k] for place in range(len(p))]


@given(
    st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.031, 0.05, 0.3, 1.0, NAN]), min_size=1, max_size=12),
    st.sampled_from([0.01, 0.05, 0.2, 0.9]),
)
@example([0.04, 0.04], 0.05)
@example([0.05, 0.001, 0.04, 0.9], 0.06)  # the second is over its own line, and under that of the third
def test_discoveries_are_those_of_the_paper(p: list[float], fdr: float) -> None:
    assert discoveries(torch.tensor([p], dtype=torch.float64), fdr)[0].tolist() == slow_discoveries(p, fdr)


@pytest.mark.parametrize("fdr", [0.001, 0.05, 0.3])
def test_discoveries_are_those_of_scipy(fdr: float) -> None:
    p = normal(4, 3, 50).abs().erfc()
    p[0] /= 100
    expected = np.stack([scipy.stats.false_discovery_control(row.flatten()).reshape(3, 50) <= fdr for row in p.numpy()])
    assert (discoveries(p, fdr).numpy() == expected).all()
    assert expected[0].any()


def test_rows_are_judged_by_themselves() -> None:
    p = torch.tensor([[0.04, 0.9, 0.9, 0.9], [0.04, 0.001, 0.001, 0.001]])
    assert discoveries(p, 0.05).tolist() == [[False] * 4, [True] * 4]
    assert discoveries(torch.zeros(0, 4), 0.05).shape == (0, 4)


@pytest.mark.parametrize("fdr", [0, 1, -0.1, 5, NAN, "0.05", True, None])
def test_a_rate_is_above_0_and_below_1(fdr: object) -> None:
    with pytest.raises(BadMethod, match="above 0 and below 1, such as"):
        discoveries(torch.ones(1, 2), fdr)


def shares(draws: int, *, fdr: float) -> tuple[float, float]:
    """Of 400 maps of 300 normal values, half of them with mean exactly 0: the part of nulls in discoveries, and of others found."""
    truth = torch.cat([torch.zeros(150), torch.full((150,), 0.7)])
    found = discoveries(p_values(*of_draws(truth + normal(draws, 400, 300))), fdr)
    wrong, all_found = found[:, :150].sum(1), found.sum(1)
    return float((wrong / all_found.clamp_min(1)).mean()), float(found[:, 150:].float().mean())


@pytest.mark.parametrize("fdr", [0.05, 0.2])
def test_of_the_discoveries_as_many_are_wrong_as_said(fdr: float) -> None:
    wrong, found = shares(12, fdr=fdr)
    assert wrong == pytest.approx(fdr / 2, rel=0.15)  # fdr times the share of nulls; the mean of 400 maps
    assert found > 0.1


def test_more_draws_find_more() -> None:
    few, some, many = (shares(draws, fdr=0.05)[1] for draws in (6, 12, 40))
    assert few < some < many
    assert many > 0.95


def test_where_all_is_chance_discoveries_are_rare() -> None:
    found = discoveries(p_values(*of_draws(normal(6, 1000, 50))), 0.05)
    assert float(found.any(1).double().mean()) == pytest.approx(0.05, abs=0.02)


def test_a_zero_test_is_that_of_its_row() -> None:
    value, stderr, freedom = of_draws(0.5 + normal(10, 2, 3, 4))
    test = ZeroTest(value[1], stderr[1], float(freedom[1]))
    assert torch.equal(test.p, p_values(value, stderr, freedom)[1])
    assert torch.equal(test.differs(0.2), discoveries(p_values(value, stderr, freedom), 0.2)[1])
    assert test.p is test.p  # computed once


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_intervals_are_those_of_student_and_cover_the_truth(confidence: float) -> None:
    value, stderr, freedom = of_draws(2 + normal(4, 3, 4000))
    low, high = interval(value, stderr, freedom, confidence)
    expected = scipy.stats.t.interval(confidence, 3, loc=value.numpy(), scale=stderr.numpy())
    np.testing.assert_allclose(np.stack([low.numpy(), high.numpy()]), np.stack(expected), rtol=1e-10)
    assert float(((low <= 2) & (high >= 2)).double().mean()) == pytest.approx(confidence, abs=0.015)


@pytest.mark.parametrize("confidence", [0, 1, 95, NAN, "0.9", True])
def test_a_confidence_is_above_0_and_below_1(confidence: object) -> None:
    with pytest.raises(BadMethod, match="above 0 and below 1, such as"):
        interval(torch.ones(1, 2), torch.ones(1, 2), torch.ones(1), confidence)


# --- through explain --------------------------------------------------------------------------------------------------


def half_flat(sampling: str, draws: int) -> tuple[sg.Attribution, Tensor]:
    """SmoothGrad of x'Ax / 2, whose mean is Ax, at an x where half of Ax is 0: 300 rows with noise of their own."""
    root = normal(16, 16, seed=1)
    a = root @ root.T / 16 + torch.eye(16, dtype=torch.float64)
    mean = torch.cat([torch.zeros(8), torch.full((8,), 0.4)]).double()
    x = torch.linalg.solve(a, mean).expand(300, 16)
    method = sg.smoothgrad(0.3, draws, unit="absolute", sampling=sampling)
    return sg.explain(Quadratic(a), x, method=method, target=0), mean


@pytest.mark.parametrize("sampling", ["independent", "stratified"])
def test_what_is_said_to_differ_from_zero_does(sampling: str) -> None:
    result, mean = half_flat(sampling, 64)
    found = result.significant(fdr=0.1)
    assert found.dtype == torch.bool
    assert found.shape == result.maps.shape
    wrong = found[:, mean == 0].sum(1) / found.sum(1).clamp_min(1)
    assert 0.02 < float(wrong.mean()) < 0.1 * 0.5 + 0.02  # at most fdr x share of nulls, and the error of 300 maps
    assert found[:, mean != 0].double().mean() > 0.5
    low, high = result.interval(0.9)
    assert float(((low <= mean) & (mean <= high)).double().mean()) == pytest.approx(0.9, abs=0.02)


def test_rows_keep_their_discoveries_alone() -> None:
    result, _ = half_flat("independent", 16)
    assert torch.equal(result[3:5].significant(), result.significant()[3:5])


LINEAR = torch.nn.Linear(4, 2).eval()
X = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))


def explained(method: sg.Explainer) -> sg.Attribution:
    return sg.explain(LINEAR, X, method=method, target=0)


TOGETHER = sg.Gradient().over(sg.Gaussian(samples=5), sg.Together(sg.Mean(), sg.Variance()))
UNTESTED: dict[str, tuple[Callable[[], sg.Attribution], str]] = {
    "no chance": (lambda: explained(sg.gradient()), r"Gradient\(\) gives no standard error.*such as smoothgrad\(\)"),
    "a path": (lambda: explained(sg.integrated_gradients(steps=4)), "gives no standard error"),
    "one draw": (lambda: explained(sg.smoothgrad(samples=1)), "gives no standard error"),
    "two draws": (
        lambda: explained(sg.smoothgrad(samples=2)),
        "^2 independent blocks of draws are too few.* 3 or more",
    ),
    "two pairs": (lambda: explained(sg.smoothgrad(samples=4, sampling="antithetic")), "^2 independent blocks"),
    "a variance": (lambda: explained(sg.vargrad(samples=9)), "can never be negative"),
    "squares": (lambda: explained(sg.smoothgrad_squared(samples=9)), "can never be negative"),
    "several maps": (lambda: explained(TOGETHER), r"several maps per row; take one of .parts\(\)"),
    "an older file": (
        lambda: dataclasses.replace(explained(sg.smoothgrad(samples=9)), freedom=None),
        "how many independent blocks",
    ),
}


@pytest.mark.parametrize(("make", "said"), UNTESTED.values(), ids=UNTESTED)
def test_maps_that_cannot_be_tested_are_refused_with_the_reason(make: Callable[[], sg.Attribution], said: str) -> None:
    with pytest.raises(BadMethod, match=said):
        make().significant()


def test_an_interval_needs_an_error_but_no_sign() -> None:
    low, high = explained(sg.vargrad(samples=9)).interval()
    assert (low <= high).all()
    assert explained(sg.smoothgrad(samples=2)).interval()[0].shape == X.shape
    with pytest.raises(BadMethod, match="gives no standard error"):
        explained(sg.gradient()).interval()


def test_a_rate_that_means_nothing_is_told_before_all_else() -> None:
    with pytest.raises(BadMethod, match="false-discovery rate is 5;"):
        explained(sg.gradient()).significant(fdr=5)
