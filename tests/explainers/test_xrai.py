"""XRAI."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Partial
from smoothgrad.core.moments import count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, MissingPackage
from smoothgrad.explainers.xrai import Xrai, grown
from smoothgrad.methods.paths import xrai
from tests.nets import small_net

BOTH = sg.Several(sg.Black(), sg.White())


def quartered(rows: int = 2, channels: int = 3, size: int = 8) -> Tensor:
    """Pictures of four flat quarters, with a little noise that is no edge."""
    colours = torch.rand(rows, channels, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    pictures = colours.repeat_interleave(size // 2, 2).repeat_interleave(size // 2, 3)
    return pictures + 1e-6 * torch.rand(pictures.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


# --- regions ----------------------------------------------------------------------------------------------------------


def slow_regions(pixels: Tensor, segments: Tensor, fewest: int) -> Tensor:
    """Algorithm 1 of Kapishnikov et al. 2019 with sets of pixels."""
    value = {
        place: float(pixels[place]) for place in [(i, j) for i in range(len(pixels)) for j in range(pixels.shape[1])]
    }
    left = [{tuple(place) for place in mask.nonzero().tolist()} for mask in segments]
    covered: set[tuple[int, ...]] = set()
    out = torch.zeros_like(pixels)
    while len(covered) < len(value):
        best, best_gain = None, -math.inf
        for segment in left:
            new = segment - covered
            if len(new) >= fewest:
                gain = sum(value[place] for place in new) / len(new)  # type: ignore[index]
                if gain > best_gain:
                    best, best_gain = segment, gain
        if best is None:
            rest = set(value) - covered
            for place in rest:
                out[place] = sum(value[other] for other in rest) / len(rest)
            return out
        for place in best - covered:
            out[place] = best_gain  # type: ignore[index]
        covered |= best
        left.remove(best)
    return out


@given(seed=st.integers(0, 10_000), segments=st.integers(1, 12), fewest=st.sampled_from([1, 1, 3]))
def test_regions_are_grown_as_in_the_paper(seed: int, segments: int, fewest: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    masks = torch.rand(segments, 5, 6, generator=generator) < torch.rand(segments, 1, 1, generator=generator)
    found = grown(pixels, masks, fewest)
    torch.testing.assert_close(found, slow_regions(pixels, masks, fewest))
    torch.testing.assert_close(found.sum(), pixels.sum())


def test_segments_that_do_not_overlap_have_their_means() -> None:
    pixels = torch.arange(16.0, dtype=torch.float64).view(4, 4)
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    found = grown(pixels, torch.stack([labels == number for number in range(4)]))
    for number in range(4):
        inside = labels == number
        torch.testing.assert_close(found[inside], pixels[inside].mean().expand(4))


def test_the_densest_comes_first_and_the_rest_of_a_larger_one_later() -> None:
    pixels = torch.tensor([[9.0, 7.0, 1.0, 0.0, -5.0]], dtype=torch.float64)
    small, large, whole = [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]
    masks = torch.tensor([[whole], [large], [small]]).bool()
    assert grown(pixels, masks).tolist() == [[8.0, 8.0, 0.5, 0.5, -5.0]]


def test_slivers_are_no_regions() -> None:
    pixels = torch.tensor([[5.0, 5.0, 100.0, 2.0]], dtype=torch.float64)
    masks = torch.tensor([[[1, 1, 0, 0]], [[1, 1, 1, 0]]]).bool()
    assert grown(pixels, masks, fewest=1).tolist() == [[pytest.approx(110 / 3)] * 3 + [2.0]]
    assert grown(pixels, masks[[0]], fewest=3).tolist() == [[28.0] * 4], "what nothing reaches has its mean"


# --- maps -------------------------------------------------------------------------------------------------------------

NET = small_net().double()


def test_each_quarter_has_the_mean_of_its_attributions() -> None:
    x = quartered()
    inner = sg.integrated_gradients(9, baseline=BOTH)
    found = Xrai(inner, dilation=0).estimate(NET, Query.of(x, 1), Schedule(64)).value
    pixels = inner.estimate(NET, Query.of(x, 1), Schedule(64)).value.sum(1)
    assert found.shape == (2, 1, 8, 8)
    for row in range(2):
        for down in (slice(0, 4), slice(4, 8)):
            for right in (slice(0, 4), slice(4, 8)):
                mean = pixels[row, down, right].mean()
                torch.testing.assert_close(found[row, 0, down, right], mean.expand(4, 4))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_sum_is_that_of_the_attributions(channels: int) -> None:
    net, x = small_net(channels=channels).double(), torch.rand(2, channels, 8, 8, dtype=torch.float64)
    inner = sg.integrated_gradients(50, baseline=BOTH)
    result, plain = (sg.explain(net, x, method=method, target=2) for method in (xrai(50), inner))
    assert result.completeness is not None
    assert plain.completeness is not None
    torch.testing.assert_close(result.completeness.total, plain.completeness.total)
    torch.testing.assert_close(result.completeness.change, plain.completeness.change)
    torch.testing.assert_close(result.maps.sum((1, 2, 3)), plain.maps.sum((1, 2, 3)))
    assert result.unit == "score"
    assert (result.coarse is None) is (channels == 1)
    if result.coarse is not None:
        torch.testing.assert_close(result.coarse[:, 0], result.maps.sum(1))


def test_xrai_is_that_of_integrated_gradients_from_black_and_white() -> None:
    assert xrai() == Xrai()
    assert xrai(20) == Xrai(sg.integrated_gradients(20, baseline=BOTH))
    assert xrai(20).passes == 40


def test_segments_are_those_of_the_clean_picture() -> None:
    x = quartered()
    noisy = replace(Query.of(x, 0), x=x + torch.rand(x.shape, dtype=torch.float64))
    maps = Xrai(sg.gradient(), dilation=0).estimate(NET, noisy, Schedule(64)).value
    assert all(len(row.unique()) == 4 for row in maps)
    result = sg.explain(NET, x, method=Xrai(sg.gradient(), dilation=0).over(sg.Gaussian(0.3, 5)), target=0)
    assert result.coarse is not None
    assert all(len(row.mul(1e9).round().unique()) == 4 for row in result.coarse)
    assert result.stderr is not None


def test_rows_do_not_see_each_other() -> None:
    x, method = torch.rand(3, 3, 8, 8, dtype=torch.float64), xrai(5)
    whole = sg.explain(NET, x, method=method, target=0).maps
    for row in range(3):
        torch.testing.assert_close(sg.explain(NET, x[[row]], method=method, target=0).maps, whole[[row]])
    torch.testing.assert_close(sg.explain(NET, x, method=method, target=0, chunk=1).maps, whole)


@final
@dataclass(frozen=True, repr=False)
class Places(sg.Explainer):
    """A coarse map (N, 1, 2, 2) of 0, 1, 2, 3."""

    passes = 1
    unit = "score"

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        value = torch.arange(4, dtype=query.x.dtype).view(1, 1, 2, 2).expand(len(query), -1, -1, -1)
        yield Partial(1, 1, lambda: sg.Estimate(value, None, count(value, 1)))


def test_a_coarse_map_is_brought_to_the_pictures_size() -> None:
    found = Xrai(Places(), dilation=0).estimate(NET, Query.of(quartered(1), 0), Schedule(9)).value[0, 0]
    quarters = torch.tensor([[float(found[i, j]) for j in (0, 7)] for i in (0, 7)])
    assert torch.equal(quarters.flatten().argsort(), torch.arange(4))
    assert float(found.sum()) == pytest.approx(1.5 * 64)


def test_progress_is_that_of_the_attributions() -> None:
    query = Query.of(quartered(), 0)
    inner = sg.integrated_gradients(6)
    seen = [(part.done, part.total) for part in Xrai(inner).partials(NET, query, Schedule(4))]
    assert seen == [(part.done, part.total) for part in inner.partials(NET, query, Schedule(4))]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadMethod, match=r"needs pictures, rows \(C, H, W\), got rows of shape \(5,\)"):
        sg.explain(nn.Linear(5, 2).eval(), torch.rand(2, 5), method=xrai(3))
    with pytest.raises(BadMethod, match="Together gives several maps per row, and Xrai takes one"):
        Xrai(sg.Gradient().over(sg.Gaussian(0.1, 4), sg.Together(sg.Mean(), sg.Max())).then(sg.Absolute()))
    with pytest.raises(BadMethod, match="one scale or more"):
        Xrai(scales=())
    with pytest.raises(BadMethod, match="min_size >= 1"):
        Xrai(min_size=0)
    with pytest.raises(BadMethod, match="dilation >= 0, got -1"):
        Xrai(dilation=-1)


def test_without_scikit_image_it_says_so_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    method = xrai(3)
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingPackage, match=r"pip install 'smoothgrad\[segments\]'"):
        method.check(Query.of(quartered(), 0))
