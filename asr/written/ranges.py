"""Two numbers that belong together: 삼에서 오 킬로미터, 십육세에서 십팔세 사이, 일이초, 일 이편."""

from __future__ import annotations

import re
from dataclasses import replace

from asr.written.formatting import format_whole
from asr.written.match import Match, Place, next_eojeol
from asr.written.numbers import DIGITS, Number, read_all, read_sino
from asr.written.quantities import read_quantity
from asr.written.tables import counters, is_no_number, longest_counter, word_list
from asr.written.tails import tail_end

_FROM = re.compile(r"에서 ")
_ROUGHLY = re.compile(
    r"(?:사이|정도|가량|쯤|씩|의|짜리|간|마다|동안|내외|안팎|(?:걸[려리린]|소요)[가-힣]*)"
)
_NOT_MOVED = re.compile(r"(?:[은는이가을를과와에의선]|경|대|생|인|짜리)*")
"""What may follow the second number in its eojeol; after 으로 it may be what the first became."""
_WRITTEN_QUANTITY = re.compile(r"([\d,.]+)(\D*)")
_PAIR = re.compile(
    r"(?P<pair>일 ?이|이삼|삼 ?사|사 ?오|오 ?[육륙]|육 ?칠|칠 ?팔|팔 ?구)"
    r"(?P<scales>[십백천]?[만억]?)(?P<more>여?)(?P<gap> ?)(?=[가-힣])"
)
"""Numbers that are one apart; 이 삼 is left out, since 이 is "this" as well."""


def read_range(place: Place) -> Match | None:
    """Two numbers and what they count."""
    return _neighbours(place) or _bare_first(place) or _both_counted(place)


def _bare_first(place: Place) -> Match | None:
    """삼에서 오 킬로미터 → 3~5km."""
    text = place.text
    for first in read_sino(text, place.start)[:1]:
        if (step := _FROM.match(text, first.end)) is not None:
            second = _further(place, step.end())
            if second and second[2] > first.value:
                written = f"{format_whole(first)}~{second[1].written}"
                return Match(second[1].end, written, second[1].counter)
    return None


def _both_counted(place: Place) -> Match | None:
    """십육세에서 십팔세 사이 → 16~18세; 십 퍼센트에서 이십 퍼센트로 goes from one to the other."""
    text = place.text
    counted = read_quantity(place)
    if counted is None or not counted.written.endswith("에서"):
        return None
    second = _further(place, counted.end + 1)
    said = _WRITTEN_QUANTITY.fullmatch(counted.written.removesuffix("에서"))
    if second is None or said is None or second[1].counter != counted.counter:
        return None
    tail = _WRITTEN_QUANTITY.fullmatch(second[1].written)
    if tail is None or not tail[2].startswith(said[2]) or second[2] <= _value(said[1]):
        return None
    rest = tail[2].removeprefix(said[2])
    after = next_eojeol(text, second[1].end)
    roughly = _ROUGHLY.match(rest or after)
    moves = after.startswith(tuple(word_list("movements")))
    measured = counted.counter in word_list("measures") or said[2] == "%"
    if not roughly and not (measured and not moves and _NOT_MOVED.fullmatch(rest)):
        return None
    return Match(second[1].end, f"{said[1]}~{second[1].written}", counted.counter)


def _neighbours(place: Place) -> Match | None:
    """일이초 → 1~2초, 삼사백 명 → 300~400명, 오륙만 명 → 5~6만 명, 일 이편 → 1, 2편."""
    text = place.text
    pair = _PAIR.match(text, place.start)
    if pair is None or is_no_number(text, place.start):
        return None
    apart, scales = " " in pair["pair"], pair["scales"]
    counter = _counter(text, pair.end())
    tail = tail_end(text, pair.end() + len(counter))
    if not counter or tail is None:
        return None
    one, two = DIGITS[pair["pair"][0]], DIGITS[pair["pair"][-1]]
    ordered = apart and not scales and counter in word_list("in_order")
    spaced = bool(pair["gap"])
    if not ordered:
        if counter not in word_list("measures") or (apart and not scales and spaced):
            return None
        if one == 1 and not scales and spaced:  # 일이 초과되면
            return None
    zeros = {"십": "0", "백": "00"}.get(scales[:1], "")
    unit = scales[1:] if zeros else scales
    gap = " " if unit and spaced else ""
    written = counters()[counter].written if counter in counters() else counter
    sign = ", " if ordered else "~"
    numbers = f"{one}{zeros}{sign}{two}{zeros}{unit}{pair['more']}{gap}"
    end = pair.end() + len(counter)
    return Match(tail, numbers + written + text[end:tail], counter)


def _counter(text: str, start: int) -> str:
    """The longest counter at a place that ends its eojeol with its tail; "" if there is none."""
    for length in range(longest_counter(), 0, -1):
        word = text[start : start + length]
        if len(word) == length and word in counters():
            return word if tail_end(text, start + length) is not None else ""
    return ""


def _further(place: Place, start: int) -> tuple[Number, Match, float] | None:
    match = read_quantity(replace(place, start=start, before=""))
    if match is None or not match.counter:
        return None
    said = _WRITTEN_QUANTITY.match(match.written)
    numbers = read_all(place.text, start)
    if said is None or not numbers:
        return None
    return numbers[0], match, _value(said[1])


def _value(written: str) -> float:
    return float(written.replace(",", "").rstrip("."))
