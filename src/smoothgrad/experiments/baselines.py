"""From where, and in how many steps? Integrated Gradients from several baselines (Sundararajan et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, final

import numpy as np
from torch import Tensor

from smoothgrad.core.value import content_digest
from smoothgrad.errors import BadBaseline, BadMethod, SmoothGradError, UnknownName, nearest
from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Scalar
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import TRIED, Setup
from smoothgrad.experiments.starts import ALWAYS, ASKED, data_starts, made_starts, own_start
from smoothgrad.experiments.summary import INTERVALS, Average, average, chosen, difference, dot, line, row, scored
from smoothgrad.measure import label_of
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.keep_top import KeepTop
from smoothgrad.measure.measure import Measure
from smoothgrad.methods.gradients import integrated_gradients
from smoothgrad.result import Attribution
from smoothgrad.samplers.baseline import Given, Several
from smoothgrad.samplers.quadrature import Quadrature
from smoothgrad.samplers.quadrature import check as check_quadrature
from smoothgrad.view.line_plots import LinePanel, line_figure
from smoothgrad.view.look import Look
from smoothgrad.view.score_plots import DotPanel, dot_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

ERROR, CHANGE, COSINE = "completeness error", "score change", "cosine with many steps"
AIM = 0.05  # Sundararajan et al. 2017: the map should sum to the change of the score to within this share


class Placed(NamedTuple):
    """The mean of a quantity, and of what."""

    name: str
    value: Average


@final
@dataclass(frozen=True, repr=False)
class Baselines(Experiment):
    """Integrated Gradients from each baseline, with so many steps, by each quadrature rule.

    Baselines: "black", "white" and "mean" are one colour, of the picture's own; "noise" is `samples` pictures of Gaussian
    noise, whose paths are averaged; "blurred" is the picture itself under a blur of an eighth of its shorter side;
    "adversarial" is close to the picture, and the network takes it for the runner-up class. "own" is a picture of yours, the
    file `own`. "data" averages over the paths from `samples` other pictures: the first of the folder `data` by name, or,
    where none is given, the first that come with the network, the one that is explained left out. Pictures of the experiment
    are no such data: what is found for one of them must not depend on the others. The last two are asked for by name, since
    not every network and user has them; their content is part of what a cell is kept by, so that another picture in the same file
    is another cell.

    Measures judge the maps of the first of the `quadratures`, whose maps with `reference` steps stand for the limit. What a
    measure puts in place of hidden pixels is a baseline, too, and suits maps that start from one like it: deletion hides by
    zeros, which are black in many networks.

    Raises `UnknownName` for another baseline, and `BadMethod` for steps that a rule cannot have, or that are not below
    `reference`. A cell whose baseline is the picture itself, such as "black" of a picture of one colour, fails: its map is
    zero everywhere.
    """

    name: ClassVar[str] = "baselines"
    title: ClassVar[str] = "Integrated Gradients: from which baseline, in how many steps?"
    question: ClassVar[str] = (
        "What does the baseline do to the map and to what measures say of it, and how many steps does each quadrature rule need?"
    )
    papers: ClassVar[tuple[str, ...]] = ("sundararajan2017", "hooker2019", "petsiuk2018")
    grid: ClassVar[tuple[str, ...]] = ("baseline", "steps")
    keys: ClassVar[dict[str, str]] = {
        "quadrature": "the rule by which the integral was taken; empty where none was",
        "start": "of own and data: a digest of the pictures that the paths start from; else empty",
    }
    quantities: ClassVar[dict[str, str]] = {
        ERROR: "|sum of the map - score change| / |score change|, from 0; NaN where the score does not change",
        CHANGE: "score of the picture - mean score of its baselines: what the map should sum to",
        COSINE: "cosine of the map with the one of `reference` steps from the same baseline, from -1 to 1",
    }

    baseline: tuple[str, ...] = ALWAYS
    steps: tuple[int, ...] = (5, 10, 20, 50, 100, 200)
    own: str = ""
    data: str = ""
    samples: int = 5
    reference: int = 400
    quadratures: tuple[Quadrature, ...] = ("gauss-legendre", "midpoint", "trapezoid", "left", "right")
    measures: tuple[Measure, ...] = (KeepTop(), Deletion(), Insertion())

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.baseline:
            if name not in ALWAYS + ASKED:
                raise UnknownName(f"no baseline is called {name!r}; {nearest(name, ALWAYS + ASKED)}")
        if self.samples < 1:
            raise BadMethod(f"noise and data are averaged over samples >= 1 of them, got {self.samples}")
        if not self.quadratures:
            raise BadMethod("Baselines takes one or more quadratures, such as ('gauss-legendre',), got none")
        for quadrature in self.quadratures:
            for steps in self.steps:
                check_quadrature(quadrature, steps)
        check_quadrature(self.quadratures[0], self.reference)
        if self.reference <= max(self.steps):
            raise BadMethod(
                f"maps of {max(self.steps)} steps are compared with one of {self.reference}; take more for the reference"
            )

    def quick(self) -> Self:
        few: tuple[Quadrature, ...] = ("gauss-legendre", "trapezoid", "left")
        small = self.with_small({"steps": (5, 10, 20, 50), "samples": 2, "quadratures": few})
        return small.with_small({"reference": 2 * max(small.steps)})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        for name in self.baseline:
            one = replace(self, baseline=(name,))
            faults = []
            for picture in setup.pictures[:TRIED]:
                fault = one._refusal(setup.only(picture))
                if fault is None:  # a picture that has no such baseline is told when its turn comes
                    break
                faults.append(fault)
            else:
                raise faults[0]

    def _refusal(self, setup: Setup) -> SmoothGradError | None:
        """What keeps the picture from having this baseline: a folder or a file is read here, before the work begins."""
        try:
            start = self.starts(setup)[0]
            setup.check_methods([integrated_gradients(2, baseline=Given(start))])
        except SmoothGradError as error:
            return error
        return None

    def depends_on(self, setup: Setup) -> tuple[str, ...]:
        if not set(self.baseline) & set(ASKED):
            return ()
        try:
            return (content_digest(self.starts(setup)),)
        except SmoothGradError:  # the cell says it when it is made
            return ()

    # --- a cell ---------------------------------------------------------------------------------------------------------

    def starts(self, setup: Setup) -> Tensor:
        """What the paths of the cell's picture start from: (B, *S). Raises `BadBaseline` where that is the picture itself."""
        (name,) = self.baseline
        if name == "own":
            starts = own_start(setup, self.own)
        elif name == "data":
            starts = data_starts(setup, self.data, self.samples)
        else:
            starts = made_starts(setup, name, self.samples)
        if bool((starts == setup.picture.x).all()):
            raise BadBaseline(
                f"the baseline {name!r} of {setup.picture.name} is that picture itself, so that the path has no length and the "
                "map is zero everywhere; take another"
            )
        return starts

    def found(self, setup: Setup) -> Finding:
        (name,), (steps,) = self.baseline, self.steps
        starts = self.starts(setup)
        # As it was found, so that one that takes long is found once, and the one that is shown is the one that was used.
        given = Several(*map(Given, starts)) if len(starts) > 1 else Given(starts[0])
        maps = {
            rule: setup.explain(
                integrated_gradients(steps, baseline=given, quadrature=rule), name=f"{name}, {steps} steps, {rule}"
            )
            for rule in self.quadratures
        }
        main, start = self.quadratures[0], content_digest(starts) if name in ASKED else ""
        limit = setup.explain_once(integrated_gradients(self.reference, baseline=given, quadrature=main))
        rows = [
            one
            for rule, map_ in maps.items()
            for one in (
                row(ERROR, completeness_error(map_), "share of the score change", {"quadrature": rule, "start": start}),
                row(COSINE, cosine(map_, limit), "cosine", {"quadrature": rule, "start": start}),
            )
        ]
        scores = setup.judge({"integrated_gradients": maps[main]}, self.measures)
        rows += scored(scores, {"quadrature": main, "start": start})
        rows.append(row(CHANGE, score_change(limit), "score", {"quadrature": "", "start": start}))
        return Finding(tuple(rows), {"map": maps[main]}, {"starts": starts})

    # --- what is seen ---------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        most, main = max(self.steps), self.quadratures[0]
        maps = _beside(self, result)
        if maps is not None:
            yield Plate(
                "maps",
                f"Above, where the path of each picture starts (the first of several); below, the map with {most} steps by "
                f"{main}. The maps of a picture share one scale.",
                maps,
            )
        shown = result.setup.pictures[0].name
        by_steps = [
            [(found := result.finding(shown, baseline=name, steps=steps)) and found.maps["map"] for steps in self.steps]
            for name in self.baseline
        ]
        names = [name for name, some in zip(self.baseline, by_steps, strict=True) if any(some)]
        if names:
            columns = [f"{steps} steps" for steps in self.steps]
            page = map_figure(by_steps, columns=columns, labels=names, look=_shared(by_steps))
            yield Plate("steps", f"{shown}: maps of more and more steps by {main}. Each row has one scale.", page)
        frame = result.measured
        panels = [self._dots(frame, one, len(result.setup.pictures)) for one in self.measures]
        if panels:
            yield Plate(
                "measures",
                f"What measures say of maps with {most} steps, by baseline; means over pictures with 95 % bootstrap intervals. "
                "What a measure puts in place of hidden pixels is a baseline, too, and suits maps that start from one like it.",
                dot_figure(panels),
            )
        x_label = "steps (gradients for each baseline)"
        curves = [
            LinePanel(
                quantity,
                x_label,
                unit,
                tuple(line(frame, name, "steps", quantity, where) for name, where in self._each(frame, main)),
                log_x=True,
            )
            for quantity, unit in [(COSINE, "cosine"), *((label_of(one), one.unit) for one in self.measures)]
        ]
        yield Plate("curves", f"How much the steps matter, by {main}. {INTERVALS}", line_figure(curves, INTERVALS))
        errors = [
            LinePanel(
                name,
                x_label,
                "completeness error, share of the score change",
                tuple(
                    line(frame, rule, "steps", ERROR, {"baseline": name, "quadrature": rule})
                    for rule in self.quadratures
                ),
                log_x=True,
                log_y=True,
            )
            for name, _ in self._each(frame, main)
        ]
        yield Plate(
            "completeness",
            f"How far the map's sum is from the change of the score, on logarithmic axes: {AIM:g} is what the paper aims at. "
            f"{INTERVALS}",
            line_figure(errors, INTERVALS),
        )

    def lessons(self, result: Result) -> Iterator[str]:
        frame, most = result.measured, max(self.steps)
        for one in self.measures:
            yield from self._judged(frame, one, most)
        for rule in self.quadratures:
            yield from self._completed(frame, rule)
        main = self.quadratures[0]
        alike = _known(
            [Placed(n, average(frame, COSINE, {**w, "steps": most})) for n, w in self._each(frame, main, most)]
        )
        if alike:
            least = min(alike, key=lambda one: one.value.mean)
            yield (
                f"With {most} steps by {main} the map from {least.name} is on average the farthest from its own limit: its cosine "
                f"with the map of {self.reference} steps is {least.value}."
            )

    def _judged(self, frame: DataFrame, measure: Measure, most: int) -> Iterator[str]:
        """The best baseline by a measure, and how much worse the others are on the same pictures."""
        label, lower = label_of(measure), measure.better == "lower"
        points: dict[str, dict[str, Scalar]] = {
            name: {**where, "steps": most} for name, where in self._each(frame, self.quadratures[0], most)
        }
        found = _known([Placed(name, average(frame, label, point)) for name, point in points.items()])
        if measure.better == "neither" or len(found) < 2:
            return
        best, *others = sorted(found, key=lambda one: one.value.mean, reverse=not lower)
        kinds: dict[str, list[str]] = {"clearly worse": [], "not clearly worse": []}
        for other in others:
            more, less = (other, best) if lower else (best, other)
            worse = difference(frame, label, points[more.name], points[less.name])
            kinds["clearly worse" if worse.sign > 0 else "not clearly worse"].append(f"{other.name} by {worse}")
        said = [f"{kind} {'is' if len(some) == 1 else 'are'} {', '.join(some)}" for kind, some in kinds.items() if some]
        yield (
            f"By {label} ({measure.better} is better) {best.name} has the best mean of {len(found)} baselines, {best.value}, "
            f"n = {best.value.n}. On the same pictures, {'; '.join(said)}. These are 95 % intervals of each difference by itself, "
            "and the best was picked by the same scores, which favours it."
        )

    def _completed(self, frame: DataFrame, rule: str) -> Iterator[str]:
        """How many steps a rule needs, and how fast its error falls, over all pictures and baselines."""
        here = {"quadrature": rule}
        known = set(chosen(frame, {"quantity": ERROR, **here})["steps"])
        found = [
            (steps, average(frame, ERROR, {**here, "steps": steps})) for steps in sorted(self.steps) if steps in known
        ]
        usable = [(steps, one) for steps, one in found if math.isfinite(one.mean)]
        if not usable:
            return
        good = [steps for steps, one in usable if one.mean < AIM]
        when = f"falls below {AIM:g} at {good[0]} steps" if good else f"stays above {AIM:g} up to {usable[-1][0]} steps"
        steps = [steps for steps, one in usable if one.mean > 0]
        means = [one.mean for _, one in usable if one.mean > 0]
        fall = ""
        if len(steps) > 1:
            fall = f"; it changes as steps to the power {np.polyfit(np.log(steps), np.log(means), 1)[0]:.2f}"
        yield f"By {rule} the mean completeness error {when}, and is {usable[-1][1]} at {usable[-1][0]}{fall}."

    def _each(self, frame: DataFrame, rule: str, steps: int | None = None) -> Iterator[tuple[str, dict[str, str]]]:
        """The baselines that have rows (with so many steps), and where these stand in the table."""
        for name in self.baseline:
            where = {"baseline": name, "quadrature": rule}
            if len(chosen(frame, where if steps is None else {**where, "steps": steps})):
                yield name, where

    def _dots(self, frame: DataFrame, measure: Measure, pictures: int) -> DotPanel:
        most, label = max(self.steps), label_of(measure)
        each = self._each(frame, self.quadratures[0], most)
        dots = tuple(dot(frame, name, label, {**where, "steps": most}, pictures) for name, where in each)
        return DotPanel(label, measure.unit, measure.better, dots)


def completeness_error(result: Attribution) -> float:
    """|sum of the map - change of the score| / |change|; NaN where the score does not change."""
    if result.completeness is None or not bool(result.completeness.change[0]):
        return math.nan
    return float(result.completeness.error[0])


def score_change(result: Attribution) -> float:
    """score(x) - the mean score of the baselines."""
    return math.nan if result.completeness is None else float(result.completeness.change[0])


def _beside(experiment: Baselines, result: Result) -> Figure | None:
    """Each baseline above its map, picture by picture; None where the rows are no pictures, or no map was made."""
    from smoothgrad.view.figure import figure
    from smoothgrad.view.panels import Panel, PicturePanel

    most = max(experiment.steps)
    rows: list[list[Panel | None]] = []
    labels: list[str] = []
    shown: list[list[Attribution | None]] = []
    for picture in result.setup.pictures[: MOST // 2]:
        findings = [result.finding(picture.name, baseline=name, steps=most) for name in experiment.baseline]
        maps = [one and one.maps["map"] for one in findings]
        first = next((one for one in maps if one is not None), None)
        if first is None or first.picture is None:
            continue
        starts = [one and PicturePanel(result.setup.net.show(one.arrays["starts"][:1])[0]) for one in findings]
        below = [None if one is None else one.map_panel(0) for one in maps]
        rows += [[first.picture_panel(0), *starts], [None, *below]]
        labels += [f"{picture.name}\n{first.label(0)}", "map"]
        shown.append(maps)
    if not rows:
        return None
    columns = ["input", *experiment.baseline]
    return figure(rows, _shared(shown), columns=columns, labels=labels, errors=False)


def _shared(rows: list[list[Attribution | None]]) -> Look:
    """The look that suits the maps, with one scale for each row."""
    first = next(one for maps in rows for one in maps if one is not None)
    return replace(first.look, shared=True)


def _known(found: list[Placed]) -> list[Placed]:
    return [one for one in found if math.isfinite(one.value.mean)]
