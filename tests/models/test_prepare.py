"""A private copy answers what the model answers, and the model stays as it was."""

from __future__ import annotations

import copy
import threading
import warnings
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm

from smoothgrad.errors import BadInput, BadMethod, BadModel, BadOption, UnknownName, UnsupportedModel
from smoothgrad.models.digits import digits
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.folding import close
from smoothgrad.models.layer import at
from smoothgrad.models.network import Network
from smoothgrad.models.prepare import Known, Prepared, borrow, prepare
from tests.models.test_folding import answers, settled
from tests.nets import CifarResNet, small_net

X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net(seed: int = 0) -> nn.Module:
    """In float32; its batch norm has seen something."""
    return settled(small_net(seed=seed)).float()


def resnet() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return settled(CifarResNet(20)).float()


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().norm() / other.detach().norm())


def state(model: nn.Module) -> list[object]:
    """All that a copy could have changed, bit for bit."""
    parts = [*model.named_parameters(), *model.named_buffers()]
    return [
        fingerprint(model),
        [(name, id(part), part.stride(), part.requires_grad, part._version) for name, part in parts],
        [None if part.grad is None else part.grad.tolist() for part in model.parameters()],
        [(name, id(module), module.training, len(module._forward_hooks)) for name, module in model.named_modules()],
        [sorted(vars(module)) for module in model.modules()],
    ]


class Viewing(nn.Module):
    """Works only where tensors are laid out one row after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 36, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return self.linear(x.view(x.shape[0], -1))


class Listed(nn.Module):
    """Calls its layers from a list of its own, where a norm cannot be replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.layers = [self.conv, self.norm]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x.mean((2, 3))


class Logits(nn.Module):
    """Answers with an object, as transformers does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.linear(x), hidden=x)


class Words(nn.Module):
    """Numbers of words in; the embedding is the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embedding(words).mean(1))


class Noisy(nn.Module):
    """Draws random numbers in eval mode, and puts zeros into what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x)).mean((2, 3)) + torch.rand(4)
        x.zero_()
        return y


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return (self.norm(self.conv(x)) * gate[:, None, None, None]).mean((2, 3))


class Same(nn.Linear):
    """Refuses to be two."""

    def __deepcopy__(self, memo: object) -> Same:
        return self


# --- the answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
@pytest.mark.parametrize("known", [True, False], ids=["with x", "without x"])
def test_output_and_gradient_are_the_models(fold: bool, layout: str, known: bool) -> None:
    model, x = resnet(), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    made = prepare(model, x if known else None, fold=fold, layout=layout)
    for one, other in zip(answers(made, x), answers(model, x), strict=True):
        assert relative(one, other) < 1e-5
    assert made.preparation.left == (0 if fold else 19)
    assert made.preparation.layout == layout


def test_what_was_done_is_said() -> None:
    assert prepare(resnet()).preparation.said == "19 of 19 batch norms folded, channels-last, float32"
    plain = prepare(resnet(), fold=False, layout="contiguous").preparation
    assert plain.said == "0 of 19 batch norms folded, contiguous, float32"
    assert prepare(nn.Linear(2, 2).eval()).preparation.said == "no batch norms, contiguous, float32"
    assert repr(prepare(net())) == "Prepared(Sequential: 1 of 1 batch norms folded, channels-last, float32)"


def test_a_network_is_made_of_a_network() -> None:
    network = digits()
    made = prepare(network)
    assert isinstance(made, Network)
    assert isinstance(made.net, Prepared)
    assert (made.name, made.classes, made.preprocessing) == (network.name, network.classes, network.preprocessing)
    x = network.samples(5)
    torch.testing.assert_close(made(made.samples(5)), network(x))


def test_it_knows_the_model_it_was_made_from() -> None:
    assert prepare(net()).fingerprint == fingerprint(net())
    network = digits()
    assert prepare(network).net.fingerprint == fingerprint(network.net)


def test_float64_stays() -> None:
    model = settled(small_net())
    made = prepare(model, X.double())
    assert made.preparation.precision == "float64"
    for one, other in zip(answers(made, X.double()), answers(model, X.double()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_other_inputs_are_passed_on_and_tried() -> None:
    model, gate = settled(Gated()).float(), torch.tensor([1.0, -2.0, 3.0])
    made = prepare(model, X, context=(gate,))
    assert made.preparation.folded == 1
    torch.testing.assert_close(made(X, gate), model(X, gate))


def test_objects_with_logits_come_as_they_are() -> None:
    model, x = Logits().eval(), torch.randn(2, 4)
    assert torch.equal(prepare(model, x)(x).logits, model(x).logits)


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_model_is_left_bit_for_bit(precision: str) -> None:
    model = resnet()
    model.layer1.register_forward_hook(lambda *_: None)
    model(torch.rand(1, 3, 32, 32)).sum().backward()
    model.linear.weight.requires_grad_(False)
    before = state(model)
    made = prepare(model, torch.rand(2, 3, 32, 32), precision=precision)
    answers(made, torch.rand(2, 3, 32, 32))
    assert state(model) == before


def test_parameters_are_frozen_and_nobody_elses() -> None:
    model = net()
    made = prepare(model, X)
    assert not any(part.requires_grad for part in made.parameters())
    own = {part.data_ptr() for part in model.parameters()}
    assert not own & {part.data_ptr() for part in made.parameters()}


def test_modes_are_those_found() -> None:
    model = nn.Sequential(net(), nn.Dropout())
    model[0].eval()
    made = prepare(model)
    assert made.training
    assert [module.training for module in made.net.modules()] == [module.training for module in model.modules()]
    assert not any(module.training for module in prepare(net()).modules())


def test_no_random_number_is_taken() -> None:
    before = torch.get_rng_state()
    prepare(net(), X)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_is_never_the_same_can_be_tried() -> None:
    model, x = settled(Noisy()).float(), X.clone()
    before = torch.get_rng_state()
    made = prepare(model, x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, X)
    assert (made.preparation.folded, made.preparation.note) == (1, "")


def test_a_copy_of_a_prepared_model_is_a_prepared_model() -> None:
    made = prepare(net(), X)
    twin = copy.deepcopy(made)
    assert twin.preparation == made.preparation
    assert torch.equal(twin(X), made(X))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_it_may_be_made_under_any_mode(mode: type) -> None:
    with mode():
        made = prepare(net(), X)
    for one, other in zip(answers(made, X), answers(net(), X), strict=True):
        assert relative(one, other) < 1e-5


# --- layout -----------------------------------------------------------------------------------------------------------


def test_channels_are_last_where_there_are_convolutions() -> None:
    made = prepare(net(), X)
    weights = [module.weight for module in made.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    seen: list[Tensor] = []
    made.net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(*inputs))
    made(X)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_three_dimensions_have_a_layout_too() -> None:
    model, x = nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3)).eval(), torch.rand(1, 2, 4, 4, 4)
    made = prepare(model, x)
    assert made.net[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(made(x), model(x))


def test_a_network_that_needs_its_layout_keeps_it() -> None:
    model = settled(Viewing()).float()
    made = prepare(model, X)
    assert made.preparation.said == "1 of 1 batch norms folded, contiguous, float32"
    assert made.preparation.note.startswith("folded, channels-last, it raises RuntimeError on the first row: view")
    torch.testing.assert_close(made(X), model(X))


def test_a_network_that_answers_something_else_is_not_folded() -> None:
    model = settled(Listed()).float()
    made = prepare(model, X)
    assert (made.preparation.folded, made.preparation.layout) == (0, "contiguous")
    assert "folded, contiguous, it answers something else" in made.preparation.note
    torch.testing.assert_close(made(X), model(X))


def test_norms_behind_linear_layers_are_folded_where_they_norm_what_the_layer_makes() -> None:
    model = settled(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))).float()
    assert prepare(model, torch.rand(2, 3)).preparation.folded == 1
    assert prepare(model).preparation.folded == 0
    # (N, L, C) with L = C: the norm is over L
    x = torch.rand(2, 5, 3)
    made = prepare(model, x)
    assert made.preparation.folded == 0
    torch.testing.assert_close(made(x), model(x))


@pytest.mark.parametrize("hole", [torch.inf, -torch.inf, torch.nan])
def test_classes_that_are_switched_off_do_not_matter(hole: float) -> None:
    class Switched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).index_fill(1, torch.tensor(2), hole)

    assert prepare(Switched().eval(), X).preparation.folded == 1


# --- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in small_net().named_children()] + ["layers.0", "layers"])
def test_a_layer_asked_for_answers_the_same(name: str) -> None:
    model = net()
    if not name.isdigit():
        model = nn.Sequential(OrderedDict(layers=model[:4], rest=model[4:]))
    made = prepare(model, X, at=name)
    plain, fast = at(model, name), at(made, name)
    h = plain.capture(X)
    torch.testing.assert_close(fast.capture(X), h)
    one, other = h.clone().requires_grad_(), h.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain(one, X)[:, 1].sum(), one)
    (gradient,) = torch.autograd.grad(fast(other, X)[:, 1].sum(), other)
    assert relative(gradient, expected) < 1e-5


def test_the_convolution_asked_for_is_not_folded() -> None:
    assert prepare(net(), at="0").preparation.left == 1
    assert prepare(net(), at="3").preparation.left == 0


def test_what_is_kept_beside_a_layer_is_said_to_be() -> None:
    for name in ("0", "1"):
        note = "1 cannot be folded into a layer before, or beside a layer that is to be read: {!r}"
        assert prepare(small_norm(), at=name).preparation.note == note.format(name)
    assert prepare(small_norm(), at="2").preparation.note == ""


def small_norm() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()


# --- bfloat16 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["with x", "without x"])
def test_bfloat16_is_near_and_comes_back_in_float32(known: bool) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    made = prepare(resnet(), x if known else None, precision="bfloat16")
    assert made.preparation.said == "19 of 19 batch norms folded, channels-last, bfloat16"
    assert {part.dtype for part in made.parameters()} == {torch.bfloat16}
    output, gradient = answers(made, x)
    expected, expected_gradient = answers(resnet(), x)
    assert output.dtype == gradient.dtype == torch.float32
    assert 1e-6 < relative(output, expected) < 0.02
    assert 1e-6 < relative(gradient, expected_gradient) < 0.5


def test_bfloat16_gives_the_logits_of_an_object() -> None:
    model, x = Logits().eval(), torch.randn(2, 4)
    output = prepare(model, x, precision="bfloat16")(x)
    assert output.dtype == torch.float32
    assert relative(output, model(x).logits) < 0.02


def test_an_embedding_that_shares_weights_with_a_layer_is_not_narrowed() -> None:
    model, words = Words().eval(), torch.tensor([[1, 2, 3]])
    made = prepare(model, words, precision="bfloat16")
    assert made.net.embedding.weight.dtype == torch.float32
    assert made.net.head.weight.dtype == torch.bfloat16
    assert made(words).dtype == torch.float32


def test_weights_that_must_not_be_narrow_are_not() -> None:
    class Checks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            assert self.linear.weight.dtype == torch.float32, "wide weights only"
            return self.linear(x)

    made = prepare(Checks().eval(), torch.rand(1, 4), precision="bfloat16")
    assert made.preparation.precision == "bfloat16"
    assert made.preparation.note.startswith("weights are cast at each call")
    assert {part.dtype for part in made.parameters()} == {torch.float32}
    assert made(torch.rand(1, 4)).dtype == torch.float32


# --- models of all kinds ----------------------------------------------------------------------------------------------


def test_scripted_models_are_copied_and_no_more() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop them
        model = torch.jit.trace(net(), X)
    before = fingerprint(model)
    made = prepare(model, X)
    assert made.preparation.said == "0 of 1 batch norms folded, contiguous, float32"
    assert made.preparation.note == "it is scripted or traced"
    for one, other in zip(answers(made, X), answers(net(), X), strict=True):
        assert relative(one, other) < 1e-5
    assert fingerprint(model) == before
    assert all(part.requires_grad for part in model.parameters())


def test_compiled_models_are_copied_and_no_more() -> None:
    compiled: list[object] = []
    model = torch.compile(net(), backend=lambda graph, _inputs: compiled.append(graph) or graph)
    made = prepare(model, X)
    assert not compiled, "a trial would have it compiled for one row"
    assert made.preparation.note == "it is compiled"
    assert made.preparation.folded == 0
    torch.testing.assert_close(made(X), net()(X))


def test_weights_made_by_a_hook_can_be_copied() -> None:
    with pytest.warns(FutureWarning):
        model = nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)).eval()
    expected = model(X)  # leaves a weight with a history behind
    made = prepare(model, X)
    assert made.preparation.left == 1
    torch.testing.assert_close(made(X), expected)


def test_what_a_network_keeps_can_be_copied() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.kept = net(), {}

        def forward(self, x: Tensor) -> Tensor:
            self.kept["x"] = self.net(x)
            return self.kept["x"]

    model = Keeps().eval()
    expected = model(X)
    made = prepare(model)
    assert made.preparation.folded == 1
    assert model.kept["x"] is expected
    assert type(made.net.kept["x"]) is Tensor
    torch.testing.assert_close(made(X), expected)


REFUSED = {
    "a lock": (lambda: nn.Sequential(Held(threading.Lock())), None, "cannot be copied: TypeError: cannot pickle"),
    "one that is its own copy": (lambda: nn.Sequential(Same(2, 2)), None, "its copy shares parts with it"),
    "rows of another shape": (net, torch.rand(1, 4, 8, 8), "raises RuntimeError on the first row"),
    "a tuple": (lambda: nn.LSTM(2, 2), torch.rand(1, 3, 2), "returns tuple, neither a tensor"),
    "answers that change": (lambda: Counts(), X, "cannot stand for it: contiguous, it answers something else"),
    "a prepared one": (lambda: prepare(net()), None, "prepared already"),
}


class Held(nn.Module):
    def __init__(self, what: object) -> None:
        super().__init__()
        self.what = what


class Counts(nn.Module):
    """Answers something else each time."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Counts.calls += 1
        return x.mean((2, 3)) + Counts.calls


@pytest.mark.parametrize(("make", "x", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_copy_can_stand_for_is_refused(make: object, x: Tensor | None, message: str) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        prepare(make().eval(), x)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "bfloat"}, BadMethod, "did you mean 'bfloat16'"),
        ({"layout": "channel_last"}, BadOption, "did you mean 'channels_last'"),
        ({"at": "11"}, UnknownName, "no layer '11'"),
        ({"x": X[:0]}, BadInput, "N >= 1"),
        ({"x": [1.0]}, BadInput, "give rows"),
        ({"model": "resnet"}, BadModel, "is a str"),
        ({"model": small_net().double(), "precision": "bfloat16"}, BadMethod, "float64"),
    ],
    ids=str,
)
def test_arguments_that_mean_nothing_are_refused(options: dict[str, object], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        prepare(**{"model": net(), **options})


def test_a_borrowed_copy_shares_what_it_does_not_change_and_answers_the_same() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 5)
    ).eval()
    x = torch.rand(2, 3, 8, 8)
    before = {name: part.clone() for name, part in net.state_dict().items()}
    with torch.no_grad():
        expected = net(x)
    known = Known(expected[:1], fingerprint(net))
    for precision in ("float32", "bfloat16"):
        fast = borrow(net, x, known, precision=precision)
        assert isinstance(fast, Prepared)
        torch.testing.assert_close(fast(x), expected, rtol=0.05 if precision == "bfloat16" else 1e-5, atol=0.02)
        assert not any(part.requires_grad for part in fast.parameters())
    fast = borrow(net, x, known)
    assert isinstance(fast, Prepared)
    assert fast.net[5].weight.data_ptr() == net[5].weight.data_ptr()
    assert fast.net[5].weight is not net[5].weight
    assert prepare(net, x).net[5].weight.data_ptr() != net[5].weight.data_ptr()
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert all(part.requires_grad for part in net.parameters())


def test_a_model_in_training_is_not_tried_since_that_would_change_it() -> None:
    model = small_net().train()
    before = {name: part.clone() for name, part in model.state_dict().items()}
    prepare(model, torch.rand(2, 3, 8, 8))
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


def test_a_class_that_is_switched_off_does_not_hide_a_wrong_copy() -> None:
    right = torch.tensor([[1.0, 2.0, -1e9]])
    wrong = torch.tensor([[1.0, 2.1, -1e9]])
    assert close(right.clone(), right)
    assert not close(wrong, right)
    assert not close(torch.tensor([[1.0, 2.0, -2e9]]), right)
    assert close(torch.tensor([[1.0, 2.0, -torch.inf]]), torch.tensor([[1.0, 2.0, -torch.inf]]))
    lowest = torch.finfo(torch.float32).min
    assert not close(torch.tensor([[1.0, 2.1, lowest]]), torch.tensor([[1.0, 2.0, lowest]]))
