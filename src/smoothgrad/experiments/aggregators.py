"""How should noisy gradients become one map? Nine ways to join the same draws, from the mean to the agreement of signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, final

import numpy as np

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.reduce import (
    GeometricMean,
    Max,
    Mean,
    Median,
    MedianOfMeans,
    Reduction,
    SignAgreement,
    SquareMean,
    Together,
    TrimmedMean,
    Variance,
)
from smoothgrad.errors import BadMethod, UnknownName, nearest
from smoothgrad.experiments.compared import alike
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row, Scalar
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import INTERVALS, Average, average, difference, dot, line, row, unit_of
from smoothgrad.explainers.finish import Absolute
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.judging import labelled
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.similarity import Spearman
from smoothgrad.recipe import to_recipe
from smoothgrad.result import Attribution
from smoothgrad.samplers.cloud import Gaussian
from smoothgrad.view.heat_plots import HeatPanel, heat_figure
from smoothgrad.view.line_plots import LinePanel, line_figure
from smoothgrad.view.score_plots import DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

MEAN = "mean"
# Stands beside what has no sign: measures take places by signed value, and so ask another question of it.
SIZE = "|mean|"
REDUCTIONS: Mapping[str, Reduction[Any]] = {
    MEAN: Mean(),
    "geometric mean": GeometricMean(),
    "median": Median(),
    "trimmed mean": TrimmedMean(),
    "median of means": MedianOfMeans(),
    "squares": SquareMean(),
    "variance": Variance(),
    "max": Max(),
    "sign agreement": SignAgreement(),
}
Where: TypeAlias = Mapping[str, Scalar]  # columns of the table with their values
ALIKE, AGAIN = "rank correlation of reductions", "rank correlation of two seeds"


@final
@dataclass(frozen=True, repr=False)
class Aggregators(Experiment):
    """The same noisy gradients, joined in several ways: one set of draws serves all of them, so that only they differ.

    `noise` is a share of the picture's range; `reductions` are names in `REDUCTIONS`, in which "_" or "-" may stand for a space.
    The mean is made in any case, to compare with. Raises `UnknownName` for another name, and `BadMethod` for too few samples.
    """

    name: ClassVar[str] = "aggregators"
    title: ClassVar[str] = "How should noisy gradients become one map?"
    question: ClassVar[str] = (
        "Do the mean, the median, squares, the variance and other ways to join the same noisy gradients give the same map, does a "
        "fresh seed give it again, and what do measures say of it?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017", "hooker2019", "adebayo2018", "seo2018")
    grid: ClassVar[tuple[str, ...]] = ("noise",)
    keys: ClassVar[dict[str, str]] = {
        "reduction": f"how the draws became a map; {SIZE!r}, the absolute values of the mean, is there for measures only",
        "other": f"the reduction that it is compared with, for {ALIKE!r}",
    }
    quantities: ClassVar[dict[str, str]] = {
        ALIKE: "Spearman's correlation of the absolute values of two reductions' maps, from -1 to 1; NaN where one is constant",
        AGAIN: "Spearman's correlation of the absolute values of a map and that of a fresh seed, from -1 to 1; NaN where constant",
    }

    noise: tuple[float, ...] = (0.15,)
    samples: int = 50
    reductions: tuple[str, ...] = tuple(REDUCTIONS)
    measures: tuple[Measure, ...] = (Deletion(), Insertion(), TotalVariation())

    def __post_init__(self) -> None:
        super().__post_init__()
        names = tuple(name.replace("_", " ").replace("-", " ") for name in self.reductions)
        object.__setattr__(self, "reductions", names)
        for name in names:
            if name not in REDUCTIONS:
                raise UnknownName(f"no reduction is called {name!r}; {nearest(name, REDUCTIONS)}")
        if not names or len(set(names)) < len(names):
            raise BadMethod(f"Aggregators takes one or more reductions, each once, got {names!r}")
        labelled(self.measures)  # raises for none, and for two of one label
        for noise in self.noise:
            self.method(noise)  # raises for what is no noise level, and for too few samples

    @property
    def made(self) -> tuple[str, ...]:
        """The reductions, and the mean to compare with."""
        return tuple(dict.fromkeys((MEAN, *self.reductions)))

    def method(self, noise: float) -> Explainer:
        """What gives a map for each reduction, of the same draws."""
        return Gradient().over(
            Gaussian(noise=noise, samples=self.samples), Together(*(REDUCTIONS[name] for name in self.made))
        )

    def quick(self) -> Self:
        return self.with_small({"samples": 16})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        setup.check_methods([self.method(noise) for noise in self.noise])

    def found(self, setup: Setup) -> Finding:
        maps, again = (self._maps(setup, seed) for seed in (setup.seed, setup.seed + 1))
        judged = {**{name: maps[name] for name in self.reductions}, SIZE: _size(maps[MEAN])}
        scores = setup.judge(judged, self.measures)
        rows: tuple[Row, ...] = (
            *(
                row(ALIKE, _ranked(maps[one], maps[other]), Spearman.unit, {"reduction": one, "other": other})
                for one in self.reductions
                for other in self.made
                if one != other
            ),
            *(
                row(AGAIN, _ranked(maps[name], again[name]), Spearman.unit, {"reduction": name})
                for name in self.reductions
            ),
            *(row(one.measure, one.value, one.unit, {"reduction": one.method}) for one in scores.records),
        )
        return Finding(rows, maps)

    def _maps(self, setup: Setup, seed: int) -> dict[str, Attribution]:
        (noise,) = self.noise
        result = setup.explain(self.method(noise), seed=seed, name=f"gradients at noise {noise:g}, seed {seed}")
        return dict(zip(self.made, result.parts().values(), strict=True))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        levels = _levels(frame)
        for noise in levels:
            ending = f"-{noise:g}" if len(self.noise) > 1 else ""
            yield self._map_plate(result, noise, f"maps{ending}")
            yield Plate(
                f"scores{ending}",
                f"Each reduction at noise {noise:g}. Maps that are never negative (squares, variance, max) say how much and not "
                "in which direction: deletion and insertion take places by size there, and by signed value in the others. "
                f"{SIZE} is the absolute values of the mean: what leaving out the sign does, and nothing else.",
                dot_figure(list(self._dot_panels(frame, noise, len(result.setup.pictures)))),
            )
        panels = [_heat(frame, noise, self.reductions, self.made) for noise in levels]
        unranked = any(np.isnan(panel.values).any() for panel in panels)
        yield Plate(
            "alike",
            "Which reductions say the same: the rank correlation of the absolute values of their maps, mean over pictures.",
            heat_figure(panels, "Hatched: a map that is constant has no ranks." if unranked else "", shared=True),
        )
        if len(levels) > 1:
            yield Plate(
                "curves",
                f"What is measured, against the noise level. {INTERVALS}",
                line_figure(list(self._line_panels(frame)), INTERVALS),
            )

    def _map_plate(self, result: Result, noise: float, name: str) -> Plate:
        found = [result.finding(one.name, noise=noise) for one in result.setup.pictures]
        maps = [[None if one is None else one.maps[each] for each in self.reductions] for one in found]
        ways = "one way" if len(self.reductions) == 1 else f"{len(self.reductions)} ways"
        caption = (
            f"The same {self.samples} noisy gradients at noise {noise:g}, joined in {ways}. Units differ, so each map "
            " has a scale of its own; squares, variance and max are never negative."
        )
        return Plate(name, caption, map_figure(maps, columns=self.reductions))

    def _dot_panels(self, frame: DataFrame, noise: float, pictures: int) -> Iterator[DotPanel]:
        where: Where = {"noise": noise, "other": MEAN}
        others = [name for name in self.reductions if name != MEAN]
        if others:
            dots = tuple(dot(frame, name, ALIKE, {**where, "reduction": name}, pictures) for name in others)
            yield DotPanel("rank correlation with the mean's map", Spearman.unit, "neither", dots)
        better = {AGAIN: "higher", **{label: one.better for label, one in labelled(self.measures).items()}}
        for quantity, direction in better.items():
            names = self.reductions if quantity == AGAIN else (*self.reductions, SIZE)
            at: Where = {"noise": noise}
            dots = tuple(dot(frame, name, quantity, {**at, "reduction": name}, pictures) for name in names)
            yield DotPanel(quantity, unit_of(frame, quantity), direction, dots)

    def _line_panels(self, frame: DataFrame) -> Iterator[LinePanel]:
        for quantity in (AGAIN, *labelled(self.measures)):
            lines = tuple(line(frame, name, "noise", quantity, {"reduction": name}) for name in self.reductions)
            yield LinePanel(quantity, "noise, share of the picture's range", unit_of(frame, quantity), lines)

    # --- what was seen ------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        for noise in _levels(frame):
            at = f"At noise {noise:g} with {self.samples} samples"
            near = self._averages(frame, ALIKE, {"noise": noise, "other": MEAN})
            if near:
                first, last = next(iter(near)), next(reversed(near))
                farthest = f"; the least alike is that of {last} ({near[last]})" if last != first else ""
                yield f"{at}, most like the mean's map is on average that of {first} (rank correlation {near[first]}){farthest}."
            again = self._averages(frame, AGAIN, {"noise": noise})
            if len(again) > 1:
                first, last = next(iter(again)), next(reversed(again))
                yield (
                    f"{at}, a fresh seed gives the map of {first} again with rank correlation {again[first]}, the highest, that of "
                    f"{last} with {again[last]}, the lowest{self._beside(again, first, last)}"
                    f"{self._against(frame, AGAIN, noise, first, last)}."
                )
            for label, measure in labelled(self.measures).items():
                scores = self._averages(frame, label, {"noise": noise})
                if measure.better != "neither" and len(scores) > 1:
                    best, *_, worst = scores if measure.better == "higher" else reversed(scores)
                    size = average(frame, label, {"noise": noise, "reduction": SIZE})
                    gain = size.mean - scores[best].mean
                    leads = gain > 0 if measure.better == "higher" else gain < 0
                    yield (
                        f"{at}, {'of the reductions, ' * leads}{label} ({measure.better} is better) has its best mean for {best}, "
                        f"{scores[best]}, its worst for {worst}, {scores[worst]}{self._beside(scores, best, worst)}; the absolute "
                        f"values of the mean {'are better still:' if leads else 'have'} {size}"
                        f"{self._against(frame, label, noise, best, worst)}."
                    )

    @staticmethod
    def _against(frame: DataFrame, quantity: str, noise: float, *names: str) -> str:
        """How these differ from the mean, picture by picture, and whether that is clear."""
        parts = []
        for name in names:
            gap = difference(frame, quantity, {"noise": noise, "reduction": name}, {"noise": noise, "reduction": MEAN})
            if name != MEAN and gap.n:
                parts.append(f"{name} {gap}{'' if gap.sign else ', not clearly different'}")
        return f"; less the mean, picture by picture: {'; '.join(parts)}" if parts else ""

    def _averages(self, frame: DataFrame, quantity: str, where: Where) -> dict[str, Average]:
        """The mean over pictures of each reduction that has one, the largest first."""
        found = {
            name: average(frame, quantity, {**where, "reduction": name})
            for name in self.reductions
            if name != where.get("other")
        }
        known = [name for name in found if np.isfinite(found[name].mean)]
        return {name: found[name] for name in sorted(known, key=lambda name: -found[name].mean)}

    @staticmethod
    def _beside(found: Mapping[str, Average], *said: str) -> str:
        """The mean, which is what all others stand beside, where it is not said already."""
        return f"; the mean has {found[MEAN]}" if MEAN in found and MEAN not in said else ""


def _ranked(one: Attribution, other: Attribution) -> float:
    """Spearman's correlation of absolute values: a variance has no sign, and a gradient's is another question."""
    return alike(Spearman(), replace(one, maps=one.maps.abs()), replace(other, maps=other.maps.abs()))


def _size(mean: Attribution) -> Attribution:
    """The absolute values of a map, as a map of its own."""
    method = mean.method().then(Absolute())
    return replace(mean, maps=mean.maps.abs(), recipe=to_recipe(method), unsigned=True)


def _levels(frame: DataFrame) -> list[float]:
    """The noise levels of the cells that did not fail."""
    return [float(noise) for noise in sorted(frame["noise"].unique())]


def _heat(frame: DataFrame, noise: float, rows: tuple[str, ...], columns: tuple[str, ...]) -> HeatPanel:
    def value(one: str, other: str) -> float:
        where: Where = {"noise": noise, "reduction": one, "other": other}
        return 1.0 if one == other else average(frame, ALIKE, where).mean

    values = np.array([[value(one, other) for other in columns] for one in rows], dtype=np.float64)
    return HeatPanel(f"noise {100 * noise:g} %", "reduction", "reduction", columns, rows, values, Spearman.unit)
