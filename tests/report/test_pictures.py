"""Images of the page: small, exact, with their scales in words."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import smoothgrad as sg
from smoothgrad.report.pictures import drawn_row, png_uri, thumbnail
from smoothgrad.view.colour import UNREAL, palette
from smoothgrad.view.hatch import DEPTH, GROUND
from smoothgrad.view.planes import limit, plane
from smoothgrad.view.scales import ends
from tests.nets import small_net


def pixels_of(uri: str) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("colours", [1, 2, 256, 257, 3000])
def test_a_png_holds_exactly_its_pixels(colours: int) -> None:
    values = np.random.default_rng(0).permutation(colours * 5)[: colours * 4] % colours
    pixels = np.stack([values // 256, values % 256, values % 7], axis=-1).astype(np.uint8).reshape(4, -1, 3)
    assert (pixels_of(png_uri(pixels)) == pixels).all()


def test_few_colours_take_a_byte_each() -> None:
    noise = np.random.default_rng(0).integers(0, 128, (64, 64), np.uint8)
    uri = png_uri(np.stack([noise, 255 - noise, noise], axis=-1))
    assert len(base64.b64decode(uri.partition(",")[2])) < 1.2 * noise.size


def test_a_thumbnail_is_no_larger_than_asked_and_never_enlarged() -> None:
    assert thumbnail(np.zeros((200, 100, 3), np.uint8), "").height == 96
    assert thumbnail(np.zeros((8, 8, 3), np.uint8), "").height == 8


LOOKS = [sg.Look(sign="absolute"), sg.Look(sign="signed"), sg.Look(sign="positive"), sg.Look(sign="negative", cap=90)]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.sign)
def test_a_map_has_the_colours_of_its_palette_and_the_numbers_of_its_scale(look: sg.Look) -> None:
    result = sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=sg.smoothgrad(samples=4))
    [cell] = drawn_row([result], look, ["Map"])
    assert cell is not None
    assert cell.error is not None
    values = plane(result.maps[0], look)
    end = limit(values, look.cap)
    exact = palette(look.sign)(values, end).astype(int)
    assert np.abs(pixels_of(cell.map.picture.uri).astype(int) - exact).max() <= 4  # a few of the palette's steps
    assert [(mark.place / 100, mark.text) for mark in cell.map.marks] == list(ends(look.sign, end, values))
    bar = pixels_of(cell.map.bar)
    assert (bar[0, 0] == palette(look.sign).table[0]).all()
    assert (bar[0, -1] == palette(look.sign).table[-1]).all()


def test_zero_is_the_middle_of_a_signed_bar_and_of_a_map_of_zeros() -> None:
    result = sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=sg.smoothgrad(samples=4))
    look = sg.Look(sign="signed")
    [cell] = drawn_row([result], look, ["Map"])
    assert cell is not None
    bar = pixels_of(cell.map.bar)[0]
    assert (bar[len(bar) // 2] == palette("signed").table[palette("signed").zero]).all()
    blank = sg.explain(small_net(), torch.zeros(1, 3, 8, 8), method=sg.input_x_gradient())
    [none] = drawn_row([blank], look, ["Map"])
    assert none is not None
    assert (pixels_of(none.map.picture.uri) == palette("signed").table[palette("signed").zero]).all()
    assert none.map.remark == "all zero"


def test_a_shared_look_gives_maps_of_a_unit_one_scale() -> None:
    x = torch.rand(1, 3, 8, 8)
    methods = [sg.gradient(), sg.smoothgrad(samples=4), sg.input_x_gradient()]
    results = [sg.explain(small_net(), x, method=method) for method in methods]

    def tops(look: sg.Look) -> list[str]:
        cells = drawn_row(results, look, ["Map"] * 3)
        return [cell.map.marks[-1].text.removeprefix("≥ ") for cell in cells if cell is not None]

    alone, shared = tops(sg.Look()), tops(sg.Look(shared=True))
    assert alone[0] != alone[1]
    assert shared[0] == shared[1] != shared[2]


def test_what_is_not_finite_is_loud() -> None:
    result = sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=sg.gradient())
    maps = result.maps.clone()
    maps[0, 0, 2, 3] = float("nan")
    [cell] = drawn_row([replace(result, maps=maps)], sg.Look(), ["Map"])
    assert cell is not None
    assert (pixels_of(cell.map.picture.uri)[2, 3] == UNREAL).all()
    assert cell.map.remark == "1 value is not finite (magenta)"


def test_what_does_not_differ_from_zero_is_hatched_and_said() -> None:
    net = sg.load("digits")
    smooth, plain = (
        sg.explain(net, net.samples(1), method=method) for method in (sg.smoothgrad(samples=9), sg.gradient())
    )
    cells = drawn_row([smooth, plain], sg.Look(sign="signed", fdr=0.05), ["Map", "Other map"])
    tested, whole = (cell.map for cell in cells if cell is not None)
    pixels = pixels_of(tested.picture.uri).reshape(8, 15, 8, 15, 3)
    lines = (pixels == GROUND - DEPTH).all(-1).any(axis=(1, 3))
    assert torch.equal(torch.from_numpy(lines), ~smooth.significant(0.05)[0, 0])
    count = 64 - int(lines.sum())
    assert tested.remark == f"FDR 5 %: {count} of 64 pixels"
    assert f"Map, FDR 5 %: {count} of 64 pixels; " in tested.picture.alt
    assert tested.picture.sharp
    assert whole.remark == "no standard error: all shown"
    assert pixels_of(whole.picture.uri).shape == (8, 8, 3)
