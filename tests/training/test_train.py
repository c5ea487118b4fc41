"""Training: the same plan gives the same weights, stopped or not; and what it does to the inputs is what the plan says."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from smoothgrad.errors import BadInput, BadNoise, BadWeights, NonFinite
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.training import main
from smoothgrad.training.data import DataSet, Part, data_set
from smoothgrad.training.noise import AddNoise
from smoothgrad.training.patch import Patch
from smoothgrad.training.plan import Plan, Residual, Small
from smoothgrad.training.train import Step, _shown, accuracy, epochs, train, untrained

PLAN = Plan(network=Small(widths=(4, 8), halvings=1), epochs=3, batch=64)
SHORT = replace(PLAN, epochs=1, batch=32)
ALL = data_set("digits")
DIGITS = ALL._replace(train=ALL.train.first(256), held_out=ALL.held_out.first(50))


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def weights(net: nn.Module) -> Tensor:
    return torch.cat([held.flatten().double() for held in net.state_dict().values()])


# --- the same weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        replace(PLAN, noise=0.2, shift=1, mirror=True, penalty=0.5, smoothing=0.1, epochs=2),
        replace(SHORT, patch=Patch(size=3, value=1.0), arithmetic="bfloat16"),
    ],
)
def test_the_same_plan_gives_the_same_weights(plan: Plan) -> None:
    torch.manual_seed(1)
    first = train(plan, DIGITS)
    torch.manual_seed(2)
    assert torch.equal(weights(first), weights(train(plan, DIGITS)))
    assert not first.training
    assert not torch.equal(weights(first), weights(train(replace(plan, seed=1), DIGITS)))


def test_the_global_generator_is_left_where_it_was() -> None:
    before = torch.random.get_rng_state()
    train(replace(SHORT, noise=0.1), DIGITS)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_off_changes_no_bit() -> None:
    """Against the same training written out, with nothing in it but pictures, loss and steps."""
    plan = replace(SHORT, epochs=2)
    net = plan.start(1, 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.train()
    x, labels = DIGITS.rows(DIGITS.train.x), DIGITS.train.labels
    optimizer = torch.optim.SGD(net.parameters(), plan.rate, 0.9, weight_decay=plan.decay, nesterov=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, total_steps=16, pct_start=0.25)
    for number in range(2):
        seed = int(hashlib.sha256(f"{plan.seed} {number}".encode()).hexdigest()[:12], 16)
        order = torch.randperm(256, generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(32):
            optimizer.zero_grad()
            shown = x[chosen].contiguous(memory_format=torch.channels_last)
            torch.autograd.backward(torch.nn.functional.cross_entropy(net(shown), labels[chosen]))
            optimizer.step()
            cycle.step()
    assert torch.equal(weights(train(plan, DIGITS)), weights(net))


def test_it_learns() -> None:
    net = train(replace(PLAN, epochs=8), ALL)
    assert accuracy(net, ALL, ALL.held_out) > 0.7  # chance is 0.1


def test_progress_is_told_step_by_step() -> None:
    seen: list[Step] = []
    train(replace(PLAN, epochs=2), DIGITS, told=seen.append)
    assert [step.done for step in seen] == list(range(1, 9))
    assert {step.of for step in seen} == {8}
    assert [step.epoch for step in seen] == [1] * 4 + [2] * 4
    assert all(math.isfinite(step.loss) for step in seen)


# --- a training that is stopped -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 5, 8, 9])  # in the first epoch; at both ends and in the middle of others
@pytest.mark.parametrize("network", [PLAN.network, Residual(8)])
def test_a_stopped_training_goes_on_to_the_same_weights(at: int, network: Small | Residual, tmp_path: Path) -> None:
    plan, keep = replace(PLAN, network=network, noise=0.1, shift=1), tmp_path / "half.training"
    data = DIGITS if isinstance(network, Small) else DIGITS._replace(train=ALL.train.first(128))
    plan = plan if isinstance(network, Small) else replace(plan, batch=32)

    def stop(step: Step) -> None:
        if step.done == at:
            raise Stopped

    with pytest.raises(Stopped):
        train(plan, data, told=stop, keep=keep)
    assert keep.is_file() == (at > 4)
    seen: list[Step] = []
    again = train(plan, data, told=seen.append, keep=keep)
    assert seen[0].epoch == (at - 1) // 4 + 1
    assert torch.equal(weights(again), weights(train(plan, data)))
    seen.clear()
    assert torch.equal(weights(again), weights(train(plan, data, told=seen.append, keep=keep)))
    assert seen == []  # it is left for the caller, whose weights are not written yet


def kept(keep: Path, plan: Plan = PLAN) -> None:
    """A training that is stopped as soon as its first epoch is kept."""
    next(epochs(plan.start(1, 10), plan, DIGITS, keep=keep))


def test_a_file_of_another_training_is_refused_and_left(tmp_path: Path) -> None:
    keep = tmp_path / "half.training"
    kept(keep)
    before = keep.read_bytes()
    with pytest.raises(BadWeights, match="is of another training"):
        train(replace(PLAN, noise=0.1), DIGITS, keep=keep)
    with pytest.raises(BadWeights, match="is of another training"):
        train(PLAN, DIGITS._replace(train=ALL.train.first(300)), keep=keep)
    mixed = DIGITS.train._replace(labels=DIGITS.train.labels.roll(1))
    with pytest.raises(BadWeights, match="is of another training"):
        train(PLAN, DIGITS._replace(train=mixed), keep=keep)
    assert keep.read_bytes() == before


@pytest.mark.parametrize(
    "kind", ["empty", "text", "cut", "a list", "a tensor", "no state", "other weights", "other rate"]
)
def test_a_damaged_file_is_refused(kind: str, tmp_path: Path) -> None:
    keep = tmp_path / "half.training"
    kept(keep)
    state = torch.load(keep, weights_only=True)
    if kind == "empty":
        keep.write_bytes(b"")
    elif kind == "text":
        keep.write_text("weights, honestly")
    elif kind == "cut":
        keep.write_bytes(keep.read_bytes()[:-200])
    elif kind == "a list":
        torch.save([1, 2], keep)
    elif kind == "a tensor":
        torch.save(torch.zeros(2), keep)
    elif kind == "no state":
        torch.save({"of": state["of"]}, keep)
    elif kind == "other weights":
        torch.save({**state, "net": Small(widths=(4, 9), halvings=1).built(1, 10).state_dict()}, keep)
    else:
        torch.save({**state, "optimizer": {"state": {}, "param_groups": []}}, keep)
    with pytest.raises(BadWeights, match="remove it"):
        train(PLAN, DIGITS, keep=keep)


def test_the_weights_are_written_before_the_network_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, keep = tmp_path / "net.safetensors", tmp_path / "net.training"

    def failing(*_: object) -> float:
        raise Stopped

    monkeypatch.setattr(main, "accuracy", failing)
    with pytest.raises(Stopped):
        main.train_and_write(SHORT, DIGITS, path, keep)
    assert path.is_file()
    assert not keep.exists()


# --- what is refused ----------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(NonFinite, match="take a lower rate"):
        train(replace(PLAN, rate=1e30), DIGITS)


@pytest.mark.parametrize("ask", [train, untrained])
@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (replace(PLAN, batch=257), "fewer than a batch of 257"),
        (replace(PLAN, batch=128, epochs=2), "4 steps, too few"),
        (replace(PLAN, patch=Patch(size=9)), "make it smaller"),
        (replace(PLAN, patch=Patch(size=3, top=6)), "move it"),
    ],
)
def test_a_plan_that_does_not_suit_the_data(ask: object, plan: Plan, said: str) -> None:
    assert callable(ask)
    with pytest.raises(BadInput, match=said):
        ask(plan, DIGITS)


def test_more_halvings_than_the_picture_has_pixels_are_found_out_before_training() -> None:
    with pytest.raises(BadInput, match="8 x 8 pixels"):
        untrained(replace(PLAN, network=Small(widths=(4, 4, 4, 4, 4, 4), halvings=5)), DIGITS)
    net = untrained(PLAN, DIGITS)
    assert not net.training
    assert torch.equal(weights(net), weights(PLAN.start(1, 10)))


# --- what the network is shown ------------------------------------------------------------------------------------------


def test_noise_has_its_mean_and_deviation() -> None:
    torch.manual_seed(0)
    e = AddNoise(0.3)(torch.zeros(200_000)).double()
    assert abs(float(e.mean())) < 5 * 0.3 / 200_000**0.5
    assert float(e.std()) == pytest.approx(0.3, rel=0.01)
    assert float((e.abs() < 0.3).double().mean()) == pytest.approx(0.6827, abs=0.01)  # Gaussian


def test_noise_of_zero_is_the_picture_and_draws_nothing() -> None:
    x, before = torch.rand(3), torch.random.get_rng_state()
    assert torch.equal(AddNoise(0.0)(x), x)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("noise", [-0.1, float("inf"), float("nan")])
def test_noise_that_means_nothing(noise: float) -> None:
    with pytest.raises(BadNoise, match="standard deviation"):
        AddNoise(noise)


def scaled_by(mean: float, std: float) -> DataSet:
    """The digits, for networks that take them scaled."""
    return DIGITS._replace(preprocessing=Preprocessing(channels=1, size=(8, 8), resize=8, mean=(mean,), std=(std,)))


def test_the_noise_is_in_units_of_the_data_before_they_are_scaled() -> None:
    torch.manual_seed(0)
    data = scaled_by(0.5, 0.25)
    x = data.train.x[:200]
    e = _shown(replace(PLAN, noise=0.1), data, x) - data.rows(x)
    assert float(e.std()) == pytest.approx(0.1 / 0.25, rel=0.05)


def test_the_patch_lies_over_the_noise_in_units_of_the_data() -> None:
    data = scaled_by(0.5, 0.25)
    shown = _shown(replace(PLAN, noise=0.1, patch=Patch(size=2, value=1.0)), data, data.train.x[:3])
    assert (shown[:, :, :2, :2] == (1.0 - 0.5) / 0.25).all()


def test_pictures_move_by_whole_pixels_and_what_comes_in_is_black() -> None:
    torch.manual_seed(0)
    x = torch.zeros(300, 1, 5, 5, dtype=torch.uint8)
    x[:, :, 2, 2] = 255
    seen = _shown(replace(PLAN, shift=1), DIGITS, x.clone())
    assert (seen.flatten(1).sum(1) == 1).all()
    where = seen.flatten(1).argmax(1)
    assert set(where.tolist()) == {5 * row + column for row in (1, 2, 3) for column in (1, 2, 3)}
    corner = torch.full((50, 1, 5, 5), 255, dtype=torch.uint8)
    assert set(_shown(replace(PLAN, shift=1), DIGITS, corner).flatten(1).sum(1).tolist()) == {25.0, 20.0, 16.0}


def test_half_of_the_pictures_are_mirrored_and_the_data_stay_as_they_are() -> None:
    torch.manual_seed(0)
    before = DIGITS.train.x.clone()
    train(replace(SHORT, mirror=True), DIGITS)
    assert torch.equal(DIGITS.train.x, before)
    x = DIGITS.train.x[:200].clone()
    seen = _shown(replace(PLAN, mirror=True), DIGITS, x.clone())
    plain = DIGITS.rows(x)
    turned = [
        torch.equal(one, other.flip(-1)) and not torch.equal(one, other) for one, other in zip(seen, plain, strict=True)
    ]
    kept_as = [torch.equal(one, other) for one, other in zip(seen, plain, strict=True)]
    assert all(a or b for a, b in zip(turned, kept_as, strict=True))
    assert 60 < sum(turned) < 140


# --- accuracy -----------------------------------------------------------------------------------------------------------


def test_accuracy_is_the_share_of_pictures_that_are_named_rightly() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([0.0, 1.0, 0.5]).expand(len(x), 3)

    labels = torch.tensor([1] * 600 + [0] * 200)  # more than are asked at once
    part = Part(torch.zeros(800, 1, 8, 8, dtype=torch.uint8), labels, tuple(map(str, range(800))))
    assert accuracy(Always(), DIGITS, part) == 0.75


def test_the_penalty_makes_the_score_less_steep() -> None:
    def steepness(plan: Plan) -> float:
        net = train(plan, ALL)
        x = ALL.rows(ALL.held_out.x[:100]).requires_grad_()
        (slope,) = torch.autograd.grad(net(x).amax(1).sum(), x)
        return float(slope.flatten(1).norm(dim=1).mean())

    assert steepness(replace(PLAN, penalty=1.0)) < 0.7 * steepness(PLAN)
