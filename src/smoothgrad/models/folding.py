"""Batch norm folded into the convolution or linear layer before it, in place, where that changes nothing but rounding.

    norm(conv(x)) = g (W * x + b - m) / sqrt(v + e) + h  =  (s W) * x + s (b - m) + h,      s = g / sqrt(v + e)

torch.fx is asked only which norm follows which layer. The module hierarchy, its names and its Python stay as they are: the layer
gets other weights, and the norm becomes what is left of it (nothing, or its activation). Pairs that are not plainly torch's own
must prove themselves on numbers.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smoothgrad.errors import UnsupportedModel

Layer: TypeAlias = _ConvNd | nn.Linear


@dataclass(frozen=True)
class Folding:
    """How many batch norms were folded, how many were left, and why."""

    folded: int
    left: int
    note: str = ""
    pairs: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # of layer and norm, by name


def fold_batch_norms(
    net: nn.Module, *, context: tuple[Tensor, ...] = (), at: tuple[str, ...] = (), linear: bool = True
) -> Folding:
    """Fold what can be folded, in `net` itself: a private copy in eval mode.

    Args:
        context: the inputs of `net` beside the first; `net` is traced with them.
        at: layers whose outputs must stay what they are. The same holds for layers with hooks.
        linear: also into linear layers. What follows one may norm another dimension than the one it makes: (N, L, C) has two.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> fold_batch_norms(net)
    Folding(folded=1, left=0, note='', pairs=(('0', '1'),))
    >>> net[1]
    Identity()
    """
    norms = count_batch_norms(net)
    if not norms:
        return Folding(0, 0)
    try:
        pairs, opaque = _pairs(net, context)
    except UnsupportedModel as error:
        return Folding(0, norms, str(error))
    watched = [*_watched(net), *(net.get_submodule(name) for name in at)]
    kinds = (_ConvNd, nn.Linear) if linear else (_ConvNd,)
    open_pairs = [
        pair for pair in pairs if isinstance(net.get_submodule(pair.layer), kinds) and _unseen(net, pair, watched)
    ]
    against = {pair: _fold(net, pair) for pair in open_pairs}
    folded = tuple((pair.layer, pair.norm) for pair, reason in against.items() if not reason)
    left = norms - len(folded)
    return Folding(len(folded), left, _why(left, opaque, against) if left else "", folded)


def _why(left: int, opaque: Mapping[type[nn.Module], str], against: Mapping[_Pair, str]) -> str:
    """What is said of batch norms that were left."""
    reasons = [f"cannot look into {kind.__name__}: {reason}" for kind, reason in opaque.items()]
    reasons += [
        f"{pair.norm!r} is not folded into {pair.layer!r}: {reason}" for pair, reason in against.items() if reason
    ]
    return "; ".join([f"{left} cannot be folded into a layer before", *reasons[:1]])


def count_batch_norms(net: nn.Module) -> int:
    """How many batch norms a network has, called or not."""
    return sum(_is_norm(module) for module in net.modules())


def _is_norm(module: nn.Module) -> bool:
    """Batch norm, whoever wrote it: timm and torchvision have their own."""
    # By the buffers' names: while fx traces, asking a module for a buffer is taken for a part of the forward pass.
    return isinstance(module, _BatchNorm) or "running_mean" in dict(module.named_buffers(recurse=False))


# --- which norm follows which layer -----------------------------------------------------------------------------------


class _Pair(NamedTuple):
    layer: str
    norm: str


def _pairs(net: nn.Module, context: tuple[Tensor, ...]) -> tuple[list[_Pair], Mapping[type[nn.Module], str]]:
    """The layers whose output goes to one norm and nowhere else, both called once, by name; and what could not be looked into."""
    graph, opaque = _traced(net, context)
    names = [str(node.target).removeprefix(_ROOT) for node in graph.nodes if node.op == "call_module"]
    calls = Counter(names)
    # A weight that is read by name is used for something else, too.
    read = {str(node.target).removeprefix(_ROOT).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    registered = Counter(id(module) for _, module in net.named_modules(remove_duplicate=False))

    def own(name: str) -> bool:
        return calls[name] == 1 and name not in read and registered[id(net.get_submodule(name))] == 1

    pairs = []
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and len(node.args) == 1 and not node.kwargs else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or set(before.users) != {node}:
            continue
        pair = _Pair(str(before.target).removeprefix(_ROOT), str(node.target).removeprefix(_ROOT))
        if (
            _foldable(net.get_submodule(pair.layer), net.get_submodule(pair.norm))
            and own(pair.layer)
            and own(pair.norm)
        ):
            pairs.append(pair)
    return pairs, opaque


def _foldable(layer: nn.Module, norm: nn.Module) -> bool:
    """A layer with weights of its own, and a norm that does the same to every row."""
    return (
        isinstance(layer, _ConvNd | nn.Linear)
        and isinstance(layer._parameters.get("weight"), Tensor)  # neither parametrised nor computed by a hook
        and "bias" in layer._parameters
        and _is_norm(norm)
        and not norm.training
        and all(isinstance(part, Tensor) and len(part) == _width(layer) for part in _statistics(norm)[:2])
        and set(norm._modules) <= {"drop", "act"}
    )


def _width(layer: Layer) -> int:
    return layer.out_channels if isinstance(layer, _ConvNd) else layer.out_features


def _watched(net: nn.Module) -> Iterator[nn.Module]:
    """Layers with hooks, which may use or change what goes in and out of them."""
    return (module for module in net.modules() if any(getattr(module, hooks) for hooks in _HOOKS))


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _unseen(net: nn.Module, pair: _Pair, watched: Collection[nn.Module]) -> bool:
    """Whether no watched layer has an end between the two."""
    layer, norm = net.get_submodule(pair.layer), net.get_submodule(pair.norm)
    insides = [set(module.modules()) for module in watched]
    return all((layer in inside) == (norm in inside) for inside in insides)


# --- tracing ----------------------------------------------------------------------------------------------------------

_ROOT = "net."
# fx patches nn.Module while it traces, and two at once would leave it patched.
_ONE_AT_A_TIME = threading.Lock()


class _Call(nn.Module):
    """The call net(x, *context), whatever else its forward takes."""

    def __init__(self, net: nn.Module, context: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.net = net
        self.context = context

    def forward(self, x: Tensor) -> object:
        return self.net(x, *self.context)


class _Opaque(Exception):
    """Tracing stopped in a module of this kind."""

    def __init__(self, kind: type[nn.Module], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class _Tracer(fx.Tracer):
    """Stops at layers and norms, whoever wrote them, and at kinds that were found opaque."""

    proxy_buffer_attributes = True

    def __init__(self, opaque: Collection[type[nn.Module]]) -> None:
        super().__init__()
        self.opaque = opaque

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, _ConvNd | nn.Linear) or _is_norm(m) or type(m) in self.opaque
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        path = self.submodule_paths.get(m) if self.submodule_paths else None
        if path is None:
            return forward(*args, **kwargs)  # another thread's network
        if self.is_leaf_module(m, path):
            return super().call_module(m, forward, args, kwargs)
        try:
            return super().call_module(m, forward, args, kwargs)
        except (_Opaque, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a network's code may raise anything
            raise _Opaque(type(m), in_short(error)) from error


def _traced(net: nn.Module, context: tuple[Tensor, ...]) -> tuple[fx.Graph, Mapping[type[nn.Module], str]]:
    """The calls in `net`, and the kinds of modules that could not be looked into. Raises `UnsupportedModel`."""
    opaque: dict[type[nn.Module], str] = {}
    while True:
        try:
            return _trace(_Call(_shell(net), context), opaque), opaque
        except _Opaque as stop:
            if stop.kind is type(net):
                raise UnsupportedModel(f"torch.fx cannot trace {type(net).__name__}: {stop}") from stop
            opaque[stop.kind] = str(stop)


def _trace(call: _Call, opaque: Collection[type[nn.Module]]) -> fx.Graph:
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that are not traced: nothing is run from this graph
            return _Tracer(opaque).trace(call)
    except (_Opaque, torch.OutOfMemoryError):
        raise
    except Exception as error:  # and so may torch.fx, of what a network answers
        raise UnsupportedModel(f"torch.fx cannot trace {type(call.net).__name__}: {in_short(error)}") from error


def _shell(net: nn.Module) -> nn.Module:
    """A copy to trace, whose Python may keep what passes through; it shares all tensors, and has no hooks to be called."""
    shell = copy.deepcopy(net, {id(part): part for part in chain(net.parameters(), net.buffers())})
    for module in shell.modules():
        for hooks in _HOOKS:
            getattr(module, hooks).clear()
    return shell


def one_line(error: Exception) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def in_short(error: Exception) -> str:
    """The kind of an error, and the first line of what it says.

    >>> in_short(KeyError("bias")), in_short(AssertionError())
    ("KeyError: 'bias'", 'AssertionError')
    """
    kind, said = type(error).__name__, one_line(error)
    return kind if said == kind else f"{kind}: {said}"


# --- folding one pair -------------------------------------------------------------------------------------------------


@torch.no_grad()
def _fold(net: nn.Module, pair: _Pair) -> str:
    """Fold one pair if both are what they seem to be: a layer may compute other weights from its own, a norm do more.

    Says why not; nothing where it was folded.
    """
    layer, norm = net.get_submodule(pair.layer), net.get_submodule(pair.norm)
    assert isinstance(layer, _ConvNd | nn.Linear), "pairs begin with a layer"
    rest = _rest(norm)
    if _is_plain(layer) and _is_plain(norm):  # proofs of all pairs would take longer than some passes
        layer.weight, layer.bias = _merged(layer, norm)
        net.set_submodule(pair.norm, rest)
        return ""
    before = dict(layer._parameters)
    try:
        against = "" if _proven(layer, norm, rest) else "they do more than their kinds say"
    except UnsupportedModel as error:
        against = str(error)
    if against:
        layer._parameters.update(before)
    else:
        net.set_submodule(pair.norm, rest)
    return against


def _is_plain(module: nn.Module) -> bool:
    """Whether it does what torch's own does: neither a class derived from it, nor an object with a forward of its own.

    Not so transposed convolutions, of which torch's fusion does not know groups.
    """
    own = type(module).__module__.startswith("torch.nn.modules.") and "forward" not in vars(module)
    return own and not isinstance(module, _ConvTransposeNd)


def _proven(layer: Layer, norm: nn.Module, rest: nn.Module) -> bool:
    """Give the layer its new weights, and compare on a probe. Raises `UnsupportedModel`."""
    try:
        probe = _probe(layer)
        plain = layer(probe.clone())
        normed = F.batch_norm(plain, *_statistics(norm), eps=float(norm.eps))  # type: ignore[arg-type]
        if not close(rest(normed.clone()), norm(plain.clone())):
            return False
        layer.weight, layer.bias = _merged(layer, norm)
        return close(layer(probe.clone()), normed)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # kinds derived from torch's may raise anything
        raise UnsupportedModel(f"{type(layer).__name__} and {type(norm).__name__}: {in_short(error)}") from error


def _merged(layer: Layer, norm: nn.Module) -> tuple[nn.Parameter, nn.Parameter]:
    mean, variance, scale, shift = _statistics(norm)
    assert mean is not None
    assert variance is not None
    eps = float(norm.eps)  # type: ignore[arg-type]
    transposed = isinstance(layer, _ConvTransposeNd)
    return fuse_conv_bn_weights(layer.weight, layer.bias, mean, variance, eps, scale, shift, transposed)


def _statistics(norm: nn.Module) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Mean, variance, scale and shift, whether they are parameters or buffers."""
    mean, variance, scale, shift = (
        getattr(norm, name, None) for name in ("running_mean", "running_var", "weight", "bias")
    )
    return mean, variance, scale, shift


def _rest(norm: nn.Module) -> nn.Module:
    """What is left of a norm without its norm: timm's have a dropout and an activation of their own."""
    parts = [part for part in ("drop", "act") if part in norm._modules]
    rest = nn.Sequential()
    for part in parts:
        rest.add_module(part, norm.get_submodule(part))
    return rest.train(norm.training) if parts else nn.Identity().train(norm.training)


def _probe(layer: Layer) -> Tensor:
    """A small random input: (2, C, ...)"""
    generator = torch.Generator().manual_seed(0)
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (layer.in_features,)
    else:
        pads = layer.padding if isinstance(layer.padding, tuple) else (0,) * len(layer.kernel_size)
        reach = zip(layer.kernel_size, layer.dilation, pads, strict=True)
        # Two places at least, and more than a reflection needs.
        shape = (layer.in_channels, *(max(d * (k - 1) + 2, p + 1) for k, d, p in reach))
    return torch.randn(2, *shape, generator=generator).to(layer.weight)


def close(answer: Tensor, expected: Tensor) -> bool:
    """Whether two answers are equal to rounding: 1e-4 of the norm, far above what folding does and far below any mistake.

    Away from the CPU float32 may be rounded to TF32 inside, which has three digits.
    """
    if answer.shape != expected.shape:
        return False
    tolerance = 1e-4 if expected.device.type == "cpu" else 1e-2
    finite = expected.isfinite()
    if not torch.equal(answer.isfinite(), finite):  # minus infinity is how networks switch a class off
        return False
    # So are values such as -1e9, beside which no other would count.
    size = expected.abs()
    usual = finite & (size <= 1e4 * size[finite].median()) if finite.any() else finite
    return all(
        bool((answer - expected)[part].double().norm() <= tolerance * expected[part].double().norm())
        for part in (usual, finite & ~usual)
    )
