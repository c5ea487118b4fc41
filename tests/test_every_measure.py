"""Every property that all measures share, over the whole table. A new measure joins by its row in `MEASURES`."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.citations import PAPERS
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Value
from smoothgrad.errors import SmoothGradError
from smoothgrad.measure import MEASURES, label_of
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.recipe import measure_from_recipe
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.samplers.scale_space import blur

SIDE = 16
ENTRIES = pytest.mark.parametrize("entry", MEASURES.values(), ids=list(MEASURES))
ONE_OR_MANY = 1e-6  # what another chunk may change, in float64


class Net(nn.Module):
    """A small network in float64 for rows (N, 3, 16, 16): convolutions, a batch norm, ReLUs of two kinds, three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.features(x))
        return out

    def features(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.relu(self.norm(self.conv1(x))))).mean(dim=(2, 3))


def made() -> tuple[Net, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = Net().double()
        net.norm.running_mean.copy_(torch.randn(6) / 4)  # type: ignore[union-attr, operator]
        net.norm.running_var.copy_(torch.rand(6) + 0.5)  # type: ignore[union-attr, operator]
        net.linear.weight.data *= 6
        x = torch.rand(4, 3, SIDE, SIDE, dtype=torch.float64)
        x[:, :, 4:11, 5:12] += torch.rand(4, 3, 1, 1)
    net.eval()
    # Class 1 is what is not to be seen in the blurred pictures: measures that blur have a score then.
    with torch.no_grad():
        seen, dull = net.features(x), net.features(blur(x, 10.0).rows)
        way = (seen - dull).mean(0) / (seen - dull).mean(0).square().sum()
        net.linear.weight[1] += 4 * way
        net.linear.bias[1] += (net.linear(dull)[:, [0, 2]].amax() - net.linear(dull)[:, 1].amax()) - 0.5
    return net, x


NET, X = made()
METHOD = sg.gradient()
with torch.no_grad():
    CLASSES = NET(X).argmax(1)


def regions(rows: int = len(X)) -> Tensor:
    inside = torch.zeros(rows, SIDE, SIDE, dtype=torch.bool)
    inside[:, 4:11, 5:12] = True
    return inside


def query(x: Tensor = X, target: Tensor | None = None, keys: Tensor | None = None) -> Query:
    return Query.of(x, CLASSES[: len(x)] if target is None else target, keys=keys)


def case(chunk: int = 8, maps: Tensor | None = None) -> Case:
    asked = query()
    found = METHOD.estimate(NET, asked, Schedule(8)).value if maps is None else maps
    return Case(NET, asked, found, Schedule(chunk), METHOD, None, regions())


def scores(entry: Entry, one: Case) -> Judged:
    measure = entry.make()
    measure.admit(one)
    return measure.judge(one)


def same(first: Tensor, second: Tensor, to: float = ONE_OR_MANY) -> bool:
    return torch.allclose(first, second, rtol=to, atol=to, equal_nan=True)


def test_the_table_holds_every_measure() -> None:
    def below(kind: type[Measure]) -> set[type[Measure]]:
        return {one for sub in kind.__subclasses__() for one in (sub, *below(sub))}

    ours = {
        kind for kind in below(Measure) if kind.__module__.startswith("smoothgrad.") and not inspect.isabstract(kind)
    }
    assert ours == {entry.make for entry in MEASURES.values()}


@ENTRIES
def test_it_says_what_it_is(entry: Entry) -> None:
    assert entry.formula
    assert entry.summary
    assert len(entry.summary) < 160
    assert entry.papers or entry.make is sg.SeedAgreement  # which is of no paper
    assert all(key in PAPERS for key in entry.papers)
    assert entry.make.better in ("higher", "lower", "neither")
    assert entry.make.unit
    assert getattr(sg, entry.make.__name__) is entry.make


@ENTRIES
def test_it_gives_one_finite_score_for_each_row(entry: Entry) -> None:
    found = scores(entry, case())
    assert found.value.shape == (len(X),)
    assert found.value.dtype == torch.float64
    assert len(found.reasons) == len(X)
    assert found.value.isfinite().all(), found.reasons
    assert not any(found.reasons)
    if found.curve is not None:
        assert found.curve.y.shape == (len(X), len(found.curve.x))
        assert found.curve.x_label
        assert found.curve.y_label


@ENTRIES
def test_the_chunk_changes_nothing(entry: Entry) -> None:
    assert same(scores(entry, case(1)).value, scores(entry, case(64)).value)


@ENTRIES
def test_a_row_has_the_same_score_alone_and_in_any_order(entry: Entry) -> None:
    whole = case()
    together = scores(entry, whole).value
    turned = scores(entry, whole.rows(torch.tensor([2, 0, 3, 1]))).value
    alone = torch.cat([scores(entry, whole.rows(slice(row, row + 1))).value for row in range(len(X))])
    assert same(together[[2, 0, 3, 1]], turned)
    assert same(together, alone)


@ENTRIES
def test_it_answers_the_same_twice_and_leaves_all_as_it_was(entry: Entry) -> None:
    before, state, rows = fingerprint(NET), torch.get_rng_state(), X.clone()
    first, again = scores(entry, case()).value, scores(entry, case()).value
    assert torch.equal(first, again) or same(first, again, 1e-12)
    assert fingerprint(NET) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(X, rows)
    assert all(part.grad is None for part in NET.parameters())


@ENTRIES
def test_a_prepared_copy_gives_the_same_scores(entry: Entry) -> None:
    copied = sg.prepare(NET, X)
    plain = case()
    assert same(scores(entry, plain).value, scores(entry, replace(plain, model=copied, itself=NET)).value, 1e-4)


@ENTRIES
def test_a_constant_map_has_a_score_or_a_reason(entry: Entry) -> None:
    for level in (0.0, 1.0):
        found = scores(entry, case(maps=torch.full_like(X, level)))
        for value, reason in zip(found.value.tolist(), found.reasons, strict=True):
            assert (value != value) == bool(reason)  # NaN if and only if there is a reason
            assert len(reason) < 150


@ENTRIES
@pytest.mark.parametrize("wrong", [lambda maps: maps[:2], lambda maps: maps[:, :1], lambda maps: maps[0]])
def test_maps_of_the_wrong_shape_are_refused(entry: Entry, wrong: Callable[[Tensor], Tensor]) -> None:
    whole = case()
    with pytest.raises(sg.errors.BadInput, match="shape"):
        entry.make()(NET, whole.query, wrong(whole.maps), method=METHOD, regions=regions())


@ENTRIES
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_maps_that_are_not_finite_are_refused(entry: Entry, bad: float) -> None:
    whole = case()
    maps = whole.maps.clone()
    maps[1, 0, 0, 0] = bad
    with pytest.raises(sg.errors.BadInput, match="row 1 holds NaN or infinity"):
        entry.make()(NET, whole.query, maps, method=METHOD, regions=regions())


@ENTRIES
def test_what_it_needs_is_asked_for(entry: Entry) -> None:
    whole, measure = case(), entry.make()
    if measure.needs_method:
        with pytest.raises(sg.errors.BadInput, match="which method made them"):
            measure(NET, whole.query, whole.maps, regions=regions())
    if measure.needs_regions:
        with pytest.raises(sg.errors.BadInput, match="regions="):
            measure(NET, whole.query, whole.maps, method=METHOD)
        with pytest.raises(sg.errors.BadInput, match="bool tensor"):
            measure(NET, whole.query, whole.maps, method=METHOD, regions=regions().double())
    if measure.needs_classes:
        contrast = replace(whole.query, target=torch.zeros(len(X), 2, dtype=torch.int64))
        with pytest.raises(sg.errors.BadInput, match="class"):
            measure(NET, contrast, whole.maps, method=METHOD, regions=regions())


@ENTRIES
def test_it_is_a_value(entry: Entry) -> None:
    measure = entry.make()
    assert isinstance(measure, Value)
    assert measure == entry.make()
    assert hash(measure) == hash(entry.make())
    assert pickle.loads(pickle.dumps(measure)) == measure
    assert copy.deepcopy(measure) == measure
    assert measure_from_recipe(repr(measure)) == measure
    assert measure_from_recipe(entry.name) == measure
    assert label_of(measure) == entry.name


@ENTRIES
def test_called_it_gives_what_judge_gives(entry: Entry) -> None:
    whole = case()
    called = entry.make()(NET, whole.query, whole.maps, method=METHOD, regions=regions(), schedule=Schedule(8))
    assert same(called, scores(entry, whole).value, 1e-12)


@ENTRIES
def test_rows_of_features_are_judged_or_refused_in_a_sentence(entry: Entry) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)).double().eval()
    x = torch.rand(3, 9, dtype=torch.float64)
    asked = Query.of(x, net(x).argmax(1))
    inside = torch.zeros(3, 9, dtype=torch.bool)
    inside[:, 2:5] = True
    maps = METHOD.estimate(net, asked, Schedule(8)).value

    def judged() -> Tensor:
        return entry.make()(net, asked, maps, method=METHOD, regions=inside)

    if entry.name in FOR_PICTURES:
        with pytest.raises(SmoothGradError, match=r"rows .*\(9,\)") as refused:
            judged()
        assert len(str(refused.value)) < 400
    else:
        assert judged().shape == (3,)


# What looks at neighbours, or fills holes from them: rows of features have none.
FOR_PICTURES = (
    *("total_variation", "insertion", "region_perturbation", "accuracy_pic", "softmax_pic"),
    *("road", "road_most_first", "road_least_first"),
)
