"""Make docs/gallery.md and its pictures: every method on the same two photographs, which come with scikit-image.

    python docs/make_gallery.py [--weights mobilenet_v2.safetensors] [--only FAMILY]

The network is MobileNetV2 for pictures of 225 pixels, scaled to [-1, 1]. Methods that read attention are shown on a vision
transformer with random weights, for want of trained ones, and the page says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import skimage.data
import torch
from rich.progress import Progress as Bar

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import smoothgrad as sg  # noqa: E402
from smoothgrad.files import write_aside  # noqa: E402
from smoothgrad.methods.method import Method  # noqa: E402
from smoothgrad.models.preprocessing import Preprocessing  # noqa: E402
from tests import operators  # noqa: E402  (a torchvision wheel that does not fit its torch)
from tests.nets import DATA  # noqa: E402

PHOTOGRAPHS = ("cat", "coffee")
# Arguments other than the defaults: what a method cannot do without, and fewer passes where a picture changes no more.
GIVEN: dict[str, dict[str, object]] = {
    "rise": {"samples": 1000},
    "guided_integrated_gradients": {"steps": 50},
    "expected_gradients": {"samples": 100},
    "noisegrad": {"samples": 20},
}
WIDE = 6  # methods beside each other in one picture
ON_ATTENTION = "attention"  # the family, by the name of its file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=DATA / "weights" / "imagenet_mobilenet_v2.safetensors")
    parser.add_argument("--only", default="", help="one family, by the name of its file, such as cams")
    given = parser.parse_args()
    operators.declare_missing()
    half = (0.5, 0.5, 0.5)
    net = sg.load("torchvision:mobilenet_v2", weights=given.weights, size=225, mean=half, std=half)
    for family, methods in families():
        if given.only in ("", family):
            picture(family, methods, transformer() if family == ON_ATTENTION else net)
    write_aside(HERE / "gallery.md", lambda aside: aside.write_text(page()))


def families() -> Iterator[tuple[str, list[Method]]]:
    """The table of methods by the files that they stand in."""
    names = dict.fromkeys(method.make.__module__ for method in sg.METHODS.values())
    for name in names:
        yield name.rpartition(".")[2], [method for method in sg.METHODS.values() if method.make.__module__ == name]


def transformer() -> sg.Network:
    """A small vision transformer with random weights."""
    import timm  # not before the operators are declared

    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224")
    for weight in net.parameters():  # as it comes its last layer is zero, and every gradient with it
        torch.nn.init.normal_(weight, std=0.05)
    half = (0.5, 0.5, 0.5)
    return sg.Network(net, name="random ViT", preprocessing=Preprocessing(size=(224, 224), mean=half, std=half))


def picture(family: str, methods: list[Method], net: sg.Network) -> None:
    x = torch.cat([net.read(getattr(skimage.data, name)()) for name in PHOTOGRAPHS])
    for number, some in enumerate(pages_of(methods)):
        makes = {method.name: made(method, net) for method in some}
        with Bar() as bar:
            tasks = {label: bar.add_task(label) for label in makes}
            grid = sg.compare(
                net,
                x,
                methods=makes,
                names=PHOTOGRAPHS,
                progress=lambda label, at, tasks=tasks: bar.update(tasks[label], completed=at.done, total=at.total),
            )
        # Of a part that is taken away the sign means something: does it speak for the class, or against?
        look = sg.Look(sign="signed") if family == "perturbation" else None
        save(grid.figure(look), file_of(family, number))


def save(figure: Any, name: str) -> None:
    path = write_aside(HERE / "pictures" / name, lambda aside: figure.savefig(aside, dpi=80, format="png"))
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def pages_of(methods: list[Method]) -> list[list[Method]]:
    """At most `WIDE` methods in one picture, as even as can be."""
    pages = -(-len(methods) // WIDE)
    return [methods[page * len(methods) // pages : (page + 1) * len(methods) // pages] for page in range(pages)]


def file_of(family: str, number: int) -> str:
    return f"gallery-{family}-{number + 1}.png"


def made(method: Method, net: sg.Network) -> sg.Explainer:
    """The level of RISE's map means nothing, and would hide what stands out."""
    explainer = method.make(**arguments(method, net))
    return explainer.then(sg.Centred()) if method.name == "rise" else explainer


def arguments(method: Method, net: sg.Network) -> dict[str, object]:
    given = dict(GIVEN.get(method.name, {}))
    if "data" in method.needs:
        others = ("coffee", "rocket", "camera", "astronaut")
        given["data"] = torch.cat([net.read(getattr(skimage.data, name)()) for name in others])
    return given


def page() -> str:
    """The text of the gallery, from the table of methods."""
    lines = [
        "# Gallery",
        "",
        "Every method on the same two photographs, made by `python docs/make_gallery.py`: MobileNetV2, the top class",
        "of each, seed 0, the defaults of each method (but fewer samples for the slowest, and the map of RISE less its mean). What",
        "a map looks like says little about whether it is right.",
    ]
    for family, methods in families():
        title = methods[0].family
        lines += ["", f"## {title}", ""]
        for number in range(len(pages_of(methods))):
            lines += [f"![{title}](pictures/{file_of(family, number)})", ""]
        if family == ON_ATTENTION:
            lines += [
                "A vision transformer with *random* weights: the pictures show that it runs, and nothing else.",
                "",
            ]
        lines += ["| method | formula | passes | source |", "|---|---|---|---|"]
        for method in methods:
            passes = "" if method.needs else str(method.make().passes)
            source = "; ".join(paper.short for paper in method.citations)
            formula = method.formula.replace("|", "\\|")
            lines.append(f"| `{method.name}` | {formula} | {passes} | {source} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
