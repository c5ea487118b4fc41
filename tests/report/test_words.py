"""Judgements in words are true: of the numbers behind them, and of maps made with another seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.report.words import CORRELATES, complete, has_chance, of_error, question, sure
from smoothgrad.targets import TargetLike

METHODS = {
    "mean": sg.smoothgrad(samples=12),
    "variance": sg.vargrad(samples=40),
    "squares": sg.smoothgrad_squared(samples=20),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_agreement_promised_is_the_agreement_found(name: str) -> None:
    net = sg.load("digits")
    x = net.samples(8)
    cosines, correlations, promised, promised_correlations = [], [], [], []
    for seed in range(0, 10, 2):
        one, other = (sg.explain(net, x, method=METHODS[name], seed=number) for number in (seed, seed + 1))
        maps = one.maps.flatten(1), other.maps.flatten(1)
        cosines += torch.cosine_similarity(*maps).tolist()
        correlations += torch.cosine_similarity(*(part - part.mean(1, keepdim=True) for part in maps)).tolist()
        for row in one:
            assert row.relative_error is not None
            promised.append(of_error(float(row.relative_error), draws=1).agreement)
            assert sure(row).measured == CORRELATES
            promised_correlations.append(sure(row).agreement)
    assert average(cosines) == pytest.approx(average(promised), abs=0.03)
    assert average(correlations) == pytest.approx(average(promised_correlations), abs=0.03)


def average(numbers: Sequence[float | None]) -> float:
    return sum(number for number in numbers if number is not None) / len(numbers)


def test_without_a_reproducibility_the_agreement_follows_from_the_error() -> None:
    result = sg.explain(sg.load("digits"), sg.load("digits").samples(1), method=sg.smoothgrad(samples=4))
    for unknown in (None, torch.tensor([math.nan])):
        said = sure(replace(result, reproducibility=unknown))
        assert result.relative_error is not None
        assert said == of_error(float(result.relative_error), draws=4)
        assert said.measured != CORRELATES


def test_the_draws_that_would_settle_a_map_settle_it() -> None:
    net = sg.load("digits")
    x = net.samples(4)
    first = sg.explain(net, x, method=sg.smoothgrad(samples=20))
    for row, key in zip(first, range(4), strict=True):
        said = sure(row)
        assert said.level == "nearly settled"
        draws = int(said.meaning.split("About ")[1].split(" ")[0].replace(",", ""))
        more = sg.explain(net, row.x, method=sg.smoothgrad(samples=draws), keys=[key])
        assert more.relative_error is not None
        assert float(more.relative_error) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (0.0, "settled"),
        (0.1, "settled"),
        (0.104, "nearly settled"),
        (0.1001, "nearly settled"),
        (0.1 + 1e-8, "settled"),  # 0.1 in single precision
        (0.106, "nearly settled"),
        (0.3, "nearly settled"),
        (0.31, "unsettled"),
        (0.61, "very unsettled"),
        (0.91, "mostly chance"),
        (7.0, "mostly chance"),
        (float("inf"), "unknown"),
        (float("nan"), "unknown"),
    ],
)
def test_levels_follow_the_error(error: float, level: str) -> None:
    assert of_error(error, draws=10).level == level


@given(st.floats(0.0, 5.0))
@example(0.1 + 1e-16)
@example(0.30001)
def test_the_number_stands_on_the_same_side_of_a_bound_as_the_level(error: float) -> None:
    said = of_error(error, draws=10)
    assert of_error(float(said.error.replace("−", "-")), draws=10).level == said.level


def test_agreement_is_never_negative() -> None:
    assert of_error(3.0, draws=10).agreement == 0.0


def test_a_tiny_error_is_not_printed_as_none() -> None:
    assert of_error(0.0012, draws=10).error == "0.0012"
    assert of_error(0.0, draws=10).error == "0.00"


def test_methods_without_randomness_say_so() -> None:
    assert not any(map(has_chance, (sg.gradient(), sg.integrated_gradients(), sg.integrated_gradients(tolerance=0.1))))
    assert has_chance(sg.gradient().over(sg.Gaussian(samples=3), sg.Median()))
    assert has_chance(sg.integrated_gradients(baseline=sg.Several(sg.Zero(), sg.Noise())))


def test_chance_of_unknown_size_is_not_called_certainty() -> None:
    net = sg.load("digits")
    x = net.samples(1)
    for method in (sg.gradient().over(sg.Gaussian(samples=3), sg.Median()), sg.smoothgrad(samples=1)):
        said = sure(sg.explain(net, x, method=method))
        assert (said.level, said.error, said.agreement) == ("unknown", "", None)


def test_an_incomplete_map_is_called_incomplete() -> None:
    assert complete(sg.Completeness(torch.tensor([3.0]), torch.tensor([4.0]))).verdict == "incomplete"
    assert complete(sg.Completeness(torch.tensor([3.0]), torch.tensor([4.0]))).gap == "25 %"
    assert complete(sg.Completeness(torch.tensor([1.0]), torch.tensor([0.0]))).gap == "∞"
    assert complete(sg.Completeness(torch.tensor([0.0]), torch.tensor([0.0]))).verdict == "complete"


TARGETS: dict[str, TargetLike] = {
    "2": 2,
    "sg.Contrast(sg.Class(2), sg.Class(0))": sg.Contrast(sg.Class(2), sg.Class(0)),
    "sg.Probability(sg.Class(2))": sg.Probability(sg.Class(2)),
    "sg.Probability(sg.Class(2), log=True)": sg.Probability(sg.Class(2), log=True),
    "...": lambda output: output.sum(1),
}


@pytest.mark.parametrize("code", TARGETS)
def test_what_was_asked_is_told_from_the_result(code: str) -> None:
    net, x = _linear()
    assert question(sg.explain(net, x, method=sg.gradient(), target=TARGETS[code])).code == code


def test_a_probability_is_called_one() -> None:
    net, x = _linear()
    asked = question(sg.explain(net, x, method=sg.gradient(), target=sg.Probability(sg.Class(1))))
    assert asked.words == "the probability of class 1"


def test_a_probability_is_not_called_a_score() -> None:
    net, x = _linear()
    asked = [
        question(sg.explain(net, x, method=sg.gradient(), target=target)) for target in (1, sg.Probability(sg.Class(1)))
    ]
    assert [one.said for one in asked] == [f"score {asked[0].score}", asked[1].score]


def _linear() -> tuple[nn.Module, Tensor]:
    net = nn.Linear(3, 3, bias=False).eval()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]]))
    return net, torch.tensor([[0.5, 0.7, 0.4]])


def test_relevance_that_biases_keep_is_no_failure() -> None:
    found = complete(sg.Completeness(torch.tensor([3.0]), torch.tensor([4.0])), absorbs=True)
    assert found.verdict == "conserved in part"
    assert found.meaning == "The map sums to 3.00 of 4.00; biases and other constants of the network keep the rest."
    assert sg.lrp().over(sg.Gaussian()).absorbs
    assert not sg.deep_lift().absorbs


def test_relevance_that_hardly_arrives_is_said_so() -> None:
    found = complete(sg.Completeness(torch.tensor([0.001]), torch.tensor([4.0])), absorbs=True)
    assert (found.verdict, found.level) == ("hardly conserved", "unsettled")


@pytest.mark.parametrize("level", [100, 1e6])  # of the second the relative error is a power of ten in print
def test_a_map_on_a_pedestal_is_not_settled_by_its_size(level: float) -> None:
    """As RISE's: the level hides how little of the pattern is known."""
    net = sg.load("digits")
    plain = sg.explain(net, net.samples(1), method=sg.smoothgrad(samples=8))
    raised = replace(plain, maps=plain.maps + level, reproducibility=torch.tensor([0.1]))
    assert float(raised.relative_error) < 0.02  # type: ignore[arg-type]
    assert sure(raised).level == "mostly chance"
    assert "another pattern" in sure(raised).meaning
    agreeing = replace(raised, reproducibility=torch.tensor([0.95]))
    assert sure(agreeing).level == "settled"


def test_noise_on_weights_is_chance() -> None:
    assert has_chance(sg.noisegrad())
    assert has_chance(sg.Xrai(sg.noisegrad()))
    assert not has_chance(sg.lrp())
