"""The gradient along a small step: what is known of it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import smoothgrad as sg
from smoothgrad.errors import BadMethod, BadNoise, RuleDidNothing, UnknownName
from smoothgrad.experiments.fluctuation import (
    CHANGE,
    DETOUR,
    ENTRY,
    ENTRY_CHANGE,
    JUMP,
    SCORE,
    SCORE_CHANGE,
    SCORE_DETOUR,
    SCORE_WANDER,
    SHARE,
    SPREAD,
    WANDER,
    Fluctuation,
)
from smoothgrad.experiments.recipe import experiment_from_recipe
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import average, chosen, unit_of
from smoothgrad.models.network import Network
from smoothgrad.models.rounded import rounded
from smoothgrad.samplers.cloud import Gaussian
from smoothgrad.targets import as_target
from tests.truth import Linear, Quadratic, Truth, W, X, symmetric


def about(truth: Truth) -> Setup:
    return Setup(Network(truth, name="truth"), (Picture("row", X[None]),), target=0)


def digits(count: int) -> Setup:
    net = sg.load("digits")
    return Setup(net, samples_of(net, count), model="digits")


@pytest.fixture(scope="module")
def found() -> Result:
    """Tiny: both activations on three digits."""
    return run(Fluctuation(steps=11, noise=0.05), digits(3))


# --- truths -----------------------------------------------------------------------------------------------------------


def test_the_gradient_of_a_linear_network_does_not_move() -> None:
    frame = run(Fluctuation("own", noise=0.3, steps=5), about(Linear(W))).frame
    for quantity in (WANDER, DETOUR, JUMP, CHANGE):
        assert set(chosen(frame, {"quantity": quantity})["value"]) == {0.0}
    assert list(chosen(frame, {"quantity": ENTRY, "rank": 1})["value"]) == [-1.2] * 5  # the largest of W
    assert chosen(frame, {"quantity": SCORE_DETOUR})["value"].item() == pytest.approx(1.0)  # the score rises or falls


def test_the_gradient_of_a_quadratic_is_a_straight_line() -> None:
    a = symmetric(4)
    setup, grid = about(Quadratic(a)), Fluctuation("own", noise=0.3, steps=7, entries=4)
    frame = run(grid, setup).frame
    step = grid._step(setup)[0]
    for entry in range(4):
        path = chosen(frame, {"quantity": ENTRY, "entry": entry})
        t = torch.tensor(path["t"].to_numpy())
        want = (X + t[:, None] * step) @ a
        torch.testing.assert_close(torch.tensor(path["value"].to_numpy()), want[:, entry])
    assert chosen(frame, {"quantity": DETOUR})["value"].to_numpy() == pytest.approx(1.0)
    far = chosen(frame, {"quantity": CHANGE, "t": 1.0})["value"].item()
    assert far == pytest.approx(float((step @ a).norm() / (X @ a).norm()))


def test_the_step_is_the_first_draw_of_smoothgrad() -> None:
    from smoothgrad.core.query import Query
    from smoothgrad.core.value import content_key

    setup, grid = replace(digits(1), seed=3), Fluctuation(noise=0.1)
    x = setup.picture.x
    draw = Gaussian(0.1, 1).draw(Query.of(x, 0, seed=3, keys=torch.tensor([content_key(x)])), range(1))
    torch.testing.assert_close(draw.points[0], x + grid._step(setup))


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_row_for_each_place_and_entry(found: Result) -> None:
    frame = found.frame
    assert not found.failures
    cell = chosen(frame, {"picture": found.setup.pictures[0].name, "activation": "softplus"})
    assert len(cell) == 11 * (3 * 3 + 3) + 3 * 3 + 3
    cell = chosen(frame, {"picture": found.setup.pictures[0].name, "activation": "own"})
    largest = chosen(cell, {"quantity": SHARE, "rank": 1, "t": 0.0})["value"].item()
    assert abs(largest) == 1.0  # at the picture it is the largest itself
    sizes = [abs(chosen(cell, {"quantity": ENTRY, "rank": rank, "t": 0.0})["value"].item()) for rank in (1, 2, 3)]
    assert sizes == sorted(sizes, reverse=True)


def test_both_activations_are_asked_about_the_same_class(found: Result) -> None:
    for picture in found.setup.pictures:
        held = [found.finding(picture.name, activation=one) for one in ("own", "softplus")]
        own, smooth = (one.maps["start"] for one in held if one is not None)
        assert own.target.tolist() == smooth.target.tolist()
        x, net = picture.x, found.setup.net
        assert float(own.score) == pytest.approx(float(net(x).detach().max()), rel=1e-4)
        assert float(smooth.score) == pytest.approx(float(rounded(net, 10.0)(x).detach()[0, own.target[0]]), rel=1e-4)


def test_both_activations_are_asked_about_the_same_values(found: Result) -> None:
    for picture in found.setup.pictures:
        own, smooth = (
            chosen(found.frame, {"picture": picture.name, "activation": one, "quantity": JUMP}).set_index("rank")[
                "entry"
            ]
            for one in ("own", "softplus")
        )
        assert own.to_dict() == smooth.to_dict()


def test_a_number_added_to_all_scores_changes_nothing_that_is_said_of_them() -> None:
    """Scores before the softmax have no natural zero."""
    setup = digits(1)
    net = setup.net

    class Shifted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shifted: torch.Tensor = net.net(x) + 100.0
            return shifted

    shifted = setup.asking(Network(Shifted().eval(), name="shifted", classes=net.classes))
    plain, moved = (run(Fluctuation("own", steps=5, noise=0.1), one).frame for one in (setup, shifted))
    assert unit_of(plain, SCORE_WANDER) == SPREAD
    for quantity in (SCORE_WANDER, SCORE_CHANGE, WANDER, JUMP):
        values, again = (chosen(frame, {"quantity": quantity})["value"].to_numpy() for frame in (plain, moved))
        assert again == pytest.approx(values, rel=1e-2, abs=1e-5)
    change = chosen(plain, {"quantity": SCORE_CHANGE, "t": 1.0})["value"].item()
    output = net(setup.picture.x).detach()[0]
    score = chosen(plain, {"quantity": SCORE})["value"].to_numpy()
    assert change == pytest.approx((score[-1] - score[0]) / float(output.max() - output.min()), rel=1e-4)


def test_a_score_without_classes_keeps_its_unit() -> None:
    class Alone(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ W

    setup = Setup(
        Network(Alone().eval(), name="alone"), (Picture("row", X[None]),), target=as_target(lambda output: output)
    )
    result = run(Fluctuation("own", noise=0.3, steps=5), setup)
    assert unit_of(result.frame, SCORE_CHANGE) == unit_of(result.frame, SCORE) == "function"
    assert [plate.name for plate in result.plates] == ["entries", "change", "maps"]


def test_changes_are_shares_of_the_largest_value_of_their_own_network(found: Result) -> None:
    name = found.setup.pictures[1].name
    for one in ("own", "softplus"):
        some = chosen(found.frame, {"picture": name, "activation": one, "rank": 2})
        entry, change = (
            chosen(some, {"quantity": quantity}).sort_values("t")["value"].to_numpy()
            for quantity in (ENTRY, ENTRY_CHANGE)
        )
        finding = found.finding(name, activation=one)
        assert finding is not None
        largest = float(finding.maps["start"].maps.abs().max())
        assert change == pytest.approx((entry - entry[0]) / largest, rel=1e-5, abs=1e-7)
        jump = chosen(some, {"quantity": JUMP})["value"].item()
        assert jump == pytest.approx(abs(change[1:] - change[:-1]).max())


def test_every_cell_repeats_its_rows_alone(found: Result) -> None:
    for cell in found.cells[1:4]:
        assert cell.picture is not None
        alone = run(experiment_from_recipe(repr(cell.experiment)), replace(found.setup, pictures=(cell.picture,)))
        rows = [one for one in found.records if one["cell"] == alone.records[0]["cell"]]
        assert [one["value"] for one in rows] == pytest.approx([one["value"] for one in alone.records], rel=1e-6)


def test_round_corners_make_no_jumps() -> None:
    """With more steps the largest jump of a smooth gradient vanishes, that of a ReLU network does not."""
    jumps = {}
    for steps in (11, 61):
        frame = run(Fluctuation(steps=steps, noise=0.2, entries=1), digits(1)).frame
        for one in ("own", "softplus"):
            jumps[one, steps] = average(frame, JUMP, {"activation": one}).mean
    assert jumps["softplus", 61] < 0.25 * jumps["softplus", 11]
    assert jumps["own", 61] > 0.4 * jumps["own", 11]


# --- figures and sentences --------------------------------------------------------------------------------------------


def test_figures_and_sentences(found: Result) -> None:
    assert [plate.name for plate in found.plates] == ["entries", "beside-the-score", "change", "maps"]
    assert len(found.lessons) == 4  # the last of few pictures
    assert found.lessons[0].startswith("Own ReLUs, n = 3")
    assert "5 % noise" in found.lessons[0]
    assert "beta 10" in found.lessons[1]
    assert "paired over 3 pictures" in found.lessons[2]
    assert not any("times" in lesson for lesson in found.lessons)


def test_softplus_is_compared_picture_by_picture_on_the_same_value(found: Result) -> None:
    some = chosen(found.frame, {"quantity": JUMP, "rank": 1})
    own, smooth = (chosen(some, {"activation": one}).set_index("picture")["value"] for one in ("own", "softplus"))
    assert f"softplus less own {(smooth - own).mean():.3g}" in found.lessons[2]


def test_one_picture_and_one_activation() -> None:
    result = run(Fluctuation("own", steps=3), digits(1))
    assert len(result.lessons) == 2  # and that there is one picture
    assert result.lessons[0].startswith("Own, n = 1")  # there may be no ReLUs
    assert result.plates


# --- the door ---------------------------------------------------------------------------------------------------------


def test_what_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'softplus'"):
        Fluctuation("softpluss")
    with pytest.raises(BadNoise):
        Fluctuation(noise=-0.1)
    with pytest.raises(BadMethod, match="steps"):
        Fluctuation(steps=1)
    with pytest.raises(BadMethod, match="beta"):
        Fluctuation(beta=0.0)
    with pytest.raises(RuleDidNothing, match="no ReLU"):
        Fluctuation().check(about(Linear(W)))
    Fluctuation("own").check(about(Linear(W)))


def test_a_constant_picture_has_a_reason() -> None:
    setup = digits(1)
    flat = replace(setup, pictures=(*setup.pictures, Picture("flat", torch.zeros(1, 1, 8, 8))))
    (failed,) = run(Fluctuation("own", steps=3), flat).failures
    assert str(failed["reason"]).startswith("BadNoise")
    assert failed["picture"] == "flat"


def test_scores_stand_beside_the_entries(found: Result) -> None:
    some = chosen(found.frame, {"quantity": SCORE, "picture": found.setup.pictures[0].name, "activation": "own"})
    start = some[some["t"] == 0.0]["value"].item()
    assert start == pytest.approx(float(found.setup.net(found.setup.pictures[0].x).detach().max()), rel=1e-4)


def test_quick_is_quick() -> None:
    assert not run(Fluctuation().quick(), digits(2)).failures
