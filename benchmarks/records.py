"""Finished measurements, a line each, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from safetensors.torch import load_file, save_file
from torch import Tensor

Line: TypeAlias = dict[str, Any]


class Records:
    """Measurements of one stage in `folder/<stage>.jsonl`: what was measured (a name) and what came out (a line).

    Only lines made with the same versions and the same code count (`made_with`): a table must not mix two programs.
    """

    def __init__(self, folder: Path, stage: str, made_with: str) -> None:
        self.file = folder / f"{stage}.jsonl"
        self.folder = folder
        self.made_with = made_with
        self._lines: dict[str, Line] = {}
        for line in _lines(self.file):
            if line["made_with"] == made_with:
                self._lines[line["name"]] = line

    def __contains__(self, name: str) -> bool:
        return name in self._lines

    def __getitem__(self, name: str) -> Line:
        return self._lines[name]

    def add(self, name: str, **found: Any) -> Line:
        """Keep what was measured, in memory and on the disk."""
        line = {"name": name, **found, "made_with": self.made_with}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.file.exists() or self.file.read_bytes().endswith(b"\n")
        with self.file.open("a") as file:  # a line that was cut off must not take this one with it
            file.write(("" if whole else "\n") + json.dumps(line) + "\n")
        self._lines[name] = line
        return line

    def under(self, start: str) -> list[Line]:
        """All lines whose name starts so, in the order in which they were measured."""
        return [line for name, line in self._lines.items() if name.startswith(start)]

    def add_maps(self, name: str, maps: Tensor) -> None:
        """Maps beside the lines, for comparing them later."""
        file = self._maps_file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"maps": maps.contiguous()}, file)

    def maps(self, name: str) -> Tensor | None:
        """Maps that were kept under this name by the same versions and code."""
        file = self._maps_file(name)
        return load_file(file)["maps"] if file.exists() else None

    def _maps_file(self, name: str) -> Path:
        digest = hashlib.sha256(f"{name} {self.made_with}".encode()).hexdigest()[:16]
        return self.folder / "maps" / f"{digest}.safetensors"


def _lines(file: Path) -> Iterator[Line]:
    if not file.exists():
        return
    for text in file.read_text().splitlines():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:  # a line that was cut off when the run was stopped: it is measured again
            continue
