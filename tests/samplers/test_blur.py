"""The path from a blurred picture to the picture."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from smoothgrad.methods.paths import blur_integrated_gradients
from smoothgrad.samplers.blur import BlurPath, Spacing
from smoothgrad.samplers.scale_space import blur
from tests import slow

ROWS = torch.rand(2, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
LINES = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SPACINGS: list[Spacing] = ["linear", "sqrt"]


class Smooth(nn.Module):
    """Rows of any shape to three scores."""

    def __init__(self, values: int = 60) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.first, self.last = nn.Linear(values, 7), nn.Linear(7, 3)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.last(self.first(x.flatten(1)).tanh())
        return scores


def drawn(path: BlurPath, draws: range, x: Tensor = ROWS) -> Draw:
    return path.draw(Query.of(x, 0), draws)


def blurred(x: Tensor, sigma: float) -> Tensor:
    return sg.Blurred(sigma).of(nn.Identity(), Query.of(x, 0), Schedule(9))[:, 0]


@pytest.mark.parametrize("spacing", SPACINGS)
@given(start=st.integers(0, 15), count=st.integers(1, 5))
def test_a_draw_depends_on_its_number_alone(spacing: Spacing, start: int, count: int) -> None:
    path = BlurPath(1.5, 20, spacing)
    several = drawn(path, range(start, start + count))
    assert several.direction is not None
    assert several.points.shape == several.direction.shape == (count, *ROWS.shape)
    for k in range(count):
        one = drawn(path, range(start + k, start + k + 1))
        assert one.direction is not None
        assert torch.equal(one.points[0], several.points[k])
        assert torch.equal(one.direction[0], several.direction[k])
        assert float(one.weight[0]) == float(several.weight[k])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("x", [ROWS, LINES], ids=["pictures", "lines"])
def test_it_leads_from_the_blurred_row_to_the_row(spacing: Spacing, x: Tensor) -> None:
    draw = drawn(BlurPath(1.5, 5, spacing, "trapezoid"), range(5), x)
    torch.testing.assert_close(draw.points[0], blurred(x, 1.5))
    torch.testing.assert_close(draw.points[-1], x)
    middle = 1.5 / 2 if spacing == "linear" else 1.5 / math.sqrt(2)
    torch.testing.assert_close(draw.points[2], blur(x, middle, 1.5).rows)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("x", [ROWS, LINES], ids=["pictures", "lines"])
def test_directions_sum_to_the_whole_way(spacing: Spacing, x: Tensor) -> None:
    draw = drawn(BlurPath(2.0, 80, spacing), range(80), x)
    assert draw.direction is not None
    assert float(draw.weight.sum()) == pytest.approx(1)
    torch.testing.assert_close(torch.tensordot(draw.weight, draw.direction, 1), x - blurred(x, 2.0), rtol=0, atol=1e-7)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_direction_is_the_derivative_of_the_path(spacing: Spacing) -> None:
    many = 2001  # trapezoid: a_k = k / 2000
    path = BlurPath(2.0, many, spacing, "trapezoid")
    for k in (200, 1000, 1700):
        near = drawn(path, range(k - 1, k + 2))
        assert near.direction is not None
        quotient = (near.points[2] - near.points[0]) * (many - 1) / 2
        torch.testing.assert_close(near.direction[1], quotient, rtol=1e-3, atol=1e-4)


# --- maps -------------------------------------------------------------------------------------------------------------


def test_of_a_linear_score_it_is_the_weight_times_what_the_blur_took() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(60, 2)).double().eval()
    result = sg.explain(net, ROWS, method=blur_integrated_gradients(60, sigma=2.0), target=1)
    weight = net[1].weight[1].detach().view(2, 6, 5)
    torch.testing.assert_close(result.maps, weight * (ROWS - blurred(ROWS, 2.0)), rtol=0, atol=1e-7)
    assert result.unit == "score"
    assert result.completeness is not None
    assert float(result.completeness.error.max()) < 1e-6


@pytest.mark.parametrize("spacing", SPACINGS)
def test_of_a_wave_and_a_quadratic_it_is_the_closed_form(spacing: Spacing) -> None:
    """x = cos is an eigenvector of the blur: L = l(s) x, and with f = sum x^2 / 2 the map is x^2 (1 - l(sigma)^2) / 2."""

    class Energy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().flatten(1).sum(1, keepdim=True) / 2

    n, wave, sigma = 12, 3, 2.5
    w = math.pi * wave / n
    x = torch.cos(w * (torch.arange(n, dtype=torch.float64) + 0.5))[None, None]
    u = torch.arange(-10, 11, dtype=torch.float64)
    k = (-(u**2) / (2 * sigma**2)).exp()
    fall = float((k * (w * u).cos()).sum() / k.sum())
    method = sg.Gradient().over(BlurPath(sigma, 100, spacing))
    maps = sg.explain(Energy().eval(), x, method=method, target=0).maps
    torch.testing.assert_close(maps, x.square() * (1 - fall**2) / 2, rtol=1e-5, atol=1e-8)


def slow_blur_ig(net: nn.Module, x: Tensor, target: int, sigma: float, steps: int) -> Tensor:
    """Xu et al. 2020 for one row (C, H, W): the sum over scales of gradient * difference quotient of the blur."""
    h, total = 1e-4, torch.zeros_like(x)
    for i in range(steps):
        scale = sigma * (i + 0.5) / steps
        near, far = (torch.zeros_like(x) for _ in range(2))
        for channel in range(len(x)):
            for picture, width in ((near, scale), (far, scale + h)):
                plane = gaussian_filter(x[channel].numpy(), width, mode="reflect", radius=math.ceil(4 * sigma))
                picture[channel] = torch.from_numpy(plane)
        total -= slow.gradient(net, near, target) * (far - near) / h * sigma / steps
    return total


def test_it_is_the_papers_sum() -> None:
    net = Smooth()
    method = sg.Gradient().over(BlurPath(1.8, 30, quadrature="midpoint"))
    fast = sg.explain(net, ROWS, method=method, target=2).maps
    expected = torch.stack([slow_blur_ig(net, row, 2, 1.8, 30) for row in ROWS])
    torch.testing.assert_close(fast, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("x", [ROWS, LINES], ids=["pictures", "lines"])
def test_it_is_complete(x: Tensor) -> None:
    net = Smooth(x[0].numel())
    result = sg.explain(net, x, method=blur_integrated_gradients(), target=1)
    assert result.completeness is not None
    sigma = 50 / 224 * max(x.shape[2:])
    rise = (net(x) - net(blurred(x, sigma)))[:, 1].detach()
    torch.testing.assert_close(result.completeness.change, rise)
    torch.testing.assert_close(result.maps.flatten(1).sum(1), rise, rtol=1e-5, atol=1e-7)


def test_both_spacings_have_the_same_limit() -> None:
    one, other = (
        sg.explain(Smooth(), ROWS, method=sg.Gradient().over(BlurPath(1.2, 200, spacing)), target=0).maps
        for spacing in SPACINGS
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-8)


def test_under_a_cloud_it_starts_from_the_blur_of_where_it_stands() -> None:
    inner, cloud, net = blur_integrated_gradients(6, sigma=1.0), sg.Gaussian(0.2, 3), Smooth()
    smooth = sg.explain(net, ROWS, method=inner.over(cloud), target=0, seed=5).maps
    points = cloud.draw(Query.of(ROWS, 0, seed=5), range(3)).points
    each = torch.stack([sg.explain(net, point, method=inner, target=0).maps for point in points])
    torch.testing.assert_close(smooth, each.mean(0))


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_chunks_do_not_matter(chunk: int) -> None:
    method = blur_integrated_gradients(7, sigma=1.0)
    whole = sg.explain(Smooth(), ROWS, method=method, target=0).maps
    torch.testing.assert_close(sg.explain(Smooth(), ROWS, method=method, target=0, chunk=chunk).maps, whole)
    torch.testing.assert_close(sg.explain(Smooth(), ROWS[[1]], method=method, target=0).maps, whole[[1]])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadMethod, match="a finite sigma > 0, or None, got 0"):
        BlurPath(0.0)
    with pytest.raises(BadMethod, match="a finite sigma > 0, or None, got inf"):
        BlurPath(math.inf)
    with pytest.raises(BadMethod, match="no spacing 'liner'; did you mean 'linear'"):
        BlurPath(1.0, spacing="liner")  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="needs steps >= 1, got 0"):
        BlurPath(steps=0)
    with pytest.raises(BadMethod, match=r"needs rows \(C, H, W\) or \(C, T\), got rows of shape \(5,\)"):
        sg.explain(nn.Linear(5, 2).eval(), torch.rand(2, 5), method=blur_integrated_gradients())
