"""Plans as values, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from smoothgrad.errors import BadMethod, SmoothGradError, UnknownName
from smoothgrad.experiments.recipe import TRAINING
from smoothgrad.models.resnet import ResNet
from smoothgrad.models.small_net import SmallNet
from smoothgrad.recipe import Builder
from smoothgrad.training.patch import Patch
from smoothgrad.training.plan import Architecture, Plan, Residual, Small


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        Plan(network=Small(widths=(4, 8), halvings=1, activation="softplus"), epochs=2, noise=0.2, penalty=1.0),
        Plan(network=Residual(8), mirror=True, shift=4, arithmetic="bfloat16", patch=Patch(size=3, value=1.0), seed=7),
    ],
)
def test_a_plan_reads_back_from_its_text(plan: Plan) -> None:
    assert Builder((), None, TRAINING, "Plan()").text(repr(plan)) == plan
    assert hash(replace(plan)) == hash(plan)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"epochs": 0}, BadMethod, "epochs of at least 1"),
        ({"batch": 1}, BadMethod, "batch of at least 2"),
        ({"shift": -1}, BadMethod, "shift"),
        ({"noise": -0.1}, BadMethod, "noise of zero or more"),
        ({"noise": float("nan")}, BadMethod, "noise"),
        ({"penalty": float("inf")}, BadMethod, "penalty"),
        ({"decay": -1.0}, BadMethod, "decay"),
        ({"rate": 0.0}, BadMethod, "positive rate"),
        ({"rate": float("nan")}, BadMethod, "positive rate"),
        ({"smoothing": 1.0}, BadMethod, "smoothing from 0"),
        ({"arithmetic": "bfloat61"}, UnknownName, "bfloat16"),
        ({"epochs": 1.5}, BadMethod, "whole number"),
        ({"network": "small"}, BadMethod, "Small"),
        ({"patch": 8}, BadMethod, "Patch"),
    ],
)
def test_numbers_that_mean_nothing(given: dict[str, Any], error: type[SmoothGradError], said: str) -> None:
    with pytest.raises(error, match=said):
        Plan(**given)


@pytest.mark.parametrize("kind", [Small, Residual])
def test_an_unknown_activation_is_answered_with_the_nearest(kind: type[Small | Residual]) -> None:
    with pytest.raises(UnknownName, match="softplus"):
        kind(activation="softplu")


def test_more_halvings_than_convolutions() -> None:
    with pytest.raises(BadMethod, match="fewer halvings"):
        Plan(network=Small(widths=(4, 8), halvings=2)).start(1, 10)


@pytest.mark.parametrize(
    ("network", "built", "channels"), [(Small(widths=(4, 8), halvings=1), SmallNet, 1), (Residual(8), ResNet, 3)]
)
def test_a_start_is_that_of_its_seed_and_leaves_the_generator_alone(
    network: Architecture, built: type[nn.Module], channels: int
) -> None:
    before = torch.random.get_rng_state()
    first, again = (Plan(network=network, seed=3).start(channels, 10) for _ in range(2))
    other = Plan(network=network, seed=4).start(channels, 10)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert isinstance(first, built)
    assert first.training
    weights = [
        torch.cat([held.flatten().float() for held in net.state_dict().values()]) for net in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_softplus_changes_the_function_and_not_the_weights() -> None:
    plain, smooth = (Plan(network=Small(widths=(4, 8), halvings=1, activation=name)) for name in ("relu", "softplus"))
    nets = [plan.start(1, 10).eval() for plan in (plain, smooth)]
    assert all(torch.equal(a, b) for a, b in zip(*(net.state_dict().values() for net in nets), strict=True))
    x = torch.rand(1, 1, 8, 8)
    assert not torch.equal(nets[0](x), nets[1](x))
