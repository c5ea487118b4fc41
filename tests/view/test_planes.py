"""Maps to planes, their standard errors, and the limit of their scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.view.look import Look
from smoothgrad.view.planes import limit, plane, plane_stderr, remark

SIGNS = ("absolute", "signed", "positive", "negative")
CHANNELS = ("sum", "max")


def values_of(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


shapes = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 1000)


def slow_plane(map: Tensor, look: Look) -> list[list[float]]:
    """The formulas of `Look`, pixel by pixel."""
    out = []
    for i in range(map.shape[1]):
        row = []
        for j in range(map.shape[2]):
            m = map[:, i, j].tolist()
            if look.sign == "absolute":
                row.append(sum(map_abs(m)) if look.channels == "sum" else max(map_abs(m)))
                continue
            one = sum(m) if look.channels == "sum" else max(m, key=abs)
            row.append({"signed": one, "positive": max(one, 0.0), "negative": max(-one, 0.0)}[look.sign])
        out.append(row)
    return out


def map_abs(values: list[float]) -> list[float]:
    return [abs(value) for value in values]


@settings(deadline=None)
@given(shapes, seeds, st.sampled_from(SIGNS), st.sampled_from(CHANNELS))
def test_every_look_follows_its_formula(shape: tuple[int, int, int], seed: int, sign: str, channels: str) -> None:
    map, look = values_of(shape, seed), Look(sign=sign, channels=channels)
    torch.testing.assert_close(plane(map, look), torch.tensor(slow_plane(map, look)))


@settings(deadline=None)
@given(shapes, seeds, st.sampled_from(CHANNELS))
def test_positive_and_negative_parts_make_up_the_signed_plane(
    shape: tuple[int, int, int], seed: int, channels: str
) -> None:
    map = values_of(shape, seed)
    looks = {sign: plane(map, Look(sign=sign, channels=channels)) for sign in SIGNS}
    torch.testing.assert_close(looks["positive"] - looks["negative"], looks["signed"])


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_a_map_without_channels_is_a_map_of_one(sign: str, channels: str) -> None:
    map, look = values_of((4, 6), 0), Look(sign=sign, channels=channels)
    assert torch.equal(plane(map, look), plane(map[None], look))


def test_times_input_multiplies_before_channels_are_folded() -> None:
    map, x = values_of((3, 4, 4), 0), values_of((3, 4, 4), 1)
    look = Look(sign="signed", times_input=True)
    torch.testing.assert_close(plane(map, look, x), (map * x).sum(0))


def test_half_precision_is_summed_in_float32() -> None:
    map = torch.full((3, 2, 2), 30000.0, dtype=torch.float16)
    assert torch.equal(plane(map, Look()), torch.full((2, 2), 90000.0))


def test_the_map_itself_is_left_as_it_was() -> None:
    map = values_of((3, 4, 4), 0).requires_grad_()
    before = map.detach().clone()
    assert not plane(map, Look()).requires_grad
    assert torch.equal(map, before)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("sign", SIGNS)
def test_nan_is_not_hidden_by_folding_channels(sign: str, channels: str) -> None:
    map = torch.ones(3, 2, 2)
    map[1, 0, 0] = math.nan
    shown = plane(map, Look(sign=sign, channels=channels))
    assert shown.isnan().sum() == 1
    assert shown[0, 0].isnan()


@pytest.mark.parametrize(
    ("map", "look", "x", "said"),
    [
        (torch.zeros(5), Look(), None, r"\(C, H, W\) or \(H, W\); got shape \(5,\)"),
        (torch.zeros(1, 3, 4, 4), Look(), None, r"got shape \(1, 3, 4, 4\)"),
        (torch.zeros(3, 0, 4), Look(), None, "at least one"),
        (torch.zeros(2, 2, dtype=torch.complex64), Look(), None, "real values"),
        (torch.zeros(3, 4, 4), Look(times_input=True), None, "no input was given"),
        (torch.zeros(3, 4, 4), Look(times_input=True), torch.zeros(3, 8, 8), r"shape \(3, 8, 8\)"),
    ],
)
def test_bad_maps_are_refused_with_what_was_given(map: Tensor, look: Look, x: Tensor | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        plane(map, look, x)


def test_the_error_of_a_sum_is_the_root_of_the_summed_squares() -> None:
    map, stderr = values_of((3, 4, 4), 0), values_of((3, 4, 4), 1).abs()
    for sign in SIGNS:
        torch.testing.assert_close(
            plane_stderr(map, stderr, Look(sign=sign)), (stderr[0] ** 2 + stderr[1] ** 2 + stderr[2] ** 2) ** 0.5
        )


def test_the_error_of_a_maximum_is_that_of_the_channel_shown() -> None:
    map = torch.tensor([[[1.0]], [[-5.0]], [[2.0]]])
    stderr = torch.tensor([[[0.1]], [[0.2]], [[0.9]]])
    assert plane_stderr(map, stderr, Look(channels="max")).item() == pytest.approx(0.2)


def test_the_error_of_a_sum_is_the_spread_of_summed_planes() -> None:
    draws = torch.randn(400, 3, 5, 5, generator=torch.Generator().manual_seed(0)) + torch.tensor(3.0)
    map, stderr = draws.mean(0), draws.std(0) / 20
    look = Look(sign="signed")
    spread = torch.stack([plane(draw, look) for draw in draws]).std(0) / 20
    torch.testing.assert_close(plane_stderr(map, stderr, look), spread, rtol=0.2, atol=0)


def test_the_error_of_map_times_input_is_multiplied_by_the_size_of_the_input() -> None:
    map, stderr, x = torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[[-3.0, 0.0]]])
    assert plane_stderr(map, stderr, Look(times_input=True), x).tolist() == [[3.0, 0.0]]


def test_an_error_of_another_shape_is_refused() -> None:
    with pytest.raises(BadInput, match="standard error has shape"):
        plane_stderr(torch.zeros(3, 4, 4), torch.zeros(4, 4), Look())
    with pytest.raises(BadInput, match="got shape"):
        plane_stderr(torch.zeros(4), torch.zeros(4), Look())


@settings(deadline=None)
@given(shapes, seeds, st.floats(1, 100))
def test_the_limit_is_the_percentile_of_sizes(shape: tuple[int, int, int], seed: int, cap: float) -> None:
    values = values_of(shape, seed)
    assert limit(values, cap) == pytest.approx(float(np.percentile(values.abs().double().numpy(), cap)))
    assert limit(values, cap) == limit(-values, cap) <= values.abs().max()


@settings(deadline=None)
@given(shapes, seeds, st.sampled_from([1e-30, 0.5, 4.0, 1e20]))
def test_the_limit_scales_with_the_map(shape: tuple[int, int, int], seed: int, factor: float) -> None:
    values = values_of(shape, seed).double()
    assert limit(values * factor, 99) == pytest.approx(limit(values, 99) * factor)


@settings(deadline=None)
@given(seeds, st.sampled_from([50.0, 99.0, 100.0]))
def test_a_shared_limit_is_that_of_all_planes_together(seed: int, cap: float) -> None:
    one, other = values_of((4, 6), seed), 7 * values_of((3, 5), seed + 1)
    together = torch.cat([one.flatten(), other.flatten()])
    assert limit([one, other], cap) == limit(together, cap)


def test_the_cap_keeps_one_huge_pixel_from_hiding_the_rest() -> None:
    values = torch.ones(1000)
    values[3] = 1e6
    assert limit(values, 99) == 1.0
    assert limit(values, 100) == 1e6


def test_a_lonely_pixel_is_its_own_limit() -> None:
    values = torch.zeros(100, 100)
    values[4, 5] = -2.5
    assert limit(values, 99) == 2.5


def test_the_limit_ignores_what_is_not_finite() -> None:
    assert limit(torch.tensor([1.0, -2.0, math.nan, math.inf, -math.inf]), 100) == 2.0


@pytest.mark.parametrize("nothing", [torch.zeros(3, 3), torch.tensor([math.nan]), torch.tensor([-0.0])])
def test_nothing_to_show_has_the_limit_zero(nothing: Tensor) -> None:
    assert limit(nothing, 99) == 0.0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.zeros(4, 4), "all zero"),
        (torch.full((4, 4), -2.0), "the same everywhere"),
        (torch.tensor([[3.0]]), ""),
        (torch.tensor([[0.0, 1.0]]), ""),
        (torch.tensor([[math.nan, 1.0]]), "1 value is not finite (magenta)"),
        (torch.tensor([[math.inf, -math.inf, 0.0]]), "2 values are not finite (magenta)"),
    ],
)
def test_odd_planes_are_remarked_on(values: Tensor, said: str) -> None:
    assert remark(values) == said
