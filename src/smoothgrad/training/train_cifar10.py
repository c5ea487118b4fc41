"""Trains the embedded network of CIFAR-10:  python -m smoothgrad.training.train_cifar10 FOLDER

FOLDER holds cifar10-train.zip and cifar10-test/, see `data_set`. A training that is stopped goes on where it was. Under 40 minutes
on two cores with bfloat16 arithmetic.
"""

from __future__ import annotations

import sys
from pathlib import Path

from smoothgrad.models.trained import CIFAR10
from smoothgrad.training.data import data_set
from smoothgrad.training.main import train_and_write
from smoothgrad.training.plan import Plan, Residual

PLAN = Plan(network=Residual(20), epochs=26, rate=0.2, decay=5e-4, shift=4, mirror=True, arithmetic="bfloat16")


def main(folder: str, path: Path = CIFAR10) -> None:
    """Train, say how well it went, and write the weights."""
    train_and_write(PLAN, data_set(f"cifar10:{folder}"), path, path.with_suffix(".training"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".", *map(Path, sys.argv[2:3]))
