"""Last steps on a map."""

from __future__ import annotations

import math

import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.query import Query
from tests.truth import TRUTHS, X

MEAN = sg.smoothgrad(0.4, 300, unit="absolute")


def run(method: sg.Explainer) -> sg.Attribution:
    return sg.explain(TRUTHS["cubic"], X[None], method=method, target=1)  # -f: negative maps


def test_each_is_its_function_of_the_map() -> None:
    maps = run(MEAN).maps
    assert bool((maps < 0).all())
    assert torch.equal(run(MEAN.then(sg.TimesInput())).maps, maps * X)
    assert torch.equal(run(MEAN.then(sg.Absolute())).maps, maps.abs())
    assert not run(MEAN.then(sg.Positive())).maps.any()


def test_errors_go_along() -> None:
    plain, times, size = run(MEAN).stderr, run(MEAN.then(sg.TimesInput())).stderr, run(MEAN.then(sg.Absolute())).stderr
    assert plain is not None
    assert times is not None
    assert size is not None
    assert torch.equal(times, plain * X.abs())
    assert torch.equal(size, plain)


def test_the_error_after_times_input_is_the_scatter_over_seeds() -> None:
    rows = X.expand(200, -1)
    result = sg.explain(TRUTHS["cubic"], rows, method=MEAN.then(sg.TimesInput()), target=0, chunk=100_000)
    assert result.stderr is not None
    torch.testing.assert_close(result.maps.std(0), result.stderr.mean(0), rtol=4 / math.sqrt(2 * 200), atol=0)


def test_times_input_takes_the_input_where_the_map_is_asked() -> None:
    # Inside a cloud the input is the noisy one: E[(x + e) g(x + e)], for g = 3 z^2: 3 (x^3 + 3 x s^2).
    inside = sg.input_x_gradient().over(sg.Gaussian(0.4, 4000, unit="absolute"))
    result = sg.explain(TRUTHS["cubic"], X[None], method=inside, target=0, chunk=4000)
    assert result.stderr is not None
    z = (result.maps - 3 * (X**3 + 3 * X * 0.16)) / result.stderr
    assert float(z.abs().max()) < 4


@pytest.mark.parametrize("finish", [sg.Absolute(), sg.Positive()])
def test_units_stay(finish: sg.Finish) -> None:
    assert MEAN.then(finish).unit == MEAN.unit


def test_centred_maps_have_the_mean_zero_and_keep_their_differences() -> None:
    maps = torch.rand(2, 3, 4, dtype=torch.float64)
    found = sg.Centred()(maps, Query.of(maps, target=0))
    assert float(found.flatten(1).mean(1).abs().max()) < 1e-15
    torch.testing.assert_close(found[:, 0] - found[:, 1], maps[:, 0] - maps[:, 1])


# --- smoothing of the map -------------------------------------------------------------------------------------------


def test_smoothed_is_scipys_gaussian_filter() -> None:
    from scipy.ndimage import gaussian_filter

    maps = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    query = Query.of(maps, target=0)
    want = torch.stack(
        [
            torch.stack([torch.tensor(gaussian_filter(c.numpy(), 1.5, mode="reflect", truncate=4.0)) for c in row])
            for row in maps
        ]
    )
    torch.testing.assert_close(sg.Smoothed(1.5)(maps, query), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(2, 1, 7), (2, 3, 5, 6), (1, 2, 4, 4, 4)])
def test_smoothed_keeps_sums(shape: tuple[int, ...]) -> None:
    maps = torch.rand(shape, dtype=torch.float64)
    found = sg.Smoothed(3)(maps, Query.of(maps, target=0))
    torch.testing.assert_close(found.flatten(2).sum(2), maps.flatten(2).sum(2))
    assert found.std() < maps.std()


def test_smoothed_needs_pixels_and_a_width() -> None:
    with pytest.raises(sg.errors.BadMethod, match="width > 0"):
        sg.Smoothed(0)
    with pytest.raises(sg.errors.BadMethod, match="needs maps"):
        sg.Smoothed(1)(torch.rand(2, 5), Query.of(torch.rand(2, 5), target=0))


def test_smoothed_counts_pixels_also_of_a_coarse_map_and_keeps_its_sign() -> None:
    net = sg.load("digits")
    x = net.samples(1)
    soft = sg.explain(net, x, method=sg.grad_cam("conv3").then(sg.Smoothed(1.0)))
    plain = sg.explain(net, x, method=sg.grad_cam("conv3"))
    torch.testing.assert_close(soft.maps, sg.Smoothed(1.0)(plain.maps, Query.of(x, target=0)))
    assert soft.unsigned
    assert not sg.gradient().then(sg.Smoothed(1.0)).unsigned
    assert sg.grad_cam().over(sg.Gaussian()).unsigned
