"""Written quantities (a number with its counter, unit or scale) turned into spoken Hangul."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from asr.hangul import numerals
from asr.hangul.tables import read_table

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
SCALES = "십백천만억조경"
# Sino counters of dates and clocks: leading zeros are padding there (05월 → 오월).
_PADDED = ("년", "월", "일", "시", "분", "초")
_MONTHS = {6: "유월", 10: "시월"}
_TIGHT = "attached"
# What may follow a native counter of one syllable, so that 시 is not found in 시즌, nor 장 in 장르.
_AFTER_SHORT = (
    r"(?![가-힣])|(?=이|가|은|는|을|를|의|에|와|과|도|만|나|로|으로|까지|부터|씩|쯤|정도|밖|보다|뿐|마다"
    r"|째|여|인|짜리|간|반|당|들|넘|안|중|후|전|내|하|했|한|라|다|더|입|였|예|지|뒤|고|며|미만|경|께|차이|난|가량|된|치|봤|꼴)"
)


@dataclass(frozen=True, slots=True)
class Counter:
    """How the number before a counter is read: native words up to ``native_max``, Sino above it."""

    native_max: int
    sino_before: re.Pattern[str] | None


@cache
def _counters() -> dict[str, Counter]:
    return {
        name: Counter(int(native_max), re.compile(sino) if sino else None)
        for name, native_max, sino in read_table("counters.tsv")
    }


@cache
def _units() -> dict[str, str]:
    return {symbol: reading for symbol, reading, _ in read_table("units.tsv")}


def _alternation(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=lambda w: (-len(w), w)))


@cache
def counter_pattern() -> str:
    """Regular expression source for a counter of the table, longest first."""
    names = [*_counters(), *_PADDED]
    short = "".join(name for name in names if len(name) == 1)
    long = _alternation([name for name in names if len(name) > 1])
    return f"(?:{long}|[{short}](?:{_AFTER_SHORT}))"


@cache
def unit_pattern() -> str:
    """Regular expression source for the space before a unit symbol and the symbol."""
    rows = read_table("units.tsv")
    loose = _alternation([symbol for symbol, _, mode in rows if mode != _TIGHT])
    tight = _alternation([symbol for symbol, _, mode in rows if mode == _TIGHT])
    return rf"(?:\s?(?:{loose})|(?:{tight}))(?![A-Za-z])"


def has_native_numbers(counter: str) -> bool:
    """Whether small numbers before ``counter`` are native words (세 개, but 삼 층)."""
    entry = _counters().get(counter)
    return counter == "시" or (entry is not None and entry.native_max > 0)


@cache
def _quantity() -> re.Pattern[str]:
    return re.compile(
        rf"(?P<minus>(?<![\w)])[-−–](?=\d))?(?P<number>{NUMBER})"
        rf"(?:(?P<space>\s?)(?P<counter>{counter_pattern()})(?P<gap>(?:(?<=[년월시분])|(?<=시간))(?=\d))?"
        rf"|(?P<scale>[{SCALES}]+)|)(?P<unit>{unit_pattern()})?"
    )


def _count(number: str, counter: str, following: str) -> str:
    """Reading of a number and the counter right after it, without the space between them."""
    small = int(number) if number.isdecimal() and len(number) <= 2 else 0
    if counter == "월" and small in _MONTHS:
        return _MONTHS[small]
    if counter == "시" and 1 <= small <= 12:
        return numerals.native(small) + counter
    if counter in _PADDED:
        return numerals.read_number(number, keep_leading_zeros=False) + counter
    return _count_things(number, counter, following) + counter


def _count_things(number: str, counter: str, following: str) -> str:
    entry = _counters()[counter]
    digits = number.replace(",", "")
    if not digits.isdecimal() or digits[0] == "0" or len(digits) > numerals.SINO_LENGTH:
        return numerals.read_number(number)
    if entry.sino_before is not None and entry.sino_before.match(following):
        return numerals.read_number(number)
    value = int(digits)
    if counter == "번째" and value == 1:
        return "첫"
    if 1 <= value <= entry.native_max:
        return numerals.native(value)
    hundreds, rest = divmod(value, 100)
    if entry.native_max == 99 and rest:
        return numerals.sino(hundreds * 100) + numerals.native(rest)
    return numerals.read_number(number)


def _scaled(number: str, scale: str) -> str:
    """2천 → 이천; the 일 of a leading 1 is silent before 십, 백, 천 and 만."""
    if number == "1" and scale[0] in "십백천만":
        return scale
    return numerals.read_number(number) + scale


def _read_match(match: re.Match[str]) -> str:
    number, counter, scale = match["number"], match["counter"], match["scale"]
    if counter:
        spoken = _count(number, counter, match.string[match.end() :][:24])
        if match["space"]:
            spoken = spoken.removesuffix(counter) + " " + counter
        if match["gap"] is not None:
            spoken += " "
    else:
        spoken = _scaled(number, scale) if scale else numerals.read_number(number)
    if unit := match["unit"]:
        spoken += (" " if unit[0].isspace() else "") + _units()[unit.strip()]
    return ("마이너스 " if match["minus"] else "") + spoken


def read_quantities(text: str) -> str:
    """``text`` with every number read aloud, by the counter, scale or unit that follows it."""
    return _quantity().sub(_read_match, text)


@cache
def _range() -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\d.,])(?P<first>{NUMBER})(?P<own>[가-힣%]{{0,2}})\s?(?P<mark>[~-])\s?"
        rf"(?P<second>{NUMBER})(?P<tail>\s?{counter_pattern()}|{unit_pattern()}|[{SCALES}]+|)"
    )


def _read_range(match: re.Match[str]) -> str:
    first, second, tail = match["first"], match["second"], match["tail"]
    if match["own"]:
        return match[0].replace(match["mark"], "에서 ", 1) if match["mark"] == "~" else match[0]
    if (approximate := _read_adjacent(match)) is not None:
        return approximate
    if match["mark"] == "-" and not tail:
        return _read_hyphenated(first, second)
    counter = tail.strip()
    if counter == "번지" and match["mark"] == "-":
        return f"{first} 다시 {second}{tail}"
    if counter == "장":  # chapters: a stretch of counted sheets is not said so
        return f"{numerals.read_number(first)}장에서 {numerals.read_number(second)}{tail}"
    repeated = tail if counter in _counters() or counter in _PADDED else ""
    return f"{first}{repeated}에서 {second}{tail}"


def _read_adjacent(match: re.Match[str]) -> str | None:
    """3~4명 → 서너명: two consecutive numbers below ten before a counter are an approximation."""
    first, second, tail = match["first"], match["second"], match["tail"]
    counter = tail.strip()
    one_digit = len(first) == len(second) == 1
    if not one_digit or int(second) != int(first) + 1 or first == "0" or not counter:
        return None
    is_date = counter in _PADDED and counter not in ("분", "초")
    if is_date or counter in _units():
        return None
    return numerals.approximate(int(first), has_native_numbers(counter)) + tail


def _read_hyphenated(first: str, second: str) -> str:
    """Two numbers with a hyphen and no counter: years, a score, or the parts of an address."""
    if len(first) == len(second) == 4 and "1000" <= first < second < "2200":
        return f"{first}에서 {second}"
    if max(len(first), len(second)) >= 4:
        return f"{numerals.digit_by_digit(first)} {numerals.digit_by_digit(second)}"
    is_score = len(first) <= 2 and len(second) <= 2
    return f"{first} {'대' if is_score else '다시'} {second}"


def read_ranges(text: str) -> str:
    """Range and hyphen marks between numbers replaced by words; the numbers stay as digits."""
    return _range().sub(_read_range, text)
