"""Rows of the user's data as points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.core.value import Data
from smoothgrad.samplers.baseline import FromData, check_data, choose
from smoothgrad.samplers.cloud import check_samples


@final
@dataclass(frozen=True, repr=False)
class DataPoints(Sampler):
    """b_k with direction x - b_k: b_k a row of the data (M, *S), at random by the input's key, with replacement.

    Draws are independent of each other, so that the standard error is exact.
    """

    data: Tensor | Data
    samples: int | Until = 200

    directed = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "data", FromData(self.data).data)
        check_samples(self, self.samples)

    @property
    def count(self) -> int | Until:
        return self.samples

    def check(self, query: Query) -> None:
        check_data(self._rows(), query)

    def draw(self, query: Query, draws: range) -> Draw:
        points = choose(self._rows(), numbers.salted(query.key, "data"), draws).to(query.x)
        return Draw(points, torch.ones(len(draws), dtype=torch.float64, device="cpu"), query.x - points)

    def _rows(self) -> Tensor:
        assert isinstance(self.data, Data), "__post_init__ wraps it"
        return self.data.tensor
