"""What the rules share: the place they look at, and what they found there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule looks: at ``text[start:]``, and what came before.

    Attributes:
        text: the eojeol, joined by single spaces.
        start: index of the first syllable of an eojeol, or within one after a counter.
        before: the eojeol before, as spoken; "" at the beginning.
        counter: the counter that ended the number right before; "" if there was none.
        counters: those after numbers that are in digits elsewhere in the text.
    """

    text: str
    start: int
    before: str = ""
    counter: str = ""
    counters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch from a place to ``end``, the end of an eojeol, and its written form."""

    end: int
    written: str
    counter: str = ""
    """The last counter in it."""
    followed: bool = True
    """Whether the next eojeol follows the counter at once."""


def next_eojeol(text: str, end: int) -> str:
    """The eojeol after the one that ends at ``end``; "" at the end of the text."""
    return text[end + 1 :].split(" ", 1)[0]
