"""The networks, and the rows that are explained: real ones where the data folder is at hand, seeded random ones elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.tasks import Task
from tests.nets import DATA, HALF, IMAGENET_MEAN, IMAGENET_STD, CifarResNet, cifar_pictures, cifar_resnet, photographs
from tests.operators import declare_missing

REAL = DATA.is_dir()
RANDOM = "random weights"


@dataclass(frozen=True)
class Network:
    """A network and the rows it is asked about."""

    title: str
    size: int  # pixels on a side
    rows: int
    make: Callable[[], nn.Module]
    pictures: Callable[[int, int], Tensor]  # rows, size -> (rows, C, size, size)
    weights: str = RANDOM
    relu_modules: str = ""  # why hooks on nn.ReLU would miss its ReLUs; empty: they are all modules
    scaled: int = 0  # draws that stand for all where a library takes one at a time; 0: all are run
    slow: bool = False  # then also where it takes them in batches of a size that was looked for

    def said(self) -> str:
        pictures = "picture" if self.rows == 1 else "pictures"
        return f"{self.title}, {self.rows} {pictures} of {self.size} px, {self.weights}"


@dataclass(frozen=True)
class Case:
    """A network, rows x (N, *S) and the class of each, chosen before the clock starts."""

    net: nn.Module
    x: Tensor
    target: Tensor

    def std(self, task: Task) -> float:
        """The noise in units of the input, one number for all rows: what every library can be told."""
        flat = self.x.flatten(1)
        return task.noise * float((flat.amax(1) - flat.amin(1)).mean())


def case(name: str, rows: int | None = None, size: int | None = None, device: str = "cpu") -> Case:
    """The network by its name in `NETWORKS`, with its rows; the target is each row's top class."""
    spec = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = spec.make().eval()
        if spec.weights == RANDOM:
            calibrate(net, torch.randn(2, 3, spec.size, spec.size))
        net = net.to(device)
        x = spec.pictures(rows or spec.rows, size or spec.size).to(device)
    with torch.no_grad():
        target = net(x[:1]).argmax(1) if len(x) == 1 else torch.cat([net(row[None]).argmax(1) for row in x])
    return Case(net, x, target)


def calibrate(net: nn.Module, rows: Tensor) -> None:
    """Set the statistics of batch norms to what passes through them, as training would have.

    As they are made they change nothing, and in a deep network with random weights the gradient dies out: its map would be
    rounding, on which no two libraries agree.
    """
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().momentum = None  # the mean of all passes, of which there is one
    with torch.no_grad():
        net(rows)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.eval().momentum = momentum


def _torchvision(name: str, **options: object) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        declare_missing()
        import torchvision

        net: nn.Module = getattr(torchvision.models, name)(weights=None, **options)
        return net

    return make


def _mobilenet() -> nn.Module:
    if not REAL:
        return _torchvision("mobilenet_v2")()
    from tests.nets import mobilenet

    declare_missing()
    return mobilenet().net


def _cifar() -> nn.Module:
    return cifar_resnet(20) if REAL else CifarResNet(20)


def _digits() -> nn.Module:
    import smoothgrad

    return smoothgrad.load("digits").net


def _photographs(
    mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> Callable[[int, int], Tensor]:
    def read(rows: int, size: int) -> Tensor:
        if not REAL:
            return _random(3)(rows, size)
        return photographs(rows, size=size, resize=size * 256 // 224, mean=mean, std=std)[0]

    return read


def _small_pictures(rows: int, size: int) -> Tensor:
    return cifar_pictures(rows)[0] if REAL and size == 32 else _random(3)(rows, size)


def _random(channels: int) -> Callable[[int, int], Tensor]:
    """Coarse random blobs: more like a picture than white noise."""

    def draw(rows: int, size: int) -> Tensor:
        coarse = torch.randn(rows, channels, 8, 8)
        return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)

    return draw


_FUNCTIONAL = "its ReLUs are functions"
_TRAINED = "trained weights" if REAL else RANDOM
NETWORKS: dict[str, Network] = {
    "resnet50": Network("ResNet-50", 224, 1, _torchvision("resnet50"), _photographs()),
    "mobilenet_v2": Network(
        "MobileNetV2", 224, 1, _mobilenet, _photographs(HALF, HALF), _TRAINED, "its ReLU6 modules are not nn.ReLU"
    ),
    "inception_v3": Network(
        "Inception v3",
        299,
        1,
        _torchvision("inception_v3", init_weights=False),
        _photographs(),
        relu_modules=_FUNCTIONAL,
        scaled=10,
        slow=True,
    ),
    "vgg16": Network("VGG-16", 224, 1, _torchvision("vgg16"), _photographs(), scaled=10, slow=True),
    "cifar_resnet20": Network("CIFAR ResNet-20", 32, 64, _cifar, _small_pictures, _TRAINED, _FUNCTIONAL, scaled=10),
    "resnet18": Network("ResNet-18", 224, 1, _torchvision("resnet18"), _photographs()),
    "digits": Network("digits", 8, 2, _digits, _random(1), "trained weights", _FUNCTIONAL),
}
