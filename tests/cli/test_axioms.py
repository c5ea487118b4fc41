from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import smoothgrad as sg
from smoothgrad.axioms import ALL
from smoothgrad.cli.axioms import HEADS
from tests.cli.shell import digits, names, run

TWO = ("--method", "gradient", "--method", "guided_backprop")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return digits(tmp_path / "photos", 2)


def test_the_table_names_what_holds_and_what_fails(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = run("axioms", photos, "-m", "digits", *TWO, "--out", tmp_path / "out")
    assert answer.code == 0
    lines = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines()[:3]}
    assert lines["method"] == list(HEADS.values())
    assert lines["gradient"] == ["fails", *["holds"] * 6]
    assert lines["guided_backprop"] == ["fails", "holds", "fails", "fails", "holds", "holds", "holds"]
    assert "which computes the same" in " ".join(answer.out.split())
    assert "the map of digit" in " ".join(answer.out.split())
    assert "row 0" not in answer.out
    assert "row 1" not in answer.out
    assert names(tmp_path / "out") == ["axioms.csv", "axioms.json"]


def test_the_files_hold_every_verdict_and_the_json_each_counterexample(photos: Path, tmp_path: Path) -> None:
    answer = run("axioms", photos, "-m", "digits", *TWO, "--json", "--out", tmp_path / "out")
    with (tmp_path / "out" / "axioms.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["method"], line["axiom"]) for line in lines] == [
        (method, axiom) for method in ("gradient()", "guided_backprop()") for axiom in ALL
    ]
    kept = json.loads((tmp_path / "out" / "axioms.json").read_text("utf-8"))
    assert answer.json["verdicts"] == kept["verdicts"]
    broken = next(
        one
        for one in kept["verdicts"]
        if (one["method"], one["axiom"]) == ("guided_backprop", "implementation invariance")
    )
    assert broken["outcome"] == "fails"
    example = broken["counterexample"]
    assert example["picture"] in ("digit0.png", "digit1.png")
    assert example["sentence"].startswith(f"{example['picture']}, ")
    assert len(example["values"]) == len(example["networks"]) == len(example["near"]["maps"]) == 2


def test_the_verdicts_are_those_of_python(tmp_path: Path) -> None:
    answer = run(
        "axioms", "-m", "digits", "--samples", 2, "--method", "vargrad(samples=6)", "--json", "--out", tmp_path
    )
    net = sg.load("digits")
    from smoothgrad.axioms import check_axioms
    from smoothgrad.core.value import content_key

    x = net.samples(2)
    report = check_axioms(net, x, method=sg.vargrad(samples=6), keys=[content_key(row[None]) for row in x])
    assert [one["outcome"] for one in answer.json["verdicts"]] == [one.word for one in report]
    assert [one["error"] for one in answer.json["verdicts"]] == pytest.approx([one.error for one in report], rel=1e-4)


def test_one_axiom_can_be_asked_and_what_cannot_is_said(photos: Path, tmp_path: Path) -> None:
    median = "Gradient().over(Gaussian(noise=0.1, samples=5), Median())"
    answer = run("axioms", photos, "-m", "digits", "--method", median, "--axiom", "symmetry", "--out", tmp_path / "out")
    assert answer.code == 0
    assert "not asked" in answer.out
    assert "standard error" in " ".join(answer.out.split())
    assert "dummy" not in answer.out


def test_what_does_not_exist_is_bad_usage(photos: Path, tmp_path: Path) -> None:
    for wrong, said in {
        ("--axiom", "dumy"): "did you mean 'dummy'",
        ("--tolerance", "-1"): "at least 0",
        ("--method", "gradiant"): "did you mean 'gradient'",
        ("--target", "77"): "77",
    }.items():
        answer = run("axioms", photos, "-m", "digits", *wrong, "--out", tmp_path / "out")
        assert (answer.code, said in answer.error) == (2, True), answer.error


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_asked(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    answer = run(
        "axioms", photos, "-m", "digits", "--method", "gradient", "--axiom", "dummy", "--out", tmp_path / "out"
    )
    assert answer.code == 1
    assert "1 of 3 pictures failed" in answer.error
    assert "broken.png" in answer.error
    assert "holds" in answer.out


def test_quiet_says_nothing(photos: Path, tmp_path: Path) -> None:
    answer = run("axioms", photos, "-m", "digits", "--method", "gradient", "-q", "--out", tmp_path / "out")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
