"""`asr pronounce`: the surface pronunciation of Korean text."""

from __future__ import annotations

import argparse
import logging
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby

from asr.errors import DataError

logger = logging.getLogger("asr.pronounce")

_SILENT = str.maketrans(".,?!", "    ")
"""The marks that `to_spoken` keeps and `pronounce` does not take."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "pronounce",
        help="how Korean text is pronounced",
        description="Print a line for each text: the text, TAB, its pronunciations in Hangul"
        " joined by '/' with the standard one first, TAB, the phones of the first. Numbers, units"
        " and Latin letters are read out.",
        epilog="Put -- before a text that begins with a dash: asr pronounce -- -5도",
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT",
                        help="text, or - for a line each from standard input")


def run(args: argparse.Namespace) -> int:
    """Print the pronunciation of each text."""
    for text in texts_of(args.texts):
        if unread := _unread(text):
            logger.warning("left out of %r, for nothing says how it is read: %s", text,
                           " ".join(unread))
        print(pronunciation_line(text))
    return 0


def pronunciation_line(text: str) -> str:
    """Text, pronunciations in Hangul and phones of the first, separated by tabs."""
    from asr.hangul.normalize import to_spoken
    from asr.hangul.pronunciation import pronounce

    clean = " ".join(text.split())
    spoken = to_spoken(clean).translate(_SILENT)
    variants = pronounce(spoken)
    hangul = "/".join(dict.fromkeys(variant.hangul for variant in variants))
    phones = " ".join(variants[0].phones) if variants else ""
    return f"{clean}\t{hangul}\t{phones}"


def _unread(text: str) -> list[str]:
    """Runs of stray jamo, Hanja, emoji and the like without which the text is read the same."""
    from asr.hangul.normalize import to_spoken

    text = unicodedata.normalize("NFC", text)
    said = _joined(to_spoken(text)) if any(map(_is_odd, text)) else ""
    dropped = [
        _is_odd(character)
        and _joined(to_spoken(f"{text[:place]} {text[place + 1 :]}")) == said
        for place, character in enumerate(text)
    ]
    runs = groupby(zip(text, dropped, strict=True), lambda pair: pair[1])
    return ["".join(character for character, _ in run) for is_dropped, run in runs if is_dropped]


def _is_odd(character: str) -> bool:
    """Letters, numbers and signs that are neither ASCII nor Hangul syllables."""
    if character < "\x80" or "가" <= character <= "힣" or character == "ㆍ":  # a middle dot
        return False
    category = unicodedata.category(character)
    return category[0] in "LN" or category in ("So", "Sk", "Co", "Cn")


def _joined(text: str) -> str:
    return "".join(text.split())


def texts_of(arguments: Iterable[str]) -> Iterator[str]:
    for argument in arguments:
        if argument == "-":
            yield from _standard_input()
        elif any("\ud800" <= character <= "\udfff" for character in argument):
            raise DataError("a text on the command line is not UTF-8: convert it with iconv")
        else:
            yield argument


def _standard_input() -> Iterator[str]:
    """Lines without their ends, read as UTF-8 whatever the locale is."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"<stdin> line {number} is not UTF-8: convert it with iconv") from error
        yield (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
