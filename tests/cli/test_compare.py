from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image

import smoothgrad as sg
from tests.cli.shell import digits, names, run, stop_after

TWO = ("--method", "gradient", "--method", "smoothgrad(noise=0.15, samples=4)")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return digits(tmp_path / "photos", 2)


def test_all_files_are_written(photos: Path, tmp_path: Path) -> None:
    answer = run("compare", photos, "-m", "digits", *TWO, "--out", tmp_path / "out")
    assert answer.code == 0
    maps = [
        f"maps/digit{number}-{method}.safetensors"
        for number in range(2)
        for method in ("gradient", "smoothgrad-noise-0.15-samples-4")
    ]
    assert names(tmp_path / "out") == sorted([*maps, "grid.png", "index.html", "table.csv"])
    with Image.open(tmp_path / "out" / "grid.png") as picture:
        assert picture.size[0] > 300
    with (tmp_path / "out" / "table.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["picture"], line["method"]) for line in lines] == [
        (f"digit{number}.png", method) for number in range(2) for method in (TWO[1], TWO[3])
    ]


def test_the_maps_are_those_of_compare_in_python(photos: Path, tmp_path: Path) -> None:
    run(
        "compare", photos, "-m", "digits", *TWO, "--seed", 3, "--format", "safetensors", "-q", "--out", tmp_path / "out"
    )
    net = sg.load("digits")
    x = torch.cat([net.read(photos / f"digit{number}.png") for number in range(2)])
    files = [tmp_path / "out" / "maps" / f"digit{number}-gradient.safetensors" for number in range(2)]
    keys = torch.cat([sg.Attribution.load(file).keys for file in files])
    table = sg.compare(net, x, methods=[sg.gradient(), sg.smoothgrad(noise=0.15, samples=4)], seed=3, keys=keys)
    for number, row in enumerate(table.rows):
        for name, cell in zip(("gradient", "smoothgrad-noise-0.15-samples-4"), row.cells, strict=True):
            saved = sg.Attribution.load(tmp_path / "out" / "maps" / f"digit{number}-{name}.safetensors")
            assert isinstance(cell, sg.Attribution)
            torch.testing.assert_close(saved.maps, cell.maps, atol=1e-6, rtol=1e-5)


def test_what_is_done_when_the_work_is_stopped_is_shown(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(3, monkeypatch)  # the second picture has one map of two
    answer = run("compare", photos, "-m", "digits", *TWO, "--out", tmp_path / "out")
    assert answer.code == 1
    assert "stopped; 1 picture is done and kept in" in answer.error
    assert names(tmp_path / "out") == [
        "grid.png",
        "index.html",
        "maps/digit0-gradient.safetensors",
        "maps/digit0-smoothgrad-noise-0.15-samples-4.safetensors",
        "table.csv",
    ]


def test_a_shared_scale_changes_the_grid(photos: Path, tmp_path: Path) -> None:
    for name, look in {"own": [], "shared": ["--shared"]}.items():
        run("compare", photos, "-m", "digits", *TWO, *look, "--format", "png", "-q", "--out", tmp_path / name)
    assert (tmp_path / "own" / "grid.png").read_bytes() != (tmp_path / "shared" / "grid.png").read_bytes()


def test_a_map_that_did_not_reach_its_tolerance_is_marked(photos: Path, tmp_path: Path) -> None:
    short = ("--method", "smoothgrad(samples=Until(0.001, least=4, most=8))")
    answer = run("compare", photos, "-m", "digits", *short, "--format", "csv", "--out", tmp_path / "out")
    assert answer.code == 0
    assert answer.error.count("not settled: digit") == 2
    assert "! stopped before its tolerance was reached" in answer.out


def test_without_methods_there_are_four(photos: Path, tmp_path: Path) -> None:
    answer = run(
        "compare", photos / "digit0.png", "-m", "digits", "--format", "csv", "--json", "--out", tmp_path / "out"
    )
    assert list(answer.json["methods"]) == ["gradient", "smoothgrad", "integrated_gradients", "guided_backprop"]
    assert len(answer.json["maps"]) == 4
    assert names(tmp_path / "out") == ["table.csv"]


def test_a_method_that_fails_on_a_picture_is_named_and_the_others_are_done(photos: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 90).save(photos / "flat.png")
    answer = run("compare", photos, "-m", "digits", *TWO, "--json", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "1 of 3 pictures failed, some of them in part" in answer.error
    assert "flat.png, smoothgrad(noise=0.15, samples=4): " in answer.error
    assert [failure["kind"] for failure in answer.json["failures"]] == ["BadNoise"]
    assert len(answer.json["maps"]) == 5


@pytest.mark.parametrize("columns", [80, 160])
def test_the_summary_has_the_error_of_each_method(
    photos: Path, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    three = (*TWO, "--method", "integrated_gradients(steps=4)")
    answer = run("compare", photos, "-m", "digits", *three, "--format", "csv", "--out", tmp_path / "out")
    line = next(line for line in answer.out.splitlines() if line.startswith("digit1.png"))
    gradient, smooth, again, path = line.split()[-4:]
    assert (gradient, path) == ("–", "–")
    assert 0 < float(smooth) < 1
    assert 0 < float(again.strip("()")) < 1
    assert "in brackets: a fresh seed, how strongly its map would correlate" in answer.out
    assert all(method in answer.out for method in three[1::2])
    assert ("(1) gradient" in answer.out) == (columns == 80)


def test_a_method_given_twice_is_bad_usage(photos: Path, tmp_path: Path) -> None:
    answer = run(
        "compare", photos, "-m", "digits", "--method", "gradient", "--method", "gradient", "--out", tmp_path / "out"
    )
    assert answer.code == 2
    assert "twice" in answer.error


def test_methods_whose_file_names_would_be_equal_get_their_own(photos: Path, tmp_path: Path) -> None:
    alike = ("--method", "gradient", "--method", "gradient()")
    run("compare", photos / "digit0.png", "-m", "digits", *alike, "--format", "safetensors", "--out", tmp_path / "out")
    assert names(tmp_path / "out") == ["maps/digit0-gradient-2.safetensors", "maps/digit0-gradient.safetensors"]


def test_without_pandas_the_table_is_left_out_and_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pandas" else real(name))
    answer = run("compare", photos / "digit0.png", "-m", "digits", "--method", "gradient", "--out", tmp_path / "out")
    assert answer.code == 0
    assert "pip install 'smoothgrad[table]'" in answer.error
    assert "table.csv" not in names(tmp_path / "out")
    asked = run("compare", photos, "-m", "digits", "--format", "csv", "--out", tmp_path / "out")
    assert asked.code == 1
    assert "pip install 'smoothgrad[table]'" in asked.error


def test_several_targets_and_what_cannot_be_tested(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("-t", "top", "-t", "top2", "--fdr", 0.05, "--json")
    two = ("--method", "gradient", "--method", "smoothgrad(samples=9)")
    answer = run("compare", photos / "digit1.png", "-m", "digits", *two, *asked, "--out", out)
    assert answer.code == 0
    methods = ("gradient", "smoothgrad-samples-9")
    maps = [f"maps/digit1-{word}-{method}.safetensors" for word in ("top", "top2") for method in methods]
    assert names(out) == sorted([*maps, "grid.png", "index.html", "table.csv"])
    assert [(one["asked"], one["method"]) for one in answer.json["maps"]] == [
        (word, method) for word in ("top", "top2") for method in two[1::2]
    ]
    page = (out / "index.html").read_text()
    assert "no standard error: all shown" in page
    assert "FDR 5 %: " in page
