"""The page of an experiment: one file that says what was asked, seen and not had, and how a row is made again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
import pytest

import smoothgrad as sg
from smoothgrad.errors import BadInput, CannotWrite
from smoothgrad.experiments.experiment import Experiment, Finding, Plate
from smoothgrad.experiments.noise_level import NoiseLevel
from smoothgrad.experiments.recipe import experiment_from_recipe
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import row
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.report import experiment_means
from smoothgrad.report.experiment import TEMPLATE, content_of, write_experiment
from smoothgrad.report.experiment_means import means_of
from smoothgrad.report.experiment_repeat import command, python
from smoothgrad.report.page import filled
from smoothgrad.view.line_plots import Line, LinePanel, line_figure
from tests.report.test_page import EVIL, WHEN, Page

PICTURES = 2


@cache
def digits() -> Result:
    net = sg.load("digits")
    about = NoiseLevel(noise=(0.0, 0.2), samples=4, reference=8, measures=(TotalVariation(),))
    return run(about, Setup(net, samples_of(net, PICTURES), model="digits", seed=3))


@final
@dataclass(frozen=True, repr=False)
class Odd(Experiment):
    """Finds its own numbers, under names that are markup, and fails where it is told to."""

    name: ClassVar[str] = "odd"
    title: ClassVar[str] = f"title {EVIL}"
    question: ClassVar[str] = f"question {EVIL}"
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017", "sundararajan2017")
    grid: ClassVar[tuple[str, ...]] = ("size",)
    keys: ClassVar[dict[str, str]] = {"kind": f"key {EVIL}"}
    quantities: ClassVar[dict[str, str]] = {f"quantity {EVIL}": f"meaning {EVIL}"}

    size: tuple[int, ...] = (1, 2)
    bad: tuple[int, ...] = ()

    def quick(self) -> Self:
        return self

    def found(self, setup: Setup) -> Finding:
        (size,) = self.size
        if size in self.bad:
            raise BadInput(f"no size {size} {EVIL}")
        place = int(setup.picture.name.split()[-1])
        rows = (
            row(f"quantity {EVIL}", size + 0.25 * place, f"unit {EVIL}", {"kind": f"kind {EVIL}"}),
            row("only here", float(size) if place else float("nan"), keys={"kind": None}),
        )
        return Finding(rows)

    def plates(self, result: Result) -> Iterator[Plate]:
        x = np.array([1.0, 2.0])
        yield Plate("lines", f"caption {EVIL}", line_figure([LinePanel("title", "x", "y", (Line("a", x, x),))]))

    def lessons(self, result: Result) -> Iterator[str]:
        yield f"lesson {EVIL}"


def odd(*bad: int, size: tuple[int, ...] = (1, 2)) -> Result:
    net = sg.load("digits")
    x = net.samples(1)
    pictures = tuple(Picture(f"{EVIL} {place}", x, group=f"group {EVIL}") for place in range(PICTURES))
    return run(Odd(size=size, bad=bad), Setup(net, pictures, model=f"model {EVIL}"))


def text_of(result: Result) -> str:
    return filled(TEMPLATE, content_of(result), WHEN)


def page_of(result: Result) -> Page:
    return Page(text_of(result))


@cache
def page_of_digits() -> str:
    return text_of(digits())


TEXTS: dict[str, Callable[[], str]] = {
    "digits": page_of_digits,
    "odd": lambda: text_of(odd()),
    "some failed": lambda: text_of(odd(1)),
    "all failed": lambda: text_of(odd(1, 2)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_one_file_that_fetches_nothing_and_needs_no_eyes(name: str) -> None:
    text = TEXTS[name]()
    assert not re.search(r"https?:|ftp:|@import|<link|<iframe|<object|[\"'(=]//", text)
    page = Page(text)
    for _, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("src", "srcset", "data", "action"):
                assert value.startswith("data:image/png;base64,")
            if key == "href":
                assert value.startswith("#")
    policy = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"]
    assert all(one["alt"] for one in page.all("img"))
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for key in ("href", "aria-labelledby"):
        assert {one[key].removeprefix("#") for _, one in page.tags if key in one} <= set(ids)


def test_it_says_what_was_asked_and_what_was_seen() -> None:
    result = digits()
    page = Page(page_of_digits())
    about = result.experiment
    for said in (about.title, about.question, repr(about), *result.lessons, *about.quantities.values()):
        assert " ".join(said.split()) in page.text
    assert "4: 2 at each picture" in page.text
    assert f"smoothgrad {sg.__version__}" in page.text
    assert all(one.name in page.text for one in result.setup.pictures)
    assert "failed" not in page.text
    assert "SmoothGrad: removing noise by adding noise" in page.text
    assert "@article{smilkov2017," in page.text


def test_each_figure_stands_on_it_with_its_caption_in_fine_pixels() -> None:
    result = digits()
    page = Page(page_of_digits())
    images = page.all("img")
    assert len(images) == len(result.plates) > 1
    for image, plate in zip(images, result.plates, strict=True):
        assert plate.caption in image["alt"]
        assert plate.caption in page.text
        assert int(image["width"]) == pytest.approx(192 * plate.figure.get_size_inches()[0], abs=1)


def test_a_figure_much_wider_than_the_page_is_moved_sideways() -> None:
    """Shrunk to the page its letters could not be read. (How it looks was seen in a browser.)"""
    style = page_of_digits().partition("</style>")[0]
    assert ".plates .chart { overflow-x: auto; }" in style
    assert "width: var(--natural); max-width: calc(100% + max(0px, (var(--natural) - 140%) * 9999));" in style


def test_means_are_those_of_the_table() -> None:
    result = digits()
    (means,) = means_of(result)
    assert means.settings == ("noise",)
    assert [point.settings for point in means.points] == [("0",), ("0.2",)]
    frame = result.frame
    for place, quantity in enumerate(means.quantities):
        for point, noise in zip(means.points, (0.0, 0.2), strict=True):
            some = frame[(frame["noise"] == noise) & (frame["quantity"] == quantity.name)]
            assert float(point.means[place].value) == pytest.approx(some["value"].mean(), rel=0.02)
            assert point.means[place].n == PICTURES
            assert some["unit"].iloc[0] == quantity.unit


def test_what_is_not_known_or_not_measured_is_no_number() -> None:
    plain, kinds = means_of(odd())
    assert (plain.settings, kinds.settings) == (("size",), ("size", "kind"))
    assert [one.name for one in plain.quantities] == ["only here"]
    assert [(point.means[0].value, point.means[0].n) for point in plain.points] == [("1.00", 1), ("2.00", 1)]
    assert [(point.means[0].value, point.means[0].n) for point in kinds.points] == [("1.12", 2), ("2.12", 2)]


def test_a_mean_of_fewer_pictures_says_so() -> None:
    plain, kinds = means_of(odd())
    assert [(point.means[0].n, point.means[0].of) for point in plain.points] == [(1, PICTURES)] * 2
    assert [(point.means[0].n, point.means[0].of) for point in kinds.points] == [(PICTURES, PICTURES)] * 2
    assert page_of(odd()).text.count("1 of 2 pictures") == 2


def test_kinds_of_pictures_have_rows_of_their_own() -> None:
    net = sg.load("digits")
    setup = Setup(net, tuple(Picture(f"a {n}", net.samples(1), group=f"kind {n % 2}") for n in range(4)))
    _, means = means_of(run(Odd(size=(1,)), setup))
    assert means.settings == ("group", "size", "kind")
    assert [point.settings[0] for point in means.points] == ["kind 0", "kind 1"]
    assert [point.means[0].value for point in means.points] == ["1.25", "1.50"]


def test_a_long_table_ends_and_it_is_said_where_the_rest_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_means, "MOST", 3)
    result = odd(size=(1, 2, 3))
    assert [len(means.points) for means in means_of(result)] == [3, 0]
    assert "in table.csv and table.parquet; so are the 3 points of the grid that are not shown" in page_of(result).text


def test_no_text_becomes_markup() -> None:
    page = page_of(odd(2))
    assert [one for one in page.tags if one[0] == "script"] == [("script", {})]
    assert not any("onerror" in one for one in page.all("img"))
    said = " ".join(EVIL.split())
    for what in (
        "title",
        "question",
        "quantity",
        "meaning",
        "key",
        "unit",
        "kind",
        "caption",
        "lesson",
        "group",
        "model",
    ):
        assert f"{what} {said}" in page.text, what
    assert f"no size 2 {said}" in page.text


def test_failed_cells_are_said_once_for_each_reason() -> None:
    result = odd(2)
    (failure,) = content_of(result).failures
    assert failure.reason == f"BadInput: no size 2 {EVIL}"
    assert failure.times == PICTURES
    assert failure.cells == tuple(f"{EVIL} {place} · size 2" for place in range(PICTURES))
    text = page_of(result).text
    assert f"{PICTURES} of {2 * PICTURES} cells failed." in text
    assert "Figures and means are of the others" in text


def test_where_every_cell_failed_the_page_says_why() -> None:
    page = page_of(odd(1, 2))
    assert "Nothing: every cell failed." in page.text
    assert "of the others" not in page.text
    assert not page.all("img")
    assert not page.all("table")
    assert "BadInput: no size 1" in page.text
    assert "smoothgrad experiment" in page.text


def test_the_python_of_the_page_gives_its_first_rows_again() -> None:
    result = digits()
    names: dict[str, object] = {}
    exec(python(result).replace("print(", "str("), names)
    again = names["result"]
    assert isinstance(again, Result)
    first = result.frame[result.frame["cell"] == result.frame["cell"][0]]
    assert again.frame.equals(first)


def test_the_command_of_the_page_names_the_cell_and_its_picture() -> None:
    words = shlex.split(command(digits()))
    assert words[:2] == ["smoothgrad", "experiment"]
    assert experiment_from_recipe(words[2]) == digits().cells[0].experiment
    assert words[3:] == ["--model", "digits", "--samples", "1", "--seed", "3"]


def test_the_command_and_the_python_name_the_one_of_several_that_was_chosen() -> None:
    result = digits()
    second = result.setup.pictures[1]
    one = replace(
        result,
        setup=replace(result.setup, pictures=(second,), among=PICTURES),
        cells=tuple(cell for cell in result.cells if cell.picture is second),
    )
    words = shlex.split(command(one))
    assert words[3:] == ["--model", "digits", "--samples", "2", "--only", second.name, "--seed", "3"]
    names: dict[str, object] = {}
    exec(python(one).replace("print(", "str("), names)
    again = names["result"]
    assert isinstance(again, Result)
    first = one.cells[0].experiment
    mine = result.frame[(result.frame["picture"] == second.name) & (result.frame["recipe"] == repr(first))]
    assert again.frame["value"].tolist() == mine["value"].tolist()


def _without_work(setup: Setup) -> Result:
    """What the page knows of a result, with another setup."""
    result = digits()
    cell = result.cells[0]
    return replace(result, setup=setup, cells=(cell._replace(picture=setup.pictures[0]),))


def test_a_picture_that_was_read_is_named_by_its_file() -> None:
    net = sg.load("digits")
    picture = Picture("a b.png", net.samples(1), file="my photos/a b.png", group="plain", label=4)
    result = _without_work(Setup(net, (picture,), model="timm:resnet50 --size 64", target=sg.Class(7)))
    assert command(result).endswith(
        "--model timm:resnet50 --size 64 'my photos/a b.png' --target 'Class(index=7)' --seed 0"
    )
    boxed = replace(result, setup=replace(result.setup, regions="my boxes.csv"))
    assert "'my photos/a b.png' --regions 'my boxes.csv' --target" in command(boxed)
    code = python(result)
    assert "net = sg.load('timm:resnet50')  # and what --size 64 says" in code
    assert (
        "Picture('a b.png', net.read('my photos/a b.png'), file='my photos/a b.png', group='plain', label=4)," in code
    )
    assert "target=sg.Class(index=7), seed=0" in code
    compile(code, "page", "exec")


def test_what_is_not_known_is_left_open() -> None:
    net = sg.load("digits")
    result = _without_work(Setup(net, (Picture("own", net.samples(1)),), target=sg.Class(7)))
    assert "--model MODEL PICTURE --target 'Class(index=7)'" in command(result)
    assert "net = ...  # your network" in python(result)
    compile(python(result), "page", "exec")


def test_it_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    path = write_experiment(odd(1, 2), tmp_path / "new" / "index.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(datetime.now(UTC).year) in path.read_text(encoding="utf-8")
    with pytest.raises(CannotWrite, match="is a folder"):
        write_experiment(odd(1, 2), tmp_path)


def test_the_page_of_an_embedded_network_without_pictures_of_its_own_names_the_files(tmp_path: Path) -> None:
    """cifar10 is embedded, and its pictures are not: the page once asked it for some."""
    from PIL import Image

    file = tmp_path / "grey.png"
    Image.effect_noise((32, 32), 60).convert("RGB").save(file)
    net = sg.load("cifar10")
    pictures = (Picture("grey.png", net.read(file), file=str(file)),)
    asked = NoiseLevel(noise=0.1, samples=4, reference=8, measures=())
    result = run(asked, Setup(net, pictures, model="cifar10"))
    page = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"--model cifar10 {file}" in page
