"""What a run leaves in its folder, and whether it can be written there."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from smoothgrad.cli.console import remark
from smoothgrad.errors import BadOption, CannotWrite, MissingPackage, nearest
from smoothgrad.files import write_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150

# What each format needs: packages, and the extra that brings them.
_NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "png": (("matplotlib",), "view"),
    "html": (("jinja2", "matplotlib"), "report"),
    "csv": (("pandas",), "table"),
    "parquet": (("pandas", "pyarrow"), "table"),
    "safetensors": ((), ""),
}


@final
@dataclass(frozen=True)
class Output:
    """A folder that can be written, and the formats that go there."""

    folder: Path
    formats: frozenset[str]

    @staticmethod
    def checked(folder: Path, text: str | None, known: Sequence[str], *, quiet: bool = False) -> Output:
        """Without a choice (`text`), all formats whose packages are installed; what is left out is said.

        Raises `BadOption` for a format that is not known, `MissingPackage` for one that was asked for, `CannotWrite`.
        """
        formats = known if text is None else _chosen(text, known)
        there = []
        for format in formats:
            packages, extra = _NEEDS[format]
            missing = [package for package in packages if importlib.util.find_spec(package) is None]
            install = f"install it with: pip install 'smoothgrad[{extra}]'"
            if missing and text is not None:
                raise MissingPackage(f"{format} needs {missing[0]}, which is not installed; {install}")
            if missing and not quiet:
                remark(f"no {format} is written: {missing[0]} is not installed; {install}")
            there += [] if missing else [format]
        _check_writable(folder)
        return Output(folder, frozenset(there))

    def has(self, format: str) -> bool:
        return format in self.formats

    def spare(self, inputs: Iterable[Path], names: Iterable[str]) -> None:
        """Raises `BadOption` where a file to be written would replace a picture that is to be read."""
        ours = {(self.folder / name).resolve() for name in names}
        for path in inputs:
            if path.resolve() in ours:
                raise BadOption(f"{path} would be replaced by its own map; choose another folder with --out")


def write_figure(figure: Figure, path: Path) -> Path:
    """A PNG of a figure, aside and then renamed."""
    return write_aside(path, lambda aside: figure.savefig(aside, dpi=DPI, format="png"))


def _chosen(text: str, known: Sequence[str]) -> list[str]:
    words = [word.strip().lower().lstrip(".") for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise BadOption(f"--format knows no {word!r}; {nearest(word, known)}")
    if not words:
        raise BadOption(f"--format names nothing; give some of {','.join(known)}")
    return words


def _check_writable(folder: Path) -> None:
    """Make a file there and remove it: the only test that holds on every system. No folder is left that was not there."""
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotWrite(
            f"cannot write into {folder}: {error.strerror or error}; choose another folder with --out"
        ) from error
    finally:
        for part in made:
            if part.is_dir() and not any(part.iterdir()):
                part.rmdir()
