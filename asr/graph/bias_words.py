"""Words that a user wants to be recognised: how they are written, and how they are said.

A list is a text file, one word a line, UTF-8::

    # written <TAB> reading/reading <TAB> boost; all but the first may be left out
    가산디지털단지역
    KBS
    Malsori	말소리
    5G	파이브지/오지
    강남 역		2.5
    서울숲	3

Readings are Hangul. A word in Hangul is its own reading; Latin letters, digits and signs are read
as :func:`asr.hangul.normalize.spoken_sentences` does, with the usual variants (TV: 티비, 티브이). A
boost is a number of nats, and says how much more (or, negative, less) readily than other words of
the list the word is recognised.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from asr.errors import DataError, UsageError
from asr.hangul.latin import LETTER_NAMES, is_spelled, lookup_latin
from asr.hangul.normalize import spoken_sentences
from asr.hangul.numerals import ENGLISH_DIGITS, digit_by_digit, read_number
from asr.lm.text_files import read_lines

MOST_SYLLABLES = 64
"""Of a reading; longer ones are texts, not words."""
MOST_READINGS = 8
"""Of a word that is not written in Hangul."""
MOST_BOOST = 100.0

_READING = re.compile(r"[가-힣]+(?: [가-힣]+)*")
_SPACES = re.compile(r"\s+")
_AND = re.compile(r"(?<=[A-Za-z])&(?=[A-Za-z])")
_PLAIN = re.compile(r"[가-힣 .·'’-]*")
_SILENT = re.compile(r"[^가-힣 ]")
_PIECES = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_LETTER_VARIANTS = {
    "c": ("씨", "시"), "h": ("에이치", "에치"), "r": ("알", "아르"),
    "v": ("브이", "비"), "w": ("더블유", "더블류"), "z": ("제트", "지"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BiasWord:
    """A word to be recognised.

    Attributes:
        written: what comes out where the word was said.
        readings: how it is said, in Hangul syllables and single spaces.
        boost: nats on top of what makes the word as likely as others of its list
            (:class:`asr.graph.bias.BiasConfig`); negative makes it less likely, None adds nothing.

    Raises:
        UsageError: there is no reading, a reading is not Hangul, or the boost is no number.
    """

    written: str
    readings: tuple[str, ...]
    boost: float | None = None

    def __post_init__(self) -> None:
        if not self.written or not self.readings:
            raise UsageError(f"the word {self.written!r} has no reading; give one in Hangul")
        for reading in self.readings:
            if not _READING.fullmatch(reading):
                raise UsageError(
                    f"{reading!r}, a reading of {self.written!r}, is not Hangul; "
                    "write it as it is said, such as 케이비에스"
                )
            if len(reading) - reading.count(" ") > MOST_SYLLABLES:
                raise UsageError(
                    f"the word {self.written!r} is longer than {MOST_SYLLABLES} syllables; "
                    "list its parts"
                )
        if self.boost is not None and not abs(self.boost) <= MOST_BOOST:
            raise UsageError(
                f"the boost of {self.written!r} must be a number from {-MOST_BOOST:g} to "
                f"{MOST_BOOST:g}, not {self.boost}"
            )


def make_words(words: Iterable[str | BiasWord], boost: float | None = None) -> tuple[BiasWord, ...]:
    """Give words their readings where they are only written, and ``boost`` where they have none.

    Raises:
        UsageError: a word that cannot be read aloud, or ``words`` is one string.
    """
    if isinstance(words, str):
        raise UsageError(f"expected a list of words, not the one word {words!r}; put it in a list")
    return tuple(_completed(word, boost) for word in words)


def _completed(word: str | BiasWord, boost: float | None) -> BiasWord:
    if isinstance(word, str):
        return _word(_clean(word), (), boost)
    return word if boost is None or word.boost is not None else replace(word, boost=boost)


def read_words_file(
    path: str | os.PathLike[str], boost: float | None = None
) -> tuple[BiasWord, ...]:
    """Read a list of words; the module says its format.

    Args:
        path: a text file, also compressed (.gz, .xz).
        boost: of the words whose line gives none.

    Raises:
        DataError: the file is missing or not UTF-8, or a line makes no sense; the message names it.
    """
    words = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            words.append(_parse_line(line, boost))
        except UsageError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
    return tuple(words)


def _parse_line(line: str, boost: float | None) -> BiasWord:
    written, *fields = (_clean(field) for field in line.split("\t"))
    if len(fields) == 1 and _NUMBER.fullmatch(fields[0]):
        fields = ["", fields[0]]
    if len(fields) > 2:
        raise UsageError("expected a word, and at most its readings and its boost, between TABs")
    readings = tuple(_clean(reading) for reading in fields[0].split("/")) if fields else ()
    if len(fields) == 2 and fields[1]:
        if not _NUMBER.fullmatch(fields[1]):
            raise UsageError(f"the boost must be a number, not {fields[1]!r}")
        boost = float(fields[1])
    return _word(written, readings if readings != ("",) else (), boost)


def _word(written: str, readings: tuple[str, ...], boost: float | None) -> BiasWord:
    return BiasWord(written, readings or readings_of(written), boost)


def _clean(text: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()


def readings_of(written: str) -> tuple[str, ...]:
    """How a word may be said, the likeliest reading first; empty where no rule reads it surely.

    >>> readings_of("TV")
    ('티비', '티브이')
    >>> readings_of("5G")
    ('파이브지', '오지')
    """
    if _READING.fullmatch(written):
        return (written,)
    usual = " ".join(spoken_sentences(_AND.sub("앤", written)))
    if not _READING.fullmatch(usual):
        return ()
    pieces = _PIECES.findall(written)
    choices = [_piece_readings(piece, index, pieces) for index, piece in enumerate(pieces)]
    joined = (_clean("".join(choice)) for choice in product(*choices))
    readings = dict.fromkeys([usual, *joined])
    return tuple(r for r in readings if _READING.fullmatch(r))[:MOST_READINGS]


def _piece_readings(piece: str, index: int, pieces: list[str]) -> list[str]:
    """Readings of a run of letters, of digits, or of something else; none where rules differ."""
    if not piece.isascii() or not piece[0].isalnum():
        return [_SILENT.sub("", piece)] if _PLAIN.fullmatch(piece) else []
    if piece[0].isalpha():
        spelled = _spellings(piece.lower()) if is_spelled(piece) else []
        listed = lookup_latin(piece)
        return list(dict.fromkeys([*([listed] if listed else []), *spelled]))
    neighbours = pieces[max(0, index - 1) : index] + pieces[index + 1 : index + 2]
    beside_latin = any(n.isascii() and n.isalpha() for n in neighbours)
    english = [ENGLISH_DIGITS[int(piece)]] if len(piece) == 1 and beside_latin else []
    return list(dict.fromkeys([*english, read_number(piece), digit_by_digit(piece)]))


def _spellings(letters: str) -> list[str]:
    """Letter names; a letter that occurs twice is said alike both times."""
    different = list(dict.fromkeys(letters))
    names = [_LETTER_VARIANTS.get(letter, (LETTER_NAMES[letter],)) for letter in different]
    return [
        "".join(dict(zip(different, choice, strict=True))[letter] for letter in letters)
        for choice in product(*names)
    ]
