"""How the command tells of a failure: one line on standard error."""

from __future__ import annotations

import errno
import sys

from asr.errors import AsrError


def report(message: str) -> None:
    """Print one line about a failure to standard error."""
    print(f"asr: error: {message}", file=sys.stderr)


def about(name: str, error: BaseException) -> str:
    """One line about a failure with one of several inputs, which names it."""
    line = describe(error)
    return line if name in line else f"{name}: {line}"


def describe(error: BaseException) -> str:
    """One line for a user: our own errors say what to do, others ask for `--debug`."""
    if isinstance(error, AsrError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{where}the disk is full: free some space and run the same command again"
        return f"{where}{error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory: try shorter files, or --jobs 1"
    what = " ".join(str(error).split())
    return f"internal error: {type(error).__name__}: {what} (run again with --debug and report it)"
