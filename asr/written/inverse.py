"""Inverse text normalisation: spoken Korean to the text that a Korean would write.

The rules look at each eojeol in turn, the particular before the general; what no rule is sure of
stays as it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asr.written.bare import read_bare
from asr.written.codes import read_code
from asr.written.match import Match, Place
from asr.written.phrases import read_phrase
from asr.written.quantities import read_half_hour, read_quantity
from asr.written.tokens import WrittenToken

_RULES: tuple[Callable[[Place], Match | None], ...] = (
    read_half_hour,
    read_code,
    read_phrase,
    read_quantity,
    read_bare,
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
    text = " ".join(eojeols)
    starts = [0]
    for eojeol in eojeols:
        starts.append(starts[-1] + len(eojeol) + 1)
    index = {start: number for number, start in enumerate(starts)}
    tokens: list[WrittenToken] = []
    at, counter = 0, ""
    while at < len(eojeols):
        before = eojeols[at - 1] if at else ""
        match = _match(Place(text, starts[at], before, counter))
        end = at + 1 if match is None else index[match.end + 1]
        spoken = " ".join(eojeols[at:end])
        tokens.append(WrittenToken(spoken, match.written if match else spoken, at, end))
        at, counter = end, _open_counter(match)
    return tokens


def _match(place: Place) -> Match | None:
    for rule in _RULES:
        if match := rule(place):
            return match
    return None


def _open_counter(match: Match | None) -> str:
    """The counter that the next eojeol follows at once; a particle after it closes it."""
    if match is None or not match.written.endswith(match.counter):
        return ""
    return match.counter
