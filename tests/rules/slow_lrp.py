"""LRP once more, as the papers write it: explicit sums over the inputs i and the outputs j of one layer, one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


class Dense(NamedTuple):
    """A layer as a matrix: z_j = sum_i x_i w_ij + b_j."""

    w: Array  # (in, out)
    linked: NDArray[np.bool_]  # (in, out): is there a weight at all?
    b: Array  # (out,)


Rule = Callable[[Array, Dense, Array], Array]  # x (in,), the layer, R (out,) -> R (in,)


def dense(layer: nn.Module, shape: tuple[int, ...]) -> Dense:
    """A layer on rows of a shape, weight by weight."""
    assert isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.AvgPool2d)
    outputs = int(np.prod(layer(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:]))
    w, linked, b = (
        np.zeros((int(np.prod(shape)), outputs)),
        np.zeros((int(np.prod(shape)), outputs), bool),
        np.zeros(outputs),
    )
    for i, j, weight in weights(layer, shape):
        w[i, j] += weight
        linked[i, j] = True
    if getattr(layer, "bias", None) is not None:
        bias = layer.bias.detach().numpy()  # type: ignore[union-attr, operator]
        b = np.repeat(bias, outputs // len(bias))  # type: ignore[arg-type]
    return Dense(w, linked, b)


def weights(
    layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.AvgPool2d, shape: tuple[int, ...]
) -> Iterator[tuple[int, int, float]]:
    """(i, j, w_ij) for flat places i of the input and j of the output."""
    if isinstance(layer, nn.Linear):
        for j in range(layer.out_features):
            for i in range(layer.in_features):
                yield i, j, float(layer.weight[j, i].detach())
        return
    if isinstance(layer, nn.AvgPool2d):
        size = int(layer.kernel_size)  # type: ignore[arg-type]
        channels, height, width = shape
        for c in range(channels):
            for y in range(height // size * size):
                for x in range(width // size * size):
                    j = (c * (height // size) + y // size) * (width // size) + x // size
                    yield (c * height + y) * width + x, j, 1 / size**2
        return
    if isinstance(layer, nn.ConvTranspose2d):
        yield from spread(layer, shape)
        return
    channels, height, width = shape
    (sy, sx), (py, px), (dy, dx) = layer.stride, layer.padding, layer.dilation  # type: ignore[misc]
    ky, kx = layer.kernel_size
    rows = (height + 2 * py - dy * (ky - 1) - 1) // sy + 1  # type: ignore[operator]
    columns = (width + 2 * px - dx * (kx - 1) - 1) // sx + 1  # type: ignore[operator]
    inside, outside = channels // layer.groups, layer.out_channels // layer.groups
    for o in range(layer.out_channels):
        for r in range(rows):
            for s in range(columns):
                j = (o * rows + r) * columns + s
                for c in range(inside):
                    for u in range(ky):
                        for v in range(kx):
                            y, x = r * sy - py + u * dy, s * sx - px + v * dx  # type: ignore[operator]
                            if 0 <= y < height and 0 <= x < width:
                                i = ((o // outside * inside + c) * height + y) * width + x
                                yield i, j, float(layer.weight[o, c, u, v].detach())


def spread(layer: nn.ConvTranspose2d, shape: tuple[int, ...]) -> Iterator[tuple[int, int, float]]:
    """A transposed convolution of stride s without groups: input (y, x) goes to outputs (s y - p + u, s x - p + v)."""
    channels, height, width = shape
    stride, padding, (ky, kx) = layer.stride[0], int(layer.padding[0]), layer.kernel_size
    rows, columns = (height - 1) * stride + ky - 2 * padding, (width - 1) * stride + kx - 2 * padding
    for i in range(channels * height * width):
        c, y, x = i // (height * width), i // width % height, i % width
        for o in range(layer.out_channels):
            for u in range(ky):
                for v in range(kx):
                    r, s = y * stride - padding + u, x * stride - padding + v
                    if 0 <= r < rows and 0 <= s < columns:
                        yield i, (o * rows + r) * columns + s, float(layer.weight[c, o, u, v].detach())


# --- rules --------------------------------------------------------------------------------------------------------------


def epsilon(value: float) -> Rule:
    """Bach et al. 2015, eq. 58, the bias in z_j."""

    def rule(x: Array, layer: Dense, above: Array) -> Array:
        below = np.zeros_like(x)
        for j in range(len(above)):
            z = sum(x[i] * layer.w[i, j] for i in range(len(x))) + layer.b[j]
            z += value if z >= 0 else -value
            for i in range(len(x)):
                below[i] += x[i] * layer.w[i, j] / z * above[j] if z else 0.0
        return below

    return rule


def gamma(value: float) -> Rule:
    """Montavon et al. 2019: w + gamma w^+ for inputs that are not negative, and by the sign of z_j for all."""

    def rule(x: Array, layer: Dense, above: Array) -> Array:
        below = np.zeros_like(x)
        for j in range(len(above)):
            z = sum(x[i] * layer.w[i, j] for i in range(len(x))) + layer.b[j]
            favoured = (lambda part: max(part, 0.0)) if z >= 0 else (lambda part: min(part, 0.0))
            parts = [x[i] * layer.w[i, j] + value * favoured(x[i] * layer.w[i, j]) for i in range(len(x))]
            total = sum(parts) + layer.b[j] + value * favoured(layer.b[j])
            for i in range(len(x)):
                below[i] += parts[i] / total * above[j] if total else 0.0
        return below

    return rule


def alpha_beta(alpha: float, beta: float) -> Rule:
    """Bach et al. 2015, eq. 60, the bias's parts in z_j^+ and z_j^-."""

    def rule(x: Array, layer: Dense, above: Array) -> Array:
        below = np.zeros_like(x)
        for j in range(len(above)):
            up = [max(x[i] * layer.w[i, j], 0.0) for i in range(len(x))]
            down = [min(x[i] * layer.w[i, j], 0.0) for i in range(len(x))]
            ups, downs = sum(up) + max(layer.b[j], 0.0), sum(down) + min(layer.b[j], 0.0)
            for i in range(len(x)):
                below[i] += alpha * up[i] / ups * above[j] if ups else 0.0
                below[i] -= beta * down[i] / downs * above[j] if downs else 0.0
        return below

    return rule


def w_square(x: Array, layer: Dense, above: Array) -> Array:
    """Montavon et al. 2017."""
    below = np.zeros_like(x)
    for j in range(len(above)):
        total = sum(layer.w[i, j] ** 2 for i in range(len(x)))
        for i in range(len(x)):
            below[i] += layer.w[i, j] ** 2 / total * above[j]
    return below


def flat(x: Array, layer: Dense, above: Array) -> Array:
    """Lapuschkin et al. 2019."""
    below = np.zeros_like(x)
    for j in range(len(above)):
        inputs = [i for i in range(len(x)) if layer.linked[i, j]]
        for i in inputs:
            below[i] += above[j] / len(inputs)
    return below


def z_box(low: Array, high: Array) -> Rule:
    """Montavon et al. 2017, for low_i <= x_i <= high_i."""

    def rule(x: Array, layer: Dense, above: Array) -> Array:
        below = np.zeros_like(x)
        for j in range(len(above)):
            parts = [
                x[i] * layer.w[i, j] - low[i] * max(layer.w[i, j], 0.0) - high[i] * min(layer.w[i, j], 0.0)
                for i in range(len(x))
            ]
            total = sum(parts)
            for i in range(len(x)):
                below[i] += parts[i] / total * above[j] if total else 0.0
        return below

    return rule


# --- a whole network --------------------------------------------------------------------------------------------------


def relevance(net: nn.Sequential, x: Tensor, target: int, rules: dict[int, Rule]) -> Tensor:
    """From the score of one class back to one row x (*S), through Conv2d, Linear, AvgPool2d, ReLU and Flatten, layer by layer.

    `rules`: that of each layer with weights, by its place in the network.
    """
    inputs, now = [], x[None]
    for layer in net:
        inputs.append(now[0])
        now = layer(now)
    above = np.zeros(now.shape[1])
    above[target] = float(now[0, target].detach())
    for place in range(len(net) - 1, -1, -1):
        if place in rules:
            here = inputs[place]
            above = rules[place](
                here.detach().double().numpy().reshape(-1), dense(net[place], tuple(here.shape)), above
            )
    return torch.from_numpy(above).view(x.shape)
