"""XRAI: attributions of whole regions, grown from an over-segmentation of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.core.coarse import fitted
from smoothgrad.core.explainer import Around, Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, need
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.segments import MIN_SIZE, SCALES, SIDE, check_segments, felzenszwalb_segments, masks
from smoothgrad.explainers.single import check_single
from smoothgrad.samplers.baseline import Black, Several, White
from smoothgrad.samplers.path import StraightPath

FEWEST = 50  # new pixels, of 224 x 224, that a segment must bring: else slivers between segments would be regions


@final
@dataclass(frozen=True, repr=False)
class Xrai(Around):
    """Regions ranked by the attribution that they hold (Kapishnikov et al. 2019), for rows that are pictures (C, H, W).

    The picture being explained is cut into segments at several `scales`, each of them grown by `dilation` pixels. From the
    empty region M, the segment s with the largest gain is added again and again, until the picture is covered:

        gain(s) = mean over s \\ M of A,    A = the map of `inner`, summed over channels

    Map (N, 1, H, W), signed, in the unit of `inner` and per pixel: each pixel's value is the gain with which its region came, so
    that the map's sum is that of `inner`. What no segment reaches shares its mean. No model passes but those of `inner`.

    `scales`, `min_size` and `dilation` are those of a picture of 224 x 224 pixels; see `felzenszwalb_segments`. Under noise,
    segments stay those of the clean picture. Raises `MissingPackage` without scikit-image (`pip install 'smoothgrad[segments]'`),
    and `BadMethod` for rows that are no pictures.
    """

    inner: Explainer = Gradient().over(StraightPath(Several(Black(), White())))  # noqa: RUF009
    scales: tuple[float, ...] = SCALES
    min_size: int = MIN_SIZE
    dilation: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_single(self.inner, "Xrai")
        check_segments(self.scales, self.min_size)
        if self.dilation < 0:
            raise BadMethod(f"Xrai needs dilation >= 0, got {self.dilation}")

    def check(self, query: Query) -> None:
        if len(query.shape) != 3:
            raise BadMethod(f"Xrai needs pictures, rows (C, H, W), got rows of shape {tuple(query.shape)}")
        need("skimage.segmentation", extra="segments")  # before any work
        super().check(query)

    def prepare(self, model: nn.Module, query: Query, schedule: Schedule) -> Query:
        return self.inner.prepare(model, query, schedule)

    def change(self, model: nn.Module, query: Query, schedule: Schedule) -> Tensor | None:
        return self.inner.change(model, query, schedule)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        for partial in self.inner.partials(model, query, schedule):
            yield Partial(partial.done, partial.total, self._reader(partial, query), partial.converged)

    def _reader(self, partial: Partial, query: Query) -> Callable[[], Estimate]:
        def read() -> Estimate:
            value, _, draws, _ = partial.estimate()
            pixels = fitted(value, query.shape).sum(1).cpu().double()  # (N, C, H, W) -> (N, H, W)
            maps = [self._regions(*row) for row in zip(pixels, query.origin, strict=True)]
            return Estimate(torch.stack(maps)[:, None].to(value), None, draws)

        return read

    def _regions(self, pixels: Tensor, picture: Tensor) -> Tensor:
        """The map (H, W) of one row's attributions (H, W)."""
        share = pixels.numel() / SIDE**2
        labels = felzenszwalb_segments(picture, self.scales, self.min_size)
        radius = round(self.dilation * share**0.5)
        segments = torch.cat([masks(one, radius) for one in labels])
        return grown(pixels, segments, max(1, round(FEWEST * share)))


def grown(pixels: Tensor, segments: Tensor, fewest: int = 1) -> Tensor:
    """Each pixel's gain when it was covered: attributions (H, W), masks (n, H, W), at least so many new pixels at a time.

    >>> grown(torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([[[True, True, False]], [[False, True, True]]]))
    tensor([[1., 4., 4.]])
    """
    values, sets = pixels.flatten(), segments.flatten(1)
    free = torch.ones_like(values, dtype=torch.bool)
    sums = torch.stack([values[inside].sum() for inside in sets])
    areas = sets.sum(1)
    regions = torch.empty_like(values)
    while bool(free.any()) and bool((areas >= fewest).any()):
        gain = torch.where(areas >= fewest, sums / areas, -torch.inf)
        new = (sets[gain.argmax()] & free).nonzero().flatten()
        regions[new] = values[new].mean()
        free[new] = False
        taken = sets[:, new]
        sums = sums - taken.to(values) @ values[new]
        areas = areas - taken.sum(1)
    regions[free] = values[free].mean()
    return regions.view_as(pixels)
