"""Scores at another frame rate than the network that made them has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def at_frame_rate(
    scores: NDArray[np.float32], given: float, wanted: float
) -> NDArray[np.float32]:
    """Scores of frames of another length, linear between those of the frames around them.

    Args:
        scores: float32 [N, pdfs].
        given: seconds of a frame.
        wanted: seconds of a frame of the result; its first is that of ``scores``.

    Returns:
        float32 [M, pdfs], in which frames stand for the same sound as before.
    """
    if given == wanted or not len(scores):
        return scores
    count = max(1, round(len(scores) * given / wanted))
    places = np.minimum(np.arange(count) * (wanted / given), len(scores) - 1)
    first = places.astype(int)
    share = (places - first).astype(np.float32)[:, None]
    second = np.minimum(first + 1, len(scores) - 1)
    mixed = scores[first] * (1 - share) + scores[second] * share
    return np.ascontiguousarray(mixed, np.float32)
