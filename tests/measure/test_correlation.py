"""Faithfulness by correlation, against closed forms and against the papers' definitions written slowly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.correlation import FaithfulnessCorrelation, FaithfulnessEstimate, SensitivityN, unmoved
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.removal import Removal, Remove, Replaced
from tests.truth import Linear

SIZE = 12
W = torch.linspace(-1.5, 2, SIZE, dtype=torch.float64)
FEATURES = torch.randn(6, SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
PICTURES = torch.randn(5, 2, 6, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
MAPS = torch.randn(5, 2, 6, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
ALL = [
    SensitivityN(shares=(0.1, 0.4), samples=12),
    FaithfulnessCorrelation(share=0.2, samples=15),
    FaithfulnessEstimate(steps=7),
]


def net(shape: tuple[int, ...] = (2, 6, 4), seed: int = 0) -> nn.Module:
    """A small network of three classes, neither linear nor dead."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 16), nn.Tanh(), nn.Linear(16, 3))
    return layers.double().eval().requires_grad_(False)


def run(measure: Measure, model: nn.Module, x: Tensor, maps: Tensor, *, chunk: int = 64, **given: object) -> Judged:
    """All that a measure says, about class 1 where there are several."""
    method = given.pop("method", None)
    query = Query.of(x, given.pop("target", 1), **given)  # type: ignore[arg-type]
    case = Case(model, query, maps, Schedule(chunk), method)  # type: ignore[arg-type]
    measure.admit(case)
    return measure.judge(case)


def same_for_every_batch(measure: Measure, model: nn.Module, x: Tensor, maps: Tensor, **given: object) -> None:
    """The scores of rows, whatever stands next to them and however the work is cut up."""
    whole = run(measure, model, x, maps, **given)
    assert whole.value.isfinite().all()
    assert whole.value.dtype == torch.float64
    keys, turned = torch.arange(len(x)), torch.arange(len(x)).flip(0)
    for chunk in (1, 3, 1000):
        torch.testing.assert_close(run(measure, model, x, maps, chunk=chunk, **given).value, whole.value)
    back = run(measure, model, x[turned], maps[turned], keys=keys[turned], **given)
    torch.testing.assert_close(back.value[turned], whole.value)
    for row in range(len(x)):
        alone = run(measure, model, x[[row]], maps[[row]], keys=keys[[row]], chunk=2, **given)
        torch.testing.assert_close(alone.value, whole.value[[row]])


@final
@dataclass(frozen=True, eq=False, repr=False)
class Watched(Removal):
    """By zero, keeping a record of what is gone."""

    seen: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        pass

    def of(self, model: nn.Module, query: Query, schedule: Schedule) -> Remove:
        remove = Replaced().of(model, query, schedule)

        def watch(gone: Tensor, steps: range) -> Tensor:
            self.seen.append(gone.clone())
            return remove(gone, steps)

        return watch


def without(x: Tensor, gone: list[int]) -> Tensor:
    """One row (C, H, W) with places blackened, the slow way."""
    x = x.clone()
    for place in gone:
        x[:, place // x.shape[2], place % x.shape[2]] = 0
    return x


def slow_sets(model: nn.Module, x: Tensor, one: Tensor, key: Tensor, share: float, draws: range) -> float:
    """Bhatt et al. 2020, and Ancona et al. 2018 at one size, for one row: with the same random numbers."""
    places = x[0].numel()
    size = max(1, round(share * places))
    score = model(x[None])[0, 1]
    told, lost = [], []
    for draw in draws:
        chance = uniform(salted(key[None], "sets"), range(draw, draw + 1), torch.Size([places]))[0, 0]
        gone = chance.argsort(descending=True)[:size].tolist()
        told.append(float(sum(one[channel].flatten()[place] for place in gone for channel in range(len(x)))))
        lost.append(float(score - model(without(x, gone)[None])[0, 1]))
    return float(np.corrcoef(told, lost)[0, 1])


def test_the_perfect_map_of_a_linear_score_is_faithful_and_its_negative_is_not() -> None:
    b = torch.full((SIZE,), 0.3, dtype=torch.float64)
    for measure in (
        SensitivityN(Replaced(sg.Constant(0.3)), shares=(0.1, 0.5, 0.9), samples=10),
        FaithfulnessCorrelation(Replaced(sg.Constant(0.3)), share=0.3, samples=10),
        FaithfulnessEstimate(Replaced(sg.Constant(0.3))),
        FaithfulnessEstimate(Replaced(sg.Constant(0.3)), steps=5),
    ):
        perfect = W * (FEATURES - b)
        for maps, truth in ((perfect, 1.0), (3 * perfect, 1.0), (-perfect, -1.0)):
            found = run(measure, Linear(W), FEATURES, maps, target=0)
            torch.testing.assert_close(found.value, torch.full((6,), truth, dtype=torch.float64))
            assert found.reasons == ("",) * 6
        other = run(measure, Linear(W), FEATURES, W.expand_as(FEATURES), target=0).value
        assert (other < 0.999).all()


def test_a_random_map_scores_nothing_on_average() -> None:
    x = torch.randn(200, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = torch.randn(200, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for measure in (
        SensitivityN(shares=(0.3,), samples=20),
        FaithfulnessCorrelation(samples=20),
        FaithfulnessEstimate(),
    ):
        scores = run(measure, Linear(W), x, maps, target=0).value
        assert abs(scores.mean() / (scores.std() / 200**0.5)) < 3.5
        assert scores.mean() < 0.2


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_faithfulness_correlation_is_its_slow_twin(share: float) -> None:
    model = net()
    found = run(FaithfulnessCorrelation(share=share, samples=20), model, PICTURES, MAPS).value
    keys = Query.of(PICTURES, 1).key
    for row in range(5):
        slow = slow_sets(model, PICTURES[row], MAPS[row], keys[row], share, range(20))
        assert found[row].item() == pytest.approx(slow, abs=1e-9)


def test_sensitivity_n_is_its_slow_twin_and_the_mean_of_its_curve() -> None:
    model = net()
    found = run(SensitivityN(shares=(0.1, 0.5), samples=15), model, PICTURES, MAPS, chunk=16)
    keys = Query.of(PICTURES, 1).key
    assert found.curve is not None
    assert found.curve.x.tolist() == [0.1, 0.5]
    for row in range(5):
        slow = [slow_sets(model, PICTURES[row], MAPS[row], keys[row], 0.1, range(15))]
        slow.append(slow_sets(model, PICTURES[row], MAPS[row], keys[row], 0.5, range(15, 30)))
        assert found.curve.y[row].tolist() == pytest.approx(slow, abs=1e-9)
        assert found.value[row].item() == pytest.approx(sum(slow) / 2, abs=1e-9)


def test_at_one_share_sensitivity_n_is_the_faithfulness_correlation() -> None:
    one = run(SensitivityN(shares=(0.2,), samples=9), net(), PICTURES, MAPS)
    other = run(FaithfulnessCorrelation(share=0.2, samples=9), net(), PICTURES, MAPS)
    assert torch.equal(one.value, other.value)
    assert one.stderr is not None
    assert other.stderr is not None
    torch.testing.assert_close(one.stderr, other.stderr)


@pytest.mark.parametrize("steps", [5, 24, 100])
def test_faithfulness_estimate_is_its_slow_twin(steps: int) -> None:
    model, places = net(), 24
    found = run(FaithfulnessEstimate(steps=steps), model, PICTURES, MAPS, chunk=8).value
    for row in range(5):
        x, values = PICTURES[row], MAPS[row].sum(0).flatten()
        order = values.argsort(descending=True).tolist()
        groups = [list(part) for part in np.array_split(order, min(steps, places))]
        if steps == 5:  # 24 places in 5 groups: 5, 5, 5, 5, 4, as ceil(j * 24 / 5) says
            groups = [order[:5], order[5:10], order[10:15], order[15:20], order[20:]]
        told = [float(sum(values[place] for place in group)) for group in groups]
        lost = [float(model(x[None])[0, 1] - model(without(x, group)[None])[0, 1]) for group in groups]
        assert found[row].item() == pytest.approx(np.corrcoef(told, lost)[0, 1], abs=1e-9)


def test_the_random_sets_have_their_size_and_favour_no_place() -> None:
    watched = Watched()
    run(FaithfulnessCorrelation(watched, share=0.25, samples=400), net(), PICTURES, MAPS)
    gone = torch.cat(watched.seen)  # (400, N, 24)
    assert gone.shape == (400, 5, 24)
    assert (gone.sum(-1) == 6).all()
    z = (gone.double().mean(0) - 0.25) / (0.25 * 0.75 / 400) ** 0.5
    assert z.abs().max() < 4.2
    assert 0.8 < z.std() < 1.2
    assert not torch.equal(gone[:, 0], gone[:, 1]), "each row has sets of its own"


def test_the_smallest_share_takes_a_place_and_the_largest_leaves_one() -> None:
    for share, size in ((0.001, 1), (0.999, 23)):
        watched = Watched()
        run(FaithfulnessCorrelation(watched, share=share, samples=10), net(), PICTURES, MAPS)
        assert (torch.cat(watched.seen).sum(-1) == size).all()


@pytest.mark.parametrize("measure", [SensitivityN(shares=(0.2, 0.5), samples=60), FaithfulnessCorrelation(samples=60)])
def test_the_standard_error_is_how_far_scores_spread_over_seeds(measure: Measure) -> None:
    x = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64).expand(400, SIZE)
    maps = (
        x * W + 0.8 * torch.randn(SIZE, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    ).contiguous()
    found = run(measure, Linear(W), x.contiguous(), maps, target=0)
    assert found.stderr is not None
    assert 0.85 < (found.stderr.square().mean().sqrt() / found.value.std()).item() < 1.15


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_scores_the_same_in_every_batch(measure: Measure) -> None:
    same_for_every_batch(measure, net(), PICTURES, MAPS)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 4, 2)])
@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_all_shapes_are_judged(measure: Measure, shape: tuple[int, ...]) -> None:
    x, maps = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert run(measure, net(shape), x, maps).value.isfinite().all()


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_row_without_a_score_says_why_and_disturbs_no_other(measure: Measure) -> None:
    maps = MAPS.clone()
    maps[2] = 0.7
    found = run(measure, net(), PICTURES, maps)
    assert found.value.isnan().tolist() == [False, False, True, False, False]
    assert "constant" in found.reasons[2]
    assert not any(found.reasons[:2])
    torch.testing.assert_close(found.value[[0, 4]], run(measure, net(), PICTURES, MAPS).value[[0, 4]])


class Dead(nn.Module):
    """Answers the same whatever it sees; but for row 0, where it answers NaN."""

    def forward(self, x: Tensor) -> Tensor:
        here = (x.flatten(1).sum(1) * 0 + 3.7).float()
        here[(x == PICTURES[0]).flatten(1).any(1)] = torch.nan
        return torch.stack([here, here], 1)


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_a_score_that_does_not_change_or_is_not_finite_has_no_correlation(measure: Measure) -> None:
    found = run(measure, Dead(), PICTURES.float(), MAPS.float())
    assert found.value.isnan().all()
    assert all("does not change" in reason for reason in found.reasons[1:])
    found = run(measure, Dead(), PICTURES, MAPS)
    assert "NaN" in found.reasons[0]


def test_the_mean_is_over_the_shares_where_sets_do_not_all_count_the_same() -> None:
    maps = torch.zeros_like(MAPS)
    maps[:, 0, 0, 0] = 1  # which sets of one place will mostly miss
    found = run(SensitivityN(shares=(0.01, 0.5, 0.3), samples=12), net(), PICTURES, maps)
    alone = [run(SensitivityN(shares=(share,), samples=12), net(), PICTURES, maps) for share in (0.01, 0.5, 0.3)]
    assert found.curve is not None
    assert found.stderr is not None
    lost = found.curve.y.isnan()
    assert torch.equal(lost[:, 0], alone[0].value.isnan())
    assert lost[:, 0].any()
    assert not lost[:, 1:].any()
    assert found.value.isfinite().all()
    assert not any(found.reasons)
    for row in range(5):
        there = found.curve.y[row][~lost[row]]
        assert found.value[row].item() == pytest.approx(float(there.mean()))
        assert 0 < found.stderr[row] < 0.5
    last, two = (
        run(SensitivityN(shares=one, samples=12), net(), PICTURES, maps) for one in ((0.5, 0.3, 0.01), (0.5, 0.3))
    )
    assert last.curve is not None
    assert last.stderr is not None
    assert two.stderr is not None
    lost = last.curve.y[:, 2].isnan()
    assert lost.any()
    torch.testing.assert_close(last.value[lost], two.value[lost])
    torch.testing.assert_close(last.stderr[lost], two.stderr[lost])


def test_where_no_share_has_a_correlation_there_is_no_score() -> None:
    maps = torch.zeros_like(MAPS)
    maps[:, 0, 0, 0] = 1
    found = run(SensitivityN(shares=(0.01, 0.02), samples=3), net(), PICTURES, maps)
    lost = found.value.isnan()
    assert lost.any()
    for row in range(5):
        assert found.reasons[row] == ("all sets count the same in the map" if lost[row] else "")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_of_a_narrow_type_a_change_of_a_few_percent_is_no_rounding(kind: torch.dtype) -> None:
    eps = torch.finfo(kind).eps
    scores = torch.tensor([[1.0, 1 + 1.5 * eps], [1.0, 1 + 4 * eps]], dtype=torch.float64)
    query = Query.of(torch.ones(2, 3, dtype=kind), 0)
    assert [bool(said) for said in unmoved(scores, query)] == [True, False]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SensitivityN(shares=()),
        lambda: SensitivityN(shares=(0.1, 1.0)),
        lambda: SensitivityN(samples=2),
        lambda: FaithfulnessCorrelation(share=0.0),
        lambda: FaithfulnessCorrelation(samples=1),
        lambda: FaithfulnessEstimate(steps=1),
        lambda: FaithfulnessEstimate(removal=3),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(BadMethod):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("measure", ALL, ids=repr)
def test_rows_of_a_single_place_cannot_be_judged(measure: Measure) -> None:
    with pytest.raises(BadInput, match="single place"):
        measure(net((1,)), Query.of(torch.ones(2, 1).double(), 1), torch.ones(2, 1).double())


def test_measures_are_values() -> None:
    assert repr(FaithfulnessEstimate(steps=7)) == "FaithfulnessEstimate(steps=7)"
    assert SensitivityN(shares=[0.1, 0.2]) == SensitivityN(shares=(0.1, 0.2))  # type: ignore[arg-type]
    assert hash(FaithfulnessEstimate()) == hash(FaithfulnessEstimate(steps=100))
