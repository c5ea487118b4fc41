"""The table on the terminal."""

from __future__ import annotations

import io
import re

from rich.console import Console

from smoothgrad.cli.standings import print_standings
from tests.report.test_judged import HIGH, LOW, scores


def printed(width: int, *, colour: bool) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    print_standings(console, scores({"good": HIGH, "Gradient().then(Absolute(), Square(), Absolute())": LOW}), 0.9)
    return re.sub(r"\x1b\[\d*m", "", console.file.getvalue())  # type: ignore[attr-defined]


def test_the_best_is_marked_where_there_is_no_colour() -> None:
    plain, coloured = printed(80, colour=False), printed(80, colour=True)
    assert "*" in next(line for line in plain.splitlines() if line.startswith("good"))
    assert "* is the best" in " ".join(plain.split())
    assert "*" not in coloured
    assert "bold is the best" in " ".join(coloured.split())


def test_a_long_label_is_broken_behind_brackets_and_commas() -> None:
    lines = [line.split("  ")[0].rstrip() for line in printed(80, colour=False).splitlines()]
    assert [line for line in lines if "Gradient" in line] == ["Gradient().then(Absolute(),"]
    assert max(map(len, printed(60, colour=False).splitlines())) <= 60


def test_few_pictures_have_no_best() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_standings(console, scores({"good": HIGH[:4], "other": LOW[:4]}), 0.9)
    said = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "*" not in said
    assert "is the best" not in said
    assert "interval over 4 pictures" in said
    assert "over 4 pictures: too few to tell methods apart" in said
    assert "too few to tell" not in " ".join(printed(80, colour=False).split())
