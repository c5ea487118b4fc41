"""Noisy linear imputation against the equations of the paper, written out and solved densely."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure import imputed
from smoothgrad.measure.imputed import Imputed


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some(share: float, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def filled(x: Tensor, gone: Tensor, noise: float = 0.0, **given: object) -> Tensor:
    query = Query.of(x, 0, **given)  # type: ignore[arg-type]
    return Imputed(noise).of(nn.Identity(), query, Schedule(4))(gone, range(len(gone)))


def slow(picture: Tensor, gone: Tensor) -> Tensor:
    """One channel (H, W): an equation for each pixel that is gone, its weights by hand."""
    height, width = picture.shape
    places = [(i, j) for i in range(height) for j in range(width) if gone[i, j]]
    if len(places) == height * width:
        return picture.mean().expand_as(picture)
    left, right = (
        torch.zeros(len(places), len(places), dtype=torch.float64),
        torch.zeros(len(places), dtype=torch.float64),
    )
    for equation, (i, j) in enumerate(places):
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                other = i + down, j + across
                if (down, across) == (0, 0) or not (0 <= other[0] < height and 0 <= other[1] < width):
                    continue
                weight = 1 / 12 if down and across else 1 / 6
                left[equation, equation] += weight
                if gone[other]:
                    left[equation, places.index(other)] -= weight
                else:
                    right[equation] += weight * picture[other]
    out = picture.clone()
    if places:
        solution = torch.linalg.solve(left, right)
        for (i, j), value in zip(places, solution, strict=True):
            out[i, j] = value
    return out


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("shape", [(2, 6, 7), (1, 9, 2), (3, 1, 8), (2, 5, 1), (1, 1, 1)])
def test_it_is_the_solution_of_the_equations(share: float, shape: tuple[int, int, int]) -> None:
    x, gone = numbers(2, *shape) + 5, some(share, 3, 2, shape[1] * shape[2])
    found = filled(x, gone)
    for step in range(3):
        for row in range(2):
            for channel in range(shape[0]):
                expected = slow(x[row, channel], gone[step, row].view(shape[1:]))
                torch.testing.assert_close(found[step, row, channel], expected, rtol=0, atol=3e-5)


def test_one_pixel_is_the_weighted_mean_of_those_around_it() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3) ** 2
    found = filled(x, torch.eye(9, dtype=torch.bool)[:, None])[:, 0, 0].flatten(1).diagonal()
    middle = (1 + 9 + 25 + 49) / 6 + (0 + 4 + 36 + 64) / 12
    corner = (1 / 6 * 1 + 1 / 6 * 9 + 1 / 12 * 16) / (5 / 12)
    edge = (1 / 6 * (0 + 4 + 16) + 1 / 12 * (9 + 25)) / (4 / 6)
    torch.testing.assert_close(found[[4, 0, 1]], torch.tensor([middle, corner, edge]))


def test_what_is_kept_is_kept_exactly_and_nothing_gone_leaves_the_rows() -> None:
    x, gone = numbers(2, 3, 8, 8), some(0.6, 3, 2, 64)
    keep = ~gone.view(3, 2, 1, 8, 8)
    for noise in (0.0, 0.3):
        found = filled(x, gone, noise)
        assert torch.equal(found * keep, x * keep)
    assert torch.equal(filled(x, torch.zeros_like(gone), 0.3), x.expand(3, *x.shape))


def test_a_plane_stays_a_plane_inside_and_values_stay_within_those_kept() -> None:
    plane = (2.0 * torch.arange(12)[:, None] - 3.0 * torch.arange(12)).double().view(1, 1, 12, 12)
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[1:11, 2:9] = True
    torch.testing.assert_close(filled(plane, inside.view(1, 1, -1))[0], plane, rtol=0, atol=1e-4)
    x, gone = numbers(4, 3, 8, 8), some(0.9, 5, 4, 64)
    found, keep = filled(x, gone), ~gone.view(5, 4, 1, 8, 8)
    low, high = x.masked_fill(~keep, torch.inf).flatten(3).amin(3), x.masked_fill(~keep, -torch.inf).flatten(3).amax(3)
    assert bool((found.flatten(3) >= low[..., None] - 1e-5).all())
    assert bool((found.flatten(3) <= high[..., None] + 1e-5).all())


def test_nothing_kept_is_the_mean_of_each_channel() -> None:
    x = numbers(3, 2, 4, 4)
    expected = sg.ChannelMean().of(nn.Identity(), Query.of(x, 0), Schedule(1))[:, 0]
    torch.testing.assert_close(filled(x, torch.ones(2, 3, 16, dtype=torch.bool)), expected.expand(2, *x.shape))


def test_a_signal_is_joined_by_straight_lines_and_goes_on_level_at_its_ends() -> None:
    x = torch.tensor([[[9.0, 2.0, 9.0, 9.0, 5.0, 9.0], [9.0, 0.0, 9.0, 9.0, -3.0, 9.0]]])
    gone = torch.tensor([[[True, False, True, True, False, True]]])
    expected = torch.tensor([[2.0, 2.0, 3.0, 4.0, 5.0, 5.0], [0.0, 0.0, -1.0, -2.0, -3.0, -3.0]])
    torch.testing.assert_close(filled(x, gone)[0, 0], expected, rtol=0, atol=1e-5)


def test_noise_is_a_fraction_of_the_range_where_something_is_gone() -> None:
    x, gone = numbers(2, 3, 20, 20), some(0.5, 6, 2, 400)
    noise = (filled(x, gone, 0.2) - filled(x, gone)).masked_select(gone.view(6, 2, 1, 20, 20))
    spread = (x.flatten(1).amax(1) - x.flatten(1).amin(1))[None, :, None, None, None].expand(6, 2, 3, 20, 20)
    noise = noise / spread.masked_select(gone.view(6, 2, 1, 20, 20))
    assert abs(float(noise.std()) - 0.2) < 0.01
    assert abs(float(noise.mean())) < 0.01


def test_noise_belongs_to_the_row_and_the_step() -> None:
    x, gone = numbers(3, 1, 6, 6), some(0.5, 1, 3, 36).expand(4, -1, -1)
    whole = filled(x, gone, 0.2)
    assert not torch.equal(whole[0], whole[1])
    again = Imputed(0.2).of(nn.Identity(), Query.of(x[[1]], 0, keys=torch.tensor([1])), Schedule(4))
    torch.testing.assert_close(again(gone[2:, [1]], range(2, 4)), whole[2:, [1]])
    assert not torch.allclose(filled(x, gone, 0.2, seed=1), whole)
    constant = torch.ones(1, 1, 6, 6)
    torch.testing.assert_close(filled(constant, gone[:, :1], 0.2), constant.expand(4, 1, 1, 6, 6))


def test_a_row_does_not_depend_on_the_batch_nor_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    # A row of one hole among rows of many: each goes its own steps.
    x, gone = numbers(3, 2, 9, 9), some(0.9, 4, 3, 81)
    gone[:, 1] = False
    gone[:, 1, 40] = True
    whole = filled(x, gone)
    for row in range(3):
        torch.testing.assert_close(filled(x[[row]], gone[:, [row]])[:, 0], whole[:, row], rtol=0, atol=1e-12)
    monkeypatch.setattr(imputed, "PIECE", 200)
    torch.testing.assert_close(filled(x, gone), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_narrower_types_agree(kind: torch.dtype) -> None:
    x, gone = numbers(2, 3, 12, 12).to(kind), some(0.8, 3, 2, 144)
    found = filled(x, gone)
    assert found.dtype == kind
    torch.testing.assert_close(found.double(), filled(x.double(), gone), rtol=0, atol=4 * torch.finfo(kind).eps + 2e-5)


def test_a_large_shift_is_no_matter() -> None:
    x, gone = numbers(1, 1, 16, 16).float(), some(0.9, 1, 1, 256)
    torch.testing.assert_close(filled(x + 1000, gone) - 1000, filled(x, gone), rtol=0, atol=5e-4)


def test_64_masks_of_a_small_picture_take_well_under_a_second() -> None:
    x, gone = numbers(1, 3, 32, 32).float(), some(0.5, 64, 1, 1024)
    filled(x, gone)
    begun = time.perf_counter()
    filled(x, gone)
    assert time.perf_counter() - begun < 0.5


def test_other_rows_and_other_noise_are_refused() -> None:
    for shape in ((7,), (1, 3, 4, 2)):
        with pytest.raises(BadInput, match=r"rows \(C, H, W\) or \(C, T\), got rows of shape .*take Replaced\("):
            Imputed().check(Query.of(torch.zeros(2, *shape), 0))
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(BadMethod, match="Imputed needs a finite noise >= 0"):
            Imputed(wrong)
    assert repr(Imputed(0.01)) == "Imputed(noise=0.01)"
    assert Imputed() == Imputed(0.0)
