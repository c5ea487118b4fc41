"""Make docs/measures.md's tables and pictures: all methods by the main measures, on the CIFAR-10 ResNet-56.

    python docs/make_measures.py [--pictures 200] [--part faithfulness] [--tables]

The scores of each method are kept in out/measures as they are made, so that a run that is stopped goes on where it was. Numbers
stand in the page only between its markers, and come from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas
import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import smoothgrad as sg  # noqa: E402
from smoothgrad.core.explainer import Explainer  # noqa: E402
from smoothgrad.files import write_aside  # noqa: E402
from smoothgrad.measure.measure import Measure  # noqa: E402
from smoothgrad.measure.scores import Score, Scores  # noqa: E402
from tests import operators  # noqa: E402  (a torchvision wheel that does not fit its torch)
from tests.nets import cifar_pictures, cifar_resnet  # noqa: E402

KEPT = HERE.parent / "out" / "measures"
BATCH = 40
DATA = 32  # pictures of the background, which are none of those that are judged
SMOOTH, PLAIN, PATH, GUIDED = "smoothgrad", "gradient", "integrated_gradients", "guided_backprop"
# First, for those who look at what is there so far.
MAIN = (PLAIN, SMOOTH, PATH, GUIDED, "random_map", "sobel", "uniform_map")
# Of which the literature shows absolute values, too.
ABSOLUTE = (*MAIN[:4], "input_x_gradient", "deconvnet", "smooth_integrated_gradients", "lrp", "deep_lift")
ABS, BLIND = ", absolute", "random_map"
FEW = (
    *MAIN,
    *(name + ABS for name in MAIN[:4]),
    *("input_x_gradient", "vargrad", "deconvnet", "smooth_integrated_gradients", "lrp", "deep_lift", "grad_cam"),
)


class Part(NamedTuple):
    """Measures that are made together, on the first so many pictures."""

    measures: dict[str, Measure]
    pictures: int
    only: tuple[str, ...] = ()  # the methods, where each map is made again and again; else all


PARTS: dict[str, Part] = {
    "faithfulness": Part(
        {
            "deletion": sg.Deletion(steps=10),
            "insertion": sg.Insertion(steps=10),
            "keep top": sg.KeepTop(),
            "ROAD": sg.Road(steps=5),
            "correlation": sg.FaithfulnessCorrelation(samples=25),
            "infidelity": sg.ScaledInfidelity(samples=12),
            "Gini": sg.Gini(),
            "total variation": sg.TotalVariation(),
        },
        200,
    ),
    "robustness": Part({"max-sensitivity": sg.MaxSensitivity(samples=4), "seeds": sg.SeedAgreement(seeds=2)}, 20, FEW),
    "sanity": Part(
        {
            "cascading": sg.CascadingRandomisation(stages=5),
            "independent": sg.IndependentRandomisation(stages=5),
            "random logit": sg.RandomLogit(),
        },
        10,
        FEW,
    ),
}


def methods(background: torch.Tensor) -> dict[str, Explainer]:
    """All methods of the table with their defaults, those with signs a second time without; and the controls."""
    given: dict[str, dict[str, object]] = {
        "expected_gradients": {"data": background, "samples": 100},
        "deep_shap": {"data": background, "samples": 16},
        "rise": {"samples": 500},
        "guided_integrated_gradients": {"steps": 50},
        "smooth_integrated_gradients": {"samples": 100},
    }
    found = {name: method.make(**given.get(name, {})) for name, method in sg.METHODS.items()}
    signed = {name + ABS: found[name].then(sg.Absolute()) for name in ABSOLUTE}
    return {**{name: found[name] for name in MAIN}, **signed, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=0, help="fewer than the parts take by themselves, for a trial")
    parser.add_argument("--part", default="", help="one of faithfulness, robustness, sanity")
    parser.add_argument("--only", default="", help="one method, by its label")
    parser.add_argument("--tables", action="store_true", help="judge nothing: write what has been judged")
    given = parser.parse_args()
    operators.declare_missing()
    if not given.tables:
        make(given.part, given.only, given.pictures)
    if not (given.part or given.only or given.pictures):
        write()


def make(part: str, only: str, fewer: int) -> None:
    """What is not kept yet."""
    most = max(one.pictures for one in PARTS.values())
    rows, _ = cifar_pictures(most + DATA)
    chosen = {label: one for label, one in methods(rows[most:]).items() if only in ("", label)}
    net = cifar_resnet(56)
    with torch.no_grad():
        target = net(rows).argmax(1)
    work = [
        (name, label)
        for name, one in PARTS.items()
        for label in chosen
        if part in ("", name) and (not one.only or label in one.only)
    ]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns) as bar:
        for name, label in bar.track(work, description="methods x parts"):
            file = KEPT / f"{name}-{label.replace(', ', '-')}.parquet"
            if file.exists() and not fewer:
                continue
            count = min(PARTS[name].pictures, fewer or most)
            scores = judged(net, rows[:count], target[:count], label, chosen[label], name)
            if not fewer:
                scores.save(file)
            else:
                print(scores.summary()[["measure", "method", "n", "failed", "mean", "low", "high"]])


def judged(
    net: torch.nn.Module, rows: torch.Tensor, target: torch.Tensor, label: str, method: Explainer, part: str
) -> Scores:
    """All pictures by one method."""
    parts = []
    for start in range(0, len(rows), BATCH):
        here = slice(start, start + BATCH)
        keys = list(range(start, start + len(rows[here])))
        table = sg.compare(
            net,
            rows[here],
            methods={label: method},
            measures=PARTS[part].measures,
            target=target[here],
            keys=keys,
            names=[f"test picture {key}" for key in keys],
            controls=False,
        )
        assert table.scores is not None
        parts.append(table.scores)
    return Scores.joined(parts)


# --- the page ---------------------------------------------------------------------------------------------------------


def kept() -> pandas.DataFrame:
    """All that has been judged."""
    files = sorted(KEPT.glob("*.parquet"))
    if not files:
        sys.exit(f"nothing is kept in {KEPT}; run without --tables first")
    return pandas.concat([pandas.read_parquet(file) for file in files], ignore_index=True)


def scores_of(frame: pandas.DataFrame) -> Scores:
    """The table again, without curves. Absolute maps of what is never negative anyway are left out."""
    plain = frame.rename(columns={"class": "class_name"}).astype(object).where(frame.notna().to_numpy(), None)
    records = []
    for row in plain.to_dict("records"):
        row["value"] = float("nan") if row["value"] is None else row["value"]
        row["control"] = row["method"] in CONTROLS
        records.append(Score(**row))
    return Scores(tuple(records), (None,) * len(records))


CONTROLS = ("random_map", "sobel", "uniform_map")


def write() -> None:
    """Tables and pictures, in the page and beside it."""
    scores = scores_of(kept())
    parts = {name: scores.of(*(m for m in part.measures if m in scores.measures)) for name, part in PARTS.items()}
    for name, one in parts.items():
        figure = one.figure()
        write_aside(
            HERE / "pictures" / f"measures-{name}.png", lambda aside, f=figure: f.savefig(aside, dpi=110, format="png")
        )
    page = HERE / "measures.md"
    text = page.read_text(encoding="utf-8")
    for name, one in parts.items():
        text = between(text, name, table(one))
    text = between(text, "verdicts", "\n".join(verdicts(scores)))
    write_aside(page, lambda aside: aside.write_text(text, encoding="utf-8"))


def between(text: str, name: str, new: str) -> str:
    """The page with what stands between its two markers of this name replaced."""
    begin, end = f"<!-- {name}: made by make_measures.py -->\n", f"<!-- end of {name} -->"
    head, found, rest = text.partition(begin)
    if not found or end not in rest:
        sys.exit(f"measures.md has no markers of {name}")
    return head + begin + new + "\n" + rest[rest.index(end) :]


def table(scores: Scores) -> str:
    """Methods x measures: mean with its interval; the best of each measure is bold."""
    summary = scores.summary()
    labels = list(scores.measures)
    order = summary.groupby("method")["rank"].mean().sort_values(na_position="last").index
    head = " | ".join(f"{label} {arrow(summary, label)}" for label in labels)
    lines = [f"| method | {head} |", "|---" * (len(labels) + 1) + "|"]
    for method in order:
        cells = [cell(summary, str(method), label) for label in labels]
        lines.append(
            f"| {'*' + str(method) + '*' if method in CONTROLS else '`' + str(method) + '`'} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def arrow(summary: pandas.DataFrame, label: str) -> str:
    return {"higher": "↑", "lower": "↓"}.get(summary[summary.measure == label].better.iloc[0], "")


def cell(summary: pandas.DataFrame, method: str, label: str) -> str:
    found = summary[(summary.measure == label) & (summary.method == method)]
    if found.empty:
        return ""
    row = found.iloc[0]
    if not row.n:
        return "–"
    # All scores equal: there is no spread that an interval could be made of.
    short = f"{row['mean']:.3g}" if row.low != row.low else f"{row['mean']:.3g} ({row.low:.3g} to {row.high:.3g})"
    short = f"**{short}**" if str(row["rank"]) == "1" else short  # no rank where neither high nor low is better
    return short if not row.failed else f"{short}, n={row.n}"


def verdicts(scores: Scores) -> Iterator[str]:
    """What the table says of SmoothGrad against its rivals: each difference, with its interval and whether it is sure."""
    asked = {one + kind for one in (SMOOTH, PLAIN, PATH, GUIDED) for kind in ("", ABS)} | {BLIND}
    records = tuple(one for one in scores.records if one.method in asked and one.better != "neither")
    few = Scores(records, (None,) * len(records))
    differences = few.differences()
    yield "| measure | SmoothGrad against | difference | 95 % interval | p (Holm) | better |"
    yield "|---|---|---|---|---|---|"
    for label in few.measures:
        for kind in ("", ABS):
            for rival in (PLAIN + kind, PATH + kind, GUIDED + kind, BLIND):
                yield from difference(differences, label, SMOOTH + kind, rival)


def difference(differences: pandas.DataFrame, label: str, smooth: str, rival: str) -> Iterator[str]:
    one = differences[(differences.measure == label) & (differences.method == smooth) & (differences.other == rival)]
    two = differences[(differences.measure == label) & (differences.method == rival) & (differences.other == smooth)]
    found, sign = (one, 1) if len(one) else (two, -1)
    if found.empty:
        return
    row = found.iloc[0]
    low, high = sorted((sign * row.low, sign * row.high))
    sure = row.better or "neither is clearly"
    yield (
        f"| {label} | `{smooth}` − `{rival}` | {sign * row.difference:.3g} "
        f"| {low:.3g} to {high:.3g} | {row.p_adjusted:.2g} | {sure} |"
    )


if __name__ == "__main__":
    main()
