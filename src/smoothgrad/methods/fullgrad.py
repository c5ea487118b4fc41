"""FullGrad and smooth FullGrad."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Until
from smoothgrad.explainers.fullgrad import FullGradient
from smoothgrad.methods.method import Method
from smoothgrad.samplers.cloud import Gaussian, Unit
from smoothgrad.samplers.spread import Sampling


def full_grad() -> Explainer:
    """Gradient times input, and every bias times its gradient, in one picture:  post(|x grad s|) + sum_c post(|b_c grad s(b_c)|).

    Map (N, 1, *pixels), never negative, for rows (N, C, *pixels). `post` stretches the input's values, and those of each channel c
    of a layer, from 0 to 1, and brings them to the input's size. The sums without `post` are the score exactly: see
    `full_gradients`. One pass. Srinivas and Fleuret 2019.

    Raises `BadInput` for rows without pixels.

    >>> full_grad().passes
    1
    """
    return FullGradient()


def smooth_full_grad(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """FullGrad averaged over noisy copies of the input:  E_e[ full_grad(x + e) ],  e ~ N(0, (noise * range(x))^2).

    Map (N, 1, *pixels), never negative, with its standard error. Srinivas and Fleuret 2019, Smilkov et al. 2017.

    >>> smooth_full_grad(samples=8)
    FullGradient().over(Gaussian(noise=0.15, samples=8))
    """
    return FullGradient().over(Gaussian(noise, samples, unit, sampling))


ROWS: tuple[Method, ...] = (
    Method(full_grad, "ψ(|x·∂s/∂x|) + Σ ψ(|b·∂s/∂b|)", ("srinivas2019",)),
    Method(smooth_full_grad, "E[ψ(|x·∂s/∂x|) + Σ ψ(|b·∂s/∂b|)]  at x+ε", ("srinivas2019", "smilkov2017")),
)
PIECES: dict[str, tuple[str, ...]] = {"FullGradient": ("srinivas2019",)}
