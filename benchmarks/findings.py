"""What the records say: medians, spreads, ratios, agreement, and whether the aims are met."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from benchmarks import growth, smooth_ig, times
from benchmarks.networks import NETWORKS
from benchmarks.records import Line, Records
from benchmarks.session import Session

CLOSE = 0.1  # how much a cosine between two libraries' maps may fall short of the cosine between two seeds
EXACT = 0.999  # the least cosine of maps that know no chance


@dataclass(frozen=True)
class Figure:
    """A median with what it was chosen from."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def over(self, other: Figure) -> Ratio:
        """The ratio of the two, round by round."""
        paired = tuple(a / b for a, b in zip(self.values, other.values, strict=False))
        return Ratio(paired, self.median / other.median)

    def said(self, scale: float = 1.0, digits: int = 3) -> str:
        """The median and, in brackets, smallest and largest.

        >>> Figure((2.0, 1.0, 4.0)).said()
        '2.00 (1.00–4.00)'
        """
        typical, low, high = (
            number(value * scale, digits) for value in (self.median, min(self.values), max(self.values))
        )
        return f"{typical} ({low}–{high})"


@dataclass(frozen=True)
class Ratio(Figure):
    """Ratios round by round, and the ratio of the medians, which is what counts."""

    of_medians: float = math.nan

    @property
    def median(self) -> float:
        return self.of_medians


def number(value: float, digits: int = 3) -> str:
    """To so many significant digits, without an exponent.

    >>> number(1234.5), number(0.01234), number(17.55)
    ('1234', '0.0123', '17.6')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


@dataclass(frozen=True)
class Timed:
    """A contender's rounds."""

    lines: list[Line]

    @property
    def error(self) -> str:
        """What went wrong, if anything."""
        return next((line["error"] for line in self.lines if "error" in line), "")

    @property
    def seconds(self) -> Figure:
        return Figure(tuple(line["seconds"] for line in self.lines))

    @property
    def bytes(self) -> Figure:
        return Figure(tuple(line["bytes"] for line in self.lines))

    @property
    def batch(self) -> int | None:
        batch: int | None = self.lines[0]["batch"]
        return batch

    @property
    def scaled(self) -> bool:
        return bool(self.lines[0]["scaled"])


class Findings:
    """All that was measured in a session, for the tables, the aims and the plots."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.scale = session.scale
        self.times = session.records(times.STAGE)
        self.smooth = session.records(smooth_ig.STAGE)
        self.growth = session.records(growth.STAGE)

    def timed(self, method: str, network: str, contender: str) -> Timed | None:
        """A contender's rounds at a method on a network; None where it was not measured, or not to its end."""
        return _rounds(self.times, f"{method}/{network}/{contender}", self.scale.rounds)

    def smooth_timed(self, label: str) -> Timed | None:
        """The same of a run of Smooth IG."""
        return _rounds(self.smooth, f"time/{label}", self.scale.rounds)

    def grown(self, axis: str, contender: str) -> dict[int, tuple[Figure, Figure]]:
        """Size -> seconds and bytes."""
        found = {}
        for size in self.scale.growth[axis]:
            names = [growth.name(axis, size, contender, r) for r in range(self.scale.growth_rounds)]
            lines = [self.growth[name] for name in names if name in self.growth]
            if lines and not any("error" in line for line in lines):
                figures = (Figure(tuple(line[kind] for line in lines)) for kind in ("seconds", "bytes"))
                found[size] = tuple(figures)
        return found  # type: ignore[return-value]

    def ratio(self, method: str, network: str, top: str, bottom: str, kind: str = "seconds") -> Figure | None:
        """Of two contenders; None where one is missing."""
        pair = [self.timed(method, network, contender) for contender in (top, bottom)]
        if any(one is None or one.error for one in pair):
            return None
        above, below = (getattr(one, kind) for one in pair)
        ratio: Figure = above.over(below)
        return ratio

    def cosine(self, method: str, network: str, contender: str, which: str = "0") -> float | None:
        """Between this contender's map and ours, the mean over rows, of a round or "still"; None where one is missing."""
        here, ours = (self.times.maps(f"{method}/{network}/{name}/{which}") for name in (contender, "ours"))
        return None if here is None or ours is None else cosine(here, ours)

    def expected(self, method: str, network: str, contender: str) -> float | None:
        """The cosine that chance leaves between two runs of the same thing: ours with two seeds."""
        if method == "integrated_gradients":
            timed = self.timed(method, network, contender)
            fewer = timed is not None and not timed.error and timed.scaled
            # The others have nodes of their own, and fewer steps have others.
            return EXACT if contender.startswith(("ours", "captum")) and not fewer else None
        one, other = (self.times.maps(f"{method}/{network}/ours/{seed}") for seed in (0, 1))
        timed = self.timed(method, network, contender)
        if one is None or other is None or timed is None or timed.error:
            return None
        few = NETWORKS[network].scaled if timed.scaled else self.scale.samples
        return between(cosine(one, other), self.scale.samples, few)

    def agrees(self, method: str, network: str, contender: str) -> bool | None:
        """Is it the same map, but for chance? None where it is not known."""
        found, expected = self.cosine(method, network, contender), self.expected(method, network, contender)
        if found is None or expected is None:
            return None
        if method == "integrated_gradients":
            return found >= expected
        still = self.cosine(method, network, contender, "still")
        enough = CLOSE if "bfloat16" in contender or "auto" in contender else EXACT
        return found >= expected - CLOSE and still is not None and still >= enough


def cosine(one: Tensor, other: Tensor) -> float:
    """Of maps (N, *S), row by row; the mean."""
    return float(torch.cosine_similarity(one.flatten(1).double(), other.flatten(1).double()).mean())


def between(cosine: float, samples: int, fewer: int) -> float:
    """The cosine to expect between means of `samples` and of `fewer` draws, given that of two means of `samples`.

    With noise v / n for each unit of signal it is 1 / sqrt((1 + v / n) (1 + v / m)), and 1 / (1 + v / n) for m = n.

    >>> round(between(0.5, 50, 50), 3), round(between(0.5, 50, 10), 3)
    (0.5, 0.289)
    """
    share = max(0.0, 1 / max(cosine, 1e-6) - 1)  # v / n
    return (1 + share) ** -0.5 * (1 + share * samples / fewer) ** -0.5


def _rounds(records: Records, name: str, rounds: int) -> Timed | None:
    names = [f"{name}/{round_}" for round_ in range(rounds)]
    lines = [records[one] for one in names if one in records]
    return Timed(lines) if len(lines) == rounds or any("error" in line for line in lines) else None


# --- aims --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aim:
    """A figure that was set before anything was measured."""

    what: str
    bound: float
    measured: Figure | None
    at_least: bool = True
    network: str = ""  # whose profile says why, where it is missed

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        value = self.measured.median
        return value >= self.bound if self.at_least else value <= self.bound

    def said(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"


def aims(found: Findings) -> list[Aim]:
    """Every aim with what was measured."""
    return [*_speed(found), *_smooth(found), *_limits(found), *_growth(found)]


def _speed(found: Findings) -> Iterator[Aim]:
    wanted = (
        ("resnet50", "captum, default", "ours", 4.0),
        ("resnet50", "captum, best batch", "ours", 1.8),
        ("mobilenet_v2", "captum, best batch", "ours", 2.0),
        ("resnet50", "captum, best batch", "ours, bfloat16", 3.0),
    )
    for network, top, bottom, bound in wanted:
        title = f"SmoothGrad, {NETWORKS[network].title}: time of {top} / {bottom}"
        yield Aim(title, bound, found.ratio("smoothgrad", network, top, bottom), network=network)


def _smooth(found: Findings) -> Iterator[Aim]:
    nested = found.smooth_timed("captum, best batch")
    for level in found.scale.levels:
        what = f"Smooth IG at equal error, noise {level:.0%}"
        evaluations, time = None, None
        if has_errors(found, level):
            equal = smooth_ig.errors(found.session, found.smooth, level).equal("independent")
            typical = smooth_ig.errors(found.session, found.smooth, level).typical("independent")
            whole = found.scale.nested**2
            evaluations = Ratio(tuple(whole / draws for draws in equal), whole / typical)
        joint = found.smooth_timed(smooth_ig.joint_label(level, "independent"))
        if nested is not None and joint is not None and not (nested.error or joint.error):
            time = nested.seconds.over(joint.seconds)
        yield Aim(f"{what}: gradient evaluations of nesting / joint", 12, evaluations)
        yield Aim(f"{what}: time of captum nested, best batch / ours joint", 20, time, network=found.scale.small)


def has_errors(found: Findings, level: float) -> bool:
    """Are all errors of Smooth IG at this noise level measured?"""
    names = [f"{level}/{s}/{n}" for s in smooth_ig.SAMPLINGS for n in found.scale.grid]
    return all(name in found.smooth for name in (f"{level}/nested", *names))


def _limits(found: Findings) -> Iterator[Aim]:
    for network in found.scale.networks:
        ratio = found.ratio("smoothgrad", network, "ours", "bare loop")
        title = NETWORKS[network].title
        yield Aim(f"SmoothGrad, {title}: time of ours / the bare loop", 1.05, ratio, at_least=False, network=network)
    for network in found.scale.networks:
        ratio = found.ratio("smoothgrad", network, "captum, default", "ours", "bytes")
        yield Aim(f"SmoothGrad, {NETWORKS[network].title}: peak memory of captum, default / ours", 10, ratio)


def _growth(found: Findings) -> Iterator[Aim]:
    grown = found.grown("draws", "ours")
    last = max(found.scale.growth["draws"])
    for what, kind, bound in (("time per draw", 0, 1.1), ("peak memory", 1, 1.1)):
        measured = None
        if len(grown) == len(found.scale.growth["draws"]):
            middle = sorted(grown)[len(grown) // 2]
            more, less = grown[last][kind], grown[middle][kind]
            per = last / middle if kind == 0 else 1.0
            ratio = more.over(less)
            measured = Ratio(tuple(value / per for value in ratio.values), ratio.median / per)
            what = f"{what} at {last} draws / at {middle}"
        yield Aim(f"Growth with draws: {what}", bound, measured, at_least=False, network=found.scale.grows)
