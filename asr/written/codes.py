"""Digits said one by one: telephone numbers, card numbers, emergency numbers."""

from __future__ import annotations

import re

from asr.written.match import Match, Place
from asr.written.numbers import read_digit_string
from asr.written.tables import word_list
from asr.written.tails import tail_end

_MOBILE = re.compile(r"(01[016789])(\d{3,4})(\d{4})")
_AREA = re.compile(r"(02|0[3-6][1-5]|070|080|050\d?)(\d{3,4})(\d{4})")
_SERVICE = re.compile(
    r"(15(?:22|33|44|66|77|88|99)|16(?:00|11|22|33|44|55|61|66|70|77|88|99)"
    r"|18(?:00|11|22|33|44|51|55|66|70|77|99))(\d{4})"
)
_TELEPHONES = (_MOBILE, _AREA, _SERVICE)
_BETWEEN = re.compile(r"에 | 다시 | ")
"""Said between groups: 다시 is the hyphen."""
_LEAST_IN_GROUP = 3
_LEAST = 4
"""So few digits in one eojeol are a code; fewer are words (오이, 이륙이, 사육이)."""
_LONG = 5
"""Single digits said apart, so many in a row, are a code, too."""
_YEAR_OF_TWO = re.compile(r"([공영칠팔구][공영일이삼사오육칠팔구]) ?(년생|학번|년도)")
"""공삼학번, 팔팔년생: the last two digits of a year."""
_EMERGENCY = {"일일구": "119", "일일이": "112", "일일사": "114"}
_EMERGENCY_AFTER = re.compile(
    r"(?:에|로|구급|신고|대원|상황실|센터|안내|요원|번|통합|구조"
    r"| (?:신고|구급|구조|상황|대원|종합|통합|안전))"
)
_PREFIX = re.compile(r"공일[공일육칠팔구]|공칠공|공팔공")
"""The first digits of telephone numbers, which are no other words."""


def read_code(place: Place) -> Match | None:
    """A telephone number, or another number said digit by digit, at ``place``."""
    return _year_of_two(place) or _groups(place) or _one(place)


def _year_of_two(place: Place) -> Match | None:
    match = _YEAR_OF_TWO.match(place.text, place.start)
    if match is None or (tail := tail_end(place.text, match.end())) is None:
        return None
    written = read_digit_string(match[1], 0) + match[2]
    return Match(tail, written + place.text[match.end() : tail])


def _groups(place: Place) -> Match | None:
    """Several eojeol of digits, 에 between them or not: 공일공 일이삼사 오육칠팔."""
    text, groups, ends = place.text, [], []
    at = place.start
    if _is_word(text, at, read_digit_string(text, at)):
        return None
    while digits := read_digit_string(text, at):
        at += len(digits)
        groups.append(digits)
        ends.append(at)
        between = _BETWEEN.match(text, at)
        if between is None:
            break
        at = between.end()
    for count in range(len(groups), 0, -1):
        end = ends[count - 1]
        tail = tail_end(text, end)
        written = _written_groups(groups[:count])
        if tail is not None and written:
            return Match(tail, written + text[end:tail])
    return None


def _is_word(text: str, start: int, digits: str) -> bool:
    return text[start : start + len(digits)] in word_list("not_codes")


def _written_groups(groups: list[str]) -> str:
    """With hyphens as telephone and account numbers are; "" for what is neither."""
    joined = "".join(groups)
    for pattern in _TELEPHONES:
        if match := pattern.fullmatch(joined):
            return "-".join(match.groups())
    if len(groups) > 1 and min(map(len, groups)) >= _LEAST_IN_GROUP:
        return "-".join(groups)
    singles = len(groups) >= _LONG and all(len(group) <= 2 for group in groups)
    return joined if singles else ""


def _one(place: Place) -> Match | None:
    """Four digits or more in one eojeol, three before 번, and those with 공: 공일번."""
    text, start = place.text, place.start
    digits = read_digit_string(text, start)
    end = start + len(digits)
    if emergency := _emergency(text, start):
        return emergency
    if text.startswith("번", end) and (len(digits) > 2 or (digits[:1] == "0" and len(digits) == 2)):
        tail = tail_end(text, end + 1)
        named = text[start] != "영"
        return Match(tail, digits + text[end:tail], "번") if tail is not None and named else None
    prefix = _PREFIX.match(text, start)
    if prefix and prefix.end() == end and (tail := tail_end(text, end, suffixes=False)):
        return Match(tail, digits + text[end:tail])
    if len(digits) < _LEAST or _is_word(text, start, digits) or len(set(digits)) == 1:
        return None
    tail = tail_end(text, end, suffixes=False)
    return None if tail is None else Match(tail, digits + text[end:tail])


def _emergency(text: str, start: int) -> Match | None:
    """일일구에 → 119에; 일일이 alone is "one by one"."""
    number = _EMERGENCY.get(text[start : start + 3])
    end = start + 3
    if number is None or not _EMERGENCY_AFTER.match(text, end):
        return None
    eojeol_end = text.find(" ", end)
    last = len(text) if eojeol_end < 0 else eojeol_end
    return Match(last, number + text[end:last])
