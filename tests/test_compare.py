"""Methods x rows: every cell an Attribution of one row, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.compare import Failure, Row
from smoothgrad.errors import BadInput, BadMethod, BadTarget, ModelInTraining, SmoothGradError, UnknownName
from tests.nets import small_net

X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SMOOTH = sg.smoothgrad(samples=4)


class Gelu(nn.Module):
    """A network without ReLUs, where guided backprop has nothing to do."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.gelu(x).flatten(1)


def close(one: Tensor | None, other: Tensor | None) -> bool:
    """Equal to rounding, at the scale of the tensors: maps here are far below the tolerances that torch presumes."""
    assert one is not None
    assert other is not None
    return one.shape == other.shape and bool((one - other).abs().max() <= 1e-5 * other.abs().max())


def made(cell: sg.Attribution | Failure) -> sg.Attribution:
    assert isinstance(cell, sg.Attribution)
    return cell


def test_every_cell_is_what_explain_gives_for_its_row() -> None:
    net = small_net()
    methods = [sg.gradient(), SMOOTH, sg.integrated_gradients(steps=4)]
    table = sg.compare(net, X, methods=methods, target=2, seed=9, keys=[4, 5, 6])
    assert table.recipes == tuple(map(repr, methods))
    assert table.labels[0] == "gradient()"
    for place, row in enumerate(table.rows):
        for method, cell in zip(methods, row.cells, strict=True):
            alone = sg.explain(net, X, method=method, target=2, seed=9, keys=[4, 5, 6])[place]
            assert torch.equal(made(cell).maps, alone.maps)
            assert made(cell).keys.tolist() == [4 + place]
            assert len(made(cell)) == 1


def test_methods_with_the_same_noise_see_the_same_copies() -> None:
    methods = {
        "mean": SMOOTH,
        "square": sg.smoothgrad_squared(samples=4),
        "variance": sg.vargrad(samples=4),
    }
    for row in sg.compare(small_net(), X, methods=methods).rows:
        mean, square, variance = (made(cell).maps for cell in row.cells)
        # E[g^2] = E[g]^2 + Var[g] (n - 1) / n, to rounding, only if the draws are the same ones
        assert close(square, mean.square() + variance * 3 / 4)


def test_the_order_of_methods_changes_nothing() -> None:
    net = small_net()
    one = sg.compare(net, X, methods={"a": SMOOTH, "b": sg.vargrad(samples=4)})
    other = sg.compare(net, X, methods={"b": sg.vargrad(samples=4), "a": SMOOTH})
    for here, there in zip(one.rows, other.rows, strict=True):
        assert torch.equal(made(here.cells[0]).maps, made(there.cells[1]).maps)
        assert torch.equal(made(here.cells[1]).maps, made(there.cells[0]).maps)


def test_labels_and_names_are_the_users_own() -> None:
    table = sg.compare(small_net(), X, methods={"plain": sg.gradient(), "smooth": SMOOTH}, names=["a", "b", "c"])
    assert table.labels == ("plain", "smooth")
    assert table.recipes == ("Gradient()", repr(SMOOTH))
    assert [row.name for row in table.rows] == ["a", "b", "c"]
    unnamed = sg.compare(small_net(), X, methods=[sg.gradient()])
    assert [row.name for row in unnamed.rows] == ["row 0", "row 1", "row 2"]


def test_at_a_layer() -> None:
    table = sg.compare(small_net(), X, methods=[sg.gradient()], at="3", target=1)
    expected = sg.explain(small_net(), X, method=sg.gradient(), at="3", target=1)
    assert torch.equal(made(table.rows[2].cells[0]).maps, expected.maps[2:])


# --- failures -------------------------------------------------------------------------------------------------------------------


def partly_failed() -> Any:
    return sg.compare(Gelu().eval(), X, methods={"plain": sg.gradient(), "guided": sg.guided_backprop()}, target=3)


def test_a_method_that_fails_says_why_and_the_others_go_on() -> None:
    table = partly_failed()
    for row in table.rows:
        plain, guided = row.cells
        assert isinstance(plain, sg.Attribution)
        assert isinstance(guided, Failure)
        assert guided.kind == "RuleDidNothing"
        assert "no ReLU in Gelu" in guided.reason
    assert [(name, label, failure.kind) for name, label, failure in table.failures] == [
        (f"row {number}", "guided", "RuleDidNothing") for number in range(3)
    ]


def test_noise_that_means_nothing_is_a_failure_of_its_method() -> None:
    table = sg.compare(small_net(), torch.ones(1, 3, 8, 8), methods=[sg.gradient(), SMOOTH])
    assert isinstance(table.rows[0].cells[0], sg.Attribution)
    assert [failure.kind for _, _, failure in table.failures] == ["BadNoise"]


def test_no_failures_where_all_went_well() -> None:
    assert sg.compare(small_net(), X, methods=[sg.gradient()]).failures == []


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"model": small_net().train()}, ModelInTraining),
        ({"x": X * torch.nan}, BadInput),
        ({"x": X.numpy()}, BadInput),
        ({"target": 99}, BadTarget),
        ({"at": "nowhere"}, UnknownName),
        ({"names": ["one"]}, BadInput),
        ({"methods": []}, BadMethod),
        ({"methods": [sg.smoothgrad]}, BadMethod),
        ({"methods": {"a": "smoothgrad()"}}, BadMethod),
        ({"methods": sg.gradient()}, BadMethod),
        ({"methods": "gradient()"}, BadMethod),
    ],
    ids=["training", "NaN", "numpy", "class", "layer", "names", "none", "not called", "text", "one", "one text"],
)
def test_a_fault_of_the_question_is_raised(changed: dict[str, Any], error: type[SmoothGradError]) -> None:
    arguments: dict[str, Any] = {"model": small_net(), "x": X, "methods": [sg.gradient(), SMOOTH]} | changed
    with pytest.raises(error):
        sg.compare(arguments.pop("model"), arguments.pop("x"), **arguments)


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_inputs_are_sent_to_explain(kind: Any) -> None:
    with pytest.raises(BadInput, match=r"compare takes one input.* explain\(model, \(a, b\), method=.*context=\(b,\)"):
        sg.compare(small_net(), kind([X, X]), methods=[SMOOTH])


def test_the_users_interrupt_is_no_failure() -> None:
    def stop(_label: str, _at: sg.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sg.compare(small_net(), X, methods=[sg.gradient()], progress=stop)


# --- what can be made of it -------------------------------------------------------------------------------------------------------


def test_the_frame_has_a_row_for_each_cell() -> None:
    net = sg.load("digits")
    methods = {"smooth": SMOOTH, "path": sg.integrated_gradients(steps=4), "plain": sg.gradient()}
    table = sg.compare(net, net.samples(2), methods=methods, names=net.sample_names(2), seed=3)
    frame = table.frame
    assert list(frame.columns) == [
        *(
            "picture",
            "method",
            "recipe",
            "seed",
            "key",
            "class",
            "target",
            "score",
            "relative_error",
            "reproducibility",
            "completeness_error",
        ),
        *("draws", "passes", "seconds", "model", "fingerprint", "failure"),
    ]
    assert list(frame["method"]) == ["smooth", "path", "plain"] * 2
    assert list(frame["picture"]) == [name for name in net.sample_names(2) for _ in range(3)]
    assert list(frame["passes"]) == [4, 4, 1] * 2
    assert set(frame["seed"]) == {3}
    assert list(frame["class"]) == ["0"] * 3 + ["1"] * 3
    assert frame["relative_error"].notna().tolist() == [True, False, False] * 2
    assert frame["completeness_error"].notna().tolist() == [False, True, False] * 2
    first = made(table.rows[0].cells[0])
    assert first.relative_error is not None
    assert frame["relative_error"][0] == float(first.relative_error)
    assert frame["failure"].isna().all()


def test_the_frame_says_why_a_cell_is_empty() -> None:
    frame = partly_failed().frame
    guided = frame[frame["method"] == "guided"]
    assert len(guided) == 3
    assert guided["failure"].str.startswith("RuleDidNothing: Guided() found no ReLU").all()
    assert guided["score"].isna().all()


def test_a_contrast_has_no_single_class_in_the_frame() -> None:
    frame = sg.compare(small_net(), X, methods=[sg.gradient()], target=sg.Contrast(sg.Class(0), sg.Class(1))).frame
    assert set(frame["class"]) == {"class 0 rather than class 1"}
    assert frame["target"].isna().all()


def texts(page: Any) -> str:
    found = [text.get_text() for text in page.texts] + [text.get_text() for axes in page.axes for text in axes.texts]
    return "\n".join(found)


def test_the_figure_has_rows_and_columns_by_name() -> None:
    table = sg.compare(small_net(), X[:2], methods={"plain": sg.gradient(), "smooth": SMOOTH}, names=["one", "two"])
    said = texts(table.figure())
    assert [word for word in ("input", "plain", "smooth", "one", "two") if word not in said] == []
    assert len(table.figure(errors=True).axes) > len(table.figure().axes)


def test_the_figure_leaves_failed_cells_empty() -> None:
    table = partly_failed()
    whole = sg.compare(Gelu().eval(), X, methods={"plain": sg.gradient(), "again": sg.input_x_gradient()}, target=3)
    assert len(table.figure().axes) < len(whole.figure().axes)
    assert "guided" in texts(table.figure())


def test_a_figure_of_failures_alone_is_refused() -> None:
    table = sg.compare(Gelu().eval(), X, methods=[sg.guided_backprop()], target=3)
    with pytest.raises(BadInput, match=r"all 3 cells failed; see .failures"):
        table.figure()


def test_features_have_a_figure_without_pictures() -> None:
    net = nn.Linear(6, 3).eval()
    said = texts(sg.compare(net, torch.rand(2, 6), methods={"plain": sg.gradient()}).figure())
    assert "plain" in said
    assert "input" not in said.splitlines()


def test_comparisons_are_joined_row_below_row() -> None:
    net, methods = small_net(), [sg.gradient(), SMOOTH]
    parts = [sg.compare(net, X[i : i + 1], methods=methods, keys=[i], names=[f"p{i}"]) for i in range(3)]
    joined = sg.Comparison.joined(parts)
    whole = sg.compare(net, X, methods=methods)
    assert [row.name for row in joined.rows] == ["p0", "p1", "p2"]
    for here, there in zip(joined.rows, whole.rows, strict=True):
        for one, other in zip(here.cells, there.cells, strict=True):
            assert close(made(one).maps, made(other).maps)
    assert len(joined.frame) == 6


def test_only_comparisons_of_the_same_methods_are_joined() -> None:
    one, other = (sg.compare(small_net(), X, methods=[method]) for method in (sg.gradient(), SMOOTH))
    for parts in ([], [one, other]):
        with pytest.raises(BadInput, match="comparisons of the same methods"):
            sg.Comparison.joined(parts)


def test_progress_says_which_method_is_at_work() -> None:
    seen: list[tuple[str, int, int]] = []
    sg.compare(
        small_net(),
        X,
        methods={"plain": sg.gradient(), "smooth": SMOOTH},
        chunk=6,
        progress=lambda label, at: seen.append((label, at.done, at.total)),
    )
    assert seen == [("plain", 3, 3), ("smooth", 6, 12), ("smooth", 12, 12)]


def test_a_comparison_can_be_put_together_by_hand() -> None:
    cell = sg.explain(small_net(), X[:1], method=sg.gradient())
    table = sg.Comparison(("a", "b"), ("Gradient()", "?"), (Row("mine", (cell, Failure("OSError", "gone"))),))
    assert table.failures == [("mine", "b", Failure("OSError", "gone"))]
    assert list(table.frame["failure"])[1] == "OSError: gone"
