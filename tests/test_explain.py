"""The one door: what it lets in, what it refuses and in which words, and what it reports on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.checks import on_device
from smoothgrad.core.explainer import Partial
from smoothgrad.errors import (
    BadBaseline,
    BadInput,
    BadMethod,
    BadModel,
    BadNoise,
    BadTarget,
    ModelInTraining,
    NonFinite,
    NotDifferentiable,
    RuleDidNothing,
    SmoothGradError,
    UnknownName,
)
from tests.nets import small_net

X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Function(nn.Module):
    """A network without parameters, from a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def network(function: Callable[..., Any]) -> nn.Module:
    return Function(function).eval()


def close(one: Tensor | None, other: Tensor | None) -> bool:
    """Equal to rounding, at the scale of the tensors: maps here are far below the tolerances that torch presumes."""
    assert one is not None
    assert other is not None
    return one.shape == other.shape and bool((one - other).abs().max() <= 1e-5 * other.abs().max())


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


class WithTrainingPart(nn.Module):
    """In eval mode itself, with a dropout that is not: the usual way to get this wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 2))
        self.eval()
        self.head[1].train()

    def forward(self, x: Tensor) -> Any:
        return self.head(x)


def left_as(model: nn.Module) -> list[object]:
    """Everything about a model that asking it must not change."""
    hooks = [
        (len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks), part.training)
        for part in model.modules()
    ]
    weights = [(part.clone(), part.requires_grad, part.grad) for part in model.parameters()]
    return [hooks, *[(w.tolist(), r, g) for w, r, g in weights], *[part.tolist() for part in model.buffers()]]


# --- what is refused ------------------------------------------------------------------------------------------------------


class Bad(NamedTuple):
    """Arguments that must be refused: with which error, and words that say what, what was given, and what to do."""

    arguments: dict[str, Any]
    error: type[SmoothGradError]
    what: str
    got: str
    do: str


def row_with(value: float) -> Tensor:
    x = X.clone()
    x[1, 0, 0, 0] = value
    return x


CONSTANT = torch.cat([X[:1], torch.full((1, 3, 8, 8), 0.25)])
SQRT_AT_ZERO = network(lambda x: flat(x - x).sqrt() + flat(x))

BAD = {
    "in training": Bad(
        {"model": small_net().train()}, ModelInTraining, "eval mode", "it is in training", "model.eval()"
    ),
    "a part in training": Bad({"model": WithTrainingPart()}, ModelInTraining, "eval mode", "'head.1'", "model.eval()"),
    "no module": Bad({"model": flat}, BadModel, "the model", "function", "torch.nn.Module"),
    "NaN in x": Bad({"x": row_with(torch.nan)}, BadInput, "x of row 1", "NaN", "check the data"),
    "infinity in x": Bad({"x": row_with(torch.inf)}, BadInput, "x of row 1", "infinity", "check the data"),
    "NaN in the output": Bad(
        {"model": network(lambda x: flat(x * torch.nan))}, NonFinite, "output of row 0", "NaN", "network"
    ),
    "infinite score": Bad(
        {"model": network(lambda x: flat(x / 0.0))}, NonFinite, "output of row 0", "infinity", "network"
    ),
    "NaN in the gradient": Bad({"model": SQRT_AT_ZERO}, NonFinite, "gradient of row 0", "NaN", "sqrt(0)"),
    "integers": Bad({"x": (255 * X).byte()}, BadInput, "x holds", "uint8", ".float() / 255"),
    "wrong channels": Bad({"x": X[:, :1]}, BadInput, "cannot take", "(1, 8, 8)", "pass rows"),
    "wrong channels, at a layer": Bad({"x": X[:, :1], "at": "3"}, BadInput, "cannot take", "(1, 8, 8)", "pass rows"),
    "another type": Bad({"x": X.double()}, BadInput, "float64", "the model float32", "x.to(torch.float32)"),
    "sparse": Bad({"x": X.to_sparse()}, BadInput, "laid out", "sparse", "to_dense"),
    "empty batch": Bad({"x": X[:0]}, BadInput, "an empty batch", "(0, 3, 8, 8)", "N >= 1"),
    "empty rows": Bad({"x": X[:, :, :0]}, BadInput, "an empty batch", "(3, 3, 0, 8)", "N >= 1"),
    "a number": Bad({"x": torch.tensor(1.0)}, BadInput, "no batch of rows", "()", "x[None]"),
    "one row of features": Bad({"x": torch.rand(5)}, BadInput, "no batch of rows", "(5,)", "x[None]"),
    "numpy": Bad({"x": X.numpy()}, BadInput, "x is a", "ndarray", "torch.as_tensor"),
    "class too high": Bad({"target": 5}, BadTarget, "class 5", "5 classes", "0 to 4"),
    "class below zero": Bad({"target": -1}, BadTarget, "class -1", "5 classes", "0 to 4"),
    "one of the classes too high": Bad({"target": torch.tensor([0, 9, 1])}, BadTarget, "class 9", "5", "0 to 4"),
    "float targets": Bad({"target": torch.rand(3)}, BadTarget, "integers", "float32", "(N,)"),
    "too few targets": Bad({"target": torch.tensor([1, 2])}, BadTarget, "2 targets", "3 rows", "one per row"),
    "a list of targets": Bad({"target": [1, 2, 3]}, BadTarget, "the target", "list", "tensor"),
    "a name for a target": Bad({"target": "cat"}, BadTarget, "the target", "str", "class index"),
    "True for a target": Bad({"target": True}, BadTarget, "the target", "True", "class index"),
    "a target of many scores": Bad({"target": lambda output: output}, BadTarget, "one score per row", "(3, 5)", "(3,)"),
    "a target of one number": Bad(
        {"target": lambda output: output.sum()}, BadTarget, "one score per row", "()", "(3,)"
    ),
    "a target of no tensor": Bad({"target": lambda _output: 1.0}, BadTarget, "one score per row", "float", "(3,)"),
    "scores that are no classes": Bad(
        {"model": network(lambda x: x)}, BadTarget, "(3, 3, 8, 8)", "classes", "callable"
    ),
    "one score per row, no target": Bad(
        {"model": network(lambda x: flat(x).sum(1))}, BadTarget, "(3,)", "", "callable"
    ),
    "argmax in the target": Bad(
        {"target": lambda output: output.argmax(1)},
        NotDifferentiable,
        "the score that the target gives",
        "int64",
        "argmax",
    ),
    "detach in the model": Bad(
        {"model": network(lambda x: flat(x.detach()))}, NotDifferentiable, "does not depend", "Function", ".detach()"
    ),
    "an output that ignores x": Bad(
        {"model": network(lambda x: torch.ones(len(x), 4, requires_grad=True))},
        NotDifferentiable,
        "does not depend",
        "Function",
        "argmax",
    ),
    "integer output": Bad(
        {"model": network(lambda x: (flat(x) * 9).long())}, NotDifferentiable, "output of Function", "int64", "rounding"
    ),
    "rounded output": Bad(
        {"model": network(lambda x: (flat(x) > 0.5).float())},
        NotDifferentiable,
        "does not depend",
        "Function",
        "comparison",
    ),
    "no_grad in the model": Bad(
        {"model": network(torch.no_grad()(flat))}, NotDifferentiable, "does not depend", "Function", "torch.no_grad()"
    ),
    "a constant row": Bad({"x": CONSTANT}, BadNoise, "row 1 of 2 is constant", "0.25", 'unit="absolute"'),
    "a baseline of another shape": Bad(
        {"method": sg.integrated_gradients(baseline=sg.Given(torch.zeros(3, 9, 9)))},
        BadBaseline,
        "(3, 9, 9)",
        "(3, 8, 8)",
        "pass one row",
    ),
    "too few baselines": Bad(
        {"method": sg.integrated_gradients(baseline=sg.Given(torch.zeros(2, 3, 8, 8)))},
        BadBaseline,
        "(2, 3, 8, 8)",
        "3 input rows",
        "one per input",
    ),
    "data of another shape": Bad(
        {"method": sg.expected_gradients(torch.zeros(4, 2))}, BadBaseline, "(4, 2)", "(3, 8, 8)", "pass data"
    ),
    "a rule without ReLUs": Bad(
        {"model": network(lambda x: flat(F.gelu(x))), "method": sg.guided_backprop()},
        RuleDidNothing,
        "no ReLU",
        "Function",
        "gradient()",
    ),
    "a method not called": Bad({"method": sg.smoothgrad}, BadMethod, "smoothgrad itself", "smoothgrad", "smoothgrad()"),
    "a method as text": Bad({"method": "vargrad()"}, BadMethod, "the method is text", "vargrad()", "from_recipe"),
    "no method": Bad({"method": None}, BadMethod, "the method", "None", "smoothgrad("),
    "unknown precision": Bad({"precision": "bfloat"}, BadMethod, "precision", "'bfloat'", "'bfloat16'"),
    "precision as a dtype": Bad({"precision": torch.bfloat16}, BadMethod, "precision", "torch.bfloat16", "'bfloat16'"),
    "chunk of nothing": Bad({"chunk": 0}, BadMethod, "chunk", "0", "at least 1"),
    "chunk as a float": Bad({"chunk": 2.0}, BadMethod, "chunk", "2.0", "at least 1"),
    "too few keys": Bad({"keys": [1, 2]}, BadInput, "keys must be 3 integers", "(2,)", "one per row"),
    "keys as floats": Bad({"keys": [0.1, 0.2, 0.3]}, BadInput, "keys must be 3 integers", "float32", "one per row"),
    "keys as names": Bad({"keys": ["a", "b", "c"]}, BadInput, "keys must be 3 integers", "'a'", "one per row"),
    "keys too large": Bad({"keys": [0, 1, 2**70]}, BadInput, "64 bits", str(2**70), "one per row"),
    "seed as a float": Bad({"seed": 0.5}, BadInput, "the seed", "0.5", "an integer"),
    "seed too large": Bad({"seed": 2**63}, BadInput, "the seed", str(2**63), "64 bits"),
    "context of fewer rows": Bad({"context": (X[:2],)}, BadInput, "context[0]", "(2, 3, 8, 8)", "3 rows"),
    "context that is no tensor": Bad({"context": (X, 3)}, BadInput, "context[1]", "int", "3 rows"),
    "context that the network does not take": Bad(
        {"context": (X,)}, BadInput, "cannot take", "3 were given", "context"
    ),
    "context left out": Bad(
        {"model": network(lambda x, y: flat(x * y))}, BadInput, "cannot take", "'y'", "context=(...)"
    ),
    "a tuple for an output": Bad({"model": network(lambda x: (flat(x),))}, BadModel, "returned", "tuple", "wrap it"),
    "no output": Bad({"model": network(lambda _x: None)}, BadModel, "returned", "NoneType", "wrap it"),
    "an output without rows": Bad({"model": network(torch.sum)}, BadModel, "shape ()", "3 rows", "must be the rows"),
    "an output of other rows": Bad(
        {"model": network(lambda x: flat(x)[:2])}, BadModel, "(2, 192)", "3 rows", "must be"
    ),
    "an unknown layer": Bad({"at": "conv"}, UnknownName, "no layer", "'conv'", "known: 0, 1"),
    "a layer of another network": Bad({"at": nn.ReLU()}, UnknownName, "the layer", "ReLU", "give its name"),
    "a device that is not there": Bad({"device": "xla"}, BadInput, "cannot compute", "'xla'", ""),
    "no device": Bad({"device": "gpu"}, BadInput, "cannot compute", "'gpu'", "cuda"),
    "a number for a device": Bad({"device": 0.5}, BadInput, "cannot compute", "'0.5'", ""),
    "a device without values": Bad({"device": "meta"}, BadModel, "'meta'", "Sequential", "load its weights"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_clear_words(case: Bad) -> None:
    arguments: dict[str, Any] = {"model": small_net(), "x": X, "method": sg.smoothgrad(samples=2)} | case.arguments
    model, x = arguments.pop("model"), arguments.pop("x")
    before = left_as(model) if isinstance(model, nn.Module) else None
    with pytest.raises(SmoothGradError) as caught:
        sg.explain(model, x, **arguments)
    assert type(caught.value) is case.error
    message = str(caught.value)
    assert [part for part in (case.what, case.got, case.do) if part not in message] == [], message
    assert before is None or left_as(model) == before


@pytest.mark.parametrize("case", [BAD["NaN in x"], BAD["class too high"], BAD["a method not called"]])
def test_explain_live_refuses_before_anything_is_asked_for(case: Bad) -> None:
    arguments: dict[str, Any] = {"x": X, "method": sg.gradient()} | case.arguments
    with pytest.raises(case.error):
        sg.explain_live(small_net(), **arguments)


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty

    def absent(*sizes: int, **options: Any) -> Tensor:
        if str(options.get("device")) == "cuda":
            raise AssertionError("Torch not compiled with CUDA enabled")
        return empty(*sizes, **options)

    monkeypatch.setattr(torch, "empty", absent)
    with pytest.raises(BadInput, match="cannot compute on device 'cuda': Torch not compiled with CUDA"):
        sg.explain(small_net(), X, method=sg.gradient(), device="cuda")


def test_the_number_of_further_broken_rows_is_said() -> None:
    with pytest.raises(BadInput, match=r"x of row 0 holds NaN \(and 2 more rows\)"):
        sg.explain(small_net(), X * torch.nan, method=sg.gradient())


def test_an_error_of_the_model_itself_is_the_cause() -> None:
    with pytest.raises(BadInput) as caught:
        sg.explain(small_net(), X[:, :2], method=sg.gradient())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_mistake_in_the_users_own_target_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        sg.explain(small_net(), X, method=sg.gradient(), target=lambda output: output[:, 0] / (1 // 0))


def test_a_class_that_is_switched_off_is_no_obstacle_but_cannot_be_explained() -> None:
    def masked(x: Tensor) -> Tensor:
        return flat(x).masked_fill(torch.arange(192) == 191, -torch.inf)

    result = sg.explain(network(masked), X, method=sg.gradient(), target=3)
    assert result.maps.sum() == 3
    with pytest.raises(NonFinite, match="the score of row 0 holds infinity"):
        sg.explain(network(masked), X, method=sg.gradient(), target=191)


# --- what is let in ---------------------------------------------------------------------------------------------------------


def by_hand(model: nn.Module, x: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(model(x + 0)).sum(), x)  # a copy: the first layer may work in place
    return gradient


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_the_callers_grad_mode_does_not_matter(guard: Callable[[], Any]) -> None:
    net, method = small_net(), sg.integrated_gradients(steps=3)
    free = sg.explain(net, X, method=method)
    with guard():
        made_inside = X + 0
        held = sg.explain(net, X, method=method)
        also = sg.explain(net, made_inside, method=method)
    assert torch.equal(free.maps, held.maps)
    assert torch.equal(free.maps, also.maps)
    assert torch.equal(free.maps, sg.explain(net, made_inside, method=method).maps)
    assert torch.is_grad_enabled()


def test_weights_made_under_inference_mode_are_refused() -> None:
    with torch.inference_mode():
        net = nn.Linear(3, 2).eval()
    with pytest.raises(BadModel, match=r"Linear was made under torch.inference_mode\(\).*make or load it outside"):
        sg.explain(net, torch.rand(2, 3), method=sg.gradient())


def test_the_users_own_gradients_stay_apart() -> None:
    net, x = small_net(), X.clone().requires_grad_()
    net(x).sum().backward()
    kept = [part.grad.clone() for part in net.parameters() if part.grad is not None]
    result = sg.explain(net, x, method=sg.smoothgrad(samples=3))
    assert x.grad is not None
    assert not result.maps.requires_grad
    assert not result.x.requires_grad
    assert all(
        torch.equal(was, now.grad) for was, now in zip(kept, net.parameters(), strict=True) if now.grad is not None
    )


def test_outputs_of_one_score_per_row_and_of_maps_go_through_a_callable() -> None:
    regression = network(lambda x: flat(x).square().sum(1))
    result = sg.explain(regression, X, method=sg.gradient(), target=lambda output: output)
    assert close(result.maps, 2 * X)
    assert result.output is None
    assert result.target.tolist() == [-1, -1, -1]
    dense = network(lambda x: x.square())
    result = sg.explain(dense, X, method=sg.gradient(), target=lambda output: output[:, 1].mean((1, 2)))
    assert close(result.maps[:, 1], 2 * X[:, 1] / 64)
    assert (result.maps[:, 0] == 0).all()


def test_outputs_with_logits_are_unwrapped() -> None:
    wrapped = network(lambda x: SimpleNamespace(logits=flat(x) * 2, loss=None))
    assert torch.equal(
        sg.explain(wrapped, X, method=sg.gradient(), target=7).maps.sum((1, 2, 3)), torch.full((3,), 2.0)
    )


def test_no_target_is_each_rows_top_class() -> None:
    net = small_net()
    result = sg.explain(net, X, method=sg.gradient())
    top = net(X).argmax(1)
    assert torch.equal(result.target, top)
    assert torch.equal(result.maps, sg.explain(net, X, method=sg.gradient(), target=top).maps)
    assert close(result.maps, by_hand(net, X, lambda output: output.amax(1)))
    assert close(result.score, net(X).amax(1))
    assert close(result.output, net(X))


def test_context_travels_with_its_row() -> None:
    gate: Any = torch.tensor([1.0, 10.0, 100.0])
    gated = network(lambda x, scale: flat(x) * scale[:, None])
    method = sg.smoothgrad(samples=5)
    result = sg.explain(gated, X, method=method, target=0, context=(gate,), chunk=2)
    assert close(result.maps[:, 0, 0, 0], gate)
    alone = sg.explain(gated, X, method=method, target=0, context=gate)  # a single tensor will do
    assert close(alone.maps, result.maps)


@pytest.mark.parametrize("layer", ["0", "1", "3", "5"])
def test_at_a_layer_the_map_is_the_gradient_there(layer: str) -> None:
    net = small_net()
    place = int(layer) + 1
    h = net[:place].eval()(X).detach()
    result = sg.explain(net, X, method=sg.gradient(), target=2, at=layer)
    assert close(result.x, h)
    assert close(result.maps, by_hand(net[place:].eval(), h, lambda output: output[:, 2]))
    assert torch.equal(result.maps, sg.explain(net, X, method=sg.gradient(), target=2, at=net[int(layer)]).maps)
    assert result.provenance["layer"] in (layer, type(net[int(layer)]).__name__)


def test_at_a_layer_noise_and_paths_are_in_its_units() -> None:
    net = small_net()
    h = net[:4].eval()(X).detach()
    tail = net[4:].eval()
    for method in (sg.smoothgrad(samples=6), sg.integrated_gradients(steps=6)):
        there = sg.explain(net, X, method=method, target=1, at="3")
        assert close(there.maps, sg.explain(tail, h, method=method, target=1).maps)


def test_whole_numbers_are_explained_at_their_embedding() -> None:
    head = nn.Linear(12, 2)
    text = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), head).eval()
    words = torch.tensor([[1, 2, 3], [4, 5, 6]])
    result = sg.explain(text, words, method=sg.gradient(), at="0", target=1)
    assert close(result.maps, head.weight[1].view(1, 3, 4).expand(2, -1, -1))


def test_bfloat16_is_near_float32() -> None:
    net, method = small_net(), sg.smoothgrad(samples=8)
    exact = sg.explain(net, X, method=method)
    rough = sg.explain(net, X, method=method, precision="bfloat16")
    assert rough.maps.dtype == torch.float32
    assert rough.provenance["dtype"] == "bfloat16"
    assert not torch.equal(rough.maps, exact.maps)
    assert (rough.maps - exact.maps).norm() < 0.05 * exact.maps.norm()
    torch.testing.assert_close(rough.score, exact.score, rtol=0.02, atol=0.02)


def test_models_in_other_types_are_asked_in_their_own() -> None:
    exact = sg.explain(small_net().double(), X.double(), method=sg.smoothgrad(samples=4))
    assert exact.maps.dtype == torch.float64
    assert close(exact.maps.float(), sg.explain(small_net(), X, method=sg.smoothgrad(samples=4)).maps)


def test_a_model_where_it_should_be_is_used_as_it_is() -> None:
    net = small_net()
    assert on_device(net, "cpu") is net
    assert on_device(net, None) is net
    result = sg.explain(net, X, method=sg.gradient(), device="cpu")
    assert torch.equal(result.maps, sg.explain(net, X, method=sg.gradient()).maps)


def test_a_model_elsewhere_is_copied_not_moved() -> None:
    # "meta" is a device that every machine has, though it holds no values.
    net = small_net()
    copied = on_device(net, "meta")
    assert {part.device.type for part in copied.parameters()} == {"meta"}
    assert {part.device.type for part in [*net.parameters(), *net.buffers()]} == {"cpu"}


def test_keys_name_the_rows() -> None:
    net, method = small_net(), sg.smoothgrad(samples=4)
    all_rows = sg.explain(net, X, method=method)
    turned = sg.explain(net, X.flip(0), method=method, keys=[2, 1, 0])
    assert close(turned.maps.flip(0), all_rows.maps)
    last = sg.explain(net, X[2:], method=method, keys=torch.tensor([2]))
    assert close(last.maps, all_rows.maps[2:])
    assert last.keys.tolist() == [2]
    other = sg.explain(net, X, method=method, keys=range(7, 10))
    assert not torch.allclose(other.maps, all_rows.maps)


def test_the_seed_decides() -> None:
    net, method = small_net(), sg.smoothgrad(samples=4)
    assert torch.equal(sg.explain(net, X, method=method, seed=-3).maps, sg.explain(net, X, method=method, seed=-3).maps)
    assert not torch.equal(
        sg.explain(net, X, method=method, seed=1).maps, sg.explain(net, X, method=method, seed=2).maps
    )


def test_a_network_says_its_classes_and_shows_its_pictures() -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(2), method=sg.gradient())
    assert result.classes == net.classes
    assert result.picture is not None
    assert result.picture.shape == (2, 3, 8, 8)
    assert result.provenance["model"] == "digits"
    inside = sg.explain(net, net.samples(2), method=sg.gradient(), at="conv2")
    assert inside.picture is not None
    assert torch.equal(inside.picture, result.picture), "what the network sees, also where a layer is explained"
    assert inside.unit == "score per unit of conv2"
    assert inside.maps.shape == (2, 32, 8, 8)


def test_what_was_done_is_written_down() -> None:
    result = sg.explain(small_net(), X, method=sg.vargrad(samples=6), seed=5, chunk=4)
    said = result.provenance
    assert (said["chunk"], said["device"], said["dtype"], said["layer"]) == (4, "cpu", "float32", None)
    assert said["torch"] == torch.__version__
    assert said["smoothgrad"] == sg.__version__
    assert said["seconds"] >= 0
    assert result.seed == 5
    assert result.draws.tolist() == [6, 6, 6]
    assert result.passes.tolist() == [6, 6, 6]
    assert sg.from_recipe(result.recipe) == sg.vargrad(samples=6)


# --- on the way ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [2, 6])
@pytest.mark.parametrize(
    "method",
    [
        sg.smoothgrad(samples=64),
        sg.smoothgrad(samples=sg.Until(tolerance=0.01, most=64)),
        sg.integrated_gradients(steps=16),
        sg.integrated_gradients(steps=4).over(sg.Gaussian(samples=8)),
        sg.gradient().then(sg.Absolute()),
    ],
    ids=repr,
)
def test_progress_rises_to_the_total(method: sg.Explainer, chunk: int) -> None:
    seen: list[sg.Progress] = []
    sg.explain(small_net(), X, method=method, chunk=chunk, progress=seen.append)
    done = [at.done for at in seen]
    assert done == sorted(set(done))
    assert done[-1] == 3 * method.passes  # of three rows
    assert {at.total for at in seen} == {3 * method.passes}


def test_the_reported_error_falls_and_ends_at_that_of_the_result() -> None:
    errors: list[float | None] = []
    result = sg.explain(
        small_net(),
        X,
        method=sg.smoothgrad(noise=0.5, samples=256),
        chunk=12,
        progress=lambda at: errors.append(at.relative_error()),
    )
    known = [error for error in errors if error is not None]
    assert len(known) == 64
    assert known[3] > 1.5 * known[15] > 2.25 * known[63]  # as 1 / sqrt(n), from 16 to 64 to 256 draws: 2 each
    assert result.relative_error is not None
    assert known[-1] == pytest.approx(float(result.relative_error.max()))


@pytest.mark.parametrize(
    "method",
    [sg.gradient(), sg.integrated_gradients(steps=4), sg.smoothgrad(samples=1)],
    ids=["one", "path", "one draw"],
)
def test_an_unknown_error_is_reported_as_none(method: sg.Explainer) -> None:
    errors: list[float | None] = []
    sg.explain(small_net(), X, method=method, progress=lambda at: errors.append(at.relative_error()))
    assert set(errors) == {None}


def test_progress_of_several_reductions_reports_no_number_that_is_none() -> None:
    errors: list[float | None] = []
    method = sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Median()))
    sg.explain(small_net(), X, method=method, progress=lambda at: errors.append(at.relative_error()))
    assert errors == [None]


def test_what_progress_raises_comes_out_and_the_model_is_left_as_found() -> None:
    net = small_net()
    before = left_as(net)

    def stop(_at: sg.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sg.explain(net, X, method=sg.smoothgrad(samples=64, rule=sg.Guided()), chunk=3, progress=stop)
    assert left_as(net) == before


@pytest.mark.parametrize(
    "method",
    [
        sg.smoothgrad(samples=16),
        sg.smoothgrad(samples=sg.Until(tolerance=0.5, least=4, most=64)),
        sg.integrated_gradients(steps=8),
        sg.integrated_gradients(tolerance=0.05),
        sg.smooth_integrated_gradients(samples=16),
    ],
    ids=repr,
)
def test_the_last_live_result_is_that_of_explain(method: sg.Explainer) -> None:
    net = small_net()
    *_, last = sg.explain_live(net, X, method=method, chunk=6)
    whole = sg.explain(net, X, method=method, chunk=6)
    assert torch.equal(last.maps, whole.maps)
    assert torch.equal(last.draws, whole.draws)
    assert torch.equal(last.passes, whole.passes)
    assert (last.stderr is None) == (whole.stderr is None)
    assert (last.completeness is None) == (whole.completeness is None)
    if last.completeness is not None and whole.completeness is not None:
        assert torch.equal(last.completeness.total, whole.completeness.total)
        assert torch.equal(last.completeness.change, whole.completeness.change)


def test_live_results_get_better() -> None:
    parts = list(sg.explain_live(small_net(), X, method=sg.smoothgrad(samples=12), chunk=6))
    assert [part.draws.tolist() for part in parts] == [[n] * 3 for n in (2, 4, 6, 8, 10, 12)]
    assert all(isinstance(part, sg.Attribution) for part in parts)


def test_live_results_may_be_left_unfinished() -> None:
    net = small_net()
    before = left_as(net)
    live: Iterator[sg.Attribution] = sg.explain_live(net, X, method=sg.smoothgrad(rule=sg.Guided()), chunk=3)
    next(live)
    del live
    assert left_as(net) == before
    assert torch.equal(net(X), small_net()(X))


def test_partials_hold_the_moment_they_report() -> None:
    seen: list[Partial] = []
    sg.explain(small_net(), X, method=sg.smoothgrad(samples=6), chunk=6, progress=lambda at: seen.append(at.partial))
    first, second, third = (partial.estimate() for partial in seen)
    assert [int(part.draws[0]) for part in (first, second, third)] == [2, 4, 6]
    assert not torch.equal(first.value, third.value)


def test_unreached_tolerance_is_visible() -> None:
    result = sg.explain(small_net(), X, method=sg.smoothgrad(samples=sg.Until(tolerance=1e-4, least=4, most=8)))
    assert result.draws.tolist() == [8, 8, 8]
    assert result.relative_error is not None
    assert (result.relative_error > 1e-4).all()
