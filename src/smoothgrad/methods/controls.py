"""Controls: maps that know nothing of the network, which a method must beat before its maps are believed."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.explainers.controls import RandomMap, Sobel, UniformMap
from smoothgrad.methods.method import Method


def random_map() -> Explainer:
    """Numbers of chance in place of a map, each by its row's key:  m_i ~ N(0, 1).

    Map (N, *S), signed, without a unit; another seed gives another. No passes. What a measure says of it is what the measure
    says of chance. A control of Hooker et al. 2019.

    >>> random_map().passes
    0
    """
    return RandomMap()


def sobel() -> Explainer:
    """The edges of the input itself, found by the Sobel operator:  sqrt((d x / d row)^2 + (d x / d column)^2).

    Map (N, *S), never negative, in the units of the input per pixel, for each channel by itself. Signals (C, T) have the absolute
    difference along time. No passes. Many maps look like edges: one that says no more than this one has not looked at the
    network. A control of Adebayo et al. 2018 and of Hooker et al. 2019.

    Raises `BadInput` for rows of features (D,), which have no neighbours.

    >>> sobel().passes
    0
    """
    return Sobel()


def uniform_map() -> Explainer:
    """The same everywhere, so that nothing stands out:  m_i = 1.

    Map (N, *S), without a unit. No passes. What a measure says of it is what the measure says of no answer at all; those that
    rank places say nothing. A control beside those of Hooker et al. 2019.

    >>> uniform_map().passes
    0
    """
    return UniformMap()


ROWS: tuple[Method, ...] = (
    Method(random_map, "m ~ N(0, 1)", ("hooker2019",)),
    Method(sobel, "√((∂x/∂row)² + (∂x/∂column)²),  by Sobel's kernel", ("adebayo2018checks", "hooker2019")),
    Method(uniform_map, "m = 1", ("hooker2019",)),
)

PIECES: dict[str, tuple[str, ...]] = {
    "RandomMap": ("hooker2019",),
    "Sobel": ("adebayo2018checks", "hooker2019"),
    "UniformMap": ("hooker2019",),
}
