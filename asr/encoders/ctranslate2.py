"""CTranslate2's ``model.bin``: named arrays (OpenNMT/CTranslate2, src/models/model.cc).

    u32 version, string specification, u32 revision, u32 count, then for each array:
        string name, u8 rank, u32 × rank shape, u8 type, u32 bytes, data
    u32 count of aliases, then two strings each

where a string is u16 bytes with a final zero among them. All little-endian.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError

VERSION = 6
NO_VERSION = 1000
"""Above it the file is of another kind."""
_TYPES: dict[int, type[np.generic]] = {
    0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16,
}  # fmt: skip
_MOST_RANK = 8


def read_model(data: bytes) -> dict[str, NDArray[np.generic]]:
    """The arrays of a model.bin by name; read-only views of ``data``.

    Raises:
        ModelError: malformed, cut off, or of a version or type that is not known.
    """
    reader = _Reader(data)
    try:
        version = reader.number("I")
        if version > NO_VERSION:
            raise ModelError("this is no model.bin of CTranslate2: give a .safetensors file or one")
        if version != VERSION:
            raise ModelError(f"model.bin is of version {version}, not {VERSION}: convert it anew"
                             " with a newer CTranslate2")  # fmt: skip
        reader.string()
        reader.number("I")
        found = dict(reader.array() for _ in range(reader.number("I")))
        for _ in range(reader.number("I")):
            alias, name = reader.string(), reader.string()
            found[alias] = found[name]
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ModelError(
            f"model.bin is malformed or cut off at byte {reader.place} ({error}): fetch it again"
        ) from None
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from("<" + kind, self._data, self.place)
        self.place += struct.calcsize("<" + kind)
        return int(value)

    def string(self) -> str:
        size = self.number("H")
        raw = self._data[self.place : self.place + size]
        if len(raw) < size:
            raise ValueError("a name is cut off")
        self.place += size
        return raw.rstrip(b"\0").decode("utf-8")

    def array(self) -> tuple[str, NDArray[np.generic]]:
        name = self.string()
        rank = self.number("B")
        if rank > _MOST_RANK:
            raise ValueError(f"{name} has {rank} dimensions")
        shape = [self.number("I") for _ in range(rank)]
        kind = self.number("B")
        size = self.number("I")
        if kind not in _TYPES:
            raise ValueError(f"{name} is of the unknown type {kind}")
        dtype = np.dtype(_TYPES[kind]).newbyteorder("<")
        if self.place + size > len(self._data):
            raise ValueError(f"{name} is cut off")
        flat = np.frombuffer(self._data, dtype, size // dtype.itemsize, self.place)
        self.place += size
        return name, flat.reshape(shape)
