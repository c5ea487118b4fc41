"""The notebooks: each is the pair of a Python file, ends with what was seen, and holds nothing of the machine that ran it.

That they run is shown by `make test`, which runs them with small numbers, and by `make notebooks`, which runs them in full.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
LAST = "## What was seen"
PATHS = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|opt|var|mnt|private)/|[A-Z]:\\\\|ipykernel_\d|site-packages"
)
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?")
SETTINGS = [20.0, 30.0, 50.0]  # noise in percent and samples, which the notebooks set
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def notebook(script: Path) -> Any:
    """The notebook of a pair, as it is kept."""
    return pytest.importorskip("nbformat").read(script.with_suffix(".ipynb"), as_version=4)


def test_every_notebook_has_its_pair_and_stands_in_the_table() -> None:
    assert len(SCRIPTS) >= 7
    assert [one.stem for one in SCRIPTS] == sorted(one.stem for one in EXAMPLES.glob("*.ipynb"))
    table = (EXAMPLES / "README.md").read_text()
    assert [one.stem for one in SCRIPTS if f"({one.stem}.ipynb)" not in table] == []


@each
def test_notebook_and_script_say_the_same(script: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    ours = [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
    kept = [(cell.cell_type, cell.source) for cell in notebook(script).cells]
    assert kept == ours, "run `make notebooks`"


@each
def test_a_notebook_was_run_whole_and_holds_nothing_of_the_machine(script: Path) -> None:
    held = notebook(script)
    code = [cell for cell in held.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run `make notebooks`"
    assert all("execution" not in cell.metadata for cell in held.cells)
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs)
    assert any(kind.startswith("image/") for output in outputs for kind in output.get("data", {}))
    written = [output.get("text", "") + str(_without_pictures(output.get("data", {}))) for output in outputs]
    assert [found for text in written if (found := PATHS.search(text))] == []


@each
def test_a_notebook_stays_small(script: Path) -> None:
    assert script.with_suffix(".ipynb").stat().st_size < 260_000  # what is kept with the code: see keep_small.py


@each
def test_a_notebook_ends_with_what_was_seen_in_numbers_of_its_own(script: Path) -> None:
    *_, heading, last = notebook(script).cells
    assert heading.cell_type == "markdown"
    assert heading.source == LAST
    (shown,) = [
        one for one in ast.walk(ast.parse(last.source)) if isinstance(one, ast.Call) and _name(one) == "Markdown"
    ]
    (text,) = shown.args
    assert isinstance(text, ast.JoinedStr), "what was seen is an f-string: its numbers are those of the cells"
    assert sum(isinstance(part, ast.FormattedValue) for part in text.values) >= 8
    (said,) = last.outputs
    assert not re.search(r"\bnan\b|\binf\b|None", said.data["text/markdown"])


@each
def test_the_numbers_of_the_table_are_those_of_the_notebook(script: Path) -> None:
    """Each number of its finding stands in what the notebook shows, rounded as the table rounds it."""
    (row,) = [line for line in (EXAMPLES / "README.md").read_text().splitlines() if f"({script.stem}.ipynb)" in line]
    told = [text for text in NUMBER.findall(row.split("|")[-2].replace("8 × 8", "")) if len(text) > 1]
    shown = " ".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/markdown", ""))
        for cell in notebook(script).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    there = [float(text.replace("−", "-")) for text in NUMBER.findall(shown)] + SETTINGS
    assert [text for text in told if not any(_rounds_to(one, text) for one in there)] == []


@each
def test_a_notebook_uses_what_is_public(script: Path) -> None:
    modules = {node.module for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)}
    inner = {name for name in modules if name and name.startswith("smoothgrad")}
    assert [name for name in inner if not name.startswith("smoothgrad.training")] == []


def _without_pictures(data: dict[str, Any]) -> dict[str, Any]:
    """What is text: base64 may spell anything."""
    return {
        kind: re.sub(r"base64,[\w+/=]+", "", str(text)) for kind, text in data.items() if not kind.startswith("image/")
    }


def _rounds_to(number: float, text: str) -> bool:
    """Is the number, or its hundredfold where the text is a percentage, what the text says?"""
    said = float(text.replace("−", "-"))
    places = len(text.partition(".")[2])
    return any(round(abs(one), places) == abs(said) for one in (number, 100 * number))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""
