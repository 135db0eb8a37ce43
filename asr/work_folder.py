"""Folders in which long work keeps what it has done, so that it can go on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asr.atomic import TEMPORARY_MARK, replaced_file
from asr.errors import DataError

RUN_FILE = "run.json"


def claim(folder: Path, options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Make a folder this work's, or see that it is.

    Args:
        folder: made if it is not there.
        options: whatever decides the result; JSON-able.
        names: of the data, in order.

    Raises:
        DataError: other work was begun there, or it holds something else.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    digest.update("\n".join(names).encode())
    path = folder / RUN_FILE
    if not path.exists():
        if folder.is_dir() and any(TEMPORARY_MARK not in one.name for one in folder.iterdir()):
            raise DataError(
                f"{folder} holds other things: choose an empty or a new folder for the work, which"
                " is deleted when it is done"
            )
        with replaced_file(path) as file:
            json.dump({**options, "sha256": digest.hexdigest()}, file, indent=1)
        return
    try:
        same = json.loads(path.read_text(encoding="utf-8"))["sha256"] == digest.hexdigest()
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise DataError(
            f"{folder} holds the work of a run with other options or other speech: delete it or "
            "choose another folder"
        )
