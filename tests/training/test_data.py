"""Data sets: what is read, and what is said of files that are missing, damaged or of something else."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smoothgrad.errors import BadInput, UnknownName
from smoothgrad.models import digits
from smoothgrad.training.data import CIFAR_ARCHIVE, CIFAR_TEST, MNIST_FILES, data_set


def idx(values: np.ndarray) -> bytes:
    """An IDX file of bytes, unpacked."""
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return head + values.astype(np.uint8).tobytes()


def mnist(folder: Path, count: int = 6) -> Path:
    """Four files as MNIST's are; picture i is full of i, and its class is i."""
    pictures = np.arange(count)[:, None, None] * np.ones((1, 28, 28), int)
    for name, values in zip(MNIST_FILES, (pictures, np.arange(count)) * 2, strict=True):
        (folder / name).write_bytes(gzip.compress(idx(values)))
    return folder


def picture(shade: int, size: tuple[int, int] = (32, 32)) -> bytes:
    """A grey PNG."""
    stream = io.BytesIO()
    Image.new("RGB", size, (shade,) * 3).save(stream, "PNG")
    return stream.getvalue()


def cifar(folder: Path, members: dict[str, bytes] | None = None) -> Path:
    """A folder as CIFAR-10's is: these pictures to train on, and two to test on."""
    with zipfile.ZipFile(folder / CIFAR_ARCHIVE, "w") as archive:
        for name, content in (members or {"frog/0001.png": picture(10), "cat/0000.png": picture(20)}).items():
            archive.writestr(name, content)
    for name, shade in (("cat/0001.png", 30), ("ship/0000.png", 40)):
        file = folder / CIFAR_TEST / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(shade))
    return folder


# --- what is read ------------------------------------------------------------------------------------------------------


def test_the_bundled_digits_are_those_of_the_embedded_network() -> None:
    data, scans = data_set("digits"), digits.scans()
    assert len(data.train.labels) == 1442
    assert len(data.held_out.labels) == 355
    assert data.held_out.names[0].startswith("digit 0, scan ")
    rows = data.rows(data.held_out.x)
    assert (rows - scans.x[scans.held_out]).abs().max() < 0.5 / 255 + 1e-6  # bytes
    assert torch.equal(data.held_out.labels, scans.labels[scans.held_out])


def test_mnist_is_read_from_its_four_files(tmp_path: Path) -> None:
    data = data_set(f"mnist:{mnist(tmp_path)}")
    assert data.train.x.shape == (6, 1, 28, 28)
    assert data.train.x.dtype == torch.uint8
    assert data.train.x[3].unique().tolist() == [3]
    assert data.held_out.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.held_out.names[5] == "test 5"


def test_cifar_is_read_from_its_zip_and_its_folder(tmp_path: Path) -> None:
    data = data_set(f"cifar10:{cifar(tmp_path)}")
    assert data.train.x.shape == (2, 3, 32, 32)
    assert data.train.names == ("cat/0000.png", "frog/0001.png")
    assert data.train.labels.tolist() == [3, 6]
    assert data.train.x[:, 0, 0, 0].tolist() == [20, 10]
    # By number first, so that the first pictures are of several classes.
    assert data.held_out.names == ("ship/0000.png", "cat/0001.png")
    assert data.held_out.labels.tolist() == [8, 3]


def test_rows_are_scaled_by_mean_and_deviation(tmp_path: Path) -> None:
    data = data_set(f"cifar10:{cifar(tmp_path)}")
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (data.preprocessing.mean, data.preprocessing.std))
    assert torch.allclose(data.rows(data.train.x), (data.train.x / 255 - mean) / std)


def test_a_data_set_is_named_by_all_that_it_holds() -> None:
    data = data_set("digits")
    data = data._replace(train=data.train.first(6), held_out=data.held_out.first(4))
    held = {
        data.digest,
        data._replace(name="other").digest,
        data._replace(classes=data.classes[::-1]).digest,
        data._replace(preprocessing=data.preprocessing.changed(mean=0.5)).digest,
        *(
            data._replace(**{part: some}).digest
            for part in ("train", "held_out")
            for some in (
                getattr(data, part)._replace(x=getattr(data, part).x.flip(-1)),  # the same values elsewhere
                getattr(data, part)._replace(labels=getattr(data, part).labels.roll(1)),
            )
        ),
    }
    assert len(held) == 8
    assert data.digest == data._replace().digest
    assert "digest" in vars(data)  # computed once


def test_the_bundled_digits_are_read_from_no_folder() -> None:
    for name in ("digits:photos", "digits:"):
        with pytest.raises(BadInput, match="are read from no folder"):
            data_set(name)


def test_the_first_pictures_of_a_part() -> None:
    part = data_set("digits").held_out
    assert part.first(2).names == part.names[:2]
    with pytest.raises(BadInput, match="356 pictures were asked for and there are 355"):
        part.first(356)


# --- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"), [("digit", "digits"), ("mnst:here", "mnist"), ("cifar:here", "cifar10"), ("", "known")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        data_set(name)


@pytest.mark.parametrize("kind", ["mnist", "cifar10"])
def test_a_folder_that_is_missing_or_empty(kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"write {kind}:FOLDER"):
        data_set(kind)
    with pytest.raises(BadInput, match="holds no"):
        data_set(f"{kind}:{tmp_path}")
    with pytest.raises(BadInput, match="holds no"):
        data_set(f"{kind}:{tmp_path / 'nowhere'}")


GOOD = idx(np.zeros((6, 28, 28), int))
DAMAGE: dict[str, tuple[int, Callable[[], bytes]]] = {
    "no gzip": (0, lambda: b"hello"),
    "empty": (0, lambda: b""),
    "cut off": (0, lambda: gzip.compress(GOOD)[:40]),
    "short": (0, lambda: gzip.compress(GOOD[:-1])),
    "no header": (0, lambda: gzip.compress(b"\x00\x00")),
    "cut header": (0, lambda: gzip.compress(GOOD[:6])),
    "numbers of another kind": (0, lambda: gzip.compress(b"\x00\x00\x0d" + GOOD[3:])),
    "flat pictures": (0, lambda: gzip.compress(idx(np.zeros((6, 784), int)))),
    "fewer pictures": (0, lambda: gzip.compress(idx(np.zeros((5, 28, 28), int)))),
    "pictures as labels": (1, lambda: gzip.compress(GOOD)),
    "a label too large": (3, lambda: gzip.compress(idx(np.array([0, 1, 2, 3, 4, 10])))),
    "of other size": (2, lambda: gzip.compress(idx(np.zeros((6, 14, 14), int)))),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_a_damaged_mnist_file_is_refused(kind: str, tmp_path: Path) -> None:
    mnist(tmp_path)
    which, content = DAMAGE[kind]
    (tmp_path / MNIST_FILES[which]).write_bytes(content())
    with pytest.raises(BadInput, match=r"get (it|them) again"):
        data_set(f"mnist:{tmp_path}")


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / MNIST_FILES[0]).unlink()
    (tmp_path / MNIST_FILES[0]).mkdir()
    with pytest.raises(BadInput, match="damaged"):
        data_set(f"mnist:{tmp_path}")


def test_a_zip_that_is_none(tmp_path: Path) -> None:
    (cifar(tmp_path) / CIFAR_ARCHIVE).write_bytes(b"PK no more")
    with pytest.raises(BadInput, match="is no zip file"):
        data_set(f"cifar10:{tmp_path}")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"readme.txt": b"hello"}, "no pictures"),
        ({"0001.png": picture(3)}, "<class>/NNNN"),
        ({"cta/0001.png": picture(3)}, "did you mean 'cat'"),
        ({"cat/0001.png": b"no picture"}, "damaged"),
        ({"cat/0001.png": picture(3)[:60]}, "damaged"),
        ({"cat/0001.png": picture(3, (16, 16))}, "32 x 32"),
        ({"cat/0001.png": picture(3, (1, 1))}, "32 x 32"),
    ],
)
def test_a_zip_of_something_else(members: dict[str, bytes], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        data_set(f"cifar10:{cifar(tmp_path, members)}")


def test_a_damaged_member_of_the_zip(tmp_path: Path) -> None:
    file = cifar(tmp_path) / CIFAR_ARCHIVE
    content = bytearray(file.read_bytes())
    content[60] ^= 0xFF  # inside the first picture
    file.write_bytes(bytes(content))
    with pytest.raises(BadInput, match="get it again"):
        data_set(f"cifar10:{tmp_path}")


def test_no_test_pictures(tmp_path: Path) -> None:
    for file in (cifar(tmp_path) / CIFAR_TEST).glob("*/*"):
        file.unlink()
    with pytest.raises(BadInput, match="no pictures in"):
        data_set(f"cifar10:{tmp_path}")
