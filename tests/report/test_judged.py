"""What the page says of scores."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

import smoothgrad as sg
from smoothgrad.measure.scores import Score, Scores
from smoothgrad.report.content import content_of
from smoothgrad.report.judged import judged_part
from smoothgrad.report.page import rendered

BETTER, SAME = "higher", "neither"


def scores(values: dict[str, list[float]], better: str = BETTER) -> Scores:
    """Of methods by their labels, a score for each picture."""
    records = [
        Score(
            picture=f"picture {number}",
            key=number,
            class_name="cat",
            target=0,
            method=method,
            recipe="Gradient()",
            control=method in ("random_map()", "uniform_map()"),
            measure="deletion",
            measure_recipe="Deletion(steps=32)",
            better=better,  # type: ignore[arg-type]
            unit="probability",
            value=value,
            stderr=None,
            reason="the map is constant: it ranks nothing" if math.isnan(value) else "",
            seed=0,
            model="net",
            fingerprint="0",
            seconds=0.1,
        )
        for method, found in values.items()
        for number, value in enumerate(found)
    ]
    return Scores(tuple(records), (None,) * len(records))


HIGH, LOW = [0.9 + 0.001 * n for n in range(12)], [0.1 + 0.001 * n for n in range(12)]
MIXED = [0.1 + 0.001 * ((7 * n) % 12) for n in range(12)]  # the same numbers, in another order


def test_what_is_clearly_better_is_said_and_what_beats_no_control_too() -> None:
    part = judged_part(scores({"good": HIGH, "blind": MIXED, "random_map()": LOW, "uniform_map()": [math.nan] * 12}))
    (table,) = part.tables
    told = {one.method: one for one in table.standings}
    assert table.standings[0].method == "good"
    assert table.apart == "Clearly better: good than blind."
    assert told["good"].blind == ""
    assert told["blind"].blind == "random_map()"  # the uniform map has no score to be beaten
    assert told["random_map()"].control
    assert told["uniform_map()"].rank == "–"
    assert told["uniform_map()"].failed == 12
    assert [(one.where, one.times) for one in part.reasons] == [("uniform_map(), deletion", 12)]
    assert table.direction == "higher is better"
    assert "Holm" in part.lead


def test_a_measure_that_does_not_judge_names_no_better_method() -> None:
    (table,) = judged_part(scores({"one": HIGH, "other": LOW, "random_map()": MIXED}, SAME)).tables
    assert table.apart == ""
    assert {one.blind for one in table.standings} == {""}
    assert {one.rank for one in table.standings} == {"–"}
    assert not table.beaten
    (judging,) = judged_part(scores({"one": HIGH, "random_map()": MIXED})).tables
    assert judging.beaten


def test_the_numbers_of_a_column_have_the_same_decimals() -> None:
    (table,) = judged_part(scores({"one": HIGH, "other": [0.03 + 0.05 * n for n in range(12)]})).tables
    parts = [text for one in table.standings for text in (one.mean, *one.interval.split(" to "))]
    assert {len(text.partition(".")[2]) for text in parts} == {4}


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_page_has_the_section_only_where_maps_were_judged(count: int) -> None:
    net = sg.load("digits")
    methods = [sg.gradient(), sg.guided_backprop()]
    plain = sg.compare(net, net.samples(count), methods=methods)
    assert content_of(plain, None, "title").judged is None
    judged = sg.compare(net, net.samples(count), methods=methods, measures=[sg.Gini(), sg.Deletion(steps=3)])
    content = content_of(judged, None, "title")
    assert content.judged is not None
    assert [table.label for table in content.judged.tables] == list(judged.scores.measures)  # type: ignore[union-attr]
    assert any(heading == "Scores" for heading, _ in content.reading)
    assert (content.judged.curves is not None) is True


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"one": MIXED, "other": LOW}, "No method is clearly better than another."),
        ({"one": HIGH[:5], "other": LOW[:5]}, "Too few pictures to tell methods apart."),
        ({"one": HIGH[:6], "other": LOW[:6]}, "Clearly better: one than other."),
        ({"one": HIGH, "random_map()": LOW}, ""),
    ],
)
def test_what_can_be_told_apart_is_said(values: dict[str, list[float]], said: str) -> None:
    assert judged_part(scores(values)).tables[0].apart == said


def test_the_intervals_are_of_the_confidence_that_was_asked_for() -> None:
    table = scores({"one": [value * value * 10 for value in range(12)], "random_map()": LOW})
    wide, usual = judged_part(table, 0.999), judged_part(table)
    assert (wide.interval, usual.interval) == ("99.9 % interval", "95 % interval")
    assert "99.9 % interval" in wide.lead
    assert wide.tables[0].standings[0].interval != usual.tables[0].standings[0].interval
    low, high = (float(part) for part in usual.tables[0].standings[0].interval.split(" to "))
    lower, higher = (float(part) for part in wide.tables[0].standings[0].interval.split(" to "))
    assert lower <= low
    assert high <= higher
    assert wide.chart.uri != usual.chart.uri


def test_pictures_without_any_score_are_not_counted_as_judged() -> None:
    part = judged_part(scores({"one": [*HIGH[:11], math.nan], "other": [*LOW[:11], math.nan]}))
    assert part.lead.startswith("Scores on 11 of 12 pictures")


def test_controls_without_a_pair_are_not_called_unbeaten() -> None:
    """Where the control has scores, but on no picture on which the method has one."""
    none = [math.nan] * 12
    (table,) = judged_part(scores({"one": [*HIGH[:6], *none[:6]], "random_map()": [*none[:6], *LOW[6:]]})).tables
    assert {one.method: one.blind for one in table.standings}["one"] == ""


def test_a_chart_keeps_its_size_where_the_page_is_narrow() -> None:
    net = sg.load("digits")
    table = sg.compare(net, net.samples(3), methods=[sg.gradient()], measures=[sg.Gini(), sg.Deletion(steps=3)])
    content = content_of(table, None, "title")
    page = rendered(content, datetime(2026, 1, 1, tzinfo=UTC))
    assert content.judged is not None
    assert content.judged.curves is not None
    for chart in (content.judged.chart, content.judged.curves):
        assert f"--natural: {round(chart.width / 1.5)}px" in page
    assert "min-width: var(--natural)" in page
