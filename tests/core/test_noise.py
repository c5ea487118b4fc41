"""Noise that depends on key and draw number alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from smoothgrad.core import noise
from smoothgrad.core.noise import Fill, mix, normal, salted, uniform

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)
SHAPES = st.lists(st.integers(1, 5), max_size=3).map(torch.Size)
PINNED = [-1.02746, 0.136221, 1.161157, 1.330269]
FILLS = pytest.mark.parametrize("fill", [normal, uniform])


@FILLS
@given(keys=KEYS, start=st.integers(0, 10**9), count=st.integers(1, 4), shape=SHAPES)
def test_a_draw_of_a_key_is_the_same_in_any_company(
    fill: Fill, keys: list[int], start: int, count: int, shape: torch.Size
) -> None:
    numbers = fill(torch.tensor(keys), range(start, start + count), shape)
    assert numbers.shape == (count, len(keys), *shape)
    for j in range(count):
        for i, key in enumerate(keys):
            alone = fill(torch.tensor([key]), range(start + j, start + j + 1), shape)
            assert torch.equal(numbers[j, i], alone[0, 0])


def test_normal_numbers_are_standard_normal() -> None:
    numbers = normal(torch.arange(40), range(50), torch.Size([7])).flatten()
    assert stats.kstest(numbers.numpy(), "norm").pvalue > 1e-3
    assert abs(float(numbers.mean())) < 4 / len(numbers) ** 0.5
    assert float(numbers.var()) == pytest.approx(1, abs=0.05)


def test_uniform_numbers_are_uniform() -> None:
    numbers = uniform(torch.arange(40), range(50), torch.Size([7])).flatten()
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("keys", "draws"), [(torch.arange(60), range(1)), (torch.tensor([5]), range(60))], ids=["keys", "draws"]
)
def test_near_keys_and_near_draws_are_unrelated(keys: Tensor, draws: range) -> None:
    numbers = normal(keys, draws, torch.Size([500])).flatten(0, 1)
    correlation = torch.corrcoef(numbers) - torch.eye(60)
    # 1770 correlations of 500 pairs each, of standard deviation 0.045
    assert float(correlation.abs().max()) < 0.18
    assert float(correlation.square().mean()) == pytest.approx(1 / 500, rel=0.15)


def test_the_first_number_of_consecutive_keys_is_uniform() -> None:
    first = uniform(torch.arange(3000), range(1), torch.Size([1])).flatten()
    assert stats.kstest(first.numpy(), "uniform").pvalue > 1e-3


def test_no_two_of_many_draws_are_equal() -> None:
    assert len(normal(torch.arange(3), range(1500), torch.Size([4])).flatten(0, 1).unique(dim=0)) == 4500


def test_hashes_do_not_collide_on_a_grid() -> None:
    side = torch.arange(-400, 400)
    hashes = mix(side[:, None].expand(800, 800).flatten(), side[None].expand(800, 800).flatten())
    assert len(hashes.unique()) == 800 * 800


def test_one_bit_of_the_input_turns_half_of_the_output() -> None:
    a, b = torch.arange(200), torch.arange(200) + 7
    for bit in range(63):
        for changed in (mix(a ^ (1 << bit), b), mix(a, b ^ (1 << bit))):
            turned = changed ^ mix(a, b)
            share = sum(((turned >> place) & 1).sum() for place in range(64)) / (200 * 64)
            assert 0.45 < float(share) < 0.55


@given(a=st.integers(-(2**63), 2**63 - 1), b=st.integers(-(2**63), 2**63 - 1))
def test_the_hash_is_that_of_64_bit_integers(a: int, b: int) -> None:
    mask = (1 << 64) - 1

    def scramble(z: int) -> int:  # SplitMix64's finaliser, in Python's unbounded integers
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    expected = scramble(scramble((a + 0x9E3779B97F4A7C15) & mask) ^ (b & mask))
    assert int(mix(torch.tensor([a]), torch.tensor([b]))) & mask == expected


def test_salts_give_numbers_of_their_own() -> None:
    keys = torch.arange(100)
    salted_keys = torch.cat([keys, salted(keys, "place"), salted(keys, "data"), salted(keys, "baseline")])
    assert len(salted_keys.unique()) == 400
    assert torch.equal(salted(keys, "data"), salted(keys, "data"))


@FILLS
def test_the_global_generator_is_neither_read_nor_moved(fill: Fill) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = fill(torch.tensor([1]), range(3), torch.Size([4]))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(fill(torch.tensor([1]), range(3), torch.Size([4])), first)


def splitmix(key: int, draw: int, place: int) -> int:
    """The 64 random bits of a pair of numbers, in Python's unbounded integers."""
    mask = (1 << 64) - 1
    seed = int(mix(torch.tensor([key]), torch.tensor([-1 - draw]))) & mask
    z = (seed + (place + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_numbers_are_box_mullers_of_the_hash(size: int) -> None:
    pairs = -(-size // 2)
    slow_normal, slow_uniform = [], []
    for half in (0, 1):
        for place in range(pairs):
            bits = splitmix(9, 4, place)
            high, low = (bits >> 40) / 2**24, (bits & 0xFFFFFF) / 2**24
            radius = math.sqrt(-2 * math.log(high + 2**-25))
            slow_normal.append(radius * (math.sin, math.cos)[half == 0](2 * math.pi * low))
            slow_uniform.append((high, low)[half])
    shape = torch.Size([size])
    assert torch.allclose(
        normal(torch.tensor([9]), range(4, 5), shape)[0, 0], torch.tensor(slow_normal)[:size], atol=2e-6
    )
    assert torch.equal(uniform(torch.tensor([9]), range(4, 5), shape)[0, 0], torch.tensor(slow_uniform)[:size])


@FILLS
@pytest.mark.parametrize("tile", [1, 6, 64, 1 << 20])
def test_tiles_do_not_change_the_numbers(fill: Fill, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fill(torch.arange(3), range(2), torch.Size([5, 7]))
    monkeypatch.setattr(noise, "TILE", tile)
    assert torch.allclose(fill(torch.arange(3), range(2), torch.Size([5, 7])), expected, atol=1e-6)


@FILLS
def test_a_row_of_nothing_is_empty(fill: Fill) -> None:
    assert fill(torch.arange(3), range(2), torch.Size([0, 4])).shape == (2, 3, 0, 4)


def test_the_numbers_of_a_seed_stay_those_of_a_seed() -> None:
    """Pinned: maps of one version are those of the next."""
    numbers = normal(torch.tensor([1]), range(1), torch.Size([4]))[0, 0]
    assert numbers.tolist() == pytest.approx(PINNED, abs=1e-6)


def test_far_from_the_middle_the_numbers_are_normal_too() -> None:
    numbers = normal(torch.arange(64), range(64), torch.Size([512])).flatten()
    for beyond in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(beyond) * len(numbers)
        assert abs(int((numbers.abs() > beyond).sum()) - expected) < 4.5 * math.sqrt(expected)
    assert numbers.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@FILLS
def test_a_gpu_draws_the_same_numbers(fill: Fill) -> None:
    there = fill(torch.arange(3), range(2), torch.Size([5, 7]), device=torch.device("cuda"))
    assert there.is_cuda
    assert torch.allclose(there.cpu(), fill(torch.arange(3), range(2), torch.Size([5, 7])), atol=1e-5)
