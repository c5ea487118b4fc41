"""Gaussian blurs and their derivative in the width."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.samplers.scale_space import blur

PICTURES = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LINES = torch.rand(2, 3, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ROWS = pytest.mark.parametrize("rows", [PICTURES, LINES], ids=["pictures", "lines"])


@ROWS
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 12.0])
def test_it_is_the_blur_of_the_blurred_baseline(rows: Tensor, sigma: float) -> None:
    baseline = sg.Blurred(sigma).of(nn.Identity(), Query.of(rows, 0), Schedule(2))[:, 0]
    torch.testing.assert_close(blur(rows, sigma).rows, baseline)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_a_line_by_hand(sigma: float) -> None:
    line = LINES[0, 0].tolist()
    n, reach = len(line), math.ceil(4 * 3.5)
    weight = [math.exp(-(u**2) / (2 * sigma**2)) for u in range(-reach, reach + 1)]
    expected = []
    for i in range(n):
        total = 0.0
        for u, k in zip(range(-reach, reach + 1), weight, strict=True):
            j = (i + u) % (2 * n)  # reflected: 0 1 ... n-1 | n-1 ... 1 0 | 0 1 ...
            total += k / sum(weight) * line[min(j, 2 * n - 1 - j)]
        expected.append(total)
    found = blur(LINES[:1, :1], sigma, widest=3.5).rows[0, 0]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@ROWS
@pytest.mark.parametrize("sigma", [0.25, 0.6, 1.3, 4.0])
def test_the_slope_is_the_derivative(rows: Tensor, sigma: float) -> None:
    h = 1e-5
    quotient = (blur(rows, sigma + h, 4.5).rows - blur(rows, sigma - h, 4.5).rows) / (2 * h)
    torch.testing.assert_close(blur(rows, sigma, 4.5).slope, quotient, rtol=1e-6, atol=1e-8)


def test_no_width_is_no_blur() -> None:
    rows, slope = blur(PICTURES, 0.0, 5.0)
    assert torch.equal(rows, PICTURES)
    assert not slope.any()
    rows, slope = blur(PICTURES, 1e-3, 5.0)
    torch.testing.assert_close(rows, PICTURES)
    assert float(slope.abs().max()) < 1e-12


def test_means_stay_and_constants_do_not_change() -> None:
    rows, slope = blur(PICTURES, 2.0)
    torch.testing.assert_close(rows.mean((2, 3)), PICTURES.mean((2, 3)))
    torch.testing.assert_close(slope.mean((2, 3)), torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(blur(torch.full((1, 1, 4, 4), 0.3), 5.0).rows, torch.full((1, 1, 4, 4), 0.3))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_a_wave_falls_off_as_heat_does(sigma: float) -> None:
    """cos(w u) under a Gaussian is exp(-s^2 w^2 / 2) cos(w u): the heat equation dL/d(s^2) = L'' / 2, up to the kernel's end."""
    n, wave = 24, 3
    w = math.pi * wave / n
    line = torch.cos(w * (torch.arange(n, dtype=torch.float64) + 0.5))[None, None]
    factor = math.exp(-(sigma**2) * w**2 / 2)
    rows, slope = blur(line, sigma, widest=8.0)
    torch.testing.assert_close(rows, factor * line, rtol=0, atol=1e-6)
    torch.testing.assert_close(slope, -sigma * w**2 * factor * line, rtol=0, atol=1e-5)


def test_types_stay() -> None:
    rows, slope = blur(PICTURES.float(), 1.5)
    assert rows.dtype == slope.dtype == torch.float32
    torch.testing.assert_close(rows.double(), blur(PICTURES, 1.5).rows, rtol=1e-5, atol=1e-6)
