"""Make docs/experiments.md's figures and findings: every experiment on real pictures.

    python docs/make_experiments.py [NAME ...] [--write]

Each runs on the command line, into out/experiments/NAME, where its cells are kept: one that was stopped goes on where it was.
`--write` puts what is there into the page, between its markers: no number stands there that was typed by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from smoothgrad.files import write_aside  # noqa: E402
from tests.nets import DATA  # noqa: E402

KEPT = HERE.parent / "out" / "experiments"
PICTURES = HERE / "pictures" / "experiments"
PAGE = HERE / "experiments.md"
# A torchvision wheel that does not fit its torch is made to import first.
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.operators import declare_missing; declare_missing(); "
    "from smoothgrad.cli import main; main()"
)
SQUEEZENET = "--model torchvision:squeezenet1_1 --weights weights/imagenet_squeezenet1_1_torchvision.safetensors"
KINDS = "--groups imagenet-samples/labels.csv:background"
CIFAR = "--model cifar10"
MNIST = "--data mnist:mnist"


class Real(NamedTuple):
    """A run on the data folder: what follows the name of the experiment, its pictures, and the plates that the page shows.

    The page shows photographs that come with scikit-image, drawn scenes and digits. Those of ImageNet and CIFAR-10 stay where they
    are: of runs on them it shows plots.
    """

    experiment: str
    options: str
    pictures: Callable[[], tuple[str, ...]] = tuple
    plates: tuple[str, ...] = ()


def photographs(count: int) -> tuple[str, ...]:
    """So many photographs on uniform grounds, and as many on textured ones, spread over those at hand."""
    with (DATA / "imagenet-samples" / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    kinds = [[row["file"] for row in rows if row["background"] == kind] for kind in ("uniform", "textured")]
    return tuple(f"imagenet-samples/{files[i * len(files) // count]}" for files in kinds for i in range(count))


def small(count: int) -> tuple[str, ...]:
    """The first CIFAR-10 test pictures, in one folder: those of several folders are of several kinds."""
    folder = KEPT / "cifar10-pictures"
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted((DATA / "cifar10-test").glob("*/*.png"), key=lambda file: file.stem)[:count]
    return tuple(str(shutil.copy(file, folder / f"{file.parent.name}-{file.name}")) for file in found)


def two() -> tuple[str, ...]:
    """The photographs with two objects."""
    return tuple(str(file.relative_to(DATA)) for file in sorted((DATA / "imagenet-samples" / "two").glob("*.jpg")))


def free() -> tuple[str, ...]:
    """Photographs that come with scikit-image."""
    import skimage.data
    from PIL import Image

    folder = KEPT / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FREE:
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    return tuple(str(folder / f"{name}.png") for name in FREE)


FREE = ("chelsea", "coffee", "rocket")
RUNS: dict[str, Real] = {
    "noise-level": Real(
        "noise-level", f"{SQUEEZENET} {KINDS} --grid reference=300", partial(photographs, 3), ("curves",)
    ),
    "noise-level, shown": Real("noise-level", f"{SQUEEZENET} --grid reference=100", free, ("errors",)),
    "samples": Real("samples", CIFAR, partial(small, 10), ("error", "likeness", "saving")),
    "noise-source": Real("noise-source", f"{CIFAR} --grid reference=500", partial(small, 10), ("quantities",)),
    "aggregators": Real("aggregators", CIFAR, partial(small, 20), ("scores", "alike")),
    "methods": Real(
        "methods",
        f"{SQUEEZENET} {KINDS} --grid samples=10",
        partial(photographs, 6),
        ("gains-uniform", "gains-textured"),
    ),
    "discriminativity": Real("discriminativity", SQUEEZENET, two, ("scores",)),
    "discriminativity, shown": Real("discriminativity", "--model scenes --samples 3", tuple, ("differences",)),
    "fluctuation": Real("fluctuation", SQUEEZENET, free, ("entries", "beside-the-score", "maps")),
    "baselines": Real("baselines", CIFAR, partial(small, 12), ("completeness", "measures")),
    "training-noise": Real("training-noise", f"{MNIST} --samples 20", tuple, ("grid", "measures", "maps")),
    "occlusion-training": Real("occlusion-training", f"{MNIST} --samples 20", tuple, ("shares", "maps-1")),
    "cam-resolution": Real(
        "cam-resolution", f"{MNIST} --samples 20 --grid halvings=1,2,3", tuple, ("curves", "grad-cam")
    ),
    "visualisation": Real("visualisation", f"{SQUEEZENET} {KINDS}", partial(photographs, 6), ("curves",)),
    "visualisation, shown": Real("visualisation", SQUEEZENET, free, ("maps-1",)),
    "sanity": Real("sanity", CIFAR, partial(small, 3), ("curves-cascading", "table-cascading")),
}


def command(name: str) -> list[str]:
    """The arguments of a run, after `smoothgrad`."""
    real = RUNS[name]
    return ["experiment", real.experiment, *shlex.split(real.options), *real.pictures()]


def folder_of(name: str) -> Path:
    """Where a run keeps what it makes."""
    return KEPT / name.replace(", ", "-")


def make(name: str) -> None:
    """Run an experiment, and keep what it says."""
    began = time.monotonic()
    program = [sys.executable, "-c", PROGRAM, str(HERE.parent), *command(name), "--out", str(folder_of(name)), "--json"]
    done = subprocess.run(program, cwd=DATA, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"{name}: ended with {done.returncode}, and said nothing; what went wrong stands above")
    said = json.loads(done.stdout)
    if "error" in said:
        raise SystemExit(f"{name}: {said['error']['message']}")
    said["seconds"] = time.monotonic() - began
    write_aside(folder_of(name) / "said.json", lambda aside: aside.write_text(json.dumps(said), encoding="utf-8"))
    print(
        f"{name}: {said['cells']} cells, {len(said['failures'])} failed, {said['seconds'] / 60:.1f} minutes", flush=True
    )


def shown(name: str, said: dict[str, Any]) -> str:
    """What the page says of a run."""
    real = RUNS[name]
    options = real.options.replace("mnist:mnist", "mnist:FOLDER")
    pictures = "" if real.pictures is tuple else " PICTURES"
    failed = f", {len(said['failures'])} of them failed" if said["failures"] else ""
    lines = [
        f"    smoothgrad experiment {real.experiment} {options}{pictures}",
        f"{len(said['pictures'])} pictures, {said['cells']} cells{failed}, {said['rows']} rows.",
    ]
    if not name.endswith(", shown"):
        lines += ["The program says:", "\n".join(f"* {lesson}" for lesson in said["lessons"])]
    for plate in real.plates:
        file = f"{folder_of(name).name}-{plate}.png"
        source = folder_of(name) / f"{plate}.png"
        write_aside(PICTURES / file, partial(_smaller, source))
        lines.append(f"![{name}: {plate}](pictures/experiments/{file})")
    return "\n\n".join(lines)


def _smaller(source: Path, aside: Path) -> None:
    """The picture, 1200 pixels wide at most, in 256 colours: the page is read on a screen."""
    from PIL import Image

    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    picture.quantize(256).save(aside, optimize=True)


WIDEST = 1200


def write() -> None:
    """Put what is there between the markers of the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name in RUNS:
        kept = folder_of(name) / "said.json"
        if not kept.is_file():
            print(f"{name}: has not been run; left as it is")
            continue
        said = json.loads(kept.read_text(encoding="utf-8"))
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        page, found = marked.subn(
            lambda match, said=said, name=name: match[1] + shown(name, said) + "\n" + match[2], page
        )
        if not found:
            raise SystemExit(f"{PAGE.name} has no markers for {name}: <!-- {name} --> and <!-- end of {name} -->")
    write_aside(PAGE, lambda aside: aside.write_text(page, encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which experiments; all, if none: {', '.join(RUNS)}")
    parser.add_argument("--write", action="store_true", help="only write the page, of what has been run")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in RUNS]
    if unknown:
        parser.error(f"no experiment is called {unknown[0]!r}; known: {', '.join(RUNS)}")
    for name in () if asked.write else asked.names or RUNS:
        make(name)
    write()


if __name__ == "__main__":
    main()
