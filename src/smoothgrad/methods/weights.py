"""Noise on the weights of the network."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Until
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.noisegrad import NoisyWeights
from smoothgrad.methods.method import Method
from smoothgrad.rules.rule import Plain, Rule
from smoothgrad.samplers.cloud import Gaussian, Unit


def noisegrad(noise: float = 0.2, samples: int = 10, *, rule: Rule = Plain()) -> Explainer:
    """The mean gradient over networks with noisy weights:  E_n[ grad s(x; w n) ],  n ~ N(1, noise^2).

    Map (N, *S), signed, in units of score per unit of input, with its Monte-Carlo standard error. The authors raise the noise
    until the network has lost 5 % of its accuracy; their code begins at 0.2, and deep networks bear less. A copy of the network is
    disturbed; the network is left as found. Bykov et al. 2021.

    Raises `BadNoise` for a negative noise, and `UnsupportedModel` for a network that cannot be copied.

    >>> noisegrad(samples=25).passes
    25
    """
    return NoisyWeights(Gradient(rule), noise, samples)


def fusiongrad(
    noise: float = 0.1,
    samples: int | Until = 10,
    *,
    weight_noise: float = 0.1,
    networks: int = 10,
    rule: Rule = Plain(),
    unit: Unit = "range",
) -> Explainer:
    """SmoothGrad averaged over networks with noisy weights:  E_n[ E_e[ grad s(x + e; w n) ] ],  n ~ N(1, weight_noise^2).

    e ~ N(0, (noise * range(x))^2), `samples` of them for each of `networks` networks: networks * samples passes. Both noises
    default to about half of what either alone takes. Map (N, *S), signed, in units of score per unit of input, with its
    Monte-Carlo standard error, which counts networks. Bykov et al. 2021.

    Raises `BadNoise` for a negative noise or, when explaining, for constant rows.

    >>> fusiongrad(samples=5).passes
    50
    """
    return NoisyWeights(Gradient(rule).over(Gaussian(noise, samples, unit)), weight_noise, networks)


ROWS: tuple[Method, ...] = (
    Method(noisegrad, "E[∂s(x; w·η)/∂x],  η ~ N(1, σ²)", ("bykov2021",)),
    Method(fusiongrad, "E[∂s(x+ε; w·η)/∂x],  η ~ N(1, σ²)", ("bykov2021", "smilkov2017")),
)

PIECES: dict[str, tuple[str, ...]] = {
    "NoisyWeights": ("bykov2021",),
}
