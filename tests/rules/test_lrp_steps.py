"""What relevance does at each function that is no linear layer: closed forms, and sums written out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import UnsupportedModel
from smoothgrad.explainers.relevance import Otherwise, Propagation
from smoothgrad.rules.linear import folded
from smoothgrad.rules.lrp_reach import Reach
from smoothgrad.rules.trace import pull, trace

Function = Callable[[Tensor], Tensor]
X = torch.tensor([[0.5, -1.5, 2.0, 0.25], [1.0, 3.0, -0.5, -2.0]], dtype=torch.float64)
C = torch.tensor([2.0, -0.5, 1.0, 4.0], dtype=torch.float64)


class Of(nn.Module):
    """A function of h = x + x, say, which is not the rows themselves any more."""

    def __init__(self, function: Function, before: Function) -> None:
        super().__init__()
        self.function, self.before = function, before

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.before(x))


def relevance(
    function: Function,
    x: Tensor = X,
    message: Tensor | None = None,
    *,
    before: Function = torch.tanh,
    otherwise: Otherwise = "error",
    epsilon: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """h = before(x), the relevance R at the outputs of function(h), and what arrives at h (by tanh, all of it at x)."""
    query = Query.of(x, 0)
    seen = folded(trace(Of(function, before), query))
    torch.manual_seed(0)
    message = torch.randn_like(seen.result) if message is None else message
    with torch.no_grad():
        send = Propagation({}, epsilon, Reach.of(seen), query, otherwise)
        return before(x), message, pull(seen, message, send)


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


ELEMENTWISE: dict[str, Function] = {
    "relu": F.relu,
    "relu in place": lambda h: F.relu(h.clone(), inplace=True),
    "relu6": F.relu6,
    "leaky relu": lambda h: F.leaky_relu(h, 0.2),
    "prelu": nn.PReLU().double(),
    "rrelu": lambda h: F.rrelu(h, training=False),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "gelu by tanh": lambda h: F.gelu(h, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "threshold": lambda h: F.threshold(h, 0.1, 0.0),
    "clamp": lambda h: h.clamp(-0.5, 0.5),
    "clamp by a tensor": lambda h: h.clamp(min=torch.zeros(4)),
    "maximum with a constant": lambda h: torch.maximum(h, torch.zeros(1)),
    "abs": torch.abs,
    "square": lambda h: h**2,
    "exp": torch.exp,
    "minus": lambda h: -h,
    "times a number": lambda h: 3.0 * h,
    "times a constant": lambda h: h * C,
    "over a constant": lambda h: h / C,
    "a constant over it": lambda h: C / h,
    "dropout": lambda h: F.dropout(h, 0.5, training=False),
    "a mask of its own": lambda h: h * (h > 0),
    "a mask of its own, in numbers": lambda h: (h > 0).to(h.dtype) * h,
    "times what is detached": lambda h: h.exp().detach() * h,
    "rounded to a scale": lambda h: h * h.abs().ceil(),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_of_one_value_pass_all(name: str) -> None:
    _, message, arrived = relevance(ELEMENTWISE[name])
    same(arrived, message)


ROUTES: dict[str, Function] = {
    "views": lambda h: h.view(2, 2, 2).permute(0, 2, 1).reshape(2, 4),
    "halves": lambda h: torch.cat([h[:, 2:], h.chunk(2, 1)[0]], 1),
    "roll and flip": lambda h: h.roll(1, 1).flip(1),
    "padding": lambda h: F.pad(h, (1, 2)),
    "index": lambda h: h[:, [3, 2, 1, 0]],
    "gather": lambda h: h.gather(1, torch.tensor([[3, 2, 1, 0]] * 2)),
    "stack and unbind": lambda h: torch.stack(list(h.unbind(1)), 1),
    "a mask that is given": lambda h: torch.where(torch.tensor([True, False, True, True]), h, 0.0),
    "written into": lambda h: _written(h),
    "pixel shuffle": lambda h: F.pixel_unshuffle(F.pixel_shuffle(h.view(2, 4, 1, 1), 2), 2).flatten(1),
    "unfold": lambda h: F.unfold(h.view(2, 1, 2, 2), 2).flatten(1),
    "another type": lambda h: h.float().double(),
}


def _written(h: Tensor) -> Tensor:
    out = torch.zeros(2, 6, dtype=h.dtype)
    out[:, 1:5] = h
    return out


@pytest.mark.parametrize("name", ROUTES)
def test_rearranged_relevance_goes_back_where_it_came_from(name: str) -> None:
    function = ROUTES[name]
    h, message, arrived = relevance(function)
    leaf = h.clone().requires_grad_()
    (moved,) = torch.autograd.grad(function(leaf), leaf, message)
    torch.testing.assert_close(arrived, moved, rtol=1e-6, atol=1e-6)  # float32 on the way


def test_a_maximum_sends_all_to_the_winner() -> None:
    _, message, arrived = relevance(
        lambda h: F.max_pool1d(h[:, None], 2)[:, 0], message=torch.tensor([[5.0, 7.0]] * 2).double()
    )
    same(arrived, torch.tensor([[5.0, 0, 7, 0], [0, 5, 7, 0]], dtype=torch.float64))
    _, message, arrived = relevance(lambda h: h.amax(1))
    same(arrived.sum(1), message)
    assert (arrived != 0).sum(1).tolist() == [1, 1]


def test_sums_are_split_in_proportion() -> None:
    h, message, arrived = relevance(lambda h: h + h.roll(1, 1), epsilon=0.5)
    z = h + h.roll(1, 1)
    shares = message / torch.where(z < 0, z - 0.5, z + 0.5)
    same(arrived, h * shares + (h.roll(1, 1) * shares).roll(-1, 1))


SUMS: dict[str, Function] = {
    "with itself": lambda h: h + h,
    "difference": lambda h: h - 0.3 * h.roll(1, 1),
    "with alpha": lambda h: torch.add(h, h.roll(1, 1), alpha=0.4),
    "mean": lambda h: h.mean(1),
    "sum over all": lambda h: h.sum(1, keepdim=True) + h,
    "average pooling": lambda h: F.avg_pool1d(h[:, None], 2)[:, 0],
    "adaptive pooling": lambda h: F.adaptive_avg_pool2d(h.view(2, 1, 2, 2), 1).flatten(1),
    "nearest": lambda h: F.interpolate(h[:, None], scale_factor=2, mode="nearest").flatten(1),
    "bilinear": lambda h: F.interpolate(h.view(2, 1, 2, 2), size=(3, 5), mode="bilinear").flatten(1),
    "bicubic": lambda h: F.interpolate(h.view(2, 1, 2, 2), size=(3, 5), mode="bicubic").flatten(1),
    "cumulative": lambda h: h.cumsum(1),
    "broadcast": lambda h: h[:, :1] + h,
    "repeated": lambda h: h.repeat(1, 3),
    "a product of two": lambda h: h * h.roll(1, 1),
    "a square as a product": lambda h: h * h,
    "a gate": lambda h: h * h.mean(1, keepdim=True).sigmoid(),
    "three in a row": lambda h: h * h.roll(1, 1) * h.roll(2, 1),
    "matrices": lambda h: h.view(2, 2, 2) @ h.view(2, 2, 2),
    "a matrix with itself": lambda h: h.view(2, 2, 2) @ h.view(2, 2, 2).mT,
    "einsum": lambda h: torch.einsum("nij,nkj->nik", h.view(2, 2, 2), h.view(2, 2, 2)),
    "baddbmm": lambda h: torch.baddbmm(h.view(2, 2, 2), h.view(2, 2, 2), h.view(2, 2, 2), beta=0.5, alpha=2.0),
    "glu": lambda h: F.glu(h, 1),
    "over its norm": lambda h: h / h.norm(dim=1, keepdim=True),
    "over its norm, times": lambda h: h * h.square().mean(1, keepdim=True).rsqrt(),
    "normalised": lambda h: F.normalize(h, dim=1),
    "rms norm": lambda h: F.rms_norm(h, (4,), C),
    "layer norm": lambda h: F.layer_norm(h, (4,), C),
    "group norm": lambda h: F.group_norm(h.view(2, 4, 1).repeat(1, 1, 2), 2, C),
    "instance norm": lambda h: F.instance_norm(h.view(2, 2, 2), weight=C[:2]),
    "layer norm by hand": lambda h: (h - h.mean(1, keepdim=True)) * (h.var(1, keepdim=True) + 0.1).rsqrt(),
}


@pytest.mark.parametrize("name", SUMS)
def test_relevance_is_kept_where_no_constant_takes_part(name: str) -> None:
    _, message, arrived = relevance(SUMS[name])
    torch.testing.assert_close(arrived.sum(1), message.reshape(2, -1).sum(1), rtol=1e-7, atol=1e-7)


def test_a_constant_takes_its_share() -> None:
    h, message, arrived = relevance(lambda h: h + C)
    same(arrived, message * h / (h + C))
    h, message, arrived = relevance(lambda h: 1 - h)
    same(arrived, -message * h / (1 - h))


def test_the_rows_themselves_may_change_their_units() -> None:
    def units(x: Tensor) -> Tensor:
        return (2 * x - C) / 3 + 1

    _, message, arrived = relevance(units, before=lambda x: x)
    same(arrived, message)
    _, message, arrived = relevance(nn.BatchNorm1d(4).double().eval(), before=lambda x: 2 * x - C)
    same(arrived, message)


def test_a_product_of_two_gives_half_to_each() -> None:
    query = torch.cat([X, X.flip(0)], 1)
    _, message, arrived = relevance(lambda h: h[:, :4] * h[:, 4:], query)
    same(arrived, torch.cat([message, message], 1) / 2)
    _, message, arrived = relevance(lambda h: h[:, :4] / h[:, 4:], query)
    same(arrived, torch.cat([message, 0 * message], 1))
    _, message, arrived = relevance(lambda h: h[:, :4] * h[:, 4:].abs().rsqrt()[:, :, None].flatten(1), query)
    same(arrived, torch.cat([message, 0 * message], 1))


def test_matrix_products_are_the_paper_s_sum() -> None:
    x = torch.randn(2, 12, dtype=torch.float64)
    h, message, arrived = relevance(
        lambda h: (h[:, :6].view(2, 2, 3) @ h[:, 6:].view(2, 3, 2)).flatten(1), x, epsilon=0.1
    )
    a, v, r = h[:, :6].view(2, 2, 3), h[:, 6:].view(2, 3, 2), message.view(2, 2, 2)
    below_a, below_v = torch.zeros_like(a), torch.zeros_like(v)
    for n in range(2):
        for j in range(2):
            for p in range(2):
                o = sum(a[n, j, i] * v[n, i, p] for i in range(3))
                total = 2 * o + (0.1 if o >= 0 else -0.1)
                for i in range(3):
                    below_a[n, j, i] += a[n, j, i] * v[n, i, p] * r[n, j, p] / total
                    below_v[n, i, p] += a[n, j, i] * v[n, i, p] * r[n, j, p] / total
    same(arrived, torch.cat([below_a.flatten(1), below_v.flatten(1)], 1))


def test_softmax_is_the_paper_s_sum() -> None:
    h, message, arrived = relevance(lambda h: h.softmax(1))
    s = h.softmax(1)
    by_hand = torch.zeros_like(h)
    for n in range(2):
        for i in range(4):
            by_hand[n, i] = h[n, i] * (message[n, i] - s[n, i] * sum(message[n, j] for j in range(4)))
    same(arrived, by_hand)
    # It is x_i sum_j R_j / s_j d s_j / d x_i: the Taylor term.
    leaf = h.clone().requires_grad_()
    (taylor,) = torch.autograd.grad(leaf.softmax(1), leaf, message / s)
    same(arrived, h * taylor)


def test_what_a_mask_takes_out_of_a_softmax_gets_nothing() -> None:
    mask = torch.tensor([False, True, False, False])
    for masked in (lambda h: h.masked_fill(mask, -torch.inf), lambda h: h + torch.where(mask, -torch.inf, 0.0)):
        _, _, arrived = relevance(lambda h, masked=masked: masked(h).softmax(1))
        assert arrived.isfinite().all()
        assert (arrived[:, 1] == 0).all()


def test_norms_are_linear_with_a_constant_deviation() -> None:
    h, message, arrived = relevance(lambda h: F.layer_norm(h, (4,), C, 0.3 * C, 0.1), epsilon=0.2)
    mean, std = h.mean(1, keepdim=True), (h.var(1, correction=0, keepdim=True) + 0.1).sqrt()
    y = C * (h - mean) / std + 0.3 * C
    shares = message / (y + 0.2 * torch.where(y < 0, -1.0, 1.0).double())
    by_hand = torch.zeros_like(h)
    for n in range(2):
        for i in range(4):
            for j in range(4):
                by_hand[n, i] += h[n, i] * (C[j] / std[n, 0]) * (float(i == j) - 0.25) * shares[n, j]
    same(arrived, by_hand)


def test_group_norm_is_layer_norm_in_each_group() -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    message = torch.randn_like(x)
    _, _, group = relevance(lambda h: F.group_norm(h, 2, C, C, 0.1), x, message)
    _, _, layer = relevance(
        lambda h: F.layer_norm(h.view(3, 2, 2, 5), (2, 5), None, None, 0.1).view(3, 4, 5) * C[:, None] + C[:, None],
        x,
        message,
    )
    same(group, layer)


def test_instance_norm_is_group_norm_of_single_channels() -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    message = torch.randn_like(x)
    _, _, instance = relevance(lambda h: F.instance_norm(h, weight=C, bias=C, eps=0.1), x, message)
    _, _, group = relevance(lambda h: F.group_norm(h, 4, C, C, 0.1), x, message)
    same(instance, group)


def test_a_batch_norm_without_a_layer_before_it_is_a_scale_and_a_shift() -> None:
    norm = nn.BatchNorm1d(4).double().eval()
    for buffer in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        assert buffer is not None
        buffer.data.uniform_(0.5, 2)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    h, message, arrived = relevance(norm)
    same(arrived, message * scale * h / norm(h).detach())


def test_constants_get_nothing() -> None:
    _, message, arrived = relevance(lambda h: h.detach() + h)
    h = X.tanh()
    same(arrived, message * h / (2 * h))
    assert relevance(lambda h: h.detach() + 0 * h[:, :1])[2].eq(0).all()


UNKNOWN: dict[str, Function] = {
    "prod": lambda h: h.prod(1, keepdim=True),
    "logsumexp": lambda h: h.logsumexp(1, keepdim=True),
    "_log_softmax": lambda h: h.log_softmax(1),
    "linalg_vector_norm": lambda h: h.norm(dim=1, keepdim=True),
    "cumprod": lambda h: h.cumprod(1),
    "atan2": lambda h: torch.atan2(h, h.roll(1, 1)),
    "convolution": lambda h: F.conv1d(h[:, None], h[:1, None, :2]).flatten(1),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_rule_is_named(name: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"no rule for aten\.{name} in .*otherwise=\"gradient\""):
        relevance(UNKNOWN[name])


@pytest.mark.parametrize("name", UNKNOWN)
def test_or_goes_on_as_input_times_gradient(name: str) -> None:
    h, message, arrived = relevance(UNKNOWN[name], otherwise="gradient")
    leaf = h.clone().requires_grad_()
    z = UNKNOWN[name](leaf)
    (gradient,) = torch.autograd.grad(z, leaf, message / z.detach())
    same(arrived, h * gradient)


def test_complex_numbers_are_refused_in_any_case() -> None:
    for otherwise in ("error", "gradient"):
        with pytest.raises(UnsupportedModel, match=r"no rule for aten\._fft"):
            relevance(lambda h: torch.fft.rfft(h, dim=1).abs(), otherwise=otherwise)  # type: ignore[arg-type]
