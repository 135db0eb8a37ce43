"""Features that were dear to compute, kept on disk while a training lasts.

The states of an encoder, above all: float16 in files of a gigabyte, each mapped into memory once,
and an index with a line an entry. What a killed run had computed is found again; an entry whose
checksum is another counts as lost.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.errors import DataError

SHARD_BYTES = 1 << 30
"""Of a file at most, unless one entry is larger; on disk it takes what is in it."""
INDEX_FILE = "index.jsonl"
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where ``frames`` rows lie: in which file, from which byte on, with which CRC-32."""

    key: str
    shard: int
    offset: int
    frames: int
    crc: int


class StateStore:
    """Arrays [T, dim] of two bytes a number by key. For one process.

    Args:
        folder: made if it is not there; for one kind of features alone.
        dim: their width.
        dtype: of the numbers.
    """

    def __init__(
        self, folder: Path, dim: int, dtype: type[np.float16 | np.int16] = np.float16
    ) -> None:
        self.folder, self.dim, self._dtype = folder, dim, dtype
        folder.mkdir(parents=True, exist_ok=True)
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self._end_line()
        self._entries = {entry.key: entry for entry in self._read_index()}
        self._shard = max((entry.shard for entry in self._entries.values()), default=0)
        self._end = max(
            (self._behind(one) for one in self._entries.values() if one.shard == self._shard),
            default=0,
        )

    def find(self, key: str) -> Tensor | None:
        """[T, dim], read when it is used; None where there is none, or it was damaged."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        raw = self._bytes(entry)
        if len(raw) < self._size(entry.frames) or zlib.crc32(raw.tobytes()) != entry.crc:
            return None
        return self._tensor(entry)

    def keep(self, key: str, features: Tensor) -> Tensor:
        """Store numbers [T, dim] and return them as :meth:`find` will.

        Raises:
            DataError: the disk is full, or the features are beyond float16.
            ValueError: they are of another width.
        """
        if features.shape[1:] != (self.dim,):
            raise ValueError(f"features {tuple(features.shape)} are not {self.dim} wide")
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(features.cpu().numpy(), self._dtype)
        if not np.isfinite(array).all():
            raise DataError("its features are beyond what float16 holds")
        entry = self._placed(key, array)
        try:
            with open(self._path(entry.shard), "r+b") as file:
                _write_whole(file.fileno(), array.tobytes(), entry.offset)
            with open(self.folder / INDEX_FILE, "a", encoding="utf-8") as index:
                index.write(json.dumps(asdict(entry)) + "\n")
        except OSError as error:
            raise DataError(f"{self.folder} cannot be written ({error.strerror}): make room on the"
                            " disk, or give --work on another; the same command goes on"
                            ) from error  # fmt: skip
        self._entries[key] = entry
        return self._tensor(entry)

    def remove(self) -> None:
        """Delete all of it."""
        self._maps.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _placed(self, key: str, array: NDArray[Any]) -> _Entry:
        """Where a new entry goes: at the end of the last file, or into a new one."""
        if self._end and self._end + array.nbytes > SHARD_BYTES:
            self._shard, self._end = self._shard + 1, 0
        path = self._path(self._shard)
        wanted = max(SHARD_BYTES, array.nbytes)
        if not path.exists() or path.stat().st_size < wanted:
            with open(path, "ab") as file:
                file.truncate(wanted)  # a hole: no bytes on the disk
            self._maps.pop(self._shard, None)  # it was mapped as short as it had been cut
        entry = _Entry(key, self._shard, self._end, len(array), zlib.crc32(array.tobytes()))
        self._end = self._behind(entry)
        return entry

    def _tensor(self, entry: _Entry) -> Tensor:
        array = self._bytes(entry).view(self._dtype).reshape(entry.frames, self.dim)
        return torch.from_numpy(array)

    def _bytes(self, entry: _Entry) -> NDArray[np.uint8]:
        if entry.shard not in self._maps:
            path = self._path(entry.shard)
            if not path.exists() or not path.stat().st_size:
                return np.zeros(0, np.uint8)
            # shared and writable, as torch asks for; nobody writes through it
            self._maps[entry.shard] = np.memmap(path, np.uint8, "r+")
        return self._maps[entry.shard][entry.offset : entry.offset + self._size(entry.frames)]

    def _read_index(self) -> list[_Entry]:
        path, found = self.folder / INDEX_FILE, []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                found.append(_Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue  # cut off where a run was killed
        return found

    def _end_line(self) -> None:
        """So that the next entry has a line of its own, wherever a run was killed."""
        path = self.folder / INDEX_FILE
        if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
            with open(path, "a", encoding="utf-8") as index:
                index.write("\n")

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:04d}.bin"

    def _size(self, frames: int) -> int:
        return 2 * self.dim * frames

    def _behind(self, entry: _Entry) -> int:
        """Where the next entry may begin: on a page of its own."""
        return -(-(entry.offset + self._size(entry.frames)) // _PAGE) * _PAGE


def _write_whole(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
