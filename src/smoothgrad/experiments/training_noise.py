"""Do noise at training and noise at inference add up? The same network trained in several ways (Smilkov et al. 2017, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadMethod, UnknownName, nearest
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row
from smoothgrad.experiments.limits import converged, squared_error
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.experiments.summary import ONE_EACH, Average, average, chosen, row, scored, unit_of
from smoothgrad.measure.complexity import TotalVariation
from smoothgrad.measure.deletion import Deletion, Insertion
from smoothgrad.measure.measure import Measure
from smoothgrad.methods.gradients import gradient, smoothgrad
from smoothgrad.models.activation import ACTIVATIONS
from smoothgrad.models.network import Network
from smoothgrad.result import Attribution
from smoothgrad.training.plan import Plan, Residual, Small
from smoothgrad.training.train import accuracy, untrained
from smoothgrad.view.heat_plots import HeatPanel, heat_figure
from smoothgrad.view.line_plots import Line, LinePanel, line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

ACCURACY, NORM = "accuracy", "norm of the map"
SQUARED, ERROR = "squared error", "relative error"
CALMNESS = "total_variation"
PLAN = Plan(epochs=3)
MEANS = "Means over pictures, of one network each: what another training seed gives is not in them."
# What is said of both noises less the better one alone, by the sign of that.
VERDICTS = {
    -1: "calmer than either alone, as Smilkov et al. 2017 say",
    0: "not clearly calmer or rougher than the better one alone",
    1: "rougher than the better one alone, unlike what Smilkov et al. 2017 say",
}
LIKE_PAPER = 0.2  # noise: what the lessons compare, where it is there; Smilkov et al. 2017 train and ask up to it

WITH_NUMBER: dict[str, Callable[[Plan, float], Plan]] = {
    "noise": lambda plan, number: replace(plan, noise=number),
    "penalty": lambda plan, number: replace(plan, penalty=number),
    "label smoothing": lambda plan, number: replace(plan, smoothing=number),
}


def planned(plan: Plan, training: str) -> Plan:
    """The plan with one thing changed, by its name:

        plain                     nothing
        noise 0.1                 N(0, 0.1^2) on the inputs, a share of the range of the data
        penalty 1                 `gradient_penalty` times 1 in the loss
        label smoothing 0.1       a tenth of each label is shared out among all classes
        softplus, gelu, ...       that function in place of the ReLU

    Raises `UnknownName` for another name, with the nearest one, and `BadMethod` for a number that is missing, or means nothing.

    >>> planned(Plan(), "noise 0.2") == Plan(noise=0.2)
    True
    """
    if training == "plain":
        return plan
    if training in ACTIVATIONS:
        if not isinstance(plan.network, Small | Residual):
            raise BadMethod(f"{plan.network!r} has no activation to be changed; leave out {training!r}")
        return replace(plan, network=replace(plan.network, activation=training))
    name, _, text = training.rpartition(" ")
    number = _number(text)
    if number is None:
        name = training
    if name not in WITH_NUMBER:
        raise UnknownName(f"no training is called {training!r}; {nearest(name, ['plain', *WITH_NUMBER, *ACTIVATIONS])}")
    if number is None:
        raise BadMethod(f"how much {name}? Write {name} and a number, such as {name} 0.1")
    return WITH_NUMBER[name](plan, number)


@final
@dataclass(frozen=True, repr=False)
class TrainingNoise(Experiment):
    """A network for each way of training, and SmoothGrad of it at each noise level: `noise` is that at inference, 0 the gradient.

    One cell is one trained network, asked about all pictures, each time about its own top class. `training`: see `planned`; all
    else is as `plan` says, which is plain itself. Total variation and the errors are blind to the scale of a map, and compare
    networks; the norm of a map is not, since label smoothing, for one, shrinks all scores. Raises `UnknownName` and `BadMethod`
    for values that mean nothing, and `BadMethod` for a plan with noise, a penalty or smoothing of its own, or, beside "plain",
    another activation than ReLU.
    """

    name: ClassVar[str] = "training-noise"
    title: ClassVar[str] = "Noise at training, noise at inference"
    question: ClassVar[str] = (
        "Are the maps of a network calmer after training with noise, or another way to smooth it; does that add to what "
        "SmoothGrad does; and what does it cost in accuracy?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017",)
    grid: ClassVar[tuple[str, ...]] = ("training",)
    keys: ClassVar[dict[str, str]] = {
        "noise": "the noise at inference, share of the picture's range; 0 is the gradient"
    }
    quantities: ClassVar[dict[str, str]] = {
        ACCURACY: "share of all held-out pictures that the network names rightly, from 0 to 1; without noise",
        SQUARED: "||map - limit||^2 / ||limit||^2, free of the limit's own error: zero where the map has converged, below zero "
        "only by chance; 0 at noise 0, where one pass says all",
        ERROR: "||standard error|| / ||map||: what the map says of its own error; none at noise 0",
        NORM: "||map||, in score per unit of input: how steep the score is",
    }
    per_picture: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    training: tuple[str, ...] = (
        *("plain", "noise 0.1", "noise 0.2", "noise 0.3"),
        *("penalty 1", "label smoothing 0.1", "softplus"),
    )
    noise: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3)
    samples: int = 50
    reference: int = 1000
    measures: tuple[Measure, ...] = (Deletion(), Insertion(), TotalVariation())
    plan: Plan = PLAN

    def __post_init__(self) -> None:
        given = self.noise if isinstance(self.noise, tuple | list) else (self.noise,)
        # 0 and 0.0 are one level, and must have one recipe.
        object.__setattr__(self, "noise", tuple(float(one) if type(one) is int else one for one in given))
        super().__post_init__()
        if self.reference <= self.samples:
            raise BadMethod(
                f"the limit is taken from {self.reference} samples, the map from {self.samples}; take more for the limit"
            )
        if not self.noise or len(set(self.noise)) < len(self.noise):
            raise BadMethod(f"TrainingNoise takes one or more levels of noise, each once, got {self.noise!r}")
        for noise in self.noise:
            self._method(noise)  # raises for what is no noise level
        self._check_plan()
        for training in self.training:
            planned(self.plan, training)

    def _check_plan(self) -> None:
        """Each training changes one thing of a plain plan."""
        for name in ("noise", "penalty", "smoothing"):
            number = getattr(self.plan, name)
            if number:
                raise BadMethod(f"the plan has {name} {number:g} of its own; leave it out, and give it as training=")
        network = self.plan.network
        if "plain" in self.training and isinstance(network, Small | Residual) and network.activation != "relu":
            raise BadMethod(
                f"plain is a network with ReLUs, and the plan's has {network.activation}; leave it out, and give it as training="
            )

    def quick(self) -> Self:
        small = self.with_small(
            {
                "noise": (0.0, 0.2),
                "samples": 10,
                "measures": (Deletion(), TotalVariation()),
                "plan": Plan(network=Small(widths=(8, 16, 16), halvings=1), epochs=8, batch=64),
            }
        )
        return small.with_small({"reference": min(self.reference, max(100, 2 * small.samples))})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        data = setup.training_data
        for training in self.training:
            net = untrained(planned(self.plan, training), data)
            asked = setup.asking(Network(net, name=training, classes=data.classes, preprocessing=data.preprocessing))
            asked.check_methods([self._method(noise) for noise in self.noise])

    def found(self, setup: Setup) -> Finding:
        (training,) = self.training
        network = setup.trained(planned(self.plan, training), training)
        data = setup.training_data
        rows: list[Row] = [row(ACCURACY, accuracy(network, data, data.held_out), "share of the pictures")]
        maps: dict[str, Attribution] = {}
        for picture in setup.pictures:
            for noise in self.noise:
                result, found = self._map(setup.asking(network).only(picture), noise)
                rows += found
                if picture is setup.pictures[0]:  # the others' maps would fill the disk, and none could look at them
                    maps[f"map-{noise:g}"] = result
        return Finding(tuple(rows), maps)

    def _method(self, noise: float) -> Explainer:
        return smoothgrad(noise, self.samples) if noise else gradient()

    def _map(self, setup: Setup, noise: float) -> tuple[Attribution, tuple[Row, ...]]:
        """The map of the one picture at a noise level, with its rows."""
        result = setup.explain(self._method(noise))
        keys = _keys(setup.picture, noise)
        error = result.relative_error
        known = () if error is None else (row(ERROR, float(error[0]), "share of the map's norm", keys),)
        apart = 0.0  # without noise one pass says all
        if noise:
            limit = setup.explain(
                converged(noise, self.reference), seed=setup.seed + 1, name=f"limit at noise {noise:g}"
            )
            apart = squared_error(result, limit)
        return result, (
            row(SQUARED, apart, "share of the limit's squared norm", keys),
            *known,
            row(NORM, float(result.maps.double().norm()), "score per unit of input", keys),
            *scored(setup.judge({"smoothgrad": result}, self.measures), keys),
        )

    # --- what is shown ------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        made = [training for training in self.training if result.finding(training=training) is not None]
        first = result.setup.pictures[0]
        rows = [
            [(found := result.finding(training=training)) and found.maps[f"map-{noise:g}"] for noise in self.noise]
            for training in made
        ]
        shared = replace(next(one for one in rows[0] if one is not None).look, shared=True)
        yield Plate(
            "maps",
            f"{first.name}: a row for each training, a column for each noise level of SmoothGrad with {self.samples} samples. "
            "The maps of a row share a scale; the rows do not, since networks differ in their scores.",
            map_figure(rows, columns=[_level(noise) for noise in self.noise], labels=made, look=shared),
        )
        frame = result.measured
        accurate = HeatPanel(
            *("accuracy on all held-out pictures", "", "training", ("no noise",), tuple(made)),
            np.array([[average(frame, ACCURACY, {"training": one}).mean] for one in made], dtype=np.float64),
            unit_of(frame, ACCURACY),
        )
        measured = [one for one in frame["quantity"].unique() if one != ACCURACY]
        calm = [one for one in measured if one == CALMNESS]
        others = [one for one in measured if one != CALMNESS]
        yield Plate(
            "grid",
            "Noise at training against noise at inference: how rough the maps are (lower is calmer), and the accuracy beside it. "
            f"{MEANS}",
            heat_figure([*(self._heat(frame, one, made) for one in calm), accurate], MEANS),
        )
        yield Plate(
            "measures",
            f"What else is measured of each training at each noise level. {MEANS}",
            heat_figure([self._heat(frame, one, made) for one in others], MEANS),
        )
        panels = [
            LinePanel(
                *(quantity, "noise at inference, share of the picture's range", unit_of(frame, quantity)),
                tuple(self._line(frame, quantity, one) for one in made),
            )
            for quantity in measured
        ]
        yield Plate(
            "curves",
            f"What is measured, against the noise at inference: a line for each training. {MEANS}",
            line_figure(panels, MEANS),
        )

    def _line(self, frame: DataFrame, quantity: str, training: str) -> Line:
        """Over all levels, also those where nothing is measured: so panels have one axis. Bands of so many lines would hide each
        other."""
        levels = sorted(self.noise)
        means = [_mean(frame, quantity, training, noise) for noise in levels]
        return Line(training, np.array(levels, dtype=np.float64), np.array(means, dtype=np.float64))

    def _heat(self, frame: DataFrame, quantity: str, made: list[str]) -> HeatPanel:
        values = [[_mean(frame, quantity, training, noise) for noise in self.noise] for training in made]
        columns = tuple(_level(noise) for noise in self.noise)
        return HeatPanel(
            *(quantity, "noise at inference", "training", columns, tuple(made)),
            np.array(values, dtype=np.float64),
            unit_of(frame, quantity),
        )

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        made = [one for one in self.training if len(chosen(frame, {"training": one}))]
        told = {one: average(frame, ACCURACY, {"training": one}).mean for one in made}
        each = ", ".join(f"{one} {share:.2%}" for one, share in told.items())
        yield f"Accuracy on the held-out pictures, of one network each: {each}."
        if not len(chosen(frame, {"quantity": CALMNESS})):
            return
        if 0.0 in self.noise:
            rough = {one: average(frame, CALMNESS, {"training": one, "noise": 0.0}) for one in made}
            yield (
                "Total variation of the plain gradient, lower is calmer: "
                f"{', '.join(f'{one} {rough[one]}' for one in sorted(rough, key=lambda one: _last(rough[one].mean)))}. {ONE_EACH}"
            )
        yield from self._added(frame, made)

    def _added(self, frame: DataFrame, made: list[str]) -> Iterator[str]:
        """Do the two effects add, as the paper says?"""
        levels = [noise for noise in self.noise if noise]
        noisy = {one: plan.noise for one in made if (plan := planned(self.plan, one)).noise and one.startswith("noise")}
        if "plain" not in made or not noisy or not levels or 0.0 not in self.noise:
            return
        level = min(levels, key=lambda noise: abs(noise - LIKE_PAPER))
        training = min(noisy, key=lambda one: abs(noisy[one] - LIKE_PAPER))

        places = [("plain", 0.0), ("plain", level), (training, 0.0), (training, level)]
        four = _rough(frame, places)
        asked = chosen(frame, {"quantity": CALMNESS})["picture"].nunique()
        if not len(four):
            yield f"Whether the two noises add is not known: 0 of {asked} pictures have the four total variations."
            return
        neither, inference, trained, both = (four[place].to_numpy(np.float64) for place in places)
        gaps = both - np.minimum(inference, trained)
        gap = Average.of(gaps)
        lacking = f" ({asked - len(four)} more lack one of the four)" if asked > len(four) else ""
        yield (
            f"Total variation is {neither.mean():.3g} with neither noise, {inference.mean():.3g} with noise {level:g} at inference "
            f"alone, {trained.mean():.3g} with {training} at training alone, and {both.mean():.3g} with both: on average the two "
            f"together are {VERDICTS[gap.sign]}; they differ from the calmer one of each picture by {gap}. They are calmer than "
            f"either on {int((gaps < 0).sum())} of {_pictures(len(four))}{lacking}. {ONE_EACH}"
        )


def _keys(picture: Picture, noise: float) -> dict[str, str | float]:
    return {"picture": picture.name, "noise": noise}


def _rough(frame: DataFrame, places: list[tuple[str, float]]) -> DataFrame:
    """The total variation of each picture, a column for each training and noise at inference; pictures that have all of them."""
    some = chosen(frame, {"quantity": CALMNESS}).pivot(index="picture", columns=["training", "noise"], values="value")
    return some.reindex(columns=places).dropna()


def _level(noise: float) -> str:
    return f"noise {100 * noise:g} %" if noise else "gradient"


def _mean(frame: DataFrame, quantity: str, training: str, noise: float) -> float:
    """The mean over pictures; NaN where nothing was measured."""
    where: dict[str, str | float] = {"training": training, "noise": noise}
    return average(frame, quantity, where).mean if len(chosen(frame, {"quantity": quantity, **where})) else float("nan")


def _last(mean: float) -> float:
    """What puts NaN behind all numbers."""
    return np.inf if np.isnan(mean) else mean


def _pictures(count: int) -> str:
    return f"{count} picture" if count == 1 else f"{count} pictures"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
