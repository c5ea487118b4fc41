"""What cells found, on disk: so that an experiment that is stopped goes on where it was, and figures can be drawn again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, final

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from smoothgrad.errors import BadInput
from smoothgrad.experiments.experiment import Finding
from smoothgrad.files import write_aside
from smoothgrad.result import Attribution

T = TypeVar("T")


@final
class Lazily(Mapping[str, T]):
    """Things by name that are read when they are asked for, and not held: maps of hundreds of cells do not fit in memory."""

    def __init__(self, names: tuple[str, ...], read: Callable[[str], T]) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def keep(folder: Path, finding: Finding, named: str | None = None) -> None:
    """Write a finding into a folder of its own. Its rows come last: where they are, all is.

    `named`: what the cell's picture is called.
    """
    for name, held in finding.maps.items():
        held.save(folder / f"{name}.map.safetensors")
    for name, array in finding.arrays.items():
        write_aside(folder / f"{name}.array.safetensors", partial(save_file, {"array": array.contiguous()}))
    plain = {"rows": finding.rows, "maps": list(finding.maps), "arrays": list(finding.arrays), "named": named}
    write_aside(folder / "rows.json", lambda aside: aside.write_text(json.dumps(plain, indent=1), encoding="utf-8"))


def is_kept(folder: Path) -> bool:
    """Was the cell of this folder finished?"""
    return (folder / "rows.json").is_file()


def recall(folder: Path, named: str | None = None) -> Finding | None:
    """The finding of a folder, or None where the cell was not finished. Raises `BadInput` where it is damaged.

    `named`: what the cell's picture is called now; the same picture may have been kept under another name.
    """
    path = folder / "rows.json"
    if not is_kept(folder):
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(dict(row) for row in plain["rows"])
        maps, arrays, before = tuple(plain["maps"]), tuple(plain["arrays"]), plain["named"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, folder, error) from error
    for file in (*(f"{name}.map.safetensors" for name in maps), *(f"{name}.array.safetensors" for name in arrays)):
        if not (folder / file).is_file():
            raise _damaged(folder, folder, f"it has no {file}")
        try:
            with safe_open(folder / file, "pt"):  # reads the head, which says how long the file is
                pass
        except (OSError, SafetensorError) as error:
            raise _damaged(folder / file, folder, error) from error

    def map_of(name: str) -> Attribution:
        file = folder / f"{name}.map.safetensors"
        try:
            held = Attribution.load(file)
        except BadInput as error:
            raise _damaged(file, folder, error) from error
        if named is None or held.names is None:
            return held
        return replace(held, names=tuple(named if name == before else name for name in held.names))

    def array(name: str) -> Tensor:
        file = folder / f"{name}.array.safetensors"
        try:
            return load_file(file)["array"]
        except (OSError, KeyError, SafetensorError) as error:
            raise _damaged(file, folder, error) from error

    return Finding(rows, Lazily(maps, map_of), Lazily(arrays, array))


def _damaged(path: Path, folder: Path, why: object) -> BadInput:
    return BadInput(f"{path} is damaged ({why}); remove the folder {folder}, and its cell is made again")
