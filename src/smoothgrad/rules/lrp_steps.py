"""What relevance does at each function: the table of ATen functions, beside the linear layers, whose rules a composite chooses.

Messages are relevances R, and each function conserves them but for what constants absorb:

    functions of one value (ReLU, GELU, ...), times a constant
        R passes whole.
    rearrangements (view, cat, slices, padding, ...), maxima
        R goes where the value came from; of a maximum, to the winner.
    sums (+, -, means, average pooling, upsampling, batch norms that are not folded, ...)
        In proportion to the parts, R_i = z_ij / (z_j + epsilon sign(z_j)) R_j. A constant takes its share, as a bias, and zero
        takes nothing; but scaling and shifting the rows themselves by constants of the network is a change of units, which R
        passes whole.
    products of two values
        R / 2 to each, also where one is a gate; all of it to the other where one is 1 / a norm, which counts as a constant.
    quotients of two values
        All to the dividend: the divisor counts as a constant.
    products of two matrices
        R_i = z_ij / (2 z_j + epsilon sign(z_j)) R_j to each of both.
    softmax s of x
        R_i = x_i (R_i - s_i sum_j R_j).
    layer, group and instance norm
        Their standard deviation counts as a constant; what is left is linear, in proportion to its parts, and a shift absorbs.

Products, quotients, softmax and norms are treated as in AttnLRP (Achtibat et al. 2024).

Values that are no numbers with a derivative, such as masks and detached ones, are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from torch import Tensor

from smoothgrad.rules.linear import affine
from smoothgrad.rules.lrp import share
from smoothgrad.rules.lrp_reach import REARRANGING, Reach
from smoothgrad.rules.trace import Messages, Place, Step, Trace, aten, vjp


@final
@dataclass(frozen=True, eq=False)
class Arrival:
    """Relevance that has arrived at the outputs of a step."""

    trace: Trace
    step: Step
    messages: Sequence[Tensor | None]  # R at each of its outputs
    reach: Reach
    epsilon: float  # for sums

    @property
    def message(self) -> Tensor | None:
        """R at the first output."""
        return self.messages[0]

    @property
    def values(self) -> dict[Place, Tensor]:
        """What the step read, but for constants."""
        return {place: self.trace.value(place) for place in self.step.places if place in self.reach.alive}

    def shares(self, times: int = 1) -> list[Tensor | None]:
        """R / (times * z + epsilon sign(z)) at each output."""
        return [
            None if message is None or z is None else share(message, times * z, self.epsilon)
            for message, z in zip(self.messages, self.step.outputs, strict=True)
        ]

    def in_proportion(self, shares: Sequence[Tensor | None]) -> Messages:
        """value * d(sum of share * output) / d(value): of what is linear in its values, each one's contributions times shares."""
        sent = vjp(self.step, self.trace.inputs(self.step), shares)
        return {place: value * sent[place] for place, value in self.values.items() if place in sent}


Sends: TypeAlias = Callable[[Arrival], Messages | None]  # None: no rule for this use of the function


def passed(arrival: Arrival) -> Messages | None:
    """A function of one value, element by element: all of R."""
    if len(arrival.values) != 1 or arrival.message is None:
        return None
    [(place, value)] = arrival.values.items()
    return {place: arrival.message.sum_to_size(value.shape).to(value.dtype)}


def routed(arrival: Arrival) -> Messages | None:
    """Values that were put elsewhere: R goes back where they came from."""
    return vjp(arrival.step, arrival.trace.inputs(arrival.step), arrival.messages)


def copied(arrival: Arrival) -> Messages | None:
    """What was written over the first value: it is the second. (ATen knows no derivative of it.)"""
    return _to_each(arrival, [arg for arg in arrival.step.args[1:2] if isinstance(arg, Place)])


def extreme(arrival: Arrival) -> Messages | None:
    """The larger or smaller of two: R goes to the winner. With a constant it is a rectifier, which passes R."""
    return passed(arrival) if len(arrival.values) == 1 else routed(arrival)


def summed(arrival: Arrival) -> Messages | None:
    """What is linear in all its values together: in proportion to their contributions."""
    return passed(arrival) if arrival.step in arrival.reach.keeping else arrival.in_proportion(arrival.shares())


def shifted(arrival: Arrival) -> Messages | None:
    """Of two values a sum; of a value and a constant, which takes its share. Where the constant is zero, all of R passes."""
    z, message, values = arrival.step.output, arrival.message, arrival.values
    sent = summed(arrival)
    if sent is None or message is None or len(values) != 1 or arrival.step in arrival.reach.keeping:
        return sent
    [(place, value)] = values.items()
    constants = [arg for arg in arrival.step.args[:2] if not isinstance(arg, Place) or arg != place]
    if value.shape != z.shape or not constants:
        return sent
    constant = constants[0]
    constant = arrival.trace.value(constant) if isinstance(constant, Place) else torch.as_tensor(constant)
    return {place: torch.where(constant.to(z.device) == 0, message.to(value.dtype), sent[place])}


def averaged(arrival: Arrival) -> Messages | None:
    """The mean that is computed beside a variance."""
    return summed(arrival) if arrival.messages[0] is None else None


def sampled(arrival: Arrival) -> Messages | None:
    """Linear in the picture that is sampled, not in the places where."""
    return summed(arrival) if len(arrival.values) == 1 else None


def product(arrival: Arrival) -> Messages | None:
    """Of two values: half to each, unless one is 1 / a norm."""
    places = [arg for arg in arrival.step.args if isinstance(arg, Place) and arg in arrival.reach.alive]
    carriers = [place for place in places if not _is_scale(arrival.trace, place)] or places
    return _to_each(arrival, carriers)


def quotient(arrival: Arrival) -> Messages | None:
    """All to the dividend, unless it is a constant."""
    if arrival.step.kwargs.get("rounding_mode"):
        return None
    places = [arg for arg in arrival.step.args if isinstance(arg, Place) and arg in arrival.reach.alive]
    return _to_each(arrival, places[:1])


def _to_each(arrival: Arrival, places: Sequence[Place]) -> Messages | None:
    """R in equal parts to some of the factors; one that stands there twice gets two."""
    if arrival.message is None or not places:
        return None
    sent: Messages = {}
    for place in places:
        value = arrival.trace.value(place)
        part = (arrival.message / len(places)).sum_to_size(value.shape).to(value.dtype)
        sent[place] = sent[place] + part if place in sent else part
    return sent


def _is_scale(trace: Trace, place: Place) -> bool:
    """Is it 1 / something, seen through rearrangements, as 1 / a norm is?"""
    while place.step >= 0:
        step = trace.steps[place.step]
        if step.name in ("rsqrt", "reciprocal"):
            return True
        if step.name == "pow":
            return isinstance(step.args[1], int | float) and step.args[1] < 0
        if step.name not in REARRANGING or len(step.places) != 1:
            return False
        place = step.places[0]
    return False


_PRODUCTS = {
    "mm": aten.mm.default,
    "bmm": aten.bmm.default,
    "dot": aten.dot.default,
    "mv": aten.mv.default,
    "addmm": aten.mm.default,
    "baddbmm": aten.bmm.default,
}


def multiplied(arrival: Arrival) -> Messages | None:
    """beta * added + alpha * left @ right, each of which may depend on the rows; nothing is added in a plain product."""
    step, message = arrival.step, arrival.message
    if message is None:
        return None
    added = step.args[0] if step.name in ("addmm", "baddbmm") else None
    factors = step.args[-2:]
    alpha, beta = step.kwargs.get("alpha", 1), step.kwargs.get("beta", 1)
    carriers = sum(isinstance(arg, Place) and arg in arrival.reach.alive for arg in factors)
    sent: Messages = {}
    if carriers:
        alone = replace(arrival, step=replace(step, op=_PRODUCTS[step.name], args=factors, kwargs={}))
        shares = share(message, carriers * step.output, arrival.epsilon)
        sent = alone.in_proportion([alpha * shares])
    if isinstance(added, Place) and added in arrival.reach.alive:
        value = arrival.trace.value(added)
        part = (value * beta * share(message, step.output, arrival.epsilon)).sum_to_size(value.shape)
        sent[added] = sent[added] + part if added in sent else part
    return sent


def softmaxed(arrival: Arrival) -> Messages | None:
    """R_i = x_i (R_i - s_i sum_j R_j): the first-order Taylor term of the softmax s at x, its constant absorbed."""
    message, dim = arrival.message, arrival.step.args[1]
    if message is None:
        return None
    [(place, x)] = arrival.values.items()
    sent = x * (message - arrival.step.output * message.sum(dim, keepdim=True))
    return {place: torch.where(x.isneginf(), 0.0, sent).to(x.dtype)}  # what a mask has taken out


def gated(arrival: Arrival) -> Messages | None:
    """a * sigmoid(b) of two halves of one value: half to each."""
    if arrival.message is None:
        return None
    dim = arrival.step.args[1] if len(arrival.step.args) > 1 else -1
    [place] = arrival.values
    return {place: torch.cat([arrival.message / 2, arrival.message / 2], dim)}


def layer_normed(arrival: Arrival) -> Messages | None:
    """y = w (x - mean) / std + b over the last dimensions, std a constant."""
    x, shape, weight = arrival.step.args[:3]
    if set(arrival.values) != {x}:  # a weight that depends on the rows
        return None
    value = arrival.trace.value(x)
    return _normed(arrival, x, value, tuple(range(-len(shape), 0)), weight)


def group_normed(arrival: Arrival) -> Messages | None:
    """The same over each group of channels and all that follows."""
    x, weight, groups = arrival.step.args[0], arrival.step.args[1], arrival.step.args[6]
    if set(arrival.values) != {x}:
        return None
    value = arrival.trace.value(x)
    split = value.unflatten(1, (groups, -1))  # (N, C, ...) -> (N, G, C / G, ...)
    if weight is not None:
        weight = weight.view(groups, -1, *[1] * (value.ndim - 2))
    return _normed(arrival, x, split, tuple(range(2, split.ndim)), weight)


def batch_normed(arrival: Arrival) -> Messages | None:
    """With running statistics a scale and a shift per channel; with those of the values, as instance norm has them, a norm."""
    if arrival.step in arrival.reach.keeping:
        return passed(arrival)
    x, weight = arrival.step.args[:2]
    if set(arrival.values) != {x}:
        return None
    value, known = arrival.trace.value(x), affine(arrival.step)
    ones = [1] * (value.ndim - 2)
    if known is None:
        weight = None if weight is None else weight.view(-1, *ones)
        return _normed(arrival, x, value, (0, *range(2, value.ndim)), weight)
    shares = arrival.shares()[0]
    return None if shares is None else {x: value * known[0].view(-1, *ones) * shares}


def _normed(arrival: Arrival, x: Place, value: Tensor, dims: tuple[int, ...], weight: Tensor | None) -> Messages | None:
    """R_i = x_i sum_j w_j / std (delta_ij - 1 / n) R_j / (y_j + epsilon): the norm over `dims` of a value, in any shape."""
    shares = arrival.shares()[0]
    if shares is None:
        return None
    sent = shares.reshape(value.shape)
    sent = sent if weight is None else sent * weight
    sent = sent * (value.var(dims, correction=0, keepdim=True) + arrival.step.args[-1]).rsqrt()  # the last is its eps
    sent = value * (sent - sent.mean(dims, keepdim=True))
    return {x: sent.reshape(arrival.trace.value(x).shape)}


def approximated(arrival: Arrival) -> Messages:
    """For functions without a rule:  R_i = x_i sum_j d z_j / d x_i  R_j / (z_j + epsilon sign(z_j)), input times gradient.

    Exact where the function is linear in all values together; for one of degree p it makes p times as much of R.
    """
    return arrival.in_proportion(arrival.shares())


PASSING = (
    "relu leaky_relu _prelu_kernel rrelu_with_noise elu celu selu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh "
    "softplus threshold clamp clamp_min clamp_max log_sigmoid_forward hardshrink softshrink erf exp exp2 expm1 log log2 log10 "
    "log1p sqrt rsqrt reciprocal pow abs neg sin cos tan asin acos atan sinh cosh asinh acosh atanh _fused_rms_norm"
)
ROUTING = (
    "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d max min amax "
    "amin topk sort median kthvalue embedding slice_scatter select_scatter diagonal_scatter index_put scatter nan_to_num "
    "native_dropout"
)
SUMMING = (
    "sum nansum mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d "
    "_upsample_bilinear2d_aa _upsample_bicubic2d_aa cumsum col2im index_add scatter_add trace"
)
TABLE: dict[str, Sends] = {
    **dict.fromkeys(PASSING.split(), passed),
    **dict.fromkeys([*REARRANGING, *ROUTING.split()], routed),
    **dict.fromkeys(SUMMING.split(), summed),
    **dict.fromkeys(("add", "sub", "rsub"), shifted),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), extreme),
    **dict.fromkeys(("var_mean", "std_mean"), averaged),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), sampled),
    **dict.fromkeys(_PRODUCTS, multiplied),
    **dict.fromkeys(("_softmax", "_safe_softmax"), softmaxed),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), batch_normed),
    "_native_batch_norm_legit_no_training": batch_normed,
    "copy": copied,
    "mul": product,
    "div": quotient,
    "glu": gated,
    "native_layer_norm": layer_normed,
    "native_group_norm": group_normed,
}
