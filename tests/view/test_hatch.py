"""What is left out of a map is hatched: in colours that no map has, in print too, at any size."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from smoothgrad.view.colour import palette
from smoothgrad.view.hatch import DEPTH, GROUND, hatched
from smoothgrad.view.look import Sign


def blank(*shape: int) -> np.ndarray:
    return np.full((*shape, 3), 246, np.uint8)


@pytest.mark.parametrize("sign", get_args(Sign))
def test_no_map_has_the_colours_of_what_is_left_out(sign: Sign) -> None:
    table = {tuple(colour) for colour in palette(sign).table.tolist()}
    assert not table & {(GROUND,) * 3, (GROUND - DEPTH,) * 3}


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (8, 200), (60, 60), (224, 224), (1000, 700)])
def test_every_hidden_place_has_lines_and_ground_and_the_others_keep_their_colour(shape: tuple[int, int]) -> None:
    hidden = np.zeros(shape, bool)
    hidden[: max(1, shape[0] // 2)] = True
    page = hatched(blank(*shape), hidden)
    scale = page.shape[0] // shape[0]
    assert page.shape == (shape[0] * scale, shape[1] * scale, 3)
    assert max(page.shape) >= 120
    assert scale == 1 or max(shape) < 120
    top = hidden.sum(0)[0] * scale
    lines = (page[:top] == GROUND - DEPTH).mean()
    assert 0.15 < lines < 0.35
    assert ((page[:top] == GROUND) | (page[:top] == GROUND - DEPTH)).all()
    assert (page[top:] == 246).all()


def test_each_pixel_of_a_small_picture_has_its_own_lines() -> None:
    page = hatched(blank(8, 8), np.ones((8, 8), bool)).reshape(8, 15, 8, 15, 3)
    assert (np.ptp(page, axis=(1, 3)) == DEPTH).all()


def test_a_picture_is_seen_beneath_and_lines_show_on_black_as_on_white() -> None:
    for grey in (0, 128, 255):
        page = hatched(np.full((200, 200, 3), grey, np.uint8), np.ones((200, 200), bool), over_picture=True)
        assert np.ptp(page.astype(int)) == DEPTH
    dark, light = (
        hatched(np.full((200, 200, 3), grey, np.uint8), np.ones((200, 200), bool), over_picture=True).mean()
        for grey in (60, 255)
    )
    assert light - dark > 80


def test_pixels_are_not_changed_in_place() -> None:
    pixels = blank(300, 300)
    hatched(pixels, np.ones((300, 300), bool))
    assert (pixels == 246).all()
