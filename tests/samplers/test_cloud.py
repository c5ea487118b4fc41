"""Clouds of noisy copies."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, BadNoise

ROW = torch.tensor([[[-1.0, 0.5], [0.0, 1.0]], [[10.0, 10.5], [12.0, 11.0]]], dtype=torch.float64)  # (C, H, W)
RANGE = 13.0  # from -1 to 12
SCALED = [sg.Gaussian, sg.Uniform, sg.Laplace]
N = 8000


def query(x: Tensor = ROW[None]) -> Query:
    return Query.of(x, 0)


def noise(sampler: sg.Sampler, x: Tensor = ROW[None], n: int = N) -> Tensor:
    """What is added to the one row, (n, *S)."""
    return sampler.draw(query(x), range(n)).points[:, 0] - x


# --- how much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", SCALED)
@pytest.mark.parametrize(
    ("unit", "scale"),
    [("range", torch.full((2,), RANGE)), ("channel", torch.tensor([2.0, 2.0])), ("absolute", torch.ones(2))],
)
def test_noise_is_the_standard_deviation_in_its_unit(cloud: Any, unit: str, scale: Tensor) -> None:
    e = noise(cloud(0.1, unit=unit), n=4000)
    for channel in range(2):
        values = e[:, channel].flatten()
        assert float(values.std()) == pytest.approx(0.1 * float(scale[channel]), rel=0.03)
        assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize(
    ("cloud", "law"),
    [
        (sg.Gaussian, stats.norm()),
        (sg.Uniform, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
        (sg.Laplace, stats.laplace(scale=1 / math.sqrt(2))),
    ],
)
def test_each_cloud_has_its_law(cloud: Any, law: Any) -> None:
    assert law.var() == pytest.approx(1)
    assert stats.kstest(noise(cloud(1.0, unit="absolute"), n=2000).flatten().numpy(), law.cdf).pvalue > 1e-3
    for sampling in ("antithetic", "sobol", "stratified"):  # evenly spread: nearer to the law than chance
        e = noise(cloud(1.0, 2000, "absolute", sampling), n=2000).flatten()
        assert stats.kstest(e.numpy(), law.cdf).pvalue > 1e-3
        assert float(e.var()) == pytest.approx(1, rel=0.06)


@pytest.mark.parametrize("cloud", SCALED)
def test_the_range_is_that_of_the_input_also_along_a_path(cloud: Any) -> None:
    asked = query()
    half = replace(asked, x=asked.x / 2)
    sampler = cloud(0.1)
    torch.testing.assert_close(
        sampler.draw(half, range(3)).points - half.x, sampler.draw(asked, range(3)).points - asked.x
    )


def test_each_row_has_its_own_range() -> None:
    x = torch.stack([ROW, 100 * ROW])
    e = sg.Gaussian(0.1).draw(query(x), range(2000)).points - x
    assert float(e[:, 1].std() / e[:, 0].std()) == pytest.approx(100, rel=0.05)


def test_multiplicative_noise_is_in_proportion_and_zeros_stay() -> None:
    e = noise(sg.Multiplicative(0.2), n=4000)
    torch.testing.assert_close(e.std(0), 0.2 * ROW.abs(), rtol=0.06, atol=0)
    assert not e[:, 0, 1, 0].any()


def test_salt_and_pepper_puts_the_largest_and_the_smallest_at_the_given_rate() -> None:
    points = sg.SaltAndPepper(0.3).draw(query(), range(N)).points[:, 0]
    middle = points[:, 0, 0, 1]  # 0.5, neither the largest nor the smallest
    for value, share in ((0.5, 0.7), (-1.0, 0.15), (12.0, 0.15)):
        assert float((middle == value).double().mean()) == pytest.approx(share, abs=0.017)
    assert set(middle.unique().tolist()) == {-1.0, 0.5, 12.0}


def test_dropout_puts_zeros_at_the_given_rate_and_keeps_the_rest() -> None:
    points = sg.Dropout(0.3).draw(query(), range(N)).points[:, 0]
    assert float((points[:, 1] == 0).double().mean()) == pytest.approx(0.3, abs=0.017)
    assert bool(((points == 0) | (points == ROW)).all())


@pytest.mark.parametrize("cloud", [sg.SaltAndPepper, sg.Dropout])
def test_probabilities_of_none_and_all(cloud: Any) -> None:
    assert not noise(cloud(0.0), n=50).any()
    everything = cloud(1.0).draw(query(), range(50)).points
    assert not (everything == 0.5).any()


@pytest.mark.parametrize("cloud", [*SCALED, sg.Multiplicative])
def test_no_noise_is_the_input(cloud: Any) -> None:
    assert not noise(cloud(0.0), n=3).any()


# --- which draws ------------------------------------------------------------------------------------------------------

CLOUDS: list[Any] = [
    *(cloud(0.2) for cloud in (*SCALED, sg.Multiplicative, sg.SaltAndPepper, sg.Dropout)),
    *(
        cloud(0.2, 48, sampling=sampling)
        for cloud in (*SCALED, sg.Multiplicative)
        for sampling in ("antithetic", "sobol", "stratified")
    ),
    sg.Roots(sg.Gaussian(0.2)),
]
CLOUD = pytest.mark.parametrize("cloud", CLOUDS, ids=repr)


@CLOUD
@given(start=st.integers(0, 1000), count=st.integers(1, 5))
def test_a_draw_depends_on_its_number_alone(cloud: sg.Sampler, start: int, count: int) -> None:
    asked = query(torch.stack([ROW, ROW + 1]))
    several = cloud.draw(asked, range(start, start + count))
    assert several.points.shape == (count, 2, *ROW.shape)
    assert several.points.dtype == torch.float64
    assert several.weight.tolist() == [1.0] * count
    for k in range(count):
        one = cloud.draw(asked, range(start + k, start + k + 1))
        assert torch.equal(one.points[0], several.points[k])
        if several.direction is not None and one.direction is not None:
            assert torch.equal(one.direction[0], several.direction[k])


@CLOUD
def test_different_draws_and_rows_differ(cloud: sg.Sampler) -> None:
    x = torch.linspace(0.1, 1, 64, dtype=torch.float64).expand(2, 64)
    points = cloud.draw(query(x), range(4)).points.flatten(0, 1)
    assert len(points.unique(dim=0)) == 8


@pytest.mark.parametrize("cloud", [*SCALED, sg.Multiplicative])
@given(start=st.integers(0, 99))
def test_antithetic_pairs_mirror_each_other(cloud: Any, start: int) -> None:
    pair = cloud(0.2, sampling="antithetic")
    points = pair.draw(query(), range(2 * start, 2 * start + 4)).points[:, 0]
    torch.testing.assert_close(points[0] + points[1], 2 * ROW)
    torch.testing.assert_close(points[2] + points[3], 2 * ROW)
    assert not torch.allclose(points[0], points[2])
    assert pair.block == 2


def test_roots_point_from_the_root_to_the_input() -> None:
    draw = sg.Roots(sg.Laplace(0.2)).draw(query(), range(5))
    assert draw.direction is not None
    torch.testing.assert_close(draw.points + draw.direction, ROW.expand(5, 1, *ROW.shape))
    assert torch.equal(draw.points, sg.Laplace(0.2).draw(query(), range(5)).points)


# --- refused ----------------------------------------------------------------------------------------------------------


def prepare(sampler: sg.Sampler, x: Tensor) -> Query:
    return sampler.prepare(nn.Identity(), query(x), Schedule(10))


@pytest.mark.parametrize(
    "sampler", [*(c(0.1) for c in SCALED), sg.SaltAndPepper(0.1), sg.Roots(sg.Gaussian()), sg.NoisyPath()]
)
def test_noise_relative_to_the_range_of_a_constant_row_is_refused(sampler: sg.Sampler) -> None:
    x = torch.stack([ROW, torch.full_like(ROW, 0.25)])
    with pytest.raises(BadNoise, match=r"row 1 of 2 is constant \(every value is 0\.25\).*unit=\"absolute\""):
        sampler.check(query(x))


def test_the_constant_row_is_named_by_its_number_before_any_work() -> None:
    x = torch.stack([ROW] * 4 + [torch.full_like(ROW, 0.25)])
    seen: list[sg.Progress] = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(ROW.numel(), 2)).to(ROW).eval()
    with pytest.raises(BadNoise, match="row 4 of 5 is constant"):
        sg.explain(net, x, method=sg.smoothgrad(), chunk=2, progress=seen.append)
    assert not seen


@pytest.mark.parametrize(
    "sampler",
    [sg.Gaussian(0.0), sg.Gaussian(0.1, unit="absolute"), sg.Multiplicative(), sg.Dropout()],
    ids=["none", "absolute", "multiplicative", "dropout"],
)
def test_a_constant_row_is_fine_where_its_range_is_not_asked_for(sampler: sg.Sampler) -> None:
    assert len(prepare(sampler, torch.full((1, 4), 0.5)))


@pytest.mark.parametrize("cloud", [*SCALED, sg.Multiplicative, sg.SaltAndPepper, sg.Dropout])
@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        ({"noise": -0.1}, BadNoise, r"got -0\.1"),
        ({"noise": float("nan")}, BadNoise, "got nan"),
        ({"noise": float("inf")}, BadNoise, "got inf"),
        ({"samples": 0}, BadMethod, "samples >= 1 or Until"),
        ({"samples": 2.5}, BadMethod, r"got 2\.5"),
        ({"samples": True}, BadMethod, "got True"),
    ],
    ids=["negative", "nan", "inf", "no samples", "half a sample", "a flag"],
)
def test_noise_and_samples_out_of_range_are_refused(
    cloud: Any, given: dict[str, Any], error: type, reason: str
) -> None:
    with pytest.raises(error, match=f"{cloud.__name__}.*{reason}"):
        cloud(**given)


@pytest.mark.parametrize("cloud", [sg.SaltAndPepper, sg.Dropout])
def test_a_probability_above_one_is_refused(cloud: Any) -> None:
    with pytest.raises(BadNoise, match=r"a probability from 0 to 1, got 1\.5"):
        cloud(1.5)


@pytest.mark.parametrize("cloud", SCALED)
def test_an_unknown_unit_is_refused_with_the_nearest(cloud: Any) -> None:
    with pytest.raises(BadMethod, match=f"{cloud.__name__} has no unit 'rang'; did you mean 'range'"):
        cloud(unit="rang")


@pytest.mark.parametrize(
    "wrong",
    [sg.StraightPath(), sg.Roots(sg.Gaussian()), sg.NoisyPath(), sg.DataPaths(ROW[None])],
    ids=lambda w: type(w).__name__,
)
def test_roots_and_noisy_paths_take_clouds(wrong: sg.Sampler) -> None:
    with pytest.raises(BadMethod, match="Roots takes a cloud such as"):
        sg.Roots(wrong)
    with pytest.raises(BadMethod, match="NoisyPath takes a cloud such as"):
        sg.NoisyPath(wrong)
