"""What a result says of fresh seeds, checked against real fresh seeds, on the CIFAR-10 ResNet-20 and real pictures."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

import smoothgrad as sg
from tests.nets import cifar_pictures, cifar_resnet

pytestmark = pytest.mark.real

SEEDS, PICTURES = 4, 4


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's, per row, from its definition."""
    one, other = (part.flatten(1).double() - part.flatten(1).double().mean(1, keepdim=True) for part in (one, other))
    return (one * other).sum(1) / (one.square().sum(1) * other.square().sum(1)).sqrt()


@pytest.mark.parametrize(
    ("method", "within"),
    [
        (sg.smoothgrad(noise=0.05, samples=30), 0.02),
        (sg.smoothgrad(noise=0.15, samples=31), 0.03),
        (sg.smoothgrad(noise=0.15, samples=30, sampling="antithetic"), 0.03),
        (sg.smoothgrad(noise=0.15, samples=32, sampling="stratified"), 0.03),
        (sg.vargrad(noise=0.15, samples=30), 0.03),
        (sg.smooth_integrated_gradients(noise=0.1, samples=30), 0.03),
        (sg.smoothgrad(noise=0.15, samples=30).then(sg.Absolute()), 0.05),
        (sg.Gradient().over(sg.Gaussian(0.15, 30), sg.Median()), 0.05),
    ],
    ids=lambda value: repr(value) if isinstance(value, sg.Explainer) else "",
)
def test_the_reproducibility_is_how_fresh_seeds_correlate(method: sg.Explainer, within: float) -> None:
    x, _ = cifar_pictures(PICTURES)
    results = [sg.explain(cifar_resnet(20), x, method=method, seed=seed) for seed in range(SEEDS)]
    said = torch.stack([result.reproducibility for result in results if result.reproducibility is not None])
    assert said.shape == (SEEDS, PICTURES)
    real = torch.stack([correlation(a.maps, b.maps) for a, b in combinations(results, 2)])
    assert float(said.mean()) == pytest.approx(float(real.mean()), abs=within)
    assert float((said.mean(0) - real.mean(0)).abs().max()) < 3 * within, "each picture for itself"
