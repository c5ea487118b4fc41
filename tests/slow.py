"""Slow twins: every method once more, as its paper writes it. One row at a time, explicit loops, plain autograd.

They take the noise and the nodes that the fast ones use, and judge what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


def gradient(net: nn.Module, x: Tensor, target: int) -> Tensor:
    """d s_target / d x at one row x (*S)."""
    x = x.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(net(x[None])[0, target], x)
    return grad


def smoothgrad(net: nn.Module, x: Tensor, target: int, noise: Sequence[Tensor]) -> Tensor:
    """Smilkov et al. 2017: the mean gradient over noisy copies."""
    total = torch.zeros_like(x)
    for e in noise:
        total += gradient(net, x + e, target)
    return total / len(noise)


def smoothgrad_squared(net: nn.Module, x: Tensor, target: int, noise: Sequence[Tensor]) -> Tensor:
    """Hooker et al. 2019: the mean of squared gradients."""
    total = torch.zeros_like(x)
    for e in noise:
        total += gradient(net, x + e, target) ** 2
    return total / len(noise)


def vargrad(net: nn.Module, x: Tensor, target: int, noise: Sequence[Tensor]) -> Tensor:
    """Adebayo et al. 2018: the variance of gradients over noisy copies, unbiased."""
    mean = smoothgrad(net, x, target, noise)
    total = torch.zeros_like(x)
    for e in noise:
        total += (gradient(net, x + e, target) - mean) ** 2
    return total / (len(noise) - 1)


def integrated_gradients(
    net: nn.Module, x: Tensor, target: int, b: Tensor, rule: Iterable[tuple[float, float]]
) -> Tensor:
    """Sundararajan et al. 2017: (x - b) times the integral, by a rule of (node, weight)."""
    total = torch.zeros_like(x)
    for a, weight in rule:
        total += weight * gradient(net, b + a * (x - b), target)
    return (x - b) * total


def smooth_integrated_gradients(
    net: nn.Module, x: Tensor, target: int, b: Tensor, noise: Sequence[Tensor], places: Sequence[float]
) -> Tensor:
    """One noise draw for each place on the path."""
    total = torch.zeros_like(x)
    for e, a in zip(noise, places, strict=True):
        end = x + e
        total += (end - b) * gradient(net, b + a * (end - b), target)
    return total / len(noise)


def expected_gradients(
    net: nn.Module, x: Tensor, target: int, starts: Sequence[Tensor], places: Sequence[float]
) -> Tensor:
    """Erion et al. 2019: (x - b) grad s(b + a (x - b)) over baselines b and places a."""
    total = torch.zeros_like(x)
    for b, a in zip(starts, places, strict=True):
        total += (x - b) * gradient(net, b + a * (x - b), target)
    return total / len(starts)


def smooth_taylor(net: nn.Module, x: Tensor, target: int, noise: Sequence[Tensor]) -> Tensor:
    """Goh et al. 2021: (x - z) grad s(z) over roots z = x + e."""
    total = torch.zeros_like(x)
    for e in noise:
        z = x + e
        total += (x - z) * gradient(net, z, target)
    return total / len(noise)


# --- rules: a backward pass written by hand ---------------------------------------------------------------------------

Rule = Callable[[Array, Array], Array]  # R above and activation -> R below


def guided(above: Array, activation: Array) -> Array:
    """Springenberg et al. 2014."""
    return np.where((activation > 0) & (above > 0), above, 0.0)


def deconv(above: Array, _activation: Array) -> Array:
    """Zeiler and Fergus 2013."""
    return np.where(above > 0, above, 0.0)


def plain(above: Array, activation: Array) -> Array:
    """The gradient."""
    return np.where(activation > 0, above, 0.0)


def rectified(q: float) -> Rule:
    """Kim, Seo et al. 2019, the q-th percentile of a R over the layer."""

    def rule(above: Array, activation: Array) -> Array:
        product = activation * above
        return np.where(product > np.percentile(product, q), above, 0.0)

    return rule


def relevance(net: nn.Sequential, x: Tensor, target: int, rule: Rule) -> Tensor:
    """Back from one class to one row x (*S), through Conv2d, Linear, Flatten and ReLU, a layer at a time."""
    layers = list(net)
    inputs: list[Array] = []
    now: Array = x.double().numpy()
    for layer in layers:
        inputs.append(now)
        now = _forward(layer, now)
    above: Array = np.zeros_like(now)
    above[target] = 1.0
    for layer, below in zip(reversed(layers), reversed(inputs), strict=True):
        above = _back(layer, below, above, rule)
    return torch.from_numpy(above)


def _forward(layer: nn.Module, x: Array) -> Array:
    if isinstance(layer, nn.ReLU):
        return np.maximum(x, 0.0)
    if isinstance(layer, nn.Flatten):
        return x.reshape(-1)
    if isinstance(layer, nn.Linear):
        return _array(layer.weight) @ x + _array(layer.bias)
    assert isinstance(layer, nn.Conv2d)
    weight, padded = _array(layer.weight), _pad(layer, x)
    size, stride = weight.shape[-1], layer.stride[0]
    rows = (padded.shape[1] - size) // stride + 1
    columns = (padded.shape[2] - size) // stride + 1
    out = np.empty((len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = padded[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, i, j] = (weight * window).sum((1, 2, 3)) + _array(layer.bias)
    return out


def _back(layer: nn.Module, below: Array, above: Array, rule: Rule) -> Array:
    if isinstance(layer, nn.ReLU):
        return rule(above, np.maximum(below, 0.0))
    if isinstance(layer, nn.Flatten):
        return above.reshape(below.shape)
    if isinstance(layer, nn.Linear):
        return _array(layer.weight).T @ above
    assert isinstance(layer, nn.Conv2d)
    weight = _array(layer.weight)
    size, stride, padding = weight.shape[-1], layer.stride[0], int(layer.padding[0])
    spread = np.zeros_like(_pad(layer, below))
    for i in range(above.shape[1]):
        for j in range(above.shape[2]):
            window = np.tensordot(above[:, i, j], weight, axes=1)
            spread[:, i * stride : i * stride + size, j * stride : j * stride + size] += window
    return spread[:, padding : padding + below.shape[1], padding : padding + below.shape[2]]


def _pad(layer: nn.Conv2d, x: Array) -> Array:
    padding = int(layer.padding[0])
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding)))


def _array(parameter: Tensor | None) -> Array:
    assert parameter is not None
    values: Array = parameter.detach().double().numpy()
    return values
