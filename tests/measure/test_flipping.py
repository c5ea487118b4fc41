"""Pixel flipping, region perturbation and IROF, judged by closed forms and by loops over steps, parts and pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.parts import Grid, Labelled, Superpixels, Windows
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.flipping import Irof, PixelFlipping, RegionPerturbation
from smoothgrad.measure.measure import Measure
from tests.measure.removing import asked, by_relevance, hidden, linear, nearest, pictures, trapezoid
from tests.truth import Linear


def judged(measure: Measure, net: nn.Module, query: Query, maps: Tensor) -> Judged:
    case = Case(net, query, maps, Schedule(64))
    measure.admit(case)
    return measure.judge(case)


def areas(labels: Tensor) -> list[list[tuple[int, ...]]]:
    """The places of each part of labels (H, W)."""
    return [[tuple(place) for place in (labels == number).nonzero().tolist()] for number in labels.unique()]


def slow_parts(
    net: nn.Module,
    x: Tensor,
    one: Tensor,
    parts: list[list[tuple[int, ...]]],
    mean: bool,
    read: Callable[[Tensor], Tensor],
) -> list[float]:
    """What is read with 0, 1, ... of the parts gone."""
    relevance = one.sum(0)
    worth = [sum(float(relevance[place]) for place in part) / (len(part) if mean else 1) for part in parts]
    order = sorted(range(len(parts)), key=lambda number: -worth[number])
    found = []
    for gone in range(len(parts) + 1):
        places = [place for number in order[:gone] for place in parts[number]]
        found.append(asked(net, hidden(x, places, torch.zeros_like(x)), read))
    return found


def uneven_labels(seed: int) -> Tensor:
    """Labels (3, 8, 8) with different numbers of segments of different sizes in each row."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(0, most, (8, 8), generator=generator) for most in (3, 9, 5)])


# --- pixels ----------------------------------------------------------------------------------------------------------------


def test_pixel_flipping_is_what_the_papers_say() -> None:
    net, query, maps = pictures()
    for steps in (1, 5, 64):
        want = []
        for i in range(3):
            order, class_ = by_relevance(maps[i]), int(query.target[i])
            scores = [
                asked(
                    net,
                    hidden(query.x[i], order[: nearest(k * 64 / steps)], torch.zeros(3, 8, 8)),
                    lambda output, c=class_: output[c],
                )
                for k in range(steps + 1)
            ]
            want.append(sum(scores[0] - score for score in scores) / (steps + 1))
        found = PixelFlipping(steps)(net, query, maps)
        torch.testing.assert_close(found, torch.tensor(want, dtype=torch.float64))


def test_on_a_linear_network_pixel_flipping_is_known() -> None:
    # After k places, the score has lost the k largest of w * x.
    net, query, truth = linear()
    lost = truth.sort(dim=1, descending=True).values.cumsum(1)
    found = judged(PixelFlipping(12), net, query, truth)
    torch.testing.assert_close(found.value, lost.sum(1) / 13)
    assert found.curve is not None
    torch.testing.assert_close(found.curve.y[:, 1:], net.f(query.x)[:, None] - lost)


def test_pixel_flipping_takes_any_target() -> None:
    net, query, truth = linear()
    twice = Query.of(query.x, torch.zeros(3, 2, dtype=torch.long), scorer=lambda output, _: output[:, 0] - output[:, 1])
    torch.testing.assert_close(PixelFlipping()(net, twice, truth), 2 * PixelFlipping()(net, query, truth))


# --- regions ---------------------------------------------------------------------------------------------------------------


def test_region_perturbation_is_what_the_paper_says() -> None:
    net, query, maps = pictures()
    cell = torch.arange(8) * 3 // 8  # cells of 3, 3 and 2 pixels
    parts = areas(3 * cell[:, None] + cell)
    for steps in (1, 4, 9, 100):
        want, curves = [], []
        for i in range(3):
            class_ = int(query.target[i])
            scores = slow_parts(net, query.x[i], maps[i], parts, False, lambda output, c=class_: output[c])
            scores = scores[: steps + 1]
            want.append(sum(scores[0] - score for score in scores) / len(scores))
            curves.append(scores)
        found = judged(RegionPerturbation(Grid(3), steps), net, query, maps)
        torch.testing.assert_close(found.value, torch.tensor(want, dtype=torch.float64))
        assert found.curve is not None
        torch.testing.assert_close(found.curve.y, torch.tensor(curves, dtype=torch.float64))
        assert found.curve.x.tolist() == list(range(min(steps, 9) + 1))


def test_rows_with_fewer_regions_stop_where_they_end() -> None:
    net, query, maps = pictures()
    labels = uneven_labels(1)
    found = judged(RegionPerturbation(Labelled(labels[:, None]), steps=6), net, query, maps)
    assert found.curve is not None
    for i in range(3):
        class_ = int(query.target[i])
        scores = slow_parts(net, query.x[i], maps[i], areas(labels[i]), False, lambda output, c=class_: output[c])[:7]
        want = sum(scores[0] - score for score in scores) / len(scores)
        assert math.isclose(found.value[i], want, rel_tol=1e-9)
        assert torch.allclose(found.curve.y[i, : len(scores)], torch.tensor(scores, dtype=torch.float64))
        assert (found.curve.y[i, len(scores) :] == found.curve.y[i, len(scores) - 1]).all()


def test_where_windows_overlap_a_place_goes_with_the_first() -> None:
    # Three windows of two places in a line of four: [0 1], [1 2], [2 3]; what the second has, goes with it.
    net = Linear(torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64), c=0.0)
    query = Query.of(torch.ones(1, 4, dtype=torch.float64), 0)
    maps = torch.tensor([[0.0, 5.0, 1.0, -2.0]], dtype=torch.float64)  # sums 5, 6, -1: second, first, third
    found = judged(RegionPerturbation(Windows(size=(0.5,), steps=(3,))), net, query, maps)
    assert found.curve is not None
    assert found.curve.y.tolist() == [[15, 9, 8, 0]]


def test_parts_are_looked_at_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net, query, maps = pictures()
    measures = RegionPerturbation(Windows(0.5, 4)), Irof(Labelled(uneven_labels(1)[:, None]))
    whole = [measure(net, query, maps) for measure in measures]
    monkeypatch.setattr("smoothgrad.measure.flipping.MASKS", 2 * maps[:, 0].numel())
    for measure, want in zip(measures, whole, strict=True):
        torch.testing.assert_close(measure(net, query, maps), want)


def test_a_larger_region_counts_by_its_sum_and_a_segment_by_its_mean() -> None:
    net = Linear(torch.ones(4, dtype=torch.float64), c=0.0)
    query = Query.of(torch.tensor([[1.0, 1.0, 1.0, 0.5]], dtype=torch.float64), 0)
    maps = torch.tensor([[1.0, 1.0, 1.0, 2.0]], dtype=torch.float64)
    labels = Labelled(torch.tensor([0, 0, 0, 1]))
    by_sum = judged(RegionPerturbation(labels), net, query, maps).curve
    assert by_sum is not None
    assert by_sum.y.tolist() == [[3.5, 0.5, 0]]
    p = torch.sigmoid(2 * torch.tensor([3.5, 3.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(Irof(labels)(net, query, maps)[0], 1 - torch.trapezoid(p / p[0], dx=0.5))


def test_regions_that_are_alike_rank_nothing() -> None:
    net, query, _ = linear()
    maps = torch.tensor([1.0, 2.0, 2.0, 1.0]).repeat(3, 3).double()
    for measure in (RegionPerturbation(Grid((6,))), Irof(Grid((6,))), Irof(Grid((1,)))):
        found = judged(measure, net, query, maps)
        assert found.value.isnan().all()
        assert set(found.reasons) == {"its parts all have the same relevance: nothing is ranked"}


def test_regions_that_are_equal_go_by_chance() -> None:
    rows = 300
    maps = torch.zeros(rows, 12, dtype=torch.float64)
    maps[:, 6] = 1
    query = Query.of(torch.ones(rows, 12, dtype=torch.float64), 0)
    for measure in (RegionPerturbation(Grid((6,))), Irof(Grid((6,)))):
        w = torch.zeros(12, dtype=torch.float64)
        w[:4] = 0.5
        first, last = (measure(Linear(side), query, maps) for side in (w, w.flip(0)))
        assert first.std() > 0.01
        assert (first.mean() - last.mean()).abs() < 4 * (first.var() / rows + last.var() / rows).sqrt()


def test_parts_that_divide_the_channels_are_refused() -> None:
    net, query, maps = pictures()
    with pytest.raises(BadMethod, match="divide the channels"):
        RegionPerturbation(Grid((3, 2, 2)))(net, query, maps)


def test_rows_that_are_no_pictures_are_cut_by_a_grid_of_their_own() -> None:
    net, query, truth = linear()
    with pytest.raises(BadMethod, match="one number for each side"):
        RegionPerturbation()(net, query, truth)
    torch.testing.assert_close(Irof()(net, query, truth), Irof(Grid((12,)))(net, query, truth))


# --- segments --------------------------------------------------------------------------------------------------------------


def test_irof_is_what_the_paper_says() -> None:
    net, query, maps = pictures()
    labels = uneven_labels(2)
    want, curves = [], []
    for i in range(3):
        class_ = int(query.target[i])
        p = slow_parts(net, query.x[i], maps[i], areas(labels[i]), True, lambda output, c=class_: output.softmax(0)[c])
        ratio = [value / p[0] for value in p]
        shares = [k / (len(p) - 1) for k in range(len(p))]
        want.append(1 - trapezoid(shares, ratio))
        curves.append((shares, ratio))
    found = judged(Irof(Labelled(labels[:, None])), net, query, maps)
    torch.testing.assert_close(found.value, torch.tensor(want, dtype=torch.float64))
    assert found.curve is not None
    for i, (shares, ratio) in enumerate(curves):
        for share, height in zip(found.curve.x.tolist(), found.curve.y[i].tolist(), strict=True):
            before = max(k for k in range(len(shares) - 1) if shares[k] <= share + 1e-12)
            along = (share - shares[before]) / (shares[before + 1] - shares[before])
            assert math.isclose(height, ratio[before] + along * (ratio[before + 1] - ratio[before]), abs_tol=1e-9)


def test_irof_takes_superpixels_of_a_picture() -> None:
    net, query, maps = pictures()
    # Two halves of like colour: Superpixels finds them.
    query.x[:, :, :, :4] = 0.1 * query.x[:, :, :, :4] - 3
    query.x[:, :, :, 4:] = 0.1 * query.x[:, :, :, 4:] + 3
    with torch.no_grad():
        query.target[:] = net(query.x).argmax(1)
    assert (Superpixels().find(query).counts >= 2).all()
    torch.testing.assert_close(Irof()(net, query, maps), Irof(Superpixels())(net, query, maps))


def test_a_probability_of_zero_is_no_share_of_anything() -> None:
    net = Linear(torch.full((4,), 1.0, dtype=torch.float64), c=0.0)
    query = Query.of(torch.tensor([[300.0] * 4, [1.0] * 4], dtype=torch.float64), 1)
    maps = torch.arange(4.0, dtype=torch.float64).repeat(2, 1)
    found = judged(Irof(), net, query, maps)
    assert found.value.isnan().tolist() == [True, False]
    assert "probability of the class is 0" in found.reasons[0]


def test_a_class_that_gains_by_removal_is_below_zero() -> None:
    net = Linear(torch.full((4,), -1.0, dtype=torch.float64), c=0.0)
    query = Query.of(torch.ones(1, 4, dtype=torch.float64), 0)
    assert float(Irof()(net, query, torch.arange(4.0, dtype=torch.float64)[None])) < 0
