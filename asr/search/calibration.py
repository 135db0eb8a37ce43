"""Probabilities of hits as often right as they say: a monotone map, learnt and kept as data."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from asr.hangul.tables import read_table


@cache
def knots() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The map from 0 to 1: what evidence alone says, and how often first hits so sure were right.

    Both ascend; between them it is linear. Fitted by tools/train_search_calibration.py.
    """
    rows = read_table("calibration.tsv", package="asr.search")
    told, right = np.array(rows, np.float64).T
    return told, right


def calibrated(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of hits, the likeliest first, in the same order and at most 1 together.

    The first is mapped, and what is left goes to the others in proportion.

    >>> calibrated(np.array([0.5, 0.25])).round(2).tolist()[0] > 0.5
    True
    """
    if len(shares) == 0:
        return shares
    told, right = knots()
    first = float(np.interp(shares[0], told, right))
    left = 1.0 - float(shares[0])
    others = shares[1:] * ((1.0 - first) / left if left > 0 else 0.0)
    return np.minimum(np.concatenate([[first], others]), first)
