"""Numbers without a counter (이백이십팔입니다, 시즌 삼) that are no other words."""

from __future__ import annotations

import re

from asr.written.formatting import format_number
from asr.written.match import Match, Place, next_eojeol
from asr.written.numbers import Kind, Number, read_decimal, read_sino
from asr.written.tables import is_no_number, word_list
from asr.written.tails import tail_end

_LEAST = 3
"""Syllables; shorter ones are words as often: 구조, 오만, 이천, 사천."""
_OTHER_ENDINGS = "조경"
"""구조, 백조, 구경: numbers do not end so without a counter."""
_DEPOSIT = re.compile(r"에 [일이삼사오육칠팔구십백천만]+ ?만? ?원")
"""이천에 육십만 원: a deposit and a rent, in 만 원."""
_TENS = re.compile(r"[이삼사오육칠팔구]십|십[삼오육칠구]")
"""Of two syllables, and no other words."""
_SURE_IN_WORD = 4
"""So many syllables are a number whatever noun is run together with it: 삼백오십팔열차."""
_PARTICLE = re.compile(r"(?<=[가-힣]{2})[을를은는]$")
_COPULAS = ("라", "다", "고", "며", "었", "지", "야", "란", "네", "므", "자")
_TO_LEVEL = re.compile(r"(?:으로|로|까지|이하|이상)(?![가-힣])")
_BUY_OR_COME = re.compile(r"(?:주|줘|줄|줬|왔|와|올|오|가|갔|간|갈|먹|본|봐|봤|면|서|달|다)")
"""After 사 and 오 these say that something was bought, or that it came."""


def read_bare(place: Place) -> Match | None:
    """A number that stands alone or before a particle at ``place``."""
    if place.before in ("몇", "수"):
        return None
    text = place.text
    if is_no_number(text, place.start):
        return None
    if match := _labelled(place):
        return match
    for number in read_sino(text, place.start):
        for decimal in read_decimal(text, number):
            subject = text.startswith("영이", decimal.end - 2)  # 사쩜영이 is 4.0 and a particle
            pointed = "쩜" in text[number.end : decimal.end] and not subject
            if pointed and (match := _ended(text, decimal)):
                return match
        if _is_clear(text, number) and (match := _ended(text, number)):
            return match
    numbers = read_sino(text, place.start)
    return _run_together(text, numbers[0]) if numbers else None


def _labelled(place: Place) -> Match | None:
    """The number of a thing that has one: 시즌 삼, 볼륨을 육십으로."""
    named = place.before in word_list("labels")
    if not named and _PARTICLE.sub("", place.before) not in word_list("labels"):
        return None
    text = place.text
    for number in read_sino(text, place.start)[:1]:
        short = number.syllables == 1
        if short and text[place.start] == "이" and text.startswith(_COPULAS, number.end):
            return None
        if short and text[place.start] in "사오천만" and _BUY_OR_COME.match(
            next_eojeol(text, number.end)
        ):
            return None
        if named or (_TO_LEVEL.match(text, number.end) and number.syllables > 1):
            return _ended(text, number)
    return None


def _run_together(text: str, number: Number) -> Match | None:
    if number.syllables < _SURE_IN_WORD or " " in text[number.start : number.end]:
        return None
    end = text.find(" ", number.end)
    end = len(text) if end < 0 else end
    if end - number.end < 2 or not text[number.end : end].isalpha():
        return None
    return Match(end, format_number(number, plain=True) + text[number.end : end])


def _is_clear(text: str, number: Number) -> bool:
    said = text[number.start : number.end]
    if said[-1] in _OTHER_ENDINGS or number.kind is not Kind.SINO:
        return False
    if _TENS.fullmatch(said):
        return True
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
