"""The choices between a map and its picture."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.view.look import Look, Sign


def test_the_look_of_the_paper_is_the_default() -> None:
    assert Look() == Look(
        channels="sum", sign="absolute", cap=99.0, times_input=False, overlay=0.0, shared=False, fdr=None
    )


def test_a_look_is_a_value() -> None:
    assert hash(Look(cap=95)) == hash(Look(cap=95))
    assert dataclasses.replace(Look(), shared=True).shared


@pytest.mark.parametrize(
    ("shape", "sign"),
    [
        ((3, 224, 224), "absolute"),
        ((3, 1, 1), "absolute"),
        ((1, 8, 8), "signed"),
        ((8, 8), "signed"),
        ((2, 300), "signed"),
        ((30,), "signed"),
    ],
)
def test_natural_pictures_are_absolute_and_the_rest_signed(shape: tuple[int, ...], sign: str) -> None:
    assert Look.default_for(shape).sign == sign


@pytest.mark.parametrize("shape", [(), (3, 0, 4)])
def test_a_row_without_values_has_no_look(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="at least one value"):
        Look.default_for(shape)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sign": "sined"}, "did you mean 'signed'"),
        ({"sign": "zzz"}, "absolute, signed, positive or negative"),
        ({"sign": None}, "got None"),
        ({"channels": "mean"}, "sum or max; got 'mean'"),
        ({"cap": 0}, "above 0 and up to 100"),
        ({"cap": 100.5}, "got 100.5"),
        ({"cap": float("nan")}, "got nan"),
        ({"cap": "99"}, "got '99'"),
        ({"cap": True}, "got True"),
        ({"overlay": 1.5}, "from 0 to 1"),
        ({"overlay": -0.1}, "got -0.1"),
        ({"shared": 1}, "True or False; got 1"),
        ({"fdr": 5}, "above 0 and below 1"),
        ({"fdr": 0}, "false-discovery rate is 0"),
        ({"fdr": "0.05"}, "got '0.05'|'0.05'; give a share"),
        ({"times_input": "yes"}, "True or False; got 'yes'"),
    ],
)
def test_a_wrong_choice_is_named_with_what_to_choose(options: dict[str, object], said: str) -> None:
    with pytest.raises(BadMethod, match=said):
        dataclasses.replace(Look(), **options)


def test_what_is_never_negative_is_shown_on_one_side_unless_its_negative_part_is_asked_for() -> None:
    looks = {sign: Look(sign=sign).of(unsigned=True).sign for sign in get_args(Sign)}
    assert looks == {"absolute": "absolute", "signed": "absolute", "positive": "absolute", "negative": "negative"}
    times = Look(sign="signed", times_input=True)
    assert times.of(unsigned=True) is times
    assert Look(sign="signed", cap=90).of(unsigned=True) == Look(cap=90)
