"""A row of the table of scores, and which rows are about the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.measure.measure import Better


class Score(NamedTuple):
    """One measure of one map.

    With the picture, `recipe`, `asked`, `layer`, `key`, `seed` and `precision` make the map again, and `measure_recipe` judges it
    again. What no text holds is yours to give again: regions, other inputs of the network (context), a function that was explained,
    and tensors that a recipe names by their digest.
    """

    picture: str  # its name
    key: int  # what names the row for randomness
    class_name: str  # what was explained, in words; "" where no map was made; the column "class"
    target: int | None  # the class by its number; None for contrasts and functions
    method: str  # its label
    recipe: str
    control: bool  # does the map know nothing of the network?
    measure: str  # its label
    measure_recipe: str
    better: Better  # which scores speak for a map
    unit: str  # of the value
    value: float  # NaN where there is no score
    stderr: float | None  # Monte-Carlo standard error of the value, where the measure draws by chance
    reason: str  # why there is no score, else ""; that of an error begins with its name, as in "BadMethod: ..."
    seed: int
    model: str
    fingerprint: str  # of the model's weights: of the network that was asked
    seconds: float  # that judging took: an equal share of those of its batch
    layer: str = ""  # whose output was explained; "" for the network's input
    precision: str = ""  # of the arithmetic that made the map, such as "float32"; "" where no map was made
    asked: str = ""  # what was explained, as the text of a target, such as "Class(3)"; "function" for yours
    digest: str = ""  # of the network's input, by what it holds; see `content_digest`
    made_by: str = (
        ""  # the fingerprint of the network that made the map; differs from `fingerprint` where another judged it
    )


class Line(NamedTuple):
    """The curve that a score is the summary of."""

    x: Tensor  # (P,) float64
    y: Tensor  # (P,) float64
    x_label: str
    y_label: str
    ticks: tuple[str, ...] = ()  # names of the places x, where they have some


COLUMNS = ["class" if name == "class_name" else name for name in Score._fields]


def picture_of(one: Score) -> tuple[str, int, str]:
    """What makes a picture the same: names and keys alone may come again in another batch."""
    return one.picture, one.key, one.digest


def row_of(one: Score) -> tuple[str, int, str, str, str, int]:
    """What a record is about; the first three name the picture."""
    return *picture_of(one), one.class_name, one.asked, one.seed


def numbered(records: Sequence[Score]) -> list[tuple[object, ...]]:
    """What each record is about, told apart by place: two targets of a row may be one class, such as `Each(Top(), 3)`."""
    seen: Counter[tuple[object, ...]] = Counter()
    found: list[tuple[object, ...]] = []
    for one in records:
        about = row_of(one)
        which = (about, one.method, one.measure)
        found.append((*about, seen[which]))
        seen[which] += 1
    return found


def check_same(records: Sequence[Score]) -> None:
    """Raises `BadInput` where one label stands for two things, or two networks were asked."""
    known: dict[tuple[str, str], str] = {}
    for one in records:
        for what, label, held in (
            ("method", one.method, one.recipe),
            ("measure", one.measure, one.measure_recipe),
            ("layer", one.method, one.layer),
            ("maker", one.method, one.made_by),
            ("network", "", one.fingerprint),
        ):
            if (
                what in ("network", "maker") and not held
            ):  # a picture that could not be read, a map that could not be made
                continue
            before = known.setdefault((what, label), held)
            if before == held:
                continue
            if what == "network":
                raise BadInput(f"two networks were asked, {before} and {held}; judge each in a table of its own")
            where = {
                "layer": f"at the layers {before!r} and {held!r}",
                "maker": f"its maps made by the networks {before} and {held}",
            }.get(what, f"{before} and {held}")
            kind = "measure" if what == "measure" else "method"
            raise BadInput(f"the {kind} {label!r} is two in these tables, {where}; give each a label of its own")
