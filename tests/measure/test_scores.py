"""The table of scores: frames, averages over pictures, differences, files, figures."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from smoothgrad.errors import BadInput, BadOption, CannotWrite
from smoothgrad.measure.scores import (
    COLUMNS,
    CURVE_COLUMNS,
    DIFFERENCE_COLUMNS,
    SUMMARY_COLUMNS,
    Line,
    Score,
    Scores,
)
from smoothgrad.measure.statistics import holm, intervals, sign_flip
from tests.view.test_figure import words


def score(picture: int, method: str, value: float, **changed: Any) -> Score:
    one = Score(
        picture=f"p{picture}.png",
        key=picture,
        class_name="cat",
        target=3,
        method=method,
        recipe=f"{method}()",
        control=method == "chance",
        measure="deletion",
        measure_recipe="Deletion(steps=32)",
        better="lower",
        unit="probability",
        value=value,
        stderr=None,
        reason="" if value == value else "the map is constant",
        seed=0,
        model="Net",
        fingerprint="ab",
        seconds=0.1,
    )
    return one._replace(**changed)


def table(columns: dict[str, list[float]], **changed: Any) -> Scores:
    """Methods with their scores, picture by picture."""
    records = [
        score(place, method, one, **changed) for method, values in columns.items() for place, one in enumerate(values)
    ]
    return Scores(tuple(records), (None,) * len(records))


SPREAD = np.random.default_rng(0).normal(size=12).tolist()
COLUMNS_OF = {
    "good": [0.1 + 0.02 * one for one in SPREAD],
    "fair": [0.3 + 0.02 * one for one in reversed(SPREAD)],
    "chance": [0.6 + 0.05 * one for one in SPREAD],
}


# --- frames -----------------------------------------------------------------------------------------------------------


def test_the_frame_is_tidy() -> None:
    scores = Scores((score(0, "a", 0.5, stderr=0.1), score(1, "a", torch.nan, target=None)), (None, None))
    frame = scores.frame
    assert list(frame.columns) == COLUMNS
    assert [
        *("picture", "key", "class", "target", "method", "recipe", "control", "measure", "measure_recipe", "better"),
        *("unit", "value", "stderr", "reason", "seed", "model", "fingerprint", "seconds"),
        *("layer", "precision", "asked", "digest", "made_by"),
    ] == COLUMNS
    assert frame["class"].tolist() == ["cat", "cat"]
    assert frame["value"].isna().tolist() == [False, True]
    assert frame["target"].isna().tolist() == [False, True]
    assert frame["stderr"].dtype == frame["value"].dtype == np.float64
    assert frame["reason"].tolist() == ["", "the map is constant"]


def test_the_frame_of_nothing_has_its_columns() -> None:
    empty = Scores((), ())
    assert list(empty.frame.columns) == COLUMNS
    assert list(empty.summary().columns) == SUMMARY_COLUMNS
    assert list(empty.differences().columns) == DIFFERENCE_COLUMNS
    assert list(empty.curve_frame.columns) == CURVE_COLUMNS
    for draw in (empty.figure, empty.curve_figure):
        with pytest.raises(BadInput, match="nothing to draw"):
            draw()


def test_curves_are_tidy_too() -> None:
    x, ticks = torch.tensor([0.0, 1.0], dtype=torch.float64), ("conv1", "fc")
    curve = Line(x, torch.tensor([0.9, 0.2], dtype=torch.float64), "layer", "correlation", ticks)
    scores = Scores((score(0, "a", 0.5), score(1, "a", 0.5)), (None, curve))
    frame = scores.curve_frame
    assert list(frame.columns) == CURVE_COLUMNS
    assert frame.to_dict("list") == {
        "picture": ["p1.png"] * 2,
        "key": [1, 1],
        "method": ["a", "a"],
        "measure": ["deletion"] * 2,
        "x": [0.0, 1.0],
        "tick": ["conv1", "fc"],
        "y": [0.9, 0.2],
    }


def test_it_is_a_value_that_says_what_it_holds() -> None:
    scores = table({"a": [0.1, 0.2], "chance": [0.5, float("nan")]})
    assert repr(scores) == "<Scores of 2 pictures x 2 methods x 1 measures, 1 without a score: deletion>"
    assert (scores.methods, scores.controls, scores.measures) == (("a", "chance"), ("chance",), ("deletion",))
    assert [one.picture for one in scores.failures] == ["p1.png"]
    assert len(scores) == 4
    with pytest.raises(FrozenInstanceError):
        scores.records = ()  # type: ignore[misc]
    with pytest.raises(BadInput, match="1 curves for 0 scores"):
        Scores((), (None,))
    assert "deletion" in scores._repr_html_()


def test_some_measures_alone() -> None:
    both = Scores.joined([table({"a": [0.1]}), table({"a": [0.2]}, measure="gini")])
    assert both.of("gini").frame["value"].tolist() == [0.2]
    with pytest.raises(BadOption, match="no measure 'delection' in this table; did you mean 'deletion'"):
        both.of("delection")


def test_joined_tables_are_one_below_the_other() -> None:
    one, other = table({"a": [0.1]}), Scores((score(7, "a", 0.3),), (None,))
    assert Scores.joined([one, other]).frame["picture"].tolist() == ["p0.png", "p7.png"]
    with pytest.raises(
        BadInput, match=r"'p0.png' \(key 0, cat, seed 0\) has two scores of deletion for a; .* names=..., keys="
    ):
        Scores.joined([one, one])
    with pytest.raises(BadInput, match="one or more"):
        Scores.joined([])
    # another seed is another row
    assert len(Scores.joined([one, table({"a": [0.1]}, seed=1)])) == 2


def test_one_table_is_joined_as_it_is_whatever_comes_twice_in_it() -> None:
    twice = Scores((score(0, "a", 0.1), score(0, "a", 0.3), score(1, "a", 0.4)), (None,) * 3)
    assert Scores.joined([twice]) is twice
    other = Scores((score(7, "a", 0.3),), (None,))
    assert len(Scores.joined([twice, other])) == 4
    with pytest.raises(BadInput, match="has two scores of deletion for a"):
        Scores.joined([other, twice, score_table(1)])
    # both count, and the picture once
    assert twice.summary()["n"].tolist() == [2]
    assert twice.summary()["mean"].tolist() == pytest.approx([(0.2 + 0.4) / 2])


def score_table(picture: int) -> Scores:
    return Scores((score(picture, "a", 0.2),), (None,))


def test_maps_that_two_networks_made_have_labels_of_their_own() -> None:
    one, other = table({"a": [0.1]}, made_by="ab"), Scores((score(7, "a", 0.3, made_by="cd"),), (None,))
    with pytest.raises(
        BadInput, match=r"the method 'a' is two .* its maps made by the networks ab and cd; give each a"
    ):
        Scores.joined([one, other])
    gone = Scores((score(7, "a", float("nan"), made_by=""),), (None,))
    assert len(Scores.joined([gone, one])) == 2


def test_pictures_of_two_batches_with_the_same_names_and_keys_are_two() -> None:
    columns = {"a": [0.1, 0.2, 0.4]}
    both = Scores.joined([table(columns, digest="a1"), table({"a": [0.3, 0.6, 0.8]}, digest="b2")])
    assert repr(both).startswith("<Scores of 6 pictures")
    frame = both.summary()
    assert frame["n"].tolist() == [6]
    assert frame["mean"].tolist() == pytest.approx([0.4])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"recipe": "b()"}, r"the method 'a' is two in these tables, a\(\) and b\(\); give each a label of its own"),
        (
            {"measure_recipe": "Deletion(steps=8)"},
            r"the measure 'deletion' is two .*, Deletion\(steps=32\) and Deletion",
        ),
        ({"layer": "3"}, "the method 'a' is two in these tables, at the layers '' and '3'"),
        ({"fingerprint": "cd"}, "two networks were asked, ab and cd; judge each in a table of its own"),
    ],
)
def test_tables_that_do_not_go_together_are_not_joined(changed: dict[str, Any], said: str) -> None:
    one = table({"a": [0.1, 0.2]})
    other = Scores((score(7, "a", 0.5, **changed),), (None,))
    with pytest.raises(BadInput, match=said):
        Scores.joined([one, other])


def test_a_picture_that_could_not_be_read_has_no_network() -> None:
    unread = Scores((score(7, "a", float("nan"), fingerprint=""),), (None,))
    assert len(Scores.joined([unread, table({"a": [0.1]}), unread.of()])) == 2


def test_classes_of_one_name_are_told_apart() -> None:
    one, other = table({"a": [0.1]}, asked="Class(134)"), table({"a": [0.3]}, asked="Class(517)")
    assert Scores.joined([one, other]).summary()["mean"].tolist() == pytest.approx([0.2])


def test_order() -> None:
    mixed = Scores.joined([table({"b": [1.0], "a": [2.0]}), table({"a": [3.0]}, measure="gini")])
    ordered = mixed.in_order(["a", "b"], ["gini", "deletion"])
    assert ordered.frame["value"].tolist() == [3.0, 2.0, 1.0]


# --- averages -----------------------------------------------------------------------------------------------------------


def test_the_summary_by_hand() -> None:
    frame = table(COLUMNS_OF).summary(0.9, resamples=500, seed=3)
    assert list(frame.columns) == SUMMARY_COLUMNS
    assert frame["method"].tolist() == ["good", "fair", "chance"]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["n"].tolist() == [12] * 3
    assert frame["control"].tolist() == [False, False, True]
    assert frame["mean"].tolist() == pytest.approx([np.mean(values) for values in COLUMNS_OF.values()])
    expected = intervals(np.array(list(COLUMNS_OF.values())).T, 0.9, 500, 3)
    assert frame["low"].tolist() == pytest.approx(expected.low.tolist())
    assert frame["high"].tolist() == pytest.approx(expected.high.tolist())


@pytest.mark.parametrize(
    ("better", "ranks"), [("lower", [1, 3, 2, 3]), ("higher", [4, 1, 3, 1]), ("neither", [pandas.NA] * 4)]
)
def test_the_best_has_rank_one(better: str, ranks: list[Any]) -> None:
    columns = {"a": [0.1], "b": [0.7], "c": [0.2], "d": [0.7], "none": [float("nan")]}
    frame = table(columns, better=better).summary()
    assert frame["rank"].tolist()[:4] == ranks
    assert frame["rank"].isna().tolist()[4]
    assert frame["failed"].tolist() == [0, 0, 0, 0, 1]
    assert frame["note"].str.startswith("fewer than 3 pictures").tolist() == [True] * 4 + [False]
    assert frame["low"].isna().all()


def test_the_note_says_where_means_are_over_other_pictures() -> None:
    nan = float("nan")
    columns = {
        "all": [0.1, 0.2, 0.3, 0.4],
        "lost": [0.1, nan, 0.3, 0.4],
        "none": [nan] * 4,
        "few": [nan, nan, nan, 0.5],
    }
    fewer = "n differs from other methods: means are over other pictures"
    few, lost = "fewer than 3 pictures: no interval", "no score: the map is constant"
    assert table(columns).summary()["note"].tolist() == ["", fewer, lost, f"{few}; {fewer}"]
    crossed = {"a": [0.1, 0.2, 0.3, nan], "b": [nan, 0.2, 0.3, 0.4]}
    other = "means are over other pictures than those of other methods"
    assert table(crossed).summary()["note"].tolist() == [other, other]
    equal = table({"a": [0.5] * 4}).summary()
    assert equal["note"].tolist() == ["all scores are equal: no spread to judge by"]
    assert equal["low"].isna().all()


def test_the_note_of_a_method_without_any_score_is_the_commonest_reason() -> None:
    nan = float("nan")
    reasons = ["the map is constant: it ranks nothing", "BadInput: too small", "the map is constant: it ranks nothing"]
    lost = [score(place, "lost", nan, reason=why) for place, why in enumerate(reasons)]
    some = [score(place, "some", 0.1 * place) for place in range(3)]
    frame = Scores((*lost, *some), (None,) * 6).summary()
    assert frame["note"].tolist() == ["no score: the map is constant: it ranks nothing", ""]
    assert frame["failed"].tolist() == [3, 0]


def test_what_was_worked_out_is_kept_and_is_the_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = table(COLUMNS_OF)
    for ask in (scores.summary, scores.differences):
        first = ask(resamples=200)
        first["measure"] = "spoilt"
        with monkeypatch.context() as without:
            for name in ("intervals", "differences"):
                without.delattr(f"smoothgrad.measure.scores.{name}")
            assert set(ask(resamples=200)["measure"]) == {"deletion"}
        assert ask(0.5, resamples=200)["low"].tolist() != ask(resamples=200)["low"].tolist()
        assert ask(resamples=200, seed=1)["low"].tolist() != ask(resamples=200)["low"].tolist()
        with pytest.raises(BadOption, match="confidence"):
            ask(1.5)


def test_a_picture_with_several_scores_counts_once() -> None:
    one = table({"a": [0.0, 1.0, 2.0]})
    again = table({"a": [4.0]}, class_name="dog", target=5)  # p0 was asked about dogs as well
    reseeded = table({"a": [8.0, float("nan")]}, seed=1)
    frame = Scores.joined([one, again, reseeded]).summary()
    assert frame["n"].tolist() == [3]
    assert frame["failed"].tolist() == [1]
    assert frame["mean"].tolist() == pytest.approx([(4.0 + 1.0 + 2.0) / 3])


# --- differences --------------------------------------------------------------------------------------------------------


def test_differences_by_hand() -> None:
    frame = table(COLUMNS_OF).differences(0.9, resamples=500, seed=3)
    assert list(frame.columns) == DIFFERENCE_COLUMNS
    assert list(zip(frame["method"], frame["other"], strict=True)) == [
        ("good", "fair"),
        ("good", "chance"),
        ("fair", "chance"),
    ]
    values = np.array(list(COLUMNS_OF.values())).T
    apart = np.stack([values[:, 0] - values[:, 1], values[:, 0] - values[:, 2], values[:, 1] - values[:, 2]], 1)
    assert frame["difference"].tolist() == pytest.approx(apart.mean(0).tolist())
    assert frame["p"].tolist() == pytest.approx(sign_flip(apart).tolist())
    assert frame["p_adjusted"].tolist() == pytest.approx(holm(sign_flip(apart)).tolist())
    assert frame["low"].tolist() == pytest.approx(intervals(apart, 0.9, 500, 3).low.tolist())
    assert frame["better"].tolist() == ["good", "good", "fair"]


@pytest.mark.parametrize(("better", "winner"), [("lower", "good"), ("higher", "fair"), ("neither", "")])
def test_the_better_method_is_named_by_the_direction(better: str, winner: str) -> None:
    columns = {name: COLUMNS_OF[name] for name in ("good", "fair")}
    assert table(columns, better=better).differences()["better"].tolist() == [winner]


def test_methods_that_do_not_differ_have_no_winner() -> None:
    columns = {"a": SPREAD, "b": SPREAD, "c": list(reversed(SPREAD))}
    frame = table(columns).differences()
    assert frame["p"].tolist()[0] == 1.0
    assert frame["difference"].tolist()[0] == 0.0
    assert frame["better"].tolist() == [""] * 3


def test_only_pictures_that_both_have_are_compared() -> None:
    columns = {"a": [0.0, float("nan"), 2.0, 3.0], "b": [1.0, 100.0, float("nan"), 5.0]}
    frame = table(columns).differences()
    assert frame["n"].tolist() == [2]
    assert frame["difference"].tolist() == [-1.5]


def test_pairs_are_paired_by_class_and_seed_too() -> None:
    cats, dogs = table({"a": [1.0]}), table({"b": [5.0]}, class_name="dog")
    frame = Scores.joined([cats, dogs]).differences()
    assert frame["n"].tolist() == [0]


def test_two_controls_are_no_pair() -> None:
    controls = dict.fromkeys(("edges", "flat"), COLUMNS_OF["chance"])
    whole = table(COLUMNS_OF | controls)
    records = tuple(one._replace(control=one.method not in ("good", "fair")) for one in whole.records)
    frame = Scores(records, whole.curves).differences()
    pairs = list(zip(frame["method"], frame["other"], strict=True))
    assert pairs == [
        ("good", "fair"),
        *[("good", name) for name in ("chance", "edges", "flat")],
        *[("fair", name) for name in ("chance", "edges", "flat")],
    ]
    assert frame["p_adjusted"].tolist() == pytest.approx(holm(frame["p"].to_numpy()).tolist())
    only = tuple(one for one in records if one.control)
    assert list(Scores(only, (None,) * len(only)).differences().columns) == DIFFERENCE_COLUMNS


def test_holm_counts_the_pairs_of_one_measure_only() -> None:
    few = {name: COLUMNS_OF[name] for name in ("good", "fair")}
    one, two = table(few), table(few, measure="gini")
    assert Scores.joined([one, two]).differences()["p_adjusted"].tolist() == one.differences()["p"].tolist() * 2


# --- files and figures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "csv", "CSV"])
def test_what_is_saved_is_read_again(suffix: str, tmp_path: Path) -> None:
    scores = table(COLUMNS_OF | {"none": [float("nan")] * 12})
    path = scores.save(tmp_path / "new" / f"scores.{suffix}")
    read = (
        pandas.read_parquet(path)
        if suffix == "parquet"
        else pandas.read_csv(path, keep_default_na=False, na_values=[""])
    )
    assert list(read.columns) == COLUMNS
    assert read["value"].equals(scores.frame["value"])
    assert read["class"].tolist() == ["cat"] * 48
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if suffix == "parquet":
        assert read.equals(scores.frame)


def test_other_files_are_refused(tmp_path: Path) -> None:
    scores = table(COLUMNS_OF)
    with pytest.raises(BadOption, match=r"cannot write scores as 'a.xlsx'; give a name that ends in .parquet or .csv"):
        scores.save(tmp_path / "a.xlsx")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(CannotWrite, match="it is a folder"):
        scores.save(tmp_path / "taken.csv")


def test_the_figure_shows_each_measure() -> None:
    scores = Scores.joined([table(COLUMNS_OF), table(COLUMNS_OF, measure="gini", better="neither", unit="")])
    page = scores.figure()
    assert len(page.axes) == 2
    said = words(page)
    assert [word for word in ("deletion", "gini", "good", "fair", "chance") if word not in said] == []
    assert said.index("good") < said.index("fair") < said.index("chance")  # lower is better: the best first
    assert len(scores.figure(["gini"]).axes) == 1
    with pytest.raises(BadOption):
        scores.figure(["gin"])


def test_the_mean_curve_is_drawn() -> None:
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    records = [score(place, method, 0.5) for method in ("a", "chance") for place in range(4)]
    curves = [Line(x, x * (1 + record.key), "share gone", "probability") for record in records]
    page = Scores((*records, score(9, "a", float("nan"))), (*curves, Line(x, x * torch.nan, "", ""))).curve_figure()
    lines = [line for line in page.axes[0].lines if len(line.get_xdata()) == 5]
    assert np.asarray(lines[0].get_ydata(), dtype=float) == pytest.approx((x * 2.5).numpy())
    assert {"a", "chance", "deletion", "share gone", "probability"} <= set(words(page))


def test_curves_without_common_places_have_no_mean() -> None:
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    records = (score(0, "a", 0.5), score(1, "a", 0.5))
    one = Line(x, x, "layers", "similarity", tuple("abcde"))
    for other in (Line(x[:4], x[:4], "layers", "similarity", tuple("abcd")), one._replace(ticks=tuple("abxde"))):
        with pytest.raises(BadInput, match=r"places of their own in 'p0.png' and 'p1.png'.*curve_frame"):
            Scores(records, (one, other)).curve_figure()
