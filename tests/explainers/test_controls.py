"""Controls: what they say, and that they ask the network nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput
from smoothgrad.explainers.controls import edges
from smoothgrad.methods import named

CONTROLS: list[sg.Explainer] = [sg.random_map(), sg.sobel(), sg.uniform_map()]
EVERY = pytest.mark.parametrize("control", CONTROLS, ids=repr)
ROWS = torch.randn(3, 2, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Silent(nn.Module):
    """A network that may not be asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(1)[:, :4]


def maps(control: sg.Explainer, x: Tensor = ROWS, **given: object) -> Tensor:
    query = Query.of(x, 0, **given)  # type: ignore[arg-type]
    control.check(query)
    net = Silent()
    found = control.estimate(net, query, Schedule(2))
    assert net.calls == 0
    assert found.stderr is None
    assert found.value.shape == x.shape
    assert found.value.dtype == x.dtype
    return found.value


@EVERY
def test_they_ask_nothing_and_say_so(control: sg.Explainer) -> None:
    net = Silent()
    seen: list[sg.Progress] = []
    result = sg.explain(net, ROWS, method=control, progress=seen.append)
    assert net.calls == 1  # the look at the clean rows
    assert control.passes == 0
    assert result.passes.tolist() == [0, 0, 0]
    assert result.draws.tolist() == [1, 1, 1]
    assert result.stderr is None
    assert result.completeness is None
    assert [(at.done, at.total) for at in seen] == [(0, 0)]
    assert named(control) == f"{named(control).partition('(')[0]}()"
    assert sg.from_recipe(sg.to_recipe(control)) == control


@EVERY
def test_they_are_the_same_for_every_class_and_network(control: sg.Explainer) -> None:
    one = sg.explain(Silent(), ROWS, method=control, target=1).maps
    other = sg.explain(
        nn.Sequential(nn.Flatten(), nn.Linear(84, 3)).double().eval(), ROWS, method=control, target=2
    ).maps
    assert torch.equal(one, other)


def test_the_random_map_is_normal_and_belongs_to_the_row() -> None:
    many = maps(sg.random_map(), torch.zeros(20, 3, 32, 32))
    assert abs(float(many.mean())) < 0.02
    assert abs(float(many.std()) - 1) < 0.02
    assert abs(float(torch.corrcoef(many[:2].flatten(1))[0, 1])) < 0.06
    whole = maps(sg.random_map())
    assert torch.equal(maps(sg.random_map(), ROWS[[2]], keys=torch.tensor([2]))[0], whole[2])
    assert not torch.equal(maps(sg.random_map(), seed=1), whole)
    # It is not the noise that a cloud around the same row draws.
    cloud = sg.Gaussian(1.0, unit="absolute").draw(Query.of(ROWS, 0), range(1)).points[0] - ROWS
    assert abs(float(torch.corrcoef(torch.stack([cloud.flatten(), whole.flatten()]))[0, 1])) < 0.3


def test_the_uniform_map_is_one() -> None:
    assert bool((maps(sg.uniform_map()) == 1).all())
    assert bool((maps(sg.uniform_map(), torch.zeros(2, 5)) == 1).all())


# --- Sobel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 6, 7), (3, 9), (2, 1, 5), (1, 4, 5, 6), (2, 1), (2, 3, 1)])
def test_edges_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = maps(sg.sobel(), x).numpy()
    axes = len(shape) - 1
    for row in range(2):
        for channel in range(shape[0]):
            grid = x[row, channel].numpy()
            slopes = [ndimage.sobel(grid, axis, mode="nearest") / (2 * 4 ** (axes - 1)) for axis in range(axes)]
            np.testing.assert_allclose(found[row, channel], np.sqrt(sum(s**2 for s in slopes)), atol=1e-12)


def test_a_slope_has_its_steepness_and_an_edge_its_place() -> None:
    plane = 3.0 * torch.arange(6.0)[:, None] + 4.0 * torch.arange(6.0)
    assert torch.allclose(edges(plane[None, None])[0, 0, 1:-1, 1:-1], torch.tensor(5.0))
    step = torch.zeros(1, 1, 5, 6)
    step[..., 3:] = 2.0
    assert edges(step)[0, 0].tolist() == [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]] * 5
    assert not edges(torch.full((1, 2, 4, 4), 0.3)).any()


def test_edges_of_the_point_where_they_are_asked() -> None:
    """Over noise they are those of the noisy inputs."""
    noisy = sg.sobel().over(sg.Gaussian(0.3, 4))
    cloud = sg.Gaussian(0.3, 4).draw(Query.of(ROWS, 0), range(4)).points
    expected = torch.stack([edges(points) for points in cloud]).mean(0)
    torch.testing.assert_close(noisy.estimate(Silent(), Query.of(ROWS, 0), Schedule(2)).value, expected)


def test_features_have_no_edges() -> None:
    with pytest.raises(BadInput, match=r"Sobel\(\) looks for edges .* got rows of shape \(5,\); take RandomMap"):
        sg.explain(nn.Linear(5, 2).eval(), torch.rand(2, 5), method=sg.sobel(), target=0)
