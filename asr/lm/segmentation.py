"""Cutting an eojeol into the units of a vocabulary: the cheapest way, the same for every text.

Units of several syllables (pieces, morphs, whole eojeol) can spell an eojeol in many ways. Each
unit has a cost, and an eojeol is cut where the sum of costs is least (Viterbi over a unigram model,
as in Kudo, ACL 2018). Costs are whole numbers, so that the cut never depends on rounding. Whatever
chose the units is not needed again: training text and the text of a running program are cut alike.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import numpy as np

COST_STEP = 0.01
"""Costs count hundredths of a nat."""
UNKNOWN_COST = 1 << 24
_CACHED = 1 << 21


class Segmenter:
    """Cuts eojeol; remembers the cuts it has made, as texts repeat their eojeol.

    initial, inner: what may open an eojeol and what may continue it: the syllables (no mark) with
        their unit id and cost.
    unknown: id of the unit for a character that no unit spells.
    whole: an eojeol is one unit of `initial`, or `unknown`.
    """

    def __init__(
        self,
        initial: Mapping[str, tuple[int, int]],
        inner: Mapping[str, tuple[int, int]],
        unknown: int,
        whole: bool = False,
    ) -> None:
        self._initial, self._inner, self._unknown = initial, inner, unknown
        self._whole = whole
        self._longest = max(map(len, (*initial, *inner)), default=1)
        self._cache: dict[str, bytes] = {}

    def cut(self, eojeol: str) -> list[int]:
        """Return the unit ids of an eojeol. Among equally cheap cuts the longest unit comes first.
        """
        if self._whole:
            return [self._initial[eojeol][0] if eojeol in self._initial else self._unknown]
        size = len(eojeol)
        costs, ends, ids = [0] * (size + 1), [0] * size, [0] * size
        for begin in range(size - 1, -1, -1):
            known = self._inner if begin else self._initial
            best, end, unit = UNKNOWN_COST + costs[begin + 1], begin + 1, self._unknown
            for stop in range(min(size, begin + self._longest), begin, -1):
                found = known.get(eojeol[begin:stop])
                if found is not None and found[1] + costs[stop] < best:
                    best, end, unit = found[1] + costs[stop], stop, found[0]
            costs[begin], ends[begin], ids[begin] = best, end, unit
        result, at = [], 0
        while at < size:
            result.append(ids[at])
            at = ends[at]
        return result

    def encode(self, lines: Iterable[str], bos: int, eos: int) -> np.ndarray:
        """Return uint16 <s> units </s> of every line that is not empty, one after the other."""
        out = bytearray()
        opening, closing = _packed([bos]), _packed([eos])
        cache = self._cache
        for line in lines:
            words = line.split()
            if not words:
                continue
            out += opening
            for word in words:
                cut = cache.get(word)
                if cut is None:
                    cut = _packed(self.cut(word))
                    if len(cache) < _CACHED:
                        cache[word] = cut
                out += cut
            out += closing
        return np.frombuffer(bytes(out), np.uint16)


def _packed(ids: list[int]) -> bytes:
    return array("H", ids).tobytes()
