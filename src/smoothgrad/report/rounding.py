"""To how many decimals a mean is told: as many as its interval has something to say about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LONGEST = 7  # digits of a number in a column beyond which its rows are rounded each for itself


class Told(NamedTuple):
    """A mean with the ends of its interval, in words; "–" for what is not known."""

    mean: str
    low: str
    high: str


def places_of(half: float) -> int:
    """The decimal place of the second digit of half an interval, above 0: 2 for hundredths, -1 for tens.

    >>> places_of(0.00771), places_of(118.0), places_of(0.0996)  # the last is rounded first: its second digit is that of 0.10
    (4, -1, 2)
    """
    return 1 - math.floor(math.log10(float(f"{half:.1e}")))


def told_alike(rows: Sequence[tuple[float, float, float]]) -> list[Told]:
    """Means, each with the ends of its interval, for a column: all with the decimals that the narrowest interval asks for.

    Where that would be numbers of very many digits beside a far larger one, each row has the decimals of its own interval.

    >>> told_alike([(0.031, 0.0254, 0.0361), (0.5, 0.4, 0.6)])
    [Told(mean='0.0310', low='0.0254', high='0.0361'), Told(mean='0.5000', low='0.4000', high='0.6000')]
    >>> told_alike([(440.23, 431.5, 449.2), (124705.4, 118000.0, 131000.0)])
    [Told(mean='440.2', low='431.5', high='449.2'), Told(mean='124,705.4', low='118,000.0', high='131,000.0')]
    """
    needs = [_needed(*row) for row in rows if math.isfinite(row[0])]
    most = max(needs, default=0)
    largest = max((abs(number) for row in rows for number in row if math.isfinite(number)), default=0.0)
    alike = most + (math.floor(math.log10(largest)) + 1 if largest else 1) <= LONGEST
    return [
        Told(*(_told(number, (most if alike else _needed(*row)) if math.isfinite(row[0]) else 0) for number in row))
        for row in rows
    ]


def _needed(mean: float, low: float, high: float) -> int:
    """Decimals: of the interval where there is one, else three digits of the mean."""
    half = (high - low) / 2
    if half > 0 and math.isfinite(half):
        return max(places_of(half), 0)
    return max(2 - math.floor(math.log10(abs(mean))), 0) if mean else 0


def _told(number: float, places: int) -> str:
    if not math.isfinite(number):
        return "–"
    if places > LONGEST or abs(number) >= 1e7:
        return f"{number:.3g}".replace("-", "−")
    return f"{round(number, places) + 0.0:,.{places}f}".replace("-", "−")
