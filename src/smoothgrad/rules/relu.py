"""What guided backprop, the deconvnet and RectGrad do at each ReLU, however it is called.

A function mode replaces `nn.ReLU`, `F.relu`, `torch.relu`, `x.relu()`, their in-place forms, ReLU6 and `clamp(min=0)` while the
model runs. It needs no hooks on modules, so that functional calls are not missed and nothing is left behind.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from smoothgrad.errors import BadMethod, RuleDidNothing, UnsupportedModel
from smoothgrad.rules.rule import Rule

Backward = Callable[[Tensor, Tensor, Tensor], Tensor]  # R, activation, where the plain gradient passes -> R below


class ReLURule(Rule):
    """A rule for rectifiers: R is the relevance that arrives from above, a the activation (the ReLU's output)."""

    @abstractmethod
    def backward(self, above: Tensor, activation: Tensor, passes: Tensor) -> Tensor:
        """R above, a, and the mask where the plain gradient passes; all (N, ...): to R below."""

    @contextmanager
    def active(self, model: nn.Module) -> Iterator[None]:
        _see_through(model, self)
        mode = _ReplaceReLU(self.backward)
        with mode:
            yield
        if not mode.replaced:
            raise RuleDidNothing(
                f"{self!r} found no ReLU in {type(model).__name__}: the map would be the plain gradient; "
                "use gradient(), or a network with ReLUs"
            )


@final
@dataclass(frozen=True, repr=False)
class Guided(ReLURule):
    """Guided backprop: pass R where a > 0 and R > 0 (Springenberg et al. 2014)."""

    def backward(self, above: Tensor, activation: Tensor, passes: Tensor) -> Tensor:
        return above.clamp_min(0) * passes


@final
@dataclass(frozen=True, repr=False)
class Deconv(ReLURule):
    """Deconvnet: pass R where R > 0, whatever the activation was (Zeiler and Fergus 2013)."""

    def backward(self, above: Tensor, activation: Tensor, passes: Tensor) -> Tensor:
        return above.clamp_min(0)


@final
@dataclass(frozen=True, repr=False)
class Rectified(ReLURule):
    """RectGrad: pass R only where a R > t, t the q-th percentile of a R in the layer, per row (Kim, Seo et al. 2019)."""

    q: float = 98.0  # the paper's

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 100:
            raise BadMethod(f"Rectified needs 0 <= q <= 100, got {self.q}")

    def backward(self, above: Tensor, activation: Tensor, passes: Tensor) -> Tensor:
        product = (activation * above).flatten(1)
        # Row by row: torch.quantile refuses tensors of more than 16 million elements.
        threshold = torch.stack([row.quantile(self.q / 100) for row in product])
        return above * (product > threshold[:, None]).view_as(above)


class _Rectifier(torch.autograd.Function):
    """A ReLU whose forward is its own and whose backward is a rule's. Saves the output and a mask, never the input:
    an in-place ReLU is about to overwrite that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float | None, backward: Backward) -> Tensor:
        activation = x.clamp(0, ceiling)
        passes = (x > 0) if ceiling is None else (x > 0) & (x < ceiling)
        ctx.save_for_backward(activation, passes)
        ctx.rule = backward
        return activation

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:
        activation, passes = ctx.saved_tensors
        return ctx.rule(above, activation, passes), None, None


class _ReplaceReLU(TorchFunctionMode):
    """Swaps every rectifier for `_Rectifier` while it is active, and counts."""

    def __init__(self, backward: Backward) -> None:
        super().__init__()
        self.rule = backward
        self.replaced = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        call = _RECTIFIERS.get(func)
        found = call and call(*args, **kwargs)
        if not found:
            return func(*args, **kwargs)
        x, ceiling, inplace = found
        # Indices and constants are clamped at 0 too: what has no gradient is no rectifier, and must not count as one.
        if not x.requires_grad:
            return func(*args, **kwargs)
        self.replaced += 1
        activation = _Rectifier.apply(x, ceiling, self.rule)  # type: ignore[no-untyped-call]
        return x.copy_(activation) if inplace else activation


# How each rectifier is called, to (input, ceiling, in place?); None where the call is no rectifier.
Found = tuple[Tensor, float | None, bool] | None


def _relu(input: Tensor, inplace: bool = False) -> Found:
    return input, None, inplace


def _relu_(input: Tensor) -> Found:
    return input, None, True


def _relu6(input: Tensor, inplace: bool = False) -> Found:
    return input, 6.0, inplace


def _hardtanh(
    input: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Found:
    return (input, float(max_val), inplace) if min_val == 0 else None


def _hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Found:
    return _hardtanh(input, min_val, max_val, inplace=True)


def _clamp(
    input: Tensor,
    min: float | Tensor | None = None,
    max: float | Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Found:
    # Only the exact number 0: a clamp at 1e-6 protects a division, and is no rectifier.
    if out is not None or isinstance(min, Tensor) or isinstance(max, Tensor) or min != 0:
        return None
    return input, None if max is None else float(max), False


def _clamp_(
    input: Tensor,
    min: float | Tensor | None = None,
    max: float | Tensor | None = None,
) -> Found:
    found = _clamp(input, min, max)
    return found and (found[0], found[1], True)


def _clamp_min(input: Tensor, min: float | Tensor) -> Found:
    return _clamp(input, min)


def _clamp_min_(input: Tensor, min: float | Tensor) -> Found:
    return _clamp_(input, min)


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Found:
    return (input, None, inplace) if threshold == 0 and value == 0 else None


_RECTIFIERS: dict[Callable[..., Any], Callable[..., Found]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.relu_: _relu_,
    Tensor.relu_: _relu_,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
    F.hardtanh_: _hardtanh_,
    torch.clamp: _clamp,
    Tensor.clamp: _clamp,
    torch.clamp_: _clamp_,
    Tensor.clamp_: _clamp_,
    torch.clamp_min: _clamp_min,
    Tensor.clamp_min: _clamp_min,
    torch.clamp_min_: _clamp_min_,
    Tensor.clamp_min_: _clamp_min_,
    torch.clip: _clamp,
    Tensor.clip: _clamp,
    torch.clip_: _clamp_,
    Tensor.clip_: _clamp_,
    F.threshold: _threshold,
    torch.threshold: _threshold,
}


def _see_through(model: nn.Module, rule: Rule) -> None:
    """Function modes do not see into scripted, traced or compiled code: say so, rather than change nothing."""
    for name, module in model.named_modules():
        kind = (
            "scripted or traced"
            if isinstance(module, torch.jit.ScriptModule)
            else "compiled"
            if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
            else None
        )
        if kind:
            raise UnsupportedModel(
                f"{name or type(model).__name__} is {kind}: {rule!r} cannot see its ReLUs; pass the plain module "
                "(for torch.compile: model._orig_mod; for model.compile(): a copy that was not compiled)"
            )
