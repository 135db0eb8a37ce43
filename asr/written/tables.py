"""Counters and units: before which of them which numbers are written in digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from asr.hangul.tables import read_table
from asr.written.numbers import Kind, Number

_PACKAGE = "asr.written"
NEVER = 10**9
"""A least number that no number reaches."""
_SPOKEN_OTHERWISE = {
    "쎈티미터": "센티미터", "퍼센트 포인트": "퍼센트포인트", "미리미터": "밀리미터",
}  # fmt: skip
_SCALES = ("십", "백", "천", "만", "억", "조")
_ALL_DIGITS = "0123456789"
_ALL_SCALES = "십백천만"
_RARE = 11
"""From here on native numbers are written in digits before any counter."""
_CLEAR_UNIT = 3
"""From so many syllables on a unit leaves no doubt that 이 before it is a number (이 킬로미터)."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Which numbers before a counter are digits in writing, and how the counter is written.

    Attributes:
        written: the counter or the symbol of the unit.
        native_spaced: the least native number, with a space before the counter.
        native_attached: the same without.
        sino_attached: single Sino-Korean digits, without a space before the counter.
        sino_spaced: the same with a space.
        scales: those of 십, 백, 천, 만 that are, when alone.
    """

    written: str
    native_spaced: int = NEVER
    native_attached: int = NEVER
    sino_attached: str = ""
    sino_spaced: str = ""
    scales: str = ""

    def takes(self, number: Number, first: str, attached: bool) -> bool:
        """Whether such a number is written in digits; ``first``: its first syllable."""
        if number.kind is Kind.DECIMAL:
            return True
        if number.kind is Kind.NATIVE:
            return number.value >= (self.native_attached if attached else self.native_spaced)
        if number.value < 10:
            return str(number.value) in (self.sino_attached if attached else self.sino_spaced)
        return number.syllables > 1 or first in self.scales


@cache
def counters() -> dict[str, Counter]:
    """Every counter and unit by the word that is said."""
    table = {reading: _unit(reading, symbol) for reading, symbol in _units().items()}
    table |= {name: Counter(name, _RARE, _RARE) for name in word_list("rare_counters")}
    several = {name: Counter(name, sino_attached="23456789") for name in word_list("of_several")}
    table |= several
    table |= {other: table[usual] for other, usual in _SPOKEN_OTHERWISE.items()}
    for row in read_table("counters.tsv", package=_PACKAGE):
        name, native_spaced, native_attached, sino_attached, sino_spaced, scales = (
            "" if cell == "-" else cell for cell in row
        )
        table[name] = Counter(
            table[name].written if name in table else name,
            int(native_spaced or NEVER),
            int(native_attached or NEVER),
            sino_attached,
            sino_spaced,
            scales,
        )
    return table


@cache
def longest_counter() -> int:
    """Syllables of the longest word of the table."""
    return max(map(len, counters()))


def _units() -> dict[str, str]:
    """The usual symbol of each unit: of letters if it has such a one (ml), else the first (㎡)."""
    symbols: dict[str, list[str]] = {}
    for symbol, reading, _ in read_table("units.tsv"):
        symbols.setdefault(reading, []).append(symbol)
    return {
        reading: next((one for one in several if one.isascii() and one.isalpha()), several[0])
        for reading, several in symbols.items()
        if reading not in word_list("not_units")
    }


def _unit(reading: str, symbol: str) -> Counter:
    """Units follow digits whatever the number is; short ones may be other words after 이."""
    spaced = _ALL_DIGITS if len(reading) >= _CLEAR_UNIT else _ALL_DIGITS.replace("2", "")
    written = reading if reading in word_list("kept_units") else symbol
    return Counter(written, sino_attached=_ALL_DIGITS, sino_spaced=spaced, scales=_ALL_SCALES)


@cache
def word_list(name: str) -> frozenset[str]:
    """The words of a list of ``data/words.tsv``."""
    rows = read_table("words.tsv", package=_PACKAGE)
    return frozenset(word for listed, words in rows if listed == name for word in words.split())


def is_no_number(text: str, start: int) -> bool:
    """Whether a word begins there that only looks like a number: 오대산; 사만사, not 사만사천."""
    return any(
        text.startswith(word, start) and not text.startswith(_SCALES, start + len(word))
        for word in word_list("not_numbers")
    )
