"""Gradients, plain, smoothed, along paths, and under rules for rectifiers."""

from __future__ import annotations

from torch import Tensor

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.reduce import SquareMean, Variance
from smoothgrad.core.sampler import Until
from smoothgrad.core.value import Data
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.finish import TimesInput
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.refined import Refined
from smoothgrad.methods.method import Method
from smoothgrad.rules.relu import Deconv, Guided, Rectified
from smoothgrad.rules.rule import Plain, Rule
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.cloud import Gaussian, Roots, Unit
from smoothgrad.samplers.path import DataPaths, NoisyPath, StraightPath
from smoothgrad.samplers.quadrature import Quadrature, steps_for
from smoothgrad.samplers.spread import Sampling


def gradient(*, rule: Rule = Plain()) -> Explainer:
    """The gradient of the score:  d s(x) / d x.

    Map (N, *S), signed, in units of score per unit of input; usually shown as absolute values. One pass.
    Simonyan et al. 2013.

    >>> gradient().passes
    1
    """
    return Gradient(rule)


def input_x_gradient(*, rule: Rule = Plain()) -> Explainer:
    """The gradient times the input:  x * d s(x) / d x.

    Map (N, *S), signed, in units of the score. What is zero in the input vanishes from the map. One pass. Shrikumar et al. 2016.

    >>> input_x_gradient()
    Gradient().then(TimesInput())
    """
    return Gradient(rule).then(TimesInput())


def smoothgrad(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    rule: Rule = Plain(),
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The mean gradient over noisy copies of the input:  E_e[ grad s(x + e) ],  e ~ N(0, (noise * range(x))^2).

    Map (N, *S), signed, with its Monte-Carlo standard error. `noise` is a fraction of max - min over each row; 0.1 to 0.2 is
    best for pictures, and pictures change little past 50 samples, though the estimate has not converged by then: see the
    result's `relative_error`, or give `samples=Until(tolerance=0.1)`. Smilkov et al. 2017.

    Raises `BadNoise` for a negative noise or, when explaining, for constant rows.

    >>> smoothgrad(noise=0.1)
    Gradient().over(Gaussian(noise=0.1, samples=50))
    """
    return Gradient(rule).over(Gaussian(noise, samples, unit, sampling))


def smoothgrad_squared(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    rule: Rule = Plain(),
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The mean squared gradient over noisy copies:  E_e[ (grad s(x + e))^2 ].

    Map (N, *S), never negative, with its standard error. Hooker et al. 2019.

    >>> smoothgrad_squared(samples=8).passes
    8
    """
    return Gradient(rule).over(Gaussian(noise, samples, unit, sampling), SquareMean())


def vargrad(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    rule: Rule = Plain(),
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The variance of the gradient around x:  Var_e[ grad s(x + e) ],  e ~ N(0, (noise * range(x))^2).

    Map (N, *S), never negative; large where small changes turn the gradient. Unbiased, with its standard error.
    Adebayo et al. 2018, Seo et al. 2018.

    >>> vargrad(samples=8).passes
    8
    """
    return Gradient(rule).over(Gaussian(noise, samples, unit, sampling), Variance())


def integrated_gradients(
    steps: int | None = None,
    *,
    baseline: Baseline = Zero(),
    quadrature: Quadrature | None = None,
    tolerance: float | None = None,
) -> Explainer:
    """The gradient gathered along the straight path from a baseline b:  (x - b) * integral_0^1 grad s(b + a (x - b)) da.

    Map (N, *S), signed, in units of the score; sums to s(x) - s(b), which the result's `completeness` compares. Give `steps`
    (default 50, by Gauss-Legendre quadrature), or a `tolerance` on that comparison: intervals are then halved until it holds, by
    the trapezoid rule, which keeps what it has evaluated. Sundararajan et al. 2017.

    Raises `BadMethod` for steps and tolerance at once, and `BadBaseline` for a baseline of another shape than the rows.

    >>> integrated_gradients(steps=32).passes
    32
    """
    if tolerance is None:
        return Gradient().over(StraightPath(baseline, 50 if steps is None else steps, quadrature or "gauss-legendre"))
    if steps is not None:
        raise BadMethod(
            f"integrated_gradients takes steps or tolerance, not both; got steps={steps}, tolerance={tolerance}"
        )
    # Measured on CIFAR ResNets, 20 pictures each: 29 to 35 evaluations to within 5 %, where Gauss-Legendre takes 34 to 48, and
    # 60 % as many to within 1 %. Simpson takes as few, but its maps are further off: ReLUs make kinks, which suit no high order.
    rule = quadrature or "trapezoid"
    return Refined(StraightPath(baseline, steps_for(rule, 16), rule), tolerance)


def smooth_integrated_gradients(
    noise: float = 0.1,
    samples: int | Until = 200,
    *,
    steps: int | None = None,
    baseline: Baseline = Zero(),
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """Integrated Gradients averaged over noisy copies, jointly:  E_{e,a}[ (x + e - b) * grad s(b + a (x + e - b)) ].

    Map (N, *S), signed, in units of the score, with its standard error. Smilkov et al. 2017, Sundararajan et al. 2017.

    Jointly, each noisy copy is asked at one point of its path, and these points are evenly spread: `samples` passes, and a
    cautious standard error. It is the better way wherever the answer waits for the noise and not for the path, which is nearly
    always. With `steps`, each copy has a path of its own of so many steps, `samples * steps` passes: better where there is so
    little noise that the copies' maps hardly differ, or where each of them has to be complete. Both have the same limit.

    >>> smooth_integrated_gradients(samples=100).passes
    100
    >>> smooth_integrated_gradients(samples=20, steps=32).passes
    640
    """
    cloud = Gaussian(noise, samples, unit, sampling)
    if steps is None:
        return Gradient().over(NoisyPath(cloud, baseline))
    return integrated_gradients(steps, baseline=baseline).over(cloud)


def expected_gradients(data: Tensor | Data, samples: int | Until = 200) -> Explainer:
    """Integrated Gradients averaged over baselines from the data:  E_{b,a}[ (x - b) * grad s(b + a (x - b)) ],  a ~ U(0, 1).

    `data` (M, *S): rows that baselines are drawn from, with replacement. Map (N, *S), signed, in units of the score, with its
    standard error; sums on average to s(x) - E_b[s(b)]. Erion et al. 2019.

    >>> import torch
    >>> expected_gradients(torch.zeros(10, 3), samples=20).passes
    20
    """
    return Gradient().over(DataPaths(data, samples))


def smooth_taylor(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The first-order Taylor term, averaged over roots z around x:  E_z[ (x - z) * grad s(z) ],  z = x + e.

    Map (N, *S), signed, in units of the score, with its standard error. Goh et al. 2021.

    >>> smooth_taylor(samples=8)
    Gradient().over(Roots(cloud=Gaussian(noise=0.15, samples=8)))
    """
    return Gradient().over(Roots(Gaussian(noise, samples, unit, sampling)))


def guided_backprop() -> Explainer:
    """The gradient that passes a ReLU only where activation and relevance are both positive.

    Map (N, *S), signed. Known to depend little on the network's weights (Adebayo et al. 2018): sharp is not faithful. Raises
    `RuleDidNothing` for a network without ReLUs. Springenberg et al. 2014.

    >>> guided_backprop()
    Gradient(rule=Guided())
    """
    return Gradient(Guided())


def deconvnet() -> Explainer:
    """The gradient that passes a ReLU where the relevance is positive, whatever the activation was.

    Map (N, *S), signed. Raises `RuleDidNothing` for a network without ReLUs. Zeiler and Fergus 2013.

    >>> deconvnet()
    Gradient(rule=Deconv())
    """
    return Gradient(Deconv())


def rectgrad(q: float = 98.0) -> Explainer:
    """The gradient that passes a ReLU only where activation * relevance is above its q-th percentile; times the input.

    Map (N, *S), signed. Rows are asked one at a time. Raises `RuleDidNothing` for a network without ReLUs.
    Kim, Seo et al. 2019.

    >>> rectgrad()
    Gradient(rule=Rectified(q=98.0)).then(TimesInput())
    """
    return Gradient(Rectified(q)).then(TimesInput())


ROWS: tuple[Method, ...] = (
    Method(gradient, "∂s(x)/∂x", ("simonyan2013",)),
    Method(input_x_gradient, "x · ∂s(x)/∂x", ("shrikumar2016",)),
    Method(smoothgrad, "E[∂s(x+ε)/∂x],  ε ~ N(0, σ²)", ("smilkov2017",)),
    Method(smoothgrad_squared, "E[(∂s(x+ε)/∂x)²]", ("hooker2019",)),
    Method(vargrad, "Var[∂s(x+ε)/∂x]", ("adebayo2018", "seo2018")),
    Method(integrated_gradients, "(x−b) · ∫₀¹ ∂s(b+a(x−b))/∂x da", ("sundararajan2017",)),
    Method(
        smooth_integrated_gradients,
        "E[(x+ε−b) · ∂s(b+a(x+ε−b))/∂x]",
        ("smilkov2017", "sundararajan2017"),
    ),
    Method(expected_gradients, "E[(x−b) · ∂s(b+a(x−b))/∂x],  b ~ data", ("erion2019",)),
    Method(smooth_taylor, "E[(x−z) · ∂s(z)/∂z],  z = x+ε", ("goh2021",)),
    Method(guided_backprop, "R↓ = R↑ · [a>0] · [R↑>0] at each ReLU", ("springenberg2014",)),
    Method(deconvnet, "R↓ = R↑ · [R↑>0] at each ReLU", ("zeiler2013",)),
    Method(rectgrad, "R↓ = R↑ · [a·R↑ > t_q] at each ReLU, then · x", ("kim2019",)),
)

# Which papers each piece stands for, wherever it is used.
PIECES: dict[str, tuple[str, ...]] = {
    "Gradient": ("simonyan2013",),
    "Guided": ("springenberg2014",),
    "Deconv": ("zeiler2013",),
    "Rectified": ("kim2019",),
    "TimesInput": ("shrikumar2016",),
    "Gaussian": ("smilkov2017",),
    "SquareMean": ("hooker2019",),
    "Variance": ("adebayo2018", "seo2018"),
    "StraightPath": ("sundararajan2017",),
    "NoisyPath": ("smilkov2017", "sundararajan2017"),
    "DataPaths": ("erion2019",),
    "Roots": ("goh2021",),
}
