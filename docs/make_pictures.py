"""Make the pictures of the README and the docs, with the program itself, on photographs that come with scikit-image.

    python docs/make_pictures.py [--weights mobilenet_v2.safetensors]

The weights are those of MobileNetV2 for pictures of 225 pixels, scaled to [-1, 1]; by default from the folder of data that the
tests marked `real` use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import skimage.data
import torch
from rich.progress import Progress as Bar

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import smoothgrad as sg  # noqa: E402
from smoothgrad.files import write_aside  # noqa: E402
from tests import operators  # noqa: E402  (a torchvision wheel that does not fit its torch)
from tests.nets import DATA  # noqa: E402

PHOTOGRAPHS = ("cat", "coffee", "rocket", "camera")
METHODS = {
    "gradient": sg.gradient(),
    "SmoothGrad": sg.smoothgrad(noise=0.15, samples=50),
    "Integrated Gradients": sg.integrated_gradients(steps=50),
    "SmoothGrad of guided backprop": sg.smoothgrad(noise=0.15, samples=50, rule=sg.Guided()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=DATA / "weights" / "imagenet_mobilenet_v2.safetensors")
    weights = parser.parse_args().weights
    operators.declare_missing()
    half = (0.5, 0.5, 0.5)
    net = sg.load("torchvision:mobilenet_v2", weights=weights, size=225, mean=half, std=half)
    x = torch.cat([net.read(getattr(skimage.data, name)()) for name in PHOTOGRAPHS])
    with Bar() as bar:
        tasks = {label: bar.add_task(label) for label in METHODS}
        grid = sg.compare(
            net,
            x,
            methods=METHODS,
            names=PHOTOGRAPHS,
            progress=lambda label, at: bar.update(tasks[label], completed=at.done, total=at.total),
        )
    save(grid.figure(), "photographs.png")
    cat = grid.rows[0].cells[1]
    assert isinstance(cat, sg.Attribution), cat
    save(cat.figure(), "cat.png")
    few_and_many = {f"SmoothGrad, {n} samples": sg.smoothgrad(noise=0.15, samples=n) for n in (50, 800)}
    tested = sg.compare(net, x[:1], methods=few_and_many, names=PHOTOGRAPHS[:1])
    save(tested.figure(sg.Look(fdr=0.05)), "significant.png")


def save(figure: object, name: str) -> None:
    path = write_aside(HERE / "pictures" / name, lambda aside: figure.savefig(aside, dpi=90))
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
