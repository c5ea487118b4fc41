"""Rows of data as points."""

from __future__ import annotations

import pytest
import torch

from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Until
from smoothgrad.errors import BadBaseline, BadMethod
from smoothgrad.samplers.data import DataPoints

DATA = torch.arange(8.0).view(4, 2)
QUERY = Query.of(torch.ones(3, 2), 0, seed=1)


def test_points_are_rows_of_the_data_and_directions_lead_from_them() -> None:
    points, weight, direction = DataPoints(DATA, 400).draw(QUERY, range(400))
    assert points.shape == (400, 3, 2)
    assert torch.equal(weight, torch.ones(400, dtype=torch.float64))
    assert direction is not None
    assert torch.equal(points + direction, QUERY.x.expand(400, 3, 2))
    counts = torch.stack([(points == row).all(-1).sum(0) for row in DATA])
    assert torch.equal(counts.sum(0), torch.tensor([400, 400, 400]))
    assert bool(((counts - 100).abs() < 4 * (400 * 0.25 * 0.75) ** 0.5).all())


def test_a_draw_is_the_same_whenever_it_is_asked_for() -> None:
    sampler = DataPoints(DATA, 10)
    whole = sampler.draw(QUERY, range(10)).points
    assert torch.equal(sampler.draw(QUERY, range(4, 7)).points, whole[4:7])
    assert torch.equal(sampler.draw(QUERY.rows(torch.tensor([2])), range(10)).points[:, 0], whole[:, 2])


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(BadMethod):
        DataPoints(DATA, 0)
    with pytest.raises(BadBaseline):
        DataPoints(DATA, 5).check(Query.of(torch.ones(3, 5), 0))
    assert DataPoints(DATA, Until(most=32)).most() == 32
