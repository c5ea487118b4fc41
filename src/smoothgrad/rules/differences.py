"""How a difference of outputs is shared out among differences of inputs, function by function (DeepLIFT).

A multiplier m says what a unit of a value's difference counts. What a function sends to its inputs must keep the sum,

    sum m (y - y')  =  sum over inputs of sum m_i (x_i - x_i'),

so that the multipliers of the rows times x - x' sum to the difference of scores:

    linear, routing        the transpose                       products             the other factor, the mean of both
    one value, pointwise   the slope (y - y') / (x - x')       maximum              the slope, at the place that rose or fell
    softmax, norms         put together from these             where, comparisons   true and false are 1 and 0

What is in no table is tried at the mean of its inputs, which is exact for all polynomials of degree two; where the sum is not kept,
that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothgrad.rules.bias import names_in
from smoothgrad.rules.linear import Linear, affine
from smoothgrad.rules.pair import Both
from smoothgrad.rules.shares import RULES
from smoothgrad.rules.trace import Messages, Place, Step, vjp

# By their names in ATen. Linear in all values that they read; what they read that is not floating point chooses.
_LINEAR = names_in(
    "add sub rsub neg sum mean cumsum clone _to_copy view _unsafe_view _reshape_alias reshape permute transpose t expand "
    "squeeze unsqueeze slice select split split_with_sizes chunk unsafe_split unsafe_split_with_sizes unsafe_chunk unbind flip "
    "roll cat stack repeat where masked_fill constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d slice_scatter select_scatter index index_select gather pixel_shuffle pixel_unshuffle unfold im2col "
    "col2im tril triu diagonal channel_shuffle avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d "
    "adaptive_avg_pool1d upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact2d upsample_linear1d "
    "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa"
)
# Of degree two in them: exact in the middle.
_QUADRATIC = names_in("mul mm bmm addmm baddbmm addmv mv dot convolution addcmul var var_mean")
# Torch does not mark these so.
_POINTWISE = names_in("hardswish _prelu_kernel log_sigmoid_forward rrelu_with_noise _to_copy")


def shared(both: Both, arriving: Sequence[Tensor | None]) -> Messages:
    """Multipliers at the outputs of a function to multipliers at its inputs. Raises `UnsupportedModel`."""
    name, first = both.step.name, arriving[0]
    rule = RULES.get(name)
    if rule is not None and first is not None and all(other is None for other in arriving[1:]):
        sent = rule(both, first)
        if sent is not None:
            return sent
    if is_linear(both):
        return both.pull(arriving, middle=False)
    if name in _QUADRATIC:
        return both.pull(arriving, middle=True)
    if is_pointwise(both) and first is not None:
        return both.send((both.step.places[0], first * slopes(both)))
    return _tried(both, arriving)


def is_linear(both: Both) -> bool:
    """Is the function linear in all that it reads of the rows, but for a constant?"""
    step, answer = both.step, both.output.here
    if Linear.of(step) is not None or affine(step) is not None:
        return True
    if step.name == "div":
        return not isinstance(step.args[1], Place) and step.kwargs.get("rounding_mode") is None
    if step.name == "mul":
        return sum(isinstance(argument, Place) for argument in step.args) == 1
    rounds = not answer.is_floating_point() and any(two.here.dtype != answer.dtype for two in both.inputs.values())
    return step.name in _LINEAR and not rounds


def is_pointwise(both: Both) -> bool:
    """Is each of its outputs a function of one number that depends on the rows?"""
    known = torch.Tag.pointwise in both.step.op.tags or both.step.name in _POINTWISE
    return known and len(both.inputs) == 1


def slopes(both: Both) -> Tensor:
    """(y - y') / (x - x') of a pointwise function, in the shape of y; the gradient where x - x' is about 0."""
    place, y = both.step.places[0], both.output
    x = both.inputs[place].each(lambda value: value.expand_as(y.here))
    slope = y.change / x.divisor
    if not x.here.is_floating_point() or not bool(x.still.any()):
        return slope
    return torch.where(x.still, derivative(both.step, place, x.middle), slope)


def derivative(step: Step, place: Place, x: Tensor) -> Tensor:
    """d y / d x of a pointwise function at each of x."""
    ones = [torch.ones_like(x), *([None] * (len(step.outputs) - 1))]
    return vjp(step, {place: x}, ones).get(place, torch.zeros_like(x))


def _tried(both: Both, arriving: Sequence[Tensor | None]) -> Messages:
    """In the middle, if that keeps the sum."""
    sent = both.pull(arriving, middle=True)
    gap, size, noise = 0.0, 0.0, 0.0
    for message, y in zip(arriving, both.outputs, strict=True):
        if message is not None and y is not None:
            counted, (here, there) = message * y.change, y.numbers
            gap, size = gap + float(counted.sum()), size + float(counted.abs().sum())
            noise += torch.finfo(here.dtype).eps * float((message.abs() * (here.abs() + there.abs())).sum())
    gap -= sum(float((message * both.inputs[place].change).sum()) for place, message in sent.items())
    if not abs(gap) <= 1e-5 * size + 100 * noise:
        raise both.refused("what it would send back does not add up to the difference of its output")
    return sent
