"""Other paths: integrated gradients along them, and of regions."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.guided_ig import GuidedPath
from smoothgrad.explainers.xrai import Xrai
from smoothgrad.methods.method import Method
from smoothgrad.samplers.baseline import Baseline, Black, Several, White, Zero
from smoothgrad.samplers.blur import BlurPath
from smoothgrad.samplers.path import StraightPath


def guided_integrated_gradients(
    steps: int = 200,
    *,
    baseline: Baseline = Zero(),
    fraction: float = 0.25,
    distance: float = 0.02,
) -> Explainer:
    """The gradient gathered along a path that goes first where the score changes least:  sum_t (x_{t+1} - x_t) * grad s(x_t).

    Each step moves the lowest `fraction` of the values, by absolute gradient, and none further from the straight path than
    `distance` of its way. So the path avoids the steep places whose gradients speckle the maps of Integrated Gradients.

    Map (N, *S), signed, in units of the score. For a smooth score it sums to s(x) - s(b) up to an error that falls with the steps;
    with ReLUs that error can stay large: see `GuidedPath`, and the result's `completeness`. With fraction = 1 or distance = 0 it is
    Integrated Gradients by the "left" rule. The points of a path wait for each other: rows are asked together, steps are not.
    Kapishnikov et al. 2021.

    Raises `BadMethod` for a fraction that is no share, and `BadBaseline` for a baseline of another shape than the rows.

    >>> guided_integrated_gradients(steps=50).passes
    50
    """
    return GuidedPath(baseline, steps, fraction, distance)


def blur_integrated_gradients(steps: int = 100, *, sigma: float | None = None) -> Explainer:
    """The gradient gathered while the picture comes into focus:  integral_0^1 grad s(L(a)) * dL/da da,  L(a) = x blurred.

    The path goes from the picture under a Gaussian blur of `sigma` pixels (default: 50/224 of its longer side) to the picture
    itself: no baseline is to be chosen, and nothing on the path is in the picture that was not there. For pictures and for rows
    (C, T). Map (N, *S), signed, in units of the score; sums to s(x) - s(x blurred by sigma), which the result's `completeness`
    compares. Xu et al. 2020.

    Raises `BadMethod` for rows that are neither.

    >>> blur_integrated_gradients(steps=20)
    Gradient().over(BlurPath(steps=20))
    """
    return Gradient().over(BlurPath(sigma, steps))


def xrai(steps: int = 50) -> Explainer:
    """Integrated gradients of whole regions, ranked:  gain(s) = mean over s \\ M of A,  the best s joining M again and again.

    A: Integrated Gradients from black and from white, averaged and summed over channels (the authors' code takes the largest
    channel; with the sum, the map keeps its completeness). s: segments of the picture at six scales. Each pixel of the map has the
    gain of the region with which it came. Map (N, 1, H, W), signed, in units of the score per pixel. `Xrai(inner)` does the same
    with the maps of any other method. 2 * steps passes. Kapishnikov et al. 2019.

    Raises `BadMethod` for rows that are no pictures, and `MissingPackage` without scikit-image: pip install 'smoothgrad[segments]'.

    >>> xrai(steps=20).passes
    40
    """
    return Xrai(Gradient().over(StraightPath(Several(Black(), White()), steps)))


ROWS: tuple[Method, ...] = (
    Method(guided_integrated_gradients, "Σₜ (xₜ₊₁−xₜ) · ∂s(xₜ)/∂x,  smallest |∂s| first", ("kapishnikov2021",)),
    Method(blur_integrated_gradients, "∫₀¹ ∂s(L(a))/∂x · dL/da da,  L(a) = x blurred", ("xu2020",)),
    Method(xrai, "mean of IG over regions, by gain", ("kapishnikov2019", "sundararajan2017")),
)

PIECES: dict[str, tuple[str, ...]] = {
    "GuidedPath": ("kapishnikov2021",),
    "BlurPath": ("xu2020",),
    "Xrai": ("kapishnikov2019", "felzenszwalb2004"),
}
