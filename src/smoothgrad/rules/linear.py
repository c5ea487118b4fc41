"""Steps that are linear in what depends on the rows: z = f(x; w) + b, with w and b of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.rules.trace import Place, Step, Trace, aten


class _Form(NamedTuple):
    """Where a function has its arguments."""

    x: int
    weight: int
    bias: int | None = None


_FORMS: dict[Any, tuple[_Form, ...]] = {
    aten.convolution.default: (_Form(0, 1, 2),),
    aten.addmm.default: (_Form(1, 2, 0),),
    aten.mm.default: (_Form(0, 1), _Form(1, 0)),
    aten.mv.default: (_Form(0, 1), _Form(1, 0)),
    aten.bmm.default: (_Form(0, 1), _Form(1, 0)),
    aten.baddbmm.default: (_Form(1, 2, 0),),
}


_WITHOUT_BIAS = {aten.addmm.default: aten.mm.default, aten.baddbmm.default: aten.bmm.default}


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """A step as a function of its input x, its weight and its bias, each of which may be replaced."""

    step: Step
    form: _Form

    @staticmethod
    def of(step: Step) -> Linear | None:
        """The step as a linear function of the one value it reads; None for other functions, and for products of two values."""
        for form in _FORMS.get(step.op, ()):
            others = [arg for number, arg in enumerate(step.args) if number != form.x]
            if isinstance(step.args[form.x], Place) and not any(isinstance(arg, Place) for arg in others):
                return Linear(step, form)
        return None

    @property
    def place(self) -> Place:
        """Where x stands."""
        place: Place = self.step.args[self.form.x]
        return place

    @property
    def weight(self) -> Tensor:
        """In the layout of its function: (out, in, ...) of a convolution, (in, out) of addmm and mm, (in,) of mv."""
        weight: Tensor = self.step.args[self.form.weight]
        return weight

    @property
    def bias(self) -> Tensor | None:
        """One per output channel; None where there is none."""
        return None if self.form.bias is None else self.step.args[self.form.bias]

    @property
    def convolves(self) -> bool:
        return self.step.op is aten.convolution.default

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """f(x; weight) + bias. Without a bias there is none, whatever the step has."""
        op, args = self.step.op, list(self.step.args)
        args[self.form.x], args[self.form.weight] = x, weight
        if self.form.bias is not None:
            args[self.form.bias] = bias
        if bias is None and op in _WITHOUT_BIAS:
            op, args = _WITHOUT_BIAS[op], [x, weight]
        answer: Tensor = op(*args)
        return answer

    def back(self, x: Tensor, weight: Tensor, message: Tensor) -> Tensor:
        """The transpose: sum over outputs of weight * message, in the shape of x."""
        if self.convolves:  # autograd would convolve once more first
            masks = [True, False, False]
            sent: Tensor = aten.convolution_backward(message, x, weight, None, *self.step.args[3:], masks)[0]
            return sent
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            out = self(leaf, weight, None)
        return torch.autograd.grad(out, leaf, message)[0]


# --- batch norm -------------------------------------------------------------------------------------------------------

_NORMS = {
    aten.native_batch_norm.default: 7,  # and where its eps stands
    aten._native_batch_norm_legit_no_training.default: 6,
    aten.cudnn_batch_norm.default: 7,
}


def affine(step: Step) -> tuple[Tensor, Tensor] | None:
    """Scale and shift per channel of a batch norm that uses its running statistics: y = scale * x + shift. None for others."""
    at = _NORMS.get(step.op)
    if at is None or (step.op is not aten._native_batch_norm_legit_no_training.default and step.args[5]):
        return None
    weight, bias, mean, var, eps = *step.args[1:5], step.args[at]
    scale = (var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


def folded(trace: Trace) -> Trace:
    """The same trace with every batch norm behind a linear layer, which nobody else reads, made part of that layer.

    So the maps of a network and of its prepared copy, whose batch norms are folded already, are the same.
    """
    readers = trace.readers()
    steps = list(trace.steps)
    for number, norm in enumerate(trace.steps):
        known = affine(norm)
        place = norm.args[0] if known else None
        if (
            known is None
            or not isinstance(place, Place)
            or place.step < 0
            or len(readers[place]) > 1
            or place == trace.end
        ):
            continue
        before = Linear.of(steps[place.step])
        one = None if before is None else _folded(before, *known)
        if one is not None:
            # In the norm's own place, so that places go on meaning what they mean; nobody reads the layer any more.
            steps[number] = replace(one, outputs=norm.outputs[:1])
    return replace(trace, steps=tuple(steps))


def _folded(layer: Linear, scale: Tensor, shift: Tensor) -> Step | None:
    """The layer with scale * z + shift after it, where its channels are those of the norm."""
    args = list(layer.step.args)
    if layer.convolves:
        transposed, groups = args[6], args[8]
        if transposed and groups > 1:
            return None
        dim = 1 if transposed else 0
    elif layer.step.op in (aten.addmm.default, aten.mm.default) and layer.form.x < layer.form.weight:
        dim = 1
    else:
        return None
    if layer.weight.shape[dim] != len(scale):
        return None
    shape = [1] * layer.weight.ndim
    shape[dim] = -1
    weight = layer.weight * scale.view(shape)
    bias = shift if layer.bias is None else shift + layer.bias * scale
    if layer.step.op is aten.mm.default:
        return replace(layer.step, op=aten.addmm.default, args=(bias, args[0], weight))
    args[layer.form.weight], args[layer.form.bias or 0] = weight, bias
    if layer.convolves:
        args[2] = bias
    return replace(layer.step, args=tuple(args))
