"""What a network did with its rows: every function in order, with what went in and what came out.

The functions are those of ATen, seen below autograd, where each has one name however it is spelled: `nn.ReLU(inplace=True)`,
`F.relu`, `x.relu_()` on a view and `torch.relu` are all `aten.relu`. Functions in place are replaced by pure ones on the way,
linear layers are `addmm` or `convolution`, attention is matrix products and a softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from smoothgrad.core.ask import called, network_in, output_of
from smoothgrad.core.query import Query
from smoothgrad.errors import UnsupportedModel
from smoothgrad.rules.rule import refuse_closed

aten = torch.ops.aten


@final
@dataclass(frozen=True)
class Place:
    """Stands for a value in the arguments of a step: output `part` of step `step`; the rows themselves are step -1."""

    step: int
    part: int = 0


ROWS = Place(-1)


@final
@dataclass(frozen=True, eq=False)
class Step:
    """One function: `op(*args, **kwargs) = outputs`. `Place`s in the arguments stand for what depends on the rows."""

    op: Any  # an aten function, such as aten.relu.default
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Tensor | None, ...]
    layer: str = ""  # the dotted name of the module that was running; "" for the network itself
    kind: str = ""  # the name of that module's class
    asked: bool = False  # does it read the query's other inputs, or what was made of them?

    @property
    def name(self) -> str:
        """The function's name without its overload, such as "relu"."""
        return str(self.op.overloadpacket.__name__)

    @property
    def places(self) -> tuple[Place, ...]:
        """The values it reads that depend on the rows, each once, in the order of the arguments."""
        found = (leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Place))
        return tuple(dict.fromkeys(found))

    @property
    def output(self) -> Tensor:
        """The first output, which for most functions is the only one."""
        first = self.outputs[0]
        assert first is not None, "the first output of a function is a tensor"
        return first

    @property
    def where(self) -> str:
        """For errors: `aten.relu in layer 'features.3' (ReLU)`."""
        layer = f"layer {self.layer!r} ({self.kind})" if self.layer else f"the network itself ({self.kind})"
        return f"aten.{self.name} in {layer}"

    def run(self, values: dict[Place, Tensor]) -> tuple[Tensor | None, ...]:
        """The function again, at other values for its places."""

        def put(leaf: Any) -> Any:
            return values[leaf] if isinstance(leaf, Place) else leaf

        args, kwargs = tree_map(put, (self.args, self.kwargs))
        return _parts(self.op(*args, **kwargs))


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """The steps of one call of a network on rows x (N, *S)."""

    x: Tensor
    steps: tuple[Step, ...]
    end: Place  # where the network's output is
    result: Tensor  # the network's output (N, ...)

    def value(self, place: Place) -> Tensor:
        """What stood at a place."""
        if place == ROWS:
            return self.x
        value = self.steps[place.step].outputs[place.part]
        assert value is not None, "a place names a tensor"
        return value

    def inputs(self, step: Step) -> dict[Place, Tensor]:
        """The values that a step read."""
        return {place: self.value(place) for place in step.places}

    def readers(self) -> dict[Place, list[int]]:
        """Which steps read each place."""
        readers: dict[Place, list[int]] = {}
        for number, step in enumerate(self.steps):
            for place in step.places:
                readers.setdefault(place, []).append(number)
        return readers


Messages: TypeAlias = dict[Place, Tensor]  # for values that a step read: what it sends to each
Backward: TypeAlias = Callable[
    [Trace, Step, Sequence["Tensor | None"]], Messages
]  # messages at the outputs -> at the inputs


def pull(trace: Trace, message: Tensor, backward: Backward) -> Tensor:
    """Send a message from the network's output (N, ...) back to the rows (N, *S), through every step that it reaches.

    Messages that meet at a value are added, as relevances and gradients are. With `gradient` as the backward rule this is the
    gradient. The rows get zeros where nothing arrives.
    """
    return pull_to(trace, message, backward, (ROWS,)).get(ROWS, torch.zeros_like(trace.x))


def pull_to(trace: Trace, message: Tensor, backward: Backward, places: Sequence[Place]) -> Messages:
    """The messages that arrive at some values on their way back, with whatever passes on; none for a value that none reaches."""
    first = min(place.step for place in places)  # nothing need be sent back beyond it
    waiting: Messages = {trace.end: message}
    arrived: Messages = {}
    for number in range(len(trace.steps) - 1, max(first, 0) - 1, -1):
        step = trace.steps[number]
        stood = {Place(number, part): waiting.pop(Place(number, part), None) for part in range(len(step.outputs))}
        arrived |= {place: one for place, one in stood.items() if one is not None and place in places}
        if number == first or all(one is None for one in stood.values()):
            continue
        for place, sent in backward(trace, step, list(stood.values())).items():
            waiting[place] = waiting[place] + sent if place in waiting else sent
    return arrived | {place: sent for place, sent in waiting.items() if place in places}


def gradient(trace: Trace, step: Step, arriving: Sequence[Tensor | None]) -> Messages:
    """The plain gradient of one step: the vector-Jacobian product at the values it read."""
    return vjp(step, trace.inputs(step), arriving)


def vjp(step: Step, values: dict[Place, Tensor], arriving: Sequence[Tensor | None]) -> Messages:
    """The vector-Jacobian product of one step at the given values; nothing for values that are not floating point."""
    with torch.enable_grad():
        leaves = {
            place: value.detach().requires_grad_() if value.is_floating_point() else value
            for place, value in values.items()
        }
        # `alias`: a function may answer its input itself, whose gradient would then be no function's.
        outputs = step.run({p: aten.alias.default(v) if v.requires_grad else v for p, v in leaves.items()})
    pairs = [(out, sent) for out, sent in zip(outputs, arriving, strict=True) if sent is not None and out is not None]
    pairs = [(out, sent.to(out.dtype)) for out, sent in pairs if out.requires_grad]
    wanted = [place for place, leaf in leaves.items() if leaf.requires_grad]
    if not pairs or not wanted:
        return {}
    tops, sents = zip(*pairs, strict=True)
    found = torch.autograd.grad(tops, [leaves[place] for place in wanted], sents, allow_unused=True)
    return {place: sent for place, sent in zip(wanted, found, strict=True) if sent is not None}


# --- recording --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def trace(model: nn.Module, query: Query) -> Trace:
    """Call the model on the query's rows once, and write down what happens. The model is left as found.

    Raises `UnsupportedModel` for scripted, traced and compiled parts, whose functions cannot be seen, for a function that changes
    the network itself, and where the output does not depend on the rows.
    """
    refuse_closed(network_in(model), "functions")
    x = query.x.detach()
    running = _Running(network_in(model))
    recorder = _Recorder(running, x, query.context)
    with running.watched(), sdpa_kernel(SDPBackend.MATH), recorder:

        def ask(rows: Tensor) -> Tensor:
            with _NoShortcuts():
                return output_of(model, query.with_x(rows))

        try:
            result = torch.func.functionalize(ask)(x)
        except RuntimeError as error:
            if "non-functional tensor with a functional tensor" not in str(error):
                raise
            raise UnsupportedModel(
                f"{called(model)} writes what depends on its rows into a tensor of its own, in {recorder.where()}; "
                "have it make a new tensor there"
            ) from error
    end = recorder.places.get(id(result))
    if end is None:
        raise UnsupportedModel(
            f"the output of {called(model)} does not depend on the rows in a way that can be followed; "
            "look for NumPy, .item() or constants in its forward pass"
        )
    return Trace(x, tuple(recorder.steps), end, result)


# What reads no more of its input than its shape.
_SHAPE_ONLY = {
    overload
    for packet in (
        *(aten.new_zeros, aten.new_ones, aten.new_full, aten.new_empty, aten.new_empty_strided),
        *(aten.zeros_like, aten.ones_like, aten.full_like, aten.empty_like, aten.rand_like, aten.randn_like),
    )
    for overload in (getattr(packet, name) for name in packet.overloads())
}

# They answer views, and torch does not know it: whoever calls them may write into these.
_VIEWS_UNSAID = {aten.unsafe_split.Tensor, aten.unsafe_split_with_sizes.default, aten.unsafe_chunk.default}


class _NoShortcuts(TorchFunctionMode):
    """Its presence alone keeps nn.MultiheadAttention and nn.TransformerEncoder from fusing themselves into one function.

    A linear layer of (N, T, E) becomes one function too, whatever the layout of its input: not a product and a sum.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.multi_head_attention_forward:  # its own linear layers are not seen from here
            return func(*_contiguous(args), **kwargs)
        if func is not F.linear:
            return func(*args, **kwargs)
        x, *rest = args or (kwargs.pop("input"),)
        if x.ndim <= 2:
            return func(x, *rest, **kwargs)
        return func(x.reshape(-1, x.shape[-1]), *rest, **kwargs).unflatten(0, x.shape[:-1])


def _contiguous(args: tuple[Any, ...]) -> list[Any]:
    """The same arguments, laid out in order; one that stands there twice stays one."""
    made = {id(arg): arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args}
    return [made[id(arg)] for arg in args]


@final
class _Running:
    """Which module is running, by the names that the network's owner knows."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.stack: list[tuple[str, str]] = []

    @property
    def now(self) -> tuple[str, str]:
        return self.stack[-1] if self.stack else ("", type(self.network).__name__)

    @contextmanager
    def watched(self) -> Iterator[None]:
        with ExitStack() as handles:
            for name, module in self.network.named_modules():
                said = (name, type(module).__name__)
                handles.callback(module.register_forward_pre_hook(partial(self._enter, said), prepend=True).remove)
                handles.callback(module.register_forward_hook(self._leave).remove)
            yield

    def _enter(self, said: tuple[str, str], _module: nn.Module, _inputs: object) -> None:
        self.stack.append(said)

    def _leave(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        self.stack.pop()


@final
class _Recorder(TorchDispatchMode):
    """Writes down every function that reads what depends on the rows."""

    def __init__(self, running: _Running, rows: Tensor, context: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running = running
        self.steps: list[Step] = []
        self.places: dict[int, Place] = {id(rows): ROWS}  # by the identity of tensors, which the steps keep alive
        self.kept: list[Tensor] = []  # and this
        self.context = WeakTensorKeyDictionary(
            dict.fromkeys(context, True)
        )  # the other inputs, and what is made of them

    def where(self) -> str:
        layer, kind = self.running.now
        return f"layer {layer!r} ({kind})" if layer else f"{kind} itself"

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        pure = _pure(func)
        if pure is not func:  # inside a function that is put together from others, in place still
            self._keep(args[0])
        put, put_named = tree_map(self._placed, (args, kwargs))
        if pure is not func and put[0] is args[0]:
            put = (args[0].clone(), *put[1:])  # what it is before it is overwritten
        asked = bool(self.context) and any(self._other(leaf) for leaf in tree_leaves((args, kwargs)))
        out = func(*args, **kwargs)
        if func in _SHAPE_ONLY:
            return out
        if func in _VIEWS_UNSAID:  # what is written into the answer must not change what it was made of
            out = [part.clone() for part in out]
        if asked:
            self.context.update({part: True for part in _parts(out) if part is not None})
        if func is aten.as_strided_.default:  # pooling to 1 x 1 sets the layout of its answer
            pure, put = aten.alias.default, put[:1]
        if func is aten.copy.default and args[1].dtype == out.dtype:  # overwrites all; torch knows no gradient of it
            pure, put = aten.expand.default, (put[1], out.shape)
        if not any(isinstance(leaf, Place) for leaf in tree_leaves((put, put_named))):
            return out
        outputs = _parts(out)
        for part, tensor in enumerate(outputs):
            if tensor is not None:
                self.places[id(tensor)] = Place(len(self.steps), part)
        self.steps.append(Step(pure, put, put_named, outputs, *self.running.now, asked))
        return out

    def _keep(self, value: Tensor) -> None:
        """A copy of what stands at a place, before it is overwritten."""
        place = self.places.get(id(value))
        if place is not None and place != ROWS:
            step = self.steps[place.step]
            outputs = tuple(value.clone() if part == place.part else out for part, out in enumerate(step.outputs))
            self.steps[place.step] = replace(step, outputs=outputs)
            self.kept.append(value)  # its identity goes on naming a place

    def _other(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf in self.context

    def _placed(self, leaf: Any) -> Any:
        return self.places.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf


@cache
def _pure(func: Any) -> Any:
    """The function that is the same but not in place, where it is in place and there is one: it reads the same arguments."""
    name = func.overloadpacket.__name__
    twin = getattr(aten, name[:-1], None) if name.endswith("_") and func._schema.is_mutable else None
    if twin is None:
        return func
    fit = [one for one in (getattr(twin, each) for each in twin.overloads()) if _reads(one) == _reads(func)]
    return fit[0] if len(fit) == 1 else getattr(twin, func._overloadname, func)


def _reads(func: Any) -> list[tuple[str, str]]:
    return [(argument.name, str(argument.type)) for argument in func._schema.arguments]


def _parts(out: Any) -> tuple[Tensor | None, ...]:
    """What a function answered, as a tuple; None for what is not a tensor."""
    parts = out if isinstance(out, tuple | list) else (out,)
    return tuple(part if isinstance(part, Tensor) else None for part in parts)
