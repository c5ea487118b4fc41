"""ROAD, judged by loops over shares, and by what its filling-in hides and shows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.imputed import Imputed
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.measure.road import Road, RoadLeastFirst, RoadMostFirst
from tests.measure.removing import asked, by_relevance, linear, nearest, pictures


def judged(measure: Measure, net: nn.Module, query: Query, maps: Tensor) -> Judged:
    case = Case(net, query, maps, Schedule(64))
    measure.admit(case)
    return measure.judge(case)


def slow_right(net: nn.Module, query: Query, maps: Tensor, steps: int, removal: Removal) -> list[list[float]]:
    """Of each row: is the class right with its k / steps most relevant places gone, k = 1 ... steps - 1?"""
    rows = []
    for i in range(len(query)):
        here = query.rows(slice(i, i + 1))
        remove = removal.of(net, here, Schedule(64))
        order, right = by_relevance(maps[i]), []
        for k in range(1, steps):
            gone = torch.zeros(query.x.shape[2:], dtype=torch.bool)
            for place in order[: nearest(k * len(order) / steps)]:
                gone[place] = True
            x = remove(gone.flatten()[None, None], range(1))[0, 0]
            right.append(float(asked(net, x, lambda output: output.argmax()) == int(query.target[i])))
        rows.append(right)
    return rows


@pytest.mark.parametrize("removal", [Replaced(), Imputed()], ids=repr)
@pytest.mark.parametrize("steps", [2, 8])
def test_both_orders_are_what_the_paper_says(removal: Removal, steps: int) -> None:
    net, query, maps = pictures(rows=6)
    most = torch.tensor(slow_right(net, query, maps, steps, removal), dtype=torch.float64)
    least = torch.tensor(slow_right(net, query, -maps, steps, removal), dtype=torch.float64)
    for kind, want in ((RoadMostFirst, most), (RoadLeastFirst, least), (Road, least - most)):
        found = judged(kind(steps, removal=removal), net, query, maps)
        assert found.curve is not None
        assert found.curve.y.tolist() == want.tolist()
        assert found.curve.x.tolist() == [k / steps for k in range(1, steps)]
        torch.testing.assert_close(found.value, want.mean(1))
    assert 0.05 < float(most.mean()) < 0.95  # some are right, some are wrong


def test_what_goes_is_filled_in_with_noise() -> None:
    assert Road() == Road(steps=10, removal=Imputed(noise=0.01))
    net, query, maps = pictures(rows=8, seed=1)
    quiet, loud = (Road(20, removal=Imputed(noise))(net, query, maps) for noise in (0.0, 0.3))
    assert not quiet.equal(loud)


def test_a_hole_in_a_plain_picture_says_nothing() -> None:
    # A bright picture with a bright spot at which the network looks; blackening any pixel changes the mean by as much.
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.mean((1, 2, 3))
            return torch.stack([bright - 0.9, 0.9 - bright], 1)

    x = torch.ones(1, 1, 8, 8)
    x[0, 0, 0, 0] = 1.5  # so that the picture is not constant
    maps = torch.randn(1, 1, 8, 8)
    maps[0, 0, 0, 0] = 9
    query = Query.of(x, 0)
    assert RoadMostFirst()(Mean().eval(), query, maps).item() == 1
    assert RoadMostFirst(removal=Replaced())(Mean().eval(), query, maps).item() < 0.3


def test_a_row_of_one_place_has_no_score() -> None:
    net = nn.Linear(1, 2).eval()
    with torch.no_grad():
        net.weight[:], net.bias[:] = torch.tensor([[1.0], [-1.0]]), 0
    found = judged(Road(removal=Replaced()), net, Query.of(torch.ones(1, 1), 0), torch.ones(1, 1))
    assert found.value.isnan().all()
    assert found.reasons[0]


def test_fewer_places_than_steps_are_one_at_a_time() -> None:
    net, query, truth = linear()
    found = judged(Road(100, removal=Replaced()), net, query, truth)
    assert found.curve is not None
    torch.testing.assert_close(found.curve.x, torch.arange(1, 12, dtype=torch.float64) / 12)
