"""DeepLIFT's rules: what a nonlinear function does to multipliers (Shrikumar et al. 2017).

A multiplier m says what a unit of a value's difference from its baseline counts. The linear rule is that of everything linear: its
multipliers are its weights. What differs is how a pointwise function y = f(z), with dz = z - z', is treated:

    Rescale         m_z = m_y dy / dz
    RevealCancel    dz is a positive part dz+ and a negative part dz-, and each has a multiplier of its own:
                    dy+ = ([f(z' + dz+) - f(z')] + [f(z' + dz+ + dz-) - f(z' + dz-)]) / 2,    m_z+ = m_y dy+ / dz+,    dy- alike

so that two inputs which cancel each other are both seen. In the linear rule a layer z_j = sum_i w_ij x_i + b_j has
dz_j+ = sum of its contributions w_ij dx_i above 0, and m_i = sum_j w_ij (m_j+ where w_ij dx_i > 0, m_j- where it is < 0, their mean
at 0). With m+ = m- that is the transpose.

Beyond the paper: a value that only moves, or is scaled, keeps its parts (a negative factor swaps them), and sums add those of their
terms, so that two layers added up are one. Functions of several values are as in `differences`, on either part alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from smoothgrad.core.value import Value
from smoothgrad.rules.differences import derivative, is_linear, is_pointwise, shared, slopes
from smoothgrad.rules.linear import Linear, folded
from smoothgrad.rules.pair import Both, Pair, Two
from smoothgrad.rules.push import push
from smoothgrad.rules.trace import ROWS, Messages, Place, Step, Trace, pull, vjp


class MultiplierRule(Value, ABC):
    """What a pointwise function does to multipliers."""

    @abstractmethod
    def reveals(self, behind: str) -> bool:
        """Are positive and negative parts told apart `behind` a "convolution", a "dense" layer, or anything else ("")?"""


@final
@dataclass(frozen=True, repr=False)
class Rescale(MultiplierRule):
    """The slope (y - y') / (z - z'), and the gradient where z - z' is about 0 (Shrikumar et al. 2017, 3.5.2)."""

    def reveals(self, behind: str) -> bool:
        return False


@final
@dataclass(frozen=True, repr=False)
class RevealCancel(MultiplierRule):
    """Positive and negative parts for themselves, in the mean of both orders (Shrikumar et al. 2017, 3.5.3)."""

    def reveals(self, behind: str) -> bool:
        return True


@final
@dataclass(frozen=True, repr=False)
class DenseRevealCancel(MultiplierRule):
    """RevealCancel behind dense layers, Rescale elsewhere: what the paper's experiments found best for networks with both."""

    def reveals(self, behind: str) -> bool:
        return behind == "dense"


@torch.no_grad()
def multipliers(here: Trace, there: Trace, rule: MultiplierRule) -> Tensor:
    """Multipliers of the rows, (N, *S), for scores (N,), from traces of the rows and of their baselines.

    Times x - x' they sum to score(x) - score(x'). Raises `UnsupportedModel` for a function without a rule, and where the network
    took another way on the baselines.
    """
    pair = Pair(folded(here), folded(there))
    ones = torch.ones_like(here.result)
    if rule == Rescale():
        return pull(pair.here, ones, lambda _trace, step, arriving: shared(pair.both(step), arriving))
    parts = _Parts(pair, rule)
    found = pull(pair.here, torch.stack([ones, ones]), lambda _trace, step, arriving: parts.back[id(step)](arriving))
    return _as_one(pair.at(ROWS), found) if found.ndim > here.x.ndim else found  # zeros, where nothing has arrived


# --- positive and negative parts: stacked in front, (2, *value) ---------------------------------------------------------

Back: TypeAlias = Callable[[Sequence["Tensor | None"]], Messages]


def _by_sign(change: Tensor) -> Tensor:
    return torch.stack([change.clamp_min(0), change.clamp_max(0)])


def _as_one(two: Two, messages: Tensor) -> Tensor:
    """One multiplier for a value whose parts are all of its change, or none of it."""
    rises, falls = messages
    return torch.where(two.still, (rises + falls) / 2, torch.where(two.change > 0, rises, falls))


@final
class _Parts:
    """The parts of every value's change, from the rows on; and for every step the way back."""

    def __init__(self, pair: Pair, rule: MultiplierRule) -> None:
        self.rule = rule
        self.parts: dict[Place, Tensor] = {ROWS: _by_sign(pair.at(ROWS).change)}
        self.behind: dict[Place, str] = {}  # what a value is a sum of
        self.back: dict[int, Back] = {}
        read = {*pair.here.readers(), pair.here.end}
        for number, step in enumerate(pair.here.steps):
            places = [Place(number, part) for part in range(len(step.outputs))]
            if read.isdisjoint(places):  # such as a layer whose batch norm has been folded into its successor
                continue
            both = pair.both(step)
            answers, behind = self._forward(both)
            self.parts |= {place: answer for place, answer in zip(places, answers, strict=True) if answer is not None}
            self.behind |= dict.fromkeys(places, behind)

    def _forward(self, both: Both) -> tuple[list[Tensor | None], str]:
        """The parts of a function's outputs, and what kind of layer they stand behind."""
        layer = Linear.of(both.step)
        if layer is not None:
            return self._weighed(both, layer), "convolution" if layer.convolves else "dense"
        floats = all(two.here.is_floating_point() for two in (*both.inputs.values(), both.output))
        if floats and is_linear(both):
            kinds = {self.behind.get(place, "") for place in both.inputs}
            return self._passed(both), kinds.pop() if len(kinds) == 1 else ""
        alike = all(two.here.shape == both.output.here.shape for two in both.inputs.values())
        if floats and alike and is_pointwise(both):
            return self._bent(both), ""
        return self._together(both), ""

    def _weighed(self, both: Both, layer: Linear) -> list[Tensor | None]:
        """A linear layer: contributions w dx by their sign."""
        two, plus, minus = both.inputs[layer.place], layer.weight.clamp_min(0), layer.weight.clamp_max(0)
        up, down = _by_sign(two.change)

        def back(arriving: Sequence[Tensor | None]) -> Messages:
            assert arriving[0] is not None, "a linear layer has one output"
            rises, falls = arriving[0]
            if torch.equal(rises, falls):
                m = layer.back(two.here, layer.weight, rises)
                return {layer.place: torch.stack([m, m])}
            above = layer.back(two.here, plus, rises) + layer.back(two.here, minus, falls)
            below = layer.back(two.here, plus, falls) + layer.back(two.here, minus, rises)
            m = _as_one(two, torch.stack([above, below]))
            return {layer.place: torch.stack([m, m])}

        self.back[id(both.step)] = back
        above = layer(up, plus, None) + layer(down, minus, None)
        return [torch.stack([above, layer(up, minus, None) + layer(down, plus, None)])]

    def _passed(self, both: Both) -> list[Tensor | None]:
        """What moves, scales and adds: parts go along, and are swapped where the factor is negative."""
        step, values = both.step, {place: two.here for place, two in both.inputs.items()}
        swaps: dict[Place, list[Tensor | None]] = {}
        answers: list[Tensor | None] = [None] * len(step.outputs)
        for place in both.inputs:
            factors = push(step, values, {place: torch.ones_like(values[place])})
            rises, falls = (push(step, values, {place: part}) for part in self.parts[place])
            swaps[place] = [None if factor is None or bool((factor >= 0).all()) else factor < 0 for factor in factors]
            for number, (rise, fall) in enumerate(zip(rises, falls, strict=True)):
                if rise is not None and fall is not None:
                    moved, before = _swapped(torch.stack([rise, fall]), swaps[place][number]), answers[number]
                    answers[number] = moved if before is None else before + moved

        def pulled(arriving: Sequence[Tensor | None], swap: Sequence[Tensor | None]) -> Messages:
            turned = [None if one is None else _swapped(one, which) for one, which in zip(arriving, swap, strict=True)]
            rises, falls = (
                vjp(step, values, [None if one is None else one[side] for one in turned]) for side in (0, 1)
            )
            return {place: torch.stack([rises[place], falls[place]]) for place in rises}

        def back(arriving: Sequence[Tensor | None]) -> Messages:
            if all(which is None for swap in swaps.values() for which in swap):
                return pulled(arriving, [None] * len(arriving))
            each = {place: pulled(arriving, swap) for place, swap in swaps.items()}
            return {place: sent[place] for place, sent in each.items() if place in sent}

        self.back[id(step)] = back
        return answers

    def _bent(self, both: Both) -> list[Tensor | None]:
        """A pointwise function: by the rule."""
        step, place = both.step, both.step.places[0]
        start, (rise, fall) = both.inputs[place].there, self.parts[place]
        plain = slopes(both)
        slope, parts = torch.stack([plain, plain]), plain * self.parts[place]
        if self.rule.reveals(self.behind.get(place, "")):
            found, changed = _revealed(step, place, start, (rise, fall))
            known = (found.isfinite() & changed.isfinite()).all(0)  # z' + dz- may lie where f is not defined
            slope, parts = torch.where(known, found, slope), torch.where(known, changed, parts)

        def back(arriving: Sequence[Tensor | None]) -> Messages:
            assert arriving[0] is not None, "a pointwise function has one output"
            return {place: arriving[0] * slope}

        self.back[id(step)] = back
        return [parts, *([None] * (len(step.outputs) - 1))]

    def _together(self, both: Both) -> list[Tensor | None]:
        """Several values at once: what comes out is one part or the other, and both go back the same way."""

        def back(arriving: Sequence[Tensor | None]) -> Messages:
            pairs = zip(arriving, both.outputs, strict=True)
            sent = shared(both, [None if m is None or y is None else _as_one(y, m) for m, y in pairs])
            return {place: torch.stack([m, m]) for place, m in sent.items()}

        self.back[id(both.step)] = back
        return [None if two is None else _by_sign(two.change) for two in both.outputs]


def _swapped(parts: Tensor, where: Tensor | None) -> Tensor:
    return parts if where is None else torch.where(where, parts.flip(0), parts)


def _revealed(step: Step, place: Place, start: Tensor, parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """(dy+ / dz+, dy- / dz-) and (dy+, dy-), each (2, *value); the mean of two gradients where a part is about 0."""

    def f(z: Tensor) -> Tensor:
        out = step.run({place: z})[0]
        assert out is not None, "the first output of a function is a tensor"
        return out

    rise, fall = parts
    corners = f(start), f(start + rise), f(start + fall), f(start + rise + fall)
    found, changed = [], []
    for one, other, alone, beside in ((rise, fall, 1, 2), (fall, rise, 2, 1)):
        change = (corners[alone] - corners[0] + corners[3] - corners[beside]) / 2
        two = Two(start + one, start)
        tangent = (derivative(step, place, start) + derivative(step, place, start + other)) / 2
        found.append(torch.where(two.still, tangent, change / torch.where(two.still, torch.ones_like(one), one)))
        changed.append(change)
    return torch.stack(found), torch.stack(changed)
