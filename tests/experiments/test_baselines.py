"""Integrated Gradients from several baselines: what the sums are known to be, and that a row repeats its cell."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import smoothgrad as sg
from smoothgrad.errors import BadBaseline, BadInput, BadMethod, BadPicture, UnknownName
from smoothgrad.experiments.baselines import CHANGE, COSINE, ERROR, Baselines
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import PROVENANCE, Result
from smoothgrad.experiments.run import kept_cells, run
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.starts import data_starts
from smoothgrad.experiments.summary import chosen
from smoothgrad.measure.deletion import Deletion
from smoothgrad.models.network import Network
from smoothgrad.samplers.quadrature import Quadrature
from tests.truth import TRUTHS, W, X

NET = sg.load("digits")
ALL: tuple[Quadrature, ...] = ("gauss-legendre", "midpoint", "trapezoid", "left", "right")


def digits(count: int) -> Setup:
    return Setup(NET, samples_of(NET, count), model="digits")


def known(name: str, *rows: torch.Tensor) -> Setup:
    """One of the functions whose maps are known, with rows of four values."""
    pictures = tuple(Picture(f"row {place}", one[None]) for place, one in enumerate(rows or (X,)))
    return Setup(Network(TRUTHS[name], name=name), pictures, model=name)


def small(**fields: object) -> Baselines:
    few = {"baseline": ("black", "noise"), "steps": (5, 9), "reference": 20, "samples": 2, "quadratures": ALL[:1]}
    return Baselines(**{**few, **fields})  # type: ignore[arg-type]


def errors(result: Result, **where: str | int) -> list[float]:
    return [float(one) for one in chosen(result.measured, {"quantity": ERROR, **where})["value"]]


# --- what is known ------------------------------------------------------------------------------------------------------


def test_a_linear_network_is_complete_in_any_number_of_steps() -> None:
    result = run(
        small(baseline=("black", "noise", "adversarial"), steps=(2,), reference=3, measures=(), quadratures=ALL),
        known("linear"),
    )
    assert not result.failures
    assert max(errors(result)) < 1e-12
    for name in ("black", "noise"):
        finding = result.finding("row 0", baseline=name, steps=2)
        assert finding is not None
        start = finding.arrays["starts"].mean(0)
        (change,) = [one["value"] for one in finding.rows if one["quantity"] == CHANGE]
        assert change == pytest.approx(float((X - start) @ W), rel=1e-12)
        torch.testing.assert_close(finding.maps["map"].maps[0], (X - start) * W)  # the truth of a path


@pytest.mark.parametrize("network", ["sine", "cubic"])
def test_the_error_falls_at_the_order_of_the_rule(network: str) -> None:
    asked = small(baseline=("black",), steps=(50, 200), reference=201, measures=(), quadratures=ALL)
    result = run(asked, known(network))
    for rule, order in (("left", 1), ("right", 1), ("midpoint", 2), ("trapezoid", 2)):
        few, many = (errors(result, steps=steps, quadrature=rule)[0] for steps in (50, 200))
        assert -math.log(many / few) / math.log(200 / 50) == pytest.approx(order, abs=0.1)
    assert max(errors(result, quadrature="gauss-legendre")) < 1e-12


def test_gauss_legendre_is_exact_for_polynomials() -> None:
    asked = small(baseline=("black",), steps=(1, 2), quadratures=("gauss-legendre",), measures=())
    result = run(asked, known("cubic"))  # its gradient is of degree 2, and m nodes are exact up to 2 m - 1
    assert errors(result, steps=1)[0] > 1e-3
    assert errors(result, steps=2)[0] < 1e-12


def test_each_baseline_is_what_its_name_says() -> None:
    setup = digits(3)
    x = setup.pictures[1].x[0]
    starts = {
        name: Baselines(baseline=(name,), samples=2).starts(setup.only(setup.pictures[1]))
        for name in ("black", "white", "mean", "noise", "blurred", "adversarial", "data")
    }
    assert {name: len(one) for name, one in starts.items() if len(one) > 1} == {"noise": 2, "data": 2}
    torch.testing.assert_close(starts["black"][0], torch.full_like(x, float(x.min())))
    torch.testing.assert_close(starts["white"][0], torch.full_like(x, float(x.max())))
    torch.testing.assert_close(starts["mean"][0], torch.full_like(x, float(x.mean())))
    assert 0 < (starts["blurred"][0] - x).norm() < (starts["mean"][0] - x).norm()
    assert (starts["adversarial"][0] - x).abs().max() <= 0.1 * (x.max() - x.min()) + 1e-6
    # The first two samples that are not the picture itself.
    torch.testing.assert_close(starts["data"], torch.cat([setup.pictures[0].x, setup.pictures[2].x]))


def test_the_map_sums_to_the_change_from_the_baseline_that_is_shown() -> None:
    setup = digits(1)
    result = run(small(baseline=("adversarial", "data"), steps=(100,), reference=101, measures=()), setup)
    for name in ("adversarial", "data"):
        finding = result.finding(setup.pictures[0].name, baseline=name)
        assert finding is not None
        with torch.no_grad():
            there = NET(finding.arrays["starts"])[:, 0].mean()
            here = NET(setup.pictures[0].x)[0, 0]
        (change,) = [one["value"] for one in finding.rows if one["quantity"] == CHANGE]
        assert change == pytest.approx(float(here - there), rel=1e-4)
        assert float(finding.maps["map"].maps.sum()) == pytest.approx(change, rel=0.02)


# --- the table ----------------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    result = run(small(steps=(5,), quadratures=("gauss-legendre", "left")), digits(2))
    frame = result.frame
    assert list(frame.columns) == [
        *("picture", "group", "baseline", "steps", "quadrature", "start", "quantity", "value", "unit"),
        *PROVENANCE,
    ]
    each = {
        "gauss-legendre": {ERROR, COSINE, "keep_top", "deletion", "insertion"},
        "left": {ERROR, COSINE},
        "": {CHANGE},
    }
    for (_, rule), some in frame.groupby(["cell", "quadrature"]):
        assert set(some["quantity"]) == each[rule]
        assert len(some) == len(each[rule])
    assert len(frame) == 2 * 2 * 8
    assert frame["value"].notna().all()
    assert (frame["start"] == "").all()
    assert chosen(frame, {"quantity": COSINE})["value"].between(-1, 1.000001).all()


def test_a_row_repeats_its_cell() -> None:
    setup = digits(2)
    asked = small(baseline=("noise", "data"), steps=(5,), quadratures=("trapezoid",), measures=(Deletion(),))
    frame = run(asked, setup).frame
    for _, rows in frame.groupby("cell"):
        first = rows.iloc[0]
        again = run(experiment_from_recipe(first["recipe"]), setup.only(setup.named(first["picture"]))).frame
        np.testing.assert_array_equal(rows["value"], again["value"])
        assert list(rows["quantity"]) == list(again["quantity"])


def test_quick_has_figures_and_lessons() -> None:
    result = run(Baselines(baseline=("black", "data"), steps=(5, 20), measures=(Deletion(),)).quick(), digits(1))
    assert not result.failures
    assert [plate.name for plate in result.plates] == ["maps", "steps", "measures", "curves", "completeness"]
    said = "\n".join(result.lessons)
    assert said.count("1 picture:") == 1  # by the result, as of every experiment
    assert "By deletion (lower is better)" in said
    assert "n = 1. On the same pictures, not clearly worse is" in said
    assert "By left the mean completeness error" in said


def test_one_row_without_a_picture_is_drawn_and_told_too() -> None:
    result = run(small(baseline=("black",), measures=()), known("sine"))
    assert [plate.name for plate in result.plates] == ["steps", "curves", "completeness"]
    assert result.lessons


def test_a_baseline_that_is_the_picture_itself_is_a_failed_cell() -> None:
    flat = torch.full_like(X, 0.5)
    result = run(small(baseline=("black", "noise"), measures=()), known("sine", X, flat))
    assert {(one["picture"], one["baseline"]) for one in result.failures} == {("row 1", "black"), ("row 1", "noise")}
    reasons = {str(one["baseline"]): str(one["reason"]) for one in result.failures}
    assert "is that picture itself" in reasons["black"]
    assert result.lessons


def test_a_picture_that_has_no_such_baseline_may_come_first() -> None:
    flat = torch.full_like(X, 0.5)
    result = run(small(baseline=("noise", "black"), steps=(5,), measures=()), known("sine", flat, X))
    assert {one["picture"] for one in result.failures} == {"row 0"}
    with pytest.raises(BadBaseline, match="of row 0 is that picture itself"):
        small(baseline=("black",)).check(known("sine", flat, flat, flat))


def test_baselines_are_compared_on_the_same_pictures() -> None:
    """Pictures differ by far more than baselines: intervals of the means overlap, those of the differences do not."""
    asked = small(baseline=("black", "white", "mean"), steps=(5,), measures=(Deletion(),))
    shifts = {"black": np.zeros(12), "white": np.full(12, 0.5), "mean": 0.02 * (-1.0) ** np.arange(12)}
    shifts["white"][0] = 0.6  # of equal differences there is no interval
    about = {"quadrature": "gauss-legendre", "steps": 5, "quantity": "deletion"}
    rows = [
        {**about, "picture": f"p{place}", "baseline": name, "value": place + shift}
        for name, some in shifts.items()
        for place, shift in enumerate(some)
    ]
    (said,) = asked._judged(pd.DataFrame(rows), Deletion(), 5)
    assert "black has the best mean of 3 baselines" in said
    assert "clearly worse is white by 0.508 (0.5 to 0.5" in said
    assert "not clearly worse is mean by" in said
    assert "picked by the same scores" in said


def test_the_score_that_does_not_change_has_no_relative_error() -> None:
    # sin(x) + sin(-x) = 0, as at the baseline, which is their mean.
    result = run(small(baseline=("mean",), measures=()), known("sine", torch.tensor([1.0, -1.0], dtype=torch.float64)))
    assert all(math.isnan(one) for one in errors(result))
    assert result.lessons


# --- pictures of the user's ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in (0, 4, 7):
        pixels = (255 * NET.samples(8)[place, 0]).round().byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_picture_and_a_folder_of_the_users(folder: Path) -> None:
    setup = digits(1)
    asked = small(
        baseline=("own", "data"), own=str(folder / "4.png"), data=str(folder), steps=(5,), samples=9, measures=()
    )
    result = run(asked, setup)
    own, data = (result.finding(setup.pictures[0].name, baseline=name) for name in ("own", "data"))
    assert own is not None
    assert data is not None
    torch.testing.assert_close(own.arrays["starts"], NET.read(folder / "4.png"))
    assert len(data.arrays["starts"]) in (2, 3)  # all there are, but for the picture itself where rounding keeps it


@pytest.mark.parametrize("name", ["own", "data"])
def test_another_picture_in_the_same_file_is_another_cell(folder: Path, tmp_path: Path, name: str) -> None:
    setup, kept = digits(1), tmp_path / "kept"
    asked = small(
        baseline=(name, "black"), own=str(folder / "4.png"), data=str(folder), steps=(5,), samples=1, measures=()
    )
    first = run(asked, setup, folder=kept).frame
    assert kept_cells(asked, setup, folder=kept) == (2, 2)
    for place in (0, 4):
        Image.fromarray(255 - np.asarray(Image.open(folder / f"{place}.png"))).save(folder / f"{place}.png")
    assert kept_cells(asked, setup, folder=kept) == (1, 2)
    again = run(asked, setup, folder=kept).frame
    for baseline, same in (("black", True), (name, False)):
        before, after = (chosen(one, {"baseline": baseline}) for one in (first, again))
        assert (set(before["start"]) == set(after["start"])) == same
        assert (set(before["cell"]) == set(after["cell"])) == same
        assert np.array_equal(before["value"], after["value"]) == same


def test_no_more_pictures_of_a_folder_are_read_than_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def told(_: Network, path: Path) -> torch.Tensor:
        read.append(path.name)
        return NET.samples(5)[4:]

    monkeypatch.setattr(Network, "read", told)
    starts = data_starts(digits(1), str(folder), 2)
    assert read == ["0.png", "4.png"]
    assert len(starts) == 2


def test_a_file_that_went_away_is_a_failed_cell(folder: Path, tmp_path: Path) -> None:
    asked = small(baseline=("own",), own=str(folder / "4.png"), steps=(5,), measures=())
    (folder / "4.png").unlink()
    assert asked.depends_on(digits(1)) == ()
    assert kept_cells(asked, digits(1), folder=tmp_path) == (0, 1)


def test_rules_and_files_are_given_on_the_command_line() -> None:
    asked = with_grid(Baselines(), ("quadratures=gauss-legendre,left", "own=cat.png", "baseline=own,black"))
    assert isinstance(asked, Baselines)
    assert (asked.quadratures, asked.own, asked.baseline) == (("gauss-legendre", "left"), "cat.png", ("own", "black"))


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"baseline": ("blak",)}, UnknownName, "did you mean 'black'"),
        ({"samples": 0}, BadMethod, "samples >= 1"),
        ({"steps": (0, 5)}, BadMethod, "steps >= 1"),
        ({"steps": (5, 20)}, BadMethod, "take more for the reference"),
        ({"quadratures": ()}, BadMethod, "one or more quadratures"),
        ({"quadratures": ("gaus-legendre",)}, BadMethod, "did you mean 'gauss-legendre'"),
        ({"quadratures": ("left", "simpson"), "steps": (4,)}, BadMethod, "odd number of steps"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        small(**fields)


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"baseline": ("own",)}, BadInput, "own='PATH'"),
        ({"baseline": ("own",), "own": "nowhere.png"}, BadPicture, "nowhere.png"),
        ({"baseline": ("data",), "data": "nowhere"}, BadInput, "data='FOLDER'"),
    ],
)
def test_what_is_missing_is_said_before_the_work(fields: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        small(**fields).check(digits(1))


def test_data_of_a_network_without_any_is_refused() -> None:
    with pytest.raises(BadInput, match="comes without inputs"):
        small(baseline=("data",)).check(known("sine"))


def test_the_only_picture_of_a_folder_is_no_data_for_itself(folder: Path) -> None:
    alone = folder / "alone"
    alone.mkdir()
    (folder / "7.png").rename(alone / "7.png")
    setup = Setup(NET, (Picture("seven", NET.read(alone / "7.png")),), model="digits")
    with pytest.raises(BadInput, match="made of other pictures than seven"):
        small(baseline=("data",), data=str(alone)).check(setup)
