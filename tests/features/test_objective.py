"""What is to become large, read by hand from a layer's output."""

from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.errors import BadTarget
from smoothgrad.features import Channel, Layer, ScoreOf, Unit
from smoothgrad.features.objective import Objective, as_objective

H = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(1))
NONE = torch.tensor([-1, -1])


def loop(values: list[float]) -> float:
    return sum(values) / len(values)


def test_a_channel_is_the_mean_over_its_positions() -> None:
    by_hand = [loop([float(H[n, 2, i, j]) for i in range(4) for j in range(5)]) for n in range(2)]
    torch.testing.assert_close(Channel("a", 2).score(H, NONE), torch.tensor(by_hand))


def test_a_channel_of_tokens_is_in_the_last_dimension() -> None:
    by_hand = [loop([float(TOKENS[n, t, 5]) for t in range(7)]) for n in range(2)]
    torch.testing.assert_close(Channel("a", 5, dim=-1).score(TOKENS, NONE), torch.tensor(by_hand))


def test_a_unit_is_one_number() -> None:
    assert torch.equal(Unit("a", 1, (3, 0)).score(H, NONE), H[:, 1, 3, 0])
    assert torch.equal(Unit("a", 1).score(H, NONE), H[:, 1, 2, 2])
    assert torch.equal(Unit("a", 1, (6,), dim=-1).score(TOKENS, NONE), TOKENS[:, 6, 1])
    assert torch.equal(Unit("a", 1, ()).score(H[:, :, 0, 0], NONE), H[:, 1, 0, 0])


def test_a_layer_is_its_mean_square() -> None:
    by_hand = [loop([float(value) ** 2 for value in H[n].flatten()]) for n in range(2)]
    torch.testing.assert_close(Layer("a").score(H, NONE), torch.tensor(by_hand))


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (Channel("a", 3), "layer 'a' has 3 channels and no channel 3; give 0 to 2"),
        (Channel("a", -1), "no channel -1"),
        (Channel("a", 0, dim=4), "no channels in dimension 4; give dim from 1 to 3"),
        (Channel("a", 0, dim=0), "no channels in dimension 0"),
        (Unit("a", 3), "no channel 3"),
        (Unit("a", 0, (4, 0)), r"no position \(4, 0\); give 2 numbers, from \(0, 0\) to \(3, 4\)"),
        (Unit("a", 0, (0,)), "give 2 numbers"),
        (Unit("a", 0, (0, -1)), "no position"),
    ],
)
def test_what_there_is_not_is_said(objective: Objective, reason: str) -> None:
    with pytest.raises(BadTarget, match=reason):
        objective.resolve(H)


def test_a_class_a_target_and_an_objective_are_all_objectives() -> None:
    assert as_objective(3) == ScoreOf(sg.Class(3)) == as_objective(sg.Class(3))
    assert as_objective(Layer("a")) == Layer("a")
    with pytest.raises(BadTarget, match="asks several"):
        as_objective(sg.Each(1, 2))
    with pytest.raises(BadTarget, match="takes as index a whole number"):
        Channel("a", 1.5)  # type: ignore[arg-type]
