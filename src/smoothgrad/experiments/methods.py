"""Which methods gain by smoothing, and on which pictures? (Smilkov et al. 2017, figure 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput
from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Scalar
from smoothgrad.experiments.methods_as_text import check as check_texts
from smoothgrad.experiments.methods_as_text import each_in_full, is_control, labels, method_of
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.experiments.summary import Average, difference, dot, row, scored
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.judging import labelled
from smoothgrad.measure.localisation import EnergyInside
from smoothgrad.measure.measure import Measure
from smoothgrad.samplers.cloud import Gaussian
from smoothgrad.view.score_plots import Dot, DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

LIKE, ERROR = "cosine with the plain map", "relative error"


@final
@dataclass(frozen=True, repr=False)
class MethodGrid(Experiment):
    """Each method, plain and averaged over `samples` noisy copies of the picture, judged by measures.

        smoothed map = E_e[ map(x + e) ],  e ~ N(0, (noise * range(x))^2)

    `method` are names or recipes, such as "lrp" or "integrated_gradients(steps=100)"; random_map and sobel among them are
    controls: what smoothing does to their scores, it does without knowing anything of the network. Maps are judged as they are,
    signed: for absolute values write "gradient().then(Absolute())". Pictures of different groups, such as "uniform" and
    "textured", are told apart in figures and sentences. Measures that need a region are left out for pictures without one.

    Raises `UnknownName` or `BadRecipe` for a method that is not known, with the nearest name, `BadNoise` for what is no noise, and
    `BadMethod` for a method that gives several maps, for no measure, or one given twice.
    """

    name: ClassVar[str] = "methods"
    title: ClassVar[str] = "Which methods gain by smoothing?"
    question: ClassVar[str] = (
        "How do the maps of different methods compare, plain and smoothed, on different kinds of pictures, by eye and by measures?"
    )
    papers: ClassVar[tuple[str, ...]] = (
        "smilkov2017",
        "simonyan2013",
        "sundararajan2017",
        "springenberg2014",
        "selvaraju2017",
        "bach2015",
    )
    grid: ClassVar[tuple[str, ...]] = ("method", "smoothed")
    quantities: ClassVar[dict[str, str]] = {
        LIKE: "cosine of the smoothed map with the plain one of the same method, from -1 to 1; of smoothed maps only",
        ERROR: "||standard error|| / ||map||: what the smoothed map says of its own error; of smoothed maps only",
    }

    method: tuple[str, ...] = (
        "gradient",
        "integrated_gradients(steps=50)",
        "guided_backprop",
        "grad_cam",
        "lrp",
        "random_map",
        "sobel",
    )
    smoothed: tuple[bool, ...] = (False, True)
    noise: float = 0.15
    samples: int = 20
    measures: tuple[Measure, ...] = (Deletion(), Insertion(), TotalVariation(), EnergyInside())

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", each_in_full(self.method))
        super().__post_init__()
        check_texts(self.method, self.name)
        Gaussian(self.noise, self.samples)
        labelled(self.measures)

    def quick(self) -> Self:
        return self.with_small({"samples": 5})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        setup.check_methods([self._asked(text, smoothed) for text in self.method for smoothed in self.smoothed])
        if all(one.needs_regions for one in self.measures) and not any(
            one.region is not None for one in setup.pictures
        ):
            raise BadInput(
                f"{', '.join(labelled(self.measures))}: all need to know where the thing is, and no picture says it; give "
                "regions, or another measure, such as Deletion()"
            )

    def _asked(self, text: str, smoothed: bool) -> Explainer:
        plain = method_of(text)
        return plain.over(Gaussian(self.noise, self.samples)) if smoothed else plain

    def found(self, setup: Setup) -> Finding:
        (text,), (smoothed,) = self.method, self.smoothed
        result = setup.explain(self._asked(text, smoothed))
        known = setup.picture.region is not None
        measures = [one for one in self.measures if known or not one.needs_regions]
        rows = list(scored(setup.judge({text: result}, measures))) if measures else []
        if smoothed:
            error = result.relative_error
            rows += [
                row(LIKE, cosine(result, setup.explain(method_of(text))), "cosine"),
                row(ERROR, float("nan") if error is None else float(error[0]), "share of the map's norm"),
            ]
        return Finding(tuple(rows), {"map": result})

    # --- figures ----------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        for group, pictures in _groups(result).items():
            ending, of = (f"-{_fit_for_files(group)}", f" of group {group!r}") if group else ("", "")
            yield from self._maps(result, pictures, ending, of)
            known = labelled(self.measures).items()
            panels = [self._panel(result.measured, label, one, group, pictures) for label, one in known]
            if any(panel.dots for panel in panels):
                yield Plate(
                    f"scores{ending}",
                    f"What measures say of each method{of}, plain and smoothed at noise {100 * self.noise:g} %.",
                    dot_figure([panel for panel in panels if panel.dots]),
                )
            gains = [self._gains(result.measured, label, one, group, pictures) for label, one in known]
            if any(panel.dots for panel in gains):
                yield Plate(
                    f"gains{ending}",
                    f"What smoothing changes{of}: the score of the smoothed map less that of the plain one, picture by picture. "
                    "Zero is no change.",
                    dot_figure([panel for panel in gains if panel.dots]),
                )

    def _maps(self, result: Result, pictures: Sequence[Picture], ending: str, of: str) -> Iterator[Plate]:
        shown = [(text, smoothed) for text in self.method if not is_control(text) for smoothed in self.smoothed]
        maps = [
            [
                (found := result.finding(one.name, method=text, smoothed=smoothed)) and found.maps["map"]
                for text, smoothed in shown
            ]
            for one in pictures
        ]
        if any(one is not None for some in maps for one in some):
            yield Plate(
                f"maps{ending}",
                f"Maps by each method{of}, plain and the mean over {self.samples} noisy copies at noise {100 * self.noise:g} %; "
                f"each map has its own scale. At most {MOST} pictures are shown.",
                map_figure(maps, columns=[self._label(*one) for one in shown]),
            )

    def _panel(
        self, frame: DataFrame, label: str, measure: Measure, group: str, pictures: Sequence[Picture]
    ) -> DotPanel:
        """The mean score of each method by a measure."""
        asked = _asked_by(measure, pictures)
        dots = []
        for text in self.method if asked else ():
            for smoothed in self.smoothed:
                where: dict[str, Scalar] = {"method": text, "smoothed": smoothed, "group": group}
                name = self._label(text, smoothed)
                dots.append(dot(frame, name, label, where, asked, control=is_control(text)))
        return DotPanel(label, measure.unit, measure.better, tuple(dots))

    def _gains(
        self, frame: DataFrame, label: str, measure: Measure, group: str, pictures: Sequence[Picture]
    ) -> DotPanel:
        """What smoothing changes in each method's score."""
        asked = _asked_by(measure, pictures)
        dots = tuple(
            Dot(labels(self.method)[text], one.mean, one.low, one.high, is_control(text), one.n, asked - one.n)
            for text, one in self._changes(frame, label, group).items()
        )
        return DotPanel(f"{label}: smoothed − plain", measure.unit, measure.better, dots)

    def _changes(self, frame: DataFrame, label: str, group: str) -> dict[str, Average]:
        """Smoothed - plain on the pictures that have both scores, for each method that has some."""
        found = {}
        for text in self.method:
            where: dict[str, Scalar] = {"method": text, "group": group}
            gap = difference(frame, label, {**where, "smoothed": True}, {**where, "smoothed": False})
            if gap.n:
                found[text] = gap
        return found

    def _label(self, text: str, smoothed: bool) -> str:
        short = labels(self.method)[text]
        return f"{short}, smoothed" if smoothed else short

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        for group, pictures in _groups(result).items():
            of = f" ({group})" if group else ""
            for label, measure in labelled(self.measures).items():
                yield from self._best(self._panel(frame, label, measure, group, pictures), of)
                yield from self._said(label, measure, self._changes(frame, label, group), of)

    def _best(self, panel: DotPanel, of: str) -> Iterator[str]:
        """Which method has the best mean, and which control."""
        known = [dot for dot in panel.dots if np.isfinite(dot.mean)]
        ordered = sorted(known, key=lambda dot: dot.mean if panel.better == "lower" else -dot.mean)
        best = next((dot for dot in ordered if not dot.control), None)
        control = next((dot for dot in ordered if dot.control), None)
        if best is None or panel.better == "neither":
            return
        said = f"By {panel.title}{of} the best mean has {best.label}: {_with_interval(best)}, over n = {best.n}"
        yield said + (f"; the best control is {control.label}: {_with_interval(control)}." if control else ".")

    def _said(self, label: str, measure: Measure, changes: dict[str, Average], of: str) -> Iterator[str]:
        """Which methods gain, lose, and neither, by intervals over pictures."""
        if not changes:
            return
        n = max(change.n for change in changes.values())
        called = {text: labels(self.method)[text] + " (control)" * is_control(text) for text in changes}
        if not any(np.isfinite(change.low) or change.mean == 0 for change in changes.values()):
            each = ", ".join(f"{called[text]} {change.mean:+.3g}" for text, change in changes.items())
            yield f"{label}{of}: smoothed less plain is {each}; n = {n}, too few for intervals."
            return
        up, down = {"higher": ("better", "worse"), "lower": ("worse", "better"), "neither": ("higher", "lower")}[
            measure.better
        ]
        kinds: dict[str, list[str]] = {
            word: [] for word in ("better", "worse", "higher", "lower", "not clearly different")
        }
        for text, change in changes.items():
            kind = {1: up, -1: down, 0: "not clearly different"}[change.sign]
            kinds[kind].append(f"{called[text]} ({_signed(change)})")
        parts = "; ".join(f"{kind} for {', '.join(some)}" for kind, some in kinds.items() if some)
        yield f"{label}{of}, n = {n}: smoothed maps score {parts} (smoothed less plain, 95 % intervals, each by itself)."


# --- pictures ---------------------------------------------------------------------------------------------------------


def _groups(result: Result) -> dict[str, list[Picture]]:
    """The pictures by their groups."""
    found: dict[str, list[Picture]] = {}
    for one in result.setup.pictures:
        found.setdefault(one.group, []).append(one)
    return found


def _fit_for_files(group: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in group)


def _asked_by(measure: Measure, pictures: Sequence[Picture]) -> int:
    """How many of the pictures a measure is asked of: those with a region, where it needs one."""
    return sum(not measure.needs_regions or one.region is not None for one in pictures)


def _with_interval(dot: Dot) -> str:
    return str(Average(dot.mean, dot.low, dot.high, dot.n))


def _signed(change: Average) -> str:
    return f"{change.mean:+.3g}" + (f", {change.low:+.3g} to {change.high:+.3g}" if np.isfinite(change.low) else "")
