"""Numbers in phrases: fractions, scores, ranges, what is below zero, versions."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from asr.hangul.numerals import SINO_DIGITS
from asr.hangul.tables import read_table
from asr.written.formatting import format_whole
from asr.written.match import Match, Place
from asr.written.numbers import read_digit_string, read_sino
from asr.written.quantities import read_quantity
from asr.written.ranges import read_range
from asr.written.tails import tail_end

_HIGHEST_SCORE = 200
_SCORE_TAIL = re.compile(r"(?:로|으로|이|가|의|을|를|은|는|에서|승|패|무승부|동점)?(?![가-힣])")
_SCORE = re.compile(r" ?대 ?")
_OF = re.compile(r" ?분의 ?")
_VERSION = re.compile(r"[영일이삼사오육칠팔구십]+(?:쩜[영일이삼사오육칠팔구십]+){2,}")
_EVENT = re.compile(
    r"(?:혁명|운동|전쟁|민주|항쟁|의거|사건|사태|참사|테러|쿠데타|정변|선언|공동|회담|대선|총선)[가-힣]*"
)
"""What is written together with a day that has a name."""
_BELOW_ZERO = "마이너스 "
_ARTICLE = re.compile(r"제([일이삼사오육칠팔구십백천]+)조(?:의([일이삼사오육칠팔구십]+))?")
_PARAGRAPH = re.compile(r"제([일이삼사오육칠팔구십]+)([항호])")
_NUMERAL = SINO_DIGITS[1:]
_POINTED_WITHIN = re.compile(
    rf"([가-힣]*[^{_NUMERAL}십백천만영 ])([{_NUMERAL}십백영]+쩜[영{_NUMERAL}]+?)"
    rf"(이?)(?![영{_NUMERAL}])"
)


def read_phrase(place: Place) -> Match | None:
    """A fraction, score, range, version or negative number at ``place``."""
    return _name(place) or (
        _fraction(place)
        or _version(place)
        or _score(place)
        or read_range(place)
        or _negative(place)
        or _article(place)
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
            if kind == "any":
                tail = end + len(place.text[end:].split(" ", 1)[0])
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
                written = f"{format_whole(whole)}분의 {format_whole(part)}"
                return Match(tail, written + text[part.end : tail])
    return None


def _version(place: Place) -> Match | None:
    """일쩜이쩜삼 → 1.2.3."""
    text = place.text
    match = _VERSION.match(text, place.start)
    if not match or (tail := tail_end(text, match.end(), suffixes=False)) is None:
        return None
    parts = [read_sino(part, 0)[0] for part in match[0].split("쩜")]
    return Match(tail, ".".join(map(format_whole, parts)) + text[match.end() : tail])


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
            written = f"{format_whole(ours)}{against[0]}{format_whole(theirs[0])}"
            return Match(tail.end(), written + tail[0])
    return None


def _negative(place: Place) -> Match | None:
    """마이너스 오도 → -5도."""
    text = place.text
    if not text.startswith(_BELOW_ZERO, place.start):
        return None
    inner = replace(place, start=place.start + len(_BELOW_ZERO), before=_BELOW_ZERO.strip())
    match = read_quantity(inner)
    return None if match is None else replace(match, written="-" + match.written)


def _article(place: Place) -> Match | None:
    """제구조의이 → 제9조의2, 제백육조제일항 → 제106조제1항."""
    text = place.text
    match = _ARTICLE.match(text, place.start)
    if match is None:
        return None
    written, end, counter = f"제{_said(match[1])}조", match.end(), "조"
    written += f"의{_said(match[2])}" if match[2] else ""
    while further := _PARAGRAPH.match(text, end):
        written += f"제{_said(further[1])}{further[2]}"
        end, counter = further.end(), further[2]
    tail = tail_end(text, end, suffixes=False)
    alone = end == match.end() and not match[2]
    if tail is None or alone:
        return None
    return Match(tail, written + text[end:tail], counter)


def _said(words: str) -> str:
    return format_whole(read_sino(words, 0)[0])


def read_pointed_within(place: Place) -> Match | None:
    """A decimal behind a noun, 웹이쩜영 → 웹2.0: no other word has 쩜 between digits."""
    match = _POINTED_WITHIN.match(place.text, place.start)
    if match is None:
        return None
    whole, _, decimals = match[2].partition("쩜")
    numbers = read_sino(whole, 0)
    if not numbers or numbers[0].end != len(whole):
        return None
    eojeol_end = place.text.find(" ", match.end())
    last = len(place.text) if eojeol_end < 0 else eojeol_end
    digits = read_digit_string(decimals, 0)
    rest = place.text[match.end(2) : last]
    return Match(last, f"{match[1]}{format_whole(numbers[0])}.{digits}{rest}")
