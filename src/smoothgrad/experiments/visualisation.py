"""How should a map be shown? Signed or absolute, capped or not, times the input or not (Smilkov et al. 2017, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.displayed import Dressed, displayed
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Scalar
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.experiments.summary import INTERVALS, Average, average, holds, line, row, unit_of
from smoothgrad.methods.gradients import smoothgrad
from smoothgrad.view.figure import figure
from smoothgrad.view.heat_plots import HeatPanel, heat_figure
from smoothgrad.view.line_plots import LinePanel, line_figure
from smoothgrad.view.look import Look, Sign
from smoothgrad.view.panels import Panel

if TYPE_CHECKING:
    from pandas import DataFrame

FULL, CUT, STRENGTH, GINI = "pixels at full colour", "cut off by the cap", "mean strength", "inequality of the picture"
NEGATIVE, CANCELLED = "negative share", "cancelled between channels"
DARK, DARK_SHARE, NEUTRAL = "strength of dark pixels", "share on dark pixels", "strength where the input is near zero"
USUAL = 99.0  # the cap of Smilkov et al. 2017
FEW = 4  # pictures that are drawn


@final
@dataclass(frozen=True, repr=False)
class Visualisation(Experiment):
    """One map for each picture, shown in many ways; what is measured is the picture of the map as it is displayed.

    `sign`, `cap` and `times_input` are those of `Look`. With v the value of a pixel and L the limit of the scale, its strength is
    min(|v|, L) / L: from 0, nearly white, to 1, full colour. A map of zeros has strength 0 everywhere and no shares: NaN.
    Raises `BadMethod` for what is no look, and for a method of several maps.
    """

    name: ClassVar[str] = "visualisation"
    title: ClassVar[str] = "How should a map be shown?"
    question: ClassVar[str] = (
        "What do signs, the cap on the largest values, and multiplying by the input show and hide, for each kind of picture?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017",)
    grid: ClassVar[tuple[str, ...]] = ("sign", "cap", "times_input")
    quantities: ClassVar[dict[str, str]] = {
        FULL: "share of the pixels at the limit of the scale or past it, from 0 to 1: no larger value can be told from them",
        CUT: "share of the map's total |v| that lies past the limit, from 0 to 1",
        STRENGTH: "mean strength of the pixels, from 0 (nothing to be seen) to 1 (full colour everywhere)",
        GINI: "Gini index of the strengths, from 0 (all pixels alike) to 1 (a few pixels have all)",
        NEGATIVE: "share of the shown total that is negative, from 0 to 1; an absolute picture has 0, whatever the map",
        CANCELLED: "share of the channels' total that is lost as positive and negative ones are added up, from 0 to 1",
        DARK: "mean strength of the darkest tenth of the pixels / that of all, from 0 (vanished); 1 is even",
        DARK_SHARE: "share of the shown total on the darkest tenth of the pixels and all as dark as these, from 0 to 1",
        NEUTRAL: "mean strength of the tenth of pixels whose input is nearest to zero / that of all, from 0; 1 is even",
    }

    sign: tuple[Sign, ...] = ("absolute", "signed")
    cap: tuple[float, ...] = (95.0, 97.0, 99.0, 99.5, 100.0)
    times_input: tuple[bool, ...] = (False, True)
    method: Explainer = smoothgrad(samples=50)  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        for sign, cap, times_input in product(self.sign, self.cap, self.times_input):
            Look(sign=sign, cap=cap, times_input=times_input)  # raises for what is no look
        if "Together(" in repr(self.method):  # it can only be the last step of a method
            raise BadMethod(f"{self.method!r} gives several maps for a picture; take one reduction")

    @property
    def look(self) -> Look:
        """The look of a cell."""
        (sign,), (cap,), (times_input,) = self.sign, self.cap, self.times_input
        return Look(sign=sign, cap=cap, times_input=times_input)

    def quick(self) -> Self:
        return self.with_small({"cap": (95.0, 99.0, 100.0)})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        for picture in setup.pictures:
            if picture.x.ndim != 4:
                raise BadInput(
                    f"{self.name} shows maps of pictures (1, C, H, W), and {picture.name!r} has shape {tuple(picture.x.shape)}; "
                    "give pictures"
                )
        setup.check_methods([self.method])

    def found(self, setup: Setup) -> Finding:
        shown = displayed(setup.explain_once(self.method), self.look)
        return Finding(
            (
                row(FULL, shown.full, "share of the pixels"),
                row(CUT, shown.cut, "share of the map's total"),
                row(STRENGTH, shown.mean, "share of full colour"),
                row(GINI, shown.gini, "Gini index"),
                row(NEGATIVE, shown.negative, "share of what is shown"),
                row(CANCELLED, shown.cancelled, "share of the channels' total"),
                row(DARK, shown.over(shown.dark), "ratio to the mean strength"),
                row(DARK_SHARE, shown.share(shown.dark), "share of what is shown"),
                row(NEUTRAL, shown.over(shown.neutral), "ratio to the mean strength"),
            )
        )

    # --- what is shown ------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        for number, picture in enumerate(_few(result, frame), 1):
            yield self._map_plate(result, picture, number)
        yield Plate(
            "curves",
            f"The picture of the map against the cap. {INTERVALS} A map of one channel has the same strengths, signed or absolute.",
            line_figure(list(self._line_panels(frame)), INTERVALS),
        )
        cap = self._usual
        yield Plate(
            "kinds",
            f"What each look hides of each kind of picture, capped at {cap:g} %: means over pictures.",
            heat_figure([self._heat(frame, quantity, cap) for quantity in (NEGATIVE, CANCELLED, DARK, NEUTRAL)]),
        )

    def _map_plate(self, result: Result, picture: Picture, number: int) -> Plate:
        held = result.setup.only(picture).explain_once(self.method)
        seen = held.picture_panel(0)
        rows: list[list[Panel | None]] = []
        for sign, times_input in self._looks:
            looks = [Look(sign=sign, cap=cap, times_input=times_input) for cap in self.cap]
            first = [None if rows else seen] if seen else []  # the picture once, to the left of the first look
            rows.append([*first, *(Dressed(held.map_panel(0), look) for look in looks)])
        page = figure(
            rows,
            Look(cap=100),  # each panel has a look of its own, and says its limit
            columns=[*(["input"] if seen else []), *(_capped(cap) for cap in self.cap)],
            labels=[look_name(*look) for look in self._looks],
            title=" · ".join(part for part in (picture.name, picture.group, held.label(0)) if part),
        )
        ways = len(self.cap) * len(rows)
        shown = "in one way" if ways == 1 else f"in {ways} ways"
        return Plate(f"maps-{number}", f"One map of {picture.name}, shown {shown}.", page)

    def _line_panels(self, frame: DataFrame) -> Iterator[LinePanel]:
        for quantity in (FULL, CUT, STRENGTH, GINI):
            for times_input in self.times_input:
                where = {"times_input": times_input}
                lines = tuple(
                    line(frame, f"{sign}, {kind}", "cap", quantity, {**where, "sign": sign, "group": group})
                    for group, kind in _groups(frame).items()
                    for sign in self.sign
                )
                title = f"{quantity}{', × input' if times_input else ''}"
                yield LinePanel(title, "cap, percentile of |value|", unit_of(frame, quantity), lines)

    def _heat(self, frame: DataFrame, quantity: str, cap: float) -> HeatPanel:
        groups = _groups(frame)
        values = [
            [
                average(frame, quantity, {"sign": sign, "times_input": times_input, "cap": cap, "group": group}).mean
                for group in groups
            ]
            for sign, times_input in self._looks
        ]
        looks = tuple(look_name(*look) for look in self._looks)
        kinds, unit = tuple(groups.values()), unit_of(frame, quantity)
        return HeatPanel(quantity, "kind of picture", "look", kinds, looks, np.array(values, dtype=np.float64), unit)

    @property
    def _looks(self) -> list[tuple[Sign, bool]]:
        return [(sign, times_input) for sign in self.sign for times_input in self.times_input]

    @property
    def _usual(self) -> float:
        """The cap of the grid that is nearest to the usual one."""
        return min(self.cap, key=lambda cap: abs(cap - USUAL))

    # --- what was seen ------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        for group, kind in _groups(frame).items():
            at: dict[str, Scalar] = {
                "group": group,
                "sign": self.sign[0],
                "times_input": self.times_input[0],
                "cap": self._usual,
            }
            yield from self._about_cap(frame, kind, at)
            yield from self._about_input(frame, kind, at)
            yield from self._about_sign(frame, kind, at)

    def _about_cap(self, frame: DataFrame, kind: str, at: Mapping[str, Scalar]) -> Iterator[str]:
        least, most = min(self.cap), max(self.cap)
        low, high = {**at, "cap": least}, {**at, "cap": most}
        if least < most and holds(frame, low, high):
            yield (
                f"{_said(kind)}, {look_name(self.sign[0], self.times_input[0])}: mean strength is "
                f"{average(frame, STRENGTH, low)} capped at {least:g} %, and {average(frame, STRENGTH, high)} at {most:g} %; the "
                f"first cuts off {average(frame, CUT, low)} of the map's total and puts {average(frame, FULL, low)} of the pixels "
                f"at full colour, the other {average(frame, CUT, high)} and {average(frame, FULL, high)}."
            )

    def _about_input(self, frame: DataFrame, kind: str, at: Mapping[str, Scalar]) -> Iterator[str]:
        plain, times = ({**at, "times_input": times_input} for times_input in (False, True))
        if holds(frame, plain, times):

            def pair(quantity: str) -> tuple[Average, Average]:
                return average(frame, quantity, plain), average(frame, quantity, times)

            (dark, dark_times), (neutral, neutral_times), (gini, gini_times) = map(pair, (DARK, NEUTRAL, GINI))
            yield (
                f"{_said(kind)}, times the input the darkest pixels go from {dark} to {dark_times} of the mean strength, those "
                f"whose input is nearest to zero from {neutral} to {neutral_times}, and the Gini index from {gini} to {gini_times}."
            )

    def _about_sign(self, frame: DataFrame, kind: str, at: Mapping[str, Scalar]) -> Iterator[str]:
        signed = {**at, "sign": "signed"}
        if holds(frame, signed):
            yield (
                f"{_said(kind)}, {average(frame, NEGATIVE, signed)} of what the signed picture shows is negative, and "
                f"{average(frame, CANCELLED, signed)} of the channels' total cancels in it."
            )


# --- words --------------------------------------------------------------------------------------------------------------


def look_name(sign: str, times_input: bool) -> str:
    """
    >>> look_name("signed", True)
    'signed, × input'
    """
    return f"{sign}{', × input' if times_input else ''}"


def _capped(cap: float) -> str:
    return f"cap {cap:g} %" if cap < 100 else "no cap"


def _groups(frame: DataFrame) -> dict[str, str]:
    """The groups of the pictures with what they are called: all of them where no kinds are given."""
    groups = [str(group) for group in frame["group"].unique()]
    return {group: group or ("all pictures" if len(groups) == 1 else "other pictures") for group in groups}


def _few(result: Result, frame: DataFrame) -> list[Picture]:
    """Some pictures that were explained, the first of each group before all second ones."""
    made = [one for one in result.setup.pictures if one.name in set(frame["picture"])]
    turn = {one.name: sum(other.group == one.group for other in made[:place]) for place, one in enumerate(made)}
    return sorted(made, key=lambda one: turn[one.name])[:FEW]


def _said(kind: str) -> str:
    return f"Of {kind}" if kind.endswith("pictures") else f"Of {kind} pictures"
