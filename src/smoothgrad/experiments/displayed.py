"""A map as a look displays it: how strong each pixel is, and what the look hides. And a panel under a look of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, final

from torch import Tensor

from smoothgrad.measure.complexity import Gini
from smoothgrad.result import Attribution
from smoothgrad.view.look import Look
from smoothgrad.view.panels import Panel, Scale
from smoothgrad.view.planes import limit as limit_of
from smoothgrad.view.planes import plane, remark
from smoothgrad.view.sheet import Box, Sheet

LOWEST = 0.1  # the share of pixels that count as dark, or as near zero; and all that are equal to the last of them


class Displayed(NamedTuple):
    """A map as a look shows it, with the pixels that are asked about: all (H, W), float64 or bool."""

    values: Tensor  # in the map's unit
    limit: float  # where its scale ends
    channels: Tensor  # what the channels hold together: sum_c |v_c|
    dark: Tensor  # the darkest tenth of the picture, and all that are as dark
    neutral: Tensor  # the tenth whose input is nearest to zero, and all that are as near

    @property
    def strength(self) -> Tensor:
        """min(|v|, L) / L: how much of its colour each pixel has; zero for a map of zeros."""
        return self.values.abs().clamp(max=self.limit) / (self.limit or 1.0)

    @property
    def full(self) -> float:
        return float((self.values.abs() >= self.limit).double().mean()) if self.limit else 0.0

    @property
    def cut(self) -> float:
        sizes = self.values.abs()
        return _ratio((sizes - self.limit).clamp(min=0).sum(), sizes.sum())

    @property
    def mean(self) -> float:
        return float(self.strength.mean())

    @property
    def gini(self) -> float:
        strength = self.strength.reshape(1, -1)
        total = strength.sum()
        return float(Gini().shape_of(strength / total, tuple(self.values.shape))) if total else math.nan

    @property
    def negative(self) -> float:
        return self.share(self.values < 0)

    @property
    def cancelled(self) -> float:
        return 1 - _ratio(self.values.abs().sum(), self.channels.sum())

    def share(self, pixels: Tensor) -> float:
        """Of what is shown, how much lies on these pixels."""
        return _ratio(self.strength[pixels].sum(), self.strength.sum())

    def over(self, pixels: Tensor) -> float:
        """How strong these pixels are, beside all: their mean strength / that of all."""
        return _ratio(self.strength[pixels].mean(), self.strength.mean())


def displayed(result: Attribution, look: Look) -> Displayed:
    """The map of the first row as the look shows it."""
    shown = look.of(unsigned=result.unsigned)
    x, held = result.x[0], result.maps[0].double()
    values = plane(held, shown, x)
    picture = x if result.picture is None else result.picture[0]
    return Displayed(
        values,
        limit_of(values, look.cap),
        plane(held, Look(times_input=look.times_input), x),
        lowest(picture.double().mean(0)),
        lowest(x.double().abs().mean(0)),
    )


def lowest(values: Tensor) -> Tensor:
    """Which values are among the lowest tenth, or equal to the largest of these.

    >>> import torch
    >>> int(lowest(torch.arange(20.0)).sum()), int(lowest(torch.zeros(20)).sum())
    (2, 20)
    """
    most = values.flatten().kthvalue(math.ceil(LOWEST * values.numel())).values
    return values <= most


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if whole else math.nan


@final
@dataclass(frozen=True, eq=False)
class Dressed(Panel):
    """A panel under a look of its own, whatever the look of its figure: so that looks can stand side by side."""

    panel: Panel
    look: Look
    title: str = ""
    note: str = ""

    def height(self, width: float) -> float:
        return self.panel.height(width)

    def paint(self, sheet: Sheet, box: Box, look: Look, limit: float) -> None:
        self.panel.paint(sheet, box, self.look, limit)

    def scale(self, look: Look) -> Scale | None:
        return self.panel.scale(self.look)

    def remarks(self, look: Look) -> tuple[str, ...]:
        scale = self.scale(look)
        odd = remark(scale.values) if scale else ""
        return (odd,) if odd else ()
