"""From a map with channels to one value per pixel, and the limit of its scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.view.look import Look


def plane(map: Tensor, look: Look, x: Tensor | None = None) -> Tensor:
    """One value per pixel, (H, W), of a raw map (C, H, W) or (H, W); the formulas are those of `Look`.

    Values are in the map's unit (times the input's, with `look.times_input`), at least 0 unless the look is
    signed. NaN and infinity stay what they are. Half precision is summed in float32. `x` is the input, of
    the map's shape, and needed only with `look.times_input`. Raises `BadInput` for other shapes.

    >>> map = torch.tensor([[[1.0, 2.0]], [[-3.0, 1.0]]])         # 2 channels of 1 x 2 pixels
    >>> plane(map, Look()), plane(map, Look(sign="signed"))
    (tensor([[4., 3.]]), tensor([[-2.,  3.]]))
    >>> plane(map, Look(channels="max", sign="signed"))
    tensor([[-3.,  2.]])
    """
    if map.ndim not in (2, 3):
        raise BadInput(f"a map of a picture is (C, H, W) or (H, W); got shape {tuple(map.shape)}")
    values = asked(map, look, x)
    return folded(values if values.ndim == 3 else values[None], look)


def plane_stderr(map: Tensor, stderr: Tensor, look: Look, x: Tensor | None = None) -> Tensor:
    """The standard error of `plane`, (H, W), from the map's and its standard error, both (C, H, W) or (H, W).

        sum over channels  sqrt(sum_c stderr_c^2)
        max over channels  the stderr_c at the channel of largest |m_c|

    The same for all signs: taking the absolute value, or the positive part, moves no value further than its
    error. The sum treats the channels' errors as independent; where the channels move together it may be up
    to sqrt(C) too small. With `look.times_input` the error is multiplied by |x|. Raises `BadInput` for
    shapes that differ.

    >>> plane_stderr(torch.ones(2, 1, 1), torch.tensor([[[3.0]], [[4.0]]]), Look())
    tensor([[5.]])
    """
    if stderr.shape != map.shape:
        raise BadInput(
            f"the standard error has shape {tuple(stderr.shape)}, its map {tuple(map.shape)}; pass both of one row"
        )
    if map.ndim not in (2, 3):
        raise BadInput(f"a map of a picture is (C, H, W) or (H, W); got shape {tuple(map.shape)}")
    values, errors = asked(map, look, x), asked(stderr, look, x).abs()
    return folded_stderr(values, errors, look) if map.ndim == 3 else errors


def asked(map: Tensor, look: Look, x: Tensor | None) -> Tensor:
    """The map as floating-point numbers on the CPU, times the input where the look asks for it."""
    if map.is_complex() or map.numel() == 0:
        raise BadInput(f"a map to show has real values, at least one; got {map.dtype} of shape {tuple(map.shape)}")
    values = map.detach().cpu()
    values = values if values.dtype == torch.float64 else values.float()
    if not look.times_input:
        return values
    if x is None:
        raise BadInput("this look shows map times input, but no input was given; pass x, or a look without times_input")
    if x.shape != map.shape:
        raise BadInput(
            f"the input has shape {tuple(x.shape)}, its map {tuple(map.shape)}; pass the row that was explained"
        )
    return values * x.detach().cpu().to(values.dtype)


def folded(values: Tensor, look: Look) -> Tensor:
    """Channels (C, ...) to one value (...), by the formulas of `Look`."""
    if look.sign == "absolute":
        return values.abs().sum(0) if look.channels == "sum" else values.abs().amax(0)
    one = values.sum(0) if look.channels == "sum" else _at_largest(values, values)
    if look.sign == "signed":
        return one
    return one.clamp(min=0) if look.sign == "positive" else (-one).clamp(min=0)


def folded_stderr(values: Tensor, errors: Tensor, look: Look) -> Tensor:
    """Standard errors (C, ...) to those of the folded values (...)."""
    return errors.square().sum(0).sqrt() if look.channels == "sum" else _at_largest(errors, values)


def _at_largest(picked: Tensor, values: Tensor) -> Tensor:
    return picked.gather(0, values.abs().argmax(0, keepdim=True))[0]


def limit(planes: Tensor | Sequence[Tensor], cap: float) -> float:
    """Where a symmetric scale [-limit, limit] ends: the `cap`-th percentile of all finite |values| of the planes.

    Their largest |value| where that percentile is 0 (a map with a few lonely pixels), and 0 where every
    value is: such a map is shown in the colour of zero.

    >>> limit(torch.arange(-100.0, 101.0), cap=99)
    99.0
    >>> limit(torch.tensor([0.0] * 999 + [-5.0]), cap=99), limit(torch.zeros(8, 8), cap=99)
    (5.0, 0.0)
    """
    parts = [planes] if isinstance(planes, Tensor) else planes
    sizes = np.concatenate([np.abs(part.detach().cpu().double().numpy()).ravel() for part in parts])
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return 0.0
    return float(np.percentile(sizes, cap)) or float(sizes.max())


def remark(plane: Tensor) -> str:
    """What a reader must know about a plane that shows no structure, or holds values with no place on a scale.

    >>> remark(torch.zeros(2, 2)), remark(torch.ones(2, 2)), remark(torch.tensor([1.0, 2.0]))
    ('all zero', 'the same everywhere', '')
    >>> remark(torch.tensor([1.0, float("nan")]))
    '1 value is not finite (magenta)'
    """
    unreal = int((~plane.isfinite()).sum())
    if unreal:
        return f"{unreal} value{' is' if unreal == 1 else 's are'} not finite (magenta)"
    if not plane.any():
        return "all zero"
    return "the same everywhere" if plane.numel() > 1 and bool(plane.min() == plane.max()) else ""
