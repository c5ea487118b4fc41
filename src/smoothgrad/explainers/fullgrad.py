"""FullGrad: the score as the share of the input and the shares of all biases, exactly; and its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import called, in_chunks
from smoothgrad.core.coarse import sized
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, NonFinite, NotDifferentiable
from smoothgrad.explainers.layers import check_view
from smoothgrad.rules.bias import biases, names_in, weighed
from smoothgrad.rules.linear import Linear, folded
from smoothgrad.rules.scored import Scored
from smoothgrad.rules.trace import ROWS, Messages, Place, Step, Trace, gradient, pull_to, trace

Watch: TypeAlias = Callable[[Step, Tensor], None]  # is shown a step, and its bias times the gradient of the score there


class FullGradients(NamedTuple):
    """The score of each row, and what it is the sum of."""

    score: Tensor  # (N,)
    input: Tensor  # (N,)  grad s(x) . x
    biases: dict[str, Tensor]  # (N,) of each layer, by name; what stands in none, by the class of the network

    @property
    def total(self) -> Tensor:
        """(N,) grad s(x) . x and all biases: the score."""
        return self.input + sum(self.biases.values(), torch.zeros_like(self.input))


def full_gradients(model: nn.Module, query: Query) -> FullGradients:
    """The score taken apart exactly:  s(x) = grad s(x) . x + sum of b * grad s(b)  over all biases (Srinivas and Fleuret 2019).

    Biases are those of linear layers, what a batch norm shifts (with the bias of the layer before it, as if folded), added
    constants, and the implicit ones y - J x of smooth functions, products and norms. One row at a time.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    >>> found = full_gradients(net, Query.of(torch.ones(1, 2), target=0))
    >>> list(found.biases), bool((found.total - found.score).abs() < 1e-6)
    (['0', '2'], True)
    """
    rows = [_taken_apart(model, row) for row in query.split(1)]
    names = dict.fromkeys(name for row in rows for name in reversed(row.biases))  # they were met from the score on
    nothing = torch.zeros_like(rows[0].input)
    return FullGradients(
        torch.cat([row.score for row in rows]),
        torch.cat([row.input for row in rows]),
        {name: torch.cat([row.biases.get(name, nothing) for row in rows]) for name in names},
    )


def _taken_apart(model: nn.Module, query: Query) -> FullGradients:
    """Of one row: then it does not matter which dimension of a value holds the rows."""
    found: dict[str, Tensor] = {}

    def watch(step: Step, share: Tensor) -> None:
        name = step.layer or step.kind
        found[name] = found.get(name, 0) + share.sum()[None]

    steps = _traced(model, query)
    slope = _pulled(model, steps, watch)
    return FullGradients(steps.result, (slope * query.x).sum()[None], found)


@final
@dataclass(frozen=True, repr=False)
class FullGradient(Explainer):
    """FullGrad's picture:  post(|x grad s|) + sum over layers and channels c of post(|b_c grad s(b_c)|)  (Srinivas, Fleuret 2019).

    `post` stretches the values of a row from 0 to 1, those of the input together and those of each channel of a layer for
    themselves, and then brings them to the size of the input, bilinear. What has a place in the picture are the biases of
    convolutions (folded batch norms included), and what norms and smooth pointwise functions of their outputs add. Dense layers and
    attention have no place, and constants that are added elsewhere, such as to normalise the input, are no layer's: they count only
    in `full_gradients`. A channel that is the same everywhere says nothing of where.

    Map (N, 1, *pixels), never negative, for rows (N, C, *pixels). Raises `BadInput` for rows without pixels.
    """

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return "sum of channels' maps, each from 0 to 1"

    @property
    def unsigned(self) -> bool:
        return True

    def check(self, query: Query) -> None:
        if len(query.shape) not in (2, 3, 4):
            raise BadInput(
                f"FullGrad draws rows (C, *pixels), such as (3, 224, 224); these have shape {tuple(query.shape)}: see "
                "full_gradients(), which needs no picture"
            )

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        check_view(model, query)
        maps = in_chunks(query, schedule, lambda part: _picture(model, part))
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))


def _picture(model: nn.Module, query: Query) -> Tensor:
    """(N, 1, *pixels)."""
    steps = _traced(model, query)
    seen = _in_the_picture(steps)
    picture = torch.zeros_like(query.x[:, :1])

    def watch(step: Step, share: Tensor) -> None:
        if id(step) in seen:
            picture.add_(sized(_stretched(share.abs(), start=2).sum(1, keepdim=True), query.shape))

    slope = _pulled(model, steps, watch)
    picture += _stretched((slope * query.x).abs(), start=1).sum(1, keepdim=True)
    broken = ~(slope.flatten(1).isfinite().all(1) & picture.flatten(1).isfinite().all(1))
    if broken.any():
        row = int(query.row[broken.nonzero()[0, 0].cpu()])
        raise NonFinite(
            f"the full gradients of row {row} hold NaN or infinity; look for sqrt(0), log(0) or division by zero"
        )
    return picture


def _traced(model: nn.Module, query: Query) -> Trace:
    """Up to the score, batch norms folded, so that a prepared copy has the same biases."""
    return folded(trace(Scored(model, query), query))


@torch.no_grad()
def _pulled(model: nn.Module, steps: Trace, watch: Watch) -> Tensor:
    """The gradient of the score, (N, *S). Every step's bias, times the gradient there, is shown on the way.

    Raises `NotDifferentiable` where nothing gets back to the rows.
    """

    def backward(steps: Trace, step: Step, arriving: Sequence[Tensor | None]) -> Messages:
        for message, bias in zip(arriving, biases(steps, step), strict=True):
            if message is not None and bias is not None:
                watch(step, weighed(message, bias))
        return gradient(steps, step, arriving)

    found = pull_to(steps, torch.ones_like(steps.result), backward, (ROWS,)).get(ROWS)
    if found is None:
        raise NotDifferentiable(
            f"the score of {called(model)} does not depend on the input in a way that can be differentiated; look for argmax, "
            "comparisons or .detach() in its forward pass or in the target"
        )
    return found


def _stretched(values: Tensor, start: int) -> Tensor:
    """From 0 to 1 over the dimensions from `start` on; zeros where all are equal to rounding."""
    dims, rounding = list(range(start, values.ndim)), torch.finfo(values.dtype).eps
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    low, high = values.amin(dims, keepdim=True), values.amax(dims, keepdim=True)
    # Of the layer. Half precision resolves little more than its own rounding, and sums are made in float32.
    least = max(1e3 * torch.finfo(values.dtype).eps, rounding) * high.amax(1, keepdim=True)
    flat = high - low <= least
    return torch.where(
        flat, torch.zeros_like(values), (values - low) / torch.where(flat, torch.ones_like(low), high - low)
    )


# --- which steps have a place in the picture ----------------------------------------------------------------------------

# Beside convolutions and pointwise functions, by their names in ATen: what leaves values where they are.
_KEEP = names_in(
    "cat constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d slice clone alias mean sum "
    "avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d max_pool2d_with_indices max_pool3d_with_indices "
    "adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d "
    "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d native_group_norm native_layer_norm native_batch_norm "
    "_native_batch_norm_legit_no_training cudnn_batch_norm hardswish _prelu_kernel log_sigmoid_forward"
)
_SUMS = names_in("add sub rsub constant_pad_nd")  # what they add of their own is no layer's


def _in_the_picture(steps: Trace) -> set[int]:
    """The steps whose outputs (N, channels, *places) lie over the picture as the rows do."""
    places: set[Place] = {ROWS}
    seen: set[int] = set()
    for number, step in enumerate(steps.steps):
        answer, layer = step.output, Linear.of(step)
        convolves = layer is not None and layer.convolves
        keeps = step.name in _KEEP or torch.Tag.pointwise in step.op.tags
        over = answer.ndim == steps.x.ndim and len(answer) == len(steps.x)
        if over and (convolves or (keeps and places.issuperset(step.places))):
            places.add(Place(number))
            if step.name not in _SUMS:
                seen.add(id(step))
    return seen
