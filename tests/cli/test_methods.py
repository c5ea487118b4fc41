from __future__ import annotations

import pytest

import smoothgrad as sg
from tests.cli.shell import run


@pytest.mark.parametrize("columns", ["80", "140"])
def test_every_method_is_listed_with_formula_and_source(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    answer = run("methods")
    assert answer.code == 0
    for method in sg.METHODS.values():
        assert method.name in answer.out
        assert method.formula in answer.out
    assert max(map(len, answer.out.splitlines())) <= int(columns)


@pytest.mark.parametrize("name", sg.METHODS)
def test_one_method_is_told_with_its_parameters_and_citation(name: str) -> None:
    answer = run("methods", name)
    assert answer.code == 0
    assert sg.METHODS[name].formula in answer.out
    assert sg.METHODS[name].papers[0] in answer.out
    assert ">>>" not in answer.out


def test_the_list_is_data_too() -> None:
    listed = {method["name"]: method for method in run("methods", "--json").json["methods"]}
    assert set(listed) == set(sg.METHODS)
    assert listed["smoothgrad"]["passes"] == 50
    assert listed["smoothgrad"]["parameters"]["rule"] == "Plain()"
    assert listed["expected_gradients"]["needs"] == ["data"]
    assert listed["expected_gradients"]["passes"] is None


def test_bibtex_is_nothing_but_bibtex() -> None:
    entries = run("methods", "--bibtex").out.strip().split("\n\n")
    assert len(entries) == len(set(entries))
    assert all(entry.startswith("@") and entry.endswith("}") for entry in entries)
    assert run("methods", "gradient", "--bibtex").out.startswith("@article{simonyan2013,")


def test_a_name_with_a_slip_is_bad_usage_with_the_nearest_name() -> None:
    answer = run("methods", "vargrd")
    assert (answer.code, answer.out) == (2, "")
    assert "did you mean 'vargrad'?" in answer.error


def test_json_and_bibtex_do_not_go_together() -> None:
    assert run("methods", "--json", "--bibtex").code == 2
