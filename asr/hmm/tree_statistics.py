"""What a decision tree is grown from: a Gaussian's statistics of every state in every context."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VARIANCE_FLOOR = 0.01
"""Of the Gaussians that a tree is grown by, as Kaldi's build-tree has it."""


@dataclass(frozen=True, slots=True, eq=False)
class TreeStatistics:
    """N contexts, each seen at least once.

    Attributes:
        left, phone, right: int32 [N], phone-ids; left and right of silence are 0: they do not
            matter to it.
        pdf_class: int32 [N]: the HMM state; in topologies with ``own_entry`` twice the state, plus
            one for frames after the first.
        moments: float64 [N, 1 + 2D]: frames, their sum, and the sum of their squares.
    """

    left: NDArray[np.int32]
    phone: NDArray[np.int32]
    right: NDArray[np.int32]
    pdf_class: NDArray[np.int32]
    moments: NDArray[np.float64]

    @classmethod
    def of_frames(
        cls, contexts: NDArray[np.integer], features: NDArray[np.floating]
    ) -> TreeStatistics:
        """From int [T, 4] (left, phone, right, pdf class) and float [T, D] of each frame."""
        collector = Collector(features.shape[1])
        collector.add(contexts, features)
        return collector.done()

    @property
    def dim(self) -> int:
        """Of the features."""
        return (self.moments.shape[1] - 1) // 2


class Collector:
    """Sums frames up, utterance by utterance."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows: dict[int, int] = {}
        self._moments = np.zeros((1024, 1 + 2 * dim))

    def add(self, contexts: NDArray[np.integer], features: NDArray[np.floating]) -> None:
        """Add frames: int [T, 4] as :meth:`TreeStatistics.of_frames`, float [T, D]."""
        packed = contexts.astype(np.int64) @ np.array([1 << 24, 1 << 16, 1 << 8, 1])
        codes, inverse = np.unique(packed, return_inverse=True)
        x = features.astype(np.float64)
        rows = np.array([self._rows.setdefault(code, len(self._rows)) for code in codes.tolist()])
        while len(self._rows) > len(self._moments):
            self._moments = np.concatenate([self._moments, np.zeros_like(self._moments)])
        order = np.argsort(inverse, kind="stable")
        moments = np.concatenate([np.ones((len(x), 1)), x, x * x], axis=1)[order]
        begins = np.searchsorted(inverse[order], np.arange(len(codes)))
        self._moments[rows] += np.add.reduceat(moments, begins, axis=0)

    def done(self) -> TreeStatistics:
        """What was added, sorted by phone and context."""
        codes = np.array(list(self._rows), np.int64)
        columns = np.stack([codes >> shift & 255 for shift in (24, 16, 8, 0)], axis=1)
        order = np.lexsort((columns[:, 2], columns[:, 0], columns[:, 3], columns[:, 1]))
        columns = columns[order].astype(np.int32)
        left, phone, right, pdf_class = columns.T
        moments = self._moments[: len(codes)][order]
        return TreeStatistics(left, phone, right, pdf_class, moments)


def log_likelihood(
    moments: NDArray[np.float64], floor: float = VARIANCE_FLOOR
) -> NDArray[np.float64]:
    """Of frames under their own Gaussian: float64 [...] of moments [..., 1 + 2D].

    Kaldi's GaussClusterable::Objf: variances are floored; no frames have 0.
    """
    dim = (moments.shape[-1] - 1) // 2
    count = moments[..., 0]
    safe = np.where(count > 0, count, 1.0)[..., None]
    mean = moments[..., 1 : 1 + dim] / safe
    variance = moments[..., 1 + dim :] / safe - mean * mean
    floored = np.maximum(variance, floor)
    per_frame = -0.5 * (np.log(floored) + variance / floored + math.log(2 * math.pi)).sum(axis=-1)
    return np.where(count > 0, count * per_frame, 0.0)
