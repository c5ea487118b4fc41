"""What stands in for what is taken away."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadBaseline, BadMethod
from smoothgrad.measure.removal import Replaced
from smoothgrad.recipe import from_recipe, to_recipe

ROWS = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
GONE = torch.rand(4, 3, 20, generator=torch.Generator().manual_seed(1)) < 0.4
BASELINES = [sg.Zero(), sg.Black(), sg.White(), sg.ChannelMean(), sg.Constant((0.1, 0.2)), sg.Blurred(10), sg.Noise()]


def removed(how: Replaced, x: Tensor = ROWS, gone: Tensor = GONE, **given: object) -> Tensor:
    query = Query.of(x, 0, **given)  # type: ignore[arg-type]
    how.check(query)
    return how.of(nn.Identity(), query, Schedule(4))(gone, range(len(gone)))


@pytest.mark.parametrize("baseline", BASELINES, ids=repr)
def test_what_is_gone_is_the_baseline_in_all_channels_and_what_is_kept_is_the_row(baseline: sg.Baseline) -> None:
    instead = baseline.of(nn.Identity(), Query.of(ROWS, 0), Schedule(4))[:, 0]
    found = removed(Replaced(baseline))
    assert found.shape == (4, *ROWS.shape)
    for step in range(4):
        for row in range(3):
            for place in range(20):
                at = (slice(None), place // 4, place % 4)
                source = instead if GONE[step, row, place] else ROWS
                assert torch.equal(found[step, row][at], source[row][at])


def test_the_mean_colour_is_known() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, -4.0]]]])
    found = removed(Replaced(sg.ChannelMean()), x, torch.tensor([[[True, False, False, False]]]))
    assert found[0, 0].tolist() == [[[3.0, 2.0], [3.0, 6.0]], [[-1.0, 0.0], [0.0, -4.0]]]


def test_noise_belongs_to_the_row_and_not_to_the_batch_or_the_step() -> None:
    whole = removed(Replaced(sg.Noise()))
    everything = torch.ones_like(GONE)
    assert torch.equal(
        removed(Replaced(sg.Noise()), gone=everything)[0], removed(Replaced(sg.Noise()), gone=everything)[3]
    )
    alone = removed(Replaced(sg.Noise()), ROWS[[2]], GONE[:, [2]], keys=torch.tensor([2]))
    assert torch.equal(alone[:, 0], whole[:, 2])
    assert not torch.equal(removed(Replaced(sg.Noise()), seed=1), whole)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 4, 2)])
def test_rows_of_all_shapes_lose_places(shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(2))
    places = shape if len(shape) == 1 else shape[1:]
    gone = torch.rand(3, 2, torch.Size(places).numel(), generator=torch.Generator().manual_seed(3)) < 0.5
    found = removed(Replaced(), x, gone)
    for step in range(3):
        for row in range(2):
            keep = ~gone[step, row].view(places)
            assert torch.equal(found[step, row], x[row] * (keep if len(shape) == 1 else keep[None]))


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(BadMethod, match=r"one baseline for each row, .* gives 2"):
        Replaced(sg.Several(sg.Black(), sg.White()))
    with pytest.raises(BadBaseline, match="Blurred needs rows"):
        removed(Replaced(sg.Blurred()), torch.zeros(2, 4), torch.ones(1, 2, 4, dtype=torch.bool))
    with pytest.raises(BadMethod, match="takes as baseline"):
        Replaced(sg.Zero)  # type: ignore[arg-type]


@pytest.mark.parametrize("baseline", BASELINES, ids=repr)
def test_a_removal_is_a_value(baseline: sg.Baseline) -> None:
    assert Replaced(baseline) == Replaced(baseline)
    assert repr(Replaced(sg.ChannelMean())) == "Replaced(baseline=ChannelMean())"
    assert from_recipe(to_recipe(sg.integrated_gradients(baseline=baseline))) == sg.integrated_gradients(
        baseline=baseline
    )
