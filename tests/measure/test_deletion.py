"""Deletion and insertion, judged by closed forms of a linear network and by loops over steps and pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.measure.case import Case, Curve
from smoothgrad.measure.deletion import Deletion, Insertion, Srg
from smoothgrad.measure.removal import Replaced
from smoothgrad.samplers.baseline import Constant, Zero
from smoothgrad.samplers.scale_space import blur
from tests.measure.removing import (
    PLACES,
    asked,
    by_relevance,
    hidden,
    linear,
    nearest,
    pictures,
    random_maps,
    trapezoid,
)

ZERO = Replaced(Zero())


def curve_of(measure: Deletion | Insertion | Srg, net: nn.Module, query: Query, maps: Tensor) -> Curve:
    curve = measure.judge(Case(net, query, maps, Schedule(64))).curve
    assert curve is not None
    return curve


def slow_deletion(net: nn.Module, x: Tensor, target: int, one: Tensor, steps: int, instead: Tensor) -> float:
    order = by_relevance(one)
    shares, heights = [], []
    for k in range(steps + 1):
        gone = order[: nearest(k * len(order) / steps)]
        shares.append(len(gone) / len(order))
        heights.append(asked(net, hidden(x, gone, instead), lambda output: output.softmax(0)[target]))
    return trapezoid(shares, heights)


def slow_insertion(net: nn.Module, x: Tensor, target: int, one: Tensor, steps: int, instead: Tensor) -> float:
    order = by_relevance(one)
    shares, heights = [], []
    for k in range(steps + 1):
        come = order[: nearest(k * len(order) / steps)]
        shares.append(len(come) / len(order))
        heights.append(asked(net, hidden(instead, come, x), lambda output: output.softmax(0)[target]))
    return trapezoid(shares, heights)


def test_deletion_is_what_the_paper_says() -> None:
    net, query, maps = pictures()
    for steps in (1, 4, 5, 64):
        want = [
            slow_deletion(net, query.x[i], int(query.target[i]), maps[i], steps, torch.full_like(query.x[i], 0.2))
            for i in range(3)
        ]
        found = Deletion(steps, removal=Replaced(Constant(0.2)))(net, query, maps)
        torch.testing.assert_close(found, torch.tensor(want, dtype=torch.float64))


def test_insertion_is_what_the_paper_says() -> None:
    net, query, maps = pictures()
    blurred = blur(query.x, 10.0).rows
    for steps in (1, 4, 5, 64):
        want = [slow_insertion(net, query.x[i], int(query.target[i]), maps[i], steps, blurred[i]) for i in range(3)]
        torch.testing.assert_close(Insertion(steps)(net, query, maps), torch.tensor(want, dtype=torch.float64))


def test_srg_is_the_difference_of_the_two_orders() -> None:
    net, query, maps = pictures()
    zero = torch.zeros(3, 8, 8, dtype=torch.float64)
    for steps in (2, 5, 64):
        want = [
            slow_deletion(net, query.x[i], int(query.target[i]), -maps[i], steps, zero)
            - slow_deletion(net, query.x[i], int(query.target[i]), maps[i], steps, zero)
            for i in range(3)
        ]
        torch.testing.assert_close(Srg(steps)(net, query, maps), torch.tensor(want, dtype=torch.float64))


def test_on_a_linear_network_the_curve_is_known() -> None:
    net, query, truth = linear()
    curve = curve_of(Deletion(PLACES), net, query, truth)
    sorted_, _ = truth.sort(dim=1, descending=True)
    lost = torch.cat([torch.zeros(3, 1, dtype=torch.float64), sorted_.cumsum(1)], 1)
    want = torch.sigmoid(2 * (net.f(query.x)[:, None] - lost))
    torch.testing.assert_close(curve.y, want)
    torch.testing.assert_close(curve.x, torch.arange(PLACES + 1, dtype=torch.float64) / PLACES)
    torch.testing.assert_close(Deletion(PLACES)(net, query, truth), torch.trapezoid(want, curve.x))


def test_the_curves_begin_and_end_where_they_should() -> None:
    net, query, maps = linear()
    whole, nothing = torch.sigmoid(2 * net.f(query.x)), torch.sigmoid(torch.tensor(2 * net.c).double()).expand(3)
    for measure, ends in (
        (Deletion(3), (whole, nothing)),
        (Insertion(3, removal=ZERO), (nothing, whole)),
        (Srg(3), (0 * whole, 0 * whole)),
    ):
        curve = curve_of(measure, net, query, maps)
        assert curve.x[[0, -1]].tolist() == [0, 1]
        torch.testing.assert_close(curve.y[:, 0], ends[0])
        torch.testing.assert_close(curve.y[:, -1], ends[1])


def test_a_coarse_step_stands_where_whole_places_are() -> None:
    # 5 steps of 12 places: 0, 2, 5, 7, 10, 12
    net, query, truth = linear()
    curve = curve_of(Deletion(5), net, query, truth)
    torch.testing.assert_close(curve.x * PLACES, torch.tensor([0, 2, 5, 7, 10, 12], dtype=torch.float64))
    fine = curve_of(Deletion(PLACES), net, query, truth)
    torch.testing.assert_close(curve.y, fine.y[:, [0, 2, 5, 7, 10, 12]])


def test_more_steps_than_places_are_one_place_at_a_time() -> None:
    net, query, truth = linear()
    for kind in (Deletion, Srg):
        torch.testing.assert_close(kind(500)(net, query, truth), kind(PLACES)(net, query, truth))


def test_insertion_is_deletion_of_the_least_relevant() -> None:
    net, query, maps = linear()
    inserted = Insertion(PLACES, removal=ZERO)(net, query, maps)
    torch.testing.assert_close(inserted, Deletion(PLACES)(net, query, -maps))
    difference = inserted - Deletion(PLACES)(net, query, maps)
    torch.testing.assert_close(Srg(PLACES)(net, query, maps), difference)


def test_srg_of_the_opposite_map_is_the_opposite_and_chance_has_none() -> None:
    net, query, maps = pictures()
    torch.testing.assert_close(Srg(5)(net, query, -maps), -Srg(5)(net, query, maps))
    net, query, truth = linear()
    chance = torch.stack([Srg()(net, query, random_maps(query, seed)) for seed in range(60)])
    assert (chance.mean(0).abs() < 4 * chance.std(0) / 60**0.5).all()
    assert (Srg()(net, query, truth) > 2 * chance.std(0)).all()


def test_insertion_says_what_to_give_for_rows_that_cannot_be_blurred() -> None:
    net, query, maps = linear()
    with pytest.raises(BadMethod, match=r"rows of shape \(12,\) are neither; .*removal=Replaced\(Zero\(\)\)"):
        Insertion()(net, query, maps)
    assert Insertion(removal=ZERO)(net, query, maps).isfinite().all()
