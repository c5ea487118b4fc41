"""The score itself, asked at points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import NonFinite
from smoothgrad.explainers.score import PointScore
from tests.nets import small_net
from tests.truth import Linear, Sine, W

NET = small_net().double()
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_a_picture_has_one_number_for_each_target(chunk: int) -> None:
    target = torch.tensor([4, 0, 2])
    estimate = PointScore().estimate(NET, Query.of(X, target), Schedule(chunk))
    assert estimate.value.shape == (3, 1, 1, 1)
    torch.testing.assert_close(estimate.value.flatten(), NET(X).gather(1, target[:, None])[:, 0])
    assert estimate.stderr is None
    assert estimate.draws.tolist() == [1, 1, 1]


def test_the_map_of_a_picture_has_the_score_at_every_pixel() -> None:
    result = sg.explain(NET, X, method=PointScore(), target=1)
    assert result.maps.shape == X.shape
    torch.testing.assert_close(result.maps.sum(1), NET(X)[:, 1, None, None].expand(3, 8, 8))
    assert result.unit == "score"


def test_features_have_it_each() -> None:
    x = torch.rand(2, 4, dtype=torch.float64)
    result = sg.explain(Linear(W), x, method=PointScore(), target=0)
    torch.testing.assert_close(result.maps, (x @ W + 0.3)[:, None].expand(2, 4))


def test_over_noise_it_is_the_mean_score() -> None:
    # E sum sin(x + e) = sum sin(x) exp(-s^2 / 2)
    x = torch.tensor([[0.4, -0.7, 1.1, 0.2]], dtype=torch.float64).repeat(200, 1)
    method = PointScore().over(sg.Gaussian(0.5, 40, unit="absolute"))
    result = sg.explain(Sine(), x, method=method, target=0)
    assert result.stderr is not None
    truth = x.sin().sum(1) * math.exp(-(0.5**2) / 2)
    z = (result.maps[:, 0] - truth) / result.stderr[:, 0]
    assert 0.85 < float(z.square().mean().sqrt()) < 1.2
    assert abs(float(z.mean())) < 0.25


class Steps(nn.Module):
    """Scores that have no gradient, and the wish that none is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return (x.flatten(1) > 0).double()


def test_nothing_is_differentiated() -> None:
    value = PointScore().estimate(Steps(), Query.of(X, 0), Schedule(2)).value
    assert value.flatten().tolist() == (X[:, 0, 0, 0] > 0).double().tolist()


class Log(nn.Module):
    """log of the sum: -infinity at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True).log()


def test_a_score_that_is_no_number_is_an_error_with_its_row() -> None:
    x = torch.ones(2, 2, dtype=torch.float64)
    x[1] = 1e-300
    query = Query.of(x, 0)
    with pytest.raises(NonFinite, match="the score of row 1 is NaN or infinity"):
        PointScore().estimate(Log(), query.with_x(torch.stack([x[0], 0 * x[0]])), Schedule(2))
