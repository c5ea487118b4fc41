"""Pictures of every mode, and every way in which a file is not one."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from smoothgrad.errors import BadPicture
from smoothgrad.models.pictures import fit, opaque_picture, values

RED = (255, 0, 0)
SUFFIXES = ("png", "jpg", "webp", "gif", "bmp", "tiff")


def read(source: object, channels: int = 3) -> torch.Tensor:
    return values(opaque_picture(source), channels)


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def halves(mode: str, left: object, right: object) -> Image.Image:
    """Two pixels wide, one high."""
    picture = Image.new(mode, (2, 1), left)
    picture.putpixel((1, 0), right)
    return picture


def palette(transparent: bool) -> Image.Image:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([*RED, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    if transparent:
        picture.info["transparency"] = 1
    return picture


# picture, and its two pixels as RGB in [0, 1]
MODES = {
    "1": (halves("1", 0, 1), (0, 0, 0), (1, 1, 1)),
    "L": (halves("L", 0, 51), (0, 0, 0), (0.2, 0.2, 0.2)),
    "LA": (halves("LA", (51, 255), (51, 0)), (0.2, 0.2, 0.2), (1, 1, 1)),
    "P": (palette(False), (1, 0, 0), (0, 0, 1)),
    "P with a transparent colour": (palette(True), (1, 0, 0), (1, 1, 1)),
    "RGB": (halves("RGB", RED, (0, 51, 0)), (1, 0, 0), (0, 0.2, 0)),
    "RGBA": (halves("RGBA", (*RED, 255), (*RED, 51)), (1, 0, 0), (1, 0.8, 0.8)),
    "RGBa": (halves("RGBA", (*RED, 255), (0, 0, 0, 0)).convert("RGBa"), (1, 0, 0), (1, 1, 1)),
    "CMYK": (halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), (1, 0, 0), (0, 0, 0)),
    "YCbCr": (halves("RGB", (255, 255, 255), (0, 0, 0)).convert("YCbCr"), (1, 1, 1), (0, 0, 0)),
    "HSV": (halves("RGB", RED, (0, 0, 0)).convert("HSV"), (1, 0, 0), (0, 0, 0)),
    "I;16": (halves("I;16", 65535, 13107), (1, 1, 1), (0.2, 0.2, 0.2)),
    "I of 16 bits": (halves("I", 65535, 13107), (1, 1, 1), (0.2, 0.2, 0.2)),
    "I of 8 bits": (halves("I", 255, 51), (1, 1, 1), (0.2, 0.2, 0.2)),
    "F up to 1": (halves("F", 1.0, 0.2), (1, 1, 1), (0.2, 0.2, 0.2)),
    "F up to 255": (halves("F", 255.0, 51.0), (1, 1, 1), (0.2, 0.2, 0.2)),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_the_colours_that_it_shows(mode: str) -> None:
    picture, left, right = MODES[mode]
    x = read(picture)
    assert x.shape == (1, 3, 1, 2)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x[0, :, 0].T, torch.tensor([left, right], dtype=torch.float32), atol=0.005, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_one_grey_channel_where_the_network_has_one(mode: str) -> None:
    picture, left, right = MODES[mode]
    luma = torch.tensor([left, right], dtype=torch.float32) @ torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(read(picture, channels=1)[0, 0, 0], luma, atol=0.005, rtol=0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_the_usual_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"red.{suffix}", Image.new("RGB", (16, 8), RED))
    x = read(path)
    assert x.shape == (1, 3, 8, 16)
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)


def test_a_png_of_16_bits_keeps_its_depth(tmp_path: Path) -> None:
    path = saved(tmp_path / "deep.png", halves("I;16", 30000, 30001))
    assert read(path, channels=1).flatten().tolist() == pytest.approx([30000 / 65535, 30001 / 65535], abs=1e-7)


def test_a_dark_png_of_16_bits_stays_dark_even_where_it_opens_in_mode_i() -> None:
    # As versions of Pillow before 11 open it.
    picture = halves("I", 200, 100)
    picture.format = "PNG"
    assert float(read(picture).max()) == pytest.approx(200 / 65535)


def test_an_opened_picture_is_turned_and_refused_like_its_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8))
    path = saved(tmp_path / "turned.png", noise, exif=exif)
    with Image.open(path) as picture:
        assert torch.equal(read(picture), read(path))
    path.write_bytes(path.read_bytes()[:1000])
    with Image.open(path) as picture, pytest.raises(BadPicture, match="the picture is damaged"):
        read(picture)


def test_a_cmyk_jpeg_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "print.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95)
    torch.testing.assert_close(read(path)[0, :, 4, 4], torch.tensor([1.0, 0.0, 0.0]), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, 3)), (3, (1, 3)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (7, (3, 1)), (8, (3, 0))],
)
def test_a_turned_photograph_is_read_upright(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    picture = Image.new("L", (4, 2), 0)
    picture.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = read(saved(tmp_path / "turned.png", picture, exif=exif), channels=1)[0, 0]
    assert x.shape == ((2, 4) if orientation < 5 else (4, 2))
    assert float(x[corner]) == 1


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 0, 255))]
    path = saved(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read(path)[0, :, 0, 0].tolist() == [1, 0, 0]


def test_a_picture_given_as_one_is_not_changed() -> None:
    picture = halves("RGBA", (*RED, 255), (*RED, 51))
    before = picture.tobytes()
    read(picture)
    assert (picture.mode, picture.tobytes()) == ("RGBA", before)


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 5), 51, np.uint8),
        np.full((4, 5, 1), 51, np.uint8),
        np.full((4, 5, 3), 51, np.uint8),
        np.full((4, 5), 13107, np.uint16),
        np.full((4, 5), 0.2, np.float64),
        np.full((4, 5, 3), 0.2, np.float32),
        np.full((8, 5, 3), 51, np.uint8)[::2],
        np.full((4, 5, 4), 255, np.uint8) - np.array([204, 204, 204, 0], np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_are_read_like_pictures(array: np.ndarray) -> None:
    torch.testing.assert_close(read(array), torch.full((1, 3, 4, 5), 0.2), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4,), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((4, 5, 3), np.int64),
        np.zeros((0, 5, 3), np.uint8),
        np.full((4, 5), 2.0),
        np.full((4, 5), np.nan),
        np.full((4, 5, 3), -0.1),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_pictures_are_refused(array: np.ndarray) -> None:
    with pytest.raises(BadPicture, match="array"):
        read(array)


@pytest.mark.parametrize("value", [-1.0, float("nan"), 1e9])
def test_deep_grey_values_of_no_known_scale_are_refused(value: float) -> None:
    with pytest.raises(BadPicture, match="scale them to"):
        read(halves("F", 0.0, value))


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(BadPicture, match=r"no pixels \(0 x 3\)"):
        read(Image.new("RGB", (0, 3)))


def test_a_picture_in_colours_that_pillow_does_not_convert_is_refused() -> None:
    with pytest.raises(BadPicture, match="save it as RGB"):
        read(Image.new("La", (2, 2)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match=r"there is no picture .*gone\.png; check the path"):
        read(tmp_path / "gone.png")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="is a folder"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadPicture, match="not a regular file"):
        read(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.4", random.Random(0).randbytes(100)], ids=["empty", "text", "pdf", "noise"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "not.png").write_bytes(content)
    with pytest.raises(BadPicture, match="no picture that Pillow can read"):
        read(tmp_path / "not.png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"cut.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadPicture, match=r"cut\.\w+ (is damaged or incomplete|is no picture)"):
        read(path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, *(["avif"] if features.check("avif") else [])])
def test_damaged_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(buffer, {"jpg": "jpeg"}.get(suffix, suffix), exif=exif)
    whole, dice = buffer.getvalue(), random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 3, 10])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(damaged)
        try:
            read(path)
        except BadPicture:
            refused += 1
    assert refused


@pytest.mark.parametrize("factor", [1, 3], ids=["where Pillow warns", "where Pillow raises"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (100, 11 * factor)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadPicture, match="more pixels than is safe"):
        read(path)


@pytest.mark.filterwarnings("ignore")
def test_a_decompression_bomb_is_refused_where_warnings_are_not_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (100, 11)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadPicture, match="more pixels than is safe"):
        read(path)


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (7, 300), (10, 10), (3, 2)])
def test_a_cut_always_has_its_size(size: tuple[int, int]) -> None:
    for resize in (12, (12, 15), None):
        assert fit(Image.new("L", size), resize, (10, 11), "bicubic").size == (11, 10)


def test_a_picture_too_small_for_the_cut_is_scaled_up_to_cover_it() -> None:
    assert np.asarray(fit(Image.new("L", (4, 3), 255), None, (10, 11), "bilinear")).min() == 255


def test_a_thread_of_a_picture_is_not_blown_up() -> None:
    with pytest.raises(BadPicture, match="1 x 20000 pixels would be scaled to 256 x 5120000"):
        fit(Image.new("L", (1, 20000)), 256, (224, 224), "bilinear")


def test_the_cut_is_the_middle() -> None:
    ramp = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8), (20, 1)))
    assert np.asarray(fit(ramp, None, (10, 10), "bilinear"))[0].tolist() == list(range(15, 25))


def test_stretching_keeps_every_part_of_the_picture() -> None:
    ramp = Image.fromarray(np.tile(np.arange(0, 200, 5, dtype=np.uint8), (20, 1)))
    stretched = np.asarray(fit(ramp, (10, 10), (10, 10), "bilinear")).astype(int)
    assert (stretched[0, 0], stretched[0, -1]) == pytest.approx((7, 187), abs=4)


def test_without_a_cut_or_a_scale_the_picture_stays_as_it_is() -> None:
    picture = Image.new("RGB", (13, 7))
    assert fit(picture, None, None, "bilinear") is picture


def test_deep_grey_does_not_overshoot_when_scaled() -> None:
    edge = Image.fromarray(np.repeat([[0.0, 1.0]], 8, axis=0).repeat(8, axis=1).astype(np.float32))
    x = values(fit(edge, 5, None, "lanczos"), channels=1)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
