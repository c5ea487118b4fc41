"""Activation maximization: the picture that makes an objective as large as it can be, less what the picture costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import NonFinite
from smoothgrad.features.ascent import Adam, Ascent
from smoothgrad.features.objective import Objective, as_objective
from smoothgrad.features.penalty import Penalty
from smoothgrad.features.question import Question
from smoothgrad.features.search import (
    Frame,
    Search,
    check_counts,
    check_planes,
    check_slope,
    moved,
    moved_back,
    shift_of,
)
from smoothgrad.features.space import Pixels, Space
from smoothgrad.features.start import FromZero, Start
from smoothgrad.targets import Target


@final
@dataclass(frozen=True, repr=False)
class ActivationMaximization(Search):
    """Climb to the picture that the network answers most to (Erhan et al. 2009, Simonyan et al. 2013):

        argmax_p  objective(x(p)) - sum of penalties(x(p)) - cost(p)

    Args:
        objective: a class, a `Target`, `Channel(layer, index)`, `Unit(layer, index, position)` or `Layer(layer)`.
        space: which numbers p are changed, and the picture x(p) that they make: `Pixels()`, `Fourier()`, `Bounded(...)`,
            `CodeSpace(generator, code_shape)`, which alone has a cost.
        start: `FromZero()`, `FromNoise(noise)`, `FromPicture(rows)`.
        ascent: `Adam(learning_rate)`, `Steepest(learning_rate)` or `Normalised(learning_rate)`, in units of p.
        steps: how many.
        jitter: before each step the picture is moved by up to so many pixels each way, and its gradient moved back: what is seen
            must not depend on the place (Mordvintsev et al. 2015).
        penalties: some of `L2(weight)`, `TotalVariation(weight)`, `RBMPrior.fit(data)`.

    Raises `BadMethod` for what means nothing or does not go together.

    >>> from smoothgrad.features import L2, Fourier
    >>> ActivationMaximization(3, space=Fourier(), penalties=(L2(0.1),))
    ActivationMaximization(objective=ScoreOf(target=Class(index=3)), space=Fourier(decay=1.0), ascent=Adam(learning_rate=0.05),
                           steps=256, jitter=0, penalties=(L2(weight=0.1),))
    """

    objective: Objective | Target | int
    space: Space = Pixels()  # noqa: RUF009
    start: Start = FromZero()  # noqa: RUF009
    ascent: Ascent = Adam()  # noqa: RUF009
    steps: int = 256
    jitter: int = 0
    penalties: tuple[Penalty, ...] = ()
    from_picture = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "objective", as_objective(self.objective))
        super().__post_init__()
        check_counts(self, self.steps, self.jitter)

    @property
    def total(self) -> int:
        return self.steps

    def frames(self, model: nn.Module, x: Tensor, seed: int) -> Iterator[Frame]:
        shape = x.shape[1:]
        if self.jitter:
            check_planes(self, shape)
        parameters = self.start.parameters(self.space, x, Query.of(x, target=0, seed=seed).key)
        question = Question.of(
            model, as_objective(self.objective), self.space.picture(parameters, shape).detach(), seed
        )
        state = self.ascent.begin(parameters)
        for step in range(self.steps + 1):
            # The last picture is asked as it is shown.
            shift = shift_of(self.jitter, seed, step, shape) if self.jitter and step < self.steps else (0, 0)
            parameters = parameters.detach().requires_grad_()
            picture = self.space.picture(parameters, shape)
            value, gradient = question.ask(moved(picture.detach(), shift))
            yield Frame(step, self.steps, picture.detach(), value)
            if step == self.steps:
                return
            slope = self._slope(parameters, picture, moved_back(gradient, shift))
            if step == 0:
                check_slope(slope)
            parameters, state = self.ascent.step(parameters.detach(), slope, state, step)
            if not bool(parameters.isfinite().all()):
                raise NonFinite(f"the picture is no longer finite after step {step + 1}; give a smaller learning rate")

    def _slope(self, parameters: Tensor, picture: Tensor, gradient: Tensor) -> Tensor:
        """d / dp of all that is climbed, given the objective's gradient with respect to the picture."""
        # d objective(x(p)) / dp is that of x(p).g, with g held fixed
        climbed = (picture * gradient).sum() - self.space.cost(parameters).sum()
        for penalty in self.penalties:
            climbed = climbed - penalty.cost(picture).sum()
        return torch.autograd.grad(climbed, parameters)[0]
