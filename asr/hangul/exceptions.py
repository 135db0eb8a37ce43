"""Words that the rules and the learned weights do not settle: exceptions as data.

`data/respellings.tsv` respells words before the rules are applied; `data/readings.tsv` says which
reading (asr.hangul.junction.Reading) the junctions that match a pattern take.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from asr.hangul.jamo import CODAS, FIRST_SYLLABLE, LAST_SYLLABLE
from asr.hangul.junction import Reading
from asr.hangul.tables import read_table

VARIANT_COST = 0.5
"""Cost in nats of each further pronunciation that a row lists after its first."""


@dataclass(frozen=True, slots=True)
class Respelling:
    """Syllables start to start + len(sounds) of an eojeol are read as `sounds`."""

    start: int
    sounds: str
    cost: float


@dataclass(frozen=True, slots=True)
class _Rule:
    """The readings of the junctions that have `left` before them and `right` after them."""

    left: re.Pattern[str]
    right: re.Pattern[str]
    readings: tuple[Reading, ...]


def respellings(word: str) -> list[list[Respelling]]:
    """For each place in an eojeol that is respelled, leftmost longest, its variants in order."""
    table = _respelling_table()
    found: list[list[Respelling]] = []
    start = 0
    while start < len(word):
        length = _longest_match(word, start)
        if length:
            sounds = table[word[start : start + length]]
            found.append(
                [Respelling(start, sound, VARIANT_COST * n) for n, sound in enumerate(sounds)]
            )
        start += max(length, 1)
    return found


@lru_cache(maxsize=65536)
def listed_readings(left: str, right: str, space: bool) -> tuple[tuple[Reading, ...], ...]:
    """Readings listed for the junction between two stretches of text, a tuple for each row.

    left, right: the eojeol before and after the junction, or the eojeol's two pieces when `space`
    is False. Rows come in the file's order; within a row the canonical reading is first.
    """
    return tuple(
        rule.readings
        for rule in _rules()[space]
        if rule.left.search(left) and rule.right.match(right)
    )


def _longest_match(word: str, start: int) -> int:
    table = _respelling_table()
    return max((n for n in range(1, len(word) - start + 1) if word[start : start + n] in table),
               default=0)  # fmt: skip


@cache
def _respelling_table() -> dict[str, list[str]]:
    return {row[0]: row[1].split("/") for row in read_table("respellings.tsv")}


@cache
def _rules() -> dict[bool, tuple[_Rule, ...]]:
    rules: dict[bool, list[_Rule]] = {False: [], True: []}
    for boundary, left, right, names in _rule_rows():
        readings = tuple(Reading(name) for name in names.split("/"))
        rule = _Rule(re.compile(f"(?:{left})$"), re.compile(right), readings)
        rules[boundary == "space"].append(rule)
    return {space: tuple(listed) for space, listed in rules.items()}


def _rule_rows() -> Iterator[list[str]]:
    for row in read_table("readings.tsv"):
        yield [re.sub("<(.)>", lambda match: _with_coda(match[1]), cell) for cell in row[:4]]


@cache
def _with_coda(coda: str) -> str:
    """A regular expression for any syllable with this coda."""
    first = FIRST_SYLLABLE + CODAS.index(coda)
    return "[" + "".join(map(chr, range(first, LAST_SYLLABLE + 1, len(CODAS)))) + "]"
