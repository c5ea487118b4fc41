"""Which methods look at what the network learned? Maps of networks whose layers are random (Adebayo et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, final

import numpy as np
import torch

from smoothgrad.core.query import Query
from smoothgrad.errors import BadMethod, SmoothGradError, UnknownName, nearest
from smoothgrad.experiments.compared import alike
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.experiments.every_method import EVERY
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row
from smoothgrad.experiments.methods_as_text import check, each_in_full, is_control, labels, method_of, name_of
from smoothgrad.experiments.random_layers import check_layers, random_networks
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import INTERVALS, Average, average, chosen, line, row
from smoothgrad.measure.judging import target_of
from smoothgrad.measure.sanity import CascadingRandomisation, IndependentRandomisation, Randomised
from smoothgrad.measure.similarity import Similarity, Spearman, Ssim
from smoothgrad.methods.controls import random_map
from smoothgrad.result import Attribution
from smoothgrad.view.heat_plots import HeatPanel, heat_figure
from smoothgrad.view.line_plots import Line, LinePanel, line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

STAGE, MEAN, CHANCE = "similarity after randomising", "mean similarity", "similarity with a random map"
ORDERS: dict[str, Callable[[int], Randomised]] = {
    "cascading": lambda stages: CascadingRandomisation(stages=stages),
    "independent": lambda stages: IndependentRandomisation(stages=stages),
}
SIGNS = ("signed", "absolute")

# What the figures show of many: what Adebayo et al. 2018 compare, and the best known of the others.
SHOWN = (
    *("gradient", "smoothgrad", "input_x_gradient", "integrated_gradients", "guided_backprop", "guided_grad_cam"),
    *("grad_cam", "lrp", "deep_lift", "random_map", "sobel"),
)
FEW = ("gradient", "smoothgrad(noise=0.15, samples=10)", "guided_backprop", "grad_cam", "sobel")
HALF = 0.5
ENOUGH = 10  # pictures: below, bands are so wide that they hide the lines
LISTED = 6  # methods, of more the first and the last ones are told
ONE_DRAW = "All pictures share one draw of random weights: another draw is not in these intervals."


class Shown(NamedTuple):
    """A method with its mean similarity over a cascade."""

    text: str
    value: Average


@final
@dataclass(frozen=True, repr=False)
class Sanity(Experiment):
    """How alike each method's map stays to itself when layers of the network lose what they learned.

    "cascading" randomises from the output down, one layer more at each stage, "independent" one layer alone; at most `stages`
    networks, evenly spread over the layers, as `CascadingRandomisation` and `IndependentRandomisation` do. All maps explain
    the class that was explained before. Maps of chance use the same random numbers at every stage: what changes is the
    network. So 1 is what a map has that does not look at the network, edges (`sobel`) and chance (`random_map`) alike; what
    chance alone would give is the similarity with a random map of another seed, near 0 for ranks. All pictures see the same random
    weights, drawn once from the seed. Similarities compare signed maps, and their
    absolute values, value by value; of maps that are never negative these are the same. A constant map is like nothing, so
    that a method whose map becomes zero everywhere, as Grad-CAM's may, has no similarity at that stage, and no mean.

    `method` holds names, or recipes such as "rise(samples=100)"; the default is all that need nothing but the network, a few
    with less draws than usual. Of these one that this network refuses, such as attention in a network without any, fails as a
    cell, with the reason; one that was asked for by name is refused before the work begins.

    Raises `UnknownName` for a method or an order that there is not, `BadRecipe`, and `BadMethod` for a method that needs
    data or gives several maps, and for stages below 1.
    """

    name: ClassVar[str] = "sanity"
    title: ClassVar[str] = "Which maps depend on what the network learned?"
    question: ClassVar[str] = (
        "How alike does a method's map stay when the network's layers are made random, one after the other?"
    )
    papers: ClassVar[tuple[str, ...]] = ("adebayo2018checks",)
    grid: ClassVar[tuple[str, ...]] = ("method", "order")
    keys: ClassVar[dict[str, str]] = {
        "similarity": "by what the maps are compared",
        "sign": "signed maps, or their absolute values",
        "layer": "the layer that was made random last; empty where none is meant",
        "place": "its number from the output down, beginning with 1",
    }
    quantities: ClassVar[dict[str, str]] = {
        STAGE: "similarity of the map with that of the network with random layers; 1: they are equal",
        MEAN: "the mean of these over the stages; NaN where one of the maps is constant",
        CHANCE: "similarity of the map with a map of chance, drawn with the next seed: of signed maps near 0 by ranks",
    }

    method: tuple[str, ...] = EVERY
    order: tuple[str, ...] = tuple(ORDERS)
    stages: int = 5
    similarities: tuple[Similarity, ...] = (Spearman(), Ssim())

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", each_in_full(self.method))
        super().__post_init__()
        check(self.method, self.name)
        for order in self.order:
            if order not in ORDERS:
                raise UnknownName(f"no order is called {order!r}; {nearest(order, ORDERS)}")
            ORDERS[order](self.stages)  # raises for what is no number of stages
        if not self.similarities:
            raise BadMethod("Sanity takes one or more similarities, such as (Spearman(),), got none")

    def quick(self) -> Self:
        return replace(self, method=FEW if self.method == EVERY else self.method, stages=min(self.stages, 4))

    def check(self, setup: Setup) -> None:
        super().check(setup)
        for picture in setup.pictures:
            for one in self.similarities:
                one.check(Query.of(picture.x, torch.zeros(len(picture.x), dtype=torch.int64)))
        check_layers(setup.only(setup.pictures[0]), ORDERS[self.order[0]](self.stages))
        self._check_methods(setup)

    def _check_methods(self, setup: Setup) -> None:
        """Raises what the network says to a method that was asked for by name, or to all of those that were not."""
        if self.method not in (EVERY, each_in_full(FEW)):
            setup.check_methods([method_of(text) for text in self.method])
            return
        faults = []
        for text in self.method:
            if not is_control(text):
                try:
                    setup.check_methods([method_of(text)])
                except SmoothGradError as error:
                    faults.append(error)
                else:
                    return
        raise faults[0]

    # --- a cell ---------------------------------------------------------------------------------------------------------

    def found(self, setup: Setup) -> Finding:
        (text,), (order,) = self.method, self.order
        method = method_of(text)
        before = setup.explain(method)
        target = setup.target if before.kind == "function" else target_of(before)
        # Of another seed: else random_map would be compared with itself.
        rows = [*self._rows(CHANCE, before, setup.explain(random_map(), seed=setup.seed + 1))]
        after: list[Attribution] = []
        for number, layer, network in random_networks(setup, target, ORDERS[order](self.stages)):
            map_ = setup.asking(network).explain(method, target=target, name=f"{name_of(text)}, {layer} random")
            rows += self._rows(STAGE, before, map_, layer, number)
            after.append(map_)
        rows += _means(rows)
        return Finding(tuple(rows), {"map": before}, {"stages": torch.cat([one.maps for one in after])})

    def _rows(
        self, quantity: str, a: Attribution, b: Attribution, layer: str = "", place: int | None = None
    ) -> Iterator[Row]:
        for sign in SIGNS:
            a, b = (a, b) if sign == "signed" else (replace(one, maps=one.maps.abs()) for one in (a, b))
            for similarity in self.similarities:
                keys = {"similarity": repr(similarity), "sign": sign, "layer": layer, "place": place}
                yield row(quantity, alike(similarity, a, b), similarity.unit, keys)

    # --- what is seen ---------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame, shown = result.measured, self._shown(result.measured)
        for order in self.order:
            there = chosen(frame, {"order": order})
            if not len(there):
                continue
            how = "layer after layer, from the output down" if order == "cascading" else "each layer alone"
            yield from self._maps(result, order, shown, how)
            panels = [self._curves(there, one, sign, shown) for sign in SIGNS for one in self.similarities]
            some = (
                "" if len(shown) == len(set(there["method"])) else f" {len(shown)} methods; the table has the others."
            )
            n = there["picture"].nunique()
            bands = (
                INTERVALS if n >= ENOUGH else f"Lines are means over {n} picture{'s' * (n != 1)}, too few for bands."
            )
            yield Plate(
                f"curves-{order}",
                f"How alike maps stay as {how} is made random: 1 is a map that does not change, and the line of chance is what a "
                f"random map has in common with these.{some} {bands} {ONE_DRAW}",
                line_figure(panels, bands),
            )
            yield Plate(
                f"table-{order}",
                f"Mean over the stages, and what is left at the last, as {how} is made random; means over pictures. Methods from "
                f"the one that changes most to the one that changes least. {ONE_DRAW}",
                heat_figure(list(self._tables(there)), shared=True),
            )

    def _maps(self, result: Result, order: str, shown: list[str], how: str) -> Iterator[Plate]:
        """Maps of the first picture that has some, stage by stage."""
        for picture in result.setup.pictures:
            rows, labels = [], []
            layers: tuple[str, ...] = ()
            for text in shown[:MOST]:
                finding = result.finding(picture.name, method=text, order=order)
                if finding is None:
                    continue
                before = finding.maps["map"]
                after = finding.arrays["stages"]
                rows.append([before, *(_remade(before, one[None]) for one in after)])
                labels.append(self._called[text])
                layers = _stages_of(finding.rows)
            if rows:
                yield Plate(
                    f"maps-{order}",
                    f"{picture.name}: maps of the network, and as {how} is made random. Each map has a scale of its own: random "
                    "networks have other scores, and similarities do not see how large a map is.",
                    map_figure(
                        rows, columns=["as trained", *layers], labels=labels, look=replace(before.look, shared=False)
                    ),
                )
                return

    def _curves(self, frame: DataFrame, similarity: Similarity, sign: str, shown: list[str]) -> LinePanel:
        here = {"similarity": repr(similarity), "sign": sign}
        stages = chosen(frame, {"quantity": STAGE, **here})
        lines = [
            line(stages, self._called[text], "place", STAGE, {"method": text}, grey=is_control(text))
            for text in shown
            if len(chosen(stages, {"method": text}))
        ]
        if frame["picture"].nunique() < ENOUGH:
            lines = [one._replace(low=None, high=None) for one in lines]
        layers = dict(zip(stages["place"], stages["layer"], strict=True))
        ticks = tuple(str(layers[place]) for place in sorted(layers))
        places = np.array(sorted(layers), dtype=np.float64)
        lines.append(Line("chance", places, np.full(len(places), average(frame, CHANCE, here).mean), grey=True))
        return LinePanel(
            f"{similarity.unit}, {sign} maps",
            "layers from the output down",
            similarity.unit,
            tuple(lines),
            ticks=ticks,
        )

    def _tables(self, frame: DataFrame) -> Iterator[HeatPanel]:
        """All methods by similarity and sign: the mean over the stages, and the last stage."""
        last = frame["place"].max()
        ordered = [one.text for one in self._ranked(frame, SIGNS[0])]
        columns = [(one, sign) for sign in SIGNS for one in self.similarities]
        names = tuple(f"{one.unit}, {sign}" for one, sign in columns)
        for title, quantity, where in (("mean over the stages", MEAN, {}), ("last stage", STAGE, {"place": last})):
            values = [
                [
                    _mean(frame, quantity, {"method": text, "similarity": repr(one), "sign": sign, **where})
                    for one, sign in columns
                ]
                for text in ordered
            ]
            rows = tuple(self._called[text] for text in ordered)
            yield HeatPanel(
                title, "similarity, sign", "method", names, rows, np.array(values, dtype=np.float64), "similarity"
            )

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        for order in self.order:
            for sign in SIGNS:
                yield from self._seen(chosen(frame, {"order": order}), f"{order.capitalize()}, {sign} maps", sign)
        if len(frame):
            yield ONE_DRAW
        yield from self._failed(result)

    def _seen(self, frame: DataFrame, where: str, sign: str) -> Iterator[str]:
        """Which methods change, and what controls and chance have."""
        ranked = self._ranked(frame, sign)
        known = [one for one in ranked if math.isfinite(one.value.mean)]
        methods = [one for one in known if not is_control(one.text)]
        if methods:
            first = self.similarities[0]
            told = [self._said(one) for one in methods]
            listed = f"From the most to the least changed: {'; '.join(told)}."
            if len(told) > LISTED:
                half = LISTED // 2
                listed = f"The most changed: {'; '.join(told[:half])}. The least changed: {'; '.join(reversed(told[-half:]))}."
            none = [self._called[one.text] for one in ranked if math.isnan(one.value.mean)]
            yield (
                f"{where}, {first.unit}, mean over the stages: {_counted([one.value for one in methods])}. {listed}"
                + (f" Without a mean, for a map that is constant at some stage: {', '.join(none)}." if none else "")
            )
            # Of the same pictures and similarity: what maps would have in common that have nothing in common.
            here = {"similarity": repr(first), "sign": sign}
            yield f"{where}: these maps and a random map have a similarity of {average(frame, CHANCE, here)}."
        controls = [self._said(one) for one in known if is_control(one.text)]
        if controls:
            yield f"{where}: controls, which do not look at the network: {'; '.join(controls)}."

    def _said(self, one: Shown) -> str:
        return f"{self._called[one.text]} {one.value}"

    def _failed(self, result: Result) -> Iterator[str]:
        """Methods that no picture could be asked of, and those that failed on some."""
        reasons: dict[str, dict[str, str]] = {}  # by method and picture
        for one in result.failures:
            reasons.setdefault(str(one["method"]), {})[str(one["picture"])] = str(one["reason"])
        made = set(result.measured["method"])
        none = [text for text in reasons if text not in made]
        if none:
            reason = next(iter(reasons[none[0]].values()))
            names = ", ".join(self._called[text] for text in none)
            if len(none) == 1:
                yield f"1 method could not be asked: {names}: {reason}"
            else:
                yield f"{len(none)} methods could not be asked: {names}; {self._called[none[0]]} for one: {reason}"
        for text, failed in reasons.items():
            if text in made:
                yield (
                    f"{self._called[text]} failed on {len(failed)} of {len(result.setup.pictures)} pictures, and is told without "
                    f"them; {next(iter(failed))}: {next(iter(failed.values()))}"
                )

    def _ranked(self, frame: DataFrame, sign: str) -> list[Shown]:
        """The methods by their mean similarity of the first kind, the smallest first; NaN at the end."""
        where = {"similarity": repr(self.similarities[0]), "sign": sign}
        some = chosen(frame, {"quantity": MEAN, **where})
        there = set(some["method"])
        found = [Shown(text, average(some, MEAN, {"method": text})) for text in self.method if text in there]
        return sorted(found, key=lambda one: one.value.mean if math.isfinite(one.value.mean) else math.inf)

    @property
    def _called(self) -> dict[str, str]:
        return labels(self.method)

    def _shown(self, frame: DataFrame) -> list[str]:
        """What figures with a line or a row for each method show: all of a few, else those that are best known."""
        there = [text for text in self.method if text in set(frame["method"])]
        known = [text for text in there if name_of(text) in SHOWN]
        return there if len(there) <= len(SHOWN) else known or there[: len(SHOWN)]


def _means(rows: list[Row]) -> Iterator[Row]:
    """The mean over the stages of each similarity and sign."""
    found: dict[tuple[object, object], list[Row]] = {}
    for one in rows:
        if one["quantity"] == STAGE:
            found.setdefault((one["similarity"], one["sign"]), []).append(one)
    for some in found.values():
        mean = float(np.mean([one["value"] for one in some]))
        yield {**some[0], "layer": "", "place": None, "quantity": MEAN, "value": mean}


def _remade(before: Attribution, maps: torch.Tensor) -> Attribution:
    """The map of another network in place of this one, to be shown."""
    return replace(before, maps=maps, stderr=None, coarse=None, freedom=None, reproducibility=None)


def _stages_of(rows: tuple[Row, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one["layer"]) for one in rows if one["quantity"] == STAGE))


def _mean(frame: DataFrame, quantity: str, where: dict[str, str]) -> float:
    """The mean over pictures; NaN where there is none."""
    return average(frame, quantity, where).mean if len(chosen(frame, {"quantity": quantity, **where})) else math.nan


def _counted(values: list[Average]) -> str:
    """How many means lie above HALF, by their intervals where there are some."""
    n = f"{len(values)} method{'s' * (len(values) != 1)}"
    if not any(math.isfinite(one.low) for one in values):
        return f"of {n} {sum(one.mean > HALF for one in values)} above {HALF:g} (too few pictures for intervals)"
    above, below = (sum(one.side(HALF) == side for one in values) for side in (1, -1))
    unsure = len(values) - above - below
    said = f"of {n} {above} clearly above {HALF:g}, {below} clearly below it"
    return said + (f", {unsure} not clearly either" if unsure else "")
