"""From a picture to a row, and back for the eye."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.errors import BadInput, BadOption, UnknownName
from smoothgrad.models.preprocessing import Preprocessing
from tests.nets import HALF, photograph_files, photographs

PLAIN = Preprocessing(size=(4, 4), resize=4, mean=HALF, std=(0.25, 0.5, 1.0))


def test_a_row_is_the_values_less_the_mean_over_the_std() -> None:
    x = PLAIN.row(np.full((4, 4, 3), 1.0))
    assert x[0, :, 0, 0].tolist() == pytest.approx([2.0, 1.0, 0.5])


def test_showing_a_row_gives_the_picture_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    shown = PLAIN.show(PLAIN.row(picture))
    torch.testing.assert_close(shown[0], torch.from_numpy(picture).permute(2, 0, 1) / 255)


def test_grey_rows_are_shown_as_three_channels_and_clipped() -> None:
    grey = Preprocessing(channels=1, size=(2, 2), resize=2, mean=(0.0,), std=(1.0,))
    shown = grey.show(torch.tensor([-1.0, 0.0, 0.5, 2.0]).view(1, 1, 2, 2))
    assert shown.shape == (1, 3, 2, 2)
    assert shown[0, 2].flatten().tolist() == [0, 0, 0.5, 1]


def test_rows_that_need_a_gradient_can_be_shown() -> None:
    assert not PLAIN.show(torch.zeros(1, 3, 4, 4, requires_grad=True)).requires_grad


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (2, 8)])
def test_only_rows_of_its_own_channels_are_shown(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"pictures here are \(N, 3, H, W\)"):
        PLAIN.show(torch.zeros(shape))


@given(height=st.integers(1, 40), width=st.integers(1, 40), resize=st.integers(1, 20))
def test_every_picture_becomes_a_row_of_the_size_asked_for(height: int, width: int, resize: int) -> None:
    preprocessing = Preprocessing(size=(7, 5), resize=resize)
    assert preprocessing.row(np.zeros((height, width), np.uint8)).shape == (1, 3, 7, 5)


def test_without_a_size_the_picture_keeps_its_own() -> None:
    assert Preprocessing(size=None, resize=None).row(np.zeros((13, 7), np.uint8)).shape == (1, 3, 13, 7)


@pytest.mark.parametrize(
    ("before", "size", "resize"),
    [
        (Preprocessing(size=(224, 224), resize=256), 225, 257),
        (Preprocessing(size=(224, 224), resize=(224, 224)), (112, 56), (112, 56)),
        (Preprocessing(size=(224, 224), resize=None), 100, None),
        (Preprocessing(size=None, resize=None), 100, 100),
    ],
)
def test_another_size_keeps_the_share_that_is_cut_out(
    before: Preprocessing, size: int | tuple[int, int], resize: object
) -> None:
    after = before.changed(size=size)
    assert after.size == ((size, size) if isinstance(size, int) else size)
    assert after.resize == resize


def test_one_number_stands_for_every_channel() -> None:
    after = Preprocessing().changed(mean=0.5, std=(0.1, 0.2, 0.3))
    assert (after.mean, after.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))


def test_nothing_changed_is_the_same_value() -> None:
    assert PLAIN.changed() == PLAIN


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"channels": 4}, "1 or 3 channels, not 4"),
        ({"mean": (0.5, 0.5)}, "mean is .*3 finite numbers"),
        ({"std": (1.0, 1.0, float("nan"))}, "std is .*3 finite numbers"),
        ({"std": (1.0, 1.0, 0.0)}, "divided by it"),
        ({"mean": (127.5, 0.0, 0.0)}, "mean: pixels go from 0 to 1; got 127.5; divide by 255"),
        ({"std": (57.4, 57.1, 58.4)}, "std: pixels go from 0 to 1; got 58.4; divide by 255"),
        ({"size": (0, 5)}, "size is .*at least one pixel"),
        ({"resize": 0}, "resize is .*at least one pixel"),
    ],
)
def test_values_that_mean_nothing_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(BadOption, match=reason):
        Preprocessing(**options)


def test_a_wrong_interpolation_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bilinear'"):
        Preprocessing(interpolation="bilinea")


def test_a_new_size_below_one_pixel_is_refused() -> None:
    with pytest.raises(BadOption, match="at least one pixel"):
        Preprocessing().changed(size=0)


@pytest.mark.real
def test_photographs_become_the_rows_that_the_data_describes() -> None:
    expected, _ = photographs(6)
    rows = [Preprocessing().row(file) for file, _ in photograph_files(6)]
    torch.testing.assert_close(torch.cat(rows), expected)
