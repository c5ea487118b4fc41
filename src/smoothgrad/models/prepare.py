"""A private copy of a network, made for being asked for input gradients again and again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias, final, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.errors import BadInput, BadMethod, BadModel, BadOption, UnknownName, UnsupportedModel, nearest
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.folding import Folding, close, count_batch_norms, fold_batch_norms, in_short, one_line
from smoothgrad.models.network import Network
from smoothgrad.models.sizes import Sizes

Layout: TypeAlias = Literal["channels_last", "contiguous"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
Inputs: TypeAlias = tuple[Tensor, ...]
Find: TypeAlias = Callable[[nn.Module, Inputs | None], "Known"]
Weights: TypeAlias = Callable[[nn.Module], dict[int, Any]]  # the parameters of a copy, by the identity of the model's


def prepare(
    model: nn.Module,
    x: Tensor | None = None,
    *,
    precision: Precision = "float32",
    fold: bool = True,
    layout: Layout = "channels_last",
    at: str | tuple[str, ...] | None = None,
    context: tuple[Tensor, ...] = (),
) -> Network | Prepared:
    """A copy of a model that answers the same, to rounding, in less time; the model itself is left bit for bit as it is.

    Parameters are frozen, batch norms folded into the layers before them (see `smoothgrad.models.folding`), tensors laid out
    channels-last. What cannot be done is left, and `preparation` says so. Names of layers, hooks and modes stay.

    Args:
        model: a module in eval mode, or a `Network`, of which a `Network` is made.
        x: rows the model will be asked about (N, *S). The copy is tried on the first: where it fails or answers something else
            (1e-4 of the norm), it is made again without the layout, then without folding. Norms behind linear layers are
            folded only with x: nobody else knows whether they norm the dimension that the layer makes.
        precision: "float32" leaves every type as it is; "bfloat16" has convolutions and matrix products computed in
            that, with weights cast once. The output is cast back.
        fold: whether to fold batch norms.
        layout: "channels_last" for convolutions of two and three dimensions, or "contiguous".
        at: the name of a layer, or the names of several, whose outputs must stay what they are, since they are to be explained.
        context: the model's other inputs, where x is given.

    Raises:
        UnsupportedModel: for a model that cannot be copied, whose copy does not answer the same, or that is prepared already.
        BadMethod, BadOption, UnknownName, BadInput: for arguments that mean nothing; the nearest name is given.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).eval()
    >>> x = torch.rand(2, 3, 4, 4)
    >>> fast = prepare(net, x)
    >>> fast.preparation.said
    '1 of 1 batch norms folded, channels-last, float32'
    >>> bool((fast(x) - net(x)).abs().max() < 1e-5)
    True
    """
    _check_options(precision, layout)
    return _checked(model, x, context, Wishes(precision, fold, layout, _names(at)), _no_weights, _found)


def _names(at: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if at is None else (at,) if isinstance(at, str) else tuple(at)


class Known(NamedTuple):
    """What is known of a model already."""

    answer: Tensor  # on the first row
    fingerprint: str


def borrow(
    model: nn.Module,
    x: Tensor,
    known: Known,
    *,
    precision: Precision = "float32",
    at: str | tuple[str, ...] | None = None,
    context: tuple[Tensor, ...] = (),
) -> Network | Prepared:
    """As `prepare`, for use at once: weights that are not changed are not copied either, but shared with the model.

    Of a network whose weights lie in linear layers, hardly any memory is
    taken. What is done to the model's weights afterwards is done to some of the copy's.
    """
    wishes = Wishes(precision, True, "channels_last", _names(at))
    return _checked(model, x, context, wishes, _lent_weights, lambda _net, _first: known)


@final
@dataclass(frozen=True)
class Preparation:
    """What was done to a copy, and in `note` why something was not."""

    folded: int  # batch norms that are gone
    left: int  # batch norms that are still there
    layout: str  # "channels_last" or "contiguous"
    precision: str  # of the arithmetic: "float32", "bfloat16"; or the model's own
    note: str = ""
    pairs: tuple[tuple[str, str], ...] = ()  # of a layer and the batch norm that was folded into it, by name
    largest: int = 0  # bytes of the largest tensor that is made for one row; 0 where it was not tried on one

    @property
    def said(self) -> str:
        """In one line, without the note.

        >>> Preparation(folded=53, left=0, layout="channels_last", precision="float32").said
        '53 of 53 batch norms folded, channels-last, float32'
        """
        total = self.folded + self.left
        norms = f"{self.folded} of {total} batch norms folded" if total else "no batch norms"
        return f"{norms}, {self.layout.replace('_', '-')}, {self.precision}"


@final
class Prepared(nn.Module):
    """A prepared copy; `prepare` makes them. `net` has the names of the model it was made from, `fingerprint` is that model's."""

    def __init__(self, net: nn.Module, preparation: Preparation, fingerprint: str) -> None:
        super().__init__()
        self.net = net
        self.preparation = preparation
        self.fingerprint = fingerprint
        # In the mode that the copy is in; `train` would change its parts.
        self.training = net.training
        self._ranks = _ranks(net) if preparation.layout == "channels_last" else ()

    @property
    def stands_for(self) -> nn.Module:
        """The copy of the network."""
        return self.net

    @property
    def asked_as(self) -> str:
        """What errors call it: the network."""
        return type(self.net).__name__

    def forward(self, x: Tensor, *context: object) -> object:
        """What the model answers; in bfloat16, the scores alone, in the type of x again."""
        inputs = [self._laid_out(part) for part in (x, *context)]
        with self._arithmetic(x.device):
            output = self.net(*inputs)
        if self.preparation.precision != "bfloat16":
            return output
        output = getattr(output, "logits", output)
        return output.to(x.dtype if x.is_floating_point() else torch.float32) if isinstance(output, Tensor) else output

    def _laid_out(self, part: object) -> object:
        if isinstance(part, Tensor) and part.ndim in self._ranks:
            return part.contiguous(memory_format=_FORMATS[part.ndim])
        return part

    def _arithmetic(self, device: torch.device) -> AbstractContextManager[object]:
        narrow = self.preparation.precision == "bfloat16"
        return torch.autocast(device.type, dtype=torch.bfloat16) if narrow else nullcontext()

    def __repr__(self) -> str:
        return f"Prepared({type(self.net).__name__}: {self.preparation.said})"


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_options(precision: object, layout: object) -> None:
    if precision not in get_args(Precision):
        raise BadMethod(f"no precision {precision!r}; {nearest(str(precision), get_args(Precision))}")
    if layout not in get_args(Layout):
        raise BadOption(f"no layout {layout!r}; {nearest(str(layout), get_args(Layout))}")


def _check_net(net: object, precision: str, at: tuple[object, ...]) -> None:
    if not isinstance(net, nn.Module):
        raise BadModel(f"the model is a {type(net).__name__}; give a torch.nn.Module, or a Network from load(...)")
    if isinstance(net, Prepared):
        raise UnsupportedModel(f"{net!r} is prepared already; prepare the model that it was made from")
    if precision == "bfloat16" and _dtype(net) == torch.float64:
        raise BadMethod("the model is in float64, which is not narrowed; use precision='float32', or model.float()")
    layers = {name for name, _ in net.named_modules(remove_duplicate=False) if name}
    for name in at:
        if name not in layers:
            raise UnknownName(f"the network has no layer {name!r}; {nearest(str(name), layers)}")


class Wishes(NamedTuple):
    """What is asked of a copy."""

    precision: Precision
    fold: bool
    layout: Layout
    at: tuple[str, ...]


def _checked(
    model: nn.Module, x: Tensor | None, context: tuple[Tensor, ...], wishes: Wishes, weights: Weights, find: Find
) -> Network | Prepared:
    net = model.net if isinstance(model, Network) else model
    _check_net(net, wishes.precision, wishes.at)
    if x is not None and (not isinstance(x, Tensor) or x.ndim == 0 or not len(x)):
        raise BadInput("x is what the copy is tried on; give rows (N, *S) with N >= 1, or None")
    with own_arithmetic(_device(net)):
        # What is closed comes out as it went in: nothing is to be tried, and a compiled network would be compiled for it.
        # One in training mode would change its batch norms.
        untried = x is None or _closed(net) or any(module.training for module in net.modules())
        first = None if x is None or untried else tuple(part.detach()[:1] for part in (x, *context))
        made = _made(net, first, wishes, weights, find)
    if not isinstance(model, Network):
        return made
    return Network(
        made, name=model.name, classes=model.classes, preprocessing=model.preprocessing, samples=model._samples
    )


# --- making -----------------------------------------------------------------------------------------------------------

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def _made(net: nn.Module, first: Inputs | None, wishes: Wishes, weights: Weights, find: Find) -> Prepared:
    """The copy as asked for, or else the best that answers as the model does on the first row. Raises `UnsupportedModel`."""
    known = find(net, first)
    notes: list[str] = []
    for attempt in _attempts(wishes):
        with _own_random_numbers(_device(net)):  # of tracing
            made = _copied(net, known.fingerprint, first, attempt, weights)
        if first is None:
            break
        try:
            sizes = Sizes(made)
            with sizes:
                found = _answer(made, first)
            made = _changed(made, largest=sizes.largest)
            if close(found, known.answer):
                break
            notes.append(_what_failed(attempt, "answers something else"))
        except UnsupportedModel as error:
            notes.append(_what_failed(attempt, str(error)))
    else:
        raise UnsupportedModel(f"a copy of {type(net).__name__} cannot stand for it: {notes[-1]}; use the model itself")
    made = _with_notes(made, notes)
    return _narrowed(made, first) if wishes.precision == "bfloat16" else made


def _found(net: nn.Module, first: Inputs | None) -> Known:
    """What must be known of a model, by asking it."""
    return Known(torch.empty(0) if first is None else _answer(net, first), fingerprint(net))


def _attempts(wishes: Wishes) -> Iterator[Wishes]:
    """What is asked for, then less and less."""
    plainer = wishes._replace(layout="contiguous")
    yield from dict.fromkeys([wishes, plainer, plainer._replace(fold=False)])


def _what_failed(wishes: Wishes, reason: str) -> str:
    return f"{'folded, ' if wishes.fold else ''}{wishes.layout.replace('_', '-')}, it {reason}"


def _with_notes(made: Prepared, notes: list[str]) -> Prepared:
    return _changed(made, note="; ".join(part for part in (made.preparation.note, *notes) if part))


def _changed(made: Prepared, **what: Any) -> Prepared:
    return Prepared(made.net, replace(made.preparation, **what), made.fingerprint)


def _copied(net: nn.Module, digest: str, first: Inputs | None, wishes: Wishes, weights: Weights) -> Prepared:
    """A frozen copy, folded and laid out."""
    twin = _twin(net, weights(net))
    for part in twin.parameters():  # scripted modules cannot be asked to do this themselves
        part.requires_grad_(False)
    closed = _closed(net)
    folding = Folding(0, count_batch_norms(twin), closed)
    if wishes.fold and not closed:
        folding = fold_batch_norms(twin, context=(first or ())[1:], at=wishes.at, linear=first is not None)
        if folding.left and wishes.at:
            folding = replace(folding, note=_beside_kept(folding.note, wishes.at))
    used = wishes.layout if _ranks(twin) else "contiguous"
    if used == "channels_last":
        _lay_out(twin)
    precision = str(_dtype(twin)).removeprefix("torch.")
    return Prepared(
        twin, Preparation(folding.folded, folding.left, used, precision, folding.note, folding.pairs), digest
    )


def _beside_kept(note: str, at: tuple[str, ...]) -> str:
    """Why norms were left, where layers were kept as they are: a norm beside one of them could have been folded otherwise."""
    left, *more = note.split("; ", 1)
    return "; ".join([f"{left}, or beside a layer that is to be read: {', '.join(map(repr, at))}", *more])


def _no_weights(_net: nn.Module) -> dict[int, Any]:
    """All of a copy is its own."""
    return {}


def _lent_weights(net: nn.Module) -> dict[int, Any]:
    """For a deep copy: parameters of its own, in the memory of the model's."""
    return {
        id(part): nn.Parameter(part.detach(), requires_grad=False)
        for part in net.parameters()
        if type(part) is nn.Parameter
    }


def _twin(net: nn.Module, known: dict[int, Any]) -> nn.Module:
    """A deep copy of all but what is known already. Raises `UnsupportedModel`."""
    try:
        with torch.no_grad(), _WithoutHistory():  # copies of scripted parts would keep a history
            twin = copy.deepcopy(net, known)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a network's code may raise anything
        raise UnsupportedModel(f"{type(net).__name__} cannot be copied: {in_short(error)}") from error
    if _parts(net) & _parts(twin):
        raise UnsupportedModel(f"{type(net).__name__} cannot be copied: its copy shares parts with it")
    return twin


def _parts(net: nn.Module) -> set[int]:
    return {id(part) for part in chain(net.modules(), net.parameters(), net.buffers())}


class _WithoutHistory(TorchFunctionMode):
    """Tensors with a history, which cannot be copied, are copied without it: weights made by a hook, and what a network keeps."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[0].detach().clone()
        return func(*args, **(kwargs or {}))


def _closed(net: nn.Module) -> str:
    """Why nothing can be changed inside a network; empty where it can."""
    if isinstance(net, torch.jit.ScriptModule):
        return "it is scripted or traced"
    return "it is compiled" if hasattr(net, "_orig_mod") else ""


def _ranks(net: nn.Module) -> tuple[int, ...]:
    """The ranks of tensors that have a layout with channels last, and that convolutions of the network take."""
    if _closed(net):
        return ()
    ranks = {module.weight.ndim for module in net.modules() if isinstance(module, _ConvNd)}
    return tuple(rank for rank in _FORMATS if rank in ranks)


def _lay_out(net: nn.Module) -> None:
    """Weights of convolutions with their channels last. What is computed by a hook or a parametrisation is left."""
    for module in net.modules():
        weight = module._parameters.get("weight") if isinstance(module, _ConvNd) else None
        if weight is not None and weight.ndim in _FORMATS:
            weight.data = weight.data.contiguous(memory_format=_FORMATS[weight.ndim])


def _narrowed(made: Prepared, first: Inputs | None) -> Prepared:
    """The same in bfloat16: weights are cast once, if the network takes them so, and else at each call."""
    narrow = replace(made.preparation, precision="bfloat16", largest=made.preparation.largest // 2)
    before = [
        (module, dict(module._parameters)) for module in made.net.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]
    for module, own in before:
        # New parameters: one that is shared with an embedding stays as it is there.
        module._parameters.update({name: _cast(own.get(name)) for name in own.keys() & {"weight", "bias"}})
    cast = Prepared(made.net, narrow, made.fingerprint)
    try:
        if first is not None:
            _answer(cast, first)
    except UnsupportedModel as error:
        for module, own in before:
            module._parameters.update(own)
        return _with_notes(cast, [f"weights are cast at each call, since with narrow ones it {error}"])
    return cast


def _cast(part: nn.Parameter | None) -> nn.Parameter | None:
    return None if part is None else nn.Parameter(part.detach().to(torch.bfloat16), requires_grad=False)


@torch.no_grad()
def _answer(net: nn.Module, inputs: Inputs) -> Tensor:
    """What a network answers, with the same random numbers each time. Raises `UnsupportedModel`."""
    try:
        with _own_random_numbers(_device(net)):
            output = net(*(part.clone() for part in inputs))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a network's code may raise anything
        raise UnsupportedModel(f"raises {type(error).__name__} on the first row: {one_line(error)}") from error
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise UnsupportedModel(f"returns {type(output).__name__}, neither a tensor nor an object with .logits")
    return output


def _own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Nothing is taken from the caller's stream of random numbers."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _device(net: nn.Module) -> torch.device:
    return next((part.device for part in net.parameters()), torch.device("cpu"))


def _dtype(net: nn.Module) -> torch.dtype:
    return next((part.dtype for part in net.parameters() if part.is_floating_point()), torch.float32)
