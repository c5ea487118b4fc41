"""Measures of maps beside Quantus's and captum's: the same pictures, network and maps, the same settings, in one run.

Quantus takes each value of a picture for a place of its own, ours all channels of a pixel together. So that both do the same, the
three channels stand beside each other in one: rows (1, 32, 96), which a wrapper puts together again for the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any, final

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import smoothgrad as sg
from benchmarks import machine, with_quantus
from benchmarks.networks import case
from benchmarks.results import table
from benchmarks.session import Session
from smoothgrad.core.query import Query
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.scores import Scores

STAGE = "measures"
ROUNDS = 3
AIM = 5.0
EQUAL, ALIKE = 1e-3, 0.8  # relative difference of the same numbers; rank correlation of those that are drawn by chance


@final
class Unrolled(nn.Module):
    """A network of (N, 3, H, W) that takes its three channels beside each other, (N, 1, H, 3 W)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(torch.cat(x.chunk(3, dim=3), dim=1))
        return out


def unrolled(x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, 3 W)."""
    return torch.cat(x.unbind(1), dim=2)[:, None]


Read = Callable[[Scores], Tensor]  # ours, as numbers (N,) that Quantus gives too
ReadTheirs = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Shared:
    """A measure that both have, at equal settings."""

    name: str  # Quantus's
    ours: Measure
    theirs: dict[str, Any] = field(default_factory=dict)
    read: Read = lambda scores: values(scores)
    read_theirs: ReadTheirs = lambda found: torch.as_tensor(np.asarray(found, dtype=float)).flatten()
    chance: bool = False  # is it drawn by chance, so that only means and ranks can agree?
    asks: bool = (
        True  # does it ask the network? Else ours is timed by itself, as theirs is: `judge` looks at the network first
    )
    note: str = ""


def values(scores: Scores) -> Tensor:
    return torch.tensor([one.value for one in scores.records], dtype=torch.float64)


def curves(scores: Scores) -> Tensor:
    """The scores along the curve without its beginning, laid end to end."""
    return torch.stack([line.y[1:] for line in scores.curves if line is not None]).flatten()


def falls(scores: Scores) -> Tensor:
    """What the score lost at each place of the curve but the first."""
    y = torch.stack([line.y for line in scores.curves if line is not None])
    return (y[:, :1] - y[:, 1:]).flatten()


def shared(x: Tensor, regions: Tensor) -> tuple[Shared, ...]:
    """All that are the same measure, at the same settings, for rows (N, 1, H, W)."""
    _, _, height, width = x.shape
    values, patch = height * width, height // 4
    few, some = values // 32, max(1, values // 96)
    tenth = round(0.1 * values)
    radius = 0.02 * float((x.amax((1, 2, 3)) - x.amin((1, 2, 3))).mean())
    ball = {"nr_samples": 10, "uniform": True, "lower_bound": radius}
    place = {"regions": regions}
    return (
        Shared(
            "PixelFlipping",
            sg.PixelFlipping(steps=32),
            {"features_in_step": few, **with_quantus.WITH_ZERO},
            curves,
            note="curves of the score",
        ),
        Shared(
            "RegionPerturbation",
            sg.RegionPerturbation(parts=sg.Grid((height // patch, width // patch)), steps=values // patch**2),
            {"patch_size": patch, "regions_evaluation": values // patch**2, **with_quantus.WITH_ZERO},
            falls,
            note="curves of the score",
        ),
        Shared(
            "FaithfulnessEstimate",
            sg.FaithfulnessEstimate(steps=values // some),
            {"features_in_step": some, **with_quantus.WITH_ZERO},
        ),
        Shared(
            "FaithfulnessCorrelation",
            sg.FaithfulnessCorrelation(samples=100),
            {"nr_runs": 100, "subset_size": tenth, **with_quantus.WITH_ZERO},
            chance=True,
        ),
        Shared("MaxSensitivity", sg.MaxSensitivity(radius=radius, radius_unit="absolute"), ball, chance=True),
        Shared("AvgSensitivity", sg.AverageSensitivity(radius=radius, radius_unit="absolute"), ball, chance=True),
        Shared("RandomLogit", sg.RandomLogit(), {"num_classes": 10, "spearman": True}, chance=True),
        Shared("PointingGame", sg.PointingGame(), place, asks=False),
        Shared("RelevanceRankAccuracy", sg.RelevanceRank(), place, asks=False),
        Shared("TopKIntersection", sg.TopK(share=0.1), {"k": tenth, **place}, asks=False),
        Shared("AUC", sg.LocalisationAuc(), place, asks=False),
        Shared("Sparseness", sg.Gini(), asks=False, note="of absolute maps"),
    )


# Quantus has these too, and does not measure the same: said in the tables.
APART = {
    "SensitivityN": "removes the largest first and correlates over pictures; Ancona et al. draw random sets, for each picture",
    "Monotonicity": "replaces the baseline by the baseline, so that nothing ever comes in",
    "IROF": "segments by SLIC, ours by Felzenszwalb; its area is in numbers of segments",
    "ROAD": "gives the accuracy over all pictures, not one score for each",
    "Infidelity": "replaces patches by a baseline; ours disturbs with noise, as the paper's first choice and captum",
    "Complexity": "takes the logarithm of signed shares; ours of absolute ones",
}


def run(session: Session) -> None:
    """The stage: rounds of ours and theirs in turn, one measure after the other."""
    if not session.wanted(STAGE):
        return
    records = session.records(STAGE)
    net, x, target, maps, regions = question(session)
    entries = shared(x, regions)
    missing = [one for one in entries if one.name not in records]
    with session.steps("measures", len(missing)) as steps:
        for one in missing:
            steps.now(one.name)
            records.add(one.name, **measured(one, net, x, target, maps, regions))
            session.say(f"{one.name}: {records[one.name]}")
            steps.done()


def question(session: Session) -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """The network, rows, classes, maps to be judged and regions: the left half of each, for want of true ones."""
    here = case(session.scale.small, device="cpu")
    net, x = (Unrolled(here.net), unrolled(here.x)) if here.x.shape[1] == 3 else (here.net, here.x)
    maps = sg.explain(net, x, method=METHOD, target=here.target).maps
    regions = torch.zeros(len(x), *x.shape[2:], dtype=torch.bool)
    regions[..., : x.shape[3] // 2] = True
    return net, x, here.target, maps, regions


METHOD = sg.gradient()


def measured(one: Shared, net: nn.Module, x: Tensor, target: Tensor, maps: Tensor, regions: Tensor) -> dict[str, Any]:
    """Seconds of each round, and how the scores agree."""
    absolute = one.name == "Sparseness"
    method = METHOD.then(sg.Absolute()) if absolute else METHOD
    result = sg.explain(net, x, method=method, target=target)
    inside = regions if one.ours.needs_regions else None
    query = Query.of(x, target)

    def ours() -> Tensor:
        if not one.asks:
            return one.ours(net, query, result.maps, regions=inside)
        return one.read(sg.judge(net, result, [one.ours], regions=inside))

    theirs = with_quantus.make(one.name, one.theirs, net, x, target, maps.abs() if absolute else maps)
    seconds: dict[str, list[float]] = {"ours": [], "quantus": []}
    found: Any = None
    scores = torch.empty(0)
    error = ""
    for round_ in range(ROUNDS + 1):  # the first warms up
        begun = time.perf_counter()
        scores = ours()
        seconds["ours"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        try:
            found = theirs(round_)
        except Exception as fault:  # noqa: BLE001 (what somebody else's library raises is an entry of the table)
            error = f"{type(fault).__name__}: {fault}".splitlines()[0]
            break
        seconds["quantus"].append(time.perf_counter() - begun)
    if error:
        return {"ours": seconds["ours"], "quantus": [], "error": error}
    return {
        "ours": seconds["ours"][1:],
        "quantus": seconds["quantus"][1:],
        **agreement(scores, one.read_theirs(found)),
        "error": "",
    }


def agreement(first: Tensor, second: Tensor) -> dict[str, float]:
    """How far two lists of scores are apart: at most, relative to their spread; their ranks; their means."""
    both = first.isfinite() & second.isfinite()
    a, b = first[both].double(), second[both].double()
    size = float(a.abs().max().clamp_min(1e-12))
    ranked = float(spearmanr(a.numpy(), b.numpy()).statistic) if a.std() > 0 and b.std() > 0 else float("nan")
    return {
        "difference": float((a - b).abs().max()) / size,
        "ranks": ranked,
        "mean": float(a.mean()),
        "mean_theirs": float(b.mean()),
        "compared": int(both.sum()),
    }


# --- the table ---------------------------------------------------------------------------------------------------------


def write(session: Session, file: Path) -> None:
    """The tables, where all has been measured."""
    records = session.records(STAGE)
    _, x, _, _, regions = question(session)
    entries = shared(x, regions)
    if any(one.name not in records for one in entries):
        return
    lines = list(_page(records, entries, len(x)))
    file.write_text("\n".join(lines))


def _page(records: Any, entries: tuple[Shared, ...], rows: int) -> Iterator[str]:
    versions = ", ".join(f"{package} {version}" for package, version in machine.versions().items())
    yield from (
        "# Measures beside Quantus's",
        "",
        "Written by `make bench`; how to read it is in [README.md](README.md).",
        "",
    )
    yield f"* Machine: {machine.said('cpu')}"
    yield f"* Versions: {versions}"
    yield f"* {rows} CIFAR-10 pictures, ResNet-20, maps of the gradient; medians of {ROUNDS} interleaved rounds"
    yield "* Settings are the same, and each value of a picture is a place: three channels stand beside each other"
    yield ""
    yield from table(
        "measure",
        "ours",
        "Quantus",
        "Quantus / ours",
        "same scores?",
        "mean, ours and theirs",
        rows=(_row(one, records[one.name]) for one in entries),
    )
    ratios = [
        median(line["quantus"]) / median(line["ours"])
        for line in map(records.__getitem__, (e.name for e in entries))
        if line["quantus"]
    ]
    met = sum(ratio >= AIM for ratio in ratios)
    yield f"At least {AIM:g} times faster in {met} of {len(ratios)}; geometric mean {float(np.exp(fmean(np.log(ratios)))):.1f}."
    yield ""
    yield "Not in the table, since Quantus's is another measure under the same name:"
    yield ""
    yield from (f"* {name}: {why}" for name, why in APART.items())
    yield ""


def _row(one: Shared, line: dict[str, Any]) -> tuple[str, ...]:
    ours = f"{median(line['ours']):.3f} s"
    if line["error"]:
        return (one.name, ours, "fails", "", line["error"], "")
    ratio = median(line["quantus"]) / median(line["ours"])
    same = f"to {line['difference']:.1g}" if not one.chance else f"drawn by chance: ranks {line['ranks']:.2f}"
    note = f" ({one.note})" if one.note else ""
    means = f"{line['mean']:.4g}, {line['mean_theirs']:.4g}"
    return (one.name, ours, f"{median(line['quantus']):.3f} s", f"{ratio:.1f}", same + note, means)
