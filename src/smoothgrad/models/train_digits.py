"""Trains the embedded network again:  python -m smoothgrad.models.train_digits

The same weights come out on the same machine and torch version. Each batch is seen shifted by up to a pixel
and under a little noise, which also makes its maps calmer (Smilkov et al. 2017, section 4). Under a minute on
one core.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothgrad.files import write_aside
from smoothgrad.models.digits import WEIGHTS, Digits, Scans, scans

SEED = 0
EPOCHS = 60
BATCH = 64
RATE = 6e-3  # the peak of a one-cycle schedule
DECAY = 1e-2
NOISE = 0.1  # standard deviation, in units of the range [0, 1]


def train(data: Scans, epochs: int = EPOCHS, seed: int = SEED) -> Digits:
    """A network trained on the scans that are not held out, in eval mode. The global seed is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Digits()
        steps = epochs * -(-len(data.train) // BATCH)
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        with _bar() as bar:
            task = bar.add_task("training", total=epochs, loss=float("nan"))
            for _ in range(epochs):
                for chosen in torch.split(data.train[torch.randperm(len(data.train))], BATCH):
                    loss = F.cross_entropy(net(_shaken(data.x[chosen])), data.labels[chosen])
                    optimizer.zero_grad()
                    torch.autograd.backward(loss)
                    optimizer.step()
                    schedule.step()
                bar.update(task, advance=1, loss=loss.item())
    return net.eval()


def accuracy(net: nn.Module, data: Scans) -> float:
    """The share of held-out scans that the network names rightly."""
    with torch.no_grad():
        right = net(data.x[data.held_out]).argmax(dim=1) == data.labels[data.held_out]
    return float(right.float().mean())


def main(path: Path = WEIGHTS, epochs: int = EPOCHS) -> None:
    """Train, say how well it went, and write the weights."""
    # More threads would add the same numbers in another order, and a net this small gains nothing from them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = scans()
        net = train(data, epochs)
    finally:
        torch.set_num_threads(threads)
    print(f"{accuracy(net, data):.2%} of the {len(data.held_out)} held-out scans are named rightly")
    write_aside(path, lambda aside: save_file(net.state_dict(), aside))
    print(f"wrote {path}")


def _shaken(x: Tensor) -> Tensor:
    """Each scan moved by up to one pixel each way, under Gaussian noise."""
    down, across = torch.randint(-1, 2, (2, len(x)))
    padded = F.pad(x, (1, 1, 1, 1))
    moved = [padded[i, :, 1 + down[i] : 9 + down[i], 1 + across[i] : 9 + across[i]] for i in range(len(x))]
    return torch.stack(moved) + NOISE * torch.randn_like(x)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
    )


if __name__ == "__main__":
    main()
