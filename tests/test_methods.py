"""The methods against closed forms, against their slow twins, and against what they say of their own error."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core import noise as numbers
from smoothgrad.core.noise import mix, salted
from smoothgrad.errors import BadMethod
from smoothgrad.methods import named
from smoothgrad.samplers.path import GOLDEN
from smoothgrad.samplers.quadrature import Quadrature, nodes_and_weights
from smoothgrad.samplers.spread import BLOCK, Sampling
from tests import slow
from tests.truth import TRUTHS, Quadratic, Truth, X, symmetric

S = 0.4  # the noise, in units of the input
DATA = torch.tensor([[0.0, 0.5, -0.5, 1.0], [-1.0, 0.3, 0.1, 0.2], [0.7, -0.2, 0.4, -0.9]], dtype=torch.float64)


# --- closed forms -----------------------------------------------------------------------------------------------------


def exact(method: sg.Explainer, truth: Truth, x: Tensor = X[None]) -> Tensor:
    return sg.explain(truth, x, method=method, target=0).maps


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_gradients_are_the_closed_form(truth: Truth) -> None:
    x = torch.stack([X, 2 * X, X - 1])
    torch.testing.assert_close(exact(sg.gradient(), truth, x), truth.gradient(x))
    torch.testing.assert_close(exact(sg.input_x_gradient(), truth, x), x * truth.gradient(x))


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_integrated_gradients_are_the_closed_form(truth: Truth) -> None:
    x, b = torch.stack([X, 2 * X]), DATA[:2]
    # The ramp has a kink, where the quadrature converges slowly.
    ramp = truth is TRUTHS["ramp"]
    method = sg.integrated_gradients(
        3001 if ramp else 12, baseline=sg.Given(b), quadrature="midpoint" if ramp else "gauss-legendre"
    )
    torch.testing.assert_close(
        exact(method, truth, x), truth.path(x, b), rtol=2e-3 if ramp else 1e-8, atol=1e-3 if ramp else 1e-10
    )


def test_no_noise_leaves_the_gradient() -> None:
    truth = TRUTHS["sine"]
    torch.testing.assert_close(exact(sg.smoothgrad(0.0, 3), truth), truth.gradient(X[None]))
    torch.testing.assert_close(exact(sg.smoothgrad_squared(0.0, 3), truth), truth.gradient(X[None]).square())
    assert float(exact(sg.vargrad(0.0, 3), truth).max()) < 1e-30
    assert not exact(sg.smooth_taylor(0.0, 3), truth).any()


def test_a_linear_network_has_no_variance() -> None:
    result = sg.explain(TRUTHS["linear"], X[None], method=sg.vargrad(S, 20, unit="absolute"), target=0)
    assert float(result.maps.max()) < 1e-30
    result = sg.explain(TRUTHS["linear"], X[None], method=sg.smoothgrad(S, 20, unit="absolute"), target=0)
    assert result.stderr is not None
    assert float(result.stderr.max()) < 1e-15


def test_antithetic_pairs_are_exact_on_a_quadratic() -> None:
    truth = TRUTHS["quadratic"]
    result = sg.explain(truth, X[None], method=sg.smoothgrad(S, 8, unit="absolute", sampling="antithetic"), target=0)
    assert result.stderr is not None
    torch.testing.assert_close(result.maps, truth.gradient(X[None]), rtol=0, atol=1e-12)
    assert float(result.stderr.max()) < 1e-12


def test_the_reported_error_of_a_quadratic_is_its_true_one() -> None:
    truth, n = Quadratic(symmetric(6)), 2000
    x = torch.linspace(-1, 1, 6, dtype=torch.float64)[None]
    result = sg.explain(truth, x, method=sg.smoothgrad(S, n, unit="absolute"), target=0)
    assert result.stderr is not None
    # The sample standard deviation of n normal numbers scatters by 1 / sqrt(2 n) = 1.6 %.
    torch.testing.assert_close(result.stderr, truth.stderr(x, S, n), rtol=0.05, atol=0)


# --- what they say of their own error: (estimate - truth) / stderr is standard normal ---------------------------------

ROWS, DRAWS = 250, 400


def z_scores(method: sg.Explainer, truth: Truth, expected: Tensor) -> Tensor:
    """(rows, D): the same row under many keys, which is under many seeds."""
    result = sg.explain(truth, X.expand(ROWS, -1), method=method, target=0, chunk=200_000)
    assert result.stderr is not None
    return (result.maps - expected) / result.stderr


def check_normal(z: Tensor, *, at_most: bool = False) -> None:
    """Mean 0, standard deviation 1 (or less), and the shape of the bell, one column at a time."""
    for column in z.T.numpy():
        # Skewed answers lean a little on their errors: up to 0.1 of them, measured, with the draws that are taken here.
        assert abs(column.mean()) < 4 * column.std() / math.sqrt(len(column)) + 0.1
        assert column.std() < 1.15
        if not at_most:
            assert column.std() > 0.87
            assert 0.89 < (abs(column) < 1.96).mean() < 0.985  # 0.93 of the variance of a cubic, whose tails are long
            assert stats.kstest(column, "norm").pvalue > 1e-3


CURVED = ["ramp", "quadratic", "sine", "cubic"]


@pytest.mark.parametrize("name", CURVED)
def test_smoothgrad_errors_are_as_reported(name: str) -> None:
    truth = TRUTHS[name]
    method = sg.Gradient().over(
        sg.Gaussian(S, DRAWS, "absolute"), sg.Together(sg.Mean(), sg.SquareMean(), sg.Variance())
    )
    parts = sg.explain(truth, X.expand(ROWS, -1), method=method, target=0, chunk=200_000).parts()
    for part, expected in zip(parts.values(), truth.noisy(X[None], S), strict=True):
        assert part.stderr is not None
        # z-scores of skewed quantities near 0 (a squared small gradient) approach the bell slowly: the widest columns are kept
        column = int(expected[0].abs().argmax())
        check_normal(((part.maps - expected) / part.stderr)[:, [column]])


SAMPLING = pytest.mark.parametrize("sampling", ["antithetic", "sobol", "stratified"])
BLOCKS = 200  # enough for the mean of blocks to be nearly normal


@SAMPLING
@pytest.mark.parametrize("name", ["ramp", "sine", "cubic"])
def test_errors_are_as_reported_however_draws_are_spread(sampling: Sampling, name: str) -> None:
    truth = TRUTHS[name]
    method = sg.smoothgrad(S, BLOCKS * BLOCK[sampling], unit="absolute", sampling=sampling)
    check_normal(z_scores(method, truth, truth.noisy(X[None], S).mean))


@pytest.mark.parametrize(("sampling", "part"), [("stratified", 0.35), ("sobol", 0.5)])
def test_an_additive_gradient_is_much_surer_when_draws_are_stratified(sampling: Sampling, part: float) -> None:
    """The gradients of the sine and the quadratic are sums of functions of one value."""
    for name in ("sine", "quadratic"):
        errors = []
        for way in ("independent", sampling):
            method = sg.smoothgrad(S, DRAWS, unit="absolute", sampling=way)
            result = sg.explain(TRUTHS[name], X.expand(40, -1), method=method, target=0, chunk=200_000)
            assert result.stderr is not None
            errors.append(float(result.stderr.norm()))
        assert errors[1] < part * errors[0]


@SAMPLING
def test_the_variance_over_blocks_is_unbiased_and_its_error_cautious(sampling: Sampling) -> None:
    truth = TRUTHS["sine"]
    method = sg.vargrad(S, BLOCKS * BLOCK[sampling], unit="absolute", sampling=sampling)
    result = sg.explain(truth, X.expand(ROWS, -1), method=method, target=0, chunk=200_000)
    assert result.stderr is not None
    # Not by z-scores: a variance and its own error are both large when a rare draw is far out, so that their ratio leans.
    scatter = result.maps.std(0)
    assert bool(((result.maps.mean(0) - truth.noisy(X, S).variance).abs() < 4 * scatter / math.sqrt(ROWS)).all())
    assert bool((scatter < 1.1 * result.stderr.square().mean(0).sqrt()).all())


@SAMPLING
def test_squares_however_draws_are_spread(sampling: Sampling) -> None:
    truth = TRUTHS["sine"]
    method = sg.smoothgrad_squared(S, BLOCKS * BLOCK[sampling], unit="absolute", sampling=sampling)
    check_normal(z_scores(method, truth, truth.noisy(X[None], S).square))


@pytest.mark.parametrize("name", ["quadratic", "sine", "ramp"])
def test_smooth_taylor_errors_are_as_reported(name: str) -> None:
    truth = TRUTHS[name]
    check_normal(z_scores(sg.smooth_taylor(S, DRAWS, unit="absolute"), truth, truth.taylor(X[None], S)))


@pytest.mark.parametrize("name", ["quadratic", "sine"])
def test_expected_gradients_errors_are_as_reported(name: str) -> None:
    truth = TRUTHS[name]
    expected = torch.stack([truth.path(X[None], b[None]) for b in DATA]).mean(0)
    check_normal(z_scores(sg.expected_gradients(DATA, DRAWS), truth, expected))


@pytest.mark.parametrize("sampling", ["independent", "antithetic", "sobol", "stratified"])
@pytest.mark.parametrize("name", ["linear", "quadratic", "sine", "cubic"])
def test_smooth_integrated_gradients_errors_are_cautious(name: str, sampling: Sampling) -> None:
    truth, draws = TRUTHS[name], max(DRAWS, BLOCKS * BLOCK[sampling])
    method = sg.smooth_integrated_gradients(S, draws, baseline=sg.Given(DATA[0]), unit="absolute", sampling=sampling)
    expected = truth.noisy_path(X[None], DATA[:1], S)
    if name == "linear" and sampling == "antithetic":
        torch.testing.assert_close(exact(method, truth), expected)
        return
    check_normal(z_scores(method, truth, expected), at_most=True)


@pytest.mark.parametrize("sampling", ["independent", "antithetic", "sobol", "stratified"])
def test_several_baselines_of_a_noisy_path_are_averaged(sampling: Sampling) -> None:
    truth = TRUTHS["cubic"]
    baseline = sg.Several(*map(sg.Given, DATA))
    method = sg.smooth_integrated_gradients(S, 100 * 24, baseline=baseline, unit="absolute", sampling=sampling)
    expected = torch.stack([truth.noisy_path(X[None], b[None], S) for b in DATA]).mean(0)
    check_normal(z_scores(method, truth, expected), at_most=True)


def test_joint_and_nested_smooth_paths_have_one_limit() -> None:
    truth = TRUTHS["cubic"]
    nested = sg.smooth_integrated_gradients(S, DRAWS, steps=4, unit="absolute")
    check_normal(z_scores(nested, truth, truth.noisy_path(X[None], torch.zeros(1, 4, dtype=X.dtype), S)))


def test_a_tolerance_is_kept() -> None:
    truth = TRUTHS["cubic"]
    method = sg.smoothgrad(S, sg.Until(0.05, least=16, most=4096), unit="absolute")
    result = sg.explain(truth, X.expand(50, -1), method=method, target=0)
    assert result.relative_error is not None
    assert float(result.relative_error.max()) <= 0.05
    assert len(result.draws.unique()) > 1, "rows stop when they are ready, not together"
    actual = (result.maps - truth.noisy(X[None], S).mean).norm(dim=1) / truth.noisy(X[None], S).mean.norm()
    assert float(actual.square().mean().sqrt()) < 0.06


# --- slow twins -------------------------------------------------------------------------------------------------------


def network() -> nn.Sequential:
    """Smooth and kinked layers for rows (2, 6, 6), in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 4, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 8),
            nn.ReLU(),
            nn.Linear(8, 5),
        )
    return net.double().eval()


NET = network()
ROW = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.3
SEED, KEY, TARGET, N = 11, 42, 3, 6
KEYS = mix(torch.tensor([SEED]), torch.tensor([KEY]))  # what the row's numbers are drawn by
RANGE = float(ROW.max() - ROW.min())


def fast(method: sg.Explainer) -> Tensor:
    return sg.explain(NET, ROW[None], method=method, target=TARGET, seed=SEED, keys=[KEY]).maps[0]


def noise(level: float, n: int = N) -> list[Tensor]:
    """s e_k, one draw at a time, s a fraction of the row's range."""
    return [level * RANGE * numbers.normal(KEYS, range(k, k + 1), ROW.shape)[0, 0].double() for k in range(n)]


def agree(fast: Tensor, slow: Tensor) -> None:
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-9)
    assert slow.any()


def test_gradient_is_its_twin() -> None:
    agree(fast(sg.gradient()), slow.gradient(NET, ROW, TARGET))
    agree(fast(sg.input_x_gradient()), ROW * slow.gradient(NET, ROW, TARGET))
    agree(fast(sg.gradient()), slow.relevance(NET, ROW, TARGET, slow.plain))


def test_smoothgrad_is_its_twin() -> None:
    agree(fast(sg.smoothgrad(0.2, N)), slow.smoothgrad(NET, ROW, TARGET, noise(0.2)))


def test_smoothgrad_squared_is_its_twin() -> None:
    agree(fast(sg.smoothgrad_squared(0.2, N)), slow.smoothgrad_squared(NET, ROW, TARGET, noise(0.2)))


def test_vargrad_is_its_twin() -> None:
    agree(fast(sg.vargrad(0.2, N)), slow.vargrad(NET, ROW, TARGET, noise(0.2)))


def test_antithetic_smoothgrad_is_its_twin() -> None:
    mirrored = [sign * e for e in noise(0.2, N // 2) for sign in (1, -1)]
    agree(fast(sg.smoothgrad(0.2, N, sampling="antithetic")), slow.smoothgrad(NET, ROW, TARGET, mirrored))


@pytest.mark.parametrize("quadrature", ["gauss-legendre", "midpoint", "trapezoid", "left", "right", "simpson"])
def test_integrated_gradients_is_its_twin(quadrature: Quadrature) -> None:
    b = ROW.flip(-1) / 2
    nodes, weights = nodes_and_weights(quadrature, 7)
    twin = slow.integrated_gradients(NET, ROW, TARGET, b, zip(nodes.tolist(), weights.tolist(), strict=True))
    agree(fast(sg.integrated_gradients(7, baseline=sg.Given(b), quadrature=quadrature)), twin)


def test_smooth_integrated_gradients_is_its_twin() -> None:
    shift = float(numbers.uniform(salted(KEYS, "place"), range(1), torch.Size([])))
    places = [(shift + k * GOLDEN) % 1 for k in range(N)]
    twin = slow.smooth_integrated_gradients(NET, ROW, TARGET, torch.zeros_like(ROW), noise(0.1), places)
    agree(fast(sg.smooth_integrated_gradients(0.1, N)), twin)


def test_expected_gradients_is_its_twin() -> None:
    data = torch.rand(4, *ROW.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    draws = range(N)
    chosen = (numbers.uniform(salted(KEYS, "data"), draws, torch.Size([1])).flatten() * len(data)).long()
    places = numbers.uniform(salted(KEYS, "place"), draws, torch.Size([])).flatten().tolist()
    twin = slow.expected_gradients(NET, ROW, TARGET, [data[i] for i in chosen.tolist()], places)
    agree(fast(sg.expected_gradients(data, N)), twin)


def test_smooth_taylor_is_its_twin() -> None:
    agree(fast(sg.smooth_taylor(0.2, N)), slow.smooth_taylor(NET, ROW, TARGET, noise(0.2)))


def test_guided_backprop_is_its_twin() -> None:
    agree(fast(sg.guided_backprop()), slow.relevance(NET, ROW, TARGET, slow.guided))


def test_deconvnet_is_its_twin() -> None:
    agree(fast(sg.deconvnet()), slow.relevance(NET, ROW, TARGET, slow.deconv))


@pytest.mark.parametrize("q", [0.0, 30.0, 80.0])
def test_rectgrad_is_its_twin(q: float) -> None:
    agree(fast(sg.rectgrad(q)), ROW * slow.relevance(NET, ROW, TARGET, slow.rectified(q)))


def test_smoothed_guided_backprop_is_its_twin() -> None:
    twin = torch.stack([slow.relevance(NET, ROW + e, TARGET, slow.guided) for e in noise(0.2)]).mean(0)
    agree(fast(sg.smoothgrad(0.2, N, rule=sg.Guided())), twin)


def test_variance_of_integrated_gradients_is_its_twin() -> None:
    nodes, weights = nodes_and_weights("gauss-legendre", 3)
    zero = torch.zeros_like(ROW)
    maps = [
        slow.integrated_gradients(NET, ROW + e, TARGET, zero, zip(nodes.tolist(), weights.tolist(), strict=True))
        for e in noise(0.2)
    ]
    method = sg.integrated_gradients(3).over(sg.Gaussian(0.2, N), sg.Variance())
    agree(fast(method), torch.from_numpy(np.var(torch.stack(maps).numpy(), axis=0, ddof=1)))


def test_contrast_explains_the_difference_of_two_scores() -> None:
    result = sg.explain(NET, ROW[None], method=sg.gradient(), target=sg.Contrast(sg.Class(1), sg.Class(4)))
    agree(result.maps[0], slow.gradient(NET, ROW, 1) - slow.gradient(NET, ROW, 4))


# --- axioms of Integrated Gradients (Sundararajan et al. 2017) --------------------------------------------------------


def attributions(net: nn.Module, x: Tensor, steps: int = 2001, baseline: Tensor | None = None) -> Tensor:
    b = sg.Zero() if baseline is None else sg.Given(baseline)
    return sg.explain(net, x, method=sg.integrated_gradients(steps, baseline=b, quadrature="midpoint"), target=0).maps


class Function(nn.Module):
    """A function of rows (N, D) as a network of two classes."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        assert callable(self.function)
        f = self.function(x)
        return torch.stack([f, -f], 1)


PAIR = torch.tensor([[2.0, 0.5], [-0.4, 1.5]], dtype=torch.float64)


def test_completeness() -> None:
    result = sg.explain(NET, ROW[None], method=sg.integrated_gradients(2000, quadrature="midpoint"))
    assert result.completeness is not None
    difference = NET(ROW[None]).amax() - NET(torch.zeros_like(ROW[None]))[0, int(result.target)]
    torch.testing.assert_close(result.maps.sum(), difference.detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(result.completeness.change[0], difference.detach())
    torch.testing.assert_close(result.completeness.total[0], result.maps.sum())
    assert float(result.completeness.error) < 1e-3


def test_sensitivity_where_the_gradient_saturates() -> None:
    # f = 1 - relu(1 - x): flat at x = 2, where the gradient gives nothing; the paper's own example.
    net = Function(lambda x: 1 - (1 - x[:, 0]).relu())
    assert not sg.explain(net, PAIR[:1], method=sg.gradient(), target=0).maps.any()
    torch.testing.assert_close(
        attributions(net, PAIR[:1]), torch.tensor([[1.0, 0.0]], dtype=torch.float64), rtol=0, atol=1e-3
    )


def test_implementation_invariance() -> None:
    one = Function(lambda x: (x[:, 0] - x[:, 1]).relu())
    other = Function(lambda x: torch.maximum(x[:, 0], x[:, 1]) - x[:, 1])
    torch.testing.assert_close(attributions(one, PAIR), attributions(other, PAIR), rtol=0, atol=1e-3)


def test_linearity() -> None:
    f, g = Function(lambda x: x.prod(1).tanh()), Function(lambda x: x.sin().sum(1))
    both = Function(lambda x: 2 * x.prod(1).tanh() - 3 * x.sin().sum(1))
    torch.testing.assert_close(
        attributions(both, PAIR, 50), 2 * attributions(f, PAIR, 50) - 3 * attributions(g, PAIR, 50)
    )


def test_a_dummy_gets_nothing() -> None:
    assert not attributions(Function(lambda x: x[:, 0].exp() + 0 * x[:, 1]), PAIR, 10)[:, 1].any()


def test_symmetric_inputs_get_the_same() -> None:
    maps = attributions(
        Function(lambda x: (x[:, 0] * x[:, 1]).tanh()), torch.full((1, 2), 0.7, dtype=torch.float64), 30
    )
    assert torch.equal(maps[:, 0], maps[:, 1])


@pytest.mark.parametrize("power", range(1, 12))
def test_a_power_over_the_unit_interval_gets_one(power: int) -> None:
    # f = x^p, whose gradient has degree p - 1: m Gauss-Legendre nodes are exact to degree 2 m - 1.
    one = torch.ones(1, 1, dtype=torch.float64)
    steps = max(1, math.ceil(power / 2))
    method = sg.integrated_gradients(steps)
    maps = sg.explain(Function(lambda x: x[:, 0] ** power), one, method=method, target=0).maps
    assert float(maps) == pytest.approx(1, abs=1e-12)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sg.METHODS.values(), ids=sg.METHODS)
def test_every_method_has_formula_papers_and_summary(method: object) -> None:
    from smoothgrad.methods.method import Method

    assert isinstance(method, Method)
    assert sg.METHODS[method.name] is method
    assert getattr(sg, method.name) is method.make
    assert method.formula
    assert 20 < len(method.summary) < 140
    assert "\n" not in method.summary
    made = method.make(*[DATA for _ in method.needs])
    cited = sg.citation(made)
    for key, paper in zip(method.papers, method.citations, strict=True):
        assert paper.bibtex(key) in cited, f"{method.name} is made of pieces that do not cite {key}"


def test_a_composition_cites_all_of_its_pieces_once() -> None:
    cited = sg.citation(sg.integrated_gradients(8).over(sg.Gaussian(0.1, 4), sg.Variance()))
    keys = [line.partition("{")[2].rstrip(",") for line in cited.splitlines() if line.startswith("@")]
    assert sorted(keys) == ["adebayo2018", "seo2018", "simonyan2013", "smilkov2017", "sundararajan2017"]


@pytest.mark.parametrize(
    ("sampling", "papers"),
    [
        ("independent", []),
        ("antithetic", ["hammersley1956"]),
        ("sobol", ["owen1997", "sobol1967"]),
        ("stratified", ["mckay1979"]),
    ],
)
def test_the_way_draws_are_spread_is_cited(sampling: Sampling, papers: list[str]) -> None:
    for method in (
        sg.smoothgrad(samples=8, sampling=sampling),
        sg.smooth_integrated_gradients(samples=8, sampling=sampling),
    ):
        plain = sg.citation(sg.smooth_integrated_gradients())
        new = [key for key in sg.citation(method).split("\n\n") if key not in plain]
        assert sorted(entry.partition("{")[2].partition(",")[0] for entry in new) == papers


def test_steps_and_tolerance_exclude_each_other() -> None:
    with pytest.raises(BadMethod, match=r"steps or tolerance, not both; got steps=5, tolerance=0\.1"):
        sg.integrated_gradients(5, tolerance=0.1)


@pytest.mark.parametrize("name", sorted(sg.METHODS))
def test_every_method_is_called_by_its_name(name: str) -> None:
    entry = sg.METHODS[name]
    method = entry.make(torch.zeros(3, 4)) if entry.needs else entry.make()
    said = named(method)
    same = [
        other.name for other in sg.METHODS.values() if not other.needs and other.make() == method
    ]  # lrp is one of its own
    assert said.partition("(")[0] in {name, *same}
    assert sg.from_recipe(said, data=[torch.zeros(3, 4)]) == method


@pytest.mark.parametrize(
    "said",
    [
        "integrated_gradients(steps=50)",
        "integrated_gradients(steps=9, quadrature='trapezoid')",
        "integrated_gradients(tolerance=0.05)",
        "integrated_gradients(quadrature='gauss-legendre', tolerance=0.05)",
        "smoothgrad(noise=0.15, samples=48, sampling='stratified')",
        "smoothgrad_squared(noise=0.15, samples=48, sampling='antithetic')",
        "vargrad(noise=0.15, samples=48, rule=Guided(), sampling='sobol')",
        "smooth_taylor(noise=0.1, samples=8, sampling='sobol')",
        "smooth_integrated_gradients(noise=0.1, samples=200)",
        "smooth_integrated_gradients(noise=0.1, samples=Until(tolerance=0.1, least=16, most=1024), sampling='sobol')",
        "smooth_integrated_gradients(noise=0.1, samples=8, steps=32, baseline=Black(), unit='absolute', sampling='stratified')",
        "guided_backprop()",
        "rectgrad(q=98.0)",
    ],
)
def test_a_method_is_called_by_what_was_asked_for_and_no_more(said: str) -> None:
    assert named(sg.from_recipe(said)) == said


def test_nested_smooth_paths_are_integrated_gradients_over_a_cloud() -> None:
    nested = sg.smooth_integrated_gradients(0.1, 8, steps=5, baseline=sg.Black(), unit="channel", sampling="sobol")
    cloud = sg.Gaussian(0.1, 8, "channel", "sobol")
    assert nested == sg.integrated_gradients(5, baseline=sg.Black()).over(cloud)
    assert nested.passes == 40
    agree(
        fast(sg.smooth_integrated_gradients(0.2, N, steps=3)),
        torch.stack(
            [
                slow.integrated_gradients(
                    NET,
                    ROW + e,
                    TARGET,
                    torch.zeros_like(ROW),
                    zip(*(part.tolist() for part in nodes_and_weights("gauss-legendre", 3)), strict=True),
                )
                for e in noise(0.2)
            ]
        ).mean(0),
    )


def test_what_has_no_name_is_called_by_its_recipe() -> None:
    method = sg.Gradient().over(sg.Laplace(noise=0.1, samples=3), sg.Median())
    assert named(method) == repr(method)
