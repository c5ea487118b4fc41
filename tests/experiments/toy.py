"""An experiment of a few lines for tests of the machinery: what it does is counted, and can be made to fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Self, final

import torch
from matplotlib.figure import Figure

import smoothgrad as sg
from smoothgrad.experiments.experiment import Experiment, Finding, Plate
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup, samples_of
from smoothgrad.experiments.summary import row
from smoothgrad.models.network import Network

CALLS: list[tuple[str, float]] = []  # the picture and the power of each cell that was made
FAULTS: dict[float, str] = {}  # the powers whose cells fail, and why
MEAN, NORM = "mean of the power", "norm of the map"


@final
@dataclass(frozen=True, repr=False)
class Toy(Experiment):
    """The mean of a power of the picture, and the norm of SmoothGrad's map."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "What is a power?"
    question: ClassVar[str] = "How large is it?"
    grid: ClassVar[tuple[str, ...]] = ("power",)
    keys: ClassVar[dict[str, str]] = {"part": "which half of the picture"}
    quantities: ClassVar[dict[str, str]] = {MEAN: "mean(|x|^power)", NORM: "||map||"}

    power: tuple[float, ...] = (1.0, 2.0, 3.0)
    samples: int = 4

    def quick(self) -> Self:
        return replace(self, samples=2)

    def found(self, setup: Setup) -> Finding:
        (power,) = self.power
        CALLS.append((setup.picture.name, power))
        if power in FAULTS:
            raise sg.errors.BadInput(FAULTS[power])
        result = setup.explain(sg.smoothgrad(0.1, self.samples))
        halves = setup.picture.x.abs().pow(power).flatten().chunk(2)
        rows = [
            row(MEAN, float(half.mean()), "", {"part": part})
            for part, half in zip(("upper", "lower"), halves, strict=True)
        ]
        return Finding((*rows, row(NORM, float(result.maps.norm()), "score")), {"map": result}, {"halves": halves[0]})

    def plates(self, result: Result) -> Iterator[Plate]:
        figure = Figure()
        axes = figure.subplots()
        some = result.measured[result.measured["quantity"] == MEAN]
        axes.plot(some["power"], some["value"], "o", label="means")
        maps = [found.maps["map"].maps.sum() for found in result.findings if found.maps]
        axes.plot(range(len(maps)), [float(one) for one in maps], label="maps")
        axes.legend()
        yield Plate("means", "Means against the power.", figure)

    def lessons(self, result: Result) -> Iterator[str]:
        yield f"There are {len(result.measured)} rows."


@cache
def digits() -> Network:
    """The embedded network."""
    return sg.load("digits")


def setup(count: int = 2) -> Setup:
    """The digits network with so many of its pictures."""
    net = digits()
    return Setup(net, samples_of(net, count), model="digits")


def perceptron(activation: torch.nn.Module) -> Network:
    """A network for the digits whose weights are the same whatever its activation."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = (torch.nn.Flatten(), torch.nn.Linear(64, 8), activation, torch.nn.Linear(8, 10))
    return Network(torch.nn.Sequential(*layers), name="perceptron", preprocessing=digits().preprocessing)


def square(value: float = 0.5, name: str = "square") -> Picture:
    """A picture of the digits' size with one value in its upper half."""
    x = torch.zeros(1, 1, 8, 8)
    x[..., :4, :] = value
    return Picture(name, x)
