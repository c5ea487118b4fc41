"""That an estimate is never surer than it may be: what a run says of itself, end to end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadMethod


class Of(nn.Module):
    """The score of class 0 is a function of the rows."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        score = self.function(x)
        return torch.stack([score, -score], 1)


def test_until_is_not_sure_of_a_map_it_has_not_seen() -> None:
    """The ReLU is dead at x and nearly everywhere around it: a first look of zeros says nothing."""
    x = torch.zeros(20, 4)
    x[:, 0] = 1
    dead = Of(lambda x: (x.sum(1) - 3).relu())
    method = sg.smoothgrad(0.5, sg.Until(tolerance=0.05, least=16, most=4096))
    result = sg.explain(dead, x, method=method, target=0)
    assert (result.maps.flatten(1).norm(dim=1) > 0).all()
    assert (result.draws > 16).all()


def test_until_keeps_its_error_with_the_fewest_pairs() -> None:
    x = torch.randn(6, 5)
    method = sg.smoothgrad(0.3, sg.Until(tolerance=0.3, least=2, most=64), sampling="antithetic")
    result = sg.explain(Of(lambda x: x.sin().sum(1)), x, method=method, target=0)
    assert result.stderr is not None
    assert not result.stderr.isnan().any()


def test_until_needs_two_blocks() -> None:
    with pytest.raises(BadMethod, match="Until needs most >= 4"):
        sg.smoothgrad(0.3, sg.Until(least=2, most=2), sampling="antithetic")


BASELINES = sg.Several(sg.Zero(), sg.Constant(-10.0), sg.Constant(-20.0))


def test_a_noisy_path_gives_each_baseline_its_share() -> None:
    """s = sum x: the map is x + e - b exactly, on average 1 + 10; noise is small, so that all that is left is the share."""
    x = torch.ones(200, 2)
    method = sg.smooth_integrated_gradients(0.01, 6, baseline=BASELINES, unit="absolute")
    result = sg.explain(Of(lambda x: x.sum(1)), x, method=method, target=0)
    torch.testing.assert_close(result.maps, torch.full((200, 2), 11.0), atol=0.03, rtol=0)
    assert result.stderr is not None
    z = (result.maps - 11.0) / result.stderr
    assert float(z.abs().median()) > 0.3, "the standard error must not be taken over the baselines"


def test_a_noisy_path_refuses_unequal_shares() -> None:
    with pytest.raises(BadMethod, match=r"rounds of 3 draws.*200 is no multiple: take 201 samples"):
        sg.smooth_integrated_gradients(baseline=BASELINES)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_torchs_global_defaults_change_nothing() -> None:
    net = sg.load("digits")
    x = net.samples(2)
    for method in (sg.smoothgrad(samples=6), sg.smooth_integrated_gradients(samples=6), sg.integrated_gradients(4)):
        plain = sg.explain(net, x, method=method)
        with default_dtype(torch.float64):
            assert torch.equal(sg.explain(net, x, method=method).maps, plain.maps)
        with torch.device("meta"):
            assert torch.equal(sg.explain(net, x, method=method).maps, plain.maps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(sg.explain(net, x, method=method).maps, plain.maps)


def test_the_fingerprint_sees_every_write() -> None:
    net = nn.Linear(3, 2).eval()
    seen = {sg.explain(net, torch.rand(1, 3), method=sg.gradient()).provenance["fingerprint"]}
    net.weight.data.mul_(2)
    seen.add(sg.explain(net, torch.rand(1, 3), method=sg.gradient()).provenance["fingerprint"])
    assert len(seen) == 2
    assert sg.Network(net, name="wrapped").net is net
    wrapped = sg.Network(net, name="wrapped")
    assert sg.explain(wrapped, torch.rand(1, 3), method=sg.gradient()).provenance["fingerprint"] in seen


def test_a_trimmed_mean_trims_what_it_says() -> None:
    values = torch.arange(100.0)[:, None, None]
    reduction = sg.TrimmedMean(0.29)
    state = reduction.update(None, values, torch.ones(100), 1)
    assert float(reduction.final(state).value) == pytest.approx(values[29:71].mean().item())


def test_a_tolerance_that_was_not_reached_is_said() -> None:
    net = sg.load("digits")
    x = net.samples(3)
    few = sg.explain(net, x, method=sg.smoothgrad(samples=sg.Until(tolerance=0.01, least=4, most=8)))
    many = sg.explain(net, x, method=sg.smoothgrad(samples=sg.Until(tolerance=0.2)))
    path = sg.explain(net, x, method=sg.integrated_gradients(tolerance=0.01))
    assert few.converged is not None
    assert many.converged is not None
    assert path.converged is not None
    assert not few.converged.any()
    assert many.converged.all()
    assert path.converged.all()
    assert sg.explain(net, x, method=sg.smoothgrad(samples=4)).converged is None
    assert few.map_panel(0).note == "tolerance not reached"


def test_class_names_of_another_network_are_refused() -> None:
    net = sg.load("digits")
    wrong = net.changed(classes=("cat", "dog"))
    with pytest.raises(sg.errors.BadModel, match=r"2 class names \(cat, \.\.\.\) for 10 classes"):
        sg.explain(wrong, net.samples(1), method=sg.gradient())


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embedding(words).tanh().mean(1))


def test_maps_of_an_embedding_are_shown_word_by_word() -> None:
    words = torch.randint(20, (2, 7), generator=torch.Generator().manual_seed(0))
    result = sg.explain(Words().eval(), words, method=sg.integrated_gradients(8), at="embedding")
    panel = result.map_panel(0)
    assert result.maps.shape == (2, 7, 4)
    assert panel.map.shape == (7,)
    torch.testing.assert_close(panel.map, result.maps[0].sum(-1))
    assert panel.names[3] == "position 3"


@pytest.mark.parametrize(("each", "samples"), [(1, 40), (3, 36), (5, 40), (8, 64), (13, 104), (21, 168)])
def test_the_error_of_a_noisy_path_is_cautious_for_any_number_of_baselines(each: int, samples: int) -> None:
    """s = x^3 + sin 3x from baselines spread over [-3, 1]: their scores and gradients differ, and so do places on the path."""
    curve = Of(lambda x: (x**3 + (3 * x).sin()).sum(1))
    starts = torch.linspace(-3, 1, each, dtype=torch.float64).tolist()
    baseline = sg.Several(*(sg.Constant(start) for start in starts))
    x = torch.full((400, 1), 1.5, dtype=torch.float64)
    method = sg.smooth_integrated_gradients(0.1, samples, baseline=baseline, unit="absolute")

    result = sg.explain(curve, x, method=method, target=0)
    # Truth: E[s(x + e)] - mean s(b); E(x + e)^3 = x^3 + 3 x s^2, E sin 3(x + e) = sin 3x exp(-9 s^2 / 2)
    end = 1.5**3 + 3 * 1.5 * 0.01 + math.sin(4.5) * math.exp(-9 * 0.01 / 2)
    truth = end - sum(start**3 + math.sin(3 * start) for start in starts) / each
    assert result.stderr is not None
    z = (result.maps - truth) / result.stderr
    assert float(z.square().mean().sqrt()) < 1.1
    assert float((z.abs() > 2).double().mean()) < 0.08


def test_a_rule_leaves_a_graph_that_the_model_keeps_as_it_was() -> None:
    class Made(nn.Module):
        """Weights made from others, once, with a ReLU: their graph belongs to the model."""

        def __init__(self) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
            self.made = self.raw.relu()
            self.out = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out((x @ self.made.T).relu())

    net, x = Made().eval(), torch.rand(3, 4)
    (before,) = torch.autograd.grad(net(x).sum(), net.raw, retain_graph=True)
    sg.explain(net, x, method=sg.deconvnet(), target=0)
    (after,) = torch.autograd.grad(net(x).sum(), net.raw, retain_graph=True)
    assert torch.equal(before, after)


def test_a_finish_does_not_change_whether_the_tolerance_was_reached() -> None:
    net = sg.load("digits")
    x = net.samples(3)
    for method in (sg.integrated_gradients(tolerance=0.01), sg.smoothgrad(samples=sg.Until(0.2, most=512))):
        alone = sg.explain(net, x, method=method)
        assert alone.converged is not None
        assert alone.converged.all()
        for finish in (sg.Absolute(), sg.Positive(), sg.TimesInput()):
            finished = sg.explain(net, x, method=method.then(finish))
            assert finished.converged is not None
            assert finished.converged.all()
        *_, last = sg.explain_live(net, x, method=method)
        assert last.converged is not None
        assert torch.equal(last.converged, alone.converged)


def test_results_made_under_inference_mode_are_ordinary() -> None:
    net = sg.load("digits")
    with torch.inference_mode():
        result = sg.explain(net, net.samples(2), method=sg.integrated_gradients(4, baseline=sg.Given(net.samples(1))))
    assert not result.maps.is_inference()
    assert not result.data[0].is_inference()


def test_a_path_from_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(sg.errors.NonFinite, match="the baseline of row 0 is NaN or infinity"):
        sg.explain(Of(lambda x: x.log().sum(1)), torch.ones(1, 2), method=sg.integrated_gradients(4), target=0)
