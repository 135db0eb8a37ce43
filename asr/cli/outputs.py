"""Places to write to: refused before the work, not after it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from asr.errors import UsageError


def check_bundle_output(path: Path) -> None:
    """Refuse a place for a model that holds something else.

    Raises:
        UsageError: it is a file, or a folder of other things.
    """
    from asr.bundle import is_bundle

    check_folder_output(path, is_bundle)


def check_folder_output(path: Path, is_model: Callable[[Path], bool]) -> None:
    """Refuse a place for a model of a kind that holds something else.

    Raises:
        UsageError: it is a file, or a folder of other things.
    """
    if path.is_dir() and any(path.iterdir()) and not is_model(path):
        raise UsageError(f"{path} holds something other than a model: choose another OUT")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: choose another OUT")


def work_folder(args: argparse.Namespace) -> Path:
    """Where to keep what is begun: ``--work``, or OUT.work.

    Raises:
        UsageError: it is OUT, in it, or around it.
    """
    output: Path = args.output
    work: Path = args.work or output.with_name(output.name + ".work")
    one, other = output.resolve(), work.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UsageError(f"OUT {output} and the work folder {work} must lie apart")
    return work
