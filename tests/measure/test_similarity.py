"""How alike two maps are, judged by SciPy, scikit-image, and small numbers worked by hand."""

import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor

from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.places import at_places
from smoothgrad.measure.similarity import Hog, Pearson, Similarity, Spearman, Ssim, mean_ranks

ALL = (Spearman(), Pearson(), Ssim(), Hog())
SHAPES = ((3, 32, 32), (1, 8, 8), (2, 9, 14), (3, 30, 24))


def query(*shape: int, rows: int = 4) -> Query:
    return Query.of(torch.zeros(rows, *shape), target=0)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("similarity", ALL, ids=repr)
def test_equal_maps_are_one(similarity: Similarity, shape: tuple[int, ...]) -> None:
    for scale in (1.0, 1e-25, 1e25):
        maps = scale * noise(4, *shape)
        found = similarity.of(maps, maps.clone(), query(*shape))
        assert found.dtype == torch.float64
        assert (found - 1).abs().max() < 1e-14


@pytest.mark.parametrize("shape", [(5,), (2, 7), (3, 9, 9), (1, 3, 4, 5)])
def test_correlations_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    a, b = noise(4, *shape), noise(4, *shape, seed=1)
    # Many ties: values in steps of a half.
    a, b = (2 * a).round() / 2, ((a + b) * 2).round() / 2
    asked = query(*shape)
    spearman, pearson = Spearman().of(a, b, asked), Pearson().of(a, b, asked)
    for row, (one, other) in enumerate(zip(at_places(a, asked).numpy(), at_places(b, asked).numpy(), strict=True)):
        assert spearman[row].item() == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
        assert pearson[row].item() == pytest.approx(stats.pearsonr(one, other).statistic, abs=1e-12)


def test_ranks_of_equal_values_are_shared() -> None:
    values = torch.tensor([[3.0, 1.0, 3.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert mean_ranks(values).tolist() == [[3, 1, 3, 3, 0], [2, 2, 2, 2, 2]]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 11, 11), (2, 12, 15)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    a = noise(4, *shape)
    b = a + noise(4, *shape, seed=1)
    found = Ssim().of(a, b, query(*shape))
    for row in range(4):
        one, other = (unit(part[row].double().sum(0).numpy()) for part in (a, b))
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        want = structural_similarity(one, other, data_range=1.0, **settings)
        assert found[row].item() == pytest.approx(want, abs=1e-12)


def slow_ssim(a: np.ndarray, b: np.ndarray, window: int) -> float:
    """Wang et al. 2004, window by window, of two pictures in [0, 1]."""
    half = window // 2
    weight = np.array(
        [[np.exp(-(i**2 + j**2) / (2 * 1.5**2)) for j in range(-half, half + 1)] for i in range(-half, half + 1)]
    )
    weight /= weight.sum()
    found = []
    for top in range(a.shape[0] - window + 1):
        for left in range(a.shape[1] - window + 1):
            x, y = (part[top : top + window, left : left + window] for part in (a, b))
            m_x, m_y = (weight * x).sum(), (weight * y).sum()
            v_x, v_y = (weight * (x - m_x) ** 2).sum(), (weight * (y - m_y) ** 2).sum()
            v_xy = (weight * (x - m_x) * (y - m_y)).sum()
            light = (2 * m_x * m_y + 1e-4) / (m_x**2 + m_y**2 + 1e-4)
            found.append(light * (2 * v_xy + 9e-4) / (v_x + v_y + 9e-4))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("shape", "window", "used"), [((1, 8, 8), 11, 7), ((2, 9, 14), 11, 9), ((3, 3, 5), 11, 3), ((1, 10, 8), 3, 3)]
)
def test_the_window_of_ssim_fits_small_pictures(shape: tuple[int, ...], window: int, used: int) -> None:
    a = noise(4, *shape)
    b = a + noise(4, *shape, seed=1)
    found = Ssim(window).of(a, b, query(*shape))
    for row in range(4):
        one, other = (unit(part[row].double().sum(0).numpy()) for part in (a, b))
        assert found[row].item() == pytest.approx(slow_ssim(one, other, used), abs=1e-10)


def test_hog_of_small_pictures_has_small_cells() -> None:
    a, b = noise(2, 1, 8, 8), noise(2, 1, 8, 8, seed=1)
    found = Hog().of(a, b, query(1, 8, 8, rows=2))
    for row in range(2):
        one, other = (hog(unit(part[row, 0].double().numpy()), pixels_per_cell=(2, 2)) for part in (a, b))
        assert found[row].item() == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-12)


def test_hog_sees_the_direction_of_edges() -> None:
    across = torch.arange(32.0).div(4).sin().expand(1, 1, 32, 32)
    down, asked = across.transpose(2, 3), query(1, 32, 32, rows=1)
    shifted = across.roll(2, 3)
    assert Hog().of(across, shifted, asked) > 0.5 > Hog().of(across, down, asked)


@pytest.mark.parametrize("similarity", ALL, ids=repr)
def test_unrelated_maps_are_unlike(similarity: Similarity) -> None:
    found = similarity.of(noise(40, 1, 32, 32), noise(40, 1, 32, 32, seed=1), query(1, 32, 32, rows=40))
    assert found.mean().abs() < (
        0.2 if similarity == Hog() else 0.1
    )  # histograms are never negative, and share their blocks
    assert found.max() < 0.4


@pytest.mark.parametrize("similarity", ALL, ids=repr)
def test_scale_and_shift_do_not_matter(similarity: Similarity) -> None:
    a, b, asked = noise(4, 2, 16, 16), noise(4, 2, 16, 16, seed=1), query(2, 16, 16)
    assert torch.allclose(similarity.of(a, b, asked), similarity.of(7 * a + 3, b / 9 - 1, asked), atol=1e-5)


@pytest.mark.parametrize("similarity", ALL, ids=repr)
def test_it_does_not_matter_which_map_comes_first(similarity: Similarity) -> None:
    a, b, asked = noise(4, 2, 16, 16), noise(4, 2, 16, 16, seed=1), query(2, 16, 16)
    assert torch.allclose(similarity.of(a, b, asked), similarity.of(b, a, asked), atol=1e-14)


@pytest.mark.parametrize("similarity", ALL, ids=repr)
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_nothing_is_like_a_constant_map(similarity: Similarity, value: float) -> None:
    a, b = noise(4, 2, 16, 16), noise(4, 2, 16, 16, seed=1)
    a[1], b[2] = value, value
    assert similarity.of(a, b, query(2, 16, 16)).isnan().tolist() == [False, True, True, False]


def test_only_spearman_is_blind_to_a_monotone_change() -> None:
    a, b, asked = noise(4, 1, 12, 12), noise(4, 1, 12, 12, seed=1), query(1, 12, 12)
    assert torch.equal(Spearman().of(a, b, asked), Spearman().of(a.exp(), b, asked))
    assert not torch.allclose(Pearson().of(a, b, asked), Pearson().of(a.exp(), b, asked), atol=1e-3)


@pytest.mark.parametrize("similarity", [Ssim(), Hog()], ids=repr)
@pytest.mark.parametrize("shape", [(5,), (2, 40), (1, 2, 40), (1, 4, 4, 4)])
def test_what_compares_pictures_wants_pictures(similarity: Similarity, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="Spearman"):
        similarity.check(query(*shape))
    Spearman().check(query(*shape))


def test_windows_and_cells_are_checked() -> None:
    for window in (1, 4, -3):
        with pytest.raises(BadMethod, match="window"):
            Ssim(window)
    with pytest.raises(BadMethod, match="cells"):
        Hog(0)


@pytest.mark.parametrize("similarity", ALL, ids=repr)
def test_they_are_values(similarity: Similarity) -> None:
    assert pickle.loads(pickle.dumps(similarity)) == similarity
    assert type(similarity)() == similarity
