"""Why are maps noisy? The gradient along a step too small to be seen (Smilkov et al. 2017, figure 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np
import torch
from torch import Tensor

from smoothgrad.checks import device_of
from smoothgrad.core.query import Query
from smoothgrad.core.value import content_key
from smoothgrad.errors import BadMethod, RuleDidNothing, UnknownName, nearest
from smoothgrad.experiments.drawing import MOST, map_figure
from smoothgrad.experiments.experiment import Experiment, Finding, Plate, Row, Scalar
from smoothgrad.experiments.paths import along, share, travel
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Setup
from smoothgrad.experiments.summary import INTERVALS, average, chosen, difference, line, unit_of
from smoothgrad.explain import explain
from smoothgrad.measure.judging import target_of
from smoothgrad.methods.gradients import gradient
from smoothgrad.models.rounded import Rounded, rounded
from smoothgrad.result import Attribution
from smoothgrad.samplers.cloud import Gaussian, scale
from smoothgrad.view.line_plots import Line, LinePanel, line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

ENTRY, SHARE, ENTRY_CHANGE = "entry of the gradient", "share of the largest", "change of the entry"
SCORE, SCORE_CHANGE, CHANGE = "score", "change of the score", "change of the gradient"
WANDER, DETOUR, JUMP = "fluctuation", "detour", "largest jump"
SCORE_WANDER, SCORE_DETOUR, SCORE_JUMP = (f"{what} of the score" for what in (WANDER, DETOUR, JUMP))
AT_PICTURE, SPREAD = "share of the largest at t = 0", "share of the classes' spread"
OWN, SOFTPLUS = "own", "softplus"
DRAWN = 3  # pictures whose paths are drawn
ALONG = "t, from the picture (0) to its noisy copy (1)"


@final
@dataclass(frozen=True, repr=False)
class Fluctuation(Experiment):
    """The gradient at `steps` points of the line from a picture x to one noisy copy of it:

        g(t) = grad s(x + t e),   t from 0 to 1,   e ~ N(0, (noise * range(x))^2)

    e is what SmoothGrad of the same seed adds in its first draw. `activation` "own" asks the network as it is; "softplus" a copy
    whose every ReLU is log(1 + e^(beta z)) / beta (Dombrowski et al. 2019), about the same class: the same network with round
    corners. ReLU6 and others are left alone. Of both the same `entries` values of g are followed: those that are the largest at
    t = 0 of the network as it is.

    Scores before the softmax have no natural zero: the same number may be added to those of all classes. So what the score does is
    told as a share of the classes' spread at t = 0, the highest score less the lowest; in its own unit where no classes are known.

    Raises `UnknownName` for another activation, `BadMethod` for numbers out of range, `BadNoise`; before the work `RuleDidNothing`
    where softplus is asked of a network without ReLUs.
    """

    name: ClassVar[str] = "fluctuation"
    title: ClassVar[str] = "Why are maps noisy?"
    question: ClassVar[str] = (
        "How much do values of the gradient change along a step too small to be seen, with the network's own ReLUs and with smooth "
        "ones, while the score hardly moves?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017", "dombrowski2019")
    grid: ClassVar[tuple[str, ...]] = ("activation",)
    keys: ClassVar[Mapping[str, str]] = {
        "t": "where on the line, from 0 at the picture to 1 at its noisy copy; none for what is said of the whole line",
        "rank": "of a value of the gradient by its magnitude at t = 0, of the network as it is: 1 is the largest",
        "entry": "which value of the input that is, counted row by row from 0",
    }
    quantities: ClassVar[dict[str, str]] = {
        ENTRY: "g_i(t), a value of the gradient, in units of score per unit of input",
        SHARE: "g_i(t) / max_j |g_j(t)|: the same as a share of the largest at t, from -1 to 1, as in the paper's figure",
        ENTRY_CHANGE: "(g_i(t) - g_i(0)) / max_j |g_j(0)|: how far a value is from what it was, as a share of the largest at t = 0",
        SCORE: "s(x + t e), the score that is explained",
        SCORE_CHANGE: "s(x + t e) - s(x), as a share of the classes' spread at t = 0",
        CHANGE: "||g(t) - g(0)|| / ||g(0)||: how far the gradient is from that of the picture; 0 where it is constant",
        WANDER: "sum_k |g_i(t_k+1) - g_i(t_k)| / max_j |g_j(0)|: how far a value goes up and down on the line",
        DETOUR: "sum_k |g_i(t_k+1) - g_i(t_k)| / (max g_i - min g_i): 1 for a path that only rises or only falls, 0 for a constant",
        JUMP: "max_k |g_i(t_k+1) - g_i(t_k)| / max_j |g_j(0)|: with more steps it vanishes where the gradient is continuous",
        SCORE_WANDER: "the same as fluctuation, of the score, as a share of the classes' spread at t = 0",
        SCORE_DETOUR: "the same as detour, of the score",
        SCORE_JUMP: "the same as largest jump, of the score, as a share of the classes' spread at t = 0",
    }

    activation: tuple[str, ...] = (OWN, SOFTPLUS)
    noise: float = 0.01  # Smilkov et al. 2017: the picture does not change to the eye
    steps: int = 51
    entries: int = 3
    beta: float = 10.0  # Dombrowski et al. 2019: about the largest that they take

    def __post_init__(self) -> None:
        super().__post_init__()
        for one in self.activation:
            if one not in (OWN, SOFTPLUS):
                raise UnknownName(f"no activation is called {one!r}; {nearest(one, (OWN, SOFTPLUS))}")
        Gaussian(self.noise, 1)
        if self.steps < 2 or self.entries < 1:
            raise BadMethod(f"Fluctuation needs steps >= 2 and entries >= 1, got {self.steps} and {self.entries}")
        if not 0 < self.beta < float("inf"):
            raise BadMethod(f"Fluctuation needs a finite beta > 0, got {self.beta}")

    def quick(self) -> Self:
        return self.with_small({"steps": 21})

    def check(self, setup: Setup) -> None:
        super().check(setup)
        setup.check_methods([gradient()])
        if SOFTPLUS in self.activation:
            x = setup.pictures[0].x
            with Rounded(self.beta) as corners, torch.no_grad():
                setup.net(x.to(device_of(setup.net, x)))
            if not corners.found:
                raise RuleDidNothing(
                    f"{setup.net.name} has no ReLU that softplus could stand for; ask activation={OWN!r} "
                    "alone, or a network with ReLUs"
                )

    def found(self, setup: Setup) -> Finding:
        (activation,) = self.activation
        x = setup.picture.x
        t = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        points = x + t.to(x.dtype).view(-1, *[1] * (x.ndim - 1)) * self._step(setup)  # (steps, *S)
        start = setup.explain(gradient())  # of the network as it is
        result = self._asked(setup, activation, points, start)
        name = (setup.picture.name,)
        ends = {"start": replace(result[0], names=name), "end": replace(result[self.steps - 1], names=name)}
        return Finding((*self._of_entries(result, t, start), *_of_all(result, t)), ends)

    def _of_entries(self, result: Attribution, t: Tensor, start: Attribution) -> Iterator[Row]:
        """What is said of the values of the gradient that are the largest at the start."""
        paths = result.maps.double().flatten(1)  # (steps, D)
        largest = paths.abs().amax(1)
        order = start.maps.double().flatten().abs().sort(descending=True, stable=True).indices
        for rank, entry in enumerate(order[: self.entries].tolist(), start=1):
            path, keys = paths[:, entry], {"rank": rank, "entry": entry}
            change = share(path - path[0], largest[0])
            yield from along(t, path, ENTRY, result.unit, keys)
            yield from along(t, share(path, largest), SHARE, "share of the largest", keys)
            yield from along(t, change, ENTRY_CHANGE, AT_PICTURE, keys)
            yield from travel(change, (WANDER, DETOUR, JUMP), AT_PICTURE, keys)

    def _step(self, setup: Setup) -> Tensor:
        """e (1, *S), the same for both activations."""
        x = setup.picture.x
        cloud = Gaussian(self.noise, 1)
        query = Query.of(x, 0, seed=setup.seed, keys=torch.tensor([content_key(x)]))
        cloud.check(query)
        return scale(query, cloud.noise, cloud.unit) * cloud.standard(query, range(1))[0]

    def _asked(self, setup: Setup, activation: str, points: Tensor, start: Attribution) -> Attribution:
        """The gradients at points (steps, *S), all of the class that is explained at the start."""
        goal = target_of(replace(start, target=start.target.repeat_interleave(len(points), 0)))
        result = explain(
            setup.net if activation == OWN else rounded(setup.net, self.beta),
            points,
            method=gradient(),
            target=setup.target if start.kind == "function" else goal,
            seed=setup.seed,
            chunk=setup.chunk,
            device=setup.device,
            progress=lambda told: setup.watch.step("gradients along the line", told.done, told.total),
        )
        assert isinstance(result, Attribution), "one input is explained"
        return result

    # --- figures ----------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        frame = result.measured
        pictures = [one.name for one in result.setup.pictures if len(chosen(frame, {"picture": one.name}))]
        noise, drawn = f"{100 * self.noise:g} %", pictures[:DRAWN]
        yield Plate(
            "entries",
            f"The values of the gradient that are largest at the picture, of the network as it "
            f"is ({self._label(OWN)}), on the way to a "
            f"copy with {noise} noise; the same values with softplus (beta = {self.beta:g}) in place of its ReLUs. Value 1 is "
            f"the largest; each is a share of what is the largest at that point. At most {DRAWN} pictures are shown.",
            line_figure(
                [_panel(name, SHARE.capitalize(), self._entries(chosen(frame, {"picture": name}))) for name in drawn]
            ),
        )
        if unit_of(frame, SCORE_CHANGE) == SPREAD:  # both are shares of what differs on one picture
            yield Plate(
                "beside-the-score",
                "How far the largest value of the gradient is from what it is at the picture, as a share of the largest there, "
                "beside the score, whose change is a share of the spread between the highest and the lowest class.",
                line_figure(
                    [
                        _panel(name, "change, as a share", self._beside(chosen(frame, {"picture": name})))
                        for name in drawn
                    ]
                ),
            )
        lines = tuple(line(frame, self._label(one), "t", CHANGE, {"activation": one}) for one in self._there(frame))
        panel = LinePanel(CHANGE, ALONG, unit_of(frame, CHANGE), lines, dots=False)
        yield Plate(
            "change", f"How far the gradient is from that of the picture. {INTERVALS}", line_figure([panel], INTERVALS)
        )
        maps = [
            [
                (found := result.finding(name, activation=one)) and found.maps[end]
                for one in self.activation
                for end in ("start", "end")
            ]
            for name in pictures
        ]
        columns = [f"{self._label(one)}, {end}" for one in self.activation for end in ("picture", f"noise {noise}")]
        yield Plate(
            "maps",
            f"The gradient at both ends of the line, whose pictures look alike. At most {MOST} pictures are shown.",
            map_figure(maps, columns=columns),
        )

    def _label(self, activation: str) -> str:
        if activation == OWN:  # beside softplus there are ReLUs, else there may be none
            return "own ReLUs" if SOFTPLUS in self.activation else OWN
        return f"{SOFTPLUS}, beta {self.beta:g}"

    def _there(self, frame: DataFrame) -> list[str]:
        """The activations that the table has."""
        return [one for one in self.activation if len(chosen(frame, {"activation": one}))]

    def _entries(self, frame: DataFrame) -> Iterator[Line]:
        """The paths of the largest values on one picture, for each activation."""
        for one in self._there(frame):
            some = chosen(frame, {"activation": one, "quantity": SHARE})
            for rank in range(1, self.entries + 1):
                path = chosen(some, {"rank": rank})
                if len(path):  # there may be fewer values than are followed
                    yield _path(f"{self._label(one)}: value {rank}", path)

    def _beside(self, frame: DataFrame) -> Iterator[Line]:
        """The largest value and the score on one picture, for each activation."""
        for one in self._there(frame):
            some = chosen(frame, {"activation": one})
            yield _path(f"{self._label(one)}: largest value", chosen(some, {"quantity": ENTRY_CHANGE, "rank": 1}))
            yield _path(f"{self._label(one)}: score", chosen(some, {"quantity": SCORE_CHANGE}))

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        frame = result.measured
        for one in self._there(frame):
            label = self._label(one)
            here: dict[str, Scalar] = {"activation": one}
            entry, jump = (average(frame, quantity, {**here, "rank": 1}) for quantity in (WANDER, JUMP))
            score = average(frame, SCORE_WANDER, here)
            end = average(frame, CHANGE, {**here, "t": 1.0})
            yield (
                f"{label[0].upper()}{label[1:]}, n = {entry.n}: along {100 * self.noise:g} % noise the value of the gradient "
                f"that is largest at the picture goes up and down by {entry} (share of the largest there), the score by {score} "
                f"({unit_of(frame, SCORE_WANDER)}). The largest jump of that value between two of {self.steps} points is {jump}; "
                f"at the end the gradient is {end} of its norm away."
            )
        yield from self._compared(frame)

    def _compared(self, frame: DataFrame) -> Iterator[str]:
        """What softplus changes, on the same value of the gradient of each picture."""
        own: dict[str, Scalar] = {"activation": OWN, "rank": 1}
        smooth = {**own, "activation": SOFTPLUS}
        jump, wander = (difference(frame, quantity, smooth, own) for quantity in (JUMP, WANDER))
        if jump.n:
            words = {1: "larger", -1: "smaller", 0: "not clearly different"}
            yield (
                f"With softplus the largest jump of the same value is {words[jump.sign]}, softplus less own {jump}; its "
                f"fluctuation is {words[wander.sign]}, {wander}; paired over {jump.n} picture{'s' * (jump.n > 1)}."
            )


def _path(label: str, some: DataFrame) -> Line:
    """Values against t."""
    ordered = some.sort_values("t")
    t, y = (ordered[column].to_numpy(np.float64) for column in ("t", "value"))
    return Line(label, t, y)


def _panel(name: str, said: str, lines: Iterable[Line]) -> LinePanel:
    return LinePanel(name, ALONG, said, tuple(lines), dots=False)


# --- of all ------------------------------------------------------------------------------------------------------------


def _of_all(result: Attribution, t: Tensor) -> Iterator[Row]:
    """What is said of the whole gradient, and of the score."""
    paths, scores = result.maps.double().flatten(1), result.score.double()
    yield from along(
        t, share((paths - paths[0]).norm(dim=1), paths[0].norm()), CHANGE, "share of the gradient's norm", {}
    )
    yield from along(t, scores, SCORE, result.kind, {})
    spread, unit = _spread(result)
    change = share(scores - scores[0], spread)
    yield from along(t, change, SCORE_CHANGE, unit, {})
    yield from travel(change, (SCORE_WANDER, SCORE_DETOUR, SCORE_JUMP), unit, {})


def _spread(result: Attribution) -> tuple[Tensor, str]:
    """What a change of the score is a share of, in words too: the classes' spread at t = 0; 1 where there are no classes."""
    outputs = result.output
    if outputs is None or outputs.shape[1] < 2 or result.kind not in ("score", "contrast"):
        return torch.ones((), dtype=torch.float64), result.kind
    return (outputs[0].max() - outputs[0].min()).double(), SPREAD
