from __future__ import annotations

from pathlib import Path

import pytest

from smoothgrad.cli.output import Output
from smoothgrad.errors import BadOption, CannotWrite


def test_all_formats_are_taken_where_none_is_chosen(tmp_path: Path) -> None:
    assert Output.checked(tmp_path, None, ("png", "html")).formats == {"png", "html"}


def test_chosen_formats_may_be_written_with_dots_spaces_and_capitals(tmp_path: Path) -> None:
    assert Output.checked(tmp_path, ".PNG, html", ("png", "html", "csv")).formats == {"png", "html"}


def test_checking_leaves_no_folder_behind(tmp_path: Path) -> None:
    Output.checked(tmp_path / "a" / "b", None, ())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="--out"):
        Output.checked(tmp_path / "file" / "out", None, ())


def test_formats_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="names nothing"):
        Output.checked(tmp_path, " , ", ("png",))


def test_a_picture_under_the_name_of_a_result_is_spared(tmp_path: Path) -> None:
    output = Output.checked(tmp_path, None, ())
    output.spare([tmp_path / "other.png"], ["cat.png"])
    with pytest.raises(BadOption, match="replaced by its own map"):
        output.spare([tmp_path / "x" / ".." / "cat.png"], ["cat.png"])
