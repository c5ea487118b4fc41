"""Methods x rows: every cell an Attribution of one row, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.compare import Failure, Row
from smoothgrad.errors import BadInput, BadMethod, BadNoise, BadTarget, ModelInTraining, SmoothGradError, UnknownName
from smoothgrad.measure.complexity import Gini
from smoothgrad.measure.deletion import Deletion
from smoothgrad.measure.localisation import EnergyInside
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


def partly_constant() -> Tensor:
    x = X.clone()
    x[1] = 0.5
    return x


def test_only_the_rows_to_blame_are_empty() -> None:
    net, x = small_net(), partly_constant()
    methods = {"plain": sg.gradient(), "smooth": SMOOTH}
    table = sg.compare(net, x, methods=methods, seed=5, keys=[7, 8, 9], target=torch.tensor([0, 1, 2]))
    assert [(name, label, failure.kind) for name, label, failure in table.failures] == [("row 1", "smooth", "BadNoise")]
    for place in (0, 2):
        cell = made(table.rows[place].cells[1])
        alone = sg.explain(net, x[place : place + 1], method=SMOOTH, seed=5, keys=[7 + place], target=place)
        assert close(cell.maps, alone.maps)
        assert (cell.keys.tolist(), cell.target.tolist(), cell.names) == ([7 + place], [place], (f"row {place}",))


def test_rows_with_several_targets_are_to_blame_together() -> None:
    table = sg.compare(small_net(), partly_constant(), methods=[SMOOTH], target=sg.Each(0, 1))
    assert [isinstance(row.cells[0], Failure) for row in table.rows] == [False, False, True, True, False, False]


def test_baselines_of_each_row_stay_with_theirs() -> None:
    x = partly_constant()
    baseline = torch.rand(3, 3, 8, 8)
    method = sg.smooth_integrated_gradients(baseline=sg.Given(baseline), samples=4)
    table = sg.compare(small_net(), x, methods=[method], target=1)
    assert [failure.kind for _, _, failure in table.failures] == ["BadNoise"]
    whole = sg.explain(small_net(), X, method=method, target=1)
    assert close(made(table.rows[2].cells[0]).maps, whole.maps[2:])


def test_what_every_row_would_raise_is_tried_once() -> None:
    calls = 0

    class Counted(Gelu):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return super().forward(x)

    sg.compare(Counted().eval(), X, methods=[sg.guided_backprop()], target=3)
    assert calls == 2  # a first look, and the one that fails


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


# --- measures ---------------------------------------------------------------------------------------------------------------------

METHODS = {"plain": sg.gradient(), "smooth": SMOOTH}
CONTROLS = ("random_map()", "sobel()", "uniform_map()")


def scored(x: Tensor = X, **changed: Any) -> sg.Scores:
    arguments: dict[str, Any] = {"methods": METHODS, "measures": [Deletion(), Gini()], "target": 1} | changed
    scores = sg.compare(small_net(), x, **arguments).scores
    assert scores is not None
    return scores


def test_measures_judge_every_map_and_the_controls() -> None:
    table = sg.compare(small_net(), X, methods=METHODS, measures=[Deletion(), Gini()], names=["a", "b", "c"])
    assert table.labels == ("plain", "smooth")
    assert all(len(row.cells) == 2 for row in table.rows)
    scores = table.scores
    assert scores is not None
    assert scores.methods == ("plain", "smooth", *CONTROLS)
    assert scores.controls == CONTROLS
    assert scores.measures == ("deletion", "gini")
    assert len(scores) == 5 * 2 * 3
    assert list(table.frame["picture"])[:3] == ["a", "b", "c"]
    assert table.frame.equals(scores.frame)


def test_scores_are_those_of_judge() -> None:
    net = small_net()
    scores = scored(seed=4, keys=[7, 8, 9])
    for label, method in METHODS.items():
        result = sg.explain(net, X, method=method, target=1, seed=4, keys=[7, 8, 9])
        alone = sg.judge(net, {label: result}, [Deletion(), Gini()])
        here = [one for one in scores.records if one.method == label]
        assert [one.value for one in here] == pytest.approx([one.value for one in alone.records], rel=1e-4)
        assert [one._replace(value=0, seconds=0) for one in here] == [
            one._replace(value=0, seconds=0) for one in alone.records
        ]


def test_controls_are_asked_for_and_never_twice() -> None:
    assert scored(controls=False).methods == ("plain", "smooth")
    twice = scored(methods={"plain": sg.gradient(), "mine": sg.random_map()})
    assert twice.methods == ("plain", "mine", "sobel()", "uniform_map()")
    assert twice.controls == ("mine", "sobel()", "uniform_map()")


def test_a_control_never_takes_the_label_of_a_method() -> None:
    methods = {"random_map()": sg.gradient(), "sobel()": SMOOTH, "sobel() (control)": sg.input_x_gradient()}
    table = sg.compare(small_net(), X, methods=methods, measures=[Gini()], target=1)
    assert table.scores is not None
    assert table.scores.methods == (*methods, "random_map() (control)", "sobel() (control) (control)", "uniform_map()")
    assert table.scores.controls == ("random_map() (control)", "sobel() (control) (control)", "uniform_map()")
    for label, method in methods.items():
        mine = [one for one in table.scores.records if one.method == label]
        assert {one.recipe for one in mine} == {sg.to_recipe(method)}
        alone = sg.judge(small_net(), sg.explain(small_net(), X, method=method, target=1), [Gini()])
        assert [one.value for one in mine] == pytest.approx([one.value for one in alone.records], rel=1e-4)


def test_batches_with_default_names_are_never_averaged() -> None:
    parts = [scored(torch.rand(3, 3, 8, 8), measures=[Gini()]) for _ in range(2)]
    joined = sg.Scores.joined(parts)
    assert joined.summary()["n"].tolist()[:2] == [6, 6]
    with pytest.raises(BadInput, match="has two scores"):
        sg.Scores.joined([parts[0], parts[0]])


def test_several_maps_per_row_are_to_be_judged_by_parts() -> None:
    together = sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Variance()))
    methods = {"both": together, "plain": sg.gradient()}
    table = sg.compare(small_net(), X, methods=methods, measures=[Gini()], controls=False)
    assert table.scores is not None
    assert table.failures == []
    lost = [one for one in table.scores.records if one.method == "both"]
    assert len(lost) == 3
    assert all(one.reason.startswith("BadInput: ") and "judge its parts: judge(" in one.reason for one in lost)
    assert not [one for one in table.scores.failures if one.method == "plain"]


@pytest.mark.parametrize("target", [1, sg.Each(0, 1)], ids=["one", "each"])
def test_regions_are_checked_before_any_map_is_made(target: Any) -> None:
    made: list[str] = []

    def ask(regions: Any) -> None:
        scored(
            measures=[EnergyInside()], target=target, regions=regions, progress=lambda label, _at: made.append(label)
        )

    for wrong in (
        [1],
        torch.ones(3, 8, 8),
        torch.ones(2, 8, 8, dtype=torch.bool),
        torch.ones(6, 8, 8, dtype=torch.bool),
    ):
        with pytest.raises(BadInput, match=r"regions is .*; give a bool tensor of shape \(3, 8, 8\)"):
            ask(wrong)
    with pytest.raises(BadInput, match="where the thing is"):
        ask(None)
    assert not made
    ask(torch.ones(3, 8, 8, dtype=torch.bool))
    assert made


def test_reasons_name_no_row_of_the_batch() -> None:
    x = X.clone()
    x[1], x[2] = 0.5, 0.5
    table = sg.compare(small_net(), x, methods=[SMOOTH], measures=[Gini()], controls=False)
    alone = sg.compare(small_net(), x[1:2], methods=[SMOOTH])
    reasons = {failure.reason for _, _, failure in [*table.failures, *alone.failures]}
    assert len(reasons) == 1
    assert reasons.pop().startswith("the row is constant (every value is 0.5)")
    assert table.scores is not None
    assert len({one.reason for one in table.scores.failures}) == 1
    with pytest.raises(BadNoise, match="row 1 of 3"):  # explain says which
        sg.explain(small_net(), x, method=SMOOTH)


def test_without_measures_there_are_no_scores() -> None:
    table = sg.compare(small_net(), X, methods=METHODS)
    assert table.scores is None
    assert "relative_error" in table.frame.columns


def test_a_map_that_is_missing_is_a_row_with_the_reason() -> None:
    scores = scored(partly_constant())
    assert len(scores) == 5 * 2 * 3
    lost = [one for one in scores.failures if one.method == "smooth"]
    assert [(one.picture, one.measure, one.key, one.class_name, one.target) for one in lost] == [
        ("row 1", "deletion", 1, "class 1", 1),
        ("row 1", "gini", 1, "class 1", 1),
    ]
    assert all(one.reason.startswith("BadNoise: ") for one in lost)
    frame = scores.summary()
    assert frame[(frame["method"] == "smooth") & (frame["measure"] == "gini")][["n", "failed"]].to_numpy().tolist() == [
        [2, 1]
    ]


def test_controls_that_refuse_the_rows_are_rows_with_the_reason() -> None:
    table = sg.compare(nn.Linear(6, 3).eval(), torch.rand(3, 6), methods=[sg.gradient()], measures={"g": Gini()})
    assert table.scores is not None
    assert {one.method: one.reason.partition(":")[0] for one in table.scores.failures if one.control} == {
        "sobel()": "BadInput"
    }
    assert table.failures == []


def test_at_a_layer_with_several_targets_and_regions() -> None:
    regions = torch.zeros(3, 8, 8, dtype=torch.bool)
    regions[:, 2:5, 2:5] = True
    here = scored(at="3", target=sg.Each(0, 1), measures=[EnergyInside()], regions=regions)
    assert len(here) == 5 * 6
    assert here.summary()["n"].tolist() == [3] * 5
    with pytest.raises(BadInput, match="where the thing is"):
        scored(measures=[EnergyInside()])


def test_scores_are_joined_with_their_comparisons() -> None:
    whole = scored()
    measures = [Deletion(), Gini()]
    parts = []
    for i in range(3):
        named: dict[str, Any] = {"keys": [i], "names": [f"row {i}"]}
        parts.append(sg.compare(small_net(), X[i : i + 1], methods=METHODS, measures=measures, target=1, **named))
    joined = sg.Comparison.joined(parts).scores
    assert joined is not None
    by_row = {(one.picture, one.method, one.measure): one.value for one in joined.records}
    for one in whole.records:
        assert by_row[one.picture, one.method, one.measure] == pytest.approx(one.value, rel=1e-4, nan_ok=True)
    plain = sg.compare(small_net(), X[:1], methods=METHODS)
    with pytest.raises(BadInput, match="all have scores, or that all have none"):
        sg.Comparison.joined([parts[0], plain])


def test_what_is_no_measure_is_refused_before_any_work() -> None:
    for wrong in ([Deletion], "deletion", ["deletion"], [sg.gradient()]):
        with pytest.raises(BadMethod, match="measure"):
            scored(measures=wrong)


def test_progress_of_judging() -> None:
    told: list[tuple[str, int, int]] = []
    scored(measures={"g": Gini()}, controls=False, judging=lambda *at: told.append(at))
    assert told == [("g", 3, 6), ("g", 6, 6)]


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
