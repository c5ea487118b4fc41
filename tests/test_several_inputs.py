"""Several inputs explained together: closed forms of both, noise by part, and maps that come back as they went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, final

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import PER_INPUT, Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadBaseline, BadInput, BadMethod, BadNoise, NotDifferentiable, SmoothGradError
from smoothgrad.methods.deeplift import deep_lift
from smoothgrad.methods.paths import guided_integrated_gradients
from smoothgrad.methods.relevance import lrp_0, lrp_epsilon, lrp_gamma
from smoothgrad.models.packed import Packing, pack
from smoothgrad.several import Attributions
from tests.truth import Cubic, Linear, Quadratic, Ramp, Sine, Truth, symmetric

A = torch.tensor([[[0.4, -0.7], [1.1, 0.2]]], dtype=torch.float64)  # (1, 2, 2): range 1.8
B = torch.tensor([[3.0, -2.0, 5.0]], dtype=torch.float64)  # (1, 3): range 7
WIDTHS = torch.tensor([1.8] * 4 + [7.0] * 3, dtype=torch.float64)  # the range that each value's noise is relative to
W = torch.tensor([0.8, -1.2, 0.5, 0.3, 0.1, -0.2, 0.15], dtype=torch.float64)


class Joined(nn.Module):
    """A function of all values of two inputs, whose maps are known."""

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self.truth = truth
        self.eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = self.truth(torch.cat([a.flatten(1), b.flatten(1)], 1))
        return out


class Pictures(nn.Module):
    """A picture, a signal and features to four scores: convolutions with batch norms on the first two, which can be folded."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.see = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
            self.hear = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
            self.head = nn.Linear(13, 4)
            for part in self.modules():
                if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                    part.running_mean.uniform_(-0.5, 0.5)
                    part.running_var.uniform_(0.5, 2.0)
        self.double().eval()

    def forward(self, picture: Tensor, signal: Tensor, features: Tensor) -> Tensor:
        seen, heard = self.see(picture).mean((2, 3)), self.hear(signal).mean(2)
        joined = torch.cat([seen * heard, heard.tanh(), features * seen.sum(1, keepdim=True)], 1)
        out: Tensor = self.head(joined)
        return out


def rows_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


NET = Pictures()
X = (rows_of(3, 3, 6, 6), 2 * rows_of(3, 2, 9, seed=1), 5 * rows_of(3, 5, seed=2))


def run(method: sg.Explainer, x: Any = X, net: nn.Module = NET, **given: Any) -> Attributions:
    result = sg.explain(net, x, method=method, **{"seed": 4, **given})
    assert isinstance(result, Attributions)
    return result


def joined(truth: Truth, method: sg.Explainer, copies: int = 1, **given: Any) -> Attributions:
    """The map of f at (A, B), for so many rows that are equal but for their noise."""
    x = (A.expand(copies, -1, -1), B.expand(copies, -1))
    return run(method, x, Joined(truth), target=0, chunk=8192, **given)


def both(result: Attributions) -> Tensor:
    """The maps of all inputs side by side, (N, D)."""
    return torch.cat([maps.flatten(1) for maps in result.maps], 1)


def close(one: Tensor, other: Tensor, tolerance: float = 1e-9) -> None:
    assert one.shape == other.shape
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))


TOGETHER = torch.cat([A.flatten(1), B], 1)

# --- truth: what is exact ---------------------------------------------------------------------------------------------

EXACT: dict[str, Truth] = {
    "linear": Linear(W),
    "ramp": Ramp(W, c=-1.5),
    "quadratic with cross terms": Quadratic(symmetric(7)),
    "sine": Sine(),
    "cubic": Cubic(),
}
TRUTH = pytest.mark.parametrize("truth", EXACT.values(), ids=EXACT)


@TRUTH
def test_gradients_are_those_of_both(truth: Truth) -> None:
    result = joined(truth, sg.gradient())
    assert [maps.shape for maps in result.maps] == [A.shape, B.shape]
    close(both(result), truth.gradient(TOGETHER))


@TRUTH
def test_paths_move_both_and_are_complete_over_both(truth: Truth) -> None:
    ramp = isinstance(truth, Ramp)
    path = sg.integrated_gradients(8000, quadrature="midpoint") if ramp else sg.integrated_gradients(32)
    result = joined(truth, path)
    zero = torch.zeros_like(TOGETHER)
    close(both(result), truth.path(TOGETHER, zero), 3e-4 if ramp else 1e-8)
    assert result.completeness is not None
    close(result.completeness.change, truth.f(TOGETHER) - truth.f(zero))
    assert float(result.completeness.error) < 1e-3
    close(both(result).sum(1), result.completeness.total)


def test_times_input_is_part_by_part() -> None:
    result = joined(Sine(), sg.input_x_gradient())
    close(result.maps[0], A * A.cos())
    close(result.maps[1], B * B.cos())


# --- truth: noise, scaled part by part --------------------------------------------------------------------------------

COPIES = 300
NOISE = 0.1
S = NOISE * WIDTHS  # the standard deviation of each value's noise


def score_of(result: Attributions, truth: Tensor) -> Tensor:
    """How many standard errors each value is off, (N, D)."""
    assert result.stderr is not None
    error = torch.cat([part.flatten(1) for part in result.stderr], 1)
    return (both(result) - truth) / error


def standard(z: Tensor) -> None:
    """Is it standard normal: the mean and the spread of each value over the rows? But for the skew of a few hundred draws."""
    assert (z.mean(0).abs() < 0.3).all()
    assert ((z.std(0) - 1).abs() < 0.3).all()


def test_a_ramp_over_both_is_smoothed_by_the_noise_of_both() -> None:
    # relu(w.a + v.b + c), e_a ~ N(0, s_a^2), e_b ~ N(0, s_b^2): (w, v) Phi(z),  z = (w.a + v.b + c) / sqrt(s_a^2 w.w + s_b^2 v.v)
    ramp = Ramp(W, c=-3.0)
    result = joined(ramp, sg.smoothgrad(NOISE, 100), COPIES)
    height = TOGETHER @ W - 3.0
    phi = torch.special.ndtr(height / (S * W).norm())
    assert 0.6 < float(phi) < 0.95  # neither all nor none of the draws
    standard(score_of(result, W * phi)[:, [0, 4]])  # the other values are in proportion
    squared = joined(ramp, sg.smoothgrad_squared(NOISE, 100), COPIES)
    standard(score_of(squared, W.square() * phi)[:, [0, 4]])


def test_the_variance_of_a_quadratic_sees_each_inputs_own_noise() -> None:
    # d(x'Mx / 2)/dx = Mx, so that Var_i = sum_j M_ij^2 s_j^2: the cross terms a'Cb carry the noise of b into the map of a.
    m = symmetric(7)
    result = joined(Quadratic(m), sg.vargrad(NOISE, 200), COPIES)
    expected = m.square() @ S.square()
    close(both(result).mean(0), expected, 0.03)
    alone = m.square() @ torch.full_like(S, NOISE * 7.0).square()  # were the noise relative to the range of all values
    assert float((both(result).mean(0) / alone - 1).abs().max()) > 0.3


@pytest.mark.parametrize("unit", ["range", "channel"])
def test_a_sum_of_two_functions_has_the_maps_of_each(unit: Any) -> None:
    # f = sum sin a + sum sin b: cos(a) exp(-s_a^2 / 2), cos(b) exp(-s_b^2 / 2)
    result = joined(Sine(), sg.smoothgrad(NOISE, 200, unit=unit), COPIES)
    standard(score_of(result, TOGETHER.cos() * (-S.square() / 2).exp()))


def test_absolute_noise_is_the_same_for_all() -> None:
    result = joined(Cubic(), sg.smoothgrad(0.3, 200, unit="absolute"), COPIES)
    standard(score_of(result, 3 * (TOGETHER.square() + 0.3**2)))


CLOUDS: dict[str, sg.Sampler] = {
    "gaussian": sg.Gaussian(NOISE, 64),
    "uniform": sg.Uniform(NOISE, 64),
    "laplace": sg.Laplace(NOISE, 64),
    "antithetic": sg.Gaussian(NOISE, 64, sampling="antithetic"),
    "stratified": sg.Gaussian(NOISE, 64, sampling="stratified"),
    "sobol": sg.Uniform(NOISE, 64, sampling="sobol"),
}


def drawn(sampler: sg.Sampler, draws: int = 64) -> tuple[Tensor, Tensor]:
    """The points (k, 200, ...) that a sampler draws around (A, B), for each input."""
    packing = Packing.of((A, B))
    query = replace(Query.of(TOGETHER.expand(200, -1), 0), parts=packing.sizes)
    first, second = packing.apart(sampler.draw(query, range(draws)).points)
    return first, second


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_every_cloud_is_scaled_by_the_range_of_each(cloud: sg.Sampler) -> None:
    first, second = drawn(cloud)
    assert float((first - A).std()) == pytest.approx(NOISE * 1.8, rel=0.03)
    assert float((second - B).std()) == pytest.approx(NOISE * 7.0, rel=0.03)
    assert float((first - A).mean().abs()) < 0.01
    values = torch.stack([(first - A)[..., 0, 0].flatten(), (second - B)[..., 0].flatten()])
    assert abs(float(torch.corrcoef(values)[0, 1])) < 0.05  # noise of their own


def test_the_parts_stay_with_the_rows() -> None:
    query = replace(Query.of(TOGETHER.expand(4, -1), 0), parts=(4, 3))
    points = query.x.expand(2, -1, -1)
    some = [
        query.rows(slice(1, 3)),
        query.at(points, range(2)),
        query.for_each(torch.zeros(4, 2).long()),
        *query.split(3),
    ]
    assert {one.parts for one in some} == {(4, 3)}


def test_salt_and_pepper_are_the_extremes_of_each() -> None:
    first, second = drawn(sg.SaltAndPepper(0.5, 64))
    assert set(first[..., 0, 0].unique().tolist()) == {0.4, -0.7, 1.1}
    assert set(second[..., 0].unique().tolist()) == {3.0, -2.0, 5.0}


# --- baselines --------------------------------------------------------------------------------------------------------


def starts(baseline: sg.Baseline, **given: Any) -> tuple[Tensor, Tensor]:
    """What the path starts from in each input, read off a linear map w (x - b), (1, ...) each."""
    result = joined(Linear(torch.ones(7, dtype=torch.float64)), sg.integrated_gradients(2, baseline=baseline), **given)
    return A - result.maps[0], B - result.maps[1]


@pytest.mark.parametrize(
    ("baseline", "a", "b"),
    [
        (sg.Zero(), 0.0, 0.0),
        (sg.Constant(0.5), 0.5, 0.5),
        (sg.Constant((0.5, -1.0)), 0.5, -1.0),
        (sg.White(), 1.1, 5.0),
        (sg.Black(), -0.7, -2.0),
        (sg.ChannelMean(), 0.25, 2.0),  # of two inputs, the mean of each
        (sg.Several(sg.Black(), sg.White()), 0.2, 1.5),  # their mean
    ],
    ids=repr,
)
def test_baselines_are_those_of_each_input(baseline: sg.Baseline, a: float, b: float) -> None:
    first, second = starts(baseline)
    torch.testing.assert_close(first, torch.full_like(A, a), rtol=0, atol=1e-9)
    torch.testing.assert_close(second, torch.full_like(B, b), rtol=0, atol=1e-9)


def test_given_baselines_and_data_are_packed() -> None:
    mine = (rows_of(1, 2, 2, seed=7), rows_of(1, 3, seed=8))
    for one, other in zip(starts(sg.Given(pack(mine))), mine, strict=True):
        close(one, other)
    data = (mine[0].repeat(6, 1, 1), mine[1].repeat(6, 1))  # six rows alike
    for one, other in zip(starts(sg.FromData(pack(data), samples=3)), mine, strict=True):
        close(one, other)
    expected = joined(Linear(W), sg.expected_gradients(pack(data), 4))
    close(both(expected), W * (TOGETHER - pack(mine)))
    assert expected.method() == sg.expected_gradients(pack(data), 4)


def test_noise_and_adversaries_stay_within_the_range_of_each() -> None:
    result = joined(Linear(torch.ones_like(W)), sg.integrated_gradients(2, baseline=sg.Noise(0.2)), 400)
    noise = TOGETHER - both(result)
    close(noise.std(0) / WIDTHS, torch.full_like(W, 0.2), 0.15)
    close(noise.mean(0), torch.tensor([0.2] * 4 + [1.5] * 3, dtype=torch.float64), 0.15)
    first, second = starts(sg.Adversarial(0.05, steps=10, target=1))
    assert float((first - A).abs().max()) <= 0.05 * 1.8 + 1e-9
    assert 0.05 * 1.8 < float((second - B).abs().max()) <= 0.05 * 7.0 + 1e-9


# --- against one input at a time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [sg.gradient(), sg.guided_backprop(), sg.deconvnet()], ids=repr)
def test_what_asks_at_the_input_alone_is_each_input_with_the_others_as_context(method: sg.Explainer) -> None:
    result = run(method, target=1)
    for place in range(3 if method == sg.gradient() else 2):  # no ReLU stands between the features and the scores

        class First(nn.Module):
            """The network with this input first."""

            def __init__(self, place: int) -> None:
                super().__init__()
                self.net, self.place = NET, place
                self.eval()

            def forward(self, one: Tensor, *others: Tensor) -> Tensor:
                inputs = list(others)
                inputs.insert(self.place, one)
                out: Tensor = self.net(*inputs)
                return out

        others = tuple(part for other, part in enumerate(X) if other != place)
        alone = sg.explain(First(place), X[place], method=method, target=1, context=others)
        close(result.maps[place], alone.maps)
        assert torch.equal(result.x[place], alone.x)


def test_one_input_in_a_tuple_is_that_input() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Tanh()).double().eval()
    x = rows_of(4, 3, 4)
    for method in (sg.smoothgrad(samples=5), sg.integrated_gradients(4), sg.smoothgrad(samples=sg.Until(0.3, most=64))):
        alone = sg.explain(net, x, method=method)
        for given in ((x,), [x]):
            result = run(method, given, net, seed=0)
            assert len(result.maps) == 1
            close(result.maps[0], alone.maps)
            assert torch.equal(result.draws, alone.draws)


class Rectified(nn.Module):
    """Two inputs to two scores through ReLUs, without a bias: homogeneous, so that relevance is conserved."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.see, self.hear = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(5, 6, bias=False)
            self.join, self.head = nn.Linear(70, 8, bias=False), nn.Linear(8, 2, bias=False)
        self.double().eval()

    def forward(self, picture: Tensor, features: Tensor) -> Tensor:
        seen, heard = self.see(picture).relu().flatten(1), F.relu(self.hear(features))
        out: Tensor = self.head(F.relu(self.join(torch.cat([seen, heard], 1))))
        return out


def test_relevance_is_shared_out_among_both_and_conserved() -> None:
    net, x = Rectified(), (X[0], X[2])
    exact, times = run(lrp_0(), x, net, target=1), run(sg.input_x_gradient(), x, net, target=1)
    close(both(exact), both(times), 1e-8)  # Shrikumar et al. 2016
    for method in (lrp_0(), lrp_gamma(), deep_lift()):
        result = run(method, x, net, target=1)
        close(both(result).sum(1), result.score, 1e-5)
        assert result.completeness is not None
        close(result.completeness.change, result.score)
    alone = sg.explain(net, X[0], method=lrp_gamma(), target=1, context=(X[2],))
    close(run(lrp_gamma(), x, net, target=1).maps[0], alone.maps)


def test_differences_and_guided_paths_are_complete_over_all_inputs() -> None:
    allowed = {deep_lift(): 1e-8, deep_lift(baseline=sg.Black()): 1e-8, guided_integrated_gradients(200): 0.05}
    for method, error in allowed.items():
        result = run(method)
        assert result.completeness is not None
        assert float(result.completeness.error.max()) < error


# --- what does not matter ---------------------------------------------------------------------------------------------

METHODS: dict[str, sg.Explainer] = {
    "gradient": sg.gradient(),
    "smoothgrad": sg.smoothgrad(0.2, 7),
    "antithetic variance": sg.gradient().over(sg.Gaussian(0.2, 8, sampling="antithetic"), sg.Variance()),
    "path": sg.integrated_gradients(5, baseline=sg.Noise(0.1, samples=2)),
    "refined": sg.integrated_gradients(tolerance=0.01),
    "joint": sg.smooth_integrated_gradients(0.2, 6, baseline=sg.Several(sg.Black(), sg.White())),
    "taylor": sg.smooth_taylor(0.2, 6),
    "until": sg.smoothgrad(0.2, sg.Until(0.3, least=4, most=64)),
    "guided, times input": sg.smoothgrad(0.2, 5, rule=sg.Guided()).then(sg.TimesInput()),
    "nested": sg.integrated_gradients(3).over(sg.Gaussian(0.1, 4)),
    "median": sg.gradient().over(sg.Laplace(0.2, 5), sg.Median()),
    "deep lift": deep_lift(baseline=sg.Black()),
    "guided path": guided_integrated_gradients(8),
    "smooth relevance": lrp_epsilon(0.1).over(sg.Gaussian(0.1, 4)),
}
METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def alike(one: Attributions, other: Attributions) -> None:
    close(both(one), both(other))
    assert (one.stderr is None) == (other.stderr is None)
    for mine, theirs in zip(one.stderr or (), other.stderr or (), strict=True):
        close(mine, theirs, 1e-7)
    assert torch.equal(one.draws, other.draws)
    assert torch.equal(one.passes, other.passes)
    assert torch.equal(one.target, other.target)


@METHOD
def test_neither_chunk_nor_batch_nor_order_matters(method: sg.Explainer) -> None:
    whole = run(method)
    for chunk in (1, 3, 64):
        alike(run(method, chunk=chunk), whole)
    for row in range(3):
        alike(run(method, tuple(part[[row]] for part in X), keys=[row]), whole[row])
    order = [2, 0, 1]
    mixed = run(method, tuple(part[order] for part in X), keys=order)
    for place, row in enumerate(order):
        alike(mixed[place], whole[row])
    torch.manual_seed(9)
    assert torch.equal(both(run(method)), both(whole))


@METHOD
def test_a_prepared_copy_gives_the_same_maps(method: sg.Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoothgrad.engine.PAYS", 10**9)
    plain = run(method)
    assert plain.provenance["prepared"] is None
    monkeypatch.setattr("smoothgrad.engine.PAYS", 1)
    prepared = run(method)
    assert prepared.provenance["prepared"].startswith("2 of 2 batch norms folded")
    assert prepared.provenance["fingerprint"] == plain.provenance["fingerprint"]
    alike(prepared, plain)
    again = run(method, net=sg.prepare(NET, X[0], context=X[1:]))
    assert again.provenance["prepared"].startswith("2 of 2 batch norms folded")
    alike(again, plain)


@METHOD
def test_the_last_live_result_and_the_progress_end_at_the_result(method: sg.Explainer) -> None:
    seen: list[sg.Progress] = []
    result = run(method, chunk=3, progress=seen.append)
    assert seen[-1].done <= seen[-1].total == 3 * method.passes
    *_, last = sg.explain_live(NET, X, method=method, seed=4)
    assert isinstance(last, Attributions)
    alike(last, result)


@METHOD
def test_the_method_is_remembered(method: sg.Explainer) -> None:
    result = run(method)
    assert result.method() == method
    assert result.recipe == sg.to_recipe(method)
    assert result.seed == 4
    assert result.provenance["inputs"] == [[3, 6, 6], [2, 9], [5]]
    assert result.provenance["model"] == "Pictures"


def test_the_model_and_the_inputs_are_left_as_found() -> None:
    before = {name: part.clone() for name, part in NET.state_dict().items()}
    copies = tuple(part.clone().requires_grad_() for part in X)
    run(sg.smoothgrad(samples=40), copies)
    assert all(torch.equal(part, before[name]) for name, part in NET.state_dict().items())
    assert all(torch.equal(part, was) and part.grad is None for part, was in zip(copies, X, strict=True))


def test_context_travels_beside_several_inputs() -> None:
    class Shifted(nn.Module):
        def forward(self, a: Tensor, b: Tensor, words: Tensor) -> Tensor:
            return (a.flatten(1).sum(1) * b.sum(1) * words.double())[:, None].expand(-1, 2)

    words = torch.tensor([1, 10, 100])
    a, b = X[0], X[2]
    result = run(sg.smoothgrad(samples=3), (a, b), Shifted().eval(), target=0, context=(words,), chunk=2)
    alone = run(sg.smoothgrad(samples=3), (a[2:], b[2:]), Shifted().eval(), target=0, context=(words[2:],), keys=[2])
    alike(result[2], alone)
    exact = run(sg.gradient(), (a, b), Shifted().eval(), target=0, context=(words,))
    close(exact.maps[1][:, 0], a.flatten(1).sum(1) * words)


def test_several_targets_share_their_points() -> None:
    result = run(sg.smoothgrad(samples=5), target=sg.Each(sg.Top(), 2))
    assert len(result) == 6
    alike(result[3], run(sg.smoothgrad(samples=5), target=2)[1])


def test_inputs_of_several_types_come_back_in_their_own() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Linear(3, 2).double(), nn.Linear(4, 2)
            self.eval()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            out: Tensor = self.wide(a) + self.narrow(b)
            return out

    net, x = Mixed(), (rows_of(2, 3), rows_of(2, 4).float())
    result = run(sg.gradient(), x, net, target=1)
    assert [maps.dtype for maps in result.maps] == [torch.float64, torch.float32]
    assert torch.equal(result.maps[1], net.narrow.weight[1].expand(2, -1))
    assert torch.equal(result.x[1], x[1])


def test_bfloat16_is_near() -> None:
    net = Pictures().float()
    x = tuple(part.float() for part in X)
    rough, exact = (run(sg.smoothgrad(samples=8), x, net, precision=kind) for kind in ("bfloat16", "float32"))
    assert rough.provenance["dtype"] == "bfloat16"
    assert (both(rough) - both(exact)).norm() < 0.1 * both(exact).norm()


# --- at a layer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [sg.gradient(), sg.smoothgrad(samples=4), sg.integrated_gradients(4)], ids=repr)
def test_at_a_layer_the_inputs_go_through(method: sg.Explainer) -> None:
    picture, *others = X
    expected = sg.explain(NET, picture, method=method, at="hear.0", context=tuple(others))
    result = sg.explain(NET, X, method=method, at="hear.0")
    assert isinstance(result, sg.Attribution)
    assert result.maps.shape == (3, 4, 7)
    assert torch.equal(result.maps, expected.maps)
    mixed = sg.explain(NET, [picture, others[0]], method=method, at=NET.hear[0], context=(others[1],))
    assert torch.equal(mixed.maps, expected.maps)


def test_at_an_embedding_inputs_may_be_whole_numbers() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 4), nn.Linear(12, 2)
            self.eval()

        def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
            out: Tensor = self.head((self.embed(numbers) * mask[..., None]).flatten(1))
            return out

    net = Words()
    numbers, mask = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[1, 1, 0], [1, 0, 0]])
    result = sg.explain(net, (numbers, mask), method=sg.gradient(), at="embed", target=1)
    torch.testing.assert_close(result.maps, net.head.weight[1].view(1, 3, 4) * mask[..., None])
    result.figure()
    with pytest.raises(BadInput, match=r'x\[0\] holds int64.*at="its name".*context'):
        sg.explain(net, (numbers, mask), method=sg.gradient(), target=1)


# --- what is refused --------------------------------------------------------------------------------------------------


class Bad(NamedTuple):
    """Arguments that must be refused: with which error, and words that say what, what was given, and what to do."""

    arguments: dict[str, Any]
    error: type[SmoothGradError]
    said: tuple[str, ...]


def changed(place: int, part: Any) -> tuple[Any, ...]:
    return (*X[:place], part, *X[place + 1 :])


STILL = X[2].clone()
STILL[1] = 0.25
HOLE = X[1].clone()
HOLE[2, 0, 0] = torch.nan
BAD = {
    "nothing": Bad({"x": ()}, BadInput, ("no inputs", "(a, b)")),
    "other rows": Bad({"x": changed(1, X[1][:2])}, BadInput, ("3 and 2 and 3 rows", "as many rows of each")),
    "no tensor": Bad({"x": changed(1, [1.0])}, BadInput, ("x[1] is a list", "tuple of tensors")),
    "whole numbers": Bad({"x": changed(2, X[2].long())}, BadInput, ("x[2] holds int64", "embedding", "context=(...)")),
    "no rows": Bad({"x": tuple(part[:0] for part in X)}, BadInput, ("x[0] has shape (0, 3, 6, 6)", "empty batch")),
    "a number per row": Bad({"x": changed(2, X[2][:, 0])}, BadInput, ("x[2] has shape (3,)", "x[2][None]")),
    "NaN": Bad({"x": changed(1, HOLE)}, BadInput, ("x[1] of row 2", "NaN")),
    "sparse": Bad({"x": changed(2, X[2].to_sparse())}, BadInput, ("x[2] is laid out", "x[2].to_dense()")),
    "another type": Bad({"x": changed(1, X[1].float())}, BadInput, ("x[1] holds float32", "x[1].to(torch.float64)")),
    "one too few": Bad(
        {"x": X[:2]}, BadInput, ("Pictures cannot take 3 rows of shapes (3, 6, 6) (float64) and (2, 9)",)
    ),
    "a wrong shape": Bad(
        {"x": changed(2, X[2][:, :4])}, BadInput, ("cannot take", "and (4,) (float64)", "context=(...)")
    ),
    "context of other rows": Bad({"context": (X[0][:2],)}, BadInput, ("context[0]", "3 rows")),
    "too few keys": Bad({"keys": [0, 1]}, BadInput, ("keys must be 3 integers",)),
    "a constant input": Bad(
        {"x": changed(2, STILL), "method": sg.smoothgrad(samples=2)},
        BadNoise,
        ("row 1 of 3 is constant in x[2]", "every value is 0.25", 'unit="absolute"', "pass x[2] as context"),
    ),
    "a constant input under a noisy baseline": Bad(
        {"x": changed(2, STILL), "method": sg.integrated_gradients(2, baseline=sg.Noise())},
        BadNoise,
        ("constant in x[2]",),
    ),
    "a baseline that is not packed": Bad(
        {"method": sg.integrated_gradients(2, baseline=sg.Given(X[0]))},
        BadBaseline,
        ("(3, 3, 6, 6)", "(131,)", "pack((a, b))"),
    ),
    "data that are not packed": Bad(
        {"method": sg.expected_gradients(X[0], 4)}, BadBaseline, ("(3, 3, 6, 6)", "(131,)", "pack((a, b))")
    ),
    "a blurred baseline": Bad(
        {"method": sg.integrated_gradients(2, baseline=sg.Blurred())},
        BadBaseline,
        ("3 inputs packed into rows", "Zero()"),
    ),
    "a value per channel": Bad(
        {"method": sg.integrated_gradients(2, baseline=sg.Constant((0.1, 0.2)))},
        BadBaseline,
        ("2 values for 3 inputs", "one for each input"),
    ),
    "more values than sobol has": Bad(
        {
            "x": (torch.rand(1, 22_000, dtype=torch.float64), X[2][:1]),
            "model": Joined(Sine()),
            "target": 0,
            "method": sg.smoothgrad(samples=8, sampling="sobol"),
        },
        BadMethod,
        ("22005", "stratified"),
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_cannot_be_explained_together_is_refused_in_clear_words(case: Bad) -> None:
    given: dict[str, Any] = {"model": NET, "x": X, "method": sg.gradient()} | case.arguments
    with pytest.raises(SmoothGradError) as caught:
        sg.explain(**given)
    assert type(caught.value) is case.error
    assert [part for part in case.said if part not in str(caught.value)] == [], str(caught.value)


def test_a_score_of_none_of_the_inputs_is_refused() -> None:
    class Still(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return (a.detach().flatten(1).sum(1) + b.detach().sum(1))[:, None].expand(-1, 2)

    with pytest.raises(NotDifferentiable, match="the score of Still does not depend"):
        run(sg.gradient(), (A, B), Still().eval(), target=0)


def test_an_input_that_plays_no_part_has_a_map_of_zeros() -> None:
    class Deaf(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a.flatten(1)

    result = run(sg.gradient(), (A, B), Deaf().eval(), target=0)
    assert result.maps[0].sum() == 1
    assert not result.maps[1].any()


def test_constant_inputs_may_have_absolute_noise_or_none() -> None:
    x = changed(2, STILL)
    assert both(run(sg.smoothgrad(0.1, 4, unit="absolute"), x)).isfinite().all()
    assert both(run(sg.integrated_gradients(4), x)).isfinite().all()


@final
@dataclass(frozen=True, repr=False)
class Places(Explainer):
    """Answers a map of 2 x 2 places, as a CAM does."""

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return PER_INPUT

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Any:
        maps = query.x.new_ones(len(query), 1, 2, 2)
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))


@pytest.mark.parametrize("method", [Places(), Places().over(sg.Gaussian(samples=3))], ids=repr)
def test_maps_of_places_are_refused(method: sg.Explainer) -> None:
    with pytest.raises(BadMethod, match=r"Places.*\(1, 2, 2\), not a value for each of the 131 values.*context"):
        run(method)
    with pytest.raises(BadMethod, match="Places"):
        list(sg.explain_live(NET, X, method=method))
    alone = sg.explain(NET, X[0], method=method, context=X[1:])
    assert alone.coarse is not None
    assert alone.coarse.shape == (3, 1, 2, 2)
    assert alone.maps.shape == (3, 3, 6, 6)
    torch.testing.assert_close(alone.maps.sum(1), torch.ones(3, 6, 6, dtype=torch.float64))


# --- what comes back --------------------------------------------------------------------------------------------------

SMOOTH = sg.smoothgrad(samples=12)


def test_each_input_is_an_attribution_of_its_own() -> None:
    result = run(SMOOTH)
    assert result.stderr is not None
    assert result.relative_error is not None
    for place, part in enumerate(result.inputs):
        assert torch.equal(part.maps, result.maps[place])
        assert torch.equal(part.x, X[place])
        assert part.stderr is not None
        assert torch.equal(part.stderr, result.stderr[place])
        assert part.relative_error is not None
        torch.testing.assert_close(
            part.relative_error, result.stderr[place].flatten(1).norm(dim=1) / part.maps.flatten(1).norm(dim=1)
        )
        assert part.provenance["input"] == list(X[place].shape[1:])
        assert torch.equal(part.significant(0.1), result.significant(0.1)[place])
        assert torch.equal(part.interval(0.9)[1], result.interval(0.9)[place][1])
        assert part.reproducibility is None
        assert part.label(1) == result.whole.label(1)
    errors = torch.cat([part.flatten(1) for part in result.stderr], 1)
    torch.testing.assert_close(result.relative_error, errors.norm(dim=1) / both(result).norm(dim=1))
    assert result.reproducibility is not None
    assert result.reproducibility.shape == (3,)
    assert [part.completeness for part in run(sg.integrated_gradients(4)).inputs] == [None] * 3


def test_rows_are_counted_as_in_an_attribution() -> None:
    result = run(SMOOTH)
    assert len(result) == 3
    assert [len(row) for row in result] == [1, 1, 1]
    assert torch.equal(result[1].maps[2], result.maps[2][1:2])
    assert torch.equal(result[1:].x[0], X[0][1:])
    assert torch.equal(result[-1].score, result.score[2:])
    with pytest.raises(IndexError, match="row 3 of 3"):
        result[3]
    with pytest.raises(AttributeError):
        result.whole = result[0].whole  # type: ignore[misc]


def test_what_is_known_of_all_is_that_of_the_whole() -> None:
    result = run(sg.integrated_gradients(tolerance=0.01))
    whole = result.whole
    assert result.completeness is whole.completeness
    assert result.output is not None
    for name in ("target", "score", "draws", "passes", "converged", "output"):
        assert torch.equal(getattr(result, name), getattr(whole, name))
    torch.testing.assert_close(result.output, NET(*X))
    torch.testing.assert_close(result.score, NET(*X).amax(1))


def test_the_repr_says_the_shapes() -> None:
    said = repr(run(SMOOTH))
    assert said.startswith("<Attributions of 3 rows of 3 x 6 x 6 and 2 x 9 and 5 by Gradient().over(Gaussian(")
    assert "seed 4, relative error 0." in said


def test_several_reductions_are_parts() -> None:
    method = sg.Gradient().over(sg.Gaussian(samples=6), sg.Together(sg.Mean(), sg.Variance()))
    result = run(method)
    assert [maps.shape for maps in result.maps] == [(3, 2, 3, 6, 6), (3, 2, 2, 9), (3, 2, 5)]
    parts = result.parts()
    assert list(parts) == ["Mean()", "Variance()"]
    close(both(parts["Variance()"]), both(run(sg.vargrad(samples=6))))
    close(both(parts["Mean()"]), both(run(sg.smoothgrad(samples=6))))
    result.figure()


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    mixed = (X[0], X[1], X[2].float())

    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.scale = NET, nn.Parameter(torch.ones(1))
            self.eval()

        def forward(self, *inputs: Tensor) -> Tensor:
            out: Tensor = self.net(*(part.double() for part in inputs))
            return out

    halved = pack([part / 2 for part in mixed])
    result = run(sg.integrated_gradients(4, baseline=sg.Given(halved)), mixed, Widened())
    path = result.save(tmp_path / "maps.safetensors")
    again = Attributions.load(path)
    for one, other in zip((*again.maps, *again.x), (*result.maps, *result.x), strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert again.packing == result.packing
    assert again.method() == result.method()
    assert repr(again) == repr(result)
    assert again.completeness is not None
    assert torch.equal(again.completeness.change, result.completeness.change)  # type: ignore[union-attr]
    row = Attributions.load(result[1].save(tmp_path / "row.safetensors"))
    assert torch.equal(row.maps[1], result.maps[1][1:2])


def test_files_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    several = run(sg.gradient())
    path, single = several.save(tmp_path / "several"), several.inputs[0].save(tmp_path / "single")
    assert torch.equal(sg.Attribution.load(single).maps, several.maps[0])
    with pytest.raises(BadInput, match=r"several was written by Attributions.save; read it with Attributions.load"):
        sg.Attribution.load(path)
    with pytest.raises(BadInput, match=r"single was written by Attribution.save; read it with Attribution.load"):
        Attributions.load(single)
    with pytest.raises(BadInput, match=r"there is no file"):
        Attributions.load(tmp_path / "none")
    header = path.read_bytes()
    metadata = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    save_file(load_file(path), path, metadata | {"more": "{}"})
    with pytest.raises(BadInput, match=r"lacks part of what Attributions.save writes"):
        Attributions.load(path)


# --- looking ----------------------------------------------------------------------------------------------------------


def words(page: Any) -> str:
    return " ".join(text.get_text() for text in page.texts)


def test_a_figure_shows_every_input_beside_its_map() -> None:
    said = words(run(SMOOTH).figure())
    for heading in ("x[0]: input", "x[0]: smoothgrad", "x[1]: smoothgrad", "x[2]: smoothgrad"):
        assert heading in said
    assert "x[1]: input" not in said, "a signal is drawn with its map"
    assert run(SMOOTH).look.sign == "signed"  # for the features; of colour pictures alone it is absolute
    assert run(SMOOTH).inputs[0].look.sign == "absolute"
    run(SMOOTH)[:1].figure(sg.Look(sign="signed", cap=100), errors=False)


@pytest.mark.parametrize("method", [sg.gradient(), sg.vargrad(samples=4)], ids=repr)
def test_maps_that_cannot_be_tested_are_refused(method: sg.Explainer) -> None:
    with pytest.raises(BadMethod, match=r"no standard error|never be negative"):
        run(method).figure(sg.Look(fdr=0.05))


def test_a_figure_shows_what_is_significant() -> None:
    result = run(SMOOTH)[:1]
    found = [int(part.sum()) for part in result.significant(0.05)]
    said = words(result.figure(sg.Look(sign="signed", fdr=0.05), errors=False))
    assert (f"{found[2]} of 5 features" if found[2] else "no feature differs") in said


def test_notebooks_show_the_first_rows() -> None:
    few = run(sg.gradient())._repr_html_()
    assert 'src="data:image/png;base64,' in few
    assert "&lt;Attributions of 3 rows" in few
    assert "<code>Gradient()</code>, seed 4, Pictures" in few
    assert "not shown" not in few
    many = tuple(part.repeat(4, *[1] * (part.ndim - 1)) for part in X)
    assert "4 more rows are not shown" in run(sg.gradient(), many)._repr_html_()


def test_a_network_shows_the_first_of_its_inputs() -> None:
    preprocessing = sg.load("digits").preprocessing.changed(size=(6, 6))
    net = sg.Network(
        Function(lambda picture, features: picture.flatten(1)[:, :3] * features[:, :3]),
        name="gated",
        classes=("x", "y", "z"),
        preprocessing=preprocessing,
    )
    x = (torch.rand(2, preprocessing.channels, 6, 6), torch.rand(2, 5))
    result = run(sg.smoothgrad(samples=3), x, net)
    first, second = result.inputs
    assert first.picture is not None
    assert torch.equal(first.picture, net.show(x[0]))
    assert second.picture is None
    assert first.classes == ("x", "y", "z")
    assert result.provenance["model"] == "gated"
    result.figure()


class Function(nn.Module):
    """A network without parameters, from a function."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def test_a_relu_between_the_inputs_is_guided() -> None:
    net = Function(lambda a, b: F.relu(a.flatten(1)[:, :2] - b[:, :2]))
    result = run(sg.guided_backprop(), (A + 4, B), net, target=1)
    assert (result.maps[0] >= 0).all()
    assert float(result.maps[0].sum()) == 1.0
    with pytest.raises(SmoothGradError, match="no ReLU"):
        run(sg.guided_backprop(), (A, B), Joined(Linear(W)), target=0)
