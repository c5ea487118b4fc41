"""How strong should the noise be? SmoothGrad at several noise levels (Smilkov et al. 2017, figure 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self, final

from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate
from smoothgrad.experiments.limits import (
    DISTANCE,
    OF_LIMIT,
    OF_LIMIT_IS,
    SHARE,
    check_reference,
    converged,
    error,
    said_error,
)
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import INTERVALS, average, difference, holds, line, row, scored, unit_of
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.measure import Measure
from smoothgrad.methods.gradients import gradient, smoothgrad
from smoothgrad.view.line_plots import LinePanel, line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

LIMIT, ERROR = "cosine with the limit", "relative error"
FEW = 4  # pictures whose standard errors are shown: these figures are twice as tall
ROUGH = 0.2  # share of its norm, above which the limit itself is not well known


@final
@dataclass(frozen=True, repr=False)
class NoiseLevel(Experiment):
    """SmoothGrad at each noise level, beside its own limit: the same level with `reference` antithetic samples of another seed.

    `noise` is a share of the picture's range, as in `smoothgrad`; the paper finds 10 to 20 % best. At level 0 the map is the
    gradient, whose distance from its limit is 0. The limit's own error is taken off the distance, as in `SampleCount`, which has
    the formula. Raises `BadMethod` for a reference that is odd or has no more samples than the map, and `BadNoise` for what is no
    noise level.
    """

    name: ClassVar[str] = "noise-level"
    title: ClassVar[str] = "How strong should the noise be?"
    question: ClassVar[str] = (
        "What does the noise level do to SmoothGrad's map, to how sure it is, and to what measures say of it?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017",)
    grid: ClassVar[tuple[str, ...]] = ("noise",)
    quantities: ClassVar[dict[str, str]] = {
        LIMIT: "cosine of the map with its own limit, from -1 to 1; the limit's own error lowers it",
        DISTANCE: "||map - limit|| / ||limit|| without the limit's own error: how far the map is from infinitely many samples; 0 "
        "where it has converged, NaN where the limit cannot be told from zero",
        ERROR: "||standard error|| / ||map||: what the map says of its own error; NaN of a single sample",
        OF_LIMIT: OF_LIMIT_IS,
    }

    noise: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # Smilkov et al. 2017
    samples: int = 50
    reference: int = 1000
    measures: tuple[Measure, ...] = (Deletion(), Insertion(), TotalVariation())

    def __post_init__(self) -> None:
        super().__post_init__()
        for noise in self.noise:
            smoothgrad(noise, self.samples)  # raises for what is no noise level
        check_reference(self.reference, self.samples)

    def quick(self) -> Self:
        small = self.with_small({"samples": 10})
        return small.with_small({"reference": max(200, 2 * small.samples)})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        setup.check_methods([smoothgrad(noise, self.samples) for noise in self.noise])

    def found(self, setup: Setup) -> Finding:
        (noise,) = self.noise
        if noise == 0:  # the gradient itself: the mean of many of them would be rounded, and has no chance either
            result = limit = setup.explain(gradient())
            far, own, of_limit = 0.0, 0.0, 0.0
        else:
            result = setup.explain(smoothgrad(noise, self.samples))
            limit = setup.explain(
                converged(noise, self.reference), seed=setup.seed + 1, name=f"limit at noise {noise:g}"
            )
            far, own, of_limit = error([result], limit), said_error(result), said_error(limit)
        rows = (
            row(LIMIT, cosine(result, limit), "cosine"),
            row(DISTANCE, far, SHARE),
            row(ERROR, own, "share of the map's norm"),
            row(OF_LIMIT, of_limit, SHARE),
            *scored(setup.judge({"smoothgrad": result}, self.measures)),
        )
        return Finding(rows, {"map": result})

    # --- figures --------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        maps = [
            [(found := result.finding(one.name, noise=noise)) and found.maps["map"] for noise in self.noise]
            for one in result.setup.pictures
        ]
        columns = [f"noise {100 * noise:g} %" for noise in self.noise]
        yield Plate(
            "maps",
            f"SmoothGrad with {self.samples} samples at each noise level, each map on a scale of its own.",
            map_figure(maps, columns=columns),
        )
        made = [some for some in maps if any(some)][:FEW]
        # A single sample knows no error; features carry theirs as whiskers.
        if any(one.map_panel(0).error("") for some in made for one in some if one):
            yield Plate(
                "errors",
                f"Maps and the standard errors of their values: what chance there still is in {self.samples} "
                f"samples. Each on a scale of its own; at noise 0 there is no chance, and nothing to show. Of {len(made)} "
                f"picture{'s' * (len(made) != 1)}.",
                map_figure(made, columns=columns, errors=True),
            )
        frame = result.measured
        panels = [
            LinePanel(
                quantity,
                "noise, share of the picture's range",
                unit_of(frame, quantity),
                (line(frame, "smoothgrad", "noise", quantity),),
            )
            for quantity in frame["quantity"].unique()
        ]
        yield Plate("curves", f"What is measured, against the noise level. {INTERVALS}", line_figure(panels, INTERVALS))

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        made = sorted(frame["noise"].unique())
        far = {noise: average(frame, DISTANCE, {"noise": noise}) for noise in made if noise > 0}
        known = {noise: found for noise, found in far.items() if found.n}
        samples = f"{self.samples} sample{'s' * (self.samples != 1)}"
        if 0 in made:
            yield "At noise 0 the map is the gradient, in which there is no chance: more samples change nothing."
        if len(known) < len(far):
            lost = ", ".join(f"{noise:g}" for noise in far if noise not in known)
            yield (
                f"At noise {lost} the limit of {self.reference} samples cannot be told from zero: how far the map is from it is "
                "not known; take a larger reference."
            )
        if known:
            yield (
                f"With {samples} the map is off its own limit, as a share of the limit's norm, by "
                + ", ".join(f"{found} at noise {noise:g}" for noise, found in known.items())
                + "."
            )
        told = [noise for noise in known if holds(frame, {"quantity": OF_LIMIT, "noise": noise})]
        of_limit = {noise: average(frame, OF_LIMIT, {"noise": noise}) for noise in told}
        rough = {noise: found for noise, found in of_limit.items() if found.mean > ROUGH}
        if rough:
            yield (
                f"The limit of {self.reference} samples has a large error of its own (above {ROUGH:g} of its norm): "
                + ", ".join(f"{found} at noise {noise:g}" for noise, found in rough.items())
                + "; distances there are themselves not well known; take a larger reference."
            )
        if len(known) > 1:
            yield _compared(frame, min(known), max(known))


def _compared(frame: DataFrame, weak: float, strong: float) -> str:
    """Whether the map is farther from its limit at strong noise than at weak noise, on the pictures that have both."""
    gap = difference(frame, DISTANCE, {"noise": strong}, {"noise": weak})
    if not gap.n:
        return f"No picture has a distance at noise {weak:g} and at {strong:g}: they cannot be compared."
    verdict = {
        1: "stronger noise needs more samples",
        -1: "stronger noise needs fewer samples here",
        0: "not clearly different from zero, and whether stronger noise needs more samples is not shown here",
    }
    return (
        f"At noise {strong:g} that is {gap} more than at {weak:g} (paired, {gap.n} picture{'s' * (gap.n != 1)}): "
        f"{verdict[gap.sign]}."
    )
