"""Korean number words read as numbers: Sino-Korean, native, mixed, decimals, strings of digits.

A stretch of text may end a number in several places: 이십일 is 21, or 20 before the counter 일. So
the readers give every number that begins at a place, the longest first, and the rules choose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from asr.hangul import numerals


class Kind(Enum):
    """How a number was said."""

    SINO = "sino"
    NATIVE = "native"
    DECIMAL = "decimal"


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was said in ``text[start:end]``.

    Attributes:
        kind: Sino-Korean, native (also with Sino hundreds: 백한) or a decimal.
        value: the number; of a decimal, what stands before the point.
        start: index of its first syllable.
        end: index after its last.
        decimals: digits after the point; "" without one.
        syllables: how many syllables it was said in.
    """

    kind: Kind
    value: int
    start: int
    end: int
    syllables: int
    decimals: str = ""


DIGITS = {word: value for value, word in enumerate(numerals.SINO_DIGITS) if value} | {"륙": 6}
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_POINTED = re.compile(r" ?[쩜점] ?(?=[영공일이삼사오육륙칠팔구])")
_COPULA = re.compile(
    r"(?:다|고|며|죠|야|나|구나|네요|군요)(?![가-힣])|었|라[고는]|에요|므로|기에|지만"
)
_STRING = {**DIGITS, "영": 0, "공": 0}
_ONES = {word: ones for ones, word in enumerate(numerals.NATIVE_ONES_ATTRIBUTIVE) if ones}
_TENS = {word: 10 * tens for tens, word in enumerate(numerals.NATIVE_TENS) if tens}
_NATIVE = re.compile(
    rf"(?P<twenty>스무)|(?P<tens>{'|'.join(_TENS)})?(?: ?(?P<ones>{'|'.join(_ONES)}))?"
)


class _SinoReader:
    """Takes a Sino-Korean number syllable by syllable, as far as it goes down in size."""

    def __init__(self) -> None:
        self.total = 0  # what 만, 억, 조 have closed
        self.group = 0  # below 10,000
        self.digit = 0
        self.small = 10_000  # the last of 천, 백, 십 in this group
        self.large = 10**20  # the last of 조, 억, 만

    def take(self, syllable: str) -> bool:
        """Whether the number goes on with this syllable."""
        if syllable in DIGITS:
            if self.digit or self.small <= 1:
                return False
            self.digit = DIGITS[syllable]
            return True
        if syllable in _SMALL:
            unit = _SMALL[syllable]
            if unit >= self.small:
                return False
            self.group += (self.digit or 1) * unit
            self.digit, self.small = 0, unit
            return True
        unit = _LARGE.get(syllable, 0)
        if not unit or unit >= self.large or (self.large < 10**20 and not self._in_group()):
            return False
        if unit != 10**4 and not self._in_group():  # only 만 stands for one of itself
            return False
        self.total += (self._in_group() or 1) * unit
        self.group = self.digit = 0
        self.small, self.large = 10_000, unit
        return True

    def _in_group(self) -> int:
        return self.group + self.digit

    @property
    def value(self) -> int:
        return self.total + self._in_group()


def read_sino(text: str, start: int) -> list[Number]:
    """Every Sino-Korean number at ``start``, longest first; spaces may follow 십, 백, 천, 만 ….

    >>> [(n.value, n.end) for n in read_sino("이천 이십육년", 0)]
    [(2026, 6), (2020, 5), (2002, 4), (2000, 2), (2, 1)]
    """
    if text.startswith("영", start):
        return [Number(Kind.SINO, 0, start, start + 1, 1)]
    reader, found, place, syllables = _SinoReader(), [], start, 0
    while place < len(text):
        step = place
        if text[place] == " ":
            if place == start or text[place - 1] in DIGITS or place + 1 == len(text):
                break
            step += 1
        if not reader.take(text[step]):
            break
        place, syllables = step + 1, syllables + 1
        found.append(Number(Kind.SINO, reader.value, start, place, syllables))
    return [number for number in reversed(found) if not _ends_in_copula(text, number)]


def read_decimal(text: str, whole: Number) -> list[Number]:
    """Every decimal that begins with ``whole``, longest first: 육십사쩜오 → 64.5."""
    if whole.kind is not Kind.SINO or not (point := _POINTED.match(text, whole.end)):
        return []
    found, digits, place = [], "", point.end()
    while place < len(text) and text[place] in _STRING:
        digits += str(_STRING[text[place]])
        place += 1
        syllables = whole.syllables + 1 + len(digits)
        found.append(Number(Kind.DECIMAL, whole.value, whole.start, place, syllables, digits))
    return [number for number in reversed(found) if not _ends_in_copula(text, number)]


def _ends_in_copula(text: str, number: Number) -> bool:
    """Whether its last 이 is that of 이다: 사쩜사이다 is 4.4이다."""
    is_last = number.syllables > 1 and text[number.end - 1] == "이"
    return is_last and bool(_COPULA.match(text, number.end))


def read_native(text: str, start: int) -> list[Number]:
    """Every native number before a counter at ``start``, longest first: 스물한, 백한, 스무."""
    found = []
    hundreds = [n for n in read_sino(text, start) if n.value % 100 == 0 and 0 < n.value < 10_000]
    for before in [*hundreds, None]:
        place = before.end if before else start
        if before and text[place : place + 1] == " ":
            place += 1
        match = _NATIVE.match(text, place)
        if not match or not match[0] or match[0].startswith(" "):
            continue
        if before and match[0] == "세" and text.startswith("대", match.end()):  # 삼백세대
            continue
        value = before.value if before else 0
        syllables = before.syllables if before else 0
        if match["twenty"]:
            ends = [(20, match.end())]
        else:
            tens, ones = _TENS.get(match["tens"], 0), _ONES.get(match["ones"], 0)
            ends = [(tens + ones, match.end())]
            if tens and ones:
                ends.append((tens, match.end("tens")))
        for number, end in ends:
            spoken = syllables + len(text[place:end].replace(" ", ""))
            found.append(Number(Kind.NATIVE, value + number, start, end, spoken))
    return sorted(found, key=lambda n: -n.end)


def read_all(text: str, start: int) -> list[Number]:
    """Every number at ``start``, longest first."""
    sino = read_sino(text, start)
    decimals = [number for whole in sino for number in read_decimal(text, whole)]
    return sorted([*decimals, *sino, *read_native(text, start)], key=lambda n: -n.end)


def read_digit_string(text: str, start: int) -> str:
    """The digits said one by one at ``start``: 공일공 → "010"; "" where there is none.

    >>> read_digit_string("공일공에", 0)
    '010'
    """
    digits = ""
    for syllable in text[start:]:
        if syllable not in _STRING:
            break
        digits += str(_STRING[syllable])
    return digits
