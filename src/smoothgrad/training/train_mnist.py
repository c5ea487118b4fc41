"""Trains the embedded network of MNIST:  python -m smoothgrad.training.train_mnist FOLDER

FOLDER holds the four files train-images-idx3-ubyte.gz and so on, see `data_set`. A training that is stopped goes on where it was.
About two minutes on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

from smoothgrad.models.trained import MNIST
from smoothgrad.training.data import data_set
from smoothgrad.training.main import train_and_write
from smoothgrad.training.plan import Plan, Small

PLAN = Plan(network=Small(), epochs=8, shift=2)


def main(folder: str, path: Path = MNIST) -> None:
    """Train, say how well it went, and write the weights."""
    train_and_write(PLAN, data_set(f"mnist:{folder}"), path, path.with_suffix(".training"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".", *map(Path, sys.argv[2:3]))
