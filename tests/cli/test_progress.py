from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

import smoothgrad as sg
from smoothgrad.cli import progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 100 columns that can be read."""
    seen = io.StringIO()
    monkeypatch.setattr(progress, "err", lambda: Console(file=seen, force_terminal=True, width=100, color_system=None))
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    return seen


def watch(shown: bool) -> None:
    net = sg.load("digits")
    bars = progress.Bars(1, shown=shown)
    with bars:
        bars.begin("digit0.png", 400)
        for samples in (4, 400):  # the bars are drawn a few times a second: be sure of one with few and one with many
            sg.explain(net, net.samples(1), method=sg.smoothgrad(samples=samples), chunk=4, progress=bars.step)
            bars.refresh()
        bars.end()


def test_the_relative_error_is_seen_to_fall(screen: io.StringIO) -> None:
    watch(shown=True)
    errors = [float(number) for number in re.findall(r"relative error (\d+\.\d+)", screen.getvalue())]
    assert len(set(errors)) >= 2
    assert errors[-1] < errors[0]
    assert "400/400 passes" in screen.getvalue()
    assert "digit0.png" in screen.getvalue()


def test_the_passes_to_come_are_known_from_the_start(screen: io.StringIO) -> None:
    bars = progress.Bars(1, shown=True)
    with bars:
        bars.begin("digit0.png", sg.smoothgrad(samples=100).passes)
        bars.refresh()
    assert "0/100 passes" in screen.getvalue()


def test_nothing_is_shown_where_it_is_not_wanted(screen: io.StringIO) -> None:
    watch(shown=False)
    assert screen.getvalue() == ""


def test_an_experiment_has_a_bar_over_its_cells_and_one_for_what_is_made(screen: io.StringIO) -> None:
    with progress.CellBars(shown=True) as bars:
        bars.refresh()
        assert "checking" in screen.getvalue()
        bars.cell("cat.jpg · noise 0.1", 1, 4)
        bars.step("limit", 30, 200)
        bars.refresh()
    seen = screen.getvalue()
    assert "cat.jpg · noise 0.1" in seen
    assert "1/4 cells" in seen
    assert "limit" in seen
    assert "30/200" in seen


def test_an_experiment_shows_nothing_where_it_is_not_wanted(screen: io.StringIO) -> None:
    with progress.CellBars(shown=False) as bars:
        bars.cell("cat.jpg", 0, 1)
        bars.step("limit", 1, 2)
    assert screen.getvalue() == ""
