"""Fields hold what they are declared to hold, and say so when they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from torch import nn

import smoothgrad as sg
from smoothgrad.core.kinds import Misfit, fitted, kinds_of, words_for
from smoothgrad.core.value import Value
from smoothgrad.errors import BadBaseline, BadMethod, BadTarget

if TYPE_CHECKING:
    from nowhere import Nothing


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (int, np.int64(3), 3),
        (float, np.float32(0.5), 0.5),
        (float, 2, 2),
        (bool, True, True),
        (int | None, None, None),
        (tuple[float, ...], [1, 2.5], (1, 2.5)),
        (float | Sequence[float], 0.5, 0.5),
        (Literal["a", "b"], "c", "c"),
        (Callable[[int], int], abs, abs),
        (sg.Rule, sg.Guided(), sg.Guided()),
        (Any, object, object),
    ],
)
def test_what_fits_is_kept_as_plain_python(kind: object, given: object, kept: object) -> None:
    found = fitted(kind, given)
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (int, 2.5),
        (int, True),
        (float, "1"),
        (float, False),
        (bool, 1),
        (int | None, "x"),
        (tuple[float, ...], "12"),
        (tuple[float, ...], ["x"]),
        (Literal["a"], 3),
        (Callable[[int], int], 3),
        (sg.Rule, sg.Guided),
    ],
)
def test_what_does_not_fit_is_a_misfit(kind: object, given: object) -> None:
    with pytest.raises(Misfit):
        fitted(kind, given)


def test_kinds_are_said_in_words() -> None:
    assert words_for(int | sg.Until) == "a whole number or an Until"
    assert words_for(sg.Rule).startswith("a Rule such as Plain(...), Guided(...)")
    assert words_for(tuple[float, ...]) == "several, each a number"


def test_pieces_of_the_wrong_kind_say_what_was_given() -> None:
    with pytest.raises(BadMethod, match=r"Gradient takes as rule a Rule .*, got Guided itself; call it: Guided\(\)"):
        sg.Gradient(sg.Guided)
    with pytest.raises(
        BadMethod, match=r"the module Conv2d\(\.\.\.\) itself; .* give its name, as in model\.named_modules"
    ):
        sg.grad_cam(nn.Conv2d(1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="call it: smoothgrad"):
        sg.Gradient(sg.smoothgrad)  # type: ignore[arg-type]
    with pytest.raises(BadTarget, match="Class takes as index a whole number, got 'cat'"):
        sg.Class("cat")
    with pytest.raises(BadBaseline, match="Several takes as baselines several, each a Baseline"):
        sg.Several(sg.Zero(), 3)
    with pytest.raises(BadMethod, match="finite"):
        sg.Until(tolerance=math.inf)


@dataclass(frozen=True, repr=False)
class Own(Value):
    """A piece whose annotation names what is not there at run time."""

    part: Nothing


def test_a_users_piece_that_cannot_be_read_is_let_be() -> None:
    assert Own(3).part == 3
    assert kinds_of(Own) == {}
