"""NoiseGrad and FusionGrad."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core import noise as numbers
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, BadNoise, UnsupportedModel
from smoothgrad.explainers.noisegrad import NoisyWeights, disturb
from smoothgrad.methods.weights import fusiongrad, noisegrad
from tests import slow
from tests.nets import small_net

ROWS = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NET = small_net().double()


def linear(*sizes: int) -> nn.Sequential:
    """Linear layers without a function between them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layers = [nn.Linear(before, after) for before, after in pairwise(sizes)]
    return nn.Sequential(*layers).double().eval()


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_of_a_linear_score_it_is_the_weights_with_their_known_error() -> None:
    """Each weight is multiplied by N(1, s^2): the mean is w, with standard error s |w| / sqrt(n)."""
    net, s, n = linear(3000, 2), 0.3, 50
    result = sg.explain(net, torch.zeros(1, 3000, dtype=torch.float64), method=noisegrad(s, n), target=1)
    w = net[0].weight[1].detach()
    assert result.stderr is not None
    z = (result.maps[0] - w) / (s * w.abs() / math.sqrt(n))
    assert float(z.mean()) == pytest.approx(0, abs=4 / math.sqrt(3000))
    assert float(z.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * 3000))
    told = result.stderr[0] / (s * w.abs() / math.sqrt(n))
    assert float(told.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / n / 3000))
    assert result.freedom is not None
    assert int(result.freedom) == n - 1
    assert result.unit == "score per unit of input"


def test_of_two_linear_layers_it_is_their_product() -> None:
    """Products of independent factors: the mean is W2 W1, the variance sum_j (W2_j W1_ji)^2 ((1 + s^2)^2 - 1)."""
    net, s, n = linear(200, 5, 2), 0.2, 25
    first, second = net[0].weight.detach(), net[1].weight[0].detach()
    terms = second[:, None] * first
    error = (terms.square().sum(0) * ((1 + s**2) ** 2 - 1) / n).sqrt()
    x, method = torch.zeros(1, 200, dtype=torch.float64), noisegrad(s, n)
    results = [sg.explain(net, x, method=method, target=0, seed=seed) for seed in range(15)]
    # In one run W2's noise is the same for all values: the truth shows over many.
    z = torch.cat([result.maps - terms.sum(0) for result in results]) / error
    assert float(z.mean()) == pytest.approx(0, abs=0.35)
    assert float(z.std()) == pytest.approx(1, abs=0.25)
    told = torch.cat([result.stderr for result in results if result.stderr is not None]) / error
    assert float(told.square().mean()) == pytest.approx(1, abs=0.15)


# --- the paper, slowly ------------------------------------------------------------------------------------------------


def disturbed(net: nn.Module, noise: float, seed: int, draw: int) -> nn.Module:
    """A copy whose weights are multiplied one after the other by the numbers that are due to them."""
    twin = copy.deepcopy(net)
    key = numbers.salted(torch.tensor([seed]), "weights")
    for number, weight in enumerate(twin.parameters()):
        e = numbers.normal(numbers.mix(key, torch.tensor([number])), range(draw, draw + 1), weight.shape)
        flat, values = weight.detach().view(-1), e.flatten().double().tolist()
        for place in range(len(flat)):
            flat[place] *= 1 + noise * values[place]
    return twin


def test_noisegrad_is_the_papers_sum() -> None:
    result = sg.explain(NET, ROWS, method=noisegrad(0.2, 4), target=2, seed=7)
    nets = [disturbed(NET, 0.2, 7, draw) for draw in range(4)]
    for row in range(3):
        each = torch.stack([slow.gradient(net, ROWS[row], 2) for net in nets])
        torch.testing.assert_close(result.maps[row], each.mean(0))
        assert result.stderr is not None
        torch.testing.assert_close(result.stderr[row], each.std(0) / 2)


def test_fusiongrad_is_the_papers_double_sum() -> None:
    method = fusiongrad(0.1, 3, weight_noise=0.2, networks=4)
    result = sg.explain(NET, ROWS, method=method, target=2, seed=7)
    query = Query.of(ROWS, 2, seed=7)
    means = []
    for draw in range(4):
        net = disturbed(NET, 0.2, 7, draw)
        asked = query.at(ROWS[None], range(draw, draw + 1))
        points = sg.Gaussian(0.1, 3).draw(asked, range(3)).points
        means.append(torch.stack([torch.stack([slow.gradient(net, x, 2) for x in point]) for point in points]).mean(0))
    torch.testing.assert_close(result.maps, torch.stack(means).mean(0))
    assert result.stderr is not None
    torch.testing.assert_close(result.stderr, torch.stack(means).std(0) / 2)
    assert method == NoisyWeights(sg.smoothgrad(0.1, 3), 0.2, 4)
    assert result.passes.tolist() == [12] * 3


def test_inside_every_network_noise_is_drawn_afresh() -> None:
    """With still weights, networks only bring more draws."""
    result = sg.explain(NET, ROWS, method=fusiongrad(0.3, 1, weight_noise=0.0, networks=6), target=0)
    assert result.stderr is not None
    assert bool((result.stderr > 0).any())


def test_no_noise_leaves_the_map() -> None:
    result = sg.explain(NET, ROWS, method=noisegrad(0.0, 3), target=0)
    torch.testing.assert_close(result.maps, sg.explain(NET, ROWS, method=sg.gradient(), target=0).maps)
    assert result.stderr is not None
    assert float(result.stderr.max()) < 1e-15


# --- which weights ----------------------------------------------------------------------------------------------------


def test_every_parameter_is_disturbed_and_no_buffer() -> None:
    twin = copy.deepcopy(NET)
    disturb(twin, NET, 0.2, seed=0, draw=0)
    for (name, one), other in zip(twin.named_parameters(), NET.parameters(), strict=True):
        moved = (one != other) | (other == 0)
        assert bool(moved.all()), name
    for one, other in zip(twin.buffers(), NET.buffers(), strict=True):
        assert torch.equal(one, other)


def test_every_draw_seed_and_parameter_has_numbers_of_its_own() -> None:
    net = nn.ModuleList([nn.Linear(9, 9, bias=False) for _ in range(2)]).double()
    for part in net.parameters():
        nn.init.ones_(part)
    seen = []
    for seed, draw in ((0, 0), (0, 1), (1, 0)):
        twin = copy.deepcopy(net)
        disturb(twin, net, 0.1, seed, draw)
        seen += [part.flatten() for part in twin.parameters()]
    assert len(torch.cat(seen).unique()) > 0.99 * 6 * 81


def test_numbers_and_tied_weights_stay_what_they_are() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.other.weight = self.one.weight
            self.count = nn.Parameter(torch.tensor([3]), requires_grad=False)
            self.double().eval()

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.other(self.one(x)) * self.count
            return scores

    net = Tied()
    x = torch.ones(1, 4, dtype=torch.float64)
    result = sg.explain(net, x, method=noisegrad(0.3, 1), target=0, seed=2)
    w = net.one.weight.detach()
    e = numbers.normal(
        numbers.mix(numbers.salted(torch.tensor([2]), "weights"), torch.tensor([1])), range(1), torch.Size([4, 4])
    )
    noisy = w * (1 + 0.3 * e[0, 0].double())
    torch.testing.assert_close(result.maps[0], 3 * (noisy @ noisy)[0])


# --- what does not matter ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [noisegrad(0.2, 4), fusiongrad(samples=3, networks=2)], ids=["noise", "fusion"])
def test_batches_chunks_and_order_do_not_matter(method: sg.Explainer) -> None:
    whole = sg.explain(NET, ROWS, method=method, target=0, seed=3)
    for chunk in (1, 2, 64):
        torch.testing.assert_close(sg.explain(NET, ROWS, method=method, target=0, seed=3, chunk=chunk).maps, whole.maps)
    order = [2, 0, 1]
    mixed = sg.explain(NET, ROWS[order], method=method, target=0, seed=3, keys=order)
    torch.testing.assert_close(mixed.maps, whole.maps[order])
    alone = sg.explain(NET, ROWS[[1]], method=method, target=0, seed=3, keys=[1])
    torch.testing.assert_close(alone.maps, whole.maps[[1]])
    *_, last = sg.explain_live(NET, ROWS, method=method, target=0, seed=3)
    torch.testing.assert_close(last.maps, whole.maps)


def test_the_seed_matters_and_rows_share_their_networks() -> None:
    method = noisegrad(0.2, 3)
    maps = sg.explain(NET, ROWS[[0, 0]], method=method, target=0, seed=3).maps
    torch.testing.assert_close(maps[0], maps[1])
    assert not torch.allclose(sg.explain(NET, ROWS[[0]], method=method, target=0, seed=4).maps[0], maps[0])


def test_the_seed_travels_with_the_rows() -> None:
    query = Query.of(ROWS, 0, seed=9)
    asked = query.at(ROWS[None], range(4, 5)).rows(torch.tensor([2, 0])).for_each(torch.tensor([[0, 1], [2, 3]]))
    assert asked.seed == query.seed == asked.with_x(asked.x).seed == 9


def test_a_network_is_the_same_in_its_views() -> None:
    plain = sg.explain(NET, ROWS, method=noisegrad(0.2, 3), target=0).maps
    wrapped = sg.Network(NET, name="small")
    torch.testing.assert_close(sg.explain(wrapped, ROWS, method=noisegrad(0.2, 3), target=0).maps, plain)


def test_the_weights_are_those_of_the_model_also_where_a_prepared_copy_would_pay() -> None:
    """Folding a batch norm makes other weights, and noise on them another map."""
    method = noisegrad(0.2, 40)
    assert method.needs_itself
    assert method.over(sg.Gaussian(0.1, 2)).needs_itself
    result = sg.explain(NET, ROWS, method=method, target=0, seed=3)
    assert result.provenance["prepared"] is None
    direct = method.estimate(NET, Query.of(ROWS, 0, seed=3), Schedule(64)).value
    torch.testing.assert_close(result.maps, direct)
    folded = method.estimate(sg.prepare(NET, ROWS), Query.of(ROWS, 0, seed=3), Schedule(64)).value
    assert not torch.allclose(folded, direct), "else the test shows nothing"


def test_it_works_at_a_layer() -> None:
    result = sg.explain(NET, ROWS, method=noisegrad(0.2, 3), target=1, at="3", seed=5)
    total = torch.zeros_like(result.maps)
    h = sg.at(NET, "3").capture(ROWS)
    for draw in range(3):
        net = disturbed(NET, 0.2, 5, draw)
        assert isinstance(net, nn.Sequential)
        point = h.clone().requires_grad_()
        total += torch.autograd.grad(net[4:](point)[:, 1].sum(), point)[0]
    torch.testing.assert_close(result.maps, total / 3)


def test_the_model_is_left_as_found() -> None:
    net = copy.deepcopy(NET)
    before = {name: part.clone() for name, part in net.state_dict().items()}
    versions = [part._version for part in net.state_dict().values()]
    sg.explain(net, ROWS, method=noisegrad(0.2, 3))
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert [part._version for part in net.state_dict().values()] == versions
    assert all(part.requires_grad and part.grad is None for part in net.parameters())


def test_under_a_cloud_its_draws_share_the_networks() -> None:
    inner, cloud = noisegrad(0.2, 3), sg.Gaussian(0.2, 4)
    smooth = sg.explain(NET, ROWS, method=inner.over(cloud), target=0, seed=5).maps
    points = cloud.draw(Query.of(ROWS, 0, seed=5), range(4)).points
    each = torch.stack([sg.explain(NET, point, method=inner, target=0, seed=5).maps for point in points])
    torch.testing.assert_close(smooth, each.mean(0))


def test_it_says_how_far_it_is() -> None:
    method = fusiongrad(samples=3, networks=4)
    seen = list(method.partials(NET, Query.of(ROWS, 0), Schedule(64)))
    assert [(part.done, part.total) for part in seen] == [(3, 12), (6, 12), (9, 12), (12, 12)]
    assert seen[0].estimate().stderr is None
    assert seen[-1].estimate().draws.tolist() == [4, 4, 4]
    assert method.cost(torch.tensor([4])).tolist() == [12]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadNoise, match=r"noise >= 0, got -0\.1"):
        noisegrad(-0.1)
    with pytest.raises(BadNoise, match="noise >= 0, got nan"):
        noisegrad(math.nan)
    with pytest.raises(BadMethod, match="samples >= 1, got 0"):
        noisegrad(samples=0)
    with pytest.raises(BadMethod, match="Together gives several maps per row, and NoisyWeights takes one"):
        NoisyWeights(sg.Gradient().over(sg.Gaussian(0.1, 4), sg.Together(sg.Mean(), sg.Max())))


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    class Uncopied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.made = self.layer.weight * 2  # with a history

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.made.T

    with pytest.raises(UnsupportedModel, match=r"Uncopied cannot be copied \(RuntimeError: .*parameters or buffers"):
        sg.explain(Uncopied().eval(), torch.rand(1, 3), method=noisegrad())
