"""How the work is cut up. Never what is computed: the map is the same for every schedule, to rounding."""

from __future__ import annotations

from dataclasses import dataclass

import torch

# Elements of input in one model call. Small chunks beat large ones on a CPU (measured: ResNet-50 takes 2.9 s at 4 rows of
# 3 x 224 x 224, 4.3 s at 16): activations stay in the cache, and memory stays small.
ELEMENTS = 4 * 3 * 224 * 224


@dataclass(frozen=True)
class Schedule:
    """`chunk`: the largest number of rows in one model call. `autocast`: the type of the model's arithmetic, if not its own."""

    chunk: int
    autocast: torch.dtype | None = None

    @staticmethod
    def for_rows(shape: torch.Size) -> Schedule:
        """A cautious choice for rows of this shape: about four ImageNet pictures' worth, 256 rows at most.

        >>> Schedule.for_rows(torch.Size([3, 224, 224])).chunk
        4
        """
        return Schedule(min(256, max(1, ELEMENTS // max(1, shape.numel()))))

    def draws_at_once(self, rows: int, block: int) -> int:
        """How many draws of `rows` rows fill a chunk: a multiple of the sampler's block, and at least one block."""
        return max(1, self.chunk // max(1, rows * block)) * block
