"""The path from a blurred picture to the picture itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.sampler import Draw, Sampler
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, nearest
from smoothgrad.samplers.baseline import Blurred
from smoothgrad.samplers.mask import check_maps
from smoothgrad.samplers.path import StraightPath
from smoothgrad.samplers.quadrature import Quadrature, check, nodes_and_weights
from smoothgrad.samplers.scale_space import blur

Spacing: TypeAlias = Literal["linear", "sqrt"]

WIDEST = 50 / 224  # of the longer side: 50 pixels of a picture of 224, as in the authors' experiments (Xu et al. 2020)


@final
@dataclass(frozen=True, repr=False)
class BlurPath(Sampler):
    """L(s(a)), the row under a Gaussian blur of standard deviation s(a), with direction d L / d a: Blur IG's path (Xu et al. 2020).

    `sigma` is the widest blur, in pixels; None: 50/224 of the longer side. The path goes from it (a = 0) to the row itself (a = 1):

        "linear"   s = sigma (1 - a)         as in the authors' code: scales evenly spread
        "sqrt"     s = sigma sqrt(1 - a)     the paper's formula: variances evenly spread, so that few points are at small scales

    Places a_k and weights are a quadrature rule's. The direction is the exact derivative of the blur that is used (see
    `smoothgrad.samplers.scale_space`), where the authors take a difference quotient: so the map of the gradient sums to
    score(x) - score(x blurred by sigma) up to the quadrature alone. Rows (C, H, W) or (C, T), under the same blur as `Blurred`.
    """

    sigma: float | None = None
    steps: int = 100  # as in the authors' experiments
    spacing: Spacing = "linear"
    quadrature: Quadrature = "gauss-legendre"

    random = False
    directed = True
    weighted = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma is not None and not 0 < self.sigma < math.inf:
            raise BadMethod(f"BlurPath needs a finite sigma > 0, or None, got {self.sigma}")
        if self.spacing not in get_args(Spacing):
            raise BadMethod(f"BlurPath has no spacing {self.spacing!r}; {nearest(self.spacing, get_args(Spacing))}")
        check(self.quadrature, self.steps)

    @property
    def count(self) -> int:
        return self.steps

    def check(self, query: Query) -> None:
        if len(query.shape) not in (2, 3):
            raise BadMethod(
                f"BlurPath needs rows (C, H, W) or (C, T), got rows of shape {tuple(query.shape)}; take a straight path: "
                "StraightPath()"
            )

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        check_maps(self, model, query)
        return query

    def draw(self, query: Query, draws: range) -> Draw:
        nodes, weights = nodes_and_weights(self.quadrature, self.steps)
        number = torch.tensor(list(draws), device="cpu")
        both = [self._at(query.x, a) for a in nodes[number].tolist()]
        points, directions = (torch.stack(part) for part in zip(*both, strict=True))
        return Draw(points, weights[number], directions)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor:
        """score(x) - score(x blurred by sigma): what the exact integral sums to."""
        return StraightPath(Blurred(self._widest(query.x))).change(model, query, schedule)

    def _widest(self, x: Tensor) -> float:
        return WIDEST * max(x.shape[2:]) if self.sigma is None else self.sigma

    def _at(self, x: Tensor, a: float) -> tuple[Tensor, Tensor]:
        """The point L(s(a)) and the direction d L / d a."""
        widest = self._widest(x)
        if self.spacing == "linear":
            sigma, speed = widest * (1 - a), -widest  # speed: d s / d a
        else:
            sigma = widest * math.sqrt(1 - a)
            speed = -(widest**2) / (2 * sigma) if sigma else 0.0  # where the speed has no bound, the slope of L is 0
        rows, slope = blur(x, sigma, widest)
        return rows, speed * slope
