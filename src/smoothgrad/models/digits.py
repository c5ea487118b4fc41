"""The embedded network: a small one on handwritten digits, so that everything runs with no download.

The pictures are the 1797 scans of 8 x 8 pixels that scikit-learn bundles (E. Alpaydin, C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI 1998). A fifth of each digit is held out. The weights lie beside this
file; `train_digits` makes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.errors import BadInput, need
from smoothgrad.models.network import Network, Samples
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.models.weights import fit_weights, read_weights

WEIGHTS = Path(__file__).with_name("digits.safetensors")
RANDOM_LABELS = WEIGHTS.with_name("digits_random_labels.safetensors")  # of the same network, trained on shuffled labels
CLASSES = tuple("0123456789")
PREPROCESSING = Preprocessing(channels=1, size=(8, 8), resize=8, mean=(0.0,), std=(1.0,))
SPLIT_SEED = 0
HELD_OUT = 0.2  # of each digit


@final
class Digits(nn.Module):
    """Scores (N, 10) for scans (N, 1, 8, 8) in [0, 1], bright strokes on black; 19,162 parameters.

    Global average pooling and one linear layer at the end, so that CAM applies; the ReLUs are a module in
    place, a function and a method, so that a rule which misses one of these is found out.

    >>> Digits()(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.conv3 = nn.Conv2d(32, 48, 3, padding=1)
        self.linear = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv1(x))  # (N, 16, 8, 8)
        x = self.pool(F.relu(self.conv2(x)))  # (N, 32, 4, 4)
        x = self.conv3(x).relu()  # (N, 48, 4, 4)
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores


class Scans(NamedTuple):
    """All scans, and which of them the network was not trained on."""

    x: Tensor  # (1797, 1, 8, 8) in [0, 1]
    labels: Tensor  # (1797,)
    train: Tensor  # indices
    held_out: Tensor  # indices: one of each digit in turn, 0 to 9, again and again


def scans() -> Scans:
    """The scans and their split. Needs scikit-learn (`MissingPackage` says how to install it).

    >>> [len(part) for part in scans()]
    [1797, 1797, 1442, 355]
    """
    data = need("sklearn.datasets", extra="digits").load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(data.target)
    # RandomState, since NumPy promises never to change its stream: another split would mix up the two parts.
    order = torch.tensor(np.random.RandomState(SPLIT_SEED).permutation(len(x)))
    of_digit = [order[labels[order] == digit] for digit in range(10)]
    counts = [int(HELD_OUT * len(indices)) for indices in of_digit]
    rank_digit_index = [
        (rank, digit, int(indices[rank]))
        for digit, (indices, count) in enumerate(zip(of_digit, counts, strict=True))
        for rank in range(count)
    ]
    held_out = torch.tensor([index for _, _, index in sorted(rank_digit_index)])
    train = torch.cat([indices[count:] for indices, count in zip(of_digit, counts, strict=True)])
    return Scans(x, labels, train.sort().values, held_out)


def held_out_samples(n: int) -> Samples:
    """The first n held-out scans. Raises `BadInput` where there are fewer.

    >>> held_out_samples(3).names
    ('digit 0, scan ...', 'digit 1, scan ...', 'digit 2, scan ...')
    """
    x, labels, _, held_out = scans()
    if n > len(held_out):
        raise BadInput(f"{n} scans were asked for and {len(held_out)} are held out; ask for fewer")
    chosen = held_out[:n]
    names = tuple(f"digit {int(labels[index])}, scan {int(index)}" for index in chosen)
    return Samples(x[chosen], labels[chosen], names)


def digits() -> Network:
    """The trained network, with held-out scans as its samples.

    >>> network = digits()
    >>> network(network.samples(10)).argmax(dim=1)
    tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    return digits_with(None)


def digits_with(weights: Path | None) -> Network:
    """The same with the weights of a file, or the shipped ones. Raises `BadWeights` where they do not fit."""
    # Making a network draws random weights: the caller's stream of random numbers is left where it was.
    with torch.random.fork_rng(devices=[]):
        net = Digits()
    fit_weights(net, read_weights(weights or WEIGHTS), weights or WEIGHTS)
    return Network(net, name="digits", classes=CLASSES, preprocessing=PREPROCESSING, samples=held_out_samples)


def random_labels_with(weights: Path | None) -> Network:
    """The twin of the embedded network, which learned labels drawn by lot by heart; `train_digits_random_labels` makes it."""
    return digits_with(weights or RANDOM_LABELS).changed(name="digits-random-labels")
