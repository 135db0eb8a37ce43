"""The best of many scores, and the kth best (numba): what pruning asks in every frame."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

SAMPLE = 8192
"""About how many scores are looked at to find the kth best."""


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def largest(row: Any) -> Any:
    """The largest of a frame's scores, which are checked to be finite.

    numba's own ``max`` looks for NaN one by one, which takes several times as long.
    """
    best = row[0]
    for i in range(np.uintp(len(row))):
        best = max(best, row[i])
    return best


@nb.njit(cache=True, nogil=True)
def kth_best(scores: Any, count: int, k: int, low: float, high: float, bins: Any) -> float:
    """A bound below ``high``, and hardly below ``low``, that about the ``k`` best scores pass.

    By counting how many lie in each of equal ranges: the bound lies a range below that of the kth,
    so that scores as good as it pass, too. Of many scores every so many-th is counted: a bound
    that lets a few more pass, or fewer, is as good, and a full sort would cost more than it saves.
    """
    bins[:] = 0
    last = len(bins) - 1
    step = np.uintp(1 + count // SAMPLE)
    least = high
    for i in range(np.uintp(0), np.uintp(count), step):
        if low < scores[i] < least:
            least = scores[i]
    low = max(low, least)  # a wide beam has most of its scores in a small part of it
    if not low < high:
        return low - 1.0
    scale = last / (high - low)
    for i in range(np.uintp(0), np.uintp(count), step):
        if scores[i] >= low:
            place: Any = np.int64((scores[i] - low) * scale)
            bins[np.uintp(min(place, last))] += step
    passed = 0
    at = last
    while at >= 0:
        passed += bins[at]
        if passed >= k:
            return float(low + (at - 1) / scale)
        at -= 1
    return float(low - 1.0 / scale)
