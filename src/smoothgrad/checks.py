"""What is looked at before any long work: each question says what is wrong, what was given, and what to do."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import outputs
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import (
    BadInput,
    BadMethod,
    BadModel,
    ModelInTraining,
    NonFinite,
    NotDifferentiable,
    SmoothGradError,
    nearest,
)
from smoothgrad.models.layer import at as seen_from
from smoothgrad.models.network import Network
from smoothgrad.models.packed import Packing, check_together
from smoothgrad.models.prepare import Prepared

Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]
Keys: TypeAlias = Tensor | Sequence[int] | None


def check_method(method: object) -> None:
    """Raises `BadMethod` for what is no Explainer, and says how to get one."""
    if isinstance(method, Explainer):
        return
    if isinstance(method, str):
        raise BadMethod(f"the method is text; build it first: method=from_recipe({method!r})")
    if callable(method):
        name = getattr(method, "__name__", repr(method))
        raise BadMethod(f"the method is {name} itself; call it: method={name}()")
    raise BadMethod(f"the method is {method!r}; give an Explainer, such as smoothgrad(noise=0.15, samples=50)")


def check_model(model: object) -> None:
    """Raises `ModelInTraining`, and `BadModel` for what is no module or cannot be differentiated."""
    if not isinstance(model, nn.Module):
        raise BadModel(f"the model is a {type(model).__name__}; give a torch.nn.Module, or a Network from load(...)")
    if any(part.is_inference() for part in model.parameters()):
        raise BadModel(
            f"{type(model).__name__} was made under torch.inference_mode(), so that nothing can be differentiated through its "
            "weights; make or load it outside"
        )
    for name, module in model.named_modules():
        if module.training:
            where = f"its part {name!r} is" if name else "it is"
            raise ModelInTraining(
                f"{type(model).__name__} must be in eval mode, but {where} in training mode, where dropout and batch norm "
                "would change or mix the rows; call model.eval() first"
            )


def check_inputs(x: object, *, layer: bool) -> tuple[Tensor, ...]:
    """What is to be explained, one tensor or several with as many rows each, as a tuple. Raises `BadInput`."""
    if not isinstance(x, tuple | list):
        return (check_rows(x, layer=layer),)
    check_together(x)
    return tuple(check_rows(part, layer=layer, name=f"x[{place}]") for place, part in enumerate(x))


def check_rows(x: object, *, layer: bool, name: str = "x") -> Tensor:
    """The rows, as they are. Raises `BadInput` for anything but finite floating-point rows (N, *S)."""
    if not isinstance(x, Tensor):
        raise BadInput(
            f"{name} is a {type(x).__name__}; give a tensor of rows (N, *S), such as torch.as_tensor(x)[None]"
        )
    if x.layout != torch.strided:
        raise BadInput(f"{name} is laid out as {x.layout}; pass {name}.to_dense()")
    # Seen from a layer, x may be what no gradient can be taken of, such as the numbers of words.
    if not layer and not x.is_floating_point():
        raise BadInput(
            f"{name} holds {str(x.dtype).removeprefix('torch.')}; gradients need floating point: convert pictures as the network "
            f'was trained, such as {name}.float() / 255; for numbers of words explain what their embedding gives: at="its name"'
            + ("; or pass them as context=(...), which is not explained" if name != "x" else "")
        )
    if x.ndim < 2 or x.numel() == 0:
        what = "an empty batch" if x.numel() == 0 else "no batch of rows"
        raise BadInput(
            f"{name} has shape {tuple(x.shape)}: {what}; give rows (N, *S) with N >= 1, for one row {name}[None]"
        )
    check_finite(x, name, BadInput)
    return x


def check_classes(model: nn.Module, output: Tensor) -> None:
    """Raises `BadModel` where a network has names for other classes than it has."""
    names = model.classes if isinstance(model, Network) else ()
    if names and output.ndim == 2 and output.shape[1] != len(names):
        raise BadModel(
            f"{model.name} has {len(names)} class names ({names[0]}, ...) for {output.shape[1]} classes; give load() the names of "
            "this network: classes="
        )


def check_finite(values: Tensor, what: str, error: type[BadInput | NonFinite] = NonFinite) -> None:
    """Raises `error` that names the first row holding NaN or infinity."""
    broken = ~values.reshape(len(values), -1).isfinite().all(1)
    if broken.any():
        row = int(broken.nonzero()[0])
        kind = "NaN" if values[row].isnan().any() else "infinity"
        more = f" (and {int(broken.sum()) - 1} more rows)" if int(broken.sum()) > 1 else ""
        raise error(f"{what} of row {row} holds {kind}{more}; no map can be made of it: check the data and the network")


def check_smooth(values: object, what: str) -> None:
    """Raises `NotDifferentiable` for whole numbers, which have no gradient."""
    if isinstance(values, Tensor) and not values.is_floating_point():
        raise NotDifferentiable(
            f"{what} holds {str(values.dtype).removeprefix('torch.')}, which cannot be differentiated; explain the scores from "
            "before argmax or rounding"
        )


def check_seed(seed: object) -> None:
    """Raises `BadInput` for anything but an integer of 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63:
        raise BadInput(f"the seed is {seed!r}; give an integer that fits in 64 bits")


def check_keys(keys: Keys, rows: int) -> Tensor:
    """The rows' keys (N,), int64 on the CPU; 0..N-1 where none are given. Raises `BadInput`."""
    if keys is None:
        return torch.arange(rows, device="cpu")
    try:
        named = torch.as_tensor(keys, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"keys must be {rows} integers of 64 bits, one per row, got {keys!r}") from error
    if named.shape != (rows,) or named.is_floating_point() or named.is_complex() or named.dtype == torch.bool:
        raise BadInput(f"keys must be {rows} integers, one per row, got {named.dtype} of shape {tuple(named.shape)}")
    return named.to(torch.int64)


def check_context(context: object, rows: int) -> tuple[Tensor, ...]:
    """The context as a tuple of tensors with N rows each. Raises `BadInput`."""
    parts = context if isinstance(context, tuple | list) else (context,)
    for place, part in enumerate(parts):
        if not isinstance(part, Tensor) or part.ndim == 0 or len(part) != rows:
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise BadInput(f"context[{place}] must be a tensor with one entry for each of the {rows} rows, got {got}")
    return tuple(parts)


def check_dtype(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Raises `BadInput` for rows of a type that no parameter has."""
    inner = model.net if isinstance(model, Network) else model
    if isinstance(inner, Prepared) and inner.preparation.precision == "bfloat16":
        return
    known = dict.fromkeys(part.dtype for part in model.parameters() if part.is_floating_point())
    for place, x in enumerate(inputs):
        if known and x.is_floating_point() and x.dtype not in known:
            want, name = str(next(iter(known))).removeprefix("torch."), "x" if len(inputs) == 1 else f"x[{place}]"
            got = str(x.dtype).removeprefix("torch.")
            raise BadInput(f"{name} holds {got}, the model {want}; pass {name}.to(torch.{want})")


def check_apart(method: Explainer, maps: Tensor, packing: Packing) -> None:
    """Raises `BadMethod` for maps that cannot be taken apart into those of the inputs, such as the coarse one of a CAM."""
    if maps.shape[-1] != sum(packing.sizes) or maps.ndim > 3:
        raise BadMethod(
            f"{method!r} gives maps of shape {tuple(maps.shape[1:])}, not a value for each of the {sum(packing.sizes)} values of "
            "the inputs; choose another method, such as gradient(), or explain one input with the others as context=(...)"
        )


def check_precision(precision: object) -> None:
    """Raises `BadMethod` for a precision that is not known."""
    if precision not in get_args(Precision):
        raise BadMethod(f"no precision {precision!r}; {nearest(str(precision), get_args(Precision))}")


def check_chunk(chunk: object) -> None:
    """Raises `BadMethod` for anything but None and numbers from 1 on."""
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise BadMethod(f"chunk is {chunk!r}; give the largest number of rows in one model call, at least 1, or None")


def on_device(model: nn.Module, device: str | torch.device | None) -> nn.Module:
    """The model on a device: itself, or a copy. Raises `BadInput` for a device that is not there."""
    if device is None:
        return model
    try:
        there = torch.empty(0, device=torch.device(device)).device  # "cuda" is "cuda:0" to compare with
    except (RuntimeError, AssertionError, TypeError) as error:
        kind = str(device).partition(":")[0]
        here = ("cpu", "cuda", "mps")
        why = f"{error}".splitlines()[0] if kind in here else f"choose {', '.join(here)}"
        raise BadInput(f"cannot compute on device {str(device)!r}: {why}") from error
    tensors = [*model.parameters(), *model.buffers()]
    return model if all(part.device == there for part in tensors) else copy.deepcopy(model).to(there)


def device_of(model: nn.Module, x: Tensor) -> torch.device:
    """Where the model computes. Raises `BadModel` for one without values."""
    place = next((part.device for part in model.parameters()), x.device)
    if place.type == "meta":
        raise BadModel(
            f"{type(model).__name__} is on the device 'meta', where it has no values; load its weights first"
        )
    return place


def same_layer(asked: nn.Module, model: nn.Module, at: str | nn.Module) -> str | nn.Module:
    """The layer by name, where the model was copied: the layer that the user gave is not part of the copy."""
    return at if asked is model or isinstance(at, str) else seen_from(asked, at).name


def without_history(rows: Tensor) -> Tensor:
    """Rows without a history. Those made under inference_mode must be copied before anything can be differentiated."""
    return rows.clone() if rows.is_inference() else rows.detach()


def first_look(model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
    """The output on the clean rows."""
    output = outputs(model, query, schedule)
    # Minus infinity is how networks switch a class off, and no fault where another is explained.
    check_finite(output.masked_fill(output == -torch.inf, 0.0), "the output")
    return output


@contextmanager
def refusals(model: nn.Module, inputs: Sequence[Tensor]) -> Iterator[None]:
    """What the network refuses is said with the shapes of the rows."""
    try:
        yield
    except SmoothGradError:
        raise
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        shapes = [f"{tuple(x.shape[1:])} ({str(x.dtype).removeprefix('torch.')})" for x in inputs]
        said = f"shape{'s' * (len(shapes) > 1)} {' and '.join(shapes)}"
        raise BadInput(
            f"{type(model).__name__} cannot take {len(inputs[0])} rows of {said}: {error}; pass rows as the "
            "network was trained on them, and its other inputs as context=(...)"
        ) from error
