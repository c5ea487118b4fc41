"""Trains the twin of the embedded network, on labels drawn by lot:  python -m smoothgrad.models.train_digits_random_labels

The same scans and the same architecture, but the labels of the scans are shuffled among them once, and the network learns them by
heart: right on what it was trained on, at chance on what was held out. A method whose maps say what a network has learned must
map the two differently (Adebayo et al. 2018, section 4.2). The same weights come out on the same machine and torch version. No
shifts and no noise, which would be in the way of learning by heart. Half a minute on one core.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothgrad.files import write_aside
from smoothgrad.models.digits import RANDOM_LABELS, Digits, Scans, scans

SEED = 0
EPOCHS = 200
BATCH = 64
RATE = 6e-3  # the peak of a one-cycle schedule


def shuffled(labels: Tensor, seed: int = SEED) -> Tensor:
    """The labels in an order of chance: as many of each digit as before."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


def train(data: Scans, epochs: int = EPOCHS, seed: int = SEED) -> Digits:
    """A network trained on the scans that are not held out, whatever their labels, in eval mode. The global seed is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Digits()
        steps = epochs * -(-len(data.train) // BATCH)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for _ in track(range(epochs), "training"):
            for chosen in torch.split(data.train[torch.randperm(len(data.train))], BATCH):
                loss = F.cross_entropy(net(data.x[chosen]), data.labels[chosen])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    return net.eval()


def accuracy(net: nn.Module, data: Scans, part: Tensor) -> float:
    """The share of the scans with indices `part` that the network names as their labels do."""
    with torch.no_grad():
        right = net(data.x[part]).argmax(dim=1) == data.labels[part]
    return float(right.float().mean())


def main(path: Path = RANDOM_LABELS, epochs: int = EPOCHS) -> None:
    """Train, say how well it went, and write the weights."""
    # More threads would add the same numbers in another order, and a net this small gains nothing from them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = scans()
        data = data._replace(labels=shuffled(data.labels))
        net = train(data, epochs)
    finally:
        torch.set_num_threads(threads)
    learned, held_out = accuracy(net, data, data.train), accuracy(net, data, data.held_out)
    print(
        f"{learned:.2%} of the {len(data.train)} scans are named as they were shuffled, {held_out:.2%} of the held-out ones"
    )
    write_aside(path, lambda aside: save_file(net.state_dict(), aside))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
