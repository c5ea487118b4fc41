"""How the work is cut up. Never what is computed: the map is the same for every schedule, to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch

from smoothgrad.errors import OutOfMemory

# Elements of input in one model call, to begin with, where nothing is known of the network: four ImageNet pictures.
ELEMENTS = 4 * 3 * 224 * 224
# Bytes of the largest tensor in one call, where it is known. From 32 MB on, C's malloc asks the system for every tensor anew, and
# each page of it is a fault (measured: MobileNetV2 takes 14.6 ms per row at 5 rows, of which that tensor is 24 MB, 18.8 at 6).
ACTIVATION = 20 * 2**20
# Rows in one call: beyond, nothing is gained (CIFAR-10 ResNet-20: 0.95 ms per row at 64 and 128, 1.04 at 192).
MOST = 128
BETTER = 0.95  # a size must take at most this share of another's time per row to be preferred to it


@final
class Schedule:
    """How many rows go into one model call: `chunk` at most.

    It changes for two reasons. When memory runs out it is halved. And with a `clock`, in seconds, the first calls are timed:
    smaller and larger sizes are tried in turn, and the one that takes least time per row stays. All calls count.
    """

    def __init__(self, chunk: int, clock: Callable[[], float] | None = None, most: int | None = None) -> None:
        self.chunk = chunk
        self._clock = clock
        self._begun = chunk
        self._limit = 4 * chunk if most is None else most  # larger sizes are not tried, for the sake of memory
        self._times: dict[int, list[float]] = {}  # seconds per row, by size

    @staticmethod
    def for_rows(shape: torch.Size) -> Schedule:
        """A cautious beginning for rows of this shape: about four ImageNet pictures' worth, 128 rows at most.

        >>> Schedule.for_rows(torch.Size([3, 224, 224])).chunk
        4
        """
        return Schedule(min(MOST, max(1, ELEMENTS // max(1, shape.numel()))))

    @staticmethod
    def for_activation(size: int) -> Schedule:
        """A good beginning where the largest tensor that is made for one row has so many bytes.

        >>> Schedule.for_activation(64 * 112 * 112 * 4).chunk  # ResNet-50 on an ImageNet picture
        6
        """
        return Schedule(min(MOST, max(1, ACTIVATION // max(1, size))))

    def one_by_one(self) -> Schedule:
        """The same for what must see each row alone."""
        return Schedule(1)

    def draws_at_once(self, rows: int, block: int, left: int) -> int:
        """How many of the draws that are left to take next for each of `rows` rows.

        As many as fill a chunk, or a little fewer, so that the last chunk is not a small remainder: a multiple of the sampler's
        block, and at least one block.
        """
        most, blocks = max(1, self.chunk // max(1, rows * block)), -(-left // block)
        chunks = -(-blocks // most)
        return min(left, -(-blocks // chunks) * block)

    def begin(self) -> float | None:
        """The time before a call, while sizes are being compared."""
        return self._clock() if self._clock is not None else None

    def end(self, begun: float | None, rows: int) -> None:
        """After a call of so many rows. The first of each size is not counted: it prepares what the later ones find."""
        if begun is None or self._clock is None or 2 * rows <= self.chunk:  # a remainder
            return
        self._times.setdefault(self.chunk, []).append((self._clock() - begun) / rows)
        if len(self._times[self.chunk]) >= 2:
            self._move()

    def halve(self, error: Exception) -> None:
        """After a call for which memory did not suffice. Raises `OutOfMemory` where a call has a single row."""
        if self.chunk == 1:
            raise OutOfMemory(
                f"memory does not suffice for one row ({str(error).splitlines()[0]}); use smaller inputs, a smaller "
                'network, or precision="bfloat16"'
            ) from error
        self.chunk //= 2
        self._clock = None

    def _move(self) -> None:
        """On to the next size to try; or to the best, when there is none."""
        best = self._begun
        for size in sorted(self._times, key=lambda size: abs(size - self._begun)):
            if len(self._times[size]) >= 2 and self._seconds(size) < BETTER * self._seconds(best):
                best = size
        # Downhill from where it began: smaller first, which costs no memory; larger only where smaller was no better.
        smaller, larger = max(1, best // 2), 2 * best
        if smaller not in self._times and best <= self._begun:
            self.chunk = smaller
        elif larger not in self._times and larger <= self._limit and best >= self._begun:
            self.chunk = larger
        else:
            self.chunk, self._clock = best, None

    def _seconds(self, size: int) -> float:
        return min(self._times[size][1:], default=float("inf"))
