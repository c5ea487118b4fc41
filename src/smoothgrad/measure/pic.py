"""Faithfulness by removal: performance over the information that is shown (performance information curves)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.measure.asking import Read, asked_at, is_predicted, probability
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.curves import check_removal, check_shares, count, read_off, unfinite, unpredicted
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, ranks, unranked
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.samplers.baseline import Blurred

# Close together where little is shown: that is where maps differ.
SHARES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)
# How many shares of the information the curves are read off at: each row has its own.
GRID = 100


@final
@dataclass(frozen=True, repr=False)
class AccuracyPic(Measure):
    """The area under the accuracy over the information shown, while places of a blurred picture come, the most relevant first.

        ∫₀¹ right(u) du,  u = (size(x') - size(blurred x)) / (size(x) - size(blurred x)),  from 0 to 1

    x' is the blurred picture with the top share of places sharp, for each of `shares`, for none and for all; size is that of its
    file under lossless WebP, an estimate of its entropy; right is 1 where the class that is explained has the highest score, else
    0. So a map that asks for scattered pixels pays for what they cost to tell. From share to share the largest value so far counts;
    then the points, from (0, 0) to (1, 1), are put in the order of u and joined by straight lines. From 0 to 1; higher is better.
    NaN for a constant map, where the class is not predicted for the whole picture, where it is found in the blurred picture
    already, and where the blurred picture's file is no smaller than the whole one's. The curve is right over u. Accuracy
    information curve, AIC, of Kapishnikov et al. 2019.

    What differs from their program: the whole picture is blurred by one Gaussian, where they blur it piece by piece and always
    show a few random pixels; pictures count that the network is less than 80 % sure of; the area is that of the lines themselves,
    not of a grid. On small pictures, some 64 pixels wide or less, the file says little of the entropy: that of a picture which is
    partly sharp can be larger than the whole one's, and u is then held at 1.

    Files hold 256 levels from the picture's smallest value to its largest, all channels together: three channels as a colour
    picture, others as grey pictures one below the other. Raises `BadMethod` for shares not between 0 and 1, `BadInput` for rows
    that are no pictures (C, H, W) and where no class is explained.

    >>> AccuracyPic(shares=(0.1, 0.5)).unit
    'accuracy'
    """

    shares: tuple[float, ...] = SHARES
    removal: Removal = Replaced(Blurred(10.0))  # noqa: RUF009

    unit = "accuracy"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, self.shares)

    def check(self, case: Case) -> None:
        _check(self, self.removal, case)

    def judge(self, case: Case) -> Judged:
        return _judged(case, self.removal, self.shares, is_predicted, "accuracy")


@final
@dataclass(frozen=True, repr=False)
class SoftmaxPic(Measure):
    """The area under the probability over the information shown, while places of a blurred picture come, the most relevant first.

        ∫₀¹ q(u) du,  q = (p(u) - p(blurred x)) / (p(x) - p(blurred x)),  from 0 to 1

    u as in `AccuracyPic`; p is the softmax probability of the class that is explained. From 0 to 1; higher is better. NaN as in
    `AccuracyPic`; the class is found in the blurred picture already where p(blurred x) >= p(x). The curve is q over u. Softmax
    information curve, SIC, of Kapishnikov et al. 2019; what differs from their program is said in `AccuracyPic`. Raises as
    `AccuracyPic` does.

    >>> SoftmaxPic().better
    'higher'
    """

    shares: tuple[float, ...] = SHARES
    removal: Removal = Replaced(Blurred(10.0))  # noqa: RUF009

    unit = "share of the gain of probability"
    needs_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, self.shares)

    def check(self, case: Case) -> None:
        _check(self, self.removal, case)

    def judge(self, case: Case) -> Judged:
        return _judged(case, self.removal, self.shares, probability, "gain of probability")


def _check(measure: Measure, removal: Removal, case: Case) -> None:
    if len(case.query.shape) != 3:
        raise BadInput(
            f"{type(measure).__name__} compresses pictures (C, H, W), got rows of shape {tuple(case.query.shape)}; "
            "Insertion(removal=Replaced(Zero())) takes any rows"
        )
    check_removal(measure, removal, case.query)


def _judged(case: Case, removal: Removal, shares: Sequence[float], read: Read, label: str) -> Judged:
    query, values = case.query, at_places(case.maps, case.query)
    order, total = ranks(values, query).int(), values.shape[1]
    remove = removal.of(case.model, query, case.schedule)
    shown = torch.tensor([0, *(count(total, share) for share in sorted(shares)), total], device=order.device)
    sizes: list[Tensor] = []  # of the files, of the very pictures that the network is asked about

    def points(numbers: range) -> Tensor:
        pictures = remove(order >= shown[numbers.start : numbers.stop, None, None], numbers)
        sizes.append(file_sizes(pictures, query.x))
        return pictures

    found = asked_at(case.model, query, case.schedule, len(shown), points, read).cpu()
    right = asked_at(case.model, query, case.schedule, 1, lambda _: query.x[None], is_predicted)[:, 0]
    u, flat = _information(torch.cat(sizes).T)
    y, seen = _gain(found)
    u, by_u = u.sort(dim=1, stable=True)
    y = y.gather(1, by_u)
    grid = torch.linspace(0, 1, GRID + 1, dtype=torch.float64, device="cpu")
    curve = Curve(grid, read_off(u, y, grid), "share of the information", label)
    reasons = first_reason(unranked(values), unpredicted(right), unfinite(found), flat, seen)
    return judged(torch.trapezoid(y, u), reasons, curve=curve)


def _gain(found: Tensor) -> tuple[Tensor, list[str]]:
    """What was read (N, steps), the first blurred and the last whole, as the share of what the whole gains on the blurred, the
    largest so far; and why there is none."""
    least, most = found[:, :1], found[:, -1:]
    seen = ["the class is found in the blurred picture already" if one else "" for one in (least >= most)]
    share = (found - least) / (most - least).where(most > least, torch.ones_like(most))
    return share.clamp(0, 1).cummax(1).values, seen


def _information(sizes: Tensor) -> tuple[Tensor, list[str]]:
    """File sizes (N, steps), the first blurred and the last whole, as shares of what lies between; and why there are none."""
    least, most = sizes[:, :1], sizes[:, -1:]
    flat = ["the blurred picture takes no smaller a file than the whole one" if one else "" for one in (most <= least)]
    return ((sizes - least) / (most - least).clamp_min(1)).clamp(0, 1), flat


def file_sizes(pictures: Tensor, whole: Tensor) -> Tensor:
    """The bytes of each picture (k, N, C, H, W) as a lossless WebP file, its levels those of the whole one (N, C, H, W): (k, N)."""
    low, high = whole.flatten(1).aminmax(dim=1)
    span = torch.where(high > low, high - low, 1)
    levels = (pictures - low[:, None, None, None]) * (255 / span)[:, None, None, None]
    bytes_ = levels.round().clamp(0, 255).to("cpu", torch.uint8)
    sizes = [_bytes(picture) for picture in bytes_.flatten(0, 1)]
    return torch.tensor(sizes, dtype=torch.float64, device="cpu").view(pictures.shape[:2])


def _bytes(picture: Tensor) -> int:
    """Of a picture (C, H, W), uint8."""
    from PIL import Image  # takes its time to import, and other measures do not need it

    grey = len(picture) != 3
    pixels = picture.flatten(0, 1) if grey else picture.movedim(0, -1).contiguous()
    file = io.BytesIO()
    # quality and method are the effort here: this much takes a tenth of the default's time, and files are nearly as small.
    Image.fromarray(pixels.numpy()).save(file, "WEBP", lossless=True, quality=0, method=1)
    return file.tell()


ROWS: tuple[Entry, ...] = (
    Entry(AccuracyPic, "∫₀¹ right(u) du, u the share of the compressed size", ("kapishnikov2019",)),
    Entry(SoftmaxPic, "∫₀¹ (p(u) − p(blurred x)) / (p(x) − p(blurred x)) du, u as there", ("kapishnikov2019",)),
)
