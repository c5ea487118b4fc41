"""Rows of the user's data as points, and as where paths begin."""

from __future__ import annotations

from abc import abstractmethod
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


class ByData(Sampler):
    """Draws that each take a row b_k of the data (M, *S), at random by the input's key, with replacement; direction x - b_k.

    They are independent of each other, so that the standard error is exact.
    """

    data: Tensor | Data
    samples: int | Until

    directed = True

    @abstractmethod
    def between(self, start: Tensor, query: Query, draws: range) -> Tensor:
        """The points (k, N, *S) on the way from b_k, the `start`, to x."""

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
        start = choose(self._rows(), numbers.salted(query.key, "data"), draws).to(query.x)
        weight = torch.ones(len(draws), dtype=torch.float64, device="cpu")
        return Draw(self.between(start, query, draws), weight, query.x - start)

    def _rows(self) -> Tensor:
        assert isinstance(self.data, Data), "__post_init__ wraps it"
        return self.data.tensor


@final
@dataclass(frozen=True, repr=False)
class DataPoints(ByData):
    """b_k with direction x - b_k: b_k a row of the data (M, *S), at random by the input's key, with replacement.

    Draws are independent of each other, so that the standard error is exact.
    """

    data: Tensor | Data
    samples: int | Until = 200

    def between(self, start: Tensor, query: Query, draws: range) -> Tensor:
        return start
