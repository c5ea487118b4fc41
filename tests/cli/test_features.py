"""The command `features`: pictures, GIFs, figures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import smoothgrad as sg
from smoothgrad.features import (
    ActivationMaximization,
    Adam,
    Bounded,
    Fourier,
    FromNoise,
    FromPicture,
    deconvolve,
    dream,
    strongest,
)
from smoothgrad.features.result import side_by_side
from smoothgrad.models.digits import scans
from tests.cli.shell import digits, names, run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_maximize_writes_picture_gif_and_figure_of_what_python_finds(out: Path) -> None:
    answer = run(
        "features",
        "maximize",
        "--model",
        "digits",
        "--class",
        3,
        "--steps",
        12,
        "--frames",
        5,
        "--seed",
        4,
        "--out",
        out,
    )
    assert answer.code == 0, answer.error
    assert names(out) == ["maximize-3-figure.png", "maximize-3.gif", "maximize-3.png"]
    net = sg.load("digits")
    found = dream(
        net, ActivationMaximization(3, Bounded.to(net, Fourier()), FromNoise(0.01), Adam(0.05), steps=12), seed=4
    )
    with Image.open(out / "maximize-3.png") as picture:
        assert picture.text["recipe"] == found.recipe
        assert picture.tobytes() == side_by_side(found.shown).tobytes()
    with Image.open(out / "maximize-3.gif") as gif:
        assert 1 < gif.n_frames <= 5
    assert "objective" in answer.out


def test_several_classes_stand_side_by_side_and_json_tells_their_scores(out: Path) -> None:
    answer = run("features", "maximize", "-m", "digits", "-t", 1, "-t", 7, "--steps", 4, "--json", "--out", out)
    assert answer.json["command"] == "features maximize"
    assert len(answer.json["end"]) == 2
    assert all(end > start for start, end in zip(answer.json["start"], answer.json["end"], strict=True))
    assert Path(answer.json["files"]["png"]).name == "maximize-1-7.png"


@pytest.mark.parametrize(
    "wish",
    [
        ("--layer", "conv3"),
        ("--layer", "conv3", "--channel", "5", "--jitter", "1"),
        ("--layer", "conv3", "--channel", "5", "--position", "1,2", "--space", "pixels"),
        ("--target", "3", "--space", "code"),
        ("--target", "3", "--start", "mean", "--l2", "0.1", "--tv", "0.01"),
        ("--target", "3", "--rbm", "0.1", "--start", "zero"),
    ],
)
def test_whatever_can_be_wished_for_is_searched(out: Path, wish: tuple[str, ...]) -> None:
    answer = run("features", "maximize", "-m", "digits", *wish, "--steps", 2, "--quiet", "--out", out)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert len(names(out)) == 3


def test_the_mean_is_that_of_the_class_or_of_your_pictures(tmp_path: Path) -> None:
    data = scans()
    own = data.x[data.train][data.labels[data.train] == 3]
    photos = digits(tmp_path / "photos", 2)
    for arguments, start in (
        ((), FromPicture.mean(own)),
        (
            ("--data", photos),
            FromPicture.mean(torch.cat([sg.load("digits").read(file) for file in sorted(photos.iterdir())])),
        ),
    ):
        answer = run(
            "features",
            "maximize",
            "-m",
            "digits",
            "-t",
            3,
            "--start",
            "mean",
            *arguments,
            "--steps",
            1,
            "--json",
            "--out",
            tmp_path,
        )
        assert repr(start) in answer.json["recipe"]


def test_each_class_begins_at_its_own_mean(tmp_path: Path) -> None:
    data = scans()
    x, labels = data.x[data.train], data.labels[data.train]
    start = FromPicture(torch.stack([x[labels == label].mean(0) for label in (4, 3)]))
    given = ("-t", 4, "-t", 3, "--start", "mean", "--steps", 1, "--json", "--out", tmp_path)
    answer = run("features", "maximize", "-m", "digits", *given)
    assert answer.code == 0, answer.error
    assert repr(start) in answer.json["recipe"]


def test_the_picture_as_it_stands_is_written_on_the_way(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import smoothgrad.features.result as result

    written = []
    real = result.save_picture

    def save(x: torch.Tensor, preprocessing: object, path: Path, *more: object) -> Path:
        written.append(path)
        return real(x, preprocessing, path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(result, "save_picture", save)
    run("features", "maximize", "-m", "digits", "-t", 3, "--steps", 6, "--every", 2, "--out", out)
    assert written == [out / "maximize-3.png"] * 5  # at 0, 2, 4, 6, and in the end


def test_each_picture_has_its_dream(tmp_path: Path, out: Path) -> None:
    photos = digits(tmp_path / "photos", 2)
    answer = run(
        *("features", "dream", photos, "-m", "digits", "--layer", "conv3", "--octaves", 2, "--steps", 3, "--jitter", 2),
        *("--learning-rate", 0.1, "--json", "--out", out),
    )
    assert answer.code == 0, answer.error
    assert [picture["name"] for picture in answer.json["pictures"]] == ["digit0-dream", "digit1-dream"]
    assert all(picture["end"][0] > picture["start"][0] for picture in answer.json["pictures"])
    assert len(names(out)) == 6


def test_a_feature_is_projected_back_for_the_strongest_pictures(tmp_path: Path, out: Path) -> None:
    photos = digits(tmp_path / "photos", 6)
    answer = run(
        "features",
        "deconvolve",
        photos,
        "-m",
        "digits",
        "--layer",
        "conv3",
        "--channel",
        7,
        "--keep",
        2,
        "--json",
        "--out",
        out,
    )
    assert answer.code == 0, answer.error
    assert names(out) == ["conv3-7.png"]
    net = sg.load("digits")
    x = torch.cat([net.read(file) for file in sorted(photos.iterdir())])
    best = strongest(net, x, "conv3", 7, keep=2)
    found = deconvolve(net, x[best.rows], "conv3", 7)
    expected = {f"digit{int(row)}.png": float(a) for row, a in zip(best.rows, found.activation, strict=True)}
    assert answer.json["activation"] == pytest.approx(expected)


@pytest.mark.parametrize(("keep", "count"), [("3", 3), ("4,9", 2)])
def test_pictures_are_put_together_again(tmp_path: Path, out: Path, keep: str, count: int) -> None:
    photos = digits(tmp_path / "photos", 2)
    answer = run(
        "features", "reconstruct", photos, "-m", "digits", "--layer", "conv3", "--keep", keep, "--json", "--out", out
    )
    assert names(out) == ["conv3-reconstructed.png"]
    assert [len(channels) for channels in answer.json["channels"].values()] == [count] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["maximize"], 2, "neither is given"),
        (["maximize", "-t", "3", "--layer", "conv3"], 2, "both are given"),
        (["maximize", "-t", "3", "--channel", "1"], 2, "name the layer"),
        (["maximize", "--layer", "conv3", "--position", "1,1"], 2, "--channel"),
        (["maximize", "--layer", "conv33"], 2, "did you mean 'conv3'"),
        (["maximize", "--layer", "conv3", "--channel", "48"], 2, "48 channels and no channel 48"),
        (["maximize", "-t", "3", "--learning-rate", "0"], 2, "learning_rate > 0"),
        (["maximize", "-t", "3", "--learning-rate", "x"], 2, "--learning-rate"),
        (["maximize", "-t", "3", "--steps", "0"], 2, "--steps"),
        (["maximize", "-t", "3", "--space", "codes"], 2, "did you mean 'code'"),
        (["maximize", "-t", "3", "--space", "code", "--generator", "digit"], 2, "did you mean 'digits'"),
        (["maximize", "-t", "3", "--start", "none"], 2, "give zero, noise, mean"),
        (["maximize", "-t", "eleven"], 2, "there is no class"),
        (["dream", "PHOTOS", "--layer", "conv3", "--octaves", "12"], 1, "too small for 12 octaves"),
        (["dream", "missing.png", "--layer", "conv3"], 2, "no picture"),
        (["deconvolve", "PHOTOS", "--layer", "conv3", "--channel", "48"], 2, "no channel 48"),
        (["deconvolve", "PHOTOS", "--layer", "conv3", "--channel", "1", "--position", "9,9"], 2, "no position"),
        (["reconstruct", "PHOTOS", "--layer", "conv3", "--keep", "1,48"], 2, "channels 0 to 47"),
        (["reconstruct", "PHOTOS", "--layer", "conv3", "--keep", "99"], 2, "48 channels, of which 99"),
        (["reconstruct", "PHOTOS", "--layer", "conv3", "--keep", "1,1"], 2, "twice"),
    ],
)
def test_bad_input_is_said(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    photos = digits(tmp_path / "photos", 1) if "PHOTOS" in arguments else tmp_path
    given = [str(photos) if part == "PHOTOS" else part for part in arguments]
    answer = run("features", *given, "-m", "digits", "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.error


def test_a_generator_of_your_own_makes_the_pictures(tmp_path: Path, out: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Mine(torch.nn.Module):\n"
        "    code_shape = (3,)\n"
        "    def __init__(self, width):\n"
        "        super().__init__()\n"
        "        self.linear = torch.nn.Linear(3, width * width)\n"
        "        self.width = width\n"
        "    def forward(self, z):\n"
        "        return self.linear(z).sigmoid().view(-1, 1, self.width, self.width)\n"
        "def right(): return Mine(8)\n"
        "def wrong(): return Mine(9)\n"
    )
    asked = (
        "features",
        "maximize",
        "-m",
        "digits",
        "-t",
        3,
        "--space",
        "code",
        "--steps",
        2,
        "--out",
        out,
        "--generator",
    )
    assert run(*asked, f"{tmp_path}/mine.py:right").code == 0
    answer = run(*asked, f"{tmp_path}/mine.py:wrong")
    assert answer.code == 2
    assert "makes pictures of shape (1, 9, 9), and the network is to see (1, 8, 8)" in answer.error


@pytest.mark.parametrize("columns", ["80", "140"])
@pytest.mark.parametrize("command", [[], ["maximize"], ["dream"], ["deconvolve"], ["reconstruct"]])
def test_every_command_has_help_without_raw_markup(
    command: list[str], columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    answer = run("features", *command, "--help")
    assert answer.code == 0
    assert "[/" not in answer.out
    assert "[dim]" not in answer.out
