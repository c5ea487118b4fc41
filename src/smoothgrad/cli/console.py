"""What the commands say, and where: results go to stdout; progress, remarks and errors to stderr."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from smoothgrad.errors import BadMethod, BadOption, BadRecipe, BadTarget, SmoothGradError, UnknownName

FAILED, USAGE = 1, 2  # exit codes; 0 is success
# What a command raises before it works, when it was asked for something that does not exist.
_USAGE_ERRORS = (BadRecipe, BadOption, UnknownName, BadTarget, BadMethod)


def out() -> Console:
    """For results. Made anew, since tests and shells redirect the streams."""
    return Console(highlight=False)


def err() -> Console:
    """For everything that is not a result."""
    return Console(stderr=True, highlight=False)


@contextmanager
def failing(*, debug: bool, json: bool = False, folder: Path | None = None) -> Iterator[None]:
    """One message and an exit code for what the library raises on purpose; anything else keeps its traceback.

    With `json` the message is on stdout too, as the one document of the run. `folder`: where to look after Ctrl-C.
    """
    try:
        yield
    except SmoothGradError as error:
        if debug:
            traceback.print_exc()
        complain(str(error))
        if json:
            write_json({"error": error_plainly(type(error).__name__, str(error))})
        raise typer.Exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILED) from None
    except KeyboardInterrupt:
        there = folder is not None and folder.is_dir()
        message = f"stopped; what was written, if anything, is in {folder}" if there else "stopped"
        complain(message, head="")
        if json:
            write_json({"error": error_plainly("Stopped", message)})
        raise typer.Exit(FAILED) from None


def error_plainly(kind: str, message: str) -> dict[str, str]:
    """What went wrong, for JSON."""
    return {"kind": kind, "message": message}


def complain(message: str, *, head: str = "error: ") -> None:
    """A red message. In a pipe it stays one line, for grep."""
    console = err()
    text = Text.assemble((head, "bold red"), (message, "red"))
    console.print(text, soft_wrap=not console.is_terminal)


def remark(message: str, *, head: str = "note: ") -> None:
    """Something worth knowing that is no failure."""
    console = err()
    console.print(Text.assemble((head, "yellow"), message), soft_wrap=not console.is_terminal)


def write_json(document: Mapping[str, Any]) -> None:
    """The one JSON document of a run, on stdout. JSON knows no infinity and no NaN: they become null."""
    sys.stdout.write(json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(held: Any) -> Any:
    if isinstance(held, float):
        return held if math.isfinite(held) else None
    if isinstance(held, Mapping):
        return {str(name): _plain(part) for name, part in held.items()}
    if isinstance(held, Sequence) and not isinstance(held, str):
        return [_plain(part) for part in held]
    return held


def counted(number: int, thing: str) -> str:
    """
    >>> counted(1, "picture"), counted(3, "picture")
    ('1 picture', '3 pictures')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
