"""The embedded networks of MNIST and CIFAR-10. Their pictures are not embedded: they are read from files.

The weights lie beside this file, as float16; `smoothgrad.training.train_mnist` and `train_cifar10` make them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import Preprocessing
from smoothgrad.models.resnet import ResNet
from smoothgrad.models.small_net import SmallNet
from smoothgrad.models.weights import fit_weights, read_weights

MNIST, CIFAR10 = (Path(__file__).with_name(f"{name}.safetensors") for name in ("mnist", "cifar10"))
DIGITS = tuple("0123456789")
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MNIST_PICTURES = Preprocessing(channels=1, size=(28, 28), resize=28, mean=(0.0,), std=(1.0,))
CIFAR_PICTURES = Preprocessing(size=(32, 32), resize=32)


def mnist_with(weights: Path | None) -> Network:
    """The network of MNIST's handwritten digits, bright strokes on black, with these weights or the shipped ones.

    >>> mnist_with(None)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = SmallNet(channels=1)
    fit_weights(net, read_weights(weights or MNIST), weights or MNIST)
    return Network(net, name="mnist", classes=DIGITS, preprocessing=MNIST_PICTURES)


def cifar10_with(weights: Path | None) -> Network:
    """The residual network of CIFAR-10 with these weights, whose depth is seen from them, or the shipped ones, of depth 20.

    >>> cifar10_with(None)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    path = weights or CIFAR10
    state = read_weights(path)
    blocks = len([name for name in state if "layer1." in name and name.endswith(".conv1.weight")])
    with torch.random.fork_rng(devices=[]):
        net = ResNet(6 * max(1, blocks) + 2)
    fit_weights(net, state, path)
    return Network(net, name="cifar10", classes=CIFAR_CLASSES, preprocessing=CIFAR_PICTURES)
