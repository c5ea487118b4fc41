"""A network up to the score: what is traced where a method has to follow the target, too."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from torch import Tensor, nn

from smoothgrad.core.ask import called, output_of
from smoothgrad.core.query import Query


@final
class Scored(nn.Module):
    """The score of each row (N,) as the only output, so that a trace goes on through a softmax or a function in the target.

    A view: the network is the one it stands for. It answers the query's own questions, at any N rows.
    """

    def __init__(self, model: nn.Module, query: Query) -> None:
        super().__init__()
        self._asked = (model, query)  # in a tuple, so that the model is not registered as a part
        self.training = model.training

    @property
    def stands_for(self) -> nn.Module:
        return self._asked[0]

    @property
    def asked_as(self) -> str:
        return called(self._asked[0])

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """Rows (N, *S) to scores (N,)."""
        model, query = self._asked
        return query.scores(output_of(model, replace(query, x=x, context=context)))
