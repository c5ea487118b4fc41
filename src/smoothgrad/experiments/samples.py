"""How many samples does SmoothGrad need, for the eye and for the number? (Smilkov et al. 2017, figure 4)"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row
from smoothgrad.experiments.law import (
    ALIKE,
    CLOSE,
    IN_WORDS,
    PLAIN,
    ROUNDING,
    count,
    estimated,
    first_alike,
    fitted_slope,
    one_sample,
    saved,
    saving,
    seen,
    squares,
)
from smoothgrad.experiments.limits import (
    DISTANCE,
    LOOK,
    OF_LIMIT,
    OF_LIMIT_IS,
    SHARE,
    check_reference,
    converged,
    error,
    said_error,
    seen_alike,
)
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import INTERVALS, Average, average, line, row, unit_of
from smoothgrad.measure.similarity import Ssim
from smoothgrad.methods.gradients import smoothgrad
from smoothgrad.result import Attribution
from smoothgrad.samplers.spread import BLOCK
from smoothgrad.view.line_plots import Line, LinePanel, Mark, line_figure
from smoothgrad.view.score_plots import Dot, DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

COSINE, ERROR = "cosine with the limit", "relative error"
EYE, LAST = "SSIM with the limit", "SSIM with the most samples"


@final
@dataclass(frozen=True, repr=False)
class SampleCount(Experiment):
    """SmoothGrad with few and many samples, beside its limit: the map of `reference` antithetic samples of another seed.

    `sampling` is how the draws are spread: "independent", "antithetic", "sobol", or "stratified", which is the Latin hypercube.
    They come in blocks of 1, 2, 8 and 8, and of each number in `samples` a sampling takes the next whole number of blocks: 8 for 3.
    The column `n` says how many were drawn. Numbers are means over `repeats` seeds, of errors root mean squares. The maps of a seed
    share their draws, as where samples are added to a map: n = 100 goes on from n = 50.

    The limit L has an error of its own, with standard errors S. Its draws are independent of the maps', so that the squares add up,
    and how far a map M is from infinitely many samples is, numerator and denominator without bias,

        error^2 = (mean ||M - L||^2 - ||S||^2) / (||L||^2 - ||S||^2)

    For all four samplings this is exactly c / n on average, c the error^2 of one sample. What the eye sees is the map as it is
    shown: absolute, summed over channels, capped at the 99th percentile.

    Raises `BadMethod` for samples that are not whole numbers from 1 upwards, each once and in order, for a reference that is odd or
    not larger than them, and for fewer than one repeat; `BadInput` for rows that are no pictures.
    """

    name: ClassVar[str] = "samples"
    title: ClassVar[str] = "How many samples?"
    question: ClassVar[str] = (
        "From how many samples does the eye see no change in SmoothGrad's map, from how many has the estimate converged, and "
        "what do antithetic, Sobol and Latin hypercube draws save?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017", "hammersley1956", "sobol1967", "mckay1979", "owen1997")
    grid: ClassVar[tuple[str, ...]] = ("sampling",)
    keys: ClassVar[dict[str, str]] = {"n": "how many samples were drawn: whole blocks of the sampling"}
    quantities: ClassVar[dict[str, str]] = {
        DISTANCE: "||map - limit|| / ||limit|| without the limit's own error: how far the map is from infinitely many samples; "
        "falls as 1 / sqrt(n); NaN where the limit cannot be told from zero",
        COSINE: "cosine of the map with the limit, from -1 to 1; the limit's own error lowers it",
        EYE: "structural similarity of the map as it is shown with the limit as it is shown, up to 1",
        LAST: "the same with the map of the most samples, which shares its draws",
        ERROR: "||standard error|| / ||map||: what the map says of its own error, at most 1",
        OF_LIMIT: f"{OF_LIMIT_IS}; n is its number of samples",
    }

    sampling: tuple[str, ...] = ("independent", "antithetic", "sobol", "stratified")
    samples: tuple[int, ...] = (3, 5, 10, 20, 50, 100, 200)
    noise: float = 0.15
    reference: int = 2000
    repeats: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for sampling in self.sampling:
            smoothgrad(self.noise, 8, sampling=sampling)  # type: ignore[arg-type] # raises for what is none
        if not self.samples or min(self.samples) < 1 or list(self.samples) != sorted(set(self.samples)):
            raise BadMethod(
                f"samples are whole numbers from 1 upwards, each once and in order, such as (3, 10, 50); got {self.samples!r}"
            )
        check_reference(self.reference, max(max(self.counts(sampling)) for sampling in self.sampling))
        if self.repeats < 1:
            raise BadMethod(f"repeats is the number of seeds, 1 or more; got {self.repeats}")

    def quick(self) -> Self:
        small = self.with_small({"samples": (3, 10, 50), "repeats": 1})
        return small.with_small({"reference": max(400, 2 * max(small.samples))})

    def counts(self, sampling: str) -> tuple[int, ...]:
        """How many samples are drawn: those asked for, in whole blocks."""
        block = BLOCK[sampling]
        return tuple(dict.fromkeys(-(-n // block) * block for n in self.samples))

    def check(self, setup: Setup) -> None:
        super().check(setup)
        for one in setup.pictures:
            if one.x.ndim != 4 or min(one.x.shape[2:]) < 3:
                raise BadInput(
                    f"{self.name} compares maps as the eye sees them, of pictures of 3 x 3 pixels or more; {one.name} is a row of "
                    f"shape {tuple(one.x.shape[1:])}"
                )
        # Sobol's sequence is too short for large pictures. Its cells say so, at once, and the others are made.
        setup.check_methods([smoothgrad(self.noise, 2)])

    def found(self, setup: Setup) -> Finding:
        (sampling,) = self.sampling
        counts = self.counts(sampling)
        # Even steps from the experiment's seed; the limit has the odd one.
        runs = [
            {
                n: setup.explain(
                    smoothgrad(self.noise, n, sampling=sampling),  # type: ignore[arg-type]
                    seed=setup.seed + 2 * repeat,
                    name=f"{n} samples, {sampling}, {repeat + 1} of {self.repeats}",
                )
                for n in counts
            }
            for repeat in range(self.repeats)
        ]
        limit = setup.explain_once(converged(self.noise, self.reference), seed=setup.seed + 1)
        rows = [row(OF_LIMIT, said_error(limit), SHARE, {"n": self.reference})]
        for n in counts:
            maps = [run[n] for run in runs]
            rows += _compared(n, maps, limit)
            if n < counts[-1]:
                alike = [seen_alike(run[n], run[counts[-1]]) for run in runs]
                rows.append(row(LAST, _mean(alike), Ssim.unit, {"n": n}))
        return Finding(tuple(rows), {**{f"n{n}": runs[0][n] for n in counts}, "limit": limit})

    # --- figures --------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        there = self._there(frame)
        first = there[0]
        counts = self.counts(first)
        maps = [
            [found and found.maps[name] for name in (*(f"n{n}" for n in counts), "limit")]
            for found in (result.finding(one.name, sampling=first) for one in result.setup.pictures)
        ]
        yield Plate(
            "maps",
            f"SmoothGrad with more and more samples, {IN_WORDS[first]} sampling, and its limit; each on a scale of its own, "
            "as the eye sees it and as SSIM compares it.",
            map_figure(maps, columns=[*(f"n = {n}" for n in counts), f"limit (n = {self.reference})"], look=LOOK),
        )
        yield Plate(
            "error",
            f"The error of the map, without the limit's own. The grey line is 1/√n, the law of independent draws, through the "
            f"means of {IN_WORDS[first]} sampling; beyond the last point it is an extrapolation. {INTERVALS}",
            line_figure([self._errors(frame, there)], INTERVALS),
        )
        panels = [
            LinePanel(
                quantity,
                "samples n",
                unit_of(frame, quantity),
                tuple(line(frame, IN_WORDS[one], "n", quantity, {"sampling": one}) for one in there),
                log_x=True,
            )
            for quantity in (EYE, LAST, COSINE, ERROR)
            if quantity in set(frame["quantity"])
        ]
        yield Plate(
            "likeness",
            f"How like the limit the map is, and what it says of its error. {INTERVALS}",
            line_figure(panels, INTERVALS),
        )
        if first == PLAIN and any(math.isfinite(saving(frame, one).mean) for one in there[1:]):
            dots = [_dot(PLAIN, Average(1.0, math.nan, math.nan, len(squares(frame, PLAIN))))]
            dots += [_dot(one, saving(frame, one)) for one in there[1:]]
            unit = "samples of plain sampling for the same error, per sample"
            yield Plate(
                "saving",
                "How many plain samples one sample is worth: the ratio of squared errors. At 1 nothing is saved.",
                dot_figure([DotPanel("saving", unit, "higher", tuple(dots))]),
            )

    def _errors(self, frame: DataFrame, there: Sequence[str]) -> LinePanel:
        """Errors against n, the law beside them, and where the eye and the estimate are satisfied."""
        first = there[0]
        lines = [line(frame, IN_WORDS[one], "n", DISTANCE, {"sampling": one}) for one in there]
        marks = []
        eye = first_alike(frame, EYE, first)
        if eye is not None:
            marks.append(Mark(float(eye), f"the eye: SSIM {ALIKE:g} at n = {eye}"))
        scale = one_sample(frame, first).mean
        if math.isfinite(scale) and scale > ROUNDING:
            needed = (scale / CLOSE) ** 2
            x = np.array([lines[0].x.min(), max(lines[0].x.max(), needed)])
            lines.append(Line("1/√n", x, scale / np.sqrt(x), grey=True))
            marks.append(Mark(needed, f"distance {CLOSE:g} at n = {count(needed)}"))
        return LinePanel(
            DISTANCE,
            "samples n",
            unit_of(frame, DISTANCE),
            tuple(lines),
            log_x=True,
            log_y=any(bool((one.y > 0).any()) for one in lines),
            marks=tuple(marks),
        )

    def _there(self, frame: DataFrame) -> tuple[str, ...]:
        """The samplings of which there are cells, plain sampling first."""
        made = set(frame["sampling"])
        return tuple(sorted((one for one in self.sampling if one in made), key=lambda one: one != PLAIN))

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        there = self._there(frame)
        first = there[0]
        last = self.counts(first)[-1]
        yield (
            f"The eye, with {IN_WORDS[first]} sampling: {seen(frame, LAST, first, f'that of n = {last}')}; "
            f"{seen(frame, EYE, first, 'the limit')}."
        )
        yield f"The estimate: {estimated(frame, first, last, self.reference)}."
        slope = fitted_slope(frame, first)
        if math.isfinite(slope):
            yield f"The error of {IN_WORDS[first]} sampling falls as n to the power of {slope:.2f}; the law says -0.50."
        own = average(frame, OF_LIMIT, {"sampling": first})
        if own.n:
            yield f"The limit, of {self.reference} samples, has an error of {own} itself, which is taken off the errors."
        if first == PLAIN:
            for one in there[1:]:
                yield saved(frame, one)


# --- of a cell -------------------------------------------------------------------------------------------------------------


def _compared(n: int, maps: Sequence[Attribution], limit: Attribution) -> list[Row]:
    """Rows of a number of samples: the maps of all seeds beside the limit."""
    keys = {"n": n}
    return [
        row(DISTANCE, error(maps, limit), SHARE, keys),
        row(COSINE, _mean([cosine(one, limit) for one in maps]), "cosine", keys),
        row(EYE, _mean([seen_alike(one, limit) for one in maps]), Ssim.unit, keys),
        row(ERROR, _mean([said_error(one) for one in maps]), "share of the map's norm", keys),
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _dot(sampling: str, found: Average) -> Dot:
    return Dot(IN_WORDS[sampling], found.mean, found.low, found.high, False, found.n, 0)
