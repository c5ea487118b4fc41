"""Data sets to train small networks on: the bundled digits, MNIST and CIFAR-10 from a folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from smoothgrad.errors import BadInput, UnknownName, nearest
from smoothgrad.models import digits
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.models.trained import CIFAR_CLASSES, CIFAR_PICTURES, MNIST_PICTURES

MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CIFAR_ARCHIVE, CIFAR_TEST = "cifar10-train.zip", "cifar10-test"


class Part(NamedTuple):
    """Pictures with their classes. Bytes, since a large set would fill the memory as numbers of four bytes."""

    x: Tensor  # (n, channels, H, W) uint8
    labels: Tensor  # (n,) int64
    names: tuple[str, ...]  # of each picture

    def first(self, count: int) -> Part:
        """The first so many. Raises `BadInput` where there are fewer."""
        if count > len(self.labels):
            raise BadInput(f"{count} pictures were asked for and there are {len(self.labels)}; ask for fewer")
        return Part(self.x[:count], self.labels[:count], self.names[:count])


class _Held(NamedTuple):
    """What a data set holds."""

    name: str
    train: Part
    held_out: Part
    classes: tuple[str, ...]
    preprocessing: Preprocessing  # from bytes to rows


@final
class DataSet(_Held):
    """What a network is trained on, and what it is tested on. (A class below the tuple, since a tuple remembers no digest.)"""

    @cached_property
    def digest(self) -> str:
        """What names it by all that it holds: the first 16 hexadecimal digits of a SHA-256. Computed once, as it holds much."""
        content = hashlib.sha256(repr((self.name, self.classes, self.preprocessing)).encode())
        for part in (self.train, self.held_out):
            content.update(repr((part.x.shape, part.x.dtype, part.names)).encode())
            content.update(part.x.contiguous().numpy().data)
            content.update(part.labels.contiguous().numpy().data)
        return content.hexdigest()[:16]

    def rows(self, x: Tensor) -> Tensor:
        """Pictures (n, channels, H, W), bytes, as the network takes them, float32."""
        return self.scaled(x.float() / 255)

    def scaled(self, values: Tensor) -> Tensor:
        """Values (n, channels, H, W) that go from 0 to 1 as the network takes them:  (v - mean) / std."""
        mean, std = (
            torch.tensor(numbers).view(-1, 1, 1) for numbers in (self.preprocessing.mean, self.preprocessing.std)
        )
        return (values - mean) / std


def data_set(name: str) -> DataSet:
    """A data set by name: "digits" (bundled), "mnist:FOLDER", "cifar10:FOLDER".

    MNIST's folder holds the four files train-images-idx3-ubyte.gz and so on; that of CIFAR-10 holds cifar10-train.zip
    (`<class>/NNNN.jpg` or `.png`) and cifar10-test/`<class>`/NNNN.png. Raises `UnknownName` for another name, `BadInput` where
    files are missing or damaged; both before anything long begins.

    >>> data_set("digits").train.x.shape
    torch.Size([1442, 1, 8, 8])
    """
    kind, _, folder = name.partition(":")
    if kind not in READERS:
        raise UnknownName(f"no data set is called {name!r}; {nearest(kind, READERS)}")
    if kind == "digits" and name != kind:
        raise BadInput(f"digits come with the package and are read from no folder, got {name!r}; write digits")
    if kind != "digits" and not folder:
        raise BadInput(f"{kind} is read from a folder; write {kind}:FOLDER")
    return READERS[kind](Path(folder).expanduser())


def _digits(_: Path) -> DataSet:
    scans = digits.scans()

    def part(chosen: Tensor) -> Part:
        names = tuple(f"digit {int(scans.labels[index])}, scan {int(index)}" for index in chosen)
        return Part((scans.x[chosen] * 255).round().to(torch.uint8), scans.labels[chosen], names)

    return DataSet("digits", part(scans.train), part(scans.held_out), digits.CLASSES, digits.PREPROCESSING)


def _mnist(folder: Path) -> DataSet:
    _need(folder, MNIST_FILES)
    images, labels, test_images, test_labels = (_idx(folder / file) for file in MNIST_FILES)

    def part(kind: str, x: Tensor, labels: Tensor) -> Part:
        if x.shape[1:] != MNIST_PICTURES.size or labels.shape != x.shape[:1]:
            raise BadInput(
                f"the {kind} files in {folder} hold pictures {tuple(x.shape)} and labels {tuple(labels.shape)}, not "
                "(n, 28, 28) and (n,); get them again"
            )
        if len(labels) and labels.max() >= len(digits.CLASSES):
            raise BadInput(
                f"the {kind} files in {folder} hold a label {int(labels.max())}, and digits go to 9; get them again"
            )
        return Part(x[:, None], labels.long(), tuple(f"{kind} {index}" for index in range(len(x))))

    return DataSet(
        "mnist", part("train", images, labels), part("test", test_images, test_labels), digits.CLASSES, MNIST_PICTURES
    )


def _cifar10(folder: Path) -> DataSet:
    _need(folder, (CIFAR_ARCHIVE, CIFAR_TEST))
    test = sorted((folder / CIFAR_TEST).glob("*/*.png"), key=lambda file: (file.stem, file.parent.name))
    if not test:
        raise BadInput(f"there are no pictures in {folder / CIFAR_TEST}; they lie there as <class>/NNNN.png")
    try:
        with zipfile.ZipFile(folder / CIFAR_ARCHIVE) as archive:
            members = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
            if not members:
                raise BadInput(
                    f"there are no pictures in {folder / CIFAR_ARCHIVE}; they lie there as <class>/NNNN.jpg or .png"
                )
            train = _part(members, lambda name: io.BytesIO(archive.read(name)))
    except (zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{folder / CIFAR_ARCHIVE} is no zip file, or is damaged ({error}); get it again") from error
    files = {f"{file.parent.name}/{file.name}": file for file in test}
    return DataSet("cifar10", train, _part(list(files), files.__getitem__), CIFAR_CLASSES, CIFAR_PICTURES)


READERS: dict[str, Callable[[Path], DataSet]] = {"digits": _digits, "mnist": _mnist, "cifar10": _cifar10}


def _part(names: Sequence[str], source: Callable[[str], Path | io.BytesIO]) -> Part:
    """CIFAR pictures by their names, `<class>/NNNN.png`."""
    from PIL import Image, UnidentifiedImageError

    x = np.empty((len(names), 32, 32, 3), np.uint8)
    for index, name in enumerate(names):
        kind = f"/{name}".split("/")[-2]
        if kind not in CIFAR_CLASSES:
            raise BadInput(
                f"{name}: CIFAR-10 has no class {kind!r}; pictures lie as <class>/NNNN.png; {nearest(kind, CIFAR_CLASSES)}"
            )
        try:
            with Image.open(source(name)) as picture:
                if picture.size != (32, 32):  # one pixel would be spread over all
                    raise ValueError(f"it has {picture.size[0]} x {picture.size[1]}")
                x[index] = np.asarray(picture.convert("RGB"))
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise BadInput(f"{name} is no picture of 32 x 32 pixels, or is damaged ({error}); get it again") from error
    labels = torch.tensor([CIFAR_CLASSES.index(name.split("/")[-2]) for name in names])
    return Part(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), labels, tuple(names))


def _idx(file: Path) -> Tensor:
    """An IDX file of bytes (Y. LeCun): two zeros, 8 for bytes, the number of dimensions, each as four bytes, then the bytes."""
    try:
        content = gzip.decompress(file.read_bytes())
        if len(content) < 4 or content[:3] != b"\x00\x00\x08":
            raise ValueError("it does not begin as an IDX file of bytes does")
        dims = content[3]
        shape = np.frombuffer(content, ">i4", count=dims, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadInput(f"{file} is no IDX file, or is damaged ({error}); get it again") from error
    return torch.from_numpy(values.copy())


def _need(folder: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise BadInput(f"{folder} holds no {missing[0]}; give the folder that holds {', '.join(names)}")
