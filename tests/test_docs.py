"""Every Python block of the README and the docs runs, top to bottom, one namespace per page; every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import smoothgrad as sg

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        code = compile("\n" * line + block[1], str(page), "exec", dont_inherit=True)  # not this file's __future__
        exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_example_network_loads() -> None:
    net = sg.load(f"{ROOT / 'examples' / 'own_network.py'}:small")
    result = sg.explain(net, torch.rand(1, 3, 32, 32), method=sg.guided_backprop())
    assert result.target_name() in ("left", "right")


def test_the_experiments_stand_in_their_page_under_their_titles() -> None:
    """Each with what was found and its figures, which `make experiments` puts between the markers."""
    from smoothgrad.experiments import EXPERIMENTS

    text = (ROOT / "docs" / "experiments.md").read_text()
    for known, kind in EXPERIMENTS.items():
        section = text.partition(f"## {kind.title}\n")[2].partition("\n## ")[0]
        found = section.partition(f"<!-- {known} -->")[2].partition(f"<!-- end of {known} -->")[0]
        assert f"smoothgrad experiment {known} " in found, known
        assert "![" in section, known
