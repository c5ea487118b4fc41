"""Scenes: what is drawn, where it is, and that nothing else tells the class."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.errors import BadOption, SmoothGradError, UnknownName
from smoothgrad.models.scenes import (
    CLASSES,
    PATCH,
    SHORTCUT,
    TEXTURED,
    TWO_OBJECTS,
    UNIFORM,
    Objects,
    SceneKind,
    Scenes,
    distances,
    scenes,
)

KINDS = {
    "uniform": UNIFORM,
    "textured": TEXTURED,
    "two": TWO_OBJECTS,
    "shortcut": SHORTCUT,
    "two and shortcut": SceneKind("uniform", objects=2, shortcut=0.5),
}
KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
# What the embedded networks were trained on: the sum of all colours of twelve scenes.
CHECKSUMS = {"uniform": 17456.98, "textured": 17706.962, "two": 18021.491, "shortcut": 17710.259}


def same(one: Scenes, two: Scenes) -> None:
    for name, mine, theirs in zip(Scenes._fields, one, two, strict=True):
        if mine.is_floating_point():
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0, msg=name)
        else:
            assert torch.equal(mine, theirs), name


def drawn(some: Scenes) -> Tensor:
    """The pixels (N, 32, 32) that differ from the background."""
    return (some.x - some.background).abs().amax(1) > 1e-6


def grown(mask: Tensor, by: int) -> Tensor:
    """With all pixels that are at most `by` away across, down, or both."""
    return F.max_pool2d(mask[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


def test_shapes_types_and_range() -> None:
    some = scenes(7, TWO_OBJECTS)
    assert (some.x.shape, some.x.dtype) == ((7, 3, 32, 32), torch.float32)
    assert some.background.shape == some.x.shape
    for region in (some.regions, some.second_regions, some.shortcut_regions):
        assert (region.shape, region.dtype) == ((7, 32, 32), torch.bool)
    assert some.labels.tolist() == [0, 1, 2, 3, 4, 5, 0]


@KIND
def test_colours_lie_between_black_and_white(kind: SceneKind) -> None:
    some = scenes(200, kind)
    for x in (some.x, some.background):
        assert float(x.min()) >= 0
        assert float(x.max()) <= 1


@KIND
def test_a_scene_is_the_same_however_many_are_asked_for(kind: SceneKind) -> None:
    many = scenes(300, kind, seed=3)  # more than are painted in one go
    same(scenes(300, kind, seed=3), many)
    for first, count in ((0, 1), (5, 4), (255, 2), (299, 1)):
        part = Scenes(*(column[first : first + count] for column in many))
        same(scenes(count, kind, seed=3, first=first), part)


def test_another_seed_gives_other_scenes() -> None:
    one, two = scenes(6, seed=0), scenes(6, seed=1)
    assert bool(((one.x - two.x).abs().flatten(1).mean(1) > 0.01).all())


@pytest.mark.parametrize("name", CHECKSUMS)
def test_scenes_are_those_that_the_weights_were_trained_with(name: str) -> None:
    assert float(scenes(12, KINDS[name]).x.double().sum()) == pytest.approx(CHECKSUMS[name], rel=1e-5)


def test_the_global_random_numbers_are_left_where_they_were() -> None:
    before = torch.get_rng_state()
    scenes(3, SHORTCUT)
    assert torch.equal(torch.get_rng_state(), before)


@KIND
def test_the_global_defaults_of_torch_change_nothing(kind: SceneKind) -> None:
    before = scenes(6, kind)
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        after = scenes(6, kind)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(before, after, strict=True))


# --- shapes -----------------------------------------------------------------------------------------------------------

AREAS = {
    "disc": math.pi * 0.85**2,
    "square": 2.0,
    "triangle": 3 * math.sqrt(3) / 4,
    "cross": 8 * 0.95 * 0.3 - 4 * 0.3**2,
    "ring": math.pi * (0.95**2 - 0.49**2),
    "star": 10 * 0.42 * math.sin(math.pi / 5) / 2,
}


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_have_their_area(name: str) -> None:
    """What the object covers of all pixels sums to its area, wherever it is and however it is turned."""
    chance = torch.Generator().manual_seed(0)
    centre = 15.5 + torch.rand(40, 2, generator=chance)
    angle = 7 * torch.rand(40, generator=chance)
    radius = torch.full((40,), 13.0)
    away = distances(Objects(torch.full((40,), CLASSES.index(name)), centre, radius, angle))
    covered = (0.5 - away).clamp(0, 1).sum((1, 2))
    torch.testing.assert_close(covered, torch.full((40,), AREAS[name] * 13**2), rtol=0.01, atol=0)


def ring_of(radius: float) -> list[complex]:
    return [radius * complex(math.cos(t / 500 * math.pi), math.sin(t / 500 * math.pi)) for t in range(1000)]


def sides_of(corners: list[complex]) -> list[complex]:
    """Many points along the sides of a polygon."""
    return [
        a + (b - a) * step / 200 for a, b in zip(corners, corners[1:] + corners[:1], strict=True) for step in range(200)
    ]


# Clockwise from the top, where y points down: i ** -1 is up.
OUTLINES: dict[str, list[list[complex]]] = {
    "disc": [ring_of(0.85)],
    "ring": [ring_of(0.95), ring_of(0.49)],
    "square": [sides_of([-1j, 1, 1j, -1])],
    "triangle": [sides_of([-1j * complex(math.cos(t), math.sin(t)) for t in (0, 2 * math.pi / 3, 4 * math.pi / 3)])],
    "star": [
        sides_of(
            [
                -1j * complex(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) * (0.42 if k % 2 else 1)
                for k in range(10)
            ]
        )
    ],
    "cross": [
        sides_of(
            [
                *(0.3 - 0.95j, 0.3 - 0.3j, 0.95 - 0.3j, 0.95 + 0.3j, 0.3 + 0.3j, 0.3 + 0.95j),
                *(-0.3 + 0.95j, -0.3 + 0.3j, -0.95 + 0.3j, -0.95 - 0.3j, -0.3 - 0.3j, -0.3 - 0.95j),
            ]
        )
    ],
}


def winds_around(outline: list[complex], p: complex) -> bool:
    turns = 0.0
    for a, b in zip(outline, outline[1:] + outline[:1], strict=True):
        ratio = (b - p) / (a - p)
        turns += math.atan2(ratio.imag, ratio.real)
    return abs(turns) > math.pi


@pytest.mark.parametrize("name", CLASSES)
def test_distances_are_those_to_the_outline(name: str) -> None:
    """A slow twin: the nearest of many points on the outline; inside is what an odd number of outlines winds around."""
    centre, radius, angle = 14.3 + 16.9j, 8.7, 0.4
    objects = Objects(
        torch.tensor([CLASSES.index(name)]),
        torch.tensor([[centre.real, centre.imag]]),
        torch.tensor([radius]),
        torch.tensor([angle]),
    )
    found = distances(objects)[0]
    turned = [
        [centre + radius * p * complex(math.cos(angle), math.sin(angle)) for p in line] for line in OUTLINES[name]
    ]
    for x, y in ((14, 17), (12, 13), (18, 15), (20, 20), (14, 23), (9, 17), (3, 4), (30, 2), (16, 25), (22, 14)):
        p = complex(x, y)
        away = min(abs(p - q) for line in turned for q in line)
        inside = sum(winds_around(line, p) for line in turned) % 2 == 1
        assert float(found[y, x]) == pytest.approx(-away if inside else away, abs=0.05)


# --- regions ----------------------------------------------------------------------------------------------------------


@KIND
def test_the_picture_is_the_background_outside_the_regions(kind: SceneKind) -> None:
    some = scenes(120, kind)
    anywhere = some.regions | some.second_regions | some.shortcut_regions
    outside = ~anywhere[:, None].expand_as(some.x)
    assert torch.equal(some.x[outside], some.background[outside])


@pytest.mark.parametrize("kind", [UNIFORM, TEXTURED])
def test_a_region_is_the_object_and_a_rim_of_one_pixel(kind: SceneKind) -> None:
    some = scenes(240, kind)
    object_ = drawn(some)
    across = F.max_pool2d(object_[:, None].float(), (1, 3), 1, (0, 1))[:, 0] > 0
    down = F.max_pool2d(object_[:, None].float(), (3, 1), 1, (1, 0))[:, 0] > 0
    assert not ((across | down) & ~some.regions).any()
    assert not (some.regions & ~grown(object_, 2)).any()
    assert 1.2 < float(some.regions.float().sum() / object_.float().sum()) < 1.6


def test_a_patch_and_its_rim_lie_in_a_corner() -> None:
    some = scenes(240, SHORTCUT)
    bare = scenes(240, TEXTURED)
    patch = (some.x - bare.x).abs().amax(1) > 1e-6
    assert patch.sum((1, 2)).tolist() == [PATCH**2] * 240
    assert torch.equal(grown(patch, 1), some.shortcut_regions)
    corners = {
        tuple(place)
        for place in torch.stack([patch.any(2).float().argmax(1), patch.any(1).float().argmax(1)], 1).tolist()
    }
    assert corners == {(1, 1), (1, 26), (26, 1), (26, 26)}


@pytest.mark.parametrize("kind", [TWO_OBJECTS, SHORTCUT, SceneKind("uniform", objects=2, shortcut=1.0)])
def test_regions_are_apart(kind: SceneKind) -> None:
    some = scenes(1200, kind)
    assert not (some.regions & some.second_regions).any()
    assert not ((some.regions | some.second_regions) & some.shortcut_regions).any()


@KIND
def test_what_is_not_there_has_no_region_and_no_class(kind: SceneKind) -> None:
    some = scenes(12, kind)
    for regions, labels, there in (
        (some.second_regions, some.second_labels, kind.objects == 2),
        (some.shortcut_regions, some.shortcut_labels, kind.shortcut is not None),
    ):
        assert bool((regions.flatten(1).any(1) == there).all())
        assert bool(((labels >= 0) == there).all())


@KIND
def test_objects_stand_out(kind: SceneKind) -> None:
    some = scenes(1200, kind)
    stands_out = (some.x - some.background).norm(dim=1)
    for region in (some.regions, some.second_regions) if kind.objects == 2 else (some.regions,):
        assert float((stands_out * region).flatten(1).amax(1).min()) > 0.25


@pytest.mark.parametrize("objects", [1, 2])
def test_objects_are_seen_whole(objects: int) -> None:
    """Discs, which fill their circle most: as much of them is drawn as of one in the middle of the picture."""
    some = scenes(600, SceneKind("uniform", objects=objects))
    touched = drawn(some)
    edges = torch.cat([touched[:, 0], touched[:, -1], touched[:, :, 0], touched[:, :, -1]], 1).float().mean(1)
    assert float(edges.max()) < 0.05  # an object that touches an edge covers a few of its pixels, not a chord


# --- what tells the class, and what does not --------------------------------------------------------------------------


def tells(numbers: Tensor, labels: Tensor) -> float:
    """The largest z-score of the classes' means (K, D) against the mean of all, of numbers (N, D) for each scene."""
    scores = []
    for label in range(len(CLASSES)):
        own, rest = numbers[labels == label], numbers[labels != label]
        error = (own.var(0) / len(own) + rest.var(0) / len(rest)).sqrt()
        scores.append((own.mean(0) - rest.mean(0)).abs() / error)
    return float(torch.stack(scores).max())


@pytest.mark.parametrize("kind", [UNIFORM, TEXTURED])
def test_colour_place_and_background_do_not_tell_the_class(kind: SceneKind) -> None:
    some = scenes(3000, kind, seed=7)
    apart = (some.x - some.background).norm(dim=1).flatten(1).argmax(1)
    colour = some.x.flatten(2).gather(2, apart[:, None, None].expand(-1, 3, 1))[..., 0].double()
    assert tells(colour, some.labels) < 4.5
    assert tells(some.background.double().mean((2, 3)), some.labels) < 4.5
    assert tells(some.background.double().std((2, 3)) + torch.rand(3000, 3) * 1e-9, some.labels) < 4.5
    line = torch.arange(32.0, dtype=torch.float64)
    mass = some.regions.double()
    middle = torch.stack([(mass * line).sum((1, 2)), (mass * line[:, None]).sum((1, 2))], 1) / mass.sum((1, 2))[:, None]
    assert tells(middle, some.labels) < 4.5


def test_the_test_above_would_notice_a_colour_that_tells() -> None:
    some = scenes(3000, UNIFORM, seed=7)
    assert tells(some.regions.double().sum((1, 2))[:, None], some.labels) > 20  # a star covers less than a square


def test_every_pair_of_different_classes_occurs() -> None:
    some = scenes(1200, TWO_OBJECTS)
    pairs = set(zip(some.labels.tolist(), some.second_labels.tolist(), strict=True))
    assert pairs == {(a, b) for a in range(6) for b in range(6) if a != b}


@pytest.mark.parametrize("probability", [0.0, 1 / 6, 0.7, 1.0])
def test_the_patch_tells_the_class_with_its_probability(probability: float) -> None:
    some = scenes(3000, SceneKind(shortcut=probability))
    agrees = (some.shortcut_labels == some.labels).float().mean()
    assert abs(float(agrees) - probability) <= 4 * math.sqrt(probability * (1 - probability) / 3000)
    apart = (some.shortcut_labels - some.labels) % 6
    others = torch.bincount(apart, minlength=6)[1:]
    expected = 3000 * (1 - probability) / 5
    assert bool(((others - expected).abs() <= 4 * math.sqrt(expected)).all())


def test_the_patch_of_a_class_has_its_colour() -> None:
    some = scenes(600, SceneKind("textured", shortcut=0.5))
    middle = F.conv2d(some.shortcut_regions[:, None].float(), torch.ones(1, 1, 7, 7), padding=3)[:, 0] == 49
    colours = [some.x.movedim(1, -1)[middle][some.shortcut_labels == label] for label in range(6)]
    means = torch.stack([colour.mean(0) for colour in colours])
    for colour, mean in zip(colours, means, strict=True):
        torch.testing.assert_close(colour, mean.expand_as(colour))
    assert float(torch.cdist(means, means).fill_diagonal_(1).min()) > 0.9


# --- the same scene in other kinds ------------------------------------------------------------------------------------


def test_the_same_object_lies_on_either_background() -> None:
    plain, textured = scenes(60, UNIFORM), scenes(60, TEXTURED)
    assert torch.equal(plain.regions, textured.regions)
    covered = ~grown(F.pad(~plain.regions, (1, 1, 1, 1), value=True), 3)[:, 1:-1, 1:-1]  # well inside
    pixels = covered[:, None].expand_as(plain.x)
    torch.testing.assert_close(plain.x[pixels], textured.x[pixels])
    assert bool((textured.background.std((2, 3)) > 0.02).any(1).all())
    assert float(plain.background.std((2, 3)).max()) < 1e-6


def test_scenes_differ_in_the_patch_and_in_nothing_else() -> None:
    right, wrong, none = scenes(60, SceneKind(shortcut=1.0)), scenes(60, SceneKind(shortcut=0.0)), scenes(60)
    same(right._replace(x=none.x, shortcut_labels=none.labels), wrong._replace(x=none.x, shortcut_labels=none.labels))
    outside = ~right.shortcut_regions[:, None].expand_as(right.x)
    for other in (wrong, none):
        assert torch.equal(right.x[outside], other.x[outside])
    assert bool((right.x != wrong.x).flatten(1).any(1).all())


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"background": "texture"}, UnknownName, "did you mean 'textured'"),
        ({"objects": 3}, BadOption, "1 or 2 objects, not 3"),
        ({"objects": 0}, BadOption, "1 or 2 objects, not 0"),
        ({"shortcut": 1.2}, BadOption, "a probability from 0 to 1, or None for no patch; got 1.2"),
        ({"shortcut": float("nan")}, BadOption, "a probability"),
    ],
)
def test_kinds_that_mean_nothing_are_refused(
    fields: dict[str, object], error: type[SmoothGradError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        SceneKind(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "first"), [(0, 0), (-1, 0), (3, -1)])
def test_no_scenes_are_refused(count: int, first: int) -> None:
    with pytest.raises(BadOption, match="ask for at least one, from 0 on"):
        scenes(count, first=first)


@pytest.mark.parametrize(
    "given",
    [{"count": 2.5}, {"count": True}, {"first": 1.0}, {"seed": 2**63}, {"seed": -(2**63) - 1}, {"seed": 0.5}],
)
def test_numbers_that_are_no_integers_of_64_bits_are_refused(given: dict[str, int]) -> None:
    (name,) = given
    with pytest.raises(BadOption, match=f"{name} is .*; give an integer that fits in 64 bits"):
        scenes(**{"count": 2, **given})


def test_the_largest_numbers_are_taken() -> None:
    assert len(scenes(1, seed=2**63 - 1, first=2**63 - 2).x) == 1
    with pytest.raises(BadOption, match="beyond 64 bits"):
        scenes(2, first=2**63 - 2)


def test_a_word_is_no_kind_of_scenes() -> None:
    with pytest.raises(BadOption, match=r"'textured'; give a SceneKind, such as SceneKind\('textured'\)"):
        scenes(3, "textured")  # type: ignore[arg-type]
