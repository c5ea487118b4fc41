"""Randomised networks and other classes: what is random when, what stays untouched, and methods whose answer is known."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, final

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadMethod, NonFinite, UnsupportedModel
from smoothgrad.measure.case import Case, Judged
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.randomise import layers_from_the_top, open_copy, randomise, restore
from smoothgrad.measure.sanity import (
    CascadingRandomisation,
    ComplexityRise,
    IndependentRandomisation,
    RandomLogit,
    _spread,
    histogram_entropy,
    other_class,
)
from smoothgrad.measure.similarity import Hog, Pearson, Spearman, Ssim
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.layer import at
from tests.nets import small_net

RANDOMISATIONS = (CascadingRandomisation, IndependentRandomisation)
SMALL = ["7", "3", "1", "0"]  # the layers of small_net, from the output down


@final
@dataclass(frozen=True, repr=False)
class Shown(Explainer):
    """Each row itself: knows nothing of the network. Notes which network it was asked about."""

    seen: ClassVar[list[dict[str, Tensor]]] = []
    passes = 1
    unit = ""

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.seen.append(copy.deepcopy(model.state_dict()))
        yield Partial(1, 1, lambda: Estimate(query.x, None, torch.ones(len(query), dtype=torch.int64)))


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def case(net: nn.Module, x: Tensor, method: Explainer, *, target: int = 0, seed: int = 0, chunk: int = 64) -> Case:
    query, schedule = Query.of(x, target, seed=seed), Schedule(chunk)
    return Case(
        net, query, method.estimate(net, method.prepare(net, query, schedule), schedule).value, schedule, method
    )


def judged(measure: Measure, given: Case) -> Judged:
    measure.admit(given)
    return measure.judge(given)


def copied(net: nn.Module, x: Tensor) -> tuple[nn.Module, list[str]]:
    twin = open_copy(net, "the test")
    return twin, layers_from_the_top(twin, Query.of(x, 0))


# --- the layers --------------------------------------------------------------------------------------------------------


def test_layers_come_from_the_output_down() -> None:
    assert copied(small_net(), rows(2, 3, 8, 8))[1] == SMALL


class Crossed(nn.Module):
    """Registered in another order than called; one layer called twice, one never, one without a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.unused = nn.Linear(4, 4)
        self.shared = nn.Linear(4, 4)
        self.middle = nn.Linear(4, 4)
        self.hidden = nn.Linear(4, 4)
        self.shift = nn.Parameter(torch.zeros(4))
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.embedding = nn.Embedding(3, 4)

    def forward(self, x: Tensor, word: Tensor) -> Tensor:
        x = F.linear(self.norm(x) + self.shift + self.embedding(word), self.hidden.weight, self.hidden.bias)
        return self.last(self.shared(self.middle(self.shared(x).relu())))  # type: ignore[no-any-return]


def test_layers_stand_in_the_order_of_their_calls() -> None:
    with torch.random.fork_rng(devices=[]):
        net = Crossed().eval()
    query = Query.of(rows(2, 4), 0, context=(torch.tensor([0, 2]),))
    twin = open_copy(net, "the test")
    assert layers_from_the_top(twin, query) == ["last", "shared", "middle", "embedding", "norm", "hidden", ""]
    assert not any(weight.requires_grad for weight in twin.parameters())
    assert all(weight.requires_grad for weight in net.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in twin.modules())


def test_of_a_view_only_the_layers_above_count() -> None:
    net, x = small_net(), rows(2, 3, 8, 8)
    view = at(net, "2")
    twin = open_copy(view, "the test")
    query = Query.of(view.capture(x), 0, context=(x,))
    assert layers_from_the_top(twin, query) == ["7", "3"]


def test_attention_is_randomised_whole() -> None:
    with torch.random.fork_rng(devices=[]):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    net = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 2)).eval()
    twin, layers = copied(net, rows(2, 3, 8))
    want = ["2", "0.norm2", "0.linear2", "0.linear1", "0.norm1", "0.self_attn.out_proj", "0.self_attn"]
    assert layers == want
    before = twin.state_dict()["0.self_attn.in_proj_weight"].clone()
    randomise(twin, "0.self_attn", 0)
    assert not torch.allclose(twin.state_dict()["0.self_attn.in_proj_weight"], before)
    assert torch.equal(
        twin.state_dict()["0.self_attn.out_proj.weight"], net.state_dict()["0.self_attn.out_proj.weight"]
    )


# --- fresh numbers -----------------------------------------------------------------------------------------------------


def test_fresh_numbers_are_those_of_the_initialiser() -> None:
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(nn.Linear(400, 300), nn.BatchNorm1d(300), nn.LayerNorm(300)).eval()
    for part in (*net.parameters(), *net.buffers()):
        part.data.fill_(7)
    twin = open_copy(net, "the test")
    for name in ("0", "1", "2"):
        randomise(twin, name, 0)
    weight = twin.state_dict()["0.weight"]
    bound = 400**-0.5  # of the uniform numbers: kaiming_uniform with a = sqrt(5)
    assert weight.abs().max() <= bound
    assert weight.mean().abs() < 0.01 * bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    for name in ("1", "2"):
        assert bool((twin.state_dict()[f"{name}.weight"] == 1).all())
        assert bool((twin.state_dict()[f"{name}.bias"] == 0).all())
    assert bool((twin.state_dict()["1.running_mean"] == 0).all())
    assert bool((twin.state_dict()["1.running_var"] == 1).all())
    assert all(bool((part == 7).all()) for part in (*net.parameters(), *net.buffers()))


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(3 + 0.5 * rows(200, 100))
        self.scale = nn.Parameter(torch.tensor([2.0]))
        self.register_buffer("order", torch.arange(200))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.order] @ self.w * self.scale  # type: ignore[index]


def test_bare_parameters_get_numbers_like_their_own() -> None:
    net = Bare().eval()
    twin, layers = copied(net, rows(2, 200))
    assert layers == [""]
    randomise(twin, "", 0)
    fresh = twin.state_dict()["w"]
    assert torch.corrcoef(torch.stack([fresh.flatten(), net.w.detach().flatten()]))[0, 1].abs() < 0.03
    assert fresh.mean().item() == pytest.approx(net.w.mean().item(), abs=0.02)
    assert fresh.std().item() == pytest.approx(net.w.std().item(), abs=0.02)
    assert twin.state_dict()["scale"].item() == 2
    assert torch.equal(twin.state_dict()["order"], torch.arange(200))


class Replacing(nn.Linear):
    """Its initialiser makes a new parameter, and writes another through `.data`."""

    def reset_parameters(self) -> None:
        self.weight = nn.Parameter(torch.full_like(self.weight, 5.0))
        if self.bias is not None:
            self.bias.data.fill_(6.0)


def test_initialisers_may_replace_parameters() -> None:
    net = Replacing(3, 2).eval()
    net.weight.data.zero_()
    net.bias.data.zero_()
    twin = open_copy(net, "the test")
    randomise(twin, "", 0)
    assert bool((twin.state_dict()["weight"] == 5).all())
    assert bool((twin.state_dict()["bias"] == 6).all())


def test_fresh_numbers_depend_on_seed_and_name_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).eval()

    def fresh(layer: str, seed: int) -> Tensor:
        twin = open_copy(net, "the test")
        randomise(twin, layer, seed)
        return twin.state_dict()[f"{layer}.weight"]

    state = torch.get_rng_state()
    one = fresh("0", 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(fresh("0", 0), one)
    assert not torch.equal(fresh("0", 1), one)
    assert not torch.equal(fresh("1", 0), one)


def test_restore_gives_back_everything() -> None:
    net, x = learned(), rows(2, 3, 8, 8)
    twin, layers = copied(net, x)
    for layer in layers:
        randomise(twin, layer, 0)
        assert fingerprint(twin) != fingerprint(net)
        restore(twin, net, layer)
        assert fingerprint(twin) == fingerprint(net)


# --- the networks at each stage ---------------------------------------------------------------------------------------


def seen_by(measure: Measure, net: nn.Module, *, seed: int = 0) -> list[dict[str, Tensor]]:
    """The weights of each network that is asked for maps."""
    given = case(net, rows(3, 3, 8, 8), Shown(), seed=seed)
    Shown.seen.clear()
    judged(measure, given)
    return list(Shown.seen)


def changed(state: dict[str, Tensor], net: nn.Module) -> set[str]:
    """The layers in which something differs."""
    return {name.split(".")[0] for name, part in net.state_dict().items() if not torch.equal(part, state[name])}


def learned() -> nn.Module:
    """small_net with norms that differ from fresh ones."""
    net = small_net()
    with torch.no_grad():
        for part in (net[1].weight, net[1].bias, net[1].running_mean, net[1].running_var):
            part.add_(0.5)  # type: ignore[union-attr, operator]
    return net


def test_cascading_adds_one_layer_after_the_other() -> None:
    net = learned()
    states = seen_by(CascadingRandomisation(stages=None), net)
    assert [changed(state, net) for state in states] == [set(SMALL[: number + 1]) for number in range(4)]
    for first, then in pairwise(states):  # what is random stays as it is
        gone = changed(first, net)
        assert all(torch.equal(part, then[name]) for name, part in first.items() if name.split(".")[0] in gone)


def test_independent_changes_one_layer_at_a_time() -> None:
    net = learned()
    states = seen_by(IndependentRandomisation(stages=None), net)
    assert [changed(state, net) for state in states] == [{layer} for layer in SMALL]


@pytest.mark.parametrize("measure", RANDOMISATIONS)
def test_each_stage_is_the_network_made_by_hand(measure: type[CascadingRandomisation]) -> None:
    net = learned()
    by_hand = copy.deepcopy(net)
    for state, layer in zip(seen_by(measure(stages=None), net, seed=3), SMALL, strict=True):
        twin = copy.deepcopy(net)
        randomise(twin, layer, 3)
        alone = dict(twin.state_dict())
        by_hand.load_state_dict({**by_hand.state_dict(), **{k: v for k, v in alone.items() if k.startswith(layer)}})
        want = alone if measure is IndependentRandomisation else by_hand.state_dict()
        assert all(torch.equal(part, want[name]) for name, part in state.items())


def test_few_stages_of_a_cascade_still_randomise_everything_above() -> None:
    net = learned()
    states = seen_by(CascadingRandomisation(stages=2), net)
    assert [changed(state, net) for state in states] == [{"7"}, set(SMALL)]
    assert [changed(state, net) for state in seen_by(CascadingRandomisation(stages=1), net)] == [set(SMALL)]


@pytest.mark.parametrize(
    ("layers", "stages"), [(57, 10), (57, None), (3, 10), (10, 10), (11, 10), (7, 2), (7, 1), (1, 1)]
)
def test_stages_are_spread_evenly(layers: int, stages: int | None) -> None:
    found = _spread(layers, stages)
    assert len(set(found)) == len(found) == min(layers, stages or layers)
    assert found == sorted(found)
    assert found[-1] == layers
    assert len(found) == 1 or found[0] == 1
    steps = [b - a for a, b in pairwise(found)]
    assert not steps or max(steps) - min(steps) <= 1


# --- the scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [*RANDOMISATIONS, RandomLogit])
@pytest.mark.parametrize("similarity", [Spearman(), Pearson(), Ssim(), Hog()], ids=repr)
def test_a_map_that_knows_nothing_of_the_network_stays_the_same(
    measure: type[RandomLogit], similarity: Spearman
) -> None:
    found = judged(measure(similarity), case(small_net(), rows(3, 3, 8, 8), Shown()))
    assert (found.value - 1).abs().max() < 1e-14
    assert found.reasons == ("", "", "")


def test_the_gradient_of_a_linear_network_forgets_its_weights() -> None:
    # The map is a row of the weights, the twin's independent of it, with mean zero: the correlation of P values has mean zero and
    # variance 1 / (P - 1).
    with torch.random.fork_rng(devices=[]):
        net = nn.Linear(50, 4).eval()
    x = rows(1, 50)
    for measure in RANDOMISATIONS:
        found = [float(judged(measure(Pearson()), case(net, x, sg.gradient(), seed=seed)).value) for seed in range(150)]
        values = torch.tensor(found)
        assert values.mean().abs() < 3 / 49**0.5 / 150**0.5
        assert values.std().item() == pytest.approx(49**-0.5, rel=0.15)


def test_the_score_is_the_mean_of_the_curve() -> None:
    for measure in RANDOMISATIONS:
        found = judged(measure(), case(learned(), rows(3, 3, 8, 8), sg.gradient()))
        assert found.curve is not None
        assert found.curve.ticks == tuple(SMALL)
        assert found.curve.x.tolist() == [1, 2, 3, 4]
        assert found.curve.y.shape == (3, 4)
        assert torch.equal(found.value, found.curve.y.mean(1))


def test_the_curve_is_made_of_maps_of_the_same_target() -> None:
    net, x = learned(), rows(3, 3, 8, 8)
    given = case(net, x, sg.gradient(), target=2, seed=5)
    found = judged(CascadingRandomisation(), given).curve
    assert found is not None
    twin = copy.deepcopy(net)
    for number, layer in enumerate(SMALL):
        randomise(twin, layer, 5)
        maps = sg.explain(twin, x, method=sg.gradient(), target=2).maps
        assert torch.allclose(found.y[:, number], Spearman().of(given.maps, maps, given.query), atol=1e-12)


def test_resetting_the_only_norm_that_was_never_trained_changes_nothing() -> None:
    found = judged(IndependentRandomisation(), case(small_net(), rows(3, 3, 8, 8), sg.gradient())).curve
    assert found is not None
    assert bool((found.y[:, 2] > 0.999).all())  # layer "1", as fresh as it was made
    assert bool((found.y[:, [0, 1, 3]] < 0.95).all())


MEASURES: tuple[Measure, ...] = (
    CascadingRandomisation(stages=3),
    IndependentRandomisation(stages=3),
    RandomLogit(),
    ComplexityRise(),
)


@pytest.mark.parametrize("measure", MEASURES, ids=repr)
def test_the_network_is_left_as_it_was(measure: Measure) -> None:
    net = learned()
    net[0].weight.requires_grad_(False)  # type: ignore[union-attr]
    given = case(net, rows(3, 3, 8, 8), sg.gradient())
    before, state = fingerprint(net), torch.get_rng_state()
    judged(measure, given)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert [weight.requires_grad for weight in net.parameters()] == [False] + [True] * 7
    assert all(weight.grad is None for weight in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("measure", MEASURES, ids=repr)
def test_a_row_does_not_depend_on_the_others(measure: Measure) -> None:
    method = sg.smoothgrad(samples=3)
    whole = case(learned(), rows(4, 3, 8, 8), method, chunk=64)
    want = judged(measure, whole).value
    for index in (torch.tensor([3, 1]), torch.tensor([2])):
        assert torch.allclose(judged(measure, whole.rows(index)).value, want[index], atol=1e-5)
    assert torch.allclose(judged(measure, replace(whole, schedule=Schedule(1))).value, want, atol=1e-5)
    assert torch.allclose(judged(measure, replace(whole, schedule=Schedule(3))).value, want, atol=1e-5)


def test_the_seed_changes_the_random_networks() -> None:
    net, x = learned(), rows(2, 3, 8, 8)
    one, other, same = (judged(CascadingRandomisation(), case(net, x, sg.gradient(), seed=s)).value for s in (0, 1, 0))
    assert torch.equal(one, same)
    assert bool((one != other).all())


# --- complexity --------------------------------------------------------------------------------------------------------


def test_the_entropy_of_a_histogram() -> None:
    values = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0], [-9.0, 1.0, 1.0, 1.0]])
    quarter = torch.tensor([1 / 4, 3 / 4])
    want = [torch.tensor(2.0).log(), torch.tensor(4.0).log(), torch.tensor(0.0), -(quarter * quarter.log()).sum()]
    assert torch.allclose(histogram_entropy(values, 4), torch.stack(want))
    values = rows(3, 500).double()
    for row, found in zip(values, histogram_entropy(values, 30), strict=True):
        share = torch.histc(row, 30) / 500
        assert float(found) == pytest.approx(float(torch.special.entr(share).sum()), abs=1e-12)


def test_the_rise_is_that_of_a_network_whose_every_layer_is_random() -> None:
    net, x = learned(), rows(3, 3, 8, 8)
    given = case(net, x, sg.gradient(), seed=2)
    twin = copy.deepcopy(net)
    for layer in SMALL:
        randomise(twin, layer, 2)
    before, after = (
        histogram_entropy(sg.explain(m, x, method=sg.gradient(), target=0).maps.double().sum(1).flatten(1), 20)
        for m in (net, twin)
    )
    assert torch.allclose(judged(ComplexityRise(20), given).value, after / before - 1, atol=1e-12)


def test_the_complexity_of_a_map_that_knows_nothing_does_not_rise() -> None:
    assert judged(ComplexityRise(), case(learned(), rows(3, 3, 8, 8), Shown())).value.tolist() == [0, 0, 0]


def test_a_map_of_one_feature_becomes_more_complex() -> None:
    with torch.random.fork_rng(devices=[]):
        net = nn.Linear(64, 2).eval()
    nn.init.zeros_(net.weight)
    net.weight.data[:, 5] = 1
    found = judged(ComplexityRise(), case(net, rows(2, 64), sg.gradient())).value
    assert bool((found > 5).all())


# --- another class -----------------------------------------------------------------------------------------------------


def test_the_other_class_is_any_other_and_never_the_same() -> None:
    target = torch.arange(3000) % 4
    other = other_class(target, Query.of(torch.zeros(3000, 1), 0).key, 4)
    assert bool((other != target).all())
    for one in range(4):
        shares = torch.bincount(other[target == one], minlength=4) / 750
        assert shares[one] == 0
        assert bool(((shares - 1 / 3).abs() < 0.06)[torch.arange(4) != one].all())


def test_with_two_classes_the_other_is_the_other() -> None:
    net, x = small_net(classes=2), rows(3, 3, 8, 8)
    for target in (0, 1):
        found = judged(RandomLogit(Pearson()), case(net, x, sg.gradient(), target=target)).value
        a, b = (sg.explain(net, x, method=sg.gradient(), target=t).maps for t in (target, 1 - target))
        assert torch.allclose(found, Pearson().of(a, b, Query.of(x, 0)), atol=1e-12)


def test_a_network_that_gives_all_classes_the_same_evidence_fails() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum(1, keepdim=True) * torch.tensor([1.0, 2.0, 3.0])

    found = judged(RandomLogit(), case(Same().eval(), rows(3, 7), sg.gradient())).value
    assert (found - 1).abs().max() < 1e-12


def test_a_network_of_one_class_is_refused() -> None:
    with pytest.raises(BadInput, match="two classes"):
        judged(RandomLogit(), case(small_net(classes=1), rows(1, 3, 8, 8), sg.gradient()))


# --- no answer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES, ids=repr)
def test_a_constant_map_has_no_score(measure: Measure) -> None:
    given = case(learned(), rows(3, 3, 8, 8), sg.gradient())
    given.maps[1] = 0.1
    found = judged(measure, given)
    assert found.value.isnan().tolist() == [False, True, False]
    assert found.reasons[1] == "the map is constant: it ranks nothing"


def test_a_map_that_dies_with_the_weights_names_the_layer() -> None:
    class Dying(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.zeros_(self.weight)

    net = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), Dying(5, 2)).eval()
    net[2].weight.data = rows(2, 5)  # type: ignore[union-attr]
    found = judged(IndependentRandomisation(), case(net, rows(2, 5), sg.gradient()))
    assert found.value.isnan().all()
    assert set(found.reasons) == {"the map is constant once 2 is random"}


@final
@dataclass(frozen=True, repr=False)
class Fragile(Explainer):
    """The rows, but without a finite answer for large ones of another network than the first it was asked about."""

    raises: bool = True
    first: ClassVar[list[nn.Module]] = []
    passes = 1
    unit = ""

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        broken = (query.x.flatten(1).amax(1) > 100) & (model is not self.first[0])
        if self.raises and broken.any():
            raise NonFinite("a gradient holds infinity")
        maps = query.x.where(~broken[:, None, None, None], torch.nan)
        yield Partial(1, 1, lambda: Estimate(maps, None, torch.ones(len(query), dtype=torch.int64)))


@pytest.mark.parametrize("raises", [True, False])
def test_one_broken_row_does_not_take_the_others_along(raises: bool) -> None:
    net, x = learned(), rows(4, 3, 8, 8)
    x[2, 0, 0, 0] = 1e6
    Fragile.first[:] = [net]
    found = judged(CascadingRandomisation(stages=2), case(net, x, Fragile(raises)))
    assert found.value.isnan().tolist() == [False, False, True, False]
    assert found.reasons[2] == "the map holds NaN or infinity once 7 is random"
    assert found.value[[0, 1, 3]].tolist() == pytest.approx([1, 1, 1])


def test_what_cannot_be_randomised_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :2]

    with pytest.raises(UnsupportedModel, match="no parameters"):
        judged(CascadingRandomisation(), case(Fixed().eval(), rows(2, 3), sg.gradient()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_traced_network_is_refused() -> None:
    traced = torch.jit.trace(small_net(), rows(1, 3, 8, 8))
    with pytest.raises(UnsupportedModel, match="scripted or traced"):
        judged(CascadingRandomisation(), case(traced, rows(2, 3, 8, 8), sg.gradient()))


def test_arguments_are_checked() -> None:
    for measure in RANDOMISATIONS:
        with pytest.raises(BadMethod, match="stages"):
            measure(stages=0)
        with pytest.raises(BadInput, match="Spearman"):
            judged(measure(Ssim()), case(nn.Linear(5, 2).eval(), rows(2, 5), sg.gradient()))
    with pytest.raises(BadMethod, match="bins"):
        ComplexityRise(1)
    given = replace(case(small_net(), rows(1, 3, 8, 8), sg.gradient()), method=None)
    for each in MEASURES:
        with pytest.raises(BadInput, match="method"):
            judged(each, given)


def test_recipes_and_directions() -> None:
    assert repr(CascadingRandomisation(Ssim())) == "CascadingRandomisation(similarity=Ssim(window=11), stages=10)"
    assert [each.better for each in MEASURES] == ["lower", "lower", "lower", "higher"]
    assert all(each == type(each)(*vars(each).values()) for each in MEASURES)


# --- networks that lead rows through different layers ------------------------------------------------------------------


class Routed(nn.Module):
    """Rows with a positive first value go through one layer, the others through two."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(12, 12), nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12))
        self.last = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        up = x[:, 0] > 0
        found = torch.zeros_like(x)
        if up.any():
            found = found.index_put((up,), self.high(x[up]))
        if (~up).any():
            found = found.index_put((~up,), self.low(x[~up]))
        return self.last(found.relu())  # type: ignore[no-any-return]


def routed() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Routed().eval()
    x = rows(5, 12)
    x[:, 0] = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0])
    return net, x


@pytest.mark.parametrize("measure", MEASURES, ids=repr)
def test_a_row_of_a_network_with_routes_does_not_depend_on_the_others(measure: Measure) -> None:
    net, x = routed()
    whole = case(net, x, sg.gradient())
    found = judged(measure, whole)
    assert found.reasons == ("",) * 5
    for index in (torch.tensor([0]), torch.tensor([1]), torch.tensor([4, 0]), torch.tensor([3, 2, 1])):
        assert torch.allclose(judged(measure, whole.rows(index)).value, found.value[index], atol=1e-6)


def test_rows_with_layers_of_their_own_share_no_curve() -> None:
    net, x = routed()
    whole = case(net, x, sg.gradient())
    assert judged(CascadingRandomisation(), whole).curve is None
    one, other = (judged(CascadingRandomisation(), whole.rows(torch.tensor(index))).curve for index in ([0, 3], [1]))
    assert one is not None
    assert other is not None
    assert (one.ticks, other.ticks) == (("last", "high.2", "high.0"), ("last", "low"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_fresh_numbers_are_the_same_in_every_dtype(dtype: torch.dtype) -> None:
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30)).eval()
        bare = Bare().eval()
    for part, layer in ((net, "0"), (net, "1"), (bare, "")):
        one, other = (open_copy(copy.deepcopy(part).to(of), "the test") for of in (torch.float32, dtype))
        for twin in (one, other):
            randomise(twin, layer, 5)
        for name, want in one.state_dict().items():
            found = other.state_dict()[name]
            assert found.dtype == (dtype if want.is_floating_point() else want.dtype)
            eps = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
            assert torch.allclose(found.double(), want.double(), rtol=2 * eps, atol=8 * eps), name


def test_what_is_not_drawn_keeps_its_last_bit() -> None:
    class Held(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.register_buffer("mean", torch.full((3,), 0.1, dtype=torch.float64))

    with torch.random.fork_rng(devices=[]):
        net = Held().double().eval()
    twin = open_copy(net, "the test")
    randomise(twin, "", 0)
    assert torch.equal(twin.state_dict()["mean"], net.state_dict()["mean"])
