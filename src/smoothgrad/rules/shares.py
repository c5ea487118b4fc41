"""Functions whose differences are shared out by rules of their own, each put together from products, sums and slopes.

Every rule takes the multiplier m of the function's first output, and answers those of its inputs; None where the function is not
of the kind after all, such as a quotient by a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from smoothgrad.rules.linear import affine
from smoothgrad.rules.pair import Both, Two
from smoothgrad.rules.trace import Messages, Place, aten

Share: TypeAlias = Callable[[Both, Tensor], "Messages | None"]


def _of_two_values(both: Both) -> bool:
    return all(isinstance(argument, Place) for argument in both.step.args[:2])


def _itself(both: Both, m: Tensor) -> Messages:
    """`detach` stops a gradient, not a difference."""
    return both.send((both.step.args[0], m))


def _copied(both: Both, m: Tensor) -> Messages:
    """What is overwritten is forgotten."""
    return both.send((both.step.args[1], m))


def _quotient(both: Both, m: Tensor) -> Messages | None:
    """a / b = a * (1 / b), and 1/b - 1/b' = -(b - b') / (b b')."""
    if not _of_two_values(both) or both.step.kwargs.get("rounding_mode") is not None:
        return None
    a, b = map(both.of, both.step.args[:2])
    return both.send(
        (both.step.args[0], m * b.each(torch.reciprocal).middle),
        (both.step.args[1], -m * a.middle / (b.here * b.there)),
    )


def _gated(both: Both, m: Tensor) -> Messages:
    """a * sigmoid(b), with a and b the two halves along a dimension."""
    place, dim = both.step.args[0], both.argument(1, -1)
    here, there = both.of(place)
    a, b = (Two(*halves) for halves in zip(here.chunk(2, dim), there.chunk(2, dim), strict=True))
    gate, middle = b.each(torch.sigmoid), b.middle.sigmoid()
    slope = torch.where(b.still, middle * (1 - middle), gate.change / b.divisor)
    return both.send((place, torch.cat([m * gate.middle, m * a.middle * slope], dim)))


# --- choices ----------------------------------------------------------------------------------------------------------


def _choice(both: Both, m: Tensor) -> Messages | None:
    """where(c, a, b) = c a + (1 - c) b, with c of 0 and 1; masked_fill(b, c, a) is the same."""
    condition, this, that = both.step.args[:3]
    if both.step.name == "masked_fill":
        that, condition, this = both.step.args[:3]
    if not isinstance(condition, Place):
        return None
    c, a, b = map(both.of, (condition, this, that))
    share = c.middle.to(m.dtype)
    chosen = torch.where(c.still, torch.zeros_like(m), m * (a.middle - b.middle))
    return both.send((this, m * share), (that, m * (1 - share)), (condition, chosen))


def _comparison(both: Both, m: Tensor) -> Messages | None:
    """a > b of two values is a function of a - b."""
    if not _of_two_values(both):
        return None
    a, b = (both.of(argument).numbers for argument in both.step.args[:2])
    slope = both.output.change / Two(a.here - b.here, a.there - b.there).divisor
    return both.send((both.step.args[0], m * slope), (both.step.args[1], -m * slope))


# --- softmax ----------------------------------------------------------------------------------------------------------


def _rise(change: Tensor) -> Tensor:
    """(1 - exp(-d)) / d for d = |change|; 1 at 0."""
    d = change.abs()
    small = d < torch.finfo(d.dtype).eps ** 0.5
    return torch.where(small, 1 - d / 2, -torch.expm1(-d) / torch.where(small, torch.ones_like(d), d))


def _exp_slopes(x: Two) -> Tensor:
    """(exp x - exp x') / (x - x')."""
    return torch.maximum(*x).exp() * _rise(x.change)


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isneginf(), torch.zeros_like(x), x)  # of a line in which all is masked


def _log_sum(x: Two, dim: int) -> tuple[Two, Tensor]:
    """L = log s, s = sum of e, e = exp x along a dimension; and its multipliers (L - L') / (s - s') * (e - e') / (x - x')."""
    log = x.each(lambda value: value.logsumexp(dim, keepdim=True))
    top = _finite(torch.maximum(*log))
    return log.each(_finite), _exp_slopes(x.each(lambda value: value - top)) / _rise(log.change)


def _log_softmax(both: Both, m: Tensor) -> Messages:
    """x - L."""
    place, dim = both.step.args[:2]
    _, weights = _log_sum(both.of(place), dim)
    return both.send((place, m - weights * m.sum(dim, keepdim=True)))


def _softmax(both: Both, m: Tensor) -> Messages:
    """exp(x - L)."""
    place, dim = both.step.args[:2]
    x = both.of(place)
    log, weights = _log_sum(x, dim)
    m = m * _exp_slopes(Two(x.here - log.here, x.there - log.there))
    return both.send((place, m - weights * m.sum(dim, keepdim=True)))


def _logsumexp(both: Both, m: Tensor) -> Messages | None:
    place, dims = both.step.args[:2]
    if len(dims) != 1:
        return None
    _, weights = _log_sum(both.of(place), dims[0])
    return both.send((place, weights * (m if both.argument(2) else m.unsqueeze(dims[0]))))


# --- norms ------------------------------------------------------------------------------------------------------------


def _standardised(x: Two, m: Tensor, dims: Sequence[int], eps: float, *, centred: bool = True) -> Tensor:
    """Multipliers of x for n = c r,  c = x - mean x,  r = (v + eps)^(-1/2),  v = mean c^2; c = x where nothing is centred."""
    dims = list(dims)
    c = x.each(lambda value: value - value.mean(dims, keepdim=True)) if centred else x
    r = c.each(lambda value: (value.square().mean(dims, keepdim=True) + eps).rsqrt())
    count = math.prod(x.here.shape[dim] for dim in dims)
    to_r = (m * c.middle).sum(dims, keepdim=True)
    to_v = -to_r * (r.here * r.there).square() / (r.here + r.there)  # (r - r') / (v - v'), with v + eps = r^-2
    to_c = m * r.middle + to_v * 2 * c.middle / count
    return to_c - to_c.mean(dims, keepdim=True) if centred else to_c


def _layer_norm(both: Both, m: Tensor) -> Messages | None:
    """Over the last dimensions. The one by root mean squares is not centred."""
    place, shape, weight = both.step.args[:3]
    if both.step.places != (place,):
        return None
    centred = both.step.name == "native_layer_norm"
    eps = both.argument(4 if centred else 3)
    eps = torch.finfo(m.dtype).eps if eps is None else eps
    m = m if weight is None else m * weight
    return both.send((place, _standardised(both.of(place), m, range(-len(shape), 0), eps, centred=centred)))


def _group_norm(both: Both, m: Tensor) -> Messages | None:
    """Over the channels of a group and all their pixels."""
    place, weight, groups, eps = (both.step.args[number] for number in (0, 1, 6, 7))
    if both.step.places != (place,):
        return None
    x = both.of(place)
    m = m if weight is None else m * _by_channel(weight, m)
    lines = x.each(lambda value: value.reshape(len(value), groups, -1))
    return both.send((place, _standardised(lines, m.reshape(lines.here.shape), [-1], eps).view(x.here.shape)))


def _batch_norm(both: Both, m: Tensor) -> Messages | None:
    """By the statistics of what it reads: instance norm is that, of channels which are those of one row each."""
    if affine(both.step) is not None or both.step.places != tuple(both.step.args[:1]):
        return None
    place, weight = both.step.args[:2]
    m = m if weight is None else m * _by_channel(weight, m)
    dims = [dim for dim in range(m.ndim) if dim != 1]
    return both.send((place, _standardised(both.of(place), m, dims, both.step.args[-1])))


def _by_channel(weight: Tensor, like: Tensor) -> Tensor:
    return weight.view(1, -1, *([1] * (like.ndim - 2)))


def _deviation(both: Both, m: Tensor) -> Messages | None:
    """The root s of the variance, which is of degree two:  (s - s') / (s^2 - s'^2) = 1 / (s + s')."""
    if both.step.op is not aten.std.correction:
        return None
    place, *rest = both.step.args
    x = both.of(place).middle.requires_grad_()
    with torch.enable_grad():
        variance = aten.var.correction(x, *rest, **both.step.kwargs)
    return both.send((place, torch.autograd.grad(variance, x, _halved_root(both.output, m))[0]))


def _norm(both: Both, m: Tensor) -> Messages | None:
    """The root of the sum of squares."""
    place, order, dims = both.step.args[0], both.argument(1, 2), both.argument(2)
    if order != 2:
        return None
    x = both.of(place)
    dims = list(range(x.here.ndim)) if dims is None else [dim % x.here.ndim for dim in dims]
    m = _halved_root(both.output, m)
    for dim in [] if both.argument(3) else sorted(dims):
        m = m.unsqueeze(dim)
    return both.send((place, m * 2 * x.middle))


def _halved_root(s: Two, m: Tensor) -> Tensor:
    total = s.here + s.there
    return torch.where(total == 0, torch.zeros_like(m), m / total)


# --- maxima -----------------------------------------------------------------------------------------------------------


def _highest(x: Two, y: Two, m: Tensor, at: Two) -> Tensor:
    """Multipliers of lines x (..., K) for outputs y (..., J), each the largest of some of its line, at the places `at` (..., J).

    A rise stands where the maximum is here, a fall where it was there: x - x' is no smaller in size there than y - y', so that the
    slope is between 0 and 1.
    """
    place = torch.where(y.here >= y.there, at.here, at.there)
    moved = x.each(lambda value: value.gather(-1, place))
    slope = torch.where(moved.still, torch.ones_like(m), y.change / moved.divisor)
    return torch.zeros_like(x.here).scatter_add(-1, place, m * slope)


def _highest_of(x: Two, m: Tensor) -> Tensor:
    """The same for the largest of each whole line: m (..., 1)."""
    at = x.each(lambda value: value.argmax(-1, keepdim=True))
    return _highest(x, Two(x.here.gather(-1, at.here), x.there.gather(-1, at.there)), m, at)


def _max_pool(both: Both, m: Tensor) -> Messages:
    """torch counts places along a plane or a volume laid out as one line."""
    place, indices = both.step.args[0], both.outputs[1]
    assert indices is not None, "pooling answers its places, too"
    start = -3 if "3d" in both.step.name else -2

    def lines(value: Tensor) -> Tensor:
        return value.flatten(start)

    sent = _highest(both.of(place).each(lines), both.output.each(lines), lines(m), indices.each(lines))
    return both.send((place, sent.reshape(both.of(place).here.shape)))


def _extreme(both: Both, m: Tensor) -> Messages | None:
    """The largest or smallest along some dimensions. A minimum is a maximum of -x, with the same slopes."""
    place, dims = both.step.args[0], both.argument(1)
    if not isinstance(dims, int | list | tuple):
        return None
    x = both.of(place)
    dims = sorted(dim % x.here.ndim for dim in ([dims] if isinstance(dims, int) else dims)) or list(range(x.here.ndim))
    sign = -1 if "min" in both.step.name else 1
    order = [*(dim for dim in range(x.here.ndim) if dim not in dims), *dims]
    turned = x.each(lambda value: sign * value.permute(order))  # (kept ..., the others ...)
    lines = turned.each(lambda value: value.flatten(len(order) - len(dims)))
    sent = _highest_of(lines, m.reshape(*lines.here.shape[:-1], 1)).reshape(turned.here.shape)
    return both.send((place, sent.permute(sorted(range(len(order)), key=order.__getitem__))))


def _greater(both: Both, m: Tensor) -> Messages | None:
    """The greater or the smaller of two values."""
    if not _of_two_values(both):
        return None
    sign = -1 if "min" in both.step.name else 1
    a, b = (both.of(argument).each(lambda value: sign * value.expand_as(m)) for argument in both.step.args[:2])
    x = Two(torch.stack([a.here, b.here], -1), torch.stack([a.there, b.there], -1))
    one, other = _highest_of(x, m.unsqueeze(-1)).unbind(-1)
    return both.send((both.step.args[0], one), (both.step.args[1], other))


# By the function's name in ATen.
RULES: dict[str, Share] = {
    **dict.fromkeys(("detach", "alias", "lift_fresh"), _itself),
    "copy": _copied,
    "div": _quotient,
    "glu": _gated,
    **dict.fromkeys(("where", "masked_fill"), _choice),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne"), _comparison),
    **dict.fromkeys(("_softmax", "_safe_softmax"), _softmax),
    "_log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), _layer_norm),
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional"), _batch_norm
    ),
    "std": _deviation,
    "linalg_vector_norm": _norm,
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), _max_pool),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d"), _max_pool),
    **dict.fromkeys(("amax", "amin", "max", "min"), _extreme),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _greater),
}
