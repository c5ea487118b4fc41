"""How large should the last map be? CAM and Grad-CAM on networks with large and small ones, and what upsampling does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

import torch.nn.functional as F
from torch import Tensor

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadMethod
from smoothgrad.experiments.compared import alike
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row, Scalar
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.experiments.summary import (
    INTERVALS,
    ONE_EACH,
    Average,
    average,
    chosen,
    difference,
    line,
    row,
    scored,
    unit_of,
)
from smoothgrad.measure.complexity import Gini, TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.localisation import EnergyInside
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.similarity import Pearson, Similarity, Ssim
from smoothgrad.methods import named
from smoothgrad.methods.cams import cam, grad_cam
from smoothgrad.methods.controls import uniform_map
from smoothgrad.methods.gradients import gradient, smoothgrad
from smoothgrad.models.network import Network
from smoothgrad.result import Attribution
from smoothgrad.training.plan import Plan, Small
from smoothgrad.training.train import accuracy, untrained
from smoothgrad.view.line_plots import Line, LinePanel, line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

ACCURACY, AGREEMENT = "accuracy", "cosine of CAM and Grad-CAM"
CORRELATION, SSIM = "correlation with its own blocks", "SSIM with its own blocks"
# A map and its blocks have nearly the same mean, which a cosine would be full of.
BLOCKS: dict[str, Similarity] = {CORRELATION: Pearson(), SSIM: Ssim()}
INSIDE = "energy_inside"
CAM, GRAD_CAM, ALONE = "CAM", "Grad-CAM", "network"
BLOCKED = "CAM, blocks"  # nearest in place of bilinear upsampling: what measures say of it beside CAM
PLAN = Plan(epochs=3)
DRAWN = 4  # pictures whose maps are kept and drawn


def blocky(result: Attribution) -> Attribution:
    """The map with each place of the coarse one as a block of its colour: nearest in place of bilinear upsampling.

    A map that is not coarse comes back as it is.
    """
    if result.coarse is None:
        return result
    shape = result.x.shape
    # Each pixel's value is shared out among its channels, as the shown map's is.
    blocks = F.interpolate(result.coarse, size=list(shape[2:]), mode="nearest-exact").expand(shape) / shape[1]
    return replace(result, maps=blocks.contiguous())


def agreement(cam_map: Attribution, grad_cam_map: Attribution) -> float:
    """Cosine of relu(CAM) and Grad-CAM on their own places, from 0 to 1; NaN where one of them is zero everywhere.

    1 where both read the map that is averaged: then Grad-CAM's weights are CAM's divided by the number of places (Selvaraju et
    al. 2017, section 3.1), and only its ReLU tells them apart.
    """
    one, other = (_own(result).double().flatten() for result in (cam_map, grad_cam_map))
    return float(one.relu() @ other / (one.relu().norm() * other.norm()))


@final
@dataclass(frozen=True, repr=False)
class CamResolution(Experiment):
    """The same network with 0, 1, 2, ... halvings of its maps; CAM and Grad-CAM of it, beside methods that have no coarse map.

    One cell is one trained network, asked about all pictures, each time about its own top class. All else of the network is as
    `plan` says, whose own number of halvings is not used. With each halving fewer, what one place of the last map sees of the
    picture shrinks, too: the two cannot be told apart here.

    The strokes are the pixels brighter than `ink`, a share of white: of digits, bright on black, they are the digit itself; of
    other pictures they mean nothing. Grad-CAM reads the last module with positions, which in these networks is the batch norm in
    front of the last ReLU; CAM reads behind it. Raises `BadMethod` for values that mean nothing.
    """

    name: ClassVar[str] = "cam-resolution"
    title: ClassVar[str] = "How large should the last map be?"
    question: ClassVar[str] = (
        "What do CAM and Grad-CAM show of networks whose last map is small or large, and how much of it is upsampling?"
    )
    papers: ClassVar[tuple[str, ...]] = ("zhou2016", "selvaraju2017")
    grid: ClassVar[tuple[str, ...]] = ("halvings",)
    keys: ClassVar[dict[str, str]] = {
        "side": "places across of the network's last map",
        "method": "CAM, the same in blocks, Grad-CAM, the other methods; or network, for what is said of it alone",
    }
    quantities: ClassVar[dict[str, str]] = {
        ACCURACY: "share of all held-out pictures that the network names rightly, from 0 to 1",
        AGREEMENT: "cosine of relu(CAM) and Grad-CAM on their own places, from 0 to 1",
        CORRELATION: "of the map as it is shown, upsampled bilinearly, with the same map in blocks, one for each place: from -1 "
        "to 1; 1 without upsampling, NaN for a single place",
        SSIM: "structural similarity of the same two, from -1 to 1",
    }
    per_picture: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    halvings: tuple[int, ...] = (0, 1, 2, 3)
    others: tuple[Explainer, ...] = (gradient(), smoothgrad(), uniform_map())
    ink: float = 0.3
    measures: tuple[Measure, ...] = (EnergyInside(), TotalVariation(), Gini(), Deletion(), Insertion())
    plan: Plan = PLAN

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.ink < 1:
            raise BadMethod(f"CamResolution takes as ink a share of white from 0 to less than 1, got {self.ink}")
        if not isinstance(self.plan.network, Small):
            raise BadMethod(
                f"CamResolution halves the maps of a Small(...) network, and the plan has {self.plan.network!r}"
            )
        most = len(self.plan.network.widths) - 1
        for halvings in self.halvings:
            if not 0 <= halvings <= most:
                raise BadMethod(f"a network of {most + 1} convolutions has 0 to {most} halvings, not {halvings}")
        if len(set(self._methods.values())) < len(self.others) + 2:
            raise BadMethod(f"CamResolution takes each method once, beside cam() and grad_cam(), got {self.others!r}")

    def quick(self) -> Self:
        small = Plan(network=Small(widths=(8, 16, 16, 16)), epochs=3, batch=64)
        return self.with_small(
            {
                "halvings": (0, 1, 2),  # of 8 x 8 pixels, three leave one place
                "others": (gradient(), smoothgrad(samples=10), uniform_map()),
                "measures": (EnergyInside(), TotalVariation(), Deletion()),
                "plan": small,
            }
        )

    @property
    def _methods(self) -> dict[str, Explainer]:
        """What is asked, by the names that stand in the table."""
        return {CAM: cam(), GRAD_CAM: grad_cam(), **{named(method): method for method in self.others}}

    def _planned(self, halvings: int) -> Plan:
        network = self.plan.network
        assert isinstance(network, Small), "__post_init__ has looked"
        return replace(self.plan, network=replace(network, halvings=halvings))

    def check(self, setup: Setup) -> None:
        super().check(setup)
        data = setup.training_data
        for halvings in self.halvings:
            net = untrained(self._planned(halvings), data)
            asked = setup.asking(Network(net, name="untrained", classes=data.classes, preprocessing=data.preprocessing))
            asked.check_methods(tuple(self._methods.values()))

    def found(self, setup: Setup) -> Finding:
        (halvings,) = self.halvings
        data = setup.training_data
        network = setup.trained(self._planned(halvings), f"with {halvings} halvings")
        right = accuracy(network, data, data.held_out)
        rows: list[Row] = []
        maps: dict[str, Attribution] = {}
        side = 0
        for place, picture in enumerate(setup.pictures):
            region = (network.show(picture.x).amax(1) > self.ink).cpu()
            here = setup.asking(network).only(picture._replace(region=region))
            made = {label: here.explain(method, name=label) for label, method in self._methods.items()}
            side = _own(made[CAM]).shape[-1]
            rows += self._rows(here, made, side)
            if place < DRAWN:
                maps |= {
                    f"cam-{place}": made[CAM],
                    f"grad-cam-{place}": made[GRAD_CAM],
                    f"blocks-{place}": blocky(made[CAM]),
                }
        told = row(ACCURACY, right, "share of the pictures", {"side": side, "method": ALONE})
        return Finding((told, *rows), maps)

    def _rows(self, setup: Setup, made: dict[str, Attribution], side: int) -> Iterator[Row]:
        """What is measured of the maps of one picture."""
        picture = setup.picture
        yield row(AGREEMENT, agreement(made[CAM], made[GRAD_CAM]), "cosine", _keys(picture, side, ALONE))
        for label in (CAM, GRAD_CAM):
            shown, blocks = made[label], blocky(made[label])
            for quantity, similarity in BLOCKS.items():
                yield row(quantity, alike(similarity, shown, blocks), similarity.unit, _keys(picture, side, label))
        for label, result in {CAM: made[CAM], BLOCKED: blocky(made[CAM]), **made}.items():
            yield from scored(setup.judge({label: result}, self.measures), _keys(picture, side, label))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        made = [one for one in self.halvings if result.finding(halvings=one) is not None]
        columns = [f"{_side(frame, one)} x {_side(frame, one)} places" for one in made]
        for name, caption in (
            ("cam", "CAM, upsampled bilinearly, as it is shown"),
            ("blocks", "The same maps with each place as a block: what CAM knows, before upsampling"),
            ("grad-cam", "Grad-CAM, upsampled bilinearly"),
        ):
            rows = [
                [(found := result.finding(halvings=one)) and found.maps[f"{name}-{place}"] for one in made]
                for place in range(len(result.setup.pictures[:DRAWN]))
            ]
            yield Plate(
                name,
                f"{caption}: a column for each network, by the places of its last map. Each map has its own scale, since the "
                "networks' scores differ.",
                map_figure(rows, columns=columns),
            )
        panels = [
            LinePanel(
                *(quantity, "side of the last map, places", unit_of(frame, quantity)),
                tuple(
                    _line(frame, label, quantity) for label in chosen(frame, {"quantity": quantity})["method"].unique()
                ),
                log_x=True,
            )
            for quantity in frame["quantity"].unique()
        ]
        yield Plate(
            "curves",
            f"What is measured, against the side of the last map. The uniform map shows what no answer at all gets. {INTERVALS} "
            f"Accuracy is one number of all held-out pictures, without an interval. {ONE_EACH}",
            line_figure(panels, f"{INTERVALS} {ONE_EACH}"),
        )

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        sides = sorted({_side(frame, one) for one in self.halvings if len(chosen(frame, {"halvings": one}))})
        told = [f"{average(frame, ACCURACY, {'side': side}).mean:.2%} at {side} x {side}" for side in reversed(sides)]
        yield f"Accuracy by the places of the last map, of one network each: {', '.join(told)}."
        for label in (CAM, GRAD_CAM):
            told = [
                f"{average(frame, CORRELATION, {'side': side, 'method': label})} at {side} x {side}" for side in sides
            ]
            yield f"{label} as it is shown correlates with its own blocks, before upsampling, by {', '.join(told)}. {ONE_EACH}"
        told = [f"{_mean(average(frame, AGREEMENT, {'side': side}))} at {side} x {side}" for side in sides]
        yield f"The positive part of CAM and Grad-CAM have a cosine of {', '.join(told)}."
        if len(chosen(frame, {"quantity": INSIDE, "method": CAM})):
            yield from self._inside(frame, sides)
        across = result.setup.pictures[0].x.shape[-1]
        enlarged = [side for side in sides if 1 < side < across]  # of one place, both ways make the same
        if enlarged:
            yield from _upsampled(frame, min(enlarged))

    def _inside(self, frame: DataFrame, sides: list[int]) -> Iterator[str]:
        found = {side: average(frame, INSIDE, {"side": side, "method": CAM}) for side in sides}
        inside = {side: one for side, one in found.items() if one.n}  # a map may have no positive part on any picture
        if not inside:
            return
        best, *others = sorted(inside, key=lambda side: -inside[side].mean)
        text = (
            f"The share of CAM's positive part that lies on the strokes (pixels brighter than {self.ink:g} of white) is largest "
            f"with {best} x {best} places, {inside[best]}"
        )
        if others:
            gap = difference(frame, INSIDE, {"side": best, "method": CAM}, {"side": others[0], "method": CAM})
            more = "clearly" if gap.sign > 0 else "not clearly"
            text += f", {more} more than with {others[0]} x {others[0]}, by {gap}"
        flat = named(uniform_map())
        if len(chosen(frame, {"quantity": INSIDE, "method": flat})):
            text += f"; a uniform map has {average(frame, INSIDE, {'method': flat})}"
        yield f"{text}. {ONE_EACH}"


def _upsampled(frame: DataFrame, side: int) -> Iterator[str]:
    """What measures say of CAM as it is shown, less what they say of its blocks: the two differ in the upsampling alone."""
    here = chosen(frame, {"side": side})
    gaps = {
        str(quantity): difference(here, quantity, {"method": CAM}, {"method": BLOCKED})
        for quantity in chosen(here, {"method": BLOCKED})["quantity"].unique()
    }
    if not gaps:
        return
    told = [f"{quantity} {gap}{'' if gap.sign else ', not clearly other'}" for quantity, gap in gaps.items()]
    yield (
        f"What measures say of CAM with {side} x {side} places, upsampled bilinearly less drawn as blocks: {'; '.join(told)}. "
        f"{ONE_EACH}"
    )


def _line(frame: DataFrame, label: str, quantity: str) -> Line:
    """Against the side; what is said of the network alone in accuracy is one number, and has no band."""
    found = line(frame, label, "side", quantity, {"method": label}, grey=label == named(uniform_map()))
    return found._replace(low=None, high=None) if quantity == ACCURACY else found


def _mean(found: Average) -> str:
    return f"{found.mean:.4f}" if found.n else "not known"


def _own(result: Attribution) -> Tensor:
    """The map on its own places, (N, 1, *places)."""
    return result.maps.sum(1, keepdim=True) if result.coarse is None else result.coarse


def _side(frame: DataFrame, halvings: int) -> int:
    return int(chosen(frame, {"halvings": halvings})["side"].iloc[0])


def _keys(picture: Picture, side: int, method: str) -> dict[str, Scalar]:
    return {"picture": picture.name, "side": side, "method": method}
