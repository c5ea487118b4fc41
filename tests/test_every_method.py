"""One table of methods, and every property over the whole table. A new method or piece joins by a row."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import smoothgrad as sg
from smoothgrad.core.coarse import fitted
from smoothgrad.core.value import Value, fields_of
from smoothgrad.explainers.relevance import Relevance
from smoothgrad.methods import cams, relevance
from smoothgrad.recipe import data_in
from smoothgrad.rules.composite import ByName, ByPosition, ByType, Composite
from smoothgrad.rules.lrp import AlphaBeta, Epsilon, Flat, WSquare

ROWS = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
DATA = torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5
SMOOTH = sg.Gaussian(0.2, 6)


def over(sampler: sg.Sampler = SMOOTH, reduction: sg.Reduction[Any] = sg.Mean()) -> sg.Explainer:
    return sg.Gradient().over(sampler, reduction)


def path(baseline: sg.Baseline) -> sg.Explainer:
    return sg.integrated_gradients(4, baseline=baseline)


TABLE: dict[str, sg.Explainer] = {
    # the named ones
    "gradient": sg.gradient(),
    "input_x_gradient": sg.input_x_gradient(),
    "smoothgrad": sg.smoothgrad(0.2, 7),
    "smoothgrad_squared": sg.smoothgrad_squared(0.2, 7),
    "vargrad": sg.vargrad(0.2, 7),
    "integrated_gradients": sg.integrated_gradients(7),
    "smooth_integrated_gradients": sg.smooth_integrated_gradients(0.2, 7),
    "expected_gradients": sg.expected_gradients(DATA, 7),
    "smooth_taylor": sg.smooth_taylor(0.2, 7),
    "guided_backprop": sg.guided_backprop(),
    "deconvnet": sg.deconvnet(),
    "rectgrad": sg.rectgrad(60.0),
    # compositions
    "smoothed guided": sg.smoothgrad(0.2, 6, rule=sg.Guided()),
    "smoothed deconvnet": sg.deconvnet().over(SMOOTH),
    "smoothed rectgrad": sg.rectgrad(60.0).over(SMOOTH),
    "smoothed path": path(sg.Zero()).over(sg.Gaussian(0.1, 4)),
    "variance of paths": path(sg.Zero()).over(sg.Gaussian(0.1, 4), sg.Variance()),
    "smoothed smoothed": sg.smoothgrad(0.1, 3).over(sg.Gaussian(0.1, 4)),
    "path of guided": sg.Gradient(sg.Guided()).over(sg.StraightPath(steps=4)),
    "times input, smoothed": sg.smoothgrad(0.2, 6).then(sg.TimesInput()),
    "absolute": sg.smoothgrad(0.2, 6).then(sg.Absolute()),
    "positive": sg.smoothgrad(0.2, 6).then(sg.Positive()),
    "refined": sg.integrated_gradients(tolerance=0.01),
    "refined gauss-legendre": sg.integrated_gradients(tolerance=0.01, quadrature="gauss-legendre"),
    "refined right": sg.integrated_gradients(tolerance=0.05, quadrature="right"),
    "refined, several": sg.integrated_gradients(tolerance=0.01, baseline=sg.Several(sg.Black(), sg.White())),
    "refined simpson": sg.integrated_gradients(tolerance=0.01, quadrature="simpson"),
    "refined, smoothed": sg.integrated_gradients(tolerance=0.5).over(sg.Gaussian(0.1, 2)),
    "adversarial path of taylor": sg.smooth_integrated_gradients(0.2, 6, baseline=sg.Adversarial(0.2, 3)),
    # clouds
    "uniform": over(sg.Uniform(0.2, 6)),
    "laplace": over(sg.Laplace(0.2, 6)),
    "salt and pepper": over(sg.SaltAndPepper(0.2, 6)),
    "dropout": over(sg.Dropout(0.2, 6)),
    "multiplicative": over(sg.Multiplicative(0.2, 6)),
    "channel": over(sg.Gaussian(0.2, 6, unit="channel")),
    "absolute noise": over(sg.Gaussian(0.2, 6, unit="absolute")),
    "antithetic gaussian": over(sg.Gaussian(0.2, 6, sampling="antithetic")),
    "antithetic uniform": over(sg.Uniform(0.2, 6, sampling="antithetic")),
    "antithetic laplace": over(sg.Laplace(0.2, 6, sampling="antithetic")),
    "antithetic multiplicative": over(sg.Multiplicative(0.2, 6, sampling="antithetic")),
    "antithetic variance": over(sg.Gaussian(0.2, 6, sampling="antithetic"), sg.Variance()),
    "antithetic path": sg.smooth_integrated_gradients(0.2, 6, sampling="antithetic"),
    "stratified gaussian": over(sg.Gaussian(0.2, 16, sampling="stratified")),
    "stratified laplace": over(sg.Laplace(0.2, 16, sampling="stratified"), sg.Variance()),
    "stratified path of several": sg.smooth_integrated_gradients(
        0.1, 24 * 2, baseline=sg.Several(sg.Black(), sg.White(), sg.Zero()), sampling="stratified"
    ),
    "sobol gaussian": over(sg.Gaussian(0.2, 16, sampling="sobol")),
    "sobol multiplicative": over(sg.Multiplicative(0.2, 16, sampling="sobol")),
    "sobol path": sg.smooth_integrated_gradients(0.2, 16, sampling="sobol"),
    "nested smooth path": sg.smooth_integrated_gradients(0.2, 6, steps=3, sampling="antithetic"),
    "roots of laplace": over(sg.Roots(sg.Laplace(0.2, 6))),
    # reductions
    "square mean of a path": over(sg.StraightPath(steps=4), sg.SquareMean()),
    "geometric mean": over(reduction=sg.GeometricMean()),
    "max": over(reduction=sg.Max()),
    "median": over(reduction=sg.Median()),
    "median of means": over(reduction=sg.MedianOfMeans(groups=4)),
    "trimmed mean": over(reduction=sg.TrimmedMean(0.2)),
    "sign agreement": over(reduction=sg.SignAgreement()),
    "together": over(reduction=sg.Together(sg.Mean(), sg.Variance(), sg.Median(), sg.GeometricMean())),
    "together, times input": over(reduction=sg.Together(sg.Mean(), sg.Max())).then(sg.TimesInput()),
    # tolerances
    "until": over(sg.Gaussian(0.2, sg.Until(0.5, least=4, most=32))),
    "until, antithetic": over(sg.Gaussian(0.2, sg.Until(0.3, least=5, most=36), sampling="antithetic")),
    "until, stratified": over(sg.Gaussian(0.2, sg.Until(0.3, least=5, most=136), sampling="stratified")),
    "until on a path": sg.smooth_integrated_gradients(0.1, sg.Until(0.4, least=4, most=32)),
    "until on data": sg.expected_gradients(DATA, sg.Until(0.4, least=4, most=32)),
    "until of variance": sg.vargrad(0.2, sg.Until(0.7, least=4, most=32)),
    # baselines
    "constant": path(sg.Constant(0.2)),
    "constant per channel": path(sg.Constant((0.2, -0.1))),
    "white": path(sg.White()),
    "black": path(sg.Black()),
    "channel mean": path(sg.ChannelMean()),
    "noise baseline": path(sg.Noise(0.2, samples=2)),
    "blurred": path(sg.Blurred(1.5)),
    "given": path(sg.Given(DATA[0])),
    "from data": path(sg.FromData(DATA, samples=2)),
    "adversarial": path(sg.Adversarial(0.2, 3)),
    "several": path(sg.Several(sg.Black(), sg.White(), sg.Noise(0.1))),
    "noisy path of several": sg.smooth_integrated_gradients(0.1, 6, baseline=sg.Several(sg.Black(), sg.White())),
    "nested noise baseline": path(sg.Noise(0.2)).over(sg.Gaussian(0.1, 3)),
    "trapezoid": sg.integrated_gradients(5, quadrature="trapezoid"),
    "left": sg.integrated_gradients(5, quadrature="left"),
    # relevance
    "lrp": relevance.lrp(Composite(WSquare(), choices=(ByName("*first.0", Flat()), ByPosition(-1, Epsilon(0.1))))),
    "lrp_0": relevance.lrp_0(),
    "lrp_epsilon": relevance.lrp_epsilon(0.01),
    "lrp_gamma": relevance.lrp_gamma(0.2),
    "lrp_epsilon_plus": relevance.lrp_epsilon_plus(),
    "lrp_epsilon_plus_flat": relevance.lrp_epsilon_plus_flat(),
    "lrp_epsilon_gamma_box": relevance.lrp_epsilon_gamma_box(),
    "lrp_epsilon_alpha2_beta1": relevance.lrp_epsilon_alpha2_beta1(),
    "lrp_epsilon_alpha2_beta1_flat": relevance.lrp_epsilon_alpha2_beta1_flat(),
    "deep_taylor": relevance.deep_taylor(),
    "attn_lrp": relevance.attn_lrp(),
    "simple_taylor": relevance.simple_taylor(),
    "smoothed lrp": relevance.deep_taylor().over(SMOOTH),
    "lrp, otherwise gradient": relevance.lrp(Composite(choices=(ByType("Linear", AlphaBeta()),)), otherwise="gradient"),
    # class activation maps
    "grad_cam": cams.grad_cam(),
    "grad_cam_plus_plus": cams.grad_cam_plus_plus(),
    "layer_cam": cams.layer_cam(),
    "x_grad_cam": cams.x_grad_cam(),
    "hires_cam": cams.hires_cam(),
    "eigen_cam": cams.eigen_cam(),
    "score_cam": cams.score_cam(),
    "ablation_cam": cams.ablation_cam(),
    "guided_grad_cam": cams.guided_grad_cam(),
    "smooth_grad_cam": cams.smooth_grad_cam(0.2, 6),
    "smooth_grad_cam_plus_plus": cams.smooth_grad_cam_plus_plus(0.2, 6),
    "score cam of a few channels": cams.score_cam(baseline=sg.Several(sg.Zero(), sg.Black()), channels=3),
    "smoothed ablation cam of a few channels": cams.ablation_cam(channels=3).over(sg.Gaussian(0.3, 6)),
    # perturbation
    "feature_ablation": sg.feature_ablation(sg.Grid(3)),
    "occlusion": sg.occlusion(0.4, 3),
    "rise": sg.rise(12, cells=3),
    "rise on several": sg.rise(12, cells=2, probability=0.3, baseline=sg.Several(sg.Black(), sg.Noise(0.2))),
    "until, masks": sg.rise(sg.Until(0.4, least=4, most=32), cells=3),
    "mean score": sg.PointScore().over(SMOOTH),
    "gradient of what masks keep": over(sg.Masks(3, samples=6)),
    "ablation of labels": sg.Ablation(
        sg.Labelled(torch.arange(36).view(6, 6) // 5), sg.Several(sg.Black(), sg.White())
    ),
    "ablation of superpixels": sg.Ablation(sg.Superpixels(scale=4000.0, min_size=1), sg.Constant(0.1)),
    "occlusion by noise": sg.occlusion(0.5, 2, baseline=sg.Noise(0.2)),
    "smoothed occlusion": sg.occlusion(0.5, (2, 3)).over(sg.Gaussian(0.1, 3)),
    # other paths, regions, weights
    "guided_integrated_gradients": sg.guided_integrated_gradients(8, distance=0.3),
    "blur_integrated_gradients": sg.blur_integrated_gradients(7),
    "xrai": sg.xrai(4),
    "noisegrad": sg.noisegrad(0.2, 4),
    "fusiongrad": sg.fusiongrad(0.2, 3, networks=3),
    "guided path through anchors": sg.GuidedPath(sg.Several(sg.Black(), sg.Noise(0.1)), 9, 0.5, 0.4, anchors=2),
    "smoothed guided path": sg.GuidedPath(steps=4, distance=0.4).over(sg.Gaussian(0.1, 3)),
    "smoothed blur path": over(sg.BlurPath(1.5, 4, "sqrt", "midpoint")).over(sg.Gaussian(0.1, 3)),
    "regions of a gradient, smoothed": sg.Xrai(sg.gradient(), min_size=2000, dilation=40).over(SMOOTH),
    "noisy weights of a path": sg.NoisyWeights(path(sg.Noise(0.1)), 0.1, 3),
    "noisy weights, smoothed": sg.noisegrad(0.1, 3).over(sg.Gaussian(0.1, 3)),
    # differences
    "deep_lift": sg.deep_lift(),
    "deep_shap": sg.deep_shap(DATA, 4),
    "what cancels": sg.deep_lift(baseline=sg.Blurred(1.5), rule=sg.RevealCancel()),
    "what cancels in dense layers": sg.deep_lift(
        baseline=sg.Several(sg.Black(), sg.Noise(0.2)), rule=sg.DenseRevealCancel()
    ),
    "differences, smoothed": sg.deep_lift(rule=sg.RevealCancel()).over(sg.Gaussian(0.1, 3)),
    "until on baselines": sg.deep_shap(DATA, sg.Until(0.4, least=4, most=32), rule=sg.RevealCancel()),
    # biases
    # two in one
    "product": sg.Product(sg.smoothgrad(0.2, 6), sg.gradient()),
    "sum": sg.Sum(sg.gradient(), sg.vargrad(0.2, 6)),
    "difference": sg.Difference(sg.smoothgrad(0.2, 6), sg.smoothgrad(0.3, 6)),
    "difference of coarse ones": sg.Difference(cams.grad_cam(), cams.layer_cam()),
    "smoothed product": sg.Product(sg.gradient(), cams.grad_cam()).over(SMOOTH),
    "centred map": sg.smoothgrad(0.2, 6).then(sg.Centred()),
    "smoothed map": sg.smoothgrad(0.2, 6).then(sg.Smoothed(1.0)),
    "coarse, times input": cams.grad_cam().then(sg.TimesInput()),
    # controls
    "random_map": sg.random_map(),
    "sobel": sg.sobel(),
    "uniform_map": sg.uniform_map(),
    "full_grad": sg.full_grad(),
    "smooth_full_grad": sg.smooth_full_grad(0.2, 6),
}
# Methods for networks of another form: the same properties are in the tests of their own.
ELSEWHERE = {
    "cam": sg.cam(),
    "raw_attention": sg.raw_attention(),
    "attention_rollout": sg.attention_rollout(),
    "gradient_rollout": sg.gradient_rollout(),
}
METHOD = pytest.mark.parametrize("method", TABLE.values(), ids=TABLE)
# With a tolerance inside a cloud, each draw takes its own number of passes: `passes` is then the most they can take.
AT_MOST = {"refined, smoothed"}


class Net(nn.Module):
    """Rows (N, 2, 6, 6) to five scores, through ReLUs as a module, in place, as a function and as a method."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(12)
            self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
            self.second = nn.Conv2d(4, 6, 3, stride=2)
            self.third = nn.Linear(24, 8)
            self.last = nn.Linear(8, 5)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(self.first(x)))
        return torch.tanh(self.last(self.third(x.flatten(1)).relu())) * 3


NET = Net()


def run(method: sg.Explainer, x: Tensor = ROWS, net: nn.Module = NET, **given: Any) -> sg.Attribution:
    return sg.explain(net, x, method=method, **{"seed": 4, **given})


@pytest.fixture(scope="module")
def known() -> dict[str, sg.Attribution]:
    """The whole table run once, at the chunk it chooses."""
    return {repr(method): run(method) for method in TABLE.values()}


def same(one: Tensor | None, other: Tensor | None, tolerance: float = 1e-9) -> None:
    """Equal to a part of the map's own size."""
    if one is None or other is None:
        assert one is other
        return
    size = float(other.nan_to_num().abs().max()) or 1.0
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance * size, equal_nan=True)


def alike(one: sg.Attribution, other: sg.Attribution) -> None:
    same(one.maps, other.maps)
    same(one.stderr, other.stderr, 1e-7)
    same(one.score, other.score)
    assert torch.equal(one.target, other.target)
    assert torch.equal(one.draws, other.draws)
    assert torch.equal(one.passes, other.passes)
    if one.completeness is None or other.completeness is None:
        assert one.completeness is other.completeness
    else:
        same(one.completeness.total, other.completeness.total)
        same(one.completeness.change, other.completeness.change)


# --- the table itself -------------------------------------------------------------------------------------------------


def pieces_of(piece: Any) -> Iterator[type]:
    if isinstance(piece, tuple):
        for part in piece:
            yield from pieces_of(part)
    if isinstance(piece, Value):
        yield type(piece)
        for _, held in fields_of(piece):
            yield from pieces_of(held)


def test_every_named_method_is_in_the_table() -> None:
    assert set(sg.METHODS) <= {*TABLE, *ELSEWHERE}


def test_every_public_piece_of_a_method_is_in_the_table() -> None:
    kinds = (sg.Explainer, sg.Sampler, sg.Reduction, sg.Baseline, sg.Rule, sg.Finish, sg.Until, sg.Parts)
    kinds += (sg.RelevanceRule, sg.Composite, sg.Choice, sg.MultiplierRule)
    public = [getattr(sg, name) for name in sg.__all__]
    expected = {p for p in public if isinstance(p, type) and issubclass(p, kinds) and not inspect.isabstract(p)}
    methods = [*TABLE.values(), *ELSEWHERE.values()]
    assert expected == {piece for method in methods for piece in pieces_of(method)} - {sg.Data}


def test_the_rows_of_the_table_differ() -> None:
    assert len(set(TABLE.values())) == len(TABLE)
    assert len({repr(method) for method in TABLE.values()}) == len(TABLE)


# --- what does not matter ---------------------------------------------------------------------------------------------


@METHOD
@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
def test_chunk_size_does_not_matter(method: sg.Explainer, chunk: int, known: dict[str, sg.Attribution]) -> None:
    alike(run(method, chunk=chunk), known[repr(method)])


@METHOD
def test_a_row_alone_is_the_row_in_its_batch(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    whole = known[repr(method)]
    for row in range(len(ROWS)):
        alone = run(method, ROWS[[row]], keys=[row])
        alike(alone, whole[row])


@METHOD
def test_the_order_of_rows_does_not_matter(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    order = [2, 0, 1]
    mixed = run(method, ROWS[order], keys=order)
    for place, row in enumerate(order):
        alike(mixed[place], known[repr(method)][row])


@METHOD
def test_what_ran_before_does_not_matter(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    run(sg.smoothgrad(0.3, 5), seed=9)
    torch.manual_seed(123)
    alike(run(method), known[repr(method)])


@METHOD
def test_the_global_generators_are_neither_read_nor_moved(method: sg.Explainer) -> None:
    maps = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state(), pickle.dumps(np.random.get_state())
        maps.append(run(method).maps)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert pickle.dumps(np.random.get_state()) == before[1]
    assert torch.equal(*maps)


@METHOD
def test_the_seed_and_the_key_decide_all_chance(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    chance, alone = has_chance(method), has_chance(method, shared=False)
    first = known[repr(method)].maps
    assert torch.equal(run(method).maps, first)
    assert torch.equal(run(method, seed=5).maps, first) is not chance
    assert torch.equal(run(method, keys=[7, 8, 9]).maps, first) is not alone
    same_rows = run(method, ROWS[[0, 0]]).maps
    assert torch.equal(same_rows[0], same_rows[1]) is not alone, "two rows that are equal still have noise of their own"


def has_chance(piece: Any, *, shared: bool = True) -> bool:
    """Would another seed give another map? Not counting, if so asked, the chance that all rows share."""
    if shared and isinstance(piece, sg.NoisyWeights):
        return True
    if isinstance(piece, sg.Sampler) and piece.random:
        return True
    if isinstance(piece, sg.Noise | sg.FromData | sg.RandomMap):
        return True
    held = piece if isinstance(piece, tuple) else [v for _, v in fields_of(piece)] if isinstance(piece, Value) else []
    return any(has_chance(part, shared=shared) for part in held)


@METHOD
def test_the_rest_of_the_batch_does_not_matter_when_its_scores_are_huge(method: sg.Explainer) -> None:
    tall = torch.cat([ROWS, 50 * ROWS[:1]])
    same(run(method, tall, keys=[0, 1, 2, 3]).maps[:3], run(method).maps)


# --- what is promised -------------------------------------------------------------------------------------------------


@METHOD
def test_maps_have_the_shape_and_the_type_of_the_rows(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    result = known[repr(method)]
    reductions = len(result.parts()) if "Together" in repr(method) else 0
    shape = (3, reductions, 2, 6, 6) if reductions else (3, 2, 6, 6)
    assert result.maps.shape == shape
    assert result.maps.dtype == torch.float64
    assert result.maps.isfinite().all()
    # Without any channel the scores of two of the rows rise, so that nothing speaks for them.
    assert (result.maps != 0).flatten(1).any(1).all() or method == cams.ablation_cam()
    assert not result.maps.requires_grad
    if result.stderr is not None:
        assert result.stderr.shape == shape
        assert bool((result.stderr.nan_to_num() >= 0).all())


@METHOD
def test_what_has_no_chance_has_no_standard_error(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    result = known[repr(method)]
    if not has_chance(method):
        assert result.stderr is None
        assert result.relative_error is None
    if isinstance(method, sg.Over) and method.sampler.random and method.reduction.has_stderr:
        assert result.stderr is not None
        assert bool((result.stderr > 0).any())


@METHOD
def test_float32_agrees_with_float64(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    net = copy.deepcopy(NET).float()
    maps, exact = run(method, ROWS.float(), net).maps, known[repr(method)].maps
    assert maps.dtype == torch.float32
    # A ReLU or a rank may fall on its other side by rounding: nearly all values agree.
    off = (maps - exact).abs() > 1e-3 * exact.abs().amax()
    assert float(off.double().mean()) < 0.03


class Tally:
    """A count that a network shares with its copies."""

    def __init__(self) -> None:
        self.rows = 0

    def __deepcopy__(self, memo: object) -> Tally:
        return self


class Counting(nn.Module):
    """Counts the rows that it, or a copy of it, is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.tally = NET, Tally()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.tally.rows += len(x)
        scores: Tensor = self.net(x)
        return scores


@METHOD
def test_passes_are_those_that_were_made(method: sg.Explainer, request: pytest.FixtureRequest) -> None:
    net = Counting()
    result = run(method, net=net)
    made = net.tally.rows - len(ROWS)  # the first look, at the clean rows
    if result.provenance["prepared"]:
        made -= 1  # one row, which its copy is tried on
    if result.completeness is not None:
        made -= checking(method)
    if request.node.callspec.id in AT_MOST:
        assert made <= int(result.passes.sum())
    else:
        assert made == int(result.passes.sum())
    assert int(result.passes.max()) <= method.passes


def checking(method: sg.Explainer) -> int:
    """The passes that a look at completeness takes: the ends of the path, and what finds the baseline."""
    if isinstance(method, Relevance):
        return len(ROWS)  # the score
    if isinstance(method, sg.Xrai):
        return checking(method.inner)
    if isinstance(method, sg.GuidedPath | sg.DeepLift):
        return len(ROWS) * (1 + method.baseline.each)
    sampler = method.path if isinstance(method, sg.Refined) else method.sampler if isinstance(method, sg.Over) else None
    if isinstance(sampler, sg.BlurPath):
        return 2 * len(ROWS)
    assert isinstance(sampler, sg.StraightPath)
    once = len(ROWS) * (1 + sampler.baseline.each)
    return 2 * once if isinstance(method, sg.Refined) else once


@METHOD
def test_the_progress_rises_to_the_answer(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    seen: list[sg.Progress] = []
    result = run(method, chunk=3, progress=seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert all(progress.done <= progress.total == len(ROWS) * method.passes for progress in seen)
    assert torch.equal(fitted(seen[-1].partial.estimate().value, ROWS.shape[1:]), result.maps)
    alike(result, known[repr(method)])


@METHOD
def test_the_last_live_result_is_the_result(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    *_, last = sg.explain_live(NET, ROWS, method=method, seed=4)
    alike(last, known[repr(method)])


def promises(method: sg.Explainer) -> bool:
    if isinstance(method, sg.Xrai):
        return promises(method.inner)
    straight = isinstance(method, sg.Over) and method == sg.Gradient().over(method.sampler)
    path = straight and isinstance(method.sampler, sg.StraightPath | sg.BlurPath)
    return path or isinstance(method, sg.Refined | Relevance | sg.GuidedPath | sg.DeepLift)


@METHOD
def test_completeness_is_known_for_paths_and_only_there(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    promised = promises(method)
    completeness = known[repr(method)].completeness
    assert (completeness is not None) is promised
    if completeness is not None and isinstance(method, sg.Refined):
        assert float(completeness.error.max()) <= method.tolerance


@METHOD
def test_the_target_is_that_of_the_clean_input(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    assert torch.equal(known[repr(method)].target, NET(ROWS).argmax(1))
    named = run(method, target=known[repr(method)].target)
    alike(named, known[repr(method)])


@METHOD
def test_other_inputs_are_repeated_with_their_rows(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = NET
            self.eval()

        def forward(self, x: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
            scores: Tensor = self.net(x + shift)
            return scores * factor[:, None]

    shift = torch.linspace(-0.1, 0.1, 3, dtype=torch.float64).view(3, 1, 1, 1)
    factor = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    net = Shifted()
    result = run(method, net=net, context=(shift, factor))
    for row in range(3):
        alone = run(method, ROWS[[row]], net, keys=[row], context=(shift[[row]], factor[[row]]))
        alike(alone, result[row])
    still = run(method, net=net, context=(0 * shift, torch.ones_like(factor)))
    same(still.maps, known[repr(method)].maps)


# --- what is left as found --------------------------------------------------------------------------------------------


def state(net: nn.Module) -> list[object]:
    hooks = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
    found: list[object] = [
        (name, part.training, [len(getattr(part, h)) for h in hooks]) for name, part in net.named_modules()
    ]
    found += [(name, part.requires_grad, part.grad) for name, part in net.named_parameters()]
    found += [(name, part.numpy().tobytes(), part._version) for name, part in net.state_dict().items()]
    return [*found, list(net.__dict__)]


@METHOD
def test_the_model_and_the_rows_are_left_as_found(method: sg.Explainer) -> None:
    net, x = copy.deepcopy(NET), ROWS.clone().requires_grad_()
    before, version = state(net), x._version
    run(method, x, net)
    assert state(net) == before
    assert torch.equal(x, ROWS)
    assert x.grad is None
    assert x._version == version
    assert not _get_current_function_mode_stack()
    assert torch.is_grad_enabled()


class Broken(Exception):
    """What the network below raises."""


@METHOD
def test_nothing_is_left_behind_when_the_network_raises(method: sg.Explainer) -> None:
    class Failing(Net):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            output = super().forward(x)
            if self.calls > 1:
                raise Broken
            return output

    net = Failing()
    before = state(net)
    with pytest.raises(Broken) if method.passes else nullcontext():  # controls ask it nothing
        run(method, net=net)
    assert state(net) == before
    assert not _get_current_function_mode_stack()
    assert torch.is_grad_enabled()


@METHOD
def test_a_network_that_writes_into_its_input_changes_nothing(
    method: sg.Explainer, known: dict[str, sg.Attribution]
) -> None:
    class Careless(Net):
        def forward(self, x: Tensor) -> Tensor:
            x = x.mul_(2.0).add_(1.0)
            return super().forward((x - 1.0).div_(2.0))

    x = ROWS.clone()
    result = run(method, x, Careless())
    assert torch.equal(x, ROWS)
    same(result.maps, known[repr(method)].maps, 1e-7)


# --- methods are values -----------------------------------------------------------------------------------------------


@METHOD
def test_the_recipe_makes_the_method_again(method: sg.Explainer) -> None:
    text = sg.to_recipe(method)
    assert "\n" not in text
    data = [held.tensor for held in data_in(method)]
    assert sg.from_recipe(text, data=data) == method
    assert sg.to_recipe(sg.from_recipe(text, data=data)) == text


@METHOD
def test_plain_data_makes_the_method_again(method: sg.Explainer) -> None:
    plain = json.loads(json.dumps(sg.to_data(method)))
    assert sg.from_data(plain, data=[held.tensor for held in data_in(method)]) == method


@METHOD
def test_methods_are_equal_by_content_and_hashable(method: sg.Explainer) -> None:
    twin = copy.deepcopy(method)
    assert twin == method
    assert hash(twin) == hash(method)
    assert sum(other == method for other in TABLE.values()) == 1
    assert pickle.loads(pickle.dumps(method)) == method
    with pytest.raises(AttributeError):
        method.inner = sg.Gradient()  # type: ignore[attr-defined]
    assert replace(method) == method  # type: ignore[type-var]


@METHOD
def test_the_result_knows_its_method(method: sg.Explainer, known: dict[str, sg.Attribution]) -> None:
    result = known[repr(method)]
    assert result.method() == method
    assert result.unit == method.unit
    assert result.recipe == repr(method)


# --- every method can be smoothed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(sg.METHODS) - set(ELSEWHERE)))
def test_noise_around_a_named_method_is_its_mean_over_noisy_copies(name: str) -> None:
    """Whatever the method: n draws of the cloud, each explained by itself, and their mean."""
    method = TABLE[name]
    cloud = sg.Gaussian(0.1, 3)
    smoothed = run(method.over(cloud), ROWS[:1], target=2)
    again = run(method.over(cloud), ROWS[:1], target=2, chunk=1)
    alike(smoothed, again)
    assert smoothed.maps.shape == ROWS[:1].shape
    assert smoothed.stderr is not None
    assert sg.from_recipe(smoothed.recipe, data=smoothed.data) == method.over(cloud)
