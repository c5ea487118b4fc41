"""Activation maximization, where the maximum is known, against a slow twin, and on the digits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadTarget, ModelInTraining, NonFinite, UnknownName
from smoothgrad.features import (
    L2,
    ActivationMaximization,
    Adam,
    Bounded,
    Channel,
    CodeSpace,
    Fourier,
    FromNoise,
    FromPicture,
    FromZero,
    Layer,
    Pixels,
    RBMPrior,
    Space,
    Steepest,
    TotalVariation,
    Unit,
    dream,
    live,
    load_generator,
)
from smoothgrad.features.search import moved, moved_back, shift_of
from smoothgrad.models.digits import scans
from smoothgrad.models.fingerprint import fingerprint
from tests.nets import small_net

SHAPE = (2, 3, 4)


def linear(outputs: int = 2) -> nn.Module:
    """Scores that are linear in pictures of SHAPE, in double."""
    return nn.Sequential(nn.Flatten(), nn.Linear(24, outputs)).double().eval()


def weights(net: nn.Module, target: int) -> Tensor:
    return net.get_submodule("1").weight[target].detach().view(SHAPE)  # type: ignore[union-attr]


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "rate"), [(Pixels(), 1.0), (Fourier(1.0), 0.5), (Fourier(0.0), 1.0)], ids=repr)
@pytest.mark.parametrize("start", [FromZero(), FromNoise(0.5)], ids=repr)
def test_a_linear_score_under_l2_is_largest_at_w_over_lambda(space: Space, rate: float, start: FromZero) -> None:
    net = linear()
    search = ActivationMaximization(1, space, start, Steepest(rate), steps=120, penalties=(L2(0.8),))
    found = dream(net, search, shape=SHAPE).pictures[0]
    torch.testing.assert_close(found, weights(net, 1) / 0.8, atol=1e-6, rtol=1e-6)


def test_adam_gets_there_too() -> None:
    net = linear()
    search = ActivationMaximization(1, ascent=Adam(0.03), steps=200, penalties=(L2(0.8),))
    torch.testing.assert_close(dream(net, search, shape=SHAPE).pictures[0], weights(net, 1) / 0.8, atol=2e-3, rtol=0)


def test_two_penalties_are_added() -> None:
    net = linear()
    both = ActivationMaximization(0, ascent=Steepest(1.0), steps=40, penalties=(L2(0.3), L2(0.5)))
    torch.testing.assert_close(dream(net, both, shape=SHAPE).pictures[0], weights(net, 0) / 0.8)


def test_total_variation_smooths_by_its_quadratic_form() -> None:
    # s = w.x - x'x/2 - tv x'Dx, D the graph Laplacian of the grid: the maximum is (1 + 2 tv D)^-1 w
    net = linear()
    d = torch.zeros(24, 24, dtype=torch.float64)
    grid = torch.arange(24).view(SHAPE)
    below, right = (grid[:, 1:], grid[:, :-1]), (grid[:, :, 1:], grid[:, :, :-1])
    for a, b in [
        pair for these, those in (below, right) for pair in zip(these.flatten(), those.flatten(), strict=True)
    ]:
        e = torch.zeros(24, dtype=torch.float64)
        e[a], e[b] = 1, -1
        d += e[:, None] * e
    expected = torch.linalg.solve(torch.eye(24, dtype=torch.float64) + 2 * 0.7 * d, weights(net, 0).flatten())
    search = ActivationMaximization(0, ascent=Steepest(0.15), steps=150, penalties=(L2(1.0), TotalVariation(0.7)))
    torch.testing.assert_close(dream(net, search, shape=SHAPE).pictures.flatten(), expected, atol=1e-6, rtol=1e-6)


def test_a_linear_generator_is_climbed_in_its_codes() -> None:
    # s = w.(Az + b) - weight/2 |z|^2 is largest at z = A'w / weight
    net = linear()
    make = nn.Sequential(nn.Linear(5, 24), nn.Unflatten(1, SHAPE)).double().eval()
    a, b = make[0].weight.detach(), make[0].bias.detach()
    z = a.T @ weights(net, 1).flatten() / 0.5
    search = ActivationMaximization(1, CodeSpace(make, (5,), 0.5), ascent=Steepest(1.0), steps=80)
    found = dream(net, search)  # the generator says what shape pictures have
    torch.testing.assert_close(found.pictures.flatten(), a @ z + b)


def test_under_a_machine_the_climb_is_that_of_the_joint_probability() -> None:
    data = scans()
    net = sg.load("digits")
    prior = RBMPrior.fit(data.x[data.train][:300], hidden=16, steps=2, weight=0.7)
    search = ActivationMaximization(
        sg.Probability(sg.Class(3), log=True), ascent=Steepest(0.01), start=FromNoise(0.3), steps=1, penalties=(prior,)
    )
    first, second = (frame.picture for frame in live(net, search))
    x = first.clone().requires_grad_()
    log_joint = net(x).log_softmax(1)[0, 3] - 0.7 * prior.free_energy(x)[0]
    torch.testing.assert_close(second, first + 0.01 * torch.autograd.grad(log_joint, x)[0])


def test_jitter_moves_the_picture_there_and_back() -> None:
    net = linear()
    search = ActivationMaximization(1, ascent=Steepest(1.0), steps=3, jitter=2)
    shifts = [shift_of(2, 5, step, torch.Size(SHAPE)) for step in range(3)]
    expected = sum(moved_back(weights(net, 1), shift) for shift in shifts)
    torch.testing.assert_close(dream(net, search, shape=SHAPE, seed=5).pictures[0], expected)
    x = torch.arange(24.0).view(SHAPE)
    assert all(torch.equal(moved_back(moved(x, shift), shift), x) for shift in shifts)


def test_shifts_are_evenly_spread_whole_numbers() -> None:
    found = [shift_of(2, 0, step, torch.Size([9, 9])) for step in range(400)]
    for side in zip(*found, strict=True):
        counts = [side.count(shift % 9) for shift in range(-2, 3)]
        assert sum(counts) == 400
        assert min(counts) > 50


# --- a slow twin ------------------------------------------------------------------------------------------------------

OBJECTIVES: dict[str, tuple[object, Callable[[nn.Sequential, Tensor], Tensor]]] = {
    "class": (2, lambda net, x: net(x)[:, 2]),
    "log probability": (sg.Probability(sg.Class(1), log=True), lambda net, x: net(x).log_softmax(1)[:, 1]),
    "function": (sg.Score(lambda out: out[:, 0] * out[:, 1]), lambda net, x: net(x)[:, 0] * net(x)[:, 1]),
    "channel": (Channel("3", 4), lambda net, x: net[:4](x)[:, 4].mean((1, 2))),
    "unit": (Unit("4", 4, (2, 3)), lambda net, x: net[:5](x)[:, 4, 2, 3]),
    "layer": (Layer("2"), lambda net, x: net[:3](x).square().mean((1, 2, 3))),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_step_is_that_of_the_written_out_climb(name: str) -> None:
    objective, by_hand = OBJECTIVES[name]
    net = small_net()
    start = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    search = ActivationMaximization(
        objective,  # type: ignore[arg-type]
        start=FromPicture(start),
        ascent=Adam(0.02),
        steps=6,
        penalties=(L2(0.1), TotalVariation(0.05)),
    )
    x = start.clone().requires_grad_()
    theirs = torch.optim.Adam([x], lr=0.02, maximize=True)
    for frame in live(net, search, shape=(3, 8, 8), rows=2):
        torch.testing.assert_close(frame.picture, x.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(frame.value, by_hand(net, x).detach(), rtol=1e-4, atol=1e-5)
        theirs.zero_grad()
        cost = 0.05 * x.square().sum() + 0.05 * (
            (x[:, :, 1:] - x[:, :, :-1]).square().sum() + (x[..., 1:] - x[..., :-1]).square().sum()
        )
        torch.autograd.backward(by_hand(net, x).sum() - cost)
        theirs.step()


def test_the_top_class_is_that_of_the_start_and_stays_it() -> None:
    net = linear(3)
    start = FromPicture(weights(net, 2))
    found = dream(net, ActivationMaximization(sg.Top(rank=2), start=start, ascent=Steepest(1.0), steps=30), shape=SHAPE)
    lowest = int(net(weights(net, 2)[None]).argmin())
    assert int(net(found.pictures).argmax()) == lowest


# --- the digits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["pixels", "fourier"])
def test_what_the_network_wants_to_see_it_takes_for_that_digit(space: str) -> None:
    net = sg.load("digits")
    within = Bounded.to(net, Pixels() if space == "pixels" else Fourier())
    search = ActivationMaximization(sg.Classes(tuple(range(10))), within, FromNoise(), steps=48, ascent=Adam(0.1))
    found = dream(net, search, rows=10)
    sure = net(found.pictures).softmax(1).diagonal()
    assert float(sure.detach().min()) > 0.9
    assert bool(((found.pictures >= 0) & (found.pictures <= 1)).all())
    assert bool((found.values[-1] > found.values[0]).all())


def test_in_the_code_space_it_takes_what_the_generator_makes_for_that_digit() -> None:
    net, generator = sg.load("digits"), load_generator("digits")
    targets = sg.Probability(sg.Classes(tuple(range(10))), log=True)
    search = ActivationMaximization(
        targets, CodeSpace(generator, generator.code_shape), FromNoise(0.1), Adam(0.1), steps=60
    )
    found = dream(net, search, rows=10)
    assert float(net(found.pictures).detach().softmax(1).diagonal().min()) > 0.9


def test_the_mean_of_a_class_is_what_is_begun_with() -> None:
    data, net = scans(), sg.load("digits")
    start = FromPicture.mean(data.x, data.labels, 3)
    first = next(live(net, ActivationMaximization(3, start=start, steps=2)))
    torch.testing.assert_close(first.picture[0], data.x[data.labels == 3].mean(0))
    assert int(net(first.picture).argmax()) == 3


# --- properties -------------------------------------------------------------------------------------------------------

NOISY = ActivationMaximization(3, Fourier(), FromNoise(0.1), steps=5, jitter=2, penalties=(L2(0.1),))


def test_the_same_seed_gives_the_same_pictures() -> None:
    net = sg.load("digits")
    before = torch.get_rng_state()
    one, two, other = (dream(net, NOISY, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.frames, two.frames)
    assert torch.equal(one.values, two.values)
    assert not torch.allclose(one.pictures, other.pictures)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_row_does_not_depend_on_its_company() -> None:
    net = sg.load("digits")
    torch.testing.assert_close(dream(net, NOISY, rows=3).pictures[:1], dream(net, NOISY).pictures)


def test_the_model_is_left_as_it_was() -> None:
    net = small_net()
    before = fingerprint(net)
    dream(net, ActivationMaximization(Channel("2", 1), start=FromNoise(0.1), steps=3, jitter=1), shape=(3, 8, 8))
    assert fingerprint(net) == before
    assert all(part.grad is None and part.requires_grad for part in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())
    assert not net.training


def test_it_climbs_under_no_grad_and_in_inference_mode() -> None:
    net = sg.load("digits")
    expected = dream(net, NOISY).pictures
    with torch.no_grad():
        assert torch.equal(dream(net, NOISY).pictures, expected)
    with torch.inference_mode():
        assert torch.equal(dream(net, NOISY).pictures, expected)


def test_a_prepared_copy_sees_the_same() -> None:
    net = small_net()
    copy = sg.prepare(net, torch.zeros(1, 3, 8, 8))
    search = ActivationMaximization(2, start=FromNoise(0.1), steps=5)
    expected = dream(net, search, shape=(3, 8, 8)).pictures
    torch.testing.assert_close(dream(copy, search, shape=(3, 8, 8)).pictures, expected, rtol=1e-3, atol=1e-3)


def test_a_search_is_a_value() -> None:
    assert ActivationMaximization(3) == ActivationMaximization(sg.Class(3)) != ActivationMaximization(4)
    assert "jitter=2" in dream(sg.load("digits"), NOISY).recipe


def test_features_of_no_picture_can_be_looked_for() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
    found = dream(net, ActivationMaximization(Unit("1", 2), steps=20), shape=(6,))
    assert float(found.values[-1]) > 0.9
    with pytest.raises(BadInput, match="are no pictures"):
        found.shown  # noqa: B018


# --- what goes wrong --------------------------------------------------------------------------------------------------


class Exploding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) ** 4).sum(1, keepdim=True)


class Dead(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).sum(1, keepdim=True) - 1).relu()


def digits() -> nn.Module:
    return sg.load("digits")


@pytest.mark.parametrize(
    ("make", "model", "error", "reason"),
    [
        (lambda: ActivationMaximization(10), digits, BadTarget, "class 10"),
        (lambda: ActivationMaximization(Channel("conv9", 1)), digits, UnknownName, "did you mean 'conv"),
        (lambda: ActivationMaximization(Channel("conv3", 48)), digits, BadTarget, "48 channels and no channel 48"),
        (lambda: ActivationMaximization(Unit("conv3", 1, (4, 0))), digits, BadTarget, "no position"),
        (lambda: ActivationMaximization(3, steps=0), digits, BadMethod, "steps >= 1"),
        (lambda: ActivationMaximization(3, jitter=-1), digits, BadMethod, "jitter >= 0"),
        (lambda: ActivationMaximization(3, ascent=Adam(0)), digits, BadMethod, "learning_rate > 0"),
        (lambda: ActivationMaximization(sg.Each(1, 2)), digits, BadTarget, "asks several"),
        (lambda: ActivationMaximization(0, jitter=1), lambda: nn.Linear(4, 2).eval(), BadInput, "shape of one"),
        (
            lambda: ActivationMaximization(3, CodeSpace(nn.Linear(4, 5).eval(), (4,))),
            digits,
            BadMethod,
            r"makes pictures of shape \(5,\), and the network is to see \(1, 8, 8\)",
        ),
        (lambda: ActivationMaximization(3), lambda: sg.load("digits").train(), ModelInTraining, "eval"),
    ],
)
def test_what_does_not_go_together_is_refused(
    make: Callable[[], ActivationMaximization],
    model: Callable[[], nn.Module],
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        dream(model(), make())


@pytest.mark.parametrize(
    ("search", "model", "shape", "error", "reason"),
    [
        (ActivationMaximization(0), Dead(), (4,), BadMethod, "zero everywhere in row 0"),
        (
            ActivationMaximization(0, start=FromNoise(1.0), ascent=Steepest(10.0), steps=50),
            Exploding(),
            (4,),
            NonFinite,
            "smaller learning rate",
        ),
        (ActivationMaximization(0, jitter=1), nn.Linear(4, 2), (4,), BadMethod, "jitter=0"),
        (ActivationMaximization(0), small_net(), (3, 10, 8), BadInput, "cannot take 1 rows of shape"),
        (ActivationMaximization(0), small_net(), (), BadInput, "give that of one row"),
    ],
)
def test_what_the_network_does_not_take_is_said(
    search: ActivationMaximization, model: nn.Module, shape: tuple[int, ...], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        dream(model.eval(), search, shape=shape)
