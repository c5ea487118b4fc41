"""Rows that travel together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smoothgrad.core.noise import mix
from smoothgrad.core.query import Query, pick
from smoothgrad.errors import BadTarget


def query(rows: int = 3) -> Query:
    x = torch.arange(rows * 2.0).view(rows, 2)
    named = Query.of(x, torch.arange(rows), seed=5, keys=torch.arange(rows) + 10, context=(torch.arange(rows) * 100,))
    return named.with_baseline(torch.stack([-x, -2 * x], dim=1))


def test_one_target_is_for_every_row() -> None:
    assert Query.of(torch.zeros(3, 2), 1).target.tolist() == [1, 1, 1]


def test_keys_are_the_numbers_of_the_rows_by_default() -> None:
    x = torch.zeros(3, 2)
    assert torch.equal(Query.of(x, 0).key, Query.of(x, 0, keys=torch.arange(3)).key)


def test_seeds_and_keys_are_mixed() -> None:
    x = torch.zeros(2, 1)
    one = Query.of(x, 0, seed=1, keys=torch.tensor([2, 3])).key
    other = Query.of(x, 0, seed=2, keys=torch.tensor([1, 3])).key
    assert len({*one.tolist(), *other.tolist()}) == 4


def test_every_part_is_repeated_with_its_rows() -> None:
    asked = query()
    points = torch.arange(24.0).view(4, 3, 2)
    many = asked.at(points, range(7, 11))
    assert len(many) == 12
    for k in range(4):
        for n in range(3):
            place = 3 * k + n
            assert torch.equal(many.x[place], points[k, n])
            assert torch.equal(many.origin[place], asked.origin[n])
            assert int(many.target[place]) == n
            assert int(many.row[place]) == n
            assert int(many.context[0][place]) == 100 * n
            assert int(many.key[place]) == int(mix(asked.key[[n]], torch.tensor([7 + k + 1])))
    assert many.scorer is asked.scorer
    assert many.baseline is None, "a path inside finds its own, from where it stands"


def test_repeated_rows_have_keys_of_their_own() -> None:
    asked = query()
    keys = asked.at(torch.zeros(50, 3, 2), range(50)).key
    assert len(keys.unique()) == 150
    assert not set(keys.tolist()) & set(asked.key.tolist())


@pytest.mark.parametrize("index", [torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, 3)])
def test_every_part_is_selected_with_its_rows(index: Tensor | slice) -> None:
    asked = query()
    some = asked.rows(index)
    assert some.baseline is not None
    assert asked.baseline is not None
    for part, whole in (
        (some.x, asked.x),
        (some.origin, asked.origin),
        (some.target, asked.target),
        (some.key, asked.key),
        (some.row, asked.row),
        (some.context[0], asked.context[0]),
        (some.baseline, asked.baseline),
    ):
        assert torch.equal(part, whole[index])


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (9, [3])])
def test_split_keeps_order_and_loses_nothing(size: int, lengths: list[int]) -> None:
    parts = list(query().split(size))
    assert [len(part) for part in parts] == lengths
    assert torch.equal(torch.cat([part.x for part in parts]), query().x)
    assert torch.equal(torch.cat([part.key for part in parts]), query().key)


def test_pick_takes_one_class_per_row() -> None:
    output = torch.arange(12.0).view(3, 4)
    assert pick(output, torch.tensor([3, 0, 1])).tolist() == [3.0, 4.0, 9.0]


def test_a_score_that_is_not_one_per_row_is_refused() -> None:
    asked = Query.of(torch.zeros(3, 2), 0, scorer=lambda output, _target: output)
    with pytest.raises(BadTarget, match=r"one score per row, shape \(3,\); it gave \(3, 4\)"):
        asked.scores(torch.zeros(3, 4))
    asked = Query.of(torch.zeros(3, 2), 0, scorer=lambda output, _target: output.sum())
    with pytest.raises(BadTarget, match=r"it gave \(\)"):
        asked.scores(torch.zeros(3, 4))
