"""Several inputs in one row, and a network as a function of such rows."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from smoothgrad.core.ask import called, network_in
from smoothgrad.errors import BadInput
from smoothgrad.models.network import Network
from smoothgrad.models.packed import Packed, Packing, pack

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
A = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
B = torch.rand(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Both(nn.Module):
    """A picture and features to three scores, a convolution on the one, and a gate by the other."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.conv = nn.Conv2d(2, 4, 3, padding=1)
            self.gate = nn.Linear(5, 4)
            self.head = nn.Linear(64, 3)
        self.double().eval()

    def forward(self, picture: Tensor, features: Tensor, *more: Tensor) -> Tensor:
        seen = F.relu(self.conv(picture)) * torch.sigmoid(self.gate(features))[:, :, None, None]
        out: Tensor = self.head(seen.view(len(seen), -1))
        return out + sum(more)


def view_of(net: nn.Module, *inputs: Tensor) -> tuple[Packed, Tensor]:
    packing = Packing.of(inputs)
    return Packed(net, packing), packing.packed(inputs)


# --- packing ----------------------------------------------------------------------------------------------------------

SHAPES = st.lists(
    st.tuples(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.sampled_from(DTYPES)), min_size=1, max_size=4
)


@given(SHAPES, st.integers(1, 3))
def test_what_is_packed_comes_apart_as_it_was(parts: list[tuple[list[int], torch.dtype]], rows: int) -> None:
    numbers = torch.Generator().manual_seed(0)
    inputs = [torch.rand(rows, *shape, generator=numbers).to(dtype) for shape, dtype in parts]
    packing = Packing.of(inputs)
    packed = packing.packed(inputs)
    assert packing.sizes == tuple(math.prod(shape) for shape, _ in parts)
    assert packed.shape == (rows, sum(packing.sizes))
    for one, other in zip(packing.apart(packed), inputs, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_inputs_lie_one_after_the_other() -> None:
    packed = pack((A, B))
    assert torch.equal(packed[:, :32], A.flatten(1))
    assert torch.equal(packed[:, 32:], B)


def test_the_widest_type_holds_all() -> None:
    assert pack((A.float(), B)).dtype == torch.float64
    assert pack((A.half(), B.bfloat16())).dtype == torch.float32


def test_dimensions_before_the_row_are_kept() -> None:
    packing = Packing.of((A, B))
    maps = torch.rand(3, 7, 37, dtype=torch.float64)  # seven maps for each row
    first, second = packing.apart(maps)
    assert first.shape == (3, 7, 2, 4, 4)
    assert torch.equal(second, maps[..., 32:])


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((), "got no inputs"),
        (A, "tuple of tensors.*got a Tensor"),
        ((A, 3), r"x\[1\] is a int"),
        ((A, B[:2]), "3 and 2 rows"),
        ((A, torch.tensor(1.0)), "3 and 0 rows"),
        ((A, torch.ones(3, 2, dtype=torch.int64)), "input 1 holds int64"),
    ],
)
def test_what_cannot_be_packed_is_refused(inputs: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pack(inputs)  # type: ignore[arg-type]


# --- the view ---------------------------------------------------------------------------------------------------------


def test_the_view_answers_as_the_network() -> None:
    net = Both()
    view, rows = view_of(net, A, B)
    assert torch.equal(view(rows), net(A, B))
    assert torch.equal(view(rows[1:2]), net(A[1:2], B[1:2]))  # rows of any number
    more = torch.rand(3, 1, dtype=torch.float64)
    assert torch.equal(view(rows, more, more), net(A, B, more, more))


def test_gradients_are_those_of_the_inputs() -> None:
    net = Both()
    view, rows = view_of(net, A, B)
    rows.requires_grad_()
    (gradient,) = torch.autograd.grad(view(rows)[:, 1].sum(), rows)
    a, b = A.clone().requires_grad_(), B.clone().requires_grad_()
    expected = torch.autograd.grad(net(a, b)[:, 1].sum(), (a, b))
    for one, other in zip(view.packing.apart(gradient), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_each_input_keeps_its_type() -> None:
    seen: list[torch.dtype] = []

    class Looking(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            seen.extend([a.dtype, b.dtype])
            return a.flatten(1).double() + b.sum(1, keepdim=True)

    view, rows = view_of(Looking().eval(), A.half(), B)
    view(rows)
    assert seen == [torch.float16, torch.float64]


@pytest.mark.parametrize("count", [1, 3])
def test_inputs_lie_in_memory_as_a_network_may_expect(count: int) -> None:
    class Flat(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a.view(-1).reshape(len(a), -1) + b.view(-1)[: len(b), None]  # not of views with gaps

    view, rows = view_of(Flat().eval(), A[:count], B[:count])
    assert view(rows).shape == (count, 32)


@pytest.mark.parametrize("count", [1, 3])
def test_a_network_may_write_into_its_inputs(count: int) -> None:
    class Careless(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            a.mul_(2.0)
            b.relu_()
            return a.flatten(1) + b.sum(1, keepdim=True)

    view, rows = view_of(Careless().eval(), A[:count], B[:count])
    rows = rows.requires_grad_()
    (gradient,) = torch.autograd.grad(view(rows.clone()).sum(), rows)
    first, second = view.packing.apart(gradient)
    assert (first == 2).all()
    assert (second == 32).all()


def test_the_view_stands_for_its_network() -> None:
    net = Both()
    network = Network(net, name="both")
    assert network_in(view_of(network, A, B)[0]) is net
    view, _ = view_of(net, A, B)
    assert called(view) == "Both"
    assert repr(view) == "Packed(Both: (2, 4, 4), (5,))"
    assert [name for name, _ in view.named_modules()][:2] == ["", "model"]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_that_of_the_network_and_stays(training: bool) -> None:
    net = Both().train(training)
    assert view_of(net, A, B)[0].training is training
    assert all(module.training is training for module in net.modules())
