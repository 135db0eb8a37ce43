"""Numbers without a counter (이백이십팔입니다, 이천에 육십만 원) that are no other words."""

from __future__ import annotations

import re

from asr.written.formatting import format_number
from asr.written.match import Match, Place
from asr.written.numbers import Kind, Number, read_decimal, read_sino
from asr.written.tails import tail_end

_LEAST = 3
"""Syllables; shorter ones are words as often: 구조, 오만, 이천, 사천."""
_OTHER_ENDINGS = "조경"
"""구조, 백조, 구경: numbers do not end so without a counter."""
_DEPOSIT = re.compile(r"에 [일이삼사오육칠팔구십백천만]+ ?만? ?원")
"""이천에 육십만 원: a deposit and a rent, in 만 원."""


def read_bare(place: Place) -> Match | None:
    """A number that stands alone or before a particle at ``place``."""
    if place.before in ("몇", "수"):
        return None
    text = place.text
    for number in read_sino(text, place.start):
        for decimal in read_decimal(text, number):
            if "쩜" in text[number.end : decimal.end] and (match := _ended(text, decimal)):
                return match
        if _is_clear(text, number) and (match := _ended(text, number)):
            return match
    return None


def _is_clear(text: str, number: Number) -> bool:
    said = text[number.start : number.end]
    if said[-1] in _OTHER_ENDINGS or number.kind is not Kind.SINO:
        return False
    if number.syllables == 2 and said[1] == "천" and _DEPOSIT.match(text, number.end):
        return True
    may_be_particle = said[-1] in "이일" and number.syllables == _LEAST and said[-2] in "십백천만억"
    if may_be_particle:  # 오만이, 오십일
        return False
    return number.syllables >= _LEAST and not said.startswith("만 ")


def _ended(text: str, number: Number) -> Match | None:
    tail = tail_end(text, number.end, suffixes=False)
    if tail is None:
        return None
    spoken = text[number.start : number.end]
    plain = number.value < 10_000 and number.value % 1000 > 0 and not number.decimals
    return Match(tail, format_number(number, plain, spoken) + text[number.end : tail])
