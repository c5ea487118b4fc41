"""Multipliers against closed forms, against what a function is put together from, and against the paper's sums as loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import UnsupportedModel
from smoothgrad.rules.deeplift import DenseRevealCancel, MultiplierRule, Rescale, RevealCancel, multipliers
from smoothgrad.rules.scored import Scored
from smoothgrad.rules.trace import trace
from tests.truth import TRUTHS, Truth

RULES = [Rescale(), RevealCancel(), DenseRevealCancel()]
RULE = pytest.mark.parametrize("rule", RULES, ids=repr)
X = torch.linspace(-3, 3, 2 * 3 * 6 * 6, dtype=torch.float64).mul(7).sin().view(2, 3, 6, 6)
B = torch.linspace(-2, 2, 2 * 3 * 6 * 6, dtype=torch.float64).mul(5).cos().view(2, 3, 6, 6)


def lifted(net: nn.Module, x: Tensor, b: Tensor, rule: MultiplierRule, target: int = 0) -> Tensor:
    """Multipliers, (N, *S)."""
    query = Query.of(x, target)
    here, there = (trace(Scored(net, asked), asked) for asked in (query, query.with_x(b)))
    found = multipliers(here, there, rule)
    assert not found.requires_grad
    return found


def close(one: Tensor, other: Tensor, tolerance: float = 1e-10) -> bool:
    one, other = one.detach(), other.detach()
    return bool((one - other).abs().max() <= tolerance * max(1.0, float(other.abs().max())))


def gap(net: nn.Module, x: Tensor, b: Tensor, rule: MultiplierRule) -> float:
    """How far the map is from the change of score, of all it holds."""
    parts = (x - b) * lifted(net, x, b, rule)
    return float(
        ((parts.flatten(1).sum(1) - (net(x) - net(b))[:, 0].detach()).abs() / parts.flatten(1).abs().sum(1)).max()
    )


Function = Callable[[Tensor], Tensor]


class Through(nn.Module):
    """Rows (N, 3, 6, 6), mixed to (N, 4, 6, 6), through a function, and summed with weights of both signs."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.mix = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
            self.other = nn.MultiheadAttention(4, 2)
            self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu")
            self.norm.running_mean = torch.randn(4)
            self.norm.running_var = torch.rand(4) + 0.5
            nn.init.uniform_(self.norm.weight, -1, 1)
        self.function = function
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(self.mix(x)).flatten(1)
        weights = torch.linspace(0, 9, y.shape[1], dtype=y.dtype).cos()
        return (y * weights).sum(1, keepdim=True)


def tokens(h: Tensor) -> Tensor:
    return h.flatten(2).transpose(1, 2)


def pooled_over_time(h: Tensor) -> Tensor:
    return F.max_pool1d(h.flatten(2), 3, 2, padding=1)


def grid(h: Tensor) -> Tensor:
    return F.affine_grid(torch.eye(2, 3).to(h)[None] * 0.9, [1, 4, 6, 6], align_corners=False).expand(
        len(h), -1, -1, -1
    )


def in_place(h: Tensor) -> Tensor:
    h = h.clone()
    h[:, 2:] *= 2.0
    h = h.add_(1).sigmoid_().clone()
    h[:, :2].tanh_()
    return h


NET = Through(lambda h: h)
SMOOTH: dict[str, Function] = {
    "identity": lambda h: h,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "gelu tanh": lambda h: F.gelu(h, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "softplus": F.softplus,
    "log sigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "exp": torch.exp,
    "sine": torch.sin,
    "erf": torch.erf,
    "square": lambda h: h**2,
    "product with itself": lambda h: h * h,
    "cube": lambda h: h**3,
    "root": lambda h: (h.square() + 0.1).sqrt(),
    "log": lambda h: (h.square() + 0.1).log(),
    "reciprocal": lambda h: 1 / (h.square() + 0.5),
    "reverse root": lambda h: (h.square() + 0.5).rsqrt(),
    "power of a number": lambda h: 2**h,
    "product": lambda h: h[:, :2] * h[:, 2:],
    "product, broadcast": lambda h: h * h.mean((2, 3), keepdim=True),
    "quotient": lambda h: h[:, :2] / (h[:, 2:].square() + 1),
    "quotient, broadcast": lambda h: h / (h.square().sum(1, keepdim=True) + 1),
    "quotient by a number": lambda h: h / 3,
    "matrix product": lambda h: h @ h.transpose(2, 3),
    "einsum": lambda h: torch.einsum("nchw,ndhw->ncd", h, h.tanh()),
    "matrix of the rows on a vector": lambda h: tokens(h) @ h.mean((2, 3))[:, :, None],
    "softmax": lambda h: h.softmax(1),
    "softmax, sharp": lambda h: (50 * h).softmax(1),
    "log softmax": lambda h: h.log_softmax(1),
    "logsumexp": lambda h: h.logsumexp(1),
    "logsumexp, kept": lambda h: h.logsumexp(2, keepdim=True),
    "masked softmax": lambda h: (h + torch.full((6, 6), float("-inf"), dtype=h.dtype).triu(1)).softmax(-1),
    "layer norm": lambda h: F.layer_norm(h, h.shape[1:]),
    "layer norm of pixels": lambda h: F.layer_norm(h, h.shape[2:], torch.arange(36.0).view(6, 6).to(h) - 9),
    "group norm": lambda h: F.group_norm(h, 2, torch.tensor([1.0, -2, 3, 0.5]).to(h)),
    "instance norm": lambda h: F.instance_norm(h, weight=torch.tensor([1.0, -2, 3, 0.5]).to(h)),
    "root mean square norm": lambda h: F.rms_norm(h, h.shape[2:], torch.arange(36.0).view(6, 6).to(h) - 9),
    "batch norm": lambda h: NET.norm(h),
    "batch norm, read twice": lambda h: NET.norm(h).tanh() + h,
    "batch norm ahead": lambda h: NET.norm(h.tanh()).sigmoid(),
    "local response": lambda h: F.local_response_norm(h, 3),
    "variance": lambda h: h.var((2, 3)),
    "variance and mean": lambda h: torch.cat(torch.var_mean(h, 1), 1),
    "deviation": lambda h: h.std(1, correction=0),
    "length": lambda h: h.norm(dim=1),
    "normalised": lambda h: F.normalize(h, dim=1),
    "cosine": lambda h: F.cosine_similarity(h[:, :2], h[:, 2:], dim=1),
    "gated": lambda h: F.glu(h, 1),
    "attention": lambda h: NET.attend(tokens(h), tokens(h), tokens(h))[0],
    "attention, rows second": lambda h: NET.other(*[tokens(h).transpose(0, 1)] * 3)[0].transpose(0, 1),
    "attention, causal": lambda h: F.scaled_dot_product_attention(tokens(h), tokens(h), tokens(h), is_causal=True),
    "encoder": lambda h: NET.encoder(tokens(h)),
    "mean": lambda h: h.mean((2, 3)),
    "average pool": lambda h: F.avg_pool2d(h, 3, 2, padding=1).tanh(),
    "adaptive average pool": lambda h: F.adaptive_avg_pool2d(h, 4).tanh(),
    "bilinear": lambda h: F.interpolate(h, scale_factor=1.7, mode="bilinear").tanh(),
    "nearest": lambda h: F.interpolate(h, scale_factor=2, mode="nearest").tanh(),
    "bicubic": lambda h: F.interpolate(h, size=(4, 9), mode="bicubic").tanh(),
    "grid": lambda h: F.grid_sample(h, grid(h), align_corners=False),
    "padding": lambda h: F.pad(F.pad(h, (1, 2, 0, 1), value=2.0), (1, 1, 1, 1), mode="reflect").tanh(),
    "replicated": lambda h: F.pad(h, (1, 1, 1, 1), mode="replicate").tanh(),
    "shuffled": lambda h: F.pixel_shuffle(h, 2).tanh(),
    "moved": lambda h: h.roll(1, 2).flip(3)[:, [2, 0, 1]].permute(0, 2, 3, 1).unfold(1, 3, 2).sin(),
    "split": lambda h: torch.cat([part * (k + 1) for k, part in enumerate(h.split(1, 1))][::-1], 1).tanh(),
    "unbound": lambda h: torch.stack([a - b for a, b in zip(h.unbind(1), h.tanh().unbind(1), strict=True)], 1),
    "cumulative": lambda h: h.cumsum(2).sin(),
    "transposed convolution": lambda h: F.conv_transpose2d(h, torch.ones(4, 2, 3, 3).to(h), stride=2).sigmoid(),
    "convolution by the rows": lambda h: F.conv2d(
        h.flatten(0, 1)[None], h.flatten(0, 1)[:, None, :2, :2], groups=len(h) * 4
    ).view(len(h), 4, 5, 5),
}
KINKED: dict[str, Function] = {
    "relu": F.relu,
    "relu6": lambda h: F.relu6(4 * h),
    "leaky relu": F.leaky_relu,
    "prelu": lambda h: F.prelu(h, torch.tensor([0.1, 0.2, -0.3, 0.4]).to(h)),
    "rrelu": F.rrelu,
    "hardtanh": F.hardtanh,
    "hardswish": lambda h: F.hardswish(3 * h),
    "hardsigmoid": lambda h: F.hardsigmoid(3 * h),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "threshold": lambda h: F.threshold(h, 0.3, -0.5),
    "clamp": lambda h: h.clamp(-0.3, 0.4),
    "absolute": torch.abs,
    "max pool": lambda h: F.max_pool2d(h, 2),
    "max pool, overlapping": lambda h: F.max_pool2d(h, 3, 2, padding=1, ceil_mode=True),
    "max pool, dilated": lambda h: F.max_pool2d(h, 2, 1, dilation=2),
    "max pool over time": pooled_over_time,
    "max pool of volumes": lambda h: F.max_pool3d(h[:, None], 2),
    "adaptive max pool": lambda h: F.adaptive_max_pool2d(h, 4),
    "adaptive max pool of volumes": lambda h: F.adaptive_max_pool3d(h[:, None], 2),
    "amax": lambda h: h.amax((1, 3)),
    "amin, kept": lambda h: h.amin((2, 3), keepdim=True),
    "max": lambda h: h.max(2).values,
    "min": lambda h: h.min(1, keepdim=True).values,
    "maximum": lambda h: torch.maximum(h[:, :2], h[:, 2:]),
    "minimum, broadcast": lambda h: torch.minimum(h, h.mean(1, keepdim=True)),
    "maximum with a number": lambda h: torch.maximum(h, torch.tensor(0.2).to(h)),
    "where": lambda h: torch.where(h > 0, h, 0.1 * h),
    "where, of two": lambda h: torch.where(h[:, :2] > h[:, 2:], h[:, :2], h[:, 2:] ** 2),
    "mask": lambda h: h * (h > 0.1),
    "mask as a number": lambda h: (h > 0.1).to(h) * h + (~(h > 0.1)).double() * 0.3,
    "masked fill": lambda h: h.masked_fill(h < 0, 0.25),
    "constant mask": lambda h: h.masked_fill(torch.eye(6).bool(), -1.0).tanh(),
    "in place": in_place,
    "dropped": lambda h: F.dropout(h, 0.5, training=False).relu(),
    "ranked, in one order": lambda h: (h + 100 * torch.arange(6, dtype=h.dtype)).sort(3).values.tanh(),
}
FUNCTIONS = SMOOTH | KINKED


@RULE
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_sends_back_adds_up(name: str, rule: MultiplierRule) -> None:
    assert gap(Through(FUNCTIONS[name]), X, B, rule) < 1e-9


@pytest.mark.parametrize("name", FUNCTIONS)
def test_where_nothing_differs_the_multiplier_is_the_gradient(name: str) -> None:
    net, x = Through(FUNCTIONS[name]), X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(x).sum(), x)
    assert close(lifted(net, X, X.clone(), Rescale()), gradient)


@pytest.mark.parametrize("name", SMOOTH)
def test_near_it_the_multiplier_is_near_the_gradient(name: str) -> None:
    net, x = Through(FUNCTIONS[name]), X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(x).sum(), x)
    for rule in RULES:
        assert close(lifted(net, X, X + 1e-6 * B, rule), gradient, 1e-3)


@pytest.mark.parametrize(
    "name", ["max pool, overlapping", "softmax", "attention, rows second", "instance norm", "where, of two"]
)
def test_rows_do_not_influence_each_other(name: str) -> None:
    net = Through(FUNCTIONS[name])
    for rule in RULES:
        both = lifted(net, X, B, rule)
        assert close(torch.cat([lifted(net, X[[row]], B[[row]], rule) for row in (0, 1)]), both)


def test_detaching_stops_no_difference() -> None:
    assert gap(Through(lambda h: h * h.detach()), X, B, Rescale()) < 1e-10


# --- closed forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_of_known_functions_it_is_the_integral_along_the_path(truth: Truth) -> None:
    """Linear, ramp, quadratic and sums of functions of one value: the difference is shared out in the same way."""
    torch.manual_seed(1)
    x, b = torch.randn(2, 5, 4, dtype=torch.float64)
    assert close((x - b) * lifted(truth, x, b, Rescale()), truth.path(x, b))


def softmax_by_hand(h: Tensor) -> Tensor:
    return (h - h.logsumexp(1, keepdim=True)).exp()


def norm_by_hand(h: Tensor) -> Tensor:
    c = h - h.mean((1, 2, 3), keepdim=True)
    return c * ((c * c).mean((1, 2, 3), keepdim=True) + 1e-5).rsqrt()


def groups_by_hand(h: Tensor) -> Tensor:
    lines = h.reshape(len(h), 2, -1)
    c = lines - lines.mean(2, keepdim=True)
    return (c * ((c**2).mean(2, keepdim=True) + 1e-5) ** -0.5).view_as(h)


def windows(h: Tensor) -> Tensor:
    return F.unfold(h, 3, stride=2).view(len(h), 4, 9, -1).amax(2)


# What torch does in one function is what one puts together from several.
ALIKE: dict[str, tuple[Function, Function]] = {
    "softmax": (lambda h: h.softmax(1), softmax_by_hand),
    "log softmax": (lambda h: h.log_softmax(1), lambda h: h - h.logsumexp(1, keepdim=True)),
    "logsumexp": (lambda h: h.logsumexp(1), lambda h: h.exp().sum(1).log()),
    "layer norm": (lambda h: F.layer_norm(h, h.shape[1:]), norm_by_hand),
    "group norm": (lambda h: F.group_norm(h, 2), groups_by_hand),
    "instance norm": (F.instance_norm, lambda h: F.group_norm(h, 4)),
    "quotient": (lambda h: h[:, :2] / (h[:, 2:] ** 2 + 1), lambda h: h[:, :2] * (1 / (h[:, 2:] ** 2 + 1))),
    "deviation": (lambda h: h.std((2, 3)), lambda h: h.var((2, 3)).sqrt()),
    "length": (lambda h: h.norm(dim=1), lambda h: (h * h).sum(1).sqrt()),
    "gated": (lambda h: F.glu(h, 1), lambda h: h[:, :2] * h[:, 2:].sigmoid()),
    "relu by choice": (F.relu, lambda h: torch.where(h > 0, h, 0.0)),
    "relu by a mask": (F.relu, lambda h: h * (h > 0)),
    "relu by filling": (F.relu, lambda h: h.masked_fill(h < 0, 0.0)),
    "relu by a maximum": (F.relu, lambda h: torch.maximum(h, torch.zeros(()).to(h))),
    "maximum": (lambda h: torch.maximum(h[:, :2], h[:, 2:]), lambda h: torch.stack([h[:, :2], h[:, 2:]]).amax(0)),
    "minimum": (lambda h: -torch.minimum(h[:, :2], h[:, 2:]), lambda h: torch.maximum(-h[:, :2], -h[:, 2:])),
    "max pool": (lambda h: F.max_pool2d(h, 3, 2), lambda h: windows(h)),
    "max": (lambda h: h.max(2).values, lambda h: h.amax(2)),
    "matrix product": (lambda h: h @ h.mT, lambda h: (h[:, :, :, None] * h[:, :, None]).sum(-1)),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_function_is_what_it_is_put_together_from(name: str) -> None:
    one, other = map(Through, ALIKE[name])
    assert close(one(X).flatten(), other(X).flatten()), "the test's own two functions differ"
    assert close(lifted(one, X, B, Rescale()), lifted(other, X, B, Rescale()), 1e-9)


def test_a_maximum_stands_where_it_rose_or_fell() -> None:
    class Highest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.amax(1, keepdim=True)

    x = torch.tensor([[1.0, 5.0, 2.0], [1.0, 0.0, 2.0], [4.0, 4.0, 4.0]])
    b = torch.tensor([[3.0, 1.0, 0.0], [3.0, 6.0, 0.0], [1.0, 0.0, 4.0]])
    # Row 0 rises 3 -> 5 where 5 stands, from 1 there: 2 of 4. Row 1 falls 6 -> 2 where 6 stood, to 0. Row 2 does not move.
    m = lifted(Highest(), x, b, Rescale())
    assert torch.equal(m[:2], torch.tensor([[0.0, 0.5, 0.0], [0.0, 4 / 6, 0.0]]))
    assert torch.equal(((x - b) * m).sum(1), x.amax(1) - b.amax(1))


def test_softmax_stays_finite_far_apart() -> None:
    net = Through(lambda h: (h * 1e3).softmax(1).tanh())
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        assert gap(net.to(dtype), X.to(dtype), B.to(dtype), Rescale()) < tolerance
    net.double()


# --- the paper's sums, as loops -------------------------------------------------------------------------------------------


def slow(net: nn.Sequential, x: list[float], b: list[float], *, reveal: bool) -> list[float]:
    """Contributions of one row to the single output of Linear layers with functions between them (Shrikumar et al. 2017, 3.5)."""
    layers, befores = list(net), []
    now, start = x, b
    parts: list[tuple[float, float]] = []
    for layer in layers:
        befores.append((now, start, parts))
        if isinstance(layer, nn.Linear):
            weight = layer.weight.tolist()
            contributions = [[w * (n - s) for w, n, s in zip(row, now, start, strict=True)] for row in weight]
            parts = [(sum(c for c in row if c > 0), sum(c for c in row if c < 0)) for row in contributions]
        now, start = (layer(torch.tensor(values, dtype=torch.float64)).tolist() for values in (now, start))
    above = [(1.0, 1.0)]  # multipliers of the positive and the negative part of each output
    for layer, (now, start, parts) in zip(reversed(layers), reversed(befores), strict=True):
        if isinstance(layer, nn.Linear):
            below = []
            for i, (n, s) in enumerate(zip(now, start, strict=True)):
                total = 0.0
                for j, row in enumerate(layer.weight.tolist()):
                    c = row[i] * (n - s)
                    total += row[i] * (above[j][0] if c > 0 else above[j][1] if c < 0 else sum(above[j]) / 2)
                below.append((total, total))
        else:
            below = [
                slow_multipliers(layer, s, p, n, m, reveal=reveal)
                for n, s, p, m in zip(now, start, parts, above, strict=True)
            ]
        above = below
    return [m * (n - s) for (m, _), n, s in zip(above, x, b, strict=True)]


def slow_multipliers(
    layer: nn.Module, start: float, parts: tuple[float, float], now: float, above: tuple[float, float], *, reveal: bool
) -> tuple[float, float]:
    def f(z: float) -> float:
        return float(layer(torch.tensor(z, dtype=torch.float64)))

    if not reveal:
        slope = (f(now) - f(start)) / (now - start)
        return above[0] * slope, above[1] * slope
    rise, fall = parts
    up = (f(start + rise) - f(start)) / 2 + (f(start + fall + rise) - f(start + fall)) / 2
    down = (f(start + fall) - f(start)) / 2 + (f(start + rise + fall) - f(start + rise)) / 2
    slope = up / rise if rise else (slow_derivative(layer, start) + slow_derivative(layer, start + fall)) / 2
    other = down / fall if fall else (slow_derivative(layer, start) + slow_derivative(layer, start + rise)) / 2
    return above[0] * slope, above[1] * other


def slow_derivative(layer: nn.Module, z: float) -> float:
    at = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    return float(torch.autograd.grad(layer(at), at)[0])


@pytest.mark.parametrize("kind", [nn.ReLU, nn.Tanh, nn.SiLU])
@pytest.mark.parametrize("rule", [Rescale(), RevealCancel()], ids=repr)
@given(seed=st.integers(0, 1000))
def test_multipliers_are_those_of_the_paper(rule: MultiplierRule, kind: type[nn.Module], seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 5), kind(), nn.Linear(5, 3), kind(), nn.Linear(3, 1)).double()
    x, b = torch.randn(2, 1, 4, dtype=torch.float64)
    b[0, 0] = x[0, 0] if seed % 2 else b[0, 0]  # a value that does not move
    expected = torch.tensor(
        [slow(net, x[0].tolist(), b[0].tolist(), reveal=rule == RevealCancel())], dtype=torch.float64
    )
    assert close((x - b) * lifted(net, x, b, rule), expected, 1e-8)


def test_a_convolution_is_a_dense_layer() -> None:
    torch.manual_seed(0)
    first, last = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=True).double(), nn.Linear(36, 1).double()
    dense = nn.Linear(108, 36).double()
    with torch.no_grad():
        basis = torch.eye(108, dtype=torch.float64).view(108, 3, 6, 6)
        dense.bias.copy_(first(0 * basis[:1]).flatten())
        dense.weight.copy_((first(basis) - first(0 * basis)).flatten(1).T)
    one = nn.Sequential(first, nn.Tanh(), nn.Flatten(), last)
    other = nn.Sequential(nn.Flatten(), dense, nn.Tanh(), last)
    assert close(lifted(one, X, B, RevealCancel()), lifted(other, X, B, RevealCancel()))
    assert not close(lifted(one, X, B, RevealCancel()), lifted(one, X, B, Rescale()), 1e-3)
    # Behind a convolution the third rule is Rescale, behind a dense layer RevealCancel.
    assert close(lifted(one, X, B, DenseRevealCancel()), lifted(one, X, B, Rescale()))
    assert close(lifted(other, X, B, DenseRevealCancel()), lifted(other, X, B, RevealCancel()))


class Written(nn.Module):
    """One dense layer and a tanh, in several spellings."""

    def __init__(self, how: str) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.first, self.last, self.scale = nn.Linear(6, 8), nn.Linear(8, 1), torch.randn(8, dtype=torch.float64)
            self.norm = nn.BatchNorm1d(8)
        self.norm.weight.data, self.norm.bias.data = self.scale.clone(), torch.zeros(8)
        self.norm.eps = 0.0
        self.how = how
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        w, b = self.first.weight, self.first.bias
        if self.how == "one":
            z = F.linear(x, w * self.scale[:, None], b * self.scale)
        elif self.how == "norm":
            z = self.norm(self.first(x))
        elif self.how == "scaled":
            z = self.first(x) * self.scale
        elif self.how == "divided":
            z = self.first(x) / (1 / self.scale)
        elif self.how == "summed":
            z = (F.linear(x[:, :2], w[:, :2]) - F.linear(x[:, 2:], -w[:, 2:], -b)) * self.scale
        elif self.how == "product":
            z = (x.view(-1, 2, 3).flatten(1) @ w.T + b) * self.scale
        else:
            z = torch.stack([self.first(x)[:, k] * self.scale[k] for k in range(8)], 1)
        return self.last(z.tanh())


@RULE
@pytest.mark.parametrize("how", ["norm", "scaled", "divided", "summed", "product", "by channel"])
def test_how_a_layer_is_written_does_not_matter(how: str, rule: MultiplierRule) -> None:
    x, b = X.reshape(-1, 6)[:5], B.reshape(-1, 6)[:5]
    one, other = Written("one"), Written(how)
    assert close(other(x), one(x))
    assert close(lifted(other, x, b, rule), lifted(one, x, b, rule))


def test_where_a_part_leaves_the_domain_it_is_rescaled() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False), Applied(torch.log)).double()
    nn.init.constant_(net[0].weight, 1.0)  # type: ignore[arg-type, union-attr]
    net[0].weight.data[0, 1] = -1.0  # type: ignore[union-attr, operator, index]
    x, b = torch.tensor([[[5.0, 4.0]], [[1.0, 0.5]]], dtype=torch.float64)  # z' + dz- = 0.5 - 3.5
    assert close(lifted(net, x, b, RevealCancel()), lifted(net, x, b, Rescale()))


class Applied(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


# --- what is refused ------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Function, str]] = {
    "sorted": (lambda h: h.sort(1).values, "sort"),
    "cumulative product": (lambda h: h.cumprod(1), "cumprod"),
    "product along": (lambda h: h.prod(1), "prod"),
    "power of two values": (lambda h: (h[:, :2].square() + 0.1) ** h[:, 2:], "pow"),
    "looked up": (lambda h: h.gather(1, h.argmax(1, keepdim=True)), "gather"),
    "fourier": (lambda h: torch.fft.rfft(h).real, ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_named(name: str) -> None:
    function, said = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=f"no rule for aten.{said}.*integrated_gradients"):
        lifted(Through(function), X, B, Rescale())


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h.relu() if float((h - h.mean()).flatten()[0]) > 0 else h.tanh(),
        lambda h: h / h.max().item(),
        lambda h: h * torch.rand(6, dtype=h.dtype),
        lambda h: torch.cat([h] * (1 + int(float((h - h.mean()).flatten()[0]) > 0)), 1).mean(1),
    ],
    ids=["branch", "item", "random", "as often as it says"],
)
def test_another_way_on_the_baseline_is_refused(function: Function) -> None:
    net = Through(function)
    x, b = X, -X  # of another sign, so that branches differ
    with pytest.raises(UnsupportedModel, match="another way on the baseline"):
        lifted(net, x, b, Rescale())
