"""What has no score: outputs that are NaN, infinite or no classes, and maps that are none. NaN with a reason, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadInput, BadModel, ModelInTraining
from smoothgrad.measure.case import Case, Judged, judged
from smoothgrad.measure.curves import INFINITE, NAN, unpredicted
from smoothgrad.measure.measure import Measure
from tests.measure.removing import linear, pictures

OF_CLASSES: list[Measure] = [
    *(sg.Deletion(), sg.Insertion(removal=sg.Replaced(sg.Zero())), sg.Srg(), sg.Irof(), sg.KeepTop()),
    *(
        sg.Road(removal=sg.Replaced()),
        sg.RoadMostFirst(removal=sg.Replaced()),
        sg.RoadLeastFirst(removal=sg.Replaced()),
    ),
]


class Answers(nn.Module):
    """One score for each row, in as many dimensions as asked for."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(1).view(len(x), *([1] * len(self.shape))).expand(len(x), *self.shape)


class Breaks(nn.Module):
    """As the network, but row 0 has other answers once something of it is gone."""

    def __init__(self, net: nn.Module, x: Tensor, answer: float, column: int = 0) -> None:
        super().__init__()
        self.net, self.x, self.answer, self.column = net, x, answer, column
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        output = self.net(x).clone()
        ours, whole = (x == self.x[:1]).flatten(1).any(1), (x == self.x[:1]).flatten(1).all(1)
        output[ours & ~whole, self.column] = self.answer
        return output


def said(measure: Measure, net: nn.Module, query: Query, maps: Tensor) -> Judged:
    case = Case(net, query, maps, Schedule(64))
    measure.admit(case)
    return measure.judge(case)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)], ids=str)
@pytest.mark.parametrize("measure", OF_CLASSES, ids=repr)
def test_an_output_without_classes_is_refused_by_what_reads_classes(measure: Measure, shape: tuple[int, ...]) -> None:
    x, maps = torch.rand(2, 5), torch.rand(2, 5)
    with pytest.raises(BadInput, match=r"output has shape \(rows.*take a measure of scores, such as PixelFlipping\(\)"):
        measure(Answers(*shape), Query.of(x, 0), maps)


@pytest.mark.parametrize(
    "measure", [sg.KeepTop(), sg.Road(removal=sg.Replaced()), sg.RoadMostFirst(removal=sg.Replaced())]
)
def test_an_output_of_nan_is_no_accuracy(measure: Measure) -> None:
    net, query, maps = pictures()
    column = int(query.target[0])  # to argmax, NaN is the largest, and the class would be right
    found = said(measure, Breaks(net, query.x, torch.nan, column), query, maps)
    assert found.value.isnan().tolist() == [True, False, False]
    assert found.reasons == (NAN, "", "")
    assert found.curve is not None
    assert found.curve.y[0].isnan().all()


def test_nan_for_the_whole_row_is_not_a_class_that_is_not_predicted() -> None:
    assert unpredicted(torch.tensor([1.0, 0.0, torch.nan]))[::2] == ("", NAN)
    assert unpredicted(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, torch.nan]]))[::2] == ("", NAN)
    assert "does not predict" in unpredicted(torch.tensor([[0.0, 1.0]]))[0]


@pytest.mark.parametrize("answer", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize(
    "measure", [sg.PixelFlipping(), sg.RegionPerturbation(sg.Grid((4,))), sg.FaithfulnessEstimate()]
)
def test_an_infinite_score_is_no_score(measure: Measure, answer: float) -> None:
    net, query, maps = linear()
    found = said(measure, Breaks(net, query.x, answer), query, maps)
    assert found.value.isnan().tolist() == [True, False, False]
    assert found.reasons == (INFINITE, "", "")


def test_an_infinite_score_of_disturbed_rows_is_named() -> None:
    _, query, maps = linear()
    found = said(sg.Infidelity(samples=5), Answers(2), query, maps * 1e200)
    assert found.value.isnan().all()
    assert set(found.reasons) == {"the measure gives NaN or infinity here"}

    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * torch.inf).log()

    found = said(sg.Infidelity(samples=5), Log().eval(), query, maps)
    assert set(found.reasons) == {"the score is NaN or infinite where the row is disturbed"}


def test_whatever_is_not_finite_has_a_reason() -> None:
    found = judged(torch.tensor([1.0, torch.inf, -torch.inf, torch.nan, 2.0]), stderr=torch.ones(5))
    assert found.value.isnan().tolist() == [False, True, True, True, False]
    assert found.reasons == ("", *["the measure gives NaN or infinity here"] * 3, "")
    assert found.stderr is not None
    assert found.stderr.isnan().tolist() == [False, True, True, True, False]


# --- called by hand ----------------------------------------------------------------------------------------------------------


def test_a_network_in_training_mode_is_refused() -> None:
    net, query, maps = pictures()
    with pytest.raises(ModelInTraining):
        sg.Deletion()(net.train(), query, maps)
    nothing: Any = "net"
    with pytest.raises(BadModel):
        sg.Deletion()(nothing, query, maps)


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64, torch.bool])
def test_maps_that_are_not_real_floating_point_are_refused(kind: torch.dtype) -> None:
    net, query, maps = pictures()
    with pytest.raises(BadInput, match=f"the maps hold {str(kind).removeprefix('torch.')}; give real floating point"):
        sg.Deletion()(net, query, maps.to(kind))
