"""Where a layer's output has its channels, and where its positions: (N, C, h, w), (N, h, w, C), or tokens (N, T, E)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from smoothgrad.core.channels import channels_of, width_of
from smoothgrad.errors import BadModel

MOST_EXTRA = 8  # tokens that are no patches: one or two for the class, and up to some registers


@final
@dataclass(frozen=True)
class Layout:
    """How a layer's output for N rows holds C channels at each position of a grid.

    "first": (N, C, *grid), as convolutions answer. "last": (N, *grid, C), as Swin does. "tokens": (N, extra + positions, C), as
    vision transformers do: the extra tokens, for the class and registers, come first and have no position.
    """

    kind: Literal["first", "last", "tokens"]
    grid: tuple[int, ...]  # (h, w) for pictures, (l,) for series
    extra: int = 0

    def channels(self, output: Tensor) -> Tensor:
        """A view (N, C, ...) of the output, positions only: what is written into it is written into the output."""
        return output if self.kind == "first" else output[:, self.extra :].movedim(-1, 1)

    def maps(self, output: Tensor) -> Tensor:
        """The output as maps of channels (N, C, *grid).

        >>> Layout("tokens", (2, 3), extra=1).maps(torch.zeros(5, 7, 16)).shape
        torch.Size([5, 16, 2, 3])
        """
        channels = self.channels(output)
        return channels.reshape(*channels.shape[:2], *self.grid)


def layout_of(name: str, module: nn.Module, network: nn.Module, answered: torch.Size, row: torch.Size) -> Layout | None:
    """The layout of what a layer answered, (N, ...), for rows (C, H, W) or (C, L); None where it has no positions.

    Positions are told by their shape: a grid has the aspect ratio of the rows. Where channels and height could both be one, as in
    (N, 8, 8, 8), the parts of the layer tell: a convolution makes channels in dimension 1, a layer norm norms them in the last.
    Raises `BadModel` where these do not tell either. Nothing is asked of batch norms, which prepared copies do not have.
    """
    size = tuple(row[1:])
    if len(size) == 2 and len(answered) == 3:
        return _tokens(answered[1], size)
    if len(answered) != len(row) + 1:
        return None
    grids: dict[Literal["first", "last"], tuple[int, ...]] = {
        "first": tuple(answered[2:]),
        "last": tuple(answered[1:-1]),
    }
    possible = [kind for kind, grid in grids.items() if _fits(grid, size)]
    if answered[-1] == 1 and "last" in possible:  # maps of one position, not positions of one channel
        possible.remove("last")
    told = channels_of(module, answered)
    if told is None and len(possible) == 1:
        return Layout(possible[0], grids[possible[0]])
    if told is not None and told in possible:
        return Layout(told, grids[told])
    if told == "first" and _is_block(module):
        return _first(answered)  # strides of its own in each direction, as on spectrograms
    if told is None and possible:
        if any(width_of(part) == answered[-1] for part in network.modules()):
            raise BadModel(
                f"layer {name!r} answers {tuple(answered)}, of which one cannot tell whether channels come first or last; give "
                "the name of a convolution, or of a layer norm, as the layer"
            )
        return Layout("first", grids["first"])
    return None


def layout_of_named(
    name: str, module: nn.Module, network: nn.Module, answered: torch.Size, row: torch.Size
) -> Layout | None:
    """The same for a layer that somebody chose: of any aspect ratio, with channels first unless the layer says otherwise."""
    layout = layout_of(name, module, network, answered, row)
    if layout is None and len(answered) == len(row) + 1 and channels_of(module, answered) != "last":
        return _first(answered)
    return layout


def grid_of(positions: int, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """The grid of so many positions in rows of this size (H, W) or (L,); None where there is none of that aspect ratio.

    >>> grid_of(196, (224, 224)), grid_of(28, (100, 64)), grid_of(195, (224, 224))
    ((14, 14), (7, 4), None)
    """
    if positions < 2:
        return None
    if len(size) == 1:
        return (positions,)
    grids = _grids(positions, size)
    return next((grid for grid in grids if _is_exact(grid, size)), grids[0] if grids else None)


def is_norm(module: nn.Module) -> bool:
    """Does it norm each token by itself, as layer norm does?"""
    return "Norm" in type(module).__name__ and "BatchNorm" not in type(module).__name__


def stands_for_tokens(module: nn.Module) -> bool:
    """Is it where one reads tokens, a block or a norm? Not so a single linear layer inside, whose channels mean something else."""
    return _is_block(module) or is_norm(module)


def _first(answered: torch.Size) -> Layout | None:
    grid = tuple(answered[2:])
    return Layout("first", grid) if math.prod(grid) > 1 else None


def _is_block(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _fits(grid: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Could it be a grid of positions in rows of this size: their aspect ratio, to within one position, and not much finer?"""
    if math.prod(grid) < 2 or any(g > 2 * s for g, s in zip(grid, size, strict=True)):
        return False
    return len(grid) != 2 or abs(grid[0] * size[1] - grid[1] * size[0]) <= max(size)


def _is_exact(grid: tuple[int, ...], size: tuple[int, ...]) -> bool:
    return grid[0] * size[1] == grid[1] * size[0]


def _grids(positions: int, size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Of about the rows' aspect ratio."""
    height = math.sqrt(max(positions, 0) * size[0] / size[1])
    heights = {math.floor(height), math.ceil(height), round(height)}
    grids = [(h, positions // h) for h in sorted(heights) if h > 0 and positions % h == 0]
    return [grid for grid in grids if _fits(grid, size)]


def _tokens(count: int, size: tuple[int, ...]) -> Layout | None:
    """So many tokens as a grid and a few extra: of exactly the rows' aspect ratio, if there is one; with as few extra as can be."""
    found = [Layout("tokens", grid, extra) for extra in range(MOST_EXTRA + 1) for grid in _grids(count - extra, size)]
    return next((layout for layout in found if _is_exact(layout.grid, size)), found[0] if found else None)
