from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import final

import pytest
import torch

import smoothgrad as sg
from smoothgrad.axioms import ALL, AXIOMS, AxiomReport, Verdict, check_axioms
from smoothgrad.errors import BadInput, BadMethod, BadTarget, ModelInTraining, UnknownName
from smoothgrad.models.fingerprint import fingerprint
from tests.axioms.made import NETS, Fragile, Mlp


def test_integrated_gradients_keep_all_but_the_shift() -> None:
    net, x = NETS["conv"]
    report = check_axioms(net, x, method=sg.integrated_gradients(100))
    assert [(one.axiom, one.word) for one in report] == [
        (name, "fails" if name == "input-shift invariance" else "holds") for name in ALL
    ]
    assert not report.holds
    assert [one.axiom for one in report.failed] == ["input-shift invariance"]


def test_the_model_is_left_as_it_was() -> None:
    net, x = NETS["conv"]
    before, kept = fingerprint(net), x.clone()
    check_axioms(net, x, method=sg.smoothgrad(samples=3))
    assert fingerprint(net) == before
    assert torch.equal(x, kept)
    assert not any(part._forward_hooks for part in net.modules())


def test_the_same_seed_gives_the_same_report_whatever_the_chunk() -> None:
    net, x = NETS["mlp"]
    first, second = (check_axioms(net, x, method=sg.smoothgrad(samples=4), seed=3, chunk=chunk) for chunk in (1, 50))
    assert [one.word for one in first] == [one.word for one in second]
    assert [one.error for one in first] == pytest.approx([one.error for one in second], rel=1e-6, abs=1e-9)


def test_a_method_that_cannot_be_run_is_not_asked_and_says_why() -> None:
    net, x = NETS["series"]  # without a ReLU
    report = check_axioms(net, x, method=sg.guided_backprop())
    assert {one.holds for one in report} == {None}
    assert not report.holds
    assert len(report.unasked) == len(ALL)
    assert all("found no ReLU" in one.reason for one in report)
    assert repr(report).count("found no ReLU") == 1
    assert repr(report).count("not asked") == len(ALL)
    assert repr(report).count("as completeness") == len(ALL) - 1


def test_an_error_inside_a_check_is_a_reason() -> None:
    net, x = NETS["mlp"]
    report = check_axioms(net, x, method=Fragile())
    assert [one.axiom for one in report.unasked] == ["implementation invariance", "dummy", "symmetry"]
    # A copy of the user's own network that takes the constant off in its first layer is one that the method can be asked of.
    assert report["input-shift invariance"].holds
    assert "RuntimeError: this is no Mlp" in report["dummy"].reason


def test_a_counterexample_is_small_enough_to_look_at() -> None:
    net, x = NETS["conv"]
    found = check_axioms(net, x, method=sg.input_x_gradient(), axioms=["input-shift invariance"])
    example = found["input-shift invariance"].counterexample
    assert example is not None
    assert [tuple(part.shape) for part in (*example.inputs, *example.maps)] == [(2, 5, 5)] * 4
    assert all(part.numel() <= 2 * 25 for part in example.near)
    assert example.place is not None
    assert float(example.maps[0][example.place]) == example.values[0]
    assert f"row {example.row}" in example.sentence
    assert example.sentence in repr(example)


def test_the_report_is_a_table() -> None:
    net, x = NETS["mlp"]
    report = check_axioms(net, x, method=sg.gradient(), axioms=["dummy", "completeness"])
    assert [one.axiom for one in report] == ["dummy", "completeness"]
    assert len(report) == 2
    text = repr(report)
    assert text.splitlines()[0] == "<Axioms of gradient() on Mlp, 2 rows, seed 0"
    assert "dummy         holds" in text
    assert "completeness  fails" in text
    frame = report.frame
    assert list(frame["outcome"]) == ["holds", "fails"]
    assert frame["why"][1] == report["completeness"].why
    with pytest.raises(UnknownName, match="symmetry"):
        report["symmetry"]


def test_what_was_not_asked_is_not_passed() -> None:
    held = Verdict("dummy", True, 0.0, 1.0)
    assert AxiomReport("m", "n", 1, 0, (held,)).holds
    assert not AxiomReport("m", "n", 1, 0, (held, Verdict("symmetry", None, float("nan"), float("nan")))).holds


def test_progress_is_told() -> None:
    net, x = NETS["mlp"]
    seen: list[tuple[str, int, int]] = []
    check_axioms(net, x, method=sg.gradient(), axioms=ALL[:2], progress=lambda *told: seen.append(told))
    assert seen == [("completeness", 0, 2), ("sensitivity", 1, 2)]


def test_context_travels_along() -> None:
    class Scaled(torch.nn.Module):
        def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            f = (x * scale).square().sum(1)
            return torch.stack([f, -f], 1)

    x = NETS["mlp"][1]
    scale = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    report = check_axioms(Scaled().eval(), x, method=sg.integrated_gradients(8), target=0, context=(scale,))
    assert [one.word for one in report] == ["holds"] * 6 + ["fails"]


def test_bad_questions_are_refused() -> None:
    net, x = NETS["mlp"]
    with pytest.raises(BadInput, match="did you mean 'dummy'"):
        check_axioms(net, x, method=sg.gradient(), axioms=["dumy"])
    with pytest.raises(BadInput, match="names none"):
        check_axioms(net, x, method=sg.gradient(), axioms=[])
    with pytest.raises(BadTarget, match="one target"):
        check_axioms(net, x, method=sg.gradient(), target=sg.Each(0, 1))
    with pytest.raises(BadTarget, match="class 7"):
        check_axioms(net, x, method=sg.gradient(), target=7)
    with pytest.raises(BadInput, match="tolerance"):
        check_axioms(net, x, method=sg.gradient(), tolerance=-1.0)
    with pytest.raises(BadInput, match="one input"):
        check_axioms(net, (x, x), method=sg.gradient())  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="call it"):
        check_axioms(net, x, method=sg.gradient)  # type: ignore[arg-type]
    with pytest.raises(ModelInTraining):
        check_axioms(Mlp(), x.float(), method=sg.gradient())


def test_several_maps_for_each_row_are_not_asked() -> None:
    net, x = NETS["mlp"]
    method = sg.Gradient().over(sg.Gaussian(0.2, 6), sg.Together(sg.Mean(), sg.Variance()))
    report = check_axioms(net, x, method=method)
    assert all("several maps for each row" in one.reason for one in report)


def test_every_axiom_says_what_it_is() -> None:
    assert tuple(AXIOMS) == ALL
    assert all(axiom.says and axiom.tolerance > 0 and axiom.check.__doc__ for axiom in AXIOMS.values())
    assert AXIOMS["input-shift invariance"].citations[0].year == 2017


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_not_asked(dtype: torch.dtype) -> None:
    net, x = NETS["mlp"]
    report = check_axioms(copy.deepcopy(net).to(dtype), x.to(dtype), method=sg.gradient())
    assert {one.holds for one in report} == {None}
    assert all("ask in float32: model.float(), x.float()" in one.reason for one in report)


def test_maps_of_zeros_pass_nothing() -> None:
    net, x = NETS["saturated"]
    report = check_axioms(net, torch.zeros_like(x), method=sg.input_x_gradient(), axioms=ALL)
    assert report["linearity"].holds is None
    assert "all that is compared is zero" in report["linearity"].reason
    assert not [one for one in report if one.holds and one.allowed == 0]
    mixed = torch.cat([torch.zeros_like(x[:1]), x[:1] - 1])
    found = check_axioms(net, mixed, method=sg.input_x_gradient(), axioms=["linearity"])["linearity"]
    assert found.holds
    assert found.allowed > 0
    exact = check_axioms(net, mixed, method=sg.input_x_gradient(), axioms=["dummy"], tolerance=0.0)["dummy"]
    assert exact.holds


@pytest.mark.parametrize("error", [TypeError, IndexError, ValueError])
def test_a_mistake_is_not_hidden_as_an_axiom_that_cannot_be_asked(error: type[Exception]) -> None:
    net, x = NETS["mlp"]
    seen: list[int] = []

    @final
    @dataclass(frozen=True, repr=False)
    class Mistaken(sg.Finish):
        def __call__(self, maps: torch.Tensor, query: sg.Query) -> torch.Tensor:
            seen.append(1)
            if len(seen) > 1:
                raise error("a mistake")
            return maps

    with pytest.raises(error, match="a mistake"):
        check_axioms(net, x, method=sg.gradient().then(Mistaken()), axioms=["dummy"])


def test_what_the_network_itself_raises_is_a_reason() -> None:
    class Picky(torch.nn.Module):
        """Takes no rows of zeros."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not bool(x.any(1).all()):
                raise TypeError("too dark")
            return torch.stack([x.square().sum(1), -x.sum(1)], 1)

    x = torch.tensor([[0.5, 1.9, 1.0]], dtype=torch.float64)
    report = check_axioms(Picky().eval(), x, method=sg.gradient(), target=0, axioms=["completeness", "sensitivity"])
    assert [one.holds for one in report] == [None, None]
    assert all("BadInput" in one.reason and "too dark" in one.reason for one in report)


def test_outputs_without_classes_are_asked_in_chunks() -> None:
    class Plain(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) <= 2
            return x.square().sum(1)

    x = NETS["mlp"][1].repeat(3, 1)
    report = check_axioms(Plain().eval(), x, method=sg.gradient(), target=lambda y: y, axioms=["dummy"], chunk=2)
    assert report["dummy"].holds
