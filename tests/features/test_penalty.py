"""What pictures cost, against explicit sums; the free energy against scikit-learn and against the sum over all hidden states."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from sklearn.neural_network import BernoulliRBM
from torch import Tensor

from smoothgrad.errors import BadInput, BadMethod, MissingPackage
from smoothgrad.features import L2, RBMPrior, TotalVariation
from smoothgrad.models.digits import scans

X = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def slow_total_variation(x: Tensor, power: float) -> float:
    channels, height, width = x.shape
    total = 0.0
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        down = float(x[c, i + 1, j] - x[c, i, j]) if i + 1 < height else 0.0
        right = float(x[c, i, j + 1] - x[c, i, j]) if j + 1 < width else 0.0
        total += math.hypot(down, right) ** power
    return total


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_total_variation_is_the_explicit_sum(power: float) -> None:
    by_hand = torch.tensor([0.3 * slow_total_variation(x, power) for x in X], dtype=torch.float64)
    torch.testing.assert_close(TotalVariation(0.3, power).cost(X), by_hand)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_flat_picture_costs_nothing_and_has_no_slope(power: float) -> None:
    x = torch.full((1, 2, 4, 5), 0.7, requires_grad=True)
    cost = TotalVariation(1.0, power).cost(x).sum()
    assert float(cost.detach()) == 0
    assert torch.equal(torch.autograd.grad(cost, x)[0], torch.zeros_like(x))


def test_total_variation_has_the_slope_of_its_sum() -> None:
    assert torch.autograd.gradcheck(lambda x: TotalVariation(0.3, 1.0).cost(x), X.clone().requires_grad_())


def test_l2_is_half_the_square() -> None:
    torch.testing.assert_close(L2(0.4).cost(X), torch.stack([0.2 * (x * x).sum() for x in X]))


def small_machine() -> RBMPrior:
    chance = torch.Generator().manual_seed(1)
    w, b, c = (torch.randn(*shape, generator=chance, dtype=torch.float64) for shape in ((3, 4), (4,), (3,)))
    return RBMPrior(w, b, c)


def test_the_free_energy_is_that_of_the_sum_over_all_hidden_states() -> None:
    machine = small_machine()
    w, b, c = machine.connections.tensor, machine.visible.tensor, machine.hidden.tensor  # type: ignore[union-attr]
    v = torch.rand(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    states = [torch.tensor(bits, dtype=torch.float64) for bits in itertools.product([0.0, 1.0], repeat=3)]
    # exp(-F(v)) = sum_h exp(b.v + c.h + h.Wv)
    by_hand = torch.stack([-torch.stack([b @ row + c @ h + h @ w @ row for h in states]).logsumexp(0) for row in v])
    torch.testing.assert_close(machine.free_energy(v), by_hand)
    torch.testing.assert_close(machine.free_energy(v.view(5, 1, 2, 2)), by_hand)


def test_its_slope_is_minus_b_minus_what_the_hidden_units_expect() -> None:
    machine = small_machine()
    w, b, c = machine.connections.tensor, machine.visible.tensor, machine.hidden.tensor  # type: ignore[union-attr]
    v = torch.rand(1, 4, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(machine.cost(v).sum(), v)
    torch.testing.assert_close(slope[0], -b - w.T @ (c + w @ v[0].detach()).sigmoid())


def test_the_free_energy_is_scikit_learns_own() -> None:
    x = scans().x[:200]
    machine = RBMPrior.fit(x, hidden=8, steps=2, seed=3)
    theirs = BernoulliRBM(n_components=8, learning_rate=0.05, n_iter=2, random_state=3).fit(
        x.flatten(1).double().numpy()
    )
    free = torch.tensor(theirs._free_energy(x.flatten(1).double().numpy()))
    torch.testing.assert_close(machine.free_energy(x.double()), free)
    torch.testing.assert_close(machine.free_energy(x), free.float(), rtol=1e-5, atol=1e-4)
    assert machine == RBMPrior.fit(x, hidden=8, steps=2, seed=3)
    assert machine != RBMPrior.fit(x, hidden=8, steps=2, seed=4)


def test_digits_are_likelier_than_noise_under_a_machine_that_has_learned_them() -> None:
    data = scans()
    machine = RBMPrior.fit(data.x[data.train], hidden=32, steps=5)
    digits = data.x[data.held_out]
    noise = digits.flatten(1)[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))].view_as(digits)
    assert float((machine.free_energy(digits) < machine.free_energy(noise)).float().mean()) > 0.95


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: L2(-1.0), BadMethod, "weight >= 0"),
        (lambda: TotalVariation(math.nan), BadMethod, "weight >= 0"),
        (lambda: TotalVariation(1.0, 0.0), BadMethod, "power > 0"),
        (lambda: TotalVariation(1.0).cost(torch.zeros(2, 3)), BadMethod, "height, width"),
        (
            lambda: RBMPrior(torch.zeros(3, 4), torch.zeros(3), torch.zeros(3)),
            BadMethod,
            r"\(3, 4\), \(3,\) and \(3,\)",
        ),
        (lambda: RBMPrior.fit(2 * torch.ones(3, 4)), BadInput, "values from 2 to 2"),
        (
            lambda: small_machine().free_energy(torch.zeros(1, 5)),
            BadInput,
            "learned pictures of 4 values, and these have 5",
        ),
    ],
)
def test_what_means_nothing_is_refused(make: object, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        make()  # type: ignore[operator]


def test_without_scikit_learn_fit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with pytest.raises(MissingPackage, match=r"pip install 'smoothgrad\[digits\]'"):
        RBMPrior.fit(torch.rand(3, 4))
