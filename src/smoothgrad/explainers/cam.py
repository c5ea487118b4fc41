"""Class activation maps from a layer's activation and the gradient of the score there.

A (C, *grid) is what the layer answers for a row, g = d s / d A; p runs over the P positions of the grid. Maps are coarse, (N,
1, *grid): `explain` and `fitted` bring them to the rows' size. The layer is named, or found: see
`smoothgrad.explainers.layers.Layer`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import in_chunks
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.explainers.layers import Layer, check_rows


class LayerMap(Explainer):
    """A map of what one layer answers, in one call of the model."""

    layer: str | None  # the name of a layer; None: the last with positions

    @abstractmethod
    def ask(self, layer: Layer, query: Query) -> Tensor:
        """The map (n, 1, *grid) of these rows."""

    @property
    def passes(self) -> int:
        return 1

    @property
    def layers(self) -> tuple[str, ...]:
        return () if self.layer is None else (self.layer,)

    @property
    def unit(self) -> str:
        return "score"

    def check(self, query: Query) -> None:
        check_rows(query)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        layer = Layer(model, self.layer, self)
        maps = in_chunks(query, schedule, lambda part: self.ask(layer, part).contiguous(), timed=query.twins == 1)
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))


class Weighed(LayerMap):
    """A map of the activation and the gradient of the score there."""

    @staticmethod
    @abstractmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        """The map (n, 1, *grid) from activation and gradient (n, C, *grid)."""

    def ask(self, layer: Layer, query: Query) -> Tensor:
        reading = layer.read(query)
        return self.of(reading.activation, reading.gradient)


class PositivePart(Weighed):
    """The positive part of such a map, what speaks for the score:  relu( of(A, g) )."""

    @property
    def unsigned(self) -> bool:
        return True

    def ask(self, layer: Layer, query: Query) -> Tensor:
        return super().ask(layer, query).relu()


@final
@dataclass(frozen=True, repr=False)
class GradCam(PositivePart):
    """Grad-CAM (Selvaraju et al. 2017):  relu( sum_c w_c A_c ),  w_c = mean_p g_cp.

    Map (N, 1, *grid), never negative, in units of the score: what the mean gradient makes of the activation at each position.
    """

    layer: str | None = None

    @staticmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        return weighed(a, g.mean(_positions(g), keepdim=True))


@final
@dataclass(frozen=True, repr=False)
class GradCamPlusPlus(PositivePart):
    """Grad-CAM++ (Chattopadhay et al. 2018):  relu( sum_c w_c A_c ),  w_c = sum_p alpha_cp relu(g_cp).

    alpha = Y'' / (2 Y'' + sum_q A_cq Y''') holds the second and third derivatives of Y by A_cp. The paper takes Y = exp(s) with
    s linear in A nearby, so that Y' = Y g, Y'' = Y g^2, Y''' = Y g^3:

        alpha_cp = g^2 / (2 g^2 + g^3 sum_q A_cq) = 1 / (2 + g_cp sum_q A_cq)        0 where g is 0

    Y cancels from alpha. In w_c = sum_p alpha Y' it is a factor of the whole map, exp(s), which is left out: it would only make
    maps of high scores overflow. Map (N, 1, *grid), never negative. A is meant to be read behind its ReLU: where channels may
    be negative the denominator may vanish.
    """

    layer: str | None = None

    @staticmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        rising = g.relu()  # where g <= 0, alpha counts for nothing
        alpha = torch.where(rising > 0, 1 / (2 + rising * a.sum(_positions(a), keepdim=True)), 0)
        return weighed(a, (alpha * rising).sum(_positions(g), keepdim=True))


@final
@dataclass(frozen=True, repr=False)
class LayerCam(PositivePart):
    """Layer-CAM (Jiang et al. 2021):  relu( sum_c relu(g_c) * A_c ),  a weight for each position.

    Map (N, 1, *grid), never negative, in units of the score. Made for early layers too, whose gradients differ from place to place.
    """

    layer: str | None = None

    @staticmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        return weighed(a, g.relu())


@final
@dataclass(frozen=True, repr=False)
class XGradCam(PositivePart):
    """XGrad-CAM (Fu et al. 2020):  relu( sum_c w_c A_c ),  w_c = sum_p A_cp g_cp / sum_p A_cp;  0 for a channel that sums to 0.

    Map (N, 1, *grid), never negative, in units of the score. Before the ReLU it sums to sum_cp g A: as Grad-CAM's does where g
    is the same at all positions. A is meant to be read behind its ReLU: where channels may be negative their sum may vanish.
    """

    layer: str | None = None

    @staticmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        product, total = ((part.sum(_positions(a), keepdim=True)) for part in (a * g, a))
        return weighed(a, torch.where(total == 0, 0, product / torch.where(total == 0, 1, total)))


@final
@dataclass(frozen=True, repr=False)
class HiResCam(Weighed):
    """HiResCAM (Draelos and Carin 2020):  sum_c g_c * A_c.

    Map (N, 1, *grid), signed, in units of the score. Where the score is linear in A behind the layer, s = b + sum_cp g A, each
    position has exactly its contribution and the map sums to s - b: so for a last convolution and one linear layer, pooled or
    not.
    """

    layer: str | None = None

    @staticmethod
    def of(a: Tensor, g: Tensor) -> Tensor:
        return weighed(a, g)


@final
@dataclass(frozen=True, repr=False)
class EigenCam(LayerMap):
    """Eigen-CAM (Muhammad and Yeasin 2020):  O v,  O (P, C) the activation, v its first right singular vector.

    Map (N, 1, *grid), signed, in units of the activation: the one map that makes most of the activation, whatever the class. As
    in the paper the mean is not taken off O. The sign, which the decomposition leaves open, is such that the map is positive
    where the channels together are large:  sum_p map_p sum_c A_cp >= 0. Of an activation that is nowhere negative it is nowhere
    negative either.
    """

    layer: str | None = None

    @property
    def unit(self) -> str:
        return "activation"

    def ask(self, layer: Layer, query: Query) -> Tensor:
        activation, _ = layer.look(query)
        return first_component(activation)


def first_component(a: Tensor) -> Tensor:
    """O v of maps of channels (n, C, *grid), with its sign: (n, 1, *grid)."""
    flat = a.flatten(2).transpose(1, 2)  # (n, P, C)
    _, _, right = torch.linalg.svd(flat, full_matrices=False)
    projected = flat @ right[:, :1].transpose(1, 2)  # (n, P, 1)
    sign = (projected * flat.sum(2, keepdim=True)).sum((1, 2), keepdim=True)
    projected = torch.where(sign < 0, -projected, projected)
    maps: Tensor = projected.transpose(1, 2).unflatten(2, a.shape[2:])
    return maps


def weighed(a: Tensor, weight: Tensor) -> Tensor:
    """sum_c w_c A_c, weights (n, C, *grid), or (n, C, 1, ...) for the same at all positions: (n, 1, *grid)."""
    return (weight * a).sum(1, keepdim=True)


def _positions(a: Tensor) -> list[int]:
    return list(range(2, a.ndim))
