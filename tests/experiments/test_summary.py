"""From rows to means over pictures: the truth is worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas
import pytest

import smoothgrad as sg
from smoothgrad.experiments.result import _said_of_few
from smoothgrad.experiments.summary import Average, average, chosen, line, row, scored, unit_of


def table(pictures: int = 3) -> pandas.DataFrame:
    """Of each picture p at noise n two rows whose mean is 10 p + n, and another quantity."""
    rows = [
        {
            "picture": f"p{p}",
            "noise": noise,
            "part": None,
            "quantity": "height",
            "value": 10 * p + noise + side,
            "unit": "m",
        }
        for p in range(pictures)
        for noise in (0.2, 0.0)
        for side in (-1, 1)
    ]
    others = [
        {
            "picture": f"p{p}",
            "noise": 0.0,
            "part": "top",
            "quantity": "width",
            "value": math.nan if p else 4.0,
            "unit": "cm",
        }
        for p in range(pictures)
    ]
    return pandas.DataFrame(rows + others)


def test_an_average_is_over_pictures_not_over_rows() -> None:
    found = average(table(), "height", {"noise": 0.2})
    assert found.mean == pytest.approx(10.2)
    assert found.n == 3
    assert found.low < found.mean < found.high
    unbalanced = table().drop(index=0)  # a row of the first picture
    assert average(unbalanced, "height", {"noise": 0.2}).mean == pytest.approx((1.2 + 10.2 + 20.2) / 3)


def test_a_picture_without_a_value_is_left_out() -> None:
    found = average(table(), "width")
    assert (found.mean, found.n) == (4.0, 1)


def test_one_picture_has_a_mean_and_no_interval() -> None:
    found = average(table(1), "height", {"noise": 0.0})
    assert found.mean == 0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert str(found) == "0"


def test_rows_of_all_pictures_together_are_averaged_too() -> None:
    frame = table().assign(picture=None)
    assert average(frame, "height", {"noise": 0.0}).mean == pytest.approx(10)
    assert average(frame, "height", {"noise": 0.0}).n == 1


def test_what_the_table_does_not_hold_is_refused() -> None:
    with pytest.raises(sg.errors.BadInput, match="the table has no depth where"):
        average(table(), "depth")
    with pytest.raises(sg.errors.BadInput, match=r"the table has no height where \{'noise': 0.3}"):
        average(table(), "height", {"noise": 0.3})


def test_rows_are_chosen_by_value_and_by_its_absence() -> None:
    assert len(chosen(table(), {"noise": 0.0})) == 9
    assert len(chosen(table(), {"part": None})) == 12
    assert len(chosen(table(), {"part": "top", "noise": 0.2})) == 0
    assert len(chosen(table(), {})) == 15


def test_an_average_is_written_with_its_interval() -> None:
    assert str(Average(0.12345, 0.1, 0.2, 5)) == "0.123 (0.1 to 0.2)"
    assert str(Average(1.0, math.nan, math.nan, 5)) == "1"


@pytest.mark.parametrize(("pictures", "clear"), [(3, 0), (5, 0), (6, 1), (12, 1)])
def test_nothing_is_clear_of_fewer_pictures_than_a_sign_test_needs(pictures: int, clear: int) -> None:
    up = Average.of(np.linspace(1.0, 2.0, pictures))
    assert up.low >= 1  # the interval alone would say so at three
    assert (up.sign, up.side(0.5), up.side(3)) == (clear, clear, -clear)
    assert Average.of(np.linspace(-2.0, -1.0, pictures)).sign == -clear
    assert up.side(1.5) == 0


def test_that_there_are_few_pictures_is_said_once_for_all_experiments() -> None:
    assert list(_said_of_few(0)) == list(_said_of_few(10)) == []
    assert [said.split(":")[0] for n in (1, 3) for said in _said_of_few(n)] == [
        "This is 1 picture",
        "These are 3 pictures",
    ]


def test_a_line_goes_through_the_means_in_the_order_of_x() -> None:
    found = line(table(), "mine", "noise", "height", grey=True)
    assert (found.label, found.grey) == ("mine", True)
    assert found.x.tolist() == [0.0, 0.2]
    assert found.y == pytest.approx([10.0, 10.2])
    assert found.low is not None
    assert found.high is not None
    assert (found.low < found.y).all()
    assert (found.high > found.y).all()
    assert found.x.dtype == np.float64


def test_a_unit_is_that_of_its_quantity() -> None:
    assert (unit_of(table(), "height"), unit_of(table(), "width")) == ("m", "cm")


def test_rows_hold_plain_numbers() -> None:
    assert row("height", np.float32(2), "m", {"noise": 0.1}) == {
        "noise": 0.1,
        "quantity": "height",
        "value": 2.0,
        "unit": "m",
    }
    assert type(row("height", np.float32(2))["value"]) is float


def test_each_score_is_a_row() -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(1), method=sg.gradient())
    scores = sg.judge(net, result, [sg.Gini(), sg.TotalVariation()])
    rows = scored(scores, {"method": "gradient"})
    assert [one["quantity"] for one in rows] == list(scores.measures)
    assert [one["value"] for one in rows] == [one.value for one in scores.records]
    assert all(one["method"] == "gradient" for one in rows)
