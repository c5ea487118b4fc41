"""What comes of a check: a verdict for each axiom, and the counter-example where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from torch import Tensor

from smoothgrad.errors import UnknownName, need

if TYPE_CHECKING:
    from pandas import DataFrame

NEAR = 2  # places to each side that `Counterexample.near` shows


@final
@dataclass(frozen=True, eq=False, repr=False)
class Counterexample:
    """The two maps that should agree and do not, where they disagree most, and what they were made of.

    For completeness the two values are the sum of the map and what it should be, for sensitivity the attribution and the change of
    score that it misses.
    """

    row: int  # which of the rows that were given
    place: tuple[int, ...] | None  # the value in the row, channel first; None where the whole map is meant
    networks: tuple[str, ...]  # the two functions that are compared, as formulas of the user's network f
    inputs: tuple[
        Tensor, ...
    ]  # (*S) each: what they were asked about; one alone where a score is held against no other
    maps: tuple[Tensor, Tensor]  # (*S) each
    values: tuple[float, float]  # the two attributions there
    sentence: str

    def __repr__(self) -> str:
        return f"<Counterexample: {self.sentence}>"

    @property
    def near(self) -> tuple[Tensor, ...]:
        """Inputs and maps around the place, at most 5 values along each dimension: tensors small enough to look at."""
        shown = (*self.inputs, *self.maps)
        middle = self.place or (0,) * shown[0].ndim
        return tuple(part[tuple(slice(max(0, at - NEAR), at + NEAR + 1) for at in middle)] for part in shown)


@final
@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found about one axiom.

    That it holds means: on these rows and in these networks no counter-example was found. That it fails is certain.
    """

    axiom: str
    holds: bool | None  # None where it cannot be asked, with the reason
    error: float  # how far the worst value is off: of the map; of its sum or of the score; NaN where it was not asked
    allowed: float  # what rounding, quadrature or chance may explain of that
    counterexample: Counterexample | None = None
    reason: str = ""  # why it was not asked; else in which networks it was asked, and what was left out

    @property
    def word(self) -> str:
        """ "holds", "fails" or "not asked"."""
        return {True: "holds", False: "fails", None: "not asked"}[self.holds]

    @property
    def why(self) -> str:
        """In a sentence: the counter-example, or the reason."""
        return self.reason if self.counterexample is None else self.counterexample.sentence


@final
@dataclass(frozen=True, eq=False, repr=False)
class AxiomReport:
    """The verdicts on one method and one model: a length, `report["dummy"]`, and iteration over them in order."""

    method: str  # its recipe
    model: str
    rows: int
    seed: int
    verdicts: tuple[Verdict, ...]

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __getitem__(self, axiom: str) -> Verdict:
        for verdict in self.verdicts:
            if verdict.axiom == axiom:
                return verdict
        raise UnknownName(f"{axiom!r} was not checked; there are {', '.join(one.axiom for one in self)}")

    @property
    def holds(self) -> bool:
        """Was every axiom asked, and did each hold? One that could not be asked is not passed: see `failed` and `unasked`."""
        return all(verdict.holds is True for verdict in self)

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Those with a counter-example."""
        return tuple(verdict for verdict in self if verdict.holds is False)

    @property
    def unasked(self) -> tuple[Verdict, ...]:
        """Those that could not be asked."""
        return tuple(verdict for verdict in self if verdict.holds is None)

    @property
    def frame(self) -> DataFrame:
        """One line per axiom (pandas)."""
        pandas = need("pandas", extra="table")
        frame: DataFrame = pandas.DataFrame.from_records([self._record(one) for one in self], columns=COLUMNS)
        return frame

    def _record(self, verdict: Verdict) -> dict[str, object]:
        found = verdict.counterexample
        return {
            "method": self.method,
            "model": self.model,
            "rows": self.rows,
            "seed": self.seed,
            "axiom": verdict.axiom,
            "outcome": verdict.word,
            "error": verdict.error,
            "allowed": verdict.allowed,
            "row": None if found is None else found.row,
            "place": None if found is None or found.place is None else " ".join(map(str, found.place)),
            "first": None if found is None else found.values[0],
            "second": None if found is None else found.values[1],
            "why": verdict.why,
        }

    def __repr__(self) -> str:
        wide = max((len(one.axiom) for one in self), default=0)
        lines: list[str] = []
        before: dict[str, str] = {}  # a long reason is said once, and then where
        for one in self:
            why = one.why
            if why and one.holds is None:
                why = f"as {before[why]}" if why in before else why
                before.setdefault(one.why, one.axiom)
            lines.append(f"  {one.axiom:<{wide}}  {one.word:<9}  {_numbers(one)}{why}".rstrip())
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return "\n".join([f"<Axioms of {self.method} on {self.model}, {rows}, seed {self.seed}", *lines, ">"])


def _numbers(verdict: Verdict) -> str:
    return "" if verdict.holds is None else f"error {verdict.error:.2g}, allowed {verdict.allowed:.2g}; "


COLUMNS = [
    *("method", "model", "rows", "seed", "axiom", "outcome", "error", "allowed"),
    *("row", "place", "first", "second", "why"),
]
