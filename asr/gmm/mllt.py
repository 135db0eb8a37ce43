"""Maximum likelihood linear transform: axes along which diagonal covariances fit best.

Gales 1999, "Semi-tied covariance matrices for hidden Markov models"; Kaldi transform/mllt.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError, UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.estimation import Statistics
from asr.gmm.linear_statistics import precision_terms, weighted_moments
from asr.gmm.model import GmmModel
from asr.hmm.topology import SILENCE_ID

ITERATIONS = 200


class MlltStatistics:
    """Σ γ / σ²_i (x − μ)(x − μ)ᵀ for each dimension i."""

    def __init__(self, gmms: DiagGmms) -> None:
        self._gmms = gmms
        self._stats = Statistics.empty(gmms)
        self._second = np.zeros((gmms.dim, gmms.dim, gmms.dim))

    def add(self, features: NDArray[np.float32], pdfs: NDArray[np.integer]) -> None:
        """Add frames: float32 [T, D] and int [T]."""
        self._stats.add(self._gmms, features, pdfs)
        precision, _ = precision_terms(self._gmms, features, pdfs)
        self._second += weighted_moments(precision, features)

    @property
    def frames(self) -> float:
        """How many were added."""
        return self._stats.frames

    def moments(self) -> NDArray[np.float64]:
        """float64 [D, D, D]."""
        mean, sums = self._gmms.mean, self._stats.sums
        inverse = 1.0 / self._gmms.variance
        cross = np.einsum("gi,gj,gk->ijk", inverse, sums, mean, optimize=True)
        own = np.einsum("gi,gj,gk->ijk", inverse * self._stats.occupancy[:, None], mean, mean,
                        optimize=True)  # fmt: skip
        return np.asarray(self._second - cross - cross.transpose(0, 2, 1) + own)


def estimate(moments: NDArray[np.float64], frames: float) -> tuple[NDArray[np.float64], float]:
    """The transform, float64 [D, D], and how much likelihood it gains a frame (nats).

    Row by row, each at its best given the others.

    Raises:
        DataError: too few frames.
    """
    size = len(moments)
    if frames < size:
        raise DataError("there are too few frames to estimate MLLT from: give more speech")
    try:
        inverses = np.linalg.inv(moments)
    except np.linalg.LinAlgError:
        raise DataError("frames vary too little to estimate MLLT from: give more speech") from None
    matrix = np.eye(size)
    before = objective(matrix, moments, frames)
    for _ in range(ITERATIONS):
        for i in range(size):
            cofactor = np.linalg.inv(matrix)[:, i]
            row = inverses[i] @ cofactor
            matrix[i] = row * np.sqrt(frames / (cofactor @ row))
    return matrix, (objective(matrix, moments, frames) - before) / frames


def objective(
    matrix: NDArray[np.float64], moments: NDArray[np.float64], frames: float
) -> float:
    """Log-likelihood of transformed frames, but for a constant."""
    quadratic = np.einsum("ij,ijk,ik->", matrix, moments, matrix)
    return float(frames * np.linalg.slogdet(matrix)[1] - 0.5 * quadratic)


def mllt_step(
    model: GmmModel, corpus: Corpus, alignments: Mapping[str, Alignment]
) -> GmmModel:
    """The model with a better transform, its means brought along; pauses are left out.

    Raises:
        UsageError: the model has no transform to better.
    """
    if model.transform is None:
        raise UsageError("MLLT betters a transform of spliced frames, and the model has none")
    stats = MlltStatistics(model.gmms)
    for name, alignment in alignments.items():
        speech = alignment.phone != SILENCE_ID
        stats.add(corpus.features(name, model)[speech], alignment.pdf[speech])
    matrix, _ = estimate(stats.moments(), stats.frames)
    gmms = replace(model.gmms, mean=model.gmms.mean @ matrix.T)
    return replace(model, gmms=gmms, transform=matrix @ model.transform)
