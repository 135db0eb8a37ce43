"""What was asked, as weighted texts: eojeol as written, as said, and where an entry may stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asr.errors import UsageError
from asr.hangul.normalize import to_spoken
from asr.search.carriers import is_carrier, is_particle, linking_particle
from asr.search.config import SearchConfig
from asr.search.phonetic import said

_NOT_SAID = re.compile("[^가-힣]+")
MOST_SYLLABLES = 400
"""Of a query; what is longer is no query."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One text that may have been asked.

    Attributes:
        written: its eojeol.
        spoken: Hangul syllables of each, read aloud; "" where nothing is.
        surface: the surface spelling of each; as many syllables.
        share: of the probability of all texts, in (0, 1].
    """

    written: tuple[str, ...]
    spoken: tuple[str, ...]
    surface: tuple[str, ...]
    share: float

    @property
    def text(self) -> str:
        """The text with single spaces."""
        return " ".join(self.written)


@dataclass(frozen=True, slots=True)
class Token:
    """A syllable of a hypothesis.

    Attributes:
        surface: how it is said.
        start: nats that a stretch costs which begins with it.
        end: nats that a stretch costs which ends with it.
        join: nats that a stretch costs which reaches it from the eojeol before.
    """

    surface: str
    start: float
    end: float
    join: float


def hypotheses(query: str | Iterable[tuple[str, float]]) -> list[Hypothesis]:
    """The texts of a query, those alike taken together, the likeliest first.

    Args:
        query: a text, or texts with their shares (positive; they need not sum to 1).

    Raises:
        UsageError: shares that make no sense, or a text that is too long for a query.
    """
    weighted = [(query, 1.0)] if isinstance(query, str) else list(query)
    if any(not 0 <= share < math.inf for _, share in weighted):
        raise UsageError("the share of a text must be a number and not negative")
    total = math.fsum(share for _, share in weighted)
    found: dict[tuple[str, ...], Hypothesis] = {}
    for text, share in weighted:
        if share <= 0 or not text.strip():
            continue
        made = _hypothesis(text, share / total)
        same = found.get(made.spoken)
        if same is not None:
            made = Hypothesis(same.written, same.spoken, same.surface, same.share + made.share)
        found[made.spoken] = made
    return sorted(found.values(), key=lambda one: -one.share)


def is_readable(query: str) -> bool:
    """Whether anything in a query can be read aloud; nothing is found by what cannot.

    >>> is_readable("서울역 맛집"), is_readable("東京")
    (True, False)
    """
    return any(any(one.spoken) for one in hypotheses(query))


def _hypothesis(text: str, share: float) -> Hypothesis:
    written = tuple(text.split())
    spoken = _spoken(" ".join(written))
    if len(spoken) != len(written):  # numbers may be read as several words: each by itself then
        spoken = ["".join(_spoken(eojeol)) for eojeol in written]
    if sum(map(len, spoken)) > MOST_SYLLABLES:
        raise UsageError(f"a query of more than {MOST_SYLLABLES} syllables: cut it")
    return Hypothesis(written, tuple(spoken), tuple(map(_surface, spoken)), share)


def _surface(eojeol: str) -> str:
    """How an eojeol sounds, a particle by itself: 대전에 as 대전 에, for 대전 is the name."""
    rest = linking_particle(eojeol)
    return said(eojeol.removesuffix(rest)) + said(rest) if rest else said(eojeol)


def _spoken(text: str) -> list[str]:
    return [_NOT_SAID.sub("", eojeol) for eojeol in to_spoken(text).split()]


def tokens(one: Hypothesis, config: SearchConfig) -> list[Token]:
    """The syllables of a hypothesis, with what it costs to begin or end an entry at each."""
    carriers = [is_carrier(eojeol) for eojeol in one.spoken]
    if all(carriers):  # then one of these words is what is meant
        carriers = [False] * len(carriers)
    found = []
    for spoken, surface, carrier in zip(one.spoken, one.surface, carriers, strict=True):
        for place, syllable in enumerate(surface):
            start = config.inside_cost if place else config.carrier_cost * carrier
            join = config.join_cost if place == 0 else 0.0
            found.append(Token(syllable, start, _end_cost(spoken[place + 1 :], config), join))
    return found


def _end_cost(rest: str, config: SearchConfig) -> float:
    if not rest:
        return 0.0
    return config.particle_cost if is_particle(rest) else config.cut_cost


def intent(one: Hypothesis, begin: int, end: int) -> tuple[str, ...]:
    """The words around syllables ``begin`` up to ``end``, without particles that hang on them."""
    words: list[str] = []
    at = 0
    for written, spoken in zip(one.written, one.spoken, strict=True):
        before, after = max(0, begin - at), max(0, at + len(spoken) - end)
        if begin >= at + len(spoken) or end <= at:
            words.append(written)
        elif written == spoken:
            words += [spoken[:before], "" if is_particle(spoken[-after:]) else spoken[-after:]][
                : 2 if after else 1
            ]
        at += len(spoken)
    return tuple(word for word in words if word)


def covered(one: Hypothesis, begin: int, end: int) -> Sequence[int]:
    """The eojeol in which syllables ``begin`` up to ``end`` stand."""
    at, found = 0, []
    for number, spoken in enumerate(one.spoken):
        if at < end and begin < at + len(spoken):
            found.append(number)
        at += len(spoken)
    return found
