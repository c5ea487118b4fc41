"""The door, and what comes back: frames, files, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, CannotWrite
from smoothgrad.features import (
    L2,
    ActivationMaximization,
    Adam,
    Bounded,
    Channel,
    CodeSpace,
    DeepDream,
    Dream,
    Fourier,
    FromNoise,
    Layer,
    citation,
    dream,
    live,
    load_generator,
)
from smoothgrad.features.result import GIF_ROOM, for_the_eye, side_by_side
from smoothgrad.models.network import Network

SEARCH = ActivationMaximization(3, Fourier(), FromNoise(0.1), Adam(0.1), steps=12)


@pytest.fixture(scope="module")
def found() -> Dream:
    net = sg.load("digits")
    return dream(
        net,
        ActivationMaximization(sg.Classes((3, 5)), Bounded.to(net), FromNoise(0.1), Adam(0.3), steps=12),
        rows=2,
        frames=7,
    )


def test_live_ends_where_the_search_does() -> None:
    net = sg.load("digits")
    frames = list(live(net, SEARCH, seed=3))
    result = dream(net, SEARCH, seed=3)
    assert [frame.step for frame in frames] == list(range(13))
    assert torch.equal(frames[-1].picture, result.pictures)
    assert torch.equal(torch.stack([frame.value for frame in frames]), result.values)
    torch.testing.assert_close(result.values[-1], net(result.pictures).detach()[:, 3])


def test_frames_are_kept_evenly_with_the_first_and_the_last(found: Dream) -> None:
    assert found.steps == (0, 2, 4, 6, 8, 10, 12)
    assert found.frames.shape == (7, 2, 1, 8, 8)
    assert torch.equal(found.frames[-1], found.pictures)
    whole = dream(sg.load("digits"), SEARCH, frames=100)
    assert whole.steps == tuple(range(13))


def test_progress_is_told_every_frame() -> None:
    told: list[Any] = []
    dream(sg.load("digits"), SEARCH, progress=told.append)
    assert [frame.step for frame in told] == list(range(13))
    assert {frame.total for frame in told} == {12}


def test_a_dream_says_what_it_is(found: Dream) -> None:
    assert len(found) == 2
    assert repr(found).startswith("<Dream of 2 pictures of 1 x 8 x 8 by ActivationMaximization(")
    assert found.provenance["model"] == "digits"
    assert "steps=12" in found.recipe


def test_the_gif_has_all_frames(found: Dream, tmp_path: Path) -> None:
    path = found.save_gif(tmp_path / "new" / "dream.gif", seconds=1.4)
    with Image.open(path) as gif:
        assert gif.n_frames == 7
        times = []
        for number in range(7):
            gif.seek(number)
            times.append(gif.info["duration"])
        assert times == [200] * 6 + [1200]
        assert gif.info["loop"] == 0
        last = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(last - side_by_side(found.shown, GIF_ROOM)).max() <= 1


def test_frames_that_are_alike_share_one_for_longer(tmp_path: Path) -> None:
    net = sg.load("digits")
    found = dream(net, DeepDream(Layer("conv3"), octaves=1, steps=3, learning_rate=1e-9), net.samples(1))
    with Image.open(found.save_gif(tmp_path / "still.gif", seconds=0.4)) as gif:
        assert gif.n_frames == 1


def test_the_picture_is_saved_enlarged_with_its_recipe(found: Dream, tmp_path: Path) -> None:
    with Image.open(found.save(tmp_path / "dream.png")) as picture:
        assert picture.text["recipe"] == found.recipe
        assert picture.text["seed"] == "0"
        pixels = np.asarray(picture)
    assert pixels.shape == (320, 680, 3)
    first = pixels[:320:40, :320:40, 0] / 255
    assert np.abs(first - found.pictures[0, 0].numpy()).max() < 0.003
    assert (pixels[:, 320:360] == 255).all()


def test_many_pictures_stand_in_lines() -> None:
    assert side_by_side(torch.rand(7, 3, 32, 32)).shape == (2 * 128 + 4, 5 * 128 + 4 * 4, 3)
    assert side_by_side(torch.rand(1, 3, 300, 200)).shape == (300, 200, 3)


def test_the_figure_shows_pictures_and_objective(found: Dream, tmp_path: Path) -> None:
    page = found.figure()
    assert len(page.axes) == 2
    assert [len(line.get_xdata()) for line in page.axes[1].lines] == [13, 13]
    assert page.axes[1].lines[1].get_ydata().tolist() == pytest.approx(found.values[:, 1].tolist())
    page.savefig(tmp_path / "page.png")


def test_pictures_of_a_network_are_shown_through_its_preprocessing(found: Dream) -> None:
    torch.testing.assert_close(found.shown, found.pictures.expand(-1, 3, -1, -1))
    assert for_the_eye(torch.full((1, 3, 2, 2), 5.0), None).unique().tolist() == [0.0]


def test_the_shape_comes_from_the_network_the_generator_or_you() -> None:
    net = sg.load("digits")
    generator = load_generator()
    space = CodeSpace(generator, generator.code_shape)
    assert dream(net, ActivationMaximization(3, steps=1)).pictures.shape == (1, 1, 8, 8)
    assert dream(net.net, ActivationMaximization(3, space, steps=1)).pictures.shape == (1, 1, 8, 8)
    assert dream(net, ActivationMaximization(3, steps=1), shape=(1, 12, 9)).pictures.shape == (1, 1, 12, 9)


def test_the_type_is_that_of_the_model() -> None:
    net = nn.Linear(4, 2).double().eval()
    assert dream(net, ActivationMaximization(1, steps=1), shape=(4,)).pictures.dtype == torch.float64


def test_papers_of_all_pieces_are_cited_once() -> None:
    generator = load_generator()
    search = ActivationMaximization(Channel("conv3", 1), CodeSpace(generator, (16,)), penalties=(L2(0.1),))
    keys = [line.partition("{")[2].rstrip(",") for line in citation(search).splitlines() if line.startswith("@")]
    assert keys == ["erhan2009", "simonyan2013", "olah2017", "nguyen2016", "radford2016", "kingma2015"]


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"search": "maximize"}, BadMethod, "give ActivationMaximization"),
        ({"x": torch.rand(1, 1, 8, 8)}, BadMethod, "start=FromPicture"),
        ({"rows": 0}, BadInput, "how many pictures to look for"),
        ({"frames": 0}, BadInput, "how many pictures to keep"),
        ({"seed": 1.5}, BadInput, "seed"),
        ({"shape": (0, 8, 8)}, BadInput, "shape of a picture"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    net = sg.load("digits")
    assert isinstance(net, Network)
    with pytest.raises(error, match=reason):
        dream(net, **({"search": SEARCH} | arguments))


def test_a_gif_of_no_time_and_a_place_that_cannot_be_written_are_refused(found: Dream, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="above 0"):
        found.save_gif(tmp_path / "x.gif", seconds=0)
    with pytest.raises(CannotWrite):
        found.save(tmp_path)


def test_importing_the_library_does_not_import_features() -> None:
    import subprocess
    import sys

    code = "import sys, smoothgrad; print('smoothgrad.features' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
