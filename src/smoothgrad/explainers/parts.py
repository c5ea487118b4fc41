"""Which values of an input go together, so that they are taken away at once: windows, grids, labels, superpixels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, final

import torch
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.core.value import Data, Value
from smoothgrad.errors import BadMethod
from smoothgrad.explainers.segments import MIN_SIZE, check_segments, felzenszwalb_segments


class Found(NamedTuple):
    """The parts of each row."""

    counts: Tensor  # (N,) how many
    masks: Callable[
        [list[int]], Tensor
    ]  # k numbers of parts -> (k, N or 1, *P), bool; P broadcasts to the rows' shape S


class Parts(Value, ABC):
    """A way to take inputs apart. Parts may overlap; together they hold every value."""

    @property
    @abstractmethod
    def most(self) -> int:
        """The largest number of parts of a row."""

    def check(self, query: Query) -> None:
        """Raise where such rows cannot be taken apart so."""

    @abstractmethod
    def find(self, query: Query) -> Found:
        """The parts of the query's rows, which depend on the inputs being explained and not on where the model is asked."""


# --- boxes ----------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, repr=False)
class Windows(Parts):
    """Windows of `size`, a fraction of each side, at `steps` places along each side, evenly spread from border to border.

    For pictures (C, H, W) one number each, or one for each of H and W. A tuple names as many last sides of the row: `steps=(20,)`
    are windows over T for rows (C, T), and single features for rows (D,) with `size=1 / D, steps=(D,)`. What comes before these
    sides, such as channels, is taken away together. A window of w pixels moved by d on a side of L is size=w / L,
    steps=1 + (L - w) / d. There are never more places than pixels to begin at.

    Fractions, so that the number of windows, and with it the price, is known before the picture is.
    """

    size: float | tuple[float, ...] = 0.15  # 34 pixels of 224
    steps: int | tuple[int, ...] = 14  # 15 pixels apart on 224: each pixel in about 4 windows

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.size, tuple) and len(self.size) != len(_sides(self.steps)):
            raise BadMethod(f"Windows needs one size for each of its {len(_sides(self.steps))} sides, got {self.size}")
        if not all(0 < size <= 1 for size in self._sizes()):
            raise BadMethod(
                f"Windows needs a size above 0 and up to 1, a fraction of the side, got {self.size}; 32 of 224 pixels are "
                "size=32 / 224"
            )
        _check_counts(self, "steps", self.steps)

    def _sizes(self) -> tuple[float, ...]:
        return self.size if isinstance(self.size, tuple) else (self.size,) * len(_sides(self.steps))

    @property
    def most(self) -> int:
        return math.prod(_sides(self.steps))

    def check(self, query: Query) -> None:
        lengths = _lengths(self, "steps", self.steps, query)
        for size, steps, length in zip(self._sizes(), _sides(self.steps), lengths, strict=True):
            width, begins = _begins(size, steps, length)
            if any(b - a > width for a, b in pairwise(begins)) or begins[-1] + width - begins[0] != length:
                fewest = 1 if width == length else 1 + -(-(length - width) // width)
                raise BadMethod(
                    f"Windows of {width} at {steps} places leave out some of the {length} along a side of rows of shape "
                    f"{tuple(query.shape)}; give steps >= {fewest}, or larger windows"
                )

    def find(self, query: Query) -> Found:
        lines = []
        lengths = _lengths(self, "steps", self.steps, query)
        for size, steps, length in zip(self._sizes(), _sides(self.steps), lengths, strict=True):
            width, begins = _begins(size, steps, length)
            begin = torch.tensor(begins, device=query.x.device)[:, None]
            pixel = torch.arange(length, device=query.x.device)
            lines.append((pixel >= begin) & (pixel < begin + width))
        return _boxes(lines, query)


@final
@dataclass(frozen=True, repr=False)
class Grid(Parts):
    """`cells` along each side, which do not overlap; as equal as whole pixels allow, and never smaller than one.

    For pictures (C, H, W) one number, or one for each of H and W; for other rows a tuple, as in `Windows`.
    """

    cells: int | tuple[int, ...] = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(self, "cells", self.cells)

    @property
    def most(self) -> int:
        return math.prod(_sides(self.cells))

    def check(self, query: Query) -> None:
        _lengths(self, "cells", self.cells, query)

    def find(self, query: Query) -> Found:
        lines = []
        for given, length in zip(_sides(self.cells), _lengths(self, "cells", self.cells, query), strict=True):
            cells = min(given, length)
            cell = torch.arange(length, device=query.x.device) * cells // length
            lines.append(cell == torch.arange(cells, device=query.x.device)[:, None])
        return _boxes(lines, query)


def _boxes(lines: list[Tensor], query: Query) -> Found:
    """Every combination of one line (n, length) from each side; the last side turns fastest."""
    before = len(query.shape) - len(lines)
    sizes = [len(line) for line in lines]

    def masks(numbers: list[int]) -> Tensor:
        number = torch.tensor(numbers, device=query.x.device)
        mask = torch.ones((), dtype=torch.bool, device=query.x.device)
        for side, line in enumerate(lines):
            chosen = line[number // math.prod(sizes[side + 1 :]) % sizes[side]]  # (k, length)
            shape = [1] * len(query.shape)
            shape[before + side] = -1
            mask = mask & chosen.view(len(numbers), 1, *shape)
        return mask

    return Found(torch.full((len(query),), math.prod(sizes), device=query.x.device), masks)


def _begins(size: float, steps: int, length: int) -> tuple[int, list[int]]:
    """The width of a window along a side, and the pixels at which windows begin: the middle one for a single step."""
    width = max(1, round(size * length))
    room = length - width
    if steps == 1:
        return width, [room // 2]
    # To the nearest pixel, i room / (steps - 1), in whole numbers.
    return width, sorted({(2 * i * room + steps - 1) // (2 * (steps - 1)) for i in range(steps)})


def _sides(counts: int | tuple[int, ...]) -> tuple[int, ...]:
    """One number for each side: a single one means the two sides of a picture."""
    return counts if isinstance(counts, tuple) else (counts, counts)


def _check_counts(parts: Parts, name: str, counts: int | tuple[int, ...]) -> None:
    if not _sides(counts) or min(_sides(counts)) < 1:
        raise BadMethod(f"{type(parts).__name__} needs {name} >= 1 along each side, got {counts}")


def _lengths(parts: Parts, name: str, counts: int | tuple[int, ...], query: Query) -> tuple[int, ...]:
    """The lengths of the sides that are cut."""
    sides, shape = len(_sides(counts)), tuple(query.shape)
    if len(shape) < sides or (isinstance(counts, int) and len(shape) != 3):
        raise BadMethod(
            f"{type(parts).__name__}({name}={counts}) cuts {sides} sides of rows such as (C, H, W), got rows of shape {shape}; "
            f"give one number for each side to cut, such as {name}=(20,) for T of rows (C, T)"
        )
    return shape[len(shape) - sides :]


# --- labels ---------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, repr=False)
class Labelled(Parts):
    """Your own: a tensor of whole numbers, where values with equal numbers belong together.

    (H, W) for pictures; or of the row's own shape, with 1 for a side that a label spans, such as (1, H, W), (words, 1) or (D,);
    and with N in front, such as (N, 1, H, W), for labels of their own for each input.
    """

    data: Tensor | Data

    def __post_init__(self) -> None:
        super().__post_init__()
        labels = self.data.tensor if isinstance(self.data, Data) else self.data
        if labels.is_floating_point() or labels.is_complex() or labels.numel() == 0:
            raise BadMethod(
                f"Labelled takes whole numbers, one for each part, got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if not isinstance(self.data, Data):
            object.__setattr__(self, "data", Data(labels))

    @property
    def labels(self) -> Tensor:
        """The number of the part that each value belongs to."""
        assert isinstance(self.data, Data), "__post_init__ wraps it"
        return self.data.tensor

    @property
    def most(self) -> int:
        """Of all labels there are, which is more than any row has where rows have labels of their own."""
        return len(self.labels.unique())

    def check(self, query: Query) -> None:
        self._rows(query)

    def find(self, query: Query) -> Found:
        return _labels(self._rows(query).to(query.x.device), query)

    def _rows(self, query: Query) -> Tensor:
        """Labels (N or 1, *P) of the query's rows."""
        labels, shape = self.labels, query.shape
        own = labels.ndim == len(shape) + 1
        rows = labels if own else labels[None]
        rows = rows[:, None] if rows.ndim == len(shape) > 1 else rows  # (1, H, W) -> (1, 1, H, W)
        fits = rows.ndim == len(shape) + 1 and all(
            size in (1, side) for size, side in zip(rows.shape[1:], shape, strict=True)
        )
        if not fits or len(rows) not in (1, query.inputs):
            raise BadMethod(
                f"Labelled has labels of shape {tuple(labels.shape)}, the {query.inputs} input rows have shape {tuple(shape)} "
                "each; pass one label for each pixel, such as (H, W), or with the number of inputs in front (N, 1, H, W)"
            )
        # By the input's number, not its place: samplers repeat rows, and finished ones leave.
        return rows if len(rows) == 1 else rows[query.row]


def _labels(labels: Tensor, query: Query) -> Found:
    """Parts from labels (N or 1, *P), numbered anew in each row from 0 on in their order."""
    pairs = [row.unique(return_inverse=True) for row in labels]
    renamed = torch.stack([inverse for _, inverse in pairs])
    counts = torch.tensor([len(names) for names, _ in pairs], device=query.x.device).expand(len(query))

    def masks(numbers: list[int]) -> Tensor:
        number = torch.tensor(numbers, device=query.x.device)
        return renamed == number.view(-1, *([1] * renamed.ndim))

    return Found(counts, masks)


@final
@dataclass(frozen=True, repr=False)
class Superpixels(Parts):
    """Regions of like colour of a picture (C, H, W), by Felzenszwalb and Huttenlocher 2004; see `felzenszwalb_segments`.

    A larger `scale` gives fewer and larger ones; it is doubled until there are `most` of them or fewer. `scale` and `min_size` mean
    what they mean for a picture of 224 x 224 pixels. Under noise they stay those of the clean picture. Needs scikit-image.
    """

    scale: float = 250.0
    min_size: int = MIN_SIZE
    most: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_segments((self.scale,), self.min_size)
        if self.most < 1:
            raise BadMethod(f"Superpixels needs most >= 1, got {self.most}")

    def check(self, query: Query) -> None:
        if len(query.shape) != 3:
            raise BadMethod(
                f"Superpixels takes pictures (C, H, W), got rows of shape {tuple(query.shape)}; give Labelled(labels)"
            )

    def find(self, query: Query) -> Found:
        known: dict[int, Tensor] = {}  # samplers repeat rows
        for place, row in enumerate(query.row.tolist()):
            known[row] = known[row] if row in known else self._labels(query.origin[place])
        labels = torch.stack([known[row] for row in query.row.tolist()])[:, None]
        return _labels(labels.to(query.x.device), query)

    def _labels(self, picture: Tensor) -> Tensor:
        scale = self.scale
        while True:
            (labels,) = felzenszwalb_segments(picture, (scale,), self.min_size)
            if int(labels.max()) < self.most:
                return labels
            scale *= 2
