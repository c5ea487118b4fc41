"""To how many decimals means are told."""

from __future__ import annotations

import math

from smoothgrad.report.rounding import Told, told_alike

NAN = math.nan


def test_a_column_has_the_decimals_of_its_narrowest_interval() -> None:
    told = told_alike([(0.03, 0.0254, 0.0361), (0.034, NAN, NAN), (-0.5, -0.6, -0.4)])
    assert told[0] == Told("0.0300", "0.0254", "0.0361")
    assert told[1] == Told("0.0340", "–", "–")
    assert told[2] == Told("−0.5000", "−0.6000", "−0.4000")


def test_numbers_far_apart_have_each_their_own() -> None:
    far = told_alike([(440.23, 431.5, 449.2), (124705.4, 118000.0, 131000.0), (0.00312, 0.0030, 0.0033)])
    assert [one.mean for one in far] == ["440.2", "124,705", "0.00312"]


def test_what_has_no_number_of_its_own() -> None:
    assert told_alike([]) == []
    assert told_alike([(NAN, NAN, NAN), (0.0, 0.0, 0.0)]) == [Told("–", "–", "–"), Told("0", "0", "0")]
    assert told_alike([(3.2e-9, 3.0e-9, 3.4e-9), (5.0e9, NAN, NAN)])[0].mean == "3.2e−09"
