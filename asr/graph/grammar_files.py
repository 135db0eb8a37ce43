"""Files of a grammar: the text itself, and the lists of words it names beside itself."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from asr.errors import DataError
from asr.graph.grammar_nodes import Entries, Entry
from asr.graph.grammar_reading import read_aloud

MOST_BYTES = 16 << 20
MOST_ENTRIES = 200_000
LONGEST_ENTRY = 200
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, composed (NFC), without a byte order mark.

    Raises:
        DataError: it cannot be read, is larger than 16 MiB, or is not UTF-8 (with the line).
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(raw) > MOST_BYTES:
        raise DataError(f"{path} is larger than {MOST_BYTES >> 20} MiB; split the grammar")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + len(_LINE_END.findall(raw[: error.start]))
        raise DataError(f"{path}, line {line}: not UTF-8 text; convert it first "
                        "(iconv -f cp949 -t utf-8)") from error  # fmt: skip
    return unicodedata.normalize("NFC", text)


def read_entries(folder: Path, name: str) -> Entries:
    """The list ``name`` in ``folder`` or below it: one word or name a line, # begins a comment.

    After a TAB a weight (a number) or a reading (Hangul) may follow: ``K-POP<TAB>케이팝``.

    Raises:
        DataError: a place outside of ``folder``, or a line that cannot be read aloud.
    """
    path = _inside(folder, name)
    words = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", read_text(path)), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                words.append(_entry(line))
            except ValueError as error:
                raise DataError(f"{name}, line {number}: {error}") from error
    if not words:
        raise DataError(f"{name} lists nothing; write one word or name a line")
    if len(words) > MOST_ENTRIES:
        raise DataError(f"{name} lists {len(words):,} words; at most {MOST_ENTRIES:,} fit")
    return Entries(tuple(words))


def _inside(folder: Path, name: str) -> Path:
    """The file's true place, which must be in or below the folder, links followed."""
    try:
        home = folder.resolve()
        path = (home / name).resolve()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # NUL in the name, links in a circle
        raise DataError(f"{name!r} is no file name ({error}); write a plain one") from error
    if Path(name).is_absolute() or not path.is_relative_to(home):
        raise DataError("lists must lie beside the grammar or in a folder below it; copy it there")
    if not is_file:
        raise DataError(f"there is no file {name} beside the grammar; check the name")
    return path


def _entry(line: str) -> Entry:
    written, *columns = (column.strip() for column in line.split("\t"))
    written = " ".join(written.split())
    weight, reading = 1.0, ""
    for column in columns:
        if _NUMBER.fullmatch(column) and float(column) > 0:
            weight = float(column)
        elif column and (reading := read_aloud(column) or ""):
            pass
        elif column:
            raise ValueError(
                f"{column!r} after the TAB is neither a weight above 0 nor a reading in Hangul"
            )
    spoken = reading or read_aloud(written)
    if not spoken or not written:
        raise ValueError(f"no rule reads {written!r} surely; add a TAB and its reading in Hangul")
    if len(spoken) > LONGEST_ENTRY:
        raise ValueError(f"a word of {len(spoken)} syllables; at most {LONGEST_ENTRY} fit")
    return Entry(written, spoken, weight)
