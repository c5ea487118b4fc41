"""Reductions against closed forms, and as an experiment: its table, its cells alone, its figures."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.value import content_key
from smoothgrad.errors import BadMethod, BadNoise, UnknownName
from smoothgrad.experiments.aggregators import AGAIN, ALIKE, REDUCTIONS, SIZE, Aggregators
from smoothgrad.experiments.compared import alike
from smoothgrad.experiments.experiment import Finding
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.measure.complexity import Gini
from smoothgrad.measure.deletion import Deletion
from smoothgrad.measure.judging import labelled
from smoothgrad.measure.similarity import Spearman
from smoothgrad.models.network import Network
from smoothgrad.result import Attribution
from tests.truth import Linear, Quadratic

SMALL = Aggregators(samples=8, measures=(Deletion(steps=4), Gini()))


def asked(net: nn.Module, x: Tensor, seed: int = 0) -> Setup:
    return Setup(Network(net, name="truth"), (Picture("a", x),), target=0, seed=seed)


def on_digits(count: int = 2) -> Setup:
    net = sg.load("digits")
    return Setup(net, samples_of(net, count), model="digits")


@pytest.fixture(scope="module")
def result() -> Result:
    return run(SMALL, on_digits())


def values(finding: Finding, **keys: Any) -> list[float]:
    return [float(str(one["value"])) for one in finding.rows if keys.items() <= one.items()]


def test_on_a_linear_network_every_reduction_is_a_function_of_the_weights() -> None:
    w = torch.tensor([0.5, -2.0, 0.25, 1.5, -0.125])
    setup = asked(Linear(w), torch.tensor([[0.1, 0.7, -0.3, 1.0, 0.2]]))
    maps = Aggregators(samples=16, measures=(Gini(),)).found(setup).maps
    known = {
        **dict.fromkeys(("mean", "geometric mean", "median", "trimmed mean", "median of means"), w),
        "squares": w.square(),
        "variance": torch.zeros(5),
        "max": w.abs(),
        "sign agreement": w.sign(),
    }
    assert set(maps) == set(known) == set(REDUCTIONS)
    for name, truth in known.items():
        torch.testing.assert_close(maps[name].maps[0], truth, rtol=1e-6, atol=1e-7, msg=name)


def test_on_a_quadratic_the_variance_is_that_of_the_noise_seen_through_the_matrix() -> None:
    a = torch.tensor([[2.0, 0.5, 0.0], [0.5, -1.0, 0.3], [0.0, 0.3, 0.7]]).double()
    x = torch.tensor([[0.2, 0.9, -0.4]]).double()
    rows = 200  # the same row under many keys: as many independent runs
    method = Aggregators(noise=(0.2,), samples=300).method(0.2)
    joined = sg.explain(Quadratic(a), x.expand(rows, -1), target=0, method=method)
    assert isinstance(joined, Attribution)
    parts = joined.parts()
    truth = Quadratic(a).noisy(x, 0.2 * float(x.max() - x.min()))
    for name, known in (("Variance()", truth.variance), ("Mean()", truth.mean), ("SquareMean()", truth.square)):
        stderr = parts[name].stderr
        assert stderr is not None
        z = (parts[name].maps - known) / stderr
        assert z.mean(0).abs().max() < 0.25, (
            name
        )  # 1 / sqrt(200) is 0.07; fewer draws than 300 skew the error of a variance
        assert (z.std(0) - 1).abs().max() < 0.2, name


def test_all_reductions_join_the_same_draws_and_the_mean_is_smoothgrad() -> None:
    setup = on_digits(1)
    maps = SMALL.found(setup).maps
    x = setup.picture.x
    for name, method in (("mean", sg.smoothgrad), ("squares", sg.smoothgrad_squared), ("variance", sg.vargrad)):
        alone = sg.explain(setup.net, x, method=method(0.15, 8), keys=[content_key(x)])
        torch.testing.assert_close(maps[name].maps, alone.maps, rtol=1e-5, atol=1e-8)
        assert maps[name].unit == alone.unit


def test_without_noise_all_draws_are_the_gradient() -> None:
    finding = Aggregators(noise=(0.0,), samples=4, measures=(Gini(),)).found(on_digits(1))
    for name in ("median", "trimmed mean", "squares", "max"):
        (same,) = values(finding, reduction=name, other="mean")
        assert same == pytest.approx(1.0, abs=2e-3), name  # squares and rounding may tie or part a few pixels
        assert values(finding, reduction=name, quantity=AGAIN) == [1.0]
    (variance,) = values(finding, reduction="variance", other="mean")
    assert math.isnan(variance) or finding.maps["variance"].maps.abs().max() < 1e-9


def test_reproducibility_is_asked_of_a_fresh_seed() -> None:
    setup = on_digits(1)
    x = setup.picture.x
    mine, fresh = (sg.explain(setup.net, x, method=sg.vargrad(0.15, 8), keys=[content_key(x)], seed=s) for s in (0, 1))
    assert isinstance(mine, Attribution)
    assert isinstance(fresh, Attribution)
    (found,) = values(SMALL.found(setup), reduction="variance", quantity=AGAIN)
    assert found == pytest.approx(alike(Spearman(), mine, fresh), abs=1e-3)
    assert found < 1


def test_the_table_has_a_row_for_each_pair_each_reduction_and_each_measure(result: Result) -> None:
    frame = result.measured
    assert list(frame.columns[:5]) == ["picture", "group", "noise", "reduction", "other"]
    assert set(frame["reduction"]) == {*REDUCTIONS, SIZE}
    counts = frame.groupby("quantity").size().to_dict()
    assert counts == {ALIKE: 2 * 9 * 8, AGAIN: 2 * 9, **dict.fromkeys(labelled(SMALL.measures), 2 * 10)}
    pairs = frame[frame["quantity"] == ALIKE]
    there = {(one.picture, one.reduction, one.other): one.value for one in pairs.itertuples()}
    assert all(there[p, a, b] == pytest.approx(there[p, b, a]) for p, a, b in there)
    assert frame[frame["quantity"] != ALIKE]["other"].isna().all()
    assert frame["value"].between(-1, 1).all()
    assert (frame["unit"] != "").all()


def test_a_cell_alone_gives_its_rows_again(result: Result) -> None:
    last = result.records[-1]
    again = experiment_from_recipe(str(last["recipe"]))
    assert isinstance(again, Aggregators)
    setup = result.setup.only(result.setup.named(str(last["picture"])))
    rows = [{**one} for one in again.found(setup).rows]
    mine = [one for one in result.records if one["cell"] == last["cell"]]
    assert len(rows) == len(mine)
    assert all(row.items() <= one.items() for row, one in zip(rows, mine, strict=True))


def test_figures_and_lessons_of_several_pictures_and_of_one(result: Result) -> None:
    assert [plate.name for plate in result.plates] == ["maps", "scores", "alike"]
    assert any("most like the mean's map" in lesson for lesson in result.lessons)
    assert any("less the mean, picture by picture" in lesson for lesson in result.lessons)
    one = run(Aggregators(noise=(0.1, 0.3), samples=4, reductions=("median", "max"), measures=(Gini(),)), on_digits(1))
    assert [plate.name for plate in one.plates][-2:] == ["alike", "curves"]
    assert (
        len(one.lessons) == 5
    )  # for each level: nearest to the mean, and the two seeds; and that there is one picture
    alone = run(Aggregators(samples=4, reductions=("mean",), measures=(Gini(),)), on_digits(1))
    assert alone.lessons == ()
    assert len(alone.plates) == 3


def test_what_has_no_score_is_counted(result: Result) -> None:
    """A map that is constant has no ranks: as the variance of gradients that do not differ."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    about = Aggregators(samples=4, reductions=("mean", "variance", "max"), measures=(Gini(),))
    flat = run(about, Setup(Network(linear, name="linear"), result.setup.pictures))
    panels = {panel.title: panel for panel in about._dot_panels(flat.measured, 0.15, 2)}
    failed = {dot.label: (dot.n, dot.failed) for dot in panels[AGAIN].dots}
    assert failed["max"] == (2, 0)
    assert failed["variance"] == (0, 2)
    dots = {dot.label: dot.failed for dot in panels["rank correlation with the mean's map"].dots}
    assert dots == {"variance": 2, "max": 0}


def test_the_mean_is_there_to_compare_with_and_names_may_be_typed() -> None:
    typed = with_grid(Aggregators(samples=4, measures=(Gini(),)), ("reductions=median_of_means,max", "noise=0.1"))
    assert isinstance(typed, Aggregators)
    assert typed.reductions == ("median of means", "max")
    assert experiment_from_recipe(repr(typed)) == typed
    finding = typed.found(on_digits(1))
    assert set(finding.maps) == {"mean", "median of means", "max"}
    assert len(values(finding, other="mean")) == 2
    assert not values(finding, reduction="mean")
    assert len(values(finding, reduction=SIZE)) == 1  # a measure of its absolute values


def test_the_absolute_mean_is_judged_as_a_map_without_signs() -> None:
    setup = on_digits(1)
    finding = SMALL.found(setup)
    plain = sg.explain(
        setup.net,
        setup.picture.x,
        method=sg.smoothgrad(0.15, 8).then(sg.Absolute()),
        keys=[content_key(setup.picture.x)],
    )
    (known,) = (one.value for one in setup.judge({"a": plain}, (Deletion(steps=4),)).records)
    assert values(finding, reduction=SIZE)[0] == pytest.approx(known)


def test_what_is_wrong_is_said_first() -> None:
    with pytest.raises(UnknownName, match="did you mean 'median'"):
        Aggregators(reductions=("medain",))
    with pytest.raises(BadMethod, match="each once"):
        Aggregators(reductions=("max", "max"))
    with pytest.raises(BadMethod, match="one or more"):
        Aggregators(reductions=())
    with pytest.raises(BadMethod, match="at least one measure"):
        Aggregators(measures=())
    with pytest.raises(BadMethod, match="needs 2 draws"):
        Aggregators(samples=1)
    with pytest.raises(BadNoise):
        Aggregators(noise=(-0.1,))
    flat = Picture("flat", torch.zeros(1, 1, 8, 8))
    with pytest.raises(BadNoise):
        run(SMALL, Setup(sg.load("digits"), (flat,)))


def test_quick_keeps_what_is_asked() -> None:
    quick = Aggregators(noise=(0.1, 0.2)).quick()
    assert quick.samples < 50
    assert quick.noise == (0.1, 0.2)
    assert quick.reductions == tuple(REDUCTIONS)


@pytest.mark.parametrize(("size", "leads"), [(-1.0, True), (9.0, False)])
def test_a_best_reduction_is_not_called_best_where_the_absolute_mean_is_better(
    result: Result, size: float, leads: bool
) -> None:
    label, _ = labelled(SMALL.measures)
    records = tuple(
        {**one, "value": size} if one["quantity"] == label and one["reduction"] == SIZE else one
        for one in result.records
    )
    changed = Result(result.experiment, result.setup, result.cells, result.findings, records)
    (said,) = (one for one in changed.lessons if f"{label} (lower is better)" in one)
    assert (f"of the reductions, {label}" in said) == leads
    assert f"the absolute values of the mean {'are better still:' if leads else 'have'} {size:g}" in said
