"""Each rule is the paper's sum, and keeps what it promises to keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod
from smoothgrad.rules.linear import Linear
from smoothgrad.rules.lrp import (
    AlphaBeta,
    Bound,
    Call,
    Epsilon,
    Flat,
    Gamma,
    RelevanceRule,
    WSquare,
    ZBox,
    ZPlus,
    share,
)
from smoothgrad.rules.trace import trace
from tests.rules import slow_lrp as slow

LOW, HIGH = -1.5, 1.25  # of the box; rows lie inside

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "dense": (nn.Linear(7, 5), (7,)),
    "dense, no bias": (nn.Linear(7, 5, bias=False), (7,)),
    "padded": (nn.Conv2d(2, 3, 3, padding=1), (2, 4, 5)),
    "strided": (nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), (2, 5, 4)),
    "grouped": (nn.Conv2d(4, 6, 2, groups=2), (4, 3, 3)),
    "dilated": (nn.Conv2d(2, 3, 2, dilation=2, padding=(0, 1)), (2, 4, 3)),
    "depthwise, uneven": (nn.Conv2d(3, 3, (3, 1), stride=(1, 2), padding=(1, 0), groups=3), (3, 3, 4)),
    "a stride beyond the kernel": (nn.Conv2d(1, 2, 1, stride=3), (1, 4, 4)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), (2, 3, 2)),
}
RULES: dict[str, tuple[RelevanceRule, slow.Rule]] = {
    "0": (Epsilon(0.0), slow.epsilon(0.0)),
    "epsilon": (Epsilon(0.3), slow.epsilon(0.3)),
    "gamma": (Gamma(0.4), slow.gamma(0.4)),
    "gamma 0": (Gamma(0.0), slow.gamma(0.0)),
    "alpha1-beta0": (AlphaBeta(1, 0), slow.alpha_beta(1, 0)),
    "alpha2-beta1": (AlphaBeta(2, 1), slow.alpha_beta(2, 1)),
    "alpha3-beta2": (AlphaBeta(3, 2), slow.alpha_beta(3, 2)),
    "z+": (ZPlus(), slow.alpha_beta(1, 0)),
    "w^2": (WSquare(), slow.w_square),
    "flat": (Flat(), slow.flat),
}


def sent(
    rule: RelevanceRule, layer: nn.Module, x: Tensor, message: Tensor, box: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """What a rule sends to the inputs x of a layer whose outputs hold this relevance."""
    seen = trace(layer, Query.of(x, 0))
    [(step, linear)] = [(step, linear) for step in seen.steps if (linear := Linear.of(step)) is not None]

    def bounds(_low: Bound, _high: Bound) -> tuple[Tensor, Tensor]:
        assert box is not None, "only ZBox asks for it"
        return box

    with torch.no_grad():
        return rule.send(Call(linear, x, step.output, message, bounds))


def made(name: str, seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    """A layer with random weights, rows between LOW and HIGH, and relevance at its outputs."""
    layer, shape = LAYERS[name]
    layer = layer.double()
    torch.manual_seed(seed)
    for weight in layer.parameters():
        nn.init.normal_(weight)
    x = torch.rand(2, *shape, dtype=torch.float64) * (HIGH - LOW) + LOW
    return layer, x, torch.randn_like(layer(x))


def by_sums(rule: slow.Rule, layer: nn.Module, x: Tensor, message: Tensor) -> Tensor:
    dense = slow.dense(layer, tuple(x.shape[1:]))
    rows = [
        rule(row.numpy().reshape(-1), dense, above.detach().numpy().reshape(-1))
        for row, above in zip(x, message, strict=True)
    ]
    return torch.from_numpy(np.stack(rows)).view(x.shape)


@pytest.mark.parametrize("name", LAYERS)
def test_the_slow_matrix_is_the_layer(name: str) -> None:
    layer, x, _ = made(name)
    w, linked, b = slow.dense(layer, tuple(x.shape[1:]))
    np.testing.assert_allclose(x.flatten(1).numpy() @ w + b, layer(x).flatten(1).detach().numpy(), atol=1e-12)
    assert (linked | (w == 0)).all()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_rules_are_the_papers_sums(rule: str, name: str) -> None:
    layer, x, message = made(name)
    fast, by_hand = RULES[rule]
    torch.testing.assert_close(sent(fast, layer, x, message), by_sums(by_hand, layer, x, message), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_rules_are_the_papers_sums_behind_a_relu(rule: str, name: str) -> None:
    layer, x, message = made(name, seed=1)
    x = x.relu()  # which takes the way without negative inputs, and has zeros
    fast, by_hand = RULES[rule]
    torch.testing.assert_close(sent(fast, layer, x, message), by_sums(by_hand, layer, x, message), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_the_box_rule_is_the_paper_s_sum(name: str) -> None:
    layer, x, message = made(name)
    low = torch.linspace(LOW - 1, LOW, x[0].numel(), dtype=torch.float64).view(x[0].shape)
    high = torch.linspace(HIGH, HIGH + 0.5, x[0].numel(), dtype=torch.float64).view(x[0].shape)
    box = low.expand_as(x), high.expand_as(x)
    by_hand = slow.z_box(low.numpy().reshape(-1), high.numpy().reshape(-1))
    torch.testing.assert_close(
        sent(ZBox(), layer, x, message, box), by_sums(by_hand, layer, x, message), rtol=1e-9, atol=1e-9
    )


def test_a_point_outside_widens_the_box_there() -> None:
    layer, x, message = made("padded")
    low, high = torch.full_like(x, -0.2), torch.full_like(x, 0.3)
    inside = sent(ZBox(), layer, x, message, (torch.minimum(low, x), torch.maximum(high, x)))
    torch.testing.assert_close(sent(ZBox(), layer, x, message, (low, high)), inside)


# --- what is kept -----------------------------------------------------------------------------------------------------

KEEPING = [Epsilon(0.0), Gamma(0.3), AlphaBeta(1, 0), AlphaBeta(2, 1), ZPlus(), WSquare(), Flat()]


@st.composite
def layers(draw: st.DrawFn) -> tuple[nn.Conv2d, Tensor, Tensor]:
    """A convolution without bias, rows of both signs, and relevance at its outputs."""
    groups = draw(st.sampled_from([1, 2]))
    kernel, dilation = draw(st.sampled_from([(2, 1), (2, 2), (3, 1)]))
    inside, outside = groups * draw(st.integers(2, 3)), groups * draw(st.integers(1, 3))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 1))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    layer = nn.Conv2d(inside, outside, kernel, stride, padding, dilation, groups, bias=False).double()
    x = torch.randn(2, inside, 5, 6, dtype=torch.float64)
    return layer, x, torch.randn_like(layer(x))


@given(layers(), st.sampled_from(KEEPING))
@settings(max_examples=60)
def test_relevance_is_kept(made: tuple[nn.Conv2d, Tensor, Tensor], rule: RelevanceRule) -> None:
    layer, x, message = made
    message = message.detach()
    z, size = layer(x).detach(), layer(x.abs()).abs().detach()
    assume(bool((z.abs() > 1e-6).all() and (size > 0).all()))
    if isinstance(rule, AlphaBeta | ZPlus):  # where an output has contributions of both signs
        w, _, _ = slow.dense(layer, tuple(x.shape[1:]))
        parts = torch.from_numpy(x.flatten(1).numpy()[:, :, None] * w)  # (N, in, out)
        both = ((parts > 0).any(1) & (parts < 0).any(1)).view(message.shape)
        message = message * both
    kept = sent(rule, layer, x, message).flatten(1).sum(1)
    torch.testing.assert_close(kept, message.flatten(1).sum(1), rtol=1e-6, atol=1e-6)


def test_a_bias_takes_its_share() -> None:
    layer = nn.Linear(2, 1).double()
    layer.weight.data[:] = torch.tensor([[3.0, -1.0]])
    layer.bias.data[:] = 2.0
    x, one = torch.tensor([[1.0, 1.0]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    expected = {  # of z = 3 - 1 + 2
        Epsilon(0.0): [3 / 4, -1 / 4],
        Epsilon(1.0): [3 / 5, -1 / 5],
        Gamma(1.0): [6 / 9, -1 / 9],
        ZPlus(): [3 / 5, 0],
        AlphaBeta(2, 1): [6 / 5, -1],
        WSquare(): [9 / 10, 1 / 10],
        Flat(): [1 / 2, 1 / 2],
    }
    for rule, shares in expected.items():
        torch.testing.assert_close(
            sent(rule, layer, x, one), torch.tensor([shares], dtype=torch.float64), msg=repr(rule)
        )


def test_gamma_lies_between_lrp_0_and_z_plus() -> None:
    layer, x, message = made("grouped")
    message = message * (layer(x) > 0)
    torch.testing.assert_close(
        sent(Gamma(1e-9), layer, x, message), sent(Epsilon(0.0), layer, x, message), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        sent(Gamma(1e9), layer, x, message), sent(ZPlus(), layer, x, message), rtol=1e-6, atol=1e-6
    )


def test_epsilon_goes_to_lrp_0() -> None:
    layer, x, message = made("padded")
    torch.testing.assert_close(
        sent(Epsilon(1e-12), layer, x, message), sent(Epsilon(0.0), layer, x, message), rtol=1e-6, atol=1e-8
    )


def test_nothing_is_sent_where_there_is_nothing_to_share_by() -> None:
    layer = nn.Linear(3, 2, bias=False).double()
    nn.init.zeros_(layer.weight)
    x, message = torch.ones(1, 3, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    for rule in (Epsilon(0.0), Epsilon(), Gamma(), AlphaBeta(), ZPlus(), WSquare()):
        assert sent(rule, layer, x, message).eq(0).all(), rule
    assert sent(Flat(), layer, x, message).sum() == 2


def test_shares_neither_overflow_nor_hide_what_is_broken() -> None:
    tiny = torch.finfo(torch.float32).tiny
    assert share(torch.tensor([1e3]), torch.tensor([tiny])).isfinite().all()
    assert share(torch.ones(1), torch.tensor([math.nan])).isnan().all()
    assert share(torch.ones(2), torch.tensor([0.0, -0.0]), 0.5).tolist() == [2.0, 2.0]


# --- rules are values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Epsilon(-1e-6), "epsilon >= 0"),
        (lambda: Epsilon(math.nan), "epsilon >= 0"),
        (lambda: Gamma(-0.1), "gamma >= 0"),
        (lambda: Gamma(math.inf), "gamma >= 0"),
        (lambda: AlphaBeta(2, 0), "alpha - beta = 1"),
        (lambda: AlphaBeta(0.5, -0.5), "beta >= 0"),
        (lambda: ZBox(1.0, 0.0), "low < high"),
        (lambda: ZBox(0.5, 0.5), "low < high"),
        (lambda: ZBox((0.0, 2.0), 1.0), "low < high"),
        (lambda: ZBox((0.0, 0.0), (1.0, 1.0, 1.0)), "2 low and 3 high"),
        (lambda: ZBox(-math.inf, 0.0), "finite bounds"),
        (lambda: ZBox((), 1.0), "finite bounds"),
        (lambda: ZBox("black", 1.0), "low"),
        (lambda: Epsilon("small"), "epsilon a number"),
    ],
)
def test_parameters_out_of_range_are_refused(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(BadMethod, match=said):
        make()


def test_rules_are_printed_as_they_are_written() -> None:
    assert repr(Epsilon(0.25)) == "Epsilon(epsilon=0.25)"
    assert repr(ZBox((0.0, -1.0, 0.0), 1.0)) == "ZBox(low=(0.0, -1.0, 0.0), high=1.0)"
    assert repr(ZBox()) == "ZBox()"
    assert ZBox([0.0, 1.0], 2.0) == ZBox((0.0, 1.0), 2.0)  # type: ignore[arg-type]
