"""Faithfulness by order, against closed forms and against the papers' definitions written slowly."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.monotonicity import Monotonicity, MonotonicityCorrelation
from smoothgrad.measure.removal import Replaced
from tests.measure.test_correlation import MAPS, PICTURES, Dead, net, run, same_for_every_batch, without
from tests.truth import Linear

SIZE = 12
W = torch.linspace(0.4, 2, SIZE, dtype=torch.float64)
SIGNS = torch.randn(6, SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64).sign()
ALL = [Monotonicity(steps=7), MonotonicityCorrelation(steps=7, samples=4)]


class Inhibited(nn.Module):
    """a (1 - b), of rows (a, b): b hinders a, and does nothing by itself."""

    def forward(self, x: Tensor) -> Tensor:
        score = x[:, 0] * (1 - x[:, 1])
        return torch.stack([-score, score], 1)


def test_a_score_that_only_rises_is_monotonic_and_one_that_only_falls_is_not() -> None:
    x = SIGNS.abs()
    maps = torch.randn(6, SIZE, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    for target, truth in ((0, 1.0), (1, 0.0)):
        found = run(Monotonicity(), Linear(W), x, maps, target=target)
        assert found.value.tolist() == [truth] * 6


def test_where_order_matters_the_map_that_knows_it_scores_higher() -> None:
    x = torch.ones(2, 2, dtype=torch.float64)
    maps = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)  # b first: 0, 0, 0; a first: 0, 1, 0
    found = run(Monotonicity(), Inhibited(), x - torch.tensor([0.0, 0.2]).double(), maps)
    assert found.value.tolist() == [1.0, 0.5]
    assert found.curve is not None
    torch.testing.assert_close(found.curve.y, torch.tensor([[0.0, 0.0, 0.2], [0.0, 1.0, 0.2]], dtype=torch.float64))


@pytest.mark.parametrize("steps", [5, 100])
def test_monotonicity_is_its_slow_twin(steps: int) -> None:
    model = net()
    found = run(Monotonicity(steps=steps), model, PICTURES, MAPS, chunk=8)
    assert found.curve is not None
    ends = [0, 5, 10, 15, 20, 24] if steps == 5 else list(range(25))  # 24 places in 5 groups
    assert found.curve.x.tolist() == pytest.approx([end / 24 for end in ends])
    for row in range(5):
        order = MAPS[row].sum(0).flatten().argsort().tolist()  # the smallest value first
        scores = [float(model(without(PICTURES[row], order[end:])[None])[0, 1]) for end in ends]
        rises = [after >= before for before, after in itertools.pairwise(scores)]
        assert found.value[row].item() == pytest.approx(sum(rises) / len(rises))
        assert found.curve.y[row].tolist() == pytest.approx(scores)


def test_what_speaks_against_the_score_comes_first() -> None:
    # b takes away what a gave, if it comes after it: by its size |R_b| it would come last, by its value it comes first.
    x = torch.tensor([[1.0, 0.8]], dtype=torch.float64)
    found = run(Monotonicity(), Inhibited(), x, torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    assert found.value.tolist() == [1.0]
    assert run(Monotonicity(), Inhibited(), x, torch.tensor([[1.0, 2.0]], dtype=torch.float64)).value.tolist() == [0.5]


def test_a_fall_within_rounding_is_none() -> None:
    class Rounded(nn.Module):
        """Rises with the first place; the others only move the last bit down."""

        def forward(self, x: Tensor) -> Tensor:
            score = 100 + x[:, 0] - 8e-6 * (x[:, 1:] != 0).sum(1)
            return torch.stack([-score, score], 1)

    maps = torch.arange(4.0, 0, -1).expand(2, 4)
    assert run(Monotonicity(), Rounded(), torch.ones(2, 4), maps).value.tolist() == [1.0, 1.0]


def test_what_is_removed_is_what_the_removal_says() -> None:
    x = SIGNS.abs()
    maps = torch.randn(6, SIZE, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = run(Monotonicity(Replaced(sg.Constant(2.0))), Linear(W), x, maps, target=0)
    assert found.value.tolist() == [0.0] * 6, "from 2 to 1 at every place"


def test_where_all_places_are_equally_far_from_the_middle_the_weights_are_the_perfect_map() -> None:
    # E (w (u - x))^2 = w^2 (x^2 + 1 / 3) for u uniform in [-1, 1], and x = -1 or 1: the order is that of |w|.
    measure = MonotonicityCorrelation(samples=300)
    for maps in (W.expand(3, -1), W * SIGNS[:3]):
        found = run(measure, Linear(W), SIGNS[:3], maps.contiguous(), target=0, chunk=3600)
        assert (found.value > 0.97).all()
    turned = run(measure, Linear(W), SIGNS[:3], (1 / W).expand(3, -1).contiguous(), target=0, chunk=3600)
    assert (turned.value < -0.97).all()


def test_random_maps_correlate_with_nothing_on_average() -> None:
    x = torch.randn(200, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = torch.randn(200, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = run(MonotonicityCorrelation(), Linear(W), x, maps, target=0).value
    assert abs(scores.mean() / (scores.std() / 200**0.5)) < 3.5


@pytest.mark.parametrize("steps", [5, 24])
def test_monotonicity_correlation_is_its_slow_twin(steps: int) -> None:
    model, samples = net(), 3
    found = run(MonotonicityCorrelation(steps=steps, samples=samples), model, PICTURES, MAPS, chunk=13).value
    keys = Query.of(PICTURES, 1).key
    for row in range(5):
        x, size = PICTURES[row], MAPS[row].sum(0).flatten().abs()
        order = size.argsort(descending=True).tolist()
        groups = [order[start : start + 5] for start in range(0, 24, 5)] if steps == 5 else [[place] for place in order]
        told, changed = [], []
        for group in groups:
            squares = []
            for draw in range(samples):
                u = uniform(salted(keys[[row]], "replaced"), range(draw, draw + 1), x.shape)[0, 0].double()
                moved = x.clone()
                for channel in range(2):
                    low, high = x[channel].min(), x[channel].max()
                    for place in group:
                        at = (channel, place // 4, place % 4)
                        moved[at] = low + u[at] * (high - low)
                squares.append(float(model(x[None])[0, 1] - model(moved[None])[0, 1]) ** 2)
            told.append(float(size[group].sum()))
            changed.append(sum(squares) / samples)
        assert found[row].item() == pytest.approx(spearmanr(told, changed).statistic, abs=1e-9)


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_scores_the_same_in_every_batch(measure: Measure) -> None:
    same_for_every_batch(measure, net(), PICTURES, MAPS)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 4, 2)])
@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_all_shapes_are_judged(measure: Measure, shape: tuple[int, ...]) -> None:
    x, maps = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert run(measure, net(shape), x, maps).value.isfinite().all()


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_without_a_score_says_why(measure: Measure) -> None:
    maps = MAPS.clone()
    maps[2, :] = 0
    # |R_p| is the same everywhere; for an order by sign, R_p
    maps[2, 0] = 0.7 * (maps[1, 0].sign() if isinstance(measure, MonotonicityCorrelation) else 1)
    found = run(measure, net(), PICTURES, maps)
    assert found.value.isnan().tolist() == [False, False, True, False, False]
    assert "constant" in found.reasons[2]
    still = run(measure, Dead(), PICTURES.float(), MAPS.float())
    assert still.value.isnan().all()
    assert "does not change" in still.reasons[3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Monotonicity(steps=1),
        lambda: MonotonicityCorrelation(steps=1),
        lambda: MonotonicityCorrelation(samples=0),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(BadMethod):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_a_single_place_cannot_be_judged(measure: Measure) -> None:
    with pytest.raises(BadInput, match="single place"):
        measure(net((1,)), Query.of(torch.ones(2, 1).double(), 1), torch.ones(2, 1).double())
