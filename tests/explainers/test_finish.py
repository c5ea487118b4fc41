"""Last steps on a map."""

from __future__ import annotations

import math

import pytest
import torch

import smoothgrad as sg
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
