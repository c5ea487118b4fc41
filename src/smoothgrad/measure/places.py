"""Where a map can point: the pixels of a picture, the moments of a signal, the features of a row.

All channels of a place are taken away together, and what the map says of a place is its sum over channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query


class Places(NamedTuple):
    """How rows of a shape S fall into places."""

    shape: tuple[int, ...]  # of the places: (H, W) of a picture, (T,) of a signal, (D,) of features
    channels: bool  # is the first dimension of a row its channels?

    @property
    def total(self) -> int:
        """P, how many places a row has."""
        return torch.Size(self.shape).numel()


def places_of(query: Query) -> Places:
    """The places of the query's rows: of (C, H, W) the pixels, of (C, T) the moments, of (D,) every value; of packed rows too."""
    shape = tuple(query.shape)
    return Places(shape, False) if len(shape) == 1 else Places(shape[1:], True)


def at_places(maps: Tensor, query: Query) -> Tensor:
    """Maps (N, *S) as a number for each place: (N, P), the sum over channels, in float64."""
    summed = maps.double().sum(1) if places_of(query).channels else maps.double()
    return summed.flatten(1)


def over_channels(gone: Tensor, query: Query) -> Tensor:
    """What is so at places, (..., P), so that it broadcasts to rows: (..., 1, *places), or (..., D)."""
    places = places_of(query)
    seen: Tensor = gone.unflatten(-1, places.shape)
    return seen.unsqueeze(-1 - len(places.shape)) if places.channels else seen


def ranks(values: Tensor, query: Query) -> Tensor:
    """The rank of each place (N, P), 0 for the largest value; equal values come in an order of chance, the same for a row's key.

    An order by place would favour the top left of every map that is zero over wide parts.
    """
    chance = uniform(salted(query.key, "ties"), range(1), torch.Size([values.shape[1]]), values.device)[0]
    by_chance = chance.argsort(dim=1)
    order = by_chance.gather(1, values.gather(1, by_chance).argsort(dim=1, descending=True, stable=True))
    return torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )


CONSTANT = "the map is constant: it ranks nothing"


def unranked(values: Tensor) -> tuple[str, ...]:
    """Of each row of values (N, P): why they cannot be ranked, else ""."""
    return tuple(CONSTANT if one else "" for one in constant(values).tolist())


def constant(values: Tensor) -> Tensor:
    """Which rows of values (N, P) are equal throughout: (N,)."""
    return (values == values[:, :1]).all(1)
