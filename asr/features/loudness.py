"""How loud the speech in a sound is, and which frames hold it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPEECH_RANGE = 30.0
"""Decibels below the loudest frame within which frames count as speech when its level is taken."""
LOUD_SHARE = 0.95
"""The level that all but the loudest twentieth of the speech frames stay below."""


def frame_powers(samples: NDArray[np.float32], size: int, shift: int) -> NDArray[np.float64]:
    """Mean square of each frame of ``size`` samples every ``shift``: float64 [T].

    Frames are those of the features with ``snip_edges``: only whole ones.
    """
    count = max(0, 1 + (len(samples) - size) // shift)
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    first = np.arange(count) * shift
    return np.maximum(sums[first + size] - sums[first], 0.0) / size


def speech_power(powers: NDArray[np.float64]) -> float:
    """The mean square of loud speech, from :func:`frame_powers`; 0 for silence.

    Pauses do not count, however long they are.
    """
    loudest = float(powers.max(initial=0.0))
    if loudest <= 0.0:
        return 0.0
    return float(np.quantile(powers[powers >= loudest * ratio(SPEECH_RANGE)], LOUD_SHARE))


def ratio(decibels: float) -> float:
    """The ratio of powers that lie ``decibels`` apart, at most 1 for a positive distance."""
    return float(10.0 ** (-decibels / 10.0))


def widened(mask: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    """Also true within ``frames`` of where bool [T] ``mask`` is true."""
    sums = np.concatenate([[0], np.cumsum(mask)])
    times = np.arange(len(mask))
    first = np.maximum(times - frames, 0)
    behind = np.minimum(times + frames + 1, len(mask))
    return sums[behind] > sums[first]
