"""Make the pictures of docs/features.md, with the program itself, on the embedded network and on a photograph of scikit-image.

    python docs/make_feature_pictures.py [--weights squeezenet1_1.safetensors]

The weights are those of torchvision's SqueezeNet 1.1; by default from the folder of data that the tests marked `real` use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import skimage.data
from rich.progress import Progress as Bar
from torch import Tensor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import smoothgrad as sg  # noqa: E402
from smoothgrad import features as find  # noqa: E402
from smoothgrad.files import write_aside  # noqa: E402
from smoothgrad.models.digits import scans  # noqa: E402
from smoothgrad.models.network import Network  # noqa: E402
from tests import operators  # noqa: E402  (a torchvision wheel that does not fit its torch)
from tests.nets import DATA  # noqa: E402

PICTURES = HERE / "pictures"
ALL = sg.Probability(sg.Classes(tuple(range(10))), log=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, default=DATA / "weights" / "imagenet_squeezenet1_1_torchvision.safetensors"
    )
    weights = parser.parse_args().weights
    operators.declare_missing()
    net = sg.load("torchvision:squeezenet1_1", weights=weights)
    with Bar() as bar:
        digits(bar)
        photograph(net, bar)


def digits(bar: Bar) -> None:
    """All ten classes: in pixels, under a restricted Boltzmann machine, and in the codes of the generator."""
    net, data, generator = sg.load("digits"), scans(), find.load_generator("digits")
    machine = find.RBMPrior.fit(data.x[data.train], weight=0.3)
    start = find.FromNoise(0.1)
    searches = {
        "pixels": find.ActivationMaximization(ALL, find.Bounded(), start),
        "machine": find.ActivationMaximization(ALL, find.Bounded(), start, penalties=(machine,)),
        "code": find.ActivationMaximization(ALL, find.CodeSpace(generator, generator.code_shape), start),
    }
    for name, search in searches.items():
        found = run(bar, name, net, search, rows=10)
        said(found.save(PICTURES / f"digits-{name}.png"))
        if name == "code":
            said(found.save_gif(PICTURES / "digits-code.gif"))


def photograph(net: Network, bar: Bar) -> None:
    """A dream of the cat; what fires for it, and the cat put together again."""
    cat = net.read(skimage.data.cat())
    found = run(bar, "dream", net, find.DeepDream(find.Layer("features.9"), steps=12, learning_rate=0.01), cat)
    said(found.save(PICTURES / "cat-dream.png"))
    again = find.reconstruct(net, cat, "features.4", keep=16)
    path = PICTURES / "cat-reconstructed.png"
    said(write_aside(path, lambda aside: again.figure(names=["cat"]).savefig(aside, dpi=60)))


def run(bar: Bar, name: str, net: Network, search: find.Search, x: Tensor | None = None, rows: int = 1) -> find.Dream:
    task = bar.add_task(name, total=search.total)
    return find.dream(
        net, search, x, rows=rows, frames=16, progress=lambda frame: bar.update(task, completed=frame.step)
    )


def said(path: Path) -> None:
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
