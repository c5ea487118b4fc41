"""A network on its rows and on their baselines: the same functions in the same order, value by value.

The two traces agree in layout at every place, so that nobody needs to know which dimension holds the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from smoothgrad.errors import UnsupportedModel
from smoothgrad.rules.trace import Messages, Place, Step, Trace, vjp

NOISE = 16  # in units of rounding: what differs by no more is still


@final
class Two(NamedTuple):
    """A value here, on the rows, and there, on their baselines."""

    here: Tensor
    there: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> Two:
        return Two(function(self.here), function(self.there))

    @property
    def numbers(self) -> Two:
        """True and false, and whole numbers, as floating point."""
        return self if self.here.is_floating_point() else self.each(_number)

    @property
    def change(self) -> Tensor:
        here, there = self.numbers
        return torch.where(here == there, torch.zeros_like(here), here - there)  # -inf - (-inf) is no change

    @property
    def middle(self) -> Tensor:
        here, there = self.numbers
        return (here + there) / 2

    @property
    def still(self) -> Tensor:
        """Where the two differ by no more than rounding."""
        here, there = self.numbers
        noise = NOISE * torch.finfo(here.dtype).eps * torch.maximum(here.abs(), there.abs())
        return self.change.abs() <= noise

    @property
    def divisor(self) -> Tensor:
        """The change, and 1 where they are still."""
        return torch.where(self.still, torch.ones_like(self.numbers.here), self.change)


def _number(value: Tensor) -> Tensor:
    return value.to(torch.float32 if value.device.type == "mps" else torch.float64)


@final
@dataclass(frozen=True, eq=False)
class Both:
    """One function of the network, here and there."""

    step: Step
    inputs: dict[Place, Two]
    outputs: tuple[Two | None, ...]

    @property
    def output(self) -> Two:
        first = self.outputs[0]
        assert first is not None, "the first output of a function is a tensor"
        return first

    def argument(self, number: int, default: Any = None) -> Any:
        """An argument of the function by its number, where it was given."""
        return self.step.args[number] if number < len(self.step.args) else default

    def of(self, argument: Any) -> Two:
        """What stood at the argument's place; a constant is the same on both sides."""
        if isinstance(argument, Place):
            return self.inputs[argument]
        constant = torch.as_tensor(argument, device=self.output.here.device)
        return Two(constant, constant)

    def send(self, *messages: tuple[Any, Tensor]) -> Messages:
        """Messages for arguments of the function; none for those that are constants. What was broadcast is summed."""
        sent: Messages = {}
        for argument, message in messages:
            if isinstance(argument, Place):
                value = self.inputs[argument].here
                fitted = message.sum_to_size(value.shape)
                fitted = fitted.to(value.dtype) if value.is_floating_point() else fitted
                sent[argument] = sent[argument] + fitted if argument in sent else fitted
        return sent

    def pull(self, arriving: Sequence[Tensor | None], *, middle: bool) -> Messages:
        """The vector-Jacobian product at the rows, or in the middle between rows and baselines."""
        values = {place: self._at(two, middle) for place, two in self.inputs.items()}
        try:
            return vjp(self.step, values, arriving)
        except (RuntimeError, IndexError, TypeError) as error:
            if all(value.dtype == self.inputs[place].here.dtype for place, value in values.items()):
                raise
            raise self.refused("it takes no fractions, and the rows choose otherwise than their baselines") from error

    def _at(self, two: Two, middle: bool) -> Tensor:
        if two.here.is_floating_point():
            return two.middle if middle else two.here
        if torch.equal(*two):
            return two.here
        if two.here.is_complex():
            raise self.refused("it reads complex numbers")
        if two.here.dtype is not torch.bool:
            raise self.refused("the rows choose other places than their baselines")
        return two.middle

    def refused(self, reason: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"DeepLIFT has no rule for {self.step.where}: {reason}; use integrated_gradients(), which needs no rules"
        )


@final
@dataclass(frozen=True, eq=False)
class Pair:
    """The same steps here, on the rows, and there, on their baselines."""

    here: Trace
    there: Trace

    def __post_init__(self) -> None:
        """Raises `UnsupportedModel` where the network did something else on the baselines."""
        twins = zip(self.here.steps, self.there.steps, strict=False)
        other = next((one for one, two in twins if not _same_function(one, two)), None)
        if other is not None or len(self.here.steps) != len(self.there.steps) or self.here.end != self.there.end:
            where = "" if other is None else f", from {other.where} on"
            raise UnsupportedModel(
                f"the network takes another way on the baseline than on the input{where}: DeepLIFT compares them function by "
                "function; look for `if`, .item() or random numbers in its forward pass, or use integrated_gradients()"
            )

    def at(self, place: Place) -> Two:
        return Two(self.here.value(place), self.there.value(place))

    def both(self, step: Step) -> Both:
        """A step of the trace on the rows, with its twin."""
        twin = self.there.steps[self._numbers[id(step)]]
        outputs = zip(step.outputs, twin.outputs, strict=True)
        return Both(
            step,
            {place: self.at(place) for place in step.places},
            tuple(None if here is None or there is None else Two(here, there) for here, there in outputs),
        )

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {id(step): number for number, step in enumerate(self.here.steps)}


def _same_function(one: Step, two: Step) -> bool:
    """The same function, of the same places and constants, with outputs of the same shapes."""
    ours, theirs = (tree_leaves((_read(step), step.kwargs)) for step in (one, two))
    if one.op is not two.op or len(ours) != len(theirs) or not all(map(_same_argument, ours, theirs)):
        return False
    shapes, others = ([None if out is None else out.shape for out in step.outputs] for step in (one, two))
    return shapes == others


def _read(step: Step) -> list[Any]:
    """Its arguments but for those that it writes into, such as the noise of an rrelu."""
    known = zip(step.args, step.op._schema.arguments, strict=False)
    return [given for given, said in known if said.alias_info is None or not said.alias_info.is_write]


def _same_argument(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        alike = one.shape == two.shape and one.stride() == two.stride() and one.dtype == two.dtype
        return one is two or (alike and (one.data_ptr() == two.data_ptr() or torch.equal(one, two)))
    return type(one) is type(two) and bool(one == two)
