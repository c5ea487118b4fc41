"""Which model is asked, and in which arithmetic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Partial
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.engine import PAYS, Engine, Pair, deviation
from smoothgrad.errors import BadMethod, RuleDidNothing, UnsupportedModel
from tests.nets import small_net

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
MANY = sg.smoothgrad(samples=PAYS)


class Slow(nn.Module):
    """A network that takes its time, and whose answers are off by a factor."""

    def __init__(self, net: nn.Module, seconds: float = 0.0, off: float = 1.0) -> None:
        super().__init__()
        self.net = net
        self.seconds = seconds
        self.off = off
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return self.off * self.net(x)


def race(full: nn.Module, narrow: nn.Module, method: sg.Explainer = MANY) -> tuple[Engine, Estimate]:
    engine = Engine(full, Schedule(16), narrow=narrow)
    *_, last = engine.partials(method, Query.of(X, 1, seed=3))
    return engine, last.estimate()


# --- the race ---------------------------------------------------------------------------------------------------------


def test_a_faster_and_faithful_twin_goes_on_and_its_draws_count() -> None:
    narrow = Slow(small_net(), off=1.0001)
    engine, found = race(Slow(small_net(), seconds=0.01), narrow)
    assert engine.model is narrow
    assert engine.said.startswith("bfloat16: bfloat16 takes 0.")
    alone = MANY.estimate(narrow, Query.of(X, 1, seed=3), Schedule(16))
    assert torch.equal(found.value, alone.value)
    assert found.draws.tolist() == [PAYS] * 2


@pytest.mark.parametrize(
    ("full", "narrow"),
    [
        (Slow(small_net()), Slow(small_net(), seconds=0.01)),
        (Slow(small_net(), seconds=0.01), Slow(small_net(), off=1.5)),
    ],
    ids=["slower", "unfaithful"],
)
def test_a_slower_or_unfaithful_twin_does_not(full: nn.Module, narrow: nn.Module) -> None:
    engine, found = race(full, narrow)
    assert engine.model is full
    assert engine.said.startswith("float32: bfloat16 takes ")
    assert torch.equal(found.value, MANY.estimate(full, Query.of(X, 1, seed=3), Schedule(16)).value)


@pytest.mark.parametrize(
    "method",
    [
        sg.integrated_gradients(steps=64),
        sg.smoothgrad(samples=8),
        sg.gradient().over(sg.Gaussian(samples=64), sg.Median()),
    ],
    ids=["no error", "one chunk", "median"],
)
def test_where_there_is_nothing_to_judge_by_it_is_not_tried(method: sg.Explainer) -> None:
    full = small_net()
    engine, found = race(full, Slow(small_net(), seconds=10), method)
    assert engine.model is full
    assert "to judge bfloat16 by" in engine.said
    torch.testing.assert_close(found.value, method.estimate(full, Query.of(X, 1, seed=3), Schedule(16)).value)


def test_many_rows_of_one_draw_each_are_compared_too() -> None:
    narrow = Slow(small_net(), off=1.0001)
    engine = Engine(Slow(small_net(), seconds=0.01), Schedule(2), narrow=narrow)
    parts = list(engine.partials(MANY, Query.of(X, 1, seed=3)))
    assert engine.model is narrow
    assert [int(part.estimate().draws[0]) for part in parts] == list(range(1, PAYS + 1))


def test_the_race_is_run_once() -> None:
    engine, _ = race(Slow(small_net()), Slow(small_net(), seconds=0.01))
    said = engine.said
    list(engine.partials(sg.integrated_gradients(steps=4), Query.of(X, 0)))
    assert engine.said == said


@pytest.mark.parametrize(
    ("shared", "own", "whole"), [(0.3, 0.0, 5.0), (0.0, 2.0, 5.0), (0.2, 1.0, 1.0), (0.0, 0.0, 3.0)]
)
def test_the_deviation_is_that_of_the_whole_run(shared: float, own: float, whole: float) -> None:
    """Gradients g ~ N(., 9); the narrow ones are off by a part that all draws share, and one of each draw's own."""
    size, few, many = 20_000, 8, 16
    g = 3 * torch.randn(many, 1, size, dtype=torch.float64)
    off = shared + own * torch.randn(many, 1, size, dtype=torch.float64)

    def estimate(values: Tensor) -> Estimate:
        return Estimate(values.mean(0), values.std(0) / len(values) ** 0.5, torch.tensor([len(values)]))

    pairs = [Pair(estimate(g[:n]), estimate((g + off)[:n])) for n in (few, many)]
    draws = many * whole
    expected = ((shared**2 + own**2 / draws) / (9 / draws)) ** 0.5
    assert deviation(*pairs, whole=whole) == pytest.approx(expected, rel=0.05, abs=1e-9)


def test_the_row_that_is_moved_most_decides() -> None:
    value, error, two = torch.ones(2, 3), torch.ones(2, 3), torch.tensor([2, 2])
    moved = value + torch.tensor([[0.0], [0.5]])
    one = Pair(Estimate(value, error, two), Estimate(moved, error, two))
    other = Pair(Estimate(value, error, 2 * two), Estimate(moved, error, 2 * two))
    assert deviation(one, other, whole=1.0) == pytest.approx(0.5)


def test_a_map_without_noise_that_is_not_moved_is_faithful() -> None:
    value, none = torch.ones(1, 3), torch.zeros(1, 3)
    pairs = [Pair(*[Estimate(value, none, torch.tensor([n]))] * 2) for n in (2, 4)]
    assert deviation(*pairs, whole=1.0) == 0.0


# --- through the door ---------------------------------------------------------------------------------------------------


def test_many_passes_are_made_on_a_prepared_copy() -> None:
    net = small_net()
    few = sg.explain(net, X, method=sg.smoothgrad(samples=4))
    many = sg.explain(net, X, method=MANY)
    assert few.provenance["prepared"] is None
    assert many.provenance["prepared"] == "1 of 1 batch norms folded, channels-last, float32"
    again = sg.explain(sg.prepare(net), X, method=MANY)
    assert len({result.provenance["fingerprint"] for result in (few, many, again)}) == 1


def test_a_copy_gives_the_same_map_and_leaves_the_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_net()
    before = {name: part.clone() for name, part in net.state_dict().items()}
    fast = sg.explain(net, X, method=MANY)
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert all(part.requires_grad and part.grad is None for part in net.parameters())
    monkeypatch.setattr("smoothgrad.engine.PAYS", 10**9)
    plain = sg.explain(net, X, method=MANY)
    assert plain.provenance["prepared"] is None
    for one, other in ((fast.maps, plain.maps), (fast.stderr, plain.stderr)):
        assert one is not None
        assert other is not None
        assert float((one - other).norm() / other.norm()) < 1e-5


def test_a_model_that_cannot_be_copied_is_asked_itself() -> None:
    class Single(nn.Linear):
        def __deepcopy__(self, memo: object) -> Single:
            raise TypeError("there is only one")

    net = nn.Sequential(nn.Flatten(), Single(192, 3)).eval()
    result = sg.explain(net, X, method=MANY, target=1)
    assert result.provenance["prepared"] is None
    assert result.provenance["unprepared"] == "Sequential cannot be copied: TypeError: there is only one"
    torch.testing.assert_close(result.maps.flatten(1), net[1].weight[1].detach().expand(2, -1))
    with pytest.raises(UnsupportedModel, match="there is only one"):
        sg.explain(net, X, method=MANY, precision="bfloat16")


def test_a_prepared_network_is_not_prepared_again(tmp_path: Path) -> None:
    fast = sg.prepare(sg.load("digits"))
    result = sg.explain(fast, fast.samples(2), method=MANY)
    assert result.provenance["model"] == "digits"
    assert "batch norm" in result.provenance["prepared"]
    assert result.classes
    assert result.save(tmp_path / "a.safetensors").exists()


def test_inside_a_prepared_copy_layers_are_where_they_were() -> None:
    net = small_net()
    for layer in ("0", "1", "3", "4"):
        fast = sg.explain(net, X, method=MANY, at=layer)
        slow = sg.explain(net, X, method=MANY, at=layer, chunk=1)
        plain = sg.explain(net, X, method=sg.smoothgrad(samples=PAYS // 2 - 1), at=layer)
        assert fast.provenance["prepared"] is not None
        assert plain.provenance["prepared"] is None
        torch.testing.assert_close(fast.x, plain.x)
        torch.testing.assert_close(fast.maps, slow.maps, rtol=1e-3, atol=1e-5)


def test_bfloat16_is_coarser_and_says_so() -> None:
    net = small_net()
    narrow, full = (sg.explain(net, X, method=MANY, precision=precision) for precision in ("bfloat16", "float32"))
    assert narrow.provenance["dtype"] == "bfloat16"
    assert full.provenance["dtype"] == "float32"
    assert narrow.maps.dtype == torch.float32
    gap = float((narrow.maps - full.maps).norm() / full.maps.norm())
    assert 1e-4 < gap < 0.1
    assert torch.equal(narrow.score, full.score), "the score and its class are the model's own"


def test_auto_says_what_it_found() -> None:
    result = sg.explain(small_net(), X, method=sg.smoothgrad(samples=64), precision="auto", chunk=16)
    said = result.provenance["precision"]
    assert said.startswith(("float32: bfloat16 takes ", "bfloat16: bfloat16 takes "))
    assert said.endswith("of its standard error")
    assert result.provenance["dtype"] == said.partition(":")[0]
    few = sg.explain(small_net(), X, method=sg.smoothgrad(samples=4), precision="auto")
    assert few.provenance["precision"] == "float32: 8 passes do not pay for a comparison with bfloat16"


def test_auto_moves_no_map_by_more_than_it_says() -> None:
    method = sg.smoothgrad(samples=64)
    auto, full = (sg.explain(small_net(), X, method=method, precision=p, chunk=16) for p in ("auto", "float32"))
    assert full.stderr is not None
    assert float((auto.maps - full.maps).norm() / full.stderr.norm()) < 0.15


def test_an_unknown_precision_is_refused_by_name() -> None:
    with pytest.raises(BadMethod, match="no precision 'bfloat'; did you mean 'bfloat16'"):
        sg.explain(small_net(), X, method=MANY, precision="bfloat")


def test_live_results_choose_too() -> None:
    *_, last = sg.explain_live(small_net(), X, method=sg.smoothgrad(samples=64), precision="auto", chunk=16)
    assert last.provenance["precision"] is not None
    assert last.provenance["prepared"] is not None


def test_the_chunk_is_tuned_where_none_is_given_and_the_map_stays() -> None:
    method = sg.smoothgrad(samples=4000)
    tuned = sg.explain(small_net(), X, method=method)
    fixed = sg.explain(small_net(), X, method=method, chunk=37)
    assert fixed.provenance["chunk"] == 37
    torch.testing.assert_close(tuned.maps, fixed.maps, rtol=1e-3, atol=1e-6)


def test_errors_name_the_network_and_not_its_copy() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.Sigmoid()).eval()
    with pytest.raises(RuleDidNothing, match="found no ReLU in Sequential"):
        sg.explain(net, X, method=sg.smoothgrad(samples=PAYS, rule=sg.Guided()))
    with pytest.raises(RuleDidNothing, match="found no ReLU in Sequential"):
        sg.explain(net, X, method=sg.smoothgrad(samples=PAYS, rule=sg.Guided()), at="1")


def test_while_they_race_both_take_the_same_draws() -> None:
    """A schedule that looks for its best size would give one of them other chunks than the other."""
    ticks = iter(range(10**6))
    narrow = Slow(small_net(), off=1.0001)
    engine = Engine(Slow(small_net(), seconds=0.005), Schedule(6, lambda: float(next(ticks))), narrow=narrow)
    list(engine.partials(sg.smoothgrad(samples=64), Query.of(X, 1, seed=3)))
    assert engine.model is narrow, engine.said
    moved = float(engine.said.rpartition("by ")[2].split()[0])
    assert moved < 0.01


def test_rows_that_are_done_in_one_and_not_in_the_other_are_not_compared() -> None:
    method = sg.smoothgrad(samples=sg.Until(tolerance=0.5, least=4, most=64))
    full = small_net()
    engine, found = race(full, Slow(small_net(), off=1e-12), method)
    assert engine.model is full
    assert torch.equal(found.value, method.estimate(full, Query.of(X, 1, seed=3), Schedule(16)).value)


def test_a_twin_that_overflows_is_out_of_the_race() -> None:
    class Overflowing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) * torch.inf

    full = small_net()
    engine, found = race(full, Overflowing().eval())
    assert engine.model is full
    assert engine.said.startswith("float32: in bfloat16 the gradient of row 0 holds NaN or infinity")
    assert found.draws.tolist() == [PAYS] * 2


def test_auto_is_never_a_reason_to_fail() -> None:
    x = X.double()
    result = sg.explain(small_net().double(), x, method=MANY, precision="auto")
    assert result.provenance["precision"].startswith("float32: the model is in float64")
    again = sg.explain(sg.prepare(small_net(), X), X, method=MANY, precision="auto")
    assert "prepared already" in again.provenance["precision"]


def test_a_network_prepared_in_bfloat16_can_be_explained() -> None:
    net = small_net()
    fast = sg.prepare(net, X, precision="bfloat16")
    result = sg.explain(fast, X, method=MANY)
    assert result.provenance["dtype"] == "bfloat16"
    assert result.maps.dtype == torch.float32
    plain = sg.explain(net, X, method=MANY)
    assert float((result.maps - plain.maps).norm() / plain.maps.norm()) < 0.1


def test_a_layer_into_which_a_norm_is_folded_is_refused_by_name() -> None:
    net = small_net()
    fast = sg.prepare(net, X)
    with pytest.raises(UnsupportedModel, match=r"folded into layer '0'.*prepare\(model, x, at='0'\)"):
        sg.explain(fast, X, method=sg.gradient(), at="0")
    for layer in ("1", "3"):
        torch.testing.assert_close(
            sg.explain(fast, X, method=sg.gradient(), at=layer).x, sg.explain(net, X, method=sg.gradient(), at=layer).x
        )
    whole = sg.prepare(net, X, at="0")
    torch.testing.assert_close(
        sg.explain(whole, X, method=sg.gradient(), at="0").maps, sg.explain(net, X, method=sg.gradient(), at="0").maps
    )


def test_sparse_buffers_are_no_obstacle() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("links", torch.eye(192).to_sparse())
            self.head = nn.Linear(192, 3)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.head((self.links @ x.flatten(1).T).T)
            return scores

    net = Graph().eval()
    result = sg.explain(net, X, method=MANY, target=1)
    assert result.provenance["prepared"] is not None
    torch.testing.assert_close(result.maps.flatten(1), net.head.weight[1].detach().expand(2, -1))


def test_completeness_is_counted_in_the_models_own_arithmetic() -> None:
    net = small_net()
    method = sg.integrated_gradients(steps=64)
    narrow, full = (sg.explain(net, X, method=method, precision=precision) for precision in ("bfloat16", "float32"))
    assert narrow.completeness is not None
    assert full.completeness is not None
    torch.testing.assert_close(narrow.completeness.change, full.completeness.change)


# --- methods that read layers, or weights -----------------------------------------------------------------------------


class Reads(sg.Explainer):
    """The gradient, as a method that reads a layer or the weights."""

    def __init__(self, layers: tuple[str, ...] = (), itself: bool = False) -> None:
        self.named, self.itself = layers, itself

    @property
    def layers(self) -> tuple[str, ...]:
        return self.named

    @property
    def needs_itself(self) -> bool:
        return self.itself

    passes, unit = 1, "score"

    def partials(self, model: nn.Module, query: sg.Query, schedule: sg.Schedule) -> Iterator[Partial]:
        return sg.Gradient().partials(model, query, schedule)


def folded_of(method: sg.Explainer) -> str | None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)).eval()
    found = sg.explain(net, torch.rand(1, 1, 8, 8), method=method.over(sg.Gaussian(0.1, 64)), target=0)
    prepared: str | None = found.provenance["prepared"]
    return prepared


def test_a_layer_that_a_method_reads_is_left_unfolded() -> None:
    assert "1 of 1 batch norms folded" in str(folded_of(Reads()))
    assert "0 of 1 batch norms folded" in str(folded_of(Reads(("0",))))
    assert "1 of 1 batch norms folded" in str(folded_of(Reads(("2",))))


def test_a_method_that_looks_at_the_weights_gets_the_model_itself() -> None:
    assert folded_of(Reads(itself=True)) is None
    with pytest.raises(sg.errors.BadMethod, match="needs the network's own weights"):
        sg.explain(nn.Linear(3, 2).eval(), torch.rand(1, 3), method=Reads(itself=True), target=0, precision="bfloat16")
