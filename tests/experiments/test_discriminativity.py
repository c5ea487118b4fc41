"""Maps of two classes: what is known of their difference, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadTarget, UnknownName
from smoothgrad.experiments import discriminativity
from smoothgrad.experiments.class_maps import scaled
from smoothgrad.experiments.discriminativity import COSINE, ON_OBJECTS, OVERLAP, SCORE, Discriminativity
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import chosen
from smoothgrad.experiments.two_objects import GROUP, Scene, embedded, made, separation, share_inside
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.network import Network


def digits(count: int) -> Setup:
    net = sg.load("digits")
    return Setup(net, samples_of(net, count), model="digits")


class Reads(nn.Module):
    """Each class of a scene is the sum of what stands in the region of its object; the others are zero."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.weight = torch.zeros(6, 3 * 32 * 32)
        for label, region in zip(scene.labels, scene.regions, strict=True):
            self.weight[label] = region.expand(3, -1, -1).flatten().float()

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T


@pytest.fixture(scope="module")
def found() -> Result:
    """Tiny: a picture and three scenes."""
    return run(Discriminativity(("gradient", "lrp", "sobel"), scenes=3), digits(1))


# --- truths -----------------------------------------------------------------------------------------------------------


def test_classes_that_read_their_own_object_are_told_apart_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    (scene,) = made(1)
    monkeypatch.setattr(discriminativity, "embedded", lambda: Network(Reads(scene), name="reads"))
    result = run(Discriminativity(("gradient", "smoothgrad(samples=3)"), scenes=1), digits(1))
    known = chosen(result.frame, {"group": GROUP})
    assert list(chosen(known, {"quantity": SCORE})["value"]) == [1.0, 1.0]
    assert list(chosen(known, {"quantity": ON_OBJECTS})["value"]) == [1.0, 1.0]
    assert list(chosen(known, {"quantity": COSINE})["value"]) == [0.0, 0.0]
    assert list(chosen(known, {"quantity": OVERLAP})["value"]) == [0.0, 0.0]


def test_a_map_that_does_not_know_the_class_separates_nothing(found: Result) -> None:
    blind = chosen(found.frame, {"method": "sobel"})
    assert set(chosen(blind, {"quantity": SCORE})["value"]) == {0.0}
    assert set(chosen(blind, {"quantity": OVERLAP})["value"]) == {1.0}
    assert chosen(blind, {"quantity": COSINE})["value"].to_numpy() == pytest.approx(1.0)
    assert chosen(blind, {"quantity": ON_OBJECTS})["value"].isna().all()  # of no difference nothing lies anywhere


def test_separation_in_numbers() -> None:
    first, second = torch.tensor([[True, True, False, False]]), torch.tensor([[False, False, True, False]])
    difference = torch.tensor([[1.0, -0.5, -0.25, 7.0]])
    assert separation(difference, first, second) == pytest.approx((0.5 + 0.25) / 1.75)
    assert separation(-difference, first, second) == -separation(difference, first, second)
    assert separation(torch.zeros(1, 4), first, second) == 0.0
    assert share_inside(difference, first, second) == pytest.approx(1.75 / 8.75)


def test_maps_are_scaled_to_their_largest_value() -> None:
    setup = digits(1)
    held = setup.explain(sg.gradient())
    maps = torch.tensor([3.0, -4.0, 0.0, 1.0]).reshape(1, 2, 1, 2)
    assert scaled(replace(held, maps=maps)).flatten().tolist() == [0.6, 1.0]  # |3| + |0| and |-4| + |1|, of 5
    assert scaled(replace(held, maps=0 * maps)).flatten().tolist() == [0.0, 0.0]


def test_relevance_knows_the_classes_of_scenes(found: Result) -> None:
    scores = chosen(found.frame, {"quantity": SCORE, "method": "lrp"})["value"]
    assert scores.min() > 0.2  # docs/scenes.md: of two objects it knows well which one is meant


# --- the table --------------------------------------------------------------------------------------------------------


def test_pictures_are_asked_of_their_network_and_scenes_of_the_one_that_is_known(found: Result) -> None:
    frame = found.frame
    assert not found.failures
    assert set(chosen(frame, {"group": GROUP})["network"]) == {"scenes"}
    assert set(chosen(frame, {"group": ""})["network"]) == {"digits"}
    assert set(chosen(frame, {"group": ""})["quantity"]) == {COSINE, OVERLAP}
    assert len(frame) == 1 * 3 * 2 + 3 * 3 * 4
    truth = chosen(frame, {"group": GROUP, "quantity": SCORE, "method": "lrp"})
    assert [f"{one} and {other}" for one, other in zip(truth["first"], truth["second"], strict=True)] == [
        name.partition(": ")[2] for name in truth["picture"]
    ]


def test_rows_of_scenes_say_which_network_was_asked(found: Result) -> None:
    frame = found.frame
    assert set(chosen(frame, {"group": GROUP})["weights"]) == {fingerprint(embedded())}
    assert set(chosen(frame, {"group": ""})["weights"]) == {fingerprint(found.setup.net)} == set(frame["fingerprint"])


def test_given_pictures_of_a_group_called_scene_stay_given() -> None:
    setup = digits(1)
    mine = replace(setup, pictures=(setup.picture._replace(group="scene"),))
    result = run(Discriminativity(("gradient",), scenes=1), mine)
    there = chosen(result.frame, {"group": "scene"})
    assert set(there["quantity"]) == {COSINE, OVERLAP}
    assert set(there["network"]) == {"digits"}
    assert any(lesson.startswith("On 1 given picture the") for lesson in result.lessons)
    assert any(lesson.startswith("On 1 scene with") for lesson in result.lessons)
    (panels,) = (list(result.experiment._panel(result, COSINE)),)  # type: ignore[attr-defined]
    assert [panel.title for panel in panels] == [f"{COSINE} (given pictures)"]
    for taken in ({"group": GROUP}, {"name": made(1)[0].picture.name}):
        with pytest.raises(BadInput, match="made here"):
            run(Discriminativity(("gradient",), scenes=1), replace(setup, pictures=(setup.picture._replace(**taken),)))


def test_what_has_no_score_is_counted(found: Result) -> None:
    (panel,) = found.experiment._panel(found, ON_OBJECTS)  # type: ignore[attr-defined]
    assert {one.label: (one.n, one.failed) for one in panel.dots} == {
        "gradient": (3, 0),
        "lrp": (3, 0),
        "sobel": (0, 3),
    }


def test_every_cell_repeats_its_rows_alone(found: Result) -> None:
    for cell in (found.cells[0], found.cells[4], found.cells[-2]):
        assert cell.picture is not None
        rows = experiment_from_recipe(repr(cell.experiment)).found(found.setup.only(cell.picture)).rows
        where = {"picture": cell.picture.name, "method": cell.experiment.settings["method"]}
        kept = [one for one in found.records if where.items() <= one.items()]
        # NaN is NaN
        assert [(one["quantity"], repr(one["value"])) for one in rows] == [
            (one["quantity"], repr(one["value"])) for one in kept
        ]


def test_a_scene_that_is_given_is_not_asked_twice() -> None:
    setup = Setup(embedded(), (made(2)[1].picture,))
    result = run(Discriminativity(("gradient",), scenes=2), setup)
    assert [one.picture and one.picture.name for one in result.cells] == [
        made(2)[place].picture.name for place in (1, 0)
    ]
    assert set(chosen(result.frame, {"quantity": SCORE})["picture"]) == {one.picture.name for one in made(2)}


def test_the_two_highest_classes_or_those_that_are_asked_for() -> None:
    setup = digits(1)
    output = setup.net(setup.picture.x)[0]
    best, next_best = output.topk(2).indices.tolist()
    plain = run(Discriminativity(("gradient",), scenes=0), setup).frame
    assert set(plain["first"]) == {str(best)}
    assert set(plain["second"]) == {str(next_best)}
    other = run(Discriminativity(("gradient",), second=best, scenes=0), setup).frame
    assert set(other["first"]) == {str(next_best)}
    assert set(other["second"]) == {str(best)}
    chosen_ = run(Discriminativity(("gradient",), first=3, second=5, scenes=0), setup).frame
    assert set(chosen_["first"]) == {"3"}
    assert set(chosen_["second"]) == {"5"}


# --- figures and sentences --------------------------------------------------------------------------------------------


def test_figures_and_sentences(found: Result) -> None:
    names = [plate.name for plate in found.plates]
    assert names == ["differences", "maps-1", "maps-2", "maps-3", "scores"]
    first, second = found.lessons[0], found.lessons[-2]
    assert first.index("lrp") < first.index("sobel (control) 0")
    assert "3 scenes" in first
    assert "have these mean cosines" in second
    assert "Not clearly different from 0 there: " in found.lessons[1]
    assert "sobel (control)" in found.lessons[1]
    assert "sobel" not in second


def test_without_scenes_and_with_one_picture() -> None:
    result = run(Discriminativity(("gradient", "grad_cam"), scenes=0), digits(1))
    assert len(result.lessons) == 2  # and that there is one picture
    assert [plate.name for plate in result.plates] == ["differences", "maps-1", "scores"]


def test_features_have_no_channels() -> None:
    net = Network(nn.Linear(5, 3).eval(), name="dense")
    result = run(Discriminativity(("gradient",), scenes=0), Setup(net, (Picture("row", torch.rand(1, 5)),)))
    assert not result.failures
    assert result.plates


# --- the door ---------------------------------------------------------------------------------------------------------


def test_what_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'lrp'"):
        with_grid(Discriminativity(), ("method=lpr",))
    with pytest.raises(BadMethod, match="two classes"):
        Discriminativity(first=2, second=2)
    with pytest.raises(BadMethod, match="scenes"):
        Discriminativity(scenes=-1)
    setup = digits(1)
    with pytest.raises(BadTarget, match="first="):
        Discriminativity(("gradient",), scenes=0).check(replace(setup, target=3))
    with pytest.raises(BadTarget, match="0 to 9"):
        Discriminativity(("gradient",), second=10, scenes=0).check(setup)
    one = Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval(), name="one")
    with pytest.raises(BadTarget, match="two classes"):
        Discriminativity(("gradient",), scenes=0).check(replace(setup, network=one))


def test_quick_is_quick() -> None:
    assert not run(Discriminativity(scenes=2).quick(), digits(1)).failures
