"""Complexity: closed forms and slow twins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.complexity import ROWS, ZERO, EffectiveSize, Entropy, Gini, TotalVariation
from smoothgrad.measure.measure import Measure

ALL: list[Measure] = [entry.make() for entry in ROWS]
EVERY = pytest.mark.parametrize("measure", ALL, ids=repr)
MAPS = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def said(measure: Measure, maps: Tensor) -> Judged:
    case = Case(nn.Identity(), Query.of(torch.zeros_like(maps), 0), maps, Schedule(4))
    measure.admit(case)
    return measure.judge(case)


def score(measure: Measure, maps: Tensor) -> list[float]:
    found = said(measure, maps)
    assert not any(found.reasons), found.reasons
    assert found.value.dtype == torch.float64
    return found.value.tolist()


def one_hot(height: int = 6, width: int = 5, at: tuple[int, int] = (2, 2)) -> Tensor:
    maps = torch.zeros(1, 1, height, width)
    maps[0, 0, at[0], at[1]] = -0.3
    return maps


def test_a_uniform_map() -> None:
    uniform = torch.full((1, 2, 6, 5), -0.2)
    assert score(Entropy(), uniform) == pytest.approx([math.log(30)])
    assert score(Gini(), uniform) == [0.0]
    assert all(score(Gini(), torch.full((1, places), 0.3))[0] >= 0 for places in range(1, 60))
    assert score(EffectiveSize(), uniform) == pytest.approx([30.0])
    assert score(TotalVariation(), uniform) == [0.0]


def test_a_single_place() -> None:
    assert score(Entropy(), one_hot()) == [0.0]
    assert score(Gini(), one_hot()) == pytest.approx([1 - 1 / 30])
    assert score(EffectiveSize(), one_hot()) == pytest.approx([1.0])
    assert score(TotalVariation(), one_hot()) == pytest.approx([4.0])
    assert score(TotalVariation(), one_hot(at=(0, 2))) == pytest.approx([3.0])
    assert score(TotalVariation(), one_hot(at=(5, 4))) == pytest.approx([2.0])


def test_the_same_at_m_places_of_any_sign() -> None:
    maps = torch.zeros(1, 1, 4, 5)
    maps[0, 0, 1, :3], maps[0, 0, 2, :4] = 2.0, -2.0
    assert score(EffectiveSize(), maps) == pytest.approx([7.0])
    assert score(Entropy(), maps) == pytest.approx([math.log(7)])
    assert score(Gini(), maps) == pytest.approx([1 - 7 / 20])


def test_a_chessboard_of_both_signs_is_the_roughest() -> None:
    board = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8))
    # 2 * 8 * 7 pairs of neighbours, each 2 apart, over 64.
    assert score(TotalVariation(), board[None, None]) == pytest.approx([2 * 8 * 7 * 2 / 64])
    slope = torch.arange(5.0).view(1, 1, 5).expand(1, 1, 5)
    assert score(TotalVariation(), slope) == pytest.approx([4 / 10])


def slow(measure: Measure, map_: Tensor) -> float:
    """Of one picture (C, H, W), a place at a time."""
    v = [[math.fsum(map_[:, i, j].tolist()) for j in range(map_.shape[2])] for i in range(map_.shape[1])]
    flat: list[float] = [abs(value) for line in v for value in line]
    total, count = math.fsum(flat), len(flat)
    if isinstance(measure, Entropy):
        return -sum(a / total * math.log(a / total) for a in flat)
    if isinstance(measure, Gini):  # half the mean difference of two places, over the mean
        return sum(abs(a - b) for a in flat for b in flat) / count**2 / 2 / (total / count)
    if isinstance(measure, EffectiveSize):
        return total**2 / sum(a * a for a in flat)
    rough = 0.0
    for i in range(len(v)):
        for j in range(len(v[0])):
            rough += abs(v[i][j] - v[i - 1][j]) if i else 0.0
            rough += abs(v[i][j] - v[i][j - 1]) if j else 0.0
    return rough / total


@EVERY
def test_it_is_the_definition_written_out_whatever_the_scale(measure: Measure) -> None:
    expected = [slow(measure, map_) for map_ in MAPS]
    for factor in (1.0, -3.0, 5e306, 1e-200):
        assert score(measure, factor * MAPS) == pytest.approx(expected)


@EVERY
def test_sparser_maps_are_simpler_and_noise_is_rougher(measure: Measure) -> None:
    noise = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    spot = torch.exp(-((torch.arange(16) - 8.0) ** 2)[:, None] / 8 - (torch.arange(16) - 8.0) ** 2 / 8)[None, None]
    simple, complex_ = score(measure, spot)[0], score(measure, noise)[0]
    assert simple > complex_ if measure == Gini() else simple < complex_


@pytest.mark.parametrize("shape", [(12,), (2, 9), (2, 2, 3, 4)])
@EVERY
def test_rows_of_all_shapes(measure: Measure, shape: tuple[int, ...]) -> None:
    maps = torch.ones(2, *shape)
    if len(shape) == 1 and measure == TotalVariation():
        with pytest.raises(BadInput, match="compares neighbours, and rows of features"):
            said(measure, maps)
        return
    total = math.prod(shape if len(shape) == 1 else shape[1:])
    expected: dict[Measure, float] = {
        Entropy(): math.log(total),
        Gini(): 0.0,
        EffectiveSize(): total,
        TotalVariation(): 0.0,
    }
    assert score(measure, maps) == pytest.approx([expected[measure]] * 2, abs=1e-9)


@EVERY
def test_a_zero_map_has_no_score_and_the_others_do(measure: Measure) -> None:
    maps = MAPS.clone()
    maps[1] = 0
    maps[2, 1:] = 0
    maps[2, 1] = -maps[2, 0]  # channels that cancel: nothing is said of any place
    found = said(measure, maps)
    assert found.value.isnan().tolist() == [False, True, True, False]
    assert found.reasons == ("", ZERO, ZERO, "")
    assert found.value[3] == said(measure, maps[[3]]).value[0]
    assert measure.better == "neither"
