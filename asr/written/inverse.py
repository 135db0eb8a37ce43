"""Inverse text normalisation: spoken Korean to the text that a Korean would write.

The rules look at each eojeol in turn, the particular before the general; what no rule is sure of
stays as it was said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from asr.written.bare import read_bare
from asr.written.codes import read_code
from asr.written.match import Match, Place
from asr.written.phrases import read_phrase, read_pointed_within
from asr.written.quantities import read_half_hour, read_quantity
from asr.written.tables import word_list
from asr.written.tokens import WrittenToken

_OPENING = re.compile(r"[(\[{<《〈「『'\"‘“]*")
_MARKS = re.compile(r"[^가-힣A-Za-z0-9\s]*")
_STOPS = ".?!"
_RULES: tuple[Callable[[Place], Match | None], ...] = (
    read_half_hour,
    read_phrase,
    read_code,
    read_quantity,
    read_bare,
    read_pointed_within,
)


def to_written(text: str) -> str:
    """Spoken Korean as it is written: numbers in digits where Korean writers put digits.

    White space becomes single spaces; all that is not a number stays as it is.

    >>> to_written("이천이십육년 유월 삼일 오후 세 시 반에 삼십 퍼센트가 모였다")
    '2026년 6월 3일 오후 3시 30분에 30%가 모였다'
    >>> to_written("이 일은 만 사람이 사 온 조각이다")
    '이 일은 만 사람이 사 온 조각이다'
    """
    return " ".join(token.written for token in written_tokens(text.split()))


def written_tokens(eojeols: Sequence[str]) -> list[WrittenToken]:
    """Tokens that cover all ``eojeols`` in order, each with its spoken and its written form.

    An eojeol must be a word without spaces.
    """
    tokens, counters = _tokens(eojeols, frozenset())
    return _tokens(eojeols, counters)[0] if counters else tokens


def _tokens(
    eojeols: Sequence[str], counters: frozenset[str]
) -> tuple[list[WrittenToken], frozenset[str]]:
    """The tokens where numbers before ``counters`` are known, and the counters of their numbers."""
    text = " ".join(eojeols)
    starts = [0]
    for eojeol in eojeols:
        starts.append(starts[-1] + len(eojeol) + 1)
    index = {start: number for number, start in enumerate(starts)}
    tokens: list[WrittenToken] = []
    found: set[str] = set()
    at, counter = 0, ""
    while at < len(eojeols):
        before = eojeols[at - 1] if at else ""
        match = _match_with_marks(Place(text, starts[at], before, counter, counters))
        end = at + 1 if match is None else index[match.end + 1]
        spoken = " ".join(eojeols[at:end])
        tokens.append(WrittenToken(spoken, match.written if match else spoken, at, end))
        at, counter = end, match.counter if match and match.followed else ""
        found |= {match.counter} if match and match.counter else set()
    return tokens, frozenset(found)


def _match_with_marks(place: Place) -> Match | None:
    """The match of a rule, with the brackets before it and the marks between it and the space."""
    opening = _OPENING.match(place.text, place.start)
    start = opening.end() if opening else place.start
    match = _match(replace(place, start=start))
    if match is None:
        return None
    marks = _MARKS.match(place.text, match.end)
    end = marks.end() if marks else match.end
    if end < len(place.text) and place.text[end] != " ":
        return None
    closing = place.text[match.end : end]
    followed = not any(stop in closing for stop in _STOPS) and match.written.endswith(match.counter)
    written = place.text[place.start : start] + match.written + closing
    return Match(end, written, match.counter, followed)


def _match(place: Place) -> Match | None:
    for rule in _RULES:
        if match := rule(place):
            return match
    return _after_prefix(place)


def _after_prefix(place: Place) -> Match | None:
    """A quantity that is run together with what stands before it: 오후세시, 총칠십육퍼센트."""
    for length in (4, 3, 2, 1):
        prefix = place.text[place.start : place.start + length]
        if prefix not in word_list("prefixes"):
            continue
        match = read_quantity(replace(place, start=place.start + length, before=prefix))
        if match is None:
            return None
        weekly = prefix == "주" and match.counter == "회"
        sure = length > 1 or match.written[:2].isdecimal() or weekly
        return replace(match, written=prefix + match.written) if sure else None
    return None
