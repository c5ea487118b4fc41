"""What is asked of the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadTarget
from smoothgrad.recipe import target_from_recipe
from smoothgrad.targets import as_target
from tests.nets import small_net

OUTPUT = torch.tensor([[1.0, 5.0, 2.0], [3.0, -1.0, 0.5]])


def read(target: sg.Target, output: Tensor = OUTPUT) -> list[float]:
    return target.score(output, target.resolve(output)).tolist()


def test_top_is_the_class_of_highest_score_by_rank() -> None:
    assert sg.Top().resolve(OUTPUT).tolist() == [1, 0]
    assert sg.Top(1).resolve(OUTPUT).tolist() == [2, 2]
    assert read(sg.Top(2)) == [1.0, -1.0]


def test_a_class_for_all_and_a_class_for_each() -> None:
    assert read(sg.Class(2)) == [2.0, 0.5]
    assert read(sg.Classes((2, 0))) == [2.0, 3.0]


def test_a_target_that_was_resolved_stays_whatever_the_output_becomes() -> None:
    index = sg.Top().resolve(OUTPUT)
    assert sg.Top().score(-OUTPUT, index).tolist() == [-5.0, -3.0]


def test_contrast_is_a_difference_of_scores() -> None:
    assert read(sg.Contrast()) == [3.0, 2.5]
    assert read(sg.Contrast(sg.Class(0), sg.Classes((1, 2)))) == [-4.0, 2.5]
    assert sg.Contrast().resolve(OUTPUT).tolist() == [[1, 2], [0, 2]]


def test_probability_is_the_softmax_of_the_class() -> None:
    expected = OUTPUT.softmax(1)[[0, 1], [1, 0]]
    torch.testing.assert_close(torch.tensor(read(sg.Probability())), expected)
    torch.testing.assert_close(torch.tensor(read(sg.Probability(sg.Top(), log=True))), expected.log())
    far = torch.tensor([[2000.0, 0.0]])
    assert read(sg.Probability(sg.Class(1), log=True), far) == [-2000.0], "the logarithm does not underflow"


def test_a_callable_reads_any_output() -> None:
    maps = torch.arange(24.0).view(2, 3, 2, 2)
    target = sg.Score(lambda output: output.mean((1, 2, 3)))
    assert read(target, maps) == [5.5, 17.5]
    assert target.resolve(maps).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (None, sg.Top()),
        (3, sg.Class(3)),
        (torch.tensor(3), sg.Class(3)),
        (torch.tensor([1, 2]), sg.Classes((1, 2))),
        (torch.tensor([1, 2], dtype=torch.int32), sg.Classes((1, 2))),
        (sg.Probability(), sg.Probability()),
    ],
)
def test_short_forms(given: object, target: sg.Target) -> None:
    assert as_target(given) == target  # type: ignore[arg-type]


def test_a_callable_becomes_a_score() -> None:
    assert as_target(torch.sum) == sg.Score(torch.sum)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (True, "the target is True; give a class index"),
        ("cat", "the target is a str"),
        (1.5, "the target is a float"),
        ([1, 2], "the target is a list"),
        (torch.tensor([1.0]), r"must be integers of shape \(N,\), got torch\.float32"),
        (torch.tensor([[1]]), r"of shape \(1, 1\)"),
        (torch.tensor([True]), r"torch\.bool"),
    ],
    ids=repr,
)
def test_what_is_no_target_is_refused(given: object, reason: str) -> None:
    with pytest.raises(BadTarget, match=reason):
        as_target(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (sg.Class(3), "class 3 of a network with 3 classes; give 0 to 2"),
        (sg.Class(-1), "class -1 of a network"),
        (sg.Classes((0, 7)), "class 7 of a network"),
        (sg.Classes((0,)), "1 targets for 2 rows"),
        (sg.Top(3), r"Top\(rank=3\) of 3 classes; ranks go from 0 to 2"),
        (sg.Contrast(sg.Class(0), sg.Class(9)), "class 9"),
        (sg.Probability(sg.Class(9)), "class 9"),
    ],
    ids=repr,
)
def test_classes_that_are_not_there_are_refused(target: sg.Target, reason: str) -> None:
    with pytest.raises(BadTarget, match=reason):
        target.resolve(OUTPUT)


@pytest.mark.parametrize(
    "target", [sg.Top(), sg.Class(0), sg.Classes((0, 0)), sg.Contrast(), sg.Probability()], ids=repr
)
@pytest.mark.parametrize("output", [torch.zeros(2), torch.zeros(2, 3, 4)], ids=["flat", "deep"])
def test_an_output_without_classes_needs_a_callable(target: sg.Target, output: Tensor) -> None:
    with pytest.raises(BadTarget, match=r"not \(rows, classes\); give a callable that makes one score per row"):
        target.resolve(output)


def test_pieces_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(BadTarget, match="Top needs rank >= 0, got -1"):
        sg.Top(-1)
    with pytest.raises(BadTarget, match="Contrast takes Top, Class or Classes on both sides"):
        sg.Contrast(sg.Probability(), sg.Top())
    with pytest.raises(BadTarget, match="Probability takes Top, Class or Classes"):
        sg.Probability(sg.Contrast())


def test_a_class_against_itself_is_refused() -> None:
    output = torch.tensor([[1.0, 5.0, 2.0]])
    for pair in (sg.Contrast(sg.Top(), sg.Top()), sg.Contrast(sg.Class(1), sg.Top())):
        with pytest.raises(BadTarget, match="compares class 1 with itself in row 0"):
            pair.resolve(output)


def test_the_softmax_of_one_output_is_refused() -> None:
    with pytest.raises(BadTarget, match=r"always 1.*sigmoid"):
        sg.Probability().resolve(torch.zeros(2, 1))


def test_each_target_has_a_map_of_its_own_from_the_same_points() -> None:
    net, x = small_net(), torch.rand(3, 3, 8, 8)
    method = sg.smoothgrad(samples=12)
    target = sg.Each(sg.Top(), 3, sg.Top(rank=1))
    together = sg.explain(net, x, method=method, target=target, seed=5, chunk=4)
    assert len(together) == 9
    for place, alone in enumerate(target.targets):
        result = sg.explain(net, x, method=method, target=alone, seed=5)
        some = together[place::3]
        torch.testing.assert_close(some.maps, result.maps, rtol=1e-4, atol=1e-7)
        assert some.target.tolist() == result.target.tolist()
        assert some.keys.tolist() == [0, 1, 2]
        for name in ("score", "stderr", "x", "reproducibility", "freedom", "draws", "output"):
            torch.testing.assert_close(getattr(some, name), getattr(result, name), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    [
        sg.smoothgrad(samples=sg.Until(tolerance=0.3, least=4, most=64)),
        sg.smooth_integrated_gradients(samples=16, baseline=sg.Adversarial()),
        sg.integrated_gradients(tolerance=0.01),
        sg.integrated_gradients(steps=3, baseline=sg.Given(torch.rand(2, 3, 8, 8))),
        sg.integrated_gradients(steps=3).over(sg.Gaussian(samples=4), sg.Variance()),
        sg.expected_gradients(torch.rand(5, 3, 8, 8), samples=8),
        sg.guided_backprop(),
        sg.rectgrad(),
    ],
    ids=repr,
)
def test_every_kind_of_method_explains_each_target_as_if_alone(method: sg.Explainer) -> None:
    net, x = small_net(), torch.rand(2, 3, 8, 8)
    together = sg.explain(net, x, method=method, target=sg.Each(0, 1, 2))
    for place in range(3):
        alone = sg.explain(net, x, method=method, target=place)
        torch.testing.assert_close(together[place::3].maps, alone.maps, rtol=1e-3, atol=1e-6)
        assert together[place::3].draws.tolist() == alone.draws.tolist()
        if alone.completeness is not None:
            torch.testing.assert_close(together[place::3].completeness, alone.completeness, rtol=1e-3, atol=1e-5)


def test_targets_together_cost_one_forward_pass_for_all() -> None:
    class Counted(nn.Module):
        rows = 0

        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()
            self.eval()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            type(self).rows += len(x)
            return self.net(x)

    x = torch.rand(2, 3, 8, 8)
    sg.explain(Counted(), x, method=sg.smoothgrad(samples=10), target=sg.Each(*range(5)), chunk=3)
    assert Counted.rows <= 2 * 10 + 10  # and the first look


def test_a_class_named_twice_has_two_maps() -> None:
    result = sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=sg.smoothgrad(samples=4), target=sg.Each(2, 2))
    assert torch.equal(result.maps[0], result.maps[1])


@pytest.mark.parametrize("wrong", [(), (sg.Each(1),), (sg.Probability(),)], ids=repr)
def test_what_each_cannot_hold_is_refused(wrong: tuple[sg.Target, ...]) -> None:
    with pytest.raises(BadTarget, match="Each takes one or more of Top, Class, Classes or Contrast"):
        sg.Each(*wrong)


def test_each_is_a_value_and_a_line_of_text() -> None:
    target = sg.Each(sg.Top(), 3)
    assert repr(target) == "Each(Top(rank=0), Class(index=3))"
    assert target_from_recipe(repr(target)) == target
    assert hash(target) == hash(sg.Each(sg.Top(), sg.Class(3)))


def test_a_comparison_has_a_row_for_each_target() -> None:
    table = sg.compare(
        small_net(),
        torch.rand(2, 3, 8, 8),
        methods=[sg.gradient(), sg.smoothgrad(samples=4)],
        target=sg.Each(0, 3),
        names=["a", "b"],
    )
    assert [row.name for row in table.rows] == ["a", "a", "b", "b"]
    assert [int(row.cells[1].target) for row in table.rows if isinstance(row.cells[1], sg.Attribution)] == [0, 3, 0, 3]


def test_a_contrast_shares_the_passes_of_its_classes() -> None:
    net, x = small_net(), torch.rand(2, 3, 8, 8)
    method = sg.smoothgrad(samples=12)
    target = sg.Each(sg.Top(), sg.Contrast(), 3)
    together = sg.explain(net, x, method=method, target=target)
    for place, alone in enumerate(target.targets):
        result = sg.explain(net, x, method=method, target=alone)
        torch.testing.assert_close(together[place::3].maps, result.maps, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(together[place::3].score, result.score)
        assert [together.target_name(place + 3 * row) for row in range(2)] == [
            result.target_name(row) for row in range(2)
        ]


def test_rectgrad_sees_each_point_alone_also_when_targets_have_left() -> None:
    net, x = small_net(), torch.rand(2, 3, 8, 8)
    method = sg.smoothgrad(rule=sg.Rectified(80.0), samples=sg.Until(tolerance=0.5, least=4, most=64))
    together = sg.explain(net, x, method=method, target=sg.Each(0, 1, 2))
    for place in range(3):
        alone = sg.explain(net, x, method=method, target=place)
        torch.testing.assert_close(together[place::3].maps, alone.maps, rtol=1e-3, atol=1e-6)
