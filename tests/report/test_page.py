"""One file that needs nothing else, says what the results say, and lets no text become markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.compare import Failure, Row
from smoothgrad.errors import BadInput, CannotWrite
from smoothgrad.report.content import content_of
from smoothgrad.report.page import rendered, write_report
from tests.nets import small_net

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VOID = {"meta", "img", "input", "wbr", "br", "link"}
EVIL = '<script>alert("1")</script> & <img src=x onerror=alert(1)> \'"'


class Page(HTMLParser):
    """What a browser makes of the text: every tag with its attributes, all text outside <style> and <script>."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(table: sg.Comparison, look: sg.Look | None = None, title: str = "smoothgrad") -> Page:
    return Page(rendered(content_of(table, look, title), WHEN))


METHODS = {
    "gradient": sg.gradient(),
    "smooth": sg.smoothgrad(samples=8),
    "path": sg.integrated_gradients(steps=4),
    "several": sg.gradient().over(sg.Gaussian(samples=6), sg.Together(sg.Mean(), sg.Variance())),
}


@cache
def digits() -> sg.Comparison:
    net = sg.load("digits")
    return sg.compare(net, net.samples(3), methods=METHODS, names=net.sample_names(3), seed=7)


def colours() -> sg.Comparison:
    return sg.compare(small_net(), torch.rand(2, 3, 8, 8), methods=list(METHODS.values())[:3])


def features() -> sg.Comparison:
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    return sg.compare(net, torch.rand(2, 6), methods=list(METHODS.values())[:2])


def signals() -> sg.Comparison:
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 2)).eval()
    return sg.compare(net, torch.rand(1, 2, 20), methods=[METHODS["smooth"]])


def videos() -> sg.Comparison:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 4 * 4, 2)).eval()
    return sg.compare(net, torch.rand(1, 3, 2, 4, 4), methods=[METHODS["smooth"]])


def failed() -> sg.Comparison:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).eval()
    methods = {"plain": sg.gradient(), "guided": sg.guided_backprop()}
    return sg.compare(net, torch.rand(2, 3, 4, 4), methods=methods)


TABLES = {table.__name__: table for table in (digits, colours, features, signals, videos, failed)}


@pytest.mark.parametrize("name", TABLES)
def test_nothing_is_fetched(name: str) -> None:
    text = rendered(content_of(TABLES[name](), None, "page"), WHEN)
    assert not re.search(r"https?:|ftp:|@import|<link|<iframe|<object|[\"'(=]//", text)
    page = Page(text)
    for _, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("src", "srcset", "data", "action"):
                assert value.startswith("data:image/png;base64,")
            if key == "href":
                assert value.startswith("#")
    assert all(part.startswith("data:") for part in re.findall(r"url\((.*?)\)", text))
    policy = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"]


@pytest.mark.parametrize("name", TABLES)
def test_the_page_is_well_formed_and_can_be_used_without_a_mouse_or_eyes(name: str) -> None:
    page = page_of(TABLES[name]())
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert all("alt" in one for one in page.all("img"))
    maps = [one for one in page.all("img") if one.get("class") != "bar" and "thumbnail" not in one.get("class", "")]
    assert all(one["alt"] for one in maps)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for key in ("href", "for", "aria-labelledby"):
        asked = [attributes[key].removeprefix("#") for _, attributes in page.tags if key in attributes]
        assert set(asked) <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def _made(table: sg.Comparison) -> Iterator[sg.Attribution]:
    for row in table.rows:
        yield from (cell for cell in row.cells if isinstance(cell, sg.Attribution))


def test_the_numbers_are_those_of_the_results() -> None:
    table = digits()
    text = page_of(table).text
    for result in _made(table):
        assert f"score {float(result.score):.2f}" in text
        assert f"{int(result.draws)} draw" in text
        if result.relative_error is not None:
            assert f"relative error {float(result.relative_error):.2f}" in text
            assert result.reproducibility is not None
            again = float(result.reproducibility)
            assert f"a fresh seed would correlate {f'{again:.2f}' if again < 0.995 else '> 0.99'}" in text
        if result.completeness is not None:
            total, change = float(result.completeness.total), float(result.completeness.change)
            assert f"sums to {total:.2f}, and its method promises {change:.2f}" in text
        assert result.output is not None
        scores = result.output[0].sort(descending=True)
        for index, score in list(zip(scores.indices.tolist(), scores.values.tolist(), strict=True))[:5]:
            shown = f"{score:.2f}".replace("-", "−")
            assert re.search(rf"\b{result.class_name(index)} ?{re.escape(shown)}", text), (index, shown)


def test_the_page_says_what_it_takes_to_repeat_it() -> None:
    table = digits()
    result = next(_made(table))
    text = page_of(table).text
    for part in ("digits", result.provenance["fingerprint"], "seed=7", "torch " + torch.__version__):
        assert str(part) in text
    for row in table.rows:
        assert row.name in text
    for recipe in table.recipes[:3]:
        assert recipe in text
    assert "smoothgrad " + sg.__version__ in text


def test_softmax_and_scores_are_of_the_top_classes_and_of_what_is_explained() -> None:
    net, x = sg.load("digits"), sg.load("digits").samples(1)
    lowest = int(net(x).argmin())
    table = sg.compare(net, x, methods=[sg.gradient()], target=lowest)
    [section] = content_of(table, None, "").sections
    assert len(section.shares) == 6
    assert [share.explained for share in section.shares] == [False] * 5 + [True]
    assert section.shares[-1].name == str(lowest)


def test_one_output_has_no_softmax() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).eval()
    table = sg.compare(net, torch.rand(1, 3, 4, 4), methods=[sg.gradient()])
    assert "softmax" not in page_of(table).text.replace("before the softmax", "")


def test_each_part_of_a_method_has_a_cell() -> None:
    content = content_of(digits(), None, "")
    assert content.labels == ("gradient", "smooth", "path", "several: Mean()", "several: Variance()")
    assert content.sections[0].cells[4].recipe.endswith("Variance())")


@pytest.mark.parametrize("place", ["title", "name", "label", "class", "network", "reason"])
def test_no_text_becomes_markup(place: str) -> None:
    net = sg.load("digits")
    if place == "class":
        net = net.changed(classes=tuple(f"{EVIL}{digit}" for digit in range(10)))
    if place == "network":
        net = net.changed(name=EVIL)
    label = EVIL if place == "label" else "smooth"
    table = sg.compare(net, net.samples(2), methods={label: sg.smoothgrad(samples=3)}, names=("one", "two"))
    if place == "name":
        table = replace(table, rows=tuple(row._replace(name=EVIL + row.name) for row in table.rows))
    if place == "reason":
        table = replace(table, rows=(table.rows[0], Row("two", (Failure("BadInput", EVIL),))))
    page = page_of(table, title=EVIL if place == "title" else "page")
    clean = page_of(sg.compare(sg.load("digits"), net.samples(2), methods={"smooth": sg.smoothgrad(samples=3)}))
    assert "".join(EVIL.split()) in "".join(page.text.split())
    assert len(page.all("script")) == 1
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    if place not in ("reason", "label"):  # another cell, and more places to break a line
        assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]


def test_a_failure_stands_where_its_map_would() -> None:
    table = failed()
    page = page_of(table)
    assert "2 maps are missing" in page.text
    assert table.failures[0][2].reason in page.text
    assert "No map: RuleDidNothing" in page.text
    cells = [one for one in page.all("article") if "failed" in one["class"]]
    assert [one["id"] for one in cells] == ["picture-1-method-2", "picture-2-method-2"]


def test_a_report_of_failures_alone_still_says_why() -> None:
    table = failed()
    only = replace(
        table,
        labels=("guided",),
        recipes=table.recipes[1:],
        rows=tuple(Row(row.name, row.cells[1:]) for row in table.rows),
    )
    text = page_of(only).text
    assert "No map could be made" in text
    assert table.failures[0][2].reason in text


def test_nothing_to_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing to report"):
        write_report(sg.Comparison((), (), ()), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_the_look_decides_what_is_said_of_colours() -> None:
    assert "Orange speaks for the score" in page_of(colours(), sg.Look(sign="signed")).text
    assert "The darker, the more" in page_of(colours()).text
    assert "90th percentile" in page_of(colours(), sg.Look(cap=90)).text


def test_an_overlay_needs_no_second_one() -> None:
    assert page_of(digits()).all("input")
    assert not page_of(digits(), sg.Look(overlay=0.6)).all("input")


def test_values_without_a_picture_are_said_to_have_none() -> None:
    assert "A map of 3 × 2 × 4 × 4 values has no picture" in page_of(videos()).text


def test_features_are_named_to_those_who_do_not_see_the_plot() -> None:
    assert all("strongest are feature" in one["alt"] for one in page_of(features()).all("img"))


def test_the_same_comparison_gives_the_same_page() -> None:
    table = digits()
    assert rendered(content_of(table, None, "a"), WHEN) == rendered(content_of(table, None, "a"), WHEN)


def test_methods_are_cited_once_each_with_bibtex() -> None:
    text = page_of(digits()).text
    assert text.count("@article{smilkov2017,") == 1
    assert "Sundararajan et al. 2017. Axiomatic Attribution for Deep Networks" in text


def test_the_file_is_written_whole_with_folders(tmp_path: Path) -> None:
    path = digits().report(tmp_path / "new" / "page.html", title="Handwritten")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert "<title>Handwritten</title>" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_a_name_that_is_no_text_does_not_stop_the_report(tmp_path: Path) -> None:
    table = digits()
    odd = replace(table, rows=(table.rows[0]._replace(name="caf\udce9.jpg"), *table.rows[1:]))
    assert "caf?.jpg" in write_report(odd, tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_folder_is_no_place_to_write(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        digits().report(tmp_path)


def test_a_method_of_your_own_is_shown_though_no_recipe_names_it() -> None:
    table = digits()
    strange = [replace(cell, recipe="Mine()", stderr=None) for cell in _made(replace(table, rows=table.rows[:1]))][:1]
    page = page_of(sg.Comparison(("mine",), ("Mine()",), (Row("one", tuple(strange)),)))
    assert "Mine()" in page.text


@pytest.mark.real
def test_photographs_make_a_page_of_a_sane_size(tmp_path: Path) -> None:
    from tests.nets import photographs, squeezenet

    x, _ = photographs(1)
    table = sg.compare(squeezenet(), x, methods=[sg.gradient(), sg.smoothgrad(samples=2)], names=["one.jpg"])
    path = table.report(tmp_path / "page.html")
    assert path.stat().st_size < 750_000
    assert "1,000 classes" in path.read_text(encoding="utf-8")


def test_squares_are_not_said_to_speak_for_or_against_the_score() -> None:
    x = torch.rand(1, 3, 8, 8)
    methods = {"squares": sg.smoothgrad_squared(samples=4), "mean": sg.smoothgrad(samples=4)}
    table = sg.compare(small_net(), x, methods=methods)
    look = sg.Look(sign="signed")
    assert "never negative" in page_of(table, look).text
    alone = sg.Comparison(table.labels[:1], table.recipes[:1], (Row("one", table.rows[0].cells[:1]),))
    assert "Orange" not in page_of(alone, look).text
    assert "The darker, the larger the value" in page_of(alone, look).text
    assert "never negative" not in page_of(colours(), look).text


def test_a_map_of_a_probability_is_labelled_as_one() -> None:
    net = sg.load("digits")
    methods = {"gradient": sg.gradient(), "path": sg.integrated_gradients(steps=4)}
    text = page_of(sg.compare(net, net.samples(1), methods=methods, target=sg.Probability(sg.Class(0)))).text
    assert "probability per unit of input" in text
    assert "its method promises" in text
    assert "Orange speaks for the probability" in text
    assert "score per unit" not in text


def test_a_tolerance_that_was_not_reached_is_said_where_it_was_not() -> None:
    cell = next(_made(digits()))
    said = "Stopped at 1 draw before the tolerance was reached."
    for converged, found in ((None, False), (torch.tensor([True]), False), (torch.tensor([False]), True)):
        row = Row("one", (replace(cell, converged=converged),))
        assert (said in page_of(sg.Comparison(("one",), (cell.recipe,), (row,))).text) == found


def test_methods_without_chance_are_named_once_where_the_page_is_narrow() -> None:
    content = content_of(digits(), None, "")
    assert content.certain == ("gradient", "path")
    assert "Deterministic on every picture: gradient, path" in page_of(digits()).text


def test_plots_take_the_whole_width_and_a_signal_shows_its_errors_as_a_band() -> None:
    page = page_of(signals())
    assert [one["class"] for one in page.all("article")] == ["cell plotted"]
    assert "map ± 2 standard errors" in page.text
    assert len([one for one in page.all("div") if "plot" in one.get("class", "")]) == 2
    assert not any("plotted" in one["class"] for one in page_of(digits()).all("article"))
    assert "whiskers are 2 standard errors" in page_of(features()).text


def test_minus_signs_are_minus_signs() -> None:
    for table in (digits(), features(), signals()):
        text = re.sub(
            r"<(pre|code|style|script|time).*?</\1>", "", rendered(content_of(table, None, ""), WHEN), flags=re.S
        )
        assert not re.search(r"(?<![\w-])-\d", " ".join(Page(text).words))


def test_reproducibility_is_explained_where_there_is_one() -> None:
    heading = "A fresh seed would correlate as strongly as the number says"
    assert heading in page_of(digits()).text
    net = sg.load("digits")
    assert heading not in page_of(sg.compare(net, net.samples(1), methods=[sg.gradient()])).text


def test_the_overview_of_one_picture_has_the_correlation_beside_the_error() -> None:
    net = sg.load("digits")
    table = sg.compare(net, net.samples(1), methods={"plain": sg.gradient(), "smooth": sg.smoothgrad(samples=6)})
    cell = table.rows[0].cells[1]
    assert isinstance(cell, sg.Attribution)
    assert cell.reproducibility is not None
    overview = page_of(table).text.split("Overview")[1].split("Lay the maps")[0]
    assert f"{float(cell.reproducibility):.2f}" in overview.split("smooth")[1]
    assert "Fresh seed" in overview


def test_rows_that_ask_of_one_picture_are_one_picture() -> None:
    net = sg.load("digits")
    result = replace(sg.explain(net, net.samples(2), method=sg.gradient()), names=("a.png", "a.png"))
    rows = tuple(
        sg.compare(net, net.samples(1), methods=[sg.gradient()]).rows[0]._replace(cells=(one,)) for one in result
    )
    asked = content_of(sg.Comparison(("gradient",), (result.recipe,), rows), None, "")
    assert ("Pictures", "1") in asked.facts
    three = content_of(sg.compare(net, net.samples(3), methods=[sg.gradient()]), None, "")
    assert ("Pictures", "3") in three.facts
