"""Reading training texts: plain, gzip or xz, UTF-8."""

from __future__ import annotations

import gzip
import lzma
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.lm.units import SPECIALS, Vocabulary

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the lines of a text file, without line ends and byte order mark.

    Raises:
        DataError: the file is missing, cut off, or not UTF-8.
    """
    path = Path(path)
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                number += 1
                yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 after line {number}: convert it first"
                        f" (iconv -f cp949 -t utf-8)") from error  # fmt: skip
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut off or damaged after line {number}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


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
    """Read units, one a line; the special ones are added where they are missing."""
    units = [line.strip() for line in read_lines(path)]
    own = dict.fromkeys(unit for unit in units if unit and unit not in SPECIALS)
    return Vocabulary((*SPECIALS, *own))
