"""Performance information curves, judged by loops over pictures and shares, with files of their own."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.pic import AccuracyPic, SoftmaxPic, file_sizes
from smoothgrad.samplers.scale_space import blur
from tests.measure.removing import asked, by_relevance, hidden, linear, nearest, pictures, trapezoid

SHARES = (0.02, 0.1, 0.3, 0.6)


def judged(measure: Measure, net: nn.Module, query: Query, maps: Tensor) -> Judged:
    case = Case(net, query, maps, Schedule(64))
    measure.admit(case)
    return measure.judge(case)


def slow_size(picture: Tensor, whole: Tensor) -> int:
    low, high = float(whole.min()), float(whole.max())
    levels = np.rint((picture.numpy() - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(levels, 0, 2)).save(file, format="webp", lossless=True, quality=0, method=1)
    return len(file.getvalue())


def slow_curve(
    net: nn.Module, x: Tensor, one: Tensor, class_: int, accuracy: bool, shares: tuple[float, ...] = SHARES
) -> list[tuple[float, float]]:
    """The points of the curve: the largest gain so far, share by share, then in the order of information."""
    order, blurred = by_relevance(one), blur(x[None], 10.0).rows[0]
    points = []
    for share in (0.0, *shares, 1.0):
        shown = hidden(blurred, order[: nearest(share * len(order))], x)
        p = asked(net, shown, lambda output: output.softmax(0)[class_])
        right = asked(net, shown, lambda output: output.argmax()) == class_
        points.append((slow_size(shown, x), float(right) if accuracy else p))
    (least, nothing), (most, whole) = points[0], points[-1]
    curve: list[tuple[float, float]] = []
    best = 0.0
    for place, height in points:
        best = max(best, min(1.0, max(0.0, (height - nothing) / (whole - nothing))))
        curve.append((min(1.0, max(0.0, (place - least) / (most - least))), best))
    return sorted(curve, key=lambda point: point[0])


@pytest.mark.parametrize("kind", [AccuracyPic, SoftmaxPic])
def test_it_is_what_the_paper_says(kind: type[AccuracyPic | SoftmaxPic]) -> None:
    net, query, maps = pictures(rows=12)
    found = judged(kind(SHARES), net, query, maps)
    assert found.curve is not None
    scored = [i for i in range(12) if not found.reasons[i]]
    assert len(scored) > 3
    for i in scored:
        curve = slow_curve(net, query.x[i], maps[i], int(query.target[i]), kind is AccuracyPic)
        places, heights = zip(*curve, strict=True)
        assert math.isclose(found.value[i], trapezoid(places, heights), rel_tol=1e-9)
        want = np.interp(found.curve.x.numpy(), places, heights)
        apart = np.array([min(abs(place - at) for place in places) > 1e-9 for at in found.curve.x.tolist()])
        np.testing.assert_allclose(found.curve.y[i].numpy()[apart], want[apart], atol=1e-9)
        assert places[0] == heights[0] == 0
        assert math.isclose(float(found.curve.y[i, -1]), 1)
    assert found.value[scored].std() > 0.01


class Light(nn.Module):
    """Class 0 where the lower half is bright."""

    def forward(self, x: Tensor) -> Tensor:
        f = x[:, :, 16:].mean((1, 2, 3)) - 1
        return torch.stack([f, -f], 1)


def test_points_count_in_the_order_of_what_they_tell() -> None:
    # The lower half is plain: scattered pixels of it take a larger file than all of them, which come next; then comes noise.
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    x[:, :, 16:] = 2
    maps = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    maps[:, :, 16:] += 5
    net = Light().eval()
    shown = [hidden(blur(x, 10.0).rows[0], by_relevance(maps[0])[:count], x[0]) for count in (256, 512)]
    assert slow_size(shown[0], x[0]) > slow_size(shown[1], x[0])
    points = slow_curve(net, x[0], maps[0], 0, False, shares=(0.25, 0.5, 0.75))
    want = trapezoid(*zip(*points, strict=True))
    assert math.isclose(SoftmaxPic((0.25, 0.5, 0.75))(net, Query.of(x, 0), maps), want, rel_tol=1e-9)


class Bar(nn.Module):
    """Looks at a few pixels only: class 0 where they are bright."""

    def forward(self, x: Tensor) -> Tensor:
        f = x[:, :, 2, 1:4].sum((1, 2)) - 8
        return torch.stack([f, -f], 1)


def test_the_truth_and_its_reverse_bracket_every_map() -> None:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, :, 2, 1:4] = 1
    query = Query.of(x, 0)
    truth = 0.01 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth[:, :, 2, 1:4] = 1
    chance = torch.randn(20, *x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    net = Bar().eval()
    for measure in (AccuracyPic(), SoftmaxPic()):
        best, worst = measure(net, query, truth), measure(net, query, -truth)
        others = torch.stack([measure(net, query, maps) for maps in chance])
        assert (best > 0.98).all() if isinstance(measure, AccuracyPic) else (best > 0.9).all()
        assert (others < best).all()
        assert (others.mean(0) > worst).all()


def test_files_say_how_much_there_is_to_tell() -> None:
    x = torch.rand(2, 3, 32, 32)
    pictures_ = torch.stack([torch.zeros_like(x) + 0.5, blur(x, 1.0).rows, x])
    sizes = file_sizes(pictures_, x)
    assert sizes.shape == (3, 2)
    assert (sizes.diff(dim=0) > 0).all()
    assert sizes[2, 0] > 32 * 32 * 2.5  # noise cannot be made small
    assert sizes[2, 1] == slow_size(x[1], x[1])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels_makes_a_file(channels: int) -> None:
    x = torch.rand(1, channels, 32, 24)
    sizes = file_sizes(x[None], x)
    assert 0.8 < float(sizes[0, 0]) / (channels * 32 * 24) < 1.3


def test_levels_are_those_of_the_whole_picture_whatever_its_units() -> None:
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    dark = x / 2
    assert file_sizes(torch.stack([x, dark]), x).equal(file_sizes(torch.stack([7 * x - 3, 7 * dark - 3]), 7 * x - 3))
    assert file_sizes(dark[None], x) < file_sizes(dark[None], dark)


def test_a_picture_that_blurring_does_not_change_has_no_score() -> None:
    net, query, maps = pictures()
    query.x[0] = 0.5
    with torch.no_grad():
        query.target[:] = net(query.x).argmax(1)
    for measure in (AccuracyPic(), SoftmaxPic()):
        found = judged(measure, net, query, maps)
        assert found.value.isnan().tolist() == [True, False, False]
        assert "no smaller a file" in found.reasons[0]


def test_rows_that_are_no_pictures_are_refused() -> None:
    net, query, truth = linear()
    for measure in (AccuracyPic(), SoftmaxPic()):
        with pytest.raises(BadInput, match=r"compresses pictures \(C, H, W\), got rows of shape \(12,\)"):
            measure(net, query, truth)


@pytest.mark.parametrize("kind", [AccuracyPic, SoftmaxPic])
def test_a_class_that_the_blurred_picture_has_already_gives_no_score(kind: type[AccuracyPic | SoftmaxPic]) -> None:
    # The mean of a picture stands in its blurred one, too: no map could show less than all of it.
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.mean((1, 2, 3)).mul(0) + 1, x.mean((1, 2, 3)).mul(0)], 1)

    x, maps = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = judged(kind(), Mean().eval(), Query.of(x, 0), maps)
    assert found.value.isnan().all()
    assert set(found.reasons) == {"the class is found in the blurred picture already"}


def test_what_the_blurred_picture_tells_already_is_not_the_maps_doing() -> None:
    # p is 1 / 2 for the blurred picture and rises only with the last places: a share of p(x) would begin high.
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    maps[:, :, 2, 1:4] = -1
    x[:, :, 2, 1:4] = 1
    found = judged(SoftmaxPic(), Bar().eval(), Query.of(x, 0), maps)
    assert found.curve is not None
    assert float(found.curve.y[0, 0]) == 0
    assert float(found.curve.y[0, 50]) < 0.5
