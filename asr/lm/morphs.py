"""Morphs as Kiwi finds them, mapped back to how the eojeol is written.

Kiwi gives dictionary forms: 갔다 is 가/었/다, 간다 is 가/ㄴ다. Units must spell the eojeol, so a
cut is made only between syllables, and only where no morph has a part on both sides: 갔 다, 간다.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asr.errors import UsageError
from asr.lm.units import EOJEOL_MARK


def morph_counts(eojeol: Mapping[str, int]) -> Counter[str]:
    """Cut each eojeol into written morphs and count them; the first one has the mark.

    Args:
        eojeol: eojeol of a text and how often each occurs.

    Raises:
        UsageError: kiwipiepy is not installed.
    """
    counts: Counter[str] = Counter()
    words = list(eojeol)
    for word, cuts in zip(words, morph_boundaries(words), strict=True):
        bounds = [0, *cuts, len(word)]
        for begin, end in itertools.pairwise(bounds):
            counts[("" if begin else EOJEOL_MARK) + word[begin:end]] += eojeol[word]
    return counts


def morph_boundaries(words: Iterable[str]) -> Iterable[list[int]]:
    """Yield for each eojeol the places (in syllables, inside it) where a morph ends and one begins.

    Raises:
        UsageError: kiwipiepy is not installed.
    """
    words = list(words)
    for word, tokens in zip(words, _kiwi().tokenize(words), strict=True):
        yield boundaries(len(word), [(token.start, token.len) for token in tokens])


@functools.lru_cache(maxsize=1)  # it takes seconds to load
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise UsageError(
            "morph units need the package kiwipiepy: install it (pip install 'malsori[lm]') or"
            " choose other units"
        ) from error
    return Kiwi(num_workers=1)


def boundaries(length: int, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return where spans (start, length) of morphs meet without any lying across.

    >>> boundaries(2, [(0, 1), (0, 1), (1, 1)])  # 갔다: 가, 었, 다
    [1]
    >>> boundaries(2, [(0, 1), (0, 2)])  # 간다: 가, ㄴ다
    []
    """
    begins = {begin for begin, _ in spans}
    inside = {at for begin, size in spans for at in range(begin + 1, begin + size)}
    return sorted(at for at in begins - inside if 0 < at < length)
