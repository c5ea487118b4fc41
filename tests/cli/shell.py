"""Running the command line in tests: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from typer.testing import CliRunner

from smoothgrad.cli import app
from smoothgrad.models.load import load


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """What stderr says, on one line."""
        return " ".join(self.err.split())


def run(*arguments: object) -> Answer:
    """`smoothgrad ARGUMENTS` in this process. What is not expected is raised, as a traceback would be shown."""
    result = CliRunner().invoke(app, [str(part) for part in arguments], prog_name="smoothgrad")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """`python -m smoothgrad ARGUMENTS` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "smoothgrad", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "100"} | environment,
    )


def shell(*arguments: object, **environment: str) -> Answer:
    """The same, run to its end."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=120)
    return Answer(process.returncode, out, err)


def digits(folder: Path, count: int = 3) -> Path:
    """A folder with pictures of the digits 0, 1, 2, ... as PNG."""
    net = load("digits")
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(net.show(net.samples(count))):
        values = (picture * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(values).save(folder / f"digit{number}.png")
    return folder


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the map after so many."""
    module = sys.modules["smoothgrad.explain"]
    real, done = module.explain, 0

    def explain(*arguments: Any, **named: Any) -> Any:
        nonlocal done
        if done == count:
            raise KeyboardInterrupt
        done += 1
        return real(*arguments, **named)

    monkeypatch.setattr(module, "explain", explain)


def names(folder: Path) -> list[str]:
    """All files below a folder, hidden ones too."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


QUICK = ("--method", "smoothgrad(noise=0.15, samples=4)", "--format", "safetensors", "--quiet")
