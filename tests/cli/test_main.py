"""The command as a whole: help, version, exit codes, and processes that are stopped."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

import smoothgrad as sg
from tests.cli.shell import QUICK, digits, names, run, shell, start

COMMANDS = [
    *("explain", "compare", "measure", "axioms", "experiment", "demo"),
    *("methods", "measures", "experiments", "doctor", "features"),
]


def test_without_a_command_the_help_is_shown() -> None:
    answer = run()
    assert answer.code == 0
    assert all(command in answer.out for command in COMMANDS)
    assert answer.out == run("--help").out


@pytest.mark.parametrize("columns", ["80", "140"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_raw_markup(command: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    answer = run(command, "--help")
    assert answer.code == 0
    assert "[/" not in answer.out
    assert "[dim]" not in answer.out


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").out == f"smoothgrad {sg.__version__}\n"


@pytest.mark.parametrize("wrong", ["explian", "--verion"])
def test_an_unknown_command_or_option_is_bad_usage(wrong: str) -> None:
    answer = run(wrong)
    assert (answer.code, answer.out) == (2, "")
    assert wrong in answer.error


def test_python_dash_m_is_the_same_command() -> None:
    assert shell("--version").out == f"smoothgrad {sg.__version__}\n"


def test_a_process_prints_nothing_but_json_to_stdout(tmp_path: Path) -> None:
    photos = digits(tmp_path / "photos", 1)
    answer = shell("explain", photos, "-m", "digits", *QUICK, "--json", "--out", tmp_path / "out")
    assert answer.code == 0
    assert answer.json["pictures"][0]["class"] == "0"


def test_an_error_is_one_line_in_a_pipe_without_traceback(tmp_path: Path) -> None:
    answer = shell("explain", digits(tmp_path, 1), "-m", "digits", "--method", "nothing_like_it(samples=1)")
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("error: no method or piece 'nothing_like_it'")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    bad = ("explain", digits(tmp_path, 1), "-m", "digit")
    assert "Traceback" in shell(*bad, "--debug").err
    assert "Traceback" in shell(*bad, SMOOTHGRAD_DEBUG="1").err


def test_what_is_not_expected_keeps_its_traceback(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x / nonsense\n"
        "def make(): return Net()\n"
    )
    answer = shell("explain", digits(tmp_path / "photos", 1), "-m", f"{net}:make", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "NameError" in answer.err
    assert "Traceback" in answer.err


def test_ctrl_c_keeps_what_is_done_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    photos, out = digits(tmp_path / "photos", 2), tmp_path / "out"
    slow = "smoothgrad(noise=0.15, samples=2000)"
    for number in range(2, 40):
        (photos / f"digit{number}.png").write_bytes((photos / "digit0.png").read_bytes())
    process = start(
        "explain", photos, "-m", "digits", "--method", slow, "--chunk", "1", "--format", "safetensors", "--out", out
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(out.glob("[!.]*.safetensors")):  # not the one being written aside
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    done = names(out)
    assert process.returncode == 1
    kept = f"stopped; {len(done)} picture{' is' if len(done) == 1 else 's are'} done and kept in {out}"
    assert kept in " ".join(said.split())
    assert "Traceback" not in said
    assert 1 <= len(done) < 40
    assert not [name for name in done if name.startswith(".") or not name.endswith(".safetensors")]
    for name in done:
        assert int(sg.Attribution.load(out / name).draws) == 2000


@pytest.mark.parametrize("command", ["explain", "compare"])
def test_ctrl_c_while_the_report_is_written_says_where_the_maps_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sg.Comparison, "report", stopped)
    out = tmp_path / "out"
    photos = digits(tmp_path / "photos", 1)
    answer = run(command, photos, "-m", "digits", "--method", "gradient", "--format", "safetensors,html", "--out", out)
    assert answer.code == 1
    assert answer.err == f"stopped; what was written, if anything, is in {out}\n"
    assert len(names(out)) == 1


def test_ctrl_c_before_the_first_picture_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["smoothgrad.models.load"], "load", stopped)
    answer = run("explain", digits(tmp_path / "photos", 1), "-m", "digits", "--out", tmp_path / "out")
    assert answer.code == 1
    assert answer.error == "stopped"
    assert not (tmp_path / "out").exists()
