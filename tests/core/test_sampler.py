"""How many draws, and when to look."""

from __future__ import annotations

import pytest

import smoothgrad as sg
from smoothgrad.errors import BadMethod
from smoothgrad.samplers.spread import Sampling


@pytest.mark.parametrize(
    ("until", "sampling", "looks"),
    [
        (sg.Until(0.1), "independent", [16, 32, 64, 128, 256, 512, 1024]),
        (sg.Until(0.1, least=10, most=50), "independent", [10, 20, 40, 50]),
        (sg.Until(0.1, least=5, most=30), "antithetic", [6, 10, 20, 30]),
        (sg.Until(0.1, least=8, most=8), "independent", [8]),
        (sg.Until(0.1, least=7, most=8), "antithetic", [8, 8]),
        (sg.Until(0.1, least=16, most=200), "sobol", [64, 128, 200]),
        (sg.Until(0.1, least=77, most=200), "stratified", [80, 160, 200]),
    ],
)
def test_looks_double_and_end_at_the_most(until: sg.Until, sampling: Sampling, looks: list[int]) -> None:
    assert list(sg.Gaussian(0.1, until, sampling=sampling).looks()) == looks


def test_a_number_of_samples_is_one_look() -> None:
    assert list(sg.Gaussian(0.1, 50).looks()) == [50]
    assert list(sg.StraightPath(steps=7).looks()) == [7]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tolerance": 0.0}, r"tolerance > 0, got 0\.0"),
        ({"tolerance": float("nan")}, "tolerance > 0, got nan"),
        ({"least": 1}, "2 <= least <= most, got least=1, most=1024"),
        ({"least": 9, "most": 8}, "got least=9, most=8"),
    ],
)
def test_what_can_never_stop_is_refused(given: dict[str, float], reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        sg.Until(**given)  # type: ignore[arg-type]
