"""Writing files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from smoothgrad.errors import CannotWrite


def write_aside(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, then rename it into place. Parent folders are made.

    Nothing is left behind when `write` raises or is interrupted. Raises `CannotWrite` where the system refuses.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_aside(folder + "/new/hello.txt", lambda aside: aside.write_text("hello")).read_text()
    'hello'
    """
    path = Path(path)
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise CannotWrite(f"cannot write {path}: it is a folder; give the name of a file")
        # The suffix stays, for writers that choose the format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        aside = Path(name)
        write(aside)
        aside.chmod(0o666 & ~_umask())  # after: a writer may have put a file of its own there, for its owner only
        aside.replace(path)
        return path
    except CannotWrite:
        raise
    except OSError as error:
        raise CannotWrite(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists and can be written"
        ) from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
