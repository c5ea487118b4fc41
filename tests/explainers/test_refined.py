"""Integrated Gradients with as many steps as completeness takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from tests.truth import TRUTHS, X


class Steep(nn.Module):
    """tanh of each row's own steepness: easy for the first row, hard for the last."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        f = (x[:, 0] * (x[:, 1] - x[:, 0] / 2)).tanh() + x[:, 1]
        return torch.stack([f, -f], 1)


ROWS = torch.tensor([[0.3, 0.4], [20.0, 13.0], [90.0, 60.0]], dtype=torch.float64)


def test_rows_take_the_steps_they_need() -> None:
    method = sg.integrated_gradients(tolerance=0.001)
    result = sg.explain(Steep(), ROWS, method=method, target=0)
    assert result.completeness is not None
    assert float(result.completeness.error.max()) <= 0.001
    assert result.passes[0] == 16
    assert result.passes.tolist() == sorted(result.passes.tolist())
    assert result.passes[2] > 16
    # 16 + 32 + ... + steps = 2 steps - 16
    assert torch.equal(result.passes, 2 * result.draws - 16)


def test_the_answer_is_that_of_its_last_number_of_steps() -> None:
    result = sg.explain(Steep(), ROWS, method=sg.integrated_gradients(tolerance=0.001), target=0)
    for row, steps in enumerate(result.draws.tolist()):
        alone = sg.explain(Steep(), ROWS[[row]], method=sg.integrated_gradients(steps), target=0)
        torch.testing.assert_close(result.maps[[row]], alone.maps)


def test_what_does_not_converge_says_so() -> None:
    method = sg.Refined(sg.StraightPath(steps=2, quadrature="left"), tolerance=1e-9, most=8)
    result = sg.explain(TRUTHS["cubic"], X[None], method=method, target=0)
    assert result.completeness is not None
    assert float(result.completeness.error) > 0.01
    assert result.passes.tolist() == [2 + 4 + 8]
    assert method.passes == 14


@pytest.mark.parametrize(
    ("quadrature", "steps"), [("midpoint", [16, 32, 64, 128, 256, 512]), ("simpson", [17, 33, 65, 129, 257])]
)
def test_steps_double_up_to_the_most(quadrature: str, steps: list[int]) -> None:
    method = sg.integrated_gradients(tolerance=0.1, quadrature=quadrature)  # type: ignore[arg-type]
    assert isinstance(method, sg.Refined)
    assert [level.sampler.most() for level in method.levels] == steps
    assert method.passes == sum(steps)


def test_it_is_judged_by_the_mean_over_its_baselines() -> None:
    baseline = sg.Several(sg.Black(), sg.White())
    method = sg.integrated_gradients(tolerance=0.01, baseline=baseline)
    change = method.change(TRUTHS["sine"], Query.of(X[None], 0), Schedule(9))
    assert change is not None
    ends = (X.min().sin() + X.max().sin()) / 2 * 4
    torch.testing.assert_close(change, (X.sin().sum() - ends)[None])


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(BadMethod, match="tolerance > 0, got 0"):
        sg.integrated_gradients(tolerance=0)
    with pytest.raises(BadMethod, match="most=8 is fewer than the first 16 steps"):
        sg.Refined(most=8)
