from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from PIL import Image, ImageDraw

import smoothgrad as sg
from tests.cli.shell import digits, names, run

TWO = ("--method", "gradient", "--method", "smoothgrad(noise=0.15, samples=4)")
QUICK = ("--measure", "Deletion(steps=4)", "--measure", "gini")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return digits(tmp_path / "photos", 4)


def table(folder: Path, name: str = "scores") -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_are_written(photos: Path, tmp_path: Path) -> None:
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert names(tmp_path / "out") == sorted(
        [
            *("scores.parquet", "scores.csv", "summary.csv", "differences.csv"),
            *("scores.png", "curves.png", "index.html"),
        ]
    )
    rows = table(tmp_path / "out")
    methods = ["gradient", "smoothgrad(noise=0.15, samples=4)", "random_map()", "sobel()", "uniform_map()"]
    named = [(row["picture"], row["method"], row["measure"]) for row in rows]
    measures = dict.fromkeys(measure for _, _, measure in named)
    assert len(measures) == 2
    assert sorted(named) == sorted((f"digit{n}.png", one, by) for n in range(4) for one in methods for by in measures)
    both = pandas.read_parquet(tmp_path / "out" / "scores.parquet")
    assert both.value.tolist() == pytest.approx([float(row["value"] or "nan") for row in rows], nan_ok=True)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "What does not beat them" in page or "what does not beat them" in page
    with Image.open(tmp_path / "out" / "scores.png") as picture:
        assert picture.size[0] > 300


def test_the_scores_are_those_of_compare_in_python(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--seed", 3, "--format", "csv", "-q", "--out", folder)
    assert answer.code == 0, answer.err
    rows = table(folder)
    net = sg.load("digits")
    x = torch.cat([net.read(photos / f"digit{number}.png") for number in range(4)])
    keys = [int(next(row["key"] for row in rows if row["picture"] == f"digit{number}.png")) for number in range(4)]
    found = sg.compare(
        net,
        x,
        methods={"gradient": sg.gradient(), "smoothgrad(noise=0.15, samples=4)": sg.smoothgrad(samples=4)},
        measures=[sg.Deletion(steps=4), sg.Gini()],
        seed=3,
        keys=keys,
        names=[f"digit{number}.png" for number in range(4)],
    )
    assert found.scores is not None
    told = {(row["picture"], row["method"], row["measure"]): float(row["value"] or "nan") for row in rows}
    for one in found.scores.records:
        assert told[one.picture, one.method, one.measure] == pytest.approx(one.value, rel=1e-4, nan_ok=True)


def test_a_row_can_be_made_again_from_itself(photos: Path, tmp_path: Path) -> None:
    run(
        "measure",
        photos,
        "-m",
        "digits",
        *TWO,
        *QUICK,
        "--sign",
        "absolute",
        "--format",
        "csv",
        "--out",
        tmp_path / "out",
    )
    row = next(row for row in table(tmp_path / "out") if row["picture"] == "digit2.png" and row["method"] == TWO[3])
    assert "Absolute()" in row["recipe"]
    net = sg.load("digits")
    x = net.read(photos / "digit2.png")
    method = sg.from_recipe(row["recipe"])
    result = sg.explain(net, x, method=method, seed=int(row["seed"]), keys=[int(row["key"])])
    again = sg.judge(net, result, [sg.measure_from_recipe(row["measure_recipe"])]).records[0]
    assert again.value == pytest.approx(float(row["value"]), rel=1e-5)


def test_the_embedded_scenes_come_with_their_truth(tmp_path: Path) -> None:
    answer = run(
        *("measure", "--model", "scenes", "--samples", 6, "--method", "gradient", "--json", "--format", "csv"),
        *("--measure", "pointing_game", "--measure", "localisation_auc", "--out", tmp_path / "out"),
    )
    assert answer.code == 0, answer.err
    found = {(row["method"], row["measure"]): row for row in answer.json["summary"]}
    assert found["uniform_map()", "pointing_game"]["n"] == 0
    assert found["gradient", "localisation_auc"]["n"] == 6
    assert answer.json["measures"]["pointing_game"].startswith("PointingGame(")


def test_regions_are_read_from_boxes_and_from_masks(photos: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    masks = tmp_path / "masks"
    masks.mkdir()
    lines = ["file,xmin,ymin,xmax,ymax"]
    for number in range(4):
        with Image.open(photos / f"digit{number}.png") as picture:
            width, height = picture.size
        lines.append(f"digit{number}.png,0,0,{width // 2 - 1},{height - 1}")
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).rectangle((0, 0, width // 2 - 1, height - 1), fill=255)
        mask.save(masks / f"digit{number}.png")
    boxes.write_text("\n".join(lines), encoding="utf-8")
    quick = ("-m", "digits", "--method", "gradient", "--measure", "energy_inside", "--format", "csv")
    assert run("measure", photos, *quick, "--regions", boxes, "--out", tmp_path / "a").code == 0
    assert run("measure", photos, *quick, "--regions", masks, "--out", tmp_path / "b").code == 0
    first, second = table(tmp_path / "a"), table(tmp_path / "b")
    assert [row["value"] for row in first] == [row["value"] for row in second]
    flat = [float(row["value"]) for row in first if row["method"] == "uniform_map()"]
    assert flat == pytest.approx([0.5] * 4)


def test_a_picture_without_a_region_is_a_row_with_the_reason(photos: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "file,xmin,ymin,xmax,ymax\n" + "\n".join(f"digit{n}.png,0,0,3,3" for n in range(3)), encoding="utf-8"
    )
    answer = run(
        *("measure", photos, "-m", "digits", "--method", "gradient", "--measure", "energy_inside"),
        *("--regions", boxes, "--format", "csv", "--out", tmp_path / "out"),
    )
    rows = {(row["picture"], row["method"]): row for row in table(tmp_path / "out")}
    assert "has no region for digit3.png" in rows["digit3.png", "gradient"]["reason"]
    assert rows["digit2.png", "gradient"]["value"]
    assert rows["digit3.png", "sobel()"]["reason"]
    assert answer.code == 0
    assert answer.error.count("has no region for digit3.png") == 1


def test_what_needs_no_region_is_judged_without_one_and_boxes_that_are_cut_are_counted(
    photos: Path, tmp_path: Path
) -> None:
    boxes = tmp_path / "boxes.csv"
    lines = ["digit0.png,0,0,5000,3", "digit0.png,2,2,3,3", "digit1.png,0,0,3,3", "digit2.png,-9,0,3,3"]
    boxes.write_text("\n".join(["file,xmin,ymin,xmax,ymax", *lines]), encoding="utf-8")
    by = ("gini", "energy_inside", "pointing_game")
    answer = run(
        *("measure", photos, "-m", "digits", *TWO, *(part for one in by for part in ("--measure", one))),
        *("--regions", boxes, "--format", "csv", "--out", tmp_path / "out"),
    )
    rows = {(row["picture"], row["method"], row["measure"]): row for row in table(tmp_path / "out")}
    assert rows["digit3.png", "gradient", "gini"]["value"]
    assert rows["digit3.png", "gradient", "energy_inside"]["reason"].startswith("BadInput: ")
    said = " ".join(answer.error.split())
    assert said.count("has no region for digit3.png") == 1
    assert "all methods, energy_inside, pointing_game, digit3.png: BadInput: " in said
    assert "2 boxes reach beyond their pictures and are cut off" in said


def test_signed_maps_asked_for_a_region_are_spoken_of(tmp_path: Path) -> None:
    quick = ("measure", "--model", "scenes", "--samples", 2, "--method", "gradient", "--measure")

    def ask(*more: str) -> tuple[str, str]:
        answer = run(*quick, *more, "--format", "html", "--out", tmp_path / "out")
        return " ".join(answer.out.split()), (tmp_path / "out" / "index.html").read_text(encoding="utf-8")

    printed, page = ask("energy_inside")
    assert "localisation of signed maps: channels and signs cancel; --sign absolute judges absolute values" in printed
    assert "channels and signs cancel" in page
    for said in (*ask("energy_inside", "--sign", "absolute"), *ask("gini")):
        assert "channels and signs cancel" not in said


def test_curves_without_any_score_are_not_missed(photos: Path, tmp_path: Path) -> None:
    answer = run(
        *("measure", photos, "-m", "digits", "--method", "uniform_map", "--measure", "Deletion(steps=4)"),
        *("--no-controls", "--format", "png", "--out", tmp_path / "out"),
    )
    assert "no curves" not in answer.error
    assert names(tmp_path / "out") == ["scores.png"]


def test_a_picture_that_cannot_be_read_is_a_row_with_the_reason(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--format", "csv", "--out", tmp_path / "out")
    assert answer.code == 1
    rows = [row for row in table(tmp_path / "out") if row["picture"] == "broken.png"]
    assert len(rows) == 10  # of the controls too
    every = {row["method"] for row in table(tmp_path / "out") if row["picture"] == "digit0.png"}
    assert {row["method"] for row in rows} == every
    assert {row["method"] for row in rows if row["control"] == "True"} == {"random_map()", "sobel()", "uniform_map()"}
    assert all(row["reason"].startswith("BadPicture: ") and not row["value"] for row in rows)


def test_a_method_that_refuses_is_rows_with_the_reason(photos: Path, tmp_path: Path) -> None:
    answer = run(
        *("measure", photos, "-m", "digits", "--method", "gradient", "--method", "attention_rollout"),
        *(*QUICK, "--format", "csv", "--out", tmp_path / "out"),
    )
    assert answer.code == 1
    assert "no score at all for attention_rollout" in answer.error
    rows = [row for row in table(tmp_path / "out") if row["method"] == "attention_rollout"]
    assert len(rows) == 8
    assert all(row["reason"] for row in rows)


def test_what_is_done_when_the_work_is_stopped_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoothgrad.cli.judging.MANY", 2)
    module = sys.modules["smoothgrad.compare"]
    real, done = module.compare, 0

    def compare(*arguments: Any, **named: Any) -> Any:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(module, "compare", compare)
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--format", "csv", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "2 pictures of 4 are judged" in answer.error
    assert {row["picture"] for row in table(tmp_path / "out")} == {"digit0.png", "digit1.png"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--measure", "delition"), "did you mean 'deletion'"),
        (("--measure", "Deletion(stepz=3)"), "did you mean 'steps'"),
        (("--measure", "deletion", "--measure", "Deletion()"), "given twice"),
        (("--measure", "gradient()"), "is no measure"),
        (("--measure", "pointing_game"), "give --regions"),
        (("--sign", "both"), "--sign knows no 'both'"),
        (("--confidence", "95"), "a share above 0 and below 1"),
        (("--target", "1", "--target", "2"), "one --target"),
        (("--format", "xlsx"), "--format knows no 'xlsx'"),
        (("--regions", "missing.csv"), "does not exist"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(photos: Path, tmp_path: Path, wrong: tuple[str, ...], said: str) -> None:
    answer = run("measure", photos, "-m", "digits", *wrong, "--out", tmp_path / "out")
    assert answer.code == 2
    assert said in answer.error
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_stopped_at_once_still_says_what_was_asked(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["smoothgrad.compare"], "compare", _stopped)
    answer = run(
        *("measure", photos, "-m", "digits", *TWO, *QUICK, "--target", "3", "--sign", "absolute"),
        *("--json", "--out", tmp_path / "out"),
    )
    assert answer.code == 1
    assert "0 pictures of 4 are judged" in answer.error
    told = answer.json
    assert list(told["methods"])[:2] == [TWO[1], TWO[3]]
    assert "random_map()" in told["methods"]
    assert told["measures"]["gini"] == "Gini()"
    assert (told["target"], told["sign"], told["regions"], told["at"]) == ("3", "absolute", None, None)
    assert told["precision"] == "float32"


def _stopped(*_arguments: Any, **_named: Any) -> Any:
    raise KeyboardInterrupt


def test_one_odd_picture_does_not_cost_the_others(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _odd(monkeypatch, sg.errors.BadInput("x holds NaN"))
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--format", "csv", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "1 of 4 pictures failed" in answer.error
    assert "digit2.png: x holds NaN" in answer.error
    rows = table(tmp_path / "out")
    assert {row["picture"] for row in rows if row["reason"] == "BadInput: x holds NaN"} == {"digit2.png"}
    for number in (0, 1, 3):
        assert any(row["value"] for row in rows if row["picture"] == f"digit{number}.png")


def test_what_is_done_is_written_before_what_nobody_foresaw_is_raised(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoothgrad.cli.judging.MANY", 2)
    _odd(monkeypatch, ZeroDivisionError("a fault of ours"))
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        run("measure", photos, "-m", "digits", *TWO, *QUICK, "--out", tmp_path / "out")
    assert {row["picture"] for row in table(tmp_path / "out")} == {"digit0.png", "digit1.png"}
    assert (tmp_path / "out" / "index.html").exists()


def _odd(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever holds digit2.png is refused."""
    module = sys.modules["smoothgrad.compare"]
    real = module.compare

    def compare(*arguments: Any, **named: Any) -> Any:
        if "digit2.png" in named["names"]:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(module, "compare", compare)


def test_files_of_an_earlier_run_do_not_stand_beside_new_ones(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("curves.png", "index.html", "notes.txt"):
        (out / name).write_text("old", encoding="utf-8")
    answer = run(
        *("measure", photos, "-m", "digits", "--method", "gradient", "--measure", "gini", "--format", "png,csv"),
        *("--out", out),
    )
    assert answer.code == 0
    assert names(out) == ["differences.csv", "index.html", "notes.txt", "scores.csv", "scores.png", "summary.csv"]
    assert f"removed, since of an earlier run: {out / 'curves.png'}" in answer.error
    assert f"left as it is, but of an earlier run: {out / 'index.html'}" in answer.error


def test_a_picture_is_not_replaced_by_a_figure(photos: Path) -> None:
    (photos / "digit0.png").rename(photos / "scores.png")
    answer = run("measure", photos, "-m", "digits", *TWO, *QUICK, "--out", photos)
    assert answer.code == 2
    assert "choose another folder" in answer.error


def test_the_confidence_is_that_of_all_files(photos: Path, tmp_path: Path) -> None:
    answer = run(
        *("measure", photos, "-m", "digits", "--method", "gradient", "--measure", "gini", "--confidence", "0.999"),
        *("--format", "html,csv", "--out", tmp_path / "out"),
    )
    assert "half of the 99.9 % interval" in " ".join(answer.out.split())
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "99.9 % interval" in page
    assert "95 %" not in page


def test_the_page_says_how_many_pictures_are_not_shown(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoothgrad.cli.judging.SHOWN", 3)
    run(
        *("measure", photos, "-m", "digits", "--method", "gradient", "--measure", "gini", "--format", "html"),
        *("--out", tmp_path / "out"),
    )
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "4, of which the first 3 are shown" in page
    assert "Scores on 4 pictures" in page


@pytest.mark.parametrize("pictures", [2, 4])
def test_the_note_explains_only_what_is_shown(pictures: int, tmp_path: Path) -> None:
    answer = run(
        *("measure", "-m", "digits", "--samples", pictures, "--method", "gradient", "--measure", "gini"),
        *("--no-controls", "--format", "csv", "--out", tmp_path / "out"),
    )
    said = " ".join(answer.out.split())
    assert ("±" in said) == (pictures > 2)
    assert "know nothing" not in said
    assert "higher is better" not in said
    assert "is the best" not in said
    assert "it describes and does not judge" in said
