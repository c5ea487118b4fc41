"""What guided backprop, the deconvnet and RectGrad do at each ReLU, however it is called.

Before the gradient of a score is taken, its graph is walked and every rectifier in it gets a hook. The graph knows functions by
what they do: `nn.ReLU`, `F.relu`, `x.relu()`, `clamp(min=0)` and `maximum(x, 0)`, in place or not, checkpointed or not. The hooks
go with the graph; nothing is left in the model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from smoothgrad.core.ask import called
from smoothgrad.errors import BadMethod, RuleDidNothing, UnsupportedModel
from smoothgrad.rules.rule import Rule, Watch, refuse_closed

Backward = Callable[[Tensor, Tensor], Tensor]  # R above, the plain gradient below -> R below


class ReLURule(Rule):
    """A rule for rectifiers: R is the relevance that arrives from above, a the activation (the ReLU's output)."""

    @abstractmethod
    def backward(self, activation: Callable[[], Tensor]) -> Backward:
        """What to do at the rectifier with this a. It is read only if asked for: in a checkpoint, reading it computes it again."""

    @contextmanager
    def active(self, model: nn.Module) -> Iterator[Watch]:
        refuse_closed(model, "ReLUs", self)
        hooks = _Hooks(self)
        try:
            with _OutOfViews():
                yield hooks.watch
        finally:
            hooks.remove()
        if not hooks.reached:
            raise RuleDidNothing(
                f"{self!r} found no ReLU in {called(model)}: the map would be the plain gradient; "
                "use gradient(), or a network with ReLUs"
            )


@final
@dataclass(frozen=True, repr=False)
class Guided(ReLURule):
    """Guided backprop: pass R where a > 0 and R > 0 (Springenberg et al. 2014)."""

    def backward(self, activation: Callable[[], Tensor]) -> Backward:
        return lambda _above, plain: plain.clamp_min(0)


@final
@dataclass(frozen=True, repr=False)
class Deconv(ReLURule):
    """Deconvnet: pass R where R > 0, whatever the activation was (Zeiler and Fergus 2013)."""

    def backward(self, activation: Callable[[], Tensor]) -> Backward:
        return lambda above, _plain: above.clamp_min(0)


@final
@dataclass(frozen=True, repr=False)
class Rectified(ReLURule):
    """RectGrad: pass R only where a R > t, t the q-th percentile of a R in the layer, per row (Kim, Seo et al. 2019).

    Rows are asked one at a time: which dimension of an activation holds the rows, (N, T, E) or (T, N, E), only its network knows.
    """

    q: float = 98.0  # the paper's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.q <= 100:
            raise BadMethod(f"Rectified needs 0 <= q <= 100, got {self.q}")

    @property
    def row_by_row(self) -> bool:
        return True

    def backward(self, activation: Callable[[], Tensor]) -> Backward:
        a = activation()

        def rule(above: Tensor, _plain: Tensor) -> Tensor:
            product = a * above
            return above * (product > percentile(product, self.q))

        return rule


def percentile(values: Tensor, q: float) -> Tensor:
    """The q-th percentile of all values, between two neighbours in proportion. torch.quantile stops at 16 million values.

    >>> percentile(torch.tensor([3.0, 1.0, 2.0, 5.0]), 50)
    tensor(2.5000)
    """
    ordered = values.flatten().sort().values
    place = q / 100 * (len(ordered) - 1)
    below = int(place)
    return ordered[below].lerp(ordered[min(below + 1, len(ordered) - 1)], place - below)


class _Hooks:
    """Puts a rule on every rectifier of a graph, and counts those that the gradient reaches on its way to the input."""

    def __init__(self, rule: ReLURule) -> None:
        self.rule = rule
        self.reached = 0
        self.handles: list[RemovableHandle] = []

    def remove(self) -> None:
        """Graphs go, and their hooks with them; but a part of one may belong to the model, such as weights made from others."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()

    def watch(self, score: Tensor) -> None:
        self.remove()  # of the chunk before
        for node in _graph(score):
            if node.name().endswith(_CLOSED):
                self.handles.append(node.register_prehook(self._refuse))
            elif found := _rectifier(node):
                kind, side = found
                backward = self.rule.backward(partial(kind.activation, node))
                self.handles.append(node.register_hook(self._hook(backward, side)))

    def _hook(self, backward: Backward, side: int) -> Callable[[Sequence[Tensor], Sequence[Tensor]], Any]:
        def hook(below: Sequence[Tensor | None], above: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
            self.reached += 1
            plain, arriving = below[side], above[0]
            if plain is None or arriving is None:  # no gradient arrives
                return tuple(below)
            if plain.shape != arriving.shape:
                raise UnsupportedModel(
                    f"a rectifier spreads its input {tuple(plain.shape)} over a larger constant {tuple(arriving.shape)}, and "
                    f"{self.rule!r} does not say what to do there; expand the input before it"
                )
            return (*below[:side], backward(arriving, plain), *below[side + 1 :])

        return hook

    def _refuse(self, above: Sequence[Tensor]) -> None:
        raise UnsupportedModel(
            f"the score goes through a scripted or compiled function: {self.rule!r} cannot see the ReLUs in it; "
            "use the plain function"
        )


def _graph(score: Tensor) -> Iterator[Node]:
    """Every function that the score came through."""
    todo = [score.grad_fn]
    seen: set[Node] = set()
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [below for below, _ in node.next_functions]
            yield node


# --- which functions are rectifiers -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Kind:
    """The names under which a function of the graph keeps its call."""

    zero: str = ""  # what must be 0, for it to be a rectifier
    kept: str = "_saved_self"  # its input or its output
    ceiling: str = ""

    def rectifies(self, node: Node) -> bool:
        """Exactly 0: a clamp at 1e-6 protects a division."""
        if not self.zero:
            return True
        floor = getattr(node, self.zero)
        return floor is not None and not torch.as_tensor(floor).any()

    def activation(self, node: Node) -> Tensor:
        # Without its graph: the graph holds the hook that holds this, and a circle would never be freed.
        kept: Tensor = getattr(node, self.kept).detach()
        if self.kept == "_saved_result":
            return kept
        ceiling = getattr(node, self.ceiling) if self.ceiling else None
        return kept.clamp_min(0) if ceiling is None else kept.clamp_min(0).minimum(torch.as_tensor(ceiling).to(kept))


# By name, and by which input has a gradient: maximum(0, x) is maximum(x, 0).
_KINDS: dict[tuple[str, int], _Kind] = {
    ("ReluBackward0", 0): _Kind(kept="_saved_result"),
    ("ClampBackward0", 0): _Kind("_saved_min", ceiling="_saved_max"),  # bounds that are tensors
    ("ClampBackward1", 0): _Kind("_saved_min", ceiling="_saved_max"),
    ("ClampMinBackward0", 0): _Kind("_saved_min"),
    ("ClampMinBackward1", 0): _Kind("_saved_min"),  # a bound that is a tensor
    ("HardtanhBackward0", 0): _Kind("_saved_min_val", ceiling="_saved_max_val"),  # and ReLU6
    ("ThresholdBackward0", 0): _Kind("_saved_threshold"),
    ("ThresholdBackward1", 0): _Kind("_saved_threshold"),  # in place
    ("LeakyReluBackward0", 0): _Kind("_saved_negative_slope"),
    ("LeakyReluBackward1", 0): _Kind("_saved_negative_slope", "_saved_result"),  # in place
    ("MaximumBackward0", 0): _Kind("_saved_other"),
    ("MaximumBackward0", 1): _Kind("_saved_self", "_saved_other"),
    ("FmaxBackward0", 0): _Kind("_saved_other"),
    ("FmaxBackward0", 1): _Kind("_saved_self", "_saved_other"),
}

# Functions of the graph that hold functions which are not in it: of torch.jit.script, and of torch.compile.
_CLOSED = ("DifferentiableGraphBackward", "CompiledFunctionBackward")


def _rectifier(node: Node) -> tuple[_Kind, int] | None:
    """What kind of rectifier this is, and which of its inputs it rectifies. Two with a gradient are a choice between them."""
    sides = [side for side, (below, _) in enumerate(node.next_functions) if below is not None]
    kind = _KINDS.get((node.name(), sides[0])) if len(sides) == 1 else None
    return (kind, sides[0]) if kind is not None and kind.rectifies(node) else None


# --- what the graph does not show -------------------------------------------------------------------------------------

_MAY_BE_IN_PLACE = {"relu", "relu6", "clamp", "clamp_min", "clip", "hardtanh", "threshold", "leaky_relu"}


class _OutOfViews(TorchFunctionMode):
    """Autograd hides what happens in place to a view (`h[:, :4].relu_()`, and what nn.Linear makes of (N, T, E)) inside another
    function. Have it happen to a copy, and copy that back."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        # relu_, F._threshold and aten's relu_.default are all of the family.
        if getattr(func, "__name__", "").partition(".")[0].strip("_") not in _MAY_BE_IN_PLACE:
            return func(*args, **kwargs)
        view, *rest = args or (kwargs.pop("input"),)
        if not (view.requires_grad and view._is_view()):
            return func(view, *rest, **kwargs)
        copy = view.clone()
        out = func(copy, *rest, **kwargs)
        return view.copy_(copy) if out is copy else out
