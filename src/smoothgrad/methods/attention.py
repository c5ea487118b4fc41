"""Attention: maps that are read from that of a transformer."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.explainers.attention import AttentionRollout, GradientRollout, Heads, RawAttention
from smoothgrad.methods.method import Method


def raw_attention() -> Explainer:
    """The attention of the last layer, the mean over its heads:  mean_h A_L.

    Map (N, 1, grid), never negative: the share of each patch in what the class token attends to; without one, the mean over the
    tokens that the score reads. The same for every class. One pass. Abnar and Zuidema 2020.

    Raises `UnsupportedModel` for networks without attention, and for those whose tokens attend inside windows.

    >>> raw_attention().unsigned
    True
    """
    return RawAttention()


def attention_rollout(*, heads: Heads = "mean", residual: float = 0.5) -> Explainer:
    """The attention of all layers, followed through the shortcuts:  R = M_L ... M_1,  M_l = (1 - r) mean_h A_l + r I.

    Map (N, 1, grid), never negative: the share of each patch in the class token's row of R; without one, the mean over the
    tokens that the score reads. The same for every class. `residual` r is the weight of the shortcut; `heads` may be joined by
    "mean", as in the paper, "max" or "min", and rows then scaled to sum to one. One pass. Abnar and Zuidema 2020.

    Raises `UnsupportedModel` for networks without attention, and for those whose tokens attend inside windows.

    >>> attention_rollout()
    AttentionRollout(residual=0.5)
    """
    return AttentionRollout(heads, residual)


def gradient_rollout() -> Explainer:
    """Attention weighted by the gradient of the score, over all layers:  R <- R + mean_h[ (d s / d A * A)^+ ] R,  from R = I.

    Map (N, 1, grid), never negative: the class token's row of R - I; without one, the mean over the tokens that the score reads.
    Differs between classes. One pass. Chefer, Gur, Wolf 2021.

    Raises `UnsupportedModel` for networks without attention, and for those whose tokens attend inside windows.

    >>> gradient_rollout().passes
    1
    """
    return GradientRollout()


ROWS: tuple[Method, ...] = (
    Method(raw_attention, "mean over heads of A_L, at what the head reads", ("abnar2020",)),
    Method(attention_rollout, "∏ (½ Ā_l + ½ I), at what the head reads", ("abnar2020",)),
    Method(gradient_rollout, "R ← R + E_h[(∂s/∂A · A)⁺] R, at what the head reads", ("chefer2021",)),
)

PIECES: dict[str, tuple[str, ...]] = {
    "RawAttention": ("abnar2020",),
    "AttentionRollout": ("abnar2020",),
    "GradientRollout": ("chefer2021",),
}
