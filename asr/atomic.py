"""Write files and folders so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

TEMPORARY_MARK = ".tmp-"
"""Part of the name of everything unfinished, so that leftovers can be told from results."""
_OLD = "old-"
"""Begins the rest of the name of a folder that was replaced."""


@contextlib.contextmanager
def replaced_file(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends without error.

    `mode` is "w" (UTF-8 text, "\\n" line ends) or "wb". Missing parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    text = {"encoding": "utf-8", "newline": "\n"} if "b" not in mode else {}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a temporary folder beside `path` that takes its place when the block ends without error.

    A folder already at `path` is replaced; between its removal and the new one's arrival there is
    an instant when a reader finds neither: :func:`recover_folder` mends it where one was killed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        _sync(temporary)
        if path.exists():
            old = _beside(path, _OLD)
            os.rename(path, old)
            os.rename(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(temporary, path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def recover_folder(path: str | os.PathLike[str]) -> None:
    """Put back the folder that a killed :func:`replaced_folder` had taken away, if there is none.

    Whatever else such calls have left is removed: only where nobody else writes to `path`.
    """
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}{TEMPORARY_MARK}*"):
        if not path.exists() and f"{TEMPORARY_MARK}{_OLD}" in left.name:
            os.rename(left, path)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _beside(path: Path, mark: str = "") -> Path:
    own = f"{mark}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.name}{TEMPORARY_MARK}{own}")


def _sync(folder: Path) -> None:
    """Force a folder's entries to the disk, so that a power cut cannot undo the rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
