"""The clock and the memory of one process."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")  # writing 5 sets the peak back to what is held now (Linux)


@dataclass(frozen=True)
class Meter:
    """Measures calls against what the process held when it was made: after the network and one forward pass."""

    device: str
    baseline: int  # bytes

    @staticmethod
    def here(device: str) -> Meter:
        gc.collect()
        if device == "cpu":
            return Meter(device, _held())
        torch.cuda.synchronize()
        return Meter(device, torch.cuda.memory_allocated())

    def measure(self, work: Callable[[], Tensor]) -> tuple[Tensor, float, int]:
        """What the work returns, its seconds, and the most bytes the process held meanwhile, above the baseline."""
        gc.collect()
        self._forget_peak()
        started = time.perf_counter()
        result = work()
        if self.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        return result, seconds, max(0, self._peak() - self.baseline)

    def _forget_peak(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            return
        _give_back()
        if os.access(RESET, os.W_OK):
            RESET.write_text("5")

    def _peak(self) -> int:
        return _peak() if self.device == "cpu" else torch.cuda.max_memory_allocated()


def _held() -> int:
    """Bytes of memory in use now; where the system does not say, the most so far."""
    return _status("VmRSS") if STATUS.exists() else _peak()


def _peak() -> int:
    """The most bytes in use. Not ru_maxrss on Linux: it counts what the parent held when it started this process."""
    if STATUS.exists():
        return _status("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _give_back() -> None:
    """Hand free memory back to the system, so that the run before does not count towards this one."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
