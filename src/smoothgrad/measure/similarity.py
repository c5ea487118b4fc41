"""How alike two maps are: one number per row, 1 for equal maps.

All compare what maps say of each place, the sum over channels. To compare absolute values, judge a method that ends in
`.then(Absolute())`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.core.value import Value
from smoothgrad.errors import BadInput, BadMethod, need
from smoothgrad.measure.places import Places, at_places, constant, places_of

WIDTH = 1.5  # standard deviation of the Gaussian window in pixels, and C1, C2 for values in [0, 1]: Wang et al. 2004
C1, C2 = 0.01**2, 0.03**2
ORIENTATIONS = (
    9  # of gradients, and cells to a block each way: Dalal and Triggs 2005, as in the code of Adebayo et al. 2018
)
BLOCK = 3


class Similarity(Value, ABC):
    """A number per row for how alike two maps are: 1 where they are equal."""

    unit: ClassVar[str]  # of the number, in words, for the label of an axis

    def check(self, query: Query) -> None:
        """Raise where maps of such rows cannot be compared so."""

    @final
    def of(self, a: Tensor, b: Tensor, query: Query) -> Tensor:
        """Maps (N, *S) and (N, *S) -> (N,) float64. NaN where one of the two is constant: nothing is like it or unlike."""
        a, b = at_places(a, query), at_places(b, query)
        return self.between(a, b, places_of(query)).masked_fill(constant(a) | constant(b), torch.nan)

    @abstractmethod
    def between(self, a: Tensor, b: Tensor, places: Places) -> Tensor:
        """Values at places (N, P) and (N, P), float64 -> (N,). What is answered for constant rows is not read."""


@final
@dataclass(frozen=True, repr=False)
class Pearson(Similarity):
    """Correlation of the values:  <a - mean a, b - mean b> / (|a - mean a| |b - mean b|).

    From -1 to 1; blind to the scale of a map and to a constant added to it.
    """

    unit = "correlation"

    def between(self, a: Tensor, b: Tensor, places: Places) -> Tensor:
        return correlation(a, b)


@final
@dataclass(frozen=True, repr=False)
class Spearman(Similarity):
    """Correlation of the ranks:  Pearson(rank a, rank b), equal values sharing the mean of their ranks.

    From -1 to 1; blind to every change of a map that keeps the order of its values. Spearman 1904; for maps Adebayo et al. 2018.
    """

    unit = "rank correlation"

    def between(self, a: Tensor, b: Tensor, places: Places) -> Tensor:
        return correlation(mean_ranks(a), mean_ranks(b))


@final
@dataclass(frozen=True, repr=False)
class Ssim(Similarity):
    """Structural similarity of two pictures, each map scaled to its own [0, 1] (Wang et al. 2004).

        mean over windows of  (2 m_a m_b + C1) (2 s_ab + C2) / ((m_a^2 + m_b^2 + C1) (s_a^2 + s_b^2 + C2))

    m, s^2 and s_ab are means, variances and covariance under a Gaussian window of `window` x `window` pixels and standard
    deviation 1.5, which stands wherever it fits; on a picture that is smaller, the largest odd window that fits. From -1 to 1.
    Only for maps of pictures. The scaling is that of Adebayo et al. 2018.
    """

    window: int = 11  # Wang et al. 2004
    unit = "structural similarity"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 3 or self.window % 2 == 0:
            raise BadMethod(f"Ssim needs a window of 3, 5, 7, ... pixels, got {self.window}")

    def check(self, query: Query) -> None:
        _check_picture(self, query, 3)

    def between(self, a: Tensor, b: Tensor, places: Places) -> Tensor:
        side = min(places.shape)
        bell = _bell(min(self.window, side - 1 + side % 2)).to(a.device)  # odd, and no wider than the picture

        def mean(values: Tensor) -> Tensor:
            return F.conv2d(F.conv2d(values, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))  # down, then across

        a, b = (_scaled(part).view(len(part), 1, *places.shape) for part in (a, b))
        m_a, m_b = mean(a), mean(b)
        s_aa, s_bb, s_ab = mean(a * a) - m_a * m_a, mean(b * b) - m_b * m_b, mean(a * b) - m_a * m_b
        alike = (2 * m_a * m_b + C1) * (2 * s_ab + C2) / ((m_a * m_a + m_b * m_b + C1) * (s_aa + s_bb + C2))
        return alike.flatten(1).mean(1)


@final
@dataclass(frozen=True, repr=False)
class Hog(Similarity):
    """Correlation of the histograms of oriented gradients of two pictures:  Pearson(hog a, hog b), maps scaled to [0, 1].

    Nine orientations, cells of `cell` x `cell` pixels but at most a quarter of the shorter side, so that 8 x 8 pictures have
    cells of 2 x 2; blocks of 3 x 3 cells. From -1 to 1; maps of noise reach 0.1 to 0.2, since no histogram is negative. Only for
    maps of pictures. NaN where a histogram is the same throughout. Needs scikit-image (`MissingPackage` says how to install it).
    Dalal and Triggs 2005; for maps Adebayo et al. 2018.
    """

    cell: int = 16  # Adebayo et al. 2018, for pictures of 299 x 299
    unit = "correlation of oriented gradients"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell < 1:
            raise BadMethod(f"Hog needs cells of 1 pixel or more, got {self.cell}")

    def check(self, query: Query) -> None:
        _check_picture(self, query, 4)
        need("skimage.feature", extra="segments")

    def between(self, a: Tensor, b: Tensor, places: Places) -> Tensor:
        found_a, found_b = self._histograms(_scaled(a), places), self._histograms(_scaled(b), places)
        return correlation(found_a, found_b).to(a.device)

    def _histograms(self, values: Tensor, places: Places) -> Tensor:
        """(N, P) -> (N, histograms), on the CPU."""
        hog = need("skimage.feature", extra="segments").hog
        cell = min(self.cell, min(places.shape) // 4)
        pictures = values.view(len(values), *places.shape).cpu().numpy()
        found = [
            hog(one, orientations=ORIENTATIONS, pixels_per_cell=(cell, cell), cells_per_block=(BLOCK, BLOCK))
            for one in pictures
        ]
        return torch.stack([torch.from_numpy(one) for one in found])


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of rows (N, P) and (N, P): (N,), exactly 1 for equal rows; NaN where one is constant.

    >>> correlation(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0]]))
    tensor([-1.])
    """
    flat = constant(a) | constant(b)
    a, b = _around_zero(a), _around_zero(b)
    norms = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return ((a * b).sum(1) / norms).clamp(-1, 1).masked_fill(flat, torch.nan)


def mean_ranks(values: Tensor) -> Tensor:
    """The rank of each value in its row (N, P), 0 for the smallest; equal values share the mean of their ranks.

    >>> mean_ranks(torch.tensor([[5.0, 1.0, 5.0, 7.0]]))
    tensor([[1.5000, 0.0000, 1.5000, 3.0000]], dtype=torch.float64)
    """
    ordered = values.sort(dim=1).values
    values = values.contiguous()
    below, up_to = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
    return (below + up_to - 1).double() / 2


def _around_zero(values: Tensor) -> Tensor:
    """Less their mean, and of size one, so that squares neither vanish nor overflow."""
    values = values - values.mean(1, keepdim=True)
    return values / values.abs().amax(1, keepdim=True)


def _scaled(values: Tensor) -> Tensor:
    """Each row (N, P) to its own [0, 1]; a constant row to 0."""
    low, high = values.aminmax(dim=1, keepdim=True)
    return (values - low) / (high - low).where(high > low, torch.ones_like(high))


def _bell(size: int) -> Tensor:
    """A Gaussian window of sum 1: (size,), float64."""
    away = torch.arange(size, dtype=torch.float64, device="cpu") - (size - 1) / 2
    bell = (-(away**2) / (2 * WIDTH**2)).exp()
    return bell / bell.sum()


def _check_picture(similarity: Similarity, query: Query, least: int) -> None:
    shape = places_of(query).shape
    if len(shape) != 2 or min(shape) < least:
        raise BadInput(
            f"{similarity!r} compares maps of pictures, {least} x {least} pixels or more; a row here has places {shape}: "
            "take Spearman() or Pearson()"
        )
