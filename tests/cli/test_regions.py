from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import smoothgrad as sg
from smoothgrad.cli.inputs import Source, from_files
from smoothgrad.cli.regions import OUTSIDE, Region, _from_boxes, _from_masks
from tests.cli.shell import run


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A picture of twice its height, of which the network sees the middle."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.new("RGB", (96, 48), "white")
    ImageDraw.Draw(picture).rectangle((0, 0, 9, 47), fill="black")
    picture.save(folder / "wide.png")
    return folder / "wide.png"


def masks(picture: Path, box: tuple[int, int, int, int] | None) -> Path:
    folder = picture.parent.parent / "masks"
    folder.mkdir(exist_ok=True)
    mask = Image.new("L", (96, 48))
    if box is not None:
        ImageDraw.Draw(mask).rectangle(box, fill=255)
    mask.save(folder / picture.name)
    return folder


def boxes(picture: Path, *lines: str) -> Path:
    table = picture.parent.parent / "boxes.csv"
    table.write_text("\n".join(["file,xmin,ymin,xmax,ymax", *(f"{picture.name},{line}" for line in lines)]), "utf-8")
    return table


def test_a_region_that_is_cut_off_is_told_from_an_empty_one(wide: Path) -> None:
    net = sg.load("scenes")
    [source] = from_files(net, [wide])

    def cut(found: Region) -> tuple[bool, str]:
        return bool(found.inside.any()), found.gone

    assert cut(_from_boxes(net, boxes(wide, "0,0,9,47"))(source)) == (False, OUTSIDE)
    assert cut(_from_boxes(net, boxes(wide, "0,0,9,47", "40,10,50,20"))(source)) == (True, "")
    assert cut(_from_masks(net, masks(wide, (0, 0, 9, 47)))(source)) == (False, OUTSIDE)
    assert cut(_from_masks(net, masks(wide, None))(source)) == (False, "")
    assert cut(_from_masks(net, masks(wide, (40, 10, 50, 20)))(source)) == (True, "")
    assert isinstance(source, Source)


def test_what_needs_no_region_is_judged_where_it_is_cut_off(wide: Path, tmp_path: Path) -> None:
    answer = run(
        *("measure", wide, "-m", "scenes", "--method", "gradient", "--measure", "gini", "--measure", "energy_inside"),
        *("--regions", boxes(wide, "0,0,9,47"), "--format", "csv", "--out", tmp_path / "out"),
    )
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["measure"]: row for row in csv.DictReader(file) if row["method"] == "gradient"}
    assert rows["gini"]["value"]
    assert rows["energy_inside"]["reason"] == OUTSIDE
    assert "outside of what the network sees" in answer.error
