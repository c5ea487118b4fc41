"""Which rule of relevance stands where in a network: by kind of layer, by place, or as the user chooses.

A layer here is a linear one: a convolution, or a product with a weight; every call of a module that is used twice counts. It has
the name and the type of the module that makes the call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple, final

from smoothgrad.core.query import Query
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod, RuleDidNothing, SmoothGradError, UnknownName, nearest
from smoothgrad.rules.linear import Linear
from smoothgrad.rules.lrp import Epsilon, RelevanceRule, ZBox, ZPlus
from smoothgrad.rules.lrp_reach import check_box
from smoothgrad.rules.trace import Place, Step, Trace


class Layer(NamedTuple):
    """A linear layer of a trace."""

    step: Step
    number: int  # 0, 1, ... in the order in which they run
    total: int  # how many there are
    convolves: bool
    first: bool  # does no other layer stand between the rows and it?


def layers_of(trace: Trace) -> tuple[Layer, ...]:
    """The linear layers between the rows and the output, in the order in which they run."""
    used = _used(trace)
    behind: set[Place] = set()  # places that a layer stands before
    found: list[tuple[Step, bool, bool]] = []
    for number, step in enumerate(trace.steps):
        layer = None if step.kwargs else Linear.of(step)
        after = not behind.isdisjoint(step.places)
        if layer is not None or after:
            behind.update(Place(number, part) for part in range(len(step.outputs)))
        if layer is not None and number in used:
            found.append((step, layer.convolves, not after))
    return tuple(
        Layer(step, number, len(found), convolves, first) for number, (step, convolves, first) in enumerate(found)
    )


def _used(trace: Trace) -> set[int]:
    """The steps that the output depends on."""
    used = {trace.end.step}
    for number in range(len(trace.steps) - 1, -1, -1):
        if number in used:
            used.update(place.step for place in trace.steps[number].places)
    return used


# --- the user's choices -----------------------------------------------------------------------------------------------


class Choice(Value, ABC):
    """A rule for some layers."""

    rule: RelevanceRule

    @abstractmethod
    def fits(self, layer: Layer) -> bool:
        """Is it meant for this layer?"""

    @abstractmethod
    def missing(self, layers: Sequence[Layer]) -> SmoothGradError:
        """What to raise where it fits none of a network's layers."""


@final
@dataclass(frozen=True, repr=False)
class ByName(Choice):
    """A rule for the layers of this name, as in `model.named_modules()`; * stands for anything: "features.*", "*.conv1"."""

    name: str
    rule: RelevanceRule

    def fits(self, layer: Layer) -> bool:
        return fnmatchcase(layer.step.layer, self.name)

    def missing(self, layers: Sequence[Layer]) -> SmoothGradError:
        return UnknownName(
            f"{self!r} fits no linear layer of the network; {nearest(self.name, {layer.step.layer for layer in layers})}"
        )


@final
@dataclass(frozen=True, repr=False)
class ByType(Choice):
    """A rule for the layers whose module is of a class of this name, such as "Linear" or "Conv2d"."""

    kind: str
    rule: RelevanceRule

    def fits(self, layer: Layer) -> bool:
        return layer.step.kind == self.kind

    def missing(self, layers: Sequence[Layer]) -> SmoothGradError:
        return UnknownName(
            f"{self!r} fits no linear layer of the network; {nearest(self.kind, {layer.step.kind for layer in layers})}"
        )


@final
@dataclass(frozen=True, repr=False)
class ByPosition(Choice):
    """A rule for one layer by its number in the order in which they run: 0 the first, -1 the last."""

    position: int
    rule: RelevanceRule

    def fits(self, layer: Layer) -> bool:
        return self.position in (layer.number, layer.number - layer.total)

    def missing(self, layers: Sequence[Layer]) -> SmoothGradError:
        return BadMethod(
            f"{self!r}: the network has {len(layers)} linear layers; give {-len(layers)} to {len(layers) - 1}"
        )


# --- composites -------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, repr=False)
class Composite(Value):
    """Which rule of relevance stands where. The default is epsilon-plus: epsilon on dense layers, z+ on convolutions.

    Of `choices` the first that fits a layer decides. Else `first` does, where it is given, for layers that no other layer stands
    before; then `convolution` and `dense`. `sums` is the rule for sums of values, means, average pooling and norms, which have no
    weights to choose a rule for.

    Raises, when explaining: `UnknownName` or `BadMethod` for a choice that fits no layer, or whose layers others before it have
    taken; `RuleDidNothing` for a network without a linear layer.

    >>> Composite(first=ZBox(0.0, 1.0), choices=(ByName("head", Epsilon(0.1)), ByPosition(1, ZPlus())))
    Composite(dense=Epsilon(epsilon=1e-06), ..., choices=(ByName(name='head', rule=Epsilon(epsilon=0.1)), ...
    """

    dense: RelevanceRule = Epsilon()  # noqa: RUF009
    convolution: RelevanceRule = ZPlus()  # noqa: RUF009
    first: RelevanceRule | None = None
    sums: Epsilon = Epsilon()  # noqa: RUF009
    choices: tuple[Choice, ...] = ()

    @staticmethod
    def everywhere(rule: RelevanceRule) -> Composite:
        """One rule for all layers; for sums too, where it is `Epsilon`."""
        return Composite(rule, rule, sums=rule if isinstance(rule, Epsilon) else Epsilon())

    @property
    def rules(self) -> tuple[RelevanceRule, ...]:
        """Every rule that may stand somewhere."""
        first = () if self.first is None else (self.first,)
        return (self.dense, self.convolution, *first, *(choice.rule for choice in self.choices))

    def check(self, query: Query) -> None:
        """Raises `BadMethod` for rows that lie outside of a box."""
        for rule in self.rules:
            if isinstance(rule, ZBox):
                check_box(rule, query)

    def plan(self, trace: Trace) -> dict[Step, RelevanceRule]:
        """The rule of each linear layer of a trace."""
        layers = layers_of(trace)
        if not layers:
            raise RuleDidNothing(
                f"{self!r} found no linear layer, such as a convolution or nn.Linear, whose relevance it could share out; "
                "for such functions take input_x_gradient()"
            )
        chosen = {layer.step: next((choice for choice in self.choices if choice.fits(layer)), None) for layer in layers}
        self._check_choices(layers, [choice for choice in chosen.values() if choice is not None])
        return {
            layer.step: self._usual(layer) if (choice := chosen[layer.step]) is None else choice.rule
            for layer in layers
        }

    def _usual(self, layer: Layer) -> RelevanceRule:
        """The rule of a layer for which nothing was chosen."""
        if layer.first and self.first is not None:
            return self.first
        return self.convolution if layer.convolves else self.dense

    def _check_choices(self, layers: Sequence[Layer], deciding: Iterable[Choice]) -> None:
        """Raise for a choice that decides nothing: the user asked for something."""
        used = {id(choice) for choice in deciding}
        for choice in self.choices:
            if not any(map(choice.fits, layers)):
                raise choice.missing(layers)
            if id(choice) not in used:
                raise BadMethod(
                    f"{choice!r} decides nothing: choices before it take all layers that it fits; put it before them"
                )
