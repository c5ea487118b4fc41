"""Trains the embedded generator again:  python -m smoothgrad.features.train_generator

A deep convolutional generative adversarial network (Radford, Metz, Chintala 2016) of its plainest kind:

    the discriminator lowers  -log D(x) - log(1 - D(G(z))),   the generator  -log D(G(z)),   z ~ N(0, I)

in turns. The same weights come out on the same machine and torch version; a digest of this script and of the generator's own file
is kept with them. About a minute on one core.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothgrad.features.generator import CODE, WEIGHTS, Generator
from smoothgrad.files import write_aside
from smoothgrad.models.digits import scans

SEED = 0
EPOCHS = 100
BATCH = 64
RATE = 2e-3  # ten times the paper's, which is for pictures of 64 x 64
BETAS = (0.5, 0.999)  # the paper's
SPREAD = 0.02  # the standard deviation of the first weights, the paper's


class Discriminator(nn.Module):
    """Log odds (N,) that pictures (N, 1, 8, 8) are scans."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),  # (N, 32, 4, 4)
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1, bias=False),  # (N, 64, 2, 2)
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 2),  # (N, 1, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        odds: Tensor = self.layers(x).flatten()
        return odds


def train(x: Tensor, epochs: int = EPOCHS, seed: int = SEED) -> Generator:
    """A generator of pictures like x (M, 1, 8, 8), in eval mode. The global seed is left alone."""
    chance = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        generator, discriminator = Generator(), Discriminator()
    for net in (generator, discriminator):
        _spread(net, chance)
    ours, theirs = (torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS) for net in (generator, discriminator))
    with _bar() as bar:
        task = bar.add_task("training", total=epochs, real=float("nan"), fake=float("nan"))
        for _ in range(epochs):
            order = torch.randperm(len(x), generator=chance)
            for chosen in order.split(BATCH):
                if len(chosen) < BATCH:  # batch norm wants batches of one size
                    continue
                made = generator(torch.randn(BATCH, CODE, generator=chance))
                real, fake = discriminator(x[chosen]), discriminator(made.detach())
                _step(theirs, F.softplus(-real).mean() + F.softplus(fake).mean())
                _step(ours, F.softplus(-discriminator(made)).mean())
            bar.update(
                task, advance=1, real=float(real.detach().sigmoid().mean()), fake=float(fake.detach().sigmoid().mean())
            )
    return generator.eval()


def digest() -> str:
    """The SHA-256 of this script and of the generator's file: what weights are made by."""
    files = (Path(__file__), Path(__file__).with_name("generator.py"))
    return hashlib.sha256("\n".join(file.read_text(encoding="utf-8") for file in files).encode()).hexdigest()


def main(path: Path = WEIGHTS, epochs: int = EPOCHS) -> None:
    """Train, and write the weights."""
    # More threads would add the same numbers in another order, and a net this small gains nothing from them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = scans()
        generator = train(data.x[data.train], epochs)
    finally:
        torch.set_num_threads(threads)
    write_aside(path, lambda aside: save_file(generator.state_dict(), aside, {"script": digest()}))
    print(f"wrote {path}")


def _spread(net: nn.Module, chance: torch.Generator) -> None:
    """First weights: normal around 0, those of batch norms around 1; no biases."""
    for name, part in net.named_parameters():
        with torch.no_grad():
            if name.endswith("bias"):
                part.zero_()
            else:
                part.copy_(float(part.ndim == 1) + SPREAD * torch.randn(part.shape, generator=chance))


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, taken for real: scans {task.fields[real]:.2f}, made {task.fields[fake]:.2f}"),
        TimeElapsedColumn(),
    )


if __name__ == "__main__":
    main()
