"""What the figures were measured on and with."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "smoothgrad"
SHOWN = {"view", "report", "cli"}  # parts that no measurement runs
PACKAGES = ("torch", "torchvision", "captum", "saliency", "zennit")


def processor() -> str:
    """The processor's name, as the system has it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in _read(info) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """Gigabytes of memory in all."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def versions() -> dict[str, str]:
    """The version of each package that is timed; "not installed" where there is none."""
    return {package: _version(package) for package in PACKAGES}


def source() -> str:
    """A digest of this library's code, without what only shows results."""
    files = [file for file in sorted(SOURCE.rglob("*.py")) if file.relative_to(SOURCE).parts[0] not in SHOWN]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def made_with(device: str) -> str:
    """All that must be the same for two measurements to stand in one table."""
    parts = [processor(), str(cores()), device, str(torch.get_num_threads()), source(), *versions().values()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]


def said(device: str) -> str:
    """The machine in one line."""
    accelerator = "" if device == "cpu" else f", {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"{processor()}, {cores()} cores, {memory():.0f} GB of memory{accelerator}; torch with {threads} threads"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _read(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
