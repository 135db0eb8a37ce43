"""How likely a small number before a counter is written in digits: 일등, 사회; 세가지, 두 배.

A single Sino-Korean digit and a counter are another word as often (일부는 is "some of them",
일부에서는 "in part one"); small native numbers are spelled out as often. What stands around them
tells.
Weights learned from how Korean writers put them (`data/digit_weights.tsv`, `native_weights.tsv`;
trained by `tools/train_digit_weights.py`) add up to log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from asr.hangul.tables import read_table

SURE = 0.85
"""Nats; a change that should not be there hurts more than one that is missing."""
USUAL = -0.85
"""The same for digits that `data/counters.tsv` lists before the counter."""
NO_DOUBT = 4.0
"""The same for 이 with a space, which is "this" much more often, and for words of every day."""
COHERENT = 1.5
"""Nats more where a number before the same counter is in digits elsewhere: 2편 … 일편."""
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A small number, a counter and what stands around them.

    Attributes:
        digit: the word, 일 to 구 or 한 to 열.
        counter: the counter.
        attached: whether nothing stands between them.
        tail: what follows within the eojeol.
        before: the eojeol before; "" at the beginning.
        after: the eojeol after; "" at the end.
    """

    digit: str
    counter: str
    attached: bool
    tail: str
    before: str
    after: str


def features(one: Candidate) -> list[str]:
    """Names of what the weights are of.

    A name begins with the digit, or ``*`` for any, and the counter; then come ``:`` and the tail,
    ``>`` and the beginning of the next eojeol, or ``<`` and the end of the one before.
    """
    gap = "" if one.attached else " "
    pair = one.digit + gap + one.counter
    names = [_ALL, _ALL + gap + one.counter, one.digit + gap + _ALL, pair]
    after, before = one.after[:2] or "$", one.before[-2:] or "^"
    for head in (pair, _ALL + one.counter):
        names += [
            f"{head}:{one.tail}", f"{head}>{after}", f"{head}<{before}", f"{head}<{before[-1]}",
        ]  # fmt: skip
    return [*names, f"{one.digit}{gap}{_ALL}:{one.tail}", f">{after}", f"<{before}", f":{one.tail}"]


def log_odds(one: Candidate, native: bool = False) -> float | None:
    """Log-odds (nats) that a writer puts digits there; None for counters that were not learnt."""
    weights = _weights("native" if native else "digit")
    if _ALL + one.counter not in weights:
        return None
    return sum(weights.get(name, 0.0) for name in features(one))


@cache
def _weights(kind: str) -> dict[str, float]:
    rows = read_table(f"{kind}_weights.tsv", package="asr.written")
    return {name: float(weight) for name, weight in rows}
