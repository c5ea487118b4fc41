"""How far two maps are from each other, as one number."""

from __future__ import annotations

import torch

from smoothgrad.core.query import Query
from smoothgrad.measure.similarity import Similarity
from smoothgrad.result import Attribution


def cosine(a: Attribution, b: Attribution) -> float:
    """<a, b> / (||a|| ||b||) over all values, from -1 to 1; NaN where one of them is zero everywhere."""
    left, right = a.maps.double().flatten(), b.maps.double().flatten()
    return float(left @ right / (left.norm() * right.norm()))


def distance(a: Attribution, b: Attribution) -> float:
    """||a - b|| / ||b||: the relative error of a, where b is the truth; zero for equal maps."""
    gap = (a.maps.double() - b.maps.double()).norm()
    return float(gap / b.maps.double().norm()) if gap else 0.0


def alike(similarity: Similarity, a: Attribution, b: Attribution) -> float:
    """What a similarity says of two maps; NaN where one of them is constant."""
    query = Query.of(a.x, torch.zeros(len(a), dtype=torch.int64))
    return float(similarity.of(a.maps, b.maps, query))
