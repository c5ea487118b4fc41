"""Symmetry: two places that play the same part and hold the same get the same (Sundararajan et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothgrad.axioms.compared import Finding, Pair, largest, number, spot_in_words, verdict, worst
from smoothgrad.axioms.networks import Swapping
from smoothgrad.axioms.question import STDERRS, NotAsked, Question
from smoothgrad.axioms.verdict import Verdict
from smoothgrad.recipe import data_in

NAME = "symmetry"
TOLERANCE = 1e-3  # of the map's largest value
PAIRS = 2


def symmetry(ask: Question, tolerance: float) -> Verdict:
    """map[i] = map[j]  of f(x) + f(x with i and j swapped), for x and a baseline that hold the same at i and j.

    i is the place that matters most in the method's own maps, j the median one; then the second and the last. The row gets at j
    what it has at i. Two places get random numbers of their own: where chance plays a part, 4 standard errors of each are allowed.
    """
    if ask.places.total < 2:
        raise NotAsked("the rows have a single place: there are no two to compare")
    if ask.random and ask.own.stderr is None:
        raise NotAsked("the two places get different random numbers, and the method does not know its standard error")
    order = ask.ranked.tolist()
    pairs = [(order[0], order[len(order) // 2]), (order[1], order[-1])][:PAIRS]
    findings = [_compared(ask, first, second, tolerance) for first, second in dict.fromkeys(pairs) if first != second]
    return verdict(NAME, worst(findings), f"{len(findings)} pairs of places")


def _compared(ask: Question, first: int, second: int, tolerance: float) -> Finding:
    x = ask.x.clone()
    flat = x.flatten(2) if ask.places.channels else x.flatten(1)
    flat[..., second] = flat[..., first]
    x = flat.view(ask.x.shape)
    _check_baseline(ask, x, first, second)
    net = Swapping(
        ask.model, ask.places.total, first, second, channels=ask.places.channels, device=torch.device(ask.device)
    )
    found = ask.maps(net, x)
    maps = found.maps.double()

    def mirrored(values: Tensor) -> Tensor:
        """The map with the two places swapped."""
        spots = ask.at_places(values).clone()
        spots[..., [first, second]] = spots[..., [second, first]]
        return spots.view(values.shape)

    here = torch.zeros(ask.places.total, dtype=torch.bool)
    here[first] = True
    there = ask.at(here)
    allowed = tolerance * largest(maps).expand_as(maps)
    if found.stderr is not None:
        error = found.stderr.double()
        allowed = allowed + STDERRS * (error + mirrored(error))

    def say(row: int, place: tuple[int, ...]) -> str:
        channel = place[0] if ask.places.channels else 0
        spot, twin = ask.spot(channel, first), ask.spot(channel, second)
        return (
            f"row {row}: {spot_in_words(spot)} gets {number(float(maps[(row, *spot)]))} and {spot_in_words(twin)} "
            f"{number(float(maps[(row, *twin)]))}, though the network may swap the two and they hold the same"
        )

    pair = Pair(torch.where(there, maps, 0.0), torch.where(there, mirrored(maps), 0.0), allowed)
    return pair.finding((Swapping.formula, "the same"), (x, x), say)


def _check_baseline(ask: Question, x: Tensor, first: int, second: int) -> None:
    """Raises `NotAsked` where what the method starts from tells the two places apart."""
    start = ask.at_places(ask.starts(x, ask.all))
    if not torch.equal(start[..., first], start[..., second]):
        raise NotAsked(f"{ask.start} differs at the two places, so that they do not play the same part")
    if any(data.tensor.shape[-1:] == ask.x.shape[-1:] and data.tensor.ndim >= 1 for data in data_in(ask.method)):
        raise NotAsked("the method's own data may tell the two places apart")
