"""`load`: a network by name, with its pictures' preprocessing and its class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from smoothgrad.errors import BadModel, UnknownName, nearest
from smoothgrad.models.classes import read_classes
from smoothgrad.models.digits import digits_with, random_labels_with
from smoothgrad.models.factory import from_factory, names_factory, without_function
from smoothgrad.models.network import Network
from smoothgrad.models.scenes_net import scene_net_with, shortcut_net_with
from smoothgrad.models.sources import Asked, from_hugging_face, from_timm, from_torchvision
from smoothgrad.models.trained import cifar10_with, mnist_with

_SCHEMES: dict[str, Callable[[str, Asked], Network]] = {
    "timm": from_timm,
    "torchvision": from_torchvision,
    "hf": from_hugging_face,
}
EMBEDDED: dict[str, Callable[[Path | None], Network]] = {
    "digits": digits_with,
    "digits-random-labels": random_labels_with,
    "scenes": scene_net_with,
    "scenes-shortcut": shortcut_net_with,
    "mnist": mnist_with,
    "cifar10": cifar10_with,
}
_FORMS = (
    "digits, timm:NAME, torchvision:NAME, hf:ORG/NAME or hf:FOLDER, path/to/net.py:FUNCTION, digits-random-labels, scenes, "
    "scenes-shortcut, mnist, cifar10"
)


def load(
    name: str,
    *,
    weights: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Network:
    """A network by name, in eval mode, with its own preprocessing and class names.

    ==========================  =============================================================================
    `name`                      the network
    ==========================  =============================================================================
    ``digits``                  embedded: handwritten digits of 8 x 8 pixels; needs no download
    ``digits-random-labels``    embedded: its twin, trained on shuffled labels, for sanity checks
    ``scenes``                  embedded: shapes on backgrounds, where it is known which pixels matter
    ``scenes-shortcut``         embedded: looks at a planted patch, and at nothing else
    ``mnist``                   embedded: handwritten digits of 28 x 28 pixels, read from files
    ``cifar10``                 embedded: a ResNet-20 on pictures of 32 x 32 pixels; takes weights of other depths, too
    ``timm:resnet50``           any network of timm
    ``torchvision:resnet50``    any classifier of torchvision
    ``hf:org/name``             any image classifier for transformers, on the hub or in a folder
    ``path/to/net.py:make``     what the function `make()` in that file returns: a module, or a `Network`
    ==========================  =============================================================================

    Without `weights` the library's own are downloaded. With them, nothing is: a file is .safetensors, or a
    torch checkpoint, of which only tensors are read. For a network of your own, the file of the function may
    also say `PREPROCESSING` (a `Preprocessing`; else ImageNet's at 224 x 224) and `CLASSES` (their names).

    What is given here wins over what comes with the network: `classes` (names, or a file of them: see
    `read_classes`; timm and torchvision make a last layer with as many outputs), `size` in pixels
    (one number, or height and width), `mean` and `std` in units of the range [0, 1] (one number, or one per
    channel).

    Raises `UnknownName`, `BadWeights`, `BadOption`, `BadModel`, `MissingPackage`.

    >>> load("digits")
    Network('digits', 10 classes, Preprocessing(channels=1, size=(8, 8), ...))
    """
    asked = Asked(
        weights=None if weights is None else Path(weights),
        classes=None if classes is None else read_classes(classes),
        size=(size, size) if isinstance(size, int) else size,
    )
    mean, std = _numbers(mean), _numbers(std)
    found = _find(name, asked)
    preprocessing = found.preprocessing.changed(size=asked.size, mean=mean, std=std)
    network = found.changed(name=name, classes=asked.classes, preprocessing=preprocessing)
    if not names_factory(name):
        _try_out(network)
    return network


def _find(name: str, asked: Asked) -> Network:
    if name in EMBEDDED:
        return EMBEDDED[name](asked.weights)
    if name.endswith((".py", ".py:")):
        raise without_function(name)
    if names_factory(name):
        return from_factory(name, asked.weights)
    scheme, colon, rest = name.partition(":")
    if scheme in _SCHEMES and rest:
        return _SCHEMES[scheme](rest, asked)
    if colon:
        raise UnknownName(f"no network is called {name!r}; the forms are {_FORMS}")
    hint = nearest(name, [*EMBEDDED, f"timm:{name}", f"torchvision:{name}"])
    raise UnknownName(f"no network is called {name!r}; {hint}; the forms are {_FORMS}")


def _try_out(network: Network) -> None:
    """Show it one black picture, so that a wrong size or number of classes is found here and not later."""
    preprocessing = network.preprocessing
    if preprocessing.size is None:
        return
    x = torch.zeros(1, preprocessing.channels, *preprocessing.size)
    try:
        with torch.no_grad():
            answer = network(x)
    except (RuntimeError, ValueError, AssertionError, TypeError, LookupError) as error:
        raise BadModel(
            f"{network.name} refuses a picture of {_times(x)}: {error}; give the size it is made for"
        ) from error
    scores = getattr(answer, "logits", answer)
    if not isinstance(scores, torch.Tensor) or scores.dim() != 2:
        raise BadModel(f"{network.name} does not answer scores (1, classes) for a picture; name an image classifier")
    if network.classes and scores.shape[1] != len(network.classes):
        raise BadModel(
            f"{network.name} has {scores.shape[1]} classes and {len(network.classes)} are named; name them all, or "
            "give the weights of a network with these classes"
        )


def _times(x: torch.Tensor) -> str:
    return " x ".join(map(str, x.shape[1:]))


def _numbers(numbers: float | Sequence[float] | None) -> float | tuple[float, ...] | None:
    return numbers if numbers is None or isinstance(numbers, (int, float)) else tuple(map(float, numbers))
