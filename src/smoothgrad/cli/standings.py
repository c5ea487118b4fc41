"""The scores of `smoothgrad measure` on a terminal: methods x measures, and what the marks mean."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoothgrad.cli.console import counted
from smoothgrad.cli.measures import ARROWS
from smoothgrad.report.rounding import places_of

if TYPE_CHECKING:
    from smoothgrad.measure.scores import Scores

NAMED, HEAD = 30, 20  # columns of a method's name and of a measure's, beyond which they are broken where they can be


SIGNS = "localisation of signed maps: channels and signs cancel; --sign absolute judges absolute values"


def print_standings(console: Console, scores: Scores, confidence: float) -> None:
    """Means with half of their intervals; so many measures beside each other as there is room for.

    The best of each is bold, where there are pictures enough to tell methods apart.
    """
    from smoothgrad.report.judged import signs_localised

    starred = console.color_system is None or console.no_color
    frame = scores.summary(confidence)
    columns = [_column(scores, frame[frame.measure == label], starred=starred) for label in scores.measures]
    names = [_broken(name, NAMED) for name in scores.methods]
    room = console.width - _wide([*names, "method"]) - 2
    for group in _side_by_side([_wide([column.head, *column.cells]) for column in columns], room):
        console.print(_part(scores, names, [columns[place] for place in group]))
        console.print()
    console.print(Text(_note(scores, frame, confidence, starred=starred)), style="dim")
    if signs_localised(scores):
        console.print(Text(f"\n{SIGNS}"))


class Column(NamedTuple):
    """A measure in the table."""

    head: str
    cells: tuple[str, ...]  # of each method
    best: tuple[bool, ...]


def _column(scores: Scores, frame: Any, *, starred: bool) -> Column:
    from smoothgrad.report.judged import FEW

    head = _broken(f"{frame.measure.iloc[0]} {ARROWS[frame.better.iloc[0]]}", HEAD)
    rows = {row.method: row for row in frame.itertuples()}
    best = tuple(str(rows[name].rank) == "1" and frame.n.max() > FEW for name in scores.methods)
    cells = [_cell(rows[name]) for name in scores.methods]
    if starred and any(best):
        # In front, since what is set to the right would lose blanks behind it.
        cells = [f"{'*' if first else ''}{cell}" for cell, first in zip(cells, best, strict=True)]
    return Column(head, tuple(cells), best)


def _cell(row: Any) -> str:
    if not int(row.n):
        return "–"
    half = (row.high - row.low) / 2
    return _with_half(float(row.mean), float(half)) + (f" (n={int(row.n)})" if row.failed else "")


def _with_half(mean: float, half: float) -> str:
    """A mean with half of its interval: both to the decimal place of the second digit of the half.

    >>> _with_half(132.4, 118.0), _with_half(0.70912, 0.00771), _with_half(1.0, 0.0), _with_half(0.25, math.nan)
    ('130 ± 120', '0.7091 ± 0.0077', '1 ± 0', '0.25')
    >>> _with_half(3.21e9, 4.4e7), _with_half(3.2e-7, 1.04e-6)
    ('(3.210 ± 0.044)e+09', '(0.3 ± 1.0)e-06')
    """
    if not half > 0 or math.isinf(half):
        return f"{mean:.3g}" if half != 0 else f"{mean:.3g} ± 0"
    size = math.floor(math.log10(max(abs(mean), half)))
    if not -4 < size < 6:
        return f"({_with_half(mean / 10.0**size, half / 10.0**size)})e{size:+03d}"
    places = places_of(half)
    mean, half = round(mean, places) + 0.0, round(half, places)
    return f"{mean:.{max(places, 0)}f} ± {half:.{max(places, 0)}f}"


def _broken(label: str, width: int) -> str:
    """A label in lines of so many columns, broken behind brackets and commas only.

    >>> _broken("Deletion(steps=4, removal=Replaced(Blurred(10)))", 20).splitlines()
    ['Deletion(steps=4,', ' removal=Replaced(', ' Blurred(10)))']
    """
    lines = [""]
    for piece in re.findall(r"[^(,]+[(,]? ?|[(,] ?", label):
        if lines[-1] and len(f"{lines[-1]}{piece}".rstrip()) > width:
            lines.append(" ")
        lines[-1] += piece.lstrip() if lines[-1] == " " else piece
    return "\n".join(line.rstrip() for line in lines)


def _wide(texts: Sequence[str]) -> int:
    """Columns of the longest line."""
    return max(len(line) for text in texts for line in text.splitlines())


def _side_by_side(widths: Sequence[int], room: int) -> list[list[int]]:
    """Columns in groups of which each fits beside each other, with two between them.

    >>> _side_by_side([10, 11, 12], 25)
    [[0, 1], [2]]
    """
    groups: list[list[int]] = [[]]
    left = room
    for place, width in enumerate(widths):
        if groups[-1] and width > left:
            groups.append([])
            left = room
        groups[-1].append(place)
        left -= width + 2
    return groups


def _part(scores: Scores, names: Sequence[str], columns: Sequence[Column]) -> Table:
    lines = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column("method", overflow="fold", vertical="bottom")
    for column in columns:
        lines.add_column(Text(column.head), justify="right", overflow="fold", vertical="bottom")
    for place, (label, name) in enumerate(zip(scores.methods, names, strict=True)):
        style = "dim" if label in scores.controls else ""
        cells = [
            Text(
                column.cells[place],
                "bold" if column.best[place] else "red" if column.cells[place].strip() == "–" else "",
            )
            for column in columns
        ]
        lines.add_row(Text(name), *cells, style=style)
    return lines


def _note(scores: Scores, frame: Any, confidence: float, *, starred: bool) -> str:
    """What the marks in the table mean, of those that are there."""
    from smoothgrad.report.judged import FEW

    most, ranked = frame.groupby("measure").n.max(), set(frame.measure[frame["rank"] == 1])
    few = [int(many) for measure, many in most.items() if measure in ranked and many <= FEW]
    over = counted(int(most.max()), "picture")
    told = (
        (f"mean ± half of the {100 * confidence:.4g} % interval over {over}", frame.low.notna().any()),
        (f"mean over {over}, too few or too alike for intervals", not frame.low.notna().any() and (frame.n > 0).any()),
        ("↑ higher is better", (frame.better == "higher").any()),
        ("↓ lower is better", (frame.better == "lower").any()),
        ("– behind a measure: it describes and does not judge", (frame.better == "neither").any()),
        ("– in a row: no score", (frame.n == 0).any()),
        ("n: pictures with a score, where some have none", ((frame.n > 0) & (frame.failed > 0)).any()),
        (f"{'*' if starred else 'bold'} is the best", len(few) < len(ranked)),
        (f"{_over(few)}: too few to tell methods apart", bool(few)),
        (f"{', '.join(scores.controls)}: maps that know nothing of the network", bool(scores.controls) and starred),
        ("dim are maps that know nothing of the network", bool(scores.controls) and not starred),
    )
    return "; ".join(text for text, shown in told if shown)


def _over(counts: Sequence[int]) -> str:
    """
    >>> _over([4, 4]), _over([1]), _over([2, 5])
    ('over 4 pictures', 'over 1 picture', 'over 2 to 5 pictures')
    """
    if not counts or min(counts) == max(counts):
        return f"over {counted(max(counts, default=0), 'picture')}"
    return f"over {min(counts)} to {max(counts)} pictures"
