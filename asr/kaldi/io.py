"""Kaldi's binary stream format: tokens, basic types, vectors and matrices (Kaldi base/io-funcs)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from asr.errors import ModelError

_BINARY_MARK = b"\0B"
_MAX_TOKEN = 256  # bytes; no Kaldi token is longer, so garbage is recognised early
_REAL: dict[str, np.dtype[Any]] = {"F": np.dtype("<f4"), "D": np.dtype("<f8")}


class BinaryReader:
    """A cursor over the bytes of one binary Kaldi file.

    Every read checks that the bytes are there and of the announced type before anything is
    allocated, so a damaged length cannot ask for more memory than the file has.

    Args:
        data: the whole file, or any buffer of bytes.
        name: what error messages call it.
        position: where to start.
    """

    def __init__(self, data: bytes | memoryview, name: str, position: int = 0) -> None:
        self._data = memoryview(data)
        self.name = name
        self.position = position

    @classmethod
    def open(cls, path: Path) -> BinaryReader:
        """Read ``path`` whole and step over Kaldi's binary mark.

        Raises:
            ModelError: the file is missing, empty or in Kaldi's text form.
        """
        data = read_bytes(path)
        if not data.startswith(_BINARY_MARK):
            found = "is empty" if not data else "is not in Kaldi's binary form"
            raise ModelError(
                f"{path}: {found}; write it again with Kaldi's copy tools and --binary=true"
            )
        return cls(data, str(path), len(_BINARY_MARK))

    @property
    def remaining(self) -> int:
        """Bytes left after the cursor."""
        return len(self._data) - self.position

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        """Raise the ModelError that names file, byte and what was expected there."""
        where = self.position if at is None else at
        found = bytes(self._data[where : where + 16])
        raise ModelError(
            f"{self.name}: byte {where}: expected {expected}, found "
            f"{found!r}; the file is damaged or of another kind"
            if found
            else f"{self.name}: byte {where}: expected {expected}, but the file ends; "
            "it is cut short, get it again"
        )

    def take(self, size: int, expected: str) -> memoryview:
        """The next ``size`` bytes."""
        if size < 0 or size > self.remaining:
            self.fail(f"{expected} of {size} bytes ({self.remaining} are left)")
        start, self.position = self.position, self.position + size
        return self._data[start : self.position]

    def read_token(self, expected: str = "a token") -> str:
        """The next token without the space that ends it."""
        token = self.peek_token(expected)
        self.position += len(token.encode()) + 1
        return token

    def peek_token(self, expected: str = "a token") -> str:
        """The next token; the cursor stays."""
        window = bytes(self._data[self.position : self.position + _MAX_TOKEN])
        end = window.find(b" ")
        if end <= 0 or not window[:end].isascii() or not window[:end].decode().isprintable():
            self.fail(expected)
        return window[:end].decode()

    def expect(self, *tokens: str) -> str:
        """Read a token that must be one of ``tokens``; return which."""
        at = self.position
        wanted = " or ".join(tokens)
        token = self.read_token(wanted)
        if token not in tokens:
            self.fail(wanted, at)
        return token

    def accept(self, token: str) -> bool:
        """Step over ``token`` if it comes next."""
        size = len(token) + 1
        if bytes(self._data[self.position : self.position + size]) != token.encode() + b" ":
            return False
        self.position += size
        return True

    def read_line(self) -> str:
        """Text up to a newline (nnet3 config lines), without it."""
        window = self._data[self.position : self.position + 65536]
        end = bytes(window).find(b"\n")
        if end < 0:
            self.fail("a line of text")
        try:
            line = bytes(window[:end]).decode()
        except UnicodeDecodeError:
            self.fail("a line of text")
        self.position += end + 1
        return line

    def read_int(self) -> int:
        """One int32 (WriteBasicType: a size byte, then the value)."""
        at = self.position
        if self.take(1, "an int32")[0] != 4:
            self.fail("an int32", at)
        return int(struct.unpack("<i", self.take(4, "an int32"))[0])

    def read_uint(self) -> int:
        """One uint32 (its size byte is −4)."""
        at = self.position
        if self.take(1, "a uint32")[0] != 256 - 4:
            self.fail("a uint32", at)
        return int(struct.unpack("<I", self.take(4, "a uint32"))[0])

    def read_count(self, item_bytes: int, what: str, unsigned: bool = False) -> int:
        """An int32 (or uint32) that counts items of at least ``item_bytes``; must fit the file."""
        at = self.position
        count = self.read_uint() if unsigned else self.read_int()
        if count < 0 or count * item_bytes > self.remaining:
            self.fail(f"a plausible number of {what} (not {count})", at)
        return count

    def read_float(self) -> float:
        """One float or double (a size byte, then the value)."""
        at = self.position
        size = self.take(1, "a float")[0]
        if size not in (4, 8):
            self.fail("a float", at)
        return float(struct.unpack("<f" if size == 4 else "<d", self.take(size, "a float"))[0])

    def read_bool(self) -> bool:
        """One bool: the letter T or F."""
        at = self.position
        letter = bytes(self.take(1, "T or F"))
        if letter not in (b"T", b"F"):
            self.fail("T or F", at)
        return letter == b"T"

    def read_array(self, dtype: DTypeLike, count: int, what: str) -> NDArray[Any]:
        """``count`` raw values, copied out of the file."""
        item = np.dtype(dtype)
        raw = self.take(count * item.itemsize, what)
        return np.frombuffer(raw, dtype=item, count=count).copy()

    def read_int_vector(self) -> NDArray[np.int32]:
        """WriteIntegerVector of int32 → int32 [n]."""
        at = self.position
        if self.take(1, "a vector of int32")[0] != 4:
            self.fail("a vector of int32", at)
        count = self._raw_count(4, "a vector of int32", at)
        return self.read_array("<i4", count, "a vector of int32").astype(np.int32)

    def read_vector(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """FV or DV → float32 or float64 [n]."""
        at = self.position
        kind = self.read_token("a vector (FV or DV)")
        if kind not in ("FV", "DV"):
            self.fail("a vector (FV or DV)", at)
        return self._reals(kind[0], self.read_count(_REAL[kind[0]].itemsize, "values"))

    def read_matrix(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """FM, DM or a compressed CM, CM2, CM3 → [rows, columns]."""
        at = self.position
        kind = self.read_token("a matrix (FM, DM or CM)")
        if kind in ("CM", "CM2", "CM3"):
            return self._compressed(kind)
        if kind not in ("FM", "DM"):
            self.fail("a matrix (FM, DM or CM)", at)
        rows, columns = self._shape()
        if rows * columns * _REAL[kind[0]].itemsize > self.remaining:
            self.fail(f"a matrix of {rows} × {columns}", at)
        return self._reals(kind[0], rows * columns).reshape(rows, columns)

    def read_packed(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """FP or DP (symmetric or triangular, lower half row by row) → [n (n + 1) / 2]."""
        at = self.position
        kind = self.read_token("a packed matrix (FP or DP)")
        if kind not in ("FP", "DP"):
            self.fail("a packed matrix (FP or DP)", at)
        size = self.read_int()
        count = size * (size + 1) // 2
        if size < 0 or count * _REAL[kind[0]].itemsize > self.remaining:
            self.fail(f"a packed matrix of order {size}", at)
        return self._reals(kind[0], count)

    def read_symmetric(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """A packed symmetric matrix → the full [n, n]."""
        return unpack_symmetric(self.read_packed())

    def _raw_count(self, item_bytes: int, what: str, at: int) -> int:
        count = int(struct.unpack("<i", self.take(4, what))[0])
        if count < 0 or count * item_bytes > self.remaining:
            self.fail(what, at)
        return count

    def _shape(self) -> tuple[int, int]:
        at = self.position
        rows, columns = self.read_int(), self.read_int()
        if rows < 0 or columns < 0 or (rows == 0) != (columns == 0):
            self.fail("the shape of a matrix", at)
        return rows, columns

    def _reals(self, kind: str, count: int) -> NDArray[np.float32] | NDArray[np.float64]:
        values = self.read_array(_REAL[kind], count, f"{count} numbers")
        return values.astype(_REAL[kind].newbyteorder("="), copy=False)

    def _compressed(self, kind: str) -> NDArray[np.float32]:
        """Kaldi matrix/compressed-matrix: 8 or 16 bits a value between minimum and range."""
        at = self.position
        lowest, span, rows, columns = struct.unpack("<ffii", self.take(16, "a CM header"))
        item = 2 if kind == "CM2" else 1
        if rows < 0 or columns < 0 or rows * columns * item > self.remaining:
            self.fail(f"a compressed matrix of {rows} × {columns}", at)
        if kind != "CM":
            codes = self.read_array(f"<u{item}", rows * columns, "compressed values")
            scale = span / (65535.0 if kind == "CM2" else 255.0)
            return (lowest + codes.reshape(rows, columns) * scale).astype(np.float32)
        quartiles = self.read_array("<u2", 4 * columns, "column headers").reshape(columns, 4)
        codes = self.read_array("<u1", rows * columns, "compressed values")
        points = lowest + span * quartiles.astype(np.float64) / 65535.0
        return _expand_columns(codes.reshape(columns, rows), points)


def _expand_columns(codes: NDArray[np.generic], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Piecewise linear through the 0, 25, 75 and 100% points of each column → [rows, columns]."""
    values = codes.astype(np.float64)
    p0, p25, p75, p100 = (points[:, i, None] for i in range(4))
    low = p0 + (p25 - p0) * values / 64.0
    middle = p25 + (p75 - p25) * (values - 64.0) / 128.0
    high = p75 + (p100 - p75) * (values - 192.0) / 63.0
    return np.where(values <= 64, low, np.where(values <= 192, middle, high)).T.astype(np.float32)


def unpack_symmetric(packed: NDArray[np.floating]) -> NDArray[np.floating]:
    """[..., n (n + 1) / 2] lower half row by row → [..., n, n] symmetric."""
    order = int((np.sqrt(8 * packed.shape[-1] + 1) - 1) / 2)
    rows, columns = np.tril_indices(order)
    full = np.empty((*packed.shape[:-1], order, order), packed.dtype)
    full[..., rows, columns] = packed
    full[..., columns, rows] = packed
    return full


def read_bytes(path: Path) -> bytes:
    """The whole file; ModelError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def read_matrix_file(path: Path) -> NDArray[np.float32] | NDArray[np.float64]:
    """A file that holds one matrix, in Kaldi's binary or text form → [rows, columns]."""
    data = read_bytes(path)
    if data.startswith(_BINARY_MARK):
        return BinaryReader(data, str(path), len(_BINARY_MARK)).read_matrix()
    return _parse_text_matrix(data, str(path))


def _parse_text_matrix(data: bytes, name: str) -> NDArray[np.float64]:
    try:
        text = data.decode("ascii").strip()
        if not (text.startswith("[") and text.endswith("]")):
            raise ValueError("no brackets")
        lines = text[1:-1].strip().splitlines()
        rows = [[float(word) for word in line.split()] for line in lines]
        if not rows or len({len(row) for row in rows}) != 1:
            raise ValueError("ragged rows")
    except (UnicodeDecodeError, ValueError):
        raise ModelError(
            f"{name}: expected a matrix in Kaldi's binary or text form; the file is damaged"
        ) from None
    return np.array(rows, np.float64)
