"""Which tokens a transformer's answer draws on, read from its attention: one matrix A (N, heads, T, T) for each layer.

Row i of A says from which tokens j token i gathers; rows sum to one. The networks' answer reads some tokens of the last layer, the
class token or all of them: those whose attention the score depends on at all. A map is the mean over their rows, at the tokens that
stand for places of the picture.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, final, get_args

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import at_output, called, in_chunks
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, UnsupportedModel, nearest
from smoothgrad.rules.trace import Place, Step, Trace, aten, gradient, pull_to, trace

Heads: TypeAlias = Literal["max", "mean", "min"]


class Attention(Explainer):
    """A map from the attention of all layers: what the three below share. Raises `UnsupportedModel` where there is none to read."""

    whole: bool = False  # are gradients wanted at the attention of every layer, or of the last alone?

    @property
    def passes(self) -> int:
        return 1

    @property
    def unsigned(self) -> bool:
        return True

    @abstractmethod
    def flow(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
        """(N, T, T): how each token of the last layer draws on each of the first. From A and, where `whole`, d s / d A, of each
        layer (N, heads, T, T)."""

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        maps = in_chunks(query, schedule, lambda part: self._maps(model, part))
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))

    def _maps(self, model: nn.Module, query: Query) -> Tensor:
        seen = trace(model, query)
        found = _attention(seen, model)
        tokens = _Tokens.of(seen, found, query, model)
        places = found if self.whole else found[-1:]
        arrived = pull_to(seen, at_output(model, query, seen.result), gradient, places)
        kind = query.x.dtype  # also where attention is narrower
        weights = [_by_head(seen.value(place), len(query)).to(kind) for place in found]
        slopes = [
            _by_head(arrived.get(place, torch.zeros_like(seen.value(place))), len(query)).to(kind) for place in places
        ]
        flow = self.flow(weights, slopes)
        return tokens.laid_out((_read(slopes[-1])[:, None] @ flow)[:, 0].to(kind), query.shape)


@final
@dataclass(frozen=True, repr=False)
class AttentionRollout(Attention):
    """The attention of all layers multiplied, with the shortcuts around them (Abnar and Zuidema 2020):

        R = M_L ... M_2 M_1,   M_l = (1 - residual) mean_h A_l + residual I,  its rows scaled to sum to one

    The same for every class: what a network attends to, not what speaks for a score.
    """

    heads: Heads = "mean"
    residual: float = 0.5  # both Abnar and Zuidema 2020

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads not in get_args(Heads):
            raise BadMethod(
                f"AttentionRollout joins heads by no {self.heads!r}; {nearest(self.heads, get_args(Heads))}"
            )
        if not 0 <= self.residual < 1:
            raise BadMethod(f"AttentionRollout needs residual from 0 up to but not 1, got {self.residual}")

    @property
    def unit(self) -> str:
        return "share of attention"

    def flow(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
        flow = _eye(weights[0])
        for a in weights:
            joined = a.mean(1) if self.heads == "mean" else a.amax(1) if self.heads == "max" else a.amin(1)
            mixed = (1 - self.residual) * joined + self.residual * _eye(a)
            flow = mixed / mixed.sum(-1, keepdim=True) @ flow
        return flow


@final
@dataclass(frozen=True, repr=False)
class GradientRollout(Attention):
    """Attention weighted by the gradient of the score, over all layers (Chefer, Gur, Wolf 2021):

        R_0 = I,   R_l = R_{l-1} + mean_h[ (d s / d A_l * A_l)^+ ] R_{l-1};   the map is of R_L - I

    Differs between classes. I is taken off so that, where a network averages its patches, each does not stand for itself.
    """

    whole = True

    @property
    def unit(self) -> str:
        return "relevance"

    def flow(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
        flow = _eye(weights[0])
        for a, slope in zip(weights, gradients, strict=True):
            flow = flow + (slope * a).clamp_min(0).mean(1) @ flow
        return flow - _eye(weights[0])


@final
@dataclass(frozen=True, repr=False)
class RawAttention(Attention):
    """The attention of the last layer, the mean over its heads. What came to its tokens from others before is not seen."""

    @property
    def unit(self) -> str:
        return "share of attention"

    def flow(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
        return weights[-1].mean(1)


def _eye(a: Tensor) -> Tensor:
    return torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)


# --- finding the attention ------------------------------------------------------------------------------------------------

_SOFTMAX = (aten._softmax.default, aten._safe_softmax.default)
_PRODUCTS = (aten.bmm.default, aten.baddbmm.default)
# What only moves values to other places of a tensor, or copies them.
_MOVES = {
    "_to_copy",
    "_unsafe_view",
    "alias",
    "clone",
    "expand",
    "permute",
    "squeeze",
    "transpose",
    "unsqueeze",
    "view",
}


def _attention(seen: Trace, model: nn.Module) -> list[Place]:
    """Where the attention of each layer stands, in order: a softmax over the last dimension, multiplied with another value."""
    readers = seen.readers()
    found = [
        Place(number)
        for number, step in enumerate(seen.steps)
        if step.op in _SOFTMAX and step.args[1] in (-1, step.output.ndim - 1) and _multiplied(seen, readers, number)
    ]
    if not found:
        raise UnsupportedModel(
            f"{called(model)} has no attention (a softmax whose answer is multiplied with another value); take a method for other "
            "networks, such as smoothgrad() or integrated_gradients()"
        )
    sizes = sorted({seen.value(place).shape[-1] for place in found})
    unequal = f"there are layers of {sizes} tokens" if len(sizes) > 1 else ""
    for place in found:
        step = seen.steps[place.step]
        reason = _unfit(step, len(seen.x)) or unequal
        if reason:
            raise UnsupportedModel(
                f"the attention of {called(model)} cannot be followed through its layers: {reason}, in {step.where}; it takes one "
                "where every token attends to all, such as ViT or DeiT. Take a method for any network, such as smoothgrad()"
            )
    return found


def _multiplied(seen: Trace, readers: dict[Place, list[int]], number: int) -> bool:
    """Does the first output of a step get into a product with another value, on the way no more than moved?"""
    waiting = list(readers.get(Place(number), []))
    while waiting:
        reader = waiting.pop()
        step = seen.steps[reader]
        if step.op in _PRODUCTS and len(step.places) > 1:
            return True
        if step.name in _MOVES:
            waiting += readers.get(Place(reader), [])
    return False


def _unfit(step: Step, rows: int) -> str:
    """Why this is not (N, heads, T, T) nor (N * heads, T, T); "" where it is."""
    shape = tuple(step.output.shape)
    if shape[-1] != shape[-2]:
        return f"{shape[-2]} tokens attend to {shape[-1]} others"
    if len(shape) not in (3, 4):
        return f"it has shape {shape} for {rows} rows"
    if shape[0] != rows if len(shape) == 4 else shape[0] % rows:
        return f"tokens attend inside windows (shape {shape} for {rows} rows)"
    return ""


def _by_head(a: Tensor, rows: int) -> Tensor:
    """(N, heads, T, T), also from (N * heads, T, T)."""
    return a.reshape(rows, -1, *a.shape[-2:])


# --- reading tokens -------------------------------------------------------------------------------------------------------


def _read(slope: Tensor) -> Tensor:
    """Equal weights (N, T) for the tokens of the last layer that the score reads: where d s / d A (N, heads, T, T) is not 0."""
    read = (slope != 0).any(-1).any(1)
    # A score that is flat reads none: then all.
    read = read | ~read.any(1, keepdim=True)
    return read.to(slope) / read.sum(1, keepdim=True).to(slope)


class _Tokens(NamedTuple):
    """Which of the T tokens stand for places of a row: the last ones, behind class and register tokens."""

    before: int
    grid: tuple[int, ...]
    words: bool  # are the rows (T, E) tokens themselves?

    @staticmethod
    def of(seen: Trace, found: Sequence[Place], query: Query, model: nn.Module) -> _Tokens:
        total, shape = seen.value(found[0]).shape[-1], tuple(query.shape)
        patches = _patches(seen, found[0], shape, total)
        grid = patches or _guessed(shape, total)
        if grid is None:
            raise UnsupportedModel(
                f"the {total} tokens of {called(model)} stand for no places of rows of shape {shape} that could be found; explain "
                'pictures (C, H, W) cut into patches, or at="the layer that gives the tokens"'
            )
        return _Tokens(total - math.prod(grid), grid, words=patches is None and len(shape) == 2)

    def laid_out(self, values: Tensor, shape: torch.Size) -> Tensor:
        """(N, T) as a coarse map (N, 1, *grid); for rows of words (T, E), shared out over E: (N, T, E)."""
        places = values[:, self.before :]
        return places[:, :, None].expand(-1, *shape) / shape[1] if self.words else places.unflatten(1, (1, *self.grid))


def _patches(seen: Trace, first: Place, shape: tuple[int, ...], total: int) -> tuple[int, ...] | None:
    """The grid that the last convolution before the attention leaves, if there is one."""
    for step in reversed(seen.steps[: first.step]):
        if step.op is aten.convolution.default:
            grid = tuple(step.output.shape[2:])
            return grid if len(grid) == len(shape) - 1 and math.prod(grid) <= total else None
    return None


def _guessed(shape: tuple[int, ...], total: int) -> tuple[int, ...] | None:
    """Of rows (T, E) the rows' own tokens; of pictures the largest grid of square patches that has no more places than tokens."""
    if len(shape) == 2:
        return (shape[0],) if shape[0] <= total else None
    if len(shape) != 3:
        return None
    _, height, width = shape
    grids = [(height // patch, width // patch) for patch in range(1, min(height, width) + 1)]
    return next((grid for grid in grids if math.prod(grid) <= total), None)
