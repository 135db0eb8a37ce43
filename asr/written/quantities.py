"""Numbers with their counters and units: dates, clock times, money, measures, people and things."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asr.hangul import numerals
from asr.written.context import Counted, is_written_in_digits
from asr.written.formatting import format_number
from asr.written.match import Match, Place
from asr.written.numbers import Kind, Number, read_all
from asr.written.tables import Counter, counters, longest_counter, word_list
from asr.written.tails import tail_end

_MONTHS = {"유월": "6월", "시월": "10월"}
_ORDINAL_ALONE = re.compile(r"제([이삼사오육칠팔구])의(?![가-힣])")
"""제이의, 제삼의: a second, a third of its kind."""
_SOME = re.compile(r"여| 여(?![자인])")
"""이십여 명, 이십 여 명; but 오십 여자 are women."""
_VAGUE = ("몇", "수")
_UNMISTAKABLE = re.compile(
    r"[이삼사오육칠팔구]십[일이삼사오육칠팔구]?|[이삼사오육칠팔구]?[백천][이삼사오육칠팔구]?[일이삼사오육칠팔구십백]{2,}"
)
_GIVEN = re.compile(r"(?:[주준줌줄줬줘드받]|만점|짜리)")
"""What becomes of points."""


def read_quantity(place: Place) -> Match | None:
    """The number at ``place`` and its counter, where Korean writers put digits."""
    if place.before in _VAGUE:
        return None
    if match := _month_name(place) or _ordinal_alone(place):
        return match
    text, start = place.text, place.start
    ordinal = _ordinal(text, start)
    numbers = read_all(text, start + len(ordinal))
    if place.counter == "월":  # 십일부로 is from the tenth, no part eleven
        numbers.sort(key=lambda number: not text.startswith(("일", " 일"), number.end))
    for number in numbers:
        for counted in _with_counters(text, number):
            longer = numbers[0].end > counted.end and numbers[0].value % 10**12 >= 10**4
            if counted.word == "조" and longer:  # 이조 천억
                break
            if match := _written(place, counted, ordinal):
                return match
            if tail_end(text, counted.end) is not None:
                break  # 두 시간 is no 두 시
    return _run_together(place, numbers)


def _run_together(place: Place, numbers: list[Number]) -> Match | None:
    """A number that leaves no doubt and its counter, before whatever: 이십년지난, 십점만점에."""
    text = place.text
    for number in numbers:
        if " " in text[number.start : number.end]:
            continue
        for counted in _with_counters(text, number):
            rest = text[counted.end :].split(" ", 1)[0]
            if not counted.attached or not rest.isalpha():
                continue
            points = counted.word == "점" and _GIVEN.match(rest)
            if not points and not _UNMISTAKABLE.fullmatch(text, number.start, number.end):
                continue
            if counted.word not in counters() or not is_written_in_digits(place, counted):
                continue
            whole = _digits(place, counted, "") + counters()[counted.word].written
            return Match(counted.end + len(rest), whole + rest)
    return None


def read_half_hour(place: Place) -> Match | None:
    """반 after an hour: 세 시 반 → 3시 30분."""
    if place.counter != "시" or not place.text.startswith("반", place.start):
        return None
    end = tail_end(place.text, place.start + 1)
    return None if end is None else Match(end, "30분" + place.text[place.start + 1 : end], "분")


def _ordinal(text: str, start: int) -> str:
    """제 of 제십팔대 and 제 십팔 대."""
    if text.startswith("제 ", start):
        return "제 "
    return "제" if text.startswith("제", start) else ""


def _month_name(place: Place) -> Match | None:
    for spoken, written in _MONTHS.items():
        if place.text.startswith(spoken, place.start):
            return _finished(place, written, "월", place.start + len(spoken))
    return None


def _ordinal_alone(place: Place) -> Match | None:
    match = _ORDINAL_ALONE.match(place.text, place.start)
    if match is None:
        return None
    return Match(match.end(), f"제{numerals.SINO_DIGITS.index(match[1])}의")


def _with_counters(text: str, number: Number) -> Iterator[Counted]:
    """A number and each counter that may be after it, longest first."""
    begin = number.end
    if number.value >= 10 and (some := _SOME.match(text, begin)):
        begin = some.end()
    begin += text.startswith(" ", begin)
    for length in range(longest_counter(), 0, -1):
        word = text[begin : begin + length]
        known = word in counters() or word in word_list("ordered")
        if len(word) == length and known and not text.startswith("동안", begin):
            yield Counted(number, word, begin, begin + length)


def _written(place: Place, counted: Counted, ordinal: str) -> Match | None:
    number, word = counted.number, counted.word
    if ordinal:
        if number.value >= 10**12 or not _is_ordinal(counted, apart=ordinal.endswith(" ")):
            return None
    elif word not in counters() or not is_written_in_digits(place, counted):
        return None
    counter = counters().get(word, Counter(word)).written
    return _finished(place, _digits(place, counted, ordinal) + counter, word, counted.end)


def _digits(place: Place, counted: Counted, ordinal: str) -> str:
    """The number in digits, with 제 before it and what stands between it and its counter."""
    number, word = counted.number, counted.word
    spoken = place.text[number.start : number.end]
    between = place.text[number.end : counted.begin]
    plain = bool(ordinal) or word in word_list("plain")
    counter = counters().get(word, Counter(word)).written
    digits = format_number(number, plain, spoken, not counter.isascii()) + between.strip()
    if between.endswith(" ") and digits[-1] in "만억조천여":
        digits += " "
    return ordinal.strip() + digits


def _is_ordinal(counted: Counted, apart: bool) -> bool:
    """제 before a number; standing apart it is "my" before a single digit (제 이 일)."""
    number = counted.number
    if number.kind is not Kind.SINO or number.value == 0:
        return False
    if number.syllables == 1 and number.value > 9 and counted.word == "과":
        return False  # 제천과 is with Jecheon
    return number.value >= 10 or (counted.word in word_list("ordered") and not apart)


def _finished(place: Place, written: str, word: str, end: int) -> Match | None:
    """The match with its tail, or with another number in the same eojeol: 세시삼십분에."""
    text = place.text
    further = Place(text, end, counter=word)
    rest = read_half_hour(further)
    if rest is None and (tail := tail_end(text, end)) is not None:
        return Match(tail, written + text[end:tail], word)
    if rest is None and word in word_list("chains"):
        rest = read_quantity(further)
    return Match(rest.end, f"{written} {rest.written}", rest.counter) if rest else None
