"""Palettes, colours, overlays."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothgrad.errors import BadInput
from smoothgrad.view.colour import (
    STEPS,
    UNREAL,
    Palette,
    Pixels,
    bar,
    colour,
    coloured,
    overlay,
    palette,
    rgb,
    scale_bar,
)
from smoothgrad.view.look import Look

Floats = npt.NDArray[np.float64]

NAMES = ("signed", "absolute", "positive", "negative", "error")
SIGNED = Look(sign="signed")

# Linear sRGB as seen without one kind of cone. Machado, Oliveira, Fernandes 2009, severity 1.
BLIND = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(pixels: Pixels) -> Floats:
    values = pixels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: Floats) -> Floats:
    """Linear sRGB to CIE L*a*b*, white D65; written apart from the code it judges."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = np.clip(light, 0, 1) @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def seen(pixels: Pixels, eyes: str = "") -> Floats:
    light = linear(pixels)
    return lab(light @ np.array(BLIND[eyes]).T) if eyes else lab(light)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_exactly_neutral(name: str) -> None:
    zero = palette(name).table[palette(name).zero]
    assert len(set(zero.tolist())) == 1
    assert zero[0] > 240


def test_zero_is_the_middle_of_the_signed_palette() -> None:
    assert len(palette("signed").table) == 2 * palette("signed").zero + 1


@pytest.mark.parametrize("name", NAMES)
def test_lightness_falls_evenly_from_zero(name: str) -> None:
    colours = palette(name)
    for arm in (colours.table[colours.zero :], colours.table[colours.zero :: -1]):
        light = seen(arm)[:, 0]
        straight = np.linspace(light[0], light[-1], len(light))
        assert np.abs(light - straight).max() < 1.0
        assert (np.diff(light[:: STEPS // 64]) < 0).all()


def test_both_signs_are_equally_light() -> None:
    table = palette("signed").table
    light = seen(table)[:, 0]
    assert np.abs(light - light[::-1]).max() < 1.0


@pytest.mark.parametrize("eyes", ["", *BLIND])
def test_the_two_signs_stay_apart_for_every_reader(eyes: str) -> None:
    table = palette("signed").table
    apart = np.linalg.norm(seen(table, eyes) - seen(table, eyes)[::-1], axis=-1)
    share = np.abs(np.arange(-STEPS, STEPS + 1)) / STEPS
    # 2.3 is a just noticeable difference; a quarter of the limit must be told apart with ease
    assert (apart[share >= 0.25] > 4 * 2.3).all()
    assert (apart[share >= 0.5] > 10 * 2.3).all()


@pytest.mark.parametrize("eyes", BLIND)
@pytest.mark.parametrize("name", NAMES)
def test_size_is_read_from_lightness_by_every_reader(name: str, eyes: str) -> None:
    colours = palette(name)
    for arm in (colours.table[colours.zero :], colours.table[colours.zero :: -1]):
        assert (np.diff(seen(arm, eyes)[:: STEPS // 16, 0]) < 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_colour_of_nan_is_far_from_every_palette(name: str) -> None:
    apart = np.linalg.norm(seen(palette(name).table) - seen(UNREAL), axis=-1)
    assert apart.min() > 60


@pytest.mark.parametrize("name", NAMES)
def test_palettes_have_no_edges_of_their_own(name: str) -> None:
    steps = np.linalg.norm(np.diff(seen(palette(name).table), axis=0), axis=-1)
    assert steps.max() < 2.3


@settings(deadline=None)
@given(st.floats(-1e30, 1e30), st.floats(1e-30, 1e30))
def test_opposite_values_stand_opposite_on_the_palette(value: float, limit: float) -> None:
    table = palette("signed").table
    pixels = colour(torch.tensor([[value, 0.0, -value]], dtype=torch.float64), limit, SIGNED)[0]
    where = [int(np.flatnonzero((table == pixel).all(-1)).mean()) for pixel in pixels]
    assert where[1] == STEPS
    assert abs(where[0] + where[2] - 2 * STEPS) <= 2  # neighbours may round to the same colour


@pytest.mark.parametrize("sign", ["absolute", "signed", "positive", "negative"])
def test_values_past_the_limit_take_its_colour(sign: str) -> None:
    look = Look(sign=sign)
    pixels = colour(torch.tensor([[1.0, 1.5, 1e30]]), 1.0, look)
    assert (pixels == palette(sign).table[-1]).all()


def test_an_unsigned_palette_starts_at_zero() -> None:
    assert (colour(torch.tensor([[0.0, -3.0]]), 1.0, Look()) == palette("absolute").table[0]).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_what_is_not_finite_is_loud(value: float, limit: float) -> None:
    pixels = colour(torch.tensor([[value, 0.0]]), limit, SIGNED)
    assert (pixels[0, 0] == UNREAL).all()
    assert (pixels[0, 1] == palette("signed").table[STEPS]).all()


def test_an_all_zero_map_is_drawn_as_zero() -> None:
    shown = coloured(torch.zeros(3, 4, 4), SIGNED)
    assert (shown.pixels == palette("signed").table[STEPS]).all()
    assert (shown.limit, shown.remark) == (0.0, "all zero")


def test_a_constant_map_is_drawn_in_full_colour() -> None:
    shown = coloured(torch.full((1, 4, 4), -3.0), SIGNED)
    assert (shown.pixels == palette("signed").table[0]).all()
    assert shown.remark == "the same everywhere"


def test_a_single_pixel_has_a_picture() -> None:
    assert coloured(torch.ones(3, 1, 1), Look()).pixels.shape == (1, 1, 3)


def test_the_smallest_and_largest_numbers_are_shown() -> None:
    for size in (1e-45, 3e38):
        shown = coloured(torch.tensor([[size, -size]]), SIGNED)
        assert (shown.pixels[0] == palette("signed").table[[-1, 0]]).all()


def test_overlay_shows_the_picture_where_the_map_is_zero() -> None:
    picture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    look = Look(sign="signed", overlay=1.0)
    shown = overlay(picture, torch.zeros(4, 4), 1.0, look)
    assert (shown[..., 0] == shown[..., 1]).all()
    grey = rgb(picture) @ np.array([0.299, 0.587, 0.114])
    assert (
        np.argsort(shown[..., 0].ravel(), kind="stable")
        == np.argsort(np.rint(60 + 195 * grey / 255).ravel(), kind="stable")
    ).all()


@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_overlay_shows_the_map_alone_at_the_limit(ground: float) -> None:
    look = Look(sign="signed", overlay=1.0)
    values = torch.tensor([[1.0, -1.0, 9.0]])
    shown = overlay(torch.full((3, 1, 3), ground), values, 1.0, look)
    assert (shown == colour(values, 1.0, look)).all()


def test_overlay_covers_more_the_stronger_the_map() -> None:
    look = Look(sign="positive", overlay=1.0)
    values = torch.linspace(0, 1, 50)[None]
    black = overlay(torch.zeros(1, 1, 50), values, 1.0, look).astype(int)
    white = overlay(torch.ones(1, 1, 50), values, 1.0, look).astype(int)
    picture_seen = np.abs(white - black)[0, :, 0]
    assert picture_seen[0] == 195
    assert picture_seen[-1] == 0
    assert (np.diff(picture_seen) <= 1).all()


def test_overlay_mixes_by_the_square_of_the_strength() -> None:
    look = Look(sign="signed", overlay=0.5)
    values = torch.tensor([[0.5, -0.2]])
    strength = torch.tensor([[0.5, 0.2]]).square().numpy()[..., None]
    ground = (255 + 246) / 2  # a white picture, half covered by the colour of zero
    mixed = (1 - strength) * ground + strength * colour(values, 1.0, look)
    assert np.abs(overlay(torch.ones(3, 1, 2), values, 1.0, look) - mixed).max() <= 0.5


def test_overlay_keeps_nan_loud() -> None:
    for limit in (0.0, 1.0):
        shown = overlay(torch.ones(1, 1, 2), torch.tensor([[math.nan, -math.inf]]), limit, Look(overlay=0.5))
        assert (shown == UNREAL).all()


def test_overlay_refuses_a_picture_of_another_size() -> None:
    with pytest.raises(BadInput, match="8 x 8 pixels, its map 4 x 4"):
        overlay(torch.zeros(3, 8, 8), torch.zeros(4, 4), 1.0, Look(overlay=0.5))


def test_a_look_with_overlay_asks_for_the_picture() -> None:
    with pytest.raises(BadInput, match="no picture was given"):
        coloured(torch.zeros(3, 4, 4), Look(overlay=0.5))
    assert coloured(torch.zeros(3, 4, 4), Look(overlay=0.5), beneath=torch.zeros(3, 4, 4)).pixels.shape == (4, 4, 3)


def test_pictures_keep_their_values() -> None:
    bytes_ = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2) * 20
    assert (rgb(bytes_) == bytes_.permute(1, 2, 0).numpy()).all()
    assert (rgb(bytes_.double() / 255) == rgb(bytes_)).all()


def test_a_grey_picture_is_grey() -> None:
    pixels = rgb(torch.tensor([[[0.0, 0.5, 1.0]]]))
    assert pixels.tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_nan_in_a_picture_is_loud() -> None:
    picture = torch.zeros(3, 1, 2)
    picture[1, 0, 1] = math.nan
    assert rgb(picture).tolist() == [[[0, 0, 0], [255, 0, 255]]]


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.zeros(4, 4), r"got shape \(4, 4\)"),
        (torch.zeros(2, 4, 4), r"got shape \(2, 4, 4\)"),
        (torch.zeros(3, 0, 4), r"got shape \(3, 0, 4\)"),
        (torch.full((3, 2, 2), -2.0), "undo the network's preprocessing"),
        (torch.full((3, 2, 2), 255.0), "255 to 255"),
    ],
)
def test_what_is_no_picture_is_refused(picture: torch.Tensor, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rgb(picture)


def test_the_legend_has_the_colours_of_the_map() -> None:
    values = torch.linspace(-2, 2, 2 * STEPS + 1)[None]
    assert (bar(SIGNED) == colour(values, 2.0, SIGNED)).all()
    assert bar(Look(), width=10, height=3).shape == (3, 10, 3)


def test_a_bar_runs_from_end_to_end() -> None:
    steps = Palette(np.arange(15, dtype=np.uint8).reshape(5, 3), zero=2)
    assert scale_bar(steps, 5, 1)[0].tolist() == steps.table.tolist()
