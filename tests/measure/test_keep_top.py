"""Keep-top-fraction accuracy, judged by closed forms of a linear network and by loops."""

from __future__ import annotations

import torch

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.measure.case import Case
from smoothgrad.measure.keep_top import KeepTop
from smoothgrad.measure.removal import Replaced
from smoothgrad.samplers.baseline import Constant
from tests.measure.removing import asked, by_relevance, hidden, linear, nearest, pictures
from tests.truth import Linear


def test_it_is_what_it_says() -> None:
    net, query, maps = pictures(rows=8)
    shares = (0.05, 0.21, 0.5, 0.9)
    instead = torch.full((3, 8, 8), 0.2, dtype=torch.float64)
    want = []
    for i in range(8):
        order, right = by_relevance(maps[i]), []
        for share in shares:
            kept = hidden(instead, order[: nearest(share * 64)], query.x[i])
            right.append(float(asked(net, kept, lambda output: output.argmax()) == int(query.target[i])))
        want.append(right)
    found = KeepTop(shares, removal=Replaced(Constant(0.2))).judge(Case(net, query, maps, Schedule(64)))
    assert found.curve is not None
    assert found.curve.y.tolist() == want
    assert found.curve.x.tolist() == list(shares)
    assert found.value.tolist() == [sum(right) / 4 for right in want]
    assert 0.1 < float(found.value.mean()) < 0.9  # some are right, some are wrong


def test_on_a_linear_network_it_is_known() -> None:
    # Class 0 has it as long as what is kept of w * x, and c, are above zero.
    net = Linear(torch.tensor([2.0, 1.0, -1.0, -1.5], dtype=torch.float64), c=-0.25)
    query = Query.of(torch.ones(1, 4, dtype=torch.float64), 0)
    truth = net.w[None]
    curve = {
        name: KeepTop((0.25, 0.5, 0.75)).judge(Case(net, query, maps, Schedule(1))).value.tolist()
        for name, maps in {"true": truth, "opposite": -truth}.items()
    }
    assert curve == {"true": [1], "opposite": [0]}


def test_of_few_places_at_least_one_is_kept() -> None:
    net = Linear(torch.tensor([2.0, -0.5, -0.5, -0.5], dtype=torch.float64), c=-0.25)
    query = Query.of(torch.ones(1, 4, dtype=torch.float64), 0)
    found = KeepTop((0.01, 0.1)).judge(Case(net, query, net.w[None], Schedule(1)))
    assert found.value.tolist() == [1.0]  # with nothing kept, -0.25 is left, and the class is wrong


def test_shares_are_put_in_order() -> None:
    net, query, truth = linear()
    a, b = (KeepTop(shares).judge(Case(net, query, truth, Schedule(9))) for shares in ((0.5, 0.1), (0.1, 0.5)))
    assert a.curve is not None
    assert b.curve is not None
    assert a.value.equal(b.value)
    assert a.curve.x.equal(b.curve.x)
    assert a.curve.y.equal(b.curve.y)
