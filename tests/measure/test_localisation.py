"""Localisation: closed forms, slow twins, and what stands at both ends."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.localisation import (
    EMPTY,
    FULL,
    ROWS,
    EnergyInside,
    LocalisationAuc,
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    TopK,
)
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import CONSTANT

ALL: list[Measure] = [entry.make() for entry in ROWS]
EVERY = pytest.mark.parametrize("measure", ALL, ids=repr)
H, W = 5, 6
SEEDED = torch.Generator().manual_seed(0)
MAPS = torch.randn(7, 2, H, W, generator=SEEDED, dtype=torch.float64)
REGIONS = torch.rand(7, H, W, generator=SEEDED) < 0.4


def said(measure: Measure, maps: Tensor, regions: Tensor, keys: list[int] | None = None) -> Judged:
    query = Query.of(torch.zeros_like(maps), 0, keys=None if keys is None else torch.tensor(keys))
    case = Case(nn.Identity(), query, maps, Schedule(4), regions=regions)
    measure.admit(case)
    return measure.judge(case)


def score(measure: Measure, maps: Tensor, regions: Tensor) -> list[float]:
    found = said(measure, maps, regions)
    assert found.value.dtype == torch.float64
    assert found.value.shape == (len(maps),)
    assert not any(found.reasons), found.reasons
    return found.value.tolist()


# --- slow twins: one row, one place at a time -------------------------------------------------------------------------


def pixels(map_: Tensor) -> dict[tuple[int, int], float]:
    return {(i, j): float(map_[:, i, j].sum()) for i in range(map_.shape[1]) for j in range(map_.shape[2])}


def slow_pointing(map_: Tensor, region: Tensor, tolerance: float = 0.0) -> float:
    v = pixels(map_)
    peak = max(v, key=lambda place: v[place])
    return float(any(region[place] and math.dist(place, peak) <= tolerance for place in v))


def slow_energy(map_: Tensor, region: Tensor) -> float:
    v = pixels(map_)
    return sum(max(v[p], 0.0) for p in v if region[p]) / sum(max(value, 0.0) for value in v.values())


def slow_mass(map_: Tensor, region: Tensor) -> float:
    m = {(i, j): sum(float(c) ** 2 for c in map_[:, i, j]) for i in range(H) for j in range(W)}
    return sum(m[p] for p in m if region[p]) / sum(m.values())


def slow_top(map_: Tensor, region: Tensor, k: int) -> float:
    v = pixels(map_)
    return sum(bool(region[p]) for p in sorted(v, key=lambda p: -v[p])[:k]) / k


def slow_auc(map_: Tensor, region: Tensor) -> float:
    v = pixels(map_)
    inside, outside = [v[p] for p in v if region[p]], [v[p] for p in v if not region[p]]
    wins = sum((a > b) + 0.5 * (a == b) for a, b in itertools.product(inside, outside))
    return wins / len(inside) / len(outside)


@pytest.mark.parametrize(
    ("measure", "slow"),
    [
        (PointingGame(), slow_pointing),
        (PointingGame(1.0), lambda m, r: slow_pointing(m, r, 1.0)),
        (PointingGame(1.5), lambda m, r: slow_pointing(m, r, 1.5)),
        (EnergyInside(), slow_energy),
        (RelevanceMass(), slow_mass),
        (RelevanceRank(), lambda m, r: slow_top(m, r, int(r.sum()))),
        (TopK(0.2), lambda m, r: slow_top(m, r, 6)),
        (TopK(), lambda m, r: slow_top(m, r, 1)),
        (LocalisationAuc(), slow_auc),
    ],
    ids=lambda part: repr(part) if isinstance(part, Measure) else "",
)
def test_it_is_the_definition_written_out(measure: Measure, slow: object) -> None:
    assert callable(slow)
    expected = [slow(map_, region) for map_, region in zip(MAPS, REGIONS, strict=True)]
    assert score(measure, MAPS, REGIONS) == pytest.approx(expected)
    assert score(measure, 1e200 * MAPS, REGIONS) == pytest.approx(expected)
    assert score(measure, 1e-200 * MAPS, REGIONS) == pytest.approx(expected)


def test_the_twins_do_not_all_agree_by_chance() -> None:
    tall = torch.rand(40, 1, H, W, generator=SEEDED, dtype=torch.float64), torch.rand(40, H, W, generator=SEEDED) < 0.3
    assert score(PointingGame(), *tall) != score(PointingGame(1.0), *tall) != score(PointingGame(1.5), *tall)
    assert {*score(PointingGame(), *tall)} == {0.0, 1.0}
    # EnergyInside and RelevanceMass are two: by the signs, and by the squares.
    assert score(EnergyInside(), *tall) != score(RelevanceMass(), *tall)


def test_the_area_is_that_of_mann_and_whitney_with_ties() -> None:
    maps = torch.randint(0, 4, (6, 1, H, W), generator=SEEDED).double()
    for row, found in enumerate(score(LocalisationAuc(), maps, REGIONS[:6])):
        inside, outside = maps[row, 0][REGIONS[row]], maps[row, 0][~REGIONS[row]]
        expected = mannwhitneyu(inside.numpy(), outside.numpy()).statistic / (len(inside) * len(outside))
        assert found == pytest.approx(expected)
        assert found == pytest.approx(slow_auc(maps[row], REGIONS[row]))


# --- both ends --------------------------------------------------------------------------------------------------------


@EVERY
def test_a_perfect_map_a_wrong_one_and_chance(measure: Measure) -> None:
    regions = torch.zeros(300, 8, 8, dtype=torch.bool)
    regions[:, 2:6, 3:7] = True  # a quarter
    perfect = regions[:, None].double()
    assert set(score(measure, perfect, regions)) == {1.0}
    assert set(score(measure, 1 - perfect, regions)) == {0.0}
    assert set(score(measure, -3 * perfect + (3 if measure != RelevanceMass() else 0), regions)) == (
        {0.0} if measure != RelevanceMass() else {1.0}  # which counts both signs
    )
    noise = torch.randn(300, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    chance = 0.5 if measure == LocalisationAuc() else 0.25
    assert torch.tensor(score(measure, noise, regions)).mean() == pytest.approx(chance, abs=0.07)


def test_the_perfect_map_of_a_linear_network_beats_the_random_one() -> None:
    """What matters is known: the weights are zero outside the region."""
    region = torch.zeros(1, 8, 8, dtype=torch.bool)
    region[0, 1:4, 2:7] = True
    last = nn.Linear(64, 2)
    net = nn.Sequential(nn.Flatten(), last).double().eval()
    weight = torch.rand(64, generator=SEEDED, dtype=torch.float64) * region.flatten()
    with torch.no_grad():
        last.weight.copy_(torch.stack([weight, -weight]))
    x = torch.rand(1, 1, 8, 8, generator=SEEDED, dtype=torch.float64) + 0.1
    true = sg.explain(net, x, method=sg.input_x_gradient(), target=0).maps
    chance = torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for measure in ALL:
        assert score(measure, true, region) == pytest.approx([1.0])
        by_chance = score(measure, chance, region.expand(50, 8, 8))
        assert sum(by_chance) / 50 < 0.6


@pytest.mark.parametrize("measure", [EnergyInside(), RelevanceMass()], ids=repr)
def test_a_uniform_map_has_the_share_of_the_region(measure: Measure) -> None:
    expected = [float(region.double().mean()) for region in REGIONS]
    assert score(measure, torch.full_like(MAPS, 0.7), REGIONS) == pytest.approx(expected)


def test_what_is_negative_is_no_energy_but_is_mass() -> None:
    maps = torch.tensor([[[[3.0, -4.0]], [[-1.0, 0.0]]]])  # places: 2 and -4
    left = torch.tensor([[[True, False]]])
    assert score(EnergyInside(), maps, left) == [1.0]
    assert score(RelevanceMass(), maps, left) == pytest.approx([10 / 26])


def test_a_tolerance_is_a_distance_in_pixels() -> None:
    maps = torch.zeros(1, 1, 7, 7)
    maps[0, 0, 0, 0] = 1.0
    region = torch.zeros(1, 7, 7, dtype=torch.bool)
    region[0, 3, 4] = True  # 5 away
    assert score(PointingGame(4.99), maps, region) == [0.0]
    assert score(PointingGame(5), maps, region) == [1.0]


def test_the_largest_of_several_is_chosen_by_chance_by_the_key() -> None:
    maps = torch.zeros(400, 1, 2, 2)
    maps[:, :, 0] = 1.0  # two are the largest, one of them inside
    region = torch.tensor([[True, False], [False, False]]).expand(400, 2, 2)
    whole = said(PointingGame(), maps, region).value
    assert float(whole.mean()) == pytest.approx(0.5, abs=0.08)
    assert (
        said(PointingGame(), maps[:5], region[:5], keys=[9, 5, 6, 7, 8]).value.tolist()
        == whole[[9, 5, 6, 7, 8]].tolist()
    )


@pytest.mark.parametrize("shape", [(12,), (2, 9), (2, 2, 3, 4)])
@EVERY
def test_rows_of_all_shapes(measure: Measure, shape: tuple[int, ...]) -> None:
    places = shape if len(shape) == 1 else shape[1:]
    region = torch.zeros(2, *places, dtype=torch.bool)
    region[:, 1] = True
    perfect = region if len(shape) == 1 else region[:, None].expand(2, *shape)
    assert score(measure, perfect.double(), region) == [1.0, 1.0]


# --- what has no score ------------------------------------------------------------------------------------------------


@EVERY
def test_no_region_everything_and_nothing_ranked_have_no_score(measure: Measure) -> None:
    maps, regions = MAPS.clone(), REGIONS.clone()
    regions[1], regions[2] = False, True
    maps[3] = 0.0
    maps[4] = -0.5
    found = said(measure, maps, regions)
    assert found.value.isnan().tolist()[:4] == [False, True, True, True]
    assert found.reasons[1:3] == (EMPTY, FULL)
    others: dict[Measure, tuple[str, str]] = {
        EnergyInside(): ("the map is nowhere positive", "the map is nowhere positive"),
        RelevanceMass(): ("the map is zero everywhere", ""),
    }
    zero, below = others.get(measure, (CONSTANT, CONSTANT))
    assert found.reasons[3:5] == (zero, below)
    assert found.reasons[0] == found.reasons[5] == found.reasons[6] == ""
    both = said(measure, torch.zeros_like(maps[:2]), regions[1:3])
    assert both.reasons == (EMPTY, FULL)
    alone = said(measure, maps[[5]], regions[[5]], keys=[5])
    assert alone.value[0] == found.value[5]


@EVERY
def test_regions_are_asked_for(measure: Measure) -> None:
    with pytest.raises(BadInput, match="needs to know where the thing is"):
        measure(nn.Identity().eval(), Query.of(MAPS, 0), MAPS)
    with pytest.raises(BadInput, match="give a bool tensor of shape"):
        measure(nn.Identity().eval(), Query.of(MAPS, 0), MAPS, regions=REGIONS.int())


def test_parameters_that_mean_nothing_are_refused() -> None:
    for tolerance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadMethod, match="PointingGame needs a finite tolerance"):
            PointingGame(tolerance)
    for share in (0.0, 1.01, float("nan")):
        with pytest.raises(BadMethod, match="TopK needs a share"):
            TopK(share)
    with pytest.raises(BadInput, match="allows for a distance, and rows of features"):
        said(PointingGame(2.0), torch.rand(2, 5), torch.eye(2, 5, dtype=torch.bool))
