"""The embedded generator: handwritten digits made of codes, so that a code space can be tried with no download.

A small DCGAN (Radford, Metz, Chintala 2016) on the scans that the embedded network `digits` was trained on. The weights lie beside
this file; `train_generator` makes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from smoothgrad.errors import UnknownName, nearest
from smoothgrad.models.weights import fit_weights, read_weights

WEIGHTS = Path(__file__).with_name("digits_generator.safetensors")
CODE = 16  # numbers in a code


@final
class Generator(nn.Module):
    """Pictures (N, 1, 8, 8) in [0, 1] of codes (N, 16), which are standard normal in training; 37,569 parameters.

    Its rectifiers leak, other than the paper's: a code that is climbed must have a way up wherever it is, also at zero.

    >>> Generator().eval()(torch.zeros(2, 16)).shape
    torch.Size([2, 1, 8, 8])
    """

    code_shape = (CODE,)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(CODE, 64, 2, bias=False),  # (N, 64, 2, 2)
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),  # (N, 32, 4, 4)
            nn.BatchNorm2d(32),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),  # (N, 1, 8, 8)
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        picture: Tensor = self.layers(z[:, :, None, None])
        return picture


def load_generator(name: str = "digits") -> Generator:
    """A trained generator by name, in eval mode: "digits" is the only one. Raises `UnknownName`.

    >>> load_generator("digits").code_shape
    (16,)
    """
    if name != "digits":
        raise UnknownName(f"no generator is called {name!r}; {nearest(name, ['digits'])}; any nn.Module can be one")
    # Making a network draws random weights: the caller's stream of random numbers is left where it was.
    with torch.random.fork_rng(devices=[]):
        generator = Generator()
    fit_weights(generator, read_weights(WEIGHTS), WEIGHTS)
    return generator.eval()
