"""Reading training texts: plain, gzip or xz, UTF-8."""

from __future__ import annotations

import gzip
import lzma
import os
import unicodedata
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from asr.errors import DataError
from asr.lm.units import MAX_COST, SPECIALS, Vocabulary

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the lines of a text file, without line ends and byte order mark.

    Raises:
        DataError: the file is missing, cut off, or not UTF-8.
    """
    path = Path(path)
    number = 1  # of the line that comes next
    try:
        # Decoded line by line: a text file decodes blocks, and an error would not tell the line.
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            for raw in file:
                lines = _decoded(raw.removeprefix(BOM_UTF8) if number == 1 else raw, path, number)
                yield from lines
                number += len(lines)
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged in line {number};"
                        " make or fetch it again") from error  # fmt: skip
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _decoded(raw: bytes, path: Path, number: int) -> list[str]:
    """Decode what ends with a line feed; a carriage return ends a line of its own, or none."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        number += raw.count(b"\r", 0, error.start)
        raise DataError(f"{path} is not UTF-8 in line {number}: convert it first"
                        f" (iconv -f cp949 -t utf-8)") from error  # fmt: skip
    if not text:  # a byte order mark was all there was
        return []
    # composed syllables are what counts as Hangul here; macOS writes them in parts
    text = unicodedata.normalize("NFC", text)
    return text.removesuffix("\n").removesuffix("\r").split("\r")


def read_words(path: str | os.PathLike[str]) -> list[tuple[str, int]]:
    """Read lines of a word (or name), a TAB and its count; without a count it is 1.

    Raises:
        DataError: as `read_lines`, or a count that is not a whole number above 0.
    """
    words = []
    for number, line in enumerate(read_lines(path), 1):
        word, tab, count = line.partition("\t")
        if not word.strip():
            continue
        if tab and not (count.strip().isdecimal() and int(count) > 0):
            raise DataError(f"{path}, line {number}: expected a word, a TAB and a count above 0")
        words.append((word, int(count) if tab else 1))
    return words


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """Read units, one a line; the special ones are added where they are missing.

    A unit may be followed by a TAB and its cost in a segmentation (`Vocabulary.costs`); then all
    must be.

    Raises:
        DataError: as `read_lines`, or there is no unit beside the special ones, or not a whole
            number as the cost of each.
    """
    costs: dict[str, str] = {}
    for line in read_lines(path):
        unit, _, cost = line.strip().partition("\t")
        if unit and unit not in SPECIALS:
            costs.setdefault(unit, cost.strip())
    if not costs:
        raise DataError(f"{path} lists no unit; write one a line, such as ▁가 and 가")
    units = (*SPECIALS, *costs)
    if not any(costs.values()):
        return Vocabulary(units)
    for unit, cost in costs.items():
        if not (cost.isdecimal() and int(cost) < MAX_COST):
            raise DataError(f"{path} gives {unit!r} no cost, or none of 0 to {MAX_COST - 1};"
                            " give every unit one, or none")  # fmt: skip
    return Vocabulary(units, (*(0 for _ in SPECIALS), *(int(cost) for cost in costs.values())))


def write_vocabulary(vocabulary: Vocabulary, file: IO[str]) -> None:
    """Write units as `read_vocabulary` reads them."""
    rows = zip(vocabulary.units, vocabulary.costs or ("",) * len(vocabulary), strict=True)
    file.writelines(
        f"{unit}\t{cost}".rstrip() + "\n" for unit, cost in rows if unit not in SPECIALS
    )
