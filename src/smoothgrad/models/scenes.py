"""Scenes in which it is known which pixels matter: shapes on backgrounds that tell nothing, with a planted shortcut or without.

A scene is an RGB picture of 32 x 32 pixels. Its class is the shape of an object whose colour, size, place and angle are of chance,
and so is the background. So nothing outside the object tells the class, and `regions` is the truth that a map can be held to.
Scenes are painted from formulas and keyed numbers: row i under a seed is the same however many are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.core.noise import mix, salted, uniform
from smoothgrad.errors import BadOption, UnknownName, nearest

Background = Literal["uniform", "textured"]
Outline: TypeAlias = Callable[[Tensor], Tensor]  # points (..., 2), size 1 -> signed distance (...), negative inside

SIZE = 32
# Of the region, in pixels around the object. An edge is a difference between two pixels, one on each side of it: the network
# cannot see the outline without the pixels next to it, and a map that points at them is right.
RIM = 1.0
PATCH, MARGIN = 5, 1  # pixels: the side of the shortcut, and how far it is from the picture's edges
_AT_ONCE = 256  # scenes painted in one go


@final
@dataclass(frozen=True)
class SceneKind:
    """What scenes are like. The same seed and row give the same scene in another kind, as far as the kinds agree.

    Parameters
    ----------
    background: "uniform" is one colour, "textured" stripes, checks or clouds in two shades of it.
    objects: 1, or 2 of different classes.
    shortcut: the probability that a patch in a corner has the colour that stands for the scene's class; else it has another
        class's. None paints no patch. With 1/6 it tells nothing, with 0 it always misleads.

    Raises `UnknownName` and `BadOption`.

    >>> SceneKind("textured", shortcut=0.9)
    SceneKind(background='textured', objects=1, shortcut=0.9)
    """

    background: Background = "uniform"
    objects: int = 1
    shortcut: float | None = None

    def __post_init__(self) -> None:
        if self.background not in get_args(Background):
            hint = nearest(str(self.background), get_args(Background))
            raise UnknownName(f"no background is called {self.background!r}; {hint}")
        if self.objects not in (1, 2):
            raise BadOption(f"a scene has 1 or 2 objects, not {self.objects!r}")
        if self.shortcut is not None and not 0 <= self.shortcut <= 1:
            raise BadOption(f"shortcut is a probability from 0 to 1, or None for no patch; got {self.shortcut!r}")


UNIFORM = SceneKind()
TEXTURED = SceneKind("textured")
TWO_OBJECTS = SceneKind("textured", objects=2)
SHORTCUT = SceneKind("textured", shortcut=1.0)


class Scenes(NamedTuple):
    """Scenes with their truth, a row each. A region is what is drawn, and a rim of one pixel around it."""

    x: Tensor  # (N, 3, 32, 32) in [0, 1]
    labels: Tensor  # (N,) the class of the object: 0, 1, 2, ... in turn
    regions: Tensor  # (N, 32, 32) bool: the object
    second_labels: Tensor  # (N,) the class of the second object; -1 where there is none
    second_regions: Tensor  # (N, 32, 32) bool: the second object
    shortcut_labels: Tensor  # (N,) the class whose colour the patch has; -1 where there is none
    shortcut_regions: Tensor  # (N, 32, 32) bool: the patch
    background: Tensor  # (N, 3, 32, 32) the same scene with nothing on it


def scenes(count: int, kind: SceneKind = UNIFORM, *, seed: int = 0, first: int = 0) -> Scenes:
    """Scenes number `first`, `first + 1`, ... of a kind under a seed. Raises `BadOption`.

    The embedded networks were trained under another seed (`train_scenes.SEED`): scenes under 0, or any other seed, are new
    to them.

    >>> few = scenes(6, TEXTURED)
    >>> few.x.shape, few.regions.shape, [CLASSES[label] for label in few.labels]
    (torch.Size([6, 3, 32, 32]), torch.Size([6, 32, 32]), ['disc', 'square', 'triangle', 'cross', 'ring', 'star'])
    """
    _check_kind(kind)
    for name, number in (("count", count), ("first", first), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int) or not -(2**63) <= number < 2**63:
            raise BadOption(f"{name} is {number!r}; give an integer that fits in 64 bits")
    if first + count > 2**63 - 1:
        raise BadOption(f"{count} scenes from number {first} on end beyond 64 bits; begin earlier")
    if count < 1 or first < 0:
        raise BadOption(f"{count} scenes from number {first} on were asked for; ask for at least one, from 0 on")
    with torch.device("cpu"):  # said, not left to torch's global default, which the caller may have set
        parts = [_painted(numbers, kind, seed) for numbers in torch.arange(first, first + count).split(_AT_ONCE)]
    return Scenes(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _check_kind(kind: object) -> None:
    """Raises `BadOption` for what is no kind, and says how to make one."""
    if isinstance(kind, SceneKind):
        return
    word = kind if kind in get_args(Background) else "textured"
    raise BadOption(f"the kind of scenes is {kind!r}; give a SceneKind, such as SceneKind({word!r})")


# --- shapes -----------------------------------------------------------------------------------------------------------


def polygon(corners: Sequence[tuple[float, float]]) -> Outline:
    """The signed distance to a polygon, negative inside; corners in order, not closed."""
    start = torch.tensor(corners, dtype=torch.float32, device="cpu")
    along = start.roll(-1, 0) - start  # (V, 2), the sides

    def outline(p: Tensor) -> Tensor:
        there = p[..., None, :] - start  # (..., V, 2)
        share = ((there * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)  # of the side, to the point nearest to p
        away = (there - share[..., None] * along).square().sum(-1).amin(-1).sqrt()
        # Inside, a ray from p to the right crosses the sides an odd number of times.
        height = there[..., 1]
        meets = (height >= 0) != (height >= along[:, 1])  # never a level side, whose height is 0
        crossed = there[..., 0] < along[:, 0] * height / along[:, 1].where(along[:, 1] != 0, 1.0)
        inside = (meets & crossed).sum(-1) % 2 == 1
        return away.where(~inside, -away)

    return outline


def _disc(p: Tensor) -> Tensor:
    return _length(p) - 0.85


def _ring(p: Tensor) -> Tensor:
    return (_length(p) - 0.72).abs() - 0.23


def _length(p: Tensor) -> Tensor:
    length: Tensor = p.norm(dim=-1)
    return length


def _around(radii: Sequence[float]) -> list[tuple[float, float]]:
    """Corners at these distances from the middle, at even angles."""
    turns = [2 * math.pi * corner / len(radii) for corner in range(len(radii))]
    return [(radius * math.sin(turn), -radius * math.cos(turn)) for radius, turn in zip(radii, turns, strict=True)]


_ARM, _HALF = 0.95, 0.3  # of the cross: how long its arms are, and half their width
_QUARTER = ((_HALF, -_ARM), (_HALF, -_HALF), (_ARM, -_HALF))
_CROSS = [
    corner
    for quarter in (
        [(x, y) for x, y in _QUARTER],
        [(-y, x) for x, y in _QUARTER],
        [(-x, -y) for x, y in _QUARTER],
        [(y, -x) for x, y in _QUARTER],
    )
    for corner in quarter
]
# Each fits a circle of radius 1.
SHAPES: dict[str, Outline] = {
    "disc": _disc,
    "square": polygon(_around([1.0] * 4)),
    "triangle": polygon(_around([1.0] * 3)),
    "cross": polygon(_CROSS),
    "ring": _ring,
    "star": polygon(_around([1.0, 0.42] * 5)),
}
CLASSES = tuple(SHAPES)


class Objects(NamedTuple):
    """One object for each scene; lengths in pixels, places as (x, y) with pixel centres at whole numbers."""

    labels: Tensor  # (N,)
    centre: Tensor  # (N, 2)
    radius: Tensor  # (N,) of the circle that the shape fits
    angle: Tensor  # (N,)


def distances(objects: Objects) -> Tensor:
    """From each pixel's centre to the outline, in pixels, negative inside: (N, 32, 32)."""
    turned = _turned(_grid() - objects.centre[:, None, None], objects.angle[:, None, None])
    unit = turned / objects.radius[:, None, None, None]
    found = torch.empty_like(unit[..., 0])
    for label, outline in enumerate(SHAPES.values()):
        rows = objects.labels == label
        found[rows] = outline(unit[rows])
    return found * objects.radius[:, None, None]


def _grid() -> Tensor:
    """The pixels' centres, (32, 32, 2): x, y."""
    line = torch.arange(SIZE, dtype=torch.float32)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def _turned(p: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * p[..., 0] + sin * p[..., 1], cos * p[..., 1] - sin * p[..., 0]], -1)


# --- scenes -----------------------------------------------------------------------------------------------------------


def _painted(numbers: Tensor, kind: SceneKind, seed: int) -> Scenes:
    """Scenes of these numbers: the background, the objects on it, then the patch."""
    keys = mix(torch.full_like(numbers, seed), numbers)
    labels = numbers % len(CLASSES)
    shades = _shades(keys)
    background = _uniform(shades) if kind.background == "uniform" else _textured(keys, shades)
    placed = [_alone(keys, labels)] if kind.objects == 1 else _pair(keys, labels)
    x, nowhere = background, torch.zeros(len(keys), SIZE, SIZE, dtype=torch.bool)
    regions = []
    for place, objects in enumerate(placed):
        away = distances(objects)
        # The share of a pixel that the object covers, near enough: what an edge leaves of it.
        x = torch.lerp(x, _colour(keys, shades, place)[..., None, None], (0.5 - away).clamp(0, 1)[:, None])
        regions.append(away < 0.5 + RIM)
    patch, patch_labels = nowhere, torch.full_like(labels, -1)
    if kind.shortcut is not None:
        patch = _corner(placed)
        patch_labels = labels.where(_chance(keys, "shortcut") < kind.shortcut, _other(keys, labels, "misled"))
        hue = patch_labels.float() / len(CLASSES)
        x = _rgb(hue, torch.ones_like(hue), torch.ones_like(hue))[..., None, None].where(patch[:, None], x)
        patch = F.max_pool2d(patch[:, None].float(), 3, 1, 1)[:, 0] > 0  # the rim
    two = len(placed) == 2
    return Scenes(
        x,
        labels,
        regions[0],
        placed[1].labels if two else torch.full_like(labels, -1),
        regions[1] if two else nowhere,
        patch_labels,
        patch,
        background,
    )


def _alone(keys: Tensor, labels: Tensor) -> Objects:
    """An object anywhere that it is seen whole."""
    radius = 6 + 3.5 * _chance(keys, "radius")
    reach = (SIZE - 1) / 2 - radius  # of its centre from the middle
    centre = (SIZE - 1) / 2 + (2 * _chance(keys, "centre", 2) - 1) * reach[:, None]
    return Objects(labels, centre, radius, 2 * math.pi * _chance(keys, "angle"))


def _pair(keys: Tensor, labels: Tensor) -> list[Objects]:
    """Two objects of different classes on opposite sides of the middle, their regions apart:  2 * 7.9 > 2 * (6 + 0.5 + RIM)."""
    most = 6.0
    axis, half = 2 * math.pi * _chance(keys, "axis"), 7.9 + 0.7 * _chance(keys, "apart")
    offset = half[:, None] * torch.stack([axis.cos(), axis.sin()], 1)
    slack = (SIZE - 1) / 2 - most - offset.abs()
    middle = (SIZE - 1) / 2 + (2 * _chance(keys, "centre", 2) - 1) * slack
    radii, angles = most - _chance(keys, "radius", 2), 2 * math.pi * _chance(keys, "angle", 2)
    return [
        Objects(labels, middle + offset, radii[:, 0], angles[:, 0]),
        Objects(_other(keys, labels, "second"), middle - offset, radii[:, 1], angles[:, 1]),
    ]


def _corner(placed: Sequence[Objects]) -> Tensor:
    """The pixels of a patch in the corner farthest from the objects: (N, 32, 32) bool."""
    near, far = MARGIN, SIZE - MARGIN - PATCH
    starts = torch.tensor([(near, near), (far, near), (near, far), (far, far)], dtype=torch.float32)
    middles = starts + (PATCH - 1) / 2
    away = torch.stack([(objects.centre[:, None] - middles).norm(dim=-1) for objects in placed]).amin(0)  # (N, 4)
    offset = _grid() - starts[away.argmax(1)][:, None, None]
    inside: Tensor = ((offset >= 0) & (offset < PATCH)).all(-1)
    return inside


def _shades(keys: Tensor) -> Tensor:
    """Two shades of one muted colour (N, 2, 3)."""
    hue, muted, light, step = _chance(keys, "shades", 4).unbind(1)
    first = 0.1 + 0.8 * light
    second = first + (0.15 + 0.15 * step) * (1 - 2 * (first > 0.5).float())
    return torch.stack([_rgb(hue, 0.45 * muted, value) for value in (first, second)], 1)


def _colour(keys: Tensor, shades: Tensor, place: int) -> Tensor:
    """Of eight vivid colours the one that stands out most from both shades (N, 3). It does not depend on the class."""
    hue, vivid, light = _chance(keys, f"colour{place}", 3, 8).unbind(1)
    candidates = _rgb(hue, 0.55 + 0.45 * vivid, 0.25 + 0.75 * light)  # (N, 8, 3)
    contrast = (candidates[:, :, None] - shades[:, None]).norm(dim=-1).amin(-1)
    return candidates[torch.arange(len(keys)), contrast.argmax(1)]


def _uniform(shades: Tensor) -> Tensor:
    return shades[:, 0, :, None, None].expand(-1, -1, SIZE, SIZE).clone()


def _textured(keys: Tensor, shades: Tensor) -> Tensor:
    """Stripes, checks or clouds: waves of chance direction, length and phase."""
    angle, length, phase = _chance(keys, "waves", 3, 6).unbind(1)
    number = 2 * math.pi / (5 + 6 * length)  # radians per pixel
    across = _turned(_grid()[None, :, :, None], 2 * math.pi * angle[:, None, None])[..., 0]  # (N, 32, 32, 6)
    waves = (number[:, None, None] * across + 2 * math.pi * phase[:, None, None]).sin()
    along = _turned(_grid()[None], 2 * math.pi * angle[:, None, None, 0])[..., 1]
    second = (number[:, None, None, 0] * along + 2 * math.pi * phase[:, None, None, 1]).sin()
    patterns = torch.stack([waves[..., 0], 1.5 * waves[..., 0] * second, waves.sum(-1) / 2])  # stripes, checks, clouds
    chosen = patterns[(3 * _chance(keys, "pattern")).long(), torch.arange(len(keys))]
    share = torch.sigmoid(4 * chosen)[:, None]
    return torch.lerp(shades[:, 0, :, None, None], shades[:, 1, :, None, None], share)


def _other(keys: Tensor, labels: Tensor, salt: str) -> Tensor:
    """Another class, each of them as likely."""
    others = len(CLASSES) - 1
    return (labels + 1 + (others * _chance(keys, salt)).long()) % len(CLASSES)


def _chance(keys: Tensor, salt: str, *shape: int) -> Tensor:
    """Numbers in [0, 1) for one property of each scene (N, *shape). The first eight letters of the salt must differ."""
    return uniform(salted(keys, salt), range(1), torch.Size(shape))[0]


def _rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """From hue, saturation and value in [0, 1]: (...,) each -> (..., 3)."""
    turn = (torch.tensor([5.0, 3.0, 1.0], dtype=torch.float32) + 6 * hue[..., None]) % 6
    return value[..., None] * (1 - saturation[..., None] * torch.minimum(turn, 4 - turn).clamp(0, 1))
