"""The combinator: what it refuses, when it stops, what it reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.explainer import Partial, place, relative_error
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod
from tests.truth import TRUTHS, W, X

CLOUD = sg.Gaussian(0.2, 8, unit="absolute")
SEVERAL = sg.Gradient().over(CLOUD, sg.Together(sg.Mean(), sg.Variance()))


def query(rows: int = 4) -> Query:
    return Query.of(torch.stack([X * (1 + row) for row in range(rows)]), 0)


# --- what does not go together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner", [SEVERAL, SEVERAL.then(sg.TimesInput()), SEVERAL.then(sg.Absolute()).then(sg.TimesInput())]
)
def test_together_is_the_last_reduction(inner: sg.Explainer) -> None:
    with pytest.raises(BadMethod, match="it can only be the last reduction, not inside"):
        inner.over(CLOUD)


def test_order_statistics_of_weighted_draws_are_refused() -> None:
    for reduction in (sg.Median(), sg.TrimmedMean(), sg.MedianOfMeans(), sg.Max(), sg.GeometricMean(), sg.Variance()):
        with pytest.raises(BadMethod, match=r"no meaning for the unequal weights of StraightPath.*use Mean\(\)"):
            sg.Gradient().over(sg.StraightPath(), reduction)


def test_a_tolerance_needs_an_error_to_stop_at() -> None:
    cloud = sg.Gaussian(0.2, sg.Until(0.1))
    for reduction in (sg.Median(), sg.Max(), sg.Together(sg.Mean())):
        with pytest.raises(BadMethod, match=r"does not know its error, so that Until\(\.\.\.\) could never stop"):
            sg.Gradient().over(cloud, reduction)


def test_a_variance_needs_two_draws_that_do_not_depend_on_each_other() -> None:
    with pytest.raises(BadMethod, match=r"needs 2 draws or more, .* gives 1"):
        sg.vargrad(samples=1)
    with pytest.raises(BadMethod, match=r"needs 4 draws or more, .* gives 2"):
        sg.Gradient().over(sg.Gaussian(0.1, 2, sampling="antithetic"), sg.Together(sg.Mean(), sg.Variance()))


# --- the run ----------------------------------------------------------------------------------------------------------


def test_every_chunk_is_reported_and_the_last_report_is_the_answer() -> None:
    method = sg.Gradient().over(CLOUD)
    partials = list(method.partials(TRUTHS["sine"], query(), Schedule(chunk=8)))
    assert [partial.done for partial in partials] == [2, 4, 6, 8]
    assert {partial.total for partial in partials} == {8}
    answer = method.estimate(TRUTHS["sine"], query(), Schedule(chunk=100))
    torch.testing.assert_close(partials[-1].estimate().value, answer.value)
    assert answer.draws.tolist() == [8] * 4


def test_a_report_is_the_answer_of_as_many_samples() -> None:
    for partial in sg.Gradient().over(CLOUD).partials(TRUTHS["sine"], query(), Schedule(chunk=4)):
        if partial.done > 1:
            fewer = sg.Gradient().over(sg.Gaussian(0.2, partial.done, unit="absolute"))
            expected = fewer.estimate(TRUTHS["sine"], query(), Schedule(100))
            torch.testing.assert_close(partial.estimate().value, expected.value)


def test_an_early_report_does_not_change_later() -> None:
    partials = iter(sg.Gradient().over(CLOUD).partials(TRUTHS["sine"], query(), Schedule(chunk=4)))
    first = next(partials)
    before = first.estimate().value.clone()
    assert list(partials)
    assert torch.equal(first.estimate().value, before)


def test_rows_stop_at_the_looks_and_only_there() -> None:
    until = sg.Until(0.1, least=4, most=64)
    method = sg.Gradient().over(sg.Gaussian(0.5, until, unit="absolute"))
    asked = query(8)
    answer = method.estimate(TRUTHS["cubic"], asked, Schedule(7))
    assert answer.stderr is not None
    error = relative_error(answer)
    assert len(answer.draws.unique()) > 2
    for row, draws in enumerate(answer.draws.tolist()):
        assert draws in {4, 8, 16, 32, 64}
        assert draws == 64 or float(error[row]) <= 0.1
        if draws > 4:  # it was not there yet at the look before
            fewer = sg.Gradient().over(sg.Gaussian(0.5, draws // 2, unit="absolute"))
            before = fewer.estimate(TRUTHS["cubic"], asked.rows(slice(row, row + 1)), Schedule(7))
            assert float(relative_error(before)) > 0.1


class Watching(nn.Module):
    """Keeps how many rows it was asked each time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(len(x))
        return torch.stack([(x @ W).exp(), x.sum(1)], 1)


def test_finished_rows_leave_the_batch() -> None:
    x = torch.zeros(2, 4, dtype=torch.float64)
    net = Watching()
    # The score of the first row is linear, and done at the first look; that of the second is not.
    asked = Query.of(x, torch.tensor([1, 0]))
    method = sg.Gradient().over(sg.Gaussian(1.0, sg.Until(1e-9, least=2, most=8), unit="absolute"))
    answer = method.estimate(net, asked, Schedule(100))
    assert answer.draws.tolist() == [2, 8]
    assert net.asked == [4, 2, 4]


def test_no_chunk_is_larger_than_the_schedule_allows() -> None:
    for method in (sg.smoothgrad(0.1, 10), sg.integrated_gradients(4).over(sg.Gaussian(0.1, 6, sampling="antithetic"))):
        net = Watching()
        sg.explain(net, torch.rand(5, 4, dtype=torch.float64), method=method, chunk=3)
        assert max(net.asked) <= 3


# --- cost, unit, text -------------------------------------------------------------------------------------------------


def test_passes_are_known_before_running() -> None:
    assert sg.gradient().passes == 1
    assert sg.smoothgrad(samples=20).passes == 20
    assert sg.smoothgrad(samples=sg.Until(0.1, most=77)).passes == 77
    assert sg.integrated_gradients(8).over(sg.Gaussian(0.1, 5)).passes == 40
    assert sg.integrated_gradients(8, baseline=sg.Several(sg.Black(), sg.White())).passes == 16
    assert sg.integrated_gradients(8, baseline=sg.Adversarial(steps=5)).passes == 8 + 6
    assert sg.smoothgrad(samples=20).then(sg.TimesInput()).passes == 20


def test_units_follow_the_method() -> None:
    per_input = "score per unit of input"
    assert sg.smoothgrad().unit == per_input
    assert sg.vargrad().unit == f"({per_input})²"
    for method in (
        sg.input_x_gradient(),
        sg.integrated_gradients(),
        sg.smooth_taylor(),
        sg.expected_gradients(X[None]),
        sg.smooth_integrated_gradients(),
        sg.integrated_gradients(tolerance=0.1),
        sg.smoothgrad().then(sg.TimesInput()),
    ):
        assert method.unit == "score"
    assert sg.integrated_gradients(4).then(sg.TimesInput()).unit == "score × input"


def test_the_mean_is_left_out_of_the_text() -> None:
    assert repr(sg.Gradient().over(CLOUD)) == "Gradient().over(Gaussian(noise=0.2, samples=8, unit='absolute'))"
    assert repr(sg.Gradient().over(CLOUD, sg.Max())).endswith(", Max())")


def test_only_the_plain_gradient_of_a_straight_path_promises_a_sum() -> None:
    asked, schedule = query(), Schedule(100)
    sine = TRUTHS["sine"]
    change = sg.integrated_gradients(4).change(sine, asked, schedule)
    assert change is not None
    torch.testing.assert_close(change, asked.x.sin().sum(1))
    for method in (
        sg.gradient(),
        sg.smoothgrad(),
        sg.Gradient(sg.Guided()).over(sg.StraightPath()),
        sg.Gradient().over(sg.StraightPath(), sg.SquareMean()),
        sg.integrated_gradients(4).then(sg.Absolute()),
        sg.integrated_gradients(4).over(CLOUD),
    ):
        assert method.change(sine, asked, schedule) is None


# --- small parts ------------------------------------------------------------------------------------------------------


def estimate(value: list[float], stderr: list[float] | None) -> Estimate:
    error = None if stderr is None else torch.tensor(stderr)[:, None]
    return Estimate(torch.tensor(value)[:, None], error, torch.ones(len(value), dtype=torch.int64))


INF = float("inf")


def test_relative_error() -> None:
    assert relative_error(estimate([2.0, 3.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0])).tolist() == [0.5, 0.0, INF, INF]
    assert relative_error(estimate([2.0], None)).tolist() == [float("inf")]
    two = Estimate(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.6, 0.8]]), torch.ones(1))
    assert relative_error(two).tolist() == pytest.approx([0.2])


def test_rows_at_work_are_put_back_in_their_places() -> None:
    settled, now = estimate([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]), estimate([9.0], [0.9])
    whole = place(now, settled, torch.tensor([1]))
    assert whole.value.flatten().tolist() == [1.0, 9.0, 3.0]
    assert whole.stderr is not None
    torch.testing.assert_close(whole.stderr.flatten(), torch.tensor([0.1, 0.9, 0.3]))
    assert settled.value.flatten().tolist() == [1.0, 2.0, 3.0], "what was reported is not written into"
    assert place(now, None, torch.tensor([0])) is now


def test_a_finish_is_put_to_each_of_several_maps() -> None:
    plain = SEVERAL.estimate(TRUTHS["sine"], query(), Schedule(100))
    times = SEVERAL.then(sg.TimesInput()).estimate(TRUTHS["sine"], query(), Schedule(100))
    torch.testing.assert_close(times.value, plain.value * query().x[:, None])


def test_a_partial_is_a_moment() -> None:
    partial = Partial(1, 2, lambda: estimate([1.0], None))
    assert partial.estimate().value.item() == 1.0


def test_one_row_repeated_is_not_taken_for_one_point() -> None:
    """Rows of a cloud inside a cloud are points of their own: no more of them are held at once than a chunk has."""
    held: list[int] = []

    class Watched(sg.Explainer):
        unit = "score"  # type: ignore[assignment]
        passes = 1  # type: ignore[assignment]

        def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
            held.append(len(query))
            yield Partial(1, 1, lambda: Estimate(query.x, None, torch.ones(len(query), dtype=torch.int64)))

    method = Watched().over(sg.Gaussian(0.1, 32)).over(sg.Gaussian(0.1, 8))
    method.estimate(nn.Identity(), Query.of(torch.rand(1, 5), target=0), Schedule(8))
    assert max(held) == 8
