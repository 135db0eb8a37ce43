"""Kaldi's text tables, a line `KEY VALUE` each, read with every defect of every line.

Kaldi's tools read these files as bytes, split at ASCII white space and expect them sorted as the C
locale sorts (byte by byte); what looks right in an editor but is not (a byte order mark, a no-break
space, decomposed Hangul) makes words that no lexicon has, so it is a defect here.
Format: https://kaldi-asr.org/doc/data_prep.html
"""

from __future__ import annotations

import re
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.atomic import replaced_file
from asr.errors import DataError

MAX_LINE_BYTES = 1 << 20
"""A longer line is a lost line end, not an utterance: an hour of speech is 60 kB of text."""

_SPACE = re.compile(r"[ \t]+")
# White space to Unicode but not to Kaldi, and characters of no width.
_ODD_SPACE = re.compile(
    "[\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\x85\x0b\x0c\x1c-\x1f]"
)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff\xad]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f]")
_LOST = "\ufffd"


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong in one place of a data directory, and how to mend it."""

    file: str
    """Name within the directory."""
    line: int
    """From 1; 0 means the file as a whole."""
    what: str
    mend: str
    kind: str = ""
    """The check that found it."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.what}: {self.mend}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: its key and the rest, without the white space around."""

    number: int
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Table:
    """The lines that could be read, in the file's order, and what is wrong with the file."""

    name: str
    lines: tuple[Line, ...]
    defects: tuple[Defect, ...]

    def first(self) -> dict[str, Line]:
        """The first line of each key."""
        found: dict[str, Line] = {}
        for line in self.lines:
            found.setdefault(line.key, line)
        return found


def sort_key(text: str) -> bytes:
    """Order of the C locale: by the bytes of UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def read_table(
    path: Path, *, value_needed: bool = True, composed_values: bool = True, ordered: bool = True
) -> Table:
    """Read a table leniently: a line that can be understood is kept, and told of if it is wrong.

    Args:
        path: the file.
        value_needed: a key alone is a defect.
        ordered: a line out of order is one; lists outside of data directories need no order.
        composed_values: Hangul in parts (NFD) within a value is one; file names may hold it.

    Raises:
        DataError: the file cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    lines: list[Line] = []
    defects: list[Defect] = []
    for number, raw in enumerate(_raw_lines(data), 1):
        line, found = _read_line(raw, number, path.name, value_needed, composed_values)
        defects += found
        if line is not None:
            lines.append(line)
    defects += _file_defects(data, path.name)
    defects += _order_defects(lines, path.name, ordered)
    return Table(path.name, tuple(lines), tuple(defects))


def read_mapping(
    path: Path, *, value_needed: bool = True, composed_values: bool = True, ordered: bool = True
) -> dict[str, str]:
    """Read a table that must be without defects: key to value. See `read_table`.

    Raises:
        DataError: it cannot be read, or has a defect; the message names the first.
    """
    table = read_table(
        path, value_needed=value_needed, composed_values=composed_values, ordered=ordered
    )
    if table.defects:
        first, more = table.defects[0], len(table.defects) - 1
        others = f" ({more} more defects in this file)" if more else ""
        raise DataError(
            f"{path.parent / str(first)}{others}; `asr data validate {path.parent}`"
            " tells all, and `asr data fix` mends what it can"
        )
    return {line.key: line.value for line in table.lines}


def write_table(path: Path, rows: Mapping[str, str]) -> None:
    """Write rows sorted as Kaldi sorts, whole or not at all.

    Raises:
        DataError: a key or value that would not be read back as it is.
    """
    with replaced_file(path) as file:
        for key in sorted(rows, key=sort_key):
            file.write(f"{checked_id(key)} {_checked_value(key, rows[key])}".rstrip(" ") + "\n")


def checked_id(name: str) -> str:
    """`name` if it can be the key of a table.

    Raises:
        DataError: it is empty, or holds white space or characters that cannot be seen.
    """
    bad = _SPACE.search(name) or _ODD_SPACE.search(name) or _INVISIBLE.search(name)
    if not name or bad or _CONTROL.search(name) or "\n" in name or "\r" in name:
        raise DataError(
            f"{name!r} cannot be an id: give one without white space, such as"
            f" {'_'.join(name.split()) or 'speaker-0001'!r}"
        )
    return name


def _checked_value(key: str, value: str) -> str:
    if "\n" in value or "\r" in value or value != value.strip(" \t"):
        raise DataError(f"the value of {key} has a line end, or white space around it: {value!r}")
    return value


def cleaned(text: str) -> str:
    """NFC, one space for white space of any kind, nothing invisible: what `asr data fix` writes."""
    text = _ODD_SPACE.sub(" ", _INVISIBLE.sub("", text).replace("\r", " "))
    return " ".join(unicodedata.normalize("NFC", _CONTROL.sub("", text)).split())


def _raw_lines(data: bytes) -> Iterator[bytes]:
    lines = data.removeprefix(BOM_UTF8).split(b"\n")
    yield from lines if lines[-1] else lines[:-1]


def _read_line(
    raw: bytes, number: int, name: str, value_needed: bool, composed_values: bool
) -> tuple[Line | None, list[Defect]]:
    if len(raw) > MAX_LINE_BYTES:
        return None, [
            Defect(
                name,
                number,
                f"the line has {len(raw)} bytes",
                "write each entry on a line of its own",
                "lines",
            )
        ]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line is not UTF-8"
        mend = "convert the file (iconv -f cp949 -t utf-8)"
        return None, [Defect(name, number, what, mend, "lines")]
    wrong = list(_text_defects(text, composed_values))
    stripped = text.strip(" \t\r")
    if not stripped:
        wrong.append(("the line is empty", "delete it"))
        return None, [Defect(name, number, *pair, "lines") for pair in wrong]
    if text[0] in " \t":
        wrong.append(("white space stands before the id", "delete it"))
    key, *rest = _SPACE.split(stripped, maxsplit=1)
    if not rest and value_needed:
        wrong.append((f"{key} stands alone", "write what belongs to it, or delete the line"))
    defects = [Defect(name, number, *pair, "lines") for pair in wrong]
    return Line(number, key, rest[0] if rest else ""), defects


def _text_defects(text: str, composed_values: bool) -> Iterator[tuple[str, str]]:
    if "\r" in text:
        yield "a carriage return (Windows line end)", "convert the file (sed -i 's/\\r$//')"
    odd = _ODD_SPACE.search(text)
    if odd:
        yield (
            f"white space that Kaldi does not split at (U+{ord(odd[0]):04X}"
            f" {unicodedata.name(odd[0], 'control character').lower()})",
            "put a plain space in its place",
        )
    invisible = _INVISIBLE.search(text)
    if invisible:
        yield f"an invisible character (U+{ord(invisible[0]):04X})", "delete it"
    control = _CONTROL.search(text)
    if control:
        yield f"a control character (U+{ord(control[0]):04X})", "delete it"
    if _LOST in text:
        yield "U+FFFD, the sign of a broken conversion", "make the text again from its source"
    checked = text if composed_values else _SPACE.split(text.strip(" \t"), maxsplit=1)[0]
    if not unicodedata.is_normalized("NFC", checked):
        yield (
            "Hangul or accents in parts (not NFC)",
            "compose the text (unicodedata.normalize('NFC', line))",
        )


def _file_defects(data: bytes, name: str) -> Iterator[Defect]:
    if not data:
        yield Defect(name, 0, "the file is empty", "fill or delete it", "lines")
    elif not data.endswith(b"\n"):
        last = data.count(b"\n") + 1
        yield Defect(
            name,
            last,
            "the last line has no line end, the file may be cut off",
            "end it with a line feed",
            "lines",
        )
    if data.startswith(BOM_UTF8):
        yield Defect(
            name,
            1,
            "the file begins with a byte order mark",
            "delete it (sed -i '1s/^\\xef\\xbb\\xbf//')",
            "lines",
        )


def _order_defects(lines: Iterable[Line], name: str, ordered: bool) -> Iterator[Defect]:
    """Keys that come twice, and the first place that is out of order."""
    seen: dict[str, int] = {}
    before: Line | None = None
    sorted_so_far = ordered
    for line in lines:
        if line.key in seen:
            yield Defect(
                name,
                line.number,
                f"{line.key} is in line {seen[line.key]} already",
                "keep one of the two lines",
                "lines",
            )
        elif sorted_so_far and before is not None and sort_key(before.key) > sort_key(line.key):
            sorted_so_far = False
            yield Defect(
                name,
                line.number,
                f"{line.key} comes after {before.key}",
                "sort the file by bytes (LC_ALL=C sort -k1,1)",
                "lines",
            )
        seen.setdefault(line.key, line.number)
        before = line
