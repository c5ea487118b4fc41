from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import smoothgrad as sg
from smoothgrad.cli import setting as reading
from smoothgrad.cli.found import ends_of
from smoothgrad.cli.groups import groups_of
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.regions import OUTSIDE, Region
from smoothgrad.cli.setting import Setting, chosen
from smoothgrad.experiments.experiment import Finding, Plate
from smoothgrad.experiments.noise_level import NoiseLevel
from smoothgrad.experiments.recipe import experiment_from_recipe
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run as run_experiment
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from tests.cli.shell import digits, names, run

TINY = ("--grid", "noise=0,0.2", "--grid", "samples=2", "--grid", "reference=4", "--grid", "measures=total_variation")
TABLES = ["table.csv", "table.parquet"]
FILES = sorted(["index.html", "one.png", "one.svg", *TABLES])


@pytest.fixture
def whole() -> None:
    """With the experiment's own figures and page."""


@pytest.fixture(autouse=True)
def _cheap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One small figure and an empty page, which take less time, unless a test asks for the `whole`."""
    if "whole" in request.fixturenames:
        return

    def plates(_: NoiseLevel, result: Result) -> Iterator[Plate]:
        figure = Figure(figsize=(1, 1))
        figure.subplots().plot(result.measured["value"])
        yield Plate("one", "All values.", figure)

    def report(_: Result, path: Path) -> Path:
        path.write_text("page", encoding="utf-8")
        return path

    monkeypatch.setattr(NoiseLevel, "plates", plates)
    monkeypatch.setattr(Result, "report", report)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return digits(tmp_path / "photos", 2)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cells(folder: Path) -> int:
    return len(list((folder / "cells").glob("*/rows.json")))


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the cell after so many."""
    real, done = NoiseLevel.found, 0

    def found(self: NoiseLevel, setup: Setup) -> Finding:
        nonlocal done
        if done == count:
            raise KeyboardInterrupt
        done += 1
        return real(self, setup)

    monkeypatch.setattr(NoiseLevel, "found", found)


def failing_at(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = NoiseLevel.found

    def found(self: NoiseLevel, setup: Setup) -> Finding:
        if self.noise == (noise,):
            raise sg.errors.BadInput("out of luck")
        return real(self, setup)

    monkeypatch.setattr(NoiseLevel, "found", found)


def setting(**changed: Any) -> Setting:
    given = {
        "network": NetworkOptions("digits"),
        "data": None,
        "pictures": (),
        "samples": None,
        "only": None,
        "groups": None,
        "regions": None,
        "question": QuestionOptions(),
        "quick": False,
    }
    return Setting(**{**given, **changed})


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("whole")
def test_all_files_are_written_and_a_row_repeats_its_cell(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--seed", 3, "--out", out)
    assert answer.code == 0, answer.err
    figures = [f"{name}.{end}" for name in ("curves", "errors", "maps") for end in ("png", "svg")]
    assert [name for name in names(out) if not name.startswith("cells")] == sorted(["index.html", *figures, *TABLES])
    assert "noise-level" in (out / "index.html").read_text(encoding="utf-8")
    assert cells(out) == 4
    rows = table(out)
    assert len(rows) == 2 * 2 * 5
    assert {row["group"] for row in rows} == {""}
    row = next(row for row in rows if row["picture"] == "digit1.png" and row["noise"] == "0.2")
    assert (row["file"], row["model"], row["seed"]) == (str(photos / "digit1.png"), "digits", "3")
    assert pandas.read_parquet(out / "table.parquet")["value"].tolist() == pytest.approx(
        [float(one["value"]) for one in rows]
    )
    # Again, from nothing but the row.
    net = sg.load(row["model"])
    alone = Setup(net, (Picture(row["picture"], net.read(row["file"])),), seed=int(row["seed"]))
    again = run_experiment(experiment_from_recipe(row["recipe"]), alone).frame
    same = [float(one["value"]) for one in rows if one["cell"] == row["cell"]]
    assert again["value"].tolist() == pytest.approx(same, rel=1e-6)
    assert again["cell"][0] == row["cell"]


ROW = ("picture", "noise", "quantity", "value", "recipe", "target", "seed", "digest", "fingerprint", "cell")


def same_rows(whole: Path, cell: str, alone: Path) -> None:
    """The rows of a cell are those of the run of it alone, to the last digit."""
    rows = [[row[name] for name in ROW] for row in table(whole) if row["cell"] == cell]
    assert [[row[name] for name in ROW] for row in table(alone)] == rows
    assert len(rows) > 1


def test_a_row_is_made_again_on_the_command_line_from_what_it_says(photos: Path, tmp_path: Path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    target = "Contrast(Class(3), Class(5))"
    asked = ("experiment", "noise-level", photos, "-m", "digits", *TINY, "--seed", 3, "--target", target)
    assert run(*asked, "--out", out).code == 0
    row = table(out)[-1]
    words = (row["recipe"], row["file"], "-m", row["model"], "--target", row["target"], "--seed", row["seed"])
    assert run("experiment", *words, "--out", alone).code == 0
    same_rows(out, row["cell"], alone)


def test_a_row_of_a_picture_that_comes_with_the_network_is_made_again_by_its_name(tmp_path: Path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    asked = ("experiment", "noise-level", "-m", "digits", *TINY, "--samples", 2)
    assert run(*asked, "--out", out).code == 0
    row = table(out)[-1]
    words = (row["recipe"], "-m", row["model"], "--only", row["picture"], "--seed", row["seed"])
    assert run("experiment", *words, "--out", alone).code == 0
    same_rows(out, row["cell"], alone)
    near = table(out)[0]["picture"].replace("scan", "scam")
    answer = run("experiment", "noise-level", "-m", "digits", "--only", near, "--out", alone)
    assert answer.code == 2
    assert f"--only names none of the 10 pictures: {near!r}; did you mean {table(out)[0]['picture']!r}?" in answer.error


def test_what_an_earlier_run_wrote_and_this_one_does_not_is_removed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but what is no file of a run."""
    out = tmp_path / "out"
    asked = ("experiment", "noise-level(noise=0.2, samples=2, reference=4)", photos / "digit0.png", "-m", "digits")
    assert run(*asked, "--out", out).code == 0
    (out / "mine.png").write_bytes(b"not of a run")
    failing_at(0.2, monkeypatch)
    answer = run(*asked, "--seed", 1, "--out", out)  # of which no cell is kept
    assert answer.code == 1
    assert [name for name in names(out) if not name.startswith("cells")] == ["index.html", "mine.png", *TABLES]
    assert f"removed, since of an earlier run: {out / 'one.png'}, {out / 'one.svg'}" in answer.error


def test_what_was_seen_is_said(photos: Path, tmp_path: Path) -> None:
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out", tmp_path / "out")
    said = " ".join(answer.out.split())
    assert "How strong should the noise be?" in said
    assert "With 2 samples the map is off its own limit" in said
    assert "total_variation" in said
    assert "means over 2 pictures at each point" in said
    assert "index.html" in said


def test_json_is_one_document_and_quiet_says_nothing(photos: Path, tmp_path: Path) -> None:
    asked = ("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out", tmp_path / "out")
    told = run(*asked, "--json").json
    assert (told["command"], told["experiment"], told["model"], told["data"]) == (
        "experiment",
        "noise-level",
        "digits",
        None,
    )
    assert experiment_from_recipe(told["recipe"]).fields()
    assert told["pictures"] == ["digit0.png", "digit1.png"]
    assert (told["cells"], told["rows"], told["failures"]) == (4, 2 * 2 * 5, [])
    assert sorted(told["files"]) == FILES
    ends = {one["quantity"]: one for one in told["summary"]}
    assert ends["cosine with the limit"]["most"]["at"] == {"noise": 0.0}
    assert ends["cosine with the limit"]["most"]["mean"] == pytest.approx(1)
    quiet = run(*asked, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_quick_runs_on_the_embedded_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = run("experiment", "noise-level", "--quick", *TINY, "--json").json
    assert told["model"] == "digits"
    assert len(told["pictures"]) == 3
    assert told["recipe"] == repr(NoiseLevel(noise=(0.0, 0.2), samples=2, reference=4, measures=(sg.TotalVariation(),)))
    assert Path(told["files"]["table.csv"]) == Path("out/noise-level/table.csv")


# --- stopped, failed --------------------------------------------------------------------------------------------------


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = ("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out")
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        answer = run(*asked, out, "--json")
    assert answer.code == 1
    assert f"stopped; 3 of 4 cells are done and kept in {out}; the same command goes on from there" in answer.error
    assert answer.json["error"]["kind"] == "Stopped"
    assert not (out / "table.csv").exists()
    with monkeypatch.context() as patch:
        stop_after(1, patch)  # one cell more, and then another would be stopped
        assert run(*asked, out).code == 0
    assert run(*asked, tmp_path / "undisturbed").code == 0
    for name in FILES:
        if name != "index.html":
            assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name


def test_ctrl_c_while_figures_are_written_says_that_no_cell_is_lost(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def report(_: Result, _path: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Result, "report", report)
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out", out, "--json")
    assert answer.code == 1
    said = f"stopped; 4 of 4 cells are done and kept in {out}; the same command writes the rest"
    assert said in answer.error
    assert answer.json["error"] == {"kind": "Stopped", "message": said}


def test_a_point_holds_no_key_that_is_another_on_each_picture() -> None:
    """Of each picture another entry of the gradient is the largest: a mean at one entry is of one picture."""
    values = {"a": (1.0, 3.0), "b": (3.0, 5.0)}
    rows = [
        {
            "picture": name,
            "noise": noise,
            "quantity": "q",
            "unit": "",
            "value": value,
            "reason": "",
            "entry": name + "1",
        }
        | {"rank": 1}
        for name, held in values.items()
        for noise, value in zip((0.1, 0.2), held, strict=True)
    ]
    about = SimpleNamespace(grid=("noise",), keys={"rank": "", "entry": ""}, per_picture=True)
    (ends,) = ends_of(cast("Result", SimpleNamespace(experiment=about, measured=pandas.DataFrame(rows))))
    assert ends.least == (2.0, {"noise": 0.1})
    assert ends.most == (4.0, {"noise": 0.2})


def test_a_key_that_pictures_share_is_part_of_the_point() -> None:
    rows = [
        {"picture": name, "quantity": "q", "unit": "", "value": float(rank), "reason": "", "rank": rank}
        for name in ("a", "b", "c")
        for rank in (1, 2)
        if (name, rank) != ("c", 2)  # which failed
    ]
    about = SimpleNamespace(grid=(), keys={"rank": ""}, per_picture=True)
    (ends,) = ends_of(cast("Result", SimpleNamespace(experiment=about, measured=pandas.DataFrame(rows))))
    assert (ends.least.settings, ends.most.settings) == ({"rank": 1}, {"rank": 2})


def test_a_file_is_no_folder_to_write_into(photos: Path) -> None:
    file = next(photos.iterdir())
    before = file.read_bytes()
    for place in (file, file / "deeper"):
        answer = run("experiment", "noise-level", "--quick", "--out", place)
        assert answer.code == 2
        assert f"{file} is a file; choose a folder" in answer.error
    assert file.read_bytes() == before


def test_names_that_only_could_take_are_quoted(tmp_path: Path) -> None:
    answer = run("experiment", "noise-level", "--quick", "--only", "zebra", "--out", tmp_path / "out")
    assert answer.code == 2
    own = samples_of(sg.load("digits"), 3)
    assert f"'zebra'; known: {', '.join(repr(one.name) for one in own)}" in answer.error


def test_cells_that_fail_are_named_and_the_others_are_drawn(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at(0.2, monkeypatch)
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out", tmp_path / "out")
    assert answer.code == 1
    assert "2 of 4 cells failed" in answer.error
    assert "digit1.png, noise 0.2: BadInput: out of luck" in answer.error
    assert [row["reason"] for row in table(tmp_path / "out") if row["noise"] == "0.2"] == ["BadInput: out of luck"] * 2
    assert "one.png" in names(tmp_path / "out")


def test_where_all_cells_fail_there_are_a_table_and_a_page(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at(0.2, monkeypatch)
    asked = ("experiment", "noise-level", photos, "-m", "digits", *TINY, "--grid", "noise=0.2")
    assert "gives noise twice" in run(*asked).error
    answer = run("experiment", "noise-level(noise=0.2)", photos, "-m", "digits", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "2 of 2 cells failed" in answer.error
    assert [name for name in names(tmp_path / "out") if not name.startswith("cells")] == ["index.html", *TABLES]


def test_a_damaged_cell_is_said_with_what_to_do(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("experiment", "noise-level", photos / "digit0.png", "-m", "digits", *TINY, "--out", out)
    assert run(*asked).code == 0
    broken = sorted((out / "cells").glob("*/rows.json"))[0]
    broken.write_text("{", encoding="utf-8")
    answer = run(*asked)
    assert answer.code == 1
    assert f"remove the folder {broken.parent}, and its cell is made again" in answer.error


# --- what is refused before any work ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("noise-levl", "--quick"), "no experiment is called 'noise-levl'; did you mean 'noise-level'?"),
        (("noise-level", "--quick", "--grid", "noize=0.1"), "noise-level has no 'noize'; did you mean 'noise'?"),
        (("noise-level", "--quick", "--grid", "noise"), "--grid takes NAME=VALUES"),
        (("noise-level", "--quick", "--grid", "noise=-1"), "noise"),
        (("noise-level(noize=1)", "--quick"), "did you mean 'noise'?"),
        (("noise-level",), "say which: --model NAME such as --model digits, or --quick"),
        (("noise-level", "-m", "digit"), "digit"),
        (("noise-level", "--quick", "--data", "digits"), "--data is for experiments that train; give --model NAME"),
        (("noise-level", "-m", "digits", "--target", "1", "--target", "2"), "takes one --target"),
        (("noise-level", "-m", "digits", "--target", "eleven"), "there is no class 'eleven'"),
        (("noise-level", "-m", "digits", "--samples", "0"), "--samples is '0'"),
        (("noise-level", "-m", "digits", "--chunk", "x"), "--chunk is 'x'"),
        (("noise-level", "-m", "digits", "--device", "toaster"), "cannot compute on --device toaster"),
        (("noise-level", "-m", "digits", "--groups", "kinds.csv"), "--groups names kinds of picture files"),
        (("noise-level", "-m", "mnist"), "no picture is named"),
        (
            ("training-noise",),
            "training-noise trains networks; say on what: --data digits, mnist:FOLDER or cifar10:FOLDER",
        ),
        (("training-noise", "--quick", "-m", "digits"), "--model means nothing there; give --data"),
        (("training-noise", "--quick", "--size", "8"), "--size means nothing there; give --data"),
        (("training-noise", "--data", "digit"), "no data set is called 'digit'; did you mean 'digits'?"),
        (("training-noise", "--data", "digits", "--device", "toaster"), "cannot compute on --device toaster"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(tmp_path: Path, asked: tuple[str, ...], said: str) -> None:
    answer = run("experiment", *asked, "--out", tmp_path / "out")
    assert answer.code == 2
    assert said in answer.error
    assert answer.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("noise-level", "--quick"), 2, "pictures are named, and no network"),
        (("training-noise", "--quick"), 2, "a picture file means nothing there; give --data"),
        (("noise-level", "-m", "digits", "--samples", "2"), 2, "give one of them"),
        (
            ("noise-level", "-m", "digits", "--groups", "missing.csv:kind"),
            2,
            "the table missing.csv of --groups cannot be read",
        ),
    ],
)
def test_pictures_go_with_some_options_only(
    photos: Path, tmp_path: Path, asked: tuple[str, ...], code: int, said: str
) -> None:
    name, *options = asked
    answer = run("experiment", name, photos, *options, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.error
    assert not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_is_said_before_any_work(photos: Path, tmp_path: Path) -> None:
    (photos / "digit9.png").write_bytes(b"no picture")
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--json", "--out", tmp_path / "out")
    assert answer.code == 1
    assert answer.json["error"]["kind"] == "BadPicture"
    assert "digit9.png" in answer.error
    assert not (tmp_path / "out").exists()
    missing = run("experiment", "noise-level", photos / "digit7.png", "-m", "digits", "--out", tmp_path / "out")
    assert (missing.code, "there is no picture" in missing.error) == (2, True)


def test_a_network_without_the_needed_layer_is_said_before_any_work(photos: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import torch\n"
        "import smoothgrad as sg\n"
        "from smoothgrad.models.preprocessing import Preprocessing\n"
        "def make():\n"
        "    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))\n"
        "    look = Preprocessing(channels=1, size=(8, 8), resize=8, mean=(0.0,), std=(1.0,))\n"
        "    return sg.Network(net, name='flat', preprocessing=look)\n"
    )
    answer = run(
        *("experiment", "methods", photos, "-m", f"{net}:make", "--quick", "--out", tmp_path / "out"),
        *("--grid", "method=gradient,guided_backprop"),
    )
    assert answer.code != 0
    assert "error: guided_backprop(): " in answer.error
    assert "found no ReLU" in answer.error
    assert answer.error.rstrip().endswith("; or leave this method out")
    assert not (tmp_path / "out" / "cells").exists()


def test_figures_do_not_replace_pictures(photos: Path) -> None:
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--out", photos)
    assert answer.code == 2
    assert "could be replaced by a figure" in answer.error
    assert names(photos) == ["digit0.png", "digit1.png"]


def test_measures_of_regions_that_are_not_known_are_refused_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = run("experiment", "noise-level", "--quick", "--grid", "measures=energy_inside", "--out", out)
    assert answer.code == 1
    assert "needs to know where the thing is" in answer.error
    assert "give --regions FILE, or take other measures" in answer.error
    assert not out.exists()
    known = setting(network=NetworkOptions("scenes"), samples=1)
    about = NoiseLevel(measures=(sg.EnergyInside(),))
    about.check(known.checked(about))


def test_a_region_that_the_network_does_not_see_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Region(torch.zeros(1, 8, 8, dtype=torch.bool), OUTSIDE)
    monkeypatch.setattr(reading, "regions_for", lambda *_: lambda _: gone)
    with pytest.raises(sg.errors.BadInput, match=r"digit0\.png: the region lies outside"):
        setting(pictures=(photos,), regions=photos).checked(NoiseLevel())


# --- what it is made on -----------------------------------------------------------------------------------------------


def test_the_number_of_own_pictures() -> None:
    about = NoiseLevel()
    assert len(setting().checked(about).pictures) == 10
    assert len(setting(quick=True).checked(about).pictures) == 3
    assert len(setting(samples=4, quick=True).checked(about).pictures) == 4
    trainer = chosen("training-noise", (), quick=True)
    found = setting(network=NetworkOptions(""), quick=True).checked(trainer)
    assert (len(found.pictures), found.dataset, found.network, found.model) == (3, "digits", None, "")
    assert found.training_data.name == "digits"
    assert len(setting(network=NetworkOptions(""), data="digits", samples=2).checked(trainer).pictures) == 2


def test_the_model_is_named_so_that_it_can_be_had_again(photos: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = tmp_path / "my weights.safetensors"
    save_file({name: part.contiguous() for name, part in sg.load("digits").net.state_dict().items()}, weights)
    found = setting(network=NetworkOptions("digits", weights), pictures=(photos,)).checked(NoiseLevel())
    assert found.model == f"digits --weights '{weights}'"
    assert [Path(one.file) for one in found.pictures] == [photos / "digit0.png", photos / "digit1.png"]
    assert torch.equal(found.pictures[0].x, sg.load("digits").read(photos / "digit0.png"))


def test_embedded_scenes_know_where_the_thing_is() -> None:
    found = setting(network=NetworkOptions("scenes"), samples=2).checked(NoiseLevel())
    assert all(one.region is not None and one.label is not None for one in found.pictures)


def test_regions_are_those_of_boxes(photos: Path, tmp_path: Path) -> None:
    with Image.open(photos / "digit0.png") as picture:
        width, height = picture.size
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"file,xmin,ymin,xmax,ymax\ndigit0.png,0,0,{width // 2 - 1},{height - 1}\ndigit1.png,0,0,999,1\n")
    found = setting(pictures=(photos,), regions=boxes).checked(NoiseLevel())
    region = found.pictures[0].region
    assert region is not None
    assert region.shape == (1, 8, 8)
    assert region.float().mean() == 0.5
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(2):
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).rectangle((0, 0, width // 2 - 1, height - 1), fill=255)
        mask.save(masks / f"digit{number}.png")
    again = setting(pictures=(photos,), regions=masks).checked(NoiseLevel()).pictures[0].region
    assert again is not None
    assert torch.equal(region, again)
    assert setting(pictures=(photos,), regions=boxes).checked(NoiseLevel()).regions == str(boxes)
    boxes.write_text("file,xmin,ymin,xmax,ymax\ndigit0.png,0,0,3,3\n")
    with pytest.raises(sg.errors.BadInput, match=r"has no region for digit1\.png"):
        setting(pictures=(photos,), regions=boxes).checked(NoiseLevel())


def test_groups_are_folders_or_a_column(tmp_path: Path) -> None:
    cats, dogs = digits(tmp_path / "cats", 2), digits(tmp_path / "dogs", 1)
    files = [cats / "digit0.png", cats / "digit1.png", dogs / "digit0.png"]
    assert groups_of(files, None) == ["cats", "cats", "dogs"]
    assert groups_of(files[:2], None) == ["", ""]
    found = setting(pictures=(cats, dogs)).checked(NoiseLevel())
    assert [one.group for one in found.pictures] == ["cats", "cats", "dogs"]
    other = digits(tmp_path / "more" / "cats", 1)  # of the same name
    ends = [f"{tmp_path.name}/cats", "more/cats"]
    assert groups_of([cats / "digit0.png", other / "digit0.png"], None) == ends
    kinds = tmp_path / "kinds.csv"
    kinds.write_text(
        "file,back,front\ndigit1.png,plain,x\ncats/digit0.png,textured,y\ndigit0.png,uniform,z\n", encoding="utf-8"
    )
    assert groups_of(files, f"{kinds}:back") == ["textured", "plain", "uniform"]
    assert groups_of(files, f"{kinds}:front") == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("file,back\ndigit0.png,plain\n", "backs", "has no column 'backs'; did you mean 'back'?"),
        ("picture,back\ndigit0.png,plain\n", "back", "has no column 'file'"),
        (
            "file,back\ndigit0.png,plain\ndigit0.png,other\n",
            "back",
            "gives 'digit0.png' twice, as 'plain' and as 'other'",
        ),
        ("file,back\ndigit1.png,plain\n", "back", "has no row for digit0.png; did you mean 'digit1.png'?"),
        ("", "back", "has no column 'file'"),
    ],
)
def test_a_table_of_groups_that_does_not_fit_is_refused(tmp_path: Path, text: str, column: str, said: str) -> None:
    kinds = tmp_path / "kinds.csv"
    kinds.write_text(text, encoding="utf-8")
    with pytest.raises(sg.errors.SmoothGradError) as raised:
        groups_of([tmp_path / "digit0.png"], f"{kinds}:{column}")
    assert said in str(raised.value)
    with pytest.raises(sg.errors.BadOption, match="give FILE:COLUMN"):
        groups_of([tmp_path / "digit0.png"], "kinds.csv")


def test_the_document_is_plain_json(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(0.2, monkeypatch)
    answer = run("experiment", "noise-level", photos, "-m", "digits", *TINY, "--json", "--out", tmp_path / "out")
    assert answer.code == 1
    told = json.loads(answer.out)
    assert [one["picture"] for one in told["failures"]] == ["digit0.png", "digit1.png"]
    assert told["failures"][0]["reason"] == "BadInput: out of luck"
