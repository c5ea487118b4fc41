"""What came of it: for people, for JSON, and as the exit code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import typer
from rich.padding import Padding
from rich.text import Text

from smoothgrad.cli.console import FAILED, complain, counted, err, remark
from smoothgrad.cli.options import LookOptions
from smoothgrad.cli.output import Output
from smoothgrad.errors import BadMethod

if TYPE_CHECKING:
    from smoothgrad.cli.inputs import Source
    from smoothgrad.compare import Comparison, Failure, Row
    from smoothgrad.core.explainer import Explainer
    from smoothgrad.result import Attribution

FRESH = "how strongly its map would correlate with this one"


def maps_in(row: Row) -> list[Attribution]:
    """The maps of a picture that were made."""
    from smoothgrad.result import Attribution

    return [cell for cell in row.cells if isinstance(cell, Attribution)]


def failures_in(row: Row) -> list[Failure]:
    """Why maps of a picture are missing, each reason once."""
    from smoothgrad.compare import Failure

    return list(dict.fromkeys(cell for cell in row.cells if isinstance(cell, Failure)))


def write_report(table: Comparison, output: Output, looks: LookOptions, title: str) -> Path | None:
    """index.html, unless it is not wanted or there is nothing to show."""
    made = [result for row in table.rows for result in maps_in(row)]
    if not made or not output.has("html"):
        return None
    return table.report(output.folder / "index.html", look=looks.over(made[0].look), title=title)


def map_plainly(result: Attribution) -> dict[str, Any]:
    """One map's numbers, for JSON."""
    error, complete = result.relative_error, result.completeness
    return {
        "class": result.target_name(),
        "target": result.target[0].tolist(),
        "score": float(result.score[0]),
        "relative_error": None if error is None else float(error[0]),
        "reproducibility": None if result.reproducibility is None else float(result.reproducibility[0]),
        "completeness_error": None if complete is None else float(complete.error[0]),
        "converged": None if result.converged is None else bool(result.converged[0]),
        "draws": int(result.draws[0]),
        "passes": int(result.passes[0]),
        "key": int(result.keys[0]),
        "precision": result.provenance["dtype"],
        "precision_chosen": result.provenance.get("precision"),  # why, where auto chose it
        "prepared": result.provenance.get("prepared"),
        "seconds": result.provenance["seconds"],
    }


def source_plainly(source: Source) -> dict[str, Any]:
    """Which picture, and which of its targets where there are several, for JSON."""
    return {"picture": source.name} | ({"asked": source.target} if source.target else {})


def failures_plainly(table: Comparison) -> list[dict[str, str]]:
    """What failed, for JSON."""
    from smoothgrad.compare import Failure

    return [
        {"picture": row.name, "method": label, "kind": cell.kind, "reason": cell.reason}
        for row in table.rows
        for label, cell in zip(table.labels, row.cells, strict=True)
        if isinstance(cell, Failure)
    ]


def unsettled(cell: Attribution | Failure) -> TypeGuard[Attribution]:
    """Was this map to reach a tolerance, and did not?"""
    from smoothgrad.result import Attribution

    return isinstance(cell, Attribution) and cell.converged is not None and not bool(cell.converged[0])


def mark(cell: Attribution | Failure) -> str:
    """What stands behind the error of a map that did not reach its tolerance."""
    return ", not settled" if unsettled(cell) else ""


def shown_error(result: Attribution) -> str:
    """A relative error for a table; a dash where chance plays no part."""
    error = result.relative_error
    return "–" if error is None else f"{float(error[0]):.2f}"


def shown_reproducibility(result: Attribution) -> str:
    """How strongly the map of a fresh seed would correlate, for a table; a dash where it is not known.

    It is an estimate: rounded down, since 1.00 would be a promise.
    """
    found = math.nan if result.reproducibility is None else float(result.reproducibility[0])
    return "–" if math.isnan(found) else f"{math.floor(100 * found) / 100:.2f}"


def check_tested(method: Explainer) -> None:
    """Raises `BadMethod` for --fdr and a method of which it is clear before any work that its maps cannot be tested."""
    from smoothgrad.report.words import has_chance

    if method.unsigned:
        raise BadMethod(
            f"--fdr shows what differs from zero, and maps of {method!r} are never negative: their mean is not zero; "
            "leave it out, or choose a signed map, such as smoothgrad"
        )
    if not has_chance(method):
        raise BadMethod(
            f"--fdr needs a standard error, and {method!r} has none: chance plays no part in it; leave it out, or choose a mean "
            "over random draws, such as smoothgrad"
        )


def say_unsettled(table: Comparison) -> None:
    """Name the maps that were to reach a tolerance and stopped before it."""
    for row in table.rows:
        for label, cell in zip(table.labels, row.cells, strict=True):
            if unsettled(cell):
                which = row.name if len(table.labels) == 1 else f"{row.name}, {label}"
                short = "relative error" if cell.completeness is None else "completeness error"
                error = shown_error(cell) if cell.completeness is None else f"{float(cell.completeness.error[0]):.2f}"
                remark(
                    f"{which} stopped at {int(cell.draws[0])} draws with {short} {error}; raise most or the tolerance",
                    head="not settled: ",
                )


def say_failures(table: Comparison) -> None:
    """Name what failed, with the reasons, and exit with 1; return where nothing did."""
    failed = [row for row in table.rows if failures_in(row)]
    if not failed:
        return
    part = "" if not any(maps_in(row) for row in failed) else ", some of them in part"
    complain(f"{len(failed)} of {counted(len(table.rows), 'picture')} failed{part}")
    console = err()
    for row in failed:
        for reason in failures_in(row):
            labels = [label for label, cell in zip(table.labels, row.cells, strict=True) if cell == reason]
            which = "" if len(labels) == len(table.labels) else f", {', '.join(labels)}"
            line = Text.assemble((row.name + which, "bold"), f": {reason.reason}")
            if console.is_terminal:
                console.print(Padding(line, (0, 0, 0, 2)))
            else:
                console.print(line, soft_wrap=True)
    raise typer.Exit(FAILED)
