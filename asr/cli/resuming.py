"""What of a transcription is done: a mark for each sound, in a hidden folder of the output."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.atomic import replaced_file
from asr.cli.inputs import STDIN, Input

FOLDER = ".malsori-done"
FORMAT, VERSION = "malsori-done", 2
Outputs = dict[str, Path]
"""Where the transcripts of a sound go, by format."""


class Marks:
    """Tells which sounds have been recognised in full, as they are and in the same way.

    Args:
        folder: of the output.
        how: all that a transcript depends on beside its sound, JSON-able.
    """

    def __init__(self, folder: Path, how: Mapping[str, Any]) -> None:
        self._folder = folder
        self._how = json.loads(json.dumps(how))

    def done(self, item: Input, outputs: Outputs) -> bool:
        """Whether all of a sound's transcripts are there, made of this sound in this way."""
        mark = self._read(self._path(outputs))
        return (
            mark == self._mark(item, mark.get("files", ()))
            and mark.get("sound") is not None
            and set(outputs) <= set(mark["files"])
            and all(path.is_file() for path in outputs.values())
        )

    def forget(self, outputs: Outputs) -> None:
        """From now on a sound is not done: its transcripts are about to change."""
        self._path(outputs).unlink(missing_ok=True)

    def note(self, outputs: Outputs, before: Mapping[str, Any]) -> None:
        """A sound is done.

        Args:
            outputs: the transcripts that were written.
            before: from :meth:`mark_of`, taken before the sound was read.
        """
        with replaced_file(self._path(outputs)) as file:
            json.dump({**before, "files": sorted(outputs)}, file, ensure_ascii=False, indent=1)

    def mark_of(self, item: Input) -> dict[str, Any]:
        """The sound as it is now, and how it is recognised."""
        return self._mark(item, ())

    def undone(
        self, inputs: Sequence[Input], outputs: Sequence[Outputs]
    ) -> tuple[list[Input], list[Outputs]]:
        """The inputs that are not done, and where their transcripts go."""
        left = [
            pair for pair in zip(inputs, outputs, strict=True) if not self.done(*pair)
        ]
        if len(left) < len(inputs):
            done = len(inputs) - len(left)
            print(f"asr: {done} of {len(inputs)} sounds are done already", file=sys.stderr)
        return [item for item, _ in left], [files for _, files in left]

    def _mark(self, item: Input, files: Sequence[str]) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "sound": _stamp(item), "how": self._how,
                "files": list(files)}  # fmt: skip

    def _path(self, outputs: Outputs) -> Path:
        """One file for all formats of a sound: the transcripts' own name without the format."""
        name, path = next(iter(outputs.items()))
        base = os.fspath(path.relative_to(self._folder)).removesuffix(f".{name}")
        return self._folder / FOLDER / f"{base}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        """A mark; empty where there is none, or none that makes sense."""
        with contextlib.suppress(OSError, ValueError):
            mark = json.loads(path.read_bytes())
            if isinstance(mark, dict) and isinstance(mark.get("files"), list):
                return mark
        return {}


def _stamp(item: Input) -> dict[str, str | int] | None:
    """What tells a sound from others and from what it was before; None where nothing does."""
    if item.source == STDIN:
        return None
    try:
        stat = os.stat(item.source)
    except OSError:
        return None
    path = os.fsencode(os.path.abspath(item.source)).decode("utf-8", "replace")
    return {"path": path, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def model_identity(path: Path) -> str:
    """What tells a model from others: its manifest holds the checksums of all its files."""
    from asr.bundle import MANIFEST_FILE

    try:
        return identity((path / MANIFEST_FILE).read_bytes())
    except OSError:  # no model: loading it will say so
        return ""


def content_identity(path: Path) -> str:
    """What tells a file's content from others; where it cannot be read, its name."""
    try:
        return identity(path.read_bytes())
    except OSError:
        return os.fspath(path)


def identity(content: bytes) -> str:
    """What tells contents apart."""
    return hashlib.sha256(content).hexdigest()
