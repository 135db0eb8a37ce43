"""Read OpenFst binary files into flat arrays: ``vector`` and ``const``, also behind an add-on.

Layouts from OpenFst's fst.h, const-fst.h, vector-fst.h, add-on.h and symbol-table.cc. Arcs are
``standard`` (tropical) or ``log``, whose files look alike. A look-ahead graph such as Vosk's
``HCLr.fst`` is a const transducer with an add-on, whose tables are not needed and not read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError

_T = TypeVar("_T")

_FST_MAGIC = 2125659606
_SYMBOLS_MAGIC = 2125658996
_ADD_ON_MAGIC = 446681434
_HAS_INPUT_SYMBOLS, _HAS_OUTPUT_SYMBOLS, _IS_ALIGNED = 1, 2, 4
_ALIGNMENT = 16
_ALIGNED_VERSION = 1  # const files of this version are aligned whatever their flags say
_MAX_NAME = 1 << 16  # bytes of a type name or symbol

_ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("weight", "<f4"), ("nextstate", "<i4")])
_CONST_STATE = np.dtype(
    [("final", "<f4"), ("begin", "<u4"), ("arcs", "<u4"), ("in_eps", "<u4"), ("out_eps", "<u4")]
)


@dataclass(frozen=True, slots=True, eq=False)
class Fst:
    """A transducer as arrays: ``S`` states, ``A`` arcs; the arcs of a state lie together.

    Attributes:
        start: the start state, −1 where there is none.
        final: float32 [S], cost of ending in a state (nats), +inf where it is not final.
        arc_begin: int64 [S + 1], the arcs of state s are ``arc_begin[s]:arc_begin[s + 1]``.
        ilabel, olabel: int32 [A], 0 is epsilon.
        weight: float32 [A], costs (nats).
        nextstate: int32 [A].
        input_symbols, output_symbols: label → text, or None where the file holds none.
    """

    start: int
    final: NDArray[np.float32]
    arc_begin: NDArray[np.int64]
    ilabel: NDArray[np.int32]
    olabel: NDArray[np.int32]
    weight: NDArray[np.float32]
    nextstate: NDArray[np.int32]
    input_symbols: dict[int, str] | None
    output_symbols: dict[int, str] | None

    @property
    def num_states(self) -> int:
        """How many states."""
        return len(self.final)

    @property
    def num_arcs(self) -> int:
        """How many arcs."""
        return len(self.nextstate)

    @property
    def arc_state(self) -> NDArray[np.int32]:
        """int32 [A], the state each arc leaves."""
        counts = np.diff(self.arc_begin)
        return np.repeat(np.arange(self.num_states, dtype=np.int32), counts)


@dataclass(frozen=True, slots=True)
class _Header:
    fst_type: str
    arc_type: str
    version: int
    aligned: bool
    start: int
    num_states: int
    num_arcs: int
    input_symbols: dict[int, str] | None
    output_symbols: dict[int, str] | None


def read_fst(path: Path) -> Fst:
    """Read a ``const`` or ``vector`` transducer, alone or behind an add-on header.

    The file is mapped, so no more memory is used than the arrays need.

    Raises:
        ModelError: missing, malformed, cut short, or of another type (which it names).
    """
    return _with_cursor(path, _read_any)


def read_symbol_tables(path: Path) -> tuple[dict[int, str] | None, dict[int, str] | None]:
    """The input and output symbols in the header of an FST file of *any* type.

    So the word table of an ``ngram`` file such as Vosk's ``Gr.fst`` can be read although the
    grammar itself cannot.
    """

    def symbols(cursor: _Cursor) -> tuple[dict[int, str] | None, dict[int, str] | None]:
        header = _read_header(cursor)
        return header.input_symbols, header.output_symbols

    return _with_cursor(path, symbols)


class _Cursor:
    """Bounds-checked reading of OpenFst's raw little-endian values."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data = data
        self.name = name
        self.position = 0

    def fail(self, expected: str) -> NoReturn:
        raise ModelError(
            f"{self.name}: byte {self.position}: expected {expected}; "
            "the file is cut short, damaged or of another kind"
        )

    def require(self, size: int, expected: str) -> None:
        if size < 0 or self.position + size > len(self._data):
            self.fail(expected)

    def take(self, size: int, expected: str) -> bytes:
        self.require(size, expected)
        self.position += size
        return self._data[self.position - size : self.position]

    def unpack(self, layout: str, expected: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout), expected))

    def text(self, expected: str) -> str:
        (size,) = self.unpack("i", expected)
        if not 0 <= size <= _MAX_NAME:
            self.fail(expected)
        try:
            return self.take(size, expected).decode()
        except UnicodeDecodeError:
            self.fail(expected)

    def align(self) -> None:
        self.position += -self.position % _ALIGNMENT

    def array(self, dtype: np.dtype[np.void], count: int, expected: str) -> NDArray[np.void]:
        """A copy of ``count`` records."""
        self.require(dtype.itemsize * count, expected)
        view = np.frombuffer(self._data, dtype, count, self.position).copy()
        self.position += dtype.itemsize * count
        return view


def _with_cursor(path: Path, read: Callable[[_Cursor], _T]) -> _T:
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return read(_Cursor(data, str(path)))
    except ValueError:
        raise ModelError(f"{path}: is empty; get the file again") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _read_any(cursor: _Cursor) -> Fst:
    header = _read_header(cursor)
    if cursor.position + 4 <= len(cursor._data) and _peek_int(cursor) == _ADD_ON_MAGIC:
        cursor.unpack("i", "the add-on mark")
        header = _read_header(cursor)
    if header.arc_type not in ("standard", "log"):
        raise ModelError(
            f"{cursor.name}: has arcs of type {header.arc_type!r}; only standard and log are read"
        )
    if header.fst_type == "const":
        return _read_const(cursor, header)
    if header.fst_type == "vector":
        return _read_vector(cursor, header)
    raise ModelError(
        f"{cursor.name}: is an FST of type {header.fst_type!r}; only const and vector are read "
        "(convert it with fstconvert --fst_type=const)"
    )


def _peek_int(cursor: _Cursor) -> int:
    (value,) = cursor.unpack("i", "an add-on mark or states")
    cursor.position -= 4
    return value


def _read_header(cursor: _Cursor) -> _Header:
    (magic,) = cursor.unpack("i", "the header of an OpenFst file")
    if magic != _FST_MAGIC:
        cursor.position -= 4
        cursor.fail("the header of an OpenFst file")
    fst_type, arc_type = cursor.text("the FST's type"), cursor.text("the arcs' type")
    version, flags, _, start, states, arcs = cursor.unpack("iiQqqq", "the FST's header")
    symbols = [
        _read_symbols(cursor) if flags & flag else None
        for flag in (_HAS_INPUT_SYMBOLS, _HAS_OUTPUT_SYMBOLS)
    ]
    aligned = bool(flags & _IS_ALIGNED) or (fst_type == "const" and version == _ALIGNED_VERSION)
    return _Header(fst_type, arc_type, version, aligned, start, states, arcs, *symbols)


def _read_symbols(cursor: _Cursor) -> dict[int, str]:
    (magic,) = cursor.unpack("i", "a symbol table")
    if magic != _SYMBOLS_MAGIC:
        cursor.fail("a symbol table")
    cursor.text("the symbol table's name")
    _, count = cursor.unpack("qq", "the symbol table's size")
    cursor.require(count * 12, f"a symbol table of {count} symbols")
    symbols = {}
    for _ in range(count):
        symbol = cursor.text("a symbol")
        (label,) = cursor.unpack("q", "a symbol's label")
        symbols[label] = symbol
    return symbols


def _read_const(cursor: _Cursor, header: _Header) -> Fst:
    cursor.require(
        header.num_states * _CONST_STATE.itemsize + header.num_arcs * _ARC.itemsize
        if header.num_states >= 0 and header.num_arcs >= 0
        else -1,
        f"{header.num_states} states and {header.num_arcs} arcs",
    )
    if header.aligned:
        cursor.align()
    states = cursor.array(_CONST_STATE, header.num_states, f"{header.num_states} states")
    if header.aligned:
        cursor.align()
    arcs = cursor.array(_ARC, header.num_arcs, f"{header.num_arcs} arcs")
    arc_begin = np.zeros(header.num_states + 1, np.int64)
    np.cumsum(states["arcs"], out=arc_begin[1:])
    if arc_begin[-1] != header.num_arcs or not np.array_equal(states["begin"], arc_begin[:-1]):
        cursor.fail("states whose arcs follow one another")
    return _fst(cursor, header, states["final"].copy(), arc_begin, arcs)


def _read_vector(cursor: _Cursor, header: _Header) -> Fst:
    state = struct.Struct("<fq")
    final: list[float] = []
    counts = [0]
    pieces: list[NDArray[np.void]] = []
    # a file written to a pipe has no number of states: read to its end
    while len(final) != header.num_states and (
        header.num_states >= 0 or cursor.position < len(cursor._data)
    ):
        cost, arcs = state.unpack(cursor.take(state.size, f"state {len(final)}"))
        final.append(cost)
        counts.append(arcs)
        pieces.append(cursor.array(_ARC, arcs, f"{arcs} arcs of state {len(final) - 1}"))
    arcs_of_all = np.concatenate(pieces) if pieces else np.empty(0, _ARC)
    return _fst(cursor, header, np.array(final, np.float32), np.cumsum(counts), arcs_of_all)


def _fst(
    cursor: _Cursor,
    header: _Header,
    final: NDArray[np.float32],
    arc_begin: NDArray[np.int64],
    arcs: NDArray[np.void],
) -> Fst:
    nextstate = arcs["nextstate"].copy()
    inside = nextstate.size == 0 or (nextstate.min() >= 0 and nextstate.max() < len(final))
    if not inside or not -1 <= header.start < len(final):
        cursor.fail(f"arcs between {len(final)} states")
    return Fst(
        start=header.start,
        final=final,
        arc_begin=arc_begin.astype(np.int64),
        ilabel=arcs["ilabel"].copy(),
        olabel=arcs["olabel"].copy(),
        weight=arcs["weight"].copy(),
        nextstate=nextstate,
        input_symbols=header.input_symbols,
        output_symbols=header.output_symbols,
    )
