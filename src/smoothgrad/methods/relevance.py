"""Relevance, sent back from layer to layer: LRP and Taylor decompositions."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.relevance import Otherwise, Relevance
from smoothgrad.methods.method import Method
from smoothgrad.rules.composite import Composite
from smoothgrad.rules.lrp import EPSILON, AlphaBeta, Bound, Epsilon, Flat, Gamma, RelevanceRule, ZBox, ZPlus
from smoothgrad.samplers.baseline import Baseline
from smoothgrad.samplers.crossing import Crossing
from smoothgrad.samplers.path import StraightPath


def lrp(composite: Composite | RelevanceRule = Composite(), *, otherwise: Otherwise = "error") -> Explainer:
    """Layer-wise relevance propagation by rules of your choice:  R_i = sum_j share_ij R_j, from the score back to the input.

    Map (N, *S), signed, in units of the score, to which it sums but for what biases and epsilon absorb: see the result's
    `completeness`. `composite`: which rule stands where, or one rule for all layers; the default is epsilon-plus. `otherwise`:
    what becomes of functions without a rule: "error", or "gradient" to go on there as input times gradient. One pass. Bach et al.
    2015.

    Raises, when explaining: `UnsupportedModel` for a function without a rule, `UnknownName` or `BadMethod` for a choice that fits
    no layer, `RuleDidNothing` where there is no linear layer.

    >>> lrp(Gamma(0.1)).passes
    1
    """
    return Relevance(composite if isinstance(composite, Composite) else Composite.everywhere(composite), otherwise)


def lrp_0() -> Explainer:
    """LRP in proportion to the contributions:  R_i = sum_j z_ij / z_j R_j,  z_ij = x_i w_ij.

    Map (N, *S), signed, in units of the score. In a network of linear layers, ReLUs and pooling it is the input times the
    gradient. One pass. Bach et al. 2015.

    >>> lrp_0() == lrp(Epsilon(0.0))
    True
    """
    return lrp(Epsilon(0.0))


def lrp_epsilon(epsilon: float = EPSILON) -> Explainer:
    """LRP in proportion to the contributions, damped where they cancel:  R_i = sum_j z_ij / (z_j + epsilon sign(z_j)) R_j.

    Map (N, *S), signed, in units of the score. Larger epsilon: sparser maps, less noise, and more relevance absorbed.
    One pass. Bach et al. 2015.

    Raises `BadMethod` for epsilon < 0.

    >>> lrp_epsilon(0.1).unit
    'score'
    """
    return lrp(Epsilon(epsilon))


def lrp_gamma(gamma: float = 0.25) -> Explainer:
    """LRP that favours what speaks for the score:  R_i = sum_j (z_ij + gamma z_ij^+) / (z_j + gamma z_j^+) R_j.

    Map (N, *S), signed, in units of the score. One pass. Montavon et al. 2019.

    Raises `BadMethod` for gamma < 0.

    >>> lrp_gamma(0.5).passes
    1
    """
    return lrp(Gamma(gamma))


def lrp_epsilon_plus(epsilon: float = EPSILON) -> Explainer:
    """LRP by epsilon on dense layers and z+ on convolutions:  R_i = sum_j z_ij^+ / z_j^+ R_j.

    Map (N, *S), signed, in units of the score. One pass. Bach et al. 2015, Montavon et al. 2017, Kohlbrenner et al. 2020.

    >>> lrp_epsilon_plus() == lrp()
    True
    """
    return Relevance(Composite(Epsilon(epsilon), ZPlus()))


def lrp_epsilon_plus_flat(epsilon: float = EPSILON) -> Explainer:
    """LRP by epsilon on dense layers, z+ on convolutions and equal shares at the first layer:  R_i = sum_j R_j / (inputs of j).

    Map (N, *S), in units of the score; smooth, and the same in all channels of a first convolution. One pass. Bach et al. 2015,
    Montavon et al. 2017, Lapuschkin et al. 2019.

    >>> lrp_epsilon_plus_flat().passes
    1
    """
    return Relevance(Composite(Epsilon(epsilon), ZPlus(), first=Flat()))


def lrp_epsilon_gamma_box(
    epsilon: float = EPSILON, gamma: float = 0.25, *, low: Bound = None, high: Bound = None
) -> Explainer:
    """LRP by epsilon on dense layers, gamma on convolutions and z-box at the first:  z_ij - l w_ij^+ - h w_ij^-, normed.

    Map (N, *S), signed, in units of the score. `low` and `high` bound the input, in its own units: a number, or one per channel; of
    normalised pictures those of black and white. None: the range of each channel of each row. One pass. Montavon et al. 2019.

    Raises `BadMethod` for low >= high, and when explaining for rows that lie outside.

    >>> lrp_epsilon_gamma_box(low=0.0, high=1.0).passes
    1
    """
    return Relevance(Composite(Epsilon(epsilon), Gamma(gamma), first=ZBox(low, high)))


def lrp_epsilon_alpha2_beta1(epsilon: float = EPSILON) -> Explainer:
    """LRP by epsilon on dense layers, alpha-beta on convolutions:  R_i = sum_j (2 z_ij^+ / z_j^+ - z_ij^- / z_j^-) R_j.

    Map (N, *S), signed, in units of the score; what speaks against is kept apart. One pass. Bach et al. 2015.

    >>> lrp_epsilon_alpha2_beta1().passes
    1
    """
    return Relevance(Composite(Epsilon(epsilon), AlphaBeta(2.0, 1.0)))


def lrp_epsilon_alpha2_beta1_flat(epsilon: float = EPSILON) -> Explainer:
    """LRP by epsilon on dense layers, alpha-beta on convolutions, equal shares at the first:  R_i = sum_j R_j / (inputs of j).

    Map (N, *S), signed, in units of the score. One pass. Bach et al. 2015, Lapuschkin et al. 2019.

    >>> lrp_epsilon_alpha2_beta1_flat().passes
    1
    """
    return Relevance(Composite(Epsilon(epsilon), AlphaBeta(2.0, 1.0), first=Flat()))


def deep_taylor(first: RelevanceRule = ZBox()) -> Explainer:
    """Deep Taylor decomposition, each layer's relevance expanded at a root of its own:  z+ in all layers, z-box at the first.

    Map (N, *S), in units of the score, and nowhere negative where the score is positive. `first` is the rule of the first layer:
    `ZBox` for pixels (by default between the least and the largest of the row's channel), `WSquare` for inputs that can be
    anything, `ZPlus` for those that are never negative. The theory is for biases that are not positive; positive ones absorb
    their share. One pass. Montavon et al. 2017.

    >>> deep_taylor().passes
    1
    """
    return Relevance(Composite(ZPlus(), ZPlus(), first))


def simple_taylor(baseline: Baseline = Crossing()) -> Explainer:
    """Simple Taylor decomposition, the score's first-order term at a root r of it:  (x - r) * d s(r) / d r.

    Map (N, *S), signed, in units of the score; sums to s(x) as far as that is linear between r and x, which the result's
    `completeness` compares. `baseline` is the root: by default `Crossing()`, where the score is zero on the way to zero. For a
    network without biases that is a small multiple of the input, and the map `input_x_gradient()`. One pass, and those that find
    the root. Montavon et al. 2017, 2018.

    >>> simple_taylor().passes
    18
    """
    return Gradient().over(StraightPath(baseline, 1, "left"))


def attn_lrp(dense: RelevanceRule = Epsilon(), convolution: RelevanceRule = Gamma(0.25)) -> Explainer:
    """LRP through attention:  of a softmax R_i = x_i (R_i - s_i sum_j R_j), of products half to each factor, of norms as if linear.

    Map (N, *S), signed, in units of the score. These rules for transformers are part of every `lrp` here; `attn_lrp` names linear
    layers' rules that suit them: epsilon, as for language models, and gamma, against noise, at the convolution that makes patches.
    For vision transformers Achtibat et al. 2024 take gamma in all layers: `attn_lrp(Gamma(0.05))`. The score is not conserved:
    softmax, norms and biases absorb. Text is explained `at` its embedding. One pass. Achtibat et al. 2024.

    >>> attn_lrp().passes
    1
    """
    return Relevance(Composite(dense, convolution))


ROWS: tuple[Method, ...] = (
    Method(lrp, "R_i = Σ_j share_ij · R_j,  layer by layer", ("bach2015", "montavon2019")),
    Method(lrp_0, "R_i = Σ_j z_ij / z_j · R_j,  z_ij = x_i w_ij", ("bach2015",)),
    Method(lrp_epsilon, "R_i = Σ_j z_ij / (z_j + ε sign z_j) · R_j", ("bach2015",)),
    Method(lrp_gamma, "R_i = Σ_j (z_ij + γ z⁺_ij) / (z_j + γ z⁺_j) · R_j", ("montavon2019", "andeol2021")),
    Method(lrp_epsilon_plus, "ε on dense, z⁺ on convolutions", ("bach2015", "montavon2017", "kohlbrenner2020")),
    Method(
        lrp_epsilon_plus_flat,
        "ε on dense, z⁺ on convolutions, flat first",
        ("bach2015", "montavon2017", "lapuschkin2019"),
    ),
    Method(lrp_epsilon_gamma_box, "ε on dense, γ on convolutions, z-box first", ("bach2015", "montavon2019")),
    Method(lrp_epsilon_alpha2_beta1, "ε on dense, α2β1 on convolutions", ("bach2015",)),
    Method(
        lrp_epsilon_alpha2_beta1_flat,
        "ε on dense, α2β1 on convolutions, flat first",
        ("bach2015", "lapuschkin2019"),
    ),
    Method(deep_taylor, "z⁺_ij / z⁺_j in all layers, z-box first", ("montavon2017",)),
    Method(simple_taylor, "(x−r) · ∂s(r)/∂r,  s(r) = 0", ("montavon2017", "montavon2018")),
    Method(attn_lrp, "softmax: R_i = x_i (R_i − s_i Σ_j R_j)", ("achtibat2024",)),
)

# Which papers each piece stands for, wherever it is used.
PIECES: dict[str, tuple[str, ...]] = {
    "Relevance": ("bach2015", "achtibat2024"),
    "Composite": ("montavon2019", "kohlbrenner2020"),
    "Gamma": ("montavon2019", "andeol2021"),
    "ZPlus": ("montavon2017",),
    "WSquare": ("montavon2017",),
    "Flat": ("lapuschkin2019",),
    "ZBox": ("montavon2017",),
    "Crossing": ("montavon2017", "montavon2018"),
}
