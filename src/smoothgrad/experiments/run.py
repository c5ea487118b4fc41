"""Running an experiment: cell by cell, each kept as soon as it is done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from smoothgrad.core.value import content_digest
from smoothgrad.errors import BadMethod, SmoothGradError
from smoothgrad.experiments.experiment import Cell, Experiment, Finding, Row, Scalar
from smoothgrad.experiments.kept import is_kept, keep, recall
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup, answered, digest_of, version
from smoothgrad.models.fingerprint import fingerprint


def run(experiment: Experiment, setup: Setup, *, folder: str | Path | None = None) -> Result:
    """Every cell of an experiment, as a table with figures.

    With a `folder`, each cell is kept there as soon as it is done: an experiment that was stopped goes on where it was when it is
    run again, and one whose grid has grown makes only what is new. A cell that fails, such as a method that refuses a constant
    picture, stands in the table with the reason, and the others are made; it is tried again next time.

    Raises `SmoothGradError` before any work where experiment, network and pictures do not go together, or a cell in the folder is
    damaged.

    >>> from smoothgrad.experiments.noise_level import NoiseLevel
    >>> from smoothgrad.experiments.setup import samples_of
    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> run(NoiseLevel(noise=(0.0, 0.2)).quick(), Setup(net, samples_of(net, 1), model="digits"))
    <Result of noise-level: ...>
    """
    place = None if folder is None else Path(folder)
    experiment.check(setup)
    with tempfile.TemporaryDirectory() as passing:  # of what serves several cells, where nothing is to be kept
        at_work = replace(setup, folder=setup.folder or place or Path(passing))
        found = [*_found(experiment, at_work, place)]
    findings, records = zip(*found, strict=True)
    rows = tuple(record for some in records for record in some)
    return Result(experiment, replace(setup, folder=setup.folder or place), experiment.cells(setup), findings, rows)


def _found(experiment: Experiment, setup: Setup, place: Path | None) -> Iterator[tuple[Finding, tuple[Row, ...]]]:
    """What each cell found, with its rows of the table."""
    cells = experiment.cells(setup)
    whose = _whose(setup)
    names = [_name(cell, setup, whose) for cell in cells]
    folders = [None if place is None else place / "cells" / name for name in names]
    for folder in folders:
        if folder is not None:
            recall(folder)  # what is damaged is said before any work
    for number, (cell, name, folder) in enumerate(zip(cells, names, folders, strict=True)):
        setup.watch.cell(cell.name, number, len(cells))
        finding, reason = _made(cell, setup, folder)
        yield finding, tuple(_records(cell, finding, reason, setup, name, whose))
    setup.watch.cell("", len(cells), len(cells))


def kept_cells(experiment: Experiment, setup: Setup, *, folder: str | Path) -> tuple[int, int]:
    """How many cells of an experiment are kept in a folder, and how many there are."""
    cells = experiment.cells(setup)
    whose = _whose(setup)
    return sum(is_kept(Path(folder) / "cells" / _name(cell, setup, whose)) for cell in cells), len(cells)


def _made(cell: Cell, setup: Setup, folder: Path | None) -> tuple[Finding, str]:
    """What a cell found, from its folder or anew; and why it found nothing, where it failed."""
    named = None if cell.picture is None else cell.picture.name
    kept = None if folder is None else recall(folder, named)
    if kept is not None:
        return kept, ""
    try:
        finding = cell.experiment.found(cell.setup(setup))
    except SmoothGradError as error:
        return Finding(({},)), f"{type(error).__name__}: {error}"
    _check_columns(cell.experiment, finding)
    if folder is None:
        return finding, ""
    keep(folder, finding, named)
    return recall(folder, named) or finding, ""  # the maps are read when they are drawn


def _check_columns(experiment: Experiment, finding: Finding) -> None:
    """Raises `BadMethod` for a row that holds what no column of the table is declared for, and which would be lost."""
    known = {"picture", "group", *experiment.grid, *experiment.keys, "quantity", "value", "unit"}
    for row in finding.rows:
        for key in row:
            if key not in known:
                raise BadMethod(
                    f"a row of {experiment.name} holds {key!r}, which is none of its columns; declare it in `keys`"
                )


def _records(cell: Cell, finding: Finding, reason: str, setup: Setup, name: str, whose: _Whose) -> Iterator[Row]:
    about: Row = {
        "reason": reason,
        "recipe": repr(cell.experiment),
        "model": setup.model,
        "data": setup.dataset,
        "target": "" if setup.target is None else repr(setup.target),
        "seed": setup.seed,
        "fingerprint": whose.mark,
        "cell": name,
        "version": whose.version,
    }
    named: dict[Scalar, Picture] = {one.name: one for one in setup.pictures}
    for row in finding.rows or ({},):  # a cell stands in the table also where it only made maps
        # The cell of all pictures says in its rows which of them they are about; they may name one of its own making.
        picture = named.get(row["picture"]) if "picture" in row else cell.picture
        yield {**_seen(picture), **cell.experiment.settings, **row, **about}


def _seen(picture: Picture | None) -> Row:
    """Which picture a row is about, as it is now: files and groups may be other than when its cell was kept."""
    if picture is None:
        return {"file": "", "digest": "", "region": ""}
    return {
        "picture": picture.name,
        "group": picture.group,
        "file": picture.file,
        "digest": picture.digest,
        "region": "" if picture.region is None else content_digest(picture.region),
    }


class _Whose(NamedTuple):
    """What the cells of a run depend on, beside their experiment and their pictures."""

    version: str
    mark: str  # the network's weights
    data: str
    asked: tuple[str, int]  # target and seed
    says: Mapping[
        str, str
    ]  # what the network says of each picture, by its digest: weights do not tell what is done with them


def _whose(setup: Setup) -> _Whose:
    net = setup.network
    return _Whose(
        version(),
        "" if net is None else fingerprint(net),
        "" if setup.data is None else setup.data.digest,
        (repr(setup.target), setup.seed),
        {} if net is None else {one.digest: answered(net, one.x) for one in setup.pictures},
    )


def _name(cell: Cell, setup: Setup, whose: _Whose) -> str:
    """What names a cell by all that it depends on; the picture's own name is not among it, where it is on one alone."""
    seen = tuple(
        (
            one.name if cell.picture is None else "",
            one.digest,
            one.label,
            None if one.region is None else content_digest(one.region),
            whose.says.get(one.digest, ""),
        )
        for one in cell.setup(setup).pictures
    )
    beside = cell.experiment.depends_on(cell.setup(setup))
    return digest_of((repr(cell.experiment), seen, whose.version, whose.mark, whose.data, whose.asked, *beside))
