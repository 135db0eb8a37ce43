"""Choosing the units of a language model from its training text.

Beside all single syllables in both forms, which keep it open, an inventory may hold

- subword: pieces of sentencepiece's unigram model (Kudo, ACL 2018),
- bpe: pieces of byte-pair encoding (Sennrich et al., ACL 2016),
- morph: morphs as Kiwi finds them, as they are written (`asr.lm.morphs`),
- eojeol: whole eojeol.

What these programs learn ends up as a list of units with costs, which are unigram probabilities
of the text as they cut it; the programs are not needed to use it.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from asr.errors import DataError, UsageError
from asr.lm.morphs import morph_counts
from asr.lm.pieces import piece_counts
from asr.lm.segmentation import COST_STEP
from asr.lm.units import (
    EOJEOL_MARK,
    MAX_COST,
    MAX_UNITS,
    SPECIALS,
    Vocabulary,
    build_vocabulary,
    ksx1001_syllables,
    text_to_units,
)

KINDS = ("syllable", "subword", "bpe", "morph", "eojeol")
_HANGUL = re.compile("[가-힣]+")
_UNSEEN = 0.1  # what a syllable counts that no cut of the text has left alone
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InventoryConfig:
    """Which units to use.

    kind: one of KINDS.
    size: how many units of several syllables, at most; nothing to syllables.
    min_syllable_count: syllables seen that often are units, beside the 2,350 of KS X 1001.
    min_count: how often a unit of several syllables must be seen.
    max_length: syllables of the longest unit.
    rounds: how often costs are estimated anew from the text as they cut it.
    """

    kind: str = "syllable"
    size: int = 16_000
    min_syllable_count: int = 3
    min_count: int = 3
    max_length: int = 8
    rounds: int = 0

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a value is out of range.
        """
        if self.kind not in KINDS:
            raise UsageError(f"no units are called {self.kind!r}; choose {', '.join(KINDS)}")
        if not 1 <= self.size <= MAX_UNITS:
            raise UsageError(f"the number of units must be 1 to {MAX_UNITS}")
        if min(self.min_syllable_count, self.min_count) < 1:
            raise UsageError("the least count of a unit must be at least 1")
        if not 2 <= self.max_length <= 32:
            raise UsageError("the longest unit must have 2 to 32 syllables")


def build_inventory(
    lines: Sequence[str],
    config: InventoryConfig | None = None,
    words: Iterable[tuple[str, int]] = (),
) -> Vocabulary:
    """Make the vocabulary for a text.

    Args:
        lines: sentences; only eojeol wholly of Hangul are looked at for longer units.
        words: further words with counts (names, say), for these as well.

    Raises:
        UsageError: the configuration makes no sense, or the units do not fit into 65,536, or the
            library that finds such units is missing. DataError: there is no Hangul to find longer
            units in.
    """
    config = config or InventoryConfig()
    config.check()
    base = build_vocabulary(lines, config.min_syllable_count, ksx1001_syllables())
    if config.kind == "syllable":
        return base
    room = MAX_UNITS - len(base)
    if config.size > room:
        raise UsageError(f"{config.size} units and {len(base)} syllables are more than the"
                         f" {MAX_UNITS} that fit; ask for {room} or fewer")  # fmt: skip
    eojeol = count_eojeol(lines, words)
    if not eojeol:
        raise DataError("the training text has no eojeol that is all Hangul; check the files and"
                        " their encoding")  # fmt: skip
    counts = _FINDERS[config.kind](eojeol, config)
    units = [*base.units[len(SPECIALS) :], *_chosen(counts, config)]
    if config.kind == "eojeol":
        return Vocabulary((*SPECIALS, *units))  # a whole eojeol is the cut of fewest units
    vocabulary = _with_costs(units, counts)
    for _ in range(config.rounds):
        vocabulary = _with_costs(units, _recount(eojeol, vocabulary))
    return vocabulary


def count_eojeol(lines: Iterable[str], words: Iterable[tuple[str, int]] = ()) -> Counter[str]:
    """Count the eojeol that are wholly of Hangul, of sentences and of words with counts."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line.split())
    for word, count in words:
        for eojeol in word.split():
            counts[eojeol] += count
    return Counter({word: count for word, count in counts.items() if _HANGUL.fullmatch(word)})


def _piece_counts(eojeol: Mapping[str, int], config: InventoryConfig) -> Counter[str]:
    method = "bpe" if config.kind == "bpe" else "unigram"
    return piece_counts(_repeated(eojeol), config.size, config.max_length, method)


def _morph_counts(eojeol: Mapping[str, int], config: InventoryConfig) -> Counter[str]:
    return morph_counts(_repeated(eojeol))


def _eojeol_counts(eojeol: Mapping[str, int], config: InventoryConfig) -> Counter[str]:
    return Counter({EOJEOL_MARK + word: count for word, count in eojeol.items()})


def _repeated(eojeol: Mapping[str, int]) -> Mapping[str, int]:
    """Leave out what occurs once: most of the different eojeol, and little of the text."""
    return {word: count for word, count in eojeol.items() if count > 1} or eojeol


_FINDERS: dict[str, Callable[[Mapping[str, int], InventoryConfig], Counter[str]]] = {
    "subword": _piece_counts,
    "bpe": _piece_counts,
    "morph": _morph_counts,
    "eojeol": _eojeol_counts,
}


def _chosen(counts: Counter[str], config: InventoryConfig) -> list[str]:
    """Return the most frequent units of several syllables; ties in order of the alphabet."""
    fit = [
        (-count, unit)
        for unit, count in counts.items()
        if count >= config.min_count
        and 2 <= len(unit.removeprefix(EOJEOL_MARK)) <= config.max_length
    ]
    return [unit for _, unit in sorted(fit)[: config.size]]


def _recount(eojeol: Mapping[str, int], vocabulary: Vocabulary) -> Counter[str]:
    """Count the units of the text as the vocabulary cuts it."""
    result: Counter[str] = Counter()
    units, cut = vocabulary.units, vocabulary.segmenter.cut
    for word, count in eojeol.items():
        for unit in cut(word):
            result[units[unit]] += count
    return result


def _with_costs(units: Sequence[str], counts: Counter[str]) -> Vocabulary:
    """Make costs of counts. What is counted and no unit lends its count to its syllables."""
    known = set(units)
    spread: Counter[str] = Counter()
    for unit, count in counts.items():
        parts = [unit] if unit in known else text_to_units(unit.replace(EOJEOL_MARK, " "))
        if unit not in known and not unit.startswith(EOJEOL_MARK):
            parts[0] = parts[0].removeprefix(EOJEOL_MARK)
        for part in parts:
            spread[part] += count
    total = math.log(sum(spread.values()))
    costs = [
        round((total - math.log(max(spread[unit], _UNSEEN))) / COST_STEP) for unit in units
    ]
    ordinary = [0] * len(SPECIALS) + [min(max(cost, 0), MAX_COST - 1) for cost in costs]
    return Vocabulary((*SPECIALS, *units), tuple(ordinary))
