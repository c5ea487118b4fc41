"""DeepLIFT and DeepSHAP."""

from __future__ import annotations

from torch import Tensor

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Until
from smoothgrad.core.value import Data
from smoothgrad.explainers.deeplift import DeepLift, DeepShap
from smoothgrad.methods.method import Method
from smoothgrad.rules.deeplift import MultiplierRule, Rescale
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.data import DataPoints


def deep_lift(*, baseline: Baseline = Zero(), rule: MultiplierRule = Rescale()) -> Explainer:
    """Differences from a baseline b, sent back through every function as multipliers:  (x - b) * m(x, b).

    Map (N, *S), signed, in units of the score; sums to s(x) - s(b) to rounding, on any network, which the result's `completeness`
    shows. A linear function's multiplier is its weight, a nonlinear one's the slope between b and x (`Rescale()`), or, with
    `RevealCancel()`, one for what rises and one for what falls, so that inputs which cancel each other are seen; in a product each
    factor counts with the mean of the other. As cheap as a gradient: two forward passes and a backward one. Several baselines
    are averaged over. Shrikumar et al. 2017.

    Raises `UnsupportedModel` for a function whose difference cannot be shared out exactly, by name, and for a network that does
    something else on the baseline than on the input.

    >>> deep_lift().passes
    2
    >>> from smoothgrad import Blurred
    >>> deep_lift(baseline=Blurred(3))
    DeepLift(baseline=Blurred(sigma=3))
    """
    return DeepLift(rule, baseline)


def deep_shap(data: Tensor | Data, samples: int | Until = 200, *, rule: MultiplierRule = Rescale()) -> Explainer:
    """DeepLIFT averaged over baselines from the data:  E_b[ (x - b) * m(x, b) ],  b ~ data.

    `data` (M, *S): rows that baselines are drawn from, with replacement: where all draws are of one row, the standard error is 0.
    Map (N, *S), signed, in units of the score, with its standard error; sums to s(x) minus the mean score of the baselines that
    were drawn, which no `completeness` checks. An approximation of Shapley values. Lundberg and Lee 2017.

    >>> import torch
    >>> deep_shap(torch.zeros(10, 3), samples=20).passes
    40
    """
    return DeepShap(DataPoints(data, samples), rule)


ROWS: tuple[Method, ...] = (
    Method(deep_lift, "(x−b) · m(x, b),  m = Δy/Δz at each function", ("shrikumar2017",)),
    Method(deep_shap, "E[(x−b) · m(x, b)],  b ~ data", ("lundberg2017", "shrikumar2017")),
)
PIECES: dict[str, tuple[str, ...]] = {
    "DeepLift": ("shrikumar2017",),
    "DeepShap": ("lundberg2017", "shrikumar2017"),
}
