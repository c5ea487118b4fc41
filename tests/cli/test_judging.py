from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import smoothgrad as sg
from smoothgrad.cli import judging
from smoothgrad.cli.judging import Judging, Order
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.work import Work
from tests.cli.shell import digits


def work(pictures: list[Path] | None, *methods: str, samples: int | None = None) -> Work:
    network = NetworkOptions("digits", None, None, None, None, None)
    return Work.checked(network, pictures, samples, methods, QuestionOptions())


def test_controls_are_labelled_as_compare_labels_them() -> None:
    for methods in (("gradient", "vargrad(samples=2)"), ("gradient", "random_map")):
        order = Order.checked(["gini"], "signed", None, controls=True)
        mine = Judging.of(work(None, *methods, samples=1), order)
        net = sg.load("digits")
        found = sg.compare(net, net.samples(1), methods=dict(mine.methods), measures=[sg.Gini()])
        assert found.scores is not None
        assert tuple(mine.columns) == found.scores.methods


def test_a_row_without_a_picture_has_the_columns_of_the_others(tmp_path: Path) -> None:
    folder = digits(tmp_path, 2)
    (folder / "digit1.png").write_bytes(b"no picture")
    order = Order.checked(["gini", "deletion(steps=2)"], "signed", None, controls=True)
    ran = Judging.of(work([folder], "gradient", "random_map"), order).run(shown=False)
    records = ran.scores.records
    read, unread = ([one for one in records if bool(one.reason.startswith("BadPicture")) == bad] for bad in (0, 1))
    assert len(read) == len(unread) == 8
    same = ("method", "recipe", "control", "measure", "measure_recipe", "better", "unit", "seed", "model")
    for name in same:
        assert {getattr(one, name) for one in read} == {getattr(one, name) for one in unread}, name
    assert list(ran.failed) == ["digit1.png"]
    assert not ran.scores.frame.empty


def test_large_pictures_go_few_at_a_time() -> None:
    assert judging._together(torch.zeros(1, 1, 28, 28)) == 16
    assert judging._together(torch.zeros(1, 3, 64, 64)) == 16
    assert judging._together(torch.zeros(1, 3, 224, 224)) == 4


def test_the_bar_moves_within_a_batch_and_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[float] = []

    class Bars(judging.Bars):
        def reach(self, maps: float) -> None:
            reached.append(maps)
            super().reach(maps)

    monkeypatch.setattr(judging, "Bars", Bars)
    order = Order.checked(["gini", "deletion(steps=2)"], "signed", None, controls=True)
    Judging.of(work(None, "gradient", "vargrad(samples=2)", samples=3), order).run(shown=False)
    assert reached == sorted(reached)
    assert reached[-1] == 6
    assert len({one for one in reached if 0 < one < 3}) >= 1  # while maps are made
    assert len({one for one in reached if 3 < one < 6}) >= 4  # while they are judged


def test_a_package_that_is_missing_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def compare(*_arguments: Any, **_named: Any) -> Any:
        nonlocal asked
        asked += 1
        raise sg.errors.MissingPackage("scipy is not installed")

    monkeypatch.setattr(sys.modules["smoothgrad.compare"], "compare", compare)
    order = Order.checked(["gini"], "signed", None, controls=True)
    order_for_three = Judging.of(work(None, "gradient", samples=3), order)
    with pytest.raises(sg.errors.MissingPackage, match="scipy"):
        order_for_three.run(shown=False)
    assert asked == 1
    assert not order_for_three.so_far().failed
