"""Class names in every form that users have them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoothgrad.errors import BadOption
from smoothgrad.models.classes import read_classes
from tests.nets import DATA


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_sequence_is_taken_as_it_is(kind: type) -> None:
    assert read_classes(kind(["cat", "dog"])) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.txt", "cat\ndog\n"),
        ("c.txt", "\ufeffcat\r\n dog \n\n\n"),
        ("c.json", '["cat", "dog"]'),
        ("c.json", '{"1": "dog", "0": "cat"}'),
        ("c.json", '{"dog": 1, "cat": 0}'),
        ("c.JSON", '{"0": ["n02123045", "cat", "cat, puss"], "1": ["n02084071", "dog"]}'),
    ],
)
def test_files_of_every_form_give_the_names_in_order(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    assert read_classes(path) == read_classes(str(path)) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("c.txt", "", "names none"),
        ("c.txt", "cat\n\ndog", "line 2 of .* is empty"),
        ("c.json", "[]", "names none"),
        ("c.json", "cat\ndog", "is no JSON"),
        ("c.json", '"cat"', "not a list"),
        ("c.json", '{"1": "cat", "2": "dog"}', "not a list"),
        ("c.json", '{"cat": 0, "dog": 0}', "not a list"),
        ("c.json", "[1, 2]", "entries that are no names"),
    ],
)
def test_files_that_name_no_classes_are_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(BadOption, match=reason):
        read_classes(written(tmp_path, name, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"no file of classes .*gone\.txt"):
        read_classes(tmp_path / "gone.txt")


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00\x80")
    for path in (tmp_path, tmp_path / "c.txt"):
        with pytest.raises(BadOption, match="cannot be read"):
            read_classes(path)


@pytest.mark.parametrize("classes", [[], [1, 2]])
def test_a_sequence_must_hold_names(classes: list) -> None:
    with pytest.raises(BadOption, match="give their names"):
        read_classes(classes)


@pytest.mark.real
def test_imagenets_own_index_is_read() -> None:
    names = read_classes(DATA / "imagenet-samples" / "imagenet_class_index.json")
    assert (len(names), names[0], names[281]) == (1000, "tench", "tabby")
