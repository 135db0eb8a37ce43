"""The state of a training on disk: tensors as safetensors, the rest as JSON, under checksums.

A checkpoint is a folder ``step-00000123`` of ``state.safetensors`` and ``state.json``, which holds
the format, its version, the size and SHA-256 of the tensors and its own checksum. It is made under
a temporary name and renamed, so a process killed at any instant leaves the one before.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.atomic import TEMPORARY_MARK, replaced_folder
from asr.errors import AsrError, ModelError
from asr.tensor_file import read_tensors

FORMAT, VERSION = "malsori-checkpoint", 1
STATE_FILE, TENSORS_FILE = "state.json", "state.safetensors"
_NAME = re.compile(r"step-(\d{8,})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What was read.

    Attributes:
        step: optimizer steps done.
        state: JSON values.
        tensors: on the CPU, by name.
    """

    step: int
    state: dict[str, Any]
    tensors: dict[str, Tensor]


def write_checkpoint(
    folder: Path, step: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor], keep: int
) -> Path:
    """Write one into ``folder`` and remove all but the last ``keep``.

    Raises:
        AsrError: the disk is full; the checkpoints before are as they were.
    """
    data = tensor_bytes(tensors)
    body = {
        "format": FORMAT,
        "version": VERSION,
        "step": step,
        "tensors": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "state": dict(state),
    }
    body["checksum"] = _checksum(body)
    path = folder / f"step-{step:08d}"
    with full_disk_explained(folder), replaced_folder(path) as temporary:
        _write_synced(temporary / TENSORS_FILE, data)
        text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
        _write_synced(temporary / STATE_FILE, text.encode())
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The finished ones, oldest first; what killed processes left unfinished is not listed."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left unfinished. Only where no other process writes."""
    if folder.is_dir():
        for path in folder.iterdir():
            if TEMPORARY_MARK in path.name:
                shutil.rmtree(path, ignore_errors=True)


def read_latest(folder: Path) -> Checkpoint | None:
    """The last whole checkpoint; None if there are none. A damaged one is passed over, logged.

    Raises:
        ModelError: there are some, but all are damaged, or one is of a newer version.
    """
    damaged = []
    for path in reversed(checkpoints(folder)):
        try:
            return read_checkpoint(path)
        except _Damaged as error:
            _log.warning("%s; trying the checkpoint before", error)
            damaged.append(path.name)
    if damaged:
        raise ModelError(
            f"all checkpoints in {folder} are damaged ({', '.join(damaged)}): delete the folder to "
            "train from the beginning"
        )
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """One checkpoint, compared with its checksums.

    Raises:
        ModelError: damaged, or of a newer version.
    """
    try:
        body = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise _Damaged(f"{path / STATE_FILE} is not a checkpoint")
        if body["version"] > VERSION:
            raise ModelError(
                f"{path} was written by a newer version: update Malsori, or train in another folder"
            )
        if body["checksum"] != _checksum(body):
            raise _Damaged(f"{path / STATE_FILE} is damaged (checksum differs)")
        data = (path / TENSORS_FILE).read_bytes()
        if hashlib.sha256(data).hexdigest() != body["tensors"]["sha256"]:
            raise _Damaged(f"{path / TENSORS_FILE} is damaged (checksum differs)")
        return Checkpoint(int(body["step"]), body["state"], bytes_tensors(data))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _Damaged(f"{path} is damaged ({error})") from error


def read_weights(path: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint whose names begin with ``prefix``, which is cut off."""
    arrays = read_tensors(path / TENSORS_FILE)
    return {
        name.removeprefix(prefix): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file in memory."""
    from safetensors.torch import save

    # copies, for safetensors refuses tensors that share memory
    data: bytes = save({name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()})
    return data


def bytes_tensors(data: bytes) -> dict[str, Tensor]:
    """Inverse of :func:`tensor_bytes`; ValueError for a malformed one."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return tensors


@contextlib.contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn the system's error of a full disk into one that says what to do.

    Raises:
        AsrError: no space, or no quota, is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise AsrError(
            f"the disk of {folder} is full: free some space and run the same command again; it "
            "goes on from the last checkpoint, which is whole"
        ) from error


class _Damaged(ModelError):
    """A checkpoint that cannot be read; the one before may be whole."""


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _checksum(body: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in body.items() if key != "checksum"}
    text = json.dumps(kept, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
