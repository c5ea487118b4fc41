"""A network together with what one must know to use it: its pictures, its classes, its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from torch import Tensor, nn

from smoothgrad.errors import BadInput, BadOption
from smoothgrad.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import PIL.Image


class Samples(NamedTuple):
    """Inputs that come with a network."""

    x: Tensor  # (n, *S)
    labels: Tensor  # (n,) the true classes
    names: tuple[str, ...]
    regions: Tensor | None = None  # (n, H, W) bool: where the thing is, if that is known


@final
class Network(nn.Module):
    """A `torch.nn.Module` with its own preprocessing and class names; `load` makes them, and so can you.

    Calling it calls `net`, which is put in eval mode and otherwise left as it is. `classes` is empty where
    the names are not known. `samples` is a function n -> `Samples` for networks that come with inputs to try.

    >>> import torch
    >>> network = Network(nn.Flatten(), name="flat", preprocessing=Preprocessing(size=(2, 2), resize=2))
    >>> network
    Network('flat', classes unknown, Preprocessing(channels=3, size=(2, 2), resize=2, ...))
    >>> network(torch.zeros(1, 3, 2, 2)).shape
    torch.Size([1, 12])
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        name: str,
        classes: tuple[str, ...] = (),
        preprocessing: Preprocessing = Preprocessing(),
        samples: Callable[[int], Samples] | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.classes = tuple(classes)
        self.preprocessing = preprocessing
        self._samples = samples
        self.eval()

    def forward(self, x: Tensor, *context: object) -> object:
        """What `net` answers: scores (N, K), or an object that holds them as `.logits`."""
        return self.net(x, *context)

    @property
    def stands_for(self) -> nn.Module:
        """The module inside."""
        return self.net

    def read(self, source: str | Path | PIL.Image.Image | np.ndarray) -> Tensor:
        """A picture as this network takes it: (1, channels, H, W) float32.

        `source` is a file of any kind that Pillow reads, a Pillow picture, or an array (see
        `smoothgrad.models.pictures.opaque_picture`). Raises `BadPicture`.
        """
        return self.preprocessing.row(source)

    def show(self, x: Tensor) -> Tensor:
        """Rows as pictures for the eye: (N, 3, H, W) in [0, 1], `read` undone. Raises `BadInput`."""
        return self.preprocessing.show(x)

    def label(self, index: int) -> str:
        """The name of a class, or "class 7" where names are not known.

        >>> Network(nn.Identity(), name="same").label(7)
        'class 7'
        """
        return self.classes[index] if 0 <= index < len(self.classes) else f"class {index}"

    @property
    def has_samples(self) -> bool:
        """Does it come with inputs to try?"""
        return self._samples is not None

    def samples(self, n: int) -> Tensor:
        """The first n inputs that come with the network: (n, *S). Raises `BadInput` where there are none."""
        return self._first(n).x

    def sample_labels(self, n: int) -> Tensor:
        """The true classes of the first n inputs: (n,)."""
        return self._first(n).labels

    def sample_names(self, n: int) -> tuple[str, ...]:
        """A name for each of the first n inputs."""
        return self._first(n).names

    def sample_regions(self, n: int) -> Tensor | None:
        """Where the thing is in the first n inputs, (n, H, W), bool; None where that is not known."""
        return self._first(n).regions

    def changed(
        self,
        *,
        name: str | None = None,
        classes: tuple[str, ...] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> Network:
        """The same `net` under another name, with other class names or another preprocessing."""
        return Network(
            self.net,
            name=self.name if name is None else name,
            classes=self.classes if classes is None else classes,
            preprocessing=preprocessing or self.preprocessing,
            samples=self._samples,
        )

    def _first(self, n: int) -> Samples:
        if self._samples is None:
            raise BadInput(f"{self.name} comes without inputs to try; read your own pictures with .read(path)")
        if n < 1:
            raise BadOption(f"{n} inputs were asked for; ask for at least one")
        return self._samples(n)

    def __repr__(self) -> str:
        known = f"{len(self.classes)} classes" if self.classes else "classes unknown"
        return f"Network({self.name!r}, {known}, {self.preprocessing})"
