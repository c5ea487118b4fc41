"""The one place where the model is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from smoothgrad.core.ask import gradients, output_of, outputs, scores
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadModel, NonFinite, NotDifferentiable, OutOfMemory
from tests.truth import TRUTHS, X

ALL = Schedule(100)
ROWS = torch.stack([X, 2 * X, X - 1])


class Of(nn.Module):
    """A network made of a function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        assert callable(self.function)
        return self.function(*inputs)


def test_logits_are_unwrapped() -> None:
    net = Of(lambda x: SimpleNamespace(logits=x * 2, loss=None))
    assert torch.equal(output_of(net, Query.of(ROWS, 0)), ROWS * 2)


def test_an_output_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(BadModel, match=r"Of returned tuple; it must return a tensor or an object with \.logits"):
        output_of(Of(lambda x: (x, x)), Query.of(ROWS, 0))


@pytest.mark.parametrize("function", [lambda x: x.sum(), lambda x: x[:2], lambda x: x.T])
def test_an_output_without_the_rows_first_is_refused(function: object) -> None:
    with pytest.raises(BadModel, match=r"returned shape .* for 3 rows; the first dimension"):
        output_of(Of(function), Query.of(ROWS, 0))


def test_the_model_cannot_write_into_rows_and_context() -> None:
    x, extra = ROWS.clone(), ROWS.clone()
    asked = Query.of(x, 0, context=(extra,))
    output_of(Of(lambda a, b: a.mul_(2) + b.mul_(3)), asked)
    gradients(Of(lambda a, b: a.mul_(2) + b.mul_(3)), asked, ALL)
    assert torch.equal(x, ROWS)
    assert torch.equal(extra, ROWS)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks_do_not_change_scores_and_gradients(chunk: int) -> None:
    asked = Query.of(ROWS, 0)
    torch.testing.assert_close(scores(TRUTHS["sine"], asked, Schedule(chunk)), ROWS.sin().sum(1))
    torch.testing.assert_close(gradients(TRUTHS["sine"], asked, Schedule(chunk)), ROWS.cos())


def test_gradients_are_computed_inside_no_grad() -> None:
    with torch.no_grad():
        maps = gradients(TRUTHS["sine"], Query.of(ROWS, 0), ALL)
    torch.testing.assert_close(maps, ROWS.cos())
    assert not maps.requires_grad


def test_gradients_of_parameters_are_neither_made_nor_touched() -> None:
    net = nn.Linear(4, 2).double().eval()
    net.weight.grad = torch.ones_like(net.weight)
    gradients(net, Query.of(ROWS, 1), ALL)
    assert bool((net.weight.grad == 1).all())
    assert net.bias.grad is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.detach(),
        lambda x: torch.zeros(len(x), 4, dtype=x.dtype),
        lambda x: x.argmax(1, keepdim=True).double().expand(-1, 4),
        lambda x: torch.ones(len(x), 4, dtype=x.dtype, requires_grad=True) * 2,
        torch.no_grad()(lambda x: x * 2),
        lambda x: torch.from_numpy(x.detach().numpy() * 2),
    ],
    ids=["detach", "constant", "argmax", "unrelated", "no_grad", "numpy"],
)
def test_a_score_without_a_gradient_is_refused(function: object) -> None:
    with pytest.raises(NotDifferentiable, match="the score of Of does not depend on the input"):
        gradients(Of(function), Query.of(ROWS, 0), ALL)


def test_a_gradient_that_is_not_finite_is_refused_by_row() -> None:
    x = ROWS.clone()
    x[2, 0] = 0
    asked = Query.of(x, 0)
    for chunk in (1, 2, 100):
        with pytest.raises(NonFinite, match="the gradient of row 2 holds NaN or infinity"):
            gradients(Of(lambda x: x.abs().sqrt()), asked, Schedule(chunk))
    with pytest.raises(NonFinite, match="row 2"):
        gradients(Of(lambda x: x.abs().sqrt()), asked.at(x.expand(4, 3, 4), range(4)), ALL)


class Counting(nn.Module):
    """sin of the rows times a weight per class, which counts its calls and the rows of each."""

    def __init__(self, largest: int = 1000, error: Exception | None = None) -> None:
        super().__init__()
        self.largest = largest
        self.error = error
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        if self.error is not None and len(x) > self.largest:
            raise self.error
        return x.sin() @ torch.arange(1.0, 13.0, dtype=x.dtype).view(4, 3)


OUT_OF_MEMORY = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    "numpy": MemoryError("Unable to allocate 8 GiB"),
}


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_when_memory_runs_out_the_chunk_is_halved_and_the_answer_is_the_same(error: Exception) -> None:
    asked = Query.of(torch.arange(44.0).view(11, 4), 1)
    net, schedule = Counting(largest=3, error=error), Schedule(8)
    torch.testing.assert_close(gradients(net, asked, schedule), gradients(Counting(), asked, Schedule(100)))
    assert net.calls == [8, 4, 2, 2, 2, 2, 2, 1]
    assert schedule.chunk == 2, "the others are spared the same"
    torch.testing.assert_close(scores(net, asked, Schedule(8)), scores(Counting(), asked, Schedule(100)))


@pytest.mark.parametrize("ask", [gradients, scores, outputs])
def test_one_row_that_does_not_fit_is_refused(ask: Callable[..., Tensor]) -> None:
    with pytest.raises(OutOfMemory, match=r"memory does not suffice for one row \(CUDA out of memory.*smaller inputs"):
        ask(Counting(largest=0, error=OUT_OF_MEMORY["cuda"]), Query.of(ROWS, 0), Schedule(4))


@pytest.mark.parametrize("ask", [gradients, scores, outputs])
def test_other_errors_are_no_lack_of_memory(ask: Callable[..., Tensor]) -> None:
    net = Counting(largest=0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ask(net, Query.of(ROWS, 0), Schedule(4))
    assert net.calls == [3]


@given(chunk=st.integers(1, 9), gone=st.sets(st.integers(1, 17)), draws=st.integers(1, 3))
def test_targets_of_one_point_share_its_forward_pass(chunk: int, gone: set[int], draws: int) -> None:
    classes = torch.tensor([[0, 1, 2], [2, 0, 0], [1, 1, 2]])
    asked = Query.of(ROWS, 0).for_each(classes)
    asked = asked.at(asked.x.expand(draws, 9, 4) + torch.arange(draws)[:, None, None], range(draws))
    left = torch.tensor([row for row in range(9 * draws) if row not in gone], dtype=torch.int64)
    asked = asked.rows(left)
    net = Counting()
    maps = gradients(net, asked, Schedule(chunk))
    assert torch.equal(maps, gradients(Counting(), replace(asked, twins=1), Schedule(100)))
    points = len({row // 3 for row in left.tolist()})
    assert sum(net.calls) == points, "a point is asked once"
    assert max(net.calls) <= chunk


def test_neighbours_that_are_equal_but_different_rows_are_not_one_point() -> None:
    context = torch.tensor([1.0, 2.0, 3.0])[:, None].double()
    asked = replace(Query.of(ROWS[:1].expand(3, 4), 0, context=(context,)), twins=2)
    maps = gradients(Of(lambda x, c: x * c), asked, ALL)
    assert maps[:, 0].tolist() == [1, 2, 3]


def test_a_rule_sees_the_score_of_every_target() -> None:
    seen: list[float] = []
    asked = Query.of(ROWS, 0).for_each(torch.tensor([[0, 1]] * 3))
    gradients(Counting(), asked, ALL, lambda score: seen.append(float(score.detach())))
    expected = Counting()(ROWS).sum(0)
    assert seen == pytest.approx(expected[:2].tolist())


def test_without_gradients_no_call_has_more_rows_than_a_chunk() -> None:
    net = Counting()
    asked = Query.of(ROWS, 0).for_each(torch.tensor([[0, 1, 2]] * 3))
    scores(net, asked, Schedule(2))
    outputs(net, asked, Schedule(2))
    assert net.calls == [2, 2, 2, 2, 1] * 2
