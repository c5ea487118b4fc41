"""Running: cells in order, each kept; killed and resumed it gives what an undisturbed run gives."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import smoothgrad as sg
from smoothgrad.experiments.experiment import Finding
from smoothgrad.experiments.kept import keep, recall
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import kept_cells, run
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import row
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.targets import Class
from smoothgrad.training.data import DataSet, data_set
from tests.experiments.toy import CALLS, FAULTS, MEAN, Toy, perceptron, setup, square

FILES = ["means.png", "means.svg", "table.csv", "table.parquet"]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    CALLS.clear()
    yield
    CALLS.clear()
    FAULTS.clear()


class Stopping(NamedTuple):
    """Ctrl-C: at the beginning of the cell after so many, or in the middle of it."""

    after: int
    inside: bool

    def cell(self, name: str, done: int, of: int) -> None:
        if done == self.after and not self.inside:
            raise KeyboardInterrupt

    def step(self, name: str, done: float, of: float) -> None:
        if self.inside and len(CALLS) > self.after:
            raise KeyboardInterrupt


def few() -> DataSet:
    """The digits, few of them."""
    data = data_set("digits")
    return data._replace(train=data.train.first(8), held_out=data.held_out.first(4))


def written(result: Result, folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in result.save(folder).items()}


# --- the table --------------------------------------------------------------------------------------------------------


def test_cells_come_picture_by_picture_in_the_order_of_the_grid() -> None:
    result = run(Toy(power=(2.0, 1.0)), setup())
    first, second = (one.name for one in result.setup.pictures)
    assert [(first, 2.0), (first, 1.0), (second, 2.0), (second, 1.0)] == CALLS
    assert list(zip(result.frame["picture"][::3], result.frame["power"][::3], strict=True)) == CALLS
    assert repr(result) == "<Result of toy: 4 cells, 12 rows>"


def test_the_table_has_the_columns_of_its_schema_and_says_how_to_repeat_each_row() -> None:
    asked = replace(setup(1), target=Class(3), seed=7)
    frame = run(Toy(power=2.0), asked).frame
    assert list(frame) == ["picture", "group", "power", "part", "quantity", "value", "unit", *PROVENANCE]
    one = frame.iloc[0]
    assert one.recipe == "Toy(power=(2.0,), samples=4)"
    assert (one.model, one.data, one.target, one.seed, one.reason) == ("digits", "", "Class(index=3)", 7, "")
    assert (one.digest, one.region) == (asked.pictures[0].digest, "")
    marked = asked.pictures[0]._replace(region=torch.ones(1, 8, 8, dtype=torch.bool))
    assert len(run(Toy(power=2.0), replace(asked, pictures=(marked,))).frame["region"][0]) == 16
    assert one.version == sg.__version__
    assert len(one.fingerprint) == 16
    assert frame["part"].isna().tolist() == [False, False, True]


def test_the_value_is_that_of_the_picture() -> None:
    found = run(Toy(power=(1.0, 2.0)), replace(setup(1), pictures=(square(0.5),))).frame
    means = found[found["quantity"] == MEAN].set_index(["power", "part"])["value"].to_dict()
    assert means == {(1.0, "upper"): 0.5, (1.0, "lower"): 0.0, (2.0, "upper"): 0.25, (2.0, "lower"): 0.0}


def test_each_cell_alone_gives_its_rows_in_any_company() -> None:
    asked = setup(3)
    whole = run(Toy(), asked).frame
    for picture in asked.pictures:
        alone = run(Toy(power=3.0), replace(asked, pictures=(picture,))).frame
        same = whole[(whole["picture"] == picture.name) & (whole["power"] == 3.0)]
        assert alone["value"].tolist() == same["value"].tolist()
        assert alone["cell"].tolist() == same["cell"].tolist()


def test_a_cell_is_named_by_all_that_it_depends_on() -> None:
    picture = square()
    base = replace(setup(1), pictures=(picture,))
    elsewhere = torch.zeros(1, 8, 8, dtype=torch.bool)
    data = few()
    hard, soft = perceptron(torch.nn.ReLU()), perceptron(torch.nn.Softplus())
    assert fingerprint(hard) == fingerprint(soft)  # the same weights: what differs is what is done with them
    changed = [
        base,
        replace(base, network=hard),
        replace(base, network=soft),
        replace(base, data=data),
        replace(base, data=data._replace(train=data.train._replace(labels=data.train.labels.flip(0)))),
        replace(base, data=data._replace(train=data.train._replace(x=data.train.x.flip(-1)))),
        replace(base, data=data._replace(held_out=data.held_out._replace(labels=data.held_out.labels.flip(0)))),
        replace(base, data=data._replace(held_out=data.held_out._replace(x=data.held_out.x.flip(-1)))),
        replace(base, data=data._replace(preprocessing=data.preprocessing.changed(std=0.5))),
        replace(base, seed=1),
        replace(base, target=Class(1)),
        replace(base, network=sg.load("digits-random-labels")),
        replace(base, pictures=(square(0.6),)),
        replace(base, pictures=(picture._replace(region=elsewhere),)),
        replace(base, pictures=(picture._replace(region=~elsewhere),)),
        replace(base, pictures=(picture._replace(label=3),)),
    ]
    names = [run(Toy(power=1.0), one).frame["cell"][0] for one in changed]
    assert len(set(names)) == len(names)
    # but not by what changes nothing
    same = [
        replace(base, chunk=2),
        replace(base, model="another name"),
        replace(base, pictures=(picture._replace(group="g"),)),
        replace(base, pictures=(picture._replace(name="another name"),)),
    ]
    assert {run(Toy(power=1.0), one).frame["cell"][0] for one in same} == {names[0]}


def test_the_watch_hears_of_every_cell() -> None:
    heard: list[tuple[str, int, int]] = []

    class Watch:
        def cell(self, name: str, done: int, of: int) -> None:
            heard.append((name, done, of))

        def step(self, name: str, done: float, of: float) -> None:
            assert 0 <= done <= of

    run(Toy(power=(1.0, 2.0)), replace(setup(1), watch=Watch()))
    name = setup(1).pictures[0].name
    assert heard == [(f"{name} · power 1.0", 0, 2), (f"{name} · power 2.0", 1, 2), ("", 2, 2)]


def test_a_picture_under_another_name_is_not_asked_again(tmp_path: Path) -> None:
    """As when a second folder is named beside the first, which lengthens the names."""
    short, long = square(), square(name="folder/square")
    base = setup(1)
    run(Toy(power=2.0), replace(base, pictures=(short,)), folder=tmp_path)
    CALLS.clear()
    again = run(Toy(power=2.0), replace(base, pictures=(long,)), folder=tmp_path)
    assert CALLS == []
    assert set(again.frame["picture"]) == {long.name}
    assert again.findings[0].maps["map"].names == (long.name,)
    twice = run(Toy(power=(1.0, 2.0)), replace(base, pictures=(short, long)), folder=tmp_path)
    assert len(CALLS) == 1
    assert len(twice.frame) == 2 * 2 * 3
    for one in (short, long):
        found = twice.finding(one.name, power=1.0)
        assert found is not None
        assert found.maps["map"].names == (one.name,)


def test_a_row_with_a_column_that_is_not_declared_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Toy, "found", lambda *_: Finding((row(MEAN, 1.0, "", {"prat": "upper"}),)))
    with pytest.raises(sg.errors.BadMethod, match="a row of toy holds 'prat', which is none of its columns"):
        run(Toy(), setup(1), folder=tmp_path)
    assert kept_cells(Toy(), setup(1), folder=tmp_path) == (0, 3)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_cell_that_fails_stands_in_the_table_and_is_tried_again(tmp_path: Path) -> None:
    FAULTS[2.0] = "no such power"
    first = run(Toy(), setup(), folder=tmp_path)
    assert [one["reason"] for one in first.failures] == ["BadInput: no such power"] * 2
    assert first.frame["value"].isna().sum() == 2
    assert len(first.measured) == 2 * 2 * 3
    assert first.finding(first.setup.pictures[0].name, power=2.0) is None
    assert first.finding(first.setup.pictures[0].name, power=3.0) is not None
    assert "2 of them failed" in repr(first)
    assert kept_cells(Toy(), setup(), folder=tmp_path) == (4, 6)
    FAULTS.clear()
    CALLS.clear()
    again = run(Toy(), setup(), folder=tmp_path)
    assert [power for _, power in CALLS] == [2.0, 2.0]
    assert not again.failures
    assert again.frame.equals(run(Toy(), setup()).frame)


def test_where_all_cells_failed_there_is_a_table_and_nothing_to_draw(tmp_path: Path) -> None:
    FAULTS.update(dict.fromkeys(Toy().power, "out of powers"))
    result = run(Toy(), setup(1), folder=tmp_path)
    assert list(result.save(tmp_path)) == ["table.parquet", "table.csv"]
    assert result.lessons == ()
    with pytest.raises(sg.errors.BadInput, match="all 3 cells failed, first: BadInput: out of powers"):
        _ = result.plates


def test_what_is_wrong_is_said_before_any_cell() -> None:
    with pytest.raises(sg.errors.BadInput, match="1 or more pictures, and there are 0"):
        run(Toy(), replace(setup(1), pictures=()))
    with pytest.raises(sg.errors.BadInput, match="two pictures are called 'square'"):
        run(Toy(), replace(setup(1), pictures=(square(), square(0.7))))
    with pytest.raises(sg.errors.BadInput, match="asks a network"):
        run(Toy(), Setup(pictures=(square(),)))
    assert CALLS == []


# --- stopped and gone on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True])
def test_stopped_anywhere_it_goes_on_to_the_same_table_and_figures(tmp_path: Path, inside: bool) -> None:
    undisturbed = written(run(Toy(), setup()), tmp_path / "whole")
    assert sorted(undisturbed) == FILES
    for after in range(6):
        CALLS.clear()
        folder = tmp_path / f"{after}"
        with pytest.raises(KeyboardInterrupt):
            run(Toy(), replace(setup(), watch=Stopping(after, inside)), folder=folder)
        assert kept_cells(Toy(), setup(), folder=folder) == (after, 6)
        CALLS.clear()
        resumed = run(Toy(), setup(), folder=folder)
        assert len(CALLS) == 6 - after  # and none is made twice
        assert resumed.frame.to_csv(index=False).encode() == undisturbed["table.csv"]
    assert written(resumed, folder) == undisturbed


def test_stopped_again_and_again_it_comes_to_its_end(tmp_path: Path) -> None:
    for after in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            run(Toy(), replace(setup(), watch=Stopping(after, inside=False)), folder=tmp_path)
    assert run(Toy(), setup(), folder=tmp_path).frame.equals(run(Toy(), setup()).frame)


KILLED = """
import os, signal, sys
from smoothgrad.experiments import kept, run
from tests.experiments.toy import CALLS, Toy, setup

real = kept.write_aside

def write_aside(path, write):
    # in the third cell, when its map is written and its rows are not: and there half of them
    if path.name == "rows.json" and len(CALLS) == 3:
        def half(aside):
            write(aside)
            aside.write_text(aside.read_text()[:40])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, half)
    return real(path, write)

kept.write_aside = write_aside
run(Toy(), setup(), folder=sys.argv[1])
"""


def test_a_killed_process_leaves_what_another_goes_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    cells = list((folder / "cells").iterdir())
    assert len(cells) == 3
    assert sum((cell / "rows.json").is_file() for cell in cells) == 2
    assert sum((cell / "map.map.safetensors").is_file() for cell in cells) == 3  # the third is half written
    undisturbed = written(run(Toy(), setup(), folder=tmp_path / "whole"), tmp_path / "whole")
    CALLS.clear()
    assert written(run(Toy(), setup(), folder=folder), folder) == undisturbed
    assert len(CALLS) == 4


def test_a_grown_grid_makes_only_what_is_new(tmp_path: Path) -> None:
    run(Toy(power=(1.0, 2.0)), setup(1), folder=tmp_path)
    CALLS.clear()
    grown = run(Toy(power=(0.5, 1.0, 2.0)), setup(2), folder=tmp_path)
    first, second = (one.name for one in grown.setup.pictures)
    assert [(first, 0.5), (second, 0.5), (second, 1.0), (second, 2.0)] == CALLS
    assert grown.frame.equals(run(Toy(power=(0.5, 1.0, 2.0)), setup(2)).frame)


def test_cells_of_another_experiment_in_the_folder_are_no_harm(tmp_path: Path) -> None:
    run(Toy(samples=2), setup(1), folder=tmp_path)
    run(Toy(), replace(setup(1), seed=4), folder=tmp_path)
    CALLS.clear()
    assert run(Toy(), setup(1), folder=tmp_path).frame.equals(run(Toy(), setup(1)).frame)
    assert kept_cells(Toy(), setup(1), folder=tmp_path) == (3, 3)
    assert kept_cells(Toy(samples=9), setup(1), folder=tmp_path) == (0, 3)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_maps_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    fresh = run(Toy(), setup(1))
    kept = run(Toy(), setup(1), folder=tmp_path)
    for one, other in zip(fresh.findings, kept.findings, strict=True):
        assert list(other.maps) == ["map"]
        assert torch.equal(one.maps["map"].maps, other.maps["map"].maps)
        assert other.maps["map"].names == one.maps["map"].names
        assert torch.equal(one.arrays["halves"], other.arrays["halves"])
        with pytest.raises(KeyError):
            other.maps["another"]


@pytest.mark.parametrize("harm", ["{", '{"rows": 3}', '{"rows": [[1]], "maps": [], "arrays": []}', "[]"])
def test_damaged_rows_are_refused_with_what_to_do(tmp_path: Path, harm: str) -> None:
    result = run(Toy(power=1.0), setup(1), folder=tmp_path)
    cell = tmp_path / "cells" / str(result.records[0]["cell"])
    (cell / "rows.json").write_text(harm, encoding="utf-8")
    with pytest.raises(
        sg.errors.BadInput, match=f"rows.json is damaged .*; remove the folder {cell}, and its cell is made"
    ):
        run(Toy(power=1.0), setup(1), folder=tmp_path)


def test_a_map_that_is_gone_or_damaged_is_refused_with_what_to_do(tmp_path: Path) -> None:
    result = run(Toy(power=1.0), setup(1), folder=tmp_path)
    cell = tmp_path / "cells" / str(result.records[0]["cell"])
    for name, read in (("map.map.safetensors", "maps"), ("halves.array.safetensors", "arrays")):
        whole = (cell / name).read_bytes()
        (cell / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(sg.errors.BadInput, match=f"{name} is damaged .*; remove the folder"):
            recall(cell)
        (cell / name).write_bytes(whole)
        found = recall(cell)
        assert found is not None
        (cell / name).write_bytes(whole[: len(whole) // 2])  # in the meantime
        with pytest.raises(sg.errors.BadInput, match=f"{name} is damaged .*; remove the folder"):
            list(getattr(found, read).values())
        (cell / name).unlink()
        with pytest.raises(sg.errors.BadInput, match=f"it has no {name}.*; remove the folder"):
            run(Toy(power=1.0), setup(1), folder=tmp_path)
        (cell / name).write_bytes(whole)
    run(Toy(power=1.0), setup(1), folder=tmp_path)


def test_a_damaged_cell_is_found_before_others_are_made(tmp_path: Path) -> None:
    kept = run(Toy(power=3.0), setup(1), folder=tmp_path)
    (tmp_path / "cells" / str(kept.records[0]["cell"]) / "rows.json").write_text("{", encoding="utf-8")
    CALLS.clear()
    with pytest.raises(sg.errors.BadInput, match="is damaged"):
        run(Toy(), setup(2), folder=tmp_path)
    assert CALLS == []


def test_what_is_not_a_number_survives_being_kept(tmp_path: Path) -> None:
    rows = tuple(row("odd", value) for value in (float("nan"), float("inf"), -0.0, 1e-300, 0.1 + 0.2))
    keep(tmp_path, Finding(rows))
    found = recall(tmp_path)
    assert found is not None
    assert repr(found.rows) == repr(rows)
