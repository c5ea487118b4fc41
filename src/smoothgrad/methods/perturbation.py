"""Taking parts away, and seeing what happens to the score: no gradients, so that any network will do."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Until
from smoothgrad.explainers.ablation import Ablation
from smoothgrad.explainers.parts import Grid, Parts, Windows
from smoothgrad.explainers.score import PointScore
from smoothgrad.methods.method import Method
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.mask import Masks


def feature_ablation(parts: Parts = Grid(), *, baseline: Baseline = Zero()) -> Explainer:
    """How far the score falls when a part of the input is replaced by a baseline b:  s(x) - s(x with the part from b).

    Map, signed, in units of the score; every value has the whole fall of its part, whatever the part's size. Only where parts hold
    pixels with all their channels, it is the sum over a pixel's channels that is the fall. `parts`: `Grid(cells)` or
    `Superpixels()`, which hold whole pixels; `Labelled(labels)` for your own: (H, W) of whole pixels, (T, 1) of words, (C, 1, 1) of
    channels. One pass for each part, and one for x. Robnik-Sikonja and Kononenko 2008.

    Raises `BadMethod` for labels of another shape than the rows, and `BadBaseline` for such a baseline.

    >>> feature_ablation(Grid(cells=4)).passes
    17
    """
    return Ablation(parts, baseline)


def occlusion(
    size: float | tuple[float, ...] = 0.15,
    steps: int | tuple[int, ...] = 14,
    *,
    baseline: Baseline = Zero(),
) -> Explainer:
    """How far the score falls when a window is replaced by a baseline b:  mean over k of s(x) - s(x with window k from b).

    Map, signed, in units of the score: at each pixel the mean over the windows that cover it. Windows are of `size`, a fraction of
    each side, at `steps` places along each side, evenly spread from border to border; on 224 pixels the defaults are windows of
    34, 15 pixels apart. Windows of w pixels moved by d on a side of L are size=w / L, steps=1 + (L - w) / d. One pass for each
    window, and one for x. Give tuples for sides of their own, and for rows that are no pictures. Zeiler and Fergus 2013.

    Raises `BadMethod` for windows larger than the rows, or that leave out some of their values.

    >>> occlusion(size=0.25, steps=7).passes
    50
    """
    return Ablation(Windows(size, steps), baseline)


def rise(
    samples: int | Until = 4000, *, cells: int = 7, probability: float = 0.5, baseline: Baseline = Zero()
) -> Explainer:
    """The mean score of what random masks keep of the input, where they keep the pixel:  E_m[ s(b + m (x - b)) m ] / p.

    Map, in units of the score, with its Monte-Carlo standard error. Masks are soft: `cells` x `cells` numbers, 1 with
    `probability` p and else 0, drawn out to the size of the picture at a random place. The baseline b is 0 in the paper. The map
    stands on a pedestal of about s at half the picture; what matters is where it is higher: `rise().then(Centred())`. The paper
    explains probabilities: `target=Probability()`. Petsiuk et al. 2018.

    Raises `BadMethod` for a probability that is not in (0, 1], for more cells than pixels, and at a layer that answers
    words or tokens.

    >>> rise(samples=100)
    PointScore().over(Masks(cells=7, probability=0.5, samples=100))
    """
    return PointScore().over(Masks(cells, probability, samples, baseline))


# `named` reads the table from its end: occlusion(...) before feature_ablation(parts=Windows(...)).
ROWS: tuple[Method, ...] = (
    Method(feature_ablation, "s(x) − s(x without its part)", ("robnik2008",)),
    Method(occlusion, "mean of s(x) − s(x without window k ∋ i)", ("zeiler2013",)),
    Method(rise, "E[s(m·x) · m] / p,  m a random mask", ("petsiuk2018",)),
)

PIECES: dict[str, tuple[str, ...]] = {
    "Ablation": ("robnik2008",),
    "Windows": ("zeiler2013",),
    "Masks": ("petsiuk2018",),
    "Superpixels": ("felzenszwalb2004",),
}
