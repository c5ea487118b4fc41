"""RISE's masks: their distribution, and what comes of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.score import PointScore
from smoothgrad.samplers.mask import Masks

X = torch.rand(4, 2, 7, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
QUERY = Query.of(X, 0, seed=3)
SMALL = Masks(cells=3, probability=0.4, samples=32)
WHOLE = SMALL.masks(QUERY, range(40))


def prepared(masks: Masks, query: Query = QUERY) -> Query:
    return masks.prepare(nn.Identity(), query, Schedule(8))


# --- the masks ---------------------------------------------------------------------------------------------------------


@given(start=st.integers(0, 30), size=st.integers(1, 8), row=st.integers(0, 3))
def test_any_range_of_draws_of_any_row_is_the_same(start: int, size: int, row: int) -> None:
    part = SMALL.masks(QUERY.rows(torch.tensor([row])), range(start, start + size))
    torch.testing.assert_close(part, WHOLE[start : start + size, [row]], rtol=0, atol=1e-12)


def test_draws_and_rows_differ() -> None:
    masks = Masks(cells=6).masks(QUERY, range(16)).flatten(0, 1).flatten(1)
    assert len(masks.unique(dim=0)) == 64


def slow_line(cells: int, length: int) -> Tensor:
    """What pixel i of a line of (cells + 1) * C pixels takes of each cell, by the formula of linear interpolation."""
    up = (cells + 1) * math.ceil(length / cells)
    line = torch.zeros(up, cells, dtype=torch.float64)
    for i in range(up):
        place = min(max((i + 0.5) * cells / up - 0.5, 0.0), cells - 1.0)
        below = min(math.floor(place), cells - 1)
        above = min(below + 1, cells - 1)
        line[i, below] += 1 - (place - below)
        line[i, above] += place - below
    return line


def slow_masks(sampler: Masks, query: Query, draws: range) -> Tensor:
    """Petsiuk et al. 2018, section 3.2, one mask at a time: draw cells, enlarge bilinearly, cut out at a random place."""
    sides = query.shape[1:]
    cells = numbers.uniform(numbers.salted(query.key, "cells"), draws, torch.Size([sampler.cells] * len(sides)))
    shift = numbers.uniform(numbers.salted(query.key, "shift"), draws, torch.Size([len(sides)]))
    masks = torch.empty(len(draws), len(query), *sides, dtype=torch.float64)
    for k in range(len(draws)):
        for n in range(len(query)):
            grid = (cells[k, n] < sampler.probability).double()[None, None]
            steps = [math.ceil(side / sampler.cells) for side in sides]
            size = [(sampler.cells + 1) * step for step in steps]
            mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(sides)]
            large = F.interpolate(grid, size=size, mode=mode, align_corners=False)[0, 0]
            for side, (step, length) in enumerate(zip(steps, sides, strict=True)):
                begin = int(float(shift[k, n, side]) * step)
                large = large.narrow(side, begin, length)
            masks[k, n] = large
    return masks


@pytest.mark.parametrize("shape", [(2, 7, 9), (1, 11), (2, 5, 4, 6), (3, 3, 3)])
def test_masks_are_the_papers_enlarged_cells_cut_out_at_a_random_place(shape: tuple[int, ...]) -> None:
    query = Query.of(torch.rand(3, *shape, dtype=torch.float64), 0, seed=1)
    masks = SMALL.masks(query, range(2, 9))
    assert masks.shape == (7, 3, 1, *shape[1:])
    torch.testing.assert_close(masks[:, :, 0], slow_masks(SMALL, query, range(2, 9)))


def test_every_pixel_is_kept_as_often_as_the_next() -> None:
    query = Query.of(X[:1].repeat(500, 1, 1, 1), 0)
    masks = SMALL.masks(query, range(20)).flatten(0, 1).flatten(1)  # (10000, 63)
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1
    error = masks.std(0) / math.sqrt(len(masks))
    z = (masks.mean(0) - SMALL.probability) / error
    assert float(z.abs().max()) < 4.5


def test_a_probability_of_one_keeps_all() -> None:
    sampler = replace(SMALL, probability=1.0)
    points, _, direction = sampler.draw(prepared(sampler), range(5))
    torch.testing.assert_close(points, X.expand(5, *X.shape))
    torch.testing.assert_close(direction, torch.ones(5, 4, 1, 7, 9, dtype=torch.float64))


# --- points ------------------------------------------------------------------------------------------------------------


def test_what_a_mask_keeps_is_of_the_picture_and_the_rest_of_the_baseline() -> None:
    sampler = replace(SMALL, baseline=sg.Several(sg.Black(), sg.White(), sg.Constant(0.3)))
    query = prepared(sampler)
    points, weight, direction = sampler.draw(query, range(5, 12))
    masks = slow_masks(sampler, QUERY, range(5, 12))[:, :, None]
    assert query.baseline is not None
    for k, draw in enumerate(range(5, 12)):
        b = query.baseline[:, draw % 3]
        torch.testing.assert_close(points[k], masks[k] * X + (1 - masks[k]) * b)
    assert weight.tolist() == [1.0] * 7
    torch.testing.assert_close(direction, masks / 0.4)


def test_without_its_preparation_it_does_not_draw() -> None:
    with pytest.raises(BadMethod, match=r"only from a query that its prepare\(\) has given a baseline"):
        SMALL.draw(QUERY, range(1))


# --- RISE of a linear score, in closed form ----------------------------------------------------------------------------


class Flat(nn.Module):
    """s = w.x + c of pictures."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return ((x * self.w).flatten(1).sum(1) + 0.7)[:, None]


def kernel(cells: int, length: int) -> Tensor:
    """E over places of sum over cells of what pixels i and j take of it: (length, length)."""
    line, step = slow_line(cells, length), math.ceil(length / cells)
    return sum((line[d : d + length] @ line[d : d + length].T for d in range(step)), torch.zeros(length, length)) / step


def truth(sampler: Masks, x: Tensor, b: Tensor, w: Tensor) -> Tensor:
    """E[s(b + m (x - b)) m] / p for one row: with a = w (x - b) summed over channels, and E[m_i m_j] = p^2 + p (1 - p) K_ij,

    s(b) + p sum_j a_j + (1 - p) (K a)_i.
    """
    p, a = sampler.probability, (w * (x - b)).sum(0)
    mixed = kernel(sampler.cells, a.shape[0]) @ a @ kernel(sampler.cells, a.shape[1]).T
    return (w * b).sum() + 0.7 + p * a.sum() + (1 - p) * mixed


def test_the_expected_map_of_a_linear_score() -> None:
    w = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sampler = replace(SMALL, samples=100, baseline=sg.Constant(0.2))
    x = X[:1].repeat(400, 1, 1, 1)
    result = sg.explain(Flat(w), x, method=PointScore().over(sampler), target=0)
    assert result.stderr is not None
    expected = truth(sampler, X[0], torch.full_like(X[0], 0.2), w)
    # Channels share a pixel's value equally, so that their errors add up.
    z = (result.maps.sum(1) - expected) / result.stderr.sum(1)
    assert 0.9 < float(z.square().mean().sqrt()) < 1.15
    assert abs(float(z.mean())) < 0.2
    assert result.freedom is not None
    assert result.freedom.unique().tolist() == [99]


def test_the_map_is_the_papers_sum() -> None:
    w = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    net, n = Flat(w), 32
    result = sg.explain(net, X, method=PointScore().over(SMALL), target=0, seed=3)
    masks = slow_masks(SMALL, QUERY, range(n))
    for row in range(len(X)):
        total = torch.zeros(7, 9, dtype=torch.float64)
        for k in range(n):
            total += net(X[[row]] * masks[k, row])[0, 0] * masks[k, row]
        torch.testing.assert_close(result.maps[row].sum(0), total / (n * SMALL.probability))


def test_until_stops_by_the_standard_error() -> None:
    w = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    method = PointScore().over(replace(SMALL, samples=sg.Until(0.2, least=8, most=512)))
    result = sg.explain(Flat(w), X, method=method, target=0)
    assert result.converged is not None
    assert bool(result.converged.all())
    assert int(result.draws.max()) < 512


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"probability": 0.0}, "above 0 and up to 1 that a cell is kept, got 0"),
        ({"probability": 1.1}, "got 1.1"),
        ({"probability": float("nan")}, "got nan"),
        ({"cells": 0}, "cells >= 1"),
        ({"samples": 0}, "samples >= 1"),
    ],
)
def test_what_means_nothing_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        Masks(**given)


@pytest.mark.parametrize(("shape", "reason"), [((5,), "takes rows"), ((2, 6, 7), "7 cells .* give cells <= 6")])
def test_rows_that_cannot_be_masked_are_refused(shape: tuple[int, ...], reason: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 2)).eval()
    with pytest.raises(BadMethod, match=reason):
        sg.explain(net, torch.rand(2, *shape), method=PointScore().over(Masks(samples=4)))


class Words(nn.Module):
    """Numbers of words, or their embedding, to two scores."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.conv, self.head = nn.Embedding(20, 12), nn.Conv1d(12, 9, 1), nn.Linear(9, 2)
        self.eval()

    def forward(self, words: Tensor) -> Tensor:
        mean: Tensor = self.head(self.conv(self.embed(words).mT).mean(2))
        return mean


@pytest.mark.parametrize("method", [sg.rise(4), sg.blur_integrated_gradients(3), sg.rise(4).over(sg.Gaussian(0.1, 2))])
def test_words_have_no_neighbours_to_share_a_mask_or_a_blur(method: sg.Explainer) -> None:
    net, words = Words(), torch.arange(16).view(2, 8)
    with pytest.raises(BadMethod, match=r"'embed' answers rows of shape \(8, 12\) that are none, such as words"):
        sg.explain(net, words, method=method, at="embed")
    # Its convolution makes maps (C, l), whatever the network's own inputs are.
    assert sg.explain(net, words, method=method, at="conv").maps.shape == (2, 9, 8)
