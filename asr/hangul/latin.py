"""Latin letters in Korean text: usual words by a table, abbreviations letter by letter."""

from __future__ import annotations

import re
from functools import cache

from asr.hangul.tables import read_table

LETTER_NAMES = {
    "a": "에이", "b": "비", "c": "씨", "d": "디", "e": "이", "f": "에프", "g": "지",
    "h": "에이치", "i": "아이", "j": "제이", "k": "케이", "l": "엘", "m": "엠", "n": "엔",
    "o": "오", "p": "피", "q": "큐", "r": "알", "s": "에스", "t": "티", "u": "유",
    "v": "브이", "w": "더블유", "x": "엑스", "y": "와이", "z": "제트",
}  # fmt: skip

_LETTER_BY_LETTER = "="
_LONGEST_ABBREVIATION = 5
_DOTS = re.compile(r"[.’']")


@cache
def _lexicon() -> dict[str, str]:
    return {word: reading for word, reading, *_ in read_table("latin.tsv")}


def spell_letters(word: str) -> str:
    """Letter names of a Latin word, letters without a name left out: KBS → 케이비에스."""
    return "".join(LETTER_NAMES.get(letter, "") for letter in word.lower())


def lookup_latin(word: str) -> str | None:
    """Reading by the table (exact spelling first, then lower case), or None."""
    lexicon = _lexicon()
    reading = lexicon.get(word) or lexicon.get(word.lower())
    return spell_letters(word) if reading == _LETTER_BY_LETTER else reading


def is_spelled(word: str) -> bool:
    """Whether an unlisted word is surely read letter by letter: one letter, or a few capitals."""
    return len(word) == 1 or (word.isupper() and len(word) <= _LONGEST_ABBREVIATION)


def read_latin(word: str) -> tuple[str, bool]:
    """Reading of a Latin word (L.A, TV, Wi-Fi), and whether it is certain.

    An unlisted lower-case word is spelled out too, but a speaker would not do so: not certain.
    """
    reading = lookup_latin(word)
    if reading is not None:
        return reading, True
    bare = _DOTS.sub("", word)
    parts = [part for part in bare.split("-") if part]
    readings = [(lookup_latin(part) or spell_letters(part)) for part in parts]
    certain = all(lookup_latin(part) is not None or is_spelled(part) for part in parts)
    return "".join(readings), certain
