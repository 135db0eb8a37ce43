"""Matrices in Kaldi's archives (.ark) and the lists of where each one is (.scp).

An archive holds entries `KEY SPACE \\0B MATRIX`; an scp file has lines `KEY ARCHIVE:OFFSET`,
where the offset is that of `\\0B`, and may end in a range of rows, `[first:last]`, both included
(https://kaldi-asr.org/doc/io.html). Compression is Kaldi's (matrix/compressed-matrix.h).
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from asr.atomic import replaced_file
from asr.data.tables import checked_id, read_mapping, write_table
from asr.errors import DataError, ModelError
from asr.kaldi.io import BinaryReader

_MARK = b"\0B"
_PLACE = re.compile(
    r"(?P<path>.+?):(?P<offset>\d+)(?:\[(?P<first>\d+):(?P<last>\d+)(?:,[\d:]*)?\])?"
)
_OPEN_FILES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a matrix is: the offset of its `\\0B`, and the rows asked for, first and last."""

    path: str
    offset: int
    rows: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `PATH:OFFSET` or `PATH:OFFSET[first:last]`; a path alone is a file of one matrix.

        Raises:
            DataError: a shell command, or rows out of order.
        """
        if text.endswith("|"):
            raise DataError(
                f"a shell command stands where an archive should ({text}): copy the"
                " features to an archive of their own"
            )
        match = _PLACE.fullmatch(text)
        if match is None:
            return cls(text, 0)
        if match["first"] is None:
            return cls(match["path"], int(match["offset"]))
        first, last = int(match["first"]), int(match["last"])
        if last < first:
            raise DataError(f"{text} asks for rows {first} to {last}: put the lower number first")
        return cls(match["path"], int(match["offset"]), (first, last))

    def __str__(self) -> str:
        rows = "" if self.rows is None else f"[{self.rows[0]}:{self.rows[1]}]"
        return f"{self.path}:{self.offset}{rows}"


class ScpReader(Mapping[str, np.ndarray]):
    """The matrices that an scp file lists, by key; each is read when it is asked for.

    Archives are mapped into memory, a few at a time. Not shared between processes: each makes its
    own (pickling keeps the list and drops what is open).

    Args:
        places: key to `ARCHIVE:OFFSET`.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = {key: Place.parse(text) for key, text in places.items()}
        self._maps: dict[str, mmap.mmap] = {}

    @classmethod
    def open(cls, path: str | Path) -> ScpReader:
        """Read an scp file. Relative archives lie beside it or in the working directory.

        Raises:
            DataError: it cannot be read or is malformed.
        """
        from asr.data.table_files import absolute_place

        path = Path(path)
        rows = read_mapping(path, composed_values=False, ordered=False)
        return cls({key: absolute_place(value, path.parent) for key, value in rows.items()})

    def __getitem__(self, key: str) -> np.ndarray:
        """The matrix, float32 or float64 [rows, columns].

        Raises:
            KeyError: no such key.
            DataError: the archive is missing, damaged or holds no matrix there.
        """
        place = self._places[key]
        with _as_data_error(key):
            matrix = self._reader(place).read_matrix()
        if place.rows is None:
            return matrix
        first, last = place.rows
        if last >= len(matrix):
            raise DataError(
                f"{key}: rows up to {last} are asked for where {place.path} has"
                f" {len(matrix)}: correct the range"
            )
        return matrix[first : last + 1]

    def shape(self, key: str) -> tuple[int, int]:
        """Rows and columns, from the header alone.

        Raises:
            KeyError, DataError: as `__getitem__`.
        """
        place = self._places[key]
        with _as_data_error(key):
            rows, columns = _header(self._reader(place))
        if place.rows is not None:
            rows = place.rows[1] - place.rows[0] + 1
        return rows, columns

    def with_place(self, key: str, text: str) -> ScpReader:
        """A reader of one matrix that shares this one's open archives.

        Raises:
            DataError: `text` is no place.
        """
        other = ScpReader({key: text})
        other._maps = self._maps
        return other

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getstate__(self) -> dict[str, Any]:
        return {"_places": self._places, "_maps": {}}

    def _reader(self, place: Place) -> BinaryReader:
        data = self._map(place.path)
        mark = data[place.offset : place.offset + len(_MARK)]
        if mark != _MARK:
            raise DataError(
                f"{place.path} holds no binary matrix at byte {place.offset}: the scp"
                " file belongs to another archive, or this one is text (write it again"
                " with --binary=true)"
            )
        return BinaryReader(memoryview(data), place.path, place.offset + len(_MARK))

    def _map(self, path: str) -> mmap.mmap:
        found = self._maps.get(path)
        if found is None:
            if len(self._maps) >= _OPEN_FILES:
                self._maps.pop(next(iter(self._maps)))
            found = self._maps[path] = _mapped(path)
        return found


def read_ark(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the keys and matrices of a binary archive in its order.

    Raises:
        DataError: it cannot be read, is text, or damaged; what stands before a damage comes first.
    """
    if os.path.exists(path) and os.path.getsize(path) == 0:
        return
    data = memoryview(_mapped(str(path)))
    position = 0
    while position < len(data):
        window = bytes(data[position : position + 4096])
        end = window.find(b" ")
        if end <= 0 or window[end + 1 : end + 3] != _MARK:
            raise DataError(
                f"{path} has no key and binary matrix at byte {position}: it is damaged"
                " or in text form (write it again with --binary=true)"
            )
        key = window[:end].decode("utf-8", "backslashreplace")
        reader = BinaryReader(data, str(path), position + end + 1 + len(_MARK))
        with _as_data_error(key):
            matrix = reader.read_matrix()
        yield key, matrix
        position = reader.position


class ArkWriter:
    """Writes an archive and its scp file, which appear when the block ends without error.

        with ArkWriter(Path("feats.ark"), Path("feats.scp")) as writer:
            writer.write("utterance-1", features)

    Args:
        ark: the archive.
        scp: the list, which names the archive by its absolute path; None for none.
        compress: store bytes (Kaldi's --compress=true, a quarter of the size), not floats.
    """

    def __init__(
        self, ark: str | Path, scp: str | Path | None = None, *, compress: bool = False
    ) -> None:
        self.path = Path(os.path.abspath(ark))
        self.places: dict[str, str] = {}
        self._scp = None if scp is None else Path(scp)
        self._compress = compress
        self._context = replaced_file(self.path, "wb")
        self._file: IO[Any] | None = None
        self._position = 0

    def __enter__(self) -> ArkWriter:
        self._file = self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
        if error[0] is None and self._scp is not None:
            write_table(self._scp, self.places)

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append a matrix, float32 or float64 [rows, columns]; float64 is never compressed.

        Raises:
            DataError: a key with white space or one that was written before, or no such matrix.
        """
        if self._file is None:
            raise DataError("an ArkWriter writes only within its `with` block")
        if checked_id(key) in self.places:
            raise DataError(f"{key} is written to {self.path} twice: give each utterance once")
        if matrix.ndim != 2 or matrix.dtype not in (np.float32, np.float64):
            raise DataError(
                f"{key}: an archive takes float32 or float64 [rows, columns], not"
                f" {matrix.dtype} {list(matrix.shape)}"
            )
        compress = self._compress and matrix.dtype == np.float32 and matrix.size > 0
        body = compressed(matrix) if compress else _plain(matrix)
        name = key.encode() + b" "
        self.places[key] = f"{self.path}:{self._position + len(name)}"
        for piece in (name, _MARK, body):
            self._position += self._file.write(piece)


def compressed(matrix: np.ndarray) -> bytes:
    """Kaldi's speech-feature compression of float32 [rows, columns], a byte a value.

    Values of a column are stored in three linear pieces between its 0, 25, 75 and 100% quantiles;
    matrices of up to 8 rows, too few for those, as 16-bit steps.

    Raises:
        DataError: values that are not finite.
    """
    if not np.isfinite(matrix).all():
        raise DataError("values that are not finite cannot be compressed: compute them anew")
    lowest = float(matrix.min())
    span = float(np.float32(matrix.max() - matrix.min())) or 1e-5 + abs(lowest) * 1e-5
    header = struct.pack("<ffii", lowest, span, *matrix.shape)
    if len(matrix) <= 8:
        steps = np.rint((matrix.astype(np.float64) - lowest) / span * 65535.0)
        return b"CM2 " + header + np.clip(steps, 0, 65535).astype("<u2").tobytes()
    points = _quantile_steps(matrix, lowest, span)
    codes = _column_codes(matrix.astype(np.float64), lowest + points * (span / 65535.0))
    return b"CM " + header + points.astype("<u2").tobytes() + codes.T.astype("u1").tobytes()


def _quantile_steps(matrix: np.ndarray, lowest: float, span: float) -> np.ndarray:
    """The quantiles of each column in 65535ths of the span, strictly rising: [columns, 4]."""
    rows = len(matrix)
    quarter = rows // 4
    ordered = np.partition(matrix, (0, quarter, 3 * quarter, rows - 1), axis=0)
    wanted = ordered[[0, quarter, 3 * quarter, rows - 1]].T.astype(np.float64)
    steps = np.clip(np.rint((wanted - lowest) / span * 65535.0), 0, 65535)
    for i in range(4):  # room is left above for those still to come
        steps[:, i] = np.minimum(steps[:, i], 65532 + i)
        if i:
            steps[:, i] = np.maximum(steps[:, i], steps[:, i - 1] + 1)
    return steps


def _column_codes(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The byte of each value, [rows, columns]: 0-64, 64-192 and 192-255 between the quantiles."""
    p0, p25, p75, p100 = points.T
    low = np.clip(np.floor((values - p0) / (p25 - p0) * 64 + 0.5), 0, 64)
    middle = np.clip(np.floor((values - p25) / (p75 - p25) * 128 + 64.5), 64, 192)
    high = np.clip(np.floor((values - p75) / (p100 - p75) * 63 + 192.5), 192, 255)
    return np.where(values < p25, low, np.where(values < p75, middle, high))


def _plain(matrix: np.ndarray) -> bytes:
    kind, dtype = (b"FM ", "<f4") if matrix.dtype == np.float32 else (b"DM ", "<f8")
    rows, columns = matrix.shape if matrix.size else (0, 0)  # Kaldi's empty matrix has no columns
    return (
        kind
        + b"\4"
        + struct.pack("<i", rows)
        + b"\4"
        + struct.pack("<i", columns)
        + np.ascontiguousarray(matrix, dtype).tobytes()
    )


def _header(reader: BinaryReader) -> tuple[int, int]:
    kind = reader.expect("FM", "DM", "CM", "CM2", "CM3")
    if kind.startswith("C"):
        _, _, rows, columns = struct.unpack("<ffii", reader.take(16, "a CM header"))
        return int(rows), int(columns)
    return reader.read_int(), reader.read_int()


def _mapped(path: str) -> mmap.mmap:
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        reason = getattr(error, "strerror", None) or "it is empty"
        raise DataError(f"{path} cannot be read ({reason}): compute the features again") from error


class _as_data_error:
    """The binary reader's ModelErrors, with the key of the matrix, as DataErrors."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ModelError):
            raise DataError(f"{self._key}: {error}") from error
