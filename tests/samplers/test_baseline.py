"""What paths start from."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadBaseline, BadMethod, BadNoise

ROWS = torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.4
DATA = torch.rand(4, 2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def found(baseline: sg.Baseline, x: Tensor = ROWS, net: nn.Module | None = None, seed: int = 0) -> Tensor:
    """(N, B, *S)."""
    rows = baseline.of(net or nn.Identity(), Query.of(x, 0, seed=seed), Schedule(2))
    assert rows.shape == (len(x), baseline.each, *x.shape[1:])
    assert rows.dtype == x.dtype
    return rows


def test_zero_and_constant() -> None:
    assert not found(sg.Zero()).any()
    assert bool((found(sg.Constant(0.3)) == 0.3).all())
    assert torch.equal(found(sg.Constant()), found(sg.Zero()))
    each = found(sg.Constant((0.1, -0.2)))
    assert bool((each[:, 0, 0] == 0.1).all())
    assert bool((each[:, 0, 1] == -0.2).all())
    assert sg.Constant([0.1, -0.2]) == sg.Constant((0.1, -0.2))


def test_a_constant_of_another_number_of_channels_is_refused() -> None:
    with pytest.raises(BadBaseline, match=r"has 3 values, the input rows have shape \(2, 6, 5\)"):
        found(sg.Constant((1.0, 2.0, 3.0)))
    for wrong in (float("nan"), (0.0, float("inf"))):
        with pytest.raises(BadBaseline, match="Constant needs finite values, got"):
            sg.Constant(wrong)


def test_white_and_black_are_the_extremes_of_each_channel_of_each_row() -> None:
    white, black = found(sg.White())[:, 0], found(sg.Black())[:, 0]
    for row in range(3):
        for channel in range(2):
            assert bool((white[row, channel] == ROWS[row, channel].max()).all())
            assert bool((black[row, channel] == ROWS[row, channel].min()).all())


def test_the_channel_mean_is_the_mean_of_each_channel_of_each_row() -> None:
    mean = found(sg.ChannelMean())[:, 0]
    for row in range(3):
        for channel in range(2):
            expected = sum(ROWS[row, channel].flatten().tolist()) / 30
            torch.testing.assert_close(mean[row, channel], torch.full((6, 5), expected, dtype=torch.float64))
    features = found(sg.ChannelMean(), torch.tensor([[1.0, 2.0, 6.0]]))
    assert features.tolist() == [[[3.0, 3.0, 3.0]]]


def test_the_channel_mean_along_a_path_is_that_of_the_input() -> None:
    asked = Query.of(ROWS, 0).with_x(ROWS * 0)
    assert torch.equal(sg.ChannelMean().of(nn.Identity(), asked, Schedule(2)), found(sg.ChannelMean()))


def test_noise_is_around_the_middle_of_the_range_by_the_key_of_the_row() -> None:
    baseline = sg.Noise(0.25, samples=400)
    rows = found(baseline)
    spread = ROWS.flatten(1).amax(1) - ROWS.flatten(1).amin(1)
    middle = (ROWS.flatten(1).amax(1) + ROWS.flatten(1).amin(1)) / 2
    torch.testing.assert_close(rows.flatten(1).std(1), 0.25 * spread, rtol=0.05, atol=0)
    torch.testing.assert_close(rows.flatten(1).mean(1), middle, rtol=0, atol=0.02)
    assert torch.equal(found(baseline), rows)
    assert not torch.equal(found(baseline, seed=1), rows)
    assert not torch.equal(rows[:, 0], rows[:, 1])


def test_a_noise_baseline_is_not_the_noise_of_the_cloud() -> None:
    asked = Query.of(ROWS, 0)
    cloud = sg.Gaussian(0.25).draw(asked, range(1)).points[0] - ROWS
    baseline = found(sg.Noise(0.25))[:, 0]
    assert abs(float(torch.corrcoef(torch.stack([cloud.flatten(), baseline.flatten()]))[0, 1])) < 0.3


@pytest.mark.parametrize("sigma", [0.5, 1.5, 10.0])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    blurred = found(sg.Blurred(sigma))[:, 0]
    # scipy's kernel reaches int(4 sigma + 0.5) pixels, ours the next whole number.
    expected = gaussian_filter(ROWS.numpy(), sigma, axes=(2, 3), mode="reflect", truncate=4.0)
    torch.testing.assert_close(blurred, torch.from_numpy(expected), rtol=0, atol=2e-4)


def test_blur_takes_signals_and_refuses_features() -> None:
    signal = found(sg.Blurred(1.0), ROWS[:, :, 0])
    expected = gaussian_filter(ROWS[:, :, 0].numpy(), 1.0, axes=(2,), mode="reflect")
    torch.testing.assert_close(signal[:, 0], torch.from_numpy(expected), rtol=0, atol=2e-4)
    with pytest.raises(BadBaseline, match=r"Blurred needs rows \(C, H, W\) or \(C, T\), got rows of shape \(7,\)"):
        found(sg.Blurred(), torch.zeros(2, 7))


def test_given_rows_are_for_every_input_or_one_for_each() -> None:
    for one in (DATA[0], DATA[:1]):
        assert torch.equal(found(sg.Given(one))[:, 0], DATA[:1].expand_as(ROWS))
    assert torch.equal(found(sg.Given(DATA[:3]))[:, 0], DATA[:3])


def test_given_rows_stay_with_their_inputs() -> None:
    asked = Query.of(ROWS, 0).rows(torch.tensor([2, 0]))
    again = asked.at(torch.zeros(2, 2, *ROWS.shape[1:], dtype=ROWS.dtype), range(2))
    rows = sg.Given(DATA[:3]).of(nn.Identity(), again, Schedule(9))
    assert torch.equal(rows[:, 0], DATA[[2, 0, 2, 0]])


@pytest.mark.parametrize("rows", [DATA[:2], DATA[:, :, :5], DATA[0, 0]])
def test_a_given_baseline_of_another_shape_is_refused(rows: Tensor) -> None:
    with pytest.raises(
        BadBaseline, match=r"baseline has shape .*, the 3 input rows have shape \(2, 6, 5\) each; pass one row"
    ):
        found(sg.Given(rows))


def test_given_rows_must_be_finite_numbers() -> None:
    with pytest.raises(BadBaseline, match=r"Given takes finite floating-point rows, got torch\.int64"):
        sg.Given(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(BadBaseline, match="with NaN or infinity"):
        sg.Given(torch.tensor([0.0, torch.nan]))
    with pytest.raises(BadBaseline, match=r"FromData takes as data a Tensor or a Data, got \[0\.0\]"):
        sg.FromData([0.0])  # type: ignore[arg-type]


def test_rows_from_data_are_rows_of_the_data_by_the_key() -> None:
    rows = found(sg.FromData(DATA, samples=50))
    gap = (rows[:, :, None] - DATA).flatten(3).abs().amax(-1).amin(-1)
    assert not gap.any()
    assert not torch.equal(rows[0], rows[1])
    assert torch.equal(found(sg.FromData(DATA, samples=50)), rows)
    assert len(rows[0].unique(dim=0)) == 4
    with pytest.raises(BadBaseline, match="pass data of shape"):
        found(sg.FromData(DATA[:, :1]))


def test_several_are_all_of_them() -> None:
    both = sg.Several(sg.Black(), sg.Noise(0.1, samples=2), sg.White())
    rows = found(both)
    assert both.each == 4
    assert torch.equal(rows[:, 0], found(sg.Black())[:, 0])
    assert torch.equal(rows[:, 3], found(sg.White())[:, 0])
    assert repr(both) == "Several(Black(), Noise(noise=0.1, samples=2), White())"
    with pytest.raises(BadMethod, match="Several needs at least one baseline"):
        sg.Several()


def test_two_random_baselines_are_two_also_when_they_are_equal() -> None:
    for part in (sg.Noise(0.1), sg.FromData(DATA, samples=1)):
        rows = found(sg.Several(part, part, part))
        assert not torch.equal(rows[:, 0], rows[:, 1])
        assert torch.equal(rows, found(sg.Several(part, part, part)))


# --- adversarial ------------------------------------------------------------------------------------------------------


def classifier() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(60, 8), nn.Tanh(), nn.Linear(8, 4)).double().eval()


def test_adversarial_rows_are_taken_for_the_other_class_and_are_near() -> None:
    net = classifier()
    baseline = sg.Adversarial(0.4, 10)
    rows = found(baseline, net=net)[:, 0]
    second = net(ROWS).topk(2).indices[:, 1]
    assert torch.equal(net(rows).argmax(1), second)
    spread = (ROWS.flatten(1).amax(1) - ROWS.flatten(1).amin(1)).view(3, 1, 1, 1)
    assert bool(((rows - ROWS).abs() <= 0.4 * spread + 1e-12).all())
    assert bool((rows.flatten(1).amax(1) <= ROWS.flatten(1).amax(1)).all())
    assert bool((rows.flatten(1).amin(1) >= ROWS.flatten(1).amin(1)).all())


def test_adversarial_rows_go_to_the_class_asked_for() -> None:
    net = classifier()
    wanted = int(net(ROWS).sum(0).argmin())
    before, after = net(ROWS)[:, wanted], net(found(sg.Adversarial(0.3, 10, target=wanted), net=net)[:, 0])[:, wanted]
    assert bool((after > before).all())


def test_adversarial_needs_classes_to_choose_from() -> None:
    with pytest.raises(BadBaseline, match="with 2 classes or more"):
        found(sg.Adversarial(), net=nn.Sequential(nn.Flatten(), nn.Linear(60, 1)).double())
    with pytest.raises(BadBaseline, match=r"Adversarial\(target=4\) of a network with 4 classes; give 0 to 3"):
        found(sg.Adversarial(target=4), net=classifier())
    with pytest.raises(BadNoise, match="is constant"):
        sg.Adversarial().check(Query.of(torch.ones_like(ROWS), 0))
    top = int(classifier()(ROWS)[0].argmax())
    with pytest.raises(BadBaseline, match=f"target={top}.*already takes row 0 for that class"):
        found(sg.Adversarial(target=top), net=classifier())


@pytest.mark.parametrize(
    "make",
    [
        lambda: sg.Adversarial(radius=0),
        lambda: sg.Adversarial(steps=0),
        lambda: sg.Noise(-1.0),
        lambda: sg.Noise(samples=0),
        lambda: sg.Blurred(0),
        lambda: sg.Blurred(float("nan")),
        lambda: sg.FromData(DATA, samples=0),
    ],
)
def test_parameters_out_of_range_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(BadMethod, match="needs"):
        make()
