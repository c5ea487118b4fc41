"""What maps say of pixels that cannot matter: networks trained with a patch over every picture (Kim, Seo et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

import torch
from torch import Tensor, nn

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import ONE_EACH, average, chosen, difference, dot, row
from smoothgrad.methods import named
from smoothgrad.methods.cams import grad_cam
from smoothgrad.methods.controls import random_map, uniform_map
from smoothgrad.methods.gradients import (
    gradient,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    rectgrad,
    smoothgrad,
)
from smoothgrad.methods.relevance import lrp_epsilon_plus
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.result import Attribution
from smoothgrad.training.data import DataSet
from smoothgrad.training.patch import Patch
from smoothgrad.training.plan import Plan, Small
from smoothgrad.training.train import accuracy, untrained
from smoothgrad.view.score_plots import DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

ACCURACY, SHARE, AREA = "accuracy", "share on the patch", "area of the patch"
PLAN = Plan(epochs=3)
UNIT = "share of sum |map|"
DRAWN = 3  # pictures whose maps are kept and drawn
CONTROLS = (random_map(), uniform_map())  # always there: what chance says, and what nothing says


def share_in_patch(maps: Tensor, patch: Patch) -> Tensor:
    """sum |m| in the patch / sum |m| everywhere, of maps (N, C, H, W): (N,) float64, from 0 to 1.

    A map that is the same everywhere has the patch's share of the area. NaN where a map is zero everywhere. Raises `BadInput`
    where the patch reaches beyond the maps.

    >>> share_in_patch(torch.ones(1, 1, 4, 4), Patch(size=2))
    tensor([0.2500], dtype=torch.float64)
    """
    size = maps.double().abs()
    size = size / size.flatten(1).amax(1).clamp_min(torch.finfo(size.dtype).tiny).view(-1, 1, 1, 1)  # sums stay finite
    inside = size * patch.region(maps.shape)
    return inside.flatten(1).sum(1) / size.flatten(1).sum(1)


def behind(patch: Patch, x: Tensor, look: Preprocessing) -> Tensor:
    """Rows (N, C, H, W) as the network takes them, with the patch drawn; its value is in the units of the data, from 0 to 1."""
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (look.mean, look.std))
    return torch.where(patch.region(x.shape), (patch.value - mean) / std, x)


def vanishes(result: Attribution, patch: Patch) -> bool:
    """Did the network get 0 behind the patch, and is the map 0 wherever it got 0? So are maps that multiply by the input."""
    nothing = result.x == 0
    return bool(nothing[patch.region(result.x.shape).expand_as(nothing)].all()) and not bool(result.maps[nothing].any())


def patch_shares(setup: Setup, methods: Sequence[Explainer], patch: Patch) -> Finding:
    """What share of each method's map of each picture falls on the patch, which is drawn on the picture first.

    Asks the setup's network. A row for each picture and method, named as `named` does; the maps of the first few pictures, called
    "map-0-1" for picture 0 and method 1.
    """
    rows: list[Row] = []
    maps: dict[str, Attribution] = {}
    names = [named(method) for method in methods]
    for place, picture in enumerate(setup.pictures):
        shown = picture._replace(x=behind(patch, picture.x, setup.net.preprocessing))
        for number, method in enumerate(methods):
            result = setup.only(shown).explain(method)
            share = float(share_in_patch(result.maps, patch)[0])
            keys = {"picture": picture.name, "method": names[number]}
            rows.append(row(SHARE, share, UNIT, keys))
            if place < DRAWN:
                maps[f"map-{place}-{number}"] = result
    return Finding(tuple(rows), maps)


@final
@dataclass(frozen=True, repr=False)
class OcclusionTraining(Experiment):
    """A network for each patch, trained and asked with it on every picture, and how much of each method's map falls on it.

    A patch says nothing of the class, so what a map says of it is noise: it should get less than its share of the area, which is
    what the uniform map gives it; that control and a random map are always asked. One cell is one network, asked about all
    pictures, each time about its own top class.

    Two things to know when reading. Where the network gets 0 behind the patch, methods that multiply by the input, or start a path
    from zero, give it nothing, exactly, whatever the network does: their 0 says nothing of them. A patch of value 0 is 0 to the
    network only where the preprocessing has mean 0, as that of MNIST and the digits; with another mean it is -mean / std. And
    convolutions see no place: a network that averages over places cannot ignore one, only what stands there, and next to the patch
    they see both.

    Raises `BadMethod` for a plan that has a patch of its own, and for a method twice.
    """

    name: ClassVar[str] = "occlusion-training"
    title: ClassVar[str] = "A patch over every picture"
    question: ClassVar[str] = (
        "Networks are trained with the same patch over part of every picture: how much of each method's attribution falls on it?"
    )
    papers: ClassVar[tuple[str, ...]] = ("kim2019",)
    grid: ClassVar[tuple[str, ...]] = ("patch",)
    keys: ClassVar[dict[str, str]] = {"method": "the method whose map it is"}
    quantities: ClassVar[dict[str, str]] = {
        ACCURACY: "share of all held-out pictures, the patch drawn on them, that the network names rightly, from 0 to 1",
        AREA: "share of the picture that the patch covers, from 0 to 1: what a uniform map gives it",
        SHARE: "sum |map| in the patch / sum |map| everywhere, from 0 to 1",
    }
    per_picture: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    patch: tuple[Patch, ...] = (
        Patch(size=8, value=1.0),  # in a corner, where MNIST has nothing
        Patch(size=8, value=0.0),  # which is the ground of MNIST: as good as no patch there
        Patch(size=8, top=10, left=10, value=1.0),  # over the middle of the digit
    )
    methods: tuple[Explainer, ...] = (
        *(gradient(), input_x_gradient(), smoothgrad(), integrated_gradients(), guided_backprop(), rectgrad()),
        *(grad_cam(), lrp_epsilon_plus()),
    )
    plan: Plan = PLAN

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.plan.patch is not None:
            raise BadMethod(
                f"the plan has a patch of its own, {self.plan.patch!r}; give it as patch= of the experiment"
            )
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise BadMethod(f"OcclusionTraining takes one or more methods, each once, got {self.methods!r}")

    def quick(self) -> Self:
        small = Plan(network=Small(widths=(8, 16, 16), halvings=1), epochs=8, batch=64)
        # a third of a picture of 8 x 8
        patches = (Patch(size=3, value=1.0), Patch(size=3, value=0.0), Patch(size=3, top=2, left=2, value=1.0))
        return self.with_small({"patch": patches, "plan": small})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        data = setup.training_data
        for patch in self.patch:
            net = untrained(replace(self.plan, patch=patch), data)
            asked = setup.asking(Network(net, name="untrained", classes=data.classes, preprocessing=data.preprocessing))
            for picture in setup.pictures:
                if patch.region(picture.x.shape).all():
                    raise BadInput(f"{words(patch)}, hides all of {picture.name}; make it smaller")
            asked.check_methods(self._asked)

    @property
    def _asked(self) -> tuple[Explainer, ...]:
        return (*self.methods, *(control for control in CONTROLS if control not in self.methods))

    def found(self, setup: Setup) -> Finding:
        (patch,) = self.patch
        data = setup.training_data
        network = setup.trained(replace(self.plan, patch=patch), words(patch))
        region = patch.region(data.train.x.shape)
        right = accuracy(_Behind(network, patch, data), data, data.held_out)
        found = patch_shares(setup.asking(network), self._asked, patch)
        about = (
            row(ACCURACY, right, "share of the pictures"),
            row(AREA, float(region.double().mean()), "share of the picture"),
        )
        return found._replace(rows=(*about, *found.rows))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        made = [patch for patch in self.patch if self._found(result, patch) is not None]
        labels = self._labels
        yield Plate(
            "shares",
            "How much of each method's map falls on the patch: dots are means over pictures, whiskers their 95 % bootstrap "
            f"intervals. The uniform map gives the patch its share of the area. {ONE_EACH}"
            f"{''.join(f' {words(patch).capitalize()}: {zero}.' for patch in made if (zero := self._idle(result, patch)))}",
            dot_figure([self._dots(frame, patch, labels, len(result.setup.pictures)) for patch in made]),
        )
        pictures = result.setup.pictures[:DRAWN]
        for number, patch in enumerate(self.patch, 1):
            found = self._found(result, patch)
            if found is None:
                continue
            rows = [
                [found.maps[f"map-{place}-{one}"] for one in range(len(self._asked))] for place in range(len(pictures))
            ]
            yield Plate(
                f"maps-{number}",
                f"Maps of the network that was trained with the {words(patch)}, on every picture. Each has its own scale.",
                map_figure(rows, columns=labels, title=words(patch)),
            )

    @property
    def _labels(self) -> list[str]:
        """Of each method its name without its numbers, which the table holds; all of it where others are called the same."""
        names = [named(method) for method in self._asked]
        short = [name.partition("(")[0] for name in names]
        return [
            one.replace("_", " ") if short.count(one) == 1 else name for name, one in zip(names, short, strict=True)
        ]

    def _found(self, result: Result, patch: Patch) -> Finding | None:
        return result.finding(patch=repr(patch))

    def _zeros(self, result: Result, patch: Patch) -> dict[str, Explainer]:
        """The methods whose share is 0 by construction, whatever the network does, by their labels."""
        found = self._found(result, patch)
        if found is None:
            return {}
        drawn = range(len(result.setup.pictures[:DRAWN]))
        zeros: dict[str, Explainer] = {}
        for number, (method, label) in enumerate(zip(self.methods, self._labels, strict=False)):
            where = {"quantity": SHARE, "patch": repr(patch), "method": named(method)}
            shares = chosen(result.measured, where)["value"].dropna()
            nowhere = len(shares) and (shares == 0).all()
            if nowhere and all(vanishes(found.maps[f"map-{place}-{number}"], patch) for place in drawn):
                zeros[label] = method
        return zeros

    def _idle(self, result: Result, patch: Patch) -> str:
        """Those methods in words; "" where there are none."""
        zeros = self._zeros(result, patch)
        why = "they multiply" if len(zeros) > 1 else "it multiplies"
        return f"{_listed(zeros)} zero by construction ({why} by the input, which is 0 there)" if zeros else ""

    def _dots(self, frame: DataFrame, patch: Patch, labels: list[str], pictures: int) -> DotPanel:
        here = chosen(frame, {"patch": repr(patch)})
        dots = [
            dot(here, label, SHARE, {"method": named(method)}, pictures, control=method in CONTROLS)
            for method, label in zip(self._asked, labels, strict=True)
        ]
        return DotPanel(words(patch), UNIT, "lower", tuple(dots))

    def lessons(self, result: Result) -> Iterator[str]:
        for patch in self.patch:
            here = chosen(result.measured, {"patch": repr(patch)})
            if len(here):
                yield from self._lessons(result, patch, here)

    def _lessons(self, result: Result, patch: Patch, here: DataFrame) -> Iterator[str]:
        """What was seen with one patch; what a method says by construction is told, and credited to none."""
        area, right = average(here, AREA).mean, average(here, ACCURACY).mean
        zeros, idle = self._zeros(result, patch), self._idle(result, patch)
        known = {
            label: (method, found)
            for method, label in zip(self.methods, self._labels, strict=False)  # the controls come last
            if label not in zeros and (found := average(here, SHARE, {"method": named(method)})).n
        }
        head = f"{words(patch)}, {area:.1%} of the picture (accuracy {right:.2%}): "
        beside = f" Left out: {idle}." if idle else ""
        if not known:
            yield f"{head}no {'other ' if idle else ''}method gave a map that is not zero everywhere.{beside}"
            return
        order = sorted(known, key=lambda label: known[label][1].mean)
        least, most = order[0], order[-1]
        text = f"{least} puts {known[least][1]} of its map there"
        if len(order) > 1:
            gap = difference(here, SHARE, *({"method": named(known[label][0])} for label in (most, least)))
            text = (
                f"{least} puts the least of its map there, {known[least][1]}, and {most} the most, {known[most][1]}, "
                f"{'clearly' if gap.sign > 0 else 'not clearly'} more"
            )
        below = [label for label in order if known[label][1].mean < area]
        clear = [label for label in below if known[label][1].side(area) < 0]
        yield (
            f"{head}{text}. Less than a uniform map: {len(below)} of {_methods(len(order))}, "
            f"{len(clear)} with an interval that says so. {ONE_EACH}{beside}"
        )
        if {"rectgrad", "gradient"} <= known.keys():
            (rectified, share), (plain, other) = known["rectgrad"], known["gradient"]
            gap = difference(here, SHARE, {"method": named(rectified)}, {"method": named(plain)})
            verdict = {-1: "clearly less", 0: "not clearly less or more", 1: "clearly more"}[gap.sign]
            yield (
                f"Kim, Seo et al. 2019 made RectGrad to be rid of such attributions; with the {words(patch)}, it puts {share} "
                f"there, the gradient {other}: {verdict}, by {gap}. {ONE_EACH}"
            )


class _Behind(nn.Module):
    """A network that sees its rows behind the patch."""

    def __init__(self, network: Network, patch: Patch, data: DataSet) -> None:
        super().__init__()
        self.network, self.patch, self.look = network, patch, data.preprocessing

    def forward(self, x: Tensor) -> object:
        return self.network(behind(self.patch, x, self.look))


def words(patch: Patch) -> str:
    """A patch in words.

    >>> words(Patch(size=8, value=1.0))
    'patch 8 x 8 at row 0, column 0, value 1'
    """
    return f"patch {patch.size} x {patch.size} at row {patch.top}, column {patch.left}, value {patch.value:g}"


def _methods(count: int) -> str:
    return f"{count} method" if count == 1 else f"{count} methods"


def _listed(labels: Iterable[str]) -> str:
    """Labels with what says that they are: "a is", "a and b are".

    >>> _listed(["a", "b", "c"])
    'a, b and c are'
    """
    *before, last = labels
    return f"{', '.join(before)} and {last} are" if before else f"{last} is"
