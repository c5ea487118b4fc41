"""Products, sums and differences of explainers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.explainers.combine import Difference, Product, Sum

X = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NOISY = sg.smoothgrad(0.2, 12)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 3)).double().eval()


def explained(net: nn.Module, method: sg.Explainer, **given: int) -> sg.Attribution:
    return sg.explain(net, X, method=method, target=1, seed=5, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "join"), [(Product, torch.mul), (Sum, torch.add), (Difference, torch.sub)], ids=lambda part: part.__name__
)
def test_maps_are_joined_value_by_value(net: nn.Module, kind: type, join: object) -> None:
    one, other = sg.gradient(), sg.integrated_gradients(4)
    found = explained(net, kind(one, other))
    assert callable(join)
    torch.testing.assert_close(found.maps, join(explained(net, one).maps, explained(net, other).maps))
    assert found.stderr is None
    assert found.passes.tolist() == [5, 5, 5]


@pytest.mark.parametrize("turned", [False, True])
def test_a_factor_without_noise_scales_the_error(net: nn.Module, turned: bool) -> None:
    noisy, plain = explained(net, NOISY), explained(net, sg.gradient())
    found = explained(net, Product(sg.gradient(), NOISY) if turned else Product(NOISY, sg.gradient()))
    assert noisy.stderr is not None
    assert found.stderr is not None
    torch.testing.assert_close(found.stderr, noisy.stderr * plain.maps.abs())
    assert found.draws.tolist() == [12, 12, 12]
    assert found.passes.tolist() == [13, 13, 13]
    assert torch.equal(found.freedom, noisy.freedom)  # type: ignore[arg-type]
    assert found.reproducibility is not None


def test_the_error_of_a_difference_of_two_that_scatter_is_an_upper_bound(net: nn.Module) -> None:
    """Over real seeds: the two see the same noise, so that the truth is well below."""
    method = Difference(NOISY, sg.smoothgrad(0.3, 12))
    runs = [sg.explain(net, X, method=method, target=1, seed=seed) for seed in range(60)]
    real = torch.stack([run.maps for run in runs]).std(0)
    said = torch.stack([run.stderr for run in runs]).mean(0)  # type: ignore[misc]
    assert (real < 1.2 * said).all()


def test_a_difference_with_itself_is_zero(net: nn.Module) -> None:
    """Both see the same noise."""
    assert explained(net, Difference(NOISY, NOISY)).maps.abs().max() < 1e-15


def test_sums_of_paths_are_complete(net: nn.Module) -> None:
    path = sg.integrated_gradients(16)
    both = explained(net, Sum(path, sg.integrated_gradients(16, baseline=sg.White())))
    assert both.completeness is not None
    torch.testing.assert_close(both.completeness.total, both.completeness.change, rtol=1e-6, atol=1e-8)
    assert explained(net, Sum(path, sg.gradient())).completeness is None
    assert explained(net, Product(path, path)).completeness is None


def test_combinations_compose(net: nn.Module) -> None:
    pair = Product(sg.gradient(), sg.input_x_gradient())
    found = explained(net, pair.over(sg.Gaussian(0.2, 8)).then(sg.Absolute()))
    assert found.stderr is not None
    assert found.maps.min() >= 0
    again = explained(net, pair.over(sg.Gaussian(0.2, 8)).then(sg.Absolute()), chunk=1)
    torch.testing.assert_close(found.maps, again.maps)


def test_recipes() -> None:
    method = Product(NOISY, sg.gradient())
    assert sg.from_recipe(repr(method)) == method
    assert sg.from_recipe("Difference(smoothgrad(samples=8), gradient())") == Difference(
        sg.smoothgrad(samples=8), sg.gradient()
    )


def test_what_is_no_explainer_is_refused() -> None:
    with pytest.raises(sg.errors.BadMethod, match="takes as second"):
        Product(sg.gradient(), sg.Gaussian())  # type: ignore[arg-type]


def test_several_maps_per_row_are_refused() -> None:
    several = sg.Gradient().over(sg.Gaussian(0.1, 8), sg.Together(sg.Mean(), sg.Variance()))
    with pytest.raises(sg.errors.BadMethod, match="Together gives several maps per row, and Difference takes one"):
        Difference(several, sg.gradient())


def test_a_tolerance_that_one_of_them_missed_is_said(net: nn.Module) -> None:
    missed, easy = (sg.smoothgrad(0.2, sg.Until(aim, least=4, most=8)) for aim in (1e-6, 10.0))
    assert explained(net, Sum(missed, sg.gradient())).converged.tolist() == [False] * 3  # type: ignore[union-attr]
    assert explained(net, Product(easy, missed)).converged.tolist() == [False] * 3  # type: ignore[union-attr]
    assert explained(net, Sum(easy, easy)).converged.tolist() == [True] * 3  # type: ignore[union-attr]
    assert explained(net, Sum(sg.gradient(), NOISY)).converged is None
    assert explained(net, sg.NoisyWeights(missed, samples=2)).converged.tolist() == [False] * 3  # type: ignore[union-attr]
