"""Batch norm folded into the layer before: in float64, outputs and gradients are those of the network as it was."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from smoothgrad.models.folding import Folding, close, count_batch_norms, fold_batch_norms

WIDTH = 4
X = torch.randn(2, WIDTH, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def conv(**options: object) -> nn.Conv2d:
    return nn.Conv2d(WIDTH, WIDTH, 3, **{"padding": 1, **options})


def norm(**options: object) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(WIDTH, **options)


def settled(net: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and eval mode, with batch norms that have seen something: else folding one would be multiplying by one."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    for module in net.modules():
        if isinstance(getattr(module, "running_mean", None), Tensor):
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.3, 2, generator=generator)
            for name in ("weight", "bias"):
                if getattr(module, name, None) is not None:
                    getattr(module, name).data.uniform_(-1.5, 1.5, generator=generator)
    return net


def answers(net: nn.Module, x: Tensor = X) -> tuple[Tensor, Tensor]:
    """The output and the gradient of a weighted sum of it, in which no two values weigh the same."""
    x = x.clone().requires_grad_()
    output = net(x)
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    (gradient,) = torch.autograd.grad((weights * output).sum(), x)
    return output.detach(), gradient


def output_at(net: nn.Module, name: str) -> Tensor:
    """What the layer of this name answers."""
    seen: list[Tensor] = []
    handle = net.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    net(X)
    handle.remove()
    return seen[0]


def assert_same(net: nn.Module, other: nn.Module, x: Tensor = X) -> None:
    for one, two in zip(answers(net, x), answers(other, x), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


class Frozen(nn.Module):
    """Batch norm with buffers only, as torchvision's detectors have it."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = 1e-3
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        w, b, m, v = (part.view(1, -1, 1, 1) for part in (self.weight, self.bias, self.running_mean, self.running_var))
        return (x - m) * (v + self.eps).rsqrt() * w + b


class NormAct(nn.BatchNorm2d):
    """Batch norm with its activation inside, as timm has it."""

    def __init__(self) -> None:
        super().__init__(WIDTH)
        self.drop = nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class Dead(NormAct):
    """The same where nothing gets through, so that comparing what comes out would prove nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super(NormAct, self).forward(x) - 1e6)


class Gained(nn.BatchNorm2d):
    """Batch norm that does more than its numbers say."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Standardised(nn.Conv2d):
    """A convolution that computes with other weights than it has."""

    def __init__(self) -> None:
        super().__init__(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias, padding=1)


class Parts(nn.Module):
    """Parts, and what is done with them."""

    def __init__(self, call: Callable[[Parts, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def hooked(net: nn.Sequential, index: int) -> nn.Module:
    net[index].register_forward_hook(lambda _module, _inputs, output: 3 * output)
    return net


def crossing() -> nn.Module:
    """The hook is on what holds the convolution and not the norm."""
    inner = nn.Sequential(conv())
    inner.register_forward_hook(lambda _module, _inputs, output: 3 * output)
    return nn.Sequential(inner, norm())


def aliased() -> nn.Module:
    """The convolution has a second name, under which it could be called."""
    parts = Parts(lambda s, x: s.norm(s.conv(x)), conv=conv(), norm=norm())
    parts.add_module("again", parts.conv)
    return parts


def with_shapes(self: Parts, x: Tensor) -> Tensor:
    """What a tracer cannot see through."""
    return self.norm(self.conv(x)) if x.shape[0] > 1 else self.norm(x)


def of_both(self: Parts, x: Tensor) -> Tensor:
    return self.norm(self.conv(x)) + F.conv2d(x, self.conv.weight, padding=1)


# What makes a network, and how many of its batch norms can be folded.
FOLDED: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Sequential(conv(), norm(), nn.ReLU(inplace=True)),
    "without a bias": lambda: nn.Sequential(conv(bias=False), norm()),
    "norm without affine": lambda: nn.Sequential(conv(), norm(affine=False)),
    "another eps": lambda: nn.Sequential(conv(), norm(eps=0.5)),
    "grouped": lambda: nn.Sequential(conv(groups=2), norm()),
    "depthwise": lambda: nn.Sequential(conv(groups=WIDTH, bias=False), norm()),
    "dilated": lambda: nn.Sequential(conv(dilation=2, padding=2), norm()),
    "reflected": lambda: nn.Sequential(
        nn.Conv2d(WIDTH, WIDTH, 3, dilation=2, padding=2, padding_mode="reflect"), norm()
    ),
    "reflected far": lambda: nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1, padding=3, padding_mode="reflect"), norm()),
    "same": lambda: nn.Sequential(conv(padding="same"), norm()),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1), norm()),
    "frozen": lambda: nn.Sequential(conv(), Frozen()),
    "with its activation": lambda: nn.Sequential(conv(), NormAct()),
    "names": lambda: Parts(lambda s, x: s.norm(s.conv(x)), conv=conv(), norm=norm()),
    "shapes read before": lambda: Parts(lambda s, x: s.norm(s.conv(x.view(x.shape))), conv=conv(), norm=norm()),
    "hooks around both": lambda: hooked(nn.Sequential(nn.Sequential(conv(), norm()), nn.ReLU()), 0),
}
LEFT: dict[str, Callable[[], nn.Module]] = {
    "norm before": lambda: nn.Sequential(norm(), conv()),
    "activation between": lambda: nn.Sequential(conv(), nn.ReLU(), norm()),
    "no statistics": lambda: nn.Sequential(conv(), norm(track_running_stats=False)),
    "called twice": lambda: Parts(lambda s, x: s.norm(s.conv(s.conv(x))), conv=conv(), norm=norm()),
    "two norms, one layer": lambda: Parts(
        lambda s, x: s.one(s.conv(x)) + s.two(s.conv(x)), conv=conv(), one=norm(), two=norm()
    ),
    "norm called twice": lambda: Parts(
        lambda s, x: s.norm(s.one(x)) + s.norm(s.two(x)), one=conv(), two=conv(), norm=norm()
    ),
    "used by another": lambda: Parts(lambda s, x: (y := s.conv(x)) + s.norm(y), conv=conv(), norm=norm()),
    "returned": lambda: Parts(lambda s, x: torch.stack([y := s.conv(x), s.norm(y)]).sum(0), conv=conv(), norm=norm()),
    "weights read": lambda: Parts(of_both, conv=conv(), norm=norm()),
    "statistics read": lambda: Parts(
        lambda s, x: s.norm(s.conv(x)) + s.norm.running_mean.view(1, -1, 1, 1), conv=conv(), norm=norm()
    ),
    "two names": aliased,
    "grouped transposed": lambda: nn.Sequential(nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1, groups=2), norm()),
    "depthwise transposed": lambda: nn.Sequential(nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH), norm()),
    "hook on the layer": lambda: hooked(nn.Sequential(conv(), norm()), 0),
    "hook on the norm": lambda: hooked(nn.Sequential(conv(), norm()), 1),
    "hook between": crossing,
    "weight norm": lambda: nn.Sequential(parametrizations.weight_norm(conv()), norm()),
    "standardised": lambda: nn.Sequential(Standardised(), norm()),
    "standardised, with its activation": lambda: nn.Sequential(Standardised(), NormAct()),
    "norm that does more": lambda: nn.Sequential(conv(), Gained(WIDTH)),
    "nothing to compare": lambda: nn.Sequential(Standardised(), Dead()),
    "looks at shapes": lambda: Parts(with_shapes, conv=conv(), norm=norm()),
    "instance norm": lambda: nn.Sequential(conv(), nn.ReLU(), nn.InstanceNorm2d(WIDTH, track_running_stats=True)),
}
BLOCKS = {**FOLDED, **LEFT}


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
def test_folding_changes_neither_answer_nor_gradient(make: Callable[[], nn.Module]) -> None:
    net = settled(make())
    twin = copy.deepcopy(net)
    fold_batch_norms(twin)
    assert_same(net, twin)


@pytest.mark.parametrize("make", FOLDED.values(), ids=FOLDED)
def test_what_can_be_folded_is(make: Callable[[], nn.Module]) -> None:
    net = settled(make())
    norms = count_batch_norms(net)
    assert fold_batch_norms(net) == Folding(norms, 0)
    assert not count_batch_norms(net)


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_what_cannot_be_folded_is_left_as_it_was(make: Callable[[], nn.Module]) -> None:
    net = settled(make())
    before = {name: part.clone() for name, part in net.state_dict().items()}
    norms = count_batch_norms(net)
    folding = fold_batch_norms(net)
    assert (folding.folded, folding.left) == (0, norms)
    assert folding.note
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())


@given(st.lists(st.sampled_from(sorted(BLOCKS)), min_size=2, max_size=4), st.integers(0, 1000))
@settings(max_examples=20)
def test_any_network_of_such_blocks_is_folded_where_it_can_be(names: list[str], seed: int) -> None:
    net = settled(nn.Sequential(*(BLOCKS[name]() for name in names)), seed)
    twin = copy.deepcopy(net)
    foldable = sum(count_batch_norms(BLOCKS[name]()) for name in names if name in FOLDED)
    folding = fold_batch_norms(twin)
    # A block that opens with a norm may find a layer at the end of the block before.
    extra = sum(name == "norm before" for name in names)
    if "looks at shapes" not in names:  # all blocks of one class are closed with it
        assert foldable <= folding.folded <= foldable + extra
    assert folding.folded + folding.left == count_batch_norms(net)
    assert_same(net, twin)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5), (3, 9)),
        (nn.Conv3d(3, 5, 3), nn.BatchNorm3d(5), (3, 4, 4, 4)),
        (nn.ConvTranspose1d(3, 5, 3), nn.BatchNorm1d(5), (3, 9)),
        (nn.ConvTranspose3d(3, 5, 2, stride=2), nn.BatchNorm3d(5), (3, 3, 3, 3)),
        (nn.Conv2d(3, 5, (3, 1), (1, 2)), nn.BatchNorm2d(5), (3, 5, 5)),
        (nn.Linear(3, 5), nn.BatchNorm1d(5), (3,)),
        (nn.Linear(3, 5, bias=False), nn.BatchNorm1d(5, affine=False), (3,)),
    ],
    ids=lambda part: str(part),
)
def test_layers_of_every_rank(layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    net = settled(nn.Sequential(layer, norm))
    twin = copy.deepcopy(net)
    assert fold_batch_norms(twin) == Folding(1, 0)
    assert_same(net, twin, torch.randn(2, *shape, dtype=torch.float64))


def test_the_formula() -> None:
    """s = g / sqrt(v + e) by hand, for one channel of one weight."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.5)).eval()
    for part, value in {"0.weight": 3.0, "0.bias": 1.0, "1.weight": 5.0, "1.bias": 7.0}.items():
        nn.init.constant_(net.get_parameter(part), value)
    net[1].running_mean.fill_(2.0)
    net[1].running_var.fill_(3.5)
    fold_batch_norms(net)
    torch.testing.assert_close(net[0].weight.item(), 3 * 5 / 2)
    torch.testing.assert_close(net[0].bias.item(), 5 / 2 * (1 - 2) + 7)


def test_linear_layers_only_where_asked() -> None:
    net = settled(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)))
    assert fold_batch_norms(net, linear=False).folded == 0


def test_names_and_activations_stay() -> None:
    net = settled(nn.Sequential(conv(), NormAct(), conv(), norm()))
    names = [name for name, _ in net.named_modules()]
    fold_batch_norms(net)
    assert [name for name, _ in net.named_modules()] == names
    assert isinstance(net.get_submodule("1.act"), nn.ReLU)
    assert not any(module.training for module in net.modules())


def test_a_layer_that_is_asked_for_keeps_its_output() -> None:
    net = settled(nn.Sequential(nn.Sequential(conv(), norm()), nn.Sequential(conv()), norm()))
    inside = {"0": (2, 0), "0.0": (1, 1), "0.1": (1, 1), "1": (1, 1), "1.0": (1, 1), "2": (1, 1)}
    for name, expected in inside.items():
        twin = copy.deepcopy(net)
        folding = fold_batch_norms(twin, at=(name,))
        assert (folding.folded, folding.left) == expected, name
        torch.testing.assert_close(output_at(net, name), output_at(twin, name))


def test_what_cannot_be_traced_is_left_and_said_why() -> None:
    net = settled(Parts(with_shapes, conv=conv(), norm=norm()))
    note = fold_batch_norms(net).note
    assert note.startswith("torch.fx cannot trace Parts: TraceError: ")
    assert "control flow" in note


def test_what_lies_beside_an_opaque_module_is_folded() -> None:
    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x if x.sum() > 0 else x

    net = settled(nn.Sequential(conv(), norm(), nn.Sequential(Looks(), conv()), norm(), norm()))
    twin = copy.deepcopy(net)
    folding = fold_batch_norms(twin)
    assert (folding.folded, folding.left) == (2, 1)
    assert folding.note.startswith("1 cannot be folded into a layer before; cannot look into Looks: ")
    assert_same(net, twin)


def test_other_inputs_are_given_while_tracing() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = conv(), norm()

        def forward(self, x: Tensor, gate: Tensor, mask: Tensor | None = None) -> Tensor:
            y = self.norm(self.conv(x)) * gate
            return y if mask is None else self.norm(y)

    assert fold_batch_norms(settled(Gated()), context=(torch.ones(()),)) == Folding(1, 0)


def test_tracing_leaves_nothing_behind() -> None:
    """Neither in what a network keeps, nor in what a hook has seen, nor in torch."""
    seen: list[object] = []

    def keeps(self: Parts, x: Tensor) -> Tensor:
        self.kept = x
        return self.norm(self.conv(x))

    net = settled(Parts(keeps, conv=conv(), norm=norm()))
    net.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    call, getter = nn.Module.__call__, nn.Module.__getattr__
    assert fold_batch_norms(net).folded == 1
    assert not hasattr(net, "kept")
    assert not seen
    assert (nn.Module.__call__, nn.Module.__getattr__) == (call, getter)


def test_several_threads_may_fold_while_others_ask() -> None:
    nets = [settled(nn.Sequential(*(part for _ in range(6) for part in (conv(), norm())))) for _ in range(4)]
    other, call, failed = settled(nn.Sequential(conv(), nn.ReLU())), nn.Module.__call__, []
    expected, done = other(X), threading.Event()

    def ask() -> None:
        while not done.is_set():
            if not torch.equal(other(X), expected):
                failed.append("another answer")

    def fold(net: nn.Module) -> None:
        if fold_batch_norms(net).folded != 6:
            failed.append("not folded")

    asking, folding = threading.Thread(target=ask), [threading.Thread(target=fold, args=(net,)) for net in nets]
    asking.start()
    for thread in folding:
        thread.start()
    for thread in folding:
        thread.join()
    done.set()
    asking.join()
    assert not failed
    assert nn.Module.__call__ is call


def test_two_tracings_do_not_cross() -> None:
    """The first to begin is not the last to end: each would put back what it found, and torch would stay patched."""
    begun, ended, call = threading.Event(), threading.Event(), nn.Module.__call__

    def last(self: Parts, x: Tensor) -> Tensor:
        begun.set()
        assert ended.wait(5)
        return self.norm(self.conv(x))

    def first(self: Parts, x: Tensor) -> Tensor:
        other.start()
        begun.wait(0.2)  # in vain, since the other has to wait
        return self.norm(self.conv(x))

    nets = [settled(Parts(forward, conv=conv(), norm=norm())) for forward in (first, last)]
    other = threading.Thread(target=fold_batch_norms, args=(nets[1],))
    try:
        assert fold_batch_norms(nets[0]).folded == 1
        ended.set()
        other.join()
        assert nn.Module.__call__ is call
    finally:
        nn.Module.__call__ = call  # for the tests to come


def test_without_batch_norms_nothing_is_traced() -> None:
    class Untraceable(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert isinstance(x, Tensor)
            return x

    assert fold_batch_norms(nn.Sequential(Untraceable(), nn.LayerNorm(3))) == Folding(0, 0)


def test_batch_norms_in_training_mode_are_left() -> None:
    net = settled(nn.Sequential(conv(), norm())).train()
    before = {name: part.clone() for name, part in net.state_dict().items()}
    assert fold_batch_norms(net).left == 1
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0001], [1.0, 2.0], True),
        ([1.0, 2.001], [1.0, 2.0], False),
        ([1.0, torch.nan], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, torch.nan], False),
        ([1.0, -torch.inf], [1.0, -torch.inf], True),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([1e-9, 0.0], [0.0, 0.0], False),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_answers_are_equal_to_rounding(answer: list[float], expected: list[float], same: bool) -> None:
    assert close(torch.tensor(answer), torch.tensor(expected)) is same


def test_the_reason_why_a_pair_is_left_is_not_lost() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight - self.weight.mean(), self.bias)

    class Fussy(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] != 8:
                raise ValueError("I take 8 columns")
            return super().forward(x)

    for kind, said in ((Standardised, "they do more than their kinds say"), (Fussy, "I take 8 columns")):
        net = settled(nn.Sequential(kind(3, 4, 3), nn.BatchNorm2d(4)))
        before = {name: part.clone() for name, part in net.state_dict().items()}
        found = fold_batch_norms(net)
        assert (found.folded, found.left) == (0, 1)
        assert "'1' is not folded into '0': " in found.note
        assert said in found.note
        assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
