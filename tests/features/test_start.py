"""Where the climb begins."""

from __future__ import annotations

import pytest
import torch

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.features import Bounded, Fourier, FromNoise, FromPicture, FromZero, Pixels

X = torch.zeros(3, 2, 16, 16)
KEYS = torch.tensor([7, 8, 9])


def test_zero_is_zero_and_between_bounds_their_middle() -> None:
    assert torch.equal(FromZero().parameters(Fourier(), X, KEYS), torch.zeros(3, 2, 16, 9, 2))
    space = Bounded(low=(-1.0,), high=(2.0,))
    middle = space.picture(FromZero().parameters(space, X, KEYS), X.shape[1:])
    assert torch.equal(middle, torch.full_like(X, 0.5))


def test_noise_has_its_size_and_belongs_to_the_row() -> None:
    noise = FromNoise(0.5).parameters(Pixels(), X, KEYS)
    assert float(noise.std()) == pytest.approx(0.5, rel=0.05)
    alone = FromNoise(0.5).parameters(Pixels(), X[:1], KEYS[1:2])
    assert torch.equal(noise[1:2], alone)
    assert not torch.equal(noise[0], noise[1])


def test_a_picture_is_begun_with() -> None:
    rows = torch.rand(3, 2, 16, 16)
    for given, expected in (
        (rows, rows),
        (rows[0], rows[:1].expand(3, -1, -1, -1)),
        (rows[:1], rows[:1].expand(3, -1, -1, -1)),
    ):
        begun = Fourier().picture(FromPicture(given).parameters(Fourier(), X, KEYS), X.shape[1:])
        torch.testing.assert_close(begun, expected)


def test_the_mean_of_a_class_is_the_mean_of_its_pictures() -> None:
    x, labels = torch.rand(6, 2), torch.tensor([0, 1, 1, 0, 1, 2])
    expected = (x[1] + x[2] + x[4]) / 3
    torch.testing.assert_close(FromPicture.mean(x, labels, 1).parameters(Pixels(), x[:1], KEYS[:1]), expected[None])
    torch.testing.assert_close(FromPicture.mean(x).parameters(Pixels(), x[:1], KEYS[:1]), x.mean(0, keepdim=True))


def test_a_start_is_a_value() -> None:
    assert FromPicture(torch.ones(2)) == FromPicture(torch.ones(2)) != FromPicture(torch.zeros(2))


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: FromNoise(-0.1), BadMethod, "noise >= 0"),
        (lambda: FromPicture(torch.tensor([1])), BadInput, "floating-point"),
        (lambda: FromPicture(torch.tensor([torch.nan])), BadInput, "finite"),
        (lambda: FromPicture.mean(X, torch.tensor([1, 1, 1]), 2), BadInput, "none of the 3 pictures is of class 2"),
        (lambda: FromPicture.mean(X, torch.tensor([1, 1, 1])), BadInput, "give both"),
        (
            lambda: FromPicture(torch.zeros(2, 2, 16, 16)).parameters(Pixels(), X, KEYS),
            BadInput,
            "one row, or one for each",
        ),
    ],
)
def test_what_means_nothing_is_refused(make: object, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        make()  # type: ignore[operator]
