"""Regions from boxes and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smoothgrad.errors import BadInput, BadPicture
from smoothgrad.measure.regions import (
    follow,
    read_boxes,
    read_mask,
    read_masks,
    regions_from_boxes,
    regions_from_masks,
)
from smoothgrad.models.preprocessing import Preprocessing
from tests.nets import DATA


def test_both_ends_of_a_box_are_inside() -> None:
    region = regions_from_boxes(torch.tensor([[1, 2, 3, 2], [0, 0, 0, 0]]), (4, 5))
    assert region.dtype == torch.bool
    assert region[0].nonzero().tolist() == [[2, 1], [2, 2], [2, 3]]
    assert region[1].nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_a_pixel_is_inside_where_it_is_in_any_box(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-3, 9, (3, 2, 2, 2))  # rows, boxes, corners, x and y
    low, high = corners.min(2), corners.max(2)
    low, high = np.minimum(low, 5), np.maximum(high, 1)  # each reaches into the picture
    high = np.maximum(high, np.ceil(np.maximum(low, 0)))
    boxes = np.concatenate([low, high], 2).tolist()
    found = regions_from_boxes(boxes, (6, 7))
    for row, several in enumerate(boxes):
        for y in range(6):
            for x in range(7):
                inside = any(xmin <= x <= xmax and ymin <= y <= ymax for xmin, ymin, xmax, ymax in several)
                assert bool(found[row, y, x]) == inside


def test_one_box_several_or_none_for_each_row() -> None:
    found = regions_from_boxes([(0, 0, 1, 0), [(0, 0, 0, 0), (3, 1, 9, 9)], [], torch.tensor([[1, 1, 1, 1]])], (2, 4))
    assert found.int().tolist() == [
        [[1, 1, 0, 0], [0, 0, 0, 0]],
        [[1, 0, 0, 0], [0, 0, 0, 1]],
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 1, 0, 0]],
    ]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(3, 0, 2, 1)], r"row 0: the box \(3, 0, 2, 1\) ends before it begins"),
        ([(0, 0, 1, 1), (0, 0, float("nan"), 1)], "row 1: the box .* holds NaN or infinity"),
        ([(9, 0, 12, 3)], r"box \(9, 0, 12, 3\) of row 0 holds no pixel of rows of 4 x 5.*follow\("),
        ([(0.2, 0, 0.8, 3)], "holds no pixel"),
        ([(0, 0, 1)], r"\(0, 0, 1\) is no box; give four numbers"),
        ([("a", 0, 1, 1)], "is no box"),
        ([None], "row 0 has None in place of boxes"),
        (torch.zeros(2, 3), "is no box"),
    ],
)
def test_boxes_that_are_none_are_refused(boxes: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        regions_from_boxes(boxes, (4, 5))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="size is"):
        regions_from_boxes([(0, 0, 1, 1)], (0, 5))


def test_masks_are_read_by_their_type() -> None:
    labels = torch.tensor([[0, 3], [255, 0]], dtype=torch.uint8)
    expected = [[[False, True], [True, False]]]
    for mask in (
        labels,
        labels[None],
        labels[None, None],
        labels > 0,
        labels / 255.0 + torch.tensor([[0, 0.5], [0, 0]]),
    ):
        assert regions_from_masks(mask).tolist() == expected
    with pytest.raises(BadInput, match=r"lie in \[0, 1\], got 0 to 255"):
        regions_from_masks(labels.float())
    with pytest.raises(BadInput, match=r"lie in \[0, 1\], got nan"):
        regions_from_masks(torch.full((2, 2), torch.nan))
    with pytest.raises(BadInput, match=r"masks are .*got shape \(1, 3, 2, 2\)"):
        regions_from_masks(torch.zeros(1, 3, 2, 2))


# --- following the picture --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(300, 400), (401, 299), (64, 64), (30, 500)])
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(size=(32, 32), resize=None),
        Preprocessing(size=None, resize=(50, 70)),
        Preprocessing(size=(20, 60), resize=48, interpolation="bicubic"),
    ],
    ids=["usual", "cut", "stretched", "other"],
)
def test_a_region_goes_where_the_pixels_go(size: tuple[int, int], preprocessing: Preprocessing) -> None:
    """The picture that is white in the region, as the network sees it, is bright where the region has gone."""
    region = regions_from_boxes([(size[1] // 3, size[0] // 4, size[1] - 10, size[0] // 2 + 5)], size)[0]
    picture = np.repeat(region.numpy()[:, :, None] * np.uint8(255), 3, 2)
    row = preprocessing.show(preprocessing.row(picture))[0, 0]
    moved = follow(region, preprocessing)
    assert moved.shape == row.shape
    sure = (row < 0.2) | (row > 0.8)  # the edges are grey
    assert bool((moved == (row > 0.5))[sure].all())
    assert float(sure.float().mean()) > 0.8
    assert moved.any()


def test_a_pixel_is_inside_where_the_nearest_of_the_file_is() -> None:
    region = torch.rand(21, 35, generator=torch.Generator().manual_seed(0)) < 0.5
    moved = follow(region, Preprocessing(size=None, resize=(6, 50)))
    down = ((torch.arange(6) + 0.5) * 21 / 6).long()
    across = ((torch.arange(50) + 0.5) * 35 / 50).long()
    assert torch.equal(moved, region[down][:, across])


def test_what_the_cut_takes_away_is_gone() -> None:
    corner = torch.zeros(100, 300, dtype=torch.bool)
    corner[:, :50] = True
    assert not follow(corner, Preprocessing(size=(32, 32), resize=32)).any()
    assert follow(torch.ones_like(corner), Preprocessing(size=(32, 32), resize=32)).all()
    for wrong in (corner[None], corner.int(), corner[:0]):
        with pytest.raises(BadInput, match=r"a region of a picture is bool \(H, W\), got"):
            follow(wrong, Preprocessing())


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_boxes_are_read_from_a_table(tmp_path: Path, between: str, encoding: str) -> None:
    table = tmp_path / "boxes.csv"
    lines = ["file|note|ymin|xmin|xmax|ymax", "a.jpg|a dog|2|1|3|4.5", "b ü.png|x|0|0|9|9", "a.jpg|a cat|0|0|1|1", ""]
    table.write_text("\n".join(line.replace("|", between) for line in lines), encoding=encoding)
    assert read_boxes(table) == {"a.jpg": [(1, 2, 3, 4.5), (0, 0, 1, 1)], "b ü.png": [(0, 0, 9, 9)]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column file, xmin"),
        ("file,xmin,ymin,xmax\na,1,2,3", "has no column ymax; its first line must name file, xmin"),
        ("file,xmin,ymin,xmax,ymax\n", "names no boxes"),
        ("file,xmin,ymin,xmax,ymax\na,1,2,3,4\nb,1,2,x,4", r"line 3: \(1, 2, x, 4\) is no box"),
        ("file,xmin,ymin,xmax,ymax\na,1,2,3", "line 2: .*is no box"),
        ("file,xmin,ymin,xmax,ymax\na,5,2,3,4", "line 2: the box .* ends before it begins; .*not width and height"),
        ("file,xmin,ymin,xmax,ymax\n,1,2,3,4", "line 2: there is no name of a file"),
        ("file,xmin,ymin,xmax,ymax\na,1,2,inf,4", "line 2: .*NaN or infinity"),
    ],
)
def test_a_table_at_fault_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(text)
    with pytest.raises(BadInput, match=message) as raised:
        read_boxes(table)
    assert str(table) in str(raised.value)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x80")
    for path in (tmp_path / "none.csv", tmp_path, tmp_path / "bytes.csv"):
        with pytest.raises(BadInput, match="cannot be read as a table of boxes"):
            read_boxes(path)


def test_masks_are_found_by_the_name_of_their_picture(tmp_path: Path) -> None:
    for name in ("dog.png", "cat.v2.PNG", ".hidden.png"):
        Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no mask")
    (tmp_path / "more.png").mkdir()
    found = read_masks(tmp_path)
    assert found == {"dog": tmp_path / "dog.png", "cat.v2": tmp_path / "cat.v2.PNG"}
    assert torch.equal(read_mask(found["dog"]), torch.eye(4, dtype=torch.bool))
    Image.new("L", (2, 2)).save(tmp_path / "dog.gif")
    with pytest.raises(BadInput, match="are both masks of dog; keep one"):
        read_masks(tmp_path)


def test_folders_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no mask in"):
        read_masks(tmp_path)
    with pytest.raises(BadInput, match="is no folder"):
        read_masks(tmp_path / "none")


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
def test_masks_of_all_kinds_mark_the_same(tmp_path: Path, mode: str) -> None:
    square = np.zeros((6, 8), np.uint8)
    square[1:3, 2:7] = 255
    deep = mode == "I;16"
    picture = Image.fromarray(square.astype(np.uint16) * 257) if deep else Image.fromarray(square).convert(mode)
    picture.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == (square > 0).tolist()


def test_masks_that_cannot_be_read_are_refused_and_black_is_empty(tmp_path: Path) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "dark.png")
    with pytest.raises(BadPicture, match="its brightest value is 1 of 255; make it white where"):
        read_mask(tmp_path / "dark.png")
    Image.new("L", (3, 3)).save(tmp_path / "black.png")
    assert not read_mask(tmp_path / "black.png").any()
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(BadPicture, match="no picture that Pillow can read"):
        read_mask(tmp_path / "text.png")


@pytest.mark.real
def test_the_boxes_of_real_photographs_lie_in_them() -> None:
    two = DATA / "imagenet-samples/two"
    found = read_boxes(two / "boxes.csv")
    assert len(found) == len(list(two.glob("*.jpg")))
    for name, boxes in found.items():
        with Image.open(two / name) as picture:
            width, height = picture.size
        region = regions_from_boxes([boxes], (height, width))[0]
        assert 0.05 < float(region.float().mean()) < 1
        assert follow(region, Preprocessing()).any()
    small = read_boxes(DATA / "tiny-imagenet/annotations.tsv")
    assert len(small) == 200
    regions = regions_from_boxes(list(small.values()), (64, 64))
    area = [(x1 - x0 + 1) * (y1 - y0 + 1) for [(x0, y0, x1, y1)] in small.values()]
    assert regions.sum((1, 2)).tolist() == area
