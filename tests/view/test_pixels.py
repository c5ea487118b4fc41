"""PNG files and data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smoothgrad.errors import BadInput, CannotWrite
from smoothgrad.view.colour import Pixels
from smoothgrad.view.pixels import data_uri, enlarged, png

SQUARES: Pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_every_pixel_becomes_a_square() -> None:
    large = enlarged(SQUARES, 4)
    assert large.shape == (8, 12, 3)
    assert (large[::4, ::4] == SQUARES).all()
    assert (large[3::4, 3::4] == SQUARES).all()


@pytest.mark.parametrize(("side", "size"), [(1, 256), (8, 256), (28, 252), (224, 224), (600, 600)])
def test_small_pictures_are_enlarged_and_large_ones_are_not(side: int, size: int) -> None:
    assert enlarged(np.zeros((side, side, 3), np.uint8)).shape == (size, size, 3)


def test_the_longer_side_decides() -> None:
    assert enlarged(np.zeros((2, 100, 3), np.uint8)).shape == (4, 200, 3)


def test_a_written_file_holds_the_pixels(tmp_path: Path) -> None:
    path = png(SQUARES, tmp_path / "new" / "map.png", scale=2)
    with Image.open(path) as image:
        assert (np.array(image) == enlarged(SQUARES, 2)).all()
    assert [file.name for file in path.parent.iterdir()] == ["map.png"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "map.png").mkdir()
    with pytest.raises(CannotWrite, match="is a folder"):
        png(SQUARES, tmp_path / "map.png")
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


def test_a_data_uri_holds_the_pixels() -> None:
    head, _, body = data_uri(SQUARES).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert (np.array(image) == SQUARES).all()


@pytest.mark.parametrize(
    ("pixels", "scale", "said"),
    [
        (np.zeros((4, 4), np.uint8), None, r"got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3), np.float32), None, "float32"),
        (np.zeros((0, 4, 3), np.uint8), None, r"got \(0, 4, 3\)"),
        (SQUARES, 0, "at least 1, or None to choose it; got 0"),
    ],
)
def test_what_is_no_picture_is_refused(pixels: Pixels, scale: int | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        enlarged(pixels, scale)
