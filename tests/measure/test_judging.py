"""Judging maps: the question asked again, every row with its score or the reason why there is none."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.noise import salted, uniform
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import content_key
from smoothgrad.errors import BadInput, BadMethod, BadTarget, MissingPackage, ModelInTraining, SmoothGradError
from smoothgrad.measure.asking import asked_at
from smoothgrad.measure.case import Case, Curve, Judged, judged
from smoothgrad.measure.complexity import Gini
from smoothgrad.measure.deletion import Deletion
from smoothgrad.measure.judging import judge
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.recipe import measure_from_recipe
from smoothgrad.measure.scores import Scores
from smoothgrad.measure.scoring import BROKEN
from smoothgrad.models.prepare import Prepared
from smoothgrad.recipe import target_from_recipe
from tests.nets import small_net
from tests.truth import Linear

X = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SEEN: list[Case] = []


@final
@dataclass(frozen=True, repr=False)
class Total(Measure):
    """The sum of the map; keeps the cases that it is shown."""

    unit = "score"

    def judge(self, case: Case) -> Judged:
        SEEN.append(case)
        return judged(case.maps.flatten(1).sum(1))


@final
@dataclass(frozen=True, repr=False)
class AtInput(Measure):
    """The score that the model gives for the rows."""

    def judge(self, case: Case) -> Judged:
        return judged(asked_at(case.model, case.query, case.schedule, 1, lambda _steps: case.query.x[None])[:, 0])


@final
@dataclass(frozen=True, repr=False)
class Chancy(Measure):
    """A number of chance, with an error and a curve."""

    better = "lower"

    def judge(self, case: Case) -> Judged:
        value = uniform(salted(case.query.key, "test"), range(1), torch.Size([4]))[0]
        curve = Curve(torch.arange(4.0), value, "place", "chance", tuple("abcd"))
        return judged(value.mean(1), stderr=value.std(1), curve=curve)


@final
@dataclass(frozen=True, repr=False)
class Picky(Measure):
    """Refuses rows whose key is named: all that come with them, too."""

    limit: float = 0.5
    when: str = "judging"

    def check(self, case: Case) -> None:
        if self.when == "checking":
            self._refuse(case)

    def judge(self, case: Case) -> Judged:
        self._refuse(case)
        return judged(torch.ones(len(case)))

    def _refuse(self, case: Case) -> None:
        if bool((case.query.x.flatten(1)[:, 0] > self.limit).any()):
            raise BadMethod("the first value is too large")


@final
@dataclass(frozen=True, repr=False)
class Numbering(Measure):
    """Refuses as explainers do, by the number of the row in the batch."""

    def judge(self, case: Case) -> Judged:
        bad = (case.query.x.flatten(1)[:, 0] > 0.5).nonzero().flatten()
        if len(bad):
            raise BadMethod(f"the gradient of row {int(case.query.row[bad[0]])} holds NaN")
        return judged(torch.ones(len(case)))


@final
@dataclass(frozen=True, repr=False)
class Again(Measure):
    """Whether the method makes the same maps again."""

    needs_method = True

    def judge(self, case: Case) -> Judged:
        return judged((case.explained(case.query) - case.maps).flatten(1).abs().amax(1))


@final
@dataclass(frozen=True, repr=False)
class Inside(Measure):
    """The share of the map inside."""

    needs_regions = True

    def judge(self, case: Case) -> Judged:
        assert case.regions is not None
        return judged((case.maps.sum(1) * case.regions).flatten(1).sum(1))


@final
@dataclass(frozen=True, repr=False)
class Lacking(Measure):
    """Needs what is not installed."""

    def judge(self, case: Case) -> Judged:
        raise MissingPackage("install it")


def explained(**changed: Any) -> sg.Attribution:
    arguments = {"method": sg.smoothgrad(samples=4), "seed": 3, "keys": [7, 8, 9, 10, 11]} | changed
    return sg.explain(small_net(), X, **arguments)


def values(scores: Scores) -> list[float]:
    return [one.value for one in scores.records]


# --- the question ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        None,
        2,
        torch.tensor([0, 1, 2, 3, 4]),
        sg.Probability(sg.Class(1)),
        sg.Probability(log=True),
        sg.Contrast(),
        sg.Each(1, sg.Top(rank=1)),
        sg.Each(sg.Contrast(), 3),
    ],
    ids=["top", "class", "classes", "probability", "log", "contrast", "each", "mixed"],
)
def test_the_score_that_was_explained_is_asked_again(target: Any) -> None:
    result = explained(target=target, method=sg.gradient())
    scores = judge(small_net(), result, [AtInput()])
    assert values(scores) == pytest.approx(result.score.tolist(), rel=1e-5)
    assert [one.class_name for one in scores.records] == [result.target_name(row) for row in range(len(result))]


def test_a_function_is_given_again() -> None:
    def loudest(output: Tensor) -> Tensor:
        return output.logsumexp(1)

    result = explained(target=loudest, method=sg.gradient())
    scores = judge(small_net(), result, [AtInput()], target=loudest)
    assert values(scores) == pytest.approx(result.score.tolist(), rel=1e-5)
    assert scores.records[0].target is None
    with pytest.raises(BadTarget, match="a function of yours, which they do not hold; give it: target="):
        judge(small_net(), result, [Gini()])
    with pytest.raises(BadTarget, match="leave target out"):
        judge(small_net(), explained(), [Gini()], target=2)


def test_keys_and_seed_are_those_of_the_maps() -> None:
    SEEN.clear()
    result = explained()
    judge(small_net(), result, [Total()])
    whole = torch.cat([case.query.key for case in SEEN])
    assert torch.equal(whole, Query.of(X, 0, seed=3, keys=torch.tensor([7, 8, 9, 10, 11])).key)
    # so that the same method makes the same maps
    assert max(values(judge(small_net(), result, [Again()]))) < 1e-6


def test_maps_at_a_layer_are_judged_there() -> None:
    net = small_net()
    result = sg.explain(net, X, method=sg.smoothgrad(samples=4), at="3", target=1)
    scores = judge(net, result, [Again(), AtInput()], context=(X,))
    assert max(one.value for one in scores.records if one.measure == repr(Again())) < 1e-6
    assert [one.value for one in scores.records if one.measure == repr(AtInput())] == pytest.approx(
        result.score.tolist(), rel=1e-5
    )
    with pytest.raises(BadInput, match=r"are at layer '3'; .* context=\(x,\)"):
        judge(net, result, [Gini()])
    with pytest.raises(BadInput, match=r"layer '3' does not answer what the maps of .* explain"):
        judge(net, result, [Gini()], context=(1 - X,))
    module = sg.explain(net, X, method=sg.gradient(), at=net[3], target=1)
    assert len(judge(net, module, [Gini()], context=(X,))) == 5


def test_other_inputs_of_the_network_go_along() -> None:
    class Shifted(nn.Module):
        def forward(self, x: Tensor, shift: Tensor) -> Tensor:
            return (x + shift).square()

    net, x, shift = Shifted().eval(), torch.rand(3, 4), torch.rand(3, 4)
    result = sg.explain(net, x, method=sg.gradient(), target=1, context=(shift,))
    assert values(judge(net, result, [AtInput()], context=(shift,))) == pytest.approx(result.score.tolist())


def test_the_network_and_the_maps_are_left_as_they_are() -> None:
    net, result = small_net(), explained()
    before = {name: part.clone() for name, part in net.state_dict().items()}
    maps = result.maps.clone()
    judge(net, result, [Deletion(), Gini(), Again()])
    assert torch.equal(result.maps, maps)
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert not net.training


def test_a_prepared_copy_is_asked_where_it_pays_and_the_users_own_stands_beside_it() -> None:
    net = small_net()
    for rows, copied in ((5, True), (1, False)):
        SEEN.clear()
        judge(net, explained()[:rows], [Total()])
        assert isinstance(SEEN[0].model, Prepared) == copied
        assert SEEN[0].network is net


# --- the table -----------------------------------------------------------------------------------------------------------


def test_each_row_method_and_measure_has_a_record() -> None:
    results = {"plain": explained(method=sg.gradient()), "smooth": explained()}
    scores = judge(small_net(), results, {"sum": Total(), "deletion": Deletion(), "luck": Chancy()})
    assert scores.methods == ("plain", "smooth")
    assert scores.measures == ("sum", "deletion", "luck")
    assert len(scores) == 2 * 3 * 5
    first = scores.records[0]
    assert first.picture == "row 0"
    assert (first.key, first.seed, first.model, first.target) == (7, 3, "Sequential", int(results["plain"].target[0]))
    assert first.fingerprint == results["plain"].provenance["fingerprint"]
    assert (first.measure_recipe, first.better, first.unit, first.control) == ("Total()", "higher", "score", False)
    assert first.value == pytest.approx(float(results["plain"].maps[0].sum()), rel=1e-4)
    assert first.stderr is None
    lucky = scores.records[-1]
    assert lucky.stderr is not None
    assert lucky.better == "lower"
    curve = scores.curves[-1]
    assert curve is not None
    assert curve.ticks == tuple("abcd")
    assert float(curve.y.mean()) == pytest.approx(lucky.value)
    assert scores.curves[0] is None
    assert all(one.seconds >= 0 for one in scores.records)


def test_labels_of_one_result_are_the_names_in_the_tables() -> None:
    result = replace(explained(), names=tuple("abcde"))
    scores = judge(small_net(), result, [Deletion(), Deletion(steps=8)])
    assert scores.methods == ("smoothgrad(noise=0.15, samples=4)",)
    assert scores.measures == ("deletion", "Deletion(steps=8)")
    assert [one.picture for one in scores.records[:5]] == list("abcde")


def test_controls_are_known_by_their_recipe() -> None:
    methods = {"chance": sg.random_map(), "edges": sg.sobel().then(sg.Absolute()), "real": sg.gradient()}
    results = {label: explained(method=method) for label, method in methods.items()}
    assert judge(small_net(), results, [Gini()]).controls == ("chance", "edges")


def test_scores_do_not_depend_on_chunk_batch_or_order() -> None:
    result = explained()
    measures = [Deletion(), Chancy(), Total()]
    whole = judge(small_net(), result, measures)
    for chunk in (1, 3):
        assert values(judge(small_net(), result, measures, chunk=chunk)) == pytest.approx(values(whole), rel=1e-4)
    for row in range(5):
        alone = judge(small_net(), result[row], measures)
        assert values(alone) == pytest.approx(values(whole)[row::5], rel=1e-4)


def test_at_most_a_chunk_of_rows_at_a_time() -> None:
    SEEN.clear()
    judge(small_net(), explained(), [Total()], chunk=2)
    assert [len(case) for case in SEEN] == [2, 2, 1]


def test_it_is_what_the_measure_says_by_itself() -> None:
    result = explained()
    query = Query.of(X, result.target, seed=3, keys=result.keys)
    alone = Deletion()(small_net(), query, result.maps, schedule=Schedule(64))
    assert values(judge(small_net(), result, [Deletion()])) == pytest.approx(alone.tolist(), rel=1e-5)


def test_a_record_is_enough_to_repeat_it() -> None:
    net = small_net()
    results = {"smooth": explained(), "path": explained(method=sg.integrated_gradients(steps=4))}
    scores = judge(net, results, [Deletion(steps=16), Chancy()])
    for one in (scores.records[2], scores.records[13]):
        row = results["smooth"].keys.tolist().index(one.key)
        again = sg.explain(
            net, X[row : row + 1], method=sg.from_recipe(one.recipe), target=one.target, seed=one.seed, keys=[one.key]
        )
        alone = judge(net, again, [measure_from_recipe(one.measure_recipe)])
        assert values(alone) == pytest.approx([one.value], rel=1e-4)


TARGETS_AS_TEXT = {
    "class": (2, "Class(2)"),
    "probability": (sg.Probability(sg.Class(1)), "Probability(Class(1))"),
    "log": (sg.Probability(sg.Class(1), log=True), "Probability(Class(1), log=True)"),
    "contrast": (sg.Contrast(sg.Class(3), sg.Class(0)), "Contrast(Class(3), Class(0))"),
    "each": (sg.Each(3, sg.Contrast(sg.Class(3), sg.Class(0))), "Class(3)"),
    "function": (lambda output: output.logsumexp(1), "function"),
}


@pytest.mark.parametrize(("target", "asked"), TARGETS_AS_TEXT.values(), ids=TARGETS_AS_TEXT)
@pytest.mark.parametrize("layer", [None, "3"])
def test_a_record_says_what_was_asked_and_where(target: Any, asked: str, layer: str | None) -> None:
    net, double = small_net().double(), X.double()
    result = sg.explain(net, double, method=sg.smoothgrad(samples=4), target=target, at=layer, seed=3)
    given: dict[str, Any] = {"context": (double,) if layer else ()} | ({"target": target} if callable(target) else {})
    record = judge(net, result, [Total()], **given).records[0]
    assert (record.asked, record.layer, record.precision) == (asked, layer or "", "float64")
    assert record.digest == hashlib.sha256(X[0].numpy().tobytes()).hexdigest()[:16]  # of the input, at a layer too
    goal = target if asked == "function" else target_from_recipe(record.asked)
    again = sg.explain(
        net, double[:1], method=sg.from_recipe(record.recipe), target=goal, at=record.layer or None, seed=record.seed
    )
    assert float(again.maps.sum()) == pytest.approx(record.value, rel=1e-6)


def test_the_digest_is_the_content_of_a_row_wherever_it_stands() -> None:
    digests = [one.digest for one in judge(small_net(), explained(), [Total()]).records]
    assert len(set(digests)) == 5
    for row in range(5):
        assert judge(small_net(), explained()[row], [Total()]).records[0].digest == digests[row]
        assert content_key(X[row : row + 1]) == int(digests[row], 16) >> 11  # the command line's keys are of the same


def test_a_perfect_map_is_better_than_a_random_one() -> None:
    w = torch.tensor([2.0, -1.0, 0.5, 4.0, 1.0, -3.0])
    net, x = Linear(w), torch.rand(8, 6) + 0.1
    maps = {"perfect": sg.input_x_gradient(), "chance": sg.random_map()}
    results = {label: sg.explain(net, x, method=method, target=0) for label, method in maps.items()}
    frame = judge(net, results, [Deletion()]).summary()
    assert frame["rank"].tolist() == [1, 2]


def test_progress_counts_rows_times_measures() -> None:
    told: list[tuple[str, int, int]] = []
    results = {"a": explained()[:3], "b": explained()[:3]}
    judge(small_net(), results, {"sum": Total(), "gini": Gini()}, chunk=2, progress=lambda *at: told.append(at))
    assert told == [
        *[("sum", 2, 12), ("sum", 3, 12), ("gini", 5, 12), ("gini", 6, 12)],
        *[("sum", 8, 12), ("sum", 9, 12), ("gini", 11, 12), ("gini", 12, 12)],
    ]


# --- what cannot be judged ---------------------------------------------------------------------------------------------


def test_a_broken_map_is_a_row_with_the_reason_and_the_others_are_judged() -> None:
    result = explained()
    maps = result.maps.clone()
    maps[1, 0, 3, 3], maps[4, 2, 0, 0] = torch.nan, -torch.inf
    maps[2] = 0.0
    scores = judge(small_net(), replace(result, maps=maps), [Deletion()])
    assert [one.reason for one in scores.records] == ["", BROKEN, "the map is constant: it ranks nothing", "", BROKEN]
    assert [math.isnan(one.value) for one in scores.records] == [False, True, True, False, True]
    assert scores.records[3].value == pytest.approx(judge(small_net(), result, [Deletion()]).records[3].value, rel=1e-4)
    nothing = judge(small_net(), replace(result, maps=maps * torch.nan), [Deletion(), Gini()])
    assert len(nothing.failures) == 10


@pytest.mark.parametrize("when", ["judging", "checking"])
@pytest.mark.parametrize("chunk", [None, 2])
def test_only_the_rows_to_blame_fail(when: str, chunk: int | None) -> None:
    scores = judge(small_net(), explained(), [Picky(0.5, when), Gini()], chunk=chunk)
    guilty = (X.flatten(1)[:, 0] > 0.5).tolist()
    assert 0 < sum(guilty) < 5
    told = ["BadMethod: the first value is too large" if one else "" for one in guilty]
    assert [one.reason for one in scores.records] == [*told, *[""] * 5]
    assert [math.isnan(one.value) for one in scores.records[:5]] == guilty


def test_rows_judged_alone_have_no_number_in_their_reason() -> None:
    guilty = (X.flatten(1)[:, 0] > 0.5).tolist()
    scores = judge(small_net(), explained(), [Numbering()])
    told = {one.reason for one, bad in zip(scores.records, guilty, strict=True) if bad}
    assert told == {"BadMethod: the gradient of the row holds NaN"}


def test_maps_whose_method_is_not_known_fail_where_it_is_needed() -> None:
    scores = judge(small_net(), replace(explained(), recipe="Mine()"), [Again(), Total()])
    assert all(one.reason.startswith("BadInput: Again() makes maps anew") for one in scores.records[:5])
    assert not any(one.reason for one in scores.records[5:])


def test_a_missing_package_is_no_score() -> None:
    with pytest.raises(MissingPackage):
        judge(small_net(), explained(), [Lacking()])


def test_regions_are_checked_before_any_work() -> None:
    SEEN.clear()
    regions = torch.zeros(5, 8, 8, dtype=torch.bool)
    regions[:, :4] = True
    result = explained()
    scores = judge(small_net(), result, [Inside()], regions=regions)
    assert values(scores) == pytest.approx(result.maps[:, :, :4].flatten(1).sum(1).tolist(), rel=1e-4)
    with pytest.raises(BadInput, match=r"Inside\(\) needs to know where the thing is; give regions="):
        judge(small_net(), result, [Total(), Inside()])
    for wrong in (regions[:3], regions.float(), regions[:, :4]):
        with pytest.raises(BadInput, match="give a bool tensor of shape"):
            judge(small_net(), result, [Total(), Inside()], regions=wrong)
    assert not SEEN


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ("deletion", r"measures is 'deletion'; give a list of measures"),
        (["deletion"], r"the measure is text; build it first: sg.measure_from_recipe\('deletion'\)"),
        ([Deletion], r"the measure is Deletion itself; call it: Deletion\(\)"),
        (Deletion(), r"measures is one measure, .*; give a list: measures=\[Deletion\(steps=32\)\]"),
        ({"a": sg.gradient()}, r"the measure is Gradient\(\); give a Measure"),
        ([], "at least one measure"),
        ({}, "at least one measure"),
        (None, "measures is None"),
    ],
    ids=["text", "texts", "class", "one", "method", "none", "no labels", "nothing"],
)
def test_what_is_no_measure(measures: Any, said: str) -> None:
    with pytest.raises(BadMethod, match=said):
        judge(small_net(), explained(), measures)


def _together() -> sg.Attribution:
    result = explained(method=sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Variance())))
    assert isinstance(result, sg.Attribution)
    return result


def test_results_that_cannot_be_judged_are_refused() -> None:
    net, result = small_net(), explained()
    wrong: list[tuple[Any, str]] = [
        ({}, "the dict of results is empty"),
        (result.maps, "an Attribution; got Tensor"),
        (replace(result, maps=result.maps[:, :2]), r"the maps have shape \(5, 2, 8, 8\), the rows \(5, 3, 8, 8\)"),
        (replace(result, maps=result.maps[:3]), r"the maps have shape \(3, 3, 8, 8\)"),
        (_together(), r"several maps per row; judge its parts: judge\(model, result.parts\(\)"),
    ]
    for given, said in wrong:
        with pytest.raises(BadInput, match=said):
            judge(net, given, [Gini()])
    assert len(judge(net, _together().parts(), [Gini()])) == 10
    two = sg.explain(nn.Bilinear(3, 2, 4).eval(), (torch.rand(2, 3), torch.rand(2, 2)), method=sg.gradient())
    for several in (two, two.inputs[0]):
        with pytest.raises(BadInput, match=r"explained together|an Attribution; got Attributions"):
            judge(net, several, [Gini()])


@pytest.mark.parametrize(
    ("changed", "error"),
    [({"model": small_net().train()}, ModelInTraining), ({"chunk": 0}, BadMethod), ({"device": "moon"}, BadInput)],
    ids=["training", "chunk", "device"],
)
def test_a_fault_of_the_question_is_raised(changed: dict[str, Any], error: type[SmoothGradError]) -> None:
    arguments: dict[str, Any] = {"model": small_net()} | changed
    with pytest.raises(error):
        judge(arguments.pop("model"), explained(), [Gini()], **arguments)


def test_inside_inference_mode_and_no_grad() -> None:
    result, net = explained(), small_net()
    expected = values(judge(net, result, [Again(), Deletion()]))
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            assert values(judge(net, result, [Again(), Deletion()])) == pytest.approx(expected, abs=1e-5)


# --- measures of the user's own -----------------------------------------------------------------------------------------


class Plain(Measure):
    """No dataclass: its parameter is in no name."""

    def __init__(self, power: float) -> None:
        self.power = power

    def judge(self, case: Case) -> Judged:
        return judged(case.maps.flatten(1).sum(1) * self.power)


@dataclass(frozen=True, repr=False)
class Powers(Measure):
    power: float = 1.0

    def judge(self, case: Case) -> Judged:
        return judged(case.maps.flatten(1).sum(1) * self.power)


class Below(Powers):
    """Its base is a dataclass, it is none: `other` would be in no name."""

    other: float = 2.0


@dataclass(repr=False)
class Thawed(Measure):
    power: float = 1.0

    def judge(self, case: Case) -> Judged:
        return judged(case.maps.flatten(1).sum(1))


@dataclass(frozen=True, repr=False)
class Best(Measure):
    better = "more"  # type: ignore[assignment]

    def judge(self, case: Case) -> Judged:
        return judged(case.maps.flatten(1).sum(1))


@dataclass(frozen=True, repr=False)
class Says(Measure):
    """Answers anything."""

    what: str = "nothing"

    def judge(self, case: Case) -> Judged:
        return ANSWERS[self.what](torch.arange(float(len(case))))


NAN = float("nan")
ANSWERS: dict[str, Any] = {
    "nothing": lambda _: None,
    "tensor": lambda value: value,
    "table": lambda value: Judged(value[:, None], ("",) * len(value)),
    "number": lambda value: Judged(1.0, ("",) * len(value)),  # type: ignore[arg-type]
    "complex": lambda value: Judged(value * 1j, ("",) * len(value)),
    "reasons": lambda value: Judged(value, ("",)),
    "no texts": lambda value: Judged(value, (None,) * len(value)),
    "stderr": lambda value: Judged(value, ("",) * len(value), stderr=value[:2]),
    "curve": lambda value: Judged(value, ("",) * len(value), curve=Curve(torch.arange(3.0), value[:, None], "x", "y")),
    "nan": lambda value: Judged(torch.where(value == 1, NAN, value), ("",) * len(value)),
    "float32": lambda value: Judged(value, ()),
    "zero": lambda _: 1 // 0,
}


@pytest.mark.parametrize("measure", [Plain(2.0), Below(), Thawed()], ids=["plain", "below", "thawed"])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_measure_whose_parameters_are_in_no_name_is_refused(measure: Measure, labelled: bool) -> None:
    name = type(measure).__name__
    said = rf"{name} is no frozen dataclass.*@dataclass\(frozen=True, repr=False\) above class {name}"
    with pytest.raises(BadMethod, match=said):
        judge(small_net(), explained(), {"mine": measure} if labelled else [measure])


def test_two_measures_of_one_label_are_refused() -> None:
    assert judge(small_net(), explained(), [Powers(), Powers(2.0)]).measures == (
        "Powers(power=1.0)",
        "Powers(power=2.0)",
    )
    for twice, label in (([Gini(), Gini()], "'gini'"), ([Powers(), Powers(1.0)], r"'Powers\(power=1.0\)'")):
        with pytest.raises(
            BadMethod, match=f"two measures have the label {label}; give each once, or labels of your own"
        ):
            judge(small_net(), explained(), twice)
    assert judge(small_net(), explained(), {"a": Gini(), "b": Gini()}).measures == ("a", "b")


def test_better_is_one_of_three() -> None:
    with pytest.raises(BadMethod, match="Best has better = 'more'; give one of 'higher', 'lower', 'neither'"):
        judge(small_net(), explained(), [Best()])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing", r"NoneType; end it with: return judged\(value, reasons\)"),
        ("tensor", r"Tensor; end it with: return judged\(value, reasons\)"),
        ("table", r"as value float32 of shape \(5, 1\); a Judged needs a real tensor of shape \(N,\).*here \(5,\)"),
        ("number", "as value float; a Judged needs"),
        ("complex", "as value complex64 of shape"),
        ("reasons", r"as reasons \('',\); a Judged needs a text for each row, here 5"),
        ("no texts", r"as reasons \(None, .*; a Judged needs a text for each row"),
        ("stderr", r"as stderr float32 of shape \(2,\)"),
        ("curve", r"a curve that does not fit; a Judged needs a Curve with x \(P,\) and y \(N, P\), here N = 5"),
    ],
)
def test_what_a_measure_answers_is_checked(what: str, said: str) -> None:
    result = explained()
    with pytest.raises(BadMethod, match=rf"judge\(\) of Says\((what='{what}')?\) answers {said}"):
        judge(small_net(), result, [Says(what)])
    with pytest.raises(BadMethod, match=said):
        Says(what)(small_net(), Query.of(X, result.target), result.maps)


def test_nan_without_a_reason_gets_one() -> None:
    scores = judge(small_net(), explained(), [Says("nan")])
    assert [one.reason for one in scores.records] == ["", "the measure gives NaN or infinity here", "", "", ""]
    assert math.isnan(scores.records[1].value)
    plain = judge(small_net(), explained(), [Says("float32")])
    assert values(plain) == [0, 1, 2, 3, 4]
    assert not plain.failures


def test_a_bug_of_a_measure_is_raised_and_says_in_which() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        judge(small_net(), explained(), [Gini(), Says("zero")], chunk=2)
    assert caught.value.__notes__ == ["in the measure Says(what='zero'), on rows 0, 1"]


# --- which rows, which network ------------------------------------------------------------------------------------------


def test_two_targets_that_are_one_class_are_two_rows_of_one_picture() -> None:
    net = small_net()
    top = int(net(X).argmax(1)[0])
    result = sg.explain(net, X, method=sg.gradient(), target=sg.Each(sg.Top(), top))
    scores = judge(net, result, [Deletion()])
    assert len(Scores.joined([scores])) == len(scores) == 10
    assert scores.summary()["n"].tolist() == [5]
    other = judge(net, sg.explain(net, X / 2, method=sg.gradient(), target=sg.Each(sg.Top(), top)), [Deletion()])
    assert Scores.joined([scores, other]).summary()["n"].tolist() == [10]
    with pytest.raises(BadInput, match="has two scores"):
        Scores.joined([scores, scores])


def test_the_network_that_made_the_maps_stands_beside_the_one_that_was_asked() -> None:
    net, other = small_net(), small_net()
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    result = sg.explain(net, X, method=sg.gradient(), target=1)
    own, foreign = judge(net, result, [Gini()]).records[0], judge(other, result, [Gini()]).records[0]
    assert own.made_by == own.fingerprint == result.provenance["fingerprint"]
    assert foreign.made_by == own.made_by
    assert foreign.fingerprint != foreign.made_by


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Deletion(steps=8)", r"build it first: sg.measure_from_recipe\('Deletion\(steps=8\)'\)"),
        ("delection", r"no measure is named 'delection'; did you mean 'deletion'\?"),
    ],
)
def test_text_is_no_measure(text: Any, said: str) -> None:
    with pytest.raises(BadMethod, match=f"the measure is text; {said}"):
        judge(small_net(), explained(), [text])


def test_maps_of_numpy_are_to_be_tensors() -> None:
    maps: Any = explained().maps.numpy()
    with pytest.raises(
        BadInput, match=r"the maps are of type ndarray; give a tensor, as from torch.from_numpy\(maps\)"
    ):
        Gini()(small_net(), Query.of(X, 1), maps)
