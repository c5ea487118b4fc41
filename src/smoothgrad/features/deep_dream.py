"""DeepDream: a picture is changed so that a layer answers it more strongly, from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.ask import views
from smoothgrad.errors import BadInput, BadMethod, NonFinite
from smoothgrad.features.ascent import Normalised, check_rate
from smoothgrad.features.objective import Objective, as_objective
from smoothgrad.features.question import Question
from smoothgrad.features.search import Frame, Search, check_counts, check_slope, moved, moved_back, shift_of
from smoothgrad.features.space import visible
from smoothgrad.models.network import Network
from smoothgrad.targets import Target


@final
@dataclass(frozen=True, repr=False)
class DeepDream(Search):
    """Whatever a layer sees in a picture, more of it (Mordvintsev et al. 2015). From the smallest octave to the picture's own size:

        x_o = resized picture + resized detail of the octave before;   x_o <- x_o + learning_rate * range * g / mean |g|

    so many `steps` times, g the gradient of the objective at the picture moved by up to `jitter` pixels each way.

    Args:
        objective: `Layer(name)`, `Channel(name, index)`, or any other objective.
        octaves: in how many sizes, each `scale` times larger than the one before.
        steps: in each octave.
        learning_rate: the mean change of a value in a step, as a fraction of max - min of the picture.
        jitter: pixels.

    In a `Network`, values stay between what its preprocessing makes of black and white. Raises `BadMethod` for what means nothing.

    >>> from smoothgrad.features import Layer
    >>> DeepDream(Layer("conv3"), octaves=2).total
    20
    """

    objective: Objective | Target | int
    octaves: int = 4
    scale: float = 1.4
    steps: int = 10
    learning_rate: float = 1.5 / 255  # as all above and below, that of Mordvintsev et al. 2015
    jitter: int = 32
    from_picture = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "objective", as_objective(self.objective))
        super().__post_init__()
        check_counts(self, self.steps, self.jitter)
        check_rate(self, self.learning_rate)
        if self.octaves < 1 or not (math.isfinite(self.scale) and self.scale > 1):
            raise BadMethod(f"DeepDream needs octaves >= 1 and a finite scale > 1, got {self.octaves} and {self.scale}")

    @property
    def total(self) -> int:
        return self.octaves * self.steps

    def frames(self, model: nn.Module, x: Tensor, seed: int) -> Iterator[Frame]:
        if x.ndim != 4:
            raise BadInput(f"DeepDream needs pictures (N, C, H, W), got {tuple(x.shape)}")
        ascent, span = Normalised(self.learning_rate), _range(x)
        sizes = self._sizes(x)
        question = self._question(model, x, sizes[0], seed)
        detail = torch.zeros_like(resized(x, sizes[0]))
        step = 0
        for size in sizes:
            octave = resized(x, size)
            picture = clipped(model, octave + resized(detail, size))
            for _ in range(self.steps):
                shift = shift_of(self.jitter, seed, step, picture.shape) if self.jitter else (0, 0)
                value, gradient = question.ask(moved(picture, shift))
                yield Frame(step, self.total, picture, value)
                if step == 0:
                    check_slope(gradient)
                change, _ = ascent.step(torch.zeros_like(picture), moved_back(gradient, shift), (), step)
                picture = clipped(model, picture + span * change)
                step += 1
                if not bool(picture.isfinite().all()):
                    raise NonFinite(f"the picture is no longer finite after step {step}; give a smaller learning rate")
            detail = picture - octave
        yield Frame(step, self.total, picture, question.ask(picture)[0])

    def _sizes(self, x: Tensor) -> list[tuple[int, int]]:
        """Height and width of each octave, the smallest first. Raises `BadInput` for a picture too small for so many."""
        height, width = int(x.shape[-2]), int(x.shape[-1])
        shares = [self.scale**-octave for octave in reversed(range(self.octaves))]
        sizes = [(round(height * share), round(width * share)) for share in shares]
        if min(sizes[0]) < 1:
            raise BadInput(
                f"a picture of {height} x {width} is too small for {self.octaves} octaves: the smallest would be "
                f"{sizes[0][0]} x {sizes[0][1]}; give fewer octaves, or a larger picture"
            )
        return sizes

    def _question(self, model: nn.Module, x: Tensor, smallest: tuple[int, int], seed: int) -> Question:
        """Settled on the picture itself, once the network has been shown the smallest octave. Raises `BadInput`."""
        objective = as_objective(self.objective)
        question = Question.of(model, objective, x, seed)
        try:
            Question.of(model, objective, resized(x, smallest), seed)
        except BadInput as error:
            raise BadInput(
                f"the smallest of {self.octaves} octaves is {smallest[0]} x {smallest[1]}, which the network does not take; give "
                f"fewer octaves, or a larger picture ({error})"
            ) from error
        return question


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures (N, C, H, W) in another size: bilinear, without aliases where they become smaller."""
    return x if tuple(x.shape[-2:]) == size else F.interpolate(x, size=size, mode="bilinear", antialias=True)


def clipped(model: nn.Module, x: Tensor) -> Tensor:
    """Between black and white, where it is known what these are."""
    network = next((view for view in views(model) if isinstance(view, Network)), None)
    if network is None:
        return x
    low, high = (end.to(x) for end in visible(network))
    return torch.minimum(torch.maximum(x, low), high)


def _range(x: Tensor) -> Tensor:
    """max - min of each row, (N, 1, 1, 1)."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    flat = (low == high).flatten().nonzero().flatten().tolist()
    if flat:
        raise BadInput(f"picture {flat[0]} is the same everywhere: nothing to dream of; give one that shows something")
    return high - low
