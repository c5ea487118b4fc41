"""cam-resolution: CAM and Grad-CAM are one where both read the map that is averaged, and blocks are the coarse map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.cam_resolution import (
    AGREEMENT,
    BLOCKED,
    CAM,
    CORRELATION,
    GRAD_CAM,
    INSIDE,
    SSIM,
    CamResolution,
    agreement,
    blocky,
)
from smoothgrad.experiments.experiment import Row
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Setup, pictures_of
from smoothgrad.experiments.summary import average, chosen
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.judging import judge
from smoothgrad.measure.localisation import EnergyInside
from smoothgrad.training.data import data_set
from smoothgrad.training.plan import Plan, Residual, Small

TINY = CamResolution(
    halvings=(0, 2),
    others=(sg.gradient(), sg.uniform_map()),
    measures=(EnergyInside(), TotalVariation()),
    plan=Plan(network=Small(widths=(4, 8, 8)), epochs=4, batch=32),
)
ALL = data_set("digits")
DATA = ALL._replace(train=ALL.train.first(384))


def setup(count: int = 2) -> Setup:
    return Setup(pictures=pictures_of(DATA.held_out, DATA, count), data=DATA, dataset="digits")


@cache
def made() -> Result:
    return run(TINY, setup())


# --- known truths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_cam_and_grad_cam_are_one_where_both_read_what_is_averaged(stride: int, seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, stride, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    ).eval()
    x = torch.randn(1, 1, 8, 8)
    for target in range(4):
        cam, grad_cam = (sg.explain(net, x, method=method, target=target) for method in (sg.cam(), sg.grad_cam()))
        if cam.maps.max() > 0:
            assert agreement(cam, grad_cam) == pytest.approx(1.0, abs=1e-6)
            assert (cam.coarse is None) == (stride == 1)


def test_what_speaks_against_the_score_is_not_compared() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).eval()
    result = sg.explain(net, torch.ones(1, 1, 1, 2), method=sg.gradient())
    cam, grad_cam = (
        replace(result, maps=torch.tensor(values).view(1, 1, 1, 2)) for values in ([-1.0, 1.0], [1.0, 1.0])
    )
    assert agreement(cam, grad_cam) == pytest.approx(0.5**0.5)


def test_blocks_are_the_coarse_map_enlarged() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    ).eval()
    result = sg.explain(net, torch.randn(1, 3, 8, 8), method=sg.cam())
    assert result.coarse is not None
    blocks = blocky(result).maps
    assert blocks.shape == (1, 3, 8, 8)
    expected = result.coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.allclose(blocks.sum(1, keepdim=True), expected)
    plain = sg.explain(net, torch.randn(1, 3, 8, 8), method=sg.gradient())
    assert blocky(plain) is plain


def test_a_map_that_is_not_enlarged_is_its_own_blocks() -> None:
    frame = made().measured
    for quantity in (CORRELATION, SSIM):
        for label in (CAM, GRAD_CAM):
            assert average(frame, quantity, {"side": 8, "method": label}).mean == pytest.approx(1.0)
            assert average(frame, quantity, {"side": 2, "method": label}).mean < 0.99


def test_a_uniform_map_has_the_share_of_the_strokes() -> None:
    frame = made().measured
    for picture in setup().pictures:
        share = float((picture.x > 0.3).double().mean())
        told = chosen(frame, {"quantity": INSIDE, "method": "uniform_map()", "picture": picture.name})
        assert told["value"].tolist() == pytest.approx([share, share])


# --- the experiment -----------------------------------------------------------------------------------------------------


def test_the_side_of_the_last_map_is_that_of_the_halvings() -> None:
    frame = made().measured
    assert set(zip(frame["halvings"], frame["side"], strict=True)) == {(0, 8), (2, 2)}
    found = made().finding(halvings=2)
    assert found is not None
    coarse = found.maps["cam-0"].coarse
    assert coarse is not None
    assert coarse.shape == (1, 1, 2, 2)
    assert (chosen(frame, {"quantity": AGREEMENT})["value"] > 0.9).all()


def test_the_table_and_each_cell_alone(tmp_path: Path) -> None:
    frame = made().frame
    assert not made().failures
    assert list(frame.columns[:6]) == ["picture", "group", "halvings", "side", "method", "quantity"]
    # Two networks, each with its accuracy; of two pictures the agreement, two similarities of two maps, two measures of five.
    assert len(frame) == 2 * (1 + 2 * (1 + 2 * 2 + 2 * 5))
    known = {one.name: one.digest for one in setup().pictures}
    assert frame["digest"].tolist() == [known.get(name, "") for name in frame["picture"]]
    for halvings in TINY.halvings:
        whole = chosen(frame, {"halvings": halvings})
        alone = run(experiment_from_recipe(whole["recipe"].iloc[0]), setup(), folder=tmp_path).frame
        assert np.array_equal(alone["value"], whole["value"], equal_nan=True)
        assert alone["cell"].tolist() == whole["cell"].tolist()


def test_what_is_refused_before_training() -> None:
    for given, said in (
        ({"halvings": (3,)}, "0 to 2 halvings, not 3"),
        ({"halvings": (-1,)}, "not -1"),
        ({"ink": 1.0}, "ink"),
        ({"plan": Plan(network=Residual(8))}, "Small"),
        ({"others": (sg.cam(), sg.cam())}, "each method once"),
        ({"others": (sg.grad_cam(),)}, "each method once"),
    ):
        with pytest.raises(BadMethod, match=said):
            replace(TINY, **given)
    with pytest.raises(BadInput, match="fewer than a batch"):
        run(replace(TINY, plan=replace(TINY.plan, batch=2000)), setup())
    deep = replace(TINY.plan, network=Small(widths=(4,) * 6))
    with pytest.raises(BadInput, match="does not take pictures of 8 x 8"):
        run(replace(TINY, plan=deep, halvings=(5,)), setup())


def test_the_quick_one_suits_small_pictures() -> None:
    quick = CamResolution().quick()
    assert quick.halvings == (0, 1, 2)
    assert experiment_from_recipe(repr(quick)) == quick
    quick.check(setup(1))
    mine = replace(TINY, halvings=(1,)).quick()
    assert mine == replace(TINY, halvings=(1,))
    typed = with_grid(quick, ("halvings=1,2", "others=gradient"))
    assert isinstance(typed, CamResolution)
    assert (typed.halvings, typed.others) == ((1, 2), (sg.gradient(),))


def test_figures_and_lessons() -> None:
    assert [plate.name for plate in made().plates] == ["cam", "blocks", "grad-cam", "curves"]
    assert len(made().lessons) == 7  # the last of few pictures
    assert "another training seed is not in these intervals" in made().lessons[-2]
    assert "another training seed is not in these intervals" in made().plates[-1].caption
    assert "at 8 x 8" in made().lessons[0]
    one = run(replace(TINY, halvings=(2,), others=(), measures=(TotalVariation(),)), setup(1))
    assert len(one.lessons) == 6
    assert one.plates


def test_measures_are_asked_of_cam_in_blocks_too() -> None:
    frame = made().measured
    net = made().setup.trained(replace(TINY.plan, network=Small(widths=(4, 8, 8), halvings=2)))
    picture = setup().pictures[0]
    blocks = blocky(sg.explain(net, picture.x, method=sg.cam()))
    expected = judge(net, {"blocks": blocks}, (TotalVariation(),)).records[0].value
    mine = chosen(frame, {"quantity": "total_variation", "picture": picture.name})
    shown, drawn = (chosen(mine, {"halvings": 2, "method": one})["value"].item() for one in (CAM, BLOCKED))
    assert drawn == pytest.approx(expected)
    assert shown != pytest.approx(expected, rel=0.01)
    # What is not enlarged is the same either way.
    shown, drawn = (chosen(mine, {"halvings": 0, "method": one})["value"].item() for one in (CAM, BLOCKED))
    assert shown == drawn


def test_what_upsampling_does_to_measures_is_a_paired_difference() -> None:
    said = made().lessons[-2]
    assert "CAM with 2 x 2 places, upsampled bilinearly less drawn as blocks: " in said
    assert "not clearly other" in said  # of two pictures there is no interval


def changed(values: Callable[[Row], float]) -> Result:
    """The result, had other values been measured."""
    return replace(made(), records=tuple({**record, "value": values(record)} for record in made().records))


def test_a_side_without_a_value_is_not_the_largest() -> None:
    def value(record: Row) -> float:
        gone = record["side"] == 2 and record["quantity"] in (INSIDE, AGREEMENT, CORRELATION)
        return np.nan if gone else float(str(record["value"]))

    lessons = changed(value).lessons
    assert any("is largest with 8 x 8 places" in lesson for lesson in lessons)
    assert not any("nan" in lesson for lesson in lessons)
    none = changed(lambda one: np.nan if one["quantity"] == INSIDE else float(str(one["value"]))).lessons
    assert not any("is largest" in lesson for lesson in none)
