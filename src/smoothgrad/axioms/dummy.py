"""Dummy, or sensitivity (b): what the network ignores gets zero (Friedman 2004; Sundararajan et al. 2017)."""

from __future__ import annotations

import torch

from smoothgrad.axioms.compared import Pair, largest, number, spot_in_words, verdict
from smoothgrad.axioms.networks import Ignoring
from smoothgrad.axioms.question import STDERRS, NotAsked, Question
from smoothgrad.axioms.verdict import Verdict

NAME = "dummy"
TOLERANCE = 1e-6  # of the map's largest value: zero, but for differences of scores that should cancel
EACH = 4  # one in so many places is ignored


def dummy(ask: Question, tolerance: float) -> Verdict:
    """map = 0  at places that the network does not read.

    The network is f behind a layer that replaces a quarter of the places by constants, the means of the rows: of the places ranked
    by the method's own maps every fourth, so that the one which matters most to f is among them. Where the map has a standard
    error, 4 of it are allowed.
    """
    if ask.places.total < 2:
        raise NotAsked("the rows have a single place: a network that ignores it has no map")
    gone = torch.zeros(ask.places.total, dtype=torch.bool)
    gone[ask.ranked[::EACH]] = True
    there = ask.at(gone)  # broadcastable to a row
    net = Ignoring(ask.model, there.to(ask.device), ask.x.mean(0).to(ask.device))
    found = ask.maps(net)
    maps = found.maps.double()
    ignored = torch.where(there, maps, 0.0)
    allowed = tolerance * largest(maps).expand_as(maps)
    if found.stderr is not None:
        allowed = allowed + STDERRS * found.stderr.double()

    def say(row: int, place: tuple[int, ...]) -> str:
        return (
            f"row {row}, {spot_in_words(place)}: {number(float(maps[(row, *place)]))} in the map of a network that does not read "
            f"this value; the largest of that map is {number(float(maps[row].abs().max()))}"
        )

    pair = Pair(ignored, torch.zeros_like(maps), allowed)
    finding = pair.finding((Ignoring.formula, "the same"), (ask.x, ask.x), say)
    return verdict(NAME, finding, f"{int(gone.sum())} of {len(gone)} places are ignored")
