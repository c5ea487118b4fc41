"""What the score loses with a part of the input: closed forms, and loops as one would write them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, NonFinite
from smoothgrad.explainers.ablation import Ablation
from smoothgrad.explainers.parts import Grid, Labelled, Parts, Superpixels, Windows
from smoothgrad.explainers.segments import felzenszwalb_segments
from tests.nets import small_net
from tests.truth import Linear, W

NET = small_net().double()
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([4, 0, 2])


class Flat(nn.Module):
    """s = w.x + c of rows of any shape."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return ((x * self.w).flatten(1).sum(1) + 0.7)[:, None]


def slow(net: nn.Module, x: Tensor, target: int, parts: list[Tensor], baselines: list[Tensor]) -> Tensor:
    """One row x (*S), parts as masks of the shape S: the mean fall over the parts that hold a value, and over baselines."""
    whole = net(x[None])[0, target]
    total, times = torch.zeros_like(x), torch.zeros_like(x)
    for mask, b in itertools.product(parts, baselines):
        point = x.clone()
        point[mask] = b[mask]
        total[mask] += whole - net(point[None])[0, target]
        times[mask] += 1
    return total / times


def windows(shape: tuple[int, ...], width: int, begins: list[int]) -> list[Tensor]:
    """Square windows of pictures, from where they begin on each side."""
    masks = []
    for top, left in itertools.product(begins, begins):
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[:, top : top + width, left : left + width] = True
        masks.append(mask)
    return masks


# --- occlusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "steps", "width", "begins"),
    [(0.25, 7, 2, [0, 1, 2, 3, 4, 5, 6]), (0.5, 3, 4, [0, 2, 4]), (0.4, 3, 3, [0, 3, 5]), (1.0, 1, 8, [0])],
)
def test_occlusion_is_the_mean_fall_over_the_windows_that_cover_a_pixel(
    size: float, steps: int, width: int, begins: list[int]
) -> None:
    result = sg.explain(NET, X, method=Ablation(Windows(size, steps)), target=TARGET)
    for row in range(3):
        parts = windows((3, 8, 8), width, begins)
        expected = slow(NET, X[row], int(TARGET[row]), parts, [torch.zeros_like(X[row])])
        torch.testing.assert_close(result.maps[row].sum(0), expected[0])
        torch.testing.assert_close(result.maps[row, 1], expected[1] / 3)  # channels share it
    assert result.draws.tolist() == [len(begins) ** 2] * 3
    assert result.passes.tolist() == [len(begins) ** 2 + 1] * 3


def test_windows_of_a_linear_score_fall_by_what_they_cover() -> None:
    w = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.rand(1, 2, 6, 6, dtype=torch.float64)
    result = sg.explain(Flat(w), x, method=Ablation(Windows(0.5, 2), sg.Constant(0.4)), target=0)
    a = (w * (x[0] - 0.4)).sum(0)
    quarters = a.unflatten(0, (2, 3)).unflatten(2, (2, 3)).sum((1, 3))
    torch.testing.assert_close(result.maps[0].sum(0), quarters.repeat_interleave(3, 0).repeat_interleave(3, 1))
    assert result.unit == "score"


@given(length=st.integers(1, 40), size=st.floats(0.01, 1.0), steps=st.integers(1, 45))
def test_windows_cover_every_value_or_are_refused(length: int, size: float, steps: int) -> None:
    parts, query = Windows((size,), (steps,)), Query.of(torch.zeros(1, 2, length), 0)
    width = max(1, round(size * length))
    try:
        parts.check(query)
    except BadMethod as error:
        fewest = int(str(error).partition("steps >= ")[2].partition(",")[0])
        assert steps < fewest <= length
        Windows((size,), (fewest,)).check(query)
        return
    counts, masks = parts.find(query)
    seen = masks(list(range(int(counts[0]))))
    assert seen.shape == (int(counts[0]), 1, 1, length)
    assert bool(seen.any(0).all())
    assert seen.sum(-1).unique().tolist() == [width]
    assert len(seen.unique(dim=0)) == len(seen) <= parts.most
    begins = seen.int().argmax(-1).flatten()
    if len(begins) > 1:
        gaps = begins.diff()
        assert int(gaps.max() - gaps.min()) <= 1


def test_a_window_and_a_stride_in_pixels_are_a_size_and_steps() -> None:
    # w = 8 moved by d = 4 on L = 32: size = w / L, steps = 1 + (L - w) / d
    counts, masks = Windows(8 / 32, 1 + (32 - 8) // 4).find(Query.of(torch.zeros(1, 3, 32, 32), 0))
    seen = masks(list(range(int(counts[0]))))[:, 0, 0]
    begins = [(int(mask.any(1).int().argmax()), int(mask.any(0).int().argmax())) for mask in seen]
    assert begins == list(itertools.product(range(0, 25, 4), range(0, 25, 4)))


def test_small_pictures_have_fewer_windows_than_steps() -> None:
    method = sg.explain(NET, X[:1], method=Ablation(Windows(0.15, 14)), target=1)
    assert method.passes.tolist() == [8 * 8 + 1]  # one pixel, at 8 places
    assert Ablation(Windows(0.15, 14)).passes == 14 * 14 + 1


@pytest.mark.parametrize(
    ("shape", "size", "steps", "spanned"),
    [
        ((5,), (0.2,), (5,), ()),
        ((3, 10), (0.2,), (5,), (0,)),
        ((4, 6), (0.25, 1.0), (4, 1), ()),
        ((2, 4, 6), (0.5, 0.5), (2, 2), (0,)),
    ],
)
def test_other_rows_name_the_sides_that_are_cut(
    shape: tuple[int, ...], size: tuple[float, ...], steps: tuple[int, ...], spanned: tuple[int, ...]
) -> None:
    w = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.rand(2, *shape, dtype=torch.float64)
    result = sg.explain(Flat(w), x, method=Ablation(Windows(size, steps)), target=0)
    assert result.passes.tolist() == [1 + math.prod(steps)] * 2
    fall = w * x[1]
    blocks = fall.sum(spanned, keepdim=True) if spanned else fall
    for side, (part, n) in enumerate(zip(size, steps, strict=True), start=len(shape) - len(steps)):
        width = round(part * shape[side])
        assert width * n == shape[side]
        sums = blocks.unflatten(side, (n, width)).sum(side + 1)
        blocks = sums.repeat_interleave(width, side)
    got = result.maps[1].sum(spanned, keepdim=True) if spanned else result.maps[1]
    torch.testing.assert_close(got, blocks)


# --- ablation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [1, 3, 8, 20, (2, 4)])
def test_grid_cells_do_not_overlap(cells: Any) -> None:
    counts, masks = Grid(cells).find(Query.of(X, 0))
    seen = masks(list(range(int(counts[0]))))
    assert torch.equal(seen.sum(0), torch.ones(1, 1, 8, 8, dtype=torch.int64))
    assert bool(seen.flatten(1).any(1).all())
    sizes = seen.flatten(1).sum(1)
    assert int(sizes.max()) <= 4 * int(sizes.min())
    rows, columns = cells if isinstance(cells, tuple) else (cells, cells)
    assert counts.tolist() == [min(rows, 8) * min(columns, 8)] * 3


def test_what_parts_lose_sums_to_the_change_of_a_linear_score() -> None:
    w = torch.randn(2, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, net = torch.rand(2, 2, 7, 7, dtype=torch.float64), Flat(w)
    labels = torch.randint(0, 9, (7, 7), generator=torch.Generator().manual_seed(2))
    maps = sg.explain(net, x, method=Ablation(Labelled(labels), sg.Constant(0.1)), target=0).maps.sum(1)
    for row in range(2):
        falls = [maps[row][labels == name] for name in labels.unique()]
        assert all(float(fall.max() - fall.min()) < 1e-12 for fall in falls)
        total = sum(float(fall[0]) for fall in falls)
        assert total == pytest.approx(float(net(x[[row]]) - net(torch.full_like(x[[row]], 0.1))))


LABELS = torch.randint(-3, 4, (8, 8), generator=torch.Generator().manual_seed(3))
ALL = torch.randint(0, 5, (3, 8, 8), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    "labels", [LABELS, LABELS[None], ALL, LABELS[:, :1][None]], ids=["pixels", "(1, H, W)", "all", "lines"]
)
def test_labelled_values_go_together(labels: Tensor) -> None:
    result = sg.explain(NET, X, method=Ablation(Labelled(labels)), target=TARGET)
    spread = labels.expand(3, 8, 8)
    parts = [spread == name for name in spread.unique()]
    shared = 1 if labels.shape == (3, 8, 8) else 3  # of whole pixels, the sum over channels is the fall
    for row in range(3):
        expected = slow(NET, X[row], int(TARGET[row]), parts, [torch.zeros_like(X[row])])
        torch.testing.assert_close(result.maps[row], expected / shared)
    assert result.passes.tolist() == [len(parts) + 1] * 3


def test_inputs_may_have_labels_of_their_own_and_a_different_number_of_them() -> None:
    labels = torch.stack([LABELS, LABELS.clamp(0, 1), torch.zeros_like(LABELS)])[:, None]
    method = Ablation(Labelled(labels))
    result = sg.explain(NET, X, method=method, target=TARGET, chunk=2)
    assert result.passes.tolist() == [8, 3, 2]
    assert method.passes == 8
    for row in range(3):
        alone = sg.explain(NET, X[[row]], method=Ablation(Labelled(labels[row])), target=TARGET[[row]])
        torch.testing.assert_close(result.maps[row], alone.maps[0])


class Counting(nn.Module):
    """Counts the rows that it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.rows = NET, 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        scores: Tensor = self.net(x)
        return scores


@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_a_row_is_asked_for_no_more_parts_than_it_has(chunk: int) -> None:
    labels = torch.stack([LABELS, LABELS.clamp(0, 1), torch.zeros_like(LABELS)])[:, None]
    method, net = Ablation(Labelled(labels), sg.Several(sg.Black(), sg.White())), Counting()
    estimate = method.estimate(net, Query.of(X, TARGET), Schedule(chunk))
    assert estimate.draws.tolist() == [14, 4, 2]
    assert net.rows == int(method.cost(estimate.draws).sum()) == 3 + 20


def test_single_features_fall_by_their_own_terms() -> None:
    x = torch.tensor([[0.4, -0.7, 1.1, 0.2]], dtype=torch.float64)
    result = sg.explain(Linear(W), x, method=Ablation(Labelled(torch.arange(4))), target=0)
    torch.testing.assert_close(result.maps, x * W)


def test_words_are_taken_whole() -> None:
    w = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.rand(1, 5, 3, dtype=torch.float64)
    result = sg.explain(Flat(w), x, method=Ablation(Labelled(torch.arange(5)[:, None])), target=0)
    torch.testing.assert_close(result.maps[0], (w * x[0]).sum(1, keepdim=True).expand(5, 3))


def test_channels_are_taken_whole() -> None:
    w = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    result = sg.explain(Flat(w), x, method=Ablation(Labelled(torch.arange(3).view(3, 1, 1))), target=0)
    torch.testing.assert_close(result.maps, (w * x).sum((2, 3), keepdim=True).expand(2, 3, 4, 5))
    assert result.coarse is None


def test_only_whole_pixels_give_a_coarse_map() -> None:
    x = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    net = Flat(torch.ones(3, 4, 5, dtype=torch.float64))
    for labels in (torch.arange(4)[:, None].expand(4, 5), torch.arange(4).view(1, 4, 1)):
        result = sg.explain(net, x, method=Ablation(Labelled(labels)), target=0)
        lines = x.sum((1, 3), keepdim=True)
        assert result.coarse is not None
        torch.testing.assert_close(result.coarse, lines.expand(1, 1, 4, 5))
        torch.testing.assert_close(result.maps.sum(1, keepdim=True), lines.expand(1, 1, 4, 5))


def test_several_baselines_are_averaged() -> None:
    baselines = sg.Constant(0.3), sg.Constant((0.1, -0.2, 0.5))
    result = sg.explain(NET, X, method=Ablation(Grid(2), sg.Several(*baselines)), target=TARGET, chunk=2)
    rows = [torch.full_like(X[0], 0.3), torch.tensor([0.1, -0.2, 0.5]).double()[:, None, None].expand(3, 8, 8)]
    parts = windows((3, 8, 8), 4, [0, 4])
    for row in range(3):
        expected = slow(NET, X[row], int(TARGET[row]), parts, rows)
        torch.testing.assert_close(result.maps[row], expected / 3)
    assert result.passes.tolist() == [1 + 2 * 4] * 3


def test_noise_around_it_asks_for_the_fall_from_the_noisy_score() -> None:
    method = Ablation(Grid(2))
    smooth = method.over(sg.Gaussian(0.2, 3, unit="absolute"))
    query = Query.of(X, TARGET)
    points, _, _ = sg.Gaussian(0.2, 3, unit="absolute").draw(query, range(3))
    by_hand = sum(method.estimate(NET, query.with_x(point), Schedule(4)).value for point in points)
    torch.testing.assert_close(smooth.estimate(NET, query, Schedule(4)).value, by_hand / 3)
    assert smooth.passes == 15


def test_a_map_grows_part_by_part() -> None:
    method = Ablation(Grid(2))
    partials = list(method.partials(NET, Query.of(X[:1], 1), Schedule(1)))
    assert [partial.done for partial in partials] == [2, 3, 4, 5]
    assert {partial.total for partial in partials} == {5}
    first, *_, last = [partial.estimate() for partial in partials]
    assert first.draws.tolist() == [1]
    torch.testing.assert_close(first.value[..., :4, :4], last.value[..., :4, :4])
    assert float(first.value[..., 4:].abs().max()) == 0


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_the_chunk_does_not_matter(chunk: int) -> None:
    method = Ablation(Windows(0.4, 4))
    maps = [sg.explain(NET, X, method=method, target=TARGET, chunk=size).maps for size in (chunk, 7)]
    torch.testing.assert_close(*maps, rtol=0, atol=1e-12)


# --- superpixels -------------------------------------------------------------------------------------------------------


def halves() -> Tensor:
    """Pictures in two colours, the border at another place in each."""
    x = torch.full((2, 3, 16, 16), 0.2, dtype=torch.float64)
    x[0, :, :, 7:] += 1
    x[1, :, 3:] += 1
    return x


def test_superpixels_follow_the_picture() -> None:
    pytest.importorskip("skimage")
    x = halves()
    w = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    result = sg.explain(Flat(w), x, method=Ablation(Superpixels(scale=100)), target=0)
    for row in range(2):
        (labels,) = felzenszwalb_segments(x[row], (100.0,))
        falls = (w * x[row]).sum(0)
        expected = torch.stack([falls[labels == name].sum() for name in range(int(labels.max()) + 1)])
        torch.testing.assert_close(result.maps[row].sum(0), expected[labels])
        assert int(result.passes[row]) == 1 + len(expected)
    assert len(result.maps[0].sum(0)[0].unique()) > 1  # along a row of the first picture
    assert Ablation(Superpixels()).passes == 201


def test_superpixels_under_noise_are_those_of_the_clean_picture() -> None:
    pytest.importorskip("skimage")
    query = Query.of(halves(), 0)
    noisy, _, _ = sg.Gaussian(1.0, 2, unit="absolute").draw(query, range(2))
    counts, masks = Superpixels().find(query.at(noisy, range(2)))
    clean_counts, clean_masks = Superpixels().find(query)
    assert torch.equal(counts, clean_counts.repeat(2))
    assert torch.equal(masks([0, 1]), clean_masks([0, 1]).repeat(1, 2, 1, 1, 1))


def test_there_are_no_more_superpixels_than_allowed() -> None:
    pytest.importorskip("skimage")
    x = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    many = int(Superpixels(scale=1, min_size=1).find(Query.of(x, 0)).counts[0])
    few = int(Superpixels(scale=1, min_size=1, most=5).find(Query.of(x, 0)).counts[0])
    assert few <= 5 < many


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Windows(1.2), r"above 0 and up to 1, a fraction of the side, got 1\.2"),
        (lambda: Windows(8), "got 8; 32 of 224 pixels"),
        (lambda: Windows(0.0), "above 0"),
        (lambda: Windows(0.2, 0), "steps >= 1 along each side, got 0"),
        (lambda: Windows(0.2, (3, 0)), r"got \(3, 0\)"),
        (lambda: Windows(0.2, ()), "steps >= 1"),
        (lambda: Windows((0.2,), 4), "one size for each of its 2 sides"),
        (lambda: Grid(0), "cells >= 1"),
        (lambda: Labelled(torch.rand(8, 8)), "whole numbers"),
        (lambda: Labelled(torch.zeros(0, 8, dtype=torch.int64)), "whole numbers"),
        (lambda: Superpixels(scale=0), "scale"),
        (lambda: Superpixels(most=0), "most >= 1"),
        (lambda: Ablation(Windows), "call it"),  # type: ignore[arg-type]
    ],
)
def test_parts_that_mean_nothing_are_refused(make: Any, reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        make()


@pytest.mark.parametrize(
    ("parts", "shape", "reason"),
    [
        (Windows(0.2, 2), (3, 8, 8), "leave out some of the 8 .* give steps >= 4"),
        (Windows(0.5, 2), (3, 8), r"cuts 2 sides .* got rows of shape \(3, 8\)"),
        (Windows((0.5, 0.5), (2, 2)), (8,), "cuts 2 sides"),
        (Grid(2), (5,), r"Grid\(cells=2\) cuts 2 sides"),
        (Labelled(torch.zeros(8, 7).long()), (3, 8, 8), r"labels of shape \(8, 7\)"),
        (Labelled(torch.zeros(4, 1, 8, 8).long()), (3, 8, 8), "the 2 input rows"),
        (Labelled(torch.zeros(3).long()), (4,), "one label for each pixel"),
        (Superpixels(), (3, 8), "takes pictures"),
    ],
)
def test_rows_that_parts_do_not_fit_are_refused(parts: Parts, shape: tuple[int, ...], reason: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 2)).eval()
    with pytest.raises(BadMethod, match=reason):
        sg.explain(net, torch.rand(2, *shape), method=Ablation(parts))


def test_a_score_that_is_no_number_without_a_part_is_an_error() -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((1, 2, 3))[:, None].log()

    with pytest.raises(NonFinite, match="choose another baseline"):
        sg.explain(Log().eval(), torch.rand(1, 1, 4, 4) + 0.1, method=Ablation(Windows(1.0, 1)), target=0)
