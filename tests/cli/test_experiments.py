from __future__ import annotations

import pytest

from smoothgrad.experiments import EXPERIMENTS, experiment_from_recipe
from tests.cli.shell import run


def test_experiments_are_listed_with_their_questions_and_sources() -> None:
    answer = run("experiments")
    assert answer.code == 0
    said = " ".join(answer.out.split())
    for name, kind in EXPERIMENTS.items():
        assert name in said
        assert kind.question.split()[0] in said
    assert "Smilkov et al. 2017" in said
    assert "smoothgrad experiment NAME --quick" in said


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_one_is_told_in_full(name: str) -> None:
    answer = run("experiments", name)
    assert answer.code == 0
    said = "".join(answer.out.split())
    kind = EXPERIMENTS[name]
    for part in (kind.title, kind.question, *kind.grid, *kind.quantities, *kind.keys):
        assert "".join(part.split()) in said or part[:20] in answer.out
    assert ("--data" in answer.out) == kind.trains
    assert ("--model" in answer.out) != kind.trains


def test_one_is_found_by_its_class_too() -> None:
    assert run("experiments", "NoiseLevel").out == run("experiments", "noise-level").out


def test_an_unknown_one_is_bad_usage_with_the_nearest_name() -> None:
    answer = run("experiments", "noise-levl")
    assert (answer.code, answer.out) == (2, "")
    assert "did you mean 'noise-level'?" in answer.error


def test_json_holds_recipes_that_are_read_back() -> None:
    told = run("experiments", "--json").json["experiments"]
    assert [one["name"] for one in told] == list(EXPERIMENTS)
    for one in told:
        kind = EXPERIMENTS[one["name"]]
        assert experiment_from_recipe(one["recipe"]) == kind()
        assert experiment_from_recipe(one["quick"]) == kind().quick()
        assert list(one["grid"]) == list(kind.grid)
    assert run("experiments", "noise-level", "--json").json["experiments"][0] == told[0]


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_nothing_is_wider_than_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, run("experiments").out.splitlines())) <= int(columns)
    assert "…" not in run("experiments").out
