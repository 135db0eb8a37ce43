"""Second moments of frames weighted by precisions: what linear transforms are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr.gmm import kernels
from asr.gmm.diag_gmm import DiagGmms


def precision_terms(
    gmms: DiagGmms,
    features: NDArray[np.float32],
    pdfs: NDArray[np.integer],
    target: DiagGmms | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Σ γ / σ² and Σ γ μ / σ² of each frame: float32 [T, D] twice.

    Args:
        gmms: that posteriors γ come from, given ``features``, float32 [T, D].
        pdfs: int [T].
        target: whose means μ and variances σ² are taken; None for the same Gaussians.
    """
    target = target or gmms
    precision = np.empty((len(features), target.dim), np.float32)
    pull = np.empty_like(precision)
    kernels.precision_terms(
        np.ascontiguousarray(features, np.float32), np.ascontiguousarray(pdfs, np.int32),
        gmms.begin, gmms.gconst, gmms.scaled_mean, gmms.inv_var,
        target.scaled_mean, target.inv_var, precision, pull,
    )  # fmt: skip
    return precision, pull


def weighted_moments(
    weights: NDArray[np.float32], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Σ_t w_td x_t x_tᵀ: float64 [D, E, E] of weights [T, D] and features [T, E].

    Sums of some thousands of frames are exact enough in float32.
    """
    size = features.shape[1]
    row, column = np.triu_indices(size)
    packed = np.zeros((weights.shape[1], len(row)))
    for first in range(0, len(features), 2048):
        x = features[first : first + 2048]
        packed += weights[first : first + 2048].T @ (x[:, row] * x[:, column])
    full = np.empty((weights.shape[1], size, size))
    full[:, row, column] = packed
    full[:, column, row] = packed
    return full
