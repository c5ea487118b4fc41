"""The script that trains the embedded networks for scenes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from smoothgrad.errors import UnknownName
from smoothgrad.models import train_scenes
from smoothgrad.models.scenes import TWO_OBJECTS, SceneKind, scenes
from smoothgrad.models.train_scenes import BATCH, COURSES, accuracy, lesson_of, patches, shapes, train


class Answer(nn.Module):
    """Scores that are given."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, x: Tensor) -> Tensor:
        return self.scores[: len(x)]


def test_the_global_random_numbers_are_left_where_they_were() -> None:
    before = torch.get_rng_state()
    train(COURSES["scenes"], steps=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_again_gives_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_scenes, "HELD_OUT", 12)
    for folder in ("one", "two"):
        train_scenes.main(["scenes-shortcut"], tmp_path / folder, steps=2)
    one, two = (load_file(tmp_path / folder / "scenes_shortcut.safetensors") for folder in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["scenes_shortcut.safetensors"]
    assert "of 12 new scenes answered rightly: SceneKind(background='textured'" in capsys.readouterr().out


def test_training_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_scenes, "BATCH", 32)
    some = scenes(120, SceneKind(shortcut=0.5), seed=5)
    assert accuracy(train(COURSES["scenes-shortcut"], steps=140), some.x, patches(some)) > 0.5


def test_a_network_that_is_not_known_is_refused_before_any_work() -> None:
    with pytest.raises(UnknownName, match="did you mean 'scenes'"):
        train_scenes.main(["scenes", "scene"])


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_no_scene_is_seen_twice(course: train_scenes.Course) -> None:
    rows = torch.cat([lesson_of(course, step).x for step in range(2)]).flatten(1)
    assert len(rows) == 2 * BATCH
    assert len({row.numpy().tobytes() for row in rows}) == 2 * BATCH


def test_answers_are_halves_where_there_are_two_objects() -> None:
    two, one = scenes(12, TWO_OBJECTS), scenes(12)
    assert torch.equal(shapes(one), torch.eye(6).repeat(2, 1))
    rows = torch.arange(12)
    assert bool((shapes(two)[rows, two.labels] == 0.5).all())
    assert bool((shapes(two)[rows, two.second_labels] == 0.5).all())
    assert bool((shapes(two).sum(1) == 1).all())


def test_answers_of_patches_do_not_ask_for_the_object() -> None:
    some = scenes(600, SceneKind(shortcut=1 / 6), seed=1)
    assert torch.equal(patches(some).argmax(1), some.shortcut_labels)
    assert float((patches(some).argmax(1) == some.labels).float().mean()) < 0.25


def test_accuracy_asks_for_all_objects_and_no_others() -> None:
    scores = torch.tensor([[5.0, 4, 0, 0, 0, 1], [5, 4, 0, 0, 0, 1], [5, 4, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0]])
    asked = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    assert accuracy(Answer(scores), torch.zeros(4, 3, 32, 32), asked) == 0.5
