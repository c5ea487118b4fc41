from __future__ import annotations

import json
import math

import pytest
import typer

from smoothgrad import errors
from smoothgrad.cli.console import failing, write_json


def test_infinity_and_nan_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"deep": [{"error": math.inf}, (math.nan, 1.5)], "text": "ε [x]"})
    assert json.loads(capsys.readouterr().out) == {"deep": [{"error": None}, [None, 1.5]], "text": "ε [x]"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadOption, 2),
        (errors.BadRecipe, 2),
        (errors.BadTarget, 2),
        (errors.UnknownName, 2),
        (errors.BadMethod, 2),
        (errors.BadWeights, 1),
        (errors.BadModel, 1),
        (errors.CannotWrite, 1),
        (errors.MissingPackage, 1),
    ],
)
def test_the_exit_code_tells_bad_usage_from_failed_work(
    error: type[errors.SmoothGradError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as exit, failing(debug=False):
        raise error("what [it] was")
    assert exit.value.exit_code == code
    assert capsys.readouterr().err == "error: what [it] was\n"


def test_what_the_library_does_not_raise_on_purpose_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), failing(debug=False):
        raise ZeroDivisionError
