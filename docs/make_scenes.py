"""Score every method against scenes whose truth is known, and write the tables and the picture of docs/scenes.md.

    python docs/make_scenes.py [--scenes 100] [--only METHOD]

The text of the page is written by hand, what stands between its markers by this script. With --only the table of one method is
printed, and nothing written.
"""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from rich.progress import Progress as Bar
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.compare import FAULTS_OF_A_METHOD
from smoothgrad.core.query import Query
from smoothgrad.files import write_aside
from smoothgrad.measure.localisation import EnergyInside, LocalisationAuc, PointingGame, RelevanceMass, RelevanceRank
from smoothgrad.methods.method import Method
from smoothgrad.models.scenes import CLASSES, SHORTCUT, TEXTURED, TWO_OBJECTS, UNIFORM, SceneKind, scenes
from smoothgrad.view.figure import figure
from smoothgrad.view.panels import Panel, PicturePanel

HERE = Path(__file__).parent
PAGE, PICTURE = HERE / "scenes.md", HERE / "pictures" / "scenes.png"
CHECKED = 1200  # scenes for what is said of the networks
# Arguments other than the defaults: fewer passes for the slowest.
GIVEN: dict[str, dict[str, object]] = {"rise": {"samples": 500}, "guided_integrated_gradients": {"steps": 50}}
SHOWN = {
    "gradient": sg.gradient(),
    "SmoothGrad": sg.smoothgrad(),
    "Integrated Gradients": sg.integrated_gradients(),
    "guided backprop": sg.guided_backprop(),
    "LRP": sg.lrp(),
    "Grad-CAM": sg.grad_cam(),
}
FEWER = "†"
# SmoothGrad as it is set for photographs loses here: is it the size of the noise, or too few draws?
VARIANTS = {
    "smoothgrad(noise=0.05)": sg.smoothgrad(noise=0.05),
    "smoothgrad(samples=200)": sg.smoothgrad(samples=200),
}
ON_OBJECT, ON_OWN, ON_PATCH = "mass", "positive part", "mass on the patch"  # the columns that tables are sorted by


class Setting(NamedTuple):
    """Scenes, the class that is explained of each, and how its maps are scored."""

    net: nn.Module
    x: Tensor
    target: Tensor
    score: Callable[[Query, Tensor], Mapping[str, Tensor]]  # maps -> columns of scores (N,), NaN where there is none


class Column(NamedTuple):
    """A column of a table, for one method."""

    scores: Tensor  # (N,)

    @property
    def known(self) -> Tensor:
        return self.scores[~self.scores.isnan()]

    def __str__(self) -> str:
        """Mean and 95 % interval over the scenes that have a score."""
        if not len(self.known):
            return "-"
        few = FEWER if len(self.known) < len(self.scores) else ""
        return f"{self.known.mean():.2f} ± {1.96 * spread(self.known):.2f}{few}"


Table = dict[str, dict[str, Column]]  # method -> column


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100, help="how many of each kind")
    parser.add_argument("--only", default="", help="one method, by its name")
    given = parser.parse_args()
    net, misled = sg.load("scenes"), sg.load("scenes-shortcut")
    methods = {name: made(method) for name, method in sg.METHODS.items()} | VARIANTS
    methods = {name: method for name, method in methods.items() if given.only in ("", name)}
    settings = {
        "uniform": one_object(net, UNIFORM, given.scenes),
        "textured": one_object(net, TEXTURED, given.scenes),
        "two": two_objects(net, given.scenes),
        "shortcut": planted(misled, given.scenes),
    }
    tables, failures = scored(methods, settings)
    if given.only:
        for name, found in tables.items():
            print(
                name,
                *(f"{label} {column}" for columns in found.values() for label, column in columns.items()),
                sep="  ",
            )
        print(*failures.values(), sep="\n")
        return
    blocks = {
        "networks": networks(net, misled),
        "one": one_table(tables["uniform"], tables["textured"]),
        "one said": said(tables["textured"], ON_OBJECT),
        "two": table(tables["two"], ON_OWN),
        "two said": said(tables["two"], ON_OWN),
        "shortcut": table(tables["shortcut"], ON_PATCH),
        "shortcut said": said(tables["shortcut"], ON_PATCH),
        "smoothgrad": smoothed(tables),
        "failures": "\n".join(f"* `{name}`: {reason}" for name, reason in failures.items()) or "None.",
        "how": how(given.scenes),
    }
    write_aside(PAGE, lambda aside: aside.write_text(filled(PAGE.read_text(), blocks)))
    page = picture(net, misled)
    write_aside(PICTURE, lambda aside: page.savefig(aside, dpi=80, format="png"))
    print(f"wrote {PAGE} and {PICTURE}")


# --- what is scored ---------------------------------------------------------------------------------------------------


def one_object(net: nn.Module, kind: SceneKind, count: int) -> Setting:
    """The map of the object's class against the object."""
    some = scenes(count, kind)
    measures = {
        ON_OBJECT: RelevanceMass(),
        "rank": RelevanceRank(),
        "AUC": LocalisationAuc(),
        "pointing": PointingGame(),
    }
    return Setting(
        net,
        some.x,
        some.labels,
        lambda query, maps: {
            name: measure(net, query, maps.abs(), regions=some.regions) for name, measure in measures.items()
        },
    )


def two_objects(net: nn.Module, count: int) -> Setting:
    """The map of each of two classes against both objects: of what lies on an object, the share that lies on its own."""
    some = scenes(count, TWO_OBJECTS)
    own, other = torch.cat([some.regions, some.second_regions]), torch.cat([some.second_regions, some.regions])

    def share(query: Query, maps: Tensor) -> Tensor:
        inside, outside = (EnergyInside()(net, query, maps, regions=regions) for regions in (own, other))
        return by_scene(inside / (inside + outside))

    def by_scene(scores: Tensor) -> Tensor:
        """The mean of its two classes: they share their pixels, and are not two independent scenes."""
        return scores.view(2, count).mean(0)

    return Setting(
        net,
        torch.cat([some.x, some.x]),
        torch.cat([some.labels, some.second_labels]),
        lambda query, maps: {
            ON_OWN: share(query, maps),
            "absolute values": share(query, maps.abs()),
            "mass on its own": by_scene(RelevanceMass()(net, query, maps, regions=own)),
        },
    )


def planted(net: nn.Module, count: int) -> Setting:
    """The map of a network that looks at the patch alone, against the patch and against the object."""
    some = scenes(count, SHORTCUT)
    return Setting(
        net,
        some.x,
        some.labels,
        lambda query, maps: {
            ON_PATCH: RelevanceMass()(net, query, maps, regions=some.shortcut_regions),
            "mass on the object": RelevanceMass()(net, query, maps, regions=some.regions),
            "AUC of the patch": LocalisationAuc()(net, query, maps.abs(), regions=some.shortcut_regions),
            "pointing at the patch": PointingGame()(net, query, maps.abs(), regions=some.shortcut_regions),
        },
    )


def scored(
    methods: Mapping[str, sg.Explainer], settings: Mapping[str, Setting]
) -> tuple[dict[str, Table], dict[str, str]]:
    """The table of each setting, and of each method that failed the reason."""
    tables: dict[str, Table] = {name: {} for name in settings}
    failures: dict[str, str] = {}
    jobs = [(label, name) for label in methods for name in settings]
    with Bar() as bar:
        task = bar.add_task("", total=len(jobs))
        for label, name in jobs:
            bar.update(task, description=f"{label}, {name}")
            setting = settings[name]
            try:
                maps = sg.explain(setting.net, setting.x, method=methods[label], target=setting.target).maps
                found = setting.score(Query.of(setting.x, setting.target), maps)
                tables[name][label] = {column: Column(scores) for column, scores in found.items()}
            except FAULTS_OF_A_METHOD as error:
                failures[label] = str(error)
            bar.advance(task)
    return tables, failures


def made(method: Method) -> sg.Explainer:
    """The method with its defaults; RISE's map less its mean, since the level of it means nothing."""
    given = dict(GIVEN.get(method.name, {}))
    if "data" in method.needs:
        given["data"] = scenes(30, TEXTURED, seed=1).x
    explainer = method.make(**given)
    return explainer.then(sg.Centred()) if method.name == "rise" else explainer


# --- what is written --------------------------------------------------------------------------------------------------


def networks(net: nn.Module, misled: nn.Module) -> str:
    """What the networks answer as scenes are changed."""
    uniform, textured, two = (scenes(CHECKED, kind) for kind in (UNIFORM, TEXTURED, TWO_OBJECTS))
    wrong = scenes(CHECKED, SceneKind("textured", shortcut=0.0))
    alone = wrong.x.where(wrong.shortcut_regions[:, None], wrong.background)
    both = torch.stack([two.labels, two.second_labels], 1).sort(1).values
    top_two = answers(net, two.x).topk(2, 1).indices.sort(1).values
    lines = [
        ("`scenes`", "names the object: uniform background", top(net, uniform.x) == uniform.labels),
        ("", "textured background", top(net, textured.x) == textured.labels),
        ("", "two objects: both have the two highest scores", (top_two == both).all(1)),
        ("", "same answer on a uniform and on a textured background", top(net, uniform.x) == top(net, textured.x)),
        ("", "names it when it has been taken away (chance: 17 %)", top(net, textured.background) == textured.labels),
        (
            "`scenes-shortcut`",
            "names the patch's class, on an object of another",
            top(misled, wrong.x) == wrong.shortcut_labels,
        ),
        ("", "names the object's class then", top(misled, wrong.x) == wrong.labels),
        ("", "names the patch's class, without an object", top(misled, alone) == wrong.shortcut_labels),
        (
            "",
            "names the object's class, without a patch (chance: 17 %)",
            top(misled, textured.x) == textured.labels,
        ),
    ]
    said = ["| network | what | share of scenes |", "|---|---|---:|"]
    said += [f"| {name} | {what} | {float(right.float().mean()):.1%} |" for name, what, right in lines]
    kept = change(net, uniform.x, textured.x, textured.labels)
    gone = change(net, textured.x, textured.background, textured.labels)
    off = change(misled, wrong.x, textured.x, wrong.shortcut_labels)
    still = change(misled, wrong.x, alone, wrong.shortcut_labels)
    return "\n".join(
        [
            *said,
            "",
            f"By how much the score of the class changes, on average over {CHECKED} scenes: of `scenes`, {gone:.1f} when the",
            f"object is taken away, {kept:.1f} when a uniform background becomes a textured one; of `scenes-shortcut`, {off:.1f}",
            f"when the patch is taken away, {still:.1f} when the object is.",
        ]
    )


def answers(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([net(part) for part in x.split(100)])


def top(net: nn.Module, x: Tensor) -> Tensor:
    return answers(net, x).argmax(1)


def change(net: nn.Module, before: Tensor, after: Tensor, labels: Tensor) -> float:
    """The mean size of the change of the classes' scores."""
    return float((answers(net, after) - answers(net, before)).gather(1, labels[:, None]).abs().mean())


def one_table(uniform: Table, textured: Table) -> str:
    joined = {
        name: {f"{label}, uniform": column for label, column in uniform[name].items()}
        | {f"{label}, textured": column for label, column in columns.items()}
        for name, columns in textured.items()
        if name in uniform
    }
    return table(joined, f"{ON_OBJECT}, textured")


def table(scores: Table, by: str) -> str:
    """A table in Markdown, the best of one column first; controls in italics."""
    labels = list(next(iter(scores.values())))
    order = sorted(scores, key=lambda name: mean(scores[name][by]), reverse=True)
    lines = ["| method | " + " | ".join(labels) + " |", "|---|" + "---:|" * len(labels)]
    for name in order:
        shown = f"*{name}*" if is_control(name) else f"`{name}`"
        lines.append(f"| {shown} | " + " | ".join(str(scores[name][label]) for label in labels) + " |")
    if any(FEWER in line for line in lines):
        lines += [
            "",
            f"{FEWER} over those scenes for which the map has a score: one that is nowhere positive has no positive part.",
        ]
    return "\n".join(lines)


def said(scores: Table, by: str) -> str:
    """Which methods are better than the best control, and which are worse, scene by scene."""
    methods = [name for name in scores if not is_control(name)]
    controls = [name for name in scores if is_control(name)]
    best = max(controls, key=lambda name: mean(scores[name][by]))
    # As many comparisons as methods: Bonferroni keeps the chance of any false one at 5 %.
    sure = NormalDist().inv_cdf(1 - 0.025 / len(methods))
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "no different": []}
    for name in sorted(methods, key=lambda name: mean(scores[name][by]), reverse=True):
        apart = scores[name][by].scores - scores[best][by].scores
        apart = apart[~apart.isnan()]
        high = sure * spread(apart) if len(apart) > 1 else math.inf
        middle = float(apart.mean()) if len(apart) else 0.0
        verdicts["better" if middle > high else "worse" if middle < -high else "no different"].append(f"`{name}`")
    head = (
        f'By "{by}", against the best control, *{best}* ({mean(scores[best][by]):.2f}), scene by scene, at 95 % confidence for '
        f"all {len(methods)} methods together (Bonferroni):"
    )
    found = [f"* {verdict}: {', '.join(names) or 'none'}" for verdict, names in verdicts.items()]
    return "\n".join([wrapped(head), "", *(wrapped(line, "  ") for line in found)])


def smoothed(tables: Mapping[str, Table]) -> str:
    """SmoothGrad and its relatives less the gradient, scene by scene."""
    asked = {
        "mass, uniform": ("uniform", ON_OBJECT),
        "mass, textured": ("textured", ON_OBJECT),
        "two objects, positive part": ("two", ON_OWN),
        "shortcut, mass on the patch": ("shortcut", ON_PATCH),
    }
    lines = ["| less the gradient | " + " | ".join(asked) + " |", "|---|" + "---:|" * len(asked)]
    for name in ("smoothgrad", *VARIANTS, "smoothgrad_squared", "vargrad"):
        cells = []
        for setting, by in asked.values():
            apart = tables[setting][name][by].scores - tables[setting]["gradient"][by].scores
            cells.append(f"{apart.nanmean():+.2f} ± {1.96 * spread(apart[~apart.isnan()]):.2f}")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 128, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def how(count: int) -> str:
    other = ", ".join(
        f"`{name}({', '.join(f'{key}={value}' for key, value in given.items())})`" for name, given in GIVEN.items()
    )
    return wrapped(
        f"{count} scenes of each kind, seed 0 (the networks were trained under another); the class of the object is explained, "
        f"of two objects each in turn (the mean of both is the scene's score). Methods with their defaults, but {other}, and the "
        "map of RISE less its mean; methods that "
        "need data got 30 other textured scenes. Mean over scenes ± 95 % interval; *in italics* the controls, which know nothing "
        "of the network."
    )


def is_control(name: str) -> bool:
    return name in sg.METHODS and sg.METHODS[name].make.__module__.endswith(".controls")


def mean(column: Column) -> float:
    return float(column.known.mean()) if len(column.known) else -math.inf


def spread(scores: Tensor) -> float:
    """The standard error of the mean."""
    return float(scores.std()) / math.sqrt(len(scores)) if len(scores) > 1 else math.nan


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The page with each block between its markers; every block has its place, and every place its block."""
    found = re.findall(r"<!-- made: (.*?) -->", text)
    if sorted(found) != sorted(blocks):
        raise SystemExit(f"{PAGE} has places for {found}, and there are {sorted(blocks)}")
    for name, block in blocks.items():
        head, mark, rest = text.partition(f"<!-- made: {name} -->\n")
        text = head + mark + block + "\n" + rest[rest.index("<!-- end -->") :]
    return text


def picture(net: sg.Network, misled: sg.Network) -> Figure:
    """Scenes, their truth and some maps: a uniform and a textured one, both classes of one with two, and a shortcut."""
    uniform, textured, two, wrong = (scenes(12, kind) for kind in (UNIFORM, TEXTURED, TWO_OBJECTS, SHORTCUT))
    asked = [
        ("uniform", net, uniform.x[10], uniform.labels[10], uniform.regions[10]),
        ("textured", net, textured.x[5], textured.labels[5], textured.regions[5]),
        ("two objects", net, two.x[8], two.labels[8], two.regions[8]),
        ("the other class", net, two.x[8], two.second_labels[8], two.second_regions[8]),
        ("shortcut", misled, wrong.x[3], wrong.labels[3], wrong.shortcut_regions[3]),
    ]
    rows: list[list[Panel | None]] = []
    for _, asks, x, label, region in asked:
        truth = x * torch.where(region, 1.0, 0.15)
        maps = [sg.explain(asks, x[None], method=method, target=int(label)).map_panel(0) for method in SHOWN.values()]
        rows.append([PicturePanel(x), PicturePanel(truth), *maps])
    labels = [f"{name}\n{CLASSES[int(label)]}" for name, _, _, label, _ in asked]
    return figure(rows, sg.Look(), columns=["scene", "truth", *SHOWN], labels=labels, errors=False)


if __name__ == "__main__":
    main()
