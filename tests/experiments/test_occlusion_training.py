"""occlusion-training: a network that cannot see the patch says nothing of it, and a uniform map gives it its area."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput, BadMethod, UnknownName
from smoothgrad.experiments.occlusion_training import (
    ACCURACY,
    AREA,
    SHARE,
    OcclusionTraining,
    behind,
    patch_shares,
    share_in_patch,
    vanishes,
)
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Setup, pictures_of
from smoothgrad.experiments.summary import average, chosen
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.training.data import data_set
from smoothgrad.training.patch import Patch
from smoothgrad.training.plan import Plan, Residual, Small
from smoothgrad.training.train import accuracy, train

CORNER, MIDDLE = Patch(size=3, value=1.0), Patch(size=2, top=3, left=3, value=0.5)
TINY = OcclusionTraining(
    patch=(CORNER, MIDDLE),
    methods=(sg.gradient(), sg.input_x_gradient(), sg.smoothgrad(samples=4), sg.rectgrad()),
    plan=Plan(network=Small(widths=(4, 8), halvings=1), epochs=2, batch=64),
)
ALL = data_set("digits")
DATA = ALL._replace(train=ALL.train.first(384))


def setup(count: int = 2) -> Setup:
    return Setup(pictures=pictures_of(DATA.held_out, DATA, count), data=DATA, dataset="digits")


@cache
def made() -> Result:
    return run(TINY, setup())


class Blind(nn.Module):
    """A convolutional network for (N, 1, 8, 8) rows that multiplies the pixels of a patch by zero before it looks."""

    def __init__(self, patch: Patch) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(1, 6, 3, padding=1)
            self.linear = nn.Linear(6 * 64, 10)
        self.register_buffer("seen", (~patch.region(torch.Size([8, 8]))).float())

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(self.conv(x * self.seen).relu().flatten(1))
        return scores


def with_net(net: nn.Module) -> Setup:
    look = Preprocessing(channels=1, size=(8, 8), resize=8, mean=(0.0,), std=(1.0,))
    return replace(setup(), network=Network(net, name="blind", preprocessing=look))


def shares(net: nn.Module, methods: tuple[Explainer, ...], patch: Patch) -> list[float]:
    return [float(str(row["value"])) for row in patch_shares(with_net(net), methods, patch).rows]


# --- known truths -------------------------------------------------------------------------------------------------------

SIGHTED = (
    *(sg.gradient(), sg.smoothgrad(samples=4), sg.input_x_gradient(), sg.integrated_gradients(steps=4)),
    *(sg.guided_backprop(), sg.deconvnet(), sg.rectgrad(), sg.smoothgrad_squared(samples=4)),
)


@pytest.mark.parametrize("patch", [CORNER, MIDDLE])
@pytest.mark.parametrize("method", SIGHTED, ids=repr)
def test_a_network_that_cannot_see_the_patch_gives_it_exactly_nothing(method: Explainer, patch: Patch) -> None:
    assert shares(Blind(patch), (method,), patch) == [0.0, 0.0]


def test_the_same_network_sees_what_is_beside_the_patch() -> None:
    (one, other) = shares(Blind(CORNER), (sg.gradient(),), MIDDLE)
    assert min(one, other) > 0.01


def test_a_linear_network_with_no_weights_there_gives_it_exactly_nothing() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        net[1].weight[:, MIDDLE.region(torch.Size([8, 8])).flatten()] = 0
    methods = (sg.gradient(), sg.smoothgrad(samples=4), sg.integrated_gradients(steps=4), sg.lrp_0())
    assert shares(net, methods, MIDDLE) == [0.0] * 8


@pytest.mark.parametrize(("patch", "area"), [(CORNER, 9 / 64), (MIDDLE, 4 / 64), (Patch(size=8), 1.0)])
def test_a_uniform_map_gives_the_patch_its_share_of_the_area(patch: Patch, area: float) -> None:
    assert shares(Blind(patch), (sg.uniform_map(),), patch) == [area, area]


def test_the_share_is_of_absolute_values_in_all_channels_at_any_scale() -> None:
    maps = torch.zeros(3, 2, 4, 4, dtype=torch.float64)
    maps[0, 0, 0, 0], maps[0, 1, 3, 3], maps[0, 1, 0, 1] = -1.0, 2.0, 1.0
    maps[1] = maps[0] * 1e306
    share = share_in_patch(maps, Patch(size=2))
    assert share[:2].tolist() == [0.5, 0.5]
    assert share[2].isnan()  # zero everywhere
    with pytest.raises(BadInput, match="make it smaller"):
        share_in_patch(maps, Patch(size=5))


def test_the_picture_is_explained_as_the_network_was_trained() -> None:
    look = Preprocessing(channels=1, size=(8, 8), resize=8, mean=(0.5,), std=(0.25,))
    data = DATA._replace(preprocessing=look)
    x = DATA.held_out.x[:3]
    trained = data.scaled(CORNER(x.float() / 255))
    assert torch.equal(behind(CORNER, data.rows(x), look), trained)
    found = patch_shares(with_net(Blind(CORNER)), (sg.gradient(),), CORNER)
    assert (found.maps["map-0-0"].x[..., :3, :3] == 1.0).all()


# --- the experiment -----------------------------------------------------------------------------------------------------


def test_each_patch_has_a_network_of_its_own_and_its_accuracy_is_behind_the_patch() -> None:
    frame = made().measured
    for patch in TINY.patch:
        net = train(replace(TINY.plan, patch=patch), DATA)
        covered = DATA.held_out._replace(x=replace(patch, value=round(255 * patch.value))(DATA.held_out.x))
        told = average(frame, ACCURACY, {"patch": repr(patch)}).mean
        assert told == pytest.approx(accuracy(net, DATA, covered), abs=0.006)  # half of white is no byte
        assert average(frame, AREA, {"patch": repr(patch)}).mean == patch.size**2 / 64


def test_the_table_and_each_cell_alone(tmp_path: Path) -> None:
    frame = made().frame
    assert not made().failures
    assert list(frame.columns[:5]) == ["picture", "group", "patch", "method", "quantity"]
    # Two networks; two pictures of each by four methods and two controls.
    assert len(frame) == 2 * (2 + 2 * (4 + 2))
    assert set(frame["method"].dropna()) >= {"random_map()", "uniform_map()", "rectgrad(q=98.0)"}
    assert chosen(frame, {"quantity": SHARE})["value"].between(0, 1).all()
    known = {one.name: one.digest for one in setup().pictures}  # as they were given, without the patch
    assert frame["digest"].tolist() == [known.get(name, "") for name in frame["picture"]]
    for patch in TINY.patch:
        whole = chosen(frame, {"patch": repr(patch)})
        alone = run(experiment_from_recipe(whole["recipe"].iloc[0]), setup(), folder=tmp_path).frame
        assert alone["value"].tolist() == whole["value"].tolist()
        assert alone["cell"].tolist() == whole["cell"].tolist()


def test_what_is_refused_before_training() -> None:
    with pytest.raises(BadMethod, match="a patch of its own"):
        replace(TINY, plan=replace(TINY.plan, patch=CORNER))
    with pytest.raises(BadMethod, match="each once"):
        replace(TINY, methods=(sg.gradient(), sg.gradient()))
    with pytest.raises(BadMethod, match="patch"):
        replace(TINY, patch=(8,))
    with pytest.raises(BadInput, match="make it smaller, or move it"):
        run(replace(TINY, patch=(Patch(size=3, top=6),)), setup())
    with pytest.raises(BadInput, match="hides all of digit 0"):
        run(replace(TINY, patch=(Patch(size=8),)), setup())
    with pytest.raises(BadInput, match="fewer than a batch"):
        run(replace(TINY, plan=replace(TINY.plan, batch=2000)), setup())


def test_patches_and_methods_are_typed_as_recipes() -> None:
    typed = with_grid(TINY, ("patch=Patch(2,1,1,0.5),Patch(size=3)", "methods=gradient,smoothgrad(samples=3)"))
    assert isinstance(typed, OcclusionTraining)
    assert typed.patch == (Patch(2, 1, 1, 0.5), Patch(size=3))
    assert typed.methods == (sg.gradient(), sg.smoothgrad(samples=3))
    with pytest.raises(UnknownName, match="did you mean 'patch'"):
        with_grid(TINY, ("pach=Patch(2)",))


def test_the_quick_one_suits_small_pictures_and_leaves_a_patch_of_yours() -> None:
    quick = OcclusionTraining().quick()
    quick.check(setup(1))
    assert experiment_from_recipe(repr(quick)) == quick
    mine = replace(TINY, patch=(MIDDLE,)).quick()
    assert (mine.patch, mine.plan) == ((MIDDLE,), TINY.plan)


def test_figures_and_lessons() -> None:
    assert [plate.name for plate in made().plates] == ["shares", "maps-1", "maps-2"]
    assert len(made().lessons) == 5  # the last of few pictures
    assert " of 4 methods, 0 with an interval that says so" in made().lessons[0]  # of two pictures there is none
    assert "another training seed is not in these intervals" in made().lessons[0]
    assert "another training seed is not in these intervals" in made().plates[0].caption
    twins = (sg.smoothgrad(0.1, 3), sg.smoothgrad(0.2, 3))
    plan = replace(TINY.plan, network=Residual(8), epochs=1)
    one = run(replace(TINY, patch=(CORNER,), methods=twins, plan=plan), setup(1))
    assert "smoothgrad(noise=0.1, samples=3)" in one.lessons[0]
    assert len(one.plates) == 2


# --- what is zero by construction ---------------------------------------------------------------------------------------

BLACK = Patch(size=3, value=0.0)
THREE = (sg.gradient(), sg.input_x_gradient(), sg.rectgrad())


@cache
def blackened() -> Result:
    return run(replace(TINY, patch=(BLACK,), methods=THREE), setup())


def test_what_multiplies_by_an_input_of_zero_is_credited_with_nothing() -> None:
    lesson, _ = blackened().lessons  # and none about RectGrad; the last of few pictures
    assert "gradient puts" in lesson
    assert " of 1 method, " in lesson
    idle = "input x gradient and rectgrad are zero by construction (they multiply by the input, which is 0 there)"
    assert idle in lesson
    assert idle in blackened().plates[0].caption
    assert "by construction" not in made().lessons[0] + made().plates[0].caption


def test_with_nothing_else_there_is_no_order() -> None:
    one = run(replace(TINY, patch=(BLACK,), methods=THREE[1:2]), setup())
    assert one.lessons[0].endswith(
        "no other method gave a map that is not zero everywhere. Left out: input x gradient is zero by "
        "construction (it multiplies by the input, which is 0 there)."
    )


def test_zero_by_construction_needs_an_input_of_zero_and_a_map_of_zero_wherever_it_is() -> None:
    x = setup().pictures[0].x

    def asked(method: Explainer, patch: Patch, mean: float = 0.0) -> bool:
        look = Preprocessing(channels=1, size=(8, 8), resize=8, mean=(mean,), std=(1.0,))
        result = sg.explain(Blind(patch).eval(), behind(patch, x, look), method=method)
        assert share_in_patch(result.maps, patch).item() == 0 or method == sg.uniform_map()
        return vanishes(result, patch)

    assert asked(sg.input_x_gradient(), BLACK)
    assert asked(sg.integrated_gradients(steps=4), BLACK)
    # A network that does not look there is no construction of the method, nor is 0 of a patch that is not 0 to the network.
    assert not asked(sg.gradient(), BLACK)
    assert not asked(sg.uniform_map(), BLACK)
    assert not asked(sg.input_x_gradient(), CORNER)
    assert not asked(sg.input_x_gradient(), BLACK, mean=0.5)
