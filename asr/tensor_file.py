"""Map the arrays of a safetensors file without copying them, and write such files whole.

The file is a little-endian u64 N, then N bytes of JSON (name -> dtype, shape, byte range), then the
data. The `safetensors` package copies each array for numpy; a search graph of tens of megabytes
is better mapped, which also lets processes share it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from asr.atomic import replaced_file

_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
    "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
    "F16": np.float16, "F32": np.float32, "F64": np.float64,
    "BF16": np.uint16,  # the upper half of a float32, which numpy has no type for
}  # fmt: skip


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Arrays by name, mapped copy-on-write: writing to one changes memory and not the file.

    Those of bfloat16 are copied, to float32.

    Raises ValueError for a malformed file, OSError for an unreadable one.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError("its header is cut off")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its header is not JSON: {error}") from error
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
        # Private and writable: numba compiles one version for these and for fresh arrays alike.
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {
        name: _array(buffer, 8 + length, name, entry)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name; the file appears whole or not at all."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replaced_file(path, "wb") as file:
        file.write(save(contiguous))


def _array(buffer: mmap.mmap, offset: int, name: str, entry: Any) -> np.ndarray:
    try:
        dtype = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<")
        shape = tuple(int(extent) for extent in entry["shape"])
        begin, end = (int(place) for place in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"array {name!r} has an unknown type or shape") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0 or begin < 0 or end - begin != count * dtype.itemsize:
        raise ValueError(f"array {name!r} has a shape that does not fit its data")
    if offset + end > len(buffer):
        raise ValueError(f"array {name!r} runs past the end")
    array = np.frombuffer(buffer, dtype, count, offset + begin).reshape(shape)
    if entry["dtype"] == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
