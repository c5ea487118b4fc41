from __future__ import annotations

from itertools import groupby

import pytest

from smoothgrad.cli.measures import by_family
from smoothgrad.measure import MEASURES
from tests.cli.shell import run


def test_measures_are_listed_and_told() -> None:
    listed = run("measures")
    assert listed.code == 0
    assert "deletion" in listed.out
    assert "higher speaks for the map" in " ".join(listed.out.split())
    told = run("measures", "deletion")
    assert "Petsiuk" in told.out
    assert "--measure" in told.out
    assert len(run("measures", "--json").json["measures"]) > 20
    assert run("measures", "--bibtex").out.count("@") > 10
    assert "did you mean 'deletion'" in run("measures", "delition").error


def test_each_family_stands_once_and_faithfulness_first() -> None:
    families = [family for family, _ in groupby(entry.family for entry in by_family(list(MEASURES.values())))]
    assert len(families) == len(set(families))
    firsts = [first for first, _ in groupby(family.split()[0] for family in families)]
    assert firsts == ["Faithfulness", "Robustness", "Localisation", "Complexity", "Sanity"]


@pytest.mark.parametrize("columns", [80, 60])
def test_nothing_is_lost_on_few_columns(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run("measures").out.splitlines()
    whole = "".join("".join(lines).split())
    assert max(map(len, lines)) <= columns
    for entry in MEASURES.values():
        assert "".join(entry.formula.split()) in whole
        at = next(number for number, line in enumerate(lines) if line.split()[:1] == [entry.name])
        if columns == 80:
            for word in (*entry.needs, *(paper.short for paper in entry.citations[:1])):
                assert word in lines[at]
        beneath = lines[at + 1 : at + 9]  # of narrow ones several hold what is beside the name
        assert any(line.startswith("  ") and line.split()[0] == entry.formula.split()[0] for line in beneath)
    assert "…" not in whole


def test_a_docstring_is_broken_by_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("measures", "infidelity").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("sd is"))
    paragraph = lines[start : lines.index("", start)] if "" in lines[start:] else lines[start:]
    full = [line for line in paragraph if line.strip()]
    assert all(len(line) > 60 for line in full[:3])


def test_a_measure_is_found_by_the_name_of_its_class_too() -> None:
    assert run("measures", "Deletion").out == run("measures", "deletion").out
