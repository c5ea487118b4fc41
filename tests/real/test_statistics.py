"""How sure a SmoothGrad map of a trained network is, and whether the result says so."""

from __future__ import annotations

from functools import cache
from typing import get_args

import pytest
import torch
from scipy import stats
from torch import Tensor

import smoothgrad as sg
from smoothgrad.samplers.spread import BLOCK, Sampling
from tests.nets import CifarResNet, cifar_pictures, cifar_resnet
from tests.truth import TRUTHS, X

pytestmark = pytest.mark.real


@cache
def net() -> CifarResNet:
    return cifar_resnet(20)


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return cifar_pictures(1)[0]


@pytest.fixture(scope="module")
def limit(picture: Tensor) -> sg.Attribution:
    """SmoothGrad's limit, to about a tenth: 2,000 samples, from other noise than the tests'."""
    return sg.explain(net(), picture, method=sg.smoothgrad(0.15, 2000), seed=999)


def distance(result: sg.Attribution, limit: sg.Attribution) -> float:
    return float((result.maps - limit.maps).norm())


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_fifty_samples_are_far_from_the_limit(seed: int, picture: Tensor, limit: sg.Attribution) -> None:
    result = sg.explain(net(), picture, method=sg.smoothgrad(0.15, 50), seed=seed)
    cosine = torch.nn.functional.cosine_similarity(result.maps.flatten(), limit.maps.flatten(), dim=0)
    assert 0.65 < float(cosine) < 0.85
    assert 0.6 < distance(result, limit) / float(limit.maps.norm()) < 1.1


@pytest.mark.parametrize("samples", [20, 50, 200])
def test_the_standard_error_predicts_the_distance_from_the_limit(
    samples: int, picture: Tensor, limit: sg.Attribution
) -> None:
    for seed in (0, 1, 2):
        result = sg.explain(net(), picture, method=sg.smoothgrad(0.15, samples), seed=seed)
        assert result.stderr is not None
        assert limit.stderr is not None
        # The limit has an error of its own.
        predicted = (result.stderr.square().sum() + limit.stderr.square().sum()).sqrt()
        assert distance(result, limit) == pytest.approx(float(predicted), rel=0.12)


def test_the_relative_error_is_cautiously_read(picture: Tensor, limit: sg.Attribution) -> None:
    """||stderr|| / ||map|| has the noise in its denominator too: e / sqrt(1 + e^2), where e is the error over the limit's norm."""
    result = sg.explain(net(), picture, method=sg.smoothgrad(0.15, 50), seed=0)
    actual = distance(result, limit) / float(limit.maps.norm())
    assert result.relative_error is not None
    assert float(result.relative_error) == pytest.approx(actual / (1 + actual**2) ** 0.5, rel=0.1)
    assert float(result.relative_error) < actual


def test_until_keeps_its_promise(picture: Tensor, limit: sg.Attribution) -> None:
    result = sg.explain(net(), picture, method=sg.smoothgrad(0.15, sg.Until(tolerance=0.3, most=1024)), seed=5)
    assert result.relative_error is not None
    assert limit.stderr is not None
    assert float(result.relative_error) <= 0.3
    assert int(result.draws) < 1024
    of_limit = float(limit.stderr.norm() / limit.maps.norm())
    assert distance(result, limit) / float(limit.maps.norm()) < 1.15 * (0.3**2 + of_limit**2) ** 0.5


def test_less_noise_is_surer(picture: Tensor) -> None:
    errors = [
        sg.explain(net(), picture, method=sg.smoothgrad(noise, 50)).relative_error for noise in (0.02, 0.05, 0.15)
    ]
    values = [float(error) for error in errors if error is not None]
    assert values == sorted(values)
    assert len(values) == 3


def test_joint_smooth_integrated_gradients_has_the_limit_of_the_nested(picture: Tensor) -> None:
    joint = sg.explain(net(), picture, method=sg.smooth_integrated_gradients(0.1, 1600), seed=1)
    nested = sg.explain(net(), picture, method=sg.integrated_gradients(steps=16).over(sg.Gaussian(0.1, 100)), seed=2)
    assert joint.stderr is not None
    assert nested.stderr is not None
    predicted = (joint.stderr.square().sum() + nested.stderr.square().sum()).sqrt()
    assert 0.7 < distance(joint, nested) / float(predicted) < 1.15  # the joint one's error is cautious
    # At the same 1,600 passes the joint estimate is much surer.
    assert float(joint.stderr.norm()) < 0.7 * float(nested.stderr.norm())
    assert float(joint.maps.sum()) == pytest.approx(float(nested.maps.sum()), rel=0.2)


@pytest.mark.parametrize("sampling", ["antithetic", "sobol", "stratified"])
def test_spreading_draws_does_not_hurt(sampling: Sampling, picture: Tensor, limit: sg.Attribution) -> None:
    plain = sg.explain(net(), picture, method=sg.smoothgrad(0.15, 400), seed=3)
    even = sg.explain(net(), picture, method=sg.smoothgrad(0.15, 400, sampling=sampling), seed=3)
    assert plain.stderr is not None
    assert even.stderr is not None
    assert distance(even, limit) < 1.1 * distance(plain, limit)
    assert float(even.stderr.norm()) < 1.1 * float(plain.stderr.norm())


# --- 95 of 100 intervals hold the truth -------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", get_args(Sampling))
@pytest.mark.parametrize("name", ["quadratic", "sine", "ramp"])
def test_intervals_cover_the_truth_as_often_as_they_say(name: str, sampling: Sampling) -> None:
    """value +- t stderr, t Student's quantile for one degree of freedom less than there are blocks. Each key is a seed: 2,000 of
    them, as the share of 500 would itself be uncertain by one part in a hundred."""
    truth, draws, seeds = TRUTHS[name], 800, 2000
    method = sg.smoothgrad(0.4, draws, unit="absolute", sampling=sampling)
    result = sg.explain(truth, X.expand(seeds, -1), method=method, target=0, chunk=400_000)
    assert result.stderr is not None
    off = (result.maps - truth.noisy(X[None], 0.4).mean).abs()
    if name == "quadratic" and sampling == "antithetic":  # exact
        assert float(off.max()) < 1e-12
        return
    blocks = draws // BLOCK[sampling]
    covered = (off <= stats.t.ppf(0.975, blocks - 1) * result.stderr).double()
    assert 0.93 <= float(covered.mean()) <= 0.97
    assert bool(((covered.mean(0) - 0.95).abs() < 0.02).all()), "and of each pixel"
