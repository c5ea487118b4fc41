"""Does it matter what the noise is? Other noise than Gaussian, of equal variance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

from torch import Tensor

from smoothgrad.core.sampler import Sampler
from smoothgrad.errors import BadMethod, BadNoise, UnknownName, nearest
from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate
from smoothgrad.experiments.limits import (
    SHARE,
    check_reference,
    converged,
    error,
    said_error,
    squared_chance,
    squared_error,
)
from smoothgrad.experiments.noise_kinds import SOURCES, level, movement
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import Average, average, difference, dot, row, scored, unit_of
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.judging import labelled
from smoothgrad.measure.measure import Measure
from smoothgrad.samplers.cloud import Gaussian
from smoothgrad.view.figure import figure
from smoothgrad.view.look import Look
from smoothgrad.view.panels import PicturePanel
from smoothgrad.view.score_plots import DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

PARAMETER, SPREAD, SHIFT = "parameter", "measured noise", "shift of the cloud"
LIMIT, DISTANCE, BEYOND = (
    "cosine with Gaussian's limit",
    "distance from Gaussian's limit",
    "squared distance beyond chance",
)
ERROR = "relative error"
PLAIN = "gaussian"


@final
@dataclass(frozen=True, repr=False)
class NoiseSource(Experiment):
    """The mean gradient under noise of six kinds and equal variance, beside SmoothGrad's own limit: `reference` Gaussian samples.

    `noise` is the standard deviation of what is added, as a share of the picture's range r: the variance of each value, averaged
    over the picture, is (noise r)^2 for all sources. Gaussian, uniform and Laplace noise have that by their laws. The parameter of
    the others is found for each picture: with s = noise r, the smallest and the largest value l and h, and means over the values,

        salt-and-pepper   p (A + B) - p^2 A = s^2,   A = mean (m - x)^2,  m = (l + h) / 2,  B = (r / 2)^2
        dropout           p (1 - p) mean x^2 = s^2
        multiplicative    f^2 mean x^2 = s^2

    and of two probabilities the smaller one. Salt and pepper reach up to r / 2 at p = 1, dropout sqrt(mean x^2) / 2 at p = 1/2:
    little for a picture near zero. `BadNoise` says for such a cell how much can be had.
    Salt and pepper draw the picture towards the middle of its range, dropout towards zero: by p (m - x) and -p x, which is no
    variance, and stands in the table as the shift of the cloud.

    Raises `UnknownName` for another source, `BadNoise` for noise that is not above zero, and `BadMethod` for fewer than 2 samples
    and a reference that is odd or not larger than them.
    """

    name: ClassVar[str] = "noise-source"
    title: ClassVar[str] = "Does it matter what the noise is?"
    question: ClassVar[str] = (
        "Does noise of another kind, of equal variance, give another map than Gaussian noise, and what do measures say of it?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017",)
    grid: ClassVar[tuple[str, ...]] = ("source",)
    quantities: ClassVar[dict[str, str]] = {
        PARAMETER: "what gives the source that variance on this picture: a share of its range or of each value, or a probability",
        SPREAD: "standard deviation of the draws of this map, root mean square over the picture, as a share of its range",
        SHIFT: "how far the mean of the draws is from the picture, root mean square over it, as a share of its range; what is "
        "chance is taken off",
        LIMIT: "cosine of the map with Gaussian's limit, from -1 to 1; both maps' chance lowers it",
        DISTANCE: "||map - limit|| / ||limit|| without the limit's own error: how far the map is from Gaussian noise with "
        "infinitely many samples; the map's own chance is in it",
        BEYOND: "||map - limit||^2 less the squared standard errors of both, as a share of the limit's squared norm (less its "
        "own): zero on average where the source has the same limit as Gaussian noise; below zero by chance",
        ERROR: "||standard error|| / ||map||: what the map says of its own error",
    }

    source: tuple[str, ...] = ("gaussian", "uniform", "laplace", "salt-and-pepper", "dropout", "multiplicative")
    noise: float = 0.15
    samples: int = 50
    reference: int = 1000
    measures: tuple[Measure, ...] = (Deletion(), Insertion(), TotalVariation())

    def __post_init__(self) -> None:
        super().__post_init__()
        for source in self.source:
            if source not in SOURCES:
                raise UnknownName(f"{self.name} has no source {source!r}; {nearest(source, SOURCES)}")
        if not (math.isfinite(self.noise) and self.noise > 0):
            raise BadNoise(f"{self.name} compares noise of one strength, above 0; got noise={self.noise}")
        if self.samples < 2:
            raise BadMethod(f"{self.name} needs samples >= 2, or nothing is known of their spread; got {self.samples}")
        check_reference(self.reference, self.samples)

    def quick(self) -> Self:
        small = self.with_small({"samples": 10})
        return small.with_small({"reference": max(200, 2 * small.samples)})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        setup.check_methods([Gradient().over(Gaussian(self.noise, self.samples))])
        for source in self.source:
            faults = [self._refused(source, one.x) for one in setup.pictures]
            if all(faults):
                raise BadNoise(f"no picture allows {source} noise; of the first, {setup.pictures[0].name}: {faults[0]}")

    def found(self, setup: Setup) -> Finding:
        (source,) = self.source
        x = setup.picture.x
        cloud = self.cloud(source, x)
        moved = movement(cloud, x, setup.seed)
        result = setup.explain(Gradient().over(cloud), name=source)
        limit = setup.explain_once(converged(self.noise, self.reference), seed=setup.seed + 1)
        scale = float(x.double().amax() - x.double().amin())
        rows = (
            row(PARAMETER, level(source, self.noise, x), SOURCES[source].unit),
            row(SPREAD, moved.spread / scale, "share of the picture's range"),
            row(SHIFT, moved.shift / scale, "share of the picture's range"),
            row(LIMIT, cosine(result, limit), "cosine"),
            row(DISTANCE, error([result], limit), SHARE),
            row(
                BEYOND,
                squared_error(result, limit) - squared_chance(result, limit),
                "share of the limit's squared norm",
            ),
            row(ERROR, said_error(result), "share of the map's norm"),
            *(scored(setup.judge({source: result}, self.measures)) if self.measures else ()),
        )
        return Finding(rows, {"map": result}, {"draw": moved.first})

    def cloud(self, source: str, x: Tensor) -> Sampler:
        """Noise of this source for a picture (1, *S). Raises `BadNoise`."""
        return SOURCES[source].make(level(source, self.noise, x), self.samples)

    def _refused(self, source: str, x: Tensor) -> BadNoise | None:
        """Why a picture cannot have noise of this source."""
        try:
            level(source, self.noise, x)
        except BadNoise as fault:
            return fault
        return None

    # --- figures --------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        pictures = result.setup.pictures[:MOST]
        found = [[result.finding(one.name, source=source) for source in self.source] for one in pictures]
        shape = pictures[0].x.shape[1:]
        if len(shape) == 3 and any(one and one.maps["map"].picture is not None for cells in found for one in cells):
            net = result.setup.net
            rows = [
                [
                    PicturePanel(net.show(picture.x)[0]),
                    *(one and PicturePanel(net.show(one.arrays["draw"])[0]) for one in cells),
                ]
                for picture, cells in zip(pictures, found, strict=True)
            ]
            yield Plate(
                "noise",
                f"A draw from each source, at noise {self.noise:g} of the picture's range; what is darker than black or brighter "
                "than white is shown as black or white. Empty: the source cannot be so strong on that picture.",
                figure(rows, columns=["picture", *self.source], labels=[one.name for one in pictures]),
            )
        maps = [[one and one.maps["map"] for one in cells] for cells in found]
        yield Plate(
            "maps",
            f"The mean gradient of {self.samples} samples of each source, on one scale for each picture.",
            map_figure(maps, columns=self.source, look=replace(Look.default_for(shape), shared=True)),
        )
        frame = result.measured
        yield Plate(
            "quantities",
            "What is measured, by source: the noise itself, how far its map is from the limit of Gaussian noise, and measures.",
            dot_figure([self._panel(result, frame, one) for one in frame["quantity"].unique() if one != PARAMETER]),
        )

    def _panel(self, result: Result, frame: DataFrame, quantity: str) -> DotPanel:
        better = {name: measure.better for name, measure in labelled(self.measures).items()} if self.measures else {}
        pictures = len(result.setup.pictures)
        dots = tuple(dot(frame, source, quantity, {"source": source}, pictures) for source in self.source)
        title = f"{quantity} ({self.noise:g} is wanted)" if quantity == SPREAD else quantity
        return DotPanel(title, unit_of(frame, quantity), better.get(quantity, "neither"), dots)

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        there = [source for source in self.source if source in set(frame["source"])]
        of = {source: {"source": source} for source in there}
        spread = {source: average(frame, SPREAD, of[source]) for source in there}
        least, most = (end(there, key=lambda source: spread[source].mean) for end in (min, max))
        measured = f"from {spread[least].mean:.3g} ({least}) to {spread[most].mean:.3g} ({most})"
        yield (
            f"The noise is meant to be {self.noise:g} of the picture's range; measured, it is "
            + (measured if len(there) > 1 else f"{spread[least].mean:.3g} ({least})")
            + f", over {_counted(spread.values())}."
        )
        fitted = {source: average(frame, PARAMETER, of[source]) for source in there if SOURCES[source].fitted}
        if fitted:
            said = [f"{source} {found} ({SOURCES[source].unit})" for source, found in fitted.items()]
            yield f"For that variance it takes, over {_counted(fitted.values())}: {', '.join(said)}."
        for source in sorted(there, key=lambda source: source != PLAIN):
            yield _beside_gaussian(frame, source, self.samples)
        for source in self.source:
            refused = [one for one in result.failures if one["source"] == source]
            if refused:
                many = len(result.setup.pictures)
                yield (
                    f"{source[0].upper()}{source[1:]} could not be had on {len(refused)} of {many} picture{'s' * (many != 1)}; "
                    f"first: {refused[0]['reason']}"
                )


def _beside_gaussian(frame: DataFrame, source: str, samples: int) -> str:
    """What a source does to the map, beside what Gaussian noise does to it on the same pictures."""
    where, plain = {"source": source}, {"source": PLAIN}
    beyond, moved = average(frame, BEYOND, where), average(frame, SHIFT, where)
    sentence = (
        f"{source[0].upper()}{source[1:]} noise with {samples} samples, on {_counted([moved])}: cosine "
        f"{average(frame, LIMIT, where)} with Gaussian's limit, squared distance beyond chance {beyond} of the limit's squared norm"
    )
    if source == PLAIN:
        sentence += "; of the true one it is known to be 0, the rest is chance"
    elif (gap := difference(frame, BEYOND, where, plain)).n:
        sure = {1: "clearly farther", -1: "clearly nearer", 0: "not clearly another distance"}[gap.sign]
        sentence += f"; less Gaussian noise's own, {gap} (paired, {_counted([gap])}): {sure}"
    else:
        sentence += "; no picture has it beside Gaussian noise"
    off = f"; its cloud is not around the picture, but {moved} of the range off" if moved.mean > 0.02 else ""
    return f"{sentence}{off}."


def _counted(averages: Iterable[Average]) -> str:
    """
    >>> _counted([Average(0.1, 0.0, 0.2, 1)]), _counted([Average(0.1, 0.0, 0.2, 3), Average(0.1, 0.0, 0.2, 8)])
    ('1 picture', '3 to 8 pictures')
    """
    many = sorted({one.n for one in averages})
    return f"{' to '.join(map(str, dict.fromkeys((many[0], many[-1]))))} picture{'s' * (many[-1] != 1)}"
