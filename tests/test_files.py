"""A reader finds the old file or the new one, never half of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smoothgrad.errors import CannotWrite
from smoothgrad.files import write_aside


def test_the_file_is_written_and_its_path_given_back(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "hello.txt"
    assert write_aside(path, lambda aside: aside.write_text("hello")) == path
    assert path.read_text() == "hello"
    assert [file.name for file in path.parent.iterdir()] == ["hello.txt"]


def test_a_relative_name_is_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_aside("hello.txt", lambda aside: aside.write_text("hello"))
    assert (tmp_path / "hello.txt").read_text() == "hello"


def test_writers_see_the_suffix_but_not_the_name(tmp_path: Path) -> None:
    seen: list[Path] = []
    write_aside(tmp_path / "map.png", seen.append)
    assert seen[0].suffix == ".png"
    assert seen[0].name.startswith(".map-")
    assert seen[0].parent == tmp_path  # else renaming would copy, from one disk to another


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_the_writer_is_stopped(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "hello.txt"
    path.write_text("old")

    def stopped(aside: Path) -> None:
        aside.write_text("ne")
        raise error

    with pytest.raises(error):
        write_aside(path, stopped)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["hello.txt"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "hello.txt"
    path.write_text("old")

    def write(aside: Path) -> None:
        aside.write_text("new")
        assert path.read_text() == "old"

    write_aside(path, write)
    assert path.read_text() == "new"


def test_what_the_system_refuses_is_said(tmp_path: Path) -> None:
    def full(aside: Path) -> None:
        raise OSError(28, "No space left on device", str(aside))

    with pytest.raises(
        CannotWrite, match=r"cannot write .*hello.txt: No space left on device; choose a folder"
    ) as caught:
        write_aside(tmp_path / "hello.txt", full)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match=r"cannot write .*file/deep/hello.txt"):
        write_aside(tmp_path / "file" / "deep" / "hello.txt", lambda aside: aside.write_text(""))


def test_a_folder_is_no_name_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match=r"folder: it is a folder; give the name of a file"):
        write_aside(tmp_path / "folder", lambda aside: aside.write_text(""))


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot write"):
        write_aside(tmp_path / ("x" * 300), lambda aside: aside.write_text(""))


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_aside(tmp_path / "hello.txt", lambda aside: aside.write_text("hello"))
        assert os.umask(0o027) == 0o027  # and it is left as it was
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
