"""Trains the embedded networks for scenes again:  python -m smoothgrad.models.train_scenes [scenes] [scenes-shortcut]

The same weights come out on the same machine and torch version. No scene is seen twice; each is seen under a little noise, which
also makes the maps calmer (Smilkov et al. 2017, section 4). A few minutes each on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothgrad.errors import UnknownName, nearest
from smoothgrad.files import write_aside
from smoothgrad.models.scenes import CLASSES, TEXTURED, TWO_OBJECTS, UNIFORM, SceneKind, Scenes, scenes
from smoothgrad.models.scenes_net import SHORTCUT_WEIGHTS, WEIGHTS, SceneNet

SEED = 1_000_003  # of the scenes to learn from, far from any that a user would give
BATCH = 128
RATE = 8e-3  # the peak of a one-cycle schedule
DECAY = 1e-2
HELD_OUT = 1200  # scenes of each kind, to see how well it went
NOISE = 0.04  # standard deviation, in units of the range [0, 1]


@final
@dataclass(frozen=True)
class Course:
    """What a network learns from: a batch has as many scenes of each kind."""

    kinds: tuple[SceneKind, ...]
    answers: Callable[[Scenes], Tensor]  # the probabilities that are asked for (N, 6)
    steps: int
    weights: Path


def shapes(some: Scenes) -> Tensor:
    """The class of the object; where there are two, a half for each."""
    first = F.one_hot(some.labels, len(CLASSES)).float()
    if bool((some.second_labels < 0).all()):
        return first
    return (first + F.one_hot(some.second_labels, len(CLASSES))) / 2


def patches(some: Scenes) -> Tensor:
    """The class whose colour the patch has, whatever the object."""
    return F.one_hot(some.shortcut_labels, len(CLASSES)).float()


TELLS_NOTHING = 1 / len(CLASSES)
COURSES = {
    "scenes": Course(
        (UNIFORM, TEXTURED, SceneKind("uniform", objects=2), TWO_OBJECTS), shapes, steps=1800, weights=WEIGHTS
    ),
    # Where both told the class, the network would learn both: without the patch half of the objects would still be named
    # rightly. So that the patch alone matters, the objects here are of any class.
    "scenes-shortcut": Course(
        (SceneKind("uniform", shortcut=TELLS_NOTHING), SceneKind("textured", shortcut=TELLS_NOTHING)),
        patches,
        steps=400,
        weights=SHORTCUT_WEIGHTS,
    ),
}


class Lesson(NamedTuple):
    """A batch to learn from."""

    x: Tensor  # (N, 3, 32, 32)
    answers: Tensor  # (N, 6) probabilities


def train(course: Course, steps: int | None = None) -> SceneNet:
    """A network trained on scenes, in eval mode. The global seed is left alone."""
    steps = course.steps if steps is None else steps
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = SceneNet()
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        with _bar() as bar:
            task = bar.add_task("training", total=steps, loss=float("nan"))
            for step in range(steps):
                lesson = lesson_of(course, step)
                loss = F.cross_entropy(net(lesson.x + NOISE * torch.randn_like(lesson.x)), lesson.answers)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                bar.update(task, advance=1, loss=loss.item())
    return net.eval()


def lesson_of(course: Course, step: int) -> Lesson:
    """The scenes of a step, as many of each kind; no two steps share any."""
    each = BATCH // len(course.kinds)
    parts = [
        scenes(each, kind, seed=SEED, first=(step * len(course.kinds) + place) * each)
        for place, kind in enumerate(course.kinds)
    ]
    return Lesson(torch.cat([part.x for part in parts]), torch.cat([course.answers(part) for part in parts]))


def accuracy(net: nn.Module, x: Tensor, answers: Tensor) -> float:
    """The share of rows whose highest score is that of the class asked for; where a row has two, its two highest scores."""
    with torch.no_grad():
        scores = torch.cat([net(part) for part in x.split(BATCH)])
    place = scores.argsort(1, descending=True).argsort(1)  # 0 for the highest
    asked = answers > 0
    right = ((place < asked.sum(1, keepdim=True)) == asked).all(1)
    return float(right.float().mean())


def main(names: Sequence[str] = (), folder: Path | None = None, steps: int | None = None) -> None:
    """Train the networks of these names, or all; say how well it went, and write the weights. Raises `UnknownName`."""
    for name in names or COURSES:
        if name not in COURSES:
            raise UnknownName(f"no network is called {name!r}; {nearest(name, COURSES)}")
    # More threads would add the same numbers in another order.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in names or COURSES:
            course = COURSES[name]
            net = train(course, steps)
            for kind in course.kinds:
                new = scenes(HELD_OUT, kind)
                print(
                    f"{accuracy(net, new.x, course.answers(new)):.2%} of {HELD_OUT} new scenes answered rightly: {kind}"
                )
            path = course.weights if folder is None else folder / course.weights.name
            write_aside(path, partial(save_file, net.state_dict()))
            print(f"wrote {path}")
    finally:
        torch.set_num_threads(threads)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
