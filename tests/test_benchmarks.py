"""The benchmarks' own arithmetic and bookkeeping, on tiny networks and without the libraries that they compare with."""

from __future__ import annotations

import doctest
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks import findings, growth, machine, ours, plots, results, sampling, smooth_ig, tasks, times
from benchmarks import session as session_module
from benchmarks.contenders import CONTENDERS
from benchmarks.findings import Aim, Figure, Findings
from benchmarks.meter import STATUS
from benchmarks.networks import NETWORKS, Case, calibrate
from benchmarks.records import Records
from benchmarks.session import FULL, QUICK, Session
from benchmarks.tasks import Task
from benchmarks.worker import Asked, Outcome, Place, Worker
from tests.nets import small_net

SCALE = replace(QUICK, networks=("digits",), methods=("smoothgrad", "guided"), rounds=3)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(SCALE, "cpu", tmp_path, made_with="here")


def here() -> Case:
    x = torch.rand(2, 3, 8, 8)
    return Case(small_net(), x, torch.tensor([1, 3]))


# --- records -------------------------------------------------------------------------------------------------------------


def test_records_are_there_again_after_a_stop(tmp_path: Path) -> None:
    Records(tmp_path, "times", "a").add("one", seconds=1.5)
    again = Records(tmp_path, "times", "a")
    assert "one" in again
    assert again["one"]["seconds"] == 1.5


def test_records_of_other_code_do_not_count(tmp_path: Path) -> None:
    old = Records(tmp_path, "times", "a")
    old.add("one", seconds=1.5)
    old.add_maps("one", torch.ones(1, 2))
    new = Records(tmp_path, "times", "b")
    assert "one" not in new
    assert new.maps("one") is None
    assert torch.equal(Records(tmp_path, "times", "a").maps("one"), torch.ones(1, 2))


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    records = Records(tmp_path, "times", "a")
    records.add("one", seconds=1.0)
    records.add("two", seconds=2.0)
    records.file.write_text(records.file.read_text()[:-10])
    again = Records(tmp_path, "times", "a")
    assert "one" in again
    assert "two" not in again


def test_what_follows_a_line_that_was_cut_off_is_kept(tmp_path: Path) -> None:
    records = Records(tmp_path, "times", "a")
    records.add("one", seconds=1.0)
    records.file.write_text(records.file.read_text()[:-10])
    Records(tmp_path, "times", "a").add("two", seconds=2.0)
    assert "two" in Records(tmp_path, "times", "a")


def test_the_digest_of_the_code_changes_with_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.made_with("cpu")
    assert machine.made_with("cpu") == before
    monkeypatch.setattr(machine, "versions", lambda: {"torch": "0"})
    assert machine.made_with("cpu") != before


# --- rounds ---------------------------------------------------------------------------------------------------------------


class FakeWorker:
    """Stands in for a process: answers at once, and writes down who was asked what."""

    asked: list[tuple[str, Asked]]

    def __init__(self, contender: str, place: Place) -> None:
        self.contender = contender

    def run(self, asked: Asked) -> Outcome:
        FakeWorker.asked.append((self.contender, asked))
        if self.contender == "saliency":
            return Outcome(error="ValueError: no")
        return Outcome(asked.task.samples / 10, 1_000_000, torch.full((1, 4), float(asked.seed + 1)))

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Asked]]:
    FakeWorker.asked = []
    monkeypatch.setattr(times, "Worker", FakeWorker)
    monkeypatch.setattr(growth, "Worker", FakeWorker)
    return FakeWorker.asked


def test_rounds_are_whole_and_in_random_order(session: Session, asked: list[tuple[str, Asked]]) -> None:
    session = replace(session, only=("times/smoothgrad",), scale=replace(SCALE, rounds=6))
    times.run(session)
    timed = [name for name, ask in asked if ask.task.samples == SCALE.samples][-6 * 8 :]
    rounds = [timed[start : start + 8] for start in range(0, 48, 8)]
    assert all(len(set(one)) == 8 for one in rounds)  # every contender once in each round
    assert len({tuple(one) for one in rounds}) > 1


def test_a_second_run_measures_nothing(session: Session, asked: list[tuple[str, Asked]]) -> None:
    times.run(session)
    asked.clear()
    times.run(session)
    assert asked == []


def test_only_the_missing_round_is_measured(session: Session, asked: list[tuple[str, Asked]]) -> None:
    session = replace(session, only=("times/smoothgrad/digits/ours",))
    times.run(session)
    file = session.folder / "times.jsonl"
    lines = [line for line in file.read_text().splitlines() if "digits/ours/1" not in line]
    file.write_text("\n".join(lines) + "\n")
    asked.clear()
    times.run(session)
    assert [ask.seed for _, ask in asked] == [0, 1]  # warm, then the second round


def test_guided_is_left_out_where_hooks_miss_the_relus(session: Session, asked: list[tuple[str, Asked]]) -> None:
    times.run(replace(session, only=("times/guided",)))
    assert {name for name, _ in asked} == {"ours"}
    assert CONTENDERS["captum, default"].left_out("resnet50", "guided") == ""
    assert "ReLU6" in CONTENDERS["zennit"].left_out("mobilenet_v2", "guided")


@pytest.mark.usefixtures("asked")
def test_single_draws_are_scaled_up(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "digits", replace(NETWORKS["digits"], scaled=2))
    times.run(replace(session, only=("times/smoothgrad",)))
    found = Findings(session)
    zennit = found.timed("smoothgrad", "digits", "zennit")
    captum = found.timed("smoothgrad", "digits", "captum, default")
    assert zennit is not None
    assert captum is not None
    assert zennit.scaled
    assert not captum.scaled
    assert zennit.seconds.median == pytest.approx(captum.seconds.median)


@pytest.mark.usefixtures("asked")
def test_a_failure_is_kept_and_said(session: Session) -> None:
    times.run(replace(session, only=("times/smoothgrad",)))
    timed = Findings(session).timed("smoothgrad", "digits", "saliency")
    assert timed is not None
    assert timed.error == "ValueError: no"


def test_the_best_batch_is_looked_for_once_per_network(session: Session, asked: list[tuple[str, Asked]]) -> None:
    times.run(replace(session, scale=replace(SCALE, methods=("smoothgrad", "integrated_gradients"))))
    first = [ask for name, ask in asked if name == "captum, best batch" and ask.task.samples == 1]
    assert len(first) == 1  # the warming up of the smallest batch: for SmoothGrad, not again for the path


@pytest.mark.parametrize(
    ("seconds", "best", "tried"),
    [
        ({1: 5.0, 2: 4.0, 4: 3.0, 8: 2.0}, 8, 4),
        ({1: 1.0, 2: 2.0, 4: 3.0, 8: 0.1}, 1, 3),
        ({1: 2.0, 2: 3.0, 4: 1.0, 8: 2.0}, 4, 4),
        ({1: math.inf, 2: math.inf, 4: 1.0, 8: 2.0}, 4, 4),
    ],
)
def test_the_climb_ends_after_two_that_are_worse(seconds: dict[int, float], best: int, tried: int) -> None:
    found = times.climb(seconds.__getitem__, seconds)
    assert found["best"] == best
    assert len(found["seconds"]) == tried


# --- a real process ---------------------------------------------------------------------------------------------------


def test_a_worker_gives_the_map_that_explain_gives() -> None:
    task = Task("smoothgrad", samples=4)
    with Worker("ours", Place("digits", rows=1)) as worker:
        outcome = worker.run(Asked(task, seed=3))
        broken = worker.run(Asked(Task("smoothgrad", samples=0)))
        again = worker.run(Asked(task, seed=3))
    assert outcome.error == ""
    assert outcome.seconds > 0
    from benchmarks.networks import case

    wanted = ours.make(case("digits", rows=1), task, None)(3)
    assert torch.allclose(outcome.maps, wanted, rtol=1e-4, atol=1e-6)
    assert "samples" in broken.error  # said, and the process lives on
    assert torch.equal(again.maps, outcome.maps)


@pytest.mark.skipif(not STATUS.exists(), reason="the peak can be set back on Linux only")
def test_the_meter_sees_the_peak_of_this_run_alone() -> None:
    # In a process of its own: the memory that other tests have left behind would be taken again.
    code = (
        "import torch; from benchmarks.meter import Meter; meter = Meter.here('cpu')\n"
        "def hold(megabytes): return lambda: torch.ones(megabytes * 250_000)[:1].clone()\n"
        "print(*[meter.measure(hold(size))[2] for size in (200, 1)])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    large, small = map(float, done.stdout.split())
    assert 190e6 < large < 260e6
    assert small < 100e6


# --- the same question ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients", "guided", "smooth_ig", "nested_ig"])
def test_a_task_costs_what_it_says(method: str) -> None:
    task = Task(method, samples=6, steps=5 if method == "nested_ig" else 0)
    assert ours.method(task, std=0.1).passes == 6 * (task.steps or 1)


def test_the_bare_loop_is_smoothgrad() -> None:
    from benchmarks import bare_loop

    case, task = here(), Task("smoothgrad", samples=600, noise=0.1)
    torch.manual_seed(0)
    plain = bare_loop.make(case, task, 64)(0)
    library = ours.make(case, task, None)(0)
    other = ours.make(case, task, None)(1)
    assert findings.cosine(plain, library) > findings.cosine(other, library) - 0.01
    assert findings.cosine(plain, library) > 0.98


def test_noise_is_a_fraction_of_the_mean_range() -> None:
    x = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    assert Case(torch.nn.Identity(), x, torch.zeros(2)).std(Task("smoothgrad", noise=0.5)) == 1.0


def test_calibration_makes_batch_norm_normalise() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    rows = 1e3 * torch.randn(2, 3, 8, 8) + 5e3
    calibrate(net, rows)
    assert not net[1].training
    assert net[1].momentum == 0.1
    with torch.no_grad():
        after = net(rows)
    assert torch.allclose(after.mean((0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(after.std((0, 2, 3)), torch.ones(4), atol=0.02)


# --- smooth IG ----------------------------------------------------------------------------------------------------------


def test_the_crossing_of_a_power_law_is_exact() -> None:
    errors = {n: 3 * n**-0.5 for n in (25, 50, 100, 200)}
    assert smooth_ig.crossing(errors, target=0.1) == pytest.approx(900)
    noisy = {n: error * factor for (n, error), factor in zip(errors.items(), (1.1, 0.9, 0.9, 1.1), strict=True)}
    assert smooth_ig.crossing(noisy, target=0.25) == pytest.approx(144, rel=0.05)


def test_distances_are_relative_and_by_picture() -> None:
    reference = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    maps = torch.stack([reference + torch.tensor([0.0, 1.0]), reference + torch.tensor([0.0, -3.0])])
    root = math.sqrt((1 + 9) / 2)
    assert smooth_ig.distances(maps, reference) == pytest.approx([root / 5, root / 2])


def test_seeds_are_independent_draws_of_the_same_question() -> None:
    case, task = here(), Task("smooth_ig", samples=8)
    maps = ours.maps_over_seeds(case, task, seeds=3)
    assert maps.shape == (3, 2, 3, 8, 8)
    assert not torch.allclose(maps[0], maps[1])
    assert torch.allclose(maps[0], ours.make(case, task, None)(0), atol=1e-5)  # the first seed: the rows' own keys


# --- sampling -----------------------------------------------------------------------------------------------------------


def test_the_variance_is_over_seeds_and_summed_over_values() -> None:
    maps = torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]])  # 2 seeds, 1 picture, 2 values
    assert sampling.total_variance(maps) == [2.0]
    assert sampling.ratios([1.0, 3.0], [2.0, 2.0]) == [0.5, 1.5]


def test_mirrored_noise_leaves_no_variance_on_a_quadratic_score() -> None:
    class Quadratic(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).square().sum(1, keepdim=True)

    case = Case(Quadratic().eval(), torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64))
    task = Task("smoothgrad", samples=8)
    (one, _), (other, _) = (
        sampling.variances(case, replace(task, sampling=kind), seeds=6) for kind in ("independent", "antithetic")
    )
    assert other < 1e-6 * one


# --- findings ------------------------------------------------------------------------------------------------------------


def test_a_ratio_is_that_of_the_medians() -> None:
    ratio = Figure((4.0, 10.0, 6.0)).over(Figure((2.0, 2.0, 1.0)))
    assert ratio.median == 3.0
    assert ratio.values == (2.0, 5.0, 6.0)
    assert ratio.said() == "3.00 (2.00–6.00)"


def test_aims_are_met_on_their_own_side() -> None:
    figure = Figure((2.0, 3.0, 4.0))
    assert Aim("", 3.0, figure).met
    assert not Aim("", 3.1, figure).met
    assert Aim("", 3.0, figure, at_least=False).met
    assert not Aim("", 2.9, figure, at_least=False).met
    assert Aim("", 3.0, None).met is None


def test_the_expected_cosine_of_fewer_draws() -> None:
    torch.manual_seed(1)
    signal = torch.randn(1, 200_000)

    def mean(draws: int) -> torch.Tensor:
        return signal + 6 * torch.randn_like(signal) / math.sqrt(draws)

    same = findings.cosine(mean(50), mean(50))
    assert findings.between(same, 50, 10) == pytest.approx(findings.cosine(mean(50), mean(10)), abs=0.01)


@pytest.mark.usefixtures("asked")
def test_another_map_is_found_out(session: Session) -> None:
    times.run(replace(session, only=("times/smoothgrad",)))
    records = session.records(times.STAGE)
    records.add_maps("smoothgrad/digits/ours/0", torch.tensor([[1.0, 0.0]]))
    records.add_maps("smoothgrad/digits/ours/1", torch.tensor([[1.0, 0.1]]))
    records.add_maps("smoothgrad/digits/captum, default/0", torch.tensor([[0.0, 1.0]]))
    records.add_maps("smoothgrad/digits/zennit/0", torch.tensor([[1.0, 0.2]]))
    found = Findings(session)
    assert found.agrees("smoothgrad", "digits", "captum, default") is False
    assert found.agrees("smoothgrad", "digits", "zennit") is True
    records.add_maps("smoothgrad/digits/zennit/still", torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    assert found.agrees("smoothgrad", "digits", "zennit") is False


@pytest.mark.usefixtures("asked")
def test_tables_and_pictures_are_written_whatever_is_missing(session: Session, tmp_path: Path) -> None:
    results.write(session, tmp_path / "empty.md", "make bench")
    assert "| ? |" in (tmp_path / "empty.md").read_text()
    times.run(session)
    growth.run(session)
    results.write(session, tmp_path / "full.md", "make bench")
    plots.ratios(session, tmp_path / "plot.png")
    plots.growing(session, tmp_path / "growth.png")
    text = (tmp_path / "full.md").read_text()
    assert "two seeds" in text
    assert "ValueError: no" in text
    assert "time of ours / the bare loop | 1.00 (1.00–1.00) | at most 1.05 | yes" in text
    for line in text.splitlines():  # every row of a table has the cells of its head
        assert line.count("|") in {0, 4, 5, 6, 8, 9, 10}, line
    assert {file.name for file in tmp_path.glob("*.png")} == {"plot.png", "growth.png"}
    assert (tmp_path / "growth.svg").exists()


def test_every_aim_of_the_table_is_judged(tmp_path: Path) -> None:
    wanted = Counter((aim.bound, aim.at_least) for aim in findings.aims(Findings(Session(FULL, "cpu", tmp_path))))
    assert wanted == {
        (4.0, True): 1,
        (1.8, True): 1,
        (2.0, True): 1,
        (3.0, True): 1,
        (12, True): 2,
        (20, True): 2,
        (1.05, False): len(FULL.networks),
        (10, True): len(FULL.networks),
        (1.1, False): 2,
    }


@pytest.mark.parametrize("pattern", ["resnet50", "times/*/captum*", "smooth_ig"])
def test_a_pattern_matches_anywhere(session: Session, pattern: str) -> None:
    names = ["times/smoothgrad/resnet50/captum, default", "smooth_ig", "times/guided/vgg16/ours"]
    wanted = {"resnet50": names[:1], "times/*/captum*": names[:1], "smooth_ig": names[1:2]}
    chosen = replace(session, only=(pattern,))
    assert [name for name in names if chosen.wanted(name)] == wanted[pattern]


@pytest.mark.parametrize(
    "module", [findings, results, session_module, smooth_ig, tasks, times], ids=lambda m: m.__name__
)
def test_examples_run(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
