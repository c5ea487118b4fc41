"""Paths from a baseline to the input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadBaseline, BadMethod
from smoothgrad.samplers.spread import Sampling
from tests.nets import small_net

ROWS = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
DATA = torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LOW, HIGH = sg.Given(DATA[0]), sg.Given(DATA[1])


def drawn(sampler: Sampler, draws: range, x: Tensor = ROWS, seed: int = 0) -> Draw:
    asked = sampler.prepare(nn.Identity(), Query.of(x, 0, seed=seed), Schedule(10))
    return sampler.draw(asked, draws)


def places(draw: Draw) -> Tensor:
    """a_k of each row from points b + a (x - b) with direction x - b, (k, N); b = 0."""
    assert draw.direction is not None
    return (draw.points / draw.direction).flatten(2)[..., 0]


PATHS: list[Sampler] = [
    sg.StraightPath(sg.Several(LOW, HIGH), 20),
    sg.NoisyPath(sg.Gaussian(0.1, 40), sg.Several(LOW, HIGH)),
    sg.NoisyPath(sg.Gaussian(0.1, 40, sampling="antithetic"), sg.Several(LOW, HIGH)),
    sg.NoisyPath(sg.Gaussian(0.1, 48, sampling="sobol"), sg.Several(LOW, HIGH, LOW)),
    sg.NoisyPath(sg.Gaussian(0.1, 40, sampling="stratified"), sg.Several(LOW, HIGH)),
    sg.DataPaths(DATA, 40),
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
@given(start=st.integers(0, 35), count=st.integers(1, 5))
def test_a_draw_depends_on_its_number_alone(path: Sampler, start: int, count: int) -> None:
    several = drawn(path, range(start, start + count))
    assert several.direction is not None
    assert several.points.shape == several.direction.shape == (count, *ROWS.shape)
    for k in range(count):
        one = drawn(path, range(start + k, start + k + 1))
        assert one.direction is not None
        assert torch.equal(one.points[0], several.points[k])
        assert torch.equal(one.direction[0], several.direction[k])
        assert float(one.weight[0]) == float(several.weight[k])


# --- straight ---------------------------------------------------------------------------------------------------------


def test_the_trapezoid_path_starts_at_the_baseline_and_ends_at_the_input() -> None:
    draw = drawn(sg.StraightPath(LOW, 5, "trapezoid"), range(5))
    torch.testing.assert_close(draw.points[0], DATA[:1].expand_as(ROWS))
    torch.testing.assert_close(draw.points[-1], ROWS)
    torch.testing.assert_close(draw.points[2], (DATA[:1] + ROWS) / 2)
    assert draw.direction is not None
    torch.testing.assert_close(draw.direction, (ROWS - DATA[:1]).expand(5, -1, -1, -1))


def test_each_of_several_baselines_has_a_path_of_its_own() -> None:
    path = sg.StraightPath(sg.Several(LOW, HIGH), 4)
    draw = drawn(path, range(8))
    assert path.count == 8
    assert float(draw.weight.sum()) == pytest.approx(1)
    assert draw.direction is not None
    torch.testing.assert_close(draw.direction[:4], (ROWS - DATA[0]).expand(4, -1, -1, -1))
    torch.testing.assert_close(draw.direction[4:], (ROWS - DATA[1]).expand(4, -1, -1, -1))
    torch.testing.assert_close(drawn(sg.StraightPath(HIGH, 4), range(4)).points, draw.points[4:])


def test_a_path_that_was_not_prepared_does_not_draw() -> None:
    with pytest.raises(BadMethod, match=r"only from a query that its prepare\(\) has given a baseline"):
        sg.StraightPath().draw(Query.of(ROWS, 0), range(1))


def test_a_path_ends_where_the_model_is_asked_not_at_the_origin() -> None:
    asked = replace(Query.of(ROWS, 0), x=ROWS + 5)
    path = sg.StraightPath(sg.Zero(), 3, "right")
    draw = path.draw(path.prepare(nn.Identity(), asked, Schedule(10)), range(3))
    torch.testing.assert_close(draw.points[-1], ROWS + 5)


# --- noisy ------------------------------------------------------------------------------------------------------------


def test_noisy_paths_end_at_the_clouds_points() -> None:
    cloud = sg.Gaussian(0.2, 8)
    draw, ends = drawn(sg.NoisyPath(cloud, LOW), range(8)), drawn(cloud, range(8)).points
    assert draw.direction is not None
    torch.testing.assert_close(draw.direction, ends - DATA[0])
    a = (draw.points - DATA[0]) / draw.direction
    assert bool((a.flatten(2).std(-1) < 1e-9).all()), "one place on the path for all values of a row"
    assert 0 <= float(a.min()) <= float(a.max()) < 1


@pytest.mark.parametrize("n", [10, 37, 100])
def test_places_fill_the_path_evenly_whenever_one_stops(n: int) -> None:
    a = places(drawn(sg.NoisyPath(sg.Gaussian(0.1, 100)), range(n))).sort(0).values
    # Largest gap: for multiples of the golden ratio at most about 2.62 / n, for random places about log(n) / n.
    gaps = torch.cat([a[1:] - a[:-1], a[:1] + 1 - a[-1:]])
    assert float(gaps.max()) < 2.7 / n


def test_places_are_shifted_at_random_by_row_and_seed() -> None:
    first = torch.cat([places(drawn(sg.NoisyPath(), range(1), seed=seed)) for seed in range(40)]).flatten()
    assert len(first.unique()) == 80
    assert float(first.mean()) == pytest.approx(0.5, abs=0.15)


def test_antithetic_partners_share_their_place_and_their_baseline() -> None:
    path = sg.NoisyPath(sg.Gaussian(0.1, 8, sampling="antithetic"), sg.Several(LOW, HIGH))
    draw = drawn(path, range(8))
    assert draw.direction is not None
    for pair in range(4):
        b = DATA[pair % 2]
        torch.testing.assert_close(draw.direction[2 * pair] + draw.direction[2 * pair + 1], 2 * (ROWS - b))
        a = [((draw.points[k] - b) / draw.direction[k]).flatten(1)[:, 0] for k in (2 * pair, 2 * pair + 1)]
        torch.testing.assert_close(a[0], a[1])


@pytest.mark.parametrize("sampling", ["sobol", "stratified"])
def test_the_eight_of_a_block_are_spread_over_the_path_and_the_baselines(sampling: Sampling) -> None:
    plain = sg.NoisyPath(sg.Gaussian(0.1, 8), LOW)
    even = sg.NoisyPath(sg.Gaussian(0.1, 8, sampling=sampling), LOW)
    one, other = drawn(plain, range(8)), drawn(even, range(8))
    for draw in (one, other):
        assert draw.direction is not None
    places = [((d.points - DATA[0]) / d.direction).flatten(2)[..., 0] for d in (one, other) if d.direction is not None]
    torch.testing.assert_close(*places)
    turns = drawn(sg.NoisyPath(sg.Gaussian(0.1, 8, sampling=sampling), sg.Several(LOW, HIGH)), range(8))
    ends = drawn(sg.Gaussian(0.1, 8, sampling=sampling), range(8)).points
    assert turns.direction is not None
    for k in range(8):
        torch.testing.assert_close(ends[k] - turns.direction[k], DATA[k % 2].expand_as(ROWS))


@pytest.mark.parametrize(
    ("sampling", "baselines", "block"),
    [
        ("independent", 1, 1),
        ("independent", 3, 3),
        ("antithetic", 1, 2),
        ("antithetic", 2, 4),
        ("antithetic", 3, 6),
        ("sobol", 1, 8),
        ("sobol", 2, 8),
        ("stratified", 3, 24),
        ("stratified", 4, 8),
    ],
)
def test_a_block_is_whole_rounds_of_baselines_and_whole_blocks_of_noise(
    sampling: Sampling, baselines: int, block: int
) -> None:
    several = sg.Several(*[LOW] * baselines)
    assert sg.NoisyPath(sg.Gaussian(0.1, 24, sampling=sampling), several).block == block
    if block > 8:
        with pytest.raises(BadMethod, match=r"takes rounds of 24 draws.*32 is no multiple: take 48 samples"):
            sg.NoisyPath(sg.Gaussian(0.1, 32, sampling=sampling), several)


def test_several_baselines_take_turns() -> None:
    ends = drawn(sg.Gaussian(0.1, 6), range(6)).points
    draw = drawn(sg.NoisyPath(sg.Gaussian(0.1, 6), sg.Several(LOW, HIGH)), range(6))
    assert draw.direction is not None
    for k in range(6):
        torch.testing.assert_close(ends[k] - draw.direction[k], DATA[k % 2].expand_as(ROWS))


# --- from data --------------------------------------------------------------------------------------------------------


def test_data_paths_start_at_rows_of_the_data_equally_often() -> None:
    draw = drawn(sg.DataPaths(DATA, 3000), range(3000))
    assert draw.direction is not None
    starts = ROWS - draw.direction
    nearest = (starts[:, :, None] - DATA).flatten(3).abs().amax(-1)  # (k, N, M)
    assert float(nearest.amin(-1).max()) < 1e-12
    counts = nearest.argmin(-1).flatten().bincount(minlength=6).double() / 6000
    torch.testing.assert_close(counts, torch.full((6,), 1 / 6, dtype=torch.float64), rtol=0, atol=0.02)
    a = ((draw.points - starts) / draw.direction).flatten(2)[..., 0]
    assert float(a.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(a.var()) == pytest.approx(1 / 12, rel=0.05)


@pytest.mark.parametrize("data", [torch.zeros(5, 3, 5), torch.zeros(0, 3, 4), torch.zeros(3, 4)])
def test_data_of_another_shape_is_refused(data: Tensor) -> None:
    with pytest.raises(
        BadBaseline, match=r"the data has shape .*, input rows have shape \(3, 4\); pass data of shape \(M, 3, 4\)"
    ):
        sg.DataPaths(data).check(Query.of(ROWS, 0))


def test_samples_out_of_range_are_refused() -> None:
    with pytest.raises(BadMethod, match="DataPaths needs samples >= 1"):
        sg.DataPaths(DATA, 0)


def test_paths_from_a_random_baseline_do_not_say_how_seeds_agree() -> None:
    """Both halves share the baseline, and a fresh seed would draw another."""
    data, x = torch.rand(20, 3, 8, 8), torch.rand(1, 3, 8, 8)
    for baseline in (sg.FromData(data, samples=2), sg.Noise(), sg.Several(sg.Zero(), sg.Noise())):
        method = sg.smooth_integrated_gradients(samples=16, baseline=baseline)
        assert sg.explain(small_net(), x, method=method).reproducibility is None
    method = sg.smooth_integrated_gradients(samples=16)
    assert sg.explain(small_net(), x, method=method).reproducibility is not None
