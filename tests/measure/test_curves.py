"""What all measures of removal promise, over all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.explainers.parts import Grid
from smoothgrad.measure.asking import probability
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.curves import count, counts, read_off, without
from smoothgrad.measure.deletion import Deletion, Insertion, Srg
from smoothgrad.measure.flipping import Irof, PixelFlipping, RegionPerturbation
from smoothgrad.measure.imputed import Imputed
from smoothgrad.measure.keep_top import KeepTop
from smoothgrad.measure.localisation import TopK
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.pic import AccuracyPic, SoftmaxPic
from smoothgrad.measure.removal import Replaced
from smoothgrad.measure.road import Road, RoadLeastFirst, RoadMostFirst
from smoothgrad.samplers.baseline import Noise, Zero
from tests.measure.removing import PLACES, Counting, linear, pictures, random_maps
from tests.truth import Linear

# Of pictures 8 x 8; steps that do not divide the 64 places.
PICTURES: list[Measure] = [
    Deletion(steps=5),
    Deletion(steps=5, removal=Replaced(Noise())),
    Insertion(steps=5),
    Srg(steps=5),
    PixelFlipping(steps=5),
    RegionPerturbation(Grid(3)),
    RegionPerturbation(Grid(3), steps=4),
    Irof(),
    Irof(Grid((5,))),
    KeepTop(),
    Road(),
    RoadMostFirst(),
    RoadLeastFirst(),
    AccuracyPic(),
    SoftmaxPic(),
]
ZERO = Replaced(Zero())
# Of rows of any shape, and how many of them bracket: the true map must be at one end of all.
ANY: list[Measure] = [
    Deletion(),
    Insertion(removal=ZERO),
    Srg(),
    PixelFlipping(),
    Irof(),
    KeepTop(),
    Road(removal=ZERO),
    RoadMostFirst(removal=ZERO),
    RoadLeastFirst(removal=ZERO),
]


def case_of(net: nn.Module, query: Query, maps: Tensor, chunk: int = 64) -> Case:
    return Case(net, query, maps, Schedule(chunk))


def judged(measure: Measure, case: Case) -> Judged:
    measure.admit(case)
    return measure.judge(case)


@pytest.mark.parametrize("measure", PICTURES, ids=repr)
def test_neither_chunks_nor_company_matter(measure: Measure) -> None:
    net, query, maps = pictures(rows=5)
    whole = judged(measure, case_of(net, query, maps))
    assert whole.value.isfinite().all()
    assert whole.value.dtype == torch.float64
    assert whole.curve is not None
    assert whole.curve.y.shape == (5, len(whole.curve.x))
    small = judged(measure, case_of(net, query, maps, chunk=1))
    torch.testing.assert_close(small.value, whole.value, rtol=1e-9, atol=1e-9)
    for row in range(5):
        alone = judged(measure, case_of(net, query, maps).rows(slice(row, row + 1)))
        torch.testing.assert_close(alone.value[0], whole.value[row], rtol=1e-9, atol=1e-9)
        assert alone.curve is not None
        torch.testing.assert_close(alone.curve.y[0], whole.curve.y[row], rtol=1e-9, atol=1e-9)
    turned = judged(measure, case_of(net, query, maps).rows(torch.tensor([4, 2, 0])))
    torch.testing.assert_close(turned.value, whole.value[[4, 2, 0]], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("measure", PICTURES, ids=repr)
def test_a_constant_map_has_no_score(measure: Measure) -> None:
    net, query, maps = pictures()
    maps[1] = 0.1
    found = judged(measure, case_of(net, query, maps))
    assert found.value.isnan().tolist() == [False, True, False]
    assert [bool(reason) for reason in found.reasons] == [False, True, False]
    assert "constant" in found.reasons[1]
    assert found.curve is not None
    assert found.curve.y.isnan().any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("measure", [KeepTop(), Road(), RoadMostFirst(), RoadLeastFirst(), AccuracyPic(), SoftmaxPic()])
def test_a_class_that_is_not_predicted_has_no_score(measure: Measure) -> None:
    net, query, maps = pictures()
    query.target[2] = (query.target[2] + 1) % 5
    found = judged(measure, case_of(net, query, maps))
    assert found.value.isnan().tolist() == [False, False, True]
    assert "does not predict" in found.reasons[2]


@pytest.mark.parametrize("measure", ANY, ids=repr)
@pytest.mark.parametrize("shape", [(12,), (2, 12), (2, 4, 4), (2, 3, 4, 4)], ids=str)
def test_rows_of_any_shape(measure: Measure, shape: tuple[int, ...]) -> None:
    x = torch.rand(2, *shape, dtype=torch.float64) + 0.1
    net = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 2)).double().eval()
    with torch.no_grad():
        net[1].weight[0], net[1].weight[1], net[1].bias[:] = 1, -1, 0  # class 0
    found = judged(measure, case_of(net, Query.of(x, 0), torch.randn_like(x)))
    assert found.value.isfinite().all(), found.reasons


@pytest.mark.parametrize(
    "measure", [*ANY, RegionPerturbation(Grid((4,))), Irof(Grid((4,))), Deletion(5), KeepTop((0.3,))], ids=repr
)
def test_the_truth_and_its_reverse_bracket_every_map(measure: Measure) -> None:
    # Of a linear network, no order takes the score away faster than that of w * x.
    net, query, truth = linear()
    best, worst = measure(net, query, truth), measure(net, query, -truth)
    chance = torch.stack([measure(net, query, random_maps(query, seed)) for seed in range(20)])
    low, high = (best, worst) if measure.better == "lower" else (worst, best)
    assert (low <= chance + 1e-9).all()
    assert (chance <= high + 1e-9).all()
    assert (low < high - 1e-3).any()
    assert (low.mean() < chance.mean()) & (chance.mean() < high.mean())


@pytest.mark.parametrize("measure", ANY, ids=repr)
def test_places_that_are_equal_go_by_chance(measure: Measure) -> None:
    # Only the first half counts, or only the last; the map points at one place in the middle and nowhere else.
    rows = 300
    x = torch.ones(rows, PLACES, dtype=torch.float64)
    maps = torch.zeros_like(x)
    maps[:, 5] = 1
    w = torch.zeros(PLACES, dtype=torch.float64)
    w[:5] = 0.6
    first = measure(Linear(w, c=-0.9), Query.of(x, 0), maps)
    w = torch.zeros(PLACES, dtype=torch.float64)
    w[-5:] = 0.6
    last = measure(Linear(w, c=-0.9), Query.of(x, 0), maps)
    assert first.std() > 0.01  # an order by place would be the same for all rows
    noise = (first.var() / rows + last.var() / rows).sqrt()
    assert (first.mean() - last.mean()).abs() < 4 * noise


@pytest.mark.parametrize("measure", [*ANY, AccuracyPic()], ids=repr)
def test_what_is_no_class_is_refused_where_classes_are_read(measure: Measure) -> None:
    net, query, maps = linear()
    contrast = Query.of(query.x, torch.zeros(3, 2, dtype=torch.long), scorer=lambda output, _: output[:, 0])
    if measure.needs_classes:
        with pytest.raises(BadInput, match="is no class"):
            measure(net, contrast, maps)
    else:
        assert measure(net, contrast, maps).isfinite().all()


@pytest.mark.parametrize("kind", [Deletion, Insertion, PixelFlipping, RegionPerturbation])
def test_no_steps_are_refused(kind: type[Measure]) -> None:
    with pytest.raises(BadMethod, match="steps >= 1, got 0"):
        kind(steps=0)


@pytest.mark.parametrize("kind", [Srg, Road, RoadMostFirst, RoadLeastFirst])
def test_a_single_step_is_refused_where_it_says_nothing(kind: type[Measure]) -> None:
    with pytest.raises(BadMethod, match="steps >= 2, got 1"):
        kind(steps=1)


@pytest.mark.parametrize("kind", [KeepTop, AccuracyPic, SoftmaxPic])
@pytest.mark.parametrize("shares", [(), (0.0,), (0.5, 1.0), (float("nan"),)])
def test_what_is_no_share_is_refused(kind: type[Measure], shares: tuple[float, ...]) -> None:
    with pytest.raises(BadMethod, match="shares between 0 and 1"):
        kind(shares=shares)


def test_imputing_is_refused_for_rows_that_have_no_neighbours() -> None:
    net, query, maps = linear()
    with pytest.raises(BadInput, match=r"Replaced"):
        Road()(net, query, maps)
    assert Road().removal == Imputed(noise=0.01)


@pytest.mark.parametrize(
    ("measure", "points"),
    [
        (Deletion(6), 7),
        (Insertion(6, removal=ZERO), 7),
        (Srg(6), 12),  # the two curves share their ends
        (PixelFlipping(6), 7),
        (PixelFlipping(100), PLACES + 1),
        (KeepTop((0.25, 0.26, 0.5)), 3),
        (Road(4, removal=ZERO), 7),
        (RoadMostFirst(4, removal=ZERO), 4),
    ],
    ids=repr,
)
def test_nothing_is_asked_twice(measure: Measure, points: int) -> None:
    net, query, maps = linear()
    counting = Counting(net)
    measure(counting, query, maps, schedule=Schedule(7))
    assert sum(counting.calls) == points * len(query)
    assert max(counting.calls) <= 7


def test_only_as_many_steps_are_held_as_fill_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    net, query, maps = linear()
    held: list[int] = []
    plain = Replaced.of

    def watched(self: Replaced, model: nn.Module, rows: Query, schedule: Schedule):  # type: ignore[no-untyped-def]
        remove = plain(self, model, rows, schedule)
        return lambda gone, numbers: held.append(gone.shape[0] * gone.shape[1]) or remove(gone, numbers)

    monkeypatch.setattr(Replaced, "of", watched)
    Deletion()(net, query, maps, schedule=Schedule(7))
    assert max(held) <= 7
    assert sum(held) == (PLACES + 1) * len(query)


def test_counts_are_the_nearest_and_each_once() -> None:
    assert counts(64, 5) == [0, 13, 26, 38, 51, 64]
    assert counts(5, 2) == [0, 3, 5]
    assert counts(3, 7) == [0, 1, 2, 3]


def test_halves_go_up_wherever_places_are_counted() -> None:
    assert [count(total, 0.5) for total in (1, 3, 5, 7)] == [1, 2, 3, 4]
    assert counts(5, 2) == [0, count(5, 0.5), 5]
    query, maps = Query.of(torch.ones(1, 5), 0), torch.arange(5.0)[None]
    inside = torch.tensor([[False, False, True, True, True]])
    net = torch.nn.Identity().eval()
    assert float(TopK(0.5)(net, query, maps, regions=inside)) == 1  # 3 of 3, in place of 2 of 2
    assert float(TopK(0.5)(net, query, maps, regions=~inside)) == 0
    assert float(TopK(0.5)(net, query, maps, regions=inside.flip(1))) == pytest.approx(1 / 3)


def test_windows_that_are_the_same_are_answered_alike() -> None:
    net, query, truth = linear()
    order = torch.arange(PLACES).expand(3, -1)
    windows = [(4, 4), (0, 3), (0, 0), (0, 3), (9, 5), (3, 12)]
    found = without(case_of(net, query, truth), ZERO, order, windows, Query.scores)
    want = torch.stack([net.f(query.x) - truth[:, start:stop].sum(1) for start, stop in windows], 1)
    torch.testing.assert_close(found, want)


def test_lines_are_read_off_where_points_stand_over_each_other() -> None:
    x = torch.tensor([[0.0, 0.0, 0.5, 0.5, 1.0, 1.0]])
    y = torch.tensor([[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]])
    found = read_off(x, y, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.3, 0.6, 0.7, 1.0]]))


def test_the_probability_is_that_of_the_class() -> None:
    net, query, _ = linear()
    found = probability(query, net(query.x))
    torch.testing.assert_close(found, torch.sigmoid(2 * net.f(query.x)))
