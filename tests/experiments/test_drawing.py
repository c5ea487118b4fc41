"""Maps of many cells as one figure."""

from __future__ import annotations

import pytest
import torch
from matplotlib.figure import Figure

import smoothgrad as sg
from smoothgrad.errors import BadInput
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.result import Attribution
from tests.truth import Linear


def one() -> Attribution:
    x = torch.rand(1, 5, generator=torch.Generator().manual_seed(0))
    result = sg.explain(Linear(torch.ones(5)), x, method=sg.gradient(), target=0)
    assert isinstance(result, Attribution)
    return result


def words(page: Figure) -> set[str]:
    return {text.get_text() for text in page.texts}


def test_labels_stay_with_their_rows() -> None:
    page = map_figure(
        [[None], [one()], [None], [one()]], columns=["map"], labels=["first", "second", "third", "fourth"]
    )
    assert {"second", "fourth"} <= words(page)
    assert not {"first", "third"} & words(page)


def test_so_many_rows_are_drawn_with_their_labels() -> None:
    page = map_figure([[one()]] * (MOST + 1), columns=["map"], labels=[f"row {place}" for place in range(MOST + 1)])
    assert f"row {MOST - 1}" in words(page)
    assert f"row {MOST}" not in words(page)


def test_nothing_to_draw_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="no map was made"):
        map_figure([[None]], columns=["map"])
    with pytest.raises(BadInput, match="2 labels for 1 rows"):
        map_figure([[one()]], columns=["map"], labels=["one", "two"])
