"""Spaces: what they span, against sums written out."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.errors import BadMethod, ModelInTraining
from smoothgrad.features import Bounded, CodeSpace, Fourier, Pixels
from smoothgrad.features.search import shift_of
from smoothgrad.features.space import visible
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing

SHAPES = [(1, 1, 1), (2, 3, 4), (3, 5, 6), (1, 6, 5), (1, 7, 7)]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def slow_picture(z: Tensor, height: int, width: int, decay: float) -> Tensor:
    """One channel (H, W) of parameters (H, W // 2 + 1, 2): the inverse Fourier sum, half of whose terms are conjugates."""

    def frequency(k: int, m: int) -> float:
        down = min(k, height - k) / height
        return max(math.hypot(down, m / width), 1 / max(height, width))

    half = width // 2 + 1
    weights = [[frequency(k, m) ** -decay for m in range(half)] for k in range(height)]
    rms = math.sqrt(sum(w * w for line in weights for w in line) / (height * half))
    x = torch.zeros(height, width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            for k in range(height):
                for m in range(half):
                    number = complex(float(z[k, m, 0]), float(z[k, m, 1])) * weights[k][m] / rms
                    wave = cmath.exp(2j * math.pi * (k * i / height + m * j / width))
                    twice = m not in (0, width / 2)  # its conjugate stands at (-k, -m)
                    x[i, j] += (2 if twice else 1) * (number * wave).real
    return x / math.sqrt(height * width)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 3), (2, 5)])
@pytest.mark.parametrize("decay", [0.0, 1.0, 1.7])
def test_fourier_is_the_weighted_inverse_transform(height: int, width: int, decay: float) -> None:
    space = Fourier(decay)
    z = random(1, 2, height, width // 2 + 1, 2)
    # Both halves of the first (and, for even widths, last) column stand for the same waves: what does not agree is averaged.
    by_hand = torch.stack([slow_picture(z[0, channel], height, width, decay) for channel in range(2)])
    torch.testing.assert_close(space.picture(z, torch.Size([2, height, width]))[0], by_hand)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("space", [Pixels(), Fourier(0.0), Fourier(1.0), Fourier(2.0)], ids=repr)
def test_every_picture_can_be_made(space: Pixels | Fourier, shape: tuple[int, ...]) -> None:
    x = random(2, *shape)
    parameters = space.parameters(x)
    assert parameters.shape[1:] == space.size(torch.Size(shape))
    torch.testing.assert_close(space.picture(parameters, torch.Size(shape)), x)


def test_fourier_has_no_direction_that_it_cannot_go() -> None:
    shape = torch.Size([1, 4, 5])
    space = Fourier()
    flat = torch.eye(space.size(shape).numel(), dtype=torch.float64).view(-1, *space.size(shape))
    assert torch.linalg.matrix_rank(space.picture(flat, shape).flatten(1)) == shape.numel()


def test_low_frequencies_move_further() -> None:
    shape = torch.Size([1, 8, 8])

    def moved(row: int) -> float:
        z = torch.zeros(1, *Fourier().size(shape), dtype=torch.float64)
        z[0, 0, row, 1, 0] = 1
        return float(Fourier(1.0).picture(z, shape).norm())

    assert moved(0) / moved(2) == pytest.approx(math.hypot(2, 1) / 1)


def test_bounded_pictures_stay_between_their_bounds_and_come_back() -> None:
    space = Bounded(Fourier(), (-1.0, 0.0), (2.0, 0.5))
    shape = torch.Size([2, 3, 4])
    x = space.picture(100 * random(5, *space.size(shape)), shape)
    assert float(x[:, 0].min()) >= -1
    assert float(x[:, 0].max()) <= 2
    assert float(x[:, 1].min()) >= 0
    assert float(x[:, 1].max()) <= 0.5
    inside = torch.tensor([-0.5, 0.2]).double().view(1, 2, 1, 1).expand(1, 2, 3, 4)
    torch.testing.assert_close(space.picture(space.parameters(inside), shape), inside)
    edge = Bounded().parameters(torch.tensor([[0.0, 1.0]]))
    assert bool(edge.isfinite().all())


def test_the_bounds_of_a_network_are_its_black_and_white() -> None:
    pictures = Preprocessing(size=(2, 2), resize=2, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 0.5))
    net = Network(nn.Flatten(), name="flat", preprocessing=pictures)
    assert Bounded.to(net) == Bounded(Pixels(), (-1.0, -1.0, 0.0), (1.0, 3.0, 2.0))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Fourier(-1.0), "decay >= 0"),
        (lambda: Fourier().size(torch.Size([5])), "use Pixels"),
        (lambda: Bounded(low=(1.0,)), "low < high"),
        (lambda: Bounded(low=(0.0, 0.0)), "as many"),
        (lambda: Bounded(Bounded()), "not around"),
        (lambda: Bounded(Pixels(), (0.0, 0.0), (1.0, 1.0)).size(torch.Size([3, 4, 4])), "2 channels"),
        (lambda: CodeSpace(nn.Linear(2, 3).eval(), ()), "shape of a code"),
        (lambda: CodeSpace(nn.Linear(2, 3).eval(), (2,), -1.0), "weight >= 0"),
        (lambda: CodeSpace(nn.Linear(2, 3).eval(), (4,)).made(torch.zeros(())), r"refuses codes of shape \(4,\)"),
        (lambda: CodeSpace(nn.Flatten(0).eval(), (4,)).made(torch.zeros(())), "must make one picture of each"),
        (lambda: CodeSpace(nn.Linear(2, 3).eval(), (2,)).parameters(torch.zeros(1, 3)), "FromZero"),
    ],
)
def test_what_means_nothing_is_refused(make: object, reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        make()  # type: ignore[operator]


def test_a_generator_of_other_pictures_is_refused() -> None:
    space = CodeSpace(nn.Linear(2, 3).eval(), (2,))
    assert space.made(torch.zeros(())) == (3,)
    with pytest.raises(BadMethod, match=r"makes pictures of shape \(3,\), and the network is to see \(1, 8, 8\)"):
        space.picture(torch.zeros(1, 2), torch.Size([1, 8, 8]))
    with pytest.raises(ModelInTraining):
        CodeSpace(nn.Linear(2, 3).train(), (2,))


def test_a_code_costs_half_its_square() -> None:
    space = CodeSpace(nn.Linear(2, 3).eval(), (2,), weight=0.5)
    torch.testing.assert_close(space.cost(torch.tensor([[3.0, 4.0], [0.0, 1.0]])), torch.tensor([6.25, 0.25]))
    assert repr(space).startswith("CodeSpace(generator='Linear:")


def test_torchs_default_device_does_not_matter() -> None:
    z, shape = random(1, 1, 4, 3, 2), torch.Size([1, 4, 4])
    bounds = Bounded(Fourier(), (-1.0,), (2.0,))
    expected, shift, ends = bounds.picture(z, shape), shift_of(3, 5, 2, shape), visible(NETWORK)
    with torch.device("meta"):
        assert torch.equal(bounds.picture(z, shape), expected)
        assert shift_of(3, 5, 2, shape) == shift
        assert all(torch.equal(one, other) for one, other in zip(visible(NETWORK), ends, strict=True))


NETWORK = Network(nn.Flatten().eval(), name="flat", classes=(), preprocessing=Preprocessing())
