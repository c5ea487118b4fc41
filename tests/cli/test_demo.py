from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.shell import names, run


def test_the_demo_writes_one_page_and_says_where(tmp_path: Path) -> None:
    answer = run("demo", "--out", tmp_path / "demo", "--samples", 1)
    assert answer.code == 0
    assert names(tmp_path) == ["demo/index.html"]
    assert (tmp_path / "demo" / "index.html").as_uri() in answer.out.replace("\n", "")
    assert "smoothgrad explain" in answer.out


def test_without_scikit_learn_the_demo_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    answer = run("demo", "--out", tmp_path / "demo")
    assert answer.code == 1
    assert "pip install 'smoothgrad[digits]'" in answer.error
