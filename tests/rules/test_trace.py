"""What a network did, written down and gone back through."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import UnsupportedModel
from smoothgrad.models.layer import at
from smoothgrad.rules.linear import Linear, affine, folded
from smoothgrad.rules.trace import ROWS, Trace, gradient, pull, trace
from tests.operators import declare_missing

X = torch.linspace(-1, 1, 2 * 3 * 6 * 6, dtype=torch.float64).view(2, 3, 6, 6).sin()


class Everything(nn.Module):
    """What people write: modules, functions, methods, in place, on views, reused, with constants of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.twice = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.norm = nn.LayerNorm(8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.Linear(8, 4)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr, operator]
                part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.twice(self.first(x)).clone()
        h[:, :4].relu_()
        h = F.max_pool2d(self.twice(h), 2) + x.mean((1, 2, 3), keepdim=True)
        h += 1
        t = h.flatten(2).transpose(1, 2)
        t = self.norm(t + self.attend(t, t, t)[0] + F.scaled_dot_product_attention(t, t, t))
        return self.last(F.gelu(t).mean(1))


@pytest.fixture
def net() -> Everything:
    torch.manual_seed(0)
    return Everything()


def traced(net: nn.Module, x: Tensor = X) -> Trace:
    return trace(net, Query.of(x, target=1))


def plain(net: nn.Module, x: Tensor = X) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)[0]


def one_hot(result: Tensor) -> Tensor:
    return F.one_hot(torch.tensor([1] * len(result)), result.shape[1]).to(result)


def test_the_output_is_the_network_s(net: Everything) -> None:
    found = traced(net)
    torch.testing.assert_close(found.result, net(X), rtol=0, atol=1e-12)
    assert found.value(found.end) is found.result
    assert found.value(ROWS) is found.x


def test_pulling_the_gradient_back_gives_the_gradient(net: Everything) -> None:
    found = traced(net)
    torch.testing.assert_close(pull(found, one_hot(found.result), gradient), plain(net), rtol=0, atol=1e-12)


def test_functions_have_one_name_however_they_are_spelled() -> None:
    class Spelled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(nn.ReLU(inplace=True)(x.relu()))
            x = torch.relu_(x * 1)
            return x.flatten(1)

    names = [step.name for step in traced(Spelled()).steps]
    assert names.count("relu") == 4
    assert not [name for name in names if name.endswith("_")]


def test_attention_is_products_and_softmax(net: Everything) -> None:
    names = [step.name for step in traced(net).steps]
    assert names.count("bmm") == 4
    assert not [name for name in names if "attention" in name]
    assert "mm" not in names, "a linear layer of (N, T, E) is one function with its bias"


def test_steps_say_where_they_are(net: Everything) -> None:
    wheres = [step.where for step in traced(net).steps]
    assert "aten.convolution in layer 'first.0' (Conv2d)" in wheres
    assert wheres.count("aten.convolution in layer 'twice' (Conv2d)") == 2
    assert "aten.gelu in the network itself (Everything)" in wheres


def test_constants_are_not_steps() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.zeros_like(x) + torch.ones(3, 1, 1, dtype=x.dtype).cumsum(0)
            return (x * mask).flatten(1)

    assert [step.name for step in traced(Masked()).steps] == ["clone", "mul", "view"]


def test_the_network_is_left_as_found(net: Everything) -> None:
    traced(net)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert all(weight.grad is None for weight in net.parameters())


def test_a_network_that_raises_is_left_as_found() -> None:
    class Raises(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("no")

    net = nn.Sequential(nn.Identity(), Raises())
    with pytest.raises(ValueError, match="no"):
        traced(net)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert torch.relu(torch.ones(1)) == 1  # no mode is left


def test_a_view_of_a_layer(net: Everything) -> None:
    view = at(net, "first")
    h = view.capture(X)
    found = trace(view, Query.of(h, target=1, context=(X,)))
    assert [step.layer for step in found.steps if step.name == "convolution"] == ["twice", "twice"]
    leaf = h.clone().requires_grad_()
    want = torch.autograd.grad(view(leaf, X)[:, 1].sum(), leaf)[0]  # type: ignore[index]
    torch.testing.assert_close(pull(found, one_hot(found.result), gradient), want, rtol=0, atol=1e-12)


def test_rows_that_nothing_depends_on_get_zeros() -> None:
    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().flatten(1) * 0 + x[:, :1].flatten(1).sum(1, keepdim=True)

    found = traced(First())
    assert pull(found, torch.zeros_like(found.result), gradient).eq(0).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_scripted_parts_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="scripted or traced"):
        traced(nn.Sequential(torch.jit.trace(nn.ReLU(), X)))


def test_a_network_that_writes_into_a_tensor_of_its_own_is_refused() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("sum", torch.zeros(2, 3, 6, 6, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            self.sum += x
            return self.sum.flatten(1)

    with pytest.raises(UnsupportedModel, match="writes what depends on its rows into a tensor of its own"):
        traced(nn.Sequential(Keeps()))


def test_an_output_that_does_not_depend_on_the_rows_is_refused() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), 2, dtype=x.dtype)

    with pytest.raises(UnsupportedModel, match="does not depend on the rows"):
        traced(Constant())


# --- linear steps -----------------------------------------------------------------------------------------------------


def test_a_linear_step_is_its_function_of_input_weight_and_bias(net: Everything) -> None:
    found = traced(net)
    layers = [(step, layer) for step in found.steps if (layer := Linear.of(step)) is not None]
    assert len(layers) == 3 + 2 + 1, "three convolutions, the two projections of the attention, the last layer"
    for step, layer in layers:
        x = found.value(layer.place)
        torch.testing.assert_close(layer(x, layer.weight, layer.bias), step.output, rtol=0, atol=1e-12)
        message = torch.rand_like(step.output)
        # <W x, m> = <x, W' m>
        one = (layer(x, layer.weight, None) * message).sum()
        other = (x * layer.back(x, layer.weight, message)).sum()
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_products_of_two_values_are_not_linear() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.flatten(2) @ x.flatten(2).mT).flatten(1)

    assert all(Linear.of(step) is None for step in traced(Square()).steps)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["conv", "strided groups", "transposed", "dense"])
def test_a_norm_behind_a_linear_layer_becomes_part_of_it(kind: str, bias: bool) -> None:
    torch.manual_seed(1)
    layer: nn.Module = {
        "conv": nn.Conv2d(3, 6, 3, bias=bias),
        "strided groups": nn.Conv2d(3, 6, 3, stride=2, groups=3, bias=bias),
        "transposed": nn.ConvTranspose2d(3, 6, 3, stride=2, bias=bias),
        "dense": nn.Sequential(nn.Flatten(), nn.Linear(108, 6, bias=bias)),
    }[kind]
    norm = nn.BatchNorm1d(6) if kind == "dense" else nn.BatchNorm2d(6)
    net = nn.Sequential(layer, norm, nn.ReLU(), nn.Flatten()).double().eval()
    for buffer in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        assert buffer is not None
        buffer.data.uniform_(0.5, 2)
    plain_trace = traced(net)
    new = folded(plain_trace)
    [fused] = [Linear.of(step) for step in new.steps if step.op is not plain_trace.steps[new.steps.index(step)].op]
    assert fused is not None
    assert fused.bias is not None
    x = new.value(fused.place)
    torch.testing.assert_close(fused(x, fused.weight, fused.bias), fused.step.output, rtol=0, atol=1e-12)
    message = torch.rand_like(new.result)
    torch.testing.assert_close(pull(new, message, gradient), pull(plain_trace, message, gradient), rtol=0, atol=1e-12)


def test_a_layer_that_somebody_else_reads_is_not_folded() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.conv(x)
            return (self.norm(h) + h).flatten(1)

    found = folded(traced(Both().double().eval()))
    assert [step.name for step in found.steps if affine(step)] == ["native_batch_norm"]


def test_vision_transformers_are_seen_through() -> None:
    declare_missing()
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, num_classes=3).eval()
    x = torch.randn(2, 3, 32, 32)
    found = trace(net, Query.of(x, target=1))
    torch.testing.assert_close(pull(found, one_hot(found.result), gradient), plain(net, x), rtol=1e-3, atol=1e-5)


# --- recurrent networks, which are put together from functions that write in place ---------------------------------------


class Recurrent(nn.Module):
    """A whole recurrent layer, both ways, or a cell called word by word."""

    def __init__(self, kind: type[nn.Module], first: bool) -> None:
        super().__init__()
        self.cell = issubclass(kind, nn.RNNCellBase)
        self.first = first
        self.core = kind(3, 4) if self.cell else kind(3, 4, num_layers=2, bidirectional=True, batch_first=first)
        self.head = nn.Linear(4 if self.cell else 8, 2)

    def forward(self, x: Tensor) -> Tensor:
        if not self.cell:
            answers = self.core(x)[0] if self.first else self.core(x.transpose(0, 1))[0].transpose(0, 1)
            return self.head(answers.mean(1))
        state = None
        for word in x.unbind(1):
            state = self.core(word, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


RECURRENT = {
    **{kind.__name__: (kind, True) for kind in (nn.GRU, nn.RNN, nn.LSTM, nn.GRUCell, nn.RNNCell, nn.LSTMCell)},
    "GRU, time first": (nn.GRU, False),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_networks_are_recorded_as_they_ran(name: str) -> None:
    torch.manual_seed(0)
    net = Recurrent(*RECURRENT[name]).double().eval()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    found = traced(net, x)
    for step in found.steps:
        for again, stood in zip(step.run(found.inputs(step)), step.outputs, strict=True):
            if again is not None:
                torch.testing.assert_close(
                    again, stood, rtol=0, atol=1e-14, msg=lambda said, at=step: f"{at.where}: {said}"
                )
    torch.testing.assert_close(pull(found, one_hot(found.result), gradient), plain(net, x), rtol=0, atol=1e-12)
    assert not [step.name for step in found.steps if step.name.endswith("_")]


def test_steps_say_whether_they_read_other_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, other: Tensor) -> Tensor:
            shift = (2 * other).sum(1, keepdim=True)
            return (x * 3 + torch.zeros_like(other)) * 2 + shift

    x = torch.randn(2, 4, dtype=torch.float64)
    found = trace(Two(), Query.of(x, 0, context=(x + 1,)))
    assert [(step.name, step.asked) for step in found.steps] == [
        ("clone", False),
        ("mul", False),
        ("add", False),
        ("mul", False),
        ("add", True),
    ]
