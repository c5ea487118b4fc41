"""What paths start from, by the names of the experiment on baselines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from smoothgrad.checks import on_device
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import content_key
from smoothgrad.errors import BadInput, need
from smoothgrad.experiments.setup import Setup
from smoothgrad.question import Question
from smoothgrad.samplers.baseline import Adversarial, Baseline, Black, Blurred, ChannelMean, Noise, White

ALWAYS = ("black", "white", "mean", "noise", "blurred", "adversarial")  # can be made of every picture
ASKED = ("own", "data")  # need something of the user's
BLUR = 8  # the blur's standard deviation is the shorter side / BLUR: shapes go, patches of colour stay


def made_starts(setup: Setup, name: str, samples: int) -> Tensor:
    """One of `ALWAYS`, made of the cell's picture: (B, *S). Raises `BadBaseline` and `BadNoise` where there is none."""
    x = setup.picture.x
    kinds: dict[str, Baseline] = {
        "black": Black(),
        "white": White(),
        "mean": ChannelMean(),
        "noise": Noise(samples=samples),
        "blurred": Blurred(min(x.shape[2:], default=BLUR) / BLUR),
        "adversarial": Adversarial(),
    }
    keys = [content_key(x)]
    question = Question.checked(setup.net, x, target=setup.target, seed=setup.seed, keys=keys, device=setup.device)
    kinds[name].check(question.query)
    network = on_device(setup.net, setup.device)
    return kinds[name].of(network, question.query, Schedule.for_rows(x.shape[1:]))[0].detach().cpu()


def own_start(setup: Setup, path: str) -> Tensor:
    """A picture of the user's: (1, *S). Raises `BadInput` where none is given, and `BadPicture`."""
    if not path:
        raise BadInput("the baseline 'own' is a picture of yours, and none is given; give its path: own='PATH'")
    return setup.net.read(path).to(setup.picture.x)


def data_starts(setup: Setup, folder: str, samples: int) -> Tensor:
    """The first `samples` pictures of a folder, or of those that come with the network, but for the cell's own: (B, *S).

    Raises `BadInput` where there are none.
    """
    x = setup.picture.x
    # Of the network's one more than is needed: one of them may be the picture itself.
    rows = _pictures_in(folder, setup) if folder else iter(setup.net.samples(samples + 1).to(x))
    others = [*islice((one for one in rows if not torch.equal(one, x[0])), samples)]
    if not others:
        raise BadInput(
            f"the baseline 'data' is made of other pictures than {setup.picture.name}, and there are none; "
            "give a folder that has some: data='FOLDER'"
        )
    return torch.stack(others)


def _pictures_in(folder: str, setup: Setup) -> Iterator[Tensor]:
    """The pictures of a folder, by name, as the network takes them: (*S,) each, read when they are asked for."""
    endings = need("PIL.Image", extra="view").registered_extensions()
    place = Path(folder)
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in endings) if place.is_dir() else []
    if not files:
        raise BadInput(
            f"the baseline 'data' takes pictures of a folder, and {folder!r} has none; give another: data='FOLDER'"
        )
    for file in files:
        yield setup.net.read(file)[0].to(setup.picture.x)
