from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothgrad.cli.inputs import distinct, find_pictures, read_target, read_targets, slug, target_words
from smoothgrad.errors import BadOption, BadRecipe
from smoothgrad.targets import Class, Contrast, Each, Probability, Top

CLASSES = ("tabby cat", "Egyptian cat", "espresso", "3", "crane", "crane")


def touch(folder: Path, *files: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).touch()
    return [folder / file for file in files]


def test_a_folder_stands_for_its_pictures_in_order_and_not_for_what_lies_deeper(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.JPG", ".hidden.png", "notes.txt")
    touch(tmp_path / "deeper", "c.png")
    assert [file.name for file in find_pictures([tmp_path])] == ["a.JPG", "b.png"]


def test_a_file_that_is_named_twice_is_taken_once_in_its_first_place(tmp_path: Path) -> None:
    a, b = touch(tmp_path, "a.png", "b.png")
    assert find_pictures([b, tmp_path, tmp_path / ".." / tmp_path.name / "b.png"]) == [b, a]


def test_a_file_that_is_named_may_have_any_ending(tmp_path: Path) -> None:
    assert find_pictures(touch(tmp_path, "scan.dat")) == [tmp_path / "scan.dat"]


def test_a_missing_file_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    touch(tmp_path, "beach.jpg")
    with pytest.raises(BadOption, match=r"beech\.jpg.*did you mean .*beach\.jpg"):
        find_pictures([tmp_path / "beech.jpg"])


@pytest.mark.parametrize(
    ("text", "index"), [("0", 0), ("espresso", 2), ("ESPRESSO", 2), (" 5 ", 5), ("tabby cat", 0), ("Class(1)", 1)]
)
def test_a_class_is_named_by_number_or_name(text: str, index: int) -> None:
    assert read_target(text, CLASSES) == Class(index)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("espreso", "did you mean 'espresso'"),
        ("cat", "'tabby cat', 'Egyptian cat'"),
        ("crane", "give a number: 4, 5"),
        ("6", "0 to 5"),
        ("-1", "0 to 5"),
        ("zzz", "known: tabby cat"),
    ],
)
def test_a_class_that_does_not_exist_is_told_with_what_does(text: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        read_target(text, CLASSES)


@pytest.mark.parametrize(
    "text",
    [
        "Contrast(Class('tabby_cat'), Class('espresso'))",
        'Contrast(Class("Tabby Cat"), Class(index="ESPRESSO"))',
        "Contrast(Class(tabby_cat), Class(espresso))",
        "Contrast('tabby cat', espresso)",
        "Contrast(Class(0), 2)",
    ],
)
def test_classes_are_named_within_a_recipe_too(text: str) -> None:
    assert read_target(text, CLASSES) == Contrast(Class(0), Class(2))
    assert read_target(f"Probability({text[9:-1].rpartition(', ')[0]}, log=True)", CLASSES) == Probability(
        Class(0), log=True
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Contrast(Class('expresso'), Top())", "did you mean 'espresso'"),
        ("Contrast(Class(9), Class('crane'))", "give a number: 4, 5"),
        ("Contrast(Top, espresso)", r"write Top\(\)"),
        ("Contrast", r"write Contrast\("),
        (" ", "--target is empty"),
    ],
)
def test_a_target_that_is_not_understood_is_told_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        read_target(text, CLASSES)


def test_a_target_that_is_no_python_is_told_how_targets_are_written() -> None:
    with pytest.raises(BadRecipe, match="tiger cat"):
        read_target("Contrast(tabby cat, Top())", CLASSES)


@pytest.mark.parametrize("text", ["tabby_cat", "TABBY  cat", "crane (bird)"])
def test_spaces_underscores_and_case_do_not_matter(text: str) -> None:
    assert read_target(text, ("tabby cat", "crane (bird)")) == Class(1 if "crane" in text else 0)


def test_a_number_that_is_also_the_name_of_another_class_is_ambiguous() -> None:
    with pytest.raises(BadOption, match=r"Class\(3\).*Class\(0\)"):
        read_target("3", ("3", "1", "2", "0"))


def test_without_names_of_classes_numbers_are_taken_and_names_are_told_how_to_give() -> None:
    assert read_target("700", ()) == Class(700)
    with pytest.raises(BadOption, match="--classes"):
        read_target("cat", ())


@given(st.lists(st.text(max_size=5), max_size=8))
def test_distinct_names_are_distinct_even_where_case_is_ignored(names: list[str]) -> None:
    found = distinct(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert all(name.startswith(before) for name, before in zip(found, names, strict=True))


@given(st.text())
def test_a_slug_is_a_plain_file_name(text: str) -> None:
    name = slug(text)
    assert name
    assert not set(name) & set('/\\:*?"<>| \n')
    assert name[0] not in ".-"


@pytest.mark.parametrize(("text", "rank"), [("top", 0), ("Top", 0), (" top1", 0), ("top2", 1), ("TOP10", 9)])
def test_top_and_top2_are_ranks(text: str, rank: int) -> None:
    assert read_target(text, CLASSES) == Top(rank)
    assert read_target(text, ("top", "top2", "top1", "top10")) != Top(
        rank
    )  # where classes are called so, they are meant


@pytest.mark.parametrize("text", ["top0", "top-1", "top two"])
def test_ranks_are_counted_from_1(text: str) -> None:
    with pytest.raises(BadOption, match="there is no class"):
        read_target(text, CLASSES)


def test_one_target_is_itself_and_several_are_each_explained() -> None:
    assert read_targets([], CLASSES) is None
    assert read_targets(["top2"], CLASSES) == Top(1)
    several = read_targets(["top", "espresso", "1"], CLASSES)
    assert several == Each(Top(), Class(2), Class(1))
    assert read_target("Each(Top(), espresso, 1)", CLASSES) == several
    assert target_words(several, CLASSES) == ("top", "espresso", CLASSES[1])
    assert target_words(Top(), CLASSES) == ()
    assert target_words(Each(Class(3)), ()) == ("class 3",)
