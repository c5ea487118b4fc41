"""Over-segmentation of pictures."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_dilation
from torch import Tensor

from smoothgrad.errors import BadInput, BadMethod, MissingPackage
from smoothgrad.explainers.segments import SCALES, felzenszwalb_segments, masks


def quarters(size: int = 40, width: int | None = None) -> Tensor:
    """Four quarters of different colours (3, size, width)."""
    width = width or size
    colours = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    down, right = torch.arange(size) >= size // 2, torch.arange(width) >= width // 2
    return colours[2 * down.long()[:, None] + right.long()].permute(2, 0, 1)


def textured(size: int = 64, channels: int = 3) -> Tensor:
    coarse = torch.rand(1, channels, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fine = torch.rand(channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return F.interpolate(coarse, size=(size, size), mode="bicubic")[0] + 0.1 * fine


def test_quarters_are_found_at_every_scale() -> None:
    found = felzenszwalb_segments(quarters(), sigma=0.0)
    assert len(found) == len(SCALES)
    down, right = torch.arange(40) >= 20, torch.arange(40) >= 20
    for labels in found:
        assert torch.equal(labels, 2 * down.long()[:, None] + right.long()), "numbered as one reads"


def test_every_pixel_has_one_segment_and_every_number_its_pixels() -> None:
    for labels in felzenszwalb_segments(textured()):
        assert labels.shape == (64, 64)
        assert labels.dtype == torch.int64
        assert torch.equal(labels.unique(), torch.arange(int(labels.max()) + 1))
        firsts = [int((labels.flatten() == number).nonzero()[0]) for number in labels.unique()]
        assert firsts == sorted(firsts)


def test_larger_scales_have_fewer_segments() -> None:
    counts = [int(labels.max()) + 1 for labels in felzenszwalb_segments(textured(), (20.0, 200.0, 5000.0), min_size=1)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


@pytest.mark.parametrize("min_size", [150, 1500])
def test_small_segments_are_joined_to_their_neighbours(min_size: int) -> None:
    (labels,) = felzenszwalb_segments(textured(), (20.0,), min_size)
    # Numbers are meant for 224 x 224 pixels, of which 64 x 64 are a twelfth.
    assert int(labels.flatten().bincount().min()) >= round(min_size * 64**2 / 224**2)


def test_numbers_mean_the_same_on_pictures_of_other_sizes() -> None:
    """The same scene at another resolution has about as many segments."""
    generator = torch.Generator().manual_seed(0)
    coarse, fine = (torch.rand(1, 3, n, n, generator=generator, dtype=torch.float64) for n in (6, 40))
    scene = F.interpolate(coarse, size=(448, 448), mode="bicubic") + 0.3 * F.interpolate(fine, size=(448, 448))
    counts = []
    for size in (224, 64, 112, 448):
        picture = F.interpolate(scene, size=(size, size), mode="bilinear", antialias=True)[0]
        counts.append([int(labels.max()) + 1 for labels in felzenszwalb_segments(picture, (50.0, 150.0, 500.0))])
    for row in counts:
        for count, expected in zip(row, counts[0], strict=True):
            assert expected / 1.7 < count < 1.7 * expected


def test_a_large_picture_has_labels_of_its_own_size() -> None:
    (labels,) = felzenszwalb_segments(quarters(300, 500), (500.0,), sigma=0.0)
    assert labels.shape == (300, 500)
    counts = labels.flatten().bincount().sort(descending=True).values
    assert int(counts[:4].sum()) > 0.98 * labels.numel(), "at most a line between the quarters"
    edges = (labels[:, 1:] != labels[:, :-1]).nonzero()[:, 1].unique()
    assert all(abs(int(edge) + 1 - 250) <= 2 for edge in edges)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels(channels: int) -> None:
    labels = felzenszwalb_segments(textured(32, channels))
    assert int(labels[0].max()) > int(labels[-1].max()) >= 0
    if channels == 1:
        assert all(map(torch.equal, labels, felzenszwalb_segments(textured(32, 1)[0])))


def test_the_unit_of_the_picture_does_not_matter() -> None:
    for one, other in zip(felzenszwalb_segments(textured()), felzenszwalb_segments(8 * textured()), strict=True):
        assert torch.equal(one, other)


def test_a_constant_picture_is_one_segment() -> None:
    assert not any(labels.any() for labels in felzenszwalb_segments(torch.full((3, 10, 12), 0.7)))


def test_what_the_caller_does_with_labels_stays_with_the_caller() -> None:
    first = felzenszwalb_segments(quarters())[0]
    kept = first.clone()
    first.zero_()
    assert int(kept.max()) == 3
    assert torch.equal(felzenszwalb_segments(quarters())[0], kept)


@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_masks_are_grown_by_a_disc(radius: int) -> None:
    labels = felzenszwalb_segments(textured(24), (50.0,), sigma=0.5)[0]
    found = masks(labels, radius)
    down, right = torch.meshgrid(*(torch.arange(-radius, radius + 1),) * 2, indexing="ij")
    disc = (down**2 + right**2 <= radius**2).numpy()
    assert len(found) == int(labels.max()) + 1
    for number, mask in enumerate(found):
        assert torch.equal(mask, torch.from_numpy(binary_dilation((labels == number).numpy(), disc)))


def test_a_disc_larger_than_the_picture_covers_it() -> None:
    assert bool(masks(torch.tensor([[0, 1], [1, 1]]), 9).all())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadMethod, match=r"one scale or more, each finite and > 0, got \(\)"):
        felzenszwalb_segments(quarters(), ())
    with pytest.raises(BadMethod, match="one scale or more, each finite and > 0"):
        felzenszwalb_segments(quarters(), (10.0, -1.0))
    with pytest.raises(BadMethod, match="min_size >= 1, got 0"):
        felzenszwalb_segments(quarters(), min_size=0)
    with pytest.raises(BadMethod, match="sigma >= 0, got -1"):
        felzenszwalb_segments(quarters(), sigma=-1.0)
    for wrong in (torch.zeros(4), torch.zeros(2, 3, 4, 4), torch.zeros(3, 0, 4)):
        with pytest.raises(BadInput, match=r"a picture \(C, H, W\) or \(H, W\), got shape"):
            felzenszwalb_segments(wrong)


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingPackage, match=r"pip install 'smoothgrad\[segments\]'"):
        felzenszwalb_segments(quarters(17))
