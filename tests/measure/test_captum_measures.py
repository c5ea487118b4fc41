"""The same disturbances given to captum's infidelity and sensitivity: the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.measure.case import Case
from smoothgrad.measure.infidelity import Infidelity, ScaledInfidelity, disturbances
from smoothgrad.measure.robustness import MaxSensitivity

metrics = pytest.importorskip("captum.metrics")

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 2, 1, 2])
SAMPLES = 12


def small() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.Softplus(), nn.Flatten(), nn.Linear(96, 3)]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def in_captums_order(draws: Tensor) -> Tensor:
    """(k, N, ...) -> (N*k, ...): captum repeats each row next to itself."""
    return draws.transpose(0, 1).flatten(0, 1)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("unit", ["range", "absolute"])
def test_infidelity_is_that_of_captum(unit: str, normalize: bool) -> None:
    model, query = small(), Query.of(X, TARGET)
    maps = sg.Gradient().estimate(model, query, Schedule(8)).value * 1.7
    moved = in_captums_order(disturbances(query, 0.2, unit)(range(SAMPLES)))  # type: ignore[arg-type]
    theirs = metrics.infidelity(
        model, lambda x: (moved, x - moved), X, maps, target=TARGET, n_perturb_samples=SAMPLES, normalize=normalize
    )
    make = ScaledInfidelity if normalize else Infidelity
    ours = make(0.2, SAMPLES, unit)(model, query, maps)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs.double(), rtol=2e-3 if normalize else 1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [sg.Gradient(), sg.smoothgrad(noise=0.3, samples=3)], ids=["gradient", "smoothgrad"])
def test_max_sensitivity_is_that_of_captum(method: Explainer) -> None:
    model, query = small(), Query.of(X, TARGET)

    def explain(x: Tensor, target: Tensor) -> Tensor:
        keys = query.key.repeat_interleave(len(x) // 4)
        asked = Query(x, x, target, keys, torch.arange(len(x)), len(x))
        return method.estimate(model, asked, Schedule(16)).value

    def explain_theirs(rows: tuple[Tensor, ...] | Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return (explain(rows[0] if isinstance(rows, tuple) else rows, target),)

    def near(x: Tensor, radius: float) -> Tensor:
        u = uniform(salted(query.key, "nearby"), range(SAMPLES), query.shape)
        return x + radius * (2 * in_captums_order(u) - 1)

    theirs = metrics.sensitivity_max(
        explain_theirs, X, near, perturb_radius=0.05, n_perturb_samples=SAMPLES, target=TARGET
    )
    maps = explain(X, TARGET)
    case = Case(model, query, maps, Schedule(16), method)
    ours = MaxSensitivity(0.05, SAMPLES, "absolute").judge(case).value
    torch.testing.assert_close(ours, theirs.double(), rtol=1e-4, atol=1e-6)
