"""Which tokens of the search on a static graph live on after a frame (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

NEGATIVE = -1e30
"""Below every score."""


@nb.njit(cache=True, nogil=True)
def kth_best(scores: Any, count: int, k: int) -> float:
    """The ``k`` best of the first ``count`` scores are this or better."""
    return float(np.partition(scores[:count], count - k)[count - k])


@nb.njit(cache=True, nogil=True)
def survivors(tokens: Any, side: int, count: int, options: Any) -> tuple[int, float]:
    """Drop the tokens outside the beam or beyond ``max_active``; how many stay, and the cutoff."""
    scores = tokens.score[side]
    best = NEGATIVE
    for i in range(count):
        best = max(best, scores[i])
    cutoff = best - options.beam
    if count > options.max_active:
        cutoff = max(cutoff, kth_best(scores, count, options.max_active))
    kept = 0
    for i in range(count):
        if scores[i] >= cutoff:
            if kept < i:
                tokens.state[side, kept] = tokens.state[side, i]
                scores[kept] = scores[i]
                tokens.record[side, kept] = tokens.record[side, i]
                tokens.start[side, kept] = tokens.start[side, i]
                tokens.place[tokens.state[side, i]] = kept
            tokens.source[side, kept] = kept
            tokens.unit[side, kept] = -1
            kept += 1
    return kept, cutoff
