"""Numbers in phrases: fractions, scores, ranges, what is below zero, versions."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from asr.hangul.tables import read_table
from asr.written.formatting import format_number
from asr.written.match import Match, Place, next_eojeol
from asr.written.numbers import Kind, Number, read_all, read_sino
from asr.written.quantities import read_quantity
from asr.written.tails import tail_end

_HIGHEST_SCORE = 200
_SCORE_TAIL = re.compile(r"(?:로|으로|이|가|의|을|를|은|는|에서|승|패|무승부|동점)?(?![가-힣])")
_SCORE = re.compile(r" ?대 ?")
_OF = re.compile(r" ?분의 ?")
_FROM = re.compile(r"에서 ")
_ROUGHLY = re.compile(
    r"(?:사이|정도|가량|쯤|씩|의|짜리|간|마다|동안|(?:걸[려리린]|소요)[가-힣]*)"
)
_WRITTEN_QUANTITY = re.compile(r"([\d,.]+)(\D*)")
_VERSION = re.compile(r"[영일이삼사오육칠팔구십]+(?:쩜[영일이삼사오육칠팔구십]+){2,}")
_EVENT = re.compile(
    r"(?:혁명|운동|전쟁|민주|항쟁|의거|사건|사태|참사|테러|쿠데타|정변|선언|공동|회담|대선|총선)[가-힣]*"
)
"""What is written together with a day that has a name."""
_BELOW_ZERO = "마이너스 "


def read_phrase(place: Place) -> Match | None:
    """A fraction, score, range, version or negative number at ``place``."""
    return _name(place) or (
        _fraction(place) or _version(place) or _score(place) or _range(place) or _negative(place)
    )


@cache
def _names() -> list[list[str]]:
    rows = read_table("phrases.tsv", package="asr.written")
    return sorted(rows, key=lambda row: -len(row[0]))


def _name(place: Place) -> Match | None:
    """A name of the table: 육삼빌딩 → 63빌딩, 사일구혁명 → 4.19혁명."""
    for said, written, kind in _names():
        if place.text.startswith(said, place.start):
            end = place.start + len(said)
            event = _EVENT.match(place.text, end) if kind == "day" else None
            tail = event.end() if event else tail_end(place.text, end, suffixes=False)
            if tail is not None:
                return Match(tail, written + place.text[end:tail])
    return None


def _fraction(place: Place) -> Match | None:
    """삼분의 일 → 3분의 1."""
    text = place.text
    for whole in read_sino(text, place.start):
        of = _OF.match(text, whole.end)
        if not of or whole.value < 2:
            continue
        for part in read_sino(text, of.end()):
            tail = tail_end(text, part.end, suffixes=False)
            if tail is not None and part.value > 0:
                written = f"{_plain(whole)}분의 {_plain(part)}"
                return Match(tail, written + text[part.end : tail])
    return None


def _version(place: Place) -> Match | None:
    """일쩜이쩜삼 → 1.2.3."""
    text = place.text
    match = _VERSION.match(text, place.start)
    if not match or (tail := tail_end(text, match.end(), suffixes=False)) is None:
        return None
    parts = [read_sino(part, 0)[0] for part in match[0].split("쩜")]
    return Match(tail, ".".join(map(_plain, parts)) + text[match.end() : tail])


def _score(place: Place) -> Match | None:
    """삼 대 이로 → 3 대 2로. Run together it needs its particle: 삼대이로, but 삼대이."""
    text = place.text
    for ours in read_sino(text, place.start)[:1]:
        against = _SCORE.match(text, ours.end)
        if not against:
            continue
        theirs = read_sino(text, against.end())
        if not theirs or max(ours.value, theirs[0].value) > _HIGHEST_SCORE:
            continue
        tail = _SCORE_TAIL.match(text, theirs[0].end)
        apart = against[0] == " 대 "
        one_to_one = (ours.value, theirs[0].value) == (1, 1)
        to = tail is not None and tail[0] in ("로", "으로") and not one_to_one
        joined = to or ours.value >= 10
        if tail and (apart or joined):  # 일대일로 is an adverb
            written = f"{_plain(ours)}{against[0]}{_plain(theirs[0])}"
            return Match(tail.end(), written + tail[0])
    return None


def _range(place: Place) -> Match | None:
    """삼에서 오 킬로미터 → 3~5km; 십육세에서 십팔세 사이 → 16~18세."""
    text = place.text
    for first in read_sino(text, place.start)[:1]:
        if (step := _FROM.match(text, first.end)) is not None:
            second = _further(place, step.end())
            if second and second[2] > first.value:
                return Match(second[1].end, f"{_plain(first)}~{second[1].written}")
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
    if not _ROUGHLY.match(rest or next_eojeol(text, second[1].end)):
        return None  # 십 퍼센트에서 이십 퍼센트로: from and to, no range
    return Match(second[1].end, f"{said[1]}~{second[1].written}", counted.counter)


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


def _negative(place: Place) -> Match | None:
    """마이너스 오도 → -5도."""
    text = place.text
    if not text.startswith(_BELOW_ZERO, place.start):
        return None
    inner = replace(place, start=place.start + len(_BELOW_ZERO), before=_BELOW_ZERO.strip())
    match = read_quantity(inner)
    return None if match is None else replace(match, written="-" + match.written)


def _plain(number: Number) -> str:
    return format_number(number, plain=number.kind is Kind.SINO)
