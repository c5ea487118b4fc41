"""An objective asked of a network at pictures: its value and its gradient, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_finite, check_smooth, refusals
from smoothgrad.core.ask import called, in_chunks, output_of, outputs
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import NonFinite, NotDifferentiable
from smoothgrad.features.objective import Objective
from smoothgrad.features.upto import up_to


@final
@dataclass(frozen=True)
class Question:
    """What is asked, settled on the first pictures: the top class of the start stays the one that is meant."""

    view: nn.Module  # the network, or the network up to a layer
    query: Query

    @staticmethod
    def of(model: nn.Module, objective: Objective, x: Tensor, seed: int) -> Question:
        """Of the first pictures x (N, *S). Raises what the network, its layers and the objective refuse."""
        view = model if objective.reads is None else up_to(model, objective.reads)
        query = Query.of(x, target=0, seed=seed)
        with refusals(model, (x,)):
            output = outputs(view, query, Schedule.for_rows(x.shape[1:]))
        what = "the output" if objective.reads is None else f"the output of layer {objective.reads!r}"
        check_smooth(output, what)
        check_finite(output.masked_fill(output == -torch.inf, 0.0), what)
        return Question(view, replace(query, target=objective.resolve(output), scorer=objective.score))

    def ask(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The objective (N,) at pictures x (N, *S), and its gradient (N, *S). Raises `NotDifferentiable` and `NonFinite`."""
        query = replace(self.query, x=x, origin=x)  # of another size, where octaves are
        packed = in_chunks(query, Schedule.for_rows(x.shape[1:]), self._packed)  # (N, 1 + numbers in S)
        if not bool(packed.isfinite().all()):
            raise NonFinite(
                "NaN or infinity came out of the network, or of its gradient; a smaller learning rate keeps the picture nearer to "
                "those that the network knows, and so does Bounded(...)"
            )
        return packed[:, 0], packed[:, 1:].reshape(x.shape)

    def _packed(self, query: Query) -> Tensor:
        x = query.x.detach().requires_grad_()
        value = query.scores(output_of(self.view, query.with_x(x)))
        gradient = torch.autograd.grad(value.sum(), x, allow_unused=True)[0] if value.requires_grad else None
        if gradient is None:
            raise NotDifferentiable(
                f"the objective in {called(self.view)} does not depend on the picture in a way that can be differentiated; look "
                "for argmax, comparisons, .detach(), torch.no_grad() or NumPy on the way to it"
            )
        return torch.cat([value.detach()[:, None], gradient.detach().flatten(1)], 1)
